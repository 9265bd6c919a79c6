// What the node view shows, made of one /v1/status after the other: rates and latencies by their
// differences, ten minutes of them, and what an operator should look at, in words (node_words.js).
// Pure: no DOM, no fetch, no clock; times are ms since 1970 by the caller's clock, which may jump.
//
// A status may lack any member or have others: what is missing is null here and "–" in the view.
// Counters that go back mean that the node was started anew: differences begin again, and a hole is
// left in the charts.
//
// Bounds (nodeLimits): points of history; senders, held readers, codes and reasons that are kept,
// those that need attention first, the others counted; samples of counters for "in 10 minutes".
import { describeNode, describeReader, describeSender } from "./node_words.js";

export const nodeLimits = Object.freeze({
  spanMs: 10 * 60 * 1000,
  points: 660, // one a second for more than ten minutes
  senders: 200,
  readers: 64,
  sampleMs: 30000, // between samples of counters: 21 of them at most
  pauses: 32, // between a sender's deliveries: its usual pace
  codes: 24,
  attention: 50,
  lateMs: 30000, // a status after so long a pause begins a new line in the charts
  headlineMs: 10000, // events/s at the top
  latencyMs: 60000, // p50 and p99 at the top
});

// --- reading what may be missing ----------------------------------------------------------------

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const object = (value) => (isObject(value) ? value : {});
const array = (value) => (Array.isArray(value) ? Array.from(value) : []);
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const flag = (value) => (typeof value === "boolean" ? value : null);

function text(value, most = 256) {
  return typeof value === "string" ? value.slice(0, most) : null;
}

function time(value) {
  const ms = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(ms) ? null : ms;
}

/** {"200": 5, …} -> a Map of at most nodeLimits.codes numbers. */
function counts(value) {
  const found = new Map();
  for (const [key, n] of Object.entries(object(value))) {
    if (found.size === nodeLimits.codes) break;
    if (number(n) !== null) found.set(key.slice(0, 64), n);
  }
  return found;
}

const sum = (map) => [...map.values()].reduce((all, n) => all + n, 0);

/** Of answers by status, those that refuse. */
const bad = (codes) => new Map([...codes].filter(([code]) => Number(code) >= 400));

/** What was added since `before`; null where one of the two is not known. */
function since(now, before) {
  return now === null || before === null || before === undefined || now < before ? null : now - before;
}

/** The latter map less the former, what did not change left out. */
function added(now, before) {
  const found = new Map();
  for (const [key, n] of now) {
    const more = n - ((before && before.get(key)) || 0);
    if (more > 0) found.set(key, more);
  }
  return found;
}

// --- latency ------------------------------------------------------------------------------------

/**
 * The latency below which that share (0..1) of the answers lies, in seconds, from counts of buckets
 * (one more than there are bounds: those past the last). Within a bucket they are taken to lie
 * evenly; past the last bound nothing is known but that bound. null: no answers.
 */
export function quantile(bounds, buckets, share) {
  const all = buckets.reduce((total, n) => total + n, 0);
  if (!(all > 0)) return null;
  let left = share * all;
  for (let i = 0; i < buckets.length; i++) {
    if (left <= buckets[i] && buckets[i] > 0) {
      if (i >= bounds.length) return bounds[bounds.length - 1] ?? null;
      const low = i ? bounds[i - 1] : 0;
      return low + (bounds[i] - low) * (left / buckets[i]);
    }
    left -= buckets[i];
  }
  return bounds[bounds.length - 1] ?? null;
}

function readLatency(value) {
  const { bounds_s: bounds, counts: buckets } = object(value);
  const good = Array.isArray(bounds) && Array.isArray(buckets) && buckets.length === bounds.length + 1
    && bounds.length > 0 && bounds.length <= 64 && [...bounds, ...buckets].every((n) => number(n) !== null);
  return good ? { bounds, buckets } : null;
}

function bucketDifference(now, before) {
  if (!now || !before || now.buckets.length !== before.buckets.length) return null;
  const found = now.buckets.map((n, i) => n - before.buckets[i]);
  return found.some((n) => n < 0) ? null : found;
}

// --- one status, read ---------------------------------------------------------------------------

function readSender(value) {
  const s = object(value);
  return {
    name: text(s.endpoint, 64) ?? "?",
    provider: text(s.provider, 32),
    accepted: number(s.accepted),
    duplicates: number(s.duplicates),
    rejected: number(s.rejected),
    late: number(s.late),
    unreadable: number(object(s.kinds).unreadable) ?? (isObject(s.kinds) ? 0 : null),
    codes: counts(s.codes),
    lastEvent: time(s.last_event),
    lastError: s.last_error_time === undefined ? null : {
      at: time(s.last_error_time),
      status: number(s.last_error_status),
      reason: text(s.last_error) ?? "refused",
      where: text(s.last_error_at),
    },
    lastUnread: s.last_unread_time === undefined ? null : {
      at: time(s.last_unread_time),
      reason: text(s.last_unread) ?? "not read in full",
      where: text(s.last_unread_at),
    },
  };
}

function readHeld(value, newestSeq) {
  const r = object(value);
  const committed = number(r.committed);
  const lag = number(r.lag)
    ?? (newestSeq !== null && committed !== null ? Math.max(0, newestSeq - committed) : null);
  return { name: text(r.reader, 64) ?? "?", lag, holds: flag(r.holds) };
}

function readStatus(status, nowMs) {
  const s = object(status), ring = object(s.ring), refused = object(s.connections_refused);
  const handshakes = object(s.handshakes), certificate = object(s.certificate);
  const newest = number(ring.newest_seq);
  return {
    at: nowMs,
    nodeMs: time(s.now) ?? nowMs,
    host: text(s.host, 64),
    version: text(s.version, 64),
    uptimeS: number(s.uptime_s),
    draining: flag(s.draining),
    ready: flag(s.ready),
    privacy: { mac: text(object(s.privacy).mac, 16), personal: text(object(s.privacy).personal, 16) },
    ring: {
      id: text(ring.id, 64), size: number(ring.size_bytes), bytes: number(ring.bytes),
      events: number(ring.events), accepted: number(ring.accepted),
      overwritten: number(ring.overwritten), oldestAgeS: number(ring.oldest_age_s),
      newest, file: flag(ring.file), sync: text(ring.sync, 16),
    },
    dedupe: {
      mode: text(object(s.dedupe).mode, 16), ids: number(object(s.dedupe).ids),
      maxIds: number(object(s.dedupe).max_ids), evicted: number(object(s.dedupe).evicted),
      windowS: number(object(s.dedupe).window_s),
    },
    latency: readLatency(s.latency),
    loopLagS: number(s.loop_lag_s),
    diskFailed: flag(object(s.disk).failed),
    reload: { ok: flag(object(s.reload).ok), failed: number(object(s.reload).failed),
              count: number(object(s.reload).count) },
    certificate: { expires: time(certificate.expires) ?? time(s.certificate_expires),
                   refused: flag(certificate.refused) },
    connections: {
      open: number(s.connections), most: number(s.connections_max),
      accepted: number(s.connections_accepted), timeouts: number(s.timeouts),
      refused: counts(refused), full: number(handshakes.full), resumed: number(handshakes.resumed),
      failed: counts(handshakes.failed),
    },
    strangers: counts(s.strangers),
    readers: number(s.readers),
    readersLost: number(s.readers_lost),
    held: array(s.held).slice(0, nodeLimits.readers).map((r) => readHeld(r, newest)),
    heldCount: array(s.held).length,
    senders: array(s.endpoints).map(readSender),
  };
}

// --- what is kept of a sender -------------------------------------------------------------------

/** Its usual pace: the longest of the latest pauses between deliveries, as far as they were seen. */
class Pace {
  #last = null;
  #pauses = [];

  see(lastEvent) {
    if (lastEvent === null || lastEvent === this.#last) return;
    if (this.#last !== null && lastEvent > this.#last) {
      this.#pauses.push((lastEvent - this.#last) / 1000);
      if (this.#pauses.length > nodeLimits.pauses) this.#pauses.shift();
    }
    this.#last = lastEvent;
  }

  /** Seconds; null before three pauses were seen. */
  get longestS() {
    return this.#pauses.length >= 3 ? Math.max(...this.#pauses) : null;
  }
}

// --- the model ----------------------------------------------------------------------------------

const levels = { alarm: 0, warn: 1, info: 2 };
const byLevel = (a, b) => (levels[a.level] ?? 3) - (levels[b.level] ?? 3);

export class NodeModel {
  #now = null; // the last status, read
  #samples = []; // statuses, read, one each half minute: "in the last 10 minutes"
  #points = []; // {t, rate, p50, p99, buckets, seconds, events}
  #paces = new Map(); // by endpoint
  #failure = null;
  #failedSince = 0;
  #startedAgain = null; // when a new start was seen

  addStatus(status, nowMs) {
    const read = readStatus(status, nowMs), before = this.#now;
    if (before && nowMs < before.at) this.#forget(); // the clock was set back
    const anew = before !== null && NodeModel.#isNewStart(before, read);
    if (anew) {
      this.#startedAgain = nowMs;
      this.#samples = [];
      this.#paces.clear();
    }
    this.#addPoint(read, anew || !before || nowMs < before.at ? null : before);
    this.#failure = null;
    this.#now = read;
    this.#seePaces(read);
    this.#addSample(read);
  }

  /** `reason` is words.failure's: {kind, status}. */
  addFailure(reason, nowMs) {
    if (!this.#failure) {
      this.#failedSince = nowMs;
      this.#push({ t: nowMs, rate: null, p50: null, p99: null, buckets: null, seconds: 0, events: 0 });
    }
    this.#failure = isObject(reason) ? reason : { kind: "network" };
  }

  static #isNewStart(before, now) {
    const back = (a, b) => a !== null && b !== null && b < a;
    return back(before.uptimeS, now.uptimeS) || back(before.ring.accepted, now.ring.accepted)
      || (before.ring.id !== null && now.ring.id !== null && before.ring.id !== now.ring.id)
      || back(before.connections.accepted, now.connections.accepted);
  }

  #forget() {
    this.#samples = [];
    this.#points = [];
  }

  #push(point) {
    this.#points.push(point);
    const from = point.t - nodeLimits.spanMs;
    let gone = 0;
    while (gone < this.#points.length
           && (this.#points[gone].t <= from || this.#points.length - gone > nodeLimits.points)) gone++;
    if (gone) this.#points.splice(0, gone);
  }

  #addPoint(now, before) {
    const seconds = before ? (now.nodeMs - before.nodeMs) / 1000 : 0;
    const hole = { t: now.at, rate: null, p50: null, p99: null, buckets: null, seconds: 0, events: 0 };
    if (!before || seconds <= 0) {
      this.#push(hole);
      return;
    }
    // A line across the time that nobody looked would say what nobody knows.
    if (now.at - before.at > nodeLimits.lateMs) this.#push({ ...hole, t: before.at + 1 });
    const events = since(now.ring.accepted, before.ring.accepted);
    const buckets = bucketDifference(now.latency, before.latency);
    this.#push({
      t: now.at,
      rate: events === null ? null : events / seconds,
      p50: buckets ? quantile(now.latency.bounds, buckets, 0.5) : null,
      p99: buckets ? quantile(now.latency.bounds, buckets, 0.99) : null,
      buckets, seconds, events: events ?? 0,
    });
  }

  #seePaces(read) {
    const there = new Set();
    for (const sender of read.senders.slice(0, 4096)) {
      there.add(sender.name);
      if (!this.#paces.has(sender.name)) this.#paces.set(sender.name, new Pace());
      this.#paces.get(sender.name).see(sender.lastEvent);
    }
    for (const name of this.#paces.keys()) if (!there.has(name)) this.#paces.delete(name);
  }

  #addSample(read) {
    const last = this.#samples[this.#samples.length - 1];
    if (last && read.at - last.at < nodeLimits.sampleMs) return;
    this.#samples.push({
      ...read,
      senders: new Map(read.senders.slice(0, 4096).map((sender) => [sender.name, sender])),
    });
    while (read.at - this.#samples[0].at > nodeLimits.spanMs) this.#samples.shift();
  }

  /** Over the points of the last `ms`: {rate, p50, p99}. */
  #headline(ms, nowMs) {
    const recent = this.#points.filter((point) => point.t > nowMs - ms && point.seconds > 0);
    const seconds = recent.reduce((all, point) => all + point.seconds, 0);
    const events = recent.reduce((all, point) => all + point.events, 0);
    let buckets = null;
    for (const point of recent)
      if (point.buckets) buckets = buckets ? buckets.map((n, i) => n + point.buckets[i]) : point.buckets;
    const bounds = this.#now && this.#now.latency ? this.#now.latency.bounds : null;
    const usable = bounds && buckets && buckets.length === bounds.length + 1;
    return {
      rate: seconds ? events / seconds : null,
      p50: usable ? quantile(bounds, buckets, 0.5) : null,
      p99: usable ? quantile(bounds, buckets, 0.99) : null,
    };
  }

  #sender(sender, before, read) {
    const past = before && before.senders.get(sender.name);
    const recent = {
      accepted: past ? since(sender.accepted, past.accepted) : null,
      duplicates: past ? since(sender.duplicates, past.duplicates) : null,
      rejected: past ? since(sender.rejected, past.rejected) : null,
      unreadable: past ? since(sender.unreadable, past.unreadable) : null,
      late: past ? since(sender.late, past.late) : null,
      codes: past ? added(sender.codes, past.codes) : new Map(),
    };
    recent.refused = past ? sum(bad(recent.codes)) : null;
    const pace = this.#paces.get(sender.name);
    const seconds = past ? (read.nodeMs - before.nodeMs) / 1000 : 0;
    const known = {
      ...sender, recent,
      ageS: sender.lastEvent === null ? null : Math.max(0, (read.nodeMs - sender.lastEvent) / 1000),
      rate: recent.accepted !== null && seconds > 0 ? recent.accepted / seconds : null,
      usualPauseS: pace ? pace.longestS : null,
      recentS: seconds || null,
      nodeMs: read.nodeMs,
      uptimeS: read.uptimeS,
      refused: sum(bad(sender.codes)),
    };
    return { ...known, ...describeSender(known) };
  }

  /**
   * Everything the view draws. Members that are not known are null; before the first status only
   * `failure` and `waiting` say something.
   */
  snapshot(nowMs) {
    const read = this.#now;
    const failure = this.#failure
      ? { ...this.#failure, sinceMs: Math.max(0, nowMs - this.#failedSince) } : null;
    if (!read) return { waiting: true, failure, host: null, version: null, attention: [] };
    const before = this.#samples.length && this.#samples[0].at < read.at ? this.#samples[0] : null;
    const senders = read.senders.map((sender) => this.#sender(sender, before, read));
    const readers = read.held.map((held) => ({ ...held, ...describeReader(held, read.ring) }));
    const total = (key) => (senders.some((sender) => sender[key] !== null)
      ? senders.reduce((all, sender) => all + (sender[key] ?? 0), 0) : null);
    const recentTotal = (key) => (senders.some((sender) => sender.recent[key] !== null)
      ? senders.reduce((all, sender) => all + (sender.recent[key] ?? 0), 0) : null);
    const both = (key) => ({ total: total(key), recent: recentTotal(key) });
    const connections = {
      ...read.connections,
      refusedRecent: before ? added(read.connections.refused, before.connections.refused) : new Map(),
      failedRecent: before ? added(read.connections.failed, before.connections.failed) : new Map(),
    };
    const node = {
      ...read, connections,
      certificateDays: read.certificate.expires === null
        ? null : (read.certificate.expires - read.nodeMs) / 86400000,
      ringFill: read.ring.size && read.ring.bytes !== null ? read.ring.bytes / read.ring.size : null,
      lostRecent: before ? since(read.readersLost, before.readersLost) : null,
      evictedRecent: before ? since(read.dedupe.evicted, before.dedupe.evicted) : null,
      startedAgain: this.#startedAgain,
      recentS: before ? (read.nodeMs - before.nodeMs) / 1000 : null,
    };
    const attention = [...describeNode(node), ...senders.flatMap((sender) => sender.attention),
                       ...readers.flatMap((reader) => reader.attention)].sort(byLevel);
    const { senders: _, held: __, ...plain } = node;
    return {
      ...plain,
      waiting: false,
      failure,
      ageMs: Math.max(0, nowMs - read.at),
      eventsPerSecond: this.#headline(nodeLimits.headlineMs, nowMs).rate,
      ack: this.#headline(nodeLimits.latencyMs, nowMs),
      points: this.#points.map(({ t, rate, p50, p99 }) => ({ t, rate, p50, p99 })),
      duplicates: both("duplicates"),
      rejected: both("rejected"),
      unreadable: both("unreadable"),
      late: both("late"),
      refused: both("refused"),
      held: readers,
      heldHidden: Math.max(0, read.heldCount - readers.length),
      senders: this.#firstSenders(senders),
      sendersHidden: Math.max(0, senders.length - nodeLimits.senders),
      attention: attention.slice(0, nodeLimits.attention),
      attentionHidden: Math.max(0, attention.length - nodeLimits.attention),
    };
  }

  /** In the configuration's order; where there are too many, those that need attention first. */
  #firstSenders(senders) {
    if (senders.length <= nodeLimits.senders) return senders;
    return [...senders].sort(byLevel).slice(0, nodeLimits.senders);
  }
}
