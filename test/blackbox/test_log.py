"""What the node says of what it refuses: enough to act on, no more than it should, never a secret."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

SECRET = "a-token-that-is-longer-than-HiveManager-keeps"  # 45 bytes

CONFIG = """
[endpoint hq]
path = /unguessable/hq
provider = aerohive
secret = %s

[endpoint lab]
path = /unguessable/lab
provider = json
auth = none
rate_limit = 2/h

[endpoint bt]
path = /unguessable/bt
provider = bt

[endpoint far]
path = /unguessable/far
provider = json
auth = none
allow_from = 192.0.2.0/24
""" % SECRET


def said(node, *parts):
    return [line for line in node.log if line and all(part in line for part in parts)]


class Log(unittest.TestCase):
    def node(self, **options):
        return Node(endpoints=CONFIG, **options)

    def test_a_token_cut_by_hivemanager_gets_a_hint(self):
        with self.node() as node:
            for token in (SECRET[:32], SECRET[:31], SECRET[:33], "x" * 32):
                self.assertEqual(
                    post(node, "/unguessable/hq", [], ("Authorization: Hive " + token,)).status, 401)
            node.stop()
            hints = said(node, "level=warning", "first 32 characters", "endpoint=hq")
            self.assertEqual(len(hints), 1, node.log)
            self.assertEqual(len(said(node, "level=warning", 'reason="secret wrong"')), 3, node.log)

    def test_every_refusal_names_the_endpoint_and_the_reason(self):
        with self.node() as node:
            self.assertEqual(post(node, "/unguessable/far", {}).status, 403)
            for status in (200, 200, 429):
                answer = post(node, "/unguessable/lab", {})
                self.assertEqual(answer.status, status)
            self.assertIn(int(answer.headers["retry-after"]), range(1, 1801))
            self.assertEqual(post(node, "/unguessable/hq", {"a": 1}, (
                "Authorization: Hive " + SECRET,)).status, 422)
            self.assertEqual(post(node, "/unguessable/bt", b"{").status, 200)
            node.stop()
            self.assertTrue(said(node, "status=403", "endpoint=far", "may not post here"), node.log)
            self.assertTrue(said(node, "status=429", "endpoint=lab", "rate_limit"), node.log)
            self.assertTrue(said(node, "status=422", "endpoint=hq", "shape", "at="), node.log)
            self.assertTrue(said(node, "status=200", "endpoint=bt", "not JSON", 'at="byte 1"'),
                            node.log)

    def test_nothing_secret_is_written(self):
        with self.node(rest="[log]\nlevel = debug\n") as node:
            for token in (SECRET, SECRET[:32], "guess-of-somebody"):
                post(node, "/unguessable/hq?key=in-the-query", {"name": "somebody"}, (
                    "Authorization: Hive " + token,))
            post(node, "/unguessable/nobodys", {})
            node.stop()
            log = "\n".join(line for line in node.log if line)
            self.assertIn("no endpoint has this path", log)
            for word in (SECRET[:8], "guess", "unguessable", "in-the-query", "somebody"):
                self.assertNotIn(word, log.replace("shape", ""))

    def test_a_flood_is_not_a_flood_of_lines(self):
        with self.node() as node:
            peer = Peer(tls(node.port))
            for _ in range(1000):
                peer.send(post_bytes("/unguessable/hq", b"[]"))
                self.assertEqual(peer.response().status, 401)
            peer.close()
            node.stop()
            lines = said(node, "secret missing")
            self.assertGreaterEqual(len(lines), 10)
            # Ten in ten seconds; a machine that needed longer may have begun anew, and said so.
            shown = len(lines) + sum(int(n) for n in re.findall(r"suppressed=(\d+)", str(lines)))
            self.assertTrue(len(lines) == 10 or shown > 10, lines)
            self.assertLess(len(lines), 500)


if __name__ == "__main__":
    unittest.main()
