"""Every figure of /metrics: that it is there, that it is well-formed, and that it counts what it says."""
import os
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from metrics import Families
from node import *  # noqa: F403

# The outside contract: each family with the labels of its series.
CONTRACT = {
    "http_requests_total": {"endpoint", "code"}, "http_request_duration_seconds": set(),
    "events_total": {"endpoint", "kind"}, "events_duplicate_total": {"endpoint"},
    "events_rejected_total": {"endpoint", "reason"}, "events_late_total": {"endpoint"},
    "last_event_timestamp_seconds": {"endpoint"},
    "ring_bytes": set(), "ring_size_bytes": set(), "ring_events": set(), "ring_oldest_age_seconds": set(),
    "ring_accepted_total": set(), "ring_overwritten_total": set(),
    "dedupe_ids": set(), "dedupe_evicted_total": set(),
    "readers": set(), "reader_lag_events": {"reader"}, "reader_lost_total": set(),
    "tls_handshakes_total": {"resumed"}, "tls_handshake_failures_total": {"reason"},
    "connections": set(), "connections_accepted_total": set(), "connections_refused_total": {"reason"},
    "timeouts_total": set(), "loop_lag_seconds": set(), "ready": set(),
    "certificate_expiry_timestamp_seconds": set(),
    "config_reload_success": set(), "config_reload_failures_total": set(),
    "start_time_seconds": set(), "build_info": {"version"},
}
HTTP = "http_requests_total"
DURATION = "rollcall_http_request_duration_seconds"


def metrics(node):
    answer = get(node, "/metrics")
    assert answer.status == 200, answer
    return Families(answer.body.decode())


def put_reader(node, name):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    sock.connect(node.socket)
    peer = Peer(sock)
    peer.send(b"PUT /v1/readers/%s HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode())
    status = peer.response().status
    peer.close()
    return status


class Checker(unittest.TestCase):
    """The reader of the format refuses what is none."""

    HEAD = "# HELP a_total x\n# TYPE a_total counter\n"
    HISTOGRAM = "# HELP h x\n# TYPE h histogram\n"

    def test_good(self):
        self.assertEqual(Families(self.HEAD + 'a_total{l="q\\"\\\\"} 1\n').samples, {'a_total{l="q\\"\\\\"}': 1})
        Families(self.HISTOGRAM + 'h_bucket{le="0.1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n')

    def test_bad(self):
        for text in (
                "a_total 1\n",  # no TYPE
                "# TYPE a_total counter\na_total 1\n", self.HEAD + "a_total 1",
                self.HEAD + "a_total 1\na_total 2\n", self.HEAD + 'a_total{l="1"} 1\na_total{l="1"} 2\n',
                self.HEAD + 'a_total{l="q"q"} 1\n', self.HEAD + 'a_total{l="q\\x"} 1\n',
                self.HEAD + 'a_total{l="1",l="2"} 1\n', self.HEAD + "a_total  1\n", self.HEAD + "a_total one\n",
                self.HEAD + "a_total -1\n", self.HEAD + self.HEAD, self.HEAD + "b_total 1\n",
                self.HEAD + "# HELP b x\n# TYPE b gauge\nb 1\na_total 1\n",  # not contiguous
                "# HELP a x\n# TYPE a counter\n", "# HELP a_total x\n# TYPE a_total gauge\n",
                "# HELP a_total x\n# TYPE a_total summary\n", self.HEAD + "\n",
                self.HISTOGRAM + 'h_bucket{le="+Inf"} 2\nh_sum 3\nh_count 3\n',
                self.HISTOGRAM + 'h_bucket{le="1"} 2\nh_sum 3\nh_count 2\n',
                self.HISTOGRAM + 'h_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n',
                self.HISTOGRAM + 'h_bucket{le="2"} 1\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n',
                self.HISTOGRAM + 'h_bucket{le="+Inf"} 2\nh_count 2\n', self.HISTOGRAM):
            with self.assertRaises(AssertionError, msg=text):
                Families(text)


class Everything(unittest.TestCase):
    def test_each_family_is_there_with_its_labels(self):
        with Node(server="admin = 127.0.0.1:0\nmax_connections_per_ip = 4\n") as node:
            self.assertEqual(set(metrics(node).types), {"rollcall_" + name for name in CONTRACT})
            post(node, "/presence/lab", {})
            put_reader(node, "billing")
            with socket.create_connection(("127.0.0.1", node.port), DEADLINE) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while sock.recv(100):
                    pass
            found = metrics(node)
            for name, labels in CONTRACT.items():
                family = found.of["rollcall_" + name]
                self.assertTrue(family, name)
                for _, of, _ in family:
                    self.assertEqual(set(of) - {"le"}, labels, name)
            self.assertEqual(found.sum("rollcall_tls_handshake_failures_total", reason="http_request"), 1)

    def test_the_admin_listener_says_the_same(self):
        with Node(server="admin = 127.0.0.1:0\n") as node:
            post(node, "/presence/lab", {})
            port = int(re.search(r"msg=admin address=\S+:(\d+)", "\n".join(filter(None, node.log))).group(1))
            with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                found = Families(Peer(sock).response().body.decode())
            self.assertEqual(set(found.samples), set(metrics(node).samples))


class Durations(unittest.TestCase):
    def test_every_answer_is_counted_once(self):
        with Node(server="max_body_bytes = 1000\nheader_timeout = 300ms\n") as node:
            peer = Peer(tls(node.port))
            one = post_bytes("/presence/lab", b"{}")
            peer.send(one * 5)  # together
            for piece in (one[:30], one[30:-1], one[-1:] + one[:7], one[7:]):  # a request in pieces
                peer.send(piece)
            for _ in range(7):
                self.assertEqual(peer.response().status, 200)
            peer.send(post_bytes("/presence/hq", b"[]"))  # answered at its head
            self.assertEqual(peer.response().status, 401)
            peer.send(post_bytes("/nobodys", b"{}"))
            self.assertEqual(peer.response().status, 404)
            peer.send(one[:20])  # and no more
            self.assertEqual(peer.response().status, 408)
            peer.close()
            self.assertEqual(post(node, "/presence/lab", b"x" * 1001).status, 413)
            chunked = Peer(tls(node.port))
            chunked.send(b"POST /presence/lab HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunked.send(b"3e9\r\n" + b" " * 1001 + b"\r\n0\r\n\r\n")
            self.assertEqual(chunked.response().status, 413)
            chunked.close()
            bad = Peer(tls(node.port))
            bad.send(b"nonsense\r\n\r\n")
            self.assertEqual(bad.response().status, 400)
            bad.close()
            found = metrics(node)
            for endpoint, code, count in (("lab", 200, 7), ("hq", 401, 1), ("", 404, 1), ("", 408, 1),
                                          ("lab", 413, 1), ("", 400, 1)):
                self.assertEqual(found.sum("rollcall_" + HTTP, endpoint=endpoint, code=str(code)), count,
                                 (endpoint, code, found.samples))
            self.assertEqual(found.sum("rollcall_" + HTTP), 13)
            self.assertEqual(found.samples[DURATION + "_count"], 13)

    def test_from_the_first_byte(self):
        with Node() as node:
            slow = Peer(tls(node.port))
            one = post_bytes("/presence/lab", b"{}")
            slow.send(one[:-1])
            post(node, "/presence/lab", {})  # behind it: the beginning was read
            begun = time.monotonic()
            before = metrics(node).samples
            while time.monotonic() < begun + 0.25:
                time.sleep(0.05)
            slow.send(one[-1:] + one)  # the second came whole with this read
            for _ in range(2):
                self.assertEqual(slow.response().status, 200)
            end = time.monotonic()
            slow.close()
            found = metrics(node).samples
            took = found[DURATION + "_sum"] - before[DURATION + "_sum"]
            self.assertEqual(found[DURATION + "_count"] - before[DURATION + "_count"], 2)
            self.assertGreater(took, 0.25)
            # Each from its own first byte: the second is not charged for the first one's wait.
            key = DURATION + '_bucket{le="0.2048"}'
            if end - begun < 0.4:  # as far as this machine lets us tell
                self.assertEqual(found[key] - before[key], 1)

    def test_a_request_answered_at_its_head_ends_with_its_body(self):
        with Node() as node:
            peer = Peer(tls(node.port))
            refused = post_bytes("/presence/hq", b"x" * 100)
            peer.send(refused[:-50])
            self.assertEqual(peer.response().status, 401)
            begun = time.monotonic()
            while time.monotonic() < begun + 0.25:
                time.sleep(0.05)
            before = metrics(node).samples
            sent = time.monotonic()
            peer.send(refused[-50:] + post_bytes("/presence/lab", b"{}"))
            self.assertEqual(peer.response().status, 200)
            took = time.monotonic() - sent
            peer.close()
            found = metrics(node).samples
            self.assertEqual(found[DURATION + "_count"] - before[DURATION + "_count"], 1)
            # The wait was the refused one's. (A turn may have begun a little before we sent.)
            self.assertLess(found[DURATION + "_sum"] - before[DURATION + "_sum"], took + 0.25)

    def test_answers_that_nobody_takes(self):
        """The rest of a write that the socket did not take counts when it has."""
        count = 40000
        with Node() as node:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.settimeout(DEADLINE)
            raw.connect(("127.0.0.1", node.port))
            sock = tls(node.port, tcp=raw)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)
            counts = [0, 1]
            while counts[-1] != counts[-2] or counts[-1] == 0:  # until it has to wait for us
                time.sleep(0.05)
                counts.append(metrics(node).samples[DURATION + "_count"])
            self.assertLess(counts[-1], count)
            peer = Peer(sock)
            for _ in range(count):
                self.assertEqual(peer.response().status, 404)
            peer.close()
            self.assertEqual(metrics(node).samples[DURATION + "_count"], count)

    def test_answers_that_wait_for_the_disk(self):
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory)
        ring = "[ring]\nsize = 64K\nfile = %s/ring\nsync = always\n" % directory
        with Node(rest=ring) as node:
            peer = Peer(tls(node.port))
            for n in range(20):
                peer.send(post_bytes("/presence/lab", b"{}") * 2)
                for _ in range(2):
                    self.assertEqual(peer.response().status, 200)
            peer.close()
            self.assertEqual(metrics(node).samples[DURATION + "_count"], 40)


class Loop(unittest.TestCase):
    def wait(self, node, lag):
        deadline = time.monotonic() + DEADLINE
        while metrics(node).samples["rollcall_loop_lag_seconds"] < lag:
            self.assertLess(time.monotonic(), deadline, metrics(node).samples)
            time.sleep(0.05)

    def test_a_loop_that_is_held_up(self):
        with Node() as node:
            self.wait(node, 1e-6)  # its timer has fired
            node.process.send_signal(signal.SIGSTOP)
            stopped = time.monotonic()
            while time.monotonic() < stopped + 0.8:  # it is due every 250 ms
                time.sleep(0.05)
            node.process.send_signal(signal.SIGCONT)
            self.wait(node, 0.5)


class Events(unittest.TestCase):
    def observation(self, seconds_ago):
        return [{"apMac": "3a1e6d8c785c", "observations": [
            {"clientMac": "dcac3da506b4", "seenEpoch": int((time.time() - seconds_ago) * 1000)}]}]

    def test_late_ones(self):
        with Node() as node:
            for ago in (0, 240, 310, 90000):
                post(node, "/presence/hq", self.observation(ago), TOKEN)
            repeat = self.observation(5000)
            for _ in range(3):  # a repeat is no event, late or not
                post(node, "/presence/hq", repeat, TOKEN)
            post(node, "/presence/lab", {})  # has no time of its own
            found = metrics(node)
            self.assertEqual(found.sum("rollcall_events_late_total", endpoint="hq"), 3)
            self.assertEqual(found.sum("rollcall_events_late_total", endpoint="lab"), 0)
            self.assertEqual(found.sum("rollcall_events_duplicate_total", endpoint="hq"), 2)
            last = found.sum("rollcall_last_event_timestamp_seconds", endpoint="hq")
            self.assertLess(abs(time.time() - last), DEADLINE)

    def test_a_kind_called_other_is_no_second_series(self):
        with Node(endpoints="[endpoint m]\npath = /m\nprovider = mist\nauth = none\n") as node:
            for n, topic in enumerate(("other", "l" * 65, "other", "audits")):
                post(node, "/m", {"topic": topic, "events": [{"n": n}]})
            found = metrics(node)
            self.assertEqual(found.sum("rollcall_events_total", kind="other"), 3)
            self.assertEqual(found.sum("rollcall_events_total"), 4)


class Readers(unittest.TestCase):
    def test_lost_and_lag(self):
        with Node(rest="[ring]\nsize = 64K\n") as node:
            post(node, "/presence/lab", {})
            first = events(node)[0]["seq"]
            ring = get(node, "/v1/status").json()["ring"]["id"]
            peer = Peer(tls(node.port))
            for n in range(300):
                peer.send(post_bytes("/presence/lab", b'{"fill":"%s"}' % (b"x" * 400)))
                self.assertEqual(peer.response().status, 200)
            self.assertEqual(metrics(node).samples["rollcall_reader_lost_total"], 0)
            answer = get(node, "/v1/events?follow=0&after=%s-%d" % (ring, first))
            lost = json.loads(answer.body.splitlines()[0])["gap"]["lost"]
            self.assertGreater(lost, 0)
            self.assertEqual(metrics(node).samples["rollcall_reader_lost_total"], lost)
            self.assertEqual(put_reader(node, "billing"), 201)
            self.assertEqual(metrics(node).sum("rollcall_reader_lag_events", reader="billing"), 0)
            for _ in range(3):
                peer.send(post_bytes("/presence/lab", b"{}"))
                self.assertEqual(peer.response().status, 200)
            self.assertEqual(metrics(node).sum("rollcall_reader_lag_events", reader="billing"), 3)
            peer.close()


class Connections(unittest.TestCase):
    def refused(self, node, reason):
        return metrics(node).sum("rollcall_connections_refused_total", reason=reason)

    def test_why_they_are_refused(self):
        for server, reason in (("max_connections_per_ip = 2\n", "address"), ("max_connections = 2\n", "limit")):
            with Node(server=server) as node:
                held = [socket.create_connection(("127.0.0.1", node.port), DEADLINE) for _ in range(5)]
                for sock in held[2:]:
                    self.assertEqual(sock.recv(1), b"")
                self.assertEqual(self.refused(node, reason), 3)
                self.assertEqual(metrics(node).sum("rollcall_connections_refused_total"), 3)
                for sock in held:
                    sock.close()

    def test_why_handshakes_fail(self):
        with Node(server="header_timeout = 300ms\n") as node:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
            with socket.create_connection(("127.0.0.1", node.port), DEADLINE) as sock:
                with self.assertRaises(ssl.SSLError):
                    context.wrap_socket(sock, server_hostname="localhost")
            # One that only looks whether the port is open has not begun a handshake.
            socket.create_connection(("127.0.0.1", node.port), DEADLINE).close()
            cut = socket.create_connection(("127.0.0.1", node.port), DEADLINE)
            cut.sendall(b"\x16\x03\x01\x02\x00")
            slow = socket.create_connection(("127.0.0.1", node.port), DEADLINE)
            slow.sendall(b"\x16\x03\x01\x02\x00")
            cut.close()
            self.assertEqual(slow.recv(1), b"")
            slow.close()
            deadline = time.monotonic() + DEADLINE
            family = "rollcall_tls_handshake_failures_total"
            while metrics(node).sum(family) < 3:
                self.assertLess(time.monotonic(), deadline, metrics(node).samples)
            found = metrics(node)
            self.assertGreaterEqual(found.sum(family, reason="timeout"), 1)
            self.assertEqual(found.sum(family), 3, found.samples)
            self.assertEqual(len(found.of[family]), len({of["reason"] for _, of, _ in found.of[family]}))
            # The third is in the TLS library's words.
            self.assertTrue({of["reason"] for _, of, _ in found.of[family]} - {"timeout", "closed"})


class Operating(unittest.TestCase):
    def test_ready_and_reloads(self):
        with Node(server="drain_timeout = 10m\n") as node:
            found = metrics(node).samples
            self.assertEqual((found["rollcall_ready"], found["rollcall_config_reload_success"]), (1, 1))
            with open(node.config, "a") as out:
                out.write("nonsense = yes\n")
            node.process.send_signal(signal.SIGHUP)
            node.wait_log("level=error")
            found = metrics(node).samples
            self.assertEqual(found["rollcall_config_reload_success"], 0)
            self.assertEqual(found["rollcall_config_reload_failures_total"], 1)
            busy = Peer(tls(node.port))
            busy.send(post_bytes("/presence/lab", b"{}")[:-1])
            post(node, "/presence/lab", {})
            node.process.send_signal(signal.SIGTERM)
            node.wait_log("msg=draining")
            self.assertEqual(metrics(node).samples["rollcall_ready"], 0)
            busy.send(b"}")
            self.assertEqual(busy.response().status, 200)
            busy.close()


class Packaged(unittest.TestCase):
    """The dashboard and the alert rules ask for what is there."""

    NAME = re.compile(r"\brollcall_[a-z_]+")

    def setUp(self):
        with open("packaging/grafana/rollcall.json") as dashboard:
            self.dashboard = json.load(dashboard)
        with open("packaging/prometheus/rollcall.rules.yml") as rules:
            self.rules = rules.read()

    def panels(self):
        return [panel for panel in self.dashboard["panels"] if panel["type"] != "row"]

    def test_every_name_is_there(self):
        with Node() as node:
            types = metrics(node).types
        series = set(types) | {name + suffix for name, sort in types.items() if sort == "histogram"
                               for suffix in ("_bucket", "_sum", "_count")}
        shown = self.NAME.findall(json.dumps(self.dashboard))
        watched = self.NAME.findall(self.rules)
        self.assertLess(30, len(shown))
        self.assertLess(15, len(watched))
        self.assertEqual(set(shown) - series, set())
        self.assertEqual(set(watched) - series, set())
        # Nothing is counted that nobody can see.
        unseen = {name for name in types if not any(s.startswith(name) for s in shown)}
        self.assertEqual(unseen - {"rollcall_config_reload_failures_total"}, set())

    def test_every_label_is_there(self):
        labels = set().union(*CONTRACT.values()) | {"le", "instance", "job"}
        for text in (self.rules, *(target["expr"] for panel in self.panels() for target in panel["targets"])):
            for group in re.findall(r"(?:by|on|without) \(([^)]*)\)|\{([^{}]*)\}", text):
                for part in ",".join(group).split(","):
                    label = re.split(r"=~|!=|=|:", part.strip())[0]
                    if label and "$labels" not in label and "$value" not in label:
                        self.assertIn(label.strip(), labels | {"severity"}, part)

    def test_the_dashboard_holds_together(self):
        source = {"type": "prometheus", "uid": "${datasource}"}
        variables = {v["name"]: v for v in self.dashboard["templating"]["list"]}
        self.assertEqual(variables["datasource"]["type"], "datasource")
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(set(ids)), len(ids))
        cells = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                self.assertNotIn(cell, cells, panel["title"])
                self.assertLess(cell[0], 24, panel["title"])
                cells.add(cell)
        for panel in self.panels():
            self.assertEqual(panel["datasource"], source, panel["title"])
            refs = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(set(refs)), len(refs), panel["title"])
            for target in panel["targets"]:
                self.assertEqual(target["datasource"], source, panel["title"])
                self.assertIn('instance=~"$instance"', target["expr"], panel["title"])


if __name__ == "__main__":
    unittest.main()
