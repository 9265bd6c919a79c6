"""Signals in storms and a clock that jumps, under load: nobody's connection is lost, no deadline passes
early or late, and the node lives on. The clock is shifted by test/shift-clock.c."""
import datetime
import mmap
import os
import signal
import struct
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

STORM = 100
HOUR = 3600
SHIM = os.environ.get("ROLLCALL_TEST_CLOCK_SHIM", "")


class Load:
    """Connections that post one thing after the other; none of them may be lost."""

    def __init__(self, node, workers=3):
        self.node, self.done, self.errors = node, False, []
        self.posts = [0] * workers
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(workers)]

    def work(self, number):
        try:
            with tls(self.node.port) as sock:
                peer = Peer(sock)
                while not self.done:
                    peer.send(post_bytes("/presence/lab", b"[%d,%d]" % (number, self.posts[number])))
                    response = peer.response()
                    assert response.status == 200, response
                    self.posts[number] += 1
        except Exception as error:  # told by whoever waits
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_more()
        return self

    def wait_more(self):
        """Until each has been answered again."""
        before, deadline = list(self.posts), time.monotonic() + DEADLINE
        while any(now < then + 2 for now, then in zip(self.posts, before)):
            assert not self.errors, self.errors
            assert time.monotonic() < deadline, "%s, then %s" % (before, self.posts)
            time.sleep(0.002)

    def __exit__(self, *error):
        self.done = True
        for thread in self.threads:
            thread.join(DEADLINE)
        assert error[0] or not self.errors, self.errors


class Signals(unittest.TestCase):
    def test_storms(self):
        with Node(rest="[ring]\nsize = 1M\n") as node, Load(node) as load:
            for n in range(STORM):
                for number in signal.SIGPIPE, signal.SIGHUP, signal.SIGSTOP, signal.SIGCONT:
                    node.process.send_signal(number)
                if n % 10 == 0:
                    load.wait_more()
            load.wait_more()
            node.wait_log("configuration reloaded")
            self.assertEqual(post(node, "/presence/lab", {"n": 1}).status, 200)
            self.assertFalse(any("reload failed" in line for line in node.log if line))

    def test_a_long_stop(self):
        """Longer than every deadline: who had posted meanwhile is answered, who was silent is closed in
        its time, and the node goes on."""
        with Node(server="header_timeout = 2s\nkeepalive_timeout = 2s\n") as node:
            silent, sender = (Peer(tls(node.port)) for _ in range(2))
            sender.send(post_bytes("/presence/lab", b"{}"))
            self.assertEqual(sender.response().status, 200)
            node.process.send_signal(signal.SIGSTOP)
            sender.send(post_bytes("/presence/lab", b"{}"))
            time.sleep(3)
            node.process.send_signal(signal.SIGCONT)
            self.assertEqual(sender.response().status, 200)
            self.assertTrue(silent.is_closed())
            for peer in silent, sender:
                peer.close()
            self.assertEqual(post(node, "/presence/lab", {}).status, 200)


@unittest.skipUnless(SHIM, "no shim: with a sanitizer its library has to be the first")
class Clock(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rollcall-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "clock")
        with open(path, "wb") as out:
            out.write(struct.pack("q", 0))
        with open(path, "r+b") as file:
            self.clock = mmap.mmap(file.fileno(), 8)
        self.env = {"LD_PRELOAD": SHIM, "ROLLCALL_TEST_CLOCK": path}

    def shift(self, seconds):
        self.clock[:] = struct.pack("q", seconds)

    def received(self, node, seconds):
        """The newest event was received by a clock that is so many seconds off."""
        stamp = datetime.datetime.fromisoformat(events(node)[-1]["received"])
        return abs(stamp.timestamp() - time.time() - seconds) < DEADLINE

    def observe(self, node):
        body = [{"apMac": "C413E2008040", "ownerId": 1490, "observations": [
            {"clientMac": "5CB901642E61", "seenEpoch": 1767607932900, "rssi": -61}]}]
        return post(node, "/presence/hq", body, TOKEN).json()

    def take_quota(self, node):
        """A clock set back may cost one interval of a rate_limit (quota.h), and no more."""
        deadline = time.monotonic() + DEADLINE
        while post(node, "/slow", {"n": 1}).status == 429:
            self.assertLess(time.monotonic(), deadline)

    def test_jumps_under_load(self):
        server = "header_timeout = 2s\nbody_timeout = 20s\nkeepalive_timeout = 20s\n"
        endpoints = ENDPOINTS + ("[endpoint slow]\npath = /slow\nprovider = json\nauth = none\n"
                                 "rate_limit = 1000/s burst 1000\n")
        with Node(server=server, rest="[ring]\nsize = 256K\n", endpoints=endpoints, env=self.env) as node:
            self.assertEqual(self.observe(node)["accepted"], 1)
            idle, half = Peer(tls(node.port)), Peer(tls(node.port))
            idle.send(post_bytes("/presence/lab", b"{}"))
            self.assertEqual(idle.response().status, 200)
            data = post_bytes("/presence/lab", b'{"half":1}')
            half.send(data[:-3])
            with Load(node) as load:
                for shift in (HOUR, 0, -HOUR, HOUR, 0):
                    self.shift(shift)
                    load.wait_more()
                    self.take_quota(node)
                    self.assertTrue(self.received(node, shift), shift)
                    self.assertEqual(self.observe(node), {"accepted": 0, "duplicates": 1, "rejected": 0})
                    idle.send(post_bytes("/presence/lab", b"{}"))  # not closed by a jump
                    self.assertEqual(idle.response().status, 200)
            half.send(data[-3:])
            self.assertEqual(half.response().status, 200)
            # Deadlines neither: one that begins before a jump back is over in its own time.
            self.shift(HOUR)
            silent = Peer(tls(node.port))
            self.shift(-HOUR)
            began = time.monotonic()
            self.assertTrue(silent.is_closed())
            self.assertGreater(time.monotonic() - began, 1.5)
            for peer in idle, half, silent:
                peer.close()
            seqs = [event["seq"] for event in events(node)]
            self.assertEqual(seqs, list(range(seqs[0], seqs[0] + len(seqs))))


if __name__ == "__main__":
    unittest.main()
