"""Two brokers trade on a running exchange. Start one with `make up`, then run this file."""

import os
import time
from pathlib import Path

import httpx

URL = os.environ.get("EXCHANGE_URL", "http://127.0.0.1:8000")
ADMIN_KEY = os.environ.get("EXCHANGE_ADMIN_KEY") or Path(".data/admin_key").read_text()


def register(name: str) -> httpx.Client:
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    answer = httpx.post(f"{URL}/register", json={"name": name}, headers=admin)
    key = answer.raise_for_status().json()["api_key"]
    return httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {key}"})


seller, buyer = register("Alvorada"), register("Boreal")
order = {"document_number": "11122233344", "symbol": "VALE3", "quantity": 100}
limit = {"order_type": "limit", "price": 6150, "valid_until": "2030-01-01T00:00:00Z"}
seller.post("/orders", json=order | limit | {"side": "ask"}).raise_for_status()
bid = buyer.post("/orders", json=order | limit | {"side": "bid"}).raise_for_status().json()

while not (trades := buyer.get(f"/orders/{bid['order_id']}").json()["trades"]):
    time.sleep(0.01)  # The order is safe already; the matcher needs some milliseconds.
for trade in trades:
    print(f"bought {trade['quantity']} VALE3 at {trade['price'] / 100:.2f}")
