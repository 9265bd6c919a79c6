// The venue: who is present, where, and what happens, made of the node's events. Joins Presence (who),
// Floor (where) and EventList (what). Pure: no DOM, no fetch, no clock.
//
//   const venue = new VenueModel();
//   venue.addEvents([{ text, event, cursor }], nowMs)  text: the line as it came (its numbers keep their
//                                                      digits in the list); event: the same, parsed;
//                                                      cursor: the stream's id, names the line
//   venue.addEvents([event], nowMs)                    a parsed line alone will do
//   venue.addGap({ after, next, lost, reason }, nowMs) between what came before and what comes next
//   venue.select({ sort, group: {sort, key} | null, place, filter: {endpoint, kind, mac}, open: [id] })
//                                                      whichever members are there; the others stay
//   venue.setClock(nodeMs, nowMs)                      the node's now, where a status says it
//   venue.snapshot(nowMs, connected = true)            what VenueView draws
//
// Time is the node's: each event moves the clock to its `received`, and nowMs (any clock that runs; its
// difference to the node's is learnt by setClock, and by events from the future) moves it on while nothing
// comes. It does not while old events are being replayed, nor while the stream is not connected: what
// cannot be known is left as it was last. An event's own time is `received` less delay_ms, where that is
// positive: what is older than the window makes nobody present. Duplicates count nothing.
//
// A client is known by: client.mac, else channel.uuid, else user.id, else user.email. Events without any of them
// are in the list and make nobody present. A randomised address is counted apart: one phone may have many.
// With pseudonyms, addresses are pseudonyms: when the salt changes, a client is new, and its old self
// leaves within the window.
//
// Bounds: venueLimits; presenceLimits, listLimits and floorLimits, any of which the constructor takes.
import { Floor, floorLimits } from "./venue_floor.js";
import { EventList, listLimits } from "./venue_list.js";
import { Presence, presenceLimits, sorts } from "./presence.js";
import { identity } from "./venue_words.js";

export const venueLimits = Object.freeze({
  presence: presenceLimits,
  list: listLimits,
  floor: floorLimits,
  rows: 50, // of groups that are shown
  people: 10000, // of one interval event's lists
  recentMinutes: 5, // arrivals and departures at the top
  replayMs: 10000, // events older than that are a replay, until
  quietMs: 3000, // none has come for so long
});

// What each kind says of its client. All others are signs of life: "seen", a sender's own word.
const MEANING = {
  join: "enter", "zone-enter": "enter", leave: "leave", timeout: "leave", "zone-exit": "exit",
  interval: "interval", validation: null, document: null, unreadable: null, hidden: null, active: null,
  inactive: null, "device-events": null,
};

const ROAMED = 3; // Mist's termination_reason: the client is at another access point

const object = (value) => (value !== null && typeof value === "object" ? value : {});
const text = (value) => (typeof value === "string" && value !== "" ? value : undefined);
const people = (value) => (Array.isArray(value)
  ? value.slice(0, venueLimits.people).filter((name) => typeof name === "string" && name !== "") : []);

/** What an event says of its client: "seen", "enter", "leave", "exit", "interval" or null. */
function meaning(event) {
  if (event.kind === "client-sessions")
    return object(event.extra).termination_reason === ROAMED ? null : "leave";
  return Object.hasOwn(MEANING, event.kind) ? MEANING[event.kind] : "seen";
}

export class VenueModel {
  #limits;
  #presence;
  #floor;
  #list;
  #selection = { sort: "endpoint", group: null, place: "" };
  #ahead = 0; // the node's clock is ahead of this one by so many ms
  #fedAt = -Infinity; // when events last came, and how old the last of them was
  #lag = 0;
  #gap = null; // one whose end is not known yet
  #duplicates = 0;
  #nobody = 0; // events without a client
  #unreadable = 0;

  constructor(limits = {}) {
    this.#limits = { ...venueLimits, ...limits, presence: { ...presenceLimits, ...limits.presence } };
    this.#presence = new Presence(limits.presence);
    this.#floor = new Floor(limits.floor);
    this.#list = new EventList(limits.list);
  }

  setClock(nodeMs, nowMs) {
    if (!Number.isFinite(nodeMs)) return;
    this.#ahead = nodeMs - nowMs;
    const { clock } = this.#presence;
    // The node's clock was set back: what was learnt belongs to times that are still to come.
    if (clock !== null && nodeMs < clock - this.#window) this.#presence = new Presence(this.#limits.presence);
  }

  addEvents(items, nowMs) {
    if (items.length) this.#fedAt = nowMs;
    for (const item of items) {
      const wrapped = item !== null && typeof item === "object" && item.event !== null
        && typeof item.event === "object";
      const event = wrapped ? item.event : item;
      if (event === null || typeof event !== "object" || Array.isArray(event)) {
        this.#unreadable++;
        continue;
      }
      this.#list.add(wrapped && typeof item.text === "string" ? item.text : JSON.stringify(event), event,
                     wrapped ? item.cursor : undefined);
      this.#take(event, nowMs);
    }
  }

  #take(event, nowMs) {
    const received = Date.parse(event.received);
    if (!Number.isFinite(received)) {
      this.#unreadable++;
      return;
    }
    if (received > nowMs + this.#ahead) this.#ahead = received - nowMs;
    this.#lag = nowMs + this.#ahead - received;
    const before = this.#presence.clock;
    this.#presence.advance(received);
    if (this.#gap) {
      const { lost, reason } = this.#gap;
      this.#gap = null;
      this.#presence.gap(before ?? received, received, lost, reason);
    }
    const groups = this.#groups(event);
    if (event.duplicate === true) {
      this.#duplicates++;
      return;
    }
    const delay = typeof event.delay_ms === "number" && event.delay_ms > 0 ? event.delay_ms : 0;
    this.#count(event, Math.min(received, this.#presence.clock) - delay, groups);
  }

  // A group is there as soon as something was heard of it.
  #groups(event) {
    const { ap, venue, channel } = event, found = { endpoint: null, ap: null, venue: null, channel: null };
    const make = (sort, id, name) => {
      if (id ?? name) found[sort] = this.#presence.group(sort, id ?? name, name);
    };
    make("endpoint", text(event.endpoint));
    if (ap) make("ap", text(ap.mac), text(ap.name));
    if (venue) make("venue", text(venue.id), text(venue.name));
    if (channel) make("channel", text(channel.name));
    return found;
  }

  #count(event, at, groups) {
    const { channel } = groups, occupancy = object(event.channel).occupancy;
    if (channel && typeof occupancy === "number" && Number.isFinite(occupancy) && at >= channel.occupancyAt) {
      channel.occupancy = occupancy;
      channel.occupancyAt = at;
    }
    const what = meaning(event);
    if (what === "interval") this.#interval(object(event.channel), at, groups);
    const key = what === null || what === "interval" ? null : identity(event);
    if (key === null) {
      if (what !== "interval") this.#nobody++;
      this.#floor.locate(event, at);
      return;
    }
    const extra = object(event.extra);
    const zone = text(extra.zone_id) ?? text(extra.rssizone_id);
    const place = { ...groups, stay: channel ? `channel ${channel.key}` : zone ? `zone ${zone}` : null };
    const randomized = object(event.client).randomized === true;
    const client = this.#presence.sign(key, randomized, what, at, place);
    const location = this.#floor.locate(event, at);
    if (!client || (what !== "seen" && what !== "enter")) return;
    if (location) client.location = location;
    const { manufacturer } = object(event.client);
    if (typeof manufacturer === "string" && client.maker !== manufacturer) client.maker = manufacturer.slice(0, 40);
    if (typeof event.rssi === "number") client.rssi = event.rssi;
  }

  // PubNub's summary of a busy channel: who came and went since the last one.
  #interval(channel, at, groups) {
    const place = { ...groups, stay: groups.channel ? `channel ${groups.channel.key}` : null };
    for (const uuid of people(channel.joined)) this.#presence.sign(uuid, false, "enter", at, place);
    for (const list of [channel.left, channel.timed_out])
      for (const uuid of people(list)) this.#presence.sign(uuid, false, "leave", at, place);
  }

  addGap(gap) {
    const said = object(gap);
    const lost = typeof said.lost === "number" && Number.isFinite(said.lost) ? said.lost : null;
    if (!this.#gap) this.#gap = { lost, reason: said.reason };
    // Two with nothing in between are one.
    else this.#gap = { lost: lost === null || this.#gap.lost === null ? null : lost + this.#gap.lost,
                       reason: said.reason };
  }

  select(selection) {
    const { sort, group, place, filter, open } = object(selection);
    if (sorts.includes(sort)) this.#selection.sort = sort;
    if (group === null || (group && sorts.includes(group.sort) && typeof group.key === "string"))
      this.#selection.group = group;
    if (typeof place === "string") this.#selection.place = place;
    if (filter) this.#list.filter(object(filter));
    if (Array.isArray(open)) this.#list.open(open.filter((id) => typeof id === "string"));
  }

  /**
   * {now: ms of the node's clock, null before the first event; windowMs; present: {known, randomized};
   *  recent: {arrivals, departures, since}; series: Presence's points of `group`; group: {sort, key, name}
   *  or null: everywhere; groups: {sort, rows: [{key, name, known, randomized, arrivals, departures,
   *  occupancy or null}], total, notShown}; sorts: {endpoint: how many groups, …};
   *  endpoints: names, for the filter; uncertain: Presence's, and pending gaps; counts: {duplicates, late,
   *  nobody, unreadable, evicted, groupsEvicted, placesEvicted}; events: EventList's; floor: Floor's}
   */
  snapshot(nowMs, connected = true) {
    const presence = this.#presence;
    const current = this.#lag < venueLimits.replayMs || nowMs - this.#fedAt >= venueLimits.quietMs;
    if (presence.clock !== null && connected && current) presence.advance(nowMs + this.#ahead);
    const { group } = this.#selection;
    const chosen = group ? presence.groupsOf(group.sort).get(group.key) : null;
    const shown = chosen || presence.all;
    return {
      now: presence.clock,
      windowMs: this.#window,
      present: { known: presence.all.known, randomized: presence.all.randomized },
      recent: presence.recent(shown, this.#limits.recentMinutes),
      series: presence.series(shown),
      group: chosen ? { sort: chosen.sort, key: chosen.key, name: chosen.name } : null,
      groups: this.#rows(),
      sorts: Object.fromEntries(sorts.map((sort) => [sort, presence.groupsOf(sort).size])),
      endpoints: [...presence.groupsOf("endpoint").keys()].sort(),
      uncertain: this.#gap ? { reason: "gap", until: null, gap: this.#gap } : presence.uncertain(),
      counts: { duplicates: this.#duplicates, late: presence.late, nobody: this.#nobody,
                unreadable: this.#unreadable, evicted: presence.evicted,
                groupsEvicted: presence.groupsEvicted, placesEvicted: this.#floor.evicted },
      events: this.#list.snapshot(),
      floor: this.#floor.snapshot(this.#selection.place, presence.clients(), presence.clock, this.#window),
    };
  }

  get #window() {
    return this.#limits.presence.windowMs;
  }

  #rows() {
    const { sort } = this.#selection, presence = this.#presence;
    const groups = [...presence.groupsOf(sort).values()];
    const busy = (group) => group.known + group.randomized;
    groups.sort((a, b) => busy(b) - busy(a) || (b.occupancy ?? 0) - (a.occupancy ?? 0) || (a.name < b.name ? -1 : 1));
    const rows = groups.slice(0, this.#limits.rows).map((group) => ({
      key: group.key, name: group.name, known: group.known, randomized: group.randomized,
      ...presence.recent(group, this.#limits.recentMinutes), occupancy: group.occupancy,
    }));
    return { sort, rows, total: groups.length, notShown: groups.length - rows.length };
  }
}
