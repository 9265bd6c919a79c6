// The live events: a filter, and lines that open to their JSON. Newest on top. Nothing moves under whoever
// reads: while a line is open or has the focus, or the list is scrolled, what is new is put above, out of
// sight, and what is there stays; when readingLines are reached, or Pause is pressed, the list stands still
// and says how much is newer. It goes on by itself when nobody reads any more.
//
// One line at a time is in the tab order; up, down, Home and End go from line to line, Enter opens.
//
// Hooks for tests (data-test): filter-endpoint, filter-kind, filter-mac, event-list, event-line (data-seq),
// event-json, event-pause (aria-pressed), event-newest, event-note.
import { prettyJson } from "./venue_words.js";
import { count, counted } from "./words.js";

const READING_LINES = 200; // three lists and more, so that a lull does not stop it

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
  node.append(...children);
  return node;
}

const setText = (node, text) => node.textContent !== text && (node.textContent = text);

export class EventListView {
  #onSelect;
  #filter = {};
  #list;
  #note;
  #pause;
  #newest;
  #lines = new Map(); // id -> {n, item, details, summary, json, text}
  #paused = false;
  #current = null; // the id of the line in the tab order
  #seen = 0; // of the events that fit, how many had come when the list was last brought up to date
  #shownFilter = "";
  #last = null;

  /** `onSelect`: takes {filter} or {open: ids}. */
  constructor(root, onSelect) {
    this.#onSelect = onSelect;
    const row = element("div", { class: "event-filter", role: "group", "aria-label": "Which events" });
    this.#filter.endpoint = this.#addFilter(row, "Endpoint", "filter-endpoint", "select");
    this.#filter.kind = this.#addFilter(row, "Kind", "filter-kind", "select");
    this.#filter.mac = this.#addFilter(row, "Address or name has", "filter-mac", "input");
    this.#pause = element("button", { type: "button", "aria-pressed": "false", "data-test": "event-pause" }, "Pause");
    this.#pause.addEventListener("click", () => this.#setPaused(!this.#paused));
    row.append(this.#pause);
    this.#note = element("p", { class: "muted event-note", "data-test": "event-note" });
    this.#newest = element("button", { type: "button", "data-test": "event-newest", hidden: "" });
    this.#newest.addEventListener("click", () => this.#goOn());
    this.#list = element("ol", { class: "events", "data-test": "event-list", "aria-label": "Events, newest first" });
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
    this.#list.addEventListener("focusin", (event) => this.#offer(event.target.closest("li")?.dataset.id ?? null));
    this.#list.addEventListener("toggle", (event) => this.#onToggle(event.target.parentElement.dataset.id), true);
    root.append(row, element("div", { class: "event-state" }, this.#note, this.#newest), this.#list);
  }

  #addFilter(row, name, hook, kind) {
    const control = element(kind, { "data-test": hook });
    if (kind === "select") control.append(element("option", { value: "" }, "all"));
    else for (const [key, value] of [["type", "search"], ["autocomplete", "off"], ["spellcheck", "false"],
                                     ["maxlength", "256"], ["placeholder", "dc:ac"]]) control.setAttribute(key, value);
    control.addEventListener("input", () => this.#onFilter());
    row.append(element("label", {}, element("span", {}, name), control));
    return control;
  }

  #onFilter() {
    const { endpoint, kind, mac } = this.#filter;
    this.#onSelect({ filter: { endpoint: endpoint.value, kind: kind.value, mac: mac.value } });
  }

  #setPaused(paused) {
    this.#paused = paused;
    this.#pause.setAttribute("aria-pressed", String(paused));
    if (this.#last) this.draw(...this.#last);
  }

  #goOn() {
    for (const { details } of this.#lines.values()) details.open = false;
    this.#list.scrollTop = 0;
    this.#setPaused(false);
    this.#pause.focus(); // the button that was pressed disappears
  }

  // --- lines ------------------------------------------------------------------------------------

  get #isRead() {
    if (this.#list.scrollTop > 4 || this.#list.contains(document.activeElement)) return true;
    for (const { details } of this.#lines.values()) if (details.open) return true;
    return false;
  }

  /** `events`: the snapshot's; `endpoints`: names for the filter. */
  draw(events, endpoints) {
    this.#last = [events, endpoints];
    this.#drawOptions(this.#filter.endpoint, endpoints);
    this.#drawOptions(this.#filter.kind, events.kinds);
    const come = events.fitted ?? events.total;
    const filter = JSON.stringify(events.filter);
    if (filter !== this.#shownFilter) {
      // Another question, another list.
      this.#shownFilter = filter;
      for (const id of [...this.#lines.keys()]) this.#remove(id);
      this.#list.scrollTop = 0;
      this.#put(events.lines);
      this.#seen = come;
    } else {
      this.#update(events, come);
    }
    this.#fillOpen([...events.lines, ...events.opened]);
    this.#say(events, come);
  }

  #update(events, come) {
    const fresh = events.lines.filter((line) => !this.#lines.has(line.id));
    const reads = this.#isRead;
    if (this.#paused || (reads && this.#lines.size + fresh.length > READING_LINES)) return;
    this.#seen = come;
    if (reads) {
      this.#put(fresh);
      return;
    }
    const wanted = new Set(events.lines.map((line) => line.id));
    for (const id of [...this.#lines.keys()]) if (!wanted.has(id)) this.#remove(id);
    this.#put(fresh);
  }

  // Adds lines in their places; what is in sight stays where it is.
  #put(lines) {
    if (!lines.length) return;
    const top = this.#list.scrollTop, anchor = this.#anchor(), before = anchor?.offsetTop;
    let next = this.#list.firstElementChild;
    for (const line of lines) {
      while (next && this.#lines.get(next.dataset.id).n > line.n) next = next.nextElementSibling;
      this.#list.insertBefore(this.#make(line), next);
    }
    if (anchor) this.#list.scrollTop = top + anchor.offsetTop - before;
    if (!this.#lines.has(this.#current)) this.#offer(this.#list.firstElementChild?.dataset.id ?? null);
  }

  #anchor() {
    if (!this.#isRead) return null;
    const focused = document.activeElement?.closest("li");
    if (focused && this.#list.contains(focused)) return focused;
    for (const item of this.#list.children) if (item.offsetTop + item.offsetHeight > this.#list.scrollTop) return item;
    return null;
  }

  #make(line) {
    const summary = element("summary", { tabindex: -1 }, line.sentence);
    const json = element("pre", { "data-test": "event-json", hidden: "" });
    const details = element("details", {}, summary, json);
    const item = element("li", { "data-test": "event-line", "data-id": line.id, "data-seq": String(line.seq) }, details);
    item.dataset.kind = line.kind;
    this.#lines.set(line.id, { n: line.n, item, details, summary, json, text: line.text });
    return item;
  }

  #remove(id) {
    const { item } = this.#lines.get(id);
    const focused = item.contains(document.activeElement);
    item.remove();
    this.#lines.delete(id);
    if (focused) this.#filter.mac.focus();
  }

  // --- opening ----------------------------------------------------------------------------------

  #onToggle(id) {
    const line = this.#lines.get(id);
    if (!line) return;
    this.#onSelect({ open: [...this.#lines].filter(([, { details }]) => details.open).map(([key]) => key) });
    if (line.details.open) this.#fill(line);
    else line.json.hidden = true;
  }

  #fill(line) {
    line.json.hidden = false;
    if (line.text === undefined) setText(line.json, "…");
    else if (!line.filled) {
      setText(line.json, prettyJson(line.text));
      line.filled = true;
    }
  }

  // A long line's text comes with the snapshot after it was opened.
  #fillOpen(shown) {
    for (const { id, text } of shown) {
      const line = this.#lines.get(id);
      if (!line || text === undefined || line.text !== undefined) continue;
      line.text = text;
      if (line.details.open) this.#fill(line);
    }
  }

  // --- keys -------------------------------------------------------------------------------------

  #offer(id) {
    if (id === this.#current && this.#lines.get(id)?.summary.tabIndex === 0) return;
    this.#lines.get(this.#current)?.summary.setAttribute("tabindex", "-1");
    this.#current = id;
    this.#lines.get(id)?.summary.setAttribute("tabindex", "0");
  }

  #onKey(event) {
    if (!event.target.matches("summary")) return;
    const item = event.target.closest("li");
    const to = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling,
                 Home: this.#list.firstElementChild, End: this.#list.lastElementChild }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    to?.querySelector("summary").focus();
  }

  // --- words ------------------------------------------------------------------------------------

  #drawOptions(select, names) {
    const key = JSON.stringify(names);
    if (select.dataset.names === key || document.activeElement === select) return;
    select.dataset.names = key;
    const chosen = select.value;
    const options = chosen && !names.includes(chosen) ? [...names, chosen] : names;
    select.replaceChildren(element("option", { value: "" }, "all"),
                           ...options.map((name) => element("option", { value: name }, name)));
    select.value = chosen;
  }

  #say(events, come) {
    const newer = come - this.#seen, filtered = events.fitted !== null;
    const still = this.#paused || newer > 0;
    this.#newest.hidden = !still;
    setText(this.#newest, newer > 0 ? `Show ${counted(newer, "newer event")}` : "Go on");
    const parts = [filtered ? `${counted(come, "event")} of ${count(events.total)} ${come === 1 ? "fits" : "fit"}`
      : counted(events.total, "event")];
    if (come > events.lines.length) parts.push(`the newest ${count(this.#lines.size)} are here`);
    if (this.#paused) parts.push("paused");
    else if (newer > 0) parts.push("standing still while you read");
    setText(this.#note, events.total === 0 ? "No event yet. What senders post appears here at once."
      : `${parts.join("; ")}.`);
  }
}
