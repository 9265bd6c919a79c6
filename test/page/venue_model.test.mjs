// The model as a whole, fed with lines as a node writes them: real senders' samples, replay, gaps, clocks.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { VenueModel, venueLimits } from "../../src/page/venue_model.js";
import { presenceLayout } from "../../src/page/presence_chart.js";

const RECEIVED = Date.parse("2026-01-05T10:12:13.456Z"); // of all samples
const WINDOW = venueLimits.presence.windowMs, MINUTE = 60000;
const lines = (name) => readFileSync(`test/data/${name}.expected.ndjson`, "utf8").trimEnd().split("\n").filter(Boolean);
const items = (texts) => texts.map((text, i) => ({ text, event: JSON.parse(text), cursor: `9f0c-${i + 1}` }));

function feed(name, now = RECEIVED) {
  const model = new VenueModel();
  model.addEvents(items(lines(name)), now);
  return model;
}

const iso = (ms) => new Date(ms).toISOString();
let seq = 0;
const seen = (mac, at, more = {}) => ({ seq: ++seq, id: "0".repeat(32), received: iso(at), endpoint: "hq", provider: "aerohive",
                                        kind: "seen", client: { mac, randomized: false }, ...more });
const row = (snapshot, key) => snapshot.groups.rows.find((one) => one.key === key);

function grouped(model, sort, now = RECEIVED) {
  model.select({ sort });
  return Object.fromEntries(model.snapshot(now).groups.rows.map((one) => [one.name, [one.known, one.randomized]]));
}

test("Meraki: one known and one randomised client at one access point, in one network", () => {
  const model = feed("meraki/v3");
  assert.deepEqual(model.snapshot(RECEIVED).present, { known: 1, randomized: 1 });
  assert.deepEqual(grouped(model, "ap"), { "00:18:0a:5c:00:01": [1, 1] });
  assert.deepEqual(grouped(model, "venue"), { N_42: [1, 1] });
  const { floor } = model.snapshot(RECEIVED);
  assert.deepEqual(floor.places.map((place) => place.name), ["Venue N_42"]); // the younger position is lat, lng
});

test("Aerohive: what was seen years ago is in the list, and nobody is present", () => {
  const snapshot = feed("aerohive/sample").snapshot(RECEIVED);
  assert.deepEqual([snapshot.present, snapshot.counts.late], [{ known: 0, randomized: 0 }, 3]);
  assert.equal(snapshot.events.lines.length, 3);
});

test("Aerohive: of three sightings two are of now, the old one moves nobody", () => {
  const model = feed("aerohive/array");
  assert.deepEqual(model.snapshot(RECEIVED).present, { known: 2, randomized: 0 });
  assert.deepEqual(grouped(model, "ap"), { "08:ea:44:a1:b2:c0": [2, 0], "08:ea:44:a1:b3:40": [0, 0] });
});

test("Mist: entering and leaving zones, by their own clients", () => {
  const snapshot = feed("mist/zone").snapshot(RECEIVED);
  assert.deepEqual(snapshot.present, { known: 0, randomized: 1 });
  assert.equal(snapshot.counts.nobody, 3);
});

test("Mist: a session's end is a departure, unless it has roamed", () => {
  const roamed = lines("mist/client_sessions")[0];
  const mac = JSON.parse(roamed).client.mac;
  for (const [reason, known] of [[3, 1], [2, 0]]) {
    const model = new VenueModel();
    model.addEvents([seen(mac, RECEIVED - 200000)], RECEIVED - 200000);
    model.addEvents([JSON.parse(roamed.replace('"termination_reason":3', `"termination_reason":${reason}`))], RECEIVED);
    assert.equal(model.snapshot(RECEIVED).present.known, known);
  }
});

test("BT: a login makes present, the portal's validation nobody", () => {
  assert.deepEqual(feed("bt/sample").snapshot(RECEIVED).present, { known: 1, randomized: 0 });
  assert.deepEqual(grouped(feed("bt/sample"), "venue"), { "Tower Pier": [1, 0] });
  assert.deepEqual(feed("bt/validation").snapshot(RECEIVED).present, { known: 0, randomized: 0 });
});

test("PubNub: who joined and who left, of events and of summaries, and what the sender counts", () => {
  const model = feed("pubnub/flat_all");
  model.select({ sort: "channel" });
  const snapshot = model.snapshot(RECEIVED);
  assert.deepEqual([row(snapshot, "arena").known, row(snapshot, "arena").occupancy], [3, 219]); // a, b, d
  assert.deepEqual([row(snapshot, "harbour").known, row(snapshot, "harbour").occupancy], [0, 2]);
  assert.deepEqual(snapshot.present, { known: 4, randomized: 0 }); // and u-3, who changed its state
});

test("PubNub: a summary's lists, and a count that comes late", () => {
  const model = new VenueModel();
  const tell = (channel, more) => model.addEvents([seen(undefined, RECEIVED, { client: undefined, kind: "interval",
                                                                             channel: { name: "c", ...channel }, ...more })], RECEIVED);
  const now = () => model.snapshot(RECEIVED).present.known;
  model.select({ sort: "channel" });
  tell({ occupancy: 4, joined: ["a", "b", "d", "e"] });
  assert.equal(now(), 4);
  tell({ occupancy: 3, left: ["a"] });
  assert.equal(now(), 3);
  tell({ occupancy: 2, timed_out: ["b"] });
  tell({ occupancy: 9 }, { delay_ms: 1000 });
  assert.deepEqual([now(), row(model.snapshot(RECEIVED), "c").known, row(model.snapshot(RECEIVED), "c").occupancy], [2, 2, 2]);
});

test("duplicates are in the list, and count nothing", () => {
  const model = new VenueModel();
  model.addEvents([seen("a", RECEIVED, { duplicate: true })], RECEIVED);
  const snapshot = model.snapshot(RECEIVED);
  assert.deepEqual([snapshot.present.known, snapshot.counts.duplicates, snapshot.events.total], [0, 1, 1]);
});

test("every sample is taken, whatever it is", () => {
  const model = new VenueModel();
  let count = 0;
  for (const sender of ["aerohive", "bt", "json", "meraki", "mist", "pubnub"])
    for (const name of readdirSync(`test/data/${sender}`).filter((file) => file.endsWith(".expected.ndjson"))) {
      const texts = lines(`${sender}/${name.slice(0, -16)}`);
      model.addEvents(items(texts), RECEIVED);
      count += texts.length;
    }
  const snapshot = model.snapshot(RECEIVED);
  assert.deepEqual([snapshot.events.total, snapshot.counts.unreadable], [count, 0]);
  structuredClone(snapshot); // it can be posted to the page
});

test("what is no event is counted, and stops nothing", () => {
  const model = new VenueModel();
  model.addEvents([null, 7, [], {}, { received: "x" }, seen("a", RECEIVED), { event: null }], RECEIVED);
  const snapshot = model.snapshot(RECEIVED);
  assert.deepEqual([snapshot.present.known, snapshot.counts.unreadable], [1, 6]);
});

test("events of odd shapes leave the model sane", () => {
  const model = new VenueModel();
  const odd = [{ client: 5 }, { client: { mac: 7 } }, { channel: [] }, { channel: { name: "c", occupancy: "x", joined: [1, "", "u"] },
               kind: "interval" }, { ap: "x" }, { venue: { id: {} } }, { location: "x" }, { extra: [] },
               { kind: "constructor", client: { mac: "z" } }, { delay_ms: "5" }];
  model.addEvents(odd.map((more) => seen("a", RECEIVED, more)), RECEIVED);
  assert.deepEqual(model.snapshot(RECEIVED).present, { known: 3, randomized: 0 }); // a, u, z
});

test("a replay gives the history that a page which was open would have drawn", () => {
  const events = [];
  for (let i = 0; i < 1500; i++) events.push(seen(`c${i % 40}`, RECEIVED + i * 1000));
  const end = RECEIVED + 1500000;
  const live = new VenueModel(), replayed = new VenueModel();
  for (const [i, event] of events.entries()) {
    live.addEvents([event], RECEIVED + i * 1000);
    live.snapshot(RECEIVED + i * 1000);
  }
  for (let i = 0; i < events.length; i += 100) {
    replayed.addEvents(events.slice(i, i + 100), end + i);
    replayed.snapshot(end + i); // the page draws meanwhile
  }
  const counts = (model) => model.snapshot(end + 10000).series.slice(0, -1)
    .map(({ t, known, arrivals, departures }) => [t, known, arrivals, departures]);
  assert.deepEqual(counts(replayed), counts(live));
  assert.equal(replayed.snapshot(end + 10000).present.known, 40);
});

test("after a replay the clock goes on: who was there an hour ago is not present", () => {
  const model = new VenueModel(), now = RECEIVED + 60 * MINUTE;
  model.addEvents([seen("a", RECEIVED)], now);
  model.snapshot(now);
  assert.equal(model.snapshot(now + venueLimits.quietMs).present.known, 0);
});

test("while the stream is not connected, the venue stays as it was", () => {
  const model = new VenueModel();
  model.addEvents([seen("a", RECEIVED)], RECEIVED);
  assert.equal(model.snapshot(RECEIVED + 2 * WINDOW, false).present.known, 1);
  model.addEvents([seen("a", RECEIVED + WINDOW - 1000)], RECEIVED + 2 * WINDOW);
  assert.equal(model.snapshot(RECEIVED + 2 * WINDOW).recent.arrivals, 1); // it never left
  assert.equal(model.snapshot(RECEIVED + 2 * WINDOW + venueLimits.quietMs).present.known, 0);
});

test("a node whose clock is ahead, and one whose clock is behind", () => {
  const ahead = new VenueModel();
  ahead.addEvents([seen("a", RECEIVED)], RECEIVED - 3600000);
  assert.equal(ahead.snapshot(RECEIVED - 3600000 + WINDOW - 1).present.known, 1);
  assert.equal(ahead.snapshot(RECEIVED - 3600000 + WINDOW + 1000).present.known, 0);
  const behind = new VenueModel(), now = RECEIVED + 3600000;
  behind.setClock(RECEIVED, now);
  behind.addEvents([seen("a", RECEIVED)], now);
  assert.equal(behind.snapshot(now + WINDOW - 1).present.known, 1);
  assert.equal(behind.snapshot(now + WINDOW + 1000).present.known, 0);
});

test("a node's clock that is set back begins a new history", () => {
  const model = new VenueModel();
  model.addEvents([seen("a", RECEIVED)], RECEIVED);
  model.setClock(NaN, RECEIVED);
  model.setClock(RECEIVED - WINDOW - 1, RECEIVED);
  model.addEvents(["b", "c"].map((mac) => seen(mac, RECEIVED - WINDOW)), RECEIVED + 1);
  assert.equal(model.snapshot(RECEIVED + 1).present.known, 2);
});

test("a gap is told until a window after it, and its minutes are marked", () => {
  const model = new VenueModel(), start = RECEIVED - 20 * MINUTE;
  model.addEvents([seen("a", start)], start);
  model.snapshot(start + 10 * MINUTE);
  assert.equal(model.snapshot(start + 10 * MINUTE).uncertain, null);
  model.addGap({ after: "9f0c-1", next: "9f0c-5", lost: 3, reason: "overrun" }, start + 11 * MINUTE);
  assert.deepEqual(model.snapshot(start + 11 * MINUTE).uncertain, { reason: "gap", until: null, gap: { lost: 3, reason: "overrun" } });
  model.addGap({ lost: null, reason: "restart" }, start + 11 * MINUTE);
  model.addEvents([seen("b", start + 12 * MINUTE)], start + 12 * MINUTE);
  const { uncertain } = model.snapshot(start + 12 * MINUTE);
  assert.deepEqual([uncertain.until, uncertain.gap.lost, uncertain.gap.reason], [start + 12 * MINUTE + WINDOW, null, "restart"]);
  const { series } = model.snapshot(start + 19 * MINUTE);
  const marked = series.filter((point) => point.uncertain && point.t > start + 8 * MINUTE).map((point) => (point.from - start) / MINUTE);
  assert.ok(marked[0] <= 11 && marked.at(-1) >= 16, String(marked));
  model.addGap(undefined, start);
});

test("a group's own series, and back to everywhere when it is gone", () => {
  const model = new VenueModel();
  model.addEvents([seen("a", RECEIVED, { ap: { mac: "m1", name: "Lobby" } }), seen("b", RECEIVED, { ap: { mac: "m2" } })], RECEIVED);
  model.select({ group: { sort: "ap", key: "m1" } });
  let snapshot = model.snapshot(RECEIVED);
  assert.deepEqual([snapshot.group, snapshot.series.at(-1).known, snapshot.recent.arrivals], [{ sort: "ap", key: "m1", name: "Lobby" }, 1, 1]);
  assert.deepEqual(snapshot.present, { known: 2, randomized: 0 });
  model.select({ group: { sort: "ap", key: "nobody" } });
  assert.equal(model.snapshot(RECEIVED).group, null);
  model.select({ group: null });
  snapshot = model.snapshot(RECEIVED);
  assert.deepEqual([snapshot.group, snapshot.series.at(-1).known], [null, 2]);
});

test("groups that are shown are no more than the bound, the rest is counted", () => {
  const model = new VenueModel();
  for (let i = 0; i <= venueLimits.rows; i++) model.addEvents([seen(`c${i}`, RECEIVED, { ap: { mac: `m${i}` } })], RECEIVED);
  model.select({ sort: "ap" });
  const { groups } = model.snapshot(RECEIVED);
  assert.deepEqual([groups.rows.length, groups.total, groups.notShown], [50, 51, 1]);
});

test("of a summary's people no more than the bound are taken", () => {
  const model = new VenueModel();
  const joined = Array.from({ length: venueLimits.people + 1 }, (_, i) => `u${i}`);
  model.addEvents([seen("a", RECEIVED, { kind: "interval", channel: { name: "c", joined } })], RECEIVED);
  assert.equal(model.snapshot(RECEIVED).present.known, venueLimits.people);
});

test("choices that are none change nothing", () => {
  const model = new VenueModel();
  for (const odd of [undefined, null, 7, { sort: "shoe" }, { group: { sort: "x", key: 1 } }, { place: 3 }, { open: [1] },
                     { filter: 7 }]) model.select(odd);
  assert.equal(model.snapshot(RECEIVED).groups.sort, "endpoint");
});

test("the chart: a page just opened shows what there is, not half an hour of nothing", () => {
  const model = new VenueModel();
  model.addEvents([seen("a", RECEIVED), seen("r", RECEIVED, { client: { mac: "r", randomized: true } })], RECEIVED);
  const drawn = presenceLayout(model.snapshot(RECEIVED + 1000).series, 600, 240);
  assert.equal(drawn.times[0].text, "−5 min");
  assert.ok(drawn.areas.known.startsWith("M") && drawn.areas.known.endsWith("Z"));
  assert.doesNotMatch(JSON.stringify(drawn), /NaN|null|Infinity/);
  assert.match(drawn.summary, /now 1 known client and 1 randomised address;.*2 came and 0 left; parts are uncertain/);
  assert.equal(drawn.hatched.length, 1);
  assert.match(presenceLayout([], 600, 240).summary, /nothing is known yet/);
});
