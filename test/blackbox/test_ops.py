"""What an operator asks: /metrics, /livez, /readyz, /v1/status, on the socket and on the admin
listener. (test_metrics.py: each figure; test_accounts.py: that they add up.)"""
import http.client
import json
import os
import re
import shutil
import signal
import sys
import tempfile
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


def both(node):
    """/metrics and /v1/status of one moment: two requests that come with one write on a connection."""
    peer = feed(node, "/metrics")
    try:
        peer.send(b"GET /v1/status HTTP/1.1\r\nHost: local\r\n\r\n")
        return parse(peer.response().body.decode()), peer.response().json()
    finally:
        peer.close()


class StatusAgrees(unittest.TestCase):
    """What /v1/status and /metrics both tell is the same."""

    def check(self, found, status):
        def metric(name, **labels):
            text = ",".join('%s="%s"' % label for label in labels.items())
            return found.get("rollcall_%s%s" % (name, "{%s}" % text if text else ""), 0)

        ring, latency = status["ring"], status["latency"]
        for value, name in ((ring["accepted"], "ring_accepted_total"), (ring["events"], "ring_events"),
                            (ring["overwritten"], "ring_overwritten_total"), (ring["bytes"], "ring_bytes"),
                            (ring["size_bytes"], "ring_size_bytes"), (status["dedupe"]["ids"], "dedupe_ids"),
                            (status["dedupe"]["evicted"], "dedupe_evicted_total"),
                            (status["readers"], "readers"), (status["readers_lost"], "reader_lost_total"),
                            (status["connections"], "connections"), (status["timeouts"], "timeouts_total"),
                            (status["connections_accepted"], "connections_accepted_total"),
                            (status["ready"], "ready"), (status["reload"]["ok"], "config_reload_success"),
                            (status["reload"]["failed"], "config_reload_failures_total")):
            self.assertEqual(value, metric(name), name)
        self.assertEqual(ring["newest_seq"] - ring["oldest_seq"] + 1, ring["events"])
        self.assertAlmostEqual(ring["oldest_age_s"], metric("ring_oldest_age_seconds"), delta=DEADLINE)
        self.assertAlmostEqual(latency["sum_s"], metric("http_request_duration_seconds_sum"), places=6)
        total = 0
        for bound, count in zip(latency["bounds_s"] + ["+Inf"], latency["counts"], strict=True):
            total += count
            self.assertEqual(total, metric("http_request_duration_seconds_bucket",
                                           le=bound if bound == "+Inf" else "%g" % bound), bound)
        for reason, count in status["connections_refused"].items():
            self.assertEqual(count, metric("connections_refused_total", reason=reason))
        self.assertEqual(status["handshakes"]["full"], metric("tls_handshakes_total", resumed="false"))
        self.assertEqual(status["handshakes"]["resumed"], metric("tls_handshakes_total", resumed="true"))
        failed = {key for key in found if key.startswith("rollcall_tls_handshake_failures_total{")}
        self.assertEqual(len(failed), len(status["handshakes"]["failed"]))
        for reason, count in status["handshakes"]["failed"].items():
            self.assertEqual(count, metric("tls_handshake_failures_total", reason=reason))
        for held in status["held"]:
            self.assertEqual(held["lag"], metric("reader_lag_events", reader=held["reader"]))
        codes = {("", code): count for code, count in status["strangers"].items()}
        for e in status["endpoints"]:
            name = e["endpoint"]
            codes.update({(name, code): count for code, count in e["codes"].items()})
            self.assertEqual(e["duplicates"], metric("events_duplicate_total", endpoint=name))
            self.assertEqual(e["late"], metric("events_late_total", endpoint=name))
            self.assertEqual(e["rejected"], metric("events_rejected_total", endpoint=name, reason="shape"))
            for kind, count in e["kinds"].items():
                self.assertEqual(count, metric("events_total", endpoint=name, kind=kind))
            self.assertEqual(e.get("other_kinds", 0), metric("events_total", endpoint=name, kind="other"))
            self.assertEqual(e["accepted"], sum(e["kinds"].values()) + e.get("other_kinds", 0))
        there = {key for key in found if key.startswith("rollcall_http_requests_total{")}
        self.assertEqual(len(there), len(codes))
        for (name, code), count in codes.items():
            self.assertEqual(count, metric("http_requests_total", endpoint=name, code=code), (name, code))

    def test_a_busy_node(self):
        endpoints = ENDPOINTS + ("[endpoint m]\npath = /m\nprovider = mist\nauth = none\n"
                                 "[endpoint bt]\npath = /bt\nprovider = bt\nauth = none\n")
        with Node(endpoints=endpoints, rest="[ring]\nsize = 64K\n[dedupe]\nmax_ids = 8\n") as node:
            self.check(*both(node))  # nothing has happened
            body = [{"apMac": "3a1e6d8c785c", "observations": [
                {"clientMac": "dcac3da506b4", "seenEpoch": 1767607933000}, {"clientMac": 7}]}]
            for _ in range(2):
                post(node, "/presence/hq", body, TOKEN)
            post(node, "/presence/hq", body)
            post(node, "/presence/nobodys", {})
            post(node, "/bt", b"{nonsense")
            for n in range(0, 400, 50):
                post(node, "/presence/hq", [{"apMac": "3a1e6d8c785c", "observations": [
                    {"clientMac": "0200000%05x" % i, "seenEpoch": 1767607933000 + i} for i in range(n, n + 50)]}], TOKEN)
            for n in range(40):
                post(node, "/m", {"topic": "invented-%d" % n, "events": [{"n": n}]})
            for n in range(200):
                if n % 20 == 0:
                    post(node, "/presence/lab", {"n": n, "fill": "x" * 9000})
            with socket.create_connection(("127.0.0.1", node.port), DEADLINE) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")  # no TLS
                while sock.recv(4096):
                    pass
            peer = Peer(socket.socket(socket.AF_UNIX))
            peer.sock.connect(node.socket)
            peer.send(b"PUT /v1/readers/one HTTP/1.1\r\nHost: l\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(peer.response().status, 201)
            post(node, "/presence/lab", {"n": "behind the reader"})
            deadline = time.monotonic() + DEADLINE
            while metrics(node)["rollcall_connections"]:  # their ends may reach it a little later
                self.assertLess(time.monotonic(), deadline)
            found, status = both(node)
            peer.close()
            self.check(found, status)
            self.assertGreater(status["ring"]["overwritten"], 0)
            self.assertGreater(status["dedupe"]["evicted"], 0)
            self.assertEqual(sum(status["handshakes"]["failed"].values()), 1)
            self.assertEqual(status["strangers"], {"404": 1})
            self.assertEqual([(h["reader"], h["holds"], h["lag"]) for h in status["held"]], [("one", True, 1)])
            hq, lab, m, bt = status["endpoints"]
            self.assertEqual(hq["codes"], {"200": 10, "401": 1})
            self.assertEqual((hq["last_error"], hq["last_error_status"]), ("secret missing", 401))
            self.assertNotIn("last_error_at", hq)
            self.assertEqual((hq["last_unread_at"], hq["last_unread_status"]),
                             ("[0].observations[1].clientMac", 200))
            self.assertEqual((len(m["kinds"]), m["other_kinds"]), (32, 8))
            self.assertEqual((bt["kinds"], bt["last_unread"], bt["last_unread_at"]),
                             ({"unreadable": 1}, "not JSON", "byte 1"))
            for absent in ("last_error", "last_error_time", "last_error_status", "last_unread"):
                self.assertNotIn(absent, lab)
            self.assertEqual(sum(status["latency"]["counts"]), 10 + 1 + 1 + 1 + 40 + 10 + 1)

    def test_where_refusals_are(self):
        with Node() as node:
            self.assertEqual(post(node, "/presence/hq", {"observations": 7}, TOKEN).status, 422)
            hq = get(node, "/v1/status").json()["endpoints"][0]
            self.assertEqual((hq["last_error_status"], hq["last_error"]), (422, "not this sender's shape"))
            self.assertRegex(hq["last_error_at"], r"apMac|observations|root")
            self.assertRegex(hq["last_error_time"], r"^20\d\d-\d\d-\d\dT")

    def test_a_body_that_could_not_be_kept_either(self):
        endpoints = ENDPOINTS + "[endpoint bt]\npath = /bt\nprovider = bt\nauth = none\n"
        with Node(endpoints=endpoints, rest="[ring]\nsize = 64K\n") as node:
            peer = Peer(socket.socket(socket.AF_UNIX))
            peer.sock.connect(node.socket)
            peer.send(b"PUT /v1/readers/one HTTP/1.1\r\nHost: l\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(peer.response().status, 201)
            peer.close()
            n = 0
            while post(node, "/bt", b"{nonsense %d" % n + b"x" * 20000).status == 200:
                n += 1
            bt = get(node, "/v1/status").json()["endpoints"][2]
            self.assertEqual((bt["last_unread"], bt["last_unread_at"], bt["last_error_status"]),
                             ("not JSON", "byte 1", 503))
            self.assertIn("held reader", bt["last_error"])
            self.assertNotIn("last_error_at", bt)

    def test_settings_and_reloads(self):
        rest = ("[privacy]\nmac = pseudonym\npersonal = drop\nkey = 0123456789abcdef0123\n"
                "[dedupe]\nmode = off\n[ring]\nsize = 64K\nfile = ${RING}\nsync = always\n")
        directory = tempfile.mkdtemp(prefix="rollcall-")
        try:
            with Node(rest=rest, server="max_connections = 77\n",
                      env={"RING": os.path.join(directory, "ring")}) as node:
                status = get(node, "/v1/status").json()
                self.assertEqual(status["privacy"], {"mac": "pseudonym", "personal": "drop"})
                self.assertEqual(status["dedupe"], {"mode": "off"})
                self.assertEqual((status["ring"]["file"], status["ring"]["sync"]), (True, "always"))
                self.assertEqual(status["disk"], {"failed": False})
                self.assertEqual(status["connections_max"], 77)
                self.assertEqual(status["host"], socket.gethostname())
                self.assertLessEqual(status["started"], status["now"])
                self.assertEqual(status["certificate"],
                                 {"refused": False, "expires": status["certificate_expires"]})
                self.assertEqual(status["reload"], {"ok": True, "count": 0, "failed": 0})
                with open(node.config, "a") as config:
                    config.write("nonsense = 1\n")  # of the last endpoint
                node.process.send_signal(signal.SIGHUP)
                node.wait_log("reload failed")
                self.assertEqual(get(node, "/v1/status").json()["reload"],
                                 {"ok": False, "count": 1, "failed": 1})
                self.check(*self.without_dedupe(node))
        finally:
            shutil.rmtree(directory)

    def without_dedupe(self, node):
        found, status = both(node)
        self.assertNotIn("rollcall_dedupe_ids", found)
        status["dedupe"].update(ids=0, evicted=0)
        return found, status

    def test_a_certificate_that_cannot_be_used(self):
        with tempfile.TemporaryDirectory() as directory, Node() as node:
            def refused():
                return get(node, "/v1/status").json()["certificate"]["refused"]

            own = os.path.join(directory, "cert.pem")
            shutil.copy(CERT, own)
            with open(node.config) as config:
                text = config.read().replace(CERT, own)
            with open(node.config, "w") as config:
                config.write(text)
            node.process.send_signal(signal.SIGHUP)
            node.wait_log("configuration reloaded")
            self.assertFalse(refused())
            with open(own, "w") as broken:
                broken.write("no certificate\n")
            node.wait_log("certificate files changed and cannot be used")
            self.assertTrue(refused())
            shutil.copy(CERT, own + ".new")
            os.rename(own + ".new", own)
            node.wait_log("certificate read again")
            self.assertFalse(refused())

    @unittest.skipUnless(os.environ.get("ROLLCALL_TEST_SHIM"), "no shim: a sanitizer is in front")
    def test_a_disk_that_fails(self):
        with tempfile.TemporaryDirectory() as directory:
            broken = os.path.join(directory, "broken")
            with Node(rest="[ring]\nsize = 64K\nfile = %s\nsync = always\n" % os.path.join(directory, "ring"),
                      env={"LD_PRELOAD": os.environ["ROLLCALL_TEST_SHIM"], "ROLLCALL_TEST_FAIL": broken}) as node:
                self.assertEqual(get(node, "/v1/status").json()["disk"], {"failed": False})
                open(broken, "w").close()
                self.assertEqual(post(node, "/presence/lab", {}).status, 503)
                status = get(node, "/v1/status").json()
                self.assertEqual((status["disk"], status["ready"]), ({"failed": True}, False))


if __name__ == "__main__":
    unittest.main()
