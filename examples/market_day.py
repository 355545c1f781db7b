"""One day of a small market, from its rules to its files, with two brokers and the operator.

Start an exchange with `make up`, then run this file. It prints what happens.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

URL = os.environ.get("EXCHANGE_URL", "http://127.0.0.1:8000")
ADMIN_KEY = os.environ.get("EXCHANGE_ADMIN_KEY") or Path(".data/admin_key").read_text()
SYMBOL = "EMBR3"
DECIDED = {"Prefer": "wait=5"}  # The answer waits until the matcher has decided.


class Client:
    """Sends JSON with a key, and prints what became of an order."""

    def __init__(self, name: str, key: str, document: str = "") -> None:
        self.name, self.document = name, document
        self._http = httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {key}"})

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self._http.request(method, path, json=body, **options)
        return answer.raise_for_status().json() if answer.content else None

    def order(self, side: str, quantity: int, price: int | None = None, **more: Any) -> Any:
        body = {"document_number": self.document, "symbol": SYMBOL, "side": side}
        return (
            body | {"quantity": quantity} | ({"price": price} if price is not None else {}) | more
        )

    def place(self, side: str, quantity: int, price: int | None = None, **more: Any) -> Any:
        order = self.order(side, quantity, price, **more)
        return self.tell(self.send("POST", "/orders", order, headers=DECIDED))

    def tell(self, order: Any) -> Any:
        verb = "bids for" if order["side"] == "bid" else "offers"
        reason = f" ({order['state_reason']})" if order["state_reason"] else ""
        filled = f", filled {order['filled_quantity']}" if order["filled_quantity"] else ""
        what = f"{self.name} {verb} {order['quantity']}{terms(order)}"
        say(f"{what}: {order['state']}{reason}{filled}")
        return order

    def look(self, order: Any) -> Any:
        return self.tell(self.send("GET", f"/orders/{order['order_id']}"))


def terms(order: Any) -> str:
    """Price, type and instructions of an order in words."""
    words = [f"{order['order_type']} {order['time_in_force']}"]
    if order["stop_price"]:
        words.append(f"stop price {money(order['stop_price'])}")
    if order["display_quantity"]:
        words.append(f"{order['display_quantity']} shown at a time")
    if order["post_only"]:
        words.append("post only")
    if order["self_trade_prevention"] != "none":
        words.append(order["self_trade_prevention"])
    price = f" at {money(order['price'])}" if order["price"] else ""
    return f"{price}, {', '.join(words)}"


def say(text: str) -> None:
    print(f"  {text}")


def money(cents: int) -> str:
    return f"{cents / 100:.2f}"


def until(what: Callable[[], Any]) -> Any:
    """Ask again for at most 20 seconds, because some things are done a moment later."""
    end = time.monotonic() + 20
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError("the exchange needs too long")
        time.sleep(0.02)
    return found


def register(name: str, document: str) -> Client:
    key = operator.send("POST", "/register", {"name": name})["api_key"]
    return Client(name, key, document)


def set_status(status: str, reason: str) -> None:
    body = {"status": status, "reason": reason}
    stock = operator.send("PUT", f"/admin/stocks/{SYMBOL}/status", body)
    say(f"The operator sets the status to {stock['status']}: {reason}.")


def show_auction() -> None:
    stock = alvorada.send("GET", f"/stocks/{SYMBOL}")
    price, quantity = stock["indicative_price"], stock["indicative_quantity"]
    say(f"If the auction ended now, {quantity} shares would trade at {money(price)}.")


def show_book() -> None:
    book = alvorada.send("GET", f"/stocks/{SYMBOL}/book")
    for side in ("bids", "asks"):
        levels = [f"{row['total_quantity']} at {money(row['price'])}" for row in book[side]]
        say(f"The {side} in the book: {', '.join(levels) or 'none'}.")


def set_rules() -> None:
    rules = {"name": "Embraer ON", "tick_size": 5, "lot_size": 10, "reference_price": 3000}
    bands = {"price_band_basis_points": 2000, "halt_band_basis_points": 500}
    body = rules | bands | {"auction_seconds": 300}
    stock = operator.send("PUT", f"/admin/stocks/{SYMBOL}", body)
    say(f"Prices of {stock['name']} are multiples of {stock['tick_size']} cents.")
    say(f"Quantities are multiples of {stock['lot_size']} shares.")
    band, halt = stock["price_band"], stock["halt_band"]
    say(f"Orders may have prices of {money(band['lowest'])} to {money(band['highest'])}.")
    say(f"Trades outside {money(halt['lowest'])} to {money(halt['highest'])} halt the market.")
    set_status("auction", "orders gather before the opening")


def before_the_opening() -> None:
    alvorada.place("ask", 400, 3000, time_in_force="gtc")
    boreal.place("bid", 200, 3010, time_in_force="gtc")
    boreal.place("bid", 100, 3000, time_in_force="gtc")
    boreal.place("bid", 100, 2990, time_in_force="day")
    boreal.place("bid", 50)
    show_auction()


def open_the_market() -> None:
    set_status("open", "the opening")
    last = alvorada.send("GET", f"/stocks/{SYMBOL}")["last_price"]
    say(f"All who could trade have traded at one price, {money(last)}.")
    show_book()


def lives() -> None:
    alvorada.place("ask", 200, 3020, valid_until="2030-01-01T00:00:00Z")
    boreal.place("bid", 100, 2980, time_in_force="day")
    boreal.place("bid", 50)
    boreal.place("bid", 100, 3000, time_in_force="ioc")
    boreal.place("bid", 500, 3020, time_in_force="fok")


def instructions() -> None:
    boreal.place("bid", 10, 3020, time_in_force="gtc", post_only=True)
    boreal.place("bid", 10, 2983, time_in_force="gtc")
    rest = {"time_in_force": "gtc", "self_trade_prevention": "cancel_aggressor"}
    alvorada.place("bid", 20, 3020, **rest)
    named = {"time_in_force": "gtc", "memo": "for the pension fund"}
    order = boreal.place("bid", 40, 2970, client_order_id=f"day-{time.time_ns()}", **named)
    again = boreal.order("bid", 40, 2970, client_order_id=order["client_order_id"], **named)
    same = boreal.send("POST", "/orders", again)["order_id"] == order["order_id"]
    say(f"The same order is sent again. It is taken once: {same}. Its memo: {order['memo']}.")
    try_out = boreal.order("bid", 1_000_000, 2970, time_in_force="gtc")
    boreal.send("POST", "/orders/validate", try_out)
    say("Boreal asks whether an order would be accepted. It would, and nothing is placed.")
    changed = boreal.send("PATCH", f"/orders/{order['order_id']}", {"quantity": 30})
    say(f"Boreal amends its order to {changed['quantity']} shares, version {changed['version']}.")


def icebergs_and_stops() -> None:
    alvorada.place("ask", 500, 3015, time_in_force="gtc", display_quantity=50)
    show_book()
    rising = boreal.place("bid", 30, 3020, stop_price=3015, time_in_force="gtc")
    falling = alvorada.place("ask", 40, stop_price=2985, time_in_force="gtc")
    say("Boreal buys at 30.15. The trade triggers its stop-limit order.")
    boreal.place("bid", 60)
    boreal.look(rising)
    say("Alvorada sells down to 29.80. The trade triggers its stop order.")
    alvorada.place("ask", 120)
    alvorada.look(falling)
    show_book()


def batch() -> None:
    prices = (2950, 0, 2945)
    orders = [boreal.order("bid", 10, price, time_in_force="gtc") for price in prices]
    results = boreal.send("POST", "/orders/batch", {"orders": orders})["results"]
    say(f"Boreal sends three orders at once: {[result['status'] for result in results]}.")
    ids = [result["order"]["order_id"] for result in results if "order" in result]
    results = boreal.send("DELETE", "/orders", {"order_ids": ids})["results"]
    say(f"It cancels the two that were taken: {[result['status'] for result in results]}.")


def halt() -> None:
    alvorada.place("ask", 100, 3200, time_in_force="gtc")
    taker = boreal.place("bid", 1000, 3200, time_in_force="gtc")
    stock = alvorada.send("GET", f"/stocks/{SYMBOL}")
    say(f"The next trade would be at 32.00. The status is {stock['status']} instead.")
    alvorada.place("ask", 300, 3100, time_in_force="gtc")
    show_auction()
    set_status("open", "the auction has lasted long enough")
    boreal.look(taker)


def mass_cancel() -> None:
    say(f"Boreal has {len(open_orders(boreal))} open orders, and cancels all bids.")
    boreal.send("POST", "/orders/cancel-all", {"symbol": SYMBOL, "side": "bid"})
    until(lambda: not open_orders(boreal))
    say("It has none any more.")
    switch = boreal.send("POST", "/orders/cancel-all-after", {"timeout_seconds": 60})
    say(f"It arms the dead-man switch for {switch['timeout_seconds']} s, and takes it away.")
    boreal.send("POST", "/orders/cancel-all-after", {"timeout_seconds": 0})


def open_orders(broker: Client) -> list[Any]:
    path = f"/orders?status=open&symbol={SYMBOL}"
    orders: list[Any] = broker.send("GET", path)["data"]
    return orders


def bust() -> None:
    show_accounts()
    trade = boreal.send("GET", f"/trades?symbol={SYMBOL}&limit=1")["data"][0]
    until(lambda: undone(trade["trade_id"]))
    what = f"{trade['quantity']} at {money(trade['price'])}"
    say(f"The operator undoes the trade of {what}.")
    show_accounts()


def undone(trade_id: str) -> bool:
    """The operator may have to ask again, until PostgreSQL has the trade."""
    try:
        operator.send("POST", f"/admin/trades/{trade_id}/bust", {"reason": "a wrong price"})
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            raise
        return False
    return True


def show_accounts() -> None:
    for broker in (alvorada, boreal):
        cash = broker.send("GET", "/balance")["balance"]
        (held,) = broker.send("GET", "/positions")["data"]
        say(f"{broker.name} has {held['quantity']} {SYMBOL} and {money(cash)} in cash.")


def close() -> None:
    order = alvorada.place("ask", 70, 3300, time_in_force="day")
    set_status("closed", "the day is over")
    alvorada.look(order)
    alvorada.place("ask", 70, 3300, time_in_force="day")
    alvorada.send("POST", "/orders/cancel-all", {})
    until(lambda: not open_orders(alvorada))
    say("Cancels are taken after the close too. Alvorada has no open order any more.")


def read_lists() -> None:
    for broker in (alvorada, boreal):
        orders = all_pages(broker, f"/orders?symbol={SYMBOL}&limit=10")
        trades = all_pages(broker, f"/trades?symbol={SYMBOL}&limit=10")
        made = sum(trade["liquidity"] == "maker" for trade in trades)
        busted = sum(trade["busted"] for trade in trades)
        say(
            f"{broker.name}: {len(orders)} orders; {len(trades)} fills, "
            f"{made} of them as maker, {busted} undone."
        )
    day = alvorada.send("GET", f"/stocks/{SYMBOL}")["trading_day"]
    say("The files of the day are written by this command:")
    say(f".venv/bin/exchange export --day {day} --output files")


def all_pages(broker: Client, path: str) -> list[Any]:
    page = broker.send("GET", path)
    rows: list[Any] = page["data"]
    while page["has_more"]:
        page = broker.send("GET", f"{path}&cursor={page['next_cursor']}")
        rows += page["data"]
    return rows


DAY = (
    ("The rules of the market", set_rules),
    ("Before the opening", before_the_opening),
    ("The opening", open_the_market),
    ("How long an order lives", lives),
    ("Instructions", instructions),
    ("Icebergs and stops", icebergs_and_stops),
    ("A batch", batch),
    ("A halt and its auction", halt),
    ("Cancel all", mass_cancel),
    ("A correction", bust),
    ("The close", close),
    ("The lists and the files", read_lists),
)

operator = Client("The operator", ADMIN_KEY)
alvorada, boreal = register("Alvorada", "11122233344"), register("Boreal", "55566677788")
for title, part in DAY:
    print(f"{title}:")
    part()
