"""The feed: what happens, told over a WebSocket as it happens."""
