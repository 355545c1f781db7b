"""Symbols: known ones from memory, new ones listed when the policy is open."""

from ingress.refusals import symbol_not_listed
from protocol import keys
from protocol.enums import ListingPolicy
from protocol.registry import Instrument
from runtime.http.context import Context
from runtime.redis.channel import AsyncChannel
from runtime.redis.functions.register_instrument import register_instrument
from runtime.redis.members import loads_told


async def known_symbol(context: Context, symbol: str) -> Instrument | None:
    """The instrument of a symbol as it is listed now, or ``None`` where nobody has listed it yet
    and everybody may. Raises ``symbol_not_listed`` when the policy is closed."""
    instrument = context.directory.instruments.get(symbol)
    if instrument is None:
        await context.registry.refresh()
        instrument = context.directory.instruments.get(symbol)
    if instrument is None and context.settings.listing is ListingPolicy.CLOSED:
        raise symbol_not_listed(symbol)
    return instrument


async def list_symbol(context: Context, channel: AsyncChannel, symbol: str) -> Instrument:
    """The instrument of a symbol that this process has not seen.

    Raises ``symbol_not_listed`` when nobody has listed it and the policy is closed. Listing is
    idempotent: whoever comes second gets what the first was given.
    """
    instrument = await known_symbol(context, symbol)
    if instrument is not None:
        return instrument
    return await place_symbol(context, channel, symbol)


async def place_symbol(context: Context, channel: AsyncChannel, symbol: str) -> Instrument:
    """List a symbol on the partition that is the least busy now."""
    loads = loads_told(await channel.execute("HVALS", keys.workers("matcher")))
    return await context.call(
        channel,
        lambda genesis: register_instrument(genesis.history_id, symbol, genesis.partitions, loads),
    )
