// The stream's own state: where it begins, when it is opened anew, what is said of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventBatch, StreamModel, batchLimits, parseCursor, streamLimits } from "../../src/page/stream.js";

const RING = "9f0c9f0c9f0c9f0c";
const status = (newest, oldest = 1, id = RING) => ({ ring: { id, newest_seq: newest, oldest_seq: oldest } });
const query = (url) => Object.fromEntries(new URL(url, "http://node/").searchParams);

/** Ticks as the worker does, until `ms` have passed; the answers that asked for something. */
function run(model, from, ms) {
  const asked = [];
  for (let t = from; t <= from + ms; t += 250) {
    const { open, woke } = model.tick(t);
    if (open || woke) asked.push({ at: t - from, open, woke });
  }
  return asked;
}

test("it begins with the oldest event, or not too far back", () => {
  const model = new StreamModel(0);
  const most = streamLimits.backlog;
  for (const given of [null, {}, { ring: 7 }, { ring: null }, status(0), status(most), status("9", "1"), status(-1, 0)])
    assert.deepEqual(query(model.url(given)), { from: "oldest", heartbeat: "15" });
  assert.deepEqual(query(model.url(status(most + 1))), { after: `${RING}-1`, heartbeat: "15" });
  assert.deepEqual(query(model.url(status(9 * most, 8 * most + 1))), { from: "oldest", heartbeat: "15" });
});

test("it goes on behind what it has seen, gaps included", () => {
  const model = new StreamModel(0);
  model.onEvent(`${RING}-7`, 1);
  assert.deepEqual(query(model.url(status(1e6))), { after: `${RING}-7`, heartbeat: "15" });
  model.onGap({ reason: "overrun", lost: 3 }, `${RING}-10`, 2);
  assert.equal(query(model.url(null)).after, `${RING}-10`);
  model.onEvent("", 3); // a line without an id leaves it
  assert.equal(query(model.url(null)).after, `${RING}-10`);
});

test("a live stream is left alone", () => {
  const model = new StreamModel(0);
  model.onOpen(0);
  model.onEvent(`${RING}-7`, 0);
  model.onStatus(status(7), 0);
  assert.deepEqual(run(model, 0, 10 * streamLimits.stallMs), []);
  assert.equal(model.snapshot(1e5).state, "live");
  assert.equal(model.troubled, false);
});

test("the browser is left to come back by itself while it tries", () => {
  const model = new StreamModel(0);
  model.onOpen(0);
  model.onError(false, 100);
  model.onStatusFailure({ kind: "network" }, 100);
  assert.equal(model.snapshot(100).state, "reconnecting");
  assert.equal(model.troubled, true);
  assert.deepEqual(run(model, 100, 60000), []);
  model.onOpen(61000);
  assert.equal(model.snapshot(61000).state, "live");
});

test("where the node answers, but the stream does not come up, it is opened anew", () => {
  const model = new StreamModel(0);
  model.onOpen(0);
  model.onError(false, 0);
  model.onStatusFailure({ kind: "network" }, 0);
  assert.deepEqual(run(model, 0, 60000), []);
  model.onStatus(status(7), 60000);
  const asked = run(model, 60250, 3.5 * streamLimits.stallMs).map(({ at }) => at);
  assert.equal(asked.length, 3);
  assert.ok(asked[0] > streamLimits.stallMs && asked[1] - asked[0] > streamLimits.stallMs, `${asked}`);
});

test("where the browser gives up, it is opened anew, more and more seldom", () => {
  const model = new StreamModel(0);
  let t = 0;
  for (const pause of [...streamLimits.retryMs, streamLimits.retryMs.at(-1)]) {
    model.onError(true, t);
    const asked = run(model, t, pause + 500);
    assert.deepEqual(asked, [{ at: pause, open: true, woke: false }]);
    t += pause + 500;
  }
  model.onEvent(`${RING}-1`, t); // it works: the next trouble begins anew
  model.onError(true, t);
  assert.equal(run(model, t, 1500).length, 1);
});

test("a stream that stays silent though the node has more is dead", () => {
  const model = new StreamModel(0);
  model.onOpen(0);
  model.onEvent(`${RING}-7`, 0);
  for (let t = 0; t <= streamLimits.stallMs; t += 250) {
    model.onStatus(status(9), t);
    assert.deepEqual(model.tick(t), { open: false, woke: false });
  }
  assert.equal(model.snapshot(1).behind, 2);
  assert.deepEqual(model.tick(streamLimits.stallMs + 250), { open: true, woke: false });
  assert.equal(model.snapshot(0).state, "reconnecting");
});

test("a stream of a ring that is no more is dead too", () => {
  const model = new StreamModel(0);
  model.onOpen(0);
  model.onEvent(`${RING}-7`, 0);
  model.onStatus(status(0, 1, "0123456789abcdef"), 0);
  assert.equal(run(model, 0, streamLimits.stallMs + 500).length, 1);
});

test("after sleep it is opened anew at once, whichever way the clock went", () => {
  for (const jump of [3600000, -3600000]) {
    const model = new StreamModel(1e9);
    model.onOpen(1e9);
    model.tick(1e9);
    assert.deepEqual(model.tick(1e9 + jump), { open: true, woke: true });
    assert.deepEqual(model.tick(1e9 + jump + 250), { open: false, woke: false });
  }
});

test("a refusal is said, and forgotten when the node answers again", () => {
  const model = new StreamModel(0);
  model.onError(true, 0);
  model.onStatusFailure({ kind: "http", status: 401 }, 1);
  assert.deepEqual([model.snapshot(1).state, model.snapshot(1).failure.status], ["refused", 401]);
  model.onError(true, 2); // it stays that, not "reconnecting", with each attempt
  assert.equal(model.snapshot(2).state, "refused");
  model.onStatus(status(1), 3);
  assert.deepEqual([model.snapshot(3).state, model.snapshot(3).failure], ["reconnecting", null]);
  model.onRefused({ kind: "http", status: 503 }, 4);
  assert.equal(model.snapshot(4).state, "refused");
});

test("where nobody is wanted, nobody knocks all the time", () => {
  for (const [code, forbidden] of [[401, true], [403, true], [421, true], [503, false]]) {
    const model = new StreamModel(0);
    model.onStatusFailure({ kind: "http", status: code }, 0);
    assert.equal(model.forbidden, forbidden);
    model.onError(true, 0);
    assert.equal(run(model, 0, streamLimits.retryMs.at(-1) - 250).length > 0, !forbidden);
  }
});

test("figures that do not come leave a live stream live", () => {
  const model = new StreamModel(0);
  model.onOpen(0);
  model.onStatusFailure({ kind: "http", status: 503 }, 1);
  assert.equal(model.snapshot(1).state, "live");
  assert.equal(model.troubled, true);
});

test("a gap is stated for a while", () => {
  const model = new StreamModel(0);
  model.onGap({ reason: "restart", lost: null }, `${RING}-0`, 1000);
  assert.deepEqual(model.snapshot(2000).gap, { reason: "restart", lost: null, at: 1000 });
  assert.equal(model.snapshot(1000 + streamLimits.gapShownMs).gap, null);
  model.onGap({}, "", 2000); // a gap of which nothing is known is one
  assert.notEqual(model.snapshot(2001).gap, null);
});

test("statuses of any shape", () => {
  const model = new StreamModel(0);
  model.onEvent(`${RING}-7`, 0);
  for (const strange of [null, {}, [], { ring: 7 }, { ring: { id: 7, newest_seq: 1 } }, { ring: { id: RING, newest_seq: "x" } }]) {
    model.onStatus(strange, 1);
    assert.equal(model.snapshot(1).behind, null);
    model.tick(1);
    model.url(strange);
  }
});

test("cursors", () => {
  assert.deepEqual(parseCursor(`${RING}-18`), { ring: RING, seq: 18 });
  for (const strange of [null, undefined, 7, "", "x-1", `${RING}-`, `${RING}-x`, `${RING}-1-1`]) assert.equal(parseCursor(strange), null);
});

test("a batch holds what came, and says when it is full", () => {
  const batch = new EventBatch();
  assert.equal(batch.add('{"seq":1}'), false);
  for (const bad of ["", "{", "7", "null", "[1]", undefined, `{"a":"${"x".repeat(batchLimits.lineBytes)}"}`]) assert.equal(batch.add(bad), false);
  assert.equal(batch.unreadable, 7);
  assert.deepEqual(batch.take(), [{ text: '{"seq":1}', event: { seq: 1 }, cursor: undefined }]);
  assert.deepEqual(batch.take(), []);
  let added = 0;
  while (!batch.add(`{"seq":${added}}`)) added++;
  assert.equal(added + 1, batchLimits.events);
  assert.equal(batch.take().length, batchLimits.events);
  const line = `{"a":"${"x".repeat(1024 * 1024)}"}`;
  assert.deepEqual([1, 2, 3, 4].map(() => batch.add(line)), [false, false, false, true]);
});
