"""A ring with a file: what was acknowledged outlives the process, however it ends."""
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

KILLS = int(os.environ.get("ROLLCALL_TEST_KILLS", "40"))
SHIM = os.environ.get("ROLLCALL_TEST_SHIM")

LAB = """
[endpoint lab]
path = /presence/lab
provider = json
auth = none
identity = body
"""


class RingFile(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.file = os.path.join(self.directory, "ring")

    def node(self, more="", size="1M", **options):
        return Node(rest="[ring]\nfile = %s\nsize = %s\n%s" % (self.file, size, more), endpoints=LAB,
                    directory=self.directory, **options)

    def test_events_ids_and_cursors_outlive_kill_9(self):
        node = self.node()
        node.wait_log("ring file made")
        for n in range(3):
            self.assertEqual(post(node, "/presence/lab", {"n": n}).json()["accepted"], 1)
        ring = get(node, "/v1/events?follow=0").headers["rollcall-ring"]
        before = events(node)
        node.stop(signal.SIGKILL)
        with self.node() as node:
            node.wait_log('msg="ring file recovered" file=%s events=3' % self.file)
            self.assertEqual(events(node), before)
            self.assertEqual(events(node, "after=%s-2&follow=0" % ring), before[2:])
            self.assertEqual(post(node, "/presence/lab", {"n": 1}).json()["duplicates"], 1)
            self.assertEqual(post(node, "/presence/lab", {"n": 3}).json()["accepted"], 1)
            self.assertEqual([line["seq"] for line in events(node)], [1, 2, 3, 4])
        with self.node() as node:  # and a clean end
            self.assertEqual(len(events(node)), 4)
            self.assertEqual(post(node, "/presence/lab", {"n": 3}).json()["duplicates"], 1)

    def test_one_node_at_a_time(self):
        with self.node():
            second = Node(rest="[ring]\nfile = %s\n" % self.file, wait=False)
            self.assertEqual(second.process.wait(DEADLINE), 1)
            second.stop()
            self.assertTrue(any(line and "another node uses this ring file" in line
                                for line in second.log), second.log)
            shutil.rmtree(second.directory)

    def test_a_file_that_cannot_be_used_is_kept(self):
        with open(self.file, "w") as out:
            out.write("something of somebody's")
        with self.node() as node:
            node.wait_log("the old one is kept")
            self.assertEqual(post(node, "/presence/lab", {}).status, 200)
        with open(self.file + ".old-1") as text:
            self.assertEqual(text.read(), "something of somebody's")
        with self.node(size="2M") as node:
            node.wait_log("shorter or longer")
            self.assertEqual(events(node), [])
        self.assertTrue(os.path.exists(self.file + ".old-2"))

    def test_no_directory(self):
        self.file = "/nonexistent/ring"
        node = self.node(wait=False)
        self.assertEqual(node.process.wait(DEADLINE), 1)
        node.stop()
        self.assertTrue(any(line and "/nonexistent/ring: No such file" in line for line in node.log),
                        node.log)

    def test_a_disk_that_is_full_is_said_at_the_start(self):
        """On a tmpfs of 1 MiB: the space is reserved at once, so a full disk is never a surprise."""
        mount = os.path.join(self.directory, "disk")
        os.mkdir(mount)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "rollcall-test", mount],
                          capture_output=True).returncode:
            self.skipTest("no right to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", mount])
        self.file = os.path.join(mount, "ring")
        node = self.node(size="2M", wait=False)
        self.assertEqual(node.process.wait(DEADLINE), 1)
        node.stop()
        self.assertTrue(any(line and "ring: No space left on device" in line for line in node.log),
                        node.log)
        self.assertEqual(os.listdir(mount), [])
        # Where it fits, it goes on fitting: many laps, and not a byte more.
        more = "[dedupe]\nmax_ids = 1000\n"
        with self.node(more, size="512K") as node:
            used = os.statvfs(mount).f_bfree
            peer = Peer(tls(node.port))
            for n in range(1500):
                peer.send(post_bytes("/presence/lab", b'{"m":%d,"fill":"%s"}' % (n, b"x" * 900)))
                self.assertEqual(peer.response().status, 200)
            peer.close()
            self.assertEqual(os.statvfs(mount).f_bfree, used)

    def load(self, port, first, acknowledged, stop):
        """Posts numbers, one after the other, until the node is gone; a body again where nobody
        answered, as senders do."""
        n, peer = first, None
        try:
            peer = Peer(tls(port))
            while not stop.is_set():
                peer.send(post_bytes("/presence/lab", b'{"n":%d}' % n))
                answer = peer.response()
                if answer.status != 200:
                    break
                acknowledged.append(n)
                n += 1
        except (OSError, EOFError):
            pass
        if peer:
            peer.close()

    def killed_at_random(self, sync):
        chance = random.Random(7)
        acknowledged, ready = [], []
        for _ in range(KILLS):
            started = time.monotonic()
            node = self.node(sync, size="64M")
            first = acknowledged[-1] + 1 if acknowledged else 0
            answer = post(node, "/presence/lab", b'{"n":%d}' % first)
            ready.append(time.monotonic() - started)
            self.assertEqual(answer.status, 200)
            acknowledged.append(first)
            stop = threading.Event()
            thread = threading.Thread(target=self.load,
                                      args=(node.port, first + 1, acknowledged, stop))
            thread.start()
            target = len(acknowledged) + chance.randrange(60)
            deadline = time.monotonic() + DEADLINE
            while len(acknowledged) < target and time.monotonic() < deadline:
                time.sleep(0)  # gives the other thread its turn
            node.stop(signal.SIGKILL)
            thread.join(DEADLINE)
        with self.node(sync, size="64M") as node:
            lines = events(node)
            numbers = [line["data"]["n"] for line in lines]
            self.assertTrue([line["seq"] for line in lines] == list(range(1, len(lines) + 1)))
            self.assertEqual(len(numbers), len(set(numbers)), "none twice")
            self.assertEqual(set(acknowledged) - set(numbers), set(), "none missing")
        print("%d kills, %d acknowledged, none missing; start to first answer: median %.0f ms"
              % (KILLS, len(acknowledged), 1000 * sorted(ready)[len(ready) // 2]))

    def test_killed_at_random(self):
        self.killed_at_random("")

    def test_killed_at_random_with_every_post_on_disk(self):
        self.killed_at_random("sync = always\n")

    def test_sync_always_and_interval(self):
        for sync in ("sync = always\n", "sync = interval 10ms\n"):
            with self.node(sync) as node:
                peers = [Peer(tls(node.port)) for _ in range(20)]
                follower = feed(node, "/v1/events?limit=2000")
                follower.until(b"\r\n\r\n")
                for n in range(100):
                    for i, peer in enumerate(peers):
                        peer.send(post_bytes("/presence/lab", b'{"%s":%d,"of":%d}'
                                             % (sync[7:8].encode(), n, i)))
                    for peer in peers:
                        self.assertEqual(peer.response().json()["accepted"], 1)
                self.assertEqual(len(b"".join(follower.chunks()).splitlines()), 2000)
                follower.close()
                # Several requests in one read, a refusal among them: in order.
                peers[0].send(post_bytes("/presence/lab", b'{"a%s":1}' % sync[7:8].encode())
                              + post_bytes("/nobody", b"{}")
                              + post_bytes("/presence/lab", b'{"b%s":1}' % sync[7:8].encode()))
                self.assertEqual([peers[0].response().status for _ in range(3)], [200, 404, 200])
                for peer in peers:
                    peer.close()

    @unittest.skipUnless(SHIM, "the build has no shim: sanitizers")
    def test_a_disk_that_fails_is_503_until_it_works_again(self):
        fail = os.path.join(self.directory, "fail")
        with self.node("sync = always\n", env={"LD_PRELOAD": SHIM, "ROLLCALL_TEST_FAIL": fail}) as node:
            self.assertEqual(post(node, "/presence/lab", {"n": 0}).status, 200)
            open(fail, "w").close()
            answer = post(node, "/presence/lab", {"n": 1})
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
            node.wait_log("cannot be written to disk")
            # Sent again: still not promised, though it is known.
            self.assertEqual(post(node, "/presence/lab", {"n": 1}).status, 503)
            self.assertEqual([line["data"]["n"] for line in events(node)], [0])
            os.unlink(fail)
            deadline = time.monotonic() + DEADLINE
            while post(node, "/presence/lab", {"n": 1}).status != 200:
                self.assertLess(time.monotonic(), deadline)
            self.assertEqual([line["data"]["n"] for line in events(node)], [0, 1])


if __name__ == "__main__":
    unittest.main()
