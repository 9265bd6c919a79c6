// Events as sentences, of every sender's samples; and JSON that keeps its digits.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { identity, placeSentence, plain, prettyJson, sentence, wordLimits } from "../../src/page/venue_words.js";

const lines = (name) => readFileSync(`test/data/${name}.expected.ndjson`, "utf8").trimEnd().split("\n");
const all = ["aerohive", "bt", "json", "meraki", "mist", "pubnub"].flatMap((sender) => readdirSync(`test/data/${sender}`)
  .filter((name) => name.endsWith(".expected.ndjson")).flatMap((name) => lines(`${sender}/${name.slice(0, -16)}`)))
  .filter((line) => line !== "");

// Without the time, which is local.
const said = (event) => sentence(typeof event === "string" ? JSON.parse(event) : event).slice(9);

test("sentences of real senders' events", () => {
  const table = [
    ["aerohive/sample", 0, "lobby: b4:f1:da:0c:3e:57 (Fairphone) seen at AP 4a:5b:6c:7d:8e:90, -53 dBm, at 0.0, 0.0 m (± 4.0 m), 3616 days late"],
    ["aerohive/array", 0, "lobby: a0:d7:95:11:4f:3c seen at AP 08:ea:44:a1:b2:c0, -87 dBm, at 11.4, 21.5 m"],
    ["meraki/v3", 2, "lobby: da:a1:19:2f:c4:5d (randomised address) seen at AP 00:18:0a:5c:00:01 in N_42, -80 dBm"],
    ["meraki/v3", 1, "lobby: 3c:2e:f9:10:aa:01 (Fairphone) seen at AP 00:18:0a:5c:00:01 in N_42, -61 dBm, at 48.26000, 16.38500 (± 3.0 m)"],
    ["mist/location", 0, "lobby: till 4 seen at 3d1f0b52-77aa-4c1e-9f0e-5b6a7c8d9e01, at 13.5, 3.2 m"],
    ["mist/zone", 0, "lobby: 56:84:da:e9:ac:8b (randomised address) entered zone z at s"],
    ["mist/zone", 1, "lobby: 00:aa:11:bb:22:cc left zone z at s"],
    ["mist/client_join", 0, "lobby: client-join of 72:ef:00:aa:53:5f (randomised address) at AP Lobby 1 in Süd, -58 dBm"],
    ["bt/sample", 0, "lobby: ada@harbour.example (with 00:1f:3a:5c:77:e2) logged in at Tower Pier"],
    ["bt/validation", 0, "lobby: the portal's validation call"],
    ["pubnub/flat_all", 0, "lobby: u-1 left harbour (3 there)"],
    ["pubnub/flat_all", 1, "lobby: u-2 timed out of harbour (2 there)"],
    ["pubnub/flat_all", 2, "lobby: u-3 changed its state in harbour (2 there)"],
    ["pubnub/flat_all", 5, "lobby: arena: 214 there, 2 joined, 1 left"],
    ["pubnub/actions_all", 7, "lobby: u-4 joined c (1 there)"],
    ["json/object", 0, 'lobby: a document: {"type":"twice","at":[1.5,2000],"text":"a  \\"b\\" \\\\ c"}'],
  ];
  for (const [name, index, text] of table) assert.equal(said(lines(name)[index]), text, name);
});

test("the time stands in front, duplicates and late ones are told", () => {
  const event = { received: "2026-01-05T10:12:13.456789Z", endpoint: "hq", kind: "join", duplicate: true, delay_ms: 3 * 3600000,
                  channel: { name: "c", uuid: "u" } };
  const local = new Date(Date.parse(event.received));
  const two = (n) => String(n).padStart(2, "0");
  assert.equal(sentence(event).slice(0, 9), `${two(local.getHours())}:${two(local.getMinutes())}:13 `);
  assert.equal(said(event), "hq: u joined c, 3 h late, again");
  assert.equal(said({ ...event, delay_ms: wordLimits.lateMs - 1, duplicate: undefined }), "hq: u joined c");
});

test("every sample's event has a sentence of bounded length, without undefined or NaN", () => {
  assert.ok(all.length > 150);
  for (const line of all) {
    const text = sentence(JSON.parse(line));
    assert.match(text, /^\d\d:\d\d:\d\d lobby: \S/);
    // A document's own text may say what it likes.
    if (!line.includes('"data"')) assert.doesNotMatch(text, /undefined|NaN|null|\[object/, line);
    assert.ok(text.length <= wordLimits.sentenceChars);
  }
});

test("an event that has nothing, or the wrong types, still has a sentence", () => {
  for (const odd of [{}, { kind: 7 }, { kind: "seen", client: "x", ap: 5, location: [1], rssi: "-3" }, { kind: "__proto__" },
                     { kind: "login", user: null }, { kind: "interval", channel: { joined: "x" } }]) sentence(odd);
  assert.equal(said({ received: "2026-01-05T10:12:13Z", kind: "seen", endpoint: "e", location: { x: 1e308, y: -1e308 } }), "e: somebody seen, at 1.00e+308, -1.00e+308 m");
});

test("a sender's words cannot hide or turn text, and are cut", () => {
  assert.equal(plain("a\u202eb\u0000c\u200bd\ne"), "a�b�c�d�e");
  assert.equal(plain("x".repeat(wordLimits.valueChars)), "x".repeat(wordLimits.valueChars));
  assert.equal(plain("x".repeat(wordLimits.valueChars + 1)), `${"x".repeat(wordLimits.valueChars - 1)}…`);
  const long = "y".repeat(100000);
  const text = sentence({ kind: long, endpoint: long, client: { mac: long }, ap: { name: long }, venue: { name: long },
                          location: { x: 1, y: 2 } });
  assert.ok(text.length <= wordLimits.sentenceChars);
});

test("who it is: mac, else uuid, else user id, else e-mail", () => {
  const event = { client: { mac: "m" }, channel: { uuid: "u" }, user: { id: "i", email: "e" } };
  assert.equal(identity(event), "m");
  assert.equal(identity({ ...event, client: { ipv4: "1" } }), "u");
  assert.equal(identity({ user: event.user, channel: {} }), "i");
  assert.equal(identity({ user: { email: "e" } }), "e");
  assert.equal(identity({ kind: "document", channel: { uuid: "" } }), null);
});

test("a place in words", () => {
  assert.equal(placeSentence({ key: "dc:ac:3d:a5:06:b4", maker: "Apple", randomized: true, ap: "Lobby", rssi: -50.4, unc: 2 }, 12345),
               "dc:ac:3d:a5:06:b4 (Apple, randomised address) at AP Lobby, -50 dBm, to 2.0 m, 12 s ago");
  assert.equal(placeSentence({ key: "k", unc: 0 }, 10), "k, just now");
});

test("a document's glimpse has the digits of its line", () => {
  const text = '{"kind":"document","user":{"visits":{"data":1}},"data":{"n":12345678901234567890.50,"at":[1.50,{}]},"extra":{"a":1}}';
  assert.equal(sentence(JSON.parse(text), text).split("document: ")[1], '{"n":12345678901234567890.50,"at":[1.50,{}]}');
  for (const [data, said] of [["7.00", "7.00"], ["[]", "[]"], ['"x"', "x"], ["null", "null"]]) {
    const line = `{"kind":"document","data":${data}}`;
    assert.equal(sentence(JSON.parse(line), line).split("document: ")[1], said);
  }
  const long = `{"kind":"document","data":{"a":"${"x".repeat(5000)}"}}`;
  assert.equal(sentence(JSON.parse(long), long).split("document: ")[1], `{"a":"${"x".repeat(93)}…`);
  for (const line of all) sentence(JSON.parse(line), line);
});

test("JSON over lines is the same JSON, of every sample", () => {
  for (const line of all) {
    const pretty = prettyJson(line);
    assert.deepEqual(JSON.parse(pretty), JSON.parse(line));
    // Nothing but white space was added: not one digit is another.
    const bare = (text) => text.replace(/"(?:[^"\\]|\\.)*"|\s+/g, (part) => (part[0] === '"' ? part : ""));
    assert.equal(bare(pretty), bare(line));
  }
});

test("JSON keeps the digits that JSON.parse would lose, and looks as it should", () => {
  assert.equal(prettyJson('{"a":12345678901234567890.50,"b":[1e400,{}],"c":[],"d":"x{\\"y\\",[\\\\"}'),
               '{\n  "a": 12345678901234567890.50,\n  "b": [\n    1e400,\n    {}\n  ],\n  "c": [],\n  "d": "x{\\"y\\",[\\\\"\n}');
  assert.equal(prettyJson('{"a":"x\u202ey"}'), '{\n  "a": "x\\u202ey"\n}');
});

test("JSON at the bound is whole, one past it is cut and says so", () => {
  const text = JSON.stringify("x".repeat(wordLimits.jsonChars - 2));
  assert.equal(prettyJson(text), text);
  const longer = JSON.stringify("x".repeat(wordLimits.jsonChars - 1));
  assert.ok(prettyJson(longer).endsWith("x\n… 1 character more"));
  assert.ok(prettyJson("[".repeat(100000)).length < 20000000); // deep: indented no further than to 40
});
