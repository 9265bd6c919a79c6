"""The admin listener: the page's parts, the events as a stream over TCP, and who gets none of it."""
import base64
import gzip
import http.client
import os
import re
import signal
import socket
import unittest

from node import DEADLINE, Node, Peer, post

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

    def test_beyond_loopback_only_with_a_secret(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0"):
            node = Node(server="admin = %s\n" % address, wait=False)
            self.assertEqual(node.process.wait(DEADLINE), 2)
            node.stop()
            self.assertTrue(any(line and "admin_secret_file" in line for line in node.log), node.log)
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
            peer = stream(node, "from=oldest",
                          "Accept: text/event-stream\r\nLast-Event-ID: 0123456789abcdef-7\r\n")
            text = next(peer.chunks())
            self.assertIn(b'"reason":"restart"', text)
            peer.close()

    def test_who_does_not_read_is_told_and_costs_nobody(self):
        with Node(server=ADMIN, rest="[ring]\nsize = 1M\n") as node:
            peer = stream(node, "from=oldest")
            body = {"text": "x" * 60000}
            for _ in range(200):  # 12 MB: more than the kernel takes for a reader, and the ring twelve times over
                self.assertEqual(post(node, "/presence/lab", body).status, 200)
            got = b""
            chunks = peer.chunks()
            while b'"reason":"overrun"' not in got:
                got = got[-1000:] + next(chunks)
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
            node.wait_fds(fds + 1)
            self.assertEqual(ask(node, "/livez")[0], 200)

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
