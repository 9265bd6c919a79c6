// The page's main thread: which view is shown, the line at the top that says how the connection is,
// and drawing. It parses nothing and asks nothing: the worker does. A view is drawn only while it is
// shown and the document is visible, in the next animation frame; where that takes long, the next
// snapshot is asked for later, so that drawing has at most a quarter of the time.
//
// Hooks for tests (data-test): node-name, connection-state (data-state: starting, live, behind,
// reconnecting, refused, broken), gap, attention-count, view-venue, view-node.
import { NodeView } from "./node_view.js";
import { VenueView } from "./venue_view.js";
import * as words from "./words.js";

const REST_TIMES = 3; // what drawing has taken, it rests
const REST_MOST_MS = 2000;

const find = (name) => document.querySelector(`[data-test="${name}"]`);
const sections = { venue: document.getElementById("view-venue"), node: document.getElementById("view-node") };
const links = [...document.querySelectorAll("nav a[data-view]")];

let worker = null;
let shown = "venue";
let latest = { venue: null, node: null, connection: null };
let frame = 0;

function send(message) {
  if (worker) worker.postMessage(message);
}

const views = {
  venue: new VenueView(sections.venue, (selection) => send({ type: "select", selection })),
  node: new NodeView(sections.node),
};

// --- the top ------------------------------------------------------------------------------------

// Text that is the same is not set again: a live region would be read out again.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function drawTop() {
  const { connection, node } = latest;
  if (connection) {
    const { state, text } = words.connection(connection);
    const line = find("connection-state"), gap = find("gap"), note = words.gapNote(connection.gap, latest.unreadable);
    if (line.dataset.state !== state) line.dataset.state = state;
    setText(line.querySelector(".words"), text);
    gap.hidden = !note;
    setText(gap, note);
  }
  if (!node) return;
  const name = [node.host || location.host, node.version].filter(Boolean).join(" · ");
  setText(find("node-name"), name);
  const title = `${node.host || location.host} – rollcall`;
  if (document.title !== title) document.title = title;
  const badge = find("attention-count"), count = node.attention ? node.attention.length : 0;
  badge.hidden = count === 0;
  setText(badge.firstElementChild, count ? words.count(count) : "");
  setText(badge.lastElementChild, count === 1 ? " matter needs attention" : " matters need attention");
}

// --- drawing ------------------------------------------------------------------------------------

function draw() {
  frame = 0;
  if (document.hidden) return; // the worker is told when that ends
  const begun = performance.now();
  try {
    drawTop();
    if (latest[shown]) views[shown].draw(latest[shown]);
  } finally {
    const rest = Math.min(REST_MOST_MS, REST_TIMES * (performance.now() - begun));
    setTimeout(send, rest, { type: "taken" });
  }
}

function drawSoon() {
  if (!frame && !document.hidden) frame = requestAnimationFrame(draw);
}

function look() {
  send({ type: "look", visible: !document.hidden, view: shown });
  drawSoon();
}

// --- which view ---------------------------------------------------------------------------------

function show(name) {
  shown = name;
  for (const key of Object.keys(sections)) sections[key].hidden = key !== name;
  for (const link of links) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  look();
}

function follow() {
  const name = location.hash.slice(1);
  if (name in sections) show(name);
}

// --- the worker ---------------------------------------------------------------------------------

function broken(text) {
  const line = find("connection-state");
  line.dataset.state = "broken";
  setText(line.querySelector(".words"), text);
}

function start() {
  try {
    worker = new Worker("worker.js", { type: "module" });
  } catch {
    broken("this browser cannot run the page: it needs module workers (any browser since 2023)");
    return;
  }
  worker.onmessage = ({ data }) => {
    if (!data || data.type !== "snapshot") return;
    latest = { venue: data.venue || latest.venue, node: data.node, connection: data.connection,
               unreadable: data.unreadable };
    drawSoon();
  };
  worker.onerror = () => broken("the page's script failed: load it again; it is from another "
    + "version of the node, or this browser is older than 2023");
}

document.addEventListener("visibilitychange", look);
window.addEventListener("hashchange", follow);
start();
show(location.hash === "#node" ? "node" : "venue");
