"""rollcall-tail against scripted nodes: every awkward cut, ending, answer, and kind of output; and
against the real one where both have to agree."""
import fcntl
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import struct
import tempfile
import termios
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

RING = "00112233445566aa"
OTHER = "ffeeddccbbaa9988"


def line(seq, **more):
    return (json.dumps({"seq": seq, "id": "0" * 32, **more}, separators=(",", ":")) + "\n").encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def head(ring=RING, seq=0, status=b"200 OK"):
    return (b"HTTP/1.1 %s\r\nContent-Type: application/x-ndjson\r\nRollcall-Cursor: %s-%d\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" % (status, ring.encode(), seq))


def gap(after, following, lost, reason):
    return (b'{"gap":{"after":"%s","next":"%s","lost":%s,"reason":"%s"}}\n'
            % tuple(str(part).encode() for part in (after, following, lost, reason)))


END = b"0\r\n\r\n"
MAX_LINE_BYTES = 64 << 20  # with its newline
WHOLE_TEST = 4 * DEADLINE  # seconds; a test that waits for longer has failed


def at(seconds, micros=0):
    """A time of receipt, RFC 3339, on a morning of 2026."""
    return "2026-03-01T08:%02d:%02d.%06dZ" % (seconds // 60, seconds % 60, micros)


def decoded(target):
    """A request's target as (path, [(name, value)])."""
    parts = urllib.parse.urlsplit(target)
    return parts.path, urllib.parse.parse_qsl(parts.query, strict_parsing=True)


class FakeNode:
    """Listens; each accept hands over the connection and the request's target."""

    def __init__(self, path):
        self.path = path
        self.listen()

    def listen(self):
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.server.settimeout(DEADLINE)

    def accept(self):
        sock, _ = self.server.accept()
        sock.settimeout(DEADLINE)
        request = b""
        while b"\r\n\r\n" not in request:
            data = sock.recv(4096)
            assert data, "closed after %r" % request
            request += data
        self.head = request
        return sock, request.split(b" ")[1].decode()

    def gone(self):
        self.server.close()
        os.unlink(self.path)


class Case(unittest.TestCase):
    def setUp(self):
        def late(*_):
            raise AssertionError("the test still waits after %d s" % WHOLE_TEST)
        signal.signal(signal.SIGALRM, late)
        signal.alarm(WHOLE_TEST)
        self.addCleanup(signal.alarm, 0)
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "s")
        self.cursor = os.path.join(self.directory, "cursor")
        self.node = FakeNode(self.path)
        self.addCleanup(lambda: self.node.server.close())

    def tail(self, *args, stdout=subprocess.PIPE, without_socket=False, **options):
        place = () if without_socket else ("--socket", self.path)
        process = subprocess.Popen([TAIL, *place, *args], stdout=stdout, stderr=subprocess.PIPE,
                                   **options)
        def end():
            process.kill()
            process.wait(DEADLINE)
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self.addCleanup(end)
        return process

    def finish(self, process, status=0):
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, status, err)
        return out, err.decode()

    def read_cursor(self):
        with open(self.cursor) as text:
            return text.read()

    def send_later(self, sock, data):
        """Sends what no socket buffer holds; the peer may go away in the midst of it."""
        def send():
            try:
                sock.sendall(data)
            except OSError:
                pass
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)

    def small_pipe(self):
        """A pipe of one page: (the end to read, the end to write)."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        return reader, writer


class Streams(Case):
    def test_lines_and_the_end(self):
        tail = self.tail("--from", "oldest", "--no-follow")
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=0&from=oldest")
        sock.sendall(head() + chunk(line(1) + line(2)) + chunk(line(3)) + END)
        self.assertEqual(self.finish(tail), (line(1) + line(2) + line(3), ""))
        sock.close()

    def test_byte_by_byte(self):
        tail = self.tail("--no-follow")
        sock, _ = self.node.accept()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for byte in head() + chunk(line(1)[:9]) + chunk(line(1)[9:] + line(2)) + END:
            sock.send(bytes([byte]))
        self.assertEqual(self.finish(tail)[0], line(1) + line(2))
        sock.close()

    def test_a_line_of_megabytes(self):
        tail = self.tail("--no-follow")
        sock, _ = self.node.accept()
        long = line(1, data="x" * (5 << 20))
        self.send_later(sock, head() + chunk(long) + END)
        self.assertEqual(self.finish(tail)[0], long)
        sock.close()

    def test_a_live_line_comes_at_once(self):
        tail = self.tail()
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=1")
        sock.sendall(head())
        for seq in range(1, 4):
            sock.sendall(chunk(line(seq)))
            self.assertEqual(tail.stdout.readline(), line(seq))
        tail.send_signal(signal.SIGINT)
        self.assertEqual(self.finish(tail), (b"", ""))
        sock.close()

    def test_number_of_lines(self):
        tail = self.tail("-n", "2", "--from", "oldest")
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=1&from=oldest&limit=2")
        sock.sendall(head() + chunk(line(1) + line(2) + line(3)))
        self.assertEqual(self.finish(tail)[0], line(1) + line(2))
        sock.close()

    def test_gaps(self):
        lost = gap(RING + "-1", RING + "-9", 7, "overrun")
        for options, lines in (((), line(1) + line(9)), (("--gaps",), line(1) + lost + line(9))):
            tail = self.tail("--no-follow", *options)
            sock, _ = self.node.accept()
            sock.sendall(head() + chunk(line(1) + lost + line(9)) + END)
            out, err = self.finish(tail)
            self.assertEqual(out, lines)
            self.assertEqual(err, "rollcall-tail: gap: 7 events lost (overrun) after %s-1, "
                                  "next %s-9\n" % (RING, RING))
            sock.close()

    def test_other_lines_are_copied_and_called_no_gap(self):
        tail = self.tail("--no-follow")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1) + b'{"note":1}\n' + line(2)) + END)
        self.assertEqual(self.finish(tail), (line(1) + b'{"note":1}\n' + line(2), ""))
        sock.close()

    def test_heartbeats_are_no_lines(self):
        tail = self.tail("--no-follow")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(b"\n") + chunk(line(1) + b"\n") + chunk(b"\n" + line(2)) + END)
        self.assertEqual(self.finish(tail), (line(1) + line(2), ""))
        sock.close()

    def test_a_body_that_the_end_of_the_connection_ends(self):
        tail = self.tail("--no-follow")
        sock, _ = self.node.accept()
        sock.sendall(head().replace(b"Transfer-Encoding: chunked\r\n", b"") + line(1))
        sock.close()
        self.assertEqual(self.finish(tail), (line(1), ""))

    def test_the_longest_line_and_one_byte_more(self):
        start = line(1, data="")[:-3]  # up to where the text of `data` begins
        for size, status in ((MAX_LINE_BYTES, 0), (MAX_LINE_BYTES + 1, 1)):
            long = start + b"x" * (size - len(start) - 3) + b'"}\n'
            tail = self.tail("--no-follow")
            sock, _ = self.node.accept()
            self.send_later(sock, head() + chunk(long) + END)
            out, err = self.finish(tail, status)
            self.assertEqual(len(out), len(long) if status == 0 else 0)
            self.assertRegex(err, r"^$" if status == 0 else r"line.*longer than 64 MiB.*\n$")
            sock.close()


class Outages(Case):
    def test_resumes_behind_the_last_whole_line(self):
        tail = self.tail("--from", "oldest")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1) + line(2) + line(3)[:5]))
        self.assertEqual(tail.stdout.readline() + tail.stdout.readline(), line(1) + line(2))
        sock.close()
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=1&after=%s-2" % RING)
        sock.sendall(head(seq=2) + chunk(line(3)))
        self.assertEqual(tail.stdout.readline(), line(3))
        tail.send_signal(signal.SIGTERM)
        out, err = self.finish(tail)
        self.assertEqual(out, b"")
        self.assertEqual(err.count("\n"), 2, err)  # gone once, back once
        self.assertIn("waiting for the node", err)
        self.assertIn("the node is back", err)
        sock.close()

    def test_resumes_where_it_began_when_nothing_came(self):
        tail = self.tail()
        sock, _ = self.node.accept()
        sock.sendall(head(seq=41))
        sock.close()
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=1&after=%s-41" % RING)
        tail.send_signal(signal.SIGTERM)
        self.finish(tail)
        sock.close()

    def test_what_a_gap_said_is_not_said_again(self):
        for lost, after in ((gap(RING + "-1", RING + "-9", 7, "overrun"), RING + "-8"),
                            (gap(RING + "-1", OTHER + "-1", "null", "restart"), OTHER + "-0"),
                            (gap(RING + "-99", RING + "-3", 0, "unknown-cursor"), RING + "-2")):
            tail = self.tail("--from", "oldest")
            sock, _ = self.node.accept()
            sock.sendall(head() + chunk(line(1) + lost))
            self.assertIn(b"events lost", tail.stderr.readline())
            sock.close()
            sock, target = self.node.accept()
            self.assertIn("after=" + after, target)
            tail.send_signal(signal.SIGTERM)
            self.finish(tail)
            sock.close()

    def test_a_broken_stream_that_was_to_end(self):
        tail = self.tail("--no-follow", "-n", "3", "--from", "oldest")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)) + b"64\r\n" + line(2) + line(3)[:8])
        sock.close()
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=0&after=%s-2&limit=1" % RING)
        sock.sendall(head(seq=2) + chunk(line(3)) + END)
        self.assertEqual(self.finish(tail)[0], line(1) + line(2) + line(3))
        sock.close()

    def test_a_restarted_node_with_another_ring(self):
        tail = self.tail("--cursor-file", self.cursor)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        self.assertEqual(tail.stdout.readline(), line(1))
        self.node.gone()
        sock.close()
        self.node.listen()
        sock, target = self.node.accept()
        self.assertIn("after=%s-1" % RING, target)
        sock.sendall(head(OTHER) + chunk(gap(RING + "-1", OTHER + "-1", "null", "restart") + line(1)))
        self.assertEqual(tail.stdout.readline(), line(1))
        tail.send_signal(signal.SIGTERM)
        self.assertIn("an unknown number of events lost (restart)", self.finish(tail)[1])
        self.assertEqual(self.read_cursor(), OTHER + "-1\n")
        sock.close()

    def test_the_node_comes_later(self):
        self.node.gone()
        tail = self.tail()
        self.assertIn(b"waiting for the node", tail.stderr.readline())
        self.node.listen()
        sock, target = self.node.accept()
        # Whatever it holds by then came after the tail did.
        self.assertEqual(target, "/v1/events?follow=1&from=oldest")
        sock.sendall(head() + chunk(line(1)))
        self.assertEqual(tail.stdout.readline(), line(1))
        sock.close()

    def test_what_it_held_before_now_is_left_out(self):
        """Its ring is in a file, say: only what it received since the tail began is new."""
        self.node.gone()
        tail = self.tail("-n", "2")
        self.assertIn(b"waiting for the node", tail.stderr.readline())
        self.node.listen()
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=1&from=oldest")
        new = [line(n, received="2999-01-01T00:00:00.00000%dZ" % n) for n in (3, 4)]
        sock.sendall(head() + chunk(line(1, received=at(1)) + line(2, received=at(2)) + new[0]))
        self.assertEqual(tail.stdout.readline(), new[0])
        sock.close()
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=1&after=%s-3&limit=1" % RING)
        sock.sendall(head(seq=3) + chunk(new[1]))
        self.assertEqual(self.finish(tail)[0], new[1])
        sock.close()

    def test_an_ended_stream_is_taken_up_again(self):
        tail = self.tail()
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)) + END)  # a drained node
        self.assertEqual(tail.stdout.readline(), line(1))
        sock.close()
        sock, target = self.node.accept()
        self.assertIn("after=%s-1" % RING, target)
        sock.close()

    def test_503_is_tried_again_and_400_is_not(self):
        tail = self.tail()
        sock, _ = self.node.accept()
        sock.sendall(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")
        sock.close()
        sock, _ = self.node.accept()
        sock.sendall(b'HTTP/1.1 400 x\r\nContent-Length: 19\r\n\r\n{"error":"no good"}')
        self.assertIn("no good", self.finish(tail, 1)[1])
        sock.close()

    def test_a_node_that_was_busy_is_not_taken_for_a_new_one(self):
        tail = self.tail()
        sock, _ = self.node.accept()
        sock.sendall(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")
        sock.close()
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=1")
        sock.close()

    def test_answers_that_are_no_stream(self):
        for answer, message in (
                (b'404 x\r\nContent-Length: 22\r\n\r\n{"error":"not \\"here"}', 'not \\"here'),
                (b"400 x\r\nContent-Length: 8\r\n\r\none\n\x1btwo", "one  two"),
                (b"500 x\r\nContent-Length: 0\r\n\r\n", ""),
                (b"301 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "")):
            tail = self.tail()
            sock, _ = self.node.accept()
            sock.sendall(b"HTTP/1.1 " + answer)
            err = self.finish(tail, 1)[1]
            self.assertEqual(err.count("\n"), 1, err)
            self.assertIn("the node answered %s" % answer[:3].decode(), err)
            self.assertTrue(err.endswith(message + "\n"), err)
            sock.close()

    def test_no_node_and_no_follow(self):
        self.node.gone()
        for more in ((), ("--after", RING + "-1")):
            self.assertIn("is the node running", self.finish(self.tail("--no-follow", *more), 1)[1])
        self.node.listen()

    def test_a_socket_that_can_never_be_there(self):
        for path, why in (("/dev/null/socket", "Not a directory"), ("/x" * 60, "File name too long")):
            err = self.finish(self.tail("--socket", path, without_socket=True), 1)[1]
            self.assertEqual(err.count("\n"), 1, err)
            self.assertIn(why, err)

    def test_a_node_that_accepts_nobody(self):
        path = os.path.join(self.directory, "full")
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as waiting:
            server.bind(path)
            server.listen(0)
            waiting.connect(path)  # the backlog is full
            tail = self.tail("--socket", path, without_socket=True)
            self.assertIn(b"waiting for the node", tail.stderr.readline())
            tail.send_signal(signal.SIGINT)
            self.assertEqual(self.finish(tail), (b"", ""))

    def test_not_http(self):
        for answer in (b"hello\r\n\r\n",  # and a web server that is no node of ours
                       b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n",
                       head("x") + chunk(line(1))):
            tail = self.tail()
            sock, _ = self.node.accept()
            sock.sendall(answer)
            out, err = self.finish(tail, 1)
            self.assertEqual(out, b"")
            self.assertIn("no event stream", err)
            sock.close()


class CursorFile(Case):
    def serve_from_cursor(self, last):
        """The next connection gets the lines that it asks for, up to `last`; the first's seq."""
        sock, target = self.node.accept()
        after = re.search("after=%s-([0-9]+)" % RING, target)
        begin = int(after.group(1)) + 1 if after else 1
        sock.sendall(head(seq=begin - 1))
        self.send_later(sock, b"".join(chunk(line(n)) for n in range(begin, last + 1)) + END)
        self.addCleanup(sock.close)
        return begin

    def test_after_kill_9_nothing_is_lost(self):
        last, path = 20000, os.path.join(self.directory, "out")
        for wait_for in (1, 5000, 12000):  # killed in the midst of three runs
            begins = None
            with open(path, "ab") as out, open(path, "rb") as written:
                tail = self.tail("--cursor-file", self.cursor, "--from", "oldest", stdout=out)
                begins = self.serve_from_cursor(last)
                deadline = time.monotonic() + DEADLINE
                while b'{"seq":%d,' % max(wait_for, begins) not in written.read():
                    written.seek(0)
                    self.assertLess(time.monotonic(), deadline)
                tail.kill()
                tail.wait(DEADLINE)
            with open(path, "rb+") as out:  # a line that the kill cut comes again
                whole = out.read().rfind(b"\n") + 1
                out.truncate(whole)
        with open(path, "ab") as out:
            tail = self.tail("--cursor-file", self.cursor, "--no-follow", "--from", "oldest",
                             stdout=out)
            self.serve_from_cursor(last)
            self.assertEqual(tail.wait(DEADLINE), 0)
        with open(path, "rb") as out:
            seqs = [json.loads(text)["seq"] for text in out]
        self.assertEqual(sorted(set(seqs)), list(range(1, last + 1)))
        for before, following in zip(seqs, seqs[1:]):  # and never leaps ahead
            self.assertLessEqual(following, before + 1)
        self.assertEqual(self.read_cursor(), "%s-%d\n" % (RING, last))

    def test_after_kill_9_it_is_not_ahead_of_what_was_read(self):
        tail = self.tail("--cursor-file", self.cursor, "--from", "oldest")
        sock, _ = self.node.accept()
        sock.sendall(head())
        for seq in range(1, 50):
            sock.sendall(chunk(line(seq)))
            self.assertEqual(tail.stdout.readline(), line(seq))
        tail.kill()
        tail.wait(DEADLINE)
        sock.close()
        begun = os.path.exists(self.cursor)
        known = int(self.read_cursor().split("-")[1]) if begun else 0
        self.assertLessEqual(known, 49)
        tail = self.tail("--cursor-file", self.cursor, "--from", "oldest")
        sock, target = self.node.accept()
        self.assertIn("after=%s-%d" % (RING, known) if begun else "from=oldest", target)
        sock.close()

    def test_a_line_for_a_reader_that_has_gone_does_not_count(self):
        reader, writer = os.pipe()
        tail = self.tail("--cursor-file", self.cursor, stdout=writer)
        os.close(writer)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        self.assertEqual(os.read(reader, 4096), line(1))
        os.close(reader)
        self.send_later(sock, chunk(line(2)))
        self.assertEqual((tail.wait(DEADLINE), tail.stderr.read()), (0, b""))
        self.assertEqual(self.read_cursor(), RING + "-1\n")
        sock.close()

    def test_something_else_in_its_place(self):
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        for path in (fifo, self.directory, "/dev/null"):
            self.assertIn("no regular file", self.finish(self.tail("--cursor-file", path), 2)[1])

    def test_where_it_begins_is_kept_before_anything_came(self):
        tail = self.tail("--cursor-file", self.cursor)
        sock, _ = self.node.accept()
        sock.sendall(head(seq=41))
        deadline = time.monotonic() + DEADLINE
        while not os.path.exists(self.cursor):
            self.assertLess(time.monotonic(), deadline)
        tail.kill()
        self.assertEqual(self.read_cursor(), RING + "-41\n")
        sock.close()

    def test_it_wins_over_after_too(self):
        for after in (1, 5):  # the first time there is no file
            tail = self.tail("--cursor-file", self.cursor, "--after", RING + "-1", "--no-follow")
            sock, target = self.node.accept()
            self.assertEqual(target, "/v1/events?follow=0&after=%s-%d" % (RING, after))
            sock.sendall(head(seq=after) + (chunk(line(5)) if after == 1 else b"") + END)
            self.finish(tail)
            self.assertEqual(self.read_cursor(), RING + "-5\n")
            sock.close()

    def test_it_is_kept_up_to_date_and_wins_over_from(self):
        tail = self.tail("--cursor-file", self.cursor, "--from", "oldest")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        deadline = time.monotonic() + DEADLINE
        while not os.path.exists(self.cursor) or self.read_cursor() != RING + "-1\n":
            self.assertLess(time.monotonic(), deadline)
        tail.send_signal(signal.SIGTERM)
        self.finish(tail)
        sock.close()
        tail = self.tail("--cursor-file", self.cursor, "--from", "oldest", "--no-follow")
        sock, target = self.node.accept()
        self.assertEqual(target, "/v1/events?follow=0&after=%s-1" % RING)
        sock.sendall(head(seq=1) + END)
        self.finish(tail)
        self.assertEqual(self.read_cursor(), RING + "-1\n")
        sock.close()

    def test_rubbish_in_it(self):
        with open(self.cursor, "w") as out:
            out.write("rubbish\n")
        self.assertIn("holds no cursor", self.finish(self.tail("--cursor-file", self.cursor), 2)[1])

    def test_it_cannot_be_written(self):
        tail = self.tail("--cursor-file", "/nonexistent/cursor")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        self.assertIn("/nonexistent/cursor", self.finish(tail, 1)[1])
        sock.close()

    def test_a_reader_that_leaves_a_quiet_stream(self):
        reader, writer = os.pipe()
        tail = self.tail("--cursor-file", self.cursor, stdout=writer)
        os.close(writer)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        self.assertEqual(os.read(reader, 4096), line(1))
        os.close(reader)  # and no further line tells the tail so
        self.assertEqual(tail.wait(DEADLINE), 0)
        self.assertEqual((tail.stderr.read(), self.read_cursor()), (b"", RING + "-1\n"))
        sock.close()

    def waiting(self, reader):
        """How many bytes are in the pipe."""
        return struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0]

    def blocked(self):
        """A tail that is writing more than its reader takes: (tail, the pipe's end to read)."""
        reader, writer = self.small_pipe()
        tail = self.tail("--cursor-file", self.cursor, stdout=writer)
        os.close(writer)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(b"".join(line(n) for n in range(1000, 1400))))
        self.addCleanup(sock.close)
        deadline = time.monotonic() + DEADLINE
        while self.waiting(reader) < 4096:  # until the pipe is full, and the rest waits
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.001)
        return tail, reader

    def test_lines_that_were_not_written_do_not_count(self):
        tail, reader = self.blocked()
        read = len(os.read(reader, 4096))
        os.close(reader)
        self.assertEqual((tail.wait(DEADLINE), tail.stderr.read()), (0, b""))
        count = int(self.read_cursor()[17:]) - 999
        size = len(line(1000))
        self.assertGreaterEqual(count, read // size)
        self.assertLessEqual(count, (read + 2 * 4096) // size)

    def test_a_signal_ends_it_behind_a_whole_line(self):
        tail, reader = self.blocked()
        tail.send_signal(signal.SIGTERM)
        out = b""
        while (data := os.read(reader, 512)):
            out += data
        os.close(reader)
        self.assertEqual((tail.wait(DEADLINE), tail.stderr.read()), (0, b""))
        count = out.count(b"\n")
        self.assertEqual(out, b"".join(line(n) for n in range(1000, 1000 + count)))
        self.assertLess(count, 400)  # the rest is for the next run
        self.assertEqual(self.read_cursor(), "%s-%d\n" % (RING, 999 + count))

    def test_a_second_signal_ends_it_at_once(self):
        tail, reader = self.blocked()
        tail.send_signal(signal.SIGTERM)
        tail.send_signal(signal.SIGINT)
        self.assertEqual(tail.wait(DEADLINE), 1)
        os.close(reader)

    def test_a_full_disk(self):
        limit, path = 1000, os.path.join(self.directory, "out")
        def restrict():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with open(path, "wb") as out:
            tail = self.tail("--cursor-file", self.cursor, stdout=out, restore_signals=False,
                             preexec_fn=restrict,
                             # A coverage run's counters would be cut by the limit, and stay so.
                             env={**os.environ, "GCOV_PREFIX": self.directory})
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(b"".join(line(n) for n in range(10, 60))))
        self.assertEqual(tail.wait(DEADLINE), 1)
        self.assertIn(b"stdout: File too large", tail.stderr.read())
        with open(path, "rb") as out:
            whole = out.read().count(b"\n")
        self.assertGreater(whole, 10)
        self.assertEqual(self.read_cursor(), "%s-%d\n" % (RING, 9 + whole))
        sock.close()

    def test_into_head(self):
        tail = subprocess.Popen(
            ["bash", "-c", '"$0" "$@" | head -n 3; echo "${PIPESTATUS[0]}"', TAIL, "--socket",
             self.path, "--cursor-file", self.cursor], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1) + line(2)) + chunk(line(3) + line(4)))
        self.assertEqual(tail.communicate(timeout=DEADLINE),
                         (line(1) + line(2) + line(3) + b"0\n", b""))
        sock.close()


class Options(Case):
    def test_wrong_ones(self):
        for args, part in ((("--nonsense",), "nonsense"), (("-n", "0"), "--lines: '0'"),
                           (("-n", "x"), "--lines: 'x'"), (("--from", "then"), "--from: 'then'"),
                           (("--after", "x"), "--after: 'x'"), (("y",), "unexpected argument 'y'"),
                           (("--from", "now", "--after", RING + "-1"), "exclude each other"),
                           (("--socket", self.path), "is given twice"),
                           (("--socket", ""), "--socket: ''"), (("--format", "xml"), "'xml'"),
                           (("--socket", "/x", "--after", RING + "-1"), "2 sockets"),
                           (("--reader", "a b"), "--reader: 'a b'"),
                           (("--reader", "a", "--cursor-file", "/x"), "exclude each other"),
                           (("--kind", ""), "--kind"), (("--mac", "x" * 257), "--mac"),
                           (("--kind", "x") * 65, "more than 64"),
                           (tuple(part for n in range(64) for part in ("--socket", "/%d" % n)),
                            "more than 64")):
            out, err = self.finish(self.tail(*args), 2)
            self.assertEqual(out, b"")
            self.assertIn(part, err)
            self.assertIn("--help", err)

    def test_the_socket_by_environment(self):
        tail = self.tail("--no-follow", without_socket=True,
                         env={**os.environ, "ROLLCALL_SOCKET": self.path})
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)) + END)
        self.assertEqual(self.finish(tail)[0], line(1))
        sock.close()

    def test_no_stdout(self):
        tail = subprocess.run(["bash", "-c", '"$0" --socket "$1" >&-', TAIL, self.path],
                              capture_output=True, timeout=DEADLINE)
        self.assertEqual(tail.returncode, 1)
        self.assertIn(b"rollcall-tail: stdout: Bad file descriptor", tail.stderr)

    def test_help_and_version(self):
        self.assertIn(b"--cursor-file", self.finish(self.tail("--help"))[0])
        self.assertRegex(self.finish(self.tail("--version"))[0], rb"^rollcall-tail \d")

    def test_stdout_full(self):
        with open("/dev/full", "w") as full:
            tail = subprocess.Popen([TAIL, "--socket", self.path], stdout=full,
                                    stderr=subprocess.PIPE)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        err = tail.communicate(timeout=DEADLINE)[1]
        self.assertEqual(tail.returncode, 1)
        self.assertIn(b"No space left", err)
        sock.close()


class Filters(Case):
    def test_they_are_sent_to_the_node(self):
        tail = self.tail("--endpoint", "h q&x", "--endpoint", "lab", "--provider", "json", "--kind",
                         "zone-enter", "--mac", "AA:bb", "--kind", "\u00fc=+%", "--no-follow")
        sock, target = self.node.accept()
        self.assertRegex(target, "^[!-~]+$")
        self.assertEqual(decoded(target), ("/v1/events", [
            ("follow", "0"), ("endpoint", "h q&x"), ("endpoint", "lab"), ("provider", "json"),
            ("kind", "zone-enter"), ("mac", "AA:bb"), ("kind", "\u00fc=+%")]))
        self.assertNotIn("+", target)  # which some take for a blank
        sock.sendall(head() + chunk(line(3) + line(9)) + END)  # the skipped are no gap
        self.assertEqual(self.finish(tail), (line(3) + line(9), ""))
        sock.close()

    def test_as_many_and_as_long_as_a_node_takes(self):
        values = ["%d" % n + "\u00fc" * 127 for n in range(10, 74)]
        tail = self.tail("--no-follow", *(part for v in values for part in ("--kind", v)))
        sock, target = self.node.accept()
        self.assertEqual([v for _, v in decoded(target)[1][1:]], values)
        sock.sendall(head() + END)
        self.finish(tail)
        sock.close()


def cloud_event(inner):
    return b'{"specversion":"1.0","id":"1","type":"rollcall.x","data":%s}\n' % inner[:-1]


class CloudEvents(Case):
    def test_lines_are_passed_on_and_understood(self):
        lost = cloud_event(gap(RING + "-1", RING + "-9", 7, "overrun"))
        tail = self.tail("--format", "cloudevents", "--gaps")
        sock, _ = self.node.accept()
        self.assertIn(b"\r\nAccept: application/cloudevents+json\r\n", self.node.head)
        lines = cloud_event(line(1)) + lost + cloud_event(line(9))
        sock.sendall(head() + chunk(lines))
        self.assertEqual(b"".join(tail.stdout.readline() for _ in range(3)), lines)
        sock.close()
        sock, target = self.node.accept()
        self.assertIn("after=%s-9" % RING, target)
        tail.send_signal(signal.SIGTERM)
        self.assertIn("7 events lost (overrun) after %s-1" % RING, self.finish(tail)[1])
        sock.close()

    def test_several_are_merged(self):
        other = FakeNode(os.path.join(self.directory, "other"))
        self.addCleanup(other.server.close)
        tail = self.tail("--format", "cloudevents", "--socket", other.path, "--no-follow")
        first, _ = self.node.accept()
        second, _ = other.accept()
        lines = [cloud_event(line(n, received=at(n))) for n in range(4)]
        first.sendall(head() + chunk(lines[0] + lines[3]) + END)
        second.sendall(head(OTHER) + chunk(lines[1] + lines[2]) + END)
        self.assertEqual(self.finish(tail)[0], b"".join(lines))
        first.close()
        second.close()


class Several(Case):
    def setUp(self):
        super().setUp()
        self.others = [FakeNode(os.path.join(self.directory, "s%d" % n)) for n in (1, 2)]
        for other in self.others:
            self.addCleanup(lambda other=other: other.server.close())

    def start(self, *args, count=2):
        """A tail of the first node and others: (tail, their connections, their targets)."""
        nodes = [self.node, *self.others][:count]
        more = [part for node in nodes[1:] for part in ("--socket", node.path)]
        tail = self.tail(*more, *args)
        pairs = [node.accept() for node in nodes]
        for sock, _ in pairs:
            self.addCleanup(sock.close)
        return tail, [sock for sock, _ in pairs], [target for _, target in pairs]

    def test_exact_order_without_follow(self):
        tail, socks, targets = self.start("--no-follow", "--from", "oldest", count=3)
        self.assertEqual(targets, ["/v1/events?follow=0&from=oldest"] * 3)
        lines = [line(n, received=at(n // 10, n % 10), node=n * 7 % 3) for n in range(3000)]
        for which in (2, 0, 1):  # and in whatever order they come
            own = [text for text in lines if json.loads(text)["node"] == which]
            self.send_later(socks[which], head(RING[:-1] + str(which)) + b"".join(
                chunk(b"".join(own[n:n + 7])) for n in range(0, len(own), 7)) + END)
            if which == 2:
                time.sleep(0.3)  # longer than a live event waits: only its own order may tell
        self.assertEqual(self.finish(tail), (b"".join(lines), ""))

    def test_more_than_a_queue_holds(self):
        tail, socks, _ = self.start("--no-follow")
        fill = "x" * 1000
        lines = [line(n, received=at(n // 1000, n % 1000), fill=fill) for n in range(12000)]
        for which in (0, 1):  # one has all of the early ones
            self.send_later(socks[which], head() + b"".join(
                chunk(text) for text in lines[which * 6000:which * 6000 + 6000]) + END)
        self.assertEqual(self.finish(tail)[0], b"".join(lines))

    def test_no_order_is_waited_for_without_end(self):
        tail, socks, _ = self.start()
        socks[0].sendall(head() + chunk(line(1, received=at(1))))  # while the other says nothing
        self.assertEqual(tail.stdout.readline(), line(1, received=at(1)))
        socks[1].sendall(head(OTHER) + chunk(line(8, received=at(0))))  # too late, and not held back
        self.assertEqual(tail.stdout.readline(), line(8, received=at(0)))
        tail.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(tail), (b"", ""))

    def test_live_events_wait_for_each_other(self):
        """Sent in the wrong order within the bound: they come out in the right one."""
        tail, socks, _ = self.start()
        for sock, ring in zip(socks, (RING, OTHER)):
            sock.sendall(head(ring))
        for n in range(3):
            now = time.time()
            early, late = (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + shift)) +
                           ".%06dZ" % (now % 1 * 1e6) for shift in (1, 2))
            socks[n % 2].sendall(chunk(line(n + 1, received=late)))
            socks[1 - n % 2].sendall(chunk(line(n + 1, received=early)))
            self.assertEqual(tail.stdout.readline(), line(n + 1, received=early))
            self.assertEqual(tail.stdout.readline(), line(n + 1, received=late))
        tail.send_signal(signal.SIGTERM)
        self.finish(tail)

    def test_a_node_that_is_away_is_not_waited_for(self):
        tail, socks, _ = self.start()
        socks[0].sendall(head())
        socks[1].sendall(head(OTHER) + chunk(line(1, received=at(1))))
        self.assertEqual(tail.stdout.readline(), line(1, received=at(1)))
        self.others[0].gone()
        socks[1].close()
        self.assertIn(b"s1: the connection ended", tail.stderr.readline())
        for n in range(2, 5):
            socks[0].sendall(chunk(line(n, received=at(n))))
            self.assertEqual(tail.stdout.readline(), line(n, received=at(n)))
        self.others[0].listen()
        sock, target = self.others[0].accept()
        self.assertEqual(target, "/v1/events?follow=1&after=%s-1" % OTHER)
        sock.close()

    def test_a_gap_stands_in_its_own_nodes_order(self):
        tail, socks, _ = self.start("--no-follow", "--gaps")
        lost = gap(RING + "-1", RING + "-9", 7, "overrun")
        socks[0].sendall(head() + chunk(line(1, received=at(1)) + lost + line(9, received=at(5))) +
                         END)
        socks[1].sendall(head(OTHER) + chunk(line(1, received=at(3))) + END)
        out, err = self.finish(tail)
        self.assertEqual(out, line(1, received=at(1)) + lost + line(1, received=at(3)) +
                         line(9, received=at(5)))
        self.assertEqual(err.count("7 events lost"), 1)

    def test_lines_of_all(self):
        tail, socks, targets = self.start("-n", "3")
        self.assertEqual(targets, ["/v1/events?follow=1&limit=3"] * 2)
        socks[0].sendall(head() + chunk(b"".join(line(n, received=at(n)) for n in (1, 4, 6))) + END)
        socks[1].sendall(head(OTHER) + chunk(line(1, received=at(2)) + line(2, received=at(9))))
        self.assertEqual(self.finish(tail), (line(1, received=at(1)) + line(1, received=at(2)) +
                                             line(4, received=at(4)), ""))

    def test_a_cursor_for_each(self):
        tail, socks, _ = self.start("--cursor-file", self.cursor, "--no-follow", count=3)
        socks[0].sendall(head() + chunk(line(5, received=at(1))) + END)
        socks[1].sendall(head(OTHER) + chunk(line(7, received=at(2))) + END)
        socks[2].sendall(head("0" * 16, seq=3) + END)
        self.finish(tail)
        paths = [self.node.path, self.others[0].path, self.others[1].path]
        self.assertEqual(self.read_cursor(), "%s-5 %s\n%s-7 %s\n%s-3 %s\n" % (
            RING, paths[0], OTHER, paths[1], "0" * 16, paths[2]))
        # A socket that it does not name begins anew; the others go on.
        with open(self.cursor, "w") as out:
            out.write("%s-7 %s\n%s-1 /another\n" % (OTHER, paths[1], OTHER))
        tail, socks, targets = self.start("--cursor-file", self.cursor, "--from", "oldest")
        self.assertEqual(targets, ["/v1/events?follow=1&from=oldest",
                                   "/v1/events?follow=1&after=%s-7" % OTHER])

    def test_the_place_of_a_node_that_is_away_is_kept(self):
        with open(self.cursor, "w") as out:
            out.write("%s-4 %s\n%s-7 %s\n" % (RING, self.node.path, OTHER, self.others[0].path))
        self.others[0].gone()
        tail = self.tail("--socket", self.others[0].path, "--cursor-file", self.cursor)
        sock, _ = self.node.accept()
        sock.sendall(head(seq=4) + chunk(line(5, received=at(1))))
        self.assertEqual(tail.stdout.readline(), line(5, received=at(1)))
        tail.send_signal(signal.SIGTERM)
        self.finish(tail)
        self.assertEqual(self.read_cursor(), "%s-5 %s\n%s-7 %s\n" % (
            RING, self.node.path, OTHER, self.others[0].path))
        sock.close()
        self.others[0].listen()

    def test_a_cursor_that_is_nobodys(self):
        for text in (RING + "-1\n", RING + "-1 \n", "%s-1 /a\nrubbish\n" % RING,
                     "%s-1\n%s-1 /a\n" % (RING, RING)):
            with open(self.cursor, "w") as out:
                out.write(text)
            tail = self.tail("--socket", self.others[0].path, "--cursor-file", self.cursor)
            self.assertIn("holds no cursors", self.finish(tail, 2)[1])

    def test_what_waits_is_not_done(self):
        """A line that was read, but not printed when the signal came, comes again."""
        tail, socks, _ = self.start("--cursor-file", self.cursor, "--no-follow")
        socks[1].sendall(head(OTHER, seq=6))
        socks[0].sendall(head() + chunk(line(1, received=at(1))))  # waits for the other
        deadline = time.monotonic() + DEADLINE
        while not os.path.exists(self.cursor) or self.read_cursor().count("\n") < 2:
            self.assertLess(time.monotonic(), deadline)
        tail.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(tail), (b"", ""))
        self.assertEqual(self.read_cursor(), "%s-0 %s\n%s-6 %s\n" % (
            RING, self.node.path, OTHER, self.others[0].path))

    def test_one_that_is_not_there(self):
        self.others[0].gone()
        tail = self.tail("--no-follow", "--socket", self.others[0].path)
        self.assertIn("s1: No such file", self.finish(tail, 1)[1])
        self.others[0].listen()


class HeldNode(threading.Thread):
    """A node with held readers, as far as a tail sees of it. Each entry of `done` is one request:
    (method, target or body). A stream sends what is in `lines` and then waits; `kick` ends them."""

    def __init__(self, node, lines=(), ring=RING, places=None):
        super().__init__(daemon=True)
        self.node, self.lines, self.ring = node, list(lines), ring
        self.places = {} if places is None else places
        self.done, self.open, self.changed = [], [], threading.Condition()
        self.refuse = None
        self.start()

    def run(self):
        while True:
            try:
                sock, target = self.node.accept()
            except OSError:
                return
            with self.changed:
                self.serve(sock, target)
                self.changed.notify_all()

    def answer(self, sock, status, body=b"{}\n"):
        sock.sendall(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        sock.close()

    def serve(self, sock, target):
        if self.node.head.startswith(b"PUT "):
            request = self.node.head
            length = int(re.search(rb"Content-Length: (\d+)", request).group(1))
            while len(request.split(b"\r\n\r\n", 1)[1]) < length:
                request += sock.recv(4096)
            self.put(sock, target, json.loads(request.split(b"\r\n\r\n", 1)[1]))
            return
        query = dict(decoded(target)[1])
        self.done.append(("GET", target))
        if "reader" in query and query["reader"] not in self.places:
            self.answer(sock, 404, b'{"error":"no held reader has this name"}\n')
            return
        begin, first_gap = self.begin(query)
        chosen = [text for text in self.lines if json.loads(text)["seq"] > begin]
        chosen = chosen[:int(query.get("limit", len(chosen)))]
        follow = query["follow"] == "1"
        sock.sendall(head(self.ring, seq=begin) + b"".join(chunk(text) for text in first_gap + chosen)
                     + (b"" if follow else END))
        if follow:
            self.open.append(sock)
        else:
            sock.close()

    def begin(self, query):
        """(the seq that the stream begins behind, gap lines)"""
        newest = json.loads(self.lines[-1])["seq"] if self.lines else 0
        if "reader" in query:
            return self.places[query["reader"]], []
        if "after" not in query:
            return (0 if query.get("from") == "oldest" else newest), []
        ring, seq = query["after"].split("-")
        if ring == self.ring:
            return int(seq), []
        return 0, [gap(query["after"], self.ring + "-1", "null", "restart")]

    def put(self, sock, target, body):
        ring, seq = body["after"].split("-")
        self.done.append(("PUT", target, body["after"], time.monotonic()))
        if self.refuse:
            self.answer(sock, self.refuse, b'{"error":"refused"}\n')
        elif ring != self.ring:
            self.answer(sock, 409, b'{"error":"the cursor is of another ring"}\n')
        else:
            created = target[12:] not in self.places
            self.places[target[12:]] = max(int(seq), self.places.get(target[12:], 0))
            self.answer(sock, 201 if created else 200)

    def send(self, *lines):
        with self.changed:
            self.lines += lines
            for sock in self.open:
                for text in lines:
                    sock.sendall(chunk(text))

    def kick(self):
        with self.changed:
            for sock in self.open:
                sock.close()
            self.open.clear()

    def wait(self, true):
        with self.changed:
            assert self.changed.wait_for(true, DEADLINE), self.done

    def puts(self):
        return [entry[2] for entry in self.done if entry[0] == "PUT"]


class Reader(Case):
    def held(self, *args, **options):
        node = HeldNode(self.node, *args, **options)
        self.addCleanup(lambda: (self.node.server.close(), node.kick()))
        return node

    def test_made_read_and_committed(self):
        node = self.held([line(n) for n in range(1, 6)])
        tail = self.tail("--reader", "etl", "--from", "oldest", "--no-follow")
        self.assertEqual(self.finish(tail), (b"".join(node.lines), ""))
        self.assertEqual([entry[:2] for entry in node.done], [
            ("GET", "/v1/events?follow=0&reader=etl"),
            ("GET", "/v1/events?follow=0&from=oldest&limit=1"),
            ("PUT", "/v1/readers/etl"),
            ("GET", "/v1/events?follow=0&reader=etl"),
            ("PUT", "/v1/readers/etl")])
        self.assertEqual(node.puts(), [RING + "-0", RING + "-5"])
        # And again, for nothing new: nothing is sent twice, or committed.
        tail = self.tail("--reader", "etl", "--from", "oldest", "--no-follow")
        self.assertEqual(self.finish(tail), (b"", ""))
        self.assertEqual(node.puts(), [RING + "-0", RING + "-5"])

    def test_made_at_now_and_behind_a_cursor(self):
        node = self.held([line(n) for n in range(1, 6)])
        self.assertEqual(self.finish(self.tail("--reader", "a", "--no-follow"))[0], b"")
        tail = self.tail("--reader", "b", "--after", RING + "-3", "--no-follow")
        self.assertEqual(self.finish(tail)[0], line(4) + line(5))
        self.assertEqual(node.puts(), [RING + "-5", RING + "-3", RING + "-5"])
        # Once it is there, its own place is what counts.
        tail = self.tail("--reader", "b", "--after", RING + "-1", "--no-follow")
        self.assertEqual(self.finish(tail)[0], b"")

    def test_commits_about_once_a_second(self):
        node = self.held(places={"etl": 0})
        tail = self.tail("--reader", "etl")
        node.wait(lambda: node.open)
        seq, begun = 0, time.monotonic()
        while len(node.puts()) < 3:
            seq += 1
            node.send(line(seq))
            self.assertEqual(tail.stdout.readline(), line(seq))
            self.assertLess(time.monotonic(), begun + DEADLINE)
        times = [entry[3] for entry in node.done if entry[0] == "PUT"]
        for before, following in zip(times, times[1:]):
            self.assertGreater(following - before, 0.9)
        tail.send_signal(signal.SIGINT)
        self.assertEqual(self.finish(tail), (b"", ""))
        self.assertEqual(node.places, {"etl": seq})  # the last at the end
        self.assertEqual(sorted(node.puts(), key=lambda text: int(text[17:])), node.puts())

    def test_nothing_twice_and_nothing_lost_over_outages(self):
        node = self.held(places={"etl": 0})
        tail = self.tail("--reader", "etl")
        for seq in range(1, 30):
            node.wait(lambda: node.open)
            node.send(line(seq))
            self.assertEqual(tail.stdout.readline(), line(seq))
            if seq % 5 == 0:
                node.kick()
        tail.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(tail)[0], b"")
        self.assertEqual(node.places, {"etl": 29})

    def test_behind_its_own_lines_when_the_commit_is_refused(self):
        """It begins again at an old commit: what was printed is not printed again."""
        node = self.held(places={"etl": 0})
        tail = self.tail("--reader", "etl")
        node.wait(lambda: node.open)
        node.refuse = 503
        node.send(line(1), line(2))
        self.assertEqual(tail.stdout.readline() + tail.stdout.readline(), line(1) + line(2))
        node.kick()
        node.wait(lambda: node.open)
        node.send(line(3))
        self.assertEqual(tail.stdout.readline(), line(3))
        node.refuse = None
        tail.send_signal(signal.SIGTERM)
        self.finish(tail)
        self.assertEqual(node.places, {"etl": 3})

    def test_a_node_that_forgot_it(self):
        node = self.held(places={"etl": 0})
        tail = self.tail("--reader", "etl", "--gaps")
        node.wait(lambda: node.open)
        node.send(line(1))
        self.assertEqual(tail.stdout.readline(), line(1))
        with node.changed:  # restarted, with another ring
            node.ring, node.places, node.lines = OTHER, {}, [line(1), line(2)]
        node.kick()
        self.assertEqual(tail.stdout.readline(), gap(RING + "-1", OTHER + "-1", "null", "restart"))
        self.assertEqual(tail.stdout.readline() + tail.stdout.readline(), line(1) + line(2))
        tail.send_signal(signal.SIGTERM)
        self.assertIn("an unknown number of events lost (restart)", self.finish(tail)[1])
        self.assertEqual(node.places, {"etl": 2})

    def test_refused(self):
        node = self.held([line(1)])
        node.refuse = 400
        err = self.finish(self.tail("--reader", "etl"), 1)[1]
        self.assertTrue(err.endswith("the node answered 400: refused\n"), err)

    def test_the_last_commit_fails(self):
        node = self.held([line(1)], places={"etl": 0})
        node.refuse = 500
        out, err = self.finish(self.tail("--reader", "etl", "--no-follow"), 1)
        self.assertEqual(out, line(1))
        self.assertIn("etl could not commit: the node answered 500", err)

    def test_lines_that_were_not_written_are_not_committed(self):
        node = self.held([line(n) for n in range(1000, 1400)], places={"etl": 0})
        reader, writer = self.small_pipe()
        tail = self.tail("--reader", "etl", stdout=writer)
        os.close(writer)
        read = os.read(reader, 4096)
        os.close(reader)
        self.assertEqual((tail.wait(DEADLINE), tail.stderr.read()), (0, b""))
        size = len(line(1000))
        self.assertGreaterEqual(node.places["etl"] - 999, len(read) // size)
        self.assertLessEqual(node.places["etl"] - 999, (len(read) + 2 * 4096) // size)


class Terminal:
    """A terminal of so many columns; what is written to it is `text`."""

    def __init__(self, columns):
        self.master, self.slave = pty.openpty()
        self.resize(columns)
        settings = termios.tcgetattr(self.slave)
        settings[1] &= ~termios.OPOST
        termios.tcsetattr(self.slave, termios.TCSANOW, settings)
        self.text, self.changed = b"", threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def resize(self, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if not data:
                return
            with self.changed:
                self.text += data
                self.changed.notify_all()

    def wait(self, part):
        with self.changed:
            assert self.changed.wait_for(lambda: re.search(part, self.text), DEADLINE), self.text

    def close(self):
        os.close(self.slave)
        self.thread.join(DEADLINE)
        os.close(self.master)


SEEN = dict(received=at(1, 2000), endpoint="hq", provider="meraki", kind="seen", time=at(0),
            delay_ms=1002, client={"mac": "aa:bb:cc:dd:ee:ff"}, ap={"name": "lobby"}, rssi=-54)
PLAIN = {**os.environ, "TZ": "UTC", "TERM": "xterm"}
PLAIN.pop("NO_COLOR", None)


class Text(Case):
    def show(self, *lines, columns=None, env=PLAIN, more=()):
        """What the lines look like: on a pipe, or on a terminal of so many columns."""
        terminal = Terminal(columns) if columns else None
        tail = self.tail("--format", "text", "--no-follow", *more, env=env,
                         stdout=terminal.slave if terminal else subprocess.PIPE)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(b"".join(lines)) + END)
        if terminal:
            self.assertEqual(tail.wait(DEADLINE), 0)
            terminal.close()
            out = terminal.text
        else:
            out = self.finish(tail)[0]
        sock.close()
        return out.decode()

    def test_one_aligned_line_each(self):
        out = self.show(line(1, **SEEN), line(2, received=at(2), endpoint="lab", kind="login",
                                              user={"email": "a@b.example"}, venue={"name": "Bar"}))
        self.assertEqual(out, (
            "03-01 08:00:01.002 hq           seen         aa:bb:cc:dd:ee:ff    lobby"
            "                     -54   1.0s\n"
            "03-01 08:00:02.000 lab          login        a@b.example          Bar  "
            "                       -      -\n"))

    def test_local_time(self):
        out = self.show(line(1, **SEEN), env={**PLAIN, "TZ": "IST-5:30"})
        self.assertTrue(out.startswith("03-01 13:30:01.002 "), out)

    def test_a_document_and_rubbish(self):
        out = self.show(line(1, received=at(1), endpoint="lab", kind="document", data={"n": 1}),
                        b'{"seq":2, rubbish\n', b"[1]\n")
        lines = out.splitlines()
        self.assertIn('{"n":1}', lines[0])
        self.assertEqual(lines[1:], ['{"seq":2, rubbish', "[1]"])

    def test_columns_of_a_terminal(self):
        long = dict(SEEN, endpoint="e" * 100, kind="k" * 100, ap={"name": "\u6f22" * 100})
        for columns in (300, 120, 111, 110, 109, 80, 69, 68, 50, 25, 20):
            out = self.show(line(1, **long), line(2, **SEEN), columns=columns)
            shown = [re.sub("\033\\[[0-9]*m", "", text) for text in out.splitlines()]
            self.assertEqual(len(shown), 2)
            for text in shown:
                self.assertLessEqual(len(text) + text.count("\u6f22"), columns)
            self.assertGreaterEqual(len(shown[0]) + shown[0].count("\u6f22"), columns - 1)

    def test_too_narrow_a_terminal_is_taken_as_twenty_columns(self):
        out = self.show(line(1, **SEEN), columns=3)
        self.assertEqual(re.sub("\033\\[[0-9]*m", "", out), "08:00:01.002 hq\n")

    def test_colours_only_where_they_are_wanted(self):
        self.assertIn("\033[36mseen\033[0m", self.show(line(1, **SEEN), columns=120))
        self.assertNotIn("\033", self.show(line(1, **SEEN)))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\033", self.show(line(1, **SEEN), columns=120, env={**PLAIN, **env}))
        self.assertIn("\033", self.show(line(1, **SEEN), columns=120, env={**PLAIN, "NO_COLOR": ""}))

    def test_control_characters_do_no_harm(self):
        bad = "a\033[2Jb\r\n\t\x07\x7f\x9b\u202e\u2066\u200b\u2028\ufeff\U000e0041c"
        for columns in (None, 200):
            out = self.show(line(1, **dict(SEEN, kind=bad, endpoint="x\0y")),
                            b'{"note":"\x1b[2J\x07"}\n', columns=columns, env={**PLAIN, "NO_COLOR": "1"})
            self.assertEqual(out.count("\n"), 2)
            self.assertEqual([c for c in out if ord(c) < 32 and c != "\n"], [])
            for c in bad[1:-1]:
                self.assertTrue(c in "[2Jb\n" or c not in out, ascii(c))
            self.assertIn("x\ufffdy", out)

    def test_a_new_width(self):
        terminal = Terminal(80)
        tail = self.tail("--format", "text", stdout=terminal.slave, env={**PLAIN, "NO_COLOR": "1"})
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1, **SEEN)))
        terminal.wait(b"^08:00:01.002 hq.*\n")
        terminal.resize(120)
        tail.send_signal(signal.SIGWINCH)  # as the kernel does for a terminal's own processes
        sock.sendall(chunk(line(2, **SEEN)))
        terminal.wait(b"\n.*hq.*\n")
        terminal.text = terminal.text.splitlines()[-1]
        self.assertLessEqual(len(terminal.text), 120)
        tail.send_signal(signal.SIGTERM)
        self.assertEqual(tail.wait(DEADLINE), 0)
        terminal.close()
        sock.close()

    def test_gaps_among_them(self):
        lost = gap(RING + "-1", RING + "-9", 7, "overrun")
        out = self.show(line(1, **SEEN), lost, line(9, **SEEN), more=("--gaps",))
        self.assertEqual(out.splitlines()[1], lost.decode().rstrip())


class Stats(Case):
    def test_a_summary_at_the_end(self):
        tail = self.tail("--stats", "--no-follow")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1) + gap(RING + "-1", RING + "-9", 7, "overrun")) +
                     chunk(b"".join(line(n) for n in range(9, 1309))) + END)
        err = self.finish(tail)[1].splitlines()
        self.assertRegex(err[-1], r"^rollcall-tail: 1,301 events in \d+\.\d s \([\d,]+/s\); "
                                  r"1 gap, 7 lost$")
        sock.close()

    def test_a_line_every_ten_seconds(self):
        tail = self.tail("--stats")
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        self.assertRegex(tail.stderr.readline(), rb"^rollcall-tail: \d events/s, 1 events\n$")
        tail.send_signal(signal.SIGINT)
        self.assertRegex(self.finish(tail)[1], r"^rollcall-tail: 1 events in \d+\.\d s")
        sock.close()

    def test_a_live_line_on_a_terminal(self):
        """With the events on the same one: each has its own line."""
        terminal = Terminal(60)
        tail = subprocess.Popen([TAIL, "--socket", self.path, "--stats"], stdout=terminal.slave,
                                stderr=terminal.slave)
        self.addCleanup(tail.kill)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        terminal.wait(rb"\d events/s, 1 events")
        sock.sendall(chunk(line(2)))
        terminal.wait(rb"(?s)\d events/s, 1 events.*\r\033\[K\{\"seq\":2[^\n]*\}\n.*events/s")
        tail.send_signal(signal.SIGINT)
        self.assertEqual(tail.wait(DEADLINE), 0)
        terminal.wait(rb"\r\033\[Krollcall-tail: 2 events in [^\n]*\n$")
        terminal.close()
        sock.close()


@unittest.skipUnless(ROLLCALLD, "no node was built")
class RealNode(unittest.TestCase):
    """What both sides have to agree on."""

    def run_tail(self, node, *args):
        done = subprocess.run([TAIL, "--socket", node.socket, *args], capture_output=True,
                              timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, b"")
        return done.stdout.splitlines()

    def test_a_held_reader(self):
        with Node() as node:
            post(node, "/presence/lab", {"n": 1})
            args = ("--reader", "etl", "--from", "oldest", "--no-follow")
            for n in (1, 2):
                lines = self.run_tail(node, *args)
                self.assertEqual([json.loads(text)["data"]["n"] for text in lines], [n])
                held = get(node, "/v1/readers/etl").json()
                self.assertEqual((held["behind"], held["after"].split("-")[1]), (0, str(n)))
                post(node, "/presence/lab", {"n": n + 1})

    def test_filters_formats_and_bounds(self):
        with Node() as node:
            for n in range(4):
                post(node, "/presence/lab", {"n": n})
            args = ("--from", "oldest", "--no-follow")
            self.assertEqual(len(self.run_tail(node, *args, "--endpoint", "lab", "--kind",
                                               "document")), 4)
            self.assertEqual(self.run_tail(node, *args, "--kind", "seen"), [])
            self.assertEqual(len(self.run_tail(node, *args, "--format", "text", "-n", "3")), 3)
            lines = self.run_tail(node, *args, "--format", "cloudevents")
            self.assertEqual([json.loads(text)["data"]["seq"] for text in lines], [1, 2, 3, 4])

    def test_two_nodes_in_order(self):
        with Node() as one, Node() as two:
            for n in range(20):
                post((one, two)[n % 3 == 0], "/presence/lab", {"n": n})
            lines = self.run_tail(one, "--socket", two.socket, "--from", "oldest", "--no-follow")
            self.assertEqual([json.loads(text)["data"]["n"] for text in lines], list(range(20)))


if __name__ == "__main__":
    unittest.main()
