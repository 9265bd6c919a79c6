// What an operator should know of a node, its senders and its readers, in sentences that say what
// is, why that matters and what to do next. Pure. A finding is {level: "alarm" | "warn" | "info",
// about, text, advice}; what is well says nothing.
import * as words from "./words.js";

// Silence is judged by a sender's own pace where that was seen, and by these where it was not.
const SILENT_LEAST_S = 60; // a shorter pause is nobody's silence
const SILENT_TIMES = 10; // times the longest pause seen of late
const SILENT_WARN_S = 3600;
const SILENT_ALARM_S = 24 * 3600;
const NEVER_WARN_S = 15 * 60; // of uptime, without a first delivery
const RECENT_S = 600;
const CERTIFICATE_WARN_DAYS = 30;
const CERTIFICATE_ALARM_DAYS = 7;
const LAG_WARN_S = 0.25; // the loop's; half of what BT waits for an answer would be 10 times that
const LAG_ALARM_S = 2;
const RING_SHORT_S = 60;

const portals = {
  aerohive: "HiveManager's presence settings",
  bt: "the BT Wi-Fi portal's webhook page",
  pubnub: "the PubNub admin portal's webhooks (Events & Actions)",
  meraki: "the Meraki dashboard's Location and scanning page",
  mist: "the Mist portal's webhook page",
};

const portal = (sender) => portals[sender.provider] || "the sender's webhook settings";
const probe = "rollcalld --probe URL --config FILE tries the way from outside";

/** Why posts are refused, and what mends it, by the status of the answer. */
export function refusalAdvice(status, name) {
  switch (status) {
  case 400: return "the body is not JSON: look at the log's `at`, and at what the sender is set to send";
  case 401: return `compare the secret in the portal with \`secret\` of [endpoint ${name}]`;
  case 403: return `the sender's address is not in \`allow_from\` of [endpoint ${name}]: add it, or find out who that is`;
  case 404: return `set \`validator\` of [endpoint ${name}] to what the portal shows`;
  case 405: return "the sender does not POST: is this URL the webhook's?";
  case 408: return "the body came too slowly: look at the line, or raise `body_timeout`";
  case 413: return "the body is too large: raise `max_body_bytes`, or let the sender post smaller batches";
  case 415: return "the sender compresses in a way that the node does not read: let it use gzip, or none";
  case 422: return `is \`provider\` of [endpoint ${name}] the right one? The log's \`at\` says where the body differs`;
  case 429: return `it posts more than \`rate_limit\` of [endpoint ${name}] allows: raise that, or slow the sender down`;
  case 503: return "the sender tries again; look whether a held reader is stuck, the disk fails, or memory is used up";
  }
  return "the log says more";
}

const at = (where) => (where ? ` at ${where}` : "");

/** Refusals since the page has had an eye on it, ten minutes at most: " (in 40 s 3 with 401)". */
function lately({ recent, recentS }) {
  const counted = codeWords(recent.codes);
  return counted ? ` (in ${words.duration(recentS)} ${counted})` : "";
}

/** {"401": 3, "429": 1} -> "3 with 401, 1 with 429". */
export function codeWords(codes) {
  const bad = [...codes].filter(([code]) => Number(code) >= 400).sort((a, b) => b[1] - a[1]);
  return bad.map(([code, n]) => `${words.count(n)} with ${code}`).join(", ");
}

// --- senders ------------------------------------------------------------------------------------

function silence(sender) {
  const { name, ageS, usualPauseS } = sender;
  const advice = `look at ${portal(sender)}: is the webhook switched on, and what does it say of its `
    + `last calls? ${probe}`;
  const usual = usualPauseS === null ? "" : `; until then, never longer than ${words.duration(usualPauseS)}`;
  const said = `${name} has been silent for ${words.roughly(ageS)}${usual}`;
  if (ageS >= SILENT_ALARM_S) return { level: "alarm", about: name, text: said, advice };
  const pace = usualPauseS === null ? Infinity : Math.max(SILENT_LEAST_S, SILENT_TIMES * usualPauseS);
  if (ageS >= Math.min(SILENT_WARN_S, pace)) return { level: "warn", about: name, text: said, advice };
  return null;
}

function neverYet(sender) {
  const { name, uptimeS, codes, lastError } = sender;
  const asked = [...codes.values()].reduce((all, n) => all + n, 0);
  const ago = uptimeS === null ? "" : ` (${words.roughly(uptimeS)} ago)`;
  const since = `since the node was started${ago}`;
  if (lastError)
    return { level: "alarm", about: name,
             text: `${name} has delivered nothing ${since}: its posts are refused, ${lastError.reason}${at(lastError.where)}`,
             advice: refusalAdvice(lastError.status, name) };
  if (asked)
    return { level: uptimeS >= SILENT_WARN_S ? "warn" : "info", about: name,
             text: `${name} calls, but has delivered no event ${since}`,
             advice: `validation calls or empty posts only: is anything to be seen where it looks, and is ${portal(sender)} set to send events?` };
  return { level: uptimeS !== null && uptimeS >= NEVER_WARN_S ? "warn" : "info", about: name,
           text: `${name} has never called ${since}`,
           advice: `enter this node's URL in ${portal(sender)}; ${probe}` };
}

/** Posts that ended before the node knew what for: too large, too slow. */
function cutOff(sender) {
  const { name, recent } = sender;
  const [worst] = [...recent.codes].filter(([code]) => Number(code) >= 400).sort((a, b) => b[1] - a[1]);
  if (!worst) return null;
  return { level: "warn", about: name, text: `${name}'s posts are in part refused${lately(sender)}`,
           advice: refusalAdvice(Number(worst[0]), name) };
}

function refusals(sender) {
  const { name, lastError, lastEvent, nodeMs } = sender;
  if (!lastError || lastError.at === null || (nodeMs - lastError.at) / 1000 > RECENT_S) return cutOff(sender);
  const sinceThen = lastEvent !== null && lastEvent > lastError.at;
  return {
    level: sinceThen ? "warn" : "alarm", about: name,
    text: `${name}'s posts are ${sinceThen ? "in part " : ""}refused: ${lastError.reason}${at(lastError.where)}`
      + lately(sender),
    advice: refusalAdvice(lastError.status, name),
  };
}

function unread(sender) {
  const { name, lastUnread, recent, nodeMs } = sender;
  if (!lastUnread || lastUnread.at === null || (nodeMs - lastUnread.at) / 1000 > RECENT_S) return null;
  if (recent.unreadable)
    return { level: "warn", about: name,
             text: `${words.counted(recent.unreadable, "body", "bodies")} from ${name} could not be read and `
               + `${recent.unreadable === 1 ? "was" : "were"} kept as unreadable: ${lastUnread.reason}${at(lastUnread.where)}`,
             advice: "filter the events by kind “unreadable” to see them; is `provider` the right one?" };
  // Meraki posts clients that no access point has placed: that is no fault.
  if (!recent.rejected || sender.provider === "meraki") return null;
  return { level: "info", about: name,
           text: `${words.counted(recent.rejected, "part")} of ${name}'s bodies left out: ${lastUnread.reason}${at(lastUnread.where)}`,
           advice: "the rest was kept; the log says which member is not as it should be" };
}

/** {level, delivery, problem, advice, attention} of a sender as NodeModel knows it. */
export function describeSender(sender) {
  const { lastEvent, ageS, lastError, lastUnread, nodeMs } = sender;
  const findings = lastEvent === null ? [neverYet(sender)]
    : [refusals(sender), silence(sender), unread(sender)].filter(Boolean);
  const ago = (moment) => (moment.at === null ? "" : `, ${words.roughly(Math.max(0, (nodeMs - moment.at) / 1000))} ago`);
  let delivery = "nothing yet";
  if (lastEvent !== null)
    delivery = ageS < 5 ? "just now" : `${words.roughly(ageS)} ago`;
  let problem = "";
  if (lastError) problem = `${lastError.status ? `${lastError.status} ` : ""}${lastError.reason}${at(lastError.where)}${ago(lastError)}`;
  else if (lastUnread) problem = `${lastUnread.reason}${at(lastUnread.where)}${ago(lastUnread)}`;
  const worst = findings[0] || null;
  return { level: worst ? worst.level : "ok", delivery, problem,
           said: worst ? worst.text : "", advice: worst ? worst.advice : "",
           attention: findings.filter((finding) => finding.level !== "info") };
}

// --- readers ------------------------------------------------------------------------------------

export function describeReader(held, ring) {
  const { name, lag, holds } = held;
  if (holds === false)
    return { level: "warn", said: "holds no longer", attention: [{
      level: "warn", about: name,
      text: `Reader ${name} has made no progress for max_hold: it holds no longer, and will have a gap`,
      advice: "is that program alive? With its next commit it holds again; one that is gone for good is "
        + `ended with DELETE /v1/readers/${name}` }] };
  if (lag !== null && ring.events && lag > ring.events * 0.5)
    return { level: "warn", said: "far behind", attention: [{
      level: "warn", about: name,
      text: `Reader ${name} is ${words.counted(lag, "event")} behind, more than half of the ring`,
      advice: "when the ring is full of what it has not committed, posts are answered 503: is that program slow?" }] };
  return { level: "ok", said: holds === true ? "holds" : "–", attention: [] };
}

// --- the node -----------------------------------------------------------------------------------

function certificate(node) {
  const days = node.certificateDays;
  const found = [];
  if (node.certificate.refused === true)
    found.push({ level: "alarm", about: "certificate",
                 text: "The certificate's files changed and cannot be used: the last ones are served",
                 advice: "key and certificate do not fit each other, or one cannot be read; rollcalld --check says which" });
  if (days === null) return found;
  const renew = "renew it: new files are taken up within a second, connections stay open";
  if (days < 0)
    found.push({ level: "alarm", about: "certificate", text: "The certificate has ended: senders refuse to post",
                 advice: renew });
  else if (days < CERTIFICATE_WARN_DAYS)
    found.push({ level: days < CERTIFICATE_ALARM_DAYS ? "alarm" : "warn", about: "certificate",
                 text: days < 1 ? "The certificate ends in less than a day"
                   : `The certificate ends in ${words.counted(Math.floor(days), "day")}`,
                 advice: renew });
  return found;
}

function connections({ connections: c }) {
  const found = [];
  const refused = (key) => c.refusedRecent.get(key) || 0;
  if (refused("limit"))
    found.push({ level: "alarm", about: "connections",
                 text: `${words.counted(refused("limit"), "connection")} refused: \`max_connections\` are open`,
                 advice: "raise max_connections, or lower keepalive_timeout" });
  else if (c.open !== null && c.most && c.open > c.most * 0.9)
    found.push({ level: "warn", about: "connections",
                 text: `${words.count(c.open)} of ${words.count(c.most)} connections are in use`,
                 advice: "past that, senders are turned away: raise max_connections" });
  if (refused("address"))
    found.push({ level: "warn", about: "connections",
                 text: `${words.counted(refused("address"), "connection")} refused: one address holds \`max_connections_per_ip\``,
                 advice: "behind a proxy all senders share an address: raise it; else somebody opens very many" });
  if (refused("error"))
    found.push({ level: "warn", about: "connections",
                 text: `${words.counted(refused("error"), "connection")} could not be taken`,
                 advice: "the system refused: file descriptors or memory most likely, the log says" });
  const alerts = [...c.failedRecent].filter(([reason]) => reason.includes("alert"));
  if (alerts.length)
    found.push({ level: "warn", about: "handshakes",
                 text: `Senders break off the handshake: ${words.list(alerts.map(([reason, n]) => `${reason} (${words.count(n)})`))}`,
                 advice: "they do not like the certificate: is its chain complete, and from a public authority? rollcalld --probe URL tells" });
  return found;
}

/** Findings of the node itself. */
export function describeNode(node) {
  const found = [];
  if (node.diskFailed === true)
    found.push({ level: "alarm", about: "disk",
                 text: `The ring's file cannot be written to disk: ${node.ring.sync === "always"
                   ? "posts are answered 503 until it works again" : "a loss of power would lose events"}`,
                 advice: "look at the disk (full, read-only, gone); the log has the reason" });
  if (node.draining === true)
    found.push({ level: "warn", about: "node", text: "The node is ending: it takes no more connections",
                 advice: "start it again if that was not meant" });
  if (node.reload.ok === false)
    found.push({ level: "warn", about: "configuration",
                 text: "The last reload failed: the configuration before it stays",
                 advice: "rollcalld --check prints each mistake; mend them, and reload" });
  found.push(...certificate(node), ...connections(node));
  if (node.loopLagS !== null && node.loopLagS >= LAG_WARN_S)
    found.push({ level: node.loopLagS >= LAG_ALARM_S ? "alarm" : "warn", about: "loop",
                 text: `The node has kept somebody waiting for ${words.latency(node.loopLagS)}`,
                 advice: "others take the processor, or bodies are huge: give it a core of its own, or run more nodes" });
  if (node.ring.overwritten > 0 && node.ring.oldestAgeS !== null && node.ring.oldestAgeS < RING_SHORT_S)
    found.push({ level: "warn", about: "ring",
                 text: `The ring reaches back only ${words.duration(node.ring.oldestAgeS)}: a reader that is away for longer loses events`,
                 advice: "make `size` of [ring] larger, or hold events for that reader by a name" });
  if (node.lostRecent > 0)
    found.push({ level: "warn", about: "readers",
                 text: `Readers have lost ${words.counted(node.lostRecent, "event")} in the last 10 minutes`,
                 advice: "a larger ring, a faster reader, or a held one" });
  if (node.evictedRecent > 0)
    found.push({ level: "warn", about: "duplicates",
                 text: `${words.counted(node.evictedRecent, "known id")} gave way to others: repeats of these events will not be told`,
                 advice: "raise `max_ids` of [dedupe]" });
  return found;
}
