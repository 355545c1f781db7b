// The depth chart: how many shares rest up to each price, bids to the left and asks to the right.

import * as format from "./format.js";
import { color, FONT, Surface, ticks } from "./paint.js";

const PAUSE_MS = 120;
const FOOT = 18;

export class Depth {
  constructor(canvas) {
    this.canvas = canvas;
    this.book = null;
    this.pointer = null;
    this.surface = new Surface(canvas, (...where) => this.paint(...where), PAUSE_MS);
    canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.point(null));
  }

  point(x) {
    this.pointer = x;
    this.surface.update();
  }

  update(book) {
    this.book = book;
    this.surface.update();
  }

  paint(context, width, height) {
    const bids = sums(this.book?.levels("bids") ?? []);
    const asks = sums(this.book?.levels("asks") ?? []);
    context.font = FONT;
    if (!bids.length || !asks.length) {
      this.canvas.setAttribute("aria-label", "Depth of the book: one side is empty");
      words(context, "The chart needs orders on both sides.", width / 2, height / 2);
      return;
    }
    const middle = (bids[0][0] + asks[0][0]) / 2;
    const reach = Math.max(middle - bids.at(-1)[0], asks.at(-1)[0] - middle, 1) * 1.02;
    const most = Math.max(bids.at(-1)[1], asks.at(-1)[1]) * 1.08;
    const x = (price) => width / 2 + ((price - middle) / reach) * (width / 2);
    const y = (shares) => (height - FOOT) * (1 - shares / most);
    grid(context, width, height, middle - reach, middle + reach, most, x, y);
    side(context, bids, x, y, 0, "bid");
    side(context, asks, x, y, width, "ask");
    this.canvas.setAttribute("aria-label", this.words(bids, asks));
    if (this.pointer !== null) this.paintPointer(context, width, height, bids, asks, middle, reach, x, y);
  }

  words(bids, asks) {
    return (
      `Depth of the book: ${format.count(bids.at(-1)[1])} shares are bid down to ${format.price(bids.at(-1)[0])}, ` +
      `${format.count(asks.at(-1)[1])} are offered up to ${format.price(asks.at(-1)[0])}`
    );
  }

  paintPointer(context, width, height, bids, asks, middle, reach, x, y) {
    const price = middle + ((this.pointer - width / 2) / (width / 2)) * reach;
    const levels = price < middle ? bids : asks;
    const reached = levels.filter((level) => (price < middle ? level[0] >= price : level[0] <= price)).at(-1);
    if (!reached) return;
    context.strokeStyle = color("muted");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x(reached[0]), 0);
    context.lineTo(x(reached[0]), height - FOOT);
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = color(price < middle ? "bid" : "ask");
    context.beginPath();
    context.arc(x(reached[0]), y(reached[1]), 3.5, 0, 2 * Math.PI);
    context.fill();
    const text = `${format.count(reached[1])} up to ${format.price(reached[0])}`;
    const half = context.measureText(text).width / 2 + 6;
    words(context, text, Math.min(width - half, Math.max(half, x(reached[0]))), 12, color("text"));
  }
}

/** Levels as [price, shares up to there]. */
function sums(levels) {
  let sum = 0;
  return levels.map(([price, shares]) => [price, (sum += shares)]);
}

function grid(context, width, height, low, high, most, x, y) {
  context.strokeStyle = color("line");
  context.lineWidth = 1;
  context.textBaseline = "middle";
  for (const shares of ticks(0, most, 3).slice(1)) {
    context.beginPath();
    context.moveTo(0, Math.round(y(shares)) + 0.5);
    context.lineTo(width, Math.round(y(shares)) + 0.5);
    context.stroke();
    if (y(shares) > 14) words(context, format.short(shares), 4, y(shares) - 7, color("muted"), "left");
  }
  for (const price of ticks(low, high, Math.max(2, width / 110))) {
    const half = context.measureText(format.price(price)).width / 2;
    if (x(price) > half && x(price) < width - half) words(context, format.price(price), x(price), height - 7);
  }
}

function side(context, levels, x, y, edge, name) {
  context.beginPath();
  context.moveTo(x(levels[0][0]), y(0));
  let before = 0;
  for (const [price, shares] of levels) {
    context.lineTo(x(price), y(before));
    context.lineTo(x(price), y(shares));
    before = shares;
  }
  context.lineTo(edge, y(before));
  context.strokeStyle = context.fillStyle = color(name);
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(edge, y(0));
  context.globalAlpha = 0.16;
  context.fill();
  context.globalAlpha = 1;
}

function words(context, text, x, y, fill = color("muted"), align = "center") {
  context.textAlign = align;
  context.textBaseline = "middle";
  context.fillStyle = fill;
  context.fillText(text, x, y);
}
