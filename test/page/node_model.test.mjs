// What the node view shows, from one /v1/status after the other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeModel, nodeLimits, quantile } from "../../src/page/node_model.js";

const T0 = Date.UTC(2026, 0, 5, 10, 0, 0);
const iso = (ms) => new Date(ms).toISOString();
const bounds = Array.from({ length: 20 }, (_, i) => 50e-6 * 2 ** i);

/** A sender's part of a status, as a node writes it; `more` on top. */
const sender = (name, more = {}) => ({
  endpoint: name, provider: "bt", accepted: 0, duplicates: 0, rejected: 0, late: 0, codes: {}, kinds: {}, ...more });

/** A node's status at that moment. */
function status(ms, more = {}) {
  return {
    version: "1.0", uptime_s: 7200 + (ms - T0) / 1000, draining: false, now: iso(ms), started: iso(T0 - 7200e3),
    certificate_expires: iso(ms + 90 * 86400e3), host: "venue-1", ready: true, loop_lag_s: 0.004,
    certificate: { refused: false, expires: iso(ms + 90 * 86400e3) },
    reload: { ok: true, count: 0, failed: 0 }, disk: { failed: false },
    privacy: { mac: "plain", personal: "keep" },
    dedupe: { mode: "drop", ids: 10, max_ids: 1000, evicted: 0, window_s: 14400 },
    latency: { bounds_s: bounds, counts: new Array(21).fill(0), sum_s: 0 },
    connections: 2, connections_max: 1000, connections_accepted: 5, timeouts: 0,
    connections_refused: { limit: 0, address: 0, error: 0 }, handshakes: { full: 5, resumed: 0, failed: {} },
    strangers: {}, readers: 1, readers_lost: 0, held: [], endpoints: [],
    ...more,
    ring: { id: "9f0c9f0c9f0c9f0c", size_bytes: 1000, bytes: 250, events: 10, accepted: 10, overwritten: 0,
            oldest_seq: 1, newest_seq: 10, oldest_age_s: 60, file: false, sync: "never", ...more.ring },
  };
}

/** A model that was given these, two seconds apart. */
function model(...mores) {
  const made = new NodeModel();
  mores.forEach((more, i) => made.addStatus(status(T0 + 2000 * i, more), T0 + 2000 * i));
  return made;
}

const last = (mores) => T0 + 2000 * (mores.length - 1);
const view = (...mores) => model(...mores).snapshot(last(mores));
const about = (snapshot, name) => snapshot.attention.filter((finding) => finding.about === name);

/** That sender's row after one status. */
const row = (more) => view({ endpoints: [sender("bt", more)] }).senders[0];

test("before the first answer", () => {
  const made = new NodeModel();
  assert.deepEqual(made.snapshot(T0).waiting, true);
  made.addFailure({ kind: "http", status: 401 }, T0);
  assert.deepEqual(made.snapshot(T0 + 5000).failure, { kind: "http", status: 401, sinceMs: 5000 });
});

test("a well node needs no attention", () => {
  const found = view({}, {});
  assert.deepEqual(found.attention, []);
  assert.deepEqual([found.host, found.version, found.ringFill, found.ring.oldestAgeS], ["venue-1", "1.0", 0.25, 60]);
  assert.equal(Math.round(found.certificateDays), 90);
  assert.equal(found.failure, null);
});

test("events a second are what was added, by the node's clock", () => {
  const found = view({}, { ring: { accepted: 30 } }, { ring: { accepted: 30 } });
  assert.deepEqual(found.points.map((point) => point.rate), [null, 10, 0]);
  assert.equal(found.eventsPerSecond, 5);
});

test("latencies are those of the answers in between", () => {
  const counts = (low, high) => {
    const all = new Array(21).fill(0);
    [all[0], all[5]] = [low, high];
    return { latency: { bounds_s: bounds, counts: all, sum_s: 1 } };
  };
  const found = view(counts(1000, 0), counts(1099, 1), counts(1099, 1));
  assert.deepEqual(found.points[0].p99, null);
  assert.ok(found.points[1].p50 < bounds[0] && found.points[1].p99 <= bounds[0]);
  assert.equal(found.points[2].p50, null); // nobody posted
  assert.equal(found.ack.p50, found.points[1].p50); // over a minute
  const worse = view(counts(0, 0), counts(90, 10));
  assert.ok(worse.points[1].p99 > bounds[4] && worse.points[1].p99 <= bounds[5]);
});

test("quantiles", () => {
  assert.equal(quantile([1, 2, 4], [0, 0, 0, 0], 0.5), null);
  assert.equal(quantile([1, 2, 4], [0, 100, 0, 0], 0.5), 1.5);
  assert.equal(quantile([1, 2, 4], [50, 50, 0, 0], 0.5), 1);
  assert.equal(quantile([1, 2, 4], [0, 0, 0, 7], 0.99), 4); // past the last: at least that
  assert.equal(quantile([1, 2, 4], [10, 0, 10, 0], 1), 4);
});

test("a new start is a hole, and no negative rate", () => {
  const made = model({ ring: { accepted: 1000 } }, { ring: { accepted: 1100 } });
  made.addStatus(status(T0 + 4000, { uptime_s: 1, ring: { id: "0123456789abcdef", accepted: 3 } }), T0 + 4000);
  made.addStatus(status(T0 + 6000, { uptime_s: 3, ring: { id: "0123456789abcdef", accepted: 7 } }), T0 + 6000);
  const found = made.snapshot(T0 + 6000);
  assert.deepEqual(found.points.map((point) => point.rate), [null, 50, null, 2]);
  assert.equal(found.startedAgain, T0 + 4000);
});

test("a new start with more events than before is no burst, and the pace is learned anew", () => {
  const made = new NodeModel();
  const at = (s, uptime, id, accepted, event) => made.addStatus(status(T0 + s * 1000, { uptime_s: uptime, ring: { id, accepted },
    endpoints: [sender("bt", { accepted, last_event: iso(T0 + event * 1000) })] }), T0 + s * 1000);
  for (let s = 0; s <= 20; s += 2) at(s, 100 + s, "9f0c9f0c9f0c9f0c", 10, s);
  at(22, 1, "0123456789abcdef", 9000, 21);
  at(86, 65, "0123456789abcdef", 9000, 21);
  const found = made.snapshot(T0 + 86000);
  assert.ok(found.points.every((point) => !point.rate), JSON.stringify(found.points));
  assert.equal(found.senders[0].level, "ok");
});

test("no line is drawn over a time that nobody looked", () => {
  const made = model({}, {});
  made.addStatus(status(T0 + 62000, { ring: { accepted: 610 } }), T0 + 62000);
  const points = made.snapshot(T0 + 62000).points;
  assert.deepEqual(points.map((point) => point.rate), [null, 0, null, 10]);
  assert.ok(points[2].t > points[1].t && points[2].t < points[3].t);
});

test("a failure is a hole, and the figures stay with their age", () => {
  const made = model({}, { ring: { accepted: 30 } });
  made.addFailure({ kind: "network" }, T0 + 4000);
  made.addFailure({ kind: "network" }, T0 + 5000);
  const found = made.snapshot(T0 + 9000);
  assert.deepEqual([found.failure.sinceMs, found.ageMs, found.points.length], [5000, 7000, 3]);
  made.addStatus(status(T0 + 10000, { ring: { accepted: 110 } }), T0 + 10000);
  assert.deepEqual(made.snapshot(T0 + 10000).points.map((point) => point.rate), [null, 10, null, 10]);
  assert.equal(made.snapshot(T0 + 10000).failure, null);
});

test("a clock that jumps, forth and back", () => {
  const made = model({}, {});
  made.addStatus(status(T0 + 3600e3, { ring: { accepted: 3608 } }), T0 + 3600e3);
  let found = made.snapshot(T0 + 3600e3);
  assert.equal(found.points.length, 1); // what was before is more than ten minutes ago
  made.addStatus(status(T0 + 1000, { uptime_s: 1e6, ring: { accepted: 3700 } }), T0 + 1000);
  found = made.snapshot(T0 + 1000);
  assert.deepEqual(found.points.map((point) => point.rate), [null]);
});

// --- senders ------------------------------------------------------------------------------------

test("silent for 3 h, and what to do", () => {
  const found = view({ endpoints: [sender("bt", { accepted: 5, last_event: iso(T0 - 3 * 3600e3 - 5000) })] });
  const [finding] = found.attention;
  assert.equal(finding.text, "bt has been silent for 3 h");
  assert.match(finding.advice, /BT Wi-Fi portal's webhook page.*rollcalld --probe/);
  assert.deepEqual([finding.level, found.senders[0].level, found.senders[0].delivery], ["warn", "warn", "3 h ago"]);
});

test("silence by the clock alone, where the pace is not known", () => {
  for (const [seconds, level] of [[3, "ok"], [3599, "ok"], [3600, "warn"], [24 * 3600 - 1, "warn"], [24 * 3600, "alarm"]])
    assert.equal(row({ accepted: 1, last_event: iso(T0 - seconds * 1000) }).level, level, `${seconds}`);
});

/** After deliveries `pause` s apart, `silent` s of silence. */
function paced(pause, silent, deliveries = 10) {
  const made = new NodeModel();
  let ms = T0;
  for (let i = 0; i < deliveries; i++, ms += pause * 1000)
    made.addStatus(status(ms, { endpoints: [sender("bt", { accepted: i, last_event: iso(ms) })] }), ms);
  const end = ms - pause * 1000 + silent * 1000;
  made.addStatus(status(end, { endpoints: [sender("bt", { accepted: 9, last_event: iso(ms - pause * 1000) })] }), end);
  return made.snapshot(end);
}

test("silence by the sender's own pace", () => {
  assert.equal(paced(2, 59).senders[0].level, "ok"); // nobody's silence
  assert.equal(paced(2, 61).senders[0].level, "warn");
  assert.equal(paced(2, 61).attention[0].text, "bt has been silent for 1 min; until then, never longer than 2 s");
  assert.equal(paced(20, 199).senders[0].level, "ok");
  assert.equal(paced(20, 201).senders[0].level, "warn");
  assert.equal(paced(20, 201, 3).senders[0].level, "ok"); // two pauses are no pace
  assert.equal(paced(600, 3599).senders[0].level, "ok"); // the hour holds for the slow, too
  assert.equal(paced(600, 3601).senders[0].level, "warn");
});

test("never delivered: not yet, not called, only looked, or refused", () => {
  const never = (more, uptime) => view({ uptime_s: uptime, endpoints: [sender("bt", more)] }).senders[0];
  assert.deepEqual([never({}, 60).level, never({}, 60).attention.length], ["info", 0]);
  assert.equal(never({}, 15 * 60).level, "warn");
  assert.match(never({}, 7200).said, /^bt has never called since the node was started \(2 h ago\)$/);
  assert.match(never({ codes: { 200: 3 } }, 60).said, /calls, but has delivered no event/);
  const refused = never({ codes: { 401: 3 }, last_error: "secret wrong", last_error_status: 401, last_error_time: iso(T0 - 1000) }, 60);
  assert.equal(refused.level, "alarm");
  assert.match(refused.said, /its posts are refused, secret wrong/);
  assert.match(refused.advice, /compare the secret.*\[endpoint bt\]/);
});

test("refusals: all of it, in part, long ago", () => {
  const error = (seconds, event) => row({ accepted: 1, last_event: iso(T0 - event * 1000), codes: { 200: 5, 422: 1 },
    last_error: "not this sender's shape", last_error_status: 422, last_error_at: "[0].apMac",
    last_error_time: iso(T0 - seconds * 1000) });
  assert.equal(error(5, 10).level, "alarm"); // nothing has come since
  assert.match(error(5, 10).said, /^bt's posts are refused: not this sender's shape at \[0\]\.apMac$/);
  assert.equal(error(5, 1).level, "warn");
  assert.match(error(5, 1).said, /in part refused/);
  assert.deepEqual([error(601, 1).level, error(601, 1).said], ["ok", ""]);
  assert.equal(error(601, 1).problem, "422 not this sender's shape at [0].apMac, 10 min ago");
  assert.equal(error(5, 1).refused, 1);
});

test("refusals that the node did not read to the end", () => {
  const of = (n) => ({ endpoints: [sender("bt", { accepted: 1, last_event: iso(T0), codes: { 200: 5, 413: n } })] });
  const found = view(of(0), of(4)).senders[0];
  assert.match(found.said, /in part refused \(in 2 s 4 with 413\)/);
  assert.match(found.advice, /max_body_bytes/);
});

test("what could not be read", () => {
  const of = (more) => ({ endpoints: [sender("bt", { last_event: iso(T0), last_unread: "not JSON", last_unread_at: "byte 1",
                                                     last_unread_time: iso(T0), ...more })] });
  const found = view(of({ kinds: { unreadable: 1 } }), of({ kinds: { unreadable: 3 } }));
  assert.match(found.attention[0].text, /^2 bodies from bt could not be read and were kept as unreadable: not JSON at byte 1/);
  assert.deepEqual(found.unreadable, { total: 3, recent: 2 });
  const parts = view(of({ rejected: 1 }), of({ rejected: 8 }));
  assert.deepEqual([parts.attention, parts.senders[0].level], [[], "info"]);
  assert.match(parts.senders[0].said, /^7 parts of bt's bodies left out/);
  assert.equal(view(of({ provider: "meraki", rejected: 1 }), of({ provider: "meraki", rejected: 8 })).senders[0].level, "ok");
});

test("counts are in all, and in the ten minutes seen", () => {
  const of = (n) => ({ endpoints: [sender("a", { duplicates: n }), sender("b", { duplicates: 2 * n, codes: { 401: n, 200: n } })] });
  const found = view(of(10), of(11), of(14));
  assert.deepEqual(found.duplicates, { total: 42, recent: 12 });
  assert.deepEqual(found.refused, { total: 14, recent: 4 });
  assert.deepEqual(view(of(10)).duplicates, { total: 30, recent: null });
});

// --- the node -----------------------------------------------------------------------------------

test("the certificate's days", () => {
  const level = (days) => (about(view({ certificate: { refused: false, expires: iso(T0 + days * 86400e3) } }), "certificate")[0] || {}).level;
  for (const [days, wanted] of [[-1, "alarm"], [0.5, "alarm"], [6.9, "alarm"], [7, "warn"], [29.9, "warn"], [30, undefined]])
    assert.equal(level(days), wanted, `${days}`);
  assert.match(about(view({ certificate: { refused: true } }), "certificate")[0].text, /cannot be used/);
  // A node that has only the older member.
  assert.equal(Math.round(view({ certificate: undefined }).certificateDays), 90);
});

test("each thing that can be wrong with the node is found, said and answered", () => {
  const refused = (key) => [{}, { connections_refused: { limit: 0, address: 0, error: 0, [key]: 3 } }];
  const cases = {
    disk: [[{ disk: { failed: true }, ring: { sync: "always" } }], /503/],
    disk2: [[{ disk: { failed: true }, ring: { sync: "interval" } }], /loss of power/],
    node: [[{ draining: true }], /ending/],
    configuration: [[{ reload: { ok: false, count: 1, failed: 1 } }], /reload failed/],
    connections: [refused("limit"), /max_connections/],
    connections2: [[{ connections: 950 }], /950 of 1,000/],
    connections3: [refused("address"), /per_ip/],
    connections4: [refused("error"), /could not be taken/],
    handshakes: [[{}, { handshakes: { full: 5, resumed: 0, failed: { tlsv1_alert_unknown_ca: 2, closed: 9 } } }], /tlsv1_alert_unknown_ca \(2\)/],
    loop: [[{ loop_lag_s: 0.25 }], /waiting for 250 ms/],
    ring: [[{ ring: { overwritten: 5, oldest_age_s: 40 } }], /only 40 s/],
    readers: [[{}, { readers_lost: 24 }], /24 events/],
    duplicates: [[{}, { dedupe: { mode: "drop", ids: 1000, max_ids: 1000, evicted: 7 } }], /7 known ids/],
    billing: [[{ held: [{ reader: "billing", committed: 1, holds: false, lag: 9 }] }], /holds no longer/],
    billing2: [[{ held: [{ reader: "billing", committed: 1, holds: true, lag: 6 }] }], /6 events behind/],
  };
  for (const [name, [mores, wanted]] of Object.entries(cases)) {
    const found = about(view(...mores), name.replace(/\d$/, ""));
    assert.equal(found.length, 1, name);
    assert.match(found[0].text, wanted);
    assert.ok(found[0].advice.length > 10 && ["warn", "alarm"].includes(found[0].level));
  }
});

test("what was refused before the page was opened is no news", () => {
  const refused = { connections_refused: { limit: 3, address: 3, error: 3 }, readers_lost: 5 };
  assert.deepEqual(view(refused, refused).attention, []);
});

test("alarms come first", () => {
  const found = view({ draining: true, disk: { failed: true }, loop_lag_s: 5 });
  assert.deepEqual(found.attention.map((finding) => finding.level), ["alarm", "alarm", "warn"]);
});

test("a held reader's lag, where the node does not say it", () => {
  const found = view({ ring: { newest_seq: 50, events: 1000 }, held: [{ reader: "a", committed: 30, holds: true }] });
  assert.deepEqual([found.held[0].lag, found.held[0].holds, found.held[0].level], [20, true, "ok"]);
});

// --- whatever comes -----------------------------------------------------------------------------

/** Nothing in it is NaN or undefined where a number or text is drawn. */
function check(value, path = "") {
  if (typeof value === "number") assert.ok(Number.isFinite(value), path);
  else if (typeof value === "string") assert.ok(!/NaN|undefined|\[object|null/.test(value), `${path}: ${value}`);
  else if (value instanceof Map) for (const [key, v] of value) check(v, `${path}.${key}`);
  else if (value && typeof value === "object") for (const key of Object.keys(value)) check(value[key], `${path}.${key}`);
}

const rich = () => status(T0, {
  held: [{ reader: "billing", committed: 1, holds: true, lag: 9 }],
  handshakes: { full: 5, resumed: 0, failed: { tlsv1_alert_unknown_ca: 2 } },
  strangers: { 404: 3 },
  endpoints: [sender("bt", { accepted: 5, last_event: iso(T0 - 5000), kinds: { login: 5, unreadable: 1 }, codes: { 200: 5, 401: 1 },
    last_error: "secret wrong", last_error_time: iso(T0), last_error_status: 401, last_error_at: "x",
    last_unread: "not JSON", last_unread_time: iso(T0), last_unread_at: "byte 1" }), sender("new")],
});

/** Every way to a member of it. */
function paths(value, path = []) {
  if (!value || typeof value !== "object") return [path];
  return [path, ...Object.keys(value).flatMap((key) => paths(value[key], [...path, key]))];
}

function changed(path, to) {
  const copy = rich();
  if (!path.length) return to;
  const parent = path.slice(0, -1).reduce((at, key) => at[key], copy);
  if (to === undefined) delete parent[path.at(-1)];
  else parent[path.at(-1)] = to;
  return copy;
}

test("any member may be missing or something else", () => {
  for (const path of paths(rich()))
    for (const to of [undefined, null, 7, -1, 1e300, "text", true, [], {}, [null, 7, "x"], { a: null }]) {
      const made = new NodeModel();
      made.addStatus(rich(), T0);
      made.addStatus(changed(path, to), T0 + 2000);
      made.addStatus(rich(), T0 + 4000);
      made.addStatus(changed(path, to), T0 + 60000);
      try {
        check(made.snapshot(T0 + 60000));
      } catch (error) {
        error.message = `${path.join(".")} = ${JSON.stringify(to)}: ${error.message}`;
        throw error;
      }
    }
});

test("the bounds hold", () => {
  const made = new NodeModel();
  const endpoints = Array.from({ length: nodeLimits.senders + 50 }, (_, i) => sender(`e${i}`, i === 240
    ? { last_event: iso(T0 - 30 * 3600e3) } : { last_event: iso(T0) }));
  const held = Array.from({ length: 100 }, (_, i) => ({ reader: `r${i}`, committed: 1, holds: false, lag: 1 }));
  const codes = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [String(400 + i), 1]));
  for (let s = 0; s < 3 * 3600; s += 1)
    made.addStatus(status(T0 + s * 1000, s % 600 ? {} : { endpoints, held, strangers: codes }), T0 + s * 1000);
  const end = T0 + 3 * 3600e3;
  made.addStatus(status(end, { endpoints, held, strangers: codes }), end);
  const found = made.snapshot(end);
  assert.ok(found.points.length <= nodeLimits.points && found.points.length >= 590, `${found.points.length}`);
  assert.deepEqual([found.senders.length, found.sendersHidden], [nodeLimits.senders, 50]);
  assert.equal(found.senders[0].name, "e240"); // where not all fit, those that need attention do
  assert.deepEqual([found.held.length, found.heldHidden], [nodeLimits.readers, 36]);
  assert.deepEqual([found.attention.length, found.attentionHidden > 0], [nodeLimits.attention, true]);
  assert.equal(found.strangers.size, nodeLimits.codes);
  for (let ms = 0; ms < nodeLimits.spanMs; ms += 500) made.addStatus(status(end + ms), end + ms);
  assert.equal(made.snapshot(end + nodeLimits.spanMs).points.length, nodeLimits.points);
});
