"""After the run: whether what the exchange says hangs together."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from simulator.answers import problem_text
from simulator.load.calls import Calls
from simulator.load.checks import Checks
from simulator.load.connection import BROKEN
from simulator.load.ledger import Ledger, OrderShown
from simulator.load.requests import Participants, get_request

CHUNK = 5_000  # Orders read before their answers are looked at.
HTTP_OK = 200
SETTLE_SECONDS_MAX = 30.0
LOOK_AGAIN_SECONDS = 0.05
NOT_ALL_KNOWN = "some requests were not answered, so orders that nobody knows of may have traded"
NO_STATE = "the orders of this exchange have no state and no filled_quantity"

T = TypeVar("T")
Named = tuple[int, str]
"""The number of a broker, and an order's id or a path."""


class _Balance(msgspec.Struct):
    balance: int


class _Level(msgspec.Struct):
    price: int


class _Book(msgspec.Struct):
    bids: list[_Level]
    asks: list[_Level]


@dataclass(slots=True)
class _Reading:
    """The orders of a run, read once: what they add up to, and those that could not be read."""

    ledger: Ledger
    unreadable: list[str]


def check_all(
    host: str, port: int, participants: Participants, order_ids: list[Named], all_known: bool
) -> Checks:
    """Read everything back over HTTP and judge it. Unless the outcome of every request is known,
    orders that nobody was told of may have traded too. Raises
    :class:`~simulator.errors.SimulationFailed` when the exchange does not answer."""
    checks = Checks()
    exchange = _Exchange(host, port, participants)
    reading = _settled_orders(exchange, order_ids, all_known)
    _judge_orders(reading, len(order_ids), all_known, checks)
    _balances(exchange, reading, all_known, checks)
    _books(exchange, checks)
    return checks


class _Exchange:
    """Reads many things at once, each with the key of a broker."""

    def __init__(self, host: str, port: int, participants: Participants) -> None:
        self._host = host
        self._port = port
        self.participants = participants

    def get(self, paths: list[Named], content: type[T]) -> list[T | str]:
        """The content of each broker and path; as text why there is none."""
        requests = [get_request(self.participants, broker, path) for broker, path in paths]
        answers = Calls(self._host, self._port, "the reads of the checks").make(requests)
        decode = msgspec.json.Decoder(content).decode
        return [_content(decode, status, body) for status, body in answers]


def _content(decode: Callable[[bytes], T], status: int, body: bytes) -> T | str:
    if status == BROKEN:
        return body.decode()
    if status != HTTP_OK:
        return problem_text(status, body)
    try:
        return decode(body)
    except msgspec.DecodeError as error:
        return f"{status} with a body that does not follow the contract: {error}"


def _settled_orders(exchange: _Exchange, order_ids: list[Named], all_known: bool) -> _Reading:
    """Every acknowledged order, once the exchange has matched it.

    An order with a ``state`` is read again while it is pending. Where there are no states, all
    orders are read again until every trade shows on both of its sides."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        reading = _read_orders(exchange, order_ids, deadline)
        settled = reading.ledger.with_state or not all_known or not reading.ledger.unsettled
        if settled or time.monotonic() > deadline:
            return reading
        time.sleep(LOOK_AGAIN_SECONDS)


def _read_orders(exchange: _Exchange, order_ids: list[Named], deadline: float) -> _Reading:
    reading = _Reading(Ledger(), [])
    waiting = order_ids
    while waiting:
        chunk, waiting = waiting[:CHUNK], waiting[CHUNK:]
        found = exchange.get([(b, f"/orders/{o}") for b, o in chunk], OrderShown)
        pending = []
        for named, order in zip(chunk, found, strict=True):
            if isinstance(order, str):
                reading.unreadable.append(f"{named[1]}: {order}")
            elif order.state == "pending" and time.monotonic() < deadline:
                pending.append(named)
            else:
                reading.ledger.add(*named, order)
        waiting += pending
        if pending and len(pending) == len(chunk):
            time.sleep(LOOK_AGAIN_SECONDS)
    return reading


def _judge_orders(reading: _Reading, count: int, all_known: bool, checks: Checks) -> None:
    ledger, unreadable = reading.ledger, reading.unreadable
    checks.orders, checks.trades = count, ledger.trades
    checks.add(
        "acknowledged_orders_readable",
        not unreadable,
        f"{len(unreadable)} of {count} are not; the first is {unreadable[:1]}",
    )
    checks.add(
        "fills_and_rest_make_the_quantity",
        not ledger.incomplete,
        f"not of {len(ledger.incomplete)} orders; the first is {ledger.incomplete[:1]}",
    )
    name = "states_agree_with_fills"
    if ledger.with_state:
        wrong = ledger.contradicting
        checks.add(name, not wrong, f"not of {len(wrong)} orders; the first is {wrong[:1]}")
    else:
        checks.skip(name, NO_STATE)
    name = "all_that_was_bought_was_sold"
    if all_known:
        checks.add(name, not ledger.unsettled, f"not of the symbols {ledger.unsettled[:3]}")
    else:
        checks.skip(name, NOT_ALL_KNOWN)


def _balances(exchange: _Exchange, reading: _Reading, all_known: bool, checks: Checks) -> None:
    brokers = range(len(exchange.participants.api_keys))
    answers = exchange.get([(n, "/balance") for n in brokers], _Balance)
    unread = [answer for answer in answers if isinstance(answer, str)]
    balances = {
        n: a.balance for n, a in zip(brokers, answers, strict=True) if not isinstance(a, str)
    }
    total = sum(balances.values())
    checks.add(
        "balances_sum_to_zero",
        not total and not unread,
        f"{len(unread)} cannot be read: {unread[0]}" if unread else f"they sum to {total}",
    )
    name = "balances_are_the_cash_of_the_fills"
    if not all_known:
        checks.skip(name, NOT_ALL_KNOWN)
        return
    wrong = [n for n, balance in balances.items() if balance != reading.ledger.cash[n]]
    checks.add(name, not wrong and not unread, f"not of {len(wrong)} of {len(balances)} brokers")


def _books(exchange: _Exchange, checks: Checks) -> None:
    symbols = exchange.participants.symbols
    books = exchange.get([(0, f"/stocks/{s}/book?depth=1") for s in symbols], _Book)
    wrong = [
        f"{symbol}: {'crossed' if isinstance(book, _Book) else book}"
        for symbol, book in zip(symbols, books, strict=True)
        if not isinstance(book, _Book) or _is_crossed(book)
    ]
    checks.add("no_book_crossed", not wrong, "; ".join(wrong[:3]))


def _is_crossed(book: _Book) -> bool:
    return bool(book.bids and book.asks and book.bids[0].price >= book.asks[0].price)
