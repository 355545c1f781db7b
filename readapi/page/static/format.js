// Numbers and times as people read them. Prices come in cents, quantities in shares.

const whole = new Intl.NumberFormat("en-US");
const cents = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const minute = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const NOTHING = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const price = (value) => (known(value) ? cents.format(value / 100) : NOTHING);
export const count = (value) => (known(value) ? whole.format(value) : NOTHING);
export const short = (value) => (known(value) ? (value < 10_000 ? whole.format(value) : compact.format(value)) : NOTHING);
export const time = (ms) => clock.format(ms);
export const timeOfDay = (ms) => minute.format(ms);
export const date = (ms) => day.format(ms);

/** A share of 1 as a signed percentage: "+1.25 %". */
export function percent(share) {
  if (!known(share)) return "";
  const shown = (Math.abs(share) * 100).toFixed(2);
  const sign = Number(shown) === 0 ? "" : share < 0 ? "−" : "+";
  return `${sign}${shown} %`;
}

/** An arrow beside the color, for those who do not see colors. */
export const arrow = (value) => (value > 0 ? "▲" : value < 0 ? "▼" : "");

export function bytes(value) {
  if (!known(value)) return NOTHING;
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} GB`;
  return `${Math.round(value / 1e6)} MB`;
}

/** Milliseconds with as many digits as mean something. */
export function milliseconds(value) {
  if (!known(value)) return NOTHING;
  return value < 10 ? value.toFixed(1) : Math.round(value).toString();
}

export function rate(value) {
  if (!known(value)) return NOTHING;
  return value > 0 && value < 10 ? value.toFixed(1) : whole.format(Math.round(value));
}

/** Seconds as minutes and seconds: "4:07". */
export function countdown(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}
