"""rollcall-tail against a scripted node: every awkward cut, ending and answer."""
import json
import os
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


END = b"0\r\n\r\n"


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

    def tail(self, *args, **options):
        process = subprocess.Popen([TAIL, "--socket", self.path, *args], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **options)
        def end():
            process.kill()
            process.wait(DEADLINE)
            process.stdout.close()
            process.stderr.close()
        self.addCleanup(end)
        return process

    def finish(self, process, status=0):
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, status, err)
        return out, err.decode()

    def read_cursor(self):
        with open(self.cursor) as text:
            return text.read()


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
        gap = (b'{"gap":{"after":"%s-1","next":"%s-9","lost":7,"reason":"overrun"}}\n'
               % (RING.encode(), RING.encode()))
        for options, lines in (((), line(1) + line(9)), (("--gaps",), line(1) + gap + line(9))):
            tail = self.tail("--no-follow", *options)
            sock, _ = self.node.accept()
            sock.sendall(head() + chunk(line(1) + gap + line(9)) + END)
            out, err = self.finish(tail)
            self.assertEqual(out, lines)
            self.assertEqual(err, "rollcall-tail: gap: 7 events lost (overrun) after %s-1, "
                                  "next %s-9\n" % (RING, RING))
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
        gap = (b'{"gap":{"after":"%s-1","next":"%s-1","lost":null,"reason":"restart"}}\n'
               % (RING.encode(), OTHER.encode()))
        sock.sendall(head(OTHER) + chunk(gap + line(1)))
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
        sock, _ = self.node.accept()
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

    def test_no_node_and_no_follow(self):
        self.node.gone()
        self.assertIn("is the node running", self.finish(self.tail("--no-follow"), 1)[1])
        self.node.listen()

    def test_not_http(self):
        tail = self.tail()
        sock, _ = self.node.accept()
        sock.sendall(b"hello\r\n\r\n")
        self.assertIn("no event stream", self.finish(tail, 1)[1])
        sock.close()


class CursorFile(Case):
    def test_after_kill_9_nothing_is_lost(self):
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

    def test_lines_that_were_not_written_do_not_count(self):
        reader, writer = os.pipe()
        tail = subprocess.Popen([TAIL, "--socket", self.path, "--cursor-file", self.cursor],
                                stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        sock, _ = self.node.accept()
        sock.sendall(head() + chunk(line(1)))
        self.assertEqual(os.read(reader, 4096), line(1))
        os.close(reader)
        sock.sendall(chunk(line(2)))
        self.assertEqual(tail.communicate(timeout=DEADLINE), (None, b""))
        self.assertEqual(tail.returncode, 0)
        self.assertIn(self.read_cursor(), (RING + "-0\n", RING + "-1\n"))
        sock.close()


class Options(Case):
    def test_wrong_ones(self):
        for args, part in ((("--nonsense",), "nonsense"), (("-n", "0"), "--lines: '0'"),
                           (("-n", "x"), "--lines: 'x'"), (("--from", "then"), "--from: 'then'"),
                           (("--after", "x"), "--after: 'x'"), (("y",), "unexpected argument 'y'"),
                           (("--from", "now", "--after", RING + "-1"), "exclude each other")):
            out, err = self.finish(self.tail(*args), 2)
            self.assertEqual(out, b"")
            self.assertIn(part, err)

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
