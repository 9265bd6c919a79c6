"""The stream as a local program asks for it: filters, formats, heartbeats, where it begins."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

CONFIG = ENDPOINTS + """
[endpoint other]
path = /presence/other
provider = json
auth = none

[endpoint mist]
path = /presence/mist
provider = mist
auth = none
"""
MACS = ["dcac3da506b4", "dcac3da506b5", "dcac3da506b6"]
SSE = ("Accept: text/event-stream",)


def observations(macs):
    return [{"apMac": "3a1e6d8c785c", "observations": [
        {"clientMac": mac, "seenEpoch": 1767607933000 + i} for i, mac in enumerate(macs)]}]


def sse(body):
    """The messages of a text/event-stream, each a dict of its fields."""
    messages = []
    for block in body.decode().split("\n\n")[:-1]:
        if not block.startswith(":"):
            messages.append(dict(line.split(": ", 1) for line in block.split("\n")))
    return messages


class Filled(unittest.TestCase):
    """A node with: 3 seen of hq, 2 documents of lab, 1 of other, and mist's zone-enter and an odd one."""

    @classmethod
    def setUpClass(cls):
        cls.node = Node(endpoints=CONFIG)
        post(cls.node, "/presence/hq", observations(MACS), TOKEN)
        for n in range(2):
            post(cls.node, "/presence/lab", {"n": n})
        post(cls.node, "/presence/other", {"n": 2})
        post(cls.node, "/presence/mist", {"topic": "zone", "events": [
            {"mac": MACS[0], "trigger": "enter", "timestamp": 1767607932}]})
        post(cls.node, "/presence/mist", {"topic": 'odd "one"', "events": [{"a": 1}]})
        cls.all = events(cls.node)
        cls.ring = get(cls.node, "/v1/events?follow=0").headers["rollcall-ring"]

    @classmethod
    def tearDownClass(cls):
        assert cls.node.stop() == 0

    def seqs(self, query):
        return [line["seq"] for line in events(self.node, "from=oldest&follow=0&" + query)]


class Filters(Filled):
    def test_each(self):
        for query, seqs in (("endpoint=hq", [1, 2, 3]), ("endpoint=lab&endpoint=other", [4, 5, 6]),
                            ("provider=json", [4, 5, 6]), ("provider=json&endpoint=other", [6]),
                            ("kind=seen", [1, 2, 3]), ("kind=seen&kind=zone-enter", [1, 2, 3, 7]),
                            ("kind=odd+%22one%22", [8]), ("kind=od%64+%22one%22", [8]), ("mac=dc:ac:3d:a5:06:b4", [1, 7]),
                            ("mac=DC-AC-3D-A5-06-B4&mac=dcac.3da5.06b6&kind=seen", [1, 3]),
                            ("endpoint=nobody", []), ("endpoint=h", []), ("kind=", []),
                            ("endpoint=hq&provider=json", []), ("kind=seen&limit=2", [1, 2]),
                            ("limit=3&provider=mist", [7, 8])):
            self.assertEqual(self.seqs(query), seqs, query)

    def test_what_is_skipped_is_no_gap(self):
        lines = events(self.node, "after=%s-2&follow=0&kind=document" % self.ring)
        self.assertEqual([line.get("seq") for line in lines], [4, 5, 6])

    def test_mistakes(self):
        for query, part in (("mac=nonsense", "mac: a MAC address"), ("colour=red", "colour: unknown"),
                            ("&".join(["kind=a"] * 65), "kind: more than 64"),
                            ("kind=" + "k" * 257, "kind: longer than 256"),
                            ("heartbeat=0", "heartbeat: seconds"), ("heartbeat=3601", "heartbeat:"),
                            ("heartbeat=x", "heartbeat:"), ("heartbeat=1&heartbeat=2", "given twice")):
            answer = get(self.node, "/v1/events?follow=0&" + query)
            self.assertEqual(answer.status, 400, query)
            self.assertIn(part, answer.json()["error"])
        self.assertEqual(self.seqs("&".join(["kind=a"] * 64)), [])
        self.assertEqual(self.seqs("kind=" + "k" * 256), [])

    def test_a_follower_gets_what_it_wants(self):
        with Node(endpoints=CONFIG) as node:
            peer = feed(node, "/v1/events?endpoint=other&limit=2")
            peer.until(b"\r\n\r\n")
            for n in range(100):
                post(node, "/presence/lab" if n % 50 else "/presence/other", {"n": n})
            body = b"".join(peer.chunks())
            self.assertEqual([json.loads(line)["data"]["n"] for line in body.splitlines()], [0, 50])
            peer.close()


class Formats(Filled):
    def test_what_is_accepted(self):
        ndjson, stream, cloud = ("application/x-ndjson", "text/event-stream",
                                 "application/cloudevents+json")
        for accept, expected in (
                (None, ndjson), ("", ndjson), ("*/*", ndjson), ("application/*", ndjson), (stream, stream),
                ("text/*", stream), (cloud, cloud), ("Application/CloudEvents+JSON", cloud),
                (ndjson + ";q=0.5, " + cloud + ";q=0.8", cloud), (stream + " ; q=0.1,*/*", ndjson),
                ("*/*;q=0.1, " + ndjson + ";q=0, " + cloud + ";q=0", stream),
                (stream + ", */*", stream), (ndjson + ";q=0.9, " + cloud + ";q=.5", cloud),
                ("text/html, */*;q=0.001", ndjson), ("text/html", None), ("application/json", None),
                (ndjson + ";q=0", None), ("application/x-ndjsonx", None), (";", None)):
            answer = get(self.node, "/v1/events?follow=0",
                         headers=("Accept: " + accept,) if accept is not None else ())
            if expected:
                self.assertEqual((answer.status, answer.headers.get("content-type")), (200, expected),
                                 accept)
            else:
                self.assertEqual(answer.status, 406, accept)

    def test_server_sent_events(self):
        body = get(self.node, "/v1/events?from=oldest&follow=0", headers=SSE).body
        messages = sse(body)
        self.assertEqual([json.loads(message["data"]) for message in messages], self.all)
        self.assertEqual([message["id"] for message in messages],
                         ["%s-%d" % (self.ring, line["seq"]) for line in self.all])

    def test_last_event_id(self):
        def ask(last, target="/v1/events?from=oldest&follow=0"):
            return get(self.node, target, headers=SSE + ("Last-Event-ID: " + last,))
        self.assertEqual([json.loads(m["data"])["seq"] for m in sse(ask(self.ring + "-6").body)], [7, 8])
        self.assertEqual(sse(ask(self.ring + "-8").body), [])
        first = sse(ask("0123456789abcdef-3").body)[0]
        self.assertEqual((first["event"], first["id"]), ("gap", self.ring + "-0"))
        gap = json.loads(first["data"])
        schema.check(gap)
        self.assertEqual(gap["gap"]["reason"], "restart")
        self.assertEqual(ask("nonsense").status, 400)
        # Only where it means anything.
        answer = get(self.node, "/v1/events?follow=0&from=oldest", headers=("Last-Event-ID: x",))
        self.assertEqual(len(answer.body.splitlines()), 8)


class Heartbeats(unittest.TestCase):
    def test_silence_is_broken_in_each_format(self):
        with Node() as node:
            cases = (((), b"\n"), (SSE, b":\n\n"), (("Accept: application/cloudevents+json",), b"\n"))
            peers = [feed(node, "/v1/events?heartbeat=1", headers=headers) for headers, _ in cases]
            for peer, (_, beat) in zip(peers, cases):
                peer.until(b"\r\n\r\n")
                chunks = peer.chunks()
                self.assertEqual([next(chunks), next(chunks)], [beat, beat])
                post(node, "/presence/lab", {})
                while True:
                    chunk = next(chunks)
                    if chunk != beat:
                        break
                self.assertIn(b'"kind":"document"', chunk)
                peer.close()

    def test_one_who_has_gone_is_noticed(self):
        with Node() as node:
            before = node.fds()
            peers = [feed(node, "/v1/events?heartbeat=1&kind=never") for _ in range(20)]
            for peer in peers:
                peer.until(b"\r\n\r\n")
                peer.close()
            peer = feed(node, "/v1/events?heartbeat=1")
            peer.until(b"\r\n\r\n")
            chunks = peer.chunks()
            next(chunks), next(chunks)
            node.wait_fds(before + 1)
            peer.close()


if __name__ == "__main__":
    unittest.main()
