"""A channel of the feed: one rendering for all that have subscribed to it."""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

from readapi.feed.messages import ChannelName


class Reader(Protocol):
    """Who has subscribed, as a channel sees him."""

    def take(self, channel: "Channel", frames: bytes) -> None:
        """Take whole frames of the channel, the same bytes as everyone."""


class Channel(ABC):
    """``sequence`` is that of the last message; it is ``None`` until the channel was read for the
    first time, and always where messages have none. When a channel has been read, all that wait get
    the snapshot; who comes later gets it at once.

    A channel that ``conflates`` may leave messages out for a slow reader, who gets a snapshot when
    he can take it.
    """

    conflates: ClassVar[bool]

    def __init__(self, name: ChannelName) -> None:
        self.name = name
        self.readers: dict[Reader, None] = {}
        self.sequence: int | None = None

    @property
    def is_read(self) -> bool:
        """Whether there is a snapshot."""
        return self.sequence is not None

    def join(self, reader: Reader) -> None:
        self.readers[reader] = None
        if self.is_read:
            reader.take(self, self.snapshot())

    def leave(self, reader: Reader) -> None:
        self.readers.pop(reader, None)

    def publish(self, frames: bytes) -> None:
        for reader in self.readers:
            reader.take(self, frames)

    @abstractmethod
    def snapshot(self) -> bytes:
        """The state of a channel that has been read, as a message."""
