"""One order and its surroundings, for the examples of the OpenAPI document."""

from datetime import datetime

import msgspec

from protocol import ids
from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.records import FillRecord, OrderRecord
from protocol.registry import Broker
from protocol.units import milliseconds

BROKER = Broker("6f9d3c0a-41f5-4d0c-9a37-2f0e6a1b7c11", "Corretora Alfa")
COUNTERPARTY_ID = "0b8a52e4-9c57-4f5e-8f7e-5f4f2f8f5a22"
SYMBOL = "PETR4"
CLIENT_ORDER_ID = "alfa-2026-000017"
DOCUMENT_NUMBER = "12345678901"
REQUEST_ID = "5f3a0c1e9b7d-1a"
TIME_MS = 1_795_350_600_123  # 2026-11-22T12:30:00.123Z
VALID_UNTIL = "2030-12-30T17:00:00-03:00"
VALID_UNTIL_MS = milliseconds(datetime.fromisoformat(VALID_UNTIL))

ORDER = OrderRecord(
    symbol=SYMBOL,
    instrument_number=1,
    sequence=42,
    created_ms=TIME_MS,
    broker_id=BROKER.broker_id,
    document_number=DOCUMENT_NUMBER,
    side=Side.BID,
    order_type=OrderType.LIMIT,
    price=3150,
    quantity=1000,
    open_quantity=600,
    filled_notional=400 * 3148,
    state=OrderState.PARTIALLY_FILLED,
    reason=StateReason.NONE,
    valid_until_ms=VALID_UNTIL_MS,
    updated_ms=TIME_MS + 4,
    version=2,
    client_order_id=CLIENT_ORDER_ID,
)
CANCELED_ORDER = msgspec.structs.replace(
    ORDER, state=OrderState.CANCELED, reason=StateReason.USER_REQUEST, version=3
)
FILL = FillRecord(
    trade_number=7,
    price=3148,
    quantity=400,
    counterparty_broker_id=COUNTERPARTY_ID,
    executed_ms=TIME_MS + 4,
)
TRADE_ID = ids.encode(FILL.executed_ms, ORDER.instrument_number, FILL.trade_number, ids.TRADE)
ORDER_ID = ids.encode(ORDER.created_ms, ORDER.instrument_number, ORDER.sequence)
ENDPOINT_ID = "8a6e4f0c-52d1-4f7b-9c3e-1b7d5a9e0f24"
MESSAGE_ID = f"{TRADE_ID}-{ORDER.side.value}"
KEY_ID = "9c1185a5c5e9fc54"
PATH_VALUES = {
    "order_id": ORDER_ID,
    "symbol": SYMBOL,
    "client_order_id": CLIENT_ORDER_ID,
    "broker_id": BROKER.broker_id,
    "key_id": KEY_ID,
    "trade_id": TRADE_ID,
    "endpoint_id": ENDPOINT_ID,
    "message_id": MESSAGE_ID,
}
