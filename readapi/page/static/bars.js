// Candles: those of the exchange, and short ones that the page makes from the trades that it sees.

export const INTERVALS = [
  { name: "5s", label: "5 s", ms: 5_000, isOwn: true },
  { name: "1m", label: "1 min", ms: 60_000 },
  { name: "5m", label: "5 min", ms: 300_000 },
  { name: "15m", label: "15 min", ms: 900_000 },
  { name: "1h", label: "1 h", ms: 3_600_000 },
  { name: "1d", label: "1 day", ms: 86_400_000 },
];
const BARS_MAX = 400;

/** Bars of one symbol and interval, oldest first: {start, open, high, low, close, volume}. */
export class Bars {
  constructor(interval) {
    this.interval = interval;
    this.list = [];
  }

  /** The candles that the exchange has. */
  replace(list) {
    this.list = list.slice(-BARS_MAX);
  }

  add(trade) {
    const last = this.list.at(-1);
    // The exchange says when a day begins; a trade belongs to the last day that there is.
    const start = this.interval.name === "1d" && last ? last.start : trade.at - (trade.at % this.interval.ms);
    if (last && start <= last.start) {
      last.high = Math.max(last.high, trade.price);
      last.low = Math.min(last.low, trade.price);
      last.close = trade.price;
      last.volume += trade.quantity;
      return;
    }
    const { price, quantity } = trade;
    this.list.push({ start, open: price, high: price, low: price, close: price, volume: quantity });
    if (this.list.length > 2 * BARS_MAX) this.list = this.list.slice(-BARS_MAX);
  }

  static of(trades, interval) {
    const bars = new Bars(interval);
    for (const trade of trades) bars.add(trade);
    return bars;
  }
}
