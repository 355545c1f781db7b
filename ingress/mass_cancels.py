"""One cancel for many orders: a command in the log of each symbol.

The engine of each symbol cancels what matches, so nobody has to know here which orders there are.
"""

from ingress.broadcast import Broadcast
from protocol import codec, keys
from protocol.commands import MassCancel
from protocol.registry import Instrument
from runtime.redis.functions.append import AppendRequest, Urgency


class MassCancels:
    """Its methods are for handlers that are driven by hand."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    async def append(
        self, cancel: MassCancel, symbol: str | None = None, *, once: bool = False
    ) -> int:
        """Append ``cancel`` to the log of ``symbol``, or of every symbol that ever had an order.
        Returns to how many.

        Orders that any process has acknowledged before are canceled too. With ``once``, a symbol
        that has taken a cancel of this id does not take it again. Raises a 503 problem;
        ``outcome_unknown`` when only a part of the symbols has taken it, or nobody can tell.
        """
        command = codec.encode(cancel)
        # No client order id has a slash, so this is never one of them.
        own_id = f"mass/{cancel.mass_cancel_id}"

        def request(instrument: Instrument) -> AppendRequest:
            client = keys.client_field(instrument.number, cancel.broker_id, own_id) if once else ""
            return AppendRequest(
                instrument.symbol,
                command,
                Urgency.CANCEL,
                client=client,
                broker=cancel.broker_id,
            )

        if symbol is None:
            instruments = await self._broadcast.with_orders()
        else:
            instruments = await self._broadcast.listed(symbol)
        await self._broadcast.append(instruments, request)
        return len(instruments)
