"""Held readers over the socket: what they have not committed is not overwritten, whoever dies."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

EVENTS = int(os.environ.get("ROLLCALL_TEST_HELD_EVENTS", "20000"))
KILLS = int(os.environ.get("ROLLCALL_TEST_HELD_KILLS", "40"))

LAB = """
[endpoint lab]
path = /presence/lab
provider = json
auth = none
identity = body

[endpoint hq]
path = /presence/hq
provider = aerohive
auth = none
"""


def request(path, method, target, body=b""):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    sock.connect(path)
    peer = Peer(sock)
    peer.send(("%s %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n"
               % (method, target, len(body))).encode() + body)
    answer = peer.response(head=method == "HEAD")
    peer.close()
    return answer


class Requests(unittest.TestCase):
    def setUp(self):
        self.node = Node(endpoints=LAB, rest="[ring]\nsize = 64K\n")
        self.addCleanup(self.node.stop)
        self.ring = get(self.node, "/v1/events?follow=0").headers["rollcall-ring"]

    def ask(self, method, target, body=b""):
        return request(self.node.socket, method, target, body)

    def put(self, name, seq=None):
        body = b"" if seq is None else json.dumps({"after": "%s-%d" % (self.ring, seq)}).encode()
        return self.ask("PUT", "/v1/readers/" + name, body)

    def stream(self, query):
        peer = feed(self.node, "/v1/events?" + query)
        self.assertIn(b" 200 ", peer.until(b"\r\n\r\n"))
        return peer

    def behind(self, name):
        return self.ask("GET", "/v1/readers/" + name).json()["behind"]

    def wait_behind(self, name, count):
        """Until the node's own tick has looked after its readers."""
        deadline = time.monotonic() + DEADLINE
        while self.behind(name) != count:
            self.assertLess(time.monotonic(), deadline, self.behind(name))

    def test_what_a_filter_leaves_out_holds_nothing(self):
        """More than the ring takes, of which the reader wants three."""
        self.assertEqual(self.put("rare", 0).status, 201)
        peer = self.stream("reader=rare&endpoint=hq")
        lines = peer.chunks()
        for round in range(3):
            for n in range(40):
                body = {"n": [round, n], "t": "x" * 1000}
                self.assertEqual(post(self.node, "/presence/lab", body).status, 200)
            self.assertEqual(post(self.node, "/presence/hq", [{"observations": [
                {"clientMac": "A0D795114F3C", "seenEpoch": 1767607918123 + round}]}]).status, 200)
            seq = json.loads(next(lines))["seq"]
            self.assertEqual(seq, 43 * round + 41)
            post(self.node, "/presence/lab", {"n": "behind it", "t": round})
            self.assertEqual(self.behind("rare"), 2)  # sent, not committed: holds that and all behind it
            self.assertEqual(self.put("rare", seq).status, 200)
            self.wait_behind("rare", 0)
            self.assertEqual(post(self.node, "/presence/lab", {"taken back": round}).status, 200)
            self.wait_behind("rare", 0)
        peer.close()

    def test_what_another_stream_may_want_is_held(self):
        self.assertEqual(self.put("two", 0).status, 201)
        peers = [self.stream("reader=two&endpoint=" + name) for name in ("hq", "other")]
        statuses = [post(self.node, "/presence/lab", {"n": n, "t": "x" * 1000}).status for n in range(100)]
        self.assertEqual(statuses[-1], 503)
        self.assertEqual(self.behind("two"), statuses.count(200))
        peers.pop().close()
        self.wait_behind("two", 0)  # of the one that is left
        self.assertEqual(post(self.node, "/presence/lab", {"n": 100}).status, 200)
        peers.pop().close()

    def test_what_an_ended_stream_was_sent_is_not_passed(self):
        """It was sent what it has not committed, and ends; the other one's filter leaves just that out."""
        self.assertEqual(self.put("pair", 0).status, 201)
        peers = [self.stream("reader=pair&endpoint=" + name) for name in ("lab", "other")]
        post(self.node, "/presence/lab", {"n": 1})
        self.assertEqual(json.loads(next(peers[0].chunks()))["seq"], 1)
        post(self.node, "/presence/lab", {"n": 2})
        peers[0].close()
        self.assertEqual(self.put("rest", 2).status, 201)
        rest = self.stream("reader=rest&endpoint=other")
        post(self.node, "/presence/lab", {"n": 3})
        self.wait_behind("rest", 0)  # the node has looked after all of them
        self.assertEqual(self.behind("pair"), 3)
        self.assertEqual([line["seq"] for line in events(self.node, "reader=pair&follow=0")], [1, 2, 3])
        for peer in peers[1], rest:
            peer.close()

    def test_a_filtered_read_to_the_end_commits_what_it_left_out(self):
        self.assertEqual(self.put("once", 0).status, 201)
        for n in range(5):
            post(self.node, "/presence/lab", {"n": n})
        self.assertEqual(events(self.node, "reader=once&follow=0&endpoint=hq"), [])
        self.assertEqual(self.behind("once"), 0)

    def test_create_commit_read_delete(self):
        for n in range(5):
            post(self.node, "/presence/lab", {"n": n})
        made = self.put("one")
        self.assertEqual((made.status, made.json()), (201, {
            "reader": "one", "after": self.ring + "-5", "behind": 0, "holds": True}))
        self.assertEqual(self.put("two", 2).status, 201)
        self.assertEqual([e["seq"] for e in events(self.node, "reader=two&follow=0")], [3, 4, 5])
        self.assertEqual(self.put("two", 4).status, 200)
        self.assertEqual([e["seq"] for e in events(self.node, "reader=two&follow=0")], [5])
        self.assertEqual(self.put("two", 3).json()["after"], self.ring + "-4")
        listed = self.ask("GET", "/v1/readers").json()["readers"]
        self.assertEqual([(r["reader"], r["behind"]) for r in listed], [("one", 0), ("two", 1)])
        self.assertEqual(self.ask("GET", "/v1/readers/two").json(), listed[1])
        self.assertEqual(self.ask("DELETE", "/v1/readers/two").status, 200)
        self.assertEqual(self.ask("DELETE", "/v1/readers/two").status, 404)
        self.assertEqual(self.ask("GET", "/v1/readers/two").status, 404)
        self.assertEqual(get(self.node, "/v1/events?reader=two&follow=0").status, 404)

    def test_mistakes(self):
        for body, status in ((b"{", 400), (b"[]", 400), (b'{"after":7}', 400), (b'{"after":"x"}', 400),
                             (b'{"after":"0123456789abcdef-1"}', 409),
                             (b'{"after":"%s-1"}' % self.ring.encode(), 409),
                             (b" " * 4097, 413)):
            self.assertEqual(self.ask("PUT", "/v1/readers/x", body).status, status, body[:40])
        self.assertEqual(self.ask("PUT", "/v1/readers/x", b'{"after":"%s-0"}%s' % (
            self.ring.encode(), b" " * (4096 - 30))).status, 201)
        self.assertEqual(self.ask("PUT", "/v1/readers/a%20b").status, 400)
        self.assertEqual(self.ask("POST", "/v1/readers/x").status, 405)
        self.assertEqual(self.ask("PUT", "/v1/readers/").status, 404)
        self.assertEqual(self.ask("PUT", "/v1/events").status, 405)
        self.assertEqual(get(self.node, "/v1/events?reader=x&from=oldest").status, 400)
        self.assertEqual(self.ask("HEAD", "/v1/readers").status, 200)

    def test_what_is_held_is_refused_until_it_is_committed(self):
        self.assertEqual(self.put("one").status, 201)
        accepted = 0
        while True:
            answer = post(self.node, "/presence/lab", {"n": accepted, "fill": "x" * 500})
            if answer.status != 200:
                break
            accepted += 1
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        self.assertIn("held reader", answer.json()["error"])
        # A repeat needs no room.
        self.assertEqual(post(self.node, "/presence/lab", {"n": 0, "fill": "x" * 500}).json(),
                         {"accepted": 0, "duplicates": 1, "rejected": 0})
        lines = events(self.node, "reader=one&follow=0")
        self.assertEqual([line["data"]["n"] for line in lines], list(range(accepted)))
        self.assertEqual(self.put("one", lines[9]["seq"]).status, 200)
        again = post(self.node, "/presence/lab", {"n": accepted, "fill": "x" * 500})
        self.assertEqual(again.json()["accepted"], 1)
        self.assertEqual(self.ask("DELETE", "/v1/readers/one").status, 200)
        for n in range(2 * accepted):
            self.assertEqual(post(self.node, "/presence/lab", {"m": n}).status, 200)

    def test_many(self):
        for n in range(64):
            self.assertEqual(self.put("r%d" % n).status, 201)
        self.assertEqual(self.put("more").status, 409)
        self.assertEqual(len(self.ask("GET", "/v1/readers").json()["readers"]), 64)


class MaxHold(unittest.TestCase):
    def test_a_dead_reader_wedges_nothing(self):
        with Node(endpoints=LAB, rest="[ring]\nsize = 64K\nmax_hold = 1s\n") as node:
            self.assertEqual(request(node.socket, "PUT", "/v1/readers/dead").status, 201)
            n, refused = 0, 0
            deadline = time.monotonic() + DEADLINE
            while n < 300:
                answer = post(node, "/presence/lab", {"n": n, "fill": "x" * 500})
                self.assertIn(answer.status, (200, 503))
                self.assertLess(time.monotonic(), deadline)
                n += answer.status == 200
                refused += answer.status == 503
            self.assertGreater(refused, 0)
            node.wait_log("held reader made no progress for max_hold")
            gap = events(node, "reader=dead&follow=0")[0]["gap"]
            self.assertEqual((gap["reason"], gap["after"].split("-")[1]), ("overrun", "0"))
            self.assertFalse(request(node.socket, "GET", "/v1/readers/dead").json()["holds"])


    def test_time_in_which_the_node_is_stopped_does_not_count(self):
        with Node(endpoints=LAB, rest="[ring]\nmax_hold = 5s\n") as node:
            self.assertEqual(request(node.socket, "PUT", "/v1/readers/patient").status, 201)
            self.assertEqual(post(node, "/presence/lab", {"n": 1}).status, 200)
            time.sleep(1.5)  # it waits since a second
            node.process.send_signal(signal.SIGSTOP)
            time.sleep(5.5)
            node.process.send_signal(signal.SIGCONT)
            for _ in range(2):  # turns of the loop
                self.assertTrue(request(node.socket, "GET", "/v1/readers/patient").json()["holds"])


class Churn(unittest.TestCase):
    def test_a_thousand_readers_that_die_leave_nothing(self):
        """Readers come and die at every stage while events pour in: no descriptor and no memory stay."""
        chance = random.Random(5)
        with Node(endpoints=LAB) as node:
            done, posted = threading.Event(), [0]

            def load():
                peer = Peer(tls(node.port))
                while not done.is_set():
                    peer.send(post_bytes("/presence/lab", b'{"n":%d,"fill":"%s"}'
                                         % (posted[0], b"x" * 1000)))
                    assert peer.response().status == 200
                    posted[0] += 1
                peer.close()
            thread = threading.Thread(target=load)
            thread.start()

            def round_of(count):
                for _ in range(count):
                    sock = socket.socket(socket.AF_UNIX)
                    sock.settimeout(DEADLINE)
                    sock.connect(node.socket)
                    stage = chance.randrange(5)
                    if stage:
                        sock.sendall(b"GET /v1/events?from=oldest HTTP/1.1\r\nHost: a\r\n"
                                     + (b"\r\n" if stage > 1 else b""))
                    for _ in range(max(0, stage - 2)):
                        sock.recv(65536)
                    sock.close()  # with what it has not read: as the kernel does after kill -9
            try:
                round_of(200)
                deadline = time.monotonic() + DEADLINE
                while get(node, "/v1/status").json()["readers"] > 1:
                    self.assertLess(time.monotonic(), deadline)
                fds, rss = node.fds(), node.rss_kib()
                before = posted[0]
                round_of(1000)
                while get(node, "/v1/status").json()["readers"] > 1:
                    self.assertLess(time.monotonic(), deadline)
                node.wait_fds(fds + 1)
                grown = node.rss_kib() - rss - (posted[0] - before) * 2  # the ring fills meanwhile
                if os.environ.get("ROLLCALL_TEST_SHIM"):  # sanitizers keep freed memory for a while
                    self.assertLess(grown, 4096)
            finally:
                done.set()
                thread.join(DEADLINE)
            self.assertEqual(events(node)[-1]["data"]["n"], posted[0] - 1)


CLIENT = r'''
import json, socket, sys
path, out = sys.argv[1:]
def connect():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock
sock = connect()
sock.sendall(b"GET /v1/events?reader=worker HTTP/1.0\r\n\r\n")
stream = sock.makefile("rb")
ring = None
while True:
    line = stream.readline()
    if line.lower().startswith(b"rollcall-ring:"):
        ring = line.split()[1].decode()
    if line == b"\r\n":
        break
commit = connect()
with open(out, "ab", buffering=0) as sink:
    while True:
        line = stream.readline()
        if not line.endswith(b"\n"):
            break
        sink.write(line)
        seq = json.loads(line).get("seq")
        if seq is None or seq % 20:
            continue
        body = b'{"after":"%s-%d"}' % (ring.encode(), seq)
        commit.sendall(b"PUT /v1/readers/worker HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                       % len(body) + body)
        commit.recv(65536)
'''


class Killed(unittest.TestCase):
    def test_a_sender_that_retries_and_a_reader_killed_at_random_lose_nothing(self):
        """Senders post again where they were refused; a reader commits every 20 lines and is killed
        again and again. It may see lines again, behind its last commit, but misses none."""
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory)
        out = os.path.join(directory, "lines")
        chance = random.Random(3)
        with Node(endpoints=LAB, rest="[ring]\nsize = 256K\n") as node:
            self.assertEqual(request(node.socket, "PUT", "/v1/readers/worker").status, 201)
            refused, done = [0], threading.Event()

            def sender():
                peer = Peer(tls(node.port))
                for start in range(0, EVENTS, 20):
                    body = json.dumps([{"apMac": "3a1e6d8c785c", "observations": [
                        {"clientMac": "02%010x" % n, "seenEpoch": 1767607933000}
                        for n in range(start, start + 20)]}]).encode()
                    while True:
                        peer.send(post_bytes("/presence/hq", body))
                        answer = peer.response()
                        if answer.status == 200:
                            break
                        assert answer.status == 503, answer
                        refused[0] += 1
                        done.wait(0.01)
                peer.close()
                done.set()
            thread = threading.Thread(target=sender)
            thread.start()
            size = lambda: os.path.getsize(out) if os.path.exists(out) else 0
            kills = 0
            deadline = time.monotonic() + 10 * DEADLINE
            while kills < KILLS or not done.is_set():
                worker = subprocess.Popen([sys.executable, "-c", CLIENT, node.socket, out])
                goal = size() + chance.randrange(400000)
                while size() < goal and worker.poll() is None and not (
                        done.is_set() and kills >= KILLS):
                    self.assertLess(time.monotonic(), deadline)
                    if done.is_set():
                        break
                    time.sleep(0.001)
                worker.kill()
                worker.wait(DEADLINE)
                kills += 1
            thread.join(DEADLINE)
            rest = get(node, "/v1/events?reader=worker&follow=0").body
        seen = set()
        with open(out, "rb") as lines:
            for line in lines.read().split(b"\n") + rest.split(b"\n"):
                # A worker that was killed while it wrote has left half a line in front of the next.
                begin = line.rfind(b'{"seq"')
                if begin >= 0 and line.endswith(b"}"):
                    event = json.loads(line[begin:])
                    seen.add((event["seq"], event["client"]["mac"]))
                self.assertNotIn(b'{"gap"', line)
        self.assertEqual(sorted(seq for seq, _ in seen), list(range(1, EVENTS + 1)))
        self.assertEqual(len({mac for _, mac in seen}), EVENTS, "none doubled")
        print("%d events, %d kills, %d posts refused and sent again: none lost, none doubled"
              % (EVENTS, kills, refused[0]))


if __name__ == "__main__":
    unittest.main()
