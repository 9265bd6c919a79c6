// The floor: clients where their senders place them. A known device is a disc, a randomised address a
// diamond; around it a ring as wide as the position is uncertain; both fade as they age. Access points
// are squares, hollow where their place is an estimate. One client at a time is in the tab order: arrows
// go to the nearest in that direction, Home and End to the first and last; a table says the same.
//
// Hooks for tests (data-test): floor, floor-place (select), floor-client (data-mac: the client's key,
// data-kind: known, randomized), floor-ap (data-kind: known, estimated), floor-said (the sentence of the
// client that is pointed at), floor-note, floor-table.
//
// nearest() and fit() are pure and tested.
import { placeSentence } from "./venue_words.js";
import { niceStep } from "./venue_floor.js";
import { count, counted } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const FADED = 0.3; // of a client that is about to be gone
const SMALL_MOVE = 0.25; // of the picture's width: what goes further jumps
const TABLE_ROWS = 50;
const SCALE_HEIGHT = 30; // of the strip below the picture
const NEW_CLIENTS = 150; // made at one time: where a crowd comes, the rest is drawn with the next snapshot
const LABELLED_APS = 12; // more names than that hide each other

/** The scale and offset by which an extent in metres fills a picture: {scale, x(metres), y(metres)}. */
export function fit(extent, width, height) {
  const scale = Math.min(width / extent.width, height / extent.height);
  const left = (width - extent.width * scale) / 2, top = (height - extent.height * scale) / 2;
  return { scale, x: (x) => left + (x - extent.x) * scale, y: (y) => top + (y - extent.y) * scale };
}

/** Of `points` ({x, y}), the nearest to points[from] within 45° of an arrow's direction; -1: none. */
export function nearest(points, from, key) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  let best = -1, bestDistance = Infinity;
  points.forEach((point, i) => {
    const x = point.x - points[from].x, y = point.y - points[from].y;
    const along = x * dx + y * dy, across = Math.abs(x * dy) + Math.abs(y * dx);
    const distance = x * x + y * y;
    // Of those on the same spot, the arrows that go on reach the later ones.
    const same = distance === 0 && i > from && (key === "ArrowRight" || key === "ArrowDown");
    if (!(same || (along > 0 && across <= along)) || distance >= bestDistance) return;
    best = i;
    bestDistance = distance;
  });
  return best;
}

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
  node.append(...children);
  return node;
}

function shape(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

const setText = (node, text) => node.textContent !== text && (node.textContent = text);

export class FloorView {
  #select;
  #svg;
  #groups;
  #said;
  #note;
  #table;
  #details;
  #clients = new Map(); // key -> {node, ring, body, x, y, client}
  #current = null; // the key that is in the tab order
  #pointed = null;
  #placeKey = null;
  #layout = "";

  /** `onPlace(key)`: another place was chosen. */
  constructor(root, onPlace) {
    this.#select = element("select", { "data-test": "floor-place" });
    this.#select.addEventListener("change", () => onPlace(this.#select.value));
    const label = element("label", { class: "floor-choice" }, element("span", {}, "Place"), this.#select);
    this.#svg = document.createElementNS(SVG, "svg");
    this.#svg.setAttribute("class", "floor");
    this.#svg.setAttribute("role", "group");
    this.#svg.setAttribute("data-test", "floor");
    this.#groups = Object.fromEntries(["grid", "aps", "clients", "scale"]
      .map((name) => [name, shape(this.#svg, "g", { class: name })]));
    this.#said = element("p", { class: "floor-said", "data-test": "floor-said" });
    this.#note = element("p", { class: "muted floor-note", "data-test": "floor-note" });
    this.#table = element("table", { class: "table", "data-test": "floor-table" },
                          element("caption", { class: "said" }, "Clients on the floor"));
    this.#details = element("details", { class: "floor-details" }, element("summary", {}, "The same as a table"),
                            this.#table);
    this.#details.addEventListener("toggle", () => this.#last && this.draw(...this.#last));
    // An <svg> that listens for the focus would itself be a stop of the Tab key.
    const frame = element("div", { class: "floor-frame" }, this.#svg);
    root.append(label, frame, this.#said, FloorView.#legend(), this.#note, this.#details);
    frame.addEventListener("keydown", (event) => this.#onKey(event));
    for (const type of ["pointerover", "focusin"])
      frame.addEventListener(type, (event) => this.#point(event.target.closest("[data-mac]")));
    for (const type of ["pointerleave", "focusout"]) frame.addEventListener(type, () => this.#point(null));
  }

  #last = null;

  static #legend() {
    const list = element("ul", { class: "legend" });
    for (const [style, name] of [["disc", "known client"], ["diamond", "randomised address"],
                                 ["square", "access point"], ["hollow", "access point, estimated"]])
      list.append(element("li", {}, element("span", { class: `key ${style}`, "aria-hidden": "true" }), name));
    return list;
  }

  /** `floor`: the snapshot's; `windowMs`: after how long a position is gone. */
  draw(floor, windowMs) {
    this.#last = [floor, windowMs];
    this.#drawChoice(floor);
    const width = this.#svg.clientWidth, height = this.#svg.clientHeight;
    const at = floor.extent && width && height ? fit(floor.extent, width, height - SCALE_HEIGHT) : null;
    const layout = JSON.stringify([floor.key, floor.extent, width, height]);
    const moved = layout !== this.#layout;
    this.#layout = layout;
    if (moved) this.#drawScale(floor, at, width, height);
    this.#drawAps(floor, at, width);
    this.#drawClients(floor, at, windowMs, moved, width);
    this.#drawWords(floor);
  }

  #drawChoice({ places, key }) {
    const wanted = JSON.stringify(places.map((place) => [place.key, place.name]));
    if (this.#select.dataset.places !== wanted && document.activeElement !== this.#select) {
      this.#select.dataset.places = wanted;
      this.#select.replaceChildren(...places.map((place) => element("option", { value: place.key }, place.name)));
      if (!places.length) this.#select.append(element("option", { value: "" }, "no positions yet"));
    }
    this.#select.disabled = places.length < 2;
    if (document.activeElement !== this.#select && key !== null && this.#select.value !== key) this.#select.value = key;
  }

  #drawScale({ extent }, at, width, height) {
    const { grid, scale } = this.#groups;
    grid.replaceChildren();
    scale.replaceChildren();
    if (!at) return;
    const step = niceStep(extent.width / 2.5), pixels = step * at.scale;
    const lines = niceStep(Math.max(extent.width, extent.height) / 4);
    for (let x = Math.ceil(extent.x / lines) * lines; x <= extent.x + extent.width; x += lines)
      shape(grid, "line", { x1: at.x(x), x2: at.x(x), y1: 0, y2: height - SCALE_HEIGHT });
    for (let y = Math.ceil(extent.y / lines) * lines; y <= extent.y + extent.height; y += lines)
      shape(grid, "line", { x1: 0, x2: width, y1: at.y(y), y2: at.y(y) });
    shape(scale, "path", { d: `M14 ${height - 16}v5h${pixels}v-5` });
    shape(scale, "text", { x: 24 + pixels, y: height - 10, "data-test": "floor-scale" },
          step >= 1000 ? `${count(step / 1000)} km` : `${step} m`);
  }

  #drawAps({ aps }, at, width) {
    const group = this.#groups.aps;
    group.replaceChildren();
    if (!at) return;
    for (const ap of aps) {
      const x = at.x(ap.x), y = at.y(ap.y), kind = ap.estimated ? "estimated" : "known";
      const node = shape(group, "g", { class: "ap", "data-test": "floor-ap", "data-kind": kind });
      shape(node, "title", {}, `Access point ${ap.name}${ap.estimated ? ", where its clients let it be expected" : ""}`);
      shape(node, "rect", { class: kind, x: x - 6, y: y - 6, width: 12, height: 12, rx: 2 });
      if (aps.length > LABELLED_APS) continue;
      const anchor = x < 70 ? "start" : x > width - 70 ? "end" : "middle";
      shape(node, "text", { x: anchor === "middle" ? x : x + (anchor === "start" ? -6 : 6), y: y > 24 ? y - 11 : y + 20,
                            "text-anchor": anchor }, ap.name.length > 18 ? `${ap.name.slice(0, 17)}…` : ap.name);
    }
  }

  #drawClients(floor, at, windowMs, moved, width) {
    const seen = new Set();
    if (floor.key !== this.#placeKey) {
      this.#placeKey = floor.key;
      this.#current = null;
      for (const { node } of this.#clients.values()) node.remove();
      this.#clients.clear();
    }
    let made = 0;
    for (const client of at ? floor.clients : []) {
      const known = this.#clients.get(client.key);
      if (!known && made++ >= NEW_CLIENTS) continue;
      seen.add(client.key);
      const drawn = known || this.#make(client);
      const x = at.x(client.x), y = at.y(client.y);
      const far = Math.hypot(x - drawn.x, y - drawn.y) > width * SMALL_MOVE;
      drawn.node.classList.toggle("jumps", !known || moved || far);
      if (drawn.x !== x || drawn.y !== y) drawn.node.style.transform = `translate(${x}px, ${y}px)`;
      Object.assign(drawn, { x, y, client });
      if (client.unc && !drawn.ring) drawn.node.prepend(drawn.ring = shape(drawn.node, "circle", { class: "unc" }));
      drawn.ring?.setAttribute("r", client.unc ? Math.max(client.unc * at.scale, 9).toFixed(1) : 0);
      const strength = 1 - (1 - FADED) * Math.min(client.age / windowMs, 1);
      drawn.body.style.opacity = strength.toFixed(2);
      if (drawn.ring) drawn.ring.style.opacity = (strength * 0.7).toFixed(2);
      const said = placeSentence(client, client.age < 10000 ? 0 : Math.floor(client.age / 10000) * 10000);
      if (drawn.said !== said) drawn.node.setAttribute("aria-label", drawn.said = said);
    }
    for (const [key, drawn] of this.#clients) {
      // Whoever has the focus keeps it, faint, until it is moved on.
      if (seen.has(key) || drawn.node === document.activeElement) continue;
      drawn.node.remove();
      this.#clients.delete(key);
    }
    if (!this.#clients.has(this.#current)) this.#offer(this.#clients.keys().next().value ?? null);
  }

  #make(client) {
    const kind = client.randomized ? "randomized" : "known";
    const node = shape(this.#groups.clients, "g", { class: `client ${kind} jumps`, role: "img", tabindex: -1,
                                                    "data-test": "floor-client", "data-mac": client.key,
                                                    "data-kind": kind });
    const ring = client.unc ? shape(node, "circle", { class: "unc", r: 0 }) : null;
    shape(node, "circle", { class: "focus-ring", r: 12 }); // and what a finger meets
    const body = kind === "known" ? shape(node, "circle", { class: "body", r: 6 })
      : shape(node, "path", { class: "body", d: "M0-8L8 0L0 8L-8 0Z" });
    const drawn = { node, ring, body, x: NaN, y: NaN, client, said: "" };
    this.#clients.set(client.key, drawn);
    return drawn;
  }

  // Puts a client into the tab order, in the place of the one that was.
  #offer(key) {
    this.#clients.get(this.#current)?.node.setAttribute("tabindex", -1);
    this.#current = key;
    this.#clients.get(key)?.node.setAttribute("tabindex", 0);
  }

  #onKey(event) {
    const all = [...this.#clients.values()], from = all.findIndex((one) => one.node === document.activeElement);
    if (from < 0) return;
    const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1
      : event.key.startsWith("Arrow") ? nearest(all, from, event.key) : -1;
    if (to < 0 && !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    if (to < 0) return;
    this.#offer(all[to].client.key);
    all[to].node.focus();
  }

  #point(node) {
    this.#pointed = node ? node.dataset.mac : null;
    if (node && document.activeElement === node) this.#offer(node.dataset.mac);
    this.#say();
  }

  #say() {
    const drawn = this.#clients.get(this.#pointed);
    setText(this.#said, drawn ? placeSentence(drawn.client, drawn.client.age)
      : this.#clients.size ? "Point at a client, or reach it with Tab and the arrow keys." : "");
  }

  #drawWords(floor) {
    const known = floor.clients.filter((client) => !client.randomized).length;
    this.#svg.setAttribute("aria-label", floor.key === null ? "Floor: no positions yet"
      : `Floor of ${floor.name}: ${counted(known, "known client")}, `
        + counted(floor.clients.length - known, "randomised address", "randomised addresses"));
    const parts = [];
    if (floor.key === null)
      parts.push("No sender has given a position within the last minutes: x and y, or latitude and longitude.");
    else parts.push(floor.metric ? "x to the right, y downwards, in metres." : "North is up.");
    if (floor.notShown) parts.push(`${counted(floor.notShown, "more client")} not shown.`);
    if (floor.outside) parts.push(`${counted(floor.outside, "client")} outside the picture.`);
    setText(this.#note, parts.join(" "));
    this.#svg.classList.toggle("empty", floor.key === null);
    this.#say();
    if (this.#details.open) this.#drawTable(floor);
  }

  #drawTable({ clients }) {
    const head = element("thead", {}, element("tr", {}, ...["Client", "x, m", "y, m", "± m", "Seen"]
      .map((name) => element("th", { scope: "col" }, name))));
    const body = element("tbody");
    for (const client of clients.slice(0, TABLE_ROWS)) {
      body.append(element("tr", {}, element("th", { scope: "row" }, `${client.key}${client.randomized ? " (randomised)" : ""}`),
                          ...[client.x.toFixed(1), client.y.toFixed(1), client.unc ? client.unc.toFixed(1) : "–",
                              `${Math.round(client.age / 1000)} s ago`].map((text) => element("td", {}, text))));
    }
    if (clients.length > TABLE_ROWS)
      body.append(element("tr", {}, element("td", { colspan: 5 }, `${count(clients.length - TABLE_ROWS)} more`)));
    this.#table.replaceChildren(this.#table.caption, head, body);
  }
}
