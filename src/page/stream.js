// The event stream as this page sees it: where to begin, what was missed, when to open it anew, and
// how that is said. Pure: the worker owns the EventSource, the timers and the clock, and tells what
// happens here; times are ms of a clock that may jump (a laptop sleeps).
//
// A browser's EventSource comes back by itself after a broken connection, and silently. Four
// things it does not do are done here: it gives up for good after an answer that is not 200; it
// waits for ever where nothing answers, or nobody enters the secret that the node has asked for; it
// does not see that a connection is dead (heartbeats are comments, which it hides); and it does not
// say what is going on. Whether the stream is dead shows by the status, which has the newest seq.
//
// Bounds: nothing here grows. EventBatch holds at most batchLimits.events events or .bytes of text.

export const streamLimits = Object.freeze({
  backlog: 50000, // events: a page that is opened begins at most so far back, whatever the ring holds
  stallMs: 10000, // behind the node for so long without an event: the connection is dead; the
  // same while it comes up, as the node answers otherwise
  jumpMs: 20000, // nobody's timer is so late but a sleeping machine's
  retryMs: [1000, 2000, 4000, 8000, 15000], // after refusals, one after the other
  gapShownMs: 10 * 60 * 1000, // how long a gap is stated at the top of the page
});

export const batchLimits = Object.freeze({ events: 1000, bytes: 4 * 1024 * 1024, lineBytes: 8 * 1024 * 1024 });

/** "9f0c…-42" -> {ring: "9f0c…", seq: 42}, or null. */
export function parseCursor(text) {
  const found = typeof text === "string" && /^([0-9a-f]{1,32})-([0-9]{1,20})$/.exec(text);
  return found ? { ring: found[1], seq: Number(found[2]) } : null;
}

/** Events that came since the model was last fed. A line that is no JSON object is counted. */
export class EventBatch {
  #events = [];
  #bytes = 0;
  unreadable = 0; // lines since the page was opened

  /** True: it is full, take() before the next one. */
  add(text, cursor) {
    const event = this.#parse(text);
    if (event === null) {
      this.unreadable++;
      return false;
    }
    this.#events.push({ text, event, cursor });
    this.#bytes += text.length;
    return this.#events.length >= batchLimits.events || this.#bytes >= batchLimits.bytes;
  }

  #parse(text) {
    if (typeof text !== "string" || text.length > batchLimits.lineBytes) return null;
    try {
      const value = JSON.parse(text);
      return value && typeof value === "object" && !Array.isArray(value) ? value : null;
    } catch {
      return null;
    }
  }

  get size() {
    return this.#events.length;
  }

  take() {
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    return events;
  }
}

const isCount = (value) => typeof value === "number" && Number.isFinite(value) && value >= 0;

export class StreamModel {
  #state = "starting"; // starting, live, reconnecting, refused
  #since = 0;
  #cursor = null; // of the last event or gap seen
  #newest = null; // {ring, seq} of the last status
  #lastEvent = 0; // when an event, a gap or the stream's begin was last seen
  #lastTick = 0;
  #waitsSince = null; // not connected since then, though the node answers otherwise
  #retries = 0;
  #retryAt = null; // when to open anew; null: the EventSource is at it
  #failure = null; // of the status, which says more than an EventSource does
  #draining = false;
  #gap = null;

  constructor(nowMs) {
    this.#since = this.#lastEvent = this.#lastTick = nowMs;
  }

  #set(state, nowMs) {
    if (this.#state === state) return;
    this.#state = state;
    this.#since = nowMs;
  }

  /**
   * What to open. `status` is the node's, or null where it is not known: the cursor where the page
   * has been; else the oldest event, but no more than streamLimits.backlog events back.
   */
  url(status) {
    const query = new URLSearchParams();
    const ring = status && typeof status.ring === "object" ? status.ring : null;
    if (this.#cursor) {
      query.set("after", this.#cursor);
    } else if (ring && typeof ring.id === "string" && isCount(ring.newest_seq)
               && isCount(ring.oldest_seq) && ring.newest_seq - ring.oldest_seq >= streamLimits.backlog) {
      query.set("after", `${ring.id}-${ring.newest_seq - streamLimits.backlog}`);
    } else {
      query.set("from", "oldest");
    }
    query.set("heartbeat", "15");
    return `v1/events?${query}`;
  }

  onOpen(nowMs) {
    this.#lastEvent = nowMs;
    this.#retryAt = null;
    this.#set("live", nowMs);
  }

  onEvent(cursor, nowMs) {
    if (cursor) this.#cursor = cursor;
    this.#lastEvent = nowMs;
    this.#retries = 0;
    this.#set("live", nowMs);
  }

  /** `gap` is what the line has: {after, next, lost, reason}. */
  onGap(gap, cursor, nowMs) {
    this.onEvent(cursor, nowMs);
    this.#gap = { reason: gap.reason, lost: isCount(gap.lost) ? gap.lost : null, at: nowMs };
  }

  /** `closed`: the browser has given up, and will not come back by itself. */
  onError(closed, nowMs) {
    if (this.#state !== "refused") this.#set("reconnecting", nowMs);
    if (closed) this.#plan(nowMs);
  }

  /** The node has answered with something other than a stream. */
  onRefused(failure, nowMs) {
    this.#failure = failure;
    this.#set("refused", nowMs);
  }

  #plan(nowMs) {
    const steps = streamLimits.retryMs;
    const step = this.forbidden ? steps.length - 1 : Math.min(this.#retries, steps.length - 1);
    this.#retryAt = nowMs + steps[step];
    this.#retries++;
  }

  onStatus(status, nowMs) {
    const ring = status && typeof status.ring === "object" ? status.ring : null;
    const seq = ring && isCount(ring.newest_seq) ? ring.newest_seq : null;
    this.#newest = ring && typeof ring.id === "string" && seq !== null ? { ring: ring.id, seq } : null;
    this.#draining = Boolean(status && status.draining === true);
    this.#failure = null;
    if (this.#state === "refused") this.#set("reconnecting", nowMs);
  }

  onStatusFailure(failure, nowMs) {
    this.#failure = failure;
    if (failure && failure.kind === "http" && this.#state !== "live") this.#set("refused", nowMs);
  }

  /** Events of the node's that the page has not seen yet; null: not known. */
  behind() {
    const seen = parseCursor(this.#cursor);
    if (!this.#newest) return null;
    if (!seen) return null;
    return seen.ring === this.#newest.ring ? Math.max(0, this.#newest.seq - seen.seq) : null;
  }

  /**
   * To be called about four times a second. {open: true}: close the stream and open it anew;
   * {woke: true}: the machine has slept, ask for the status at once.
   */
  tick(nowMs) {
    const woke = nowMs - this.#lastTick > streamLimits.jumpMs || nowMs < this.#lastTick;
    this.#lastTick = nowMs;
    if (woke) {
      // What is left of the connection may be dead without either side knowing.
      this.#lastEvent = nowMs;
      this.#retries = 0;
      this.#retryAt = null;
      this.#set("reconnecting", nowMs);
      return { open: true, woke };
    }
    if (this.#retryAt !== null && nowMs >= this.#retryAt) {
      this.#retryAt = null;
      return { open: true, woke };
    }
    const waits = this.#state !== "live" && this.#newest !== null && this.#failure === null;
    this.#waitsSince = waits ? this.#waitsSince ?? nowMs : null;
    if (waits && this.#retryAt === null && nowMs - this.#waitsSince > streamLimits.stallMs) {
      this.#waitsSince = null;
      return { open: true, woke };
    }
    const behind = this.behind();
    const elsewhere = behind === null && this.#newest && this.#cursor;
    if (this.#state === "live" && (behind || elsewhere)
        && nowMs - this.#lastEvent > streamLimits.stallMs) {
      this.#lastEvent = nowMs;
      this.#set("reconnecting", nowMs);
      return { open: true, woke };
    }
    return { open: false, woke };
  }

  /** Whether the status should be asked for more often. */
  get troubled() {
    return this.#state !== "live" || this.#failure !== null;
  }

  /** Whether the node does not want this browser: asking again and again would only fill its log. */
  get forbidden() {
    return this.#failure !== null && [401, 403, 421].includes(this.#failure.status);
  }

  snapshot(nowMs) {
    const gap = this.#gap && nowMs - this.#gap.at < streamLimits.gapShownMs ? this.#gap : null;
    return {
      state: this.#state,
      sinceMs: nowMs - this.#since,
      behind: this.behind(),
      failure: this.#failure,
      draining: this.#draining,
      gap,
    };
  }
}
