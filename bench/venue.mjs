// What the page's model of the venue costs its worker: node bench/venue.mjs [events]. 30,000 clients at 200
// access points and 10 endpoints, a third of the addresses randomised, each event with a position: more
// clients than the model keeps, so that each event also puts one out. By CPU time, so that others on the
// machine do not count; a snapshot is taken every 1,250 events, four a second at 5,000 events/s.
import { VenueModel } from "../src/page/venue_model.js";

const EVENTS = Number(process.argv[2] || 1000000), CLIENTS = 30000, BATCH = 250, BEGIN = Date.parse("2026-01-05T10:00:00Z");
const model = new VenueModel();
const spent = { parse: 0, model: 0, snapshot: 0 };
let snapshots = 0;

function time(what, act) {
  const begin = process.cpuUsage();
  const result = act();
  const { user, system } = process.cpuUsage(begin);
  spent[what] += user + system;
  return result;
}

function line(i) {
  const at = BEGIN + i / 5, client = (i * 7919) % CLIENTS, ap = client % 200, two = (n) => n.toString(16).padStart(2, "0");
  const mac = `dc:ac:00:${two(client >> 16)}:${two((client >> 8) & 255)}:${two(client & 255)}`;
  return `{"seq":${i + 1},"id":"${String(i).padStart(32, "0")}","received":"${new Date(at).toISOString().slice(0, -1)}000Z",`
    + `"endpoint":"e${ap % 10}","provider":"aerohive","kind":"seen","time":"${new Date(at - 900).toISOString()}","delay_ms":900,`
    + `"client":{"mac":"${mac}","randomized":${client % 3 === 0},"manufacturer":"Apple"},"ap":{"mac":"c4:13:e2:00:00:${two(ap)}"},`
    + `"ssid":"Venue","rssi":-${40 + (client % 50)},"location":{"x":${client % 100}.5,"y":${client % 37}.25,"unc":3},"tenant":"1490"}`;
}

for (let i = 0; i < EVENTS; i += BATCH) {
  const texts = Array.from({ length: BATCH }, (_, j) => line(i + j)), now = BEGIN + (i + BATCH) / 5;
  const items = time("parse", () => texts.map((text, j) => ({ text, event: JSON.parse(text), cursor: `1-${i + j + 1}` })));
  time("model", () => model.addEvents(items, now));
  if (i % 1250) continue;
  time("snapshot", () => structuredClone(model.snapshot(now)));
  snapshots++;
}
const each = (spent.parse + spent.model) / EVENTS;
console.log(`${EVENTS} events: ${Math.round(1e6 / each)} a second of one core; of each ${(spent.parse / EVENTS).toFixed(1)} µs to `
  + `parse, ${(spent.model / EVENTS).toFixed(1)} µs in the model; a snapshot ${(spent.snapshot / snapshots / 1000).toFixed(1)} ms; `
  + `5,000 events/s and 4 snapshots/s take ${((each * 5000 + (4 * spent.snapshot) / snapshots) / 1e4).toFixed(1)} % of a core; `
  + `heap ${Math.round(process.memoryUsage().heapUsed / 1048576)} MiB`);
