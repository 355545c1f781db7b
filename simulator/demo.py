"""``exchange demo``: a few hundred crossing orders over real HTTP, and what came of them."""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from simulator.broker import Broker, connect
from simulator.errors import CallFailed
from simulator.load.tickers import run_mark
from simulator.target import Target

BROKERS = ("Alvorada", "Boreal", "Cruzeiro", "Delta")
TICKERS = ("PETR4", "VALE3", "ITUB4", "BBDC4")
BASE_PRICE = 1_000
SHOWN_LEVELS = 3
SHOWN_TRADES = 10
SETTLE_SECONDS_MAX = 10.0
LOOK_AGAIN_SECONDS = 0.01

Placed = list[tuple[Broker, str]]
"""Who placed which order."""


def demo(console: Console, target: Target, *, orders: int, seed: int) -> dict[str, Any]:
    """Register four brokers, send crossing orders and print trades, a book and balances.

    The same seed sends the same orders. Passed means that the balances sum to 0. Raises
    :class:`~simulator.errors.SimulationFailed` when a call is refused or not answered.
    """
    with connect(target) as client:
        brokers = [Broker.register(client, target.admin_key, name) for name in BROKERS]
        # Symbols of this run alone, so that orders of an earlier one do not trade with ours.
        mark = run_mark()
        symbols = [f"{ticker}{mark}" for ticker in TICKERS]
        placed = _place(console, brokers, symbols, orders, seed)
        found = _settled(placed)
        console.print(_trades_table(found, brokers))
        console.print(_book_table(symbols[0], brokers[0].book(symbols[0], SHOWN_LEVELS)))
        balances = {broker.name: broker.balance() for broker in brokers}
    console.print(_balances_table(balances))
    total, trades = sum(balances.values()), _trade_count(found)
    verdict = "[green]balances sum to 0[/green]" if total == 0 else f"[red]sum is {total}[/red]"
    console.print(f"{len(placed)} orders, {trades} trades; {verdict}")
    return {"passed": total == 0, "orders": len(placed), "trades": trades, "balances": balances}


def _place(
    console: Console, brokers: list[Broker], symbols: list[str], count: int, seed: int
) -> Placed:
    flow = random.Random(seed)
    placed = []
    for _ in track(range(count), "sending orders", console=console):
        broker = flow.choice(brokers)
        placed.append((broker, broker.place(_order(flow, symbols))))
    return placed


def _order(flow: random.Random, symbols: list[str]) -> dict[str, Any]:
    side = flow.choice(["bid", "ask"])
    order: dict[str, Any] = {
        "document_number": str(flow.randrange(10**10, 10**11)),
        "side": side,
        "symbol": flow.choice(symbols),
        "quantity": flow.randint(1, 10) * 100,
    }
    if flow.random() < 0.1:
        return order | {"order_type": "market"}
    lean = 5 if side == "bid" else -5  # Both sides lean towards each other, so that many cross.
    valid_until = datetime.now(UTC) + timedelta(days=1)
    return order | {
        "order_type": "limit",
        "price": BASE_PRICE + lean + flow.randint(-20, 20),
        "valid_until": valid_until.isoformat(),
    }


def _settled(placed: Placed) -> list[dict[str, Any]]:
    """The orders once the exchange has matched them all.

    An exchange that shows a ``state`` says so of each order. Of another one the orders are read
    until every trade shows on both of its sides.
    """
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        orders = [broker.order(order_id) for broker, order_id in placed]
        if not any(order.get("state") == "pending" for order in orders) and _both_sides(orders):
            return orders
        if time.monotonic() > deadline:
            raise CallFailed(
                f"after {SETTLE_SECONDS_MAX:.0f} s there are still orders that are not matched, or"
                " trades that only one side shows: is a matcher running?"
            )
        time.sleep(LOOK_AGAIN_SECONDS)


def _both_sides(orders: list[dict[str, Any]]) -> bool:
    """Whether as much was bought as was sold."""
    sums = {"bid": 0, "ask": 0}
    for order in orders:
        sums[order["side"]] += sum(trade["quantity"] for trade in order.get("trades") or ())
    return sums["bid"] == sums["ask"]


def _bought(orders: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Each trade once, from the side of its buyer: time, symbol, trade."""
    return [
        (str(trade.get("executed_at", "")), order["symbol"], trade)
        for order in orders
        if order["side"] == "bid"
        for trade in order.get("trades") or ()
    ]


def _trade_count(orders: list[dict[str, Any]]) -> int:
    return len(_bought(orders))


def _trades_table(orders: list[dict[str, Any]], brokers: list[Broker]) -> Table:
    names = {broker.broker_id: broker.name for broker in brokers}
    table = Table(title="the last ten trades, seen by the buyers", title_justify="left")
    for column in ("time", "symbol", "price", "quantity", "seller"):
        table.add_column(column)
    for executed_at, symbol, trade in sorted(_bought(orders), key=lambda row: row[0])[
        -SHOWN_TRADES:
    ]:
        seller = names.get(str(trade.get("counterparty_broker")), "?")
        price, quantity = f"{trade['price'] / 100:.2f}", str(trade["quantity"])
        table.add_row(executed_at[11:23], symbol, price, quantity, seller)
    return table


def _book_table(symbol: str, book: dict[str, Any]) -> Table:
    table = Table(title=f"book of {symbol}", title_justify="left")
    for column in ("bid quantity", "bid", "ask", "ask quantity"):
        table.add_column(column, justify="right")
    empty = {"price": 0, "total_quantity": 0}
    for at in range(max(len(book["bids"]), len(book["asks"]))):
        bid = book["bids"][at] if at < len(book["bids"]) else empty
        ask = book["asks"][at] if at < len(book["asks"]) else empty
        table.add_row(_shown(bid, True), _shown(bid), _shown(ask), _shown(ask, True))
    return table


def _shown(level: dict[str, int], quantity: bool = False) -> str:
    if not level["price"]:
        return ""
    return str(level["total_quantity"]) if quantity else f"{level['price'] / 100:.2f}"


def _balances_table(balances: dict[str, int]) -> Table:
    table = Table(title="balances in cents", title_justify="left")
    table.add_column("broker")
    table.add_column("cash", justify="right")
    for name, cash in balances.items():
        table.add_row(name, f"{cash:,}")
    return table
