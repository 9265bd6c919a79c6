// Numbers as people read them: counts, rates, bytes, durations, times, percentages, and what went
// wrong in a request. Pure: no DOM, no clock, no locale of the browser's (a screenshot and a test
// read the same everywhere). Whatever is not a number becomes "–": a missing member of a status
// never throws and never shows as NaN.

const NONE = "–";

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** 1234567 -> "1,234,567"; whole numbers only, rounded. */
export function count(value) {
  if (!isNumber(value)) return NONE;
  const text = String(Math.abs(Math.round(value)));
  const sign = Math.round(value) < 0 ? "-" : "";
  return sign + text.replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "1 event", "2 events"; `many` where an s will not do. */
export function counted(value, one, many = one + "s") {
  return `${count(value)} ${isNumber(value) && Math.round(value) === 1 ? one : many}`;
}

/** For narrow places: 999, 1.2k, 35k, 1.2M, 3.4G. */
export function short(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    // 999,950 is 1.0M, not 1000k.
    if (size >= unit * 0.99995) {
      const scaled = value / unit;
      return (Math.abs(scaled) < 9.95 ? scaled.toFixed(1) : String(Math.round(scaled))) + letter;
    }
  }
  return String(Math.round(value));
}

/** Per second: two digits that matter, whole from 10 on. */
export function rate(value) {
  if (!isNumber(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.1) return value < 0.01 ? "<0.01" : value.toFixed(2);
  return value < 9.95 ? value.toFixed(1) : count(value);
}

/** Bytes, with the units of the configuration: K, M, G are powers of 1024. */
export function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value, unit = 0;
  // 1023.9 KiB would be written 1024 KiB.
  while (Math.abs(size) >= 1023.5 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  const digits = unit > 0 && Math.abs(size) < 9.95 ? 1 : 0;
  return `${size.toFixed(digits)} ${units[unit]}`;
}

/** 0..1 -> "37 %". What is not nothing is not called 0, what is not all is not called 100. */
export function percent(part) {
  if (!isNumber(part)) return NONE;
  const value = part * 100;
  if (value > 0 && value < 1) return "<1 %";
  if (value < 100 && value > 99) return "99 %";
  return `${Math.round(value)} %`;
}

/** How long, in at most two units: "45 s", "12 min", "3 h", "3 h 20 min", "2 days". */
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 1) return "under 1 s";
  if (s < 59.5) return `${Math.round(s)} s`;
  if (s < 10 * 60) {
    const whole = Math.round(s), rest = whole % 60;
    return rest ? `${Math.floor(whole / 60)} min ${rest} s` : `${whole / 60} min`;
  }
  if (s < 59.5 * 60) return `${Math.round(s / 60)} min`;
  if (s < 10 * 3600) {
    const minutes = Math.round(s / 60), rest = minutes % 60;
    return rest ? `${Math.floor(minutes / 60)} h ${rest} min` : `${minutes / 60} h`;
  }
  if (s < 47.5 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

/** How long, roughly, in one unit: for sentences ("silent for 3 h"). Never more than it was. */
export function roughly(seconds) {
  if (!isNumber(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

/** A latency: "120 µs", "1.4 ms", "35 ms", "2.1 s". */
export function latency(seconds) {
  if (!isNumber(seconds)) return NONE;
  if (seconds < 0.9995e-3) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.9995) {
    const ms = seconds * 1e3;
    return `${ms < 9.95 ? ms.toFixed(1) : Math.round(ms)} ms`;
  }
  return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}

/** The local time of a moment (ms since 1970): "17:05:09". */
export function clock(ms) {
  const date = new Date(ms);
  if (!isNumber(ms) || Number.isNaN(date.getTime())) return NONE;
  const two = (n) => String(n).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The local day of a moment: "2026-11-23". */
export function day(ms) {
  const date = new Date(ms);
  if (!isNumber(ms) || Number.isNaN(date.getTime())) return NONE;
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** "2026-11-23T17:05:09.123Z" -> ms since 1970, or null. */
export function parseTime(text) {
  const ms = typeof text === "string" ? Date.parse(text) : NaN;
  return Number.isNaN(ms) ? null : ms;
}

/** ["a", "b", "c"] -> "a, b and c". */
export function list(parts) {
  if (parts.length < 2) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} and ${parts[parts.length - 1]}`;
}

/**
 * Why the node gave no answer that can be used, and what to do about it. `failure` is
 * {kind: "network"}, {kind: "timeout"}, {kind: "unreadable"} or {kind: "http", status}.
 */
export function failure(reason) {
  const status = reason && reason.kind === "http" ? reason.status : 0;
  switch (status) {
  case 401:
    return "the node wants its admin_secret: load this page again and enter it";
  case 403:
    return "the node takes this for another site's page (403): open it by its own address";
  case 404:
    return "the node does not know this address (404): is it older than this page? Load it again";
  case 421:
    return "without an admin_secret the node answers to localhost alone (421): open the page through an "
      + "ssh tunnel, or set one";
  case 429:
    return "the node is asked too often (429): close other pages like this one";
  case 503:
    return "the node takes no more readers at the moment (503): it is ending, or too many are open";
  }
  if (status) return `the node answers ${status}`;
  if (reason && reason.kind === "timeout") return "the node does not answer in time";
  if (reason && reason.kind === "unreadable")
    return "what answers is not a rollcall node, or a proxy changes what it says";
  return "the node cannot be reached: is it running, and is the tunnel to it open?";
}

/** What a gap in the stream means: `gap` is {lost, reason} of a gap line. */
export function gapWords(gap) {
  const lost = gap && isNumber(gap.lost) ? gap.lost : null;
  switch (gap && gap.reason) {
  case "restart":
    return "The node was started anew: events between its end and its start cannot be told";
  case "overrun":
    return lost === null
      ? "Events are missing: the ring overwrote them before this page had read them"
      : `${counted(lost, "event")} missing: the ring overwrote `
        + `${lost === 1 ? "it" : "them"} before this page had read ${lost === 1 ? "it" : "them"}`;
  case "unknown-cursor":
    return "The node does not know where this page had got to: it goes on from the newest event";
  }
  return lost === null ? "Events are missing" : `${counted(lost, "event")} missing`;
}

/**
 * How the connection to the node is. `connection` is StreamModel's snapshot. {state, text}: state is
 * starting, live, behind, reconnecting or refused; the text changes seldom, it may be read aloud.
 */
export function connection(connection) {
  const { state, sinceMs = 0, behind = null, draining = false } = connection || {};
  const since = sinceMs >= 10000 ? ` for ${roughly(Math.floor(sinceMs / 10000) * 10)}` : "";
  const why = connection && connection.failure ? `: ${failure(connection.failure)}` : "";
  switch (state) {
  case "live":
    if (draining) return { state: "live", text: "live; the node is ending" };
    // A second's worth of a busy node is no lag that anyone could see.
    if (behind > 10000) return { state: "behind", text: `catching up, ${short(behind)} events behind` };
    if (why) return { state: "behind", text: `no figures at the moment${why}` };
    return { state: "live", text: "live" };
  case "reconnecting":
    return { state: "reconnecting", text: `reconnecting${since}${why}` };
  case "refused":
    return { state: "refused", text: `not connected${why}` };
  }
  return { state: "starting", text: `connecting${since}${why}` };
}

/**
 * What the line at the top says of the last gap ({lost, reason, at: ms}, or null) and of lines that
 * could not be read; "" where there is nothing to say.
 */
export function gapNote(gap, unreadable = 0) {
  const said = gap ? [`${clock(gap.at)} ${gapWords(gap)}.`] : [];
  if (unreadable)
    said.push(`${counted(unreadable, "line")} of the stream could not be read: does a proxy change them?`);
  return said.join(" ");
}
