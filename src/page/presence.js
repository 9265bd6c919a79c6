// Who is present, as far as events tell: clients, the groups they are counted in, and one point a
// minute. Pure: no DOM, no clock of its own. It runs by the events' own clock: advance() moves it on, to
// the `received` of each event or to the page's now, so that a replay of the ring gives the history that
// a page which had been open would have drawn. A point of the series is what was known at that minute's
// end; an event that comes late changes now, never the past.
//
// A client is present
// - for windowMs from the last sign of it (an event that says it was there);
// - in a channel or zone that it has entered: until it leaves, or for holdMs where no leave ever comes.
// It is counted at one access point and in one venue, those of its last sign, at each endpoint that has
// said so, and in each channel it is in. Roaming is a departure here and an arrival there, and neither for
// the whole.
//
// Signs are ordered by the events' own times: a join that comes after the leave that followed it brings
// nobody back (PubNub sends so), and a sighting older than the last one moves nobody.
//
// Bounds (presenceLimits): clients, groups of each sort, stays of a client, minutes, gaps, and the
// length of every name. Who was seen least recently leaves first; of those who were present then is
// told (evicted).

export const presenceLimits = Object.freeze({
  windowMs: 5 * 60 * 1000,
  holdMs: 2 * 60 * 60 * 1000,
  clients: 20000,
  groups: 1000,
  stays: 16,
  minutes: 30,
  gaps: 10,
  nameChars: 256,
});

export const sorts = Object.freeze(["endpoint", "ap", "venue", "channel"]);

const MINUTE = 60000;
const SINGLE = ["ap", "venue"]; // a client is at one of them
const FIELDS = 4, KNOWN = 0, RANDOMIZED = 1, ARRIVALS = 2, DEPARTURES = 3;

/** A string of at most `most` characters that keeps no longer one in memory. */
export function cut(text, most) {
  if (text.length <= most) return text;
  // A slice refers to the whole text; what was written anew does not.
  return JSON.parse(JSON.stringify(text.slice(0, most - 1))) + "…";
}

const isIn = (client) => client.stays.some((stay) => stay.holds);

class Group {
  known = 0;
  randomized = 0;
  occupancy = null; // what the sender says of a channel, and when
  occupancyAt = 0;
  gone = false;

  constructor(sort, key, name, slots) {
    this.sort = sort;
    this.key = key;
    this.name = name;
    this.lastAt = 0;
    this.series = new Uint32Array(slots * FIELDS);
  }
}

export class Presence {
  #limits;
  #slots; // points: the minutes, and the one that is going on
  #clock = null;
  #started = 0; // nothing is known before
  #minute = 0;
  #clients = new Map();
  #oldest = null; // of a list by the last sign
  #newest = null;
  #due = new Map(); // second -> the clients to be looked at then, a list
  #done = 0; // the last second that was looked at
  #groups = new Map(sorts.map((sort) => [sort, new Map()]));
  #gaps = [];
  evicted = 0;
  late = 0;
  groupsEvicted = 0;

  constructor(limits = {}) {
    this.#limits = { ...presenceLimits, ...limits };
    this.#slots = this.#limits.minutes + 1;
    this.all = new Group("all", "", "everywhere", this.#slots);
  }

  get clock() {
    return this.#clock;
  }

  get size() {
    return this.#clients.size;
  }

  clients() {
    return this.#clients.values();
  }

  client(key) {
    return this.#clients.get(cut(key, this.#limits.nameChars));
  }

  groupsOf(sort) {
    return this.#groups.get(sort);
  }

  // --- time -------------------------------------------------------------------------------------

  /** Moves the clock on; never back. */
  advance(ms) {
    if (this.#clock === null) {
      this.#clock = this.#started = ms;
      this.#minute = Math.floor(ms / MINUTE);
      this.#done = Math.floor(ms / 1000);
      return;
    }
    if (ms <= this.#clock) return;
    const last = Math.floor(ms / MINUTE);
    if (last - this.#minute > this.#slots) this.#skipTo(last - this.#slots);
    while (this.#minute < last) {
      this.#expire((this.#minute + 1) * MINUTE);
      this.#point();
    }
    this.#expire(ms);
    this.#clock = ms;
  }

  // Of a night without events no minute is drawn: they are not gone through one by one.
  #skipTo(minute) {
    this.#expire(minute * MINUTE);
    this.#minute = minute;
    this.#each((group) => {
      for (let slot = 0; slot < this.#slots; slot++) {
        group.series.set([group.known, group.randomized, 0, 0], slot * FIELDS);
      }
    });
  }

  #each(visit) {
    visit(this.all);
    for (const groups of this.#groups.values()) for (const group of groups.values()) visit(group);
  }

  // The minute that is going on has ended.
  #point() {
    const at = (this.#minute % this.#slots) * FIELDS;
    const next = (++this.#minute % this.#slots) * FIELDS;
    this.#each((group) => {
      group.series[at + KNOWN] = group.known;
      group.series[at + RANDOMIZED] = group.randomized;
      group.series[next + ARRIVALS] = group.series[next + DEPARTURES] = 0;
    });
  }

  #count(group, field) {
    group.series[(this.#minute % this.#slots) * FIELDS + field]++;
  }

  #expire(ms) {
    const last = Math.floor(ms / 1000);
    if (last - this.#done > 2 * this.#due.size) {
      const seconds = [...this.#due.keys()].filter((second) => second <= last).sort((a, b) => a - b);
      for (const second of seconds) this.#look(second);
      this.#done = last;
    }
    while (this.#done < last) this.#look(++this.#done);
  }

  #look(second) {
    let client = this.#due.get(second);
    this.#due.delete(second);
    while (client) {
      const next = client.dueNext;
      client.due = 0;
      client.dueNext = client.duePrevious = null;
      if (client.present) this.#review(client, second * 1000);
      client = next;
    }
  }

  // Ends what has ended of a client, and notes when to look again.
  #review(client, ms) {
    for (let i = client.stays.length; i-- > 0;) if (client.stays[i].until <= ms) this.#endStay(client, i);
    if (client.seenUntil <= ms && !isIn(client)) {
      this.#depart(client);
      return;
    }
    let next = client.seenUntil > ms ? client.seenUntil : Infinity;
    for (const stay of client.stays) next = Math.min(next, stay.until);
    this.#lookAt(client, Math.ceil(next / 1000));
  }

  // An earlier look than is needed finds nothing and looks again: so most signs change no list.
  #lookAt(client, second) {
    if (client.due && client.due <= second) return;
    this.#forget(client);
    client.due = second;
    client.dueNext = this.#due.get(second) || null;
    if (client.dueNext) client.dueNext.duePrevious = client;
    this.#due.set(second, client);
  }

  #forget(client) {
    if (!client.due) return;
    if (client.duePrevious) client.duePrevious.dueNext = client.dueNext;
    else if (client.dueNext) this.#due.set(client.due, client.dueNext);
    else this.#due.delete(client.due);
    if (client.dueNext) client.dueNext.duePrevious = client.duePrevious;
    client.due = 0;
    client.dueNext = client.duePrevious = null;
  }

  // --- groups -----------------------------------------------------------------------------------

  /** The group of that sort and key; `name` is what people call it, where known. */
  group(sort, key, name) {
    const groups = this.#groups.get(sort);
    const short = cut(key, this.#limits.nameChars);
    let group = groups.get(short);
    if (!group) {
      group = new Group(sort, short, short, this.#slots);
      groups.set(short, group);
      group.lastAt = this.#clock;
      if (groups.size > this.#limits.groups) this.#evictGroup(groups, group);
    }
    group.lastAt = this.#clock;
    if (name !== undefined && group.name !== name) group.name = cut(name, this.#limits.nameChars);
    return group;
  }

  #evictGroup(groups, but) {
    let oldest = null;
    for (const group of groups.values())
      if (group !== but && (!oldest || group.lastAt < oldest.lastAt)) oldest = group;
    oldest.gone = true;
    groups.delete(oldest.key);
    this.groupsEvicted++;
  }

  // --- clients ----------------------------------------------------------------------------------

  #find(key, randomized) {
    const short = cut(key, this.#limits.nameChars);
    let client = this.#clients.get(short);
    if (client) {
      this.#unlink(client);
    } else {
      client = { key: short, randomized, present: false, lastAt: -Infinity, leftAt: -Infinity, seenUntil: 0,
                 stays: [], ap: null, venue: null, location: null, maker: undefined,
                 rssi: undefined, due: 0, dueNext: null, duePrevious: null, older: null, newer: null };
      this.#clients.set(short, client);
    }
    client.older = this.#newest;
    if (this.#newest) this.#newest.newer = client;
    else this.#oldest = client;
    this.#newest = client;
    if (this.#clients.size > this.#limits.clients) this.#evict(this.#oldest);
    return client;
  }

  #unlink(client) {
    if (client.older) client.older.newer = client.newer;
    else this.#oldest = client.newer;
    if (client.newer) client.newer.older = client.older;
    else this.#newest = client.older;
    client.older = client.newer = null;
  }

  #evict(client) {
    if (client.present) this.evicted++;
    while (client.stays.length) this.#endStay(client, 0, false);
    if (client.present) this.#add(client, -1);
    client.present = false;
    this.#forget(client);
    this.#unlink(client);
    this.#clients.delete(client.key);
  }

  #add(client, one) {
    const field = client.randomized ? "randomized" : "known";
    this.all[field] += one;
    for (const sort of SINGLE) if (client[sort]) client[sort][field] += one;
  }

  #arrive(client) {
    client.present = true;
    this.#add(client, 1);
    this.#count(this.all, ARRIVALS);
    for (const sort of SINGLE) if (client[sort]) this.#count(client[sort], ARRIVALS);
  }

  #depart(client) {
    if (!client.present) return;
    while (client.stays.length) this.#endStay(client, 0);
    client.present = false;
    client.seenUntil = 0;
    this.#add(client, -1);
    this.#count(this.all, DEPARTURES);
    for (const sort of SINGLE) if (client[sort]) this.#count(client[sort], DEPARTURES);
    this.#forget(client);
  }

  #move(client, sort, group) {
    const old = client[sort];
    if (!group || (old === group && !group.gone)) return;
    client[sort] = group;
    if (!client.present) return;
    const field = client.randomized ? "randomized" : "known";
    if (old) {
      old[field]--;
      this.#count(old, DEPARTURES);
    }
    group[field]++;
    this.#count(group, ARRIVALS);
  }

  // `holds`: keeps the client present by itself, as a channel does and an endpoint does not.
  #beginStay(client, key, group, until, holds) {
    const found = client.stays.findIndex((stay) => stay.key === key);
    if (found >= 0) {
      const stay = client.stays[found];
      stay.until = Math.max(stay.until, until);
      stay.holds ||= holds;
      if (!stay.group?.gone) return;
      this.#endStay(client, found);
    }
    if (client.stays.length === this.#limits.stays) this.#endStay(client, 0);
    client.stays.push({ key, group, until, holds });
    if (!group) return;
    group[client.randomized ? "randomized" : "known"]++;
    this.#count(group, ARRIVALS);
  }

  #endStay(client, index, counted = true) {
    const [{ group }] = client.stays.splice(index, 1);
    if (!group) return;
    group[client.randomized ? "randomized" : "known"]--;
    if (counted) this.#count(group, DEPARTURES);
  }

  /**
   * A sign of a client. `what` is "seen", "enter" (stays in `stay` until it leaves), "leave" (is gone,
   * unless it is in another channel or zone) or "exit" (has left `stay`, and may be seen elsewhere).
   * `at`: the event's own time, not above the clock. `place`: {endpoint, ap, venue: groups or null;
   * stay: the channel's or zone's key or null; channel: its group or null}.
   * The client where the sign is news of it; null where it is late or older than what is known.
   */
  sign(key, randomized, what, at, place) {
    if (what === "leave" || what === "exit") return this.#end(key, randomized, what, at, place);
    const stays = what === "enter" && place.stay !== null;
    if (at + (stays ? this.#limits.holdMs : this.#limits.windowMs) <= this.#clock) {
      this.late++;
      return null;
    }
    const client = this.#find(key, randomized);
    if (at < client.leftAt || (at < client.lastAt && !stays)) return null;
    if (at >= client.lastAt) {
      client.lastAt = at;
      for (const sort of SINGLE) this.#move(client, sort, place[sort]);
    }
    const until = stays ? at + this.#limits.holdMs : at + this.#limits.windowMs;
    if (stays) this.#beginStay(client, place.stay, place.channel, until, true);
    else client.seenUntil = Math.max(client.seenUntil, until);
    if (place.endpoint) this.#beginStay(client, `endpoint ${place.endpoint.key}`, place.endpoint, until, false);
    if (!client.present) this.#arrive(client);
    this.#lookAt(client, Math.ceil(until / 1000));
    return client;
  }

  #end(key, randomized, what, at, place) {
    const client = this.#find(key, randomized);
    if (at < client.lastAt) return null;
    client.leftAt = Math.max(client.leftAt, what === "leave" ? at : -Infinity);
    const index = client.stays.findIndex((stay) => stay.key === place.stay);
    if (index >= 0) this.#endStay(client, index);
    const everywhere = what === "leave" && place.stay === null;
    if (everywhere || (!isIn(client) && (what === "leave" || client.seenUntil <= this.#clock))) this.#depart(client);
    return client;
  }

  // --- gaps -------------------------------------------------------------------------------------

  /** Events between `from` and `to` (ms) are missing. `lost`: how many, null where nobody knows. */
  gap(from, to, lost, reason) {
    this.#gaps.push({ from, to, lost, reason });
    if (this.#gaps.length > this.#limits.gaps) this.#gaps.shift();
  }

  get gaps() {
    return this.#gaps;
  }

  // Where counts may be wrong: who was there before the first event, and what a gap has swallowed,
  // shows only after a window's time.
  #isUncertain(fromMs, toMs) {
    const window = this.#limits.windowMs;
    if (fromMs < this.#started + window && toMs > this.#started) return true;
    return this.#gaps.some((gap) => fromMs < gap.to + window && toMs > gap.from);
  }

  /** Why the counts of now are uncertain: null, {reason: "begin"|"gap", until: ms, gap}. */
  uncertain() {
    if (this.#clock === null) return null;
    const window = this.#limits.windowMs;
    const gap = this.#gaps[this.#gaps.length - 1];
    if (gap && this.#clock < gap.to + window) return { reason: "gap", until: gap.to + window, gap };
    return this.#clock < this.#started + window ? { reason: "begin", until: this.#started + window } : null;
  }

  // --- what is shown ----------------------------------------------------------------------------

  /**
   * The points of a group, oldest first: {t: the minute's end, or now; from: its begin; known,
   * randomized, arrivals, departures, uncertain}. Minutes before the first event are left out.
   */
  series(group) {
    if (this.#clock === null) return [];
    const points = [];
    const first = Math.max(this.#minute - this.#slots + 1, Math.floor(this.#started / MINUTE));
    for (let minute = first; minute <= this.#minute; minute++) {
      const at = (minute % this.#slots) * FIELDS, now = minute === this.#minute;
      const from = minute * MINUTE, t = now ? this.#clock : from + MINUTE;
      points.push({ t, from, known: now ? group.known : group.series[at + KNOWN],
                    randomized: now ? group.randomized : group.series[at + RANDOMIZED],
                    arrivals: group.series[at + ARRIVALS], departures: group.series[at + DEPARTURES],
                    uncertain: this.#isUncertain(from, t) });
    }
    return points;
  }

  /** Arrivals and departures of a group in the minute that is going on and the `minutes` before it. */
  recent(group, minutes) {
    let arrivals = 0, departures = 0;
    for (let i = 0; i <= Math.min(minutes, this.#slots - 1) && this.#minute >= i; i++) {
      const at = ((this.#minute - i) % this.#slots) * FIELDS;
      arrivals += group.series[at + ARRIVALS];
      departures += group.series[at + DEPARTURES];
    }
    return { arrivals, departures, since: (this.#minute - minutes) * MINUTE };
  }
}
