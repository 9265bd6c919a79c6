// Everything that costs time, away from the page: the event stream, the status, both models. Posts
// one snapshot at most four times a second, and only while somebody looks at the page.
//
// Messages in: {type: "look", visible, view: "venue"|"node"}; {type: "select", selection};
// {type: "taken"} (the page has drawn the last snapshot, and rested: without that no other is sent,
// so that a page that is busy is not piled up on). Out: {type: "snapshot", connection, node, venue or absent
// (another view is shown), unreadable: lines of the stream that were no JSON}.
//
// Bounds: one EventSource, one request under way, at most batchLimits of events between two feeds
// of the model, one snapshot on its way; the models have their own.
import { EventBatch, StreamModel } from "./stream.js";
import { NodeModel } from "./node_model.js";
import { VenueModel } from "./venue_model.js";

const SNAPSHOT_MS = 250;
const FEED_MS = 50;
const POLL_MS = 2000;
const POLL_TROUBLED_MS = 1000;
const POLL_HIDDEN_MS = 10000;
const POLL_REFUSED_MS = 15000; // 401, 403, 421: only a person changes that
const POLL_LARGE_MS = 10000; // a status of thousands of endpoints is work for the node
const LARGE_BYTES = 256 * 1024;
const ANSWER_MS = 10000;
const PROBE_MS = 3000;
const MAX_STATUS_BYTES = 16 * 1024 * 1024;

const stream = new StreamModel(Date.now());
const batch = new EventBatch();
const node = new NodeModel();
const venue = new VenueModel();
let source = null;
let feedTimer = null;
let pollTimer = null;
let polling = false;
let statusBytes = 0;
let lastStatus = null;
let look = { visible: true, view: "venue" };
let taken = true;
let lastPost = 0;

// --- the stream ---------------------------------------------------------------------------------

// An event that the venue's model cannot take costs its batch, not the page.
function guarded(act) {
  try {
    return act();
  } catch (error) {
    console.error(error);
    return undefined;
  }
}

function feed() {
  clearTimeout(feedTimer);
  feedTimer = null;
  if (batch.size) guarded(() => venue.addEvents(batch.take(), Date.now()));
}

function onLine(message) {
  stream.onEvent(message.lastEventId, Date.now());
  if (batch.add(message.data, message.lastEventId)) feed();
  else if (feedTimer === null) feedTimer = setTimeout(feed, FEED_MS);
}

function onGap(message) {
  let gap = {};
  try {
    gap = JSON.parse(message.data).gap;
  } catch {
    // Its words are lost, that there is one is not.
  }
  feed(); // what came before it, before it
  gap = gap && typeof gap === "object" ? gap : {};
  stream.onGap(gap, message.lastEventId, Date.now());
  guarded(() => venue.addGap(gap, Date.now()));
}

function openStream() {
  if (source) source.close();
  const opened = source = new EventSource(stream.url(lastStatus));
  source.onopen = () => opened === source && stream.onOpen(Date.now());
  source.onmessage = (message) => opened === source && onLine(message);
  source.addEventListener("gap", (message) => opened === source && onGap(message));
  source.onerror = () => {
    if (opened !== source) return;
    const closed = source.readyState === EventSource.CLOSED;
    stream.onError(closed, Date.now());
    if (closed) askWhy();
    poll();
  };
}

// An EventSource does not tell why it was refused; the same address, asked for nothing, does.
async function askWhy() {
  const answer = await ask("v1/events?from=now&follow=0");
  if (answer.failure) stream.onRefused(answer.failure, Date.now());
}

// --- the status ---------------------------------------------------------------------------------

async function ask(path, credentials = "same-origin", mostMs = ANSWER_MS) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), mostMs);
  try {
    const answer = await fetch(path, { cache: "no-store", credentials, redirect: "error",
                                       signal: stop.signal });
    if (!answer.ok) return { failure: { kind: "http", status: answer.status } };
    return { text: await answer.text() };
  } catch {
    return { failure: { kind: stop.signal.aborted ? "timeout" : "network" } };
  } finally {
    clearTimeout(timer);
  }
}

function readStatus(text) {
  if (text.length > MAX_STATUS_BYTES) return null;
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

// A browser that asks its user for the secret keeps the request waiting, and tells nobody. Without
// credentials it does not ask: then the answer shows what it is about.
async function askStatus() {
  const answer = await ask("v1/status");
  if (!answer.failure || answer.failure.kind !== "timeout") return answer;
  const probe = await ask("v1/status", "omit", PROBE_MS);
  return probe.failure && probe.failure.kind === "http" ? probe : answer;
}

async function pollOnce() {
  const answer = await askStatus();
  const now = Date.now();
  const status = answer.failure ? null : readStatus(answer.text);
  if (!status) {
    const failure = answer.failure || { kind: "unreadable" };
    node.addFailure(failure, now);
    stream.onStatusFailure(failure, now);
    return;
  }
  statusBytes = answer.text.length;
  lastStatus = status;
  node.addStatus(status, now);
  venue.setClock(Date.parse(status.now), now);
  stream.onStatus(status, now);
}

function pause() {
  if (!look.visible) return POLL_HIDDEN_MS;
  if (statusBytes > LARGE_BYTES) return POLL_LARGE_MS;
  if (stream.forbidden) return POLL_REFUSED_MS;
  return stream.troubled ? POLL_TROUBLED_MS : POLL_MS;
}

async function poll() {
  if (polling) return;
  polling = true;
  clearTimeout(pollTimer);
  try {
    await pollOnce();
  } finally {
    polling = false;
    pollTimer = setTimeout(poll, pause());
  }
}

// --- the page -----------------------------------------------------------------------------------

function post() {
  const now = Date.now();
  if (!look.visible || !taken || (now - lastPost < SNAPSHOT_MS && now >= lastPost)) return;
  lastPost = now;
  taken = false;
  feed();
  const message = { type: "snapshot", connection: stream.snapshot(now), node: node.snapshot(now),
                    unreadable: batch.unreadable };
  if (look.view === "venue")
    message.venue = guarded(() => venue.snapshot(now, message.connection.state === "live"));
  self.postMessage(message);
}

function tick() {
  const { open, woke } = stream.tick(Date.now());
  if (open) openStream();
  if (woke) poll();
  post();
}

self.onmessage = ({ data }) => {
  switch (data && data.type) {
  case "look": {
    const appeared = data.visible && !look.visible;
    look = { visible: data.visible !== false, view: data.view === "node" ? "node" : "venue" };
    taken = true;
    lastPost = 0;
    if (appeared) poll();
    post();
    break;
  }
  case "select":
    guarded(() => venue.select(data.selection));
    lastPost = 0;
    post();
    break;
  case "taken":
    taken = true;
    break;
  }
};

// The status first: it says how far back the ring reaches.
poll().finally(() => {
  openStream();
  setInterval(tick, SNAPSHOT_MS / 2);
});
