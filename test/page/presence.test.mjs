// Who is present: windows, channels, late and disordered events, groups, the series, and the bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Presence, cut, presenceLimits } from "../../src/page/presence.js";

const T = Date.parse("2026-01-05T10:00:00Z"), MINUTE = 60000, WINDOW = presenceLimits.windowMs;

class Scene {
  constructor(limits) {
    this.presence = new Presence(limits);
  }

  sign(key, at, { what = "seen", now = at, random = false, ...where } = {}) {
    this.presence.advance(now);
    const place = { endpoint: null, ap: null, venue: null, channel: null, stay: null };
    for (const sort of ["endpoint", "ap", "venue", "channel"])
      if (where[sort]) place[sort] = this.presence.group(sort, where[sort]);
    if (where.channel) place.stay = `channel ${where.channel}`;
    if (where.zone) place.stay = `zone ${where.zone}`;
    return this.presence.sign(key, random, what, at, place);
  }

  at(ms) {
    this.presence.advance(ms);
    return [this.presence.all.known, this.presence.all.randomized];
  }

  group(sort, key) {
    const group = this.presence.groupsOf(sort).get(key);
    return [group.known, group.randomized];
  }

  turns(group = this.presence.all) {
    return this.presence.series(group).reduce(([a, d], point) => [a + point.arrivals, d + point.departures], [0, 0]);
  }
}

test("a sighting makes present for the window, and not a second longer", () => {
  const scene = new Scene();
  scene.sign("a", T);
  assert.deepEqual(scene.at(T + WINDOW - 1), [1, 0]);
  assert.deepEqual(scene.at(T + WINDOW), [0, 0]);
  assert.deepEqual(scene.turns(), [1, 1]);
});

test("a later sighting extends, an earlier one does not shorten or move", () => {
  const scene = new Scene();
  scene.sign("a", T, { ap: "one" });
  scene.sign("a", T + MINUTE, { ap: "two" });
  assert.equal(scene.sign("a", T + 1000, { now: T + 2 * MINUTE, ap: "one" }), null);
  assert.deepEqual([scene.group("ap", "one"), scene.group("ap", "two")], [[0, 0], [1, 0]]);
  assert.deepEqual(scene.at(T + MINUTE + WINDOW - 1), [1, 0]);
  assert.deepEqual(scene.at(T + MINUTE + WINDOW), [0, 0]);
});

test("what is older than the window makes nobody present, and is counted", () => {
  const scene = new Scene();
  assert.equal(scene.sign("a", T - WINDOW, { now: T }), null);
  assert.notEqual(scene.sign("b", T - WINDOW + 1, { now: T }), null);
  assert.deepEqual([scene.at(T), scene.presence.late, scene.presence.size], [[1, 0], 1, 1]);
  assert.deepEqual(scene.at(T + 1000), [0, 0]);
});

test("randomised addresses are counted apart", () => {
  const scene = new Scene();
  for (let i = 0; i < 5; i++) scene.sign(`r${i}`, T, { random: true, ap: "one" });
  scene.sign("k", T, { ap: "one" });
  assert.deepEqual([scene.at(T), scene.group("ap", "one")], [[1, 5], [1, 5]]);
});

test("who has joined stays until leaving", () => {
  const scene = new Scene();
  scene.sign("u", T, { what: "enter", channel: "c" });
  assert.deepEqual([scene.at(T + 4 * WINDOW), scene.group("channel", "c")], [[1, 0], [1, 0]]);
  scene.sign("u", T + 4 * WINDOW, { what: "leave", channel: "c" });
  assert.deepEqual([scene.at(T + 4 * WINDOW), scene.group("channel", "c")], [[0, 0], [0, 0]]);
});

test("who never leaves is gone after holdMs", () => {
  const scene = new Scene();
  scene.sign("u", T, { what: "enter", channel: "c" });
  assert.deepEqual(scene.at(T + presenceLimits.holdMs - 1), [1, 0]);
  assert.deepEqual([scene.at(T + presenceLimits.holdMs), scene.group("channel", "c")], [[0, 0], [0, 0]]);
});

test("who was seen before joining, or joins again, stays for the whole time", () => {
  const scene = new Scene();
  scene.sign("u", T, { endpoint: "e" });
  scene.sign("u", T + 1000, { what: "enter", channel: "c" });
  assert.deepEqual(scene.at(T + 2 * WINDOW), [1, 0]);
  scene.sign("u", T + 3 * WINDOW, { what: "enter", channel: "c" });
  assert.deepEqual(scene.at(T + presenceLimits.holdMs + 2000), [1, 0]);
  assert.deepEqual(scene.at(T + 3 * WINDOW + presenceLimits.holdMs), [0, 0]);
});

test("in two channels: one client, counted in both, gone with the second leave", () => {
  const scene = new Scene();
  for (const channel of ["c", "d"]) scene.sign("u", T, { what: "enter", channel });
  assert.deepEqual([scene.at(T), scene.group("channel", "c"), scene.group("channel", "d")], [[1, 0], [1, 0], [1, 0]]);
  scene.sign("u", T + 1000, { what: "leave", channel: "c" });
  assert.deepEqual([scene.at(T + 1000), scene.group("channel", "c")], [[1, 0], [0, 0]]);
  scene.sign("u", T + 2000, { what: "leave", channel: "d" });
  assert.deepEqual(scene.at(T + 2000), [0, 0]);
});

test("a join that comes after its own leave brings nobody back; of the same second, the order counts", () => {
  const scene = new Scene();
  scene.sign("u", T + 2000, { what: "leave", channel: "c" });
  assert.equal(scene.sign("u", T, { what: "enter", channel: "c", now: T + 3000 }), null);
  assert.deepEqual(scene.at(T + 3000), [0, 0]);
  scene.sign("u", T + 4000, { what: "enter", channel: "c" });
  scene.sign("u", T + 4000, { what: "leave", channel: "c" });
  scene.sign("u", T + 4000, { what: "enter", channel: "c" });
  assert.deepEqual([scene.at(T + 4000), scene.group("channel", "c")], [[1, 0], [1, 0]]);
});

test("a leave that is older than a join does not end it", () => {
  const scene = new Scene();
  scene.sign("u", T + 2000, { what: "enter", channel: "c" });
  assert.equal(scene.sign("u", T, { what: "leave", channel: "c", now: T + 3000 }), null);
  assert.deepEqual(scene.at(T + 3000), [1, 0]);
});

test("out of a zone is not out of the house for who is still seen", () => {
  const scene = new Scene();
  scene.sign("a", T, { what: "enter", zone: "z" });
  scene.sign("a", T + 1000, { what: "exit", zone: "z" });
  assert.deepEqual(scene.at(T + 1000), [0, 0]);
  scene.sign("b", T + 2000);
  scene.sign("b", T + 3000, { what: "enter", zone: "z" });
  scene.sign("b", T + 4000, { what: "exit", zone: "z" });
  assert.deepEqual([scene.at(T + 4000), scene.at(T + 2000 + WINDOW)], [[1, 0], [0, 0]]);
});

test("roaming is a departure here and an arrival there, not of the whole", () => {
  const scene = new Scene();
  for (const [i, ap] of ["one", "two", "one"].entries()) scene.sign("a", T + i * 1000, { ap, venue: "v" });
  const { presence } = scene;
  assert.deepEqual(scene.turns(), [1, 0]);
  assert.deepEqual(scene.turns(presence.groupsOf("ap").get("one")), [2, 1]);
  assert.deepEqual(scene.turns(presence.groupsOf("ap").get("two")), [1, 1]);
  assert.deepEqual(scene.turns(presence.groupsOf("venue").get("v")), [1, 0]);
});

test("two endpoints that tell of one client: each counts it, the whole once, each for its own window", () => {
  const scene = new Scene();
  scene.sign("a", T, { endpoint: "hq" });
  scene.sign("a", T + MINUTE, { endpoint: "lab" });
  assert.deepEqual([scene.at(T + MINUTE), scene.group("endpoint", "hq"), scene.group("endpoint", "lab")],
                   [[1, 0], [1, 0], [1, 0]]);
  assert.deepEqual([scene.at(T + WINDOW), scene.group("endpoint", "hq"), scene.group("endpoint", "lab")],
                   [[1, 0], [0, 0], [1, 0]]);
  assert.deepEqual([scene.at(T + MINUTE + WINDOW), scene.group("endpoint", "lab")], [[0, 0], [0, 0]]);
});

test("the series: what was known at each minute's end, and what was not known before", () => {
  const scene = new Scene();
  scene.sign("a", T + 10000);
  scene.sign("r", T + MINUTE + 10000, { random: true });
  scene.at(T + 7 * MINUTE + 30000);
  const points = scene.presence.series(scene.presence.all);
  assert.deepEqual(points.map((point) => (point.t - T) / 1000), [60, 120, 180, 240, 300, 360, 420, 450]);
  assert.deepEqual(points.map((point) => [point.known, point.randomized]),
                   [[1, 0], [1, 1], [1, 1], [1, 1], [1, 1], [0, 1], [0, 0], [0, 0]]);
  assert.deepEqual(points.map((point) => [point.arrivals, point.departures]),
                   [[1, 0], [1, 0], [0, 0], [0, 0], [0, 0], [0, 1], [0, 1], [0, 0]]);
});

test("the series has its minutes and no more, and old ones do not come round again", () => {
  const scene = new Scene();
  for (let i = 0; i <= 100; i++) scene.sign(`a${i}`, T + i * MINUTE);
  const points = scene.presence.series(scene.presence.all);
  assert.equal(points.length, presenceLimits.minutes + 1);
  assert.equal(points[0].t - T, (100 - presenceLimits.minutes + 1) * MINUTE);
  assert.deepEqual(points.map((point) => [point.arrivals, point.departures]), [...Array(30).fill([1, 1]), [1, 0]]);
});

test("a night without events: nobody is left, its minutes are empty, and it takes no time", () => {
  const scene = new Scene();
  scene.sign("a", T, { ap: "one" });
  assert.deepEqual(scene.at(T + 2000 * 365 * 24 * 60 * MINUTE), [0, 0]); // minute by minute: an hour
  const points = scene.presence.series(scene.presence.all);
  assert.equal(points.length, presenceLimits.minutes + 1);
  assert.ok(points.every((point) => point.known + point.arrivals + point.departures === 0));
});

test("the clock does not go back", () => {
  const scene = new Scene();
  scene.sign("a", T);
  scene.at(T + 2 * WINDOW);
  scene.at(T);
  assert.equal(scene.presence.clock, T + 2 * WINDOW);
});

test("clients: at the bound all are kept, one past it the least recently seen leaves and is counted", () => {
  const scene = new Scene({ clients: 3 });
  for (const key of ["a", "b", "c"]) scene.sign(key, T, { ap: "one", endpoint: "e" });
  scene.sign("a", T + 1000, { ap: "one", endpoint: "e" });
  assert.deepEqual([scene.at(T + 1000), scene.presence.evicted], [[3, 0], 0]);
  scene.sign("d", T + 2000, { ap: "one", endpoint: "e" });
  assert.deepEqual([scene.at(T + 2000), scene.presence.evicted, scene.presence.size], [[3, 0], 1, 3]);
  assert.deepEqual([scene.group("ap", "one"), scene.group("endpoint", "e")], [[3, 0], [3, 0]]);
  assert.equal(scene.presence.client("b"), undefined);
  assert.deepEqual(scene.turns(), [4, 0]); // to be put out is not to leave
  assert.deepEqual([scene.at(T + 2000 + WINDOW), scene.group("ap", "one")], [[0, 0], [0, 0]]);
});

test("the bound of clients as it is", () => {
  const scene = new Scene();
  for (let i = 0; i < presenceLimits.clients; i++) scene.sign(`c${i}`, T);
  assert.deepEqual([scene.at(T), scene.presence.evicted], [[20000, 0], 0]);
  scene.sign("more", T);
  assert.deepEqual([scene.at(T), scene.presence.evicted], [[20000, 0], 1]);
});

test("groups: one past the bound the least recently heard of leaves, and comes back empty", () => {
  const scene = new Scene({ groups: 2 });
  scene.sign("a", T, { ap: "one", endpoint: "e" });
  scene.sign("b", T + 1000, { ap: "two", endpoint: "e" });
  assert.equal(scene.presence.groupsEvicted, 0);
  scene.sign("c", T + 2000, { ap: "three", endpoint: "e" });
  assert.deepEqual([[...scene.presence.groupsOf("ap").keys()], scene.presence.groupsEvicted], [["two", "three"], 1]);
  scene.sign("a", T + 3000, { ap: "one", endpoint: "e" });
  assert.deepEqual([scene.group("ap", "one"), scene.at(T + 3000)], [[1, 0], [3, 0]]);
  scene.at(T + 3000 + WINDOW);
  for (const group of scene.presence.groupsOf("ap").values()) assert.deepEqual([group.known, group.randomized], [0, 0]);
});

test("an endpoint that was put out counts its clients again when it is back", () => {
  const scene = new Scene({ groups: 1 });
  scene.sign("a", T, { endpoint: "e" });
  scene.sign("b", T + 1000, { endpoint: "f" });
  scene.sign("a", T + 2000, { endpoint: "e" });
  assert.deepEqual(scene.group("endpoint", "e"), [1, 0]);
});

test("stays: one past the bound the oldest ends, and its channel knows", () => {
  const scene = new Scene({ stays: 2 });
  for (const channel of ["a", "b"]) scene.sign("u", T, { what: "enter", channel });
  assert.deepEqual([scene.group("channel", "a"), scene.group("channel", "b")], [[1, 0], [1, 0]]);
  scene.sign("u", T, { what: "enter", channel: "c" });
  assert.deepEqual([scene.group("channel", "a"), scene.group("channel", "b"), scene.group("channel", "c")],
                   [[0, 0], [1, 0], [1, 0]]);
});

test("names: at the bound as they are, one past it cut", () => {
  const most = presenceLimits.nameChars;
  assert.equal(cut("x".repeat(most), most), "x".repeat(most));
  assert.equal(cut("x".repeat(most + 1), most), `${"x".repeat(most - 1)}…`);
  const scene = new Scene();
  scene.sign("k".repeat(100000), T, { ap: "n".repeat(100000) });
  assert.equal([...scene.presence.clients()][0].key.length, most);
  assert.equal([...scene.presence.groupsOf("ap").keys()][0].length, most);
});

test("uncertain: until a window after the beginning, and from a gap until a window after it", () => {
  const scene = new Scene();
  scene.sign("a", T);
  assert.deepEqual(scene.presence.uncertain(), { reason: "begin", until: T + WINDOW });
  scene.at(T + WINDOW);
  assert.equal(scene.presence.uncertain(), null);
  scene.at(T + 10 * MINUTE);
  scene.at(T + 12 * MINUTE);
  scene.presence.gap(T + 10 * MINUTE, T + 12 * MINUTE, 24, "overrun");
  assert.deepEqual(scene.presence.uncertain().gap.lost, 24);
  scene.at(T + 20 * MINUTE);
  assert.equal(scene.presence.uncertain(), null);
  const marks = scene.presence.series(scene.presence.all).map((point) => (point.uncertain ? "?" : "."));
  assert.equal(marks.join(""), "?????.....???????....");
});

test("gaps: one past the bound the oldest is forgotten", () => {
  const { presence } = new Scene();
  presence.advance(T);
  for (let i = 0; i < presenceLimits.gaps; i++) presence.gap(T + i, T + i, i, "overrun");
  assert.equal(presence.gaps[0].lost, 0);
  presence.gap(T, T, 99, "overrun");
  assert.deepEqual([presence.gaps.length, presence.gaps[0].lost], [presenceLimits.gaps, 1]);
});

// Whatever comes, in whatever order: the counts are those of who is there.
test("counts agree with the clients after random events", () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const scene = new Scene({ clients: 40, groups: 6, stays: 3 });
  let now = T;
  for (let i = 0; i < 30000; i++) {
    now += random(4000);
    const number = random(60);
    scene.sign(`c${number}`, now - random(random(10) ? 20000 : 2 * WINDOW), {
      what: ["seen", "seen", "enter", "leave", "exit"][random(5)], now, random: number % 3 === 0,
      endpoint: `e${random(8)}`, ap: random(2) ? `a${random(8)}` : undefined, venue: random(3) ? `v${random(3)}` : undefined,
      channel: random(2) ? `h${random(5)}` : undefined, zone: undefined });
    if (i % 500) continue;
    const there = [...scene.presence.clients()].filter((client) => client.present);
    assert.deepEqual(scene.at(now), [there.filter((c) => !c.randomized).length, there.filter((c) => c.randomized).length]);
    for (const sort of ["ap", "venue"])
      for (const group of scene.presence.groupsOf(sort).values())
        assert.equal(group.known + group.randomized, there.filter((client) => client[sort] === group).length);
    for (const sort of ["endpoint", "channel"])
      for (const group of scene.presence.groupsOf(sort).values())
        assert.equal(group.known + group.randomized,
                     there.filter((client) => client.stays.some((stay) => stay.group === group)).length, sort);
  }
  assert.deepEqual(scene.at(now + presenceLimits.holdMs), [0, 0]);
});
