// The tape: the last trades, newest first, colored by the side that came.

import * as format from "./format.js";
import { soon } from "./paint.js";
import { write } from "./symbols.js";

const PAUSE_MS = 100;
const PACE_PAUSE_MS = 1000;

export class Tape {
  constructor({ body, pace }, rows) {
    this.rows = Array.from({ length: rows }, () => {
      const row = document.createElement("tr");
      row.append(...["time", "price", "shares"].map((name) => Object.assign(document.createElement("td"), { className: name })));
      body.append(row);
      return row;
    });
    this.pace = pace;
    this.trades = null;
    this.draw = () => this.paint();
    setInterval(() => this.paintPace(), PACE_PAUSE_MS);
  }

  update(trades) {
    this.trades = trades;
    soon(this.draw, PAUSE_MS);
  }

  paint() {
    const list = this.trades?.list ?? [];
    this.rows.forEach((row, at) => {
      const trade = list[list.length - 1 - at];
      const [time, price, shares] = row.children;
      write(time, trade ? format.time(trade.at) : "");
      write(price, trade ? `${trade.side === "bid" ? "▲" : "▼"} ${format.price(trade.price)}` : "");
      write(shares, trade ? format.count(trade.quantity) : "");
      row.dataset.side = trade?.side ?? "";
      row.dataset.trade = trade?.sequence ?? "";
    });
  }

  paintPace() {
    const pace = this.trades?.pace ?? 0;
    write(this.pace, pace ? `${format.rate(pace)} a second` : "");
  }
}
