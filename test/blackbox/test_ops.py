"""What an operator asks: /metrics, /livez, /readyz, /v1/status, on the socket and on the admin
listener. (test_metrics.py: each figure; test_accounts.py: that they add up.)"""
import http.client
import json
import os
import re
import shutil
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from metrics import Families
from node import *  # noqa: F403

def parse(text):
    return Families(text).samples


def admin_get(node, path, method="GET"):
    port = int(re.search(r"msg=admin address=\S+:(\d+)", "\n".join(l for l in node.log if l)).group(1))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body


def metrics(node):
    answer = get(node, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.body.decode())


class Metrics(unittest.TestCase):
    def test_counts(self):
        with Node(rest="[ring]\nsize = 64K\n") as node:
            self.assertEqual(metrics(node)["rollcall_ring_events"], 0)
            body = [{"apMac": "3a1e6d8c785c", "observations": [
                {"clientMac": "dcac3da506b4", "seenEpoch": 1767607933000}, {"clientMac": 7}]}]
            for _ in range(2):
                self.assertEqual(post(node, "/presence/hq", body, TOKEN).status, 200)
            post(node, "/presence/hq", body)
            post(node, "/presence/nobodys", {})
            for n in range(500):
                post(node, "/presence/lab", {"n": n, "fill": "x" * 300}) if n % 50 == 0 else None
            found = metrics(node)
            for key, value in (
                    ('http_requests_total{endpoint="hq",code="200"}', 2),
                    ('http_requests_total{endpoint="hq",code="401"}', 1),
                    ('http_requests_total{endpoint="lab",code="200"}', 10),
                    ('http_requests_total{endpoint="",code="404"}', 1),
                    ('events_total{endpoint="hq",kind="seen"}', 1),
                    ('events_total{endpoint="lab",kind="document"}', 10),
                    ('events_duplicate_total{endpoint="hq"}', 1),
                    ('events_rejected_total{endpoint="hq",reason="shape"}', 2),
                    ('ring_accepted_total', 11), ('ring_events', 11), ('ring_overwritten_total', 0),
                    ('config_reload_success', 1), ('dedupe_ids', 1), ('connections', 0)):
                self.assertEqual(found["rollcall_" + key], value, key)
            self.assertGreaterEqual(found['rollcall_tls_handshakes_total{resumed="false"}'], 14)
            self.assertGreater(found["rollcall_certificate_expiry_timestamp_seconds"], 1.7e9)

    def test_the_accounts_close_and_survive_a_reload(self):
        with Node(rest="[ring]\nsize = 64K\n") as node:
            peer = Peer(tls(node.port))
            for n in range(400):
                peer.send(post_bytes("/presence/lab", b'{"n":%d,"fill":"%s"}' % (n, b"x" * 400)))
                self.assertEqual(peer.response().status, 200)
                if n % 100 == 50:
                    found = metrics(node)
                    self.assertEqual(found["rollcall_ring_accepted_total"], n + 1)
                    self.assertEqual(found["rollcall_ring_events"] + found["rollcall_ring_overwritten_total"],
                                     n + 1)
                if n == 200:
                    node.process.send_signal(signal.SIGHUP)
                    node.wait_log("configuration reloaded")
            peer.close()
            found = metrics(node)
            self.assertGreater(found["rollcall_ring_overwritten_total"], 200)
            self.assertEqual(found['rollcall_events_total{endpoint="lab",kind="document"}'], 400)
            self.assertEqual(found["rollcall_ring_events"], len(events(node)))

    def test_kinds_that_a_sender_invents_are_bounded(self):
        endpoints = "[endpoint m]\npath = /m\nprovider = mist\nauth = none\n"
        with Node(endpoints=endpoints) as node:
            for n in range(40):
                post(node, "/m", {"topic": "invented-%d" % n, "events": [{"n": n}]})
            post(node, "/m", {"topic": 'quo"ted', "events": [{"n": 1}]})
            post(node, "/m", {"topic": "l" * 65, "events": [{"n": 1}]})
            found = {k: v for k, v in metrics(node).items() if k.startswith("rollcall_events_total")}
            self.assertEqual(len(found), 33)
            self.assertEqual(sum(found.values()), 42)
            self.assertEqual(found['rollcall_events_total{endpoint="m",kind="other"}'], 10)


class Admin(unittest.TestCase):
    def test_what_it_answers(self):
        with Node(server="admin = 127.0.0.1:0\n") as node:
            post(node, "/presence/lab", {})
            status, sort, text = admin_get(node, "/metrics")
            self.assertEqual((status, sort), (200, "text/plain; version=0.0.4; charset=utf-8"))
            self.assertEqual(parse(text)["rollcall_ring_events"], 1)
            self.assertEqual(admin_get(node, "/livez")[::2], (200, "ok\n"))
            self.assertEqual(admin_get(node, "/readyz")[::2], (200, "ok\n"))
            self.assertEqual(admin_get(node, "/livez", "HEAD")[::2], (200, ""))
            self.assertEqual(admin_get(node, "/livez", "POST")[0], 405)
            self.assertEqual(admin_get(node, "/presence/lab")[0], 404)
            self.assertEqual(admin_get(node, "/v1/readers/x")[0], 404)
            for method in ("PUT", "DELETE", "POST"):  # who holds the ring is the socket's alone
                self.assertEqual(admin_get(node, "/v1/readers/x", method)[0], 405, method)

    def test_strangers(self):
        with Node(server="admin = 127.0.0.1:0\n") as node:
            port = int(re.search(r"admin address=\S+:(\d+)", "\n".join(l for l in node.log if l)).group(1))
            fds = node.fds()
            idle = [socket.create_connection(("127.0.0.1", port), DEADLINE) for _ in range(70)]
            closed = 0
            for sock in idle[64:]:  # one past the bound, and more
                sock.settimeout(DEADLINE)
                closed += sock.recv(1) == b""
            self.assertEqual(closed, 6)
            for sock in idle:
                sock.close()
            deadline = time.monotonic() + DEADLINE
            while node.fds() > fds:  # until it has seen them go, it takes no more
                self.assertLess(time.monotonic(), deadline)
            with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
                sock.sendall(b"\x16\x03\x01\x00\x05nonsense\r\n\r\n")
                self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 400"))
            self.assertEqual(admin_get(node, "/livez")[0], 200)
            node.wait_fds(fds + 1)

    def test_it_says_that_the_node_drains(self):
        with Node(server="admin = 127.0.0.1:0\ndrain_timeout = 10m\n") as node:
            busy = Peer(tls(node.port))
            busy.send(post_bytes("/presence/lab", b"{}")[:-1])
            post(node, "/presence/lab", {})  # behind it: the half request was read
            node.process.send_signal(signal.SIGTERM)
            node.wait_log("msg=draining")
            self.assertEqual(admin_get(node, "/readyz")[::2], (503, "draining\n"))
            self.assertEqual(admin_get(node, "/livez")[0], 200)
            busy.send(b"}")
            self.assertEqual(busy.response().status, 200)
            busy.close()

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            node = Node(server="admin = 127.0.0.1:%d\n" % taken.getsockname()[1], wait=False)
            self.assertEqual(node.process.wait(DEADLINE), 1)
            node.stop()
            self.assertTrue(any(line and "address already in use" in line for line in node.log), node.log)
            shutil.rmtree(node.directory)


class Status(unittest.TestCase):
    def test_status(self):
        with Node() as node:
            post(node, "/presence/lab", {"n": 1})
            post(node, "/presence/hq", [])
            status = get(node, "/v1/status").json()
            self.assertEqual(status["ring"]["events"], 1)
            self.assertEqual(status["draining"], False)
            self.assertRegex(status["certificate_expires"], r"^20\d\d-")
            hq, lab = status["endpoints"]
            self.assertEqual((hq["endpoint"], hq["last_error"]), ("hq", "secret missing"))
            self.assertEqual((lab["endpoint"], lab["accepted"]), ("lab", 1))
            self.assertIn("last_event", lab)
            self.assertNotIn("last_error", lab)
            self.assertNotIn("test-token", json.dumps(status))
            self.assertNotIn("/presence", json.dumps(status))


if __name__ == "__main__":
    unittest.main()
