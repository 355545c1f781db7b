"""What the benches of the matcher feed: B3's mix over symbols of unequal liveliness."""

import random
import time
from collections.abc import Iterable

from protocol import codec
from protocol.commands import CancelOrder, PlaceOrder
from protocol.enums import OrderType, Side
from protocol.registry import Instrument
from runtime.redis.channel import Channel
from runtime.redis.functions.append import AppendRequest, Limits, Urgency, append
from runtime.redis.functions.register_instrument import register_instrument
from runtime.redis.genesis import Genesis

SYMBOLS = 450
BROKERS = 100
ZIPF_EXPONENT = 0.95
DAY_MS = 86_400_000
CANCEL_SHARE = 0.26


class Flow:
    """Orders and cancels for the logs of ``SYMBOLS`` symbols, the same for the same seed.
    ``short_share`` of the limit orders expire within two seconds."""

    def __init__(
        self, channel: Channel, genesis: Genesis, seed: int, short_share: float = 0.0
    ) -> None:
        self._channel = channel
        self._genesis = genesis
        self._draw = random.Random(seed)
        self._short_share = short_share
        self._instruments = [
            channel.call(register_instrument(genesis.history_id, f"BENCH{n}", genesis.partitions))
            for n in range(SYMBOLS)
        ]
        self._weights = [1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(SYMBOLS)]
        self._brokers = [f"00000000-0000-4000-8000-{number:012d}" for number in range(BROKERS)]
        self._numbers = {i.symbol: i.number for i in self._instruments}
        self._last = dict.fromkeys(self._numbers.values(), 0)

    def append_many(self, count: int) -> None:
        """Append ``count`` commands; a symbol may have many of them."""
        self._append(self._draw.choices(self._instruments, self._weights, k=count))

    def append_distinct(self, count: int) -> dict[str, int]:
        """Append ``count`` commands, each of another symbol. Returns their sequences by symbol."""
        chosen: dict[str, Instrument] = {}
        while len(chosen) < count:
            (instrument,) = self._draw.choices(self._instruments, self._weights)
            chosen[instrument.symbol] = instrument
        self._append(chosen.values())
        return {symbol: self._last[instrument.number] for symbol, instrument in chosen.items()}

    def _append(self, instruments: Iterable[Instrument]) -> None:
        now_ms = time.time_ns() // 1_000_000
        grouped: dict[int, list[AppendRequest]] = {}
        for instrument in instruments:
            command = codec.encode(self._command(instrument, now_ms))
            request = AppendRequest(instrument.symbol, command, Urgency.TICK)
            grouped.setdefault(instrument.partition, []).append(request)
        together = [{p: r} for p, r in grouped.items()] if self._channel.is_cluster else [grouped]
        history_id = self._genesis.history_id
        answers = self._channel.call_all([append(history_id, each, Limits()) for each in together])
        places = [taken for answer in answers for taken in answer]
        for requests, taken in zip(grouped.values(), places, strict=True):
            assert taken is not None, "nobody begins another history here"
            for request, place in zip(requests, taken, strict=True):
                assert place is not None, "ticks are always taken"
                # The matcher's own ticks have a sequence too.
                self._last[self._numbers[request.symbol]] = place.sequence

    def _command(self, instrument: Instrument, now_ms: int) -> PlaceOrder | CancelOrder:
        """As the simulator sends them: passive, aggressive, market, and cancels."""
        draw = self._draw
        sequence = self._last[instrument.number] = self._last[instrument.number] + 1
        if sequence > 1 and draw.random() < CANCEL_SHARE:
            return CancelOrder(draw.randrange(max(1, sequence - 50), sequence))
        side = draw.choice([Side.BID, Side.ASK])
        base = 500 + instrument.number * 40
        away = 1 if side is Side.ASK else -1
        kind = draw.random()
        broker, document = draw.choice(self._brokers), "12345678901"
        if kind < 0.05:
            quantity = draw.randint(50, 200)
            return PlaceOrder(broker, document, side, OrderType.MARKET, None, quantity, None)
        if kind < 0.25:
            price, quantity = int(base * (1 + draw.uniform(-0.05, 0.05))), draw.randint(50, 200)
        else:
            price = int(base * (1 + away * draw.uniform(0.05, 0.2)))
            quantity = draw.randint(50, 500)
        is_short = self._short_share and draw.random() < self._short_share
        until_ms = now_ms + (draw.randint(1000, 2000) if is_short else DAY_MS)
        return PlaceOrder(broker, document, side, OrderType.LIMIT, price, quantity, until_ms)
