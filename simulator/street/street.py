"""The small market: who takes part in it, and its run."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from simulator.broker import Broker, connect
from simulator.errors import CallFailed, SimulationFailed
from simulator.load.driver import Driver
from simulator.load.flow import Flow
from simulator.load.requests import Participants
from simulator.load.tickers import real_symbols
from simulator.street.flow import StreetFlow, symbol_count
from simulator.target import Target

BROKERS = ("Alvorada", "Boreal", "Cruzeiro", "Delta", "Estrela", "Farol", "Garoa", "Horizonte")
NAMES = {
    "PETR4": ("Petrobras PN", 3148),
    "VALE3": ("Vale ON", 6120),
    "ITUB4": ("Itaú Unibanco PN", 3375),
    "BBDC4": ("Bradesco PN", 1502),
    "B3SA3": ("B3 ON", 1187),
    "PETR3": ("Petrobras ON", 3390),
    "BBAS3": ("Banco do Brasil ON", 2745),
    "ABEV3": ("Ambev ON", 1241),
    "MGLU3": ("Magazine Luiza ON", 918),
    "ITSA4": ("Itaúsa PN", 1033),
    "WEGE3": ("WEG ON", 3986),
    "ELET3": ("Eletrobras ON", 4102),
    "RENT3": ("Localiza ON", 4477),
    "SUZB3": ("Suzano ON", 5230),
    "GGBR4": ("Gerdau PN", 1866),
    "BPAC11": ("BTG Pactual UNT", 3319),
    "PRIO3": ("PRIO ON", 4358),
    "EQTL3": ("Equatorial ON", 3107),
    "RADL3": ("Raia Drogasil ON", 2571),
    "RDOR3": ("Rede D'Or ON", 2936),
}
"""Symbol → the name of the instrument and a price in cents to begin with."""
STRETCH_SECONDS = 5.0
AGAIN_SECONDS = 0.5


class Street:
    """``percent`` of a busy exchange, at ``target``."""

    def __init__(self, target: Target, percent: float) -> None:
        self._target = target
        self._percent = percent
        self._draw = random.Random()

    def run(self, seconds: float) -> None:
        """Raises :class:`~simulator.errors.SimulationFailed` when the market cannot begin; later
        an exchange that does not answer is waited for."""
        ends = time.monotonic() + seconds
        participants = self._participants()
        flow = StreetFlow(participants, self._percent, self._draw)
        Driver(self._target.host, self._target.port, participants, flow.opening()).open_market()
        began = time.monotonic()
        with ThreadPoolExecutor(1) as maker:  # The next stretch is made while one is sent.
            ahead = maker.submit(flow.stretch, 0.0, STRETCH_SECONDS)
            while time.monotonic() < ends:
                now = ahead.result()
                begins = time.monotonic() - began + STRETCH_SECONDS
                ahead = maker.submit(flow.stretch, begins, STRETCH_SECONDS)
                self._drive(participants, now)

    def _drive(self, participants: Participants, flow: Flow) -> None:
        try:
            Driver(self._target.host, self._target.port, participants, flow).run(time.time())
        except SimulationFailed:
            time.sleep(AGAIN_SECONDS)  # It restarts, and the market goes on when it is back.

    def _participants(self) -> Participants:
        symbols = real_symbols(symbol_count(self._percent))
        with connect(self._target) as client:
            brokers = [Broker.register(client, self._target.admin_key, name) for name in BROKERS]
            prices = [self._first_price(client, brokers[0], symbol) for symbol in symbols]
        keys = [broker.api_key for broker in brokers]
        return Participants(self._target.authority, symbols, keys, prices)

    def _first_price(self, client: httpx.Client, broker: Broker, symbol: str) -> int:
        """The last price; a symbol that nobody has listed gets a name and a price."""
        name, price = NAMES.get(symbol, (symbol, self._draw.randint(800, 6000)))
        try:
            return broker.stock(symbol)["last_price"] or price
        except CallFailed as failure:
            if failure.status != httpx.codes.NOT_FOUND:
                raise
        answer = client.put(
            f"/admin/stocks/{symbol}",
            json={"name": name},
            headers={"authorization": f"Bearer {self._target.admin_key}"},
        )
        if not answer.is_success:
            raise CallFailed(f"{symbol} is not listed: {answer.text}", answer.status_code)
        return price
