"""The matcher with crashes among its rules, against the naive reference.

The engine's state goes through what a commit writes and a recovery reads: records, positions,
balances. A crash forgets the uncommitted batch, which is then applied again.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from matcher.engine import Engine
from matcher.market import Market
from matcher.sessions import take_instrument
from protocol import codec
from protocol.commands import Command, Tick
from protocol.events import Event
from protocol.records import OrderRecord
from tests.support.builders import START_MS, SYMBOL
from tests.support.flows import RECIPES, STEPS, Recipe, resolved
from tests.support.naive import NaiveEngine

NUMBER = 1


class MatcherWithCrashes(RuleBasedStateMachine):
    @initialize()
    def found(self) -> None:
        self.log: list[tuple[int, Command]] = []
        self.time_ms = START_MS
        self.naive = NaiveEngine()
        self.expected: list[list[Event]] = []
        self.stored: dict[int, bytes] = {}
        self.position = (0, 0)
        self.last_price = 0
        self.holdings: dict[str, int] = {}
        self.instrument: bytes | None = None
        self.cash: dict[str, int] = {}
        self.recover()

    def recover(self) -> None:
        """What ``matcher.recovery`` does, from what was stored."""
        self.engine = Engine()
        self.engine.balances.update(self.cash)
        self.market = Market(SYMBOL, NUMBER, *self.position)
        self.market.last_price = self.last_price
        self.market.holdings.update(self.holdings)
        if self.instrument is not None:
            self.market.set_instrument(codec.decode_instrument(self.instrument))
        self.engine.markets[SYMBOL] = self.market
        records = [codec.decode_order(r) for r in self.stored.values()]
        for record in sorted(records, key=lambda r: r.turn):
            self.engine.restore(record)
        self.engine.check_invariants()

    def append(self, step: int, command: Command) -> None:
        self.time_ms += step
        self.log.append((self.time_ms, command))
        self.expected.append(self.naive.apply(len(self.log), self.time_ms, command))

    @rule(step=STEPS, recipe=RECIPES)
    def command(self, step: int, recipe: Recipe) -> None:
        self.append(step, resolved(recipe, len(self.log) + 1, self.time_ms + step))

    @rule(step=st.integers(0, 40))
    def tick(self, step: int) -> None:
        self.append(step, Tick())

    @precondition(lambda self: self.market.sequence < len(self.log))
    @rule(data=st.data())
    def match(self, data: st.DataObject) -> None:
        """Apply some entries and do not commit them."""
        start = self.market.sequence
        stop = data.draw(st.integers(start + 1, len(self.log)))
        for sequence in range(start + 1, stop + 1):
            time_ms, command = self.log[sequence - 1]
            events = self.engine.apply(self.market, sequence, time_ms, command)
            assert events == self.expected[sequence - 1]

    @rule()
    def commit(self) -> None:
        """Store what changed, as the Function does."""
        for order in self.market.changed.values():
            record: OrderRecord = order.record(SYMBOL, NUMBER)
            if record.state.is_open:
                self.stored[record.sequence] = codec.encode(record)
            else:
                self.stored.pop(record.sequence, None)
        self.market.changed.clear()
        self.position = (self.market.sequence, self.market.trade_number)
        self.last_price = self.market.last_price
        self.holdings.update(self.market.take_holdings())
        instrument = take_instrument(self.market)
        if instrument is not None:
            self.instrument = codec.encode(instrument)
        self.cash = dict(self.engine.balances)
        self.engine.cash_changed.clear()

    @rule()
    def crash(self) -> None:
        self.recover()

    @invariant()
    def sound(self) -> None:
        if hasattr(self, "engine"):
            self.engine.check_invariants()

    def teardown(self) -> None:
        """At the end of the log both stand at the same place, whatever crashed on the way."""
        if not hasattr(self, "engine"):
            return
        for sequence in range(self.market.sequence + 1, len(self.log) + 1):
            time_ms, command = self.log[sequence - 1]
            events = self.engine.apply(self.market, sequence, time_ms, command)
            assert events == self.expected[sequence - 1]
        resting = {s: o.total_quantity for s, o in self.market.book.orders.items()}
        assert resting == {o.sequence: o.open for o in self.naive.orders}
        assert self.market.holdings == self.naive.shares
        cash = {b: c for b, c in self.engine.balances.items() if c}
        assert cash == {b: c for b, c in self.naive.cash.items() if c}


TestMatcherWithCrashes = MatcherWithCrashes.TestCase
TestMatcherWithCrashes.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
