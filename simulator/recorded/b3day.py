"""Replaying a B3 order file: the input of the exchange's own matching engine."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from simulator.errors import SimulationFailed
from simulator.recorded.files import open_text
from simulator.recorded.venue import Venue

CENTS = 100
PASSIVE = "2"


class Event(NamedTuple):
    number: int
    kind: str
    """New, Update, Cancel or Trade."""
    reference: str
    side: str
    price: int
    """Cents, 0 for a market order."""
    quantity: int
    traded: int
    """Cumulative."""
    is_passive: bool


@dataclass(slots=True)
class Result:
    """``judged`` counts fills of resting orders that the recording has shown before."""

    events: int = 0
    judged: int = 0
    hit_first: int = 0
    unseen: int = 0


def read_events(path: Path) -> dict[str, list[Event]]:
    """Events by instrument, in the order of the matching engine. Raises
    :class:`SimulationFailed` when the file is not of this format."""
    events: dict[str, list[Event]] = {}
    try:
        with open_text(path) as file:
            for row in csv.DictReader(file):
                events.setdefault(row["InstrumentSymbol"], []).append(_event(row))
    except (KeyError, ValueError) as error:
        raise SimulationFailed(f"{path} is not a B3 order file: {error!r}") from error
    for ordered in events.values():
        ordered.sort(key=lambda event: event.number)
    return events


def _event(row: dict[str, str]) -> Event:
    return Event(
        int(row["SecondaryOrderID"]),
        row["ExecutionType"],
        row["SequentialOrderNumber"].removesuffix(".0"),
        "bid" if row["OrderSide"] == "Buy" else "ask",
        round(float(row["OrderPrice"]) * CENTS),
        int(float(row["TotalQuantity"])),
        int(float(row["TradedQuantity"])),
        row["AgressorIndicator"] == PASSIVE,
    )


class Replay:
    """Feeds the orders of one instrument to a venue and looks whom they trade with.

    Orders that rested before the recording and were not touched in it are unseen until they
    trade. Each is let in just before the order that trades with it, with the quantity of that
    trade and ahead of what is known at its price, because it is older.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._totals: dict[str, int] = {}
        self._before: dict[str, int] = {}  # Traded before the order was first seen.
        self._prices: dict[str, tuple[str, int]] = {}
        self._queues: dict[tuple[str, int], dict[str, None]] = {}
        self._let_in = 0
        self.result = Result()

    def run(self, events: list[Event]) -> Result:
        unseen, fills = unseen_fills(events)
        for event in limit_market_orders(events):
            for fill in fills.get(event.number, ()):
                self._let_older_in(fill)
            self._apply(event, unseen)
        return self.result

    def _apply(self, event: Event, unseen: set[int]) -> None:
        self.result.events += 1
        match event.kind:
            case "New":
                self._place(event)
            case "Update":
                self._update(event)
            case "Cancel":
                self._leave(event.reference)
                self._venue.cancel(event.reference)
            case "Trade" if event.is_passive and event.number in unseen:
                self.result.unseen += 1
            case "Trade" if event.is_passive:
                self._judge(event)

    def _let_older_in(self, fill: Event) -> None:
        self._let_in += 1
        self._venue.place(f"older-{self._let_in}", fill.side, fill.price, fill.quantity)
        for reference in self._queues.get((fill.side, fill.price), ()):
            # An amendment that changes nothing else puts an order behind.
            self._venue.amend(reference, fill.price, self._totals[reference])

    def _place(self, event: Event) -> None:
        left = event.quantity - event.traded
        if left <= 0:
            return
        self._totals[event.reference] = left
        self._before[event.reference] = event.traded
        self._venue.place(event.reference, event.side, event.price or None, left)
        if event.price:
            self._enter(event.reference, event.side, event.price)

    def _update(self, event: Event) -> None:
        if event.reference not in self._totals or not event.price:
            self._place(event)
            return
        total = event.quantity - self._before[event.reference]
        if total <= 0:
            return
        at = (event.side, event.price)
        keeps = self._prices.get(event.reference) == at and total < self._totals[event.reference]
        self._totals[event.reference] = total
        self._venue.amend(event.reference, event.price, total)
        if not keeps:
            self._leave(event.reference)
            self._enter(event.reference, event.side, event.price)

    def _enter(self, reference: str, side: str, price: int) -> None:
        self._prices[reference] = (side, price)
        self._queues.setdefault((side, price), {})[reference] = None

    def _leave(self, reference: str) -> None:
        at = self._prices.pop(reference, None)
        if at is not None:
            self._queues[at].pop(reference, None)

    def _judge(self, event: Event) -> None:
        filled = self._venue.filled(event.reference) + self._before.get(event.reference, 0)
        self.result.judged += 1
        self.result.hit_first += filled >= event.traded


def limit_market_orders(events: list[Event]) -> list[Event]:
    """The events with each market order limited to the price of its last trade: at B3 what is
    left of one rests at that price."""
    limits: dict[int, int] = {}
    cause: Event | None = None
    for event in events:
        if event.kind != "Trade":
            cause = event
        elif event.is_passive and cause is not None:
            limits[cause.number] = event.price
    return [
        event._replace(price=limits.get(event.number, 0))
        if event.kind in ("New", "Update") and not event.price
        else event
        for event in events
    ]


def unseen_fills(events: list[Event]) -> tuple[set[int], dict[int, list[Event]]]:
    """The numbers of the passive trades of unseen orders; and by number of the order that causes
    them, these trades with the quantity of each."""
    seen: set[str] = set()
    traded: dict[str, int] = {}
    unseen: set[int] = set()
    fills: dict[int, list[Event]] = {}
    cause = 0
    trades = (event for event in events if event.kind == "Trade")
    pairs = {one.number: (one, other) for one, other in zip(trades, trades, strict=True)}
    for event in events:
        if event.kind != "Trade":
            cause = event.number
            seen.add(event.reference)
        elif event.number in pairs:
            one, other = pairs[event.number]
            passive, aggressor = (one, other) if one.is_passive else (other, one)
            # The passive row also counts what was traded before the recording.
            quantity = aggressor.traded - traded.get(aggressor.reference, 0)
            if passive.reference not in seen:
                unseen.add(passive.number)
                fills.setdefault(cause, []).append(passive._replace(quantity=quantity))
        traded[event.reference] = event.traded
    return unseen, fills
