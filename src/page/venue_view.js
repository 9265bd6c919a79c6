// The venue view: who is present, over half an hour, by endpoint, access point, venue or channel; the
// floor; the events. It draws VenueModel's snapshot, and hands choices on.
//
// Hooks for tests (data-test): present-now (its first number is that of known clients), present-known,
// present-randomized, arrivals, departures (of the last minutes), uncertain, presence-chart, group-sort
// (data-sort), group-row (data-key), group-known, group-randomized, group-occupancy, group-chosen,
// group-all, venue-notes; those of floor_view.js and event_list_view.js.
import { EventListView } from "./event_list_view.js";
import { FloorView } from "./floor_view.js";
import { PresenceChart } from "./presence_chart.js";
import { clock, count, counted, duration, gapWords } from "./words.js";

const SORTS = [["endpoint", "Endpoints"], ["ap", "Access points"], ["venue", "Venues"], ["channel", "Channels"]];
const ONE = { endpoint: "Endpoint", ap: "Access point", venue: "Venue", channel: "Channel" };

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
  node.append(...children);
  return node;
}

const hooked = (name, hook, ...children) => element(name, { "data-test": hook }, ...children);
const setText = (node, text) => node.textContent !== text && (node.textContent = text);

function panel(root, title, style) {
  const id = `venue-${style}`;
  const section = element("section", { class: `panel ${style}`, "aria-labelledby": id });
  section.append(element("h2", { id }, title));
  root.append(section);
  return section;
}

export class VenueView {
  #onSelect;
  #now = {};
  #groups = {};
  #rows = new Map(); // key -> {row, cells}
  #chart;
  #floor;
  #events;

  /** `onSelect`: takes what VenueModel.select() takes. */
  constructor(root, onSelect) {
    this.#onSelect = onSelect;
    root.classList.add("venue");
    const side = element("div", { class: "venue-side" });
    root.append(side);
    this.#makeNow(panel(side, "Present now", "now"));
    this.#makeGroups(panel(side, "Where they are", "groups"));
    this.#floor = new FloorView(panel(root, "Floor", "floor-panel"), (place) => onSelect({ place }));
    this.#events = new EventListView(panel(root, "Events", "event-panel"), onSelect);
  }

  /** Draws what VenueModel.snapshot() has given. */
  draw(snapshot) {
    if (!snapshot || !snapshot.present) return;
    this.#drawNow(snapshot);
    this.#drawGroups(snapshot);
    this.#floor.draw(snapshot.floor, snapshot.windowMs);
    this.#events.draw(snapshot.events, snapshot.endpoints);
  }

  // --- present now ------------------------------------------------------------------------------

  #makeNow(section) {
    const now = this.#now;
    now.known = hooked("strong", "present-known", "–");
    now.knownName = element("span", {}, "known clients");
    now.randomized = hooked("strong", "present-randomized", "–");
    now.randomizedName = element("span", {}, "randomised addresses");
    const line = hooked("div", "present-now", element("p", { class: "headline" }, now.known, " ", now.knownName),
                        element("p", { class: "second" }, "and ", now.randomized, " ", now.randomizedName));
    line.className = "present-now";
    now.why = element("p", { class: "muted small" });
    now.uncertain = hooked("p", "uncertain");
    now.uncertain.className = "uncertain";
    now.arrivals = hooked("strong", "arrivals");
    now.departures = hooked("strong", "departures");
    now.since = element("span", { class: "muted" });
    const turn = element("p", { class: "turn" }, now.arrivals, " came, ", now.departures, " left ", now.since);
    now.scope = hooked("span", "group-chosen");
    now.all = element("button", { type: "button", "data-test": "group-all", hidden: "" }, "Show everywhere");
    now.all.addEventListener("click", () => {
      this.#onSelect({ group: null });
      this.#groups.sorts.get(this.#groups.sort)?.focus();
    });
    const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    chart.setAttribute("data-test", "presence-chart");
    this.#chart = new PresenceChart(chart);
    const legend = element("ul", { class: "legend" });
    for (const [style, name] of [["known", "known clients"], ["randomized", "randomised addresses"],
                                 ["arrivals", "came"], ["departures", "left"], ["hatched", "uncertain"]])
      legend.append(element("li", {}, element("span", { class: `key ${style}`, "aria-hidden": "true" }), name));
    now.notes = hooked("p", "venue-notes");
    now.notes.className = "muted small";
    section.append(line, now.uncertain, element("div", { class: "scope" }, element("h3", {}, now.scope), now.all),
                   turn, chart, legend, now.why, now.notes);
  }

  #drawNow({ now: nowMs, present, recent, series, group, windowMs, uncertain, counts }) {
    const now = this.#now;
    setText(now.known, count(present.known));
    setText(now.knownName, present.known === 1 ? "known client" : "known clients");
    setText(now.randomized, count(present.randomized));
    setText(now.randomizedName, present.randomized === 1 ? "randomised address" : "randomised addresses");
    setText(now.arrivals, count(recent.arrivals));
    setText(now.departures, count(recent.departures));
    setText(now.since, nowMs === null ? "" : `since ${sinceWords(recent, series)}`);
    setText(now.scope, group ? `${ONE[group.sort]} ${group.name}` : "Everywhere");
    now.all.hidden = !group;
    setText(now.why, `Present is who was seen within ${duration(windowMs / 1000)}, or has joined and not left; `
      + "a client is a device by its address, else a person by name. Phones change randomised addresses: one phone may be several of them, so they are not added to the known.");
    setText(now.uncertain, uncertainWords(uncertain));
    now.uncertain.hidden = !uncertain;
    setText(now.notes, notes(counts));
    now.notes.hidden = now.notes.textContent === "";
    this.#chart.draw(series, group ? `${ONE[group.sort]} ${group.name}` : "everywhere");
  }

  // --- groups -----------------------------------------------------------------------------------

  #makeGroups(section) {
    const groups = this.#groups;
    groups.sorts = new Map();
    groups.sort = "endpoint";
    const bar = element("div", { class: "sorts", role: "group", "aria-label": "Grouped by" });
    for (const [sort, name] of SORTS) {
      const button = element("button", { type: "button", "aria-pressed": "false", "data-test": "group-sort",
                                         "data-sort": sort }, name);
      button.addEventListener("click", () => this.#onSelect({ sort }));
      groups.sorts.set(sort, button);
      bar.append(button);
    }
    groups.name = element("th", { scope: "col" });
    groups.random = element("th", { scope: "col", class: "number" }, "Random.");
    groups.says = element("th", { scope: "col", class: "number" }, "Sender says");
    const head = element("tr", {}, groups.name, element("th", { scope: "col", class: "number" }, "Known"),
                         groups.random, groups.says,
                         element("th", { scope: "col", class: "number" }, "Came"),
                         element("th", { scope: "col", class: "number" }, "Left"));
    groups.body = element("tbody");
    groups.table = element("table", { class: "table groups-table" }, element("caption", { class: "said" }, "Who is present where"),
                           element("thead", {}, head), groups.body);
    groups.note = element("p", { class: "muted small" });
    section.append(bar, groups.table, groups.note);
  }

  #drawGroups({ groups: { sort, rows, notShown }, sorts, group, recent, series }) {
    const groups = this.#groups, channels = sort === "channel";
    if (groups.sort !== sort) {
      for (const { row } of this.#rows.values()) row.remove();
      this.#rows.clear();
    }
    groups.sort = sort;
    for (const [name, button] of groups.sorts) {
      const plural = SORTS.find(([key]) => key === name)[1];
      button.setAttribute("aria-pressed", String(name === sort));
      setText(button, `${plural} ${count(sorts[name])}`);
    }
    setText(groups.name, ONE[sort]);
    // Who is in a channel has a name there, not an address.
    groups.says.hidden = !channels;
    groups.random.hidden = channels;
    this.#drawRows(rows, group && group.sort === sort ? group.key : null, channels);
    groups.table.hidden = rows.length === 0;
    const since = ` Came and left: since ${sinceWords(recent, series)}.`;
    setText(groups.note, rows.length === 0 ? `No event has named ${channels || sort === "venue" ? "a" : "an"} `
      + `${ONE[sort].toLowerCase()} yet.`
      : (notShown ? `${counted(notShown, "more")} not shown, with fewer present.` : "")
        + (channels ? "A client counts in each channel it is in."
          : sort === "endpoint" ? "A client counts at each endpoint that tells of it." : "A client counts where it was last seen.") + since);
  }

  #drawRows(rows, chosen, channels) {
    const wanted = new Set(rows.map((row) => row.key)), body = this.#groups.body;
    for (const [key, { row }] of this.#rows) {
      if (wanted.has(key) || row.contains(document.activeElement)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    // A row that has the focus is not moved: it would lose it.
    const focused = document.activeElement && body.contains(document.activeElement);
    rows.forEach((row, i) => {
      const drawn = this.#rows.get(row.key) || this.#makeRow(row.key);
      if (!focused && body.children[i] !== drawn.row) body.insertBefore(drawn.row, body.children[i] || null);
      setText(drawn.name, row.name);
      drawn.name.setAttribute("aria-pressed", String(row.key === chosen));
      drawn.row.classList.toggle("chosen", row.key === chosen);
      for (const key of ["known", "randomized", "arrivals", "departures"]) setText(drawn[key], count(row[key]));
      drawn.occupancy.hidden = !channels;
      drawn.randomized.hidden = channels;
      setText(drawn.occupancy, count(row.occupancy));
    });
  }

  #makeRow(key) {
    const name = element("button", { type: "button", class: "plain" });
    name.addEventListener("click", () => {
      const pressed = name.getAttribute("aria-pressed") === "true";
      this.#onSelect({ group: pressed ? null : { sort: this.#groups.sort, key } });
    });
    const cell = (hook) => element("td", { class: "number", "data-test": hook });
    const drawn = { name, known: cell("group-known"), randomized: cell("group-randomized"),
                    occupancy: cell("group-occupancy"), arrivals: cell("group-arrivals"),
                    departures: cell("group-departures") };
    drawn.row = element("tr", { "data-test": "group-row", "data-key": key }, element("th", { scope: "row" }, name),
                        drawn.known, drawn.randomized, drawn.occupancy, drawn.arrivals, drawn.departures);
    this.#rows.set(key, drawn);
    this.#groups.body.append(drawn.row);
    return drawn;
  }
}

// Of minutes before the first event nothing is known.
function sinceWords(recent, series) {
  return clock(Math.max(recent.since, series[0]?.from ?? 0)).slice(0, 5);
}

function uncertainWords(uncertain) {
  if (!uncertain) return "";
  if (uncertain.reason === "begin")
    return `Uncertain until ${clock(uncertain.until).slice(0, 5)}: who was here before the first event is not known, `
      + "and counts as having come.";
  const until = uncertain.until === null ? "" : ` until ${clock(uncertain.until).slice(0, 5)}`;
  return `Uncertain${until}: ${gapWords(uncertain.gap)}. Who came or left meanwhile shows late.`;
}

function notes(counts) {
  const parts = [];
  if (counts.late)
    parts.push(`${counted(counts.late, "event")} too late to make anybody present: sent again, or a sender's clock is slow.`);
  if (counts.evicted) parts.push(`Too many clients for this page: ${count(counts.evicted)} not counted any more.`);
  if (counts.groupsEvicted) parts.push(`${counted(counts.groupsEvicted, "group")} left out, the least recently heard of.`);
  if (counts.unreadable) parts.push(`${counted(counts.unreadable, "line")} not understood: load the page again.`);
  return parts.join(" ");
}
