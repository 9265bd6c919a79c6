// The node view: draws NodeModel's snapshot. What needs attention first, then the figures, the two
// charts, senders, readers, connections, the node itself. Elements are made once and their text is
// set where it differs, so that four snapshots a second move nothing that has not changed.
//
// Hooks for tests (data-test): attention, attention-item (data-level, data-about), all-well,
// events-per-second, ack-p50, ack-p99, ring-fill, ring-oldest-age, connections-open, loop-lag,
// certificate-days, chart-rate, chart-latency, duplicates, rejected, unreadable, late, refused, sender-row
// (data-endpoint, data-level), sender-delivery, sender-said, refused-codes, reader-row (data-reader),
// reader-lag, readers-connected, readers-lost, handshakes, handshakes-failed, connections-refused,
// timeouts, strangers, node-uptime, node-ring, node-disk, node-reload, node-privacy, node-dedupe.
import { LineChart } from "./chart.js";
import { codeWords } from "./node_words.js";
import * as words from "./words.js";

const levelNames = { alarm: "Alarm", warn: "Warning", info: "Note" };

/** An element with attributes and children; text is text, never markup. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Text in which `these` are names of settings or commands: each becomes a <code> of its own. */
function setRich(element, text) {
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  element.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part)));
}

function setData(element, key, value) {
  if (element.dataset[key] !== value) element.dataset[key] = value;
}

/** Rows by key in `parent`, in the order of `items`: made, moved and removed as need be. */
class Rows {
  #parent;
  #make;
  #rows = new Map();

  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  draw(items, keyOf) {
    const wanted = new Map(items.map((item) => [keyOf(item), item]));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    let at = this.#parent.firstElementChild;
    for (const [key, item] of wanted) {
      let row = this.#rows.get(key);
      if (!row) this.#rows.set(key, row = this.#make(item));
      row.update(item);
      if (row.element === at) at = at.nextElementSibling;
      else this.#parent.insertBefore(row.element, at);
    }
  }
}

/** "1,234" and what of it is of late. */
function withRecent({ total, recent }, recentS) {
  if (total === null) return ["–", ""];
  const late = recent ? `+${words.count(recent)} in ${words.duration(recentS)}` : "";
  return [words.count(total), late];
}

const ended = (text) => (/[.?!]$/.test(text) ? text : `${text}.`);
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function certificateWords(days) {
  if (days === null) return "–";
  if (days < 0) return "ended";
  return words.counted(Math.floor(days), "day");
}

function pairs(map) {
  const parts = [...map].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  return parts.length ? parts.map(([key, n]) => `${key} ${words.count(n)}`).join(", ") : "none";
}

export class NodeView {
  #figures = new Map();
  #details = new Map();
  #parts = {};

  constructor(root) {
    root.append(this.#makeAttention(), this.#makeFigures(), this.#makeCharts(), this.#makeSenders(),
                this.#makeReaders(), this.#makeDetails());
    this.#parts.root = root;
  }

  // --- made once --------------------------------------------------------------------------------

  #panel(title, ...children) {
    const id = `node-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
    return make("section", { class: "panel", "aria-labelledby": id }, make("h2", { id }, title), ...children);
  }

  #makeAttention() {
    const list = make("ul", { class: "attention", "data-test": "attention" });
    const well = make("p", { class: "well", "data-test": "all-well" });
    const more = make("p", { class: "muted", hidden: "" });
    this.#parts.attention = new Rows(list, (finding) => this.#makeFinding(finding));
    Object.assign(this.#parts, { well, attentionMore: more, attentionList: list });
    return this.#panel("Needs attention", well, list, more);
  }

  #makeFinding() {
    const label = make("strong", { class: "level" }), text = make("span", { class: "text" });
    const advice = make("p", { class: "advice" });
    const element = make("li", { "data-test": "attention-item" }, make("p", {}, label, " ", text), advice);
    return { element, update: (finding) => {
      setData(element, "level", finding.level);
      setData(element, "about", finding.about);
      setText(label, levelNames[finding.level] || "Note");
      setRich(text, ended(finding.text));
      setRich(advice, ended(sentence(finding.advice)));
    } };
  }

  #figure(list, test, name) {
    const value = make("dd", { class: "value", "data-test": test }), note = make("dd", { class: "note" });
    const box = make("div", {}, make("dt", {}, name), value, note);
    list.append(box);
    this.#figures.set(test, { box, value, note });
  }

  #makeFigures() {
    const list = make("dl", { class: "figures" });
    for (const [test, name] of [
      ["events-per-second", "Events a second"], ["ack-p99", "Acknowledged, p99"],
      ["ring-fill", "Ring filled"], ["ring-oldest-age", "Oldest event"],
      ["duplicates", "Duplicates"], ["rejected", "Parts left out"], ["unreadable", "Unreadable"],
      ["late", "Late events"], ["refused", "Posts refused"], ["connections-open", "Connections"], ["loop-lag", "Longest wait"],
      ["certificate-days", "Certificate"],
    ]) this.#figure(list, test, name);
    return list;
  }

  #makeCharts() {
    const svg = (test) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      element.setAttribute("data-test", test);
      return element;
    };
    const rate = svg("chart-rate"), latency = svg("chart-latency");
    this.#parts.rate = new LineChart(rate, {
      label: "Events a second", format: (value) => words.short(value < 10 ? Math.round(value * 10) / 10 : value),
      series: [{ name: "events/s", class: "series-1" }] });
    this.#parts.latency = new LineChart(latency, {
      label: "Time to acknowledge a post", format: words.latency,
      series: [{ name: "p50", class: "series-1" }, { name: "p99", class: "series-2" }] });
    return make("div", { class: "columns" }, this.#panel("Events a second", rate),
                this.#panel("Time to acknowledge a post", latency));
  }

  #table(caption, names, numbers) {
    const body = make("tbody", { role: "rowgroup" });
    const head = make("tr", { role: "row" }, ...names.map((name, i) => make("th",
      { scope: "col", role: "columnheader", class: numbers.includes(i) ? "number" : "" }, name)));
    const table = make("table", { class: "table stacking", role: "table" },
      make("caption", { class: "said" }, caption), make("thead", { role: "rowgroup" }, head), body);
    return { table, body };
  }

  #cells(names, numbers, tests, wide = []) {
    return names.map((name, i) => make(i ? "td" : "th", {
      role: i ? "cell" : "rowheader", ...(i ? {} : { scope: "row" }), "data-label": name,
      class: numbers.includes(i) ? "number" : wide.includes(i) ? "wide" : i ? "firm" : "", ...(tests[i] ? { "data-test": tests[i] } : {}) }));
  }

  #makeSenders() {
    const names = ["Sender", "Last delivery", "Events/s", "Events", "Duplicates", "Left out", "Unreadable",
                   "Refused", "What to know"];
    const numbers = [2, 3, 4, 5, 6, 7];
    const tests = ["", "sender-delivery", "", "", "", "", "", "refused-codes", "sender-said"];
    const { table, body } = this.#table("Senders: what each has delivered, and what is wrong", names, numbers);
    const more = make("p", { class: "muted", hidden: "" });
    this.#parts.senders = new Rows(body, () => {
      const cells = this.#cells(names, numbers, tests, [8]);
      const name = make("span"), provider = make("span", { class: "muted block" });
      cells[0].append(name, " ", provider);
      const element = make("tr", { role: "row", "data-test": "sender-row" }, ...cells);
      return { element, update: (sender) => this.#drawSender(element, cells, name, provider, sender) };
    });
    this.#parts.sendersMore = more;
    return this.#panel("Senders", table, more);
  }

  #drawSender(row, cells, name, provider, sender) {
    setData(row, "endpoint", sender.name);
    setData(row, "level", sender.level);
    setText(name, sender.name);
    setText(provider, sender.provider || "");
    const said = [sender.said && ended(sender.said), !sender.said && sender.problem && ended(`Last trouble: ${sender.problem}`)]
      .filter(Boolean).join(" ");
    [sender.delivery, words.rate(sender.rate), words.count(sender.accepted), words.count(sender.duplicates),
     words.count(sender.rejected), words.count(sender.unreadable),
     sender.refused ? codeWords(sender.codes) : "0"]
      .forEach((text, i) => setText(cells[i + 1], text));
    setRich(cells[8], said || "–");
  }

  #makeReaders() {
    const names = ["Reader", "Events behind", "State"], numbers = [1];
    const { table, body } = this.#table("Held readers", names, numbers);
    const line = make("p", { class: "muted readers-line" });
    this.#parts.readers = new Rows(body, () => {
      const cells = this.#cells(names, numbers, ["", "reader-lag", ""]);
      const element = make("tr", { role: "row", "data-test": "reader-row" }, ...cells);
      return { element, update: (reader) => {
        setData(element, "reader", reader.name);
        setData(element, "level", reader.level);
        [reader.name, words.count(reader.lag), reader.said].forEach((text, i) => setText(cells[i], text));
      } };
    });
    const connected = make("span", { "data-test": "readers-connected" });
    const lost = make("span", { "data-test": "readers-lost" }), more = make("span");
    line.append(connected, " ", lost, " ", more);
    Object.assign(this.#parts, { readersTable: table, connected, lost, readersMore: more });
    return this.#panel("Readers", line, table);
  }

  #makeDetails() {
    const detail = (list, test, name) => {
      const value = make("dd", { "data-test": test });
      list.append(make("div", {}, make("dt", {}, name), value));
      this.#details.set(test, value);
    };
    const peers = make("dl", { class: "details" }), node = make("dl", { class: "details" });
    for (const [test, name] of [
      ["connections-accepted", "Taken"], ["connections-refused", "Refused"], ["timeouts", "Timed out"],
      ["handshakes", "Handshakes"], ["handshakes-failed", "Handshakes failed"],
      ["strangers", "Answers to strangers"],
    ]) detail(peers, test, name);
    for (const [test, name] of [
      ["node-uptime", "Up for"], ["node-ring", "Ring"], ["node-disk", "Disk"],
      ["node-certificate", "Certificate"], ["node-reload", "Reloads"], ["node-privacy", "Privacy"],
      ["node-dedupe", "Known ids"],
    ]) detail(node, test, name);
    return make("div", { class: "columns" }, this.#panel("Connections", peers), this.#panel("This node", node));
  }

  // --- drawn with each snapshot -----------------------------------------------------------------

  draw(snapshot) {
    const { root, well } = this.#parts;
    root.classList.toggle("stale", Boolean(snapshot.failure));
    if (snapshot.waiting) {
      setText(well, snapshot.failure ? "No figures yet." : "Waiting for the node's first answer.");
      return;
    }
    this.#drawAttention(snapshot);
    this.#drawFigures(snapshot);
    this.#parts.rate.draw(snapshot.points.map((point) => ({ t: point.t, v: [point.rate] })));
    this.#parts.latency.draw(snapshot.points.map((point) => ({ t: point.t, v: [point.p50, point.p99] })));
    this.#parts.senders.draw(snapshot.senders, (sender) => sender.name);
    this.#more(this.#parts.sendersMore, snapshot.sendersHidden, "sender");
    this.#drawReaders(snapshot);
    this.#drawDetails(snapshot);
  }

  #more(element, hidden, one) {
    element.hidden = hidden === 0;
    setText(element, hidden ? `${words.counted(hidden, `more ${one}`)} not shown.` : "");
  }

  #drawAttention({ attention, attentionHidden, failure, ageMs }) {
    const { well, attentionMore, attentionList } = this.#parts;
    this.#parts.attention.draw(attention, (finding) => `${finding.about} ${finding.level} ${finding.text.slice(0, 12)}`);
    attentionList.hidden = attention.length === 0;
    well.hidden = attention.length > 0 && !failure;
    setText(well, failure
      ? `These figures are ${words.duration(ageMs / 1000)} old.`
      : "Nothing: no alarm, no warning.");
    this.#more(attentionMore, attentionHidden, "matter");
  }

  #set(test, value, note = "", level = "") {
    const figure = this.#figures.get(test);
    setText(figure.value, value);
    setText(figure.note, note);
    setData(figure.box, "level", level);
  }

  #drawFigures(s) {
    const levelOf = (about) => (s.attention.find((finding) => finding.about === about) || {}).level || "";
    this.#set("events-per-second", words.rate(s.eventsPerSecond), "over 10 s");
    this.#set("ack-p99", words.latency(s.ack.p99),
              s.ack.p50 === null ? "no posts in 1 min" : `half in ${words.latency(s.ack.p50)}`);
    this.#set("ring-fill", words.percent(s.ringFill), `${words.counted(s.ring.events, "event")} of ${words.bytes(s.ring.size)}`);
    this.#set("ring-oldest-age", s.ring.events ? words.duration(s.ring.oldestAgeS) : "–",
              "how far back one can read", levelOf("ring"));
    for (const key of ["duplicates", "rejected", "unreadable", "late", "refused"])
      this.#set(key, ...withRecent(s[key], s.recentS));
    this.#set("connections-open", words.count(s.connections.open), `of ${words.count(s.connections.most)} at most`,
              levelOf("connections"));
    this.#set("loop-lag", words.latency(s.loopLagS), "for the node, in 1 min", levelOf("loop"));
    this.#set("certificate-days", certificateWords(s.certificateDays),
              s.certificate.expires === null ? "" : `until ${words.day(s.certificate.expires)}`, levelOf("certificate"));
  }

  #drawReaders(s) {
    setText(this.#parts.connected, `${words.counted(s.readers, "connection")} on the socket.`);
    setText(this.#parts.lost, s.readersLost ? `${words.counted(s.readersLost, "event")} lost by readers.` : "No reader has lost an event.");
    setText(this.#parts.readersMore, s.held.length ? "" : "No held readers.");
    this.#parts.readersTable.hidden = s.held.length === 0;
    this.#parts.readers.draw(s.held, (reader) => reader.name);
  }

  #drawDetails(s) {
    const set = (test, text) => setText(this.#details.get(test), text);
    const c = s.connections, shares = c.full !== null && c.resumed !== null;
    set("connections-accepted", words.count(c.accepted));
    set("connections-refused", pairs(c.refused));
    set("timeouts", words.count(c.timeouts));
    set("handshakes", shares ? `${words.count(c.full)} whole, ${words.count(c.resumed)} resumed` : "–");
    set("handshakes-failed", pairs(c.failed));
    set("strangers", pairs(s.strangers));
    set("node-uptime", words.duration(s.uptimeS));
    set("node-ring", `${s.ring.id || "–"}, ${words.bytes(s.ring.size)}, ${s.ring.file === null ? "–"
      : s.ring.file ? `in a file, sync ${s.ring.sync || "–"}` : "in memory"}`);
    set("node-disk", s.diskFailed === null ? "–" : s.diskFailed ? "fails" : s.ring.file ? "well" : "not used");
    set("node-certificate", s.certificate.refused ? "new files cannot be used" : certificateWords(s.certificateDays) + " left");
    set("node-reload", s.reload.count === null ? "–" : s.reload.count === 0 ? "none"
      : `${words.count(s.reload.count)}, ${words.count(s.reload.failed)} failed; the last ${s.reload.ok ? "took" : "failed"}`);
    set("node-privacy", `MAC addresses ${privacyWord(s.privacy.mac)}, personal data ${privacyWord(s.privacy.personal)}`);
    set("node-dedupe", s.dedupe.mode === "off" ? "duplicates are not looked for"
      : `${words.count(s.dedupe.ids)} of ${words.count(s.dedupe.maxIds)}`);
  }
}

function privacyWord(mode) {
  return { plain: "plain", keep: "kept", pseudonym: "as pseudonyms", drop: "dropped" }[mode] || "–";
}
