// The chart of candles with the volume below, and a cross that a pointer or the arrow keys move.

import * as format from "./format.js";
import { color, FONT, Surface, ticks } from "./paint.js";
import { write } from "./symbols.js";

const PAUSE_MS = 120;
const AXIS = 58;
const FOOT = 20;
const VOLUME_SHARE = 0.18;
const STEP_MIN = 7;
const STEP_MAX = 14;
const SLOTS_MIN = 24;

export class Candles {
  constructor(canvas, readout) {
    this.canvas = canvas;
    this.readout = readout;
    this.bars = null;
    this.cross = null; // How many bars back.
    this.surface = new Surface(canvas, (...where) => this.paint(...where), PAUSE_MS);
    canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.move(null));
    canvas.addEventListener("blur", () => this.move(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  update(bars) {
    this.bars = bars;
    this.surface.update();
  }

  get step() {
    const room = this.surface.width - AXIS;
    const wanted = room / Math.max(SLOTS_MIN, (this.bars?.list.length ?? 0) + 2);
    return Math.min(STEP_MAX, Math.max(STEP_MIN, wanted));
  }

  point(x) {
    const back = Math.floor((this.surface.width - AXIS - x) / this.step);
    this.move(back >= 0 ? back : null);
  }

  key(event) {
    const by = { ArrowLeft: 1, ArrowRight: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === "Escape") this.move(null);
    if (by === undefined) return;
    event.preventDefault();
    const most = (this.bars?.list.length ?? 1) - 1;
    this.move(Math.max(0, Math.min(most, (this.cross ?? -1) + by)));
  }

  move(back) {
    this.cross = back;
    this.surface.update();
  }

  paint(context, width, height) {
    const all = this.bars?.list ?? [];
    context.font = FONT;
    if (!all.length) {
      text(context, "No trades yet.", width / 2, height / 2, color("muted"), "center");
      write(this.readout, "");
      this.canvas.setAttribute("aria-label", "Candles: no trades yet");
      return;
    }
    const step = this.step;
    const shown = all.slice(-Math.max(1, Math.floor((width - AXIS) / step)));
    const frame = new Frame(shown, width, height, step);
    frame.grid(context, this.bars.interval);
    shown.forEach((bar, at) => frame.bar(context, bar, at));
    frame.last(context, shown.at(-1));
    const at = this.cross === null ? null : shown.length - 1 - this.cross;
    if (at !== null && shown[at]) frame.cross(context, shown[at], at);
    this.tell(shown[at] ?? shown.at(-1));
  }

  tell(bar) {
    const parts = [["O", bar.open], ["H", bar.high], ["L", bar.low], ["C", bar.close]];
    const prices = parts.map(([name, value]) => `${name} ${format.price(value)}`).join("  ");
    const change = bar.open ? format.percent(bar.close / bar.open - 1) : "";
    const line = `${when(bar.start, this.bars.interval)}  ${prices}  ${change}  ${format.count(bar.volume)} shares`;
    write(this.readout, line);
    const label = `Candles of ${this.bars.interval.label}. Left and right arrows read them. ${line}`;
    if (this.canvas.getAttribute("aria-label") !== label) this.canvas.setAttribute("aria-label", label);
  }
}

function when(start, interval) {
  if (interval.ms >= 86_400_000) return format.date(start);
  return interval.ms < 60_000 ? format.time(start) : format.timeOfDay(start);
}

/** Where the bars of one picture lie. */
class Frame {
  constructor(bars, width, height, step) {
    const [low, high] = [Math.min(...bars.map((bar) => bar.low)), Math.max(...bars.map((bar) => bar.high))];
    const air = Math.max((high - low) * 0.08, high * 0.0004, 1);
    Object.assign(this, { bars, width, height, step, low: low - air, high: high + air });
    this.right = width - AXIS;
    this.floor = height - FOOT;
    this.ground = this.floor - (this.floor - 8) * VOLUME_SHARE - 6;
    this.volume = Math.max(...bars.map((bar) => bar.volume), 1);
  }

  x(at) {
    return this.right - (this.bars.length - at - 0.5) * this.step;
  }

  y(price) {
    return 6 + (this.ground - 6) * (1 - (price - this.low) / (this.high - this.low));
  }

  grid(context, interval) {
    context.strokeStyle = color("line");
    context.lineWidth = 1;
    for (const price of ticks(this.low, this.high, Math.max(2, this.ground / 46))) {
      const y = Math.round(this.y(price)) + 0.5;
      line(context, 0, y, this.right, y);
      const isFree = Math.abs(y - this.y(this.bars.at(-1).close)) > 15; // Of the tag of the last price.
      if (isFree) text(context, format.price(price), this.width - 6, y, color("muted"), "right");
    }
    const every = Math.max(1, Math.ceil(78 / this.step));
    for (let at = this.bars.length - 1; at >= 0; at -= every) {
      const name = when(this.bars[at].start, interval);
      const x = Math.min(this.x(at), this.right - context.measureText(name).width / 2);
      if (x < 28) break;
      text(context, name, x, this.height - 8, color("muted"), "center");
    }
  }

  bar(context, bar, at) {
    const x = this.x(at);
    const isUp = bar.close >= bar.open;
    const body = Math.max(1, Math.round(this.step * 0.66));
    context.fillStyle = context.strokeStyle = color(isUp ? "bid" : "ask");
    context.lineWidth = 1;
    line(context, Math.round(x) + 0.5, this.y(bar.high), Math.round(x) + 0.5, this.y(bar.low));
    const top = this.y(Math.max(bar.open, bar.close));
    const tall = Math.max(1, this.y(Math.min(bar.open, bar.close)) - top);
    const left = Math.round(x - body / 2) + 0.5;
    if (isUp) {
      // Hollow when it rose, so that the color is not the only sign.
      context.save();
      context.fillStyle = color("panel");
      context.fillRect(left, top, body, tall);
      context.restore();
      context.strokeRect(left, top, body, tall);
    } else {
      context.fillRect(left - 0.5, top, body + 1, tall);
    }
    context.globalAlpha = 0.35;
    const high = ((this.floor - this.ground - 6) * bar.volume) / this.volume;
    context.fillRect(left - 0.5, this.floor - high, body + 1, high);
    context.globalAlpha = 1;
  }

  last(context, bar) {
    const y = Math.round(this.y(bar.close)) + 0.5;
    const name = bar.close >= bar.open ? "bid" : "ask";
    context.strokeStyle = color(name);
    context.setLineDash([2, 3]);
    line(context, 0, y, this.right, y);
    context.setLineDash([]);
    this.tag(context, y, format.price(bar.close), color(name), color("on-tag"));
  }

  cross(context, bar, at) {
    context.strokeStyle = color("muted");
    context.setLineDash([3, 3]);
    line(context, this.x(at), 0, this.x(at), this.floor);
    const y = this.y(bar.close);
    line(context, 0, y, this.right, y);
    context.setLineDash([]);
    this.tag(context, y, format.price(bar.close), color("text"), color("panel"));
  }

  tag(context, y, words, fill, ink) {
    context.fillStyle = fill;
    context.beginPath();
    context.roundRect(this.right + 2, y - 9, AXIS - 3, 18, 3);
    context.fill();
    text(context, words, this.width - 6, y, ink, "right");
  }
}

function line(context, fromX, fromY, toX, toY) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

function text(context, words, x, y, fill, align) {
  context.textAlign = align;
  context.textBaseline = "middle";
  context.fillStyle = fill;
  context.fillText(words, x, y);
}
