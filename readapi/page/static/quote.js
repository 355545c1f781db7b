// The head of the chosen symbol: its price, its day, and the auction when it is in one.

import * as format from "./format.js";
import { flash, write } from "./symbols.js";

const STATUS = {
  cancel_only: "Only cancels are taken",
  halted: "Trading is halted",
  closed: "The market is closed",
};

export class Quote {
  constructor(parts) {
    this.parts = parts;
    this.last = null;
    this.ends = null;
    setInterval(() => this.tick(), 250);
  }

  choose(symbol) {
    this.last = null;
    write(this.parts.symbol, symbol);
    write(this.parts.name, "");
    this.stock(null);
    this.ticker({});
  }

  ticker(ticker) {
    const { last, change, bid, ask, high, low, volume, name } = this.parts;
    write(last, format.price(ticker.last));
    write(change, `${format.arrow(ticker.share)} ${format.percent(ticker.share)}`.trim());
    change.dataset.sign = Math.sign(ticker.share ?? 0);
    write(bid, format.price(ticker.bid));
    write(ask, format.price(ticker.ask));
    write(high, format.price(ticker.high));
    write(low, format.price(ticker.low));
    write(volume, ticker.volume === undefined ? format.NOTHING : format.short(ticker.volume));
    if (ticker.name && ticker.name !== ticker.symbol) write(name, ticker.name);
    if (this.last !== null && ticker.last && ticker.last !== this.last) flash(last, ticker.last > this.last);
    this.last = ticker.last ?? null;
  }

  /** The instrument as the exchange shows it, for its status. */
  stock(stock) {
    const { auction, auctionTitle, auctionText } = this.parts;
    const isAuction = stock?.status === "auction";
    auction.hidden = !stock || stock.status === "open";
    auction.dataset.kind = isAuction ? "auction" : "stop";
    this.ends = isAuction && stock.auction_ends_at ? Date.parse(stock.auction_ends_at) : null;
    if (auction.hidden) return;
    write(auctionTitle, isAuction ? "In auction" : (STATUS[stock.status] ?? stock.status));
    write(auctionText, isAuction ? auctionWords(stock) : (stock.status_reason ?? ""));
    this.tick();
  }

  tick() {
    const left = this.ends === null ? null : (this.ends - Date.now()) / 1000;
    write(this.parts.auctionClock, left === null ? "" : `ends in ${format.countdown(left)}`);
  }
}

function auctionWords(stock) {
  const why = stock.status_reason ? `${stock.status_reason}. ` : "";
  if (!stock.indicative_price) return `${why}As the book stands, nothing would trade.`;
  return (
    `${why}As the book stands, ${format.count(stock.indicative_quantity)} shares would trade at ` +
    `${format.price(stock.indicative_price)}.`
  );
}
