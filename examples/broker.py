"""Two brokers trade on a running exchange. Start one with `make up`, then run this file."""

import os
from pathlib import Path

from client import Exchange, NewOrder

URL = os.environ.get("EXCHANGE_URL", "http://127.0.0.1:8000")
ADMIN_KEY = os.environ.get("EXCHANGE_ADMIN_KEY") or Path(".data/admin_key").read_text()

with Exchange(URL, ADMIN_KEY) as operator:
    seller = Exchange(URL, operator.register("Alvorada").api_key)
    buyer = Exchange(URL, operator.register("Boreal").api_key)

ask = NewOrder(side="ask", symbol="VALE3", quantity=100, price=6150, document_number="11122233344")
ask["time_in_force"] = "day"
with seller, buyer:
    seller.place(**ask)  # When this returns, the order is on disk.
    bid = buyer.place(**ask | {"side": "bid"}, wait_seconds=2)
    for trade in bid.trades:
        print(f"bought {trade.quantity} VALE3 at {trade.price / 100:.2f}")
