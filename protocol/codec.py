"""Encodes and decodes the words of the protocol: msgpack, with one decoder for each type.

Everything that the exchange stores in Redis for itself is encoded here. A payload that cannot be
decoded raises :class:`DecodeError`, whatever is wrong with it.
"""

from typing import TypeVar

import msgspec

from protocol.batches import Batch
from protocol.commands import Command
from protocol.decisions import Decided
from protocol.records import FillRecord, InstrumentRecord, OrderRecord
from protocol.registry import RegistryEntry

T = TypeVar("T")

encode = msgspec.msgpack.Encoder().encode

_command = msgspec.msgpack.Decoder(Command)
_batch = msgspec.msgpack.Decoder(Batch)
_decided = msgspec.msgpack.Decoder(Decided)
_order = msgspec.msgpack.Decoder(OrderRecord)
_fill = msgspec.msgpack.Decoder(FillRecord)
_instrument = msgspec.msgpack.Decoder(InstrumentRecord)
_registry: msgspec.msgpack.Decoder[RegistryEntry] = msgspec.msgpack.Decoder(RegistryEntry)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class DecodeError(ValueError):
    """This codec did not write these bytes."""


def _decode(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except _UNREADABLE as error:
        raise DecodeError(str(error)) from error


def decode_command(payload: bytes) -> Command:
    try:  # As ``_decode`` does, without its call, for every command that is matched.
        command: Command = _command.decode(payload)
    except _UNREADABLE as error:
        raise DecodeError(str(error)) from error
    return command


def decode_batch(payload: bytes) -> Batch:
    return _decode(_batch, payload)


def decode_decided(payload: bytes) -> Decided:
    return _decode(_decided, payload)


def decode_order(payload: bytes) -> OrderRecord:
    return _decode(_order, payload)


def decode_fill(payload: bytes) -> FillRecord:
    return _decode(_fill, payload)


def decode_instrument(payload: bytes) -> InstrumentRecord:
    return _decode(_instrument, payload)


def decode_registry(payload: bytes) -> RegistryEntry:
    return _decode(_registry, payload)
