// The events that are kept to be read, newest last, and those of them that a filter lets through. Pure.
//
// An event is kept as the text of its line; its sentence is made when it is first shown, for 5,000 a
// second come and a few are looked at. A filter looks at what is kept and at what comes: what fits
// it is kept for itself, so that a rare one does not leave with the crowd.
//
// Bounds (listLimits): events and characters of text, each for all and again for what fits; lines
// shown; lines that are open, which are kept until they are closed; kinds offered.
import { identity, sentence } from "./venue_words.js";

export const listLimits = Object.freeze({
  events: 2000,
  chars: 32 * 1024 * 1024, // of both kinds of event the newest one is kept, however long
  shown: 60,
  inlineChars: 8 * 1024, // a longer text goes to the page only once its line is open
  open: 100,
  remembered: 4, // lists last shown: a line that is opened may have left since
  kinds: 100,
});

/** A queue of at most `most` items and `mostChars` of their texts; who comes pushes out the oldest. */
class Kept {
  #items;
  #start = 0;
  #length = 0;
  #chars = 0;
  #mostChars;

  constructor(most, mostChars) {
    this.#items = new Array(most);
    this.#mostChars = mostChars;
  }

  get length() {
    return this.#length;
  }

  push(item) {
    const most = this.#items.length;
    this.#chars += item.text.length;
    while (this.#length === most || (this.#length > 0 && this.#chars > this.#mostChars)) {
      this.#chars -= this.#items[this.#start].text.length;
      this.#items[this.#start] = undefined;
      this.#start = (this.#start + 1) % most;
      this.#length--;
    }
    this.#items[(this.#start + this.#length++) % most] = item;
  }

  /** The i-th oldest. */
  at(i) {
    return this.#items[(this.#start + i) % this.#items.length];
  }

  *newestFirst() {
    for (let i = this.#length; i-- > 0;) yield this.at(i);
  }
}

// "DC-AC" and "dcac" find dc:ac:3d:a5:06:b4.
const hexOnly = (text) => text.replace(/[:.\s-]/g, "");
const isHex = (text) => /^[0-9a-f]+$/.test(text);

export class EventList {
  #limits;
  #all;
  #fitting = null; // null: no filter, all fit
  #filter = { endpoint: "", kind: "", mac: "" };
  #macHex = "";
  #kinds = new Set();
  #shown = []; // the last lists that were shown, newest first
  #open = new Map();
  #sequence = 0;
  total = 0;
  fitted = 0; // since the filter was set, those among what was kept then included

  constructor(limits = {}) {
    this.#limits = { ...listLimits, ...limits };
    this.#all = new Kept(this.#limits.events, this.#limits.chars);
  }

  /** `text`: the line as it came; `cursor` names it, where known. */
  add(text, event, cursor) {
    const kind = typeof event.kind === "string" ? event.kind : "";
    const n = ++this.#sequence;
    const item = { n, text, id: cursor || `${n}`, seq: event.seq, kind,
                   endpoint: typeof event.endpoint === "string" ? event.endpoint : "",
                   who: (identity(event) || "").slice(0, 256).toLowerCase(), sentence: null };
    this.total++;
    this.#all.push(item);
    if (this.#kinds.size < this.#limits.kinds && !this.#kinds.has(kind)) this.#kinds.add(kind);
    if (!this.#fitting) return;
    if (!this.#fits(item)) return;
    this.fitted++;
    this.#fitting.push(item);
  }

  #fits(item) {
    const { endpoint, kind, mac } = this.#filter;
    if ((endpoint && item.endpoint !== endpoint) || (kind && item.kind !== kind)) return false;
    return !mac || item.who.includes(mac) || (this.#macHex !== "" && hexOnly(item.who).includes(this.#macHex));
  }

  /** {endpoint, kind, mac}: "" lets everything through; mac is a part of it, or of who it is. */
  filter(filter) {
    const text = (value) => (typeof value === "string" ? value.slice(0, 256) : "");
    const next = { endpoint: text(filter.endpoint), kind: text(filter.kind),
                   mac: text(filter.mac).trim().toLowerCase() };
    if (["endpoint", "kind", "mac"].every((key) => next[key] === this.#filter[key])) return;
    this.#filter = next;
    this.#macHex = isHex(hexOnly(next.mac)) ? hexOnly(next.mac) : "";
    this.#fitting = null;
    this.fitted = 0;
    if (!next.endpoint && !next.kind && !next.mac) return;
    const fitting = new Kept(this.#limits.events, this.#limits.chars);
    for (let i = 0; i < this.#all.length; i++) {
      if (!this.#fits(this.#all.at(i))) continue;
      fitting.push(this.#all.at(i));
      this.fitted++;
    }
    this.#fitting = fitting;
  }

  /** Keeps the lines of these ids for as long as they are open; others are let go. */
  open(ids) {
    const wanted = new Set(ids.slice(0, this.#limits.open));
    for (const id of this.#open.keys()) if (!wanted.has(id)) this.#open.delete(id);
    for (const id of wanted) {
      if (this.#open.has(id)) continue;
      const found = this.#shown.flat().find((item) => item.id === id)
        || [...this.#all.newestFirst()].find((item) => item.id === id);
      if (found) this.#open.set(id, found);
    }
  }

  #line(item) {
    if (item.sentence === null) item.sentence = sentence(JSON.parse(item.text), item.text);
    const line = { n: item.n, id: item.id, seq: item.seq, kind: item.kind, endpoint: item.endpoint, sentence: item.sentence };
    if (item.text.length <= this.#limits.inlineChars || this.#open.has(item.id)) line.text = item.text;
    return line;
  }

  /**
   * {lines: newest first, each {n: in the order of coming, id, seq, kind, endpoint, sentence, text: the line's own, absent where it
   * is long and not open}, opened: the same of lines that are open and not among them, total, fitted:
   * null without a filter, kept, kinds, filter}
   */
  snapshot() {
    const from = this.#fitting || this.#all, items = [];
    for (const item of from.newestFirst()) {
      if (items.length === this.#limits.shown) break;
      items.push(item);
    }
    this.#shown = [items, ...this.#shown.slice(0, this.#limits.remembered - 1)];
    const present = new Set(items);
    return {
      lines: items.map((item) => this.#line(item)),
      opened: [...this.#open.values()].filter((item) => !present.has(item)).map((item) => this.#line(item)),
      total: this.total,
      fitted: this.#fitting ? this.fitted : null,
      kept: from.length,
      kinds: [...this.#kinds].sort(),
      filter: this.#filter,
    };
  }
}
