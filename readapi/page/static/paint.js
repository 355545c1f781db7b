// When and on what to paint: at most once a frame and never more often than asked, on canvases
// that are as sharp as the screen.

const waiting = new Map();
let asked = false;

/** Call `draw` soon, `pause` ms after its last call at the earliest. Many calls become one. */
export function soon(draw, pause = 0) {
  const entry = waiting.get(draw) ?? { last: -Infinity, due: false };
  entry.due = true;
  entry.pause = pause;
  waiting.set(draw, entry);
  ask();
}

function ask() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(frame);
}

function frame(now) {
  asked = false;
  for (const [draw, entry] of waiting) {
    if (!entry.due) continue;
    if (now - entry.last < entry.pause) {
      ask();
      continue;
    }
    entry.due = false;
    entry.last = now;
    draw();
  }
}

const colors = new Map();
addEventListener("themechange", () => colors.clear());

/** A color of the theme by the name of its variable, as a canvas understands it. */
export function color(name) {
  if (!colors.has(name)) colors.set(name, resolved(`var(--${name})`));
  return colors.get(name);
}

/** A variable is kept as it is written; only an element says what it means in this theme. */
function resolved(value) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = value;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** A canvas that calls `paint(context, width, height)` when its size or the theme changes, and
 * when `update` is called. Sizes are in CSS pixels. */
export class Surface {
  constructor(canvas, paint, pause = 0) {
    this.canvas = canvas;
    this.width = 0;
    this.height = 0;
    this.pause = pause;
    this.context = canvas.getContext("2d");
    this.draw = () => {
      if (!this.width || !this.height) return;
      const ratio = devicePixelRatio || 1;
      const [wide, high] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
      if (canvas.width !== wide || canvas.height !== high) {
        canvas.width = wide;
        canvas.height = high;
      }
      this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.context.clearRect(0, 0, this.width, this.height);
      paint(this.context, this.width, this.height);
    };
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.height = entry.contentRect.height;
      this.update();
    }).observe(canvas);
    addEventListener("themechange", () => this.update());
  }

  update() {
    soon(this.draw, this.pause);
  }
}

export const FONT = '11px ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif';

/** Round numbers between two bounds, about `wanted` of them. */
export function ticks(low, high, wanted) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(at);
  return found;
}

/** A small line of the last values, for a figure. */
export class Spark {
  constructor(canvas, name, most = 120) {
    this.values = [];
    this.most = most;
    this.surface = new Surface(canvas, (context, width, height) => this.paint(context, width, height, color(name)), 500);
  }

  add(value) {
    this.values.push(Number.isFinite(value) ? value : 0);
    if (this.values.length > this.most) this.values.shift();
    this.surface.update();
  }

  paint(context, width, height, stroke) {
    const top = Math.max(...this.values, 1e-9);
    const x = (at) => width - ((this.values.length - 1 - at) * width) / (this.most - 1);
    const y = (value) => height - 1.5 - (value / top) * (height - 3);
    context.beginPath();
    this.values.forEach((value, at) => (at ? context.lineTo(x(at), y(value)) : context.moveTo(x(at), y(value))));
    context.strokeStyle = stroke;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.stroke();
    context.lineTo(width, height);
    context.lineTo(x(0), height);
    context.globalAlpha = 0.14;
    context.fillStyle = stroke;
    context.fill();
    context.globalAlpha = 1;
  }
}
