// The list of symbols, the most traded first. It keeps its order while somebody is in it, so that
// nothing moves away under a finger.

import * as format from "./format.js";
import { soon } from "./paint.js";

const PAUSE_MS = 250;
const SORT_MS = 2000;

export class Symbols {
  constructor({ list, filter, empty }, tickers, choose) {
    Object.assign(this, { list, filter, empty, tickers, choose });
    this.rows = new Map();
    this.order = [];
    this.sorted = -Infinity;
    this.chosen = "";
    this.hasVolume = false;
    this.draw = () => this.paint();
    filter.addEventListener("input", () => this.update(true));
    list.addEventListener("keydown", (event) => this.walk(event));
    list.addEventListener("focusin", (event) => this.rove(event.target));
  }

  update(now = false) {
    if (now) this.sorted = -Infinity;
    soon(this.draw, now ? 0 : PAUSE_MS);
  }

  select(symbol) {
    this.chosen = symbol;
    this.update(true);
  }

  get first() {
    return this.tickers.sorted()[0]?.symbol;
  }

  paint() {
    const isBusy = this.list.matches(":hover") || this.list.contains(document.activeElement);
    const now = performance.now();
    const isFirst = !this.hasVolume; // As soon as there are volumes.
    this.hasVolume ||= (this.tickers.bySymbol.get(this.first)?.notional ?? 0) > 0;
    if (this.sorted === -Infinity || isFirst || this.rows.size !== this.tickers.bySymbol.size || (!isBusy && now - this.sorted > SORT_MS)) this.sort(now);
    for (const symbol of this.order) this.rows.get(symbol).paint(this.tickers.bySymbol.get(symbol), this.chosen);
    this.empty.hidden = this.tickers.bySymbol.size > 0;
  }

  sort(now) {
    this.sorted = now;
    const asked = this.filter.value.trim().toUpperCase();
    const focused = document.activeElement;
    this.order = [];
    for (const { symbol, name } of this.tickers.sorted()) {
      if (!this.rows.has(symbol)) this.rows.set(symbol, new Row(symbol, this.choose));
      const isShown = symbol.includes(asked) || (name ?? "").toUpperCase().includes(asked);
      this.rows.get(symbol).item.hidden = !isShown;
      this.order.push(symbol);
    }
    const items = this.order.map((symbol) => this.rows.get(symbol).item);
    items.forEach((item, at) => {
      if (this.list.children[at] !== item) this.list.insertBefore(item, this.list.children[at] ?? null);
    });
    if (this.list.contains(focused)) focused.focus();
    const open = items.filter((item) => !item.hidden).map((item) => item.firstChild);
    if (open.length && !open.some((button) => button.tabIndex === 0)) open[0].tabIndex = 0;
  }

  /** One stop of the Tab key for the whole list; arrows go through it. */
  walk(event) {
    const buttons = [...this.list.querySelectorAll("li:not([hidden]) button")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  }

  rove(button) {
    for (const row of this.rows.values()) row.button.tabIndex = row.button === button ? 0 : -1;
  }
}

class Row {
  constructor(symbol, choose) {
    this.item = document.createElement("li");
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.dataset.symbol = symbol;
    this.parts = ["symbol", "name", "last", "change", "volume"].map((name) => {
      const part = document.createElement("span");
      part.className = name;
      this.button.append(part);
      return part;
    });
    this.parts[0].textContent = symbol;
    this.button.addEventListener("click", () => choose(symbol));
    this.item.append(this.button);
    this.last = undefined;
  }

  paint(ticker, chosen) {
    const [, name, last, change, volume] = this.parts;
    write(name, ticker.name === ticker.symbol ? "" : (ticker.name ?? ""));
    write(last, format.price(ticker.last));
    write(change, `${format.arrow(ticker.share)} ${format.percent(ticker.share)}`.trim());
    change.dataset.sign = Math.sign(ticker.share ?? 0);
    write(volume, ticker.volume ? format.short(ticker.volume) : "");
    this.button.setAttribute("aria-pressed", ticker.symbol === chosen);
    if (this.last !== undefined && ticker.last !== this.last) flash(last, ticker.last > this.last);
    this.last = ticker.last;
  }
}

/** Write a text only where it is another one: that spares the browser a layout. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function flash(element, isUp) {
  if (calm.matches) return;
  element.dataset.flash = isUp ? "up" : "down";
  clearTimeout(element.flashing);
  element.flashing = setTimeout(() => delete element.dataset.flash, 400);
}
