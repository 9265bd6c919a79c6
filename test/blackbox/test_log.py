"""What the node says of what it refuses: enough to act on, no more than it should, never a secret."""
import json
import os
import re
import shutil
import signal
import sys
import tempfile
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

    def test_nor_of_debug_lines(self):
        with self.node(rest="[log]\nlevel = debug\n") as node:
            for _ in range(40):
                with socket.create_connection(("127.0.0.1", node.port), DEADLINE) as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    while sock.recv(100):
                        pass
            node.stop()
            lines = said(node, "handshake failed", "HTTP_REQUEST")
            shown = len(lines) + sum(int(n) for n in re.findall(r"suppressed=(\d+)", str(lines)))
            self.assertTrue(len(lines) == 10 or shown > 10, lines)
            self.assertLess(len(lines), 40)


# A logfmt line: key=value pairs, a value bare or in quotes with JSON's escapes.
PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\\x00-\x1f\x7f]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*"|[!#-<>-\[\]-~]+)(?: |\Z)')


def parse_logfmt(line):
    pairs, at = [], 0
    while at < len(line):
        found = PAIR.match(line, at)
        assert found, "not logfmt at %d: %r" % (at, line)
        value = found.group(2)
        pairs.append((found.group(1), json.loads(value) if value.startswith('"') else value))
        at = found.end()
    assert not line.endswith(" "), line
    return pairs


def parse_json(line):
    pairs = json.loads(line, object_pairs_hook=lambda pairs: pairs)
    assert all(isinstance(value, str) for _, value in pairs), line
    return pairs


class EveryLine(unittest.TestCase):
    """A run in which everything goes wrong that a peer or an operator can do, in both formats: each line
    parses, has its time, level and message in front and no key twice, and none tells what it must not."""

    SECRETS = (SECRET[:8], "unguessable", "in-the-query", "wrong-guess", "somebody@example.com", "meraki-secret",
               "validator-text", "dcac3da506b4", "dc:ac:3d:a5:06:b4", "hush")

    def make_noise(self, node):
        posts = (
            ("/unguessable/hq?key=in-the-query", [], ("Authorization: Hive wrong-guess",)),
            ("/unguessable/hq", {"somebody@example.com": 1}, ("Authorization: Hive " + SECRET,)),
            ("/unguessable/hq", b'[{"apMac"\xff\x00\n=" \x1b[31m', ("Authorization: Hive " + SECRET,)),
            ("/unguessable/hq", [{"apMac": 'a"b=\\c\n\u202e', "observations": [{"clientMac": 7}]}],
             ("Authorization: Hive " + SECRET,)),
            ("/unguessable/bt", b'{"user":"somebody@example.com"'), ("/unguessable/bt", {"dcac3da506b4": None}),
            ("/unguessable/meraki", {"secret": "wrong-guess", "version": "2.0"}),
            ("/unguessable/meraki", {"secret": "meraki-secret", "version": "2.0", "type": '"=\n', "data": 1}),
            ("/unguessable/nobodys\u00ff", {}), ("/unguessable/far", {}), ("/unguessable/lab", {}),
            ("/unguessable/lab", {}), ("/unguessable/lab", {}))
        for path, body, *headers in posts:
            post(node, path, body, *headers)
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\n\x00\x1b[2J"):
            with socket.create_connection(("127.0.0.1", node.port), DEADLINE) as sock:
                sock.sendall(text)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(100):
                    pass
        for text in (b"nonsense \x1b\r\n\r\n", b"GET /unguessable/hq?in-the-query HTTP/9.9\r\n\r\n"):
            peer = Peer(tls(node.port))
            peer.send(text)
            self.assertGreaterEqual(peer.response().status, 400)
            peer.close()
        with open(node.config) as config:
            good = config.read()
        with open(node.config, "w") as config:
            config.write(good + 'secret_file = /nowhere/"=\\\nno"nse=nse \x1b[31m\n[endpoint \xfc]\nsecret = hush\n')
        node.process.send_signal(signal.SIGHUP)
        node.wait_log("reload failed")
        with open(node.config, "w") as config:
            config.write(good)
        node.process.send_signal(signal.SIGHUP)
        node.wait_log("configuration reloaded")

    def run_noisily(self, log_format, parse):
        endpoints = CONFIG + """
[endpoint meraki]
path = /unguessable/meraki
provider = meraki
secret = meraki-secret
validator = validator-text
"""
        rest = "[log]\nlevel = debug\nformat = %s\n" % log_format
        # Paths are what of the outside gets into most lines.
        directory = tempfile.mkdtemp(prefix='rollcall- "=\\\u202e\u00e9')
        self.addCleanup(shutil.rmtree, directory)
        with Node(endpoints=endpoints, rest=rest, wait=False, server="admin = 127.0.0.1:0\n",
                  directory=directory) as node:
            node.wait_log("ready")
            port = next(re.search(r"127\.0\.0\.1:(\d+)", line).group(1)
                        for line in node.log if "listening" in line)
            node.port = int(port)
            self.make_noise(node)
            node.stop()
            lines = [line for line in node.log if line is not None]
        messages = set()
        for line in lines:
            pairs = parse(line)
            keys = [key for key, _ in pairs]
            self.assertEqual(keys[:3], ["ts", "level", "msg"], line)
            self.assertEqual(len(set(keys)), len(keys), line)
            of = dict(pairs)
            self.assertRegex(of["ts"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(of["level"], ("error", "warning", "info", "debug"))
            self.assertTrue(line.isprintable(), line)
            for word in self.SECRETS:
                self.assertNotIn(word, line)
            messages.add(of["msg"])
        self.assertLessEqual({"listening", "admin", "ready", "request refused", "body not read in full",
                              "handshake failed", "not HTTP", "configuration", "configuration reloaded",
                              "reload failed: the running configuration stays", "draining", "stopped"}, messages)

    def test_logfmt(self):
        self.run_noisily("logfmt", parse_logfmt)

    def test_json(self):
        self.run_noisily("json", parse_json)


if __name__ == "__main__":
    unittest.main()
