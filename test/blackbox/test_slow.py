"""Slow clients of every kind in front of one node, in short; `./dev hostile --slow 10000` has the whole
size. And those who end, rudely, at each stage, or want to renegotiate."""
import os
import socket
import ssl
import struct
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "hostile")]
from node import *  # noqa: F403,E402
import flights  # noqa: E402
import slow  # noqa: E402

REQUEST = post_bytes("/presence/lab", b'{"n":1}')


class Slow(unittest.TestCase):
    def test_a_crowd(self):
        print(slow.slow(200, seconds=3, deadlines=(1, 2, 2)))


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

    def test_no_renegotiation(self):
        """Asked for within a TLS 1.2 session: the session ends."""
        command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.node.port, "-tls1_2", "-quiet",
                   "-no_ign_eof"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, bufsize=0) as client:
            client.stdin.write(REQUEST)
            answer = b""
            while b"accepted" not in answer:  # the session is there
                piece = os.read(client.stdout.fileno(), 65536)
                self.assertTrue(piece)
                answer += piece
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "))
            client.stdin.write(b"R\n")
            rest, errors = client.communicate(timeout=DEADLINE)
        self.assertIn(b"RENEGOTIATING", errors)
        self.assertIn(b"alert no renegotiation", errors)
        self.assertEqual(rest, b"")
        self.assertEqual(post(self.node, "/presence/lab", {}).status, 200)


if __name__ == "__main__":
    unittest.main()
