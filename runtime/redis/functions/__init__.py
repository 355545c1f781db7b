"""The Redis Functions of the exchange."""
