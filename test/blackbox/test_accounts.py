"""Accounts that close, under load and with faults: accepted = readable in the ring + overwritten; what
was answered is what was counted; no matter what was cut off, malformed, sent twice or reloaded between."""
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from metrics import Families
from node import *  # noqa: F403

DURATION = "rollcall_http_request_duration_seconds_count"


def metrics(node):
    return Families(get(node, "/metrics").body.decode())


def mac(n):
    return "%012x" % n


class Sums:
    """What senders were told, added up."""

    def __init__(self):
        self.lock = threading.Lock()
        self.accepted = self.duplicates = self.rejected = 0
        self.codes, self.failures = {}, []

    def add(self, response):
        with self.lock:
            self.codes[response.status] = self.codes.get(response.status, 0) + 1
            if response.status == 200:
                said = response.json()
                self.accepted += said["accepted"]
                self.duplicates += said["duplicates"]
                self.rejected += said["rejected"]


class Sender(threading.Thread):
    """Posts good and bad, whole and cut off, by a plan that its seed makes."""

    def __init__(self, node, sums, seed, steps):
        super().__init__(daemon=True)
        self.node, self.sums, self.steps = node, sums, steps
        self.random = random.Random(seed)
        self.next = seed << 20
        self.last = b"[]"

    def observations(self):
        count = self.random.choice((1, 1, 3, 20))
        self.next += count
        of = [{"clientMac": mac(self.next - n), "seenEpoch": 1767607933000} for n in range(count)]
        for _ in range(self.random.choice((0, 0, 1))):
            of.insert(self.random.randrange(len(of) + 1), {"clientMac": 7})
        self.last = json.dumps([{"apMac": "3a1e6d8c785c", "ownerId": 1, "observations": of}]).encode()
        return self.last

    def request(self):
        kind = self.random.randrange(12)
        if kind < 5:
            return post_bytes("/presence/hq", self.observations(), TOKEN)
        if kind < 7:
            return post_bytes("/presence/hq", self.last, TOKEN)  # again
        return (post_bytes("/presence/hq", b'[{"apMac":', TOKEN), post_bytes("/presence/hq", b'{"a":1}', TOKEN),
                post_bytes("/presence/hq", self.last), post_bytes("/presence/lab", b'{"fill":"%s"}' % (b"x" * 300)),
                post_bytes("/nobodys", b"{}"))[kind - 7]

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001: told by the main thread
            self.sums.failures.append(repr(error))

    def work(self):
        peer = Peer(tls(self.node.port))
        for _ in range(self.steps):
            if self.random.randrange(8) == 0:  # a post cut in its midst: nothing of it counts
                self.observations()
                cut = post_bytes("/presence/hq", self.last, TOKEN)
                peer.send(cut[:self.random.randrange(1, len(cut))])
                peer.close()
                peer = Peer(tls(self.node.port))
                continue
            several = [self.request() for _ in range(self.random.choice((1, 1, 4)))]
            peer.send(b"".join(several))
            for _ in several:
                self.sums.add(peer.response())
        peer.close()


class Accounts(unittest.TestCase):
    def load(self, node, sums, seeds, steps, meanwhile=()):
        senders = [Sender(node, sums, seed, steps) for seed in seeds]
        for sender in senders:
            sender.start()
        for step in meanwhile:
            step()
        for sender in senders:
            sender.join(DEADLINE * 4)
        self.assertEqual((sums.failures, [s for s in senders if s.is_alive()]), ([], []))

    def check_ring(self, node, found):
        ring = found.samples
        accepted = ring["rollcall_ring_accepted_total"]
        self.assertEqual(accepted, ring["rollcall_ring_events"] + ring["rollcall_ring_overwritten_total"])
        lines = events(node)
        self.assertEqual(len(lines), ring["rollcall_ring_events"])
        self.assertEqual([line["seq"] for line in lines],
                         list(range(int(accepted) - len(lines) + 1, int(accepted) + 1)))
        return accepted

    def check(self, node, sums):
        found = metrics(node)
        self.assertEqual(self.check_ring(node, found), sums.accepted)
        self.assertEqual(found.sum("rollcall_events_total"), sums.accepted)
        self.assertEqual(found.sum("rollcall_events_duplicate_total"), sums.duplicates)
        self.assertEqual(found.sum("rollcall_events_rejected_total"), sums.rejected)
        for code, count in sums.codes.items():
            self.assertEqual(found.sum("rollcall_http_requests_total", code=str(code)), count, code)
        self.assertEqual(found.sum("rollcall_http_requests_total"), sum(sums.codes.values()))
        self.assertEqual(found.samples[DURATION], sum(sums.codes.values()))
        return found

    def wait_connections(self, node):
        """Until it has seen the last of the cut connections go."""
        deadline = time.monotonic() + DEADLINE
        while metrics(node).samples["rollcall_connections"]:
            self.assertLess(time.monotonic(), deadline)

    def reload(self, node):
        number = sum("configuration reloaded" in line for line in node.log if line)
        node.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + DEADLINE
        while sum("configuration reloaded" in line for line in node.log if line) == number:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_under_load_with_faults_and_reloads(self):
        with Node(rest="[ring]\nsize = 128K\n") as node:
            sums = Sums()
            self.load(node, sums, range(1, 5), 120, [lambda: self.reload(node)] * 3)
            self.wait_connections(node)
            found = self.check(node, sums)
            self.assertGreater(found.samples["rollcall_ring_overwritten_total"], 0)
            for code in (200, 400, 401, 404, 422):
                self.assertGreater(sums.codes[code], 0)
            self.assertGreater(min(sums.duplicates, sums.rejected), 0)

    def test_a_reader_that_holds(self):
        """What is refused for a held reader's sake is counted as refused, and not as accepted."""
        with Node(rest="[ring]\nsize = 64K\n") as node:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(node.socket)
            holder = Peer(sock)
            holder.send(b"PUT /v1/readers/slow HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(holder.response().status, 201)
            sums = Sums()
            self.load(node, sums, range(1, 3), 60)
            self.assertGreater(sums.codes[503], 0)
            self.wait_connections(node)
            found = self.check(node, sums)
            self.assertEqual(found.samples["rollcall_ring_overwritten_total"], 0)
            self.assertEqual(found.sum("rollcall_reader_lag_events", reader="slow"), sums.accepted)
            holder.send(b"DELETE /v1/readers/slow HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(holder.response().status, 200)
            holder.close()
            self.load(node, sums, range(11, 13), 60)
            self.wait_connections(node)
            self.assertGreater(self.check(node, sums).samples["rollcall_ring_overwritten_total"], 0)

    def test_kills(self):
        """The ring's own accounts go on where they were, whatever becomes of the process."""
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory)
        ring = "[ring]\nsize = 64K\nfile = %s/ring\n" % directory
        sums = Sums()
        for round_ in range(3):
            node = Node(rest=ring, directory=directory)
            try:
                before = self.check_ring(node, metrics(node))
                self.assertEqual(before, sums.accepted)
                self.load(node, sums, [100 * round_ + 1, 100 * round_ + 2], 40)
                self.assertEqual(self.check_ring(node, metrics(node)), sums.accepted)
            finally:
                node.stop(signal.SIGKILL)
        self.assertGreater(sums.accepted, 100)


if __name__ == "__main__":
    unittest.main()
