"""A made-up day, recorded as LOBSTER does it: a naive market that shares no code with ours."""

import gzip
import random
import zipfile
from pathlib import Path

TICK = 50  # Half a cent, so that cents would make one price of two.
MIDDLE = 5_000_000
EMPTY = 9_999_999_999


class NaiveMarket:
    """Price-time priority with plain lists. ``rows`` and ``messages`` are what was recorded: only
    what changes the best ``depth`` levels."""

    def __init__(self, seed: int, depth: int) -> None:
        self.sides: dict[str, dict[int, list[list[int]]]] = {"bid": {}, "ask": {}}
        self.messages: list[tuple[int, int, int, int, int]] = []
        self.rows: list[list[int]] = []
        self.hidden_from_view = 0
        self._depth = depth
        self._draw = random.Random(seed)
        self._last_id = 0
        self._recording = False

    def trade(self, steps: int, recording: bool) -> None:
        self._recording = recording
        for _ in range(steps):
            kind = self._draw.random()
            if kind < 0.52:
                self._new()
            elif kind < 0.62:
                self._shrink(partly=True)
            elif kind < 0.88:
                self._shrink(partly=False)
            elif kind < 0.98:
                self._execute()
            elif recording:
                self._emit_what_changes_no_book()

    def _emit_what_changes_no_book(self) -> None:
        """A hidden execution, a cross trade, or a halt, a resumed quoting, a resumed trading."""
        best = self._best("bid") or MIDDLE
        halt = [(7, 0, 0, price, "ask") for price in (-1, 0, 1)]
        rows = [(5, 0, 30, best, "bid"), (6, -1, 900, MIDDLE, "bid"), *halt]
        self._emit(*self._draw.choice(rows), always=True)

    def row(self) -> list[int]:
        cells = []
        asks, bids = sorted(self.sides["ask"]), sorted(self.sides["bid"], reverse=True)
        for at in range(self._depth):
            for prices, side, empty in ((asks, "ask", EMPTY), (bids, "bid", -EMPTY)):
                known = at < len(prices)
                price = prices[at] if known else empty
                cells += [price, sum(o[1] for o in self.sides[side][price]) if known else 0]
        return cells

    def _best(self, side: str) -> int | None:
        prices = self.sides[side]
        return (max(prices) if side == "bid" else min(prices)) if prices else None

    def _new(self) -> None:
        side = self._draw.choice(["bid", "ask"])
        away = 1 + int(self._draw.expovariate(0.12))
        other = self._best("ask" if side == "bid" else "bid")
        middle = MIDDLE if other is None else other
        price = middle + away * TICK * (1 if side == "ask" else -1)
        self._last_id += self._draw.randint(1, 3)
        quantity = self._draw.randint(1, 5) * 100
        self.sides[side].setdefault(price, []).append([self._last_id, quantity])
        self._emit(1, self._last_id, quantity, price, side)

    def _shrink(self, partly: bool) -> None:
        side = self._draw.choice(["bid", "ask"])
        if not self.sides[side]:
            return
        price = self._draw.choice(sorted(self.sides[side]))
        order = self._draw.choice(self.sides[side][price])
        gone = order[1] // 2 if partly else order[1]
        if gone:
            self._take(side, price, order, gone)
            self._emit(2 if gone < order[1] + gone and partly else 3, order[0], gone, price, side)

    def _execute(self) -> None:
        side = self._draw.choice(["bid", "ask"])
        wanted = self._draw.randint(1, 8) * 100
        while wanted and (price := self._best(side)) is not None:
            order = self.sides[side][price][0]
            gone = min(wanted, order[1])
            wanted -= gone
            self._take(side, price, order, gone)
            self._emit(4, order[0], gone, price, side)

    def _take(self, side: str, price: int, order: list[int], gone: int) -> None:
        order[1] -= gone
        if not order[1]:
            self.sides[side][price].remove(order)
            if not self.sides[side][price]:
                del self.sides[side][price]

    def _emit(
        self, kind: int, number: int, size: int, price: int, side: str, always: bool = False
    ) -> None:
        row = self.row()
        if not self._recording:
            self.rows = [row]  # The book before the recording.
        elif always or row != self.rows[-1]:
            self.messages.append((kind, number, size, price, 1 if side == "bid" else -1))
            self.rows.append(row)
        else:
            self.hidden_from_view += 1


def write_day(
    folder: Path, seed: int, depth: int, steps: int, packed: str = ""
) -> tuple[Path, Path]:
    """Message file and order-book file of a day, ``packed`` with gzip or zip or not at all."""
    market = NaiveMarket(seed, depth)
    market.trade(steps // 2, recording=False)
    market.trade(steps, recording=True)
    assert market.hidden_from_view > steps // 20, "nothing happened out of sight"
    messages = "".join(
        f"34200.{n:09d},{','.join(map(str, m))}\n" for n, m in enumerate(market.messages)
    )
    rows = "".join(",".join(map(str, row)) + "\n" for row in market.rows[1:])
    name = f"MADE_2026-11-24_34200000_57600000_{{}}_{depth}.csv"
    paths = []
    for kind, text in (("message", messages), ("orderbook", rows)):
        path = folder / name.format(kind)
        if packed == "gzip":
            path = path.with_suffix(".csv.gz")
            path.write_bytes(gzip.compress(text.encode()))
        elif packed == "zip":
            path = path.with_suffix(".zip")
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(f"{kind}.csv", text)
        else:
            path.write_text(text)
        paths.append(path)
    return paths[0], paths[1]
