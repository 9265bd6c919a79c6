"""The three programs together, and the plain tools that users have: curl and nc."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

# One million where it is quick; the sanitizers' build is told to take fewer.
OBSERVATIONS = int(os.environ.get("ROLLCALL_TEST_OBSERVATIONS", "1000000"))


def start(*args, **options):
    return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


class Readers(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.__exit__, None)

    def test_curl_follows(self):
        curl = start("curl", "-sN", "--unix-socket", self.node.socket,
                     "http://node/v1/events?from=oldest")
        for n in range(3):
            self.assertEqual(post(self.node, "/presence/lab", {"n": n}).status, 200)
            self.assertEqual(json.loads(curl.stdout.readline())["data"], {"n": n})
        curl.kill()
        curl.communicate()

    def test_curl_posts(self):
        done = subprocess.run(
            ["curl", "-sS", "--cacert", CERT, "-H", "Authorization: Basic test-token",
             "-H", "Content-Type: application/json", "-d", "[]",
             "https://localhost:%d/presence/hq" % self.node.port],
            capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.stdout, done.stderr),
                         ('{"accepted":0,"duplicates":0,"rejected":0}\n', ""))

    def test_curl_waits_for_continue_with_a_large_body(self):
        done = subprocess.run(
            ["curl", "-sSv", "--cacert", CERT, "-H", "Expect: 100-continue",
             "-d", "@-", "https://localhost:%d/presence/lab" % self.node.port],
            input='"%s"' % ("x" * 200000), capture_output=True, text=True, timeout=DEADLINE)
        self.assertIn("HTTP/1.1 100 Continue", done.stderr)
        self.assertIn('"accepted":1', done.stdout)

    def test_nc_with_http_1_0(self):
        for n in range(3):
            post(self.node, "/presence/lab", {"n": n})
        done = subprocess.run(["nc", "-U", self.node.socket], capture_output=True, timeout=DEADLINE,
                              input=b"GET /v1/events?from=oldest&follow=0 HTTP/1.0\r\n\r\n")
        head, body = done.stdout.split(b"\r\n\r\n", 1)
        self.assertIn(b" 200 OK", head)
        self.assertNotIn(b"chunked", head)
        self.assertEqual([json.loads(line)["data"]["n"] for line in body.splitlines()], [0, 1, 2])

    def test_tail_follows_over_a_restart_of_the_node(self):
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory)
        cursor = os.path.join(directory, "cursor")
        with Node(directory=directory) as node:
            tail = start(TAIL, "--socket", node.socket, "--from", "oldest", "--cursor-file", cursor)
            for n in range(3):
                post(node, "/presence/lab", {"n": n})
                self.assertEqual(json.loads(tail.stdout.readline())["data"], {"n": n})
        with Node(directory=directory) as node:
            post(node, "/presence/lab", {"n": 3})
            self.assertEqual(json.loads(tail.stdout.readline())["data"], {"n": 3})
            tail.send_signal(signal.SIGTERM)
            out, err = tail.communicate(timeout=DEADLINE)
            self.assertEqual((tail.returncode, out), (0, ""))
            self.assertIn("restart", err)
            # And from its cursor, as if it had never been away.
            post(node, "/presence/lab", {"n": 4})
            tail = start(TAIL, "--socket", node.socket, "--cursor-file", cursor, "--no-follow")
            out, err = tail.communicate(timeout=DEADLINE)
            self.assertEqual(tail.returncode, 0, err)
            self.assertEqual([json.loads(line)["data"]["n"] for line in out.splitlines()], [4])

    def test_tail_into_head(self):
        for n in range(20):
            post(self.node, "/presence/lab", {"n": n, "fill": "x" * 5000})
        done = subprocess.run("'%s' --socket '%s' --from oldest | head -n 3; echo ${PIPESTATUS[0]}"
                              % (TAIL, self.node.socket), shell=True, executable="/bin/bash",
                              capture_output=True, text=True, timeout=DEADLINE)
        lines = done.stdout.splitlines()
        self.assertEqual([json.loads(line)["data"]["n"] for line in lines[:3]], [0, 1, 2])
        self.assertEqual((lines[3:], done.stderr), (["0"], ""))


class Verified(unittest.TestCase):
    def verify(self, node, *args):
        done = subprocess.run(
            [BENCH, "--verify", "--socket", node.socket, "--json", *args],
            capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_a_million_observations(self):
        per_post = 4
        with Node(rest="[ring]\nsize = 1G\n") as node:  # so that no noise can make a gap
            result = self.verify(node, "--connections", "32", "--observations", str(per_post),
                                 "--secret", "test-token", "--requests",
                                 str(OBSERVATIONS // per_post),
                                 "https://127.0.0.1:%d/presence/hq" % node.port)
            self.assertEqual(result["observations"], OBSERVATIONS)
            self.assertEqual(result["verify"]["arrived"], OBSERVATIONS)
            self.assertEqual(result["verify"]["lost"], 0)
            newest = events(node, "from=oldest&follow=0&limit=1")[0]["seq"]
            self.assertGreaterEqual(newest, 1)
            tail = subprocess.run([TAIL, "--socket", node.socket, "--from", "oldest", "--no-follow",
                                   "-n", "1000"], capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(len(tail.stdout.splitlines()), 1000)

    def test_documents_at_a_fixed_rate(self):
        with Node() as node:
            self.verify(node, "--connections", "8", "--sender", "json", "--rate", "2000",
                        "--requests", "4000", "https://127.0.0.1:%d/presence/lab" % node.port)


if __name__ == "__main__":
    unittest.main()
