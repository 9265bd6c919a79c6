"""What senders send again, and what becomes of it: counted in the answer, and once in the ring."""
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

ENDPOINTS = """
[endpoint hq]
path = /presence/hq
provider = aerohive
secret = test-token

[endpoint bt]
path = /bt/unguessable
provider = bt

[endpoint pn]
path = /pubnub/unguessable
provider = pubnub

[endpoint lab]
path = /presence/lab
provider = json
auth = none
"""
HQ, BT, PUBNUB = "/presence/hq", "/bt/unguessable", "/pubnub/unguessable"
EPOCH_S = 1767607918


def observation(client, seen_s=EPOCH_S):
    return {"clientMac": "%012x" % client, "seenEpoch": seen_s * 1000, "ssid": None, "rssi": -70}


def ap(*observations):
    return [{"apMac": "08EA44A1B2C0", "ownerId": 1490, "observations": list(observations)}]


def login(user):
    return {"client": {"mac": "00-1F-3A-5C-77-E2"}, "user": {"id": user}, "venue": {"id": 311},
            "session": {"authenticationTime": "2026-01-05T10:11:58+0000"}}


def presence(action):
    return {"action": action, "sub_key": "s", "channel": "c", "uuid": "u", "timestamp": EPOCH_S,
            "occupancy": 1}


def start(dedupe="", server="", ring=""):
    return Node(endpoints=ENDPOINTS, server=server,
                rest="[dedupe]\n%s\n[ring]\n%s\n" % (dedupe, ring))


class Sender:
    """A keep-alive connection that posts, and gives the counts of each answer."""

    def __init__(self, node):
        self.peer = Peer(tls(node.port))

    def post(self, path, document):
        self.peer.send(post_bytes(path, json.dumps(document).encode(), TOKEN))
        return self.peer.response()

    def counts(self, path, document):
        response = self.post(path, document)
        assert response.status == 200, response
        answer = response.json()
        assert list(answer) == ["accepted", "duplicates", "rejected"], answer
        return tuple(answer.values())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.peer.close()


class Duplicates(unittest.TestCase):
    def test_a_day_of_hivemanager(self):
        """A post a minute for a day, and in each one the record of a client that sits there."""
        minutes = 24 * 60
        stale = observation(1, EPOCH_S - 3600)
        with start() as node, Sender(node) as sender:
            for minute in range(minutes):
                seen_s = EPOCH_S + 60 * minute
                counts = sender.counts(HQ, ap(observation(2, seen_s), stale))
                self.assertEqual(counts, (2, 0, 0) if minute == 0 else (1, 1, 0))
            lines = events(node)
        self.assertEqual(len(lines), minutes + 1)
        self.assertEqual([line["seq"] for line in lines], list(range(1, minutes + 2)))
        self.assertEqual(sum(line["client"]["mac"] == "00:00:00:00:00:01" for line in lines), 1)
        self.assertEqual(len({line["id"] for line in lines}), minutes + 1)

    def test_bt_comes_back_for_an_answer_that_was_lost(self):
        with start() as node, Sender(node) as sender:
            lost = Peer(tls(node.port))
            with feed(node, "/v1/events?from=oldest&limit=1").sock as reader:
                lost.send(post_bytes(BT, json.dumps(login(1)).encode()))
                self.assertTrue(Peer(reader).response().body)  # it is in the ring
            lost.close()  # and nobody has read the answer
            for _ in range(3):
                self.assertEqual(sender.counts(BT, login(1)), (0, 1, 0))
            self.assertEqual(sender.counts(BT, login(2)), (1, 0, 0))
            self.assertEqual([line["user"]["id"] for line in events(node)], ["1", "2"])

    def test_pubnub_tries_four_times(self):
        with start() as node, Sender(node) as sender:
            self.assertEqual(sender.counts(PUBNUB, presence("join")), (1, 0, 0))
            self.assertEqual(sender.counts(PUBNUB, presence("leave")), (1, 0, 0))
            for _ in range(3):
                self.assertEqual(sender.counts(PUBNUB, presence("join")), (0, 1, 0))
            self.assertEqual([line["kind"] for line in events(node)], ["join", "leave"])

    def test_attempts_that_overlap(self):
        """The same post on several connections at once: one of them brings it."""
        with start() as node:
            senders = [Sender(node) for _ in range(4)]
            for sender in senders:
                sender.peer.send(post_bytes(PUBNUB, json.dumps(presence("join")).encode()))
            counts = [tuple(sender.peer.response().json().values()) for sender in senders]
            for sender in senders:
                sender.peer.close()
            self.assertEqual(sorted(counts), [(0, 1, 0)] * 3 + [(1, 0, 0)])
            self.assertEqual(len(events(node)), 1)

    def test_alike_in_one_post(self):
        same = observation(1)
        with start() as node, Sender(node) as sender:
            self.assertEqual(sender.counts(HQ, ap(same, same, same)), (3, 0, 0))
            self.assertEqual(sender.counts(HQ, ap(same, same, same)), (0, 3, 0))
            self.assertEqual(sender.counts(HQ, ap(same, same)), (0, 2, 0))
            self.assertEqual(sender.counts(HQ, ap(same, same, same, same)), (1, 3, 0))
            broken = {"ssid": "no client"}
            self.assertEqual(sender.counts(HQ, ap(same, broken, observation(2))), (1, 1, 1))
            lines = events(node)
        self.assertEqual(len(lines), 5)
        self.assertEqual(len({line["id"] for line in lines}), 5)
        self.assertNotIn("duplicate", "".join(map(json.dumps, lines)))

    def test_mode_mark(self):
        with start("mode = mark") as node, Sender(node) as sender:
            self.assertEqual(sender.counts(HQ, ap(observation(1))), (1, 0, 0))
            self.assertEqual(sender.counts(HQ, ap(observation(1), observation(2))), (2, 1, 0))
            lines = events(node)
        self.assertEqual([line.get("duplicate") for line in lines], [None, True, None])
        self.assertEqual(lines[0]["id"], lines[1]["id"])
        names = list(lines[1])
        self.assertEqual(names.index("duplicate"), names.index("delay_ms") + 1)
        self.assertEqual(names.index("duplicate"), names.index("client") - 1)

    def test_mode_off(self):
        with start("mode = off") as node, Sender(node) as sender:
            for _ in range(3):
                self.assertEqual(sender.counts(HQ, ap(observation(1))), (1, 0, 0))
            lines = events(node)
        self.assertEqual([line.get("duplicate") for line in lines], [None] * 3)
        self.assertEqual(len({line["id"] for line in lines}), 1)

    def test_what_has_no_identity_is_never_a_repeat(self):
        with start() as node, Sender(node) as sender:
            for _ in range(2):
                self.assertEqual(sender.counts("/presence/lab", {"a": 1}), (1, 0, 0))
                self.assertEqual(sender.counts(PUBNUB, {"not": "theirs"}), (1, 0, 0))  # unreadable
            self.assertEqual(len({line["id"] for line in events(node)}), 4)

    def test_the_window_runs_from_the_last_time(self):
        """Renewed by each repeat for longer than it is long, and then let go by."""
        window_s, step_s, repeats = 4, 1.5, 4

        def wait_until(moment):
            while time.time() < moment:
                time.sleep(0.05)

        def renewals(sender, client):
            """The counts of all posts; None where one came so late that the window may be over."""
            last = time.time()
            counts = [sender.counts(HQ, ap(observation(client)))]
            for _ in range(repeats):
                wait_until(last + step_s)
                if time.time() - last > window_s - 1:
                    return None
                last = time.time()
                counts.append(sender.counts(HQ, ap(observation(client))))
            return counts

        with start("window = %ds" % window_s) as node, Sender(node) as sender:
            deadline = time.monotonic() + 4 * DEADLINE
            client, counts = 0, None
            while counts is None:
                self.assertLess(time.monotonic(), deadline)
                client += 1
                counts = renewals(sender, client)
            self.assertEqual(counts, [(1, 0, 0)] + [(0, 1, 0)] * repeats)
            wait_until(int(time.time()) + window_s + 2)  # whole seconds count
            self.assertEqual(sender.counts(HQ, ap(observation(client))), (1, 0, 0))

    def test_a_post_that_does_not_fit_is_not_known(self):
        """413 half way through: nothing is in the ring, and its parts are no repeats later on."""
        many = [observation(100 + n) for n in range(400)]
        with start(ring="size = 64K") as node, Sender(node) as sender:
            self.assertEqual(sender.counts(HQ, ap(observation(1))), (1, 0, 0))
            for _ in range(2):
                self.assertEqual(sender.post(HQ, ap(observation(1), *many)).status, 413)
            self.assertEqual(len(events(node)), 1)
            for n in range(0, len(many), 20):
                self.assertEqual(sender.counts(HQ, ap(*many[n:n + 20])), (20, 0, 0))
            self.assertEqual(sender.counts(HQ, ap(observation(1))), (0, 1, 0))

    def test_a_post_that_was_refused_is_not_known(self):
        with start() as node, Sender(node) as sender:
            body = json.dumps(ap(observation(1))).encode()
            self.assertEqual(post(node, HQ, body, ["Authorization: Basic wrong"]).status, 401)
            self.assertEqual(post(node, HQ, body[:-1], TOKEN).status, 400)
            self.assertEqual(post(node, HQ, b"[" + body + b"]", TOKEN).status, 422)
            self.assertEqual(sender.counts(HQ, ap(observation(1))), (1, 0, 0))


if __name__ == "__main__":
    unittest.main()
