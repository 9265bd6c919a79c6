"""The admin listener: the page's parts, the events as a stream over TCP, and who gets none of it."""
import base64
import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from node import DEADLINE, ROLLCALLD, Node, Peer, post, post_bytes, tls

ADMIN = "admin = 127.0.0.1:0\n"
CSP = ("default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
       "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def port_of(node):
    return int(re.search(r"msg=admin address=\S+:(\d+)", "\n".join(filter(None, node.log))).group(1))


def ask(node, target, method="GET", headers=(), host=None):
    """Status, header fields in lower case, body."""
    conn = http.client.HTTPConnection("127.0.0.1", port_of(node), timeout=DEADLINE)
    conn.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    conn.putheader("Host", host or "127.0.0.1:%d" % port_of(node))
    for name, value in dict(headers).items():
        conn.putheader(name, value)
    conn.endheaders()
    answer = conn.getresponse()
    body = answer.read()
    conn.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def ask_past_the_others(node, target):
    """The same where others' connections may still be on their way out: too many are refused."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return ask(node, target)
        except (ConnectionError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise


def connect(node):
    return Peer(socket.create_connection(("127.0.0.1", port_of(node)), DEADLINE))


def stream(node, query="", headers=""):
    """A peer that has the head of a stream."""
    peer = connect(node)
    peer.send(("GET /v1/events?%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (query, headers)).encode())
    head = peer.until(b"\r\n\r\n").decode()
    assert head.startswith("HTTP/1.1 200"), head
    peer.head = head
    return peer


def lines_of(peer):
    """The parsed lines of a stream of them."""
    rest = b""
    for chunk in peer.chunks():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, whole)


class Parts(unittest.TestCase):
    def test_every_part_of_the_page(self):
        root = os.path.join(os.path.dirname(__file__), "..", "..", "src", "page")
        types = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        with Node(server=ADMIN) as node:
            for name in sorted(set(os.listdir(root)) - {"package.json"}):  # that is for `node --test`
                path = "/" if name == "index.html" else "/" + name
                with open(os.path.join(root, name), "rb") as source:
                    wanted = source.read()
                status, headers, body = ask(node, path)
                self.assertEqual((status, body), (200, wanted), name)
                self.assertTrue(headers["content-type"].startswith(types[name.rsplit(".", 1)[1]]), headers)
                self.assertEqual(headers["content-security-policy"], CSP)
                self.assertEqual(headers["cache-control"], "no-cache")
                packed = ask(node, path, headers={"Accept-Encoding": "br, gzip;q=0.8"})
                self.assertEqual(packed[1]["content-encoding"], "gzip")
                self.assertEqual(gzip.decompress(packed[2]), wanted)
                self.assertNotEqual(packed[1]["etag"], headers["etag"])
                for field in ("gzip;q=0", "gzip; q=0.0", "br", "xgzip"):
                    self.assertNotIn("content-encoding", ask(node, path, headers={"Accept-Encoding": field})[1], field)
                self.assertEqual(ask(node, path, "HEAD")[0::2], (200, b""))
                again = ask(node, path, headers={"If-None-Match": 'W/"x", ' + headers["etag"]})
                self.assertEqual(again[0::2], (304, b""))
                self.assertEqual(again[1]["etag"], headers["etag"])
                self.assertEqual(ask(node, path, headers={"If-None-Match": "*"})[0], 304)
                self.assertEqual(ask(node, path, headers={"If-None-Match": '"x"'})[0], 200)

    def test_what_every_answer_says(self):
        with Node(server=ADMIN) as node:
            for path in ("/", "/metrics", "/v1/status", "/v1/events?follow=0", "/nothing"):
                headers = ask(node, path)[1]
                self.assertEqual(headers["content-security-policy"], CSP, path)
                self.assertEqual(headers["cross-origin-resource-policy"], "same-origin", path)
                self.assertEqual(headers["x-content-type-options"], "nosniff", path)
                self.assertEqual(headers["referrer-policy"], "no-referrer", path)
                self.assertNotIn("access-control-allow-origin", headers, path)

    def test_only_get_and_head(self):
        with Node(server=ADMIN) as node:
            for path in ("/", "/metrics", "/v1/events", "/v1/readers/x"):
                for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
                    status, headers, _ = ask(node, path, method)
                    self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"), (method, path))

    def test_the_page_is_not_on_the_socket(self):
        with Node(server=ADMIN) as node:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(DEADLINE)
                sock.connect(node.socket)
                sock.sendall(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
                self.assertEqual(Peer(sock).response().status, 404)


class Who(unittest.TestCase):
    def test_names_of_loopback_only(self):
        with Node(server=ADMIN) as node:
            for host in ("localhost", "LocalHost:9464", "127.0.0.1", "127.9.8.7:1", "[::1]", "[::1]:9464"):
                self.assertEqual(ask(node, "/v1/status", host=host)[0], 200, host)
            for host in ("rebound.example", "127.0.0.1.example", "128.0.0.1", "localhost.example", "[::2]",
                         "127.0.0.1x:1", "localhosts"):
                status, _, body = ask(node, "/v1/status", host=host)
                self.assertEqual(status, 421, host)
                self.assertIn(b"admin_secret", body)
                self.assertEqual(ask(node, "/metrics", host=host)[0], 200, host)
            peer = connect(node)
            peer.send(b"GET /v1/status HTTP/1.0\r\n\r\n")  # who has no name cannot be misled by one
            self.assertEqual(peer.response().status, 200)
            peer.close()

    def test_one_host_exactly(self):
        with Node(server=ADMIN) as node:
            for fields, status in ((b"", 400), (b"Host: localhost\r\nHost: rebound.example\r\n", 400),
                                   (b"Host: localhost.\r\n", 421), (b"Host: 127.1\r\n", 421),
                                   (b"Host: 2130706433\r\n", 421), (b"Host: [::ffff:127.0.0.1]\r\n", 421)):
                peer = connect(node)
                peer.send(b"GET /v1/status HTTP/1.1\r\n" + fields + b"\r\n")
                self.assertEqual(peer.response().status, status, fields)
                peer.close()

    def test_pages_of_other_sites(self):
        with Node(server=ADMIN) as node:
            for site in ("cross-site", "same-site", "anything"):
                for path in ("/v1/events", "/v1/status", "/metrics", "/page.js", "/"):
                    status = ask(node, path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})[0]
                    self.assertEqual(status, 403, (site, path))
                lead = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
                self.assertEqual(ask(node, "/", headers=lead)[0], 200)
                self.assertEqual(ask(node, "/v1/status", headers=lead)[0], 403)
            for site in ("same-origin", "none"):
                self.assertEqual(ask(node, "/v1/status", headers={"Sec-Fetch-Site": site})[0], 200)

    def test_a_secret(self):
        def basic(text):
            return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
        server = ADMIN + "admin_secret = open:sesame\nadmin_secret = second\n"
        with Node(server=server) as node:
            for path in ("/", "/metrics", "/v1/status", "/v1/events?follow=0", "/nothing"):
                for headers in ({}, basic("x:wrong"), basic("open"), basic("open:sesame"), {"Authorization": "Basic ???"},
                                {"Authorization": "Bearer open:sesam"}, {"Authorization": "open:sesame"},
                                {"Authorization": "Bearer "}, {"Authorization": "Basic "}):
                    status, answer, _ = ask(node, path, headers=headers)
                    self.assertEqual(status, 401, (path, headers))
                    self.assertEqual(answer["www-authenticate"], 'Basic realm="rollcall", charset="UTF-8"')
            # A script's request would wait for as long as the browser asks its user.
            script = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
            for headers in (script, {**script, **basic("x:wrong")}):
                status, answer, _ = ask(node, "/v1/status", headers=headers)
                self.assertEqual((status, answer["www-authenticate"]), (401, 'Bearer realm="rollcall"'))
            for headers in (basic("anyone:open:sesame"), basic(":second"), {"Authorization": "bearer second"}):
                self.assertEqual(ask(node, "/v1/status", headers=headers, host="node.example")[0], 200, headers)
            for path in ("/livez", "/readyz"):
                self.assertEqual(ask(node, path)[0], 200)
            node.wait_log('msg="admin request refused" status=401')
            self.assertLess(sum("admin request refused" in line for line in filter(None, node.log)), 25)
            self.assertFalse(any("sesam" in line for line in filter(None, node.log)))

    def test_a_secret_changes_by_reload(self):
        with Node(server=ADMIN + "admin_secret = first\n") as node:
            bearer = lambda text: {"Authorization": "Bearer " + text}
            self.assertEqual(ask(node, "/", headers=bearer("first"))[0], 200)
            with open(node.config) as file:
                text = file.read()
            with open(node.config, "w") as file:
                file.write(text.replace("admin_secret = first", "admin_secret = other"))
            node.process.send_signal(signal.SIGHUP)
            node.wait_log("configuration reloaded")
            self.assertEqual(ask(node, "/", headers=bearer("first"))[0], 401)
            self.assertEqual(ask(node, "/", headers=bearer("other"))[0], 200)

    def test_a_stream_ends_with_its_secret(self):
        with Node(server=ADMIN + "admin_secret = first\n") as node:
            def reload(secrets, count):
                with open(node.config) as file:
                    text = re.sub(r"(admin_secret = \w+\n)+",
                                  "".join("admin_secret = %s\n" % s for s in secrets), file.read())
                with open(node.config, "w") as file:
                    file.write(text)
                node.process.send_signal(signal.SIGHUP)
                with node.changed:
                    self.assertTrue(node.changed.wait_for(lambda: sum(
                        "configuration reloaded" in line for line in node.log) == count, DEADLINE))
            first = stream(node, headers="Authorization: Bearer first\r\n")
            reload(["first", "second"], 1)
            second = stream(node, headers="Authorization: Bearer second\r\n")
            post(node, "/presence/lab", {"n": 1})
            lines = lines_of(first)
            self.assertEqual(next(lines)["data"], {"n": 1})  # a secret more changes nothing
            reload(["second"], 2)
            self.assertRaises((EOFError, ConnectionError), next, lines)
            again = stream(node, headers="Authorization: Bearer second\r\n")
            post(node, "/presence/lab", {"n": 2})
            self.assertEqual(next(lines_of(again))["data"], {"n": 2})
            for peer in (first, second, again):
                peer.close()

    def test_a_reload_with_a_mistake_leaves_the_secret(self):
        with Node(server=ADMIN + "admin_secret = first\n") as node:
            with open(node.config) as file:
                text = file.read()
            with open(node.config, "w") as file:
                file.write(text.replace("admin_secret = first", "admin_secret = other\nno_such_key = 1"))
            node.process.send_signal(signal.SIGHUP)
            node.wait_log("no_such_key")
            self.assertEqual(ask(node, "/", headers={"Authorization": "Bearer first"})[0], 200)
            self.assertEqual(ask(node, "/", headers={"Authorization": "Bearer other"})[0], 401)

    def test_a_secret_from_a_file_and_eight_at_most(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "secret")
            with open(path, "w") as file:
                file.write("from-file\n")
            seven = "".join("admin_secret = s%d\n" % n for n in range(7))
            with Node(server=ADMIN + seven + "admin_secret_file = %s\n" % path) as node:
                for secret in ("s0", "s6", "from-file"):
                    self.assertEqual(ask(node, "/", headers={"Authorization": "Bearer " + secret})[0], 200)
                dumped = subprocess.run([ROLLCALLD, "--config", node.config, "--dump-config"],
                                        capture_output=True, text=True, timeout=DEADLINE).stdout
                self.assertIn("admin_secret", dumped)
                for secret in ("s0", "s6", "from-file"):
                    self.assertNotRegex(dumped, r"\b%s\b" % secret)
            node = Node(server=ADMIN + seven + "admin_secret = s7\nadmin_secret = s8\n", wait=False)
            self.assertEqual(node.process.wait(DEADLINE), 2)
            node.stop()
            self.assertTrue(any(line and "more than 8 secrets" in line for line in node.log), node.log)
            shutil.rmtree(node.directory)

    def test_beyond_loopback_only_with_a_secret(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0"):
            node = Node(server="admin = %s\n" % address, wait=False)
            self.assertEqual(node.process.wait(DEADLINE), 2)
            node.stop()
            with open(node.config) as file:
                number = file.read().split("\n").index("admin = " + address) + 1
            where = "%s:%d: " % (node.config, number)  # the mistake is told with its place
            self.assertTrue(any(line and where in line and "admin_secret_file" in line for line in node.log),
                            node.log)
            shutil.rmtree(node.directory)
        with Node(server="admin = 0.0.0.0:0\nadmin_secret = s\n") as node:
            self.assertEqual(ask(node, "/")[0], 401)


class Stream(unittest.TestCase):
    def test_events_as_a_browser_reads_them(self):
        with Node(server=ADMIN) as node:
            peer = stream(node, "from=oldest&heartbeat=1", "Accept: text/event-stream\r\n")
            self.assertIn("Content-Security-Policy: " + CSP, peer.head)
            post(node, "/presence/lab", {"n": 1})
            chunks = peer.chunks()
            text = next(chunks)
            while b"\n\n" not in text:
                text += next(chunks)
            cursor = re.search(rb"id: (\S+)", text).group(1).decode()
            self.assertIn(b'"data":{"n":1}', text)
            peer.close()
            post(node, "/presence/lab", {"n": 2})
            # The same address again, as EventSource comes back.
            peer = stream(node, "from=oldest&heartbeat=1",
                          "Accept: text/event-stream\r\nLast-Event-ID: %s\r\n" % cursor)
            text = next(peer.chunks())
            self.assertIn(b'"data":{"n":2}', text)
            self.assertNotIn(b'"data":{"n":1}', text)
            peer.close()

    def test_after_a_restart_the_gap_is_said(self):
        with Node(server=ADMIN) as node:
            post(node, "/presence/lab", {"n": 1})
            text = ask(node, "/v1/events?from=oldest&follow=0", headers={"Accept": "text/event-stream"})[2]
            cursor = re.search(rb"id: (\S+)", text).group(1).decode()
            for kill in (signal.SIGTERM, signal.SIGKILL):
                node.stop(kill)
                with Node(server=ADMIN, directory=node.directory) as again:
                    post(again, "/presence/lab", {"n": 2})
                    peer = stream(again, "from=oldest",
                                  "Accept: text/event-stream\r\nLast-Event-ID: %s\r\n" % cursor)
                    chunks = peer.chunks()
                    text = next(chunks)
                    while b'"n":2' not in text:
                        text += next(chunks)
                    self.assertLess(text.index(b'"reason":"restart"'), text.index(b'"n":2'))
                    peer.close()

    def test_who_does_not_read_is_told_and_costs_nobody(self):
        with Node(server=ADMIN, rest="[ring]\nsize = 1M\n") as node:
            peer = stream(node, "from=oldest")
            body = {"text": "x" * 60000}
            for _ in range(200):  # 12 MB: more than the kernel takes for a reader, and the ring twelve times over
                self.assertEqual(post(node, "/presence/lab", body).status, 200)
            last, gaps = 0, 0
            lines = lines_of(peer)
            while last < 200:
                line = next(lines)
                if "gap" in line:
                    gap, gaps = line["gap"], gaps + 1
                    self.assertEqual(gap["reason"], "overrun")
                    self.assertEqual(int(gap["next"].split("-")[1]), last + gap["lost"] + 1)
                    last += gap["lost"]
                else:
                    last += 1
                    self.assertEqual(line["seq"], last)
            self.assertGreater(gaps, 0)
            peer.close()

    def test_a_stream_ends_with_its_peer(self):
        with Node(server=ADMIN) as node:
            fds = node.fds()
            gone, half = stream(node), stream(node)
            gone.close()
            half.sock.shutdown(socket.SHUT_WR)
            self.assertTrue(half.is_closed())
            half.close()
            node.wait_fds(fds)

    def test_an_answer_for_who_has_shut_down_its_side(self):
        with Node(server=ADMIN) as node:
            peer = connect(node)
            peer.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            peer.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(peer.response().status, 200)
            self.assertTrue(peer.is_closed())
            peer.close()

    def test_a_drain_ends_streams_and_answers_the_rest(self):
        with Node(server=ADMIN + "drain_timeout = 10m\n") as node:
            peer = stream(node, "from=oldest")
            kept = connect(node)
            kept.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(kept.response().status, 200)
            post(node, "/presence/lab", {"n": 1})
            node.process.send_signal(signal.SIGTERM)
            self.assertIn(b'"n":1', b"".join(peer.chunks()))
            peer.close()
            kept.close()
            self.assertEqual(node.process.wait(DEADLINE), 0)

    def test_a_drain_waits_for_nobody_who_has_all(self):
        """Behind when the drain begins, and a browser keeps its connection for the next request."""
        with Node(server=ADMIN + "drain_timeout = 10m\nheader_timeout = 10m\n") as node:
            for _ in range(100):  # more than the kernel takes for a reader
                self.assertEqual(post(node, "/presence/lab", {"text": "x" * 60000}).status, 200)
            peer = stream(node, "from=oldest")
            node.process.send_signal(signal.SIGTERM)
            node.wait_log("msg=draining")
            self.assertEqual(b"".join(peer.chunks()).count(b"\n"), 100)
            self.assertEqual(node.process.wait(DEADLINE), 0)
            peer.close()

    def test_a_drain_ends_with_who_does_not_read(self):
        with Node(server=ADMIN + "drain_timeout = 300ms\nheader_timeout = 10m\n") as node:
            for _ in range(100):
                post(node, "/presence/lab", {"text": "x" * 60000})
            peer = stream(node, "from=oldest")
            node.process.send_signal(signal.SIGTERM)
            self.assertEqual(node.process.wait(DEADLINE), 0)
            peer.close()

    def test_what_a_drain_answers(self):
        with Node(server=ADMIN + "drain_timeout = 10m\nheader_timeout = 10m\n") as node:
            post(node, "/presence/lab", {"n": 1})
            kept = connect(node)
            kept.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(kept.response().status, 200)
            busy = Peer(tls(node.port))
            busy.send(post_bytes("/presence/lab", b"{}")[:-1])
            post(node, "/presence/lab", {"n": 2})  # behind it: the half request was read
            node.process.send_signal(signal.SIGTERM)
            node.wait_log("msg=draining")
            kept.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(kept.response().status, 503)
            self.assertEqual(ask(node, "/")[0], 200)
            peer = stream(node, "from=oldest")  # whoever comes now gets what is still to come, too
            busy.send(b"}")
            self.assertEqual(busy.response().status, 200)
            busy.close()
            self.assertEqual(len(list(lines_of(peer))), 3)
            self.assertEqual(node.process.wait(DEADLINE), 0)  # kept or not
            peer.close()
            kept.close()

    def test_answers_that_nobody_takes_have_a_deadline(self):
        with Node(server=ADMIN + "header_timeout = 300ms\n") as node:
            fds = node.fds()
            peer = connect(node)
            peer.send(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 700)  # 10 MB and more, not read
            deadline = time.monotonic() + DEADLINE
            while node.fds() == fds:  # not accepted yet
                self.assertLess(time.monotonic(), deadline)
            node.wait_fds(fds)
            peer.close()

    def test_an_answer_has_a_deadline_of_its_own(self):
        """Not what the silence before its request has left of one, nor less for who sends no more."""
        size, timeout_s = 4 << 20, 3
        with Node(server=ADMIN + "header_timeout = %ds\n" % timeout_s) as node:
            self.assertEqual(post(node, "/presence/lab", {"text": "x" * size}).status, 200)
            peers = []
            for _ in range(2):
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                sock.settimeout(DEADLINE)
                sock.connect(("127.0.0.1", port_of(node)))
                peers.append(Peer(sock))
            time.sleep(timeout_s * 0.6)
            for peer in peers:
                peer.send(b"GET /v1/events?from=oldest&limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertEqual(peer.until(b" 200 OK"), b"HTTP/1.1")
            peers[1].sock.shutdown(socket.SHUT_WR)
            time.sleep(timeout_s * 0.6)
            for peer in peers:
                peer.until(b"\r\n\r\n")
                try:
                    self.assertGreater(sum(map(len, peer.chunks())), size)
                except EOFError:
                    self.fail("cut off behind %d bytes" % len(peer.buffer))
                peer.close()

    def test_requests_ahead_of_their_answers_have_a_bound(self):
        with Node(server=ADMIN + "header_timeout = 10m\n") as node:
            fds = node.fds()
            peer = connect(node)
            with self.assertRaises(OSError):  # cut: no deadline was near
                for _ in range(100):
                    peer.send(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 700)
            peer.close()
            node.wait_fds(fds)

    def test_the_head_of_a_stream(self):
        with Node(server=ADMIN) as node:
            post(node, "/presence/lab", {"n": 1})
            for accept, sort in (("text/event-stream", "text/event-stream"),
                                 ("application/cloudevents+json", "application/cloudevents+json"),
                                 ("*/*", "application/x-ndjson")):
                for method, size in (("HEAD", 0), ("GET", 1)):
                    status, headers, body = ask(node, "/v1/events?from=oldest&follow=0", method,
                                                {"Accept": accept})
                    self.assertEqual((status, headers["cache-control"]), (200, "no-store"))
                    self.assertTrue(headers["content-type"].startswith(sort), headers)
                    self.assertEqual(body.count(b'"n":1'), size, (accept, method))
            old = connect(node)
            old.send(b"GET /v1/events?from=oldest&follow=0 HTTP/1.0\r\n\r\n")
            answer = old.response()
            self.assertNotIn("transfer-encoding", answer.headers)
            self.assertEqual(answer.body.count(b"\n"), 1)
            old.close()
            for query in ("from=never", "after=x", "heartbeat=x", "reader=nobody"):
                self.assertIn(ask(node, "/v1/events?" + query)[0], (400, 404), query)

    def test_one_connection_for_several_requests(self):
        with Node(server=ADMIN) as node:
            peer = connect(node)
            peer.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
            for _ in range(3):
                self.assertEqual(peer.response().body, b"ok\n")
            peer.close()

    def test_browsers_take_no_place_from_programs(self):
        with Node(server=ADMIN) as node:
            streams = [stream(node) for _ in range(64)]
            one_more = connect(node)
            self.assertTrue(one_more.is_closed())
            one_more.close()
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(DEADLINE)
                sock.connect(node.socket)
                sock.sendall(b"GET /v1/status HTTP/1.1\r\nHost: node\r\n\r\n")
                self.assertEqual(Peer(sock).response().json()["readers"], 1)
            for peer in streams:
                peer.close()

    def test_many_that_come_and_go(self):
        with Node(server=ADMIN) as node:
            fds = node.fds()
            linger = b"\x01\0\0\0\0\0\0\0"  # closed by RST
            for i in range(1000):
                sock = socket.create_connection(("127.0.0.1", port_of(node)), DEADLINE)
                if i % 2:
                    sock.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if i % 3 == 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                if i % 100 == 0:
                    post(node, "/presence/lab", {"i": i})
                sock.close()
            self.assertEqual(ask_past_the_others(node, "/livez")[0], 200)
            node.wait_fds(fds + 1)

    def test_slow_heads_have_a_deadline(self):
        with Node(server=ADMIN + "header_timeout = 300ms\n") as node:
            peer = connect(node)
            peer.send(b"GET / HTTP/1.1\r\n")
            self.assertEqual(peer.response().status, 408)
            peer.close()
            idle = connect(node)
            self.assertTrue(idle.is_closed())
            idle.close()


if __name__ == "__main__":
    unittest.main()
