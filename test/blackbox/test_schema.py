"""The JSON Schema of a line: that it is served, that it holds for every event any test expects, and
that it refuses what is none."""
import copy
import glob
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403
import schema

DATA = os.path.join(schema.ROOT, "test", "data")


def expected():
    for path in sorted(glob.glob(os.path.join(DATA, "*", "*.expected.ndjson"))):
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield "%s:%d" % (os.path.relpath(path, DATA), number), json.loads(line)


WHOLE = {
    "seq": 1, "id": "0" * 32, "received": "2026-01-05T10:12:13.456789Z", "endpoint": "hq",
    "provider": "aerohive", "kind": "seen", "time": "2026-01-05T10:12:12.900Z", "delay_ms": 556,
    "client": {"mac": "dc:ac:3d:a5:06:b4", "randomized": False}, "rssi": -50,
}


class Schema(unittest.TestCase):
    def test_every_expected_event(self):
        count = 0
        for where, line in expected():
            with self.subTest(where):
                schema.check(line)
            count += 1
        self.assertGreater(count, 200)

    def test_what_is_no_event_is_refused(self):
        schema.check(WHOLE)
        wrong = [
            {"seq": 0}, {"seq": "1"}, {"seq": 1.5}, {"seq": True}, {"id": "A" * 32}, {"id": "0" * 31},
            {"received": "2026-01-05T10:12:13Z"}, {"time": "2026-01-05 10:12:12.900Z"},
            {"endpoint": ""}, {"endpoint": "a b"}, {"provider": "cisco"}, {"kind": 7},
            {"kind": "k" * 257}, {"delay_ms": 0.5}, {"duplicate": False}, {"rssi": "-50"},
            {"client": {}}, {"client": {"mac": "DC:AC:3D:A5:06:B4", "randomized": False}},
            {"client": {"mac": "dc:ac:3d:a5:06:b4"}}, {"client": {"os": None}}, {"client": []},
            {"ap": {"mac": "dcac3da506b4"}}, {"ap": {"ssid": "x"}}, {"location": {"lat": "1"}},
            {"venue": {"id": 7}}, {"user": {"id": 7}}, {"channel": {"occupancy": "7"}}, {"extra": {}},
            {"user": {"visits": []}}, {"user": {"visits": {}}}, {"channel": {"joined": "a"}},
            {"channel": {"left": [7]}}, {"channel": {"timed_out": ["a", None]}}, {"kind": ""},
            {"received": "2026-13-05T10:12:13.456789Z"}, {"received": "2026-01-05T24:12:13.456789Z"},
            {"time": "2026-01-32T10:12:12.900Z"}, {"time": "2026-01-05T10:12:12.900Z\n"},
            {"id": "0" * 32 + "\n"}, {"duplicate": 1},
            {"extra": 7}, {"tenant": 7}, {"unknown": 1}, {"gap": {}},
        ]
        for change in wrong:
            with self.subTest(change), self.assertRaises(schema.Invalid):
                schema.check({**copy.deepcopy(WHOLE), **change})
        for name in ("seq", "id", "received", "endpoint", "provider", "kind", "delay_ms", "time"):
            with self.subTest(name), self.assertRaises(schema.Invalid):
                schema.check({key: value for key, value in WHOLE.items() if key != name})
        with self.assertRaises(schema.Invalid):
            schema.check(dict(reversed(WHOLE.items())))

    def test_gaps(self):
        gap = {"after": "0123456789abcdef-17", "next": "0123456789abcdef-42", "lost": 24,
               "reason": "overrun"}
        schema.check({"gap": gap})
        schema.check({"gap": {**gap, "lost": None, "reason": "restart"}})
        for change in ({"lost": -1}, {"lost": "1"}, {"reason": "no"}, {"after": "17"}, {"more": 1},
                       {"next": "0123456789abcdef-042"}, {"next": "0123456789ABCDEF-42"}):
            with self.subTest(change), self.assertRaises(schema.Invalid):
                schema.check({"gap": {**gap, **change}})

    def test_a_word_that_is_not_known_is_an_error(self):
        rules = copy.deepcopy(schema.EVENT)
        schema.check_rules(rules)
        rules["$defs"]["event"]["properties"]["channel"]["properties"]["joined"]["uniqueItems"] = True
        with self.assertRaisesRegex(ValueError, "uniqueItems"):
            schema.check_rules(rules)
        for rules in ({"oneOf": [{"not": True}]}, {"items": {"format": "x"}}, {"$defs": {"a": {"if": {}}}},
                      {"additionalProperties": {}}):
            with self.subTest(rules), self.assertRaises(ValueError):
                schema.check_rules(rules)

    def test_it_is_served(self):
        with Node() as node:
            answer = get(node, "/v1/schema")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["content-type"], "application/schema+json")
            self.assertEqual(answer.headers["cache-control"], "max-age=3600")
            self.assertEqual(answer.json(), schema.EVENT)
            peer = feed(node, "/v1/schema")
            peer.response()
            peer.send(b"HEAD /v1/schema HTTP/1.1\r\nHost: x\r\n\r\nPOST /v1/schema HTTP/1.1\r\n"
                      b"Host: x\r\nContent-Length: 0\r\n\r\n")
            head, refused = peer.response(head=True), peer.response()
            self.assertEqual((head.status, int(head.headers["content-length"])), (200, len(answer.body)))
            self.assertEqual((refused.status, refused.headers["allow"]), (405, "GET, HEAD"))
            peer.close()


class CloudEvents(unittest.TestCase):
    def test_every_sample_of_every_sender(self):
        endpoints = "".join("[endpoint %s]\npath = /%s\nprovider = %s\nauth = none\n" % (3 * (name,))
                            for name in ("aerohive", "bt", "json", "meraki", "mist", "pubnub"))
        with Node(rest="[dedupe]\nmode = mark\n", endpoints=endpoints) as node:
            for path in sorted(glob.glob(os.path.join(DATA, "*", "*.json"))):
                with open(path, "rb") as body:
                    name = os.path.basename(os.path.dirname(path))
                    self.assertIn(post(node, "/" + name, body.read()).status, (200, 400, 422), path)
            plain = events(node)
            self.assertGreater(len(plain), 200)
            answer = get(node, "/v1/events?from=oldest&follow=0",
                         headers=("Accept: application/cloudevents+json",))
            self.assertEqual(answer.headers["content-type"], "application/cloudevents+json")
            lines = [json.loads(line) for line in answer.body.splitlines()]
            for line in lines:
                schema.check_cloudevent(line)
            self.assertEqual([line["data"] for line in lines], plain)
            for line in lines:
                event = line["data"]
                self.assertEqual(line["id"], event["id"])
                self.assertEqual(line["source"], "/rollcall/" + event["endpoint"])
                self.assertEqual(line["time"], event.get("time", event["received"]))
                if event["kind"].replace("-", "").isalnum() and event["kind"].isascii():
                    self.assertEqual(line["type"], "rollcall.presence." + event["kind"])

    def test_gaps(self):
        with Node() as node:
            post(node, "/presence/lab", {})
            answer = get(node, "/v1/events?follow=0&after=0123456789abcdef-5",
                         headers=("Accept: application/cloudevents+json",))
            gap, event = [json.loads(line) for line in answer.body.splitlines()]
            schema.check_cloudevent(gap)
            schema.check_cloudevent(event)
            self.assertEqual(gap["type"], "rollcall.gap")
            self.assertEqual(gap["data"]["gap"]["reason"], "restart")
            answer = get(node, "/v1/events?follow=0&after=0123456789abcdef-6",
                         headers=("Accept: application/cloudevents+json",))
            other = json.loads(answer.body.splitlines()[0])
            self.assertEqual(other["data"]["gap"]["next"], gap["data"]["gap"]["next"])
            self.assertNotEqual(other["id"], gap["id"])

    def test_a_sender_cannot_make_a_gap(self):
        """A topic of the sender's own choice is a kind, whatever it is."""
        mist = "[endpoint mist]\npath = /mist\nprovider = mist\nauth = none\n"
        words = ["gap", "presence.gap", "a b", "\n", "\u00fc", "k" * 256, "\"},{\""]
        with Node(endpoints=mist) as node:
            for word in words:
                post(node, "/mist", {"topic": word, "events": [{"a": 1}]})
            answer = get(node, "/v1/events?from=oldest&follow=0",
                         headers=("Accept: application/cloudevents+json",))
            lines = [json.loads(line) for line in answer.body.splitlines()]
            self.assertEqual([line["data"]["kind"] for line in lines], words)
            for line in lines:
                schema.check_cloudevent(line)
                self.assertTrue(line["type"].startswith("rollcall.presence."))


if __name__ == "__main__":
    unittest.main()
