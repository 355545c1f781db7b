// The live page: what is asked of the exchange, and who shows it.

import { Bars, INTERVALS } from "./bars.js";
import { Candles } from "./candles.js";
import { Depth } from "./depth.js";
import { Feed } from "./feed.js";
import { Health } from "./health.js";
import { Ladder } from "./ladder.js";
import { Quote } from "./quote.js";
import { pause, Session } from "./session.js";
import { Book, Tickers, Trades } from "./store.js";
import { Street } from "./street.js";
import { Symbols } from "./symbols.js";
import { Tape } from "./tape.js";
import { chooseTheme } from "./theme.js";

const LADDER_ROWS = 11;
const TAPE_ROWS = 25;
const HEALTH_MS = 1000;
const STOCK_MS = 2000;
const CANDLES_MS = 10_000;
const NAMES_MS = 10_000;
const TICKERS_MS = 1500;
const TICKERS_SILENT_MS = 4000;
const PAGES_MAX = 10;
const TRADES_TRIES = 5;
const TRADES_AGAIN_MS = 400;

const at = (id) => document.getElementById(id);

class Page {
  constructor(session) {
    this.session = session;
    this.tickers = new Tickers();
    this.book = new Book();
    this.trades = new Trades();
    this.symbol = "";
    this.isChosen = false;
    this.tickersHeard = -Infinity;
    this.interval = INTERVALS[0];
    this.bars = new Bars(this.interval);
    this.symbols = new Symbols(
      { list: at("symbols"), filter: at("filter"), empty: at("symbols-empty") },
      this.tickers,
      (symbol) => this.choose(symbol),
    );
    this.quote = new Quote(quoteParts());
    this.ladder = new Ladder(
      { asks: at("asks"), bids: at("bids"), spread: at("spread"), last: at("middle-last") },
      LADDER_ROWS,
    );
    this.depth = new Depth(at("depth"));
    this.candles = new Candles(at("candles"), at("candles-readout"));
    this.tape = new Tape({ body: at("tape"), pace: at("tape-pace") }, TAPE_ROWS);
    this.health = new Health(healthParts());
    this.offerIntervals();
  }

  async run() {
    void this.often(HEALTH_MS, () => this.readHealth()); // It says why, when no key can be had.
    await this.session.open();
    if (this.session.isDevelopment) {
      at("symbols-hint").hidden = false;
      this.street = new Street(
        { form: at("street"), select: at("street-percent"), button: at("street-button"), announcer: at("announcer") },
        this.session,
      );
    }
    this.feed = new Feed(() => this.session.key, {
      message: (channel, message) => this.hear(channel, message),
      state: (isLive) => this.live(isLive),
    });
    const asked = new URLSearchParams(location.search).get("symbol");
    if (asked) this.choose(asked);
    this.want();
    void this.often(NAMES_MS, () => this.readNames());
    void this.often(TICKERS_MS, () => this.readTickers());
    void this.often(STOCK_MS, () => this.readStock());
    void this.often(CANDLES_MS, () => this.readCandles());
  }

  /** Do something again and again while the page is seen; what fails is tried again. */
  async often(ms, action) {
    for (;;) {
      if (document.visibilityState === "visible") await action().catch(() => {});
      await pause(ms);
    }
  }

  async readHealth() {
    if (!this.session.key) {
      const isThere = await this.session.fetch("/health/live", {}, "").then((answer) => answer.ok, () => false);
      if (!isThere) this.health.take(null);
      return;
    }
    await this.street?.look();
    this.health.take(await this.session.read("/admin/health").catch(() => null));
  }

  live(isLive) {
    document.body.classList.toggle("still", !isLive);
    this.health.feed(isLive);
    if (isLive) {
      void this.readNames().catch(() => {});
      void this.readCandles().catch(() => {});
    }
  }

  want() {
    const own = this.symbol ? [`book:${this.symbol}`, `trades:${this.symbol}`] : [];
    this.feed.want(["ticker:*", ...own]);
  }

  /** A person has chosen; until then the page shows what is traded most, at its beginning. */
  choose(symbol) {
    this.isChosen = true;
    history.replaceState(null, "", `?symbol=${encodeURIComponent(symbol)}`);
    this.show(symbol);
  }

  show(symbol) {
    if (symbol === this.symbol) return;
    this.symbol = symbol;
    this.book = new Book();
    this.trades = new Trades();
    this.bars = new Bars(this.interval);
    this.symbols.select(symbol);
    this.quote.choose(symbol);
    this.quote.ticker(this.tickers.bySymbol.get(symbol) ?? {});
    this.ladder.clear();
    this.depth.update(this.book);
    this.tape.update(this.trades);
    this.candles.update(this.bars);
    if (this.feed) this.want();
    void this.readStock().catch(() => {});
    void this.readCandles().catch(() => {});
  }

  hear(channel, message) {
    if (channel.startsWith("ticker:")) this.hearTickers(message);
    else if (channel === `book:${this.symbol}`) this.hearBook(message);
    else if (channel === `trades:${this.symbol}`) this.hearTrade(message);
  }

  /** The list of tickers, as long as the feed tells none. */
  async readTickers() {
    if (performance.now() - this.tickersHeard < TICKERS_SILENT_MS) return;
    for await (const fields of this.pages("/stocks/tickers")) this.tickers.take(ticker(fields));
    this.showTickers();
    this.decide();
  }

  hearTickers(message) {
    this.tickersHeard = performance.now();
    for (const fields of message.tickers ?? [message]) this.tickers.take(ticker(fields));
    this.showTickers();
    this.decide();
  }

  /** What the page has begun with stays, once it has been traded. */
  decide() {
    this.isChosen ||= (this.tickers.bySymbol.get(this.symbol)?.notional ?? 0) > 0;
  }

  showTickers() {
    this.symbols.update();
    if (!this.isChosen && this.symbols.first) this.show(this.symbols.first);
    const own = this.tickers.bySymbol.get(this.symbol);
    if (own) this.quote.ticker(own);
  }

  hearBook(message) {
    this.book.take(message);
    this.ladder.update(this.book);
    this.depth.update(this.book);
  }

  hearTrade(message) {
    if (message.type === "snapshot") {
      this.trades.goesOn(message.sequence);
      void this.readTrades().catch(() => {});
      return;
    }
    const heard = trade(message);
    if (!this.trades.add(heard)) return;
    this.bars.add(heard);
    this.tape.update(this.trades);
    this.ladder.traded(heard.price);
    this.candles.update(this.bars);
  }

  /** Names of all symbols, and those that have never traded. */
  async readNames() {
    for await (const { symbol, name } of this.pages("/stocks")) this.tickers.take({ symbol, name });
    this.showTickers();
  }

  /** All rows of a list that comes in pages. */
  async *pages(path) {
    let cursor = null;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const query = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const answer = await this.session.read(`${path}?limit=500${query}`);
      yield* answer.data;
      cursor = answer.next_cursor;
      if (!cursor) return;
    }
  }

  async readStock() {
    const { symbol } = this;
    if (!symbol) return;
    const stock = await this.session.read(`/stocks/${encodeURIComponent(symbol)}`);
    if (symbol === this.symbol) this.quote.stock(stock);
  }

  async readCandles() {
    const { symbol, interval } = this;
    if (!symbol || interval.isOwn) return;
    const answer = await this.session.read(`/stocks/${encodeURIComponent(symbol)}/candles?interval=${interval.name}&limit=400`);
    if (symbol !== this.symbol || interval !== this.interval) return;
    this.bars.replace(answer.data.map(candle).sort(byStart));
    this.candles.update(this.bars);
  }

  /** The trades of before the feed. The list is read again while it is behind the feed. */
  async readTrades() {
    const { symbol, trades } = this;
    for (let again = 0; again < TRADES_TRIES && trades === this.trades; again += 1) {
      if (again) await pause(TRADES_AGAIN_MS);
      const answer = await this.session.read(`/stocks/${encodeURIComponent(symbol)}/trades?limit=500`);
      const isWhole = trades.fill(answer.data.map(trade));
      if (trades === this.trades) this.showTrades();
      if (isWhole) return;
    }
  }

  showTrades() {
    this.tape.update(this.trades);
    const last = this.trades.list.at(-1);
    if (last) this.ladder.traded(last.price);
    if (!this.interval.isOwn) return;
    this.bars.replace(Bars.of(this.trades.list, this.interval).list);
    this.candles.update(this.bars);
  }

  offerIntervals() {
    for (const interval of INTERVALS) {
      const label = document.createElement("label");
      const radio = Object.assign(document.createElement("input"), { type: "radio", name: "interval" });
      radio.checked = interval === this.interval;
      radio.addEventListener("change", () => this.useInterval(interval));
      label.append(radio, Object.assign(document.createElement("span"), { textContent: interval.label }));
      at("intervals").append(label);
    }
  }

  useInterval(interval) {
    this.interval = interval;
    this.bars = interval.isOwn ? Bars.of(this.trades.list, interval) : new Bars(interval);
    this.candles.update(this.bars);
    void this.readCandles().catch(() => {});
  }
}

const byStart = (one, other) => one.start - other.start;

/** A ticker of the exchange as the page keeps it; what is absent stays as it was. */
function ticker(fields) {
  const kept = { symbol: fields.symbol };
  const names = { last_price: "last", high: "high", low: "low", volume: "volume", notional: "notional" };
  for (const [theirs, ours] of Object.entries(names)) if (theirs in fields) kept[ours] = fields[theirs];
  if ("best_bid" in fields) kept.bid = fields.best_bid?.price;
  if ("best_ask" in fields) kept.ask = fields.best_ask?.price;
  // Of a symbol that was never traded before, the day is measured from its first price.
  const since = fields.previous_close ?? fields.open;
  if (since) kept.share = fields.last_price / since - 1;
  return kept;
}

function trade(fields) {
  return {
    sequence: fields.sequence,
    at: Date.parse(fields.executed_at),
    price: fields.price,
    quantity: fields.quantity,
    side: fields.aggressor_side,
  };
}

function candle({ start, open, high, low, close, volume }) {
  return { start: Date.parse(start), open, high, low, close, volume };
}

function quoteParts() {
  const parts = { auction: at("auction"), auctionTitle: at("auction-title"), auctionText: at("auction-text"), auctionClock: at("auction-clock") };
  for (const name of ["symbol", "name", "last", "change", "bid", "ask", "high", "low", "volume"]) parts[name] = at(`quote-${name}`);
  return parts;
}

function healthParts() {
  const ids = {
    panel: "health", at: "health-at", trouble: "trouble", list: "trouble-list", pill: "pill", pillText: "pill-text",
    announcer: "announcer", rate: "rate", rateSpark: "rate-spark", p50: "p50", p99Value: "p99", p99Spark: "p99-spark",
    memory: "memory", memoryUnit: "memory-unit", stageLog: "stage-log", stageLogNote: "stage-log-note",
    stageCommit: "stage-commit", stageStore: "stage-store", stageNotify: "stage-notify", lagCommit: "lag-commit",
    lagStore: "lag-store", lagNotify: "lag-notify", strip: "strip", owners: "owners", partitions: "partitions",
    workers: "workers",
  };
  return Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, at(id)]));
}

chooseTheme(at("theme"));
const door = { dialog: at("door"), form: at("door-form"), input: at("door-key"), text: at("door-wrong") };
window.page = new Page(new Session(door)); // For a look from the console, and for the tests.
void window.page.run();
