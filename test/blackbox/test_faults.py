"""Every call that can fail, failed in turn: the n-th allocation, read, write, accept, open ... of a
node's start, of a request's life and of a reader's, for n = 1, 2, 3 ... until a run meets no fault.
The shim (test/faults/shim.c) is in front of the node; ROLLCALL_SHIM names it. In a short run
(ROLLCALL_FAULTS_WHOLE unset) only some of the n are tried, spread over all of them; `./dev faults`
tries them all.

Whatever fails: a start ends with status 1 and a line that says why, and leaves nothing behind, or the
node serves as if nothing had happened; a request's connection closes or is answered, 503 at worst,
and what was answered 200 is in the ring, once; a reader's stream goes on or ends, and the others'
goes on; the next request is answered; no descriptor stays open."""
import errno
import glob
import mmap
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

SHIM = os.environ.get("ROLLCALL_SHIM", "")
WHOLE = os.environ.get("ROLLCALL_FAULTS_WHOLE", "") != ""
SAMPLES = 24  # of each kind of fault, in a short run
START_SAMPLES = 8  # likewise, of those that a start is for
FOREVER = 0xffffffff
PATIENCE = 10  # seconds until an answer will not come; the node's own deadlines are 2 s here

KINDS = ["alloc", "read", "write", "accept", "epoll_ctl", "epoll_wait", "socket", "bind", "listen",
         "open", "mmap", "unlink", "setsockopt", "fdatasync", "ftruncate", "make_fd", "random", "chmod",
         "ioctl", "stat", "fallocate", "rename", "flock"]  # as in shim.c


class Fault:
    """What fails, and how: an errno, or None for one byte only; `repeat`: so many calls in a row."""

    def __init__(self, kind, error, repeat=1):
        self.kind, self.error, self.repeat = kind, error, repeat

    def __repr__(self):
        how = "one byte" if self.error is None else errno.errorcode[self.error]
        return "%s %s%s" % (self.kind, how, "" if self.repeat == 1 else " from then on")


class Control:
    """The file that is shared with the shim."""
    LAYOUT = struct.Struct("<IIIiIIQQ16Q")

    def __init__(self, directory):
        self.path = os.path.join(directory, "faults")
        with open(self.path, "wb") as out:
            out.write(b"\0" * self.LAYOUT.size)
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), self.LAYOUT.size)

    def arm(self, fault, n):
        bits = 1 << KINDS.index(fault.kind)
        self.disarm()
        self.memory[4:] = self.LAYOUT.pack(1, bits, fault.error is None, fault.error or 0, fault.repeat,
                                           0, n, 0, *[0] * 16)[4:]
        self.memory[0:4] = struct.pack("<I", 1)

    def disarm(self):
        self.memory[0:4] = struct.pack("<I", 0)

    @property
    def hits(self):
        return self.LAYOUT.unpack(self.memory[:])[5]

    @property
    def calls(self):
        return self.LAYOUT.unpack(self.memory[:])[7]

    def where(self):
        """The functions that the first fault came to."""
        frames = ["0x%x" % frame for frame in self.LAYOUT.unpack(self.memory[:])[8:] if frame]
        try:
            text = subprocess.run(["addr2line", "-f", "-e", ROLLCALLD, *frames], capture_output=True,
                                  text=True, timeout=20).stdout
        except OSError:
            return " ".join(frames)
        return " < ".join(name for name in text.splitlines()[::2] if name != "??")


def points(calls, samples=SAMPLES):
    """Which n of so many are tried: all, or some that are spread evenly."""
    return list(range(1, calls + 1)) if WHOLE else sample(calls, samples)


def sample(calls, count):
    if calls <= count:
        return list(range(1, calls + 1))
    step = (calls - 1) / (count - 1)
    return sorted({1 + round(i * step) for i in range(count)})


class FaultyNode(Node):
    """A node with the shim in front of it."""

    def __init__(self, control, **options):
        before = {name: os.environ.get(name) for name in ("LD_PRELOAD", "ROLLCALL_FAULTS", "ASAN_OPTIONS")}
        sanitizer = (before["ASAN_OPTIONS"] or "") + ":verify_asan_link_order=0"  # the shim comes first
        os.environ.update(LD_PRELOAD=SHIM, ROLLCALL_FAULTS=control.path, ASAN_OPTIONS=sanitizer)
        try:
            super().__init__(**options)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@unittest.skipUnless(SHIM, "no shim")
class Faults(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rollcall-")
        self.addCleanup(folder.cleanup)
        self.directory = folder.name
        self.control = Control(self.directory)

    def assert_counted(self, fault, calls):
        """Else it goes by the shim, or the life has none and the fault is of no use here."""
        self.assertTrue(calls, "%r: no such call is counted" % fault)

    def told(self, fault, n):
        return "%r, call %d, in %s" % (fault, n, self.control.where())


START_FAULTS = [
    Fault("alloc", errno.ENOMEM), Fault("alloc", errno.ENOMEM, FOREVER),
    Fault("open", errno.EMFILE), Fault("mmap", errno.ENOMEM), Fault("socket", errno.EMFILE),
    Fault("bind", errno.EADDRINUSE), Fault("listen", errno.EADDRINUSE), Fault("ftruncate", errno.ENOSPC),
    Fault("make_fd", errno.EMFILE), Fault("setsockopt", errno.ENOBUFS),
    Fault("random", errno.EIO), Fault("chmod", errno.EPERM), Fault("ioctl", errno.EIO),
    Fault("stat", errno.EIO),
]
# Where these fail, libuv 1.44 ends the process itself (abort()), which no caller can prevent: in
# uv_loop_init the pipe of its signals and the memory of its table of descriptors; later epoll_ctl
# (uv__io_poll), which the kernel fails only for want of memory or past fs.epoll.max_user_watches.


class Start(Faults):
    """From main() to readiness."""
    faults = START_FAULTS

    def rest(self):
        return ""

    def start(self, fault, n):
        """The node's exit status, or None where it has come to be ready (and served, and ended)."""
        self.control.arm(fault, n)
        node = FaultyNode(self.control, directory=self.directory, rest=self.rest(),
                          wait=False)
        try:
            with node.changed:
                assert node.changed.wait_for(
                    lambda: any(line is None or "msg=ready" in line for line in node.log), DEADLINE)
                ready = any(line and "msg=ready" in line for line in node.log)
            self.calls, self.hits = self.control.calls, self.control.hits
            self.control.disarm()
            if ready:
                self.assertEqual(post(node, "/presence/lab", {"n": n}).status, 200)
                status = node.stop()
                self.assertEqual(status, 0, node.log)
                return None
            status = node.process.wait(DEADLINE)
            node.stop()
            return status
        finally:
            self.log = [line for line in node.log if line]
            if node.process.poll() is None:
                node.stop(signal.SIGKILL)

    def is_in_loop_init(self):
        return self.control.where().startswith("run < main")

    def check_failed(self, status, fault, n):
        # A file that cannot be opened is the configuration's mistake.
        self.assertIn(status, (1, 2) if fault.kind == "open" else (1,), self.told(fault, n))
        said = [line for line in self.log if line.startswith("rollcalld: ") or ".conf:" in line]
        self.assertTrue(said, "nothing said, but %s" % self.log)
        self.assertNotIn("events.sock", os.listdir(self.directory), "%s: %s" % (self.told(fault, n), said))

    def try_fault(self, fault):
        self.assertIsNone(self.start(fault, 1 << 62), self.log)
        self.assert_counted(fault, self.calls)
        for n in points(self.calls, START_SAMPLES):
            with self.subTest(fault=repr(fault), n=n):
                status = self.start(fault, n)
                if status == -signal.SIGABRT and not self.log and self.is_in_loop_init():
                    continue
                if status is not None:
                    self.assertGreater(self.hits, 0, self.log)
                    self.check_failed(status, fault, n)

    def test_start(self):
        self.assertIsNone(self.start(self.faults[0], 1 << 62), self.log)  # what it keeps is there now
        for fault in self.faults:
            self.try_fault(fault)


FILE_FAULTS = [
    Fault("alloc", errno.ENOMEM), Fault("open", errno.EACCES), Fault("mmap", errno.ENOMEM),
    Fault("stat", errno.EIO), Fault("flock", errno.ENOLCK), Fault("flock", errno.EWOULDBLOCK),
    Fault("fallocate", errno.ENOSPC), Fault("fallocate", errno.EINTR), Fault("fdatasync", errno.EIO),
    Fault("read", errno.EINTR), Fault("read", errno.EIO), Fault("read", None),
]
# Where a file is made.
NEW_FILE_FAULTS = [Fault("ftruncate", errno.ENOSPC), Fault("rename", errno.EIO), Fault("random", errno.EIO)]


class StartWithNewFile(Start):
    """The same where the ring is to be in a file."""
    faults = FILE_FAULTS + NEW_FILE_FAULTS

    def path(self):
        return os.path.join(self.directory, "ring")

    def rest(self):
        for path in glob.glob(self.path() + "*"):
            os.unlink(path)
        return "[ring]\nsize = 1M\nfile = %s\nsync = always\n" % self.path()


class StartWithFile(StartWithNewFile):
    """It is there already."""
    faults = FILE_FAULTS

    def rest(self):
        return "[ring]\nsize = 1M\nfile = %s\nsync = always\n" % self.path()


class StartOverAnother(StartWithNewFile):
    """One of another size is there: it is kept under another name."""
    faults = FILE_FAULTS + NEW_FILE_FAULTS + [Fault("unlink", errno.EACCES)]

    def rest(self):
        for old in glob.glob(self.path() + ".old-*"):
            os.unlink(old)
        is_small = os.path.exists(self.path()) and os.path.getsize(self.path()) < 2 << 20
        return "[ring]\nsize = %dM\nfile = %s\n" % (2 if is_small else 1, self.path())


REQUEST_FAULTS = [
    Fault("alloc", errno.ENOMEM), Fault("alloc", errno.ENOMEM, FOREVER),
    Fault("read", errno.EINTR), Fault("read", errno.EAGAIN), Fault("read", errno.ECONNRESET),
    Fault("read", errno.EIO), Fault("read", errno.ENOBUFS), Fault("read", None),
    Fault("read", None, FOREVER),
    Fault("write", errno.EINTR), Fault("write", errno.EAGAIN), Fault("write", errno.EPIPE),
    Fault("write", errno.ECONNRESET), Fault("write", errno.ENOBUFS), Fault("write", None),
    Fault("write", None, FOREVER),
    Fault("accept", errno.EMFILE), Fault("accept", errno.ENFILE), Fault("accept", errno.EINTR),
    Fault("accept", errno.EAGAIN), Fault("accept", errno.ECONNABORTED), Fault("accept", errno.ENOMEM),
    Fault("accept", errno.EPROTO),
    Fault("setsockopt", errno.ENOBUFS), Fault("setsockopt", errno.EINVAL),
    Fault("epoll_wait", errno.EINTR),
]
# Of what a client sees when a connection is closed on it.
CLOSED = (OSError, EOFError, ssl.SSLError)

SERVER = "header_timeout = 2s\nbody_timeout = 2s\nkeepalive_timeout = 2s\n"


class Running(Faults):
    """A node that is ready, and what became of the requests it acknowledged."""
    rest = ""

    def setUp(self):
        super().setUp()
        self.node = FaultyNode(self.control, server=SERVER, rest=self.rest.replace("%s", self.directory))
        self.addCleanup(self.end_node)
        self.acknowledged = set()
        self.serial = 0
        self.last = None

    def end_node(self):
        try:
            self.node.__exit__(None)
        finally:
            self.node.process.kill()

    def numbers(self, query="from=oldest&follow=0"):
        """What is in the ring: the numbers of the documents, and that the seqs have no hole."""
        peer = self.unix()
        try:
            peer.send(b"GET /v1/events?%s HTTP/1.1\r\nHost: x\r\n\r\n" % query.encode())
            lines = [json.loads(line) for line in peer.response().body.splitlines()]
        finally:
            peer.close()
        for one, next_one in zip(lines, lines[1:]):
            self.assertEqual(next_one["seq"], one["seq"] + 1)
        return [line["data"]["n"] for line in lines]

    def unix(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(self.node.socket)
        return Peer(sock)

    def post_one(self, body_parts=1):
        """A POST on a connection of its own, of which anything may fail. True: it was answered 200."""
        self.serial += 1
        number = self.serial
        body = json.dumps({"n": number, "pad": "x" * 3000}).encode()
        peer = None
        try:
            raw = socket.create_connection(("127.0.0.1", self.node.port), PATIENCE)
            peer = Peer(raw)
            peer = Peer(tls(self.node.port, tcp=raw))
            data = post_bytes("/presence/lab", body)
            for part in (data[:100], data[100:]) if body_parts == 2 else (data,):
                peer.send(part)
            response = peer.response()
            self.last = response
            self.assertIn(response.status, (200, 503))
            if response.status == 200:
                self.acknowledged.add(number)
            return response.status == 200
        except CLOSED as error:
            self.last = error
            self.assertNotIsInstance(error, TimeoutError, "it hangs")
            return False
        finally:
            if peer:
                peer.close()

    def check_next(self):
        """The next request is answered 200; where the disk has failed, 503 until it is tried again."""
        deadline = time.monotonic() + PATIENCE
        while not self.post_one():
            self.assertIsNone(self.node.process.poll(), "it died")
            waits = isinstance(self.last, Response) and b"disk" in self.last.body
            self.assertTrue(waits and time.monotonic() < deadline, "next: %r" % (self.last,))
            time.sleep(0.05)

    def check_ring(self):
        there = self.numbers()
        self.assertEqual(len(there), len(set(there)), "an event is there twice")
        self.assertEqual(self.acknowledged - set(there), set(), "acknowledged and lost")

    def check_descriptors(self, before):
        deadline = time.monotonic() + DEADLINE
        while self.node.fds() > before and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertLessEqual(self.node.fds(), before)

    def live(self, life, fault, n, prepare):
        """One life under a fault, but for what prepares it. What does not end by itself ends after a while: who has come when
        there was no memory for him at all waits until there is."""
        release = threading.Timer(0.3, self.control.disarm)
        prepared = prepare()
        self.control.arm(fault, n)
        if fault.repeat == FOREVER and fault.error:
            release.start()
        try:
            life(*prepared)
        finally:
            release.cancel()
            self.control.disarm()

    def loop(self, faults, life, prepare=tuple, most=None):
        """Runs `life` with each of its calls failed in turn, or with `most` of them; `prepare` gives its
        arguments."""
        life(*prepare())
        for fault in faults:
            before = self.node.fds()
            self.live(life, fault, 1 << 62, prepare)
            self.assert_counted(fault, self.control.calls)
            for n in points(self.control.calls) if most is None else sample(self.control.calls, most):
                with self.subTest(fault=repr(fault), n=n):
                    try:
                        self.live(life, fault, n, prepare)
                        self.check_next()
                    except AssertionError as error:
                        raise AssertionError("%s: %s" % (self.told(fault, n), error)) from error
                if self.node.process.poll() is not None:
                    self.fail("%s: the node died" % self.told(fault, n))
            with self.subTest(fault=repr(fault)):
                self.check_descriptors(before)
                self.check_ring()


class Request(Running):
    def test_request(self):
        self.loop(REQUEST_FAULTS, self.post_one)

    def test_request_in_two_parts(self):
        self.loop([Fault("alloc", errno.ENOMEM), Fault("read", None, FOREVER)],
                  lambda: self.post_one(body_parts=2))


class Answers(Running):
    """Answers that the socket does not take at once, as nobody reads them yet."""

    def connect(self):
        tcp = socket.socket()
        for what, size in (socket.SO_RCVBUF, 4096), (socket.SO_SNDBUF, 65536):
            tcp.setsockopt(socket.SOL_SOCKET, what, size)
        tcp.settimeout(PATIENCE)
        tcp.connect(("127.0.0.1", self.node.port))
        return [tls(self.node.port, tcp=tcp)]

    def ask_and_read_later(self, tcp):
        try:
            sent = self.send_until_it_is_full(tcp)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            answered, rest = 0, b""
            while answered < sent:
                data = tcp.recv(65536)
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\r\n")
                answered += sum(b"HTTP/1.1 404" in line for line in lines)
        except CLOSED as error:
            self.assertNotIsInstance(error, TimeoutError, "it hangs")
        finally:
            tcp.close()

    def send_until_it_is_full(self, tcp):
        """How many requests went out until no more were taken: the node waits to be rid of answers."""
        request, sent, times = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 0, 100
        tcp.settimeout(0.1)
        try:
            while True:
                tcp.sendall(request * times)
                sent += times
        except TimeoutError:
            tcp.settimeout(PATIENCE)
            return sent

    def test_answers_that_wait(self):
        self.loop([Fault("alloc", errno.ENOMEM), Fault("write", errno.ECONNRESET),
                   Fault("write", None)], self.ask_and_read_later, self.connect,
                  most=64 if WHOLE else 8)


class RequestToFile(Running):
    """A request that is answered when its events are on the disk."""
    rest = "[ring]\nfile = %s/ring\nsync = always\n"

    def test_request(self):
        self.loop([Fault("alloc", errno.ENOMEM), Fault("alloc", errno.ENOMEM, FOREVER),
                   Fault("fdatasync", errno.EIO), Fault("fdatasync", errno.ENOSPC),
                   Fault("fdatasync", errno.EINTR), Fault("write", errno.EAGAIN), Fault("write", None)],
                  self.post_one)


class Listening(Running):
    """accept() fails for as long as it likes, on the port and on the socket: who is connected is
    served, nothing turns in circles, and when it works again, those who waited are taken."""

    def test_no_descriptor_is_left(self):
        for error in errno.ENFILE, errno.EMFILE, errno.ENOMEM:
            with self.subTest(errno.errorcode[error]):
                connected = Peer(tls(self.node.port))
                before = self.node.fds()
                self.control.arm(Fault("accept", error, FOREVER), 1)
                waiting = [socket.create_connection(("127.0.0.1", self.node.port), PATIENCE)
                           for _ in range(20)]
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].connect(self.node.socket)
                began, cpu_s = time.monotonic(), self.node.cpu_s()
                while time.monotonic() - began < 1:
                    connected.send(post_bytes("/presence/lab", b'{"n":0}'))
                    self.assertEqual(connected.response().status, 200)
                    time.sleep(0.05)
                share = (self.node.cpu_s() - cpu_s) / (time.monotonic() - began)
                self.assertLess(share, 0.2)
                self.control.disarm()
                self.check_next()
                connected.close()
                for sock in waiting:
                    sock.close()
                self.numbers()
                self.check_descriptors(before - 1)


READER_FAULTS = [
    Fault("alloc", errno.ENOMEM), Fault("alloc", errno.ENOMEM, FOREVER),
    Fault("read", errno.EINTR), Fault("read", errno.EAGAIN), Fault("read", errno.ECONNRESET),
    Fault("read", None, FOREVER),
    Fault("write", errno.EINTR), Fault("write", errno.EAGAIN), Fault("write", errno.EPIPE),
    Fault("write", errno.ENOBUFS), Fault("write", None), Fault("write", None, FOREVER),
    Fault("accept", errno.EMFILE), Fault("accept", errno.ENFILE), Fault("accept", errno.EINTR),
    Fault("accept", errno.EAGAIN), Fault("accept", errno.ENOMEM),
    Fault("epoll_wait", errno.EINTR),
]


class Reader(Running):
    """A reader from its connection to its end, while another one follows."""

    def read_all(self):
        try:
            self.numbers("from=oldest&follow=0")
        except (*CLOSED, IndexError, json.JSONDecodeError) as error:
            self.assertNotIsInstance(error, TimeoutError, "it hangs")

    def test_reader(self):
        for _ in range(20):
            self.assertTrue(self.post_one())
        follower = self.unix()
        follower.send(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        follower.until(b"\r\n\r\n")
        self.loop(READER_FAULTS, self.read_all)
        # The follower had nothing to do with any of it: it has been told of every event since.
        last = max(self.acknowledged)
        told = []
        while not told or told[-1] != last:
            for line in next(follower.chunks()).splitlines():
                told.append(json.loads(line)["data"]["n"])
        self.assertEqual(told, sorted(n for n in self.acknowledged if n >= told[0]))
        follower.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
