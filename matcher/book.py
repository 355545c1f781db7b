"""The order book of one symbol. It knows price-time priority, and which stop orders wait.

Each side keeps its levels in a sorted dictionary, best first. Finding a level is O(log n), and the
best level is always known. The orders of a level form a linked list, so an order can leave from
any place in O(1). A dictionary would be slow after many cancels, because it would have to skip the
holes at its front. The module is pure: it uses no clock and no I/O. Quantities and prices are
integers (``protocol.units``).
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from sortedcontainers import SortedDict

from matcher.order import Order, SpecialOrder
from matcher.stops import Stops
from protocol import books
from protocol.enums import Side

# To look a member of an enumeration up takes ten times as long as to read a name.
_BID = Side.BID


class Level:
    """All resting orders at one price of one side, first come first."""

    __slots__ = ("count", "first", "key", "last", "price", "quantity", "text")

    def __init__(self, price: int, key: int) -> None:
        self.price = price
        self.key = key
        self.quantity = 0
        self.count = 0
        self.first: Order | None = None
        self.last: Order | None = None
        self.text = ""  # As ``protocol.books`` has it; empty after a change.

    def append(self, order: Order) -> None:
        order.level = self
        last = self.last
        order.preceding = last
        if last is None:
            self.first = order
        else:
            last.following = order
        self.last = order
        self.quantity += order.open_quantity
        self.count += 1
        self.text = ""

    def remove(self, order: Order) -> None:
        preceding, following = order.preceding, order.following
        if preceding is None:
            self.first = following
        else:
            preceding.following = following
        if following is None:
            self.last = preceding
        else:
            following.preceding = preceding
        order.level = order.preceding = order.following = None
        self.quantity -= order.open_quantity
        self.count -= 1
        self.text = ""

    def __iter__(self) -> Iterator[Order]:
        order = self.first
        while order is not None:
            yield order
            order = order.following


class BookSide:
    """One side of a book. The key of a level is ``price * sign``, so the best level comes first."""

    __slots__ = ("_levels", "best", "changed", "side", "sign")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.sign = 1 if side is Side.ASK else -1
        self.best: Level | None = None
        self.changed: set[int] = set()  # Keys of the levels that readers know another way.
        self._levels: SortedDict = SortedDict()

    def add(self, order: Order) -> None:
        assert order.price is not None, "only limit orders rest"
        key = order.price * self.sign
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(key if self.sign > 0 else order.price, key)
            best = self.best
            if best is None or key < best.key:
                self.best = level
        order.price = level.price  # One number object per level instead of one per order.
        level.append(order)
        self.changed.add(key)

    def remove(self, order: Order) -> None:
        level = order.level
        assert level is not None, "only resting orders are removed"
        level.remove(order)
        key = level.key
        self.changed.add(key)
        if not level.count:
            levels = self._levels
            del levels[key]
            if level is self.best:
                self.best = levels.peekitem(0)[1] if levels else None

    def fill(self, order: Order, quantity: int) -> None:
        """Take ``quantity`` out of a resting order. An order that is filled leaves the book."""
        level = order.level
        assert level is not None, "only resting orders are filled as makers"
        if quantity == order.open_quantity:
            self.remove(order)
            order.open_quantity = 0
            return
        order.open_quantity -= quantity
        level.quantity -= quantity
        level.text = ""
        self.changed.add(level.key)

    def resize(self, order: Order, change: int) -> None:
        """Add ``change`` to the quantity of the level, because a resting order was resized."""
        level = order.level
        assert level is not None, "only resting orders are resized"
        level.quantity += change
        level.text = ""
        self.changed.add(level.key)

    def crosses(self, limit: int | None) -> bool:
        """Whether an incoming order of the other side with the price ``limit`` can trade with the
        best level. ``None`` is a market order."""
        best = self.best
        return best is not None and (limit is None or best.key <= limit * self.sign)

    def reaches(self, level: Level, limit: int | None) -> bool:
        """Whether an order of the other side with this limit can trade with the level."""
        return limit is None or level.key <= limit * self.sign

    def levels(self) -> Iterator[Level]:
        return iter(self._levels.values())

    def text(self, depth: int) -> str:
        """The best ``depth`` levels, as ``protocol.books`` has them."""
        parts = []
        levels = self._levels
        for key in islice(levels, depth):  # Iterating its values view is four times slower.
            level = levels[key]
            if not level.text:
                level.text = books.level(level.price, level.quantity, level.count)
            parts.append(level.text)
        return "".join(parts)

    def level_text(self, key: int) -> str:
        """One level, as ``protocol.books`` has it; also one that is gone."""
        level = self._levels.get(key)
        if level is None:
            return books.level(key * self.sign, 0, 0)
        # Not kept: only the best levels become part of a snapshot, and the text of all would cost
        # more memory than the levels.
        return books.level(level.price, level.quantity, level.count)

    def key_at(self, depth: int) -> int | None:
        """The key of level number ``depth``; ``None`` when there are fewer levels."""
        levels = self._levels
        return levels.keys()[depth - 1] if len(levels) >= depth else None

    def __len__(self) -> int:
        return len(self._levels)


class Book:
    """Both sides of one symbol, and the stop orders that wait. ``orders`` has all of them, by their
    sequence. ``counts`` says how many each broker has, where someone wants to know it."""

    __slots__ = ("asks", "bids", "counts", "orders", "stops")

    def __init__(self) -> None:
        self.bids = BookSide(Side.BID)
        self.asks = BookSide(Side.ASK)
        self.stops = Stops()
        self.orders: dict[int, Order] = {}
        self.counts: Counter[str] | None = None

    def count(self, is_wanted: bool) -> None:
        """Begin or cease to count the orders of each broker."""
        if is_wanted and self.counts is None:
            self.counts = Counter(order.broker_id for order in self.orders.values())
        elif not is_wanted:
            self.counts = None

    def add(self, order: Order) -> None:
        """Let an order rest. The caller adds orders in the sequence of their priority."""
        self.orders[order.sequence] = order
        if self.counts is not None:
            self.counts[order.broker_id] += 1
        (self.bids if order.side is _BID else self.asks).add(order)

    def wait(self, order: SpecialOrder) -> None:
        """Let a stop order wait."""
        self.orders[order.sequence] = order
        if self.counts is not None:
            self.counts[order.broker_id] += 1
        self.stops.add(order)

    def resize(self, order: Order, change: int) -> None:
        (self.bids if order.side is _BID else self.asks).resize(order, change)

    def remove(self, order: Order) -> None:
        """Take out an order that rests or waits. Nothing of it is hidden afterwards."""
        del self.orders[order.sequence]
        if self.counts is not None:
            self.counts[order.broker_id] -= 1
        if type(order) is SpecialOrder:
            if order.special.is_waiting:
                self.stops.remove(order)
                return
            (self.bids if order.side is _BID else self.asks).remove(order)
            order.gather()
            return
        (self.bids if order.side is _BID else self.asks).remove(order)

    def forget(self, order: Order) -> None:
        """Take an order out of ``orders`` alone, because it has left its queue."""
        del self.orders[order.sequence]
        if self.counts is not None:
            self.counts[order.broker_id] -= 1

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid and the best ask could trade."""
        return self.bids.best is not None and self.asks.crosses(self.bids.best.price)

    def fill(self, order: Order, quantity: int) -> None:
        """Take ``quantity`` out of a resting order. An order that is filled leaves the book."""
        (self.bids if order.side is _BID else self.asks).fill(order, quantity)
        if not order.open_quantity:
            self.forget(order)

    def match(self, taker: Order) -> Iterator[tuple[Order, int]]:
        """Fill ``taker`` against the other side, best price first, then first come.

        Yields each maker and the quantity that was taken from it. The open quantities of both are
        reduced before the yield. The loop is the same for bids and asks. A maker that is filled has
        left the book; the next slice of an iceberg order must be added before the next match.
        """
        makers = self.asks if taker.side is _BID else self.bids
        while taker.open_quantity and makers.crosses(taker.price):
            best = makers.best
            assert best is not None, "it crosses, so there is a best level"
            maker = best.first
            assert maker is not None, "a level in the book has orders"
            wanted, offered = taker.open_quantity, maker.open_quantity
            quantity = wanted if wanted < offered else offered
            makers.fill(maker, quantity)
            taker.open_quantity = wanted - quantity
            if quantity == offered:
                del self.orders[maker.sequence]
                if self.counts is not None:
                    self.counts[maker.broker_id] -= 1
            yield maker, quantity

    def check_invariants(self, may_cross: bool = False) -> None:
        """Assert that sums are right, levels are sorted and nothing crosses, unless it may.

        For tests and recovery.
        """
        waiting = self.stops.orders()
        assert all(o.special is not None and o.special.is_waiting for o in waiting), "it rests"
        assert all(self.orders[o.sequence] is o for o in waiting), "an unknown order waits"
        seen = len(waiting)
        for side in (self.bids, self.asks):
            keys = [level.price * side.sign for level in side.levels()]
            assert keys == sorted(set(keys)), "levels out of order"
            assert side.best is next(side.levels(), None), "best is not the first level"
            for level in side.levels():
                orders = list(level)
                assert orders, "an empty level was kept"
                assert level.count == len(orders), "wrong count"
                assert level.quantity == sum(o.open_quantity for o in orders), "wrong quantity"
                assert all(o.open_quantity > 0 for o in orders), "a filled order rests"
                assert all(self.orders[o.sequence] is o for o in orders), "an unknown order rests"
                turns = [o.turn for o in orders]
                assert turns == sorted(turns), "time priority lost"
                seen += len(orders)
        assert seen == len(self.orders), "an order is known but does not rest"
        if self.counts is not None:
            counted = Counter(order.broker_id for order in self.orders.values())
            assert +self.counts == counted, "wrong count of a broker's orders"
        assert may_cross or not self.is_crossed, "the book is crossed"
