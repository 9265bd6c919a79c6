"""Slow clients of every kind in front of one node, in short; `./dev hostile --slow 10000` has the whole
size. And those who end, rudely, at each stage, or want to renegotiate."""
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "hostile")]
from node import *  # noqa: F403,E402
import flights  # noqa: E402
import metrics  # noqa: E402
import slow  # noqa: E402

NOTHING = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
REQUEST = post_bytes("/presence/lab", b'{"n":1}')


def read_until(stream, mark):
    """What a pipe gives, up to the mark and what came with it."""
    got = b""
    while mark not in got:
        piece = os.read(stream.fileno(), 65536)
        if not piece:
            raise EOFError("%r, and no %r" % (got, mark))
        got += piece
    return got


class Slow(unittest.TestCase):
    def test_a_crowd(self):
        print(slow.slow(200, seconds=3, deadlines=(1, 2, 2), strict=False))


class Turns(unittest.TestCase):
    """What comes by the hundred is done a few at a time: who asks for the status meanwhile is answered
    when little of it is done. The node is stopped until all of it has come."""

    CROWD = 400
    MOST = 150  # of them that may be done before the answer

    def open_node(self, **options):
        node = Node(**options)
        self.addCleanup(shutil.rmtree, node.directory, True)
        self.addCleanup(node.stop)
        return node

    def gather(self, node, send=b"", connect=None):
        crowd = []
        self.addCleanup(lambda: [sock.close() for sock in crowd])
        for _ in range(self.CROWD):
            crowd.append(connect(node.port) if connect else
                         socket.create_connection(("127.0.0.1", node.port), DEADLINE))
            if send:
                crowd[-1].sendall(send)
        return crowd

    def ask_behind(self, node, pile, target="/v1/status"):
        """The answer when the node goes on, what pile() brings being there."""
        node.process.send_signal(signal.SIGSTOP)
        try:
            pile()
            asker = feed(node, target)
        finally:
            node.process.send_signal(signal.SIGCONT)
        response = asker.response()
        asker.close()
        return response.json() if target == "/v1/status" else response.body.decode()

    def until(self, node, is_so):
        deadline = time.monotonic() + DEADLINE
        while not is_so(get(node, "/v1/status").json()):
            self.assertLess(time.monotonic(), deadline)

    def assert_calm(self, node):
        """Nothing is left to do: no turn without need."""
        began, cpu_s = time.monotonic(), node.cpu_s()
        time.sleep(0.5)
        self.assertLess((node.cpu_s() - cpu_s) / (time.monotonic() - began), 0.2)

    def test_connections_and_handshakes(self):
        hello = flights.Client(ssl.TLSVersion.TLSv1_3).step()
        node = self.open_node()
        crowd = []
        status = self.ask_behind(node, lambda: crowd.extend(self.gather(node, hello)))
        self.assertLess(status["connections"], self.MOST)
        for sock in crowd:  # each gets its turn
            sock.settimeout(DEADLINE)
            self.assertEqual(sock.recv(1), b"\x16")
        self.assert_calm(node)
        self.assertEqual(post(node, "/presence/lab", {}).status, 200)

    def test_ends(self):
        node = self.open_node()
        crowd = self.gather(node, connect=tls)
        self.until(node, lambda status: status["connections"] == self.CROWD)
        status = self.ask_behind(node, lambda: [sock.close() for sock in crowd])
        self.assertGreater(status["connections"], self.CROWD - self.MOST)
        self.until(node, lambda status: status["connections"] == 0)
        self.assert_calm(node)

    def test_deadlines(self):
        node = self.open_node(server="header_timeout = 2s\n")
        crowd = self.gather(node)
        self.until(node, lambda status: status["connections"] == self.CROWD)
        status = self.ask_behind(node, lambda: time.sleep(2.5))
        self.assertGreater(status["connections"], self.CROWD - self.MOST)
        for sock in crowd:
            self.assertEqual(sock.recv(1), b"")
        self.assert_calm(node)

    def test_requests_for_nothing(self):
        """Who asks for what is not there is read from in pieces, also when it has posted before."""
        senders, each = 20, 800
        node = self.open_node()
        crowd = [Peer(tls(node.port)) for _ in range(senders)]
        for peer in crowd[::2]:
            peer.send(post_bytes("/presence/lab", b"{}"))
            self.assertEqual(peer.response().status, 200)
        for peer in crowd:
            peer.send(NOTHING)
            self.assertEqual(peer.response().status, 404)

        def pile():
            for peer in crowd:
                for _ in range(each // 20):
                    peer.send(NOTHING * 20)
        answered = metrics.Families(self.ask_behind(node, pile, "/metrics")).sum(
            "rollcall_http_requests_total", code="404")
        self.assertLess(answered, senders * each / 2)
        for peer in crowd:
            for _ in range(each):
                self.assertEqual(peer.response().status, 404)
            peer.send(post_bytes("/presence/lab", b"{}"))
            self.assertEqual(peer.response().status, 200)
            peer.close()

    def test_bytes_that_just_fill_a_read(self):
        """Who has sent just as much as a read takes queues for another, with nothing to read: those
        behind do not wait for it to say more. Their turn comes before any deadline passes."""
        read_bytes, record = 4096, b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"
        node = self.open_node(server="header_timeout = 2s\n")
        crowd = []

        def pile():
            crowd.extend(self.gather(node, record + bytes(read_bytes - len(record))))
        self.ask_behind(node, pile)
        self.assertEqual(post(node, "/presence/lab", {}).status, 200)
        timeouts = metrics.Families(get(node, "/metrics").body.decode()).sum("rollcall_timeouts_total")
        self.assertEqual(timeouts, 0)
        for sock in crowd:  # each has its deadline all the same
            self.assertEqual(sock.recv(1), b"")
        self.assert_calm(node)

    def test_stopped_in_the_midst(self):
        """Ends at once, whatever is left to do."""
        hello = flights.Client(ssl.TLSVersion.TLSv1_3).step()
        node = self.open_node(server="drain_timeout = 2s\n")
        gone = self.gather(node)
        self.until(node, lambda status: status["connections"] == self.CROWD)

        def pile():
            self.gather(node, hello)
            for sock in gone:
                sock.close()
        self.ask_behind(node, pile)
        self.assertEqual(node.stop(), 0)


class Rude(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node()

    @classmethod
    def tearDownClass(cls):
        assert cls.node.stop() == 0

    def reset(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.node.port), DEADLINE)

    def test_reset_at_every_stage(self):
        fds = self.node.fds()
        hello = flights.Client(ssl.TLSVersion.TLSv1_3).step()
        for _ in range(5):
            for sent in (b"", hello[:3], hello[:100], hello):
                sock = self.connect()
                sock.sendall(sent)
                self.reset(sock)
            for sent in (b"", REQUEST[:20], REQUEST[:-3], REQUEST, REQUEST * 200):
                sock = tls(self.node.port)
                sock.sendall(sent)
                self.reset(sock)
            self.assertEqual(post(self.node, "/presence/lab", {}).status, 200)
        self.node.wait_fds(fds)

    def test_half_open(self):
        """FIN at each stage: closed by the node as well, at once."""
        fds = self.node.fds()
        hello = flights.Client(ssl.TLSVersion.TLSv1_2).step()
        for sent in (b"", hello[:3], hello):
            sock = self.connect()
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
            sock.close()
        self.node.wait_fds(fds)

    def test_key_updates(self):
        """New keys (RFC 8446, 4.6.3), which each cost the node a derivation or two: 32 of them in a row are
        followed, between posts and however often; a flood of them ends the session, and nothing else."""
        for letter in b"kK":  # the client's keys; both sides'
            command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.node.port, "-tls1_3", "-quiet",
                       "-no_ign_eof"]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, bufsize=0) as client:
                for _ in range(2):
                    client.stdin.write(REQUEST)
                    read_until(client.stdout, b"accepted")
                    for _ in range(32):
                        client.stdin.write(b"%c\n" % letter)
                        read_until(client.stderr, b"KEYUPDATE")
                client.stdin.write(b"%c\n" % letter)
                read_until(client.stderr, b"alert unexpected message")
            self.assertEqual(post(self.node, "/presence/lab", {}).status, 200)

    def test_no_renegotiation(self):
        """Asked for within a TLS 1.2 session: the session ends."""
        command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.node.port, "-tls1_2", "-quiet",
                   "-no_ign_eof"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, bufsize=0) as client:
            client.stdin.write(REQUEST)
            answer = read_until(client.stdout, b"accepted")  # the session is there
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "))
            client.stdin.write(b"R\n")
            rest, errors = client.communicate(timeout=DEADLINE)
        self.assertIn(b"RENEGOTIATING", errors)
        self.assertIn(b"alert no renegotiation", errors)
        self.assertEqual(rest, b"")
        self.assertEqual(post(self.node, "/presence/lab", {}).status, 200)


if __name__ == "__main__":
    unittest.main()
