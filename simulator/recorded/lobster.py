"""Replaying a LOBSTER recording: the same orders in, and the same orders executed?

A recording shows what happens in the best levels only. What rested before it began, and what came
to a level while that was out of sight, is known as a size and not as orders. The replay keeps such
*unseen* volume as orders of its own, in the turn that it must have: ahead of what was seen to come
later. The rows of the book say how much it is, all the way.
"""

from dataclasses import dataclass

from sortedcontainers import SortedDict

from simulator.recorded.lobster_files import (
    DELETE,
    EXECUTION,
    NEW,
    PARTIAL_CANCEL,
    Book,
    Message,
    Recording,
)
from simulator.recorded.venue import Levels, Venue

SIDES = ("bid", "ask")


@dataclass(slots=True)
class Result:
    """What a replay showed. An execution of an order that was never seen, or that was out of sight
    since, is unjudged, because its turn is unknown."""

    messages: int = 0
    judged: int = 0
    hit_first: int = 0
    """Judged executions of the order that our price-time priority puts first."""
    unjudged: int = 0
    books: int = 0
    books_equal: int = 0


class Level:
    """The orders at one price in their turn, with what of each is open."""

    __slots__ = ("queue",)

    def __init__(self) -> None:
        self.queue: dict[str, int] = {}

    @property
    def quantity(self) -> int:
        return sum(self.queue.values())


class Replay:
    """Feeds messages to a venue and compares.

    Where the venue hits another order than the market did, it is counted, and then the level is
    put back to what it was there, so that one difference is not counted again and again.
    """

    def __init__(self, venue: Venue, recording: Recording) -> None:
        self._venue = venue
        self._recording = recording
        # Best level first: bids by falling price, asks by rising price.
        self._levels = {side: SortedDict() for side in SIDES}
        self._seen: dict[str, tuple[str, int]] = {}  # Side and price of each order that was seen.
        self._totals: dict[str, int] = {}  # Quantities as the venue was told.
        self._made = 0
        self._highest = 0
        self._last_book: Book = ([], [])
        self.result = Result()

    def seed(self) -> None:
        """Let the levels of the first row rest before everything else. The first message is in that
        row already, so it is undone, if it is one that changes an order."""
        if not self._recording.books:
            return
        first = self._recording.messages[0]
        undone = {NEW: -1, PARTIAL_CANCEL: 1, DELETE: 1, EXECUTION: 1}.get(first.kind, 0)
        for side, levels in zip(SIDES, self._recording.books[0], strict=True):
            for price, quantity in levels:
                if (side, price) == (first.side, first.price):
                    quantity += undone * first.quantity
                if quantity > 0:
                    self._add_unseen(side, price, quantity)

    def apply(self, message: Message) -> None:
        """Replay the next message."""
        self.result.messages += 1
        if message.kind == NEW:
            self._enter(message)
        elif message.kind in (PARTIAL_CANCEL, DELETE):
            self._reduce(message)
        elif message.kind == EXECUTION:
            self._execute(message)
        if self._recording.has_a_row_for_each_message:
            self._follow(message)
        elif self.result.books < len(self._recording.books):
            self._compare(message)

    def _enter(self, message: Message) -> None:
        reference = message.reference
        self._seen[reference] = (message.side, message.price)
        self._place(message.side, message.price, reference, message.quantity)
        if int(reference) < self._highest:
            # A few orders of before the opening are written late. Ids grow in time and give the
            # true priority.
            level = self._level(message.side, message.price)
            level.queue = dict(sorted(level.queue.items(), key=lambda item: self._turn(item[0])))
            self._restore(message.side, message.price)
        self._highest = max(self._highest, int(reference))

    def _turn(self, reference: str) -> int:
        """Unseen volume comes first, then ids."""
        return int(reference) if reference in self._seen else -1

    def _reduce(self, message: Message) -> None:
        if message.reference in self._seen:
            self._take(message.side, message.price, message.reference, message.quantity)
        else:
            self._take_unseen(message.side, message.price, message.quantity)

    def _execute(self, message: Message) -> None:
        """An aggressive order of the executed size, immediate or cancel, from the other side."""
        side, price, reference = message.side, message.price, message.reference
        level = self._level(side, price)
        if reference not in self._seen:
            self.result.unjudged += 1
            self._take_unseen(side, price, message.quantity)
            return
        before = self._venue.filled(reference)
        self._made += 1
        aggressor = f"aggressor-{self._made}"
        self._venue.place(aggressor, "ask" if side == "bid" else "bid", price, message.quantity)
        self._venue.cancel(aggressor)
        self.result.judged += 1
        left = max(0, level.queue.get(reference, 0) - message.quantity)
        self._note(side, price, reference, left)
        if self._venue.filled(reference) - before == message.quantity:
            self.result.hit_first += 1
        else:
            if not left:
                self._venue.cancel(reference)  # It is filled there, so it must not rest here.
            self._restore(side, price)

    def _level(self, side: str, price: int) -> Level:
        key = price if side == "ask" else -price
        levels = self._levels[side]
        if key not in levels:
            levels[key] = Level()
        found: Level = levels[key]
        return found

    def _place(self, side: str, price: int, reference: str, quantity: int) -> None:
        self._level(side, price).queue[reference] = quantity
        self._totals[reference] = quantity
        self._venue.place(reference, side, price, quantity)

    def _add_unseen(self, side: str, price: int, quantity: int) -> None:
        """Volume that no message has told of, behind what is there."""
        self._made += 1
        self._place(side, price, f"unseen-{self._made}", quantity)

    def _note(self, side: str, price: int, reference: str, left: int) -> None:
        """What is open of an order now; one of which nothing is left is forgotten."""
        level = self._level(side, price)
        if left:
            level.queue[reference] = left
        else:
            level.queue.pop(reference, None)
            self._seen.pop(reference, None)

    def _take(self, side: str, price: int, reference: str, quantity: int) -> None:
        """An order has shrunk or gone without a trade."""
        open_quantity = self._level(side, price).queue.get(reference, 0)
        left = max(0, open_quantity - quantity)
        self._note(side, price, reference, left)
        if left:
            self._totals[reference] -= open_quantity - left
            self._venue.amend(reference, price, self._totals[reference])
        else:
            self._venue.cancel(reference)

    def _take_unseen(self, side: str, price: int, quantity: int) -> None:
        """Unseen volume has shrunk; the first in the queue first."""
        for reference, open_quantity in list(self._level(side, price).queue.items()):
            if reference not in self._seen and quantity:
                taken = min(quantity, open_quantity)
                self._take(side, price, reference, taken)
                quantity -= taken

    def _restore(self, side: str, price: int) -> None:
        """Cancel what the venue has at a price, and place our queue in its order."""
        queue = self._level(side, price).queue
        for reference in queue:
            self._venue.cancel(reference)
        for reference, quantity in list(queue.items()):
            self._place(side, price, reference, quantity)

    def _follow(self, message: Message) -> None:
        """Compare with the row of this message, and learn from it.

        Nothing tells what happened to a level while it was out of sight, also when it comes back
        with the size that it had. So all that it brings is unseen. A difference at a level that
        was in sight is one of ours.
        """
        at = self.result.books
        row = self._recording.books[at]
        before = self._recording.books[at - 1] if at else row
        explained = True
        for side, now, then in zip(SIDES, row, before, strict=True):
            was_in_sight = Sight(then, self._recording.depth, side)
            differences = dict(self._differences(side, now))
            explained = explained and not any(was_in_sight(price) for price in differences)
            back = {price: size for price, size in now if not was_in_sight(price)}
            for price, size in (back | differences).items():
                self._correct(side, price, size, message)
        self.result.books += 1
        self.result.books_equal += explained and self._venue.book(self._recording.depth) == row

    def _differences(self, side: str, published: Levels) -> list[tuple[int, int]]:
        """Price and true size of each level in sight that is not as we have it."""
        sizes = dict(published)
        in_sight = Sight(published, self._recording.depth, side)
        found = []
        for key, level in self._levels[side].items():
            price = abs(key)
            if not in_sight(price):
                break
            quantity = level.quantity
            if quantity and quantity != sizes.get(price, 0):
                found.append((price, sizes.get(price, 0)))
        ours = self._levels[side]
        for price, size in published:
            key = price if side == "ask" else -price
            if key not in ours or not ours[key].quantity:
                found.append((price, size))
        return found

    def _correct(self, side: str, price: int, size: int, message: Message) -> None:
        level = self._level(side, price)
        # Orders may have come and gone out of sight. Only the order of this message is certain,
        # and it is the last one. What is ahead of it is unseen from now on.
        last = message.reference if message.kind == NEW else ""
        kept = min(size, level.queue.get(last, 0))
        for reference in level.queue:
            self._venue.cancel(reference)
            if reference != last:
                self._seen.pop(reference, None)
        level.queue = {}
        if size > kept:
            self._add_unseen(side, price, size - kept)
        if kept:
            self._place(side, price, last, kept)

    def _compare(self, message: Message) -> None:
        """For a recording with a row only for some of its messages: those that the levels of the
        rows show, while the messages tell of deeper levels too."""
        depth = self._recording.depth
        now = self._venue.book(depth)
        changes_no_book = message.kind > EXECUTION
        if now == self._last_book and not changes_no_book and self.result.books:
            return
        row = self._recording.books[self.result.books]
        for side, levels, ours in zip(SIDES, row, now, strict=True):
            if len(ours) < depth:
                # It rested below what the first row shows, and no message has made it.
                for price, quantity in levels[len(ours) :]:
                    if not self._level(side, price).queue:
                        self._add_unseen(side, price, quantity)
        self._last_book = self._venue.book(depth)
        self.result.books += 1
        self.result.books_equal += self._last_book == row


class Sight:
    """Whether a price lies within the levels that a row shows; a row that is not full shows the
    whole side."""

    def __init__(self, levels: Levels, depth: int, side: str) -> None:
        self._is_whole = len(levels) < depth
        self._worst = levels[-1][0] if levels else 0
        self._sign = 1 if side == "ask" else -1

    def __call__(self, price: int) -> bool:
        return self._is_whole or price * self._sign <= self._worst * self._sign
