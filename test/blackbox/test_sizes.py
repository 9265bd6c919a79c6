"""Sizes: what the node takes at each bound and one past it (those that test_ingest, test-json, test-http and
test-feed-requests have are not repeated), what a body made to hurt costs, and that memory stays below the
formula of docs/tuning.md."""
import json
import os
import re
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

IDLE = 300
IDLE_KIB = 16   # for each idle connection; docs/tuning.md says 4, an allocator's pages are not so fine
BODIES = 16
BODY_KIB = 1024
PARSED = 6      # times the largest body, while it is parsed (docs/tuning.md, Memory)
BASE_KIB = 2048  # buffers that all connections share


os.environ.pop("MALLOC_PERTURB_", None)  # Meson's: writes all over memory that nobody uses


class Memory(unittest.TestCase):
    def peak_kib(self, node):
        with open("/proc/%d/status" % node.process.pid) as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))

    def assert_below(self, node, before, bound, what):
        if not is_sanitized():
            grown = self.peak_kib(node) - before
            self.assertLess(grown, bound, what)
            print("%s: %d KiB, bound %d" % (what, grown, bound))

    def test_idle_connections(self):
        with Node(rest="[ring]\nsize = 64K\n") as node:
            post(node, "/presence/lab", {})
            before, peers = self.peak_kib(node), []
            for _ in range(IDLE):
                peers.append(Peer(tls(node.port)))
                peers[-1].send(post_bytes("/presence/lab", b"{}"))
                self.assertEqual(peers[-1].response().status, 200)
            self.assert_below(node, before, BASE_KIB + IDLE * IDLE_KIB, "%d idle connections" % IDLE)
            for peer in peers:
                peer.close()

    def test_bodies_under_way(self):
        """Many at once, each held back for its last byte, then all of them parsed."""
        body = b'"' + b"a" * (BODY_KIB * 1024 - 2) + b'"'
        with Node(rest="[ring]\nsize = 4M\n") as node:
            post(node, "/presence/lab", {})
            before, peers = self.peak_kib(node), []
            for _ in range(BODIES):
                peers.append(Peer(tls(node.port)))
                peers[-1].send(post_bytes("/presence/lab", body)[:-1])
            for peer in peers:
                peer.send(body[-1:])
                self.assertEqual(peer.response().status, 200)
                peer.close()
            # A buffer grows by doubling; the ring is touched as it fills.
            bound = BASE_KIB + BODIES * 2 * BODY_KIB + PARSED * BODY_KIB + 4096
            self.assert_below(node, before, bound, "%d bodies of %d KiB" % (BODIES, BODY_KIB))

    def test_depth_costs_nothing(self):
        """100,000 brackets: refused at the bound of the depth, and not more memory than a plain body."""
        deep = b"[" * 100000 + b"]" * 100000
        with Node(rest="[ring]\nsize = 64K\n") as node:
            post(node, "/presence/lab", b'"' + b"a" * 20000 + b'"')
            before = self.peak_kib(node)
            failed = []

            def work():
                for _ in range(10):
                    response = post(node, "/presence/lab", deep)
                    if response.status != 400:
                        failed.append(response)
            workers = [threading.Thread(target=work) for _ in range(8)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            self.assertEqual(failed, [])
            kib = len(deep) // 1024
            self.assert_below(node, before, BASE_KIB + 8 * 2 * kib + PARSED * kib, "deep bodies")

    def test_amplification(self):
        """One body of 4 MiB, of every kind that a parser may grow: taken within the times that docs/tuning.md
        says, or refused. What is taken has its line in the ring besides, which is touched as it fills."""
        size = 4 << 20
        kinds = {
            "text": b'"' + b"a" * (size - 2) + b'"',
            "escapes": b'"' + b"\\u0001" * (size // 6 - 1) + b'"',
            "numbers of one digit": b"[" + b"1," * (size // 2 - 1) + b"1]",
            "numbers of two digits": b"[" + b"12," * (size // 3 - 1) + b"1]",
            "numbers of six digits": b"[" + b"123456," * (size // 7 - 1) + b"1]",
            "empty objects": b"[" + b"{}," * (size // 3 - 1) + b"{}]",
            "nested": b"[" + (b"[" * 100 + b"]" * 100 + b",") * (size // 201 - 1) + b"1]",
            "short members": b"{" + b'"":1,' * (size // 5 - 1) + b'"":1}',
            "members": b"{" + b'"a":12,' * (size // 7 - 1) + b'"":1}',
            "small objects": b"[" + b'{"apMac":12},' * (size // 13 - 1) + b"1]",
        }
        dense = {"numbers of one digit", "numbers of two digits", "empty objects", "nested", "short members",
                 "members"}
        kib = size // 1024
        for kind, body in kinds.items():
            with self.subTest(kind), Node(rest="[ring]\nsize = 16M\n") as node:
                self.assertEqual(post(node, "/presence/lab", {}).status, 200)
                before = self.peak_kib(node)
                # Its own bytes, its line in the ring, and four bytes a byte while it is parsed.
                self.assertEqual(post(node, "/presence/lab", body).status, 200)
                self.assert_below(node, before, BASE_KIB + (2 + 4) * kib, "4 MiB of %s, passed through" % kind)
            with self.subTest("read: " + kind), Node(rest="[ring]\nsize = 16M\n") as node:
                self.assertEqual(post(node, "/presence/lab", {}).status, 200)
                before = self.peak_kib(node)
                response = post(node, "/presence/hq", body, TOKEN)
                self.assertEqual(response.status, 413 if kind in dense else 422, response)
                self.assertEqual(b"too many values for its length" in response.body, kind in dense)
                bound = BASE_KIB + (1 + PARSED) * kib + 1536
                self.assert_below(node, before, bound, "4 MiB of %s, read" % kind)
                self.assertEqual(post(node, "/presence/lab", {}).status, 200)


class Bounds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(server="body_timeout = 1s\n")

    @classmethod
    def tearDownClass(cls):
        assert cls.node.stop() == 0

    def peer(self):
        peer = Peer(tls(self.node.port))
        self.addCleanup(peer.close)
        return peer

    def status(self, data):
        peer = self.peer()
        peer.send(data)
        return peer.response().status

    def test_fields(self):
        for fields, status in (96, 200), (97, 431):
            # Host and Content-Length are two of them.
            data = post_bytes("/presence/lab", b"{}", ["A: b"] * (fields - 2))
            self.assertEqual(self.status(data), status, fields)

    def test_target(self):
        for size, status in (8192, 404), (8193, 414):
            self.assertEqual(self.status(post_bytes("/" + "a" * (size - 1), b"")), status, size)

    def test_depth(self):
        for depth, status in (128, 200), (129, 400):
            self.assertEqual(self.status(post_bytes("/presence/lab", b"[" * depth + b"]" * depth)), status)

    def test_lengths_at_the_edge_of_64_bits(self):
        for length in 2 ** 31, 2 ** 32, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1:
            data = post_bytes("/presence/lab", b"").replace(b": 0", b": %d" % length)
            self.assertIn(self.status(data), (400, 413), length)
        for length in 2 ** 64, 2 ** 64 + 2, 10 ** 30:
            data = post_bytes("/presence/lab", b"{}").replace(b": 2", b": %d" % length)
            self.assertIn(self.status(data), (400, 413), length)
        for chunk in b"ffffffff", b"7fffffffffffffff", b"ffffffffffffffff", b"10000000000000002":
            data = (b"POST /presence/lab HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
                    + b"\r\n{}")
            # One that could come waits for its bytes, of which the limit lets few in.
            self.assertIn(self.status(data), (400, 408, 413), chunk)

    def test_numbers_at_the_edge_of_64_bits_keep_their_digits(self):
        for number in ("9223372036854775807", "9223372036854775808", "18446744073709551615",
                       "18446744073709551616", "-9223372036854775809", "1e308", "0." + "1" * 100):
            self.assertEqual(self.status(post_bytes("/presence/lab", b'{"n":%s}' % number.encode())), 200)
            last = get(self.node, "/v1/events?from=oldest&follow=0").body.splitlines()[-1]
            self.assertIn(b'"n":%s' % number.encode(), last)

    def test_text_that_is_none(self):
        for text in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\0",
                     b"\\ud800", b"\\udc00\\ud800", b"\\ud800\\u0041"):
            body = b'{"t":"' + text + b'"}'
            status = self.status(post_bytes("/presence/lab", body))
            # A lone surrogate is JSON's grammar and no character: what comes of it is valid, too.
            if text.startswith(b"\\"):
                self.assertIn(status, (200, 400), text)
            else:
                self.assertEqual(status, 400, text)
        for event in events(self.node):
            json.dumps(event).encode()
        self.assertEqual(self.status(post_bytes("/presence/lab", b'{"t":"\\u0000","t":"\\u0000"}')), 200)


if __name__ == "__main__":
    unittest.main()
