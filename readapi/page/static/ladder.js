// The book as a ladder: the best prices in the middle, and behind each row a bar of what rests up
// to there.

import * as format from "./format.js";
import { soon } from "./paint.js";
import { write } from "./symbols.js";

const PAUSE_MS = 60;

export class Ladder {
  constructor({ asks, bids, spread, last }, rows) {
    this.spread = spread;
    this.last = last;
    this.asks = makeRows(asks, rows).reverse(); // The best ask is the lowest row.
    this.bids = makeRows(bids, rows);
    this.draw = () => this.paint();
    this.book = null;
    this.price = null;
    this.sign = 0;
  }

  update(book) {
    this.book = book;
    soon(this.draw, PAUSE_MS);
  }

  traded(price) {
    this.sign = this.price === null || price === this.price ? this.sign : Math.sign(price - this.price);
    this.price = price;
    soon(this.draw, PAUSE_MS);
  }

  clear() {
    this.book = this.price = null;
    this.sign = 0;
    soon(this.draw);
  }

  paint() {
    const bids = this.book ? this.book.levels("bids").slice(0, this.bids.length) : [];
    const asks = this.book ? this.book.levels("asks").slice(0, this.asks.length) : [];
    const most = Math.max(total(bids), total(asks), 1);
    fill(this.bids, bids, most);
    fill(this.asks, asks, most);
    const isWhole = bids.length && asks.length;
    const gap = isWhole ? asks[0][0] - bids[0][0] : null;
    write(this.spread, isWhole ? `spread ${format.price(gap)}` : "");
    write(this.last, `${format.arrow(this.sign)} ${format.price(this.price)}`.trim());
    this.last.dataset.sign = this.sign;
  }
}

const total = (levels) => levels.reduce((sum, level) => sum + level[1], 0);

function makeRows(body, count) {
  return Array.from({ length: count }, () => {
    const row = document.createElement("tr");
    for (const name of ["orders", "shares", "price"]) {
      const cell = document.createElement("td");
      cell.className = name;
      row.append(cell);
    }
    body.append(row);
    return row;
  });
}

function fill(rows, levels, most) {
  let sum = 0;
  rows.forEach((row, at) => {
    const level = levels[at];
    const [orders, shares, price] = row.children;
    write(orders, level ? format.count(level[2]) : "");
    write(shares, level ? format.count(level[1]) : "");
    write(price, level ? format.price(level[0]) : "");
    sum += level ? level[1] : 0;
    row.style.setProperty("--share", level ? (sum / most).toFixed(3) : "0");
  });
}
