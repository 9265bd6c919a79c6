// Where clients are: places, projection, access points, the picture, the arrows; and the bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Floor, extentOf, floorLimits, niceStep, placeOf, project } from "../../src/page/venue_floor.js";
import { fit, nearest } from "../../src/page/floor_view.js";

const T = 1000000, WINDOW = 300000;
const event = (location, more = {}) => ({ endpoint: "hq", location, ...more });
const client = (key, location, more = {}) => ({ key, present: true, randomized: false, location, ap: null, ...more });
const picture = (floor, clients, now = T, wanted = "") => floor.snapshot(wanted, clients, now, WINDOW);

test("a position's place: the map, else the access point, else the endpoint", () => {
  const xy = { x: 1, y: 2 }, ap = { mac: "m1", name: "Lobby" };
  assert.deepEqual(placeOf(event(xy, { ap, extra: { map_id: "g" } })), { key: "xy map g", name: "Map g", metric: true });
  assert.equal(placeOf(event(xy, { ap, extra: { mapid: "g" } })).key, "xy map g");
  assert.equal(placeOf(event(xy, { ap, extra: { floorPlanId: "g", floorPlanName: "Ground" } })).name, "Map Ground");
  assert.deepEqual(placeOf(event(xy, { ap })), { key: "xy ap m1", name: "Access point Lobby", metric: true });
  assert.equal(placeOf(event(xy)).key, "xy endpoint hq");
  assert.equal(placeOf(event({ lat: 1, lng: 2 }, { ap, venue: { id: "7", name: "Pier" } })).name, "Venue Pier");
  assert.equal(placeOf(event({ lat: 1, lng: 2 }, { ap })).key, "geo endpoint hq");
  for (const nowhere of [undefined, null, {}, { x: 1 }, { lat: 1 }, { x: "1", y: 2 }, { x: Infinity, y: 0 }])
    assert.equal(placeOf(event(nowhere)), null);
});

test("latitude and longitude become metres east and south", () => {
  const origin = { lat: 51.508, lng: -0.0759 };
  const there = project(51.508, -0.0759, origin);
  assert.ok(Math.abs(there.x) < 1e-6 && Math.abs(there.y) < 1e-6);
  const north = project(51.509, -0.0759, origin), east = project(51.508, -0.0749, origin);
  assert.ok(Math.abs(north.y + 111.32) < 0.1 && Math.abs(north.x) < 1e-6);
  assert.ok(Math.abs(east.x - 69.29) < 0.1 && Math.abs(east.y) < 1e-6);
  // Across the date line it is a step, not a journey.
  assert.ok(Math.abs(project(0, -179.9999, { lat: 0, lng: 179.9999 }).x - 22.26) < 0.1);
});

test("clients are drawn at their place, the newest first, until they have faded", () => {
  const floor = new Floor();
  const a = client("a", floor.locate(event({ x: 1, y: 2, unc: 3 }), T - 1000));
  const b = client("b", floor.locate(event({ x: 4, y: 6 }), T), { randomized: true });
  const old = client("old", floor.locate(event({ x: 5, y: 5 }), T - WINDOW));
  const gone = client("gone", floor.locate(event({ x: 5, y: 5 }), T), { present: false });
  const drawn = picture(floor, [a, b, old, gone]);
  assert.deepEqual(drawn.clients.map(({ key, x, y, unc, age, randomized }) => [key, x, y, unc, age, randomized]),
                   [["b", 4, 6, 0, 0, true], ["a", 1, 2, 3, 1000, false]]);
  assert.equal(drawn.places[0].count, 2);
});

test("the place that is shown stays the one while it has clients", () => {
  const floor = new Floor();
  const at = (key, endpoint) => client(key, floor.locate({ endpoint, location: { x: 1, y: 1 } }, T));
  const clients = [at("a", "one")];
  assert.equal(picture(floor, clients).key, "xy endpoint one");
  clients.push(at("b", "two"), at("c", "two"));
  assert.equal(picture(floor, clients).key, "xy endpoint one");
  assert.equal(picture(floor, clients, T, "xy endpoint two").key, "xy endpoint two");
  assert.equal(picture(floor, clients.slice(1)).key, "xy endpoint two");
  assert.deepEqual(picture(new Floor(), []).places, []);
});

test("access points: as told by the sender, else estimated from three positions on", () => {
  const floor = new Floor(), ap = { mac: "m1", name: "Lobby" };
  floor.locate({ endpoint: "e", ap, extra: { mapid: "g", ap_loc: [36, 43.5, 2.75] } }, T);
  const at = client("a", floor.locate(event({ x: 30, y: 40 }, { extra: { map_id: "g" } }), T));
  assert.deepEqual(picture(floor, [at]).aps, [{ key: "m1", name: "Lobby", x: 36, y: 43.5, estimated: false }]);

  const guess = new Floor();
  const see = (x, rssi) => guess.locate(event({ x, y: 0 }, { ap: { mac: "m2" }, rssi }), T);
  const clients = [client("a", see(0, -40)), client("b", see(10, -80))];
  assert.deepEqual(picture(guess, clients).aps, []);
  see(0, -40);
  const [found] = picture(guess, clients).aps;
  assert.ok(found.estimated && found.x < 1 && found.y === 0, JSON.stringify(found));
});

test("Meraki's reporting access points, on their plan", () => {
  const floor = new Floor();
  const extra = { floorPlanId: "g_7", enclosing: { enclosing: { data: { reportingAps: [
    { mac: "00180a5c0001", name: "AP1", lat: 48, lng: 16, floorPlan: { id: "g_7", x: 1.5, y: 2 } },
    { mac: "00:18:0a:5c:00:02", floorPlan: { id: "g_7", x: 5, y: "NaN" } }, null, 7] } } } };
  const at = client("a", floor.locate(event({ x: 3, y: 3 }, { extra }), T));
  assert.deepEqual(picture(floor, [at]).aps, [{ key: "00:18:0a:5c:00:01", name: "AP1", x: 1.5, y: 2, estimated: false }]);
});

test("positions past all sense are left out", () => {
  const floor = new Floor(), most = floorLimits.maxMetres;
  assert.notEqual(floor.locate(event({ x: most, y: -most }), T), null);
  for (const x of [most + 1, 1e308]) assert.equal(floor.locate(event({ x, y: 0 }), T), null);
  assert.equal(floor.locate(event({ x: 1, y: 1, unc: -4 }), T).unc, 0);
  assert.equal(floor.locate(event({ x: 1, y: 1, unc: most + 1 }), T).unc, 0);
});

test("places: one past the bound the least recently used leaves, and what was there is not drawn", () => {
  const floor = new Floor();
  const clients = [];
  for (let i = 0; i < floorLimits.places; i++) clients.push(client(`c${i}`, floor.locate({ endpoint: `e${i}`, location: { x: 1, y: 1 } }, T)));
  assert.deepEqual([floor.size, floor.evicted, picture(floor, clients).places.length], [200, 0, 200]);
  floor.locate({ endpoint: "more", location: { x: 1, y: 1 } }, T);
  assert.deepEqual([floor.size, floor.evicted, picture(floor, clients).places.length], [200, 1, 199]);
});

test("clients and access points in a picture: at the bound, and one past it", () => {
  const floor = new Floor({ aps: 2 });
  const clients = [];
  for (let i = 0; i < floorLimits.clients; i++) clients.push(client(`c${i}`, floor.locate(event({ x: i % 30, y: i % 20 }), T - i)));
  assert.deepEqual([picture(floor, clients).clients.length, picture(floor, clients).notShown], [500, 0]);
  clients.push(client("more", floor.locate(event({ x: 1, y: 1 }), T + 1)));
  const drawn = picture(floor, clients, T + 1);
  assert.deepEqual([drawn.clients.length, drawn.notShown, drawn.clients[0].key], [500, 1, "more"]);
  for (const mac of ["m1", "m2", "m3"])
    floor.locate({ endpoint: "hq", ap: { mac }, extra: { mapid: "g", ap_loc: [1, 1] } }, T);
  assert.equal(floor.snapshot("xy map g", [], T, WINDOW).aps.length, 2);
});

test("one wrong position does not make all others a dot", () => {
  const points = Array.from({ length: 60 }, (_, i) => ({ x: i % 10, y: i % 7 }));
  const extent = extentOf([...points, { x: 90000, y: 90000 }]);
  assert.ok(extent.width < 20 && extent.height < 20, JSON.stringify(extent));
  assert.equal(extentOf([]), null);
  const one = extentOf([{ x: 5, y: 5 }]);
  assert.ok(one.x <= 5 && one.x + one.width >= 5 && one.width >= 1);
});

test("the picture's edges stay where they are while somebody walks about", () => {
  const corners = [{ x: 2, y: 3 }, { x: 38, y: 21 }];
  const wanted = extentOf(corners);
  for (let x = 3; x < 37; x += 0.7) assert.deepEqual(extentOf([...corners, { x, y: 10 }]), wanted);
});

test("steps and scales", () => {
  for (const [most, step] of [[1, 1], [1.9, 1], [2, 2], [4.9, 2], [5, 5], [9.9, 5], [10, 10], [0.3, 0.2], [730, 500]])
    assert.equal(niceStep(most), step);
  const { scale, x, y } = fit({ x: 10, y: 20, width: 100, height: 50 }, 400, 400);
  assert.deepEqual([scale, x(10), x(110), y(20), y(70)], [4, 0, 400, 100, 300]);
});

test("arrows go to the nearest that way, and off every edge nowhere", () => {
  const points = [{ x: 0, y: 0 }, { x: 10, y: 1 }, { x: 5, y: 9 }, { x: 5, y: 9 }, { x: -3, y: 0 }];
  assert.equal(nearest(points, 0, "ArrowRight"), 1);
  assert.equal(nearest(points, 0, "ArrowDown"), 2);
  assert.equal(nearest(points, 2, "ArrowDown"), 3); // on the same spot
  assert.equal(nearest(points, 0, "ArrowLeft"), 4);
  assert.equal(nearest(points, 0, "ArrowUp"), -1);
});
