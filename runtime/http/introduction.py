"""What /docs says before the calls, and the order in which it lists them."""

from protocol.units import (
    BODY_BYTES_MAX,
    BOOK_DEPTH_MAX,
    CLIENT_ORDER_ID_LENGTH_MAX,
    DOCUMENT_NUMBER_LENGTH_MAX,
    MEMO_LENGTH_MAX,
    PRICE_MAX,
    PRICE_WINDOW_MAX,
    QUANTITY_MAX,
    SYMBOL_LENGTH_MAX,
)
from runtime.http import samples

TITLE = "Mini exchange"

DESCRIPTION = f"""
A stock exchange for brokers. A broker places bids and asks, the exchange matches them, and the
broker reads its orders, its trades and its cash.

## Keys

Every call needs the header `Authorization: Bearer <key>`, except `/health` and `/metrics`.
A broker gets its **API key** when the exchange registers it; the key is shown once.
The calls of the exchange itself (`/register`, `/admin`, `/debug`) need the **admin key**.
To try the calls on this page, press **Authorize** and enter the key.

## Units

* **Prices and cash** are integers in cents of BRL: `3150` is R$ 31.50.
* **Quantities** are whole shares.
* **Times** are RFC 3339 with an offset: `{samples.VALID_UNTIL}`. Answers are in UTC with
  milliseconds.
* **Integers are strict**: `5` is an integer; `5.0`, `"5"` and `true` are refused.

## An order in one request

```sh
curl -X POST http://127.0.0.1:8000/orders \\
  -H "Authorization: Bearer $API_KEY" \\
  -d '{{"document_number": "{samples.DOCUMENT_NUMBER}", "side": "bid", "order_type": "limit",
       "symbol": "{samples.SYMBOL}", "price": 3150, "quantity": 1000,
       "valid_until": "{samples.VALID_UNTIL}", "client_order_id": "{samples.CLIENT_ORDER_ID}"}}'
```

The answer is `201` as soon as the order is in the log, on disk. From then on it is never lost.

## Pending, and reading what you wrote

A new order is `pending` until the matcher has reached it, usually for a few milliseconds.
You can read, amend and cancel it at once under its `order_id`: you always see your own order,
also before it is matched. Later its `state` is `new`, `partially_filled`, `filled`, `canceled` or
`expired`. `status` is `open` or `closed`.
A cancel or an amendment waits for the matcher. If the matcher takes too long, the answer is
`202`: the request is in the log and will be carried out; read the order to see the result.

## Orders with instructions

`order_type` may be left out: a `price` makes a limit order. `time_in_force` says how long an order
may live, `post_only` that it must not trade as it comes, `self_trade_prevention` that it must not
trade with an order of the same document number, `stop_price` that it waits for a trade, and
`display_quantity` how much of it the book shows. `memo` is your own note. An order always shows
all of them.

## Sending a request again

If an answer does not arrive, the order may or may not have been taken. Give every order a
`client_order_id` (or the header `Idempotency-Key`), and you can send it again safely:

* The same body is answered with `200`, the first order and the header `Idempotent-Replayed: true`.
* Another body is refused with `duplicate_client_order_id`, or with `idempotency_key_reused` if
  you sent the header. The problem names the first order in `order_id`.

Cancels can always be repeated. To amend only the version that you have read, send its `version`
in the header `If-Match`.

## Limits of a broker

The operator can stop a broker, or limit its orders and its messages. A broker that is stopped gets
`broker_disabled` for new orders and amendments; its cancels and reads pass. Who sends more messages
a second than allowed gets `429` `rate_limited` with `Retry-After`. Orders, cancels and reads are
counted apart, and the headers `RateLimit-Policy` and `RateLimit` say how much is left.

## The feed

The WebSocket `/feed` tells books, trades, tickers and your own orders as they happen. OpenAPI
cannot describe it; the page `docs/reference/feed.md` does. Its errors have codes of this list too,
and these codes are only there: `history_changed`, `invalid_channel`, `invalid_message`,
`message_too_large`, `slow_reader`, `too_many_sessions` and `too_many_subscriptions`.

## Errors

Every error is `application/problem+json` (RFC 9457). Programs should look at `code`, which never
changes; `detail` is for people. Each call below lists its codes with an example of each. Of the
status `503` there are three:

* `overloaded` and `unavailable`: **nothing was taken**; wait for `Retry-After` and send it again.
* `outcome_unknown`: the request may have been taken; look, or repeat it with the same
  `client_order_id`.

A path that does not exist is `404` `not_found`, and a method that the path does not have is `405`
`method_not_allowed`. Every answer has the header `X-Request-Id`; quote it when you ask about it.

## Limits

| what | limit |
|---|---|
| `price` | 1 to {PRICE_MAX:,} cents |
| `quantity` | 1 to {QUANTITY_MAX:,} shares |
| `symbol` | 1 to {SYMBOL_LENGTH_MAX} of `A-Z`, `0-9` and `.` |
| `client_order_id` | 1 to {CLIENT_ORDER_ID_LENGTH_MAX} letters, digits, `.`, `_`, `:` and `-` |
| `document_number` | 1 to {DOCUMENT_NUMBER_LENGTH_MAX} characters, no control characters |
| `memo` | 1 to {MEMO_LENGTH_MAX} characters, no control characters |
| levels of a book | {BOOK_DEPTH_MAX} |
| trades in an average | {PRICE_WINDOW_MAX:,} |
| body of a request | {BODY_BYTES_MAX:,} bytes; for `place_orders` 65,536 |
""".strip()

TAGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "registration": (
        "How a broker gets its key. The exchange does this for the broker, with the admin key.",
        ("register_broker",),
    ),
    "orders": (
        "Place, read, amend and cancel orders.",
        (
            "place_order",
            "list_orders",
            "cancel_orders",
            "validate_order",
            "place_orders",
            "get_order",
            "amend_order",
            "cancel_order",
            "get_order_by_client_id",
            "cancel_order_by_client_id",
            "cancel_all_orders",
            "cancel_all_orders_after",
            "list_trades",
            "list_events",
        ),
    ),
    "webhooks": (
        "Where you are told what happens to your orders, and what became of each message.",
        (
            "list_webhook_endpoints",
            "add_webhook_endpoint",
            "get_webhook_endpoint",
            "change_webhook_endpoint",
            "remove_webhook_endpoint",
            "rotate_webhook_secret",
            "test_webhook_endpoint",
            "list_webhook_deliveries",
            "resend_webhook_delivery",
        ),
    ),
    "market": (
        "What every broker can see of an instrument.",
        (
            "list_stocks",
            "get_stock",
            "get_book",
            "get_price",
            "get_ticker",
            "list_tickers",
            "list_market_trades",
            "get_candles",
            "get_time",
        ),
    ),
    "cash": (
        "What the calling broker has: cash and shares.",
        ("get_balance", "get_positions"),
    ),
    "admin": (
        "Calls of the exchange itself, with the admin key.",
        (
            "issue_api_key",
            "revoke_api_keys",
            "add_api_key",
            "list_api_keys",
            "revoke_api_key",
            "list_admin_calls",
            "get_broker_limits",
            "set_broker_limits",
            "cancel_all_of_broker",
            "set_stock",
            "set_stock_status",
            "bust_trade",
            "get_exchange_health",
        ),
    ),
    "health": (
        "For load balancers and monitoring; no key is needed.",
        ("get_health", "get_readiness", "get_liveness", "get_metrics"),
    ),
    "debug": (
        "For a first look and for benchmarks. These calls exist only in development.",
        (
            "get_viewer_key",
            "start_market",
            "get_market",
            "stop_market",
            "get_trade_count",
            "reset_exchange",
        ),
    ),
}
"""Tag → its description and the ids of its calls, in the order in which a broker needs them."""
