// The events that are kept: filters, opening, and the bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventList, listLimits } from "../../src/page/venue_list.js";

const event = (seq, more = {}) => ({ seq, received: "2026-01-05T10:12:13.456789Z", endpoint: "hq", kind: "seen",
                                     client: { mac: `dc:ac:3d:a5:06:${String(seq % 100).padStart(2, "0")}` }, ...more });
const put = (list, one) => list.add(JSON.stringify(one), one, `r-${one.seq}`);
const seqs = (list) => list.snapshot().lines.map((line) => line.seq);

test("newest first, each with its own text", () => {
  const list = new EventList();
  for (const seq of [1, 2, 3]) put(list, event(seq));
  assert.deepEqual(seqs(list), [3, 2, 1]);
  const [line] = list.snapshot().lines;
  assert.equal(line.text, JSON.stringify(event(3)));
  assert.match(line.sentence, /hq: dc:ac:3d:a5:06:03 seen$/);
});

test("filters look at what is kept and at what comes", () => {
  const list = new EventList();
  put(list, event(1));
  put(list, event(2, { endpoint: "lab" }));
  put(list, event(3, { kind: "join", client: undefined, channel: { uuid: "Maria" } }));
  list.filter({ endpoint: "hq" });
  assert.deepEqual([seqs(list), list.snapshot().fitted], [[3, 1], 2]);
  put(list, event(4));
  put(list, event(5, { endpoint: "lab" }));
  assert.deepEqual([seqs(list), list.snapshot().fitted, list.snapshot().total], [[4, 3, 1], 3, 5]);
  list.filter({ endpoint: "hq", kind: "join" });
  assert.deepEqual(seqs(list), [3]);
  list.filter({ mac: "MARI" });
  assert.deepEqual(seqs(list), [3]);
  list.filter({ endpoint: "", kind: "", mac: "  " });
  assert.deepEqual([seqs(list), list.snapshot().fitted], [[5, 4, 3, 2, 1], null]);
});

test("an address is found by any part of it, however it is written", () => {
  const list = new EventList();
  put(list, event(1, { client: { mac: "dc:ac:3d:a5:06:b4" } }));
  put(list, event(2, { client: { mac: "00:11:22:33:44:55" } }));
  for (const mac of ["dc:ac:3d:a5:06:b4", "DC-AC-3D", "3da5", "06b4", "a5:06", "dcac.3da5"]) {
    list.filter({ mac });
    assert.deepEqual(seqs(list), [1], mac);
  }
  for (const mac of ["zz", "dcad", "b4dc"]) {
    list.filter({ mac });
    assert.deepEqual(seqs(list), [], mac);
  }
});

test("a rare kind stays while others rush past", () => {
  const list = new EventList({ events: 10 });
  list.filter({ kind: "login" });
  put(list, event(1, { kind: "login" }));
  for (let seq = 2; seq < 100; seq++) put(list, event(seq));
  assert.deepEqual(seqs(list), [1]);
});

test("events: at the bound all are kept, one past it the oldest leaves", () => {
  const list = new EventList({ shown: 10000 });
  for (let seq = 1; seq <= listLimits.events; seq++) put(list, event(seq));
  assert.equal(seqs(list).at(-1), 1);
  put(list, event(listLimits.events + 1));
  assert.deepEqual([seqs(list).length, seqs(list).at(-1)], [listLimits.events, 2]);
});

test("characters: at the bound all are kept, one past it the oldest leaves; the newest is always there", () => {
  const list = new EventList({ chars: 1000 });
  const sized = (seq, size) => list.add(JSON.stringify({ seq, p: "x".repeat(size - 16) }), { seq }, `r-${seq}`);
  sized(1, 500);
  sized(2, 500);
  assert.deepEqual(list.snapshot().lines.map((line) => line.text.length), [500, 500]);
  sized(3, 501);
  assert.deepEqual(seqs(list), [3]);
  sized(4, 499);
  assert.deepEqual(seqs(list), [4, 3]);
  sized(5, 5000);
  assert.deepEqual(seqs(list), [5]);
});

test("lines that are shown are no more than the bound", () => {
  const list = new EventList();
  for (let seq = 1; seq <= listLimits.shown + 1; seq++) put(list, event(seq));
  assert.equal(seqs(list).length, listLimits.shown);
});

test("a long text goes along once its line is open, and stays until it is closed", () => {
  const list = new EventList({ events: 3, inlineChars: 200 });
  const long = event(1, { data: "x".repeat(200) });
  put(list, long);
  assert.equal(list.snapshot().lines[0].text, undefined);
  list.open(["r-1"]);
  assert.equal(list.snapshot().lines[0].text, JSON.stringify(long));
  for (let seq = 2; seq < 9; seq++) put(list, event(seq));
  assert.deepEqual(list.snapshot().opened.map((line) => line.text), [JSON.stringify(long)]);
  list.open([]);
  assert.deepEqual(list.snapshot().opened, []);
});

test("what was shown can be opened although it has left since", () => {
  const list = new EventList({ events: 2 });
  put(list, event(1));
  list.snapshot();
  for (let seq = 2; seq < 9; seq++) put(list, event(seq));
  list.snapshot();
  list.open(["r-1"]);
  assert.deepEqual(list.snapshot().opened.map((line) => line.seq), [1]);
});

test("open lines are no more than the bound", () => {
  const list = new EventList({ open: 2 });
  for (const seq of [1, 2, 3]) put(list, event(seq));
  list.filter({ kind: "none" });
  list.open(["r-1", "r-2", "r-3"]);
  assert.deepEqual(list.snapshot().opened.map((line) => line.seq), [1, 2]);
});

test("kinds that are offered are no more than the bound", () => {
  const list = new EventList();
  for (let i = 0; i < listLimits.kinds; i++) put(list, event(i, { kind: `k${i}` }));
  assert.equal(list.snapshot().kinds.length, listLimits.kinds);
  put(list, event(999, { kind: "one more" }));
  assert.equal(list.snapshot().kinds.length, listLimits.kinds);
});
