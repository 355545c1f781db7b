"""Bytes to words and back: msgpack, one encoder and one decoder per type.

Everything the exchange writes to Redis for itself goes through here. A payload that does not
decode raises :class:`DecodeError`, whatever is wrong with it.
"""

from typing import Any, TypeVar

import msgspec

from protocol.batches import Batch
from protocol.commands import Command
from protocol.records import FillRecord, OrderRecord
from protocol.registry import RegistryEntry

T = TypeVar("T")

encode = msgspec.msgpack.Encoder().encode

_command = msgspec.msgpack.Decoder(Command)
_batch = msgspec.msgpack.Decoder(Batch)
_order = msgspec.msgpack.Decoder(OrderRecord)
_fill = msgspec.msgpack.Decoder(FillRecord)
_registry: msgspec.msgpack.Decoder[RegistryEntry] = msgspec.msgpack.Decoder(RegistryEntry)


class DecodeError(ValueError):
    """The bytes are not what this codec writes."""


def _decode(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(str(error)) from error


def decode_command(payload: bytes) -> Command:
    command: Any = _decode(_command, payload)
    return command  # type: ignore[no-any-return]  # msgspec types a union's decoder as Any.


def decode_batch(payload: bytes) -> Batch:
    return _decode(_batch, payload)


def decode_order(payload: bytes) -> OrderRecord:
    return _decode(_order, payload)


def decode_fill(payload: bytes) -> FillRecord:
    return _decode(_fill, payload)


def decode_registry(payload: bytes) -> RegistryEntry:
    return _decode(_registry, payload)
