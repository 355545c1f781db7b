// What the page knows of the market. Everything in here has a bound.

const LEVELS_MAX = 100;
const TRADES_MAX = 600;
const PACE_MS = 10_000;

/** The levels of both sides of one book: price → [shares, orders]. */
export class Book {
  constructor() {
    this.bids = new Map();
    this.asks = new Map();
  }

  take(message) {
    if (message.type === "snapshot") {
      this.bids.clear();
      this.asks.clear();
    }
    merge(this.bids, message.bids ?? []);
    merge(this.asks, message.asks ?? []);
  }

  /** Levels of a side, best first, as [price, shares, orders]. */
  levels(side) {
    const sign = side === "bids" ? -1 : 1;
    const levels = [...this[side]].map(([price, [shares, orders]]) => [price, shares, orders]);
    return levels.sort((one, other) => sign * (one[0] - other[0]));
  }
}

function merge(side, levels) {
  for (const [price, shares, orders] of levels) {
    if (shares) side.set(price, [shares, orders]);
    else side.delete(price);
  }
  // A feed that sends more than it takes back must not fill the memory of the browser.
  if (side.size > 2 * LEVELS_MAX) for (const price of [...side.keys()].slice(0, LEVELS_MAX)) side.delete(price);
}

/** The last trades of one symbol, newest last. They come from the feed, and those of before from
 * the list of the exchange, which may be a moment behind the feed. */
export class Trades {
  constructor() {
    this.list = [];
    this.last = 0;
    this.recent = [];
    this.needed = null; // What came before this number is to be read from the list.
  }

  /** The feed begins behind this trade. */
  goesOn(sequence) {
    if (this.needed === null || sequence > this.last) this.needed = sequence;
  }

  /** Trades from the list, in any order. Whether all of before the feed are among them. */
  fill(past) {
    const known = new Map([...past, ...this.list].map((trade) => [trade.sequence, trade]));
    this.list = [...known.values()].sort((one, other) => one.sequence - other.sequence).slice(-TRADES_MAX);
    this.last = Math.max(this.last, this.list.at(-1)?.sequence ?? 0);
    return past.reduce((most, trade) => Math.max(most, trade.sequence), 0) >= this.needed;
  }

  /** Whether it was new. */
  add(trade) {
    if (trade.sequence <= this.last) return false;
    this.last = trade.sequence;
    this.list.push(trade);
    if (this.list.length > 2 * TRADES_MAX) this.list = this.list.slice(-TRADES_MAX);
    this.recent.push(Date.now());
    if (this.recent.length > 20_000) this.recent = this.recent.slice(-10_000);
    return true;
  }

  /** Trades a second, of the last ten seconds. */
  get pace() {
    const since = Date.now() - PACE_MS;
    const first = this.recent.findIndex((at) => at >= since);
    this.recent = first < 0 ? [] : this.recent.slice(first);
    return (this.recent.length * 1000) / PACE_MS;
  }
}

/** The day of every symbol: symbol → {symbol, last, open, high, low, volume, notional, bid, ask, share}. */
export class Tickers {
  constructor() {
    this.bySymbol = new Map();
  }

  take(fields) {
    const before = this.bySymbol.get(fields.symbol) ?? { symbol: fields.symbol };
    this.bySymbol.set(fields.symbol, { ...before, ...fields });
  }

  /** The most traded first, by value; then by symbol. */
  sorted() {
    return [...this.bySymbol.values()].sort(
      (one, other) => (other.notional ?? 0) - (one.notional ?? 0) || (one.symbol < other.symbol ? -1 : 1),
    );
  }
}
