"""A flood of handshakes: those that are connected do not wait until it is over."""
import os
import select
import signal
import socket
import ssl
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

HANDSHAKES = 400


def client_hello():
    """The first flight of a client, as bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Flood(unittest.TestCase):
    def test_those_that_are_connected_come_first(self):
        with Node() as node:
            peer = Peer(tls(node.port))
            peer.send(post_bytes("/presence/hq", b"[]", TOKEN))
            self.assertEqual(peer.response().status, 200)
            flood = [socket.create_connection(("127.0.0.1", node.port), DEADLINE)
                     for _ in range(HANDSHAKES)]
            deadline = time.monotonic() + DEADLINE
            while get(node, "/v1/status").json()["connections"] < HANDSHAKES + 1:
                self.assertLess(time.monotonic(), deadline)
            # All of it is there before the node looks: the flood first, then the post.
            node.process.send_signal(signal.SIGSTOP)
            for sock in flood:
                sock.sendall(client_hello())
            peer.send(post_bytes("/presence/hq", b"[]", TOKEN))
            poll = select.epoll()
            for sock in flood:
                poll.register(sock, select.EPOLLIN)
            node.process.send_signal(signal.SIGCONT)
            self.assertEqual(peer.response().status, 200)
            answered = len(poll.poll(0, HANDSHAKES))
            self.assertLess(answered, HANDSHAKES // 2)
            for sock in flood:  # and none of it is forgotten
                self.assertEqual(sock.recv(1), b"\x16")
                sock.close()
            poll.close()
            peer.close()


if __name__ == "__main__":
    unittest.main()
