// Where clients are: which place an event's position belongs to, in which metres, and what of it fits
// into one picture. Pure; floor_view.js draws it.
//
// A place is what shares one coordinate system. x and y are metres of a map where the sender names one
// (Mist's map_id, Meraki's floorPlanId), else they are taken as the access point's own, else the
// endpoint's. lat and lng mean the same everywhere: they belong to the map, else the venue, else the
// endpoint, and become metres east and north of the place's first position.
//
// An access point stands where the sender says (Mist's ap_loc, Meraki's reportingAps), else, from three
// positions on, at the mean of its clients' positions, the stronger the signal the heavier: an estimate,
// and drawn as one.
//
// Bounds (floorLimits): places, access points of each, clients in a picture. Positions past maxMetres
// are taken for mistakes and left out.
import { cut } from "./presence.js";

export const floorLimits = Object.freeze({
  places: 200,
  aps: 100,
  clients: 500,
  maxMetres: 100000,
  nameChars: 128,
  weight: 200, // of sightings: an estimate forgets what is older
});

const METRES_PER_DEGREE = 111320;
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const text = (value) => (typeof value === "string" && value !== "" ? value
  : typeof value === "number" && Number.isFinite(value) ? String(value) : null);
const object = (value) => (value !== null && typeof value === "object" ? value : {});

/** The map that the sender names: {id, name} or null. */
function mapOf(event) {
  const extra = object(event.extra);
  const id = text(extra.map_id) ?? text(extra.mapid) ?? text(extra.floorPlanId);
  return id === null ? null : { id, name: text(extra.floorPlanName) ?? text(extra.map_name) ?? id };
}

const apName = (ap) => text(ap.name) ?? text(ap.mac);

/** {key, name, metric} of the place that an event's position belongs to; null where it has none. */
export function placeOf(event) {
  const at = object(event.location), metric = number(at.x) !== null && number(at.y) !== null;
  if (!metric && (number(at.lat) === null || number(at.lng) === null)) return null;
  return place(event, metric, mapOf(event));
}

function place(event, metric, map) {
  const kind = metric ? "xy" : "geo", ap = object(event.ap), venue = object(event.venue);
  const endpoint = text(event.endpoint) ?? "";
  if (map) return { key: `${kind} map ${map.id}`, name: `Map ${map.name}`, metric };
  if (metric && apName(ap) !== null)
    return { key: `${kind} ap ${text(ap.mac) ?? ap.name}`, name: `Access point ${apName(ap)}`, metric };
  if (!metric && (text(venue.id) ?? text(venue.name)) !== null)
    return { key: `${kind} venue ${text(venue.id) ?? venue.name}`,
             name: `Venue ${text(venue.name) ?? venue.id}`, metric };
  return { key: `${kind} endpoint ${endpoint}`, name: `Endpoint ${endpoint}`, metric };
}

/** Metres east and north of an origin {lat, lng}: right to a few centimetres within some kilometres. */
export function project(lat, lng, origin) {
  const wide = ((lng - origin.lng + 540) % 360) - 180;
  return { x: wide * METRES_PER_DEGREE * Math.cos((origin.lat * Math.PI) / 180),
           y: (origin.lat - lat) * METRES_PER_DEGREE };
}

const sane = ({ x, y }) => Math.abs(x) <= floorLimits.maxMetres && Math.abs(y) <= floorLimits.maxMetres;

/** What the enclosing objects of a Meraki post say of its access points. */
function reportedAps(event) {
  for (let at = object(event.extra), depth = 0; depth < 4; at = object(at.enclosing), depth++) {
    const found = object(at.data).reportingAps;
    if (Array.isArray(found)) return found.slice(0, floorLimits.aps);
  }
  return [];
}

const mac = (value) => (typeof value === "string" && /^[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}$/i.test(value)
  ? value.replace(/[:-]/g, "").match(/../g).join(":").toLowerCase() : null);

export class Floor {
  #limits;
  #places = new Map(); // in the order of use, the latest last
  #last = null; // that was shown
  evicted = 0;

  constructor(limits = {}) {
    this.#limits = { ...floorLimits, ...limits };
  }

  get size() {
    return this.#places.size;
  }

  #place({ key, name, metric }, atMs) {
    const short = cut(key, this.#limits.nameChars);
    let found = this.#places.get(short);
    if (found) {
      this.#places.delete(short);
    } else {
      found = { key: short, name: cut(name, this.#limits.nameChars), metric, origin: null, aps: new Map(), at: atMs,
                gone: false };
    }
    found.at = atMs;
    this.#places.set(short, found);
    if (this.#places.size > this.#limits.places) {
      const [oldest] = this.#places.values();
      oldest.gone = true;
      this.#places.delete(oldest.key);
      this.evicted++;
    }
    return found;
  }

  // Metres of the place, y downwards.
  #metres(place, at) {
    if (place.metric) return { x: at.x, y: at.y };
    place.origin ??= { lat: at.lat, lng: at.lng };
    return project(at.lat, at.lng, place.origin);
  }

  #ap(place, key, name) {
    const short = cut(key, this.#limits.nameChars);
    let ap = place.aps.get(short);
    if (!ap) {
      if (place.aps.size >= this.#limits.aps) return null;
      ap = { key: short, name: "", known: null, weight: 0, x: 0, y: 0, sightings: 0 };
      place.aps.set(short, ap);
    }
    if (name) ap.name = cut(name, this.#limits.nameChars);
    return ap;
  }

  /**
   * Takes an event of a client: {place, x, y, unc, at: ms} or null where it has no position. Positions
   * of access points are learnt on the way.
   */
  locate(event, atMs) {
    this.#learn(event, atMs);
    const which = placeOf(event);
    if (!which) return null;
    const place = this.#place(which, atMs), at = this.#metres(place, event.location);
    if (!sane(at)) return null;
    const unc = number(event.location.unc);
    const found = { place, x: at.x, y: at.y, unc: unc !== null && unc > 0 && unc <= floorLimits.maxMetres ? unc : 0,
                    at: atMs };
    this.#estimate(place, event, found);
    return found;
  }

  #estimate(place, event, at) {
    const key = text(object(event.ap).mac) ?? text(object(event.ap).name);
    const ap = key === null ? null : this.#ap(place, key, apName(event.ap));
    if (!ap) return;
    const rssi = number(event.rssi) ?? -80;
    const weight = 10 ** (Math.min(Math.max(rssi, -100), -20) / 20 + 4);
    ap.weight = Math.min(ap.weight, this.#limits.weight * weight) + weight;
    ap.x += ((at.x - ap.x) * weight) / ap.weight;
    ap.y += ((at.y - ap.y) * weight) / ap.weight;
    ap.sightings++;
  }

  #learn(event, atMs) {
    const extra = event.extra;
    if (!extra) return;
    const map = mapOf(event);
    if (Array.isArray(extra.ap_loc) && number(extra.ap_loc[0]) !== null && number(extra.ap_loc[1]) !== null)
      this.#know(place(event, true, map), object(event.ap), { x: extra.ap_loc[0], y: extra.ap_loc[1] }, atMs);
    if (!extra.enclosing) return;
    for (const said of reportedAps(event)) {
      const plan = object(object(said).floorPlan), ap = { mac: mac(said?.mac), name: text(said?.name) };
      if (text(plan.id) !== null && number(plan.x) !== null && number(plan.y) !== null)
        this.#know(place({}, true, { id: plan.id, name: text(plan.name) ?? plan.id }), ap, plan, atMs);
      if (number(said?.lat) === null || number(said?.lng) === null) continue;
      this.#know(place(event, false, text(plan.id) === null ? null
        : { id: plan.id, name: text(plan.name) ?? plan.id }), ap, said, atMs);
    }
  }

  #know(which, ap, at, atMs) {
    const key = text(ap.mac) ?? text(ap.name);
    if (key === null) return;
    const place = this.#place(which, atMs), found = this.#metres(place, at);
    if (!sane(found)) return;
    const kept = this.#ap(place, key, apName(ap));
    if (kept) kept.known = found;
  }

  /**
   * The picture of a place ("" or one that is not there: the last one for as long as it has clients, then
   * the one with most), of `clients` (Presence's), those whose position is younger than `windowMs`:
   * {places: [{key, name, count}], key, name, metric, clients: [{key, x, y, unc, age: ms, randomized,
   * maker, rssi, ap}], aps: [{key, name, x, y, estimated}], extent: {x, y, width, height}, notShown,
   * outside}
   */
  snapshot(wanted, clients, nowMs, windowMs) {
    const counts = new Map();
    for (const client of clients) {
      const at = client.location;
      if (!at || !client.present || at.place.gone || nowMs - at.at >= windowMs) continue;
      const found = counts.get(at.place);
      if (found) found.push(client);
      else counts.set(at.place, [client]);
    }
    const places = [...counts].map(([{ key, name }, found]) => ({ key, name, count: found.length }))
      .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
    const last = this.#last && !this.#last.gone && counts.has(this.#last) ? this.#last : null;
    const chosen = this.#last = this.#places.get(wanted) || last || this.#places.get(places[0]?.key) || null;
    if (chosen && !counts.has(chosen)) places.push({ key: chosen.key, name: chosen.name, count: 0 });
    if (!chosen) return { places, key: null, name: "", metric: true, clients: [], aps: [], extent: null, notShown: 0,
                          outside: 0 };
    return { places, key: chosen.key, name: chosen.name, metric: chosen.metric,
             ...this.#picture(chosen, counts.get(chosen) || [], nowMs) };
  }

  #picture(place, found, nowMs) {
    const newest = found.sort((a, b) => b.location.at - a.location.at).slice(0, this.#limits.clients);
    const aps = [];
    for (const ap of place.aps.values()) {
      if (ap.known) aps.push({ key: ap.key, name: ap.name, x: ap.known.x, y: ap.known.y, estimated: false });
      else if (ap.sightings >= 3) aps.push({ key: ap.key, name: ap.name, x: ap.x, y: ap.y, estimated: true });
    }
    const extent = extentOf([...newest.map((client) => client.location), ...aps]);
    const inside = newest.filter(({ location: { x, y } }) => !extent || (x >= extent.x && y >= extent.y
      && x <= extent.x + extent.width && y <= extent.y + extent.height));
    return {
      clients: inside.map((client) => ({ key: client.key, x: client.location.x, y: client.location.y,
                                         unc: client.location.unc, age: Math.max(0, nowMs - client.location.at),
                                         randomized: client.randomized, maker: client.maker, rssi: client.rssi,
                                         ap: client.ap ? client.ap.name : undefined })),
      aps: aps.filter(({ x, y }) => !extent || (x >= extent.x && y >= extent.y && x <= extent.x + extent.width
        && y <= extent.y + extent.height)),
      extent,
      notShown: found.length - newest.length,
      outside: newest.length - inside.length,
    };
  }
}

/**
 * What has to be shown: all points, and some metres around, its edges at whole steps so that it seldom
 * changes. Of 50 and more, the outermost hundredth of each side may stay outside where that leaves a
 * picture of less than half the width or height: one wrong position does not make all others one dot.
 */
export function extentOf(points) {
  if (points.length === 0) return null;
  const range = (values) => {
    values.sort((a, b) => a - b);
    const low = values[0], high = values[values.length - 1];
    const off = values.length >= 50 ? Math.ceil(values.length / 100) : 0;
    const inner = values[values.length - 1 - off] - values[off];
    return inner < (high - low) / 2 && off ? [values[off], values[values.length - 1 - off]] : [low, high];
  };
  const [left, right] = range(points.map((point) => point.x));
  const [top, bottom] = range(points.map((point) => point.y));
  const size = Math.max(right - left, bottom - top, 8);
  const step = niceStep(size / 8);
  const x = Math.floor((left - step / 2) / step) * step, y = Math.floor((top - step / 2) / step) * step;
  return { x, y, width: Math.ceil((right + step / 2) / step) * step - x,
           height: Math.ceil((bottom + step / 2) / step) * step - y };
}

/** The largest of 1, 2, 5 times a power of ten that is not above `most`. */
export function niceStep(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  const times = most / power;
  return (times >= 5 ? 5 : times >= 2 ? 2 : 1) * power;
}
