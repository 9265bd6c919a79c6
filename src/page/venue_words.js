// Events as sentences, and as JSON that can be read. Pure.
//
// Whatever a sender writes may stand in a sentence: values are cut, and characters that would turn the
// text's direction round or hide it are shown as �, as rollcall-tail does. The JSON is made of the
// line's own text, never of parsed values: 1.50 stays 1.50 and a number of 20 digits keeps them all.
import { clock, count, counted, parseTime, roughly } from "./words.js";

export const wordLimits = Object.freeze({
  valueChars: 64,
  sentenceChars: 400,
  jsonChars: 1024 * 1024,
  lateMs: 60000,
});

const GLIMPSE = 100; // characters of a document
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** A sender's value as one short line; "" for what is no text and no number. */
export function plain(value, most = wordLimits.valueChars) {
  if (typeof value === "number") return String(value);
  if (typeof value !== "string") return "";
  const text = value.slice(0, most + 1).replace(HARMFUL, "\ufffd");
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

const object = (value) => (value !== null && typeof value === "object" ? value : {});

/** Which client an event is about: its MAC, else channel.uuid, user.id or user.email; null for none. */
export function identity(event) {
  const found = [object(event.client).mac, object(event.channel).uuid, object(event.user).id,
                 object(event.user).email].find((value) => typeof value === "string" && value !== "");
  return found ?? null;
}

/** "dc:ac:3d:a5:06:b4 (Apple)"; "somebody" where the event does not say who. */
function who(event) {
  const client = object(event.client);
  const name = plain(identity(event)) || plain(object(object(event).extra).name) || "somebody";
  if (!client.mac) return name;
  const more = [plain(client.manufacturer, 24), client.randomized === true ? "randomised address" : ""];
  const said = more.filter(Boolean).join(", ");
  return said ? `${name} (${said})` : name;
}

/** Who logged in: the person, and the device behind it. */
function person(event) {
  const user = object(event.user), mac = plain(object(event.client).mac);
  const name = plain(user.email) || plain(user.id);
  if (!name) return who(event);
  return mac ? `${name} (with ${mac})` : name;
}

/** " at AP Lobby in Store 12". */
function where(event) {
  const ap = object(event.ap), venue = object(event.venue);
  const point = plain(ap.name) || plain(ap.mac), house = plain(venue.name) || plain(venue.id);
  return (point ? ` at AP ${point}` : "") + (house ? `${point ? " in" : " at"} ${house}` : "");
}

/** ", -50 dBm, at 12.5, 3.0 m (± 2 m)". */
function signal(event) {
  const place = object(event.location);
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  let text = isNumber(event.rssi) ? `, ${Math.round(event.rssi)} dBm` : "";
  if (isNumber(place.x) && isNumber(place.y)) text += `, at ${metres(place.x)}, ${metres(place.y)} m`;
  else if (isNumber(place.lat) && isNumber(place.lng)) text += `, at ${place.lat.toFixed(5)}, ${place.lng.toFixed(5)}`;
  else return text;
  return isNumber(place.unc) && place.unc > 0 ? `${text} (± ${metres(place.unc)} m)` : text;
}

function metres(value) {
  if (Math.abs(value) >= 1e6) return value.toPrecision(3);
  return (Math.round(value * 10) / 10).toFixed(1);
}

const there = (channel) => (typeof channel.occupancy === "number" ? ` (${count(channel.occupancy)} there)` : "");

function interval(event) {
  const channel = object(event.channel);
  const parts = typeof channel.occupancy === "number" ? [`${count(channel.occupancy)} there`] : [];
  for (const [key, word] of [["joined", "joined"], ["left", "left"], ["timed_out", "timed out"]])
    if (Array.isArray(channel[key]) && channel[key].length) parts.push(`${count(channel[key].length)} ${word}`);
  return `${plain(channel.name) || "a channel"}: ${parts.join(", ") || "no change"}`;
}

// The start of a line's own text of `data`: numbers keep their digits here too.
function glimpse(event, lead, line) {
  const raw = typeof event.data === "string" ? event.data
    : line === undefined ? JSON.stringify(event.data) : memberText(line, "data", GLIMPSE);
  const data = raw === undefined ? "" : plain(raw, GLIMPSE);
  return data ? `${lead}: ${data}` : lead;
}

/** The text of a member of the object that `line` is; what is longer than `most` is cut behind that. */
function memberText(line, name, most) {
  let depth = 0;
  for (let at = 0; at < line.length; at = tokenEnd(line, at)) {
    const end = tokenEnd(line, at);
    if (depth === 1 && line[end] === ":" && line.slice(at, end) === `"${name}"`) {
      const start = end + 1;
      for (at = start; at < line.length && at - start <= most; at = tokenEnd(line, at)) {
        if (depth === 1 && at > start && (line[at] === "," || line[at] === "}")) return line.slice(start, at);
        if ("{[".includes(line[at])) depth++;
        else if ("}]".includes(line[at])) depth--;
      }
      return line.slice(start, start + most + 1);
    }
    if ("{[".includes(line[at])) depth++;
    else if ("}]".includes(line[at])) depth--;
  }
  return undefined;
}

function zone(event) {
  const extra = object(event.extra);
  const name = plain(extra.zone_name) || plain(extra.zone_id) || plain(extra.rssizone_id);
  return name ? `zone ${name}` : "a zone";
}

function happening(event, line) {
  const channel = object(event.channel), name = plain(channel.name) || "a channel";
  switch (event.kind) {
  case "seen": return `${who(event)} seen${where(event)}${signal(event)}`;
  case "login": return `${person(event)} logged in${where(event)}`;
  case "join": return `${who(event)} joined ${name}${there(channel)}`;
  case "leave": return `${who(event)} left ${name}${there(channel)}`;
  case "timeout": return `${who(event)} timed out of ${name}${there(channel)}`;
  case "state-change": return `${who(event)} changed its state in ${name}${there(channel)}`;
  case "active": return `${name} became active: the first has come`;
  case "inactive": return `${name} became inactive: the last has gone`;
  case "interval": return interval(event);
  case "zone-enter": return `${who(event)} entered ${zone(event)}${where(event)}`;
  case "zone-exit": return `${who(event)} left ${zone(event)}${where(event)}`;
  case "validation": return "the portal's validation call";
  case "document": return glimpse(event, "a document", line);
  case "unreadable": return glimpse(event, "a body that could not be read", line);
  case "hidden": return "an event of which privacy leaves nothing";
  }
  const about = identity(event) === null ? "" : ` of ${who(event)}`;
  return `${plain(event.kind) || "an event"}${about}${where(event)}${signal(event)}`;
}

/**
 * "12:01:33 hq: dc:ac:3d:a5:06:b4 (Apple) seen at AP Lobby, -50 dBm", the time local. `line`: the event's
 * own text, where there is one.
 */
export function sentence(event, line) {
  const late = typeof event.delay_ms === "number" && event.delay_ms >= wordLimits.lateMs
    ? `, ${roughly(event.delay_ms / 1000)} late` : "";
  const again = event.duplicate === true ? ", again" : "";
  const text = `${clock(parseTime(event.received))} ${plain(event.endpoint)}: ${happening(event, line)}${late}${again}`;
  return text.length > wordLimits.sentenceChars ? `${text.slice(0, wordLimits.sentenceChars - 1)}…` : text;
}

/** Where a client on the floor is, in words. `ageMs`: how long ago it was seen there. */
export function placeSentence(client, ageMs) {
  const name = plain(client.key) + (client.maker || client.randomized
    ? ` (${[plain(client.maker, 24), client.randomized ? "randomised address" : ""].filter(Boolean).join(", ")})` : "");
  const point = client.ap ? ` at AP ${plain(client.ap)}` : "";
  const near = client.unc > 0 ? `, to ${metres(client.unc)} m` : "";
  const rssi = typeof client.rssi === "number" ? `, ${Math.round(client.rssi)} dBm` : "";
  return `${name}${point}${rssi}${near}, ${ageMs < 1000 ? "just now" : `${roughly(ageMs / 1000)} ago`}`;
}

// --- JSON -----------------------------------------------------------------------------------------

const escape = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

// Behind the string that begins at `at`.
function stringEnd(text, at) {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}

function tokenEnd(text, at) {
  if (text[at] === '"') return stringEnd(text, at);
  if ("{}[],:".includes(text[at])) return at + 1;
  let end = at + 1;
  while (end < text.length && !'{}[],:" \t\r\n'.includes(text[end])) end++;
  return end;
}

/**
 * A JSON text over several lines, its values' text unchanged; characters that hide or turn text become
 * their escapes, which mean the same. What is longer than wordLimits.jsonChars is cut, and says so.
 */
export function prettyJson(text) {
  const most = Math.min(text.length, wordLimits.jsonChars), out = [];
  let depth = 0, empty = false, at = 0;
  const line = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  while (at < most) {
    if (" \t\r\n".includes(text[at])) {
      at++;
      continue;
    }
    const end = Math.min(tokenEnd(text, at), most), part = text.slice(at, end);
    at = end;
    const opens = part === "{" || part === "[", closes = part === "}" || part === "]";
    if (closes) depth--;
    if (closes ? !empty : empty) out.push(line());
    out.push(part === "," ? `,${line()}` : part === ":" ? ": " : part.replace(HARMFUL, escape));
    if (opens) depth++;
    empty = opens;
  }
  if (at < text.length) out.push(`\n… ${counted(text.length - at, "character")} more`);
  return out.join("");
}
