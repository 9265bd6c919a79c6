"""How a node begins and ends: wrong options, wrong files, the socket file, signals, the drain."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403


def run(*args):
    return subprocess.run([ROLLCALLD, *args], capture_output=True, text=True, timeout=DEADLINE)


class Options(unittest.TestCase):
    def test_help_and_version(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--config FILE", done.stdout)
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^rollcalld \d+\.\d+\.\d+\n$")

    def test_wrong_options(self):
        for args, part in (((), "--config FILE is missing"), (("--nonsense",), "nonsense"),
                           (("--config",), "requires an argument"),
                           (("--config", "x", "y"), "unexpected argument 'y'"),
                           (("--config", "/nonexistent/rollcall.conf"), "/nonexistent/rollcall.conf")):
            done = run(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn(part, done.stderr)
            self.assertEqual(done.stdout, "")


class Start(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory)

    def config(self, **changes):
        values = dict(listen="127.0.0.1:0", certificate=CERT, private_key=KEY,
                      socket=os.path.join(self.directory, "events.sock"))
        values.update(changes)
        path = os.path.join(self.directory, "rollcall.conf")
        with open(path, "w") as out:
            out.write("[server]\n" + "".join("%s = %s\n" % pair for pair in values.items()))
            out.write("[endpoint lab]\npath = /lab\nprovider = json\nauth = none\n")
        return path

    def expect_failure(self, status, part, **changes):
        done = run("--config", self.config(**changes))
        self.assertEqual(done.returncode, status, done)
        self.assertIn(part, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.directory, "events.sock")))

    def test_check(self):
        done = run("--config", self.config(), "--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = run("--config", self.config(max_conections="7"), "--check")
        self.assertEqual(done.returncode, 2)
        self.assertIn("rollcall.conf:6: ", done.stderr)
        self.assertIn("max_connections", done.stderr)

    def test_the_example_has_every_key_and_its_default(self):
        dumped = run("--config", self.config(), "--dump-config").stdout
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        with open(os.path.join(root, "packaging", "rollcall.conf.example")) as text:
            example = text.read()
        # What stands behind a ";" at a line's beginning, in the section that it is in.
        shown, section = {}, None
        for line in example.splitlines():
            line = line.split("  ;")[0].rstrip()
            if re.match(r"^;?\[\w+.*\]$", line):
                section = line.strip(";[]").split(" ")[0]
            found = re.match(r"^;?([a-z_]+) =(?: (.*))?$", line)
            if found:
                shown.setdefault((section, found.group(1)), (found.group(2) or "").strip())
        section = None
        own = {"listen", "certificate", "private_key", "socket", "path", "provider", "auth",
               "validator"}
        for line in dumped.splitlines():
            if line.startswith("["):
                section = line.strip("[]").split(" ")[0]
            elif line:
                name, _, value = line.partition(" =")
                self.assertIn((section, name), shown)
                if name not in own:
                    self.assertEqual(shown[section, name].split("   ")[0], value.strip(), name)
        for key in (("endpoint", "secret"), ("endpoint", "secret_file"), ("privacy", "key")):
            self.assertIn(key, shown)

    def test_port_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.expect_failure(1, address + ": address already in use", listen=address)

    def test_key_that_is_not_the_certificates(self):
        other = os.environ["ROLLCALL_TEST_OTHER_KEY"]
        self.expect_failure(1, other + ": no private key that belongs to the certificate",
                            private_key=other)

    def test_certificate_that_is_none(self):
        path = os.path.join(self.directory, "not.pem")
        open(path, "w").close()
        self.expect_failure(1, path + ": no certificate chain", certificate=path)

    def test_socket_file_of_another_kind_is_left_alone(self):
        path = os.path.join(self.directory, "precious")
        with open(path, "w") as out:
            out.write("data")
        done = run("--config", self.config(socket=path))
        self.assertEqual(done.returncode, 1)
        self.assertIn(path, done.stderr)
        with open(path) as text:
            self.assertEqual(text.read(), "data")


class SocketFile(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory)

    def test_a_live_socket_is_not_taken_over(self):
        with Node(directory=self.directory) as node:
            post(node, "/presence/lab", {"n": 1})
            second = Node(directory=self.directory, wait=False)
            self.assertEqual(second.process.wait(DEADLINE), 1)
            second.stop()
            self.assertTrue(any(line and "another node answers" in line for line in second.log),
                            second.log)
            self.assertEqual(len(events(node)), 1)

    def test_a_stale_socket_is_taken_over(self):
        node = Node(directory=self.directory)
        node.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(node.socket))
        with Node(directory=self.directory) as node:
            self.assertEqual(post(node, "/presence/lab", {"n": 1}).status, 200)
            self.assertEqual(len(events(node)), 1)

    def test_it_is_gone_after_a_clean_end(self):
        with Node(directory=self.directory) as node:
            self.assertEqual(stat.S_IMODE(os.stat(node.socket).st_mode), 0o660)
        self.assertFalse(os.path.exists(node.socket))


class Drain(unittest.TestCase):
    def test_idle_connections_are_closed_and_the_rest_is_answered(self):
        with Node() as node:
            idle, busy, headless, never = (Peer(tls(node.port)) for _ in range(4))
            idle.send(post_bytes("/presence/lab", b'{"n":1}'))
            self.assertEqual(idle.response().status, 200)
            data = post_bytes("/presence/lab", b'{"n":2}')
            busy.send(data[:-3])
            headless.send(data[:20])
            # The bytes are there once the node has read them: its next answer on another connection
            # may come first, so ask until the half request is in the parser (its socket is empty).
            idle.send(post_bytes("/presence/lab", b'{"n":3}'))
            self.assertEqual(idle.response().status, 200)
            follower = feed(node, "/v1/events?from=oldest")
            self.assertIn(b"200", follower.until(b"\r\n\r\n").split(b"\r\n")[0])
            node.process.send_signal(signal.SIGTERM)
            node.wait_log("msg=draining")
            self.assertTrue(idle.is_closed())
            self.assertTrue(never.is_closed())
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", node.port), DEADLINE)
            busy.send(data[-3:])
            response = busy.response()
            self.assertEqual((response.status, response.headers["connection"]), (200, "close"))
            self.assertTrue(busy.is_closed())
            headless.send(data[20:])
            self.assertEqual(headless.response().status, 200)
            for peer in idle, busy, headless, never:
                peer.close()
            lines = b"".join(follower.chunks()).splitlines()  # ends: its stream is ended properly
            self.assertEqual([json.loads(line)["data"]["n"] for line in lines], [1, 3, 2, 2])
            self.assertTrue(follower.is_closed())
            follower.close()
            self.assertEqual(node.process.wait(DEADLINE), 0)

    def test_it_ends_within_drain_timeout_whatever_is_left(self):
        with Node(server="drain_timeout = 2s\n") as node:
            busy = Peer(tls(node.port))
            busy.send(post_bytes("/presence/lab", b"{}")[:-1])
            follower = feed(node, "/v1/events")
            follower.until(b"\r\n\r\n")
            began = time.monotonic()
            node.process.send_signal(signal.SIGINT)
            self.assertEqual(node.process.wait(DEADLINE), 0)
            self.assertGreater(time.monotonic() - began, 1.0)  # it did wait for the request
            busy.close()
            follower.close()

    def test_a_second_signal_ends_at_once(self):
        with Node(server="drain_timeout = 10m\n") as node:
            busy = Peer(tls(node.port))
            busy.send(post_bytes("/presence/lab", b"{}")[:-1])
            idle = Peer(tls(node.port))
            idle.send(post_bytes("/presence/lab", b"{}"))
            self.assertEqual(idle.response().status, 200)
            node.process.send_signal(signal.SIGTERM)
            node.wait_log("msg=draining")
            node.process.send_signal(signal.SIGTERM)
            self.assertEqual(node.process.wait(DEADLINE), 0)
            busy.close()
            idle.close()

    def test_signals_at_any_moment_of_the_end_leave_it_a_clean_end(self):
        for _ in range(10):
            with Node() as node:
                while node.process.poll() is None:
                    node.process.send_signal(signal.SIGTERM)
                    node.process.send_signal(signal.SIGINT)
                self.assertEqual(node.process.returncode, 0)

    def test_no_answered_event_is_missing_in_the_followers_stream(self):
        """Stopped under load, again and again: what was answered 200 has been streamed."""
        for _ in range(10):
            with Node() as node:
                answered, lock = set(), threading.Lock()
                follower = feed(node, "/v1/events?from=oldest")
                follower.until(b"\r\n\r\n")
                first = threading.Event()

                def work(number):
                    try:
                        with tls(node.port) as sock:
                            peer = Peer(sock)
                            for n in range(100000):
                                peer.send(post_bytes("/presence/lab", b"[%d,%d]" % (number, n)))
                                if peer.response().status != 200:
                                    return
                                with lock:
                                    answered.add((number, n))
                                first.set()
                    except (OSError, EOFError, ValueError):
                        pass  # the drain: the connection is closed between two requests

                workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
                for worker in workers:
                    worker.start()
                self.assertTrue(first.wait(DEADLINE))
                node.process.send_signal(signal.SIGTERM)
                lines = b"".join(follower.chunks()).splitlines()
                for worker in workers:
                    worker.join(DEADLINE)
                self.assertEqual(node.process.wait(DEADLINE), 0)
                streamed = [tuple(json.loads(line)["data"]) for line in lines]
                self.assertEqual(len(streamed), len(set(streamed)))
                self.assertLessEqual(answered, set(streamed))
                follower.close()


if __name__ == "__main__":
    unittest.main()
