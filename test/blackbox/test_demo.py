"""The venue that ./dev run --demo plays: every sender's posts are what the node takes, they are the same for the
same seed, and a stop leaves nothing."""
import collections
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from node import DEADLINE, Node, Peer, events, tls

DEMO = os.path.join(os.path.dirname(__file__), "..", "..", "bench", "demo", "demo.py")
ENDPOINTS = """
[endpoint hq]
path = /presence/hq
provider = aerohive
secret = test-token

[endpoint lab]
path = /presence/lab
provider = json
auth = none

[endpoint meraki]
path = /presence/meraki
provider = meraki
secret = test-token
validator = valid

[endpoint mist]
path = /presence/mist
provider = mist
secret = test-token

[endpoint bt]
path = /presence/bt/token
provider = bt

[endpoint pubnub]
path = /presence/pubnub/token
provider = pubnub
"""


def demo(config, *arguments):
    return subprocess.run([sys.executable, "-B", DEMO, "--config", config, *arguments], timeout=DEADLINE * 2,
                          capture_output=True, text=True)


class Posts(unittest.TestCase):
    def test_twenty_minutes_of_every_sender(self):
        with Node(endpoints=ENDPOINTS) as node:
            printed = demo(node.config, "--print", "--duration", "1200", "--people", "30")
            self.assertEqual((printed.returncode, printed.stderr), (0, ""))
            peer, answers = Peer(tls(node.port)), collections.Counter()
            for line in printed.stdout.splitlines():
                post = json.loads(line)
                body = post["body"].encode()
                fields = "".join("%s: %s\r\n" % item for item in post["headers"].items())
                peer.send(("POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n"
                           % (post["path"], fields, len(body))).encode() + body)
                answer = peer.response()
                self.assertEqual(answer.status, 200, (post, answer))
                answers.update(answer.json())
            peer.close()
            self.assertGreater(answers["duplicates"], 0)
            self.assertGreater(answers["rejected"], 0)
            found = events(node)
            self.assertEqual(len(found), answers["accepted"])
            kinds = collections.Counter((event["provider"], event["kind"]) for event in found)
            for wanted in (("aerohive", "seen"), ("meraki", "seen"), ("mist", "seen"), ("mist", "zone-enter"),
                           ("mist", "zone-exit"), ("bt", "login"), ("bt", "unreadable"), ("pubnub", "join"),
                           ("pubnub", "leave"), ("pubnub", "timeout"), ("pubnub", "state-change"),
                           ("json", "document")):
                self.assertGreater(kinds[wanted], 0, kinds)
            macs = {event["client"]["mac"]: event["client"]["randomized"] for event in found if "client" in event}
            self.assertEqual(set(macs.values()), {True, False})

    def test_a_seed_is_a_venue(self):
        with tempfile.TemporaryDirectory() as directory:
            config = os.path.join(directory, "rollcall.conf")
            with open(config, "w") as out:
                out.write("[server]\nlisten = 127.0.0.1:1\ncertificate = x\n" + ENDPOINTS)
            first, again, other = (demo(config, "--print", "--duration", "30", "--seed", seed).stdout
                                   for seed in ("7", "7", "8"))
            self.assertGreater(len(first), 1000)
            self.assertEqual(first, again)
            self.assertNotEqual(first, other)

    def test_wrong_arguments(self):
        for arguments, message in ((("--people", "0"), "--people"), (("--print",), "--duration")):
            done = demo("nowhere", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(message, done.stderr)
        done = demo("/nonexistent/rollcall.conf")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("not a node's configuration", done.stderr)


class Live(unittest.TestCase):
    def test_it_goes_on_through_a_restart_and_ends_when_told(self):
        with socket.create_server(("127.0.0.1", 0)) as free, tempfile.TemporaryDirectory() as directory:
            port = free.getsockname()[1]
            server = "listen = 127.0.0.1:%d\n" % port
            free.close()
            node = Node(server, endpoints=ENDPOINTS, directory=directory)
            playing = subprocess.Popen([sys.executable, "-B", DEMO, "--config", node.config, "--port", str(port)],
                                       stderr=subprocess.PIPE, text=True)
            try:
                self.assertEqual(len(events(node, "from=oldest&limit=20")), 20)  # waits for them
                node.stop(signal.SIGKILL)
                self.assertIn("nobody answers", playing.stderr.readline())
                node = Node(server, endpoints=ENDPOINTS, directory=directory)
                self.assertEqual(len(events(node, "from=oldest&limit=20")), 20)
                playing.send_signal(signal.SIGTERM)
                self.assertEqual(playing.wait(DEADLINE), 0)
            finally:
                playing.kill()
                playing.wait()
                playing.stderr.close()
                node.stop()


if __name__ == "__main__":
    unittest.main()
