"""Many commands to Redis in large pipelines."""

from typing import Any

from runtime.redis.channel import Channel, RedisCommand

COMMANDS_MAX = 1000  # In one pipeline.


class Writer:
    """Gathers commands and sends them when there are enough; :meth:`flush` sends the rest."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._commands: list[RedisCommand] = []

    def add(self, *command: Any) -> None:
        self._commands.append(command)
        if len(self._commands) >= COMMANDS_MAX:
            self.flush()

    def flush(self) -> None:
        """Raises the first error reply."""
        self._channel.all_ok(self._commands)
        self._commands.clear()
