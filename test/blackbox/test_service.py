"""The node under a service manager, for which a small one stands in: sockets that are passed on and
outlive the node, what the manager is told, the watchdog, restarts under load."""
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Puts the descriptors $1, $2 ... up to "--" to 3, 4 ..., as sd_listen_fds(3) has them.
LAUNCHER = r"""
at=3 moves= closes=
while [ "$1" != -- ]; do
    moves="$moves $at<&$1" closes="$closes $1<&-" at=$((at + 1))
    shift
done
shift
export LISTEN_PID=${MANAGER_PID-$$} LISTEN_FDS=$((at - 3))
eval 'exec "$@"' "$moves" "$closes"
"""


class Manager:
    """Holds the sockets and the directory of a node, and hears what it says."""

    def __init__(self, sockets=True):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.directory, "notify"))
        self.notify.settimeout(DEADLINE)
        self.path = os.path.join(self.directory, "events.sock")
        self.sockets, self.nodes = [], []
        if sockets:
            self.tcp = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.unix = socket.socket(socket.AF_UNIX)
            self.unix.bind(self.path)
            os.chmod(self.path, 0o640)
            self.unix.listen(128)
            self.port = self.tcp.getsockname()[1]
            self.sockets = [self.tcp, self.unix]

    def start(self, server="", rest="", env=None, sockets=None, wait=True):
        sockets = self.sockets if sockets is None else sockets
        fds = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in sockets]  # clear of 3, 4 ...
        if self.sockets:
            server += "\nlisten = 127.0.0.1:%d" % self.port
        node = Node(server, rest, directory=self.directory, wait=wait, pass_fds=fds,
                    under=["bash", "-c", LAUNCHER, "launcher", *map(str, fds), "--"],
                    env={"NOTIFY_SOCKET": os.path.join(self.directory, "notify"), **(env or {})})
        self.nodes.append(node)
        for fd in fds:
            os.close(fd)
        if wait:
            assert "READY=1" in self.hear(), "the first word is not READY=1"
        return node

    def hear(self):
        """The next word that is no sign of life."""
        while True:
            said = self.notify.recv(4096).decode()
            if said != "WATCHDOG=1":
                return said

    def close(self):
        for node in self.nodes:
            node.process.kill()
        for sock in [*self.sockets, self.notify]:
            sock.close()
        shutil.rmtree(self.directory)


class Told(unittest.TestCase):
    def setUp(self):
        self.manager = Manager(sockets=False)
        self.addCleanup(self.manager.close)

    def test_ready_reloading_stopping(self):
        node = self.manager.start()
        node.process.send_signal(signal.SIGHUP)
        said = self.manager.hear()
        self.assertRegex(said, r"\ARELOADING=1\nMONOTONIC_USEC=\d+\n")
        began = int(re.search(r"MONOTONIC_USEC=(\d+)", said)[1])
        self.assertLessEqual(began, time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
        self.assertIn("READY=1", self.manager.hear())
        self.assertEqual(node.stop(), 0)
        self.assertIn("STOPPING=1", self.manager.hear())

    def test_a_reload_that_fails_is_over_too(self):
        node = self.manager.start()
        with open(node.config, "a") as out:
            out.write("nonsense = 1\n")
        node.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", self.manager.hear())
        self.assertIn("READY=1", self.manager.hear())
        node.wait_log("reload failed")
        self.assertEqual(node.stop(), 0)

    def test_not_ready_before_it_can_serve(self):
        node = self.manager.start(server="socket_mode = 9", wait=False)
        self.assertEqual(node.process.wait(DEADLINE), 2)
        node.stop()
        self.manager.notify.setblocking(False)
        self.assertRaises(BlockingIOError, self.manager.notify.recv, 4096)

    def test_signs_of_life_end_with_the_loop(self):
        node = self.manager.start(env={"WATCHDOG_USEC": "400000"})
        for _ in range(3):
            self.assertEqual(self.manager.notify.recv(4096), b"WATCHDOG=1")
        node.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, node.process.pid, os.WSTOPPED | os.WNOWAIT)
        self.manager.notify.settimeout(0.8)  # twice what is due
        with self.assertRaises(TimeoutError):
            for _ in range(3):  # what was said before
                self.manager.notify.recv(4096)
        self.manager.notify.settimeout(DEADLINE)
        node.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.manager.notify.recv(4096), b"WATCHDOG=1")
        self.assertEqual(node.stop(), 0)

    def test_a_manager_that_is_gone_is_nobodys_trouble(self):
        with Node(env={"NOTIFY_SOCKET": "/nonexistent/notify"}) as node:
            self.assertEqual(post(node, "/presence/lab", {"n": 1}).status, 200)
        with Node(env={"NOTIFY_SOCKET": "vsock:2:1"}) as node:
            node.wait_log("NOTIFY_SOCKET cannot be used")
            self.assertEqual(post(node, "/presence/lab", {"n": 1}).status, 200)


class Inherited(unittest.TestCase):
    def setUp(self):
        self.manager = Manager()
        self.addCleanup(self.manager.close)

    def expect_failure(self, part, **options):
        node = self.manager.start(wait=False, **options)
        self.assertEqual(node.process.wait(DEADLINE), 1)
        node.stop()
        self.assertTrue(any(part in line for line in node.log if line), (part, node.log))
        self.assertTrue(os.path.exists(self.manager.path))

    def test_both_sockets_are_used_and_left(self):
        node = self.manager.start()
        self.assertEqual(node.port, self.manager.port)
        self.assertEqual(post(node, "/presence/lab", {"n": 1}).status, 200)
        self.assertEqual(len(events(node)), 1)
        self.assertEqual(node.stop(), 0)
        self.assertIn("STOPPING=1", self.manager.hear())
        self.assertEqual(os.stat(self.manager.path).st_mode & 0o777, 0o640)
        # Both go on listening: who comes now waits for the next node.
        early = socket.create_connection(("127.0.0.1", self.manager.port), DEADLINE)
        node = self.manager.start()
        peer = Peer(tls(node.port, tcp=early))
        peer.send(post_bytes("/presence/lab", b'{"n":2}'))
        self.assertEqual(peer.response().status, 200)
        peer.close()
        self.assertEqual(node.stop(), 0)

    def test_a_socket_that_the_configuration_does_not_have(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.expect_failure("inherited socket 127.0.0.1:%d: the configuration has no such listen"
                                % port, sockets=[self.manager.tcp, self.manager.unix, other])
        stray = os.path.join(self.manager.directory, "stray.sock")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(stray)
            other.listen()
            self.expect_failure("inherited socket %s: the configuration has no such socket" % stray,
                                sockets=[self.manager.tcp, self.manager.unix, other])

    def test_what_cannot_be_used(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            self.expect_failure("inherited socket 4: not a stream socket",
                                sockets=[self.manager.tcp, other])
        with socket.socket() as other:
            self.expect_failure("inherited socket 3: does not listen", sockets=[other])

    def test_anothers_are_not_touched(self):
        """LISTEN_PID names another process: the node opens its own, which are taken."""
        self.expect_failure("another node answers on this socket", env={"MANAGER_PID": "1"})


class Sender(threading.Thread):
    """Posts numbered documents, each until it is acknowledged, on connections of its own."""

    def __init__(self, port, name, ended):
        super().__init__(daemon=True)
        self.port, self.name, self.ended = port, name, ended
        self.acknowledged, self.refused, self.unanswered = [], 0, 0

    def run(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            while not self.post("%s-%d" % (self.name, number)):
                pass

    def post(self, name):
        try:
            raw = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        except ConnectionRefusedError:
            self.refused += 1
            return self.ended.is_set()
        peer = Peer(raw)
        try:
            peer = Peer(tls(self.port, tcp=raw))
            peer.send(post_bytes("/presence/lab", ('"%s"' % name).encode(),
                                 ["Connection: close", "webhook-id: " + name]))
            status = peer.response().status
        except (OSError, EOFError):
            self.unanswered += 1
            return False
        finally:
            peer.close()
        if status == 200:
            self.acknowledged.append(name)
        return status == 200


class Restart(unittest.TestCase):
    def test_under_load_nobody_is_refused_and_nothing_is_lost(self):
        manager = Manager()
        self.addCleanup(manager.close)
        rest = "[ring]\nsize = 4M\nfile = %s/ring" % manager.directory
        ended = threading.Event()
        node = manager.start(rest=rest)
        senders = [Sender(manager.port, "s%d" % i, ended) for i in range(4)]
        for sender in senders:
            sender.start()
        for number in (signal.SIGTERM, signal.SIGKILL) * 3:
            before = [len(sender.acknowledged) for sender in senders]
            deadline = time.monotonic() + DEADLINE
            while any(len(s.acknowledged) < n + 3 for s, n in zip(senders, before)):
                self.assertLess(time.monotonic(), deadline, "posts are not answered")
                time.sleep(0.005)
            self.assertEqual(node.stop(number), 0 if number == signal.SIGTERM else -number)
            if number == signal.SIGTERM:
                self.assertIn("STOPPING=1", manager.hear())
            node = manager.start(rest=rest)
        ended.set()
        for sender in senders:
            sender.join(DEADLINE)
            self.assertFalse(sender.is_alive())
            self.assertEqual(sender.refused, 0)
        acknowledged = [name for sender in senders for name in sender.acknowledged]
        kept = [line["data"] for line in events(node)]
        self.assertEqual(len(kept), len(set(kept)), "an event is there twice")
        self.assertEqual(set(acknowledged) - set(kept), set(), "acknowledged, and lost")
        self.assertGreaterEqual(len(acknowledged), 6 * 3 * len(senders))
        self.assertEqual(node.stop(), 0)


class Units(unittest.TestCase):
    """What lies in packaging/systemd, where systemd's own checker is installed."""

    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory)
        units = os.path.join(ROOT, "packaging", "systemd")
        with open(os.path.join(units, "rollcalld.service.in")) as text:
            service = text.read().replace("@sbindir@/rollcalld", ROLLCALLD)
        with open(os.path.join(self.directory, "rollcalld.service"), "w") as out:
            out.write(service.replace("@sysconfdir@", "/etc"))
        shutil.copy(os.path.join(units, "rollcalld.socket"), self.directory)

    def analyze(self, *args):
        return subprocess.run(["systemd-analyze", *args], cwd=self.directory, text=True,
                              capture_output=True, timeout=DEADLINE)

    def test_verify(self):
        done = self.analyze("verify", "--man=no", "./rollcalld.service", "./rollcalld.socket")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_exposure(self):
        """systemd's own measure, from 0 to 10 (the worst); below 2 it says OK."""
        done = self.analyze("security", "--offline=true", "--threshold=15", "./rollcalld.service")
        self.assertEqual(done.returncode, 0, done.stdout[-200:])

    def test_the_units_fit_the_example(self):
        """Their addresses are the example's, or the node would not take the sockets."""
        with open(os.path.join(self.directory, "rollcalld.socket")) as text:
            streams = re.findall(r"^ListenStream=(.*)$", text.read(), re.M)
        with open(os.path.join(ROOT, "packaging", "rollcall.conf.example")) as text:
            example = text.read()
        for stream, key in zip(streams, ("listen", "socket"), strict=True):
            self.assertRegex(example, r"(?m)^;?\s*%s = %s\b" % (key, re.escape(stream)))


if __name__ == "__main__":
    unittest.main()
