"""Fewer descriptors than clients: those that are connected are served, the others are refused without
a turn too many, and when there is room again, everyone is served. See also test_faults.Listening, for
when the whole system has none left."""
import os
import resource
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

CLIENTS = 500
WINDOW = 1.0  # seconds over which CPU time is measured
MOST_CPU = 0.2


class Descriptors(unittest.TestCase):
    def ask(self, peer):
        peer.send(post_bytes("/presence/lab", b"{}"))
        self.assertEqual(peer.response().status, 200)

    def crowd(self, node):
        """CLIENTS connections; some are held, the others closed by the node."""
        crowd = []
        for _ in range(CLIENTS):
            crowd.append(socket.create_connection(("127.0.0.1", node.port), DEADLINE))
        return crowd

    def assert_calm(self, node, connected):
        """While it is full: little CPU, and who is connected is served."""
        began, cpu_s = time.monotonic(), node.cpu_s()
        while time.monotonic() - began < WINDOW:
            self.ask(connected)
            time.sleep(0.02)
        self.assertLess((node.cpu_s() - cpu_s) / (time.monotonic() - began), MOST_CPU)

    def assert_served_again(self, node):
        deadline = time.monotonic() + DEADLINE
        while True:  # the first whose place is free again
            try:
                self.assertEqual(post(node, "/presence/lab", {}).status, 200)
                return
            except (OSError, EOFError):
                self.assertLess(time.monotonic(), deadline)

    def survive(self, node, before):
        connected = Peer(tls(node.port))
        self.ask(connected)
        crowd = self.crowd(node)
        self.assert_calm(node, connected)
        before()
        for sock in crowd:
            sock.close()
        self.assert_served_again(node)
        self.ask(connected)
        connected.close()
        self.assertTrue(events(node))
        node.process.send_signal(signal.SIGHUP)
        node.wait_log("configuration reloaded")

    def test_a_low_limit_is_said_and_leaves_room_for_readers(self):
        with Node(under=("prlimit", "--nofile=64:64")) as node:
            node.wait_log("too low for max_connections")

            def before():
                # Readers and a reload have descriptors left, whoever comes by the network.
                self.assertEqual(get(node, "/v1/status").status, 200)
                self.assertLessEqual(node.fds(), 64 - 8)
                node.process.send_signal(signal.SIGHUP)
                node.wait_log("configuration reloaded")
            self.survive(node, before)

    def test_none_left_at_accept(self):
        """The limit falls under what the node counts on, so that accept() itself fails."""
        with Node() as node:
            limit = node.fds() + 20
            resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            self.survive(node, lambda: self.assertLessEqual(node.fds(), limit))

    def test_a_soft_limit_is_raised(self):
        with Node(under=("prlimit", "--nofile=64:4096"), server="max_connections = 2000\n") as node:
            soft = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)[0]
            self.assertGreaterEqual(soft, 3000)
            self.assertFalse(any("too low" in (line or "") for line in node.log))


if __name__ == "__main__":
    unittest.main()
