"""``exchange demo``: a few hundred crossing orders over real HTTP, and what came of them."""

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from simulator.broker import Broker, CallFailed, connect

BROKERS = ("Alvorada", "Boreal", "Cruzeiro", "Delta")
TICKERS = ("PETR4", "VALE3", "ITUB4", "BBDC4")
BASE_PRICE = 1_000
SHOWN_LEVELS = 3
SETTLE_SECONDS_MAX = 10.0
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def demo(
    url: str = typer.Option(
        "http://127.0.0.1:8000", envvar="EXCHANGE_URL", help="Where the exchange answers."
    ),
    admin_key: str = typer.Option(
        ..., envvar="EXCHANGE_ADMIN_KEY", help="Known by itself when `exchange up` runs here."
    ),
    orders: int = typer.Option(300, min=1, max=100_000, help="How many orders to send."),
    seed: int = typer.Option(1, help="The same seed sends the same orders."),
) -> None:
    """Send crossing orders, print trades, book and balances; fail unless balances sum to 0."""
    console = Console()
    try:
        with connect(url) as client:
            balanced = _run(console, client, admin_key, orders, seed)
    except (httpx.TransportError, CallFailed) as error:
        console.print(f"[red]{url}:[/red] {error}", highlight=False)
        raise typer.Exit(1) from error
    raise typer.Exit(0 if balanced else 1)


def _run(console: Console, client: httpx.Client, admin_key: str, count: int, seed: int) -> bool:
    brokers = [Broker.register(client, admin_key, name) for name in BROKERS]
    # Symbols of this run alone, so that orders of an earlier one do not trade with ours.
    run = _base36(int(time.time()))
    symbols = [f"{ticker}.{run}" for ticker in TICKERS]
    flow = random.Random(seed)
    placed: list[tuple[Broker, str]] = []
    for _ in track(range(count), "sending orders", console=console):
        broker = flow.choice(brokers)
        placed.append((broker, broker.place(_order(flow, symbols))))
    states = [_settled(broker, order_id) for broker, order_id in placed]

    console.print(_trades(states, brokers))
    console.print(_book(brokers[0].book(symbols[0], SHOWN_LEVELS)))
    balances = {broker.name: broker.balance() for broker in brokers}
    table = Table(title="balances in cents", title_justify="left")
    table.add_column("broker")
    table.add_column("cash", justify="right")
    for name, cash in balances.items():
        table.add_row(name, f"{cash:,}")
    console.print(table)
    total = sum(balances.values())
    verdict = "[green]balances sum to 0[/green]" if total == 0 else f"[red]sum is {total}[/red]"
    console.print(f"{len(placed)} orders, {_trade_count(states)} trades; {verdict}")
    return total == 0


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


def _settled(broker: Broker, order_id: str) -> dict[str, Any]:
    """The order once a matcher has seen it."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        order = broker.order(order_id)
        if order["state"] != "pending":
            return order
        if time.monotonic() > deadline:
            raise CallFailed(f"order {order_id} is still pending: is a matcher running?")
        time.sleep(0.01)


def _trade_count(states: list[dict[str, Any]]) -> int:
    return len({trade["trade_id"] for order in states for trade in order["trades"]})


def _trades(states: list[dict[str, Any]], brokers: list[Broker]) -> Table:
    names = {broker.broker_id: broker.name for broker in brokers}
    table = Table(title="the last ten trades, seen by the buyers", title_justify="left")
    for column in ("time", "symbol", "price", "quantity", "seller"):
        table.add_column(column)
    bought = [
        (trade["executed_at"], order["symbol"], trade)
        for order in states
        if order["side"] == "bid"
        for trade in order["trades"]
    ]
    for executed_at, symbol, trade in sorted(bought, key=lambda row: row[0])[-10:]:
        seller = names.get(trade["counterparty_broker"], "?")
        price, quantity = f"{trade['price'] / 100:.2f}", str(trade["quantity"])
        table.add_row(executed_at[11:23], symbol, price, quantity, seller)
    return table


def _book(book: dict[str, Any]) -> Table:
    table = Table(title=f"book of {book['symbol']}", title_justify="left")
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


def _base36(number: int) -> str:
    """The last four digits of a number in base 36."""
    text = ""
    for _ in range(4):
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text
