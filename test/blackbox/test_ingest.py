"""HTTPS in, events out: answers, limits and deadlines of the ingest side."""
import json
import os
import socket
import ssl
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

SAMPLE = {
    "ownerId": "1082983976", "apMac": "3a1e6d8c785c",
    "observations": [{
        "clientMac": "dcac3da506b4", "ipv4": "192.0.2.67", "ipv6": None,
        "seenTime": "2015-10-09T07:00:00.000+0000", "seenEpoch": 1264988544,
        "ssid": "Retail World", "rssi": -50, "manufacturer": "Apple", "os": "ios",
        "lat": 45, "lng": 122, "unc": 5, "x": 0, "y": 0}] * 3}


class OneNode(unittest.TestCase):
    """Each class starts one node and shares it."""
    server = ""

    @classmethod
    def setUpClass(cls):
        cls.node = Node(server=cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None)

    def peer(self):
        peer = Peer(tls(self.node.port))
        self.addCleanup(peer.close)
        return peer


class Duplicates(unittest.TestCase):
    def test_the_same_post_again(self):
        for mode, kept, marks in (("drop", 3, 0), ("mark", 9, 6), ("off", 9, 0)):
            with self.subTest(mode), Node(rest="[dedupe]\nmode = %s\n" % mode) as node:
                answers = [post(node, "/presence/hq", SAMPLE, TOKEN).json() for _ in range(3)]
                self.assertEqual(answers[0], {"accepted": 3, "duplicates": 0, "rejected": 0})
                self.assertEqual(answers[2], {"accepted": 0 if mode == "drop" else 3,
                                              "duplicates": 0 if mode == "off" else 3,
                                              "rejected": 0})
                lines = events(node)
                self.assertEqual(len(lines), kept)
                self.assertEqual(len({line["id"] for line in lines}), 3)
                self.assertEqual(sum(line.get("duplicate", False) for line in lines), marks)

    def test_documents_are_never_taken_for_repeats(self):
        with Node() as node:
            for _ in range(3):
                self.assertEqual(post(node, "/presence/lab", {"a": 1}).json()["accepted"], 1)
            self.assertEqual(len({line["id"] for line in events(node)}), 3)


class Answers(OneNode):
    def test_three_observations_are_three_events(self):
        before = len(events(self.node))
        response = post(self.node, "/presence/hq", SAMPLE, TOKEN)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.json(), {"accepted": 3, "duplicates": 0, "rejected": 0})
        self.assertEqual(response.headers["content-type"], "application/json")
        self.assertIn("date", response.headers)
        lines = events(self.node)[before:]
        self.assertEqual(len(lines), 3)
        self.assertEqual(len({line["id"] for line in lines}), 3)
        self.assertEqual([line["seq"] for line in lines],
                         list(range(lines[0]["seq"], lines[0]["seq"] + 3)))
        for line in lines:
            self.assertEqual(line["endpoint"], "hq")
            self.assertEqual(line["provider"], "aerohive")
            self.assertEqual(line["kind"], "seen")
            self.assertEqual(line["time"], "2015-10-09T07:00:00.000Z")
            self.assertEqual(line["client"], {
                "mac": "dc:ac:3d:a5:06:b4", "randomized": False, "ipv4": "192.0.2.67",
                "manufacturer": "Apple", "os": "ios"})
            self.assertEqual(line["ap"], {"mac": "3a:1e:6d:8c:78:5c"})
            self.assertEqual(line["ssid"], "Retail World")
            self.assertEqual(line["rssi"], -50)
            self.assertEqual(line["location"], {"lat": 45, "lng": 122, "unc": 5, "x": 0, "y": 0})
            self.assertEqual(line["tenant"], "1082983976")

    def test_json_endpoint_passes_documents_through(self):
        body = b'{"a": [1, 2.50, 123456789012345678901234567890], "b": "\\u00e9\xc3\xa9"}'
        response = post(self.node, "/presence/lab", body)
        self.assertEqual(response.json(), {"accepted": 1, "duplicates": 0, "rejected": 0})
        line = get(self.node, "/v1/events?from=oldest&follow=0").body.splitlines()[-1]
        self.assertIn(b'"data":{"a":[1,2.50,123456789012345678901234567890],'
                      b'"b":"\\u00e9\xc3\xa9"}', line)

    def test_refusals(self):
        sample = json.dumps(SAMPLE).encode()
        cases = [
            (post_bytes("/nowhere", b"{}"), 404),
            (post_bytes("/presence/hq", sample), 401),
            (post_bytes("/presence/hq", sample, ["Authorization: Basic wrong"]), 401),
            (post_bytes("/presence/hq", sample, ["Authorization: Basic test-token2"]), 401),
            (post_bytes("/presence/hq", b"[", TOKEN), 400),
            (post_bytes("/presence/hq", b"{}", TOKEN), 422),
            (post_bytes("/presence/lab", b""), 400),
            (post_bytes("/presence/lab", b"{}", ["Content-Encoding: br"]), 415),
            (b"PUT /presence/lab HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            (b"GET /presence/lab HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ]
        peer = self.peer()
        before = len(events(self.node))
        for data, status in cases:
            peer.send(data)
            response = peer.response()
            self.assertEqual(response.status, status, (data, response))
            self.assertIn("error", response.json())
            if status == 401:
                self.assertIn("www-authenticate", response.headers)
            if status == 405:
                self.assertEqual(response.headers["allow"], "POST")
        self.assertEqual(len(events(self.node)), before)

    def test_the_scheme_word_does_not_matter(self):
        for value in "Basic test-token", "Bearer test-token", "bEaReR  test-token", "test-token":
            response = post(self.node, "/presence/hq", [], ["Authorization: " + value])
            self.assertEqual(response.status, 200, value)

    def test_what_is_missing_is_named(self):
        broken = [dict(SAMPLE, observations=[{"rssi": 1}])]
        response = post(self.node, "/presence/hq", broken, TOKEN)
        self.assertEqual(response.status, 422)
        self.assertEqual(response.json()["at"], "[0].observations[0].clientMac")

    def test_one_broken_observation_costs_no_other(self):
        good = dict(SAMPLE["observations"][0], clientMac="0026bb04489e")
        mixed = [dict(SAMPLE, observations=[good, {"rssi": 1}, 7])]
        response = post(self.node, "/presence/hq", mixed, TOKEN)
        self.assertEqual(response.status, 200)
        self.assertEqual(response.json()["accepted"], 1)
        self.assertEqual(response.json()["rejected"], 2)

    def test_get_on_an_aerohive_endpoint(self):
        peer = self.peer()
        peer.send(b"GET /presence/hq HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(peer.response().status, 200)
        peer.send(b"HEAD /presence/hq HTTP/1.1\r\nHost: a\r\n\r\n")
        response = peer.response(head=True)
        self.assertEqual(response.status, 200)
        peer.send(b"DELETE /presence/hq HTTP/1.1\r\nHost: a\r\n\r\n")
        response = peer.response()
        self.assertEqual((response.status, response.headers["allow"]), (405, "GET, HEAD, POST"))


class Http(OneNode):
    server = "max_body_bytes = 100K\n"

    def test_keep_alive_and_pipelining(self):
        peer = self.peer()
        peer.send(b"".join(post_bytes("/presence/lab", b'{"n":%d}' % n) for n in range(50)))
        for _ in range(50):
            self.assertEqual(peer.response().status, 200)
        self.assertEqual([line["data"]["n"] for line in events(self.node)[-50:]], list(range(50)))

    def test_every_cut_of_a_request(self):
        data = post_bytes("/presence/lab", b'{"cut":true}')
        peer = self.peer()
        for cut in range(1, len(data)):
            peer.send(data[:cut])
            peer.send(data[cut:])
            self.assertEqual(peer.response().status, 200, cut)

    def test_chunked(self):
        peer = self.peer()
        peer.send(b"POST /presence/lab HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\nTrailer: t\r\n\r\n")
        self.assertEqual(peer.response().status, 200)
        self.assertEqual(events(self.node)[-1]["data"], {"a": 1})

    def test_a_body_of_many_reads(self):
        text = "x" * 90000
        self.assertEqual(post(self.node, "/presence/lab", {"text": text}).status, 200)
        self.assertEqual(events(self.node)[-1]["data"], {"text": text})

    def test_expect_continue(self):
        peer = self.peer()
        head = post_bytes("/presence/lab", b"", ["Expect: 100-continue"]).replace(
            b"Content-Length: 0", b"Content-Length: 7")
        peer.send(head)
        self.assertEqual(peer.response(head=True).status, 100)
        peer.send(b'{"e":1}')
        self.assertEqual(peer.response().status, 200)
        peer.send(head.replace(b"/presence/lab", b"/nowhere"))
        response = peer.response()
        self.assertEqual((response.status, response.headers["connection"]), (404, "close"))
        self.assertTrue(peer.is_closed())

    def test_expect_continue_of_who_does_not_wait(self):
        """A part of the body came with the head: nobody waits, and no 100 comes (RFC 9110, 10.1.1)."""
        peer = self.peer()
        whole = post_bytes("/presence/lab", b'{"e":2}', ["Expect: 100-continue"])
        peer.send(whole[:-3])
        peer.send(whole[-3:])
        self.assertEqual(peer.response().status, 200)
        peer.send(post_bytes("/presence/lab", b"", ["Expect: 100-continue"]))  # there is none
        self.assertEqual(peer.response().status, 400)

    def test_unknown_expectation(self):
        peer = self.peer()
        peer.send(post_bytes("/presence/lab", b"{}", ["Expect: the-unexpected"]))
        self.assertEqual(peer.response().status, 417)

    def test_connection_close_and_http_1_0(self):
        peer = self.peer()
        peer.send(post_bytes("/presence/lab", b"{}", ["Connection: close"]))
        self.assertEqual(peer.response().headers["connection"], "close")
        self.assertTrue(peer.is_closed())
        peer = self.peer()
        peer.send(post_bytes("/presence/lab", b"{}", version="1.0"))
        self.assertEqual(peer.response().status, 200)
        self.assertTrue(peer.is_closed())
        peer = self.peer()
        for _ in range(2):
            peer.send(post_bytes("/presence/lab", b"{}", ["Connection: keep-alive"], "1.0"))
            self.assertEqual(peer.response().headers["connection"], "keep-alive")

    def test_body_at_the_bound_and_one_past(self):
        def document(size):
            return b'"' + b"a" * (size - 2) + b'"'
        for chunked in False, True:
            for size, status in (102400, 200), (102401, 413):
                peer = self.peer()
                if chunked:
                    peer.send(b"POST /presence/lab HTTP/1.1\r\nHost: a\r\n"
                              b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
                              % (size, document(size)))
                else:
                    peer.send(post_bytes("/presence/lab", document(size)))
                response = peer.response()
                self.assertEqual(response.status, status, (chunked, size))
                if status == 413:
                    self.assertEqual(response.headers["connection"], "close")
                    self.assertTrue(peer.is_closed())

    def test_header_at_the_bound_and_one_past(self):
        for extra, status in (0, 200), (1, 431):
            base = post_bytes("/presence/lab", b"{}", ["A: "])
            size = 32 * 1024 - (len(base) - 2) + extra
            peer = self.peer()
            peer.send(post_bytes("/presence/lab", b"{}", ["A: " + "a" * size]))
            self.assertEqual(peer.response().status, status)

    def test_a_long_accept_charset_is_no_trouble(self):
        names = ", ".join("x-windows-charset-%d" % n for n in range(170))
        response = post(self.node, "/presence/hq", [], TOKEN + ("Accept-Charset: " + names,))
        self.assertEqual(response.status, 200)

    def test_target_too_long(self):
        peer = self.peer()
        peer.send(b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(peer.response().status, 414)

    def test_bad_http_closes(self):
        for data, status in ((b"\x00\x01 HTTP\r\n\r\n", 400), (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
                             (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505)):
            peer = self.peer()
            peer.send(data + post_bytes("/presence/lab", b"{}"))
            response = peer.response()
            self.assertEqual((response.status, response.headers["connection"]), (status, "close"))
            self.assertTrue(peer.is_closed())

    def test_a_refused_body_is_passed_over(self):
        peer = self.peer()
        peer.send(post_bytes("/nowhere", b"x" * 50000) + post_bytes("/presence/lab", b"{}"))
        self.assertEqual(peer.response().status, 404)
        self.assertEqual(peer.response().status, 200)

    def test_no_http_2(self):
        with self.assertRaises(ssl.SSLError):
            tls(self.node.port, alpn=["h2"])

    def test_plain_http_is_closed(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), DEADLINE)
        self.addCleanup(raw.close)
        raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        peer = Peer(raw)
        while peer.fill():  # an alert
            pass

    def test_half_closed_peer_gets_its_answer(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(CERT)
        session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        raw = socket.create_connection(("127.0.0.1", self.node.port), DEADLINE)
        self.addCleanup(raw.close)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        session.write(post_bytes("/presence/lab", b"{}"))
        raw.sendall(outgoing.read())
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = raw.recv(65536)
            self.assertTrue(data, "closed without an answer")
            incoming.write(data)
            try:
                answer += session.read(65536)
            except ssl.SSLWantReadError:
                pass
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)


class Deadlines(OneNode):
    server = "header_timeout = 1s\nbody_timeout = 2s\nkeepalive_timeout = 3s\n"

    def timed_close(self, peer, low, high):
        """Closed no earlier than the deadline, and not only when something else passed."""
        began = time.monotonic()
        while True:
            try:
                if not peer.fill():
                    break
            except (ConnectionResetError, ssl.SSLError):
                break
        elapsed = time.monotonic() - began
        self.assertGreater(elapsed, low)
        self.assertLess(elapsed, high)
        return peer.buffer

    def test_nothing_after_accept(self):
        raw = socket.create_connection(("127.0.0.1", self.node.port), DEADLINE)
        self.addCleanup(raw.close)
        self.assertEqual(self.timed_close(Peer(raw), 0.7, 2.5), b"")

    def test_no_request(self):
        self.assertEqual(self.timed_close(self.peer(), 0.7, 2.5), b"")

    def test_slow_head_is_408_however_it_dribbles(self):
        peer = self.peer()
        peer.sock.settimeout(0.2)
        peer.send(b"POST /presence/lab HTTP/1.1\r\n")
        began = time.monotonic()
        while not peer.buffer:
            self.assertLess(time.monotonic() - began, 2.5)
            try:
                peer.fill()
            except (TimeoutError, ssl.SSLWantReadError):
                peer.send(b"A: b\r\n")
        self.assertTrue(peer.buffer.startswith(b"HTTP/1.1 408 "), peer.buffer)

    def test_slow_body_is_408(self):
        peer = self.peer()
        peer.send(post_bytes("/presence/lab", b"{}").replace(b"Length: 2", b"Length: 3"))
        answer = self.timed_close(peer, 1.7, 3.5)
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)

    def test_idle_after_an_answer(self):
        peer = self.peer()
        peer.send(post_bytes("/presence/lab", b"{}"))
        self.assertEqual(peer.response().status, 200)
        self.assertEqual(self.timed_close(peer, 2.7, 4.5), b"")


class Caps(unittest.TestCase):
    def test_connections_in_all_and_by_address(self):
        for key in "max_connections", "max_connections_per_ip":
            with self.subTest(key), Node(server="%s = 3\n" % key) as node:
                peers = [Peer(tls(node.port)) for _ in range(3)]
                for peer in peers:
                    peer.send(post_bytes("/presence/lab", b"{}"))
                    self.assertEqual(peer.response().status, 200)
                with self.assertRaises((ssl.SSLError, OSError)):
                    tls(node.port)
                for peer in peers:  # those that are there are served on
                    peer.send(post_bytes("/presence/lab", b"{}"))
                    self.assertEqual(peer.response().status, 200)
                peers[0].send(post_bytes("/presence/lab", b"{}", ["Connection: close"]))
                self.assertEqual(peers[0].response().status, 200)
                self.assertTrue(peers[0].is_closed())
                peers[0].close()
                deadline = time.monotonic() + DEADLINE
                while True:  # a place is free once the node has seen the FIN
                    try:
                        peers.append(Peer(tls(node.port)))
                        break
                    except (ssl.SSLError, OSError):
                        self.assertLess(time.monotonic(), deadline)
                for peer in peers:
                    peer.close()

    def test_a_batch_larger_than_half_the_ring(self):
        with Node(rest="[ring]\nsize = 64K\n") as node:
            self.assertEqual(post(node, "/presence/lab", {"a": "x" * 20000}).status, 200)
            response = post(node, "/presence/lab", {"a": "x" * 40000})
            self.assertEqual(response.status, 413)
            self.assertEqual(post(node, "/presence/lab", {"b": 1}).status, 200)
            self.assertEqual(events(node)[-1]["data"], {"b": 1})


if __name__ == "__main__":
    unittest.main()
