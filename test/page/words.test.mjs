// The page's words: numbers, durations, times and reasons as people read them.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as words from "../../src/page/words.js";

const table = (name, call, rows) => test(name, () => {
  for (const [given, said] of rows) assert.equal(call(given), said, `${name}(${given})`);
});

table("count", words.count, [[0, "0"], [999, "999"], [1000, "1,000"], [1234567.4, "1,234,567"], [-4321, "-4,321"],
                             [1e15, "1,000,000,000,000,000"]]);
table("short", words.short, [[0, "0"], [999, "999"], [999.6, "1000"], [1000, "1.0k"], [12345, "12k"], [999950, "1.0M"],
                             [3.4e9, "3.4G"], [-1500, "-1.5k"]]);
table("rate", words.rate, [[0, "0"], [0.004, "<0.01"], [0.05, "0.05"], [0.5, "0.5"], [9.94, "9.9"], [9.96, "10"], [5000, "5,000"]]);
table("bytes", words.bytes, [[0, "0 B"], [1023, "1023 B"], [1024, "1.0 KiB"], [64 * 1024 * 1024, "64 MiB"],
                             [1024 * 1024 - 1, "1.0 MiB"], [9.5 * 1024 ** 3, "9.5 GiB"], [2 ** 60, "1048576 TiB"]]);
table("percent", words.percent, [[0, "0 %"], [0.004, "<1 %"], [0.374, "37 %"], [0.996, "99 %"], [1, "100 %"]]);
table("duration", words.duration, [
  [-5, "under 1 s"], [0.2, "under 1 s"], [1, "1 s"], [59.4, "59 s"], [59.6, "1 min"], [61, "1 min 1 s"], [120, "2 min"],
  [599, "9 min 59 s"], [600, "10 min"], [3569, "59 min"], [3600, "1 h"], [3660, "1 h 1 min"], [12000, "3 h 20 min"],
  [36000, "10 h"], [47 * 3600, "47 h"], [48 * 3600, "2 days"], [400 * 86400, "400 days"]]);
// In a sentence, never more than it was: "silent for 3 h" is at least three hours.
table("roughly", words.roughly, [[0.9, "0 s"], [59.9, "59 s"], [60, "1 min"], [3599, "59 min"], [3 * 3600, "3 h"],
                                 [4 * 3600 - 1, "3 h"], [47.9 * 3600, "47 h"], [48 * 3600, "2 days"]]);
table("latency", words.latency, [[0, "0 µs"], [50e-6, "50 µs"], [0.0009994, "999 µs"], [0.0009996, "1.0 ms"],
                                 [0.0014, "1.4 ms"], [0.035, "35 ms"], [0.9996, "1.0 s"], [2.14, "2.1 s"], [26.2, "26 s"]]);
table("list", words.list, [[[], ""], [["a"], "a"], [["a", "b"], "a and b"], [["a", "b", "c"], "a, b and c"]]);

test("counted", () => {
  assert.equal(words.counted(1, "event"), "1 event");
  assert.equal(words.counted(2, "event"), "2 events");
  assert.equal(words.counted(0, "body", "bodies"), "0 bodies");
});

test("what is no number is said to be nothing, never NaN", () => {
  for (const say of [words.count, words.short, words.rate, words.bytes, words.percent, words.duration, words.roughly,
                     words.latency, words.clock, words.day])
    for (const given of [undefined, null, NaN, Infinity, "7", {}, []]) assert.equal(say(given), "–", `${say.name}(${given})`);
});

test("times", () => {
  const moment = new Date(2026, 0, 5, 7, 8, 9).getTime(); // local, as they are shown
  assert.equal(words.clock(moment), "07:08:09");
  assert.equal(words.day(moment), "2026-01-05");
  assert.equal(words.parseTime("2026-01-05T10:12:12.900Z"), Date.UTC(2026, 0, 5, 10, 12, 12, 900));
  for (const given of [undefined, null, 7, "", "yesterday", {}]) assert.equal(words.parseTime(given), null);
  assert.equal(words.clock(9e15), "–");
});

test("each failure says what to do, and no two say the same", () => {
  const said = new Set();
  for (const status of [401, 403, 404, 421, 429, 503, 500])
    said.add(words.failure({ kind: "http", status }));
  for (const kind of ["network", "timeout", "unreadable"]) said.add(words.failure({ kind }));
  assert.equal(said.size, 10);
  assert.match(words.failure({ kind: "http", status: 401 }), /admin_secret/);
  assert.match(words.failure({ kind: "http", status: 500 }), /500/);
  assert.match(words.failure(undefined), /cannot be reached/);
});

test("gaps", () => {
  assert.match(words.gapWords({ reason: "restart", lost: null }), /started anew/);
  assert.match(words.gapWords({ reason: "overrun", lost: 24 }), /^24 events missing/);
  assert.match(words.gapWords({ reason: "overrun", lost: 1 }), /^1 event missing.*overwrote it /);
  assert.match(words.gapWords({ reason: "overrun", lost: null }), /missing/);
  assert.match(words.gapWords({ reason: "unknown-cursor", lost: 0 }), /newest/);
  assert.equal(words.gapWords({ reason: "what a newer node says", lost: 3 }), "3 events missing");
  assert.equal(words.gapWords(null), "Events are missing");
  assert.equal(words.gapNote(null), "");
  assert.equal(words.gapNote(null, 0), "");
  assert.match(words.gapNote(null, 2), /^2 lines of the stream could not be read/);
  assert.match(words.gapNote({ reason: "restart", lost: null, at: Date.now() }), /^\d\d:\d\d:\d\d The node/);
});

test("the connection", () => {
  const said = (given) => words.connection(given);
  assert.deepEqual(said({ state: "live" }), { state: "live", text: "live" });
  assert.match(said({ state: "live", draining: true }).text, /ending/);
  assert.deepEqual(said({ state: "live", behind: 10000 }).state, "live");
  assert.deepEqual(said({ state: "live", behind: 35000 }), { state: "behind", text: "catching up, 35k events behind" });
  assert.match(said({ state: "live", failure: { kind: "timeout" } }).text, /no figures at the moment/);
  assert.deepEqual(said({ state: "reconnecting", sinceMs: 500 }).text, "reconnecting");
  assert.match(said({ state: "reconnecting", sinceMs: 42000, failure: { kind: "network" } }).text,
               /^reconnecting for 40 s: the node cannot be reached/);
  assert.match(said({ state: "refused", failure: { kind: "http", status: 403 } }).text, /^not connected: .*403/);
  assert.equal(said(null).state, "starting");
});
