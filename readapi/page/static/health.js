// The health of the exchange: figures, the way of an order with its lags, owners, workers, and in
// plain sentences what is wrong.

import * as format from "./format.js";
import { Spark } from "./paint.js";
import { write } from "./symbols.js";

const NO_ANSWER = "The exchange does not answer. This page asks again every second.";
const NO_FEED = "The feed is interrupted, so prices stand still. The page connects again by itself.";
const LAG_FULL = { commit: 500, store: 100, notify: 100 };

export class Health {
  constructor(parts) {
    this.parts = parts;
    this.rate = new Spark(parts.rateSpark, "accent");
    this.p99 = new Spark(parts.p99Spark, "accent");
    this.before = null;
    this.isLive = true;
    this.isReached = true;
    this.complaints = [];
    this.said = "";
  }

  feed(isLive) {
    this.isLive = isLive;
    this.tell();
  }

  /** The answer of GET /admin/health, `null` when there was none. */
  take(answer) {
    this.isReached = answer !== null;
    this.complaints = answer?.complaints ?? [];
    if (answer) write(this.parts.at, `as of ${format.time(Date.parse(answer.read_at))}`);
    this.parts.panel.classList.toggle("stale", !answer?.state);
    if (answer?.state) this.paint(answer.state);
    else this.before = null;
    this.tell();
  }

  tell() {
    const sentences = this.isReached ? [...this.complaints] : [NO_ANSWER];
    if (this.isReached && !this.isLive) sentences.push(NO_FEED);
    const { trouble, list, pill, pillText, announcer } = this.parts;
    trouble.hidden = sentences.length === 0;
    sync(list, sentences.length, "li", (item, at) => write(item, sentences[at]));
    pill.dataset.level = !this.isReached ? "down" : sentences.length ? "warn" : "well";
    write(pillText, pillWords(this.isReached, sentences.length));
    // Said aloud only when it is something else; that a number has changed is nothing new.
    const gist = sentences.join(" ").replace(/\d[\d,]*/g, "#");
    if (gist === this.said) return;
    if (this.said || sentences.length) write(announcer, sentences.join(" ") || "All is well again.");
    this.said = gist;
  }

  paint(state) {
    this.paintFigures(state);
    this.paintWay(state.partitions);
    this.paintOwners(state.partitions);
    this.paintPartitions(state.partitions);
    this.paintWorkers(state.workers);
  }

  paintFigures(state) {
    const traffic = state.workers.map((worker) => worker.traffic).filter(Boolean);
    const rate = traffic.reduce((sum, one) => sum + one.requests_per_second, 0);
    const p50 = weighted(traffic, "p50_ms");
    const p99 = traffic.reduce((most, one) => Math.max(most, one.p99_ms ?? 0), 0) || null;
    write(this.parts.rate, format.rate(rate));
    write(this.parts.p50, format.milliseconds(p50));
    write(this.parts.p99Value, format.milliseconds(p99));
    this.rate.add(rate);
    this.p99.add(p99 ?? 0);
    const own = state.workers.reduce((sum, worker) => sum + (worker.alive ? (worker.memory_bytes ?? 0) : 0), 0);
    write(this.parts.memory, format.bytes(own + state.redis_memory_bytes));
    const most = state.redis_memory_bytes_max;
    const limit = most ? ` of ${format.bytes(most)}` : "";
    write(this.parts.memoryUnit, `of memory; Redis has ${format.bytes(state.redis_memory_bytes)}${limit}`);
  }

  paintWay(partitions) {
    const sum = (name) => partitions.reduce((total, partition) => total + partition[name], 0);
    const now = performance.now();
    const logged = sum("logged");
    const before = this.before;
    this.before = { now, logged };
    const pace = before && logged >= before.logged ? ((logged - before.logged) * 1000) / (now - before.now) : null;
    write(this.parts.stageLog, format.short(logged));
    write(this.parts.stageLogNote, pace === null ? "commands" : `commands, ${format.rate(pace)} a second`);
    const [batches, toStore, toNotify] = [sum("batch"), sum("to_store"), sum("to_notify")];
    write(this.parts.stageCommit, format.short(batches));
    write(this.parts.stageStore, format.short(batches - toStore));
    write(this.parts.stageNotify, format.short(batches - toNotify));
    lag(this.parts.lagCommit, sum("backlog"), "to match");
    lag(this.parts.lagStore, toStore, "to store");
    lag(this.parts.lagNotify, toNotify, "to notify");
    sync(this.parts.strip, partitions.length, "span", (cell, at) => paintCell(cell, partitions[at]));
  }

  paintOwners(partitions) {
    const groups = new Map();
    for (const { partition, owners } of partitions) {
      const names = [owners.matcher, owners.persister, owners.notifier].map((owner) => owner ?? "nobody").join(", ");
      groups.set(names, [...(groups.get(names) ?? []), partition]);
    }
    write(this.parts.owners, [...groups].map(([names, own]) => `${ranges(own)}: ${names}`).join(" · "));
  }

  paintPartitions(partitions) {
    sync(this.parts.partitions, partitions.length, "tr", (row, at) => {
      const { partition, owners, symbols, open_orders, backlog, to_store, to_notify } = partitions[at];
      const figures = [symbols, open_orders, backlog, to_store, to_notify].map(format.count);
      const names = [owners.matcher, owners.persister, owners.notifier];
      cells(row, [partition, ...names.map((name) => name ?? "nobody"), ...figures]);
      names.forEach((name, cell) => row.children[cell + 1].classList.toggle("bad", name === null));
    });
  }

  paintWorkers(workers) {
    sync(this.parts.workers, workers.length, "tr", (row, at) => {
      const worker = workers[at];
      const { traffic } = worker;
      const isWell = worker.alive && worker.health !== "not ready" && worker.health !== "no answer";
      const silent = `silent for ${Math.round(worker.seen_ms_ago / 1000)} s`;
      cells(row, [
        worker.instance,
        worker.alive ? (worker.health === "unknown" ? "alive" : worker.health) : silent,
        format.bytes(worker.memory_bytes),
        traffic ? format.rate(traffic.requests_per_second) : "",
        traffic ? format.milliseconds(traffic.p50_ms) : "",
        traffic ? format.milliseconds(traffic.p99_ms) : "",
      ]);
      row.children[1].dataset.level = isWell ? "well" : "down";
    });
  }
}

function pillWords(isReached, count) {
  if (!isReached) return "No answer";
  if (!count) return "All is well";
  return count === 1 ? "One thing is wrong" : `${count} things are wrong`;
}

/** The mean of a figure, each process as often as it was asked. */
function weighted(traffic, name) {
  const asked = traffic.filter((one) => one[name] !== null);
  const total = asked.reduce((sum, one) => sum + one.requests_per_second, 0);
  if (!total) return asked[0]?.[name] ?? null;
  return asked.reduce((sum, one) => sum + one[name] * one.requests_per_second, 0) / total;
}

function lag(element, count, words) {
  write(element, `${format.short(count)} ${words}`);
  element.dataset.level = count > 1000 ? "warn" : "well";
}

function paintCell(cell, partition) {
  if (!cell.children.length) for (const name of ["log", "store", "notify"]) cell.append(Object.assign(document.createElement("i"), { className: name }));
  const shares = [partition.backlog / LAG_FULL.commit, partition.to_store / LAG_FULL.store, partition.to_notify / LAG_FULL.notify];
  shares.forEach((share, at) => cell.children[at].style.setProperty("--share", Math.min(1, share).toFixed(2)));
  const { matcher, persister, notifier } = partition.owners;
  cell.classList.toggle("orphan", !(matcher && persister && notifier));
}

/** "p00–p07 p09" for sorted names of partitions. */
function ranges(names) {
  const numbers = names.map((name) => Number(name.slice(1)));
  const runs = [];
  numbers.forEach((number, at) => {
    if (at && number === numbers[at - 1] + 1) runs.at(-1)[1] = names[at];
    else runs.push([names[at], names[at]]);
  });
  return runs.map(([first, last]) => (first === last ? first : `${first}–${last}`)).join(" ");
}

/** Make `parent` have `count` children and fill each. */
function sync(parent, count, tag, fill) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(document.createElement(tag));
  [...parent.children].forEach(fill);
}

function cells(row, texts) {
  sync(row, texts.length, "td", (cell, at) => write(cell, texts[at]));
}
