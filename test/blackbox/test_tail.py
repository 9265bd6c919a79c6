"""rollcall-tail against a scripted node: every awkward cut, ending and answer."""
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

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
MAX_LINE_BYTES = 64 << 20


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
            request += sock.recv(4096)
        return sock, request.split(b" ")[1].decode()

    def gone(self):
        self.server.close()
        os.unlink(self.path)


class Case(unittest.TestCase):
    def setUp(self):
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
        threading.Thread(target=lambda: sock.sendall(head() + chunk(long) + END)).start()
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

    def test_a_body_that_the_end_of_the_connection_ends(self):
        tail = self.tail("--no-follow")
        sock, _ = self.node.accept()
        sock.sendall(head().replace(b"Transfer-Encoding: chunked\r\n", b"") + line(1))
        sock.close()
        self.assertEqual(self.finish(tail), (line(1), ""))

    def test_the_longest_line_and_one_byte_more(self):
        start = line(1, data="")[:-3]  # up to where the text of `data` begins
        for size, status in ((MAX_LINE_BYTES, 0), (MAX_LINE_BYTES + 1, 1)):
            long = start + b"x" * (size - len(start) - 2) + b'"}\n'
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
                (b'404 x\r\nContent-Length: 21\r\n\r\n{"error":"not \\"here"}', 'not \\"here'),
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

    def blocked(self):
        """A tail that is writing more than its reader takes: (tail, the pipe's end to read)."""
        reader, writer = self.small_pipe()
        tail = self.tail("--cursor-file", self.cursor, stdout=writer)
        os.close(writer)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(b"".join(line(n) for n in range(1000, 1400))))
        self.addCleanup(sock.close)
        deadline = time.monotonic() + DEADLINE
        while True:  # until it waits in write(2) on a full pipe
            with open("/proc/%d/wchan" % tail.pid) as place:
                if "pipe_write" in place.read():
                    return tail, reader
            self.assertLess(time.monotonic(), deadline)

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
                             preexec_fn=restrict)
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
                           (("--socket", "/x"), "--socket: given twice"),
                           (("--stats",), "stats")):
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


if __name__ == "__main__":
    unittest.main()
