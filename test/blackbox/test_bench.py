"""rollcall-bench: does it count what really happened, and does --verify notice what went wrong?

Most of it runs against a stand-in that misbehaves as told to, and that keeps its own count; the rest
against a real node."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403


def make_certificate(directory, name):
    """A key and certificate of `name`'s; the path of both in one file."""
    path = os.path.join(directory, name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", path + ".key", "-out", path, "-days", "2", "-subj",
                    "/CN=" + name, "-addext", "subjectAltName=DNS:" + name], check=True,
                   capture_output=True)
    return path


def setUpModule():
    global SCRATCH, LOCALHOST
    SCRATCH = tempfile.mkdtemp(prefix="rollcall-")
    LOCALHOST = make_certificate(SCRATCH, "localhost")


def tearDownModule():
    shutil.rmtree(SCRATCH)


def bench(*args, status=0):
    done = subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def result(*args, status=0):
    return json.loads(bench("--json", *args, status=status).stdout)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
CLOSE = None  # in a list of answers: close the connection here


class StandIn:
    """A TLS server. answer(number) says what is sent for the post of that number, in order of arrival:
    parts of bytes, things to call, and CLOSE. `posts` holds (head, document) of all that came."""

    def __init__(self, answer=lambda number: [OK], certificate=None):
        self.answer, self.posts, self.lock = answer, [], threading.Lock()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = certificate or LOCALHOST
        self.context.load_cert_chain(certificate, certificate + ".key")
        self.server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.server.getsockname()[1]
        self.url = "https://127.0.0.1:%d/presence/x" % self.port
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                raw, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        try:
            with raw, self.context.wrap_socket(raw, server_side=True) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                stream = connection.makefile("rb")
                while True:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        line = stream.readline()
                        if not line:
                            return
                        head += line
                    head = head.decode()
                    length = re.search(r"Content-Length: (\d+)\r\n", head)
                    document = json.loads(stream.read(int(length[1])))
                    with self.lock:
                        number = len(self.posts)
                        self.posts.append((head, document))
                        parts = self.answer(number)
                    for part in parts:
                        if part is CLOSE:
                            return
                        if callable(part):
                            part()
                        else:
                            connection.sendall(part)
        except (OSError, ValueError):
            pass

    def macs(self):
        return [observation["clientMac"] for _, document in self.posts
                for observation in document[0]["observations"]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


class Stream:
    """The Unix socket beside a stand-in: sends `head`, then what is put() into it."""

    def __init__(self, head=b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"):
        self.path = os.path.join(SCRATCH, "events.sock")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.head, self.request, self.seq = head, b"", 0
        self.client = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            client, _ = self.server.accept()
            while b"\r\n\r\n" not in self.request:
                self.request += client.recv(4096)
            self.client = client  # before the head: posts follow it at once
            client.sendall(self.head)
        except OSError:
            pass

    def put(self, data):
        try:
            self.client.sendall(data)
        except OSError:
            pass

    def lines(self, document):
        """What a node would say for a post."""
        for observation in document[0]["observations"]:
            self.seq += 1
            mac = ":".join(re.findall("..", observation["clientMac"].lower()))
            yield b'{"seq":%d,"client":{"mac":"%s"},"rssi":-1}\n' % (self.seq, mac.encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()
        os.unlink(self.path)
        if self.client:
            self.client.close()


class Options(unittest.TestCase):
    def test_wrong_ones_are_named(self):
        url = "https://127.0.0.1:1/x"
        for args, part in (((), "URL is missing"), ((url, url), "one URL"), (("http://x/",), "https"),
                           (("https:///x",), "host"), (("https://h:0/x",), "port"),
                           (("https://h:65536/x",), "port"), (("-c", "0", url), "--connections"),
                           (("-c", "65537", url), "--connections"), (("-d", "10", url), "--duration"),
                           (("--rate", "0", url), "--rate"), (("-o", "100001", url), "--observations"),
                           (("--sender", "x", url), "--sender"), (("-H", "nocolon", url), "nocolon"),
                           (("-H", "a: b\r\nc: d", url), "control"),
                           (("--verify", url), "--verify needs --socket"),
                           (("-r", "1", "-d", "1s", url), "exclude each other"),
                           (("-r", "0", url), "--requests"), (("-r", "1x", url), "--requests"),
                           (("--rate", "nan", url), "--rate"), (("--rate", "10000001", url), "--rate"),
                           (("--rate", "5/m", url), "--rate"), (("--warmup", "1", url), "--warmup"),
                           (("--timeout", "-1s", url), "--timeout"), (("--patience", "0s", url), "--patience"), (("--seed", "x", url), "--seed"),
                           (("-p", "0", url), "--pid"), (("-H", ": v", url), "Name: value"),
                           (("-H", "a b: v", url), "Name: value"), (("-H", "Host: v", url), "Host"),
                           (("-H", "content-length: 1", url), "content-length"),
                           (("--secret", "a\r\nb: c", url), "control"),
                           (("-H", "a: " + "x" * 65532, url), "65536"),
                           (("--sender", "json", "-o", "2", url), "one document"),
                           (("--socket", "/x", url), "--verify"),
                           (("--verify", "-s", "/" + "x" * 107, url), "longer"),
                           (("--insecure", "--cacert", "x", url), "exclude each other"),
                           (("--cacert", "/nonexistent", url), "/nonexistent"),
                           (("https://u@h/x",), "host"), (("https://[::1/x",), "host"),
                           (("https://h/a b",), "blanks"), (("https://h/x#y",), "'#'"),
                           (("https://h/" + "x" * 2046,), "2046"), (("https://h:/x",), "port"),
                           (("--find-max", url), "--p99"), (("--p99", "1ms", url), "--find-max"),
                           (("--find-max", "--p99", "1", url), "--p99"),
                           (("--find-max", "--p99", "1ms", "-r", "5", url), "--requests"),
                           (("--resume", url), "--new-connections"), (("--idle", "0", url), "--idle"),
                           (("--idle", "65535", "-c", "2", url), "65536"),
                           (("--slow", "0", url), "--slow"), (("--slow", "65536", url), "--slow"),
                           (("--slow", "x", url), "--slow"), (("--slow", ":5", url), "--slow"),
                           (("--slow", "1:", url), "--slow"), (("--slow", "1:0", url), "--slow"),
                           (("--slow", "1:1000001", url), "--slow"),
                           (("--slow", "1:2:3", url), "--slow"),
                           (("--slow", "1" * 20, url), "--slow"),
                           (("--slow-kinds", "head", url), "without --slow"),
                           (("--slow-deadlines", "1s,1s,1s", url), "without --slow"),
                           (("--slow", "1", "--slow-kinds", "", url), "--slow-kinds"),
                           (("--slow", "1", "--slow-kinds", "head,", url), "--slow-kinds"),
                           (("--slow", "1", "--slow-kinds", "heads", url), "--slow-kinds"),
                           (("--slow", "1", "--slow-kinds", "head:0", url), "--slow-kinds"),
                           (("--slow", "1", "--slow-kinds", "head:x", url), "--slow-kinds"),
                           (("--slow", "1", "--slow-kinds", "head:100,body", url), "100 in all"),
                           (("--slow", "1", "--slow-deadlines", "1s,1s", url), "three times"),
                           (("--slow", "1", "--slow-deadlines", "1s,1s,1s,1s", url), "three times"),
                           (("--slow", "1", "--slow-deadlines", "1s,,1s", url), "three times"),
                           (("--slow", "1", "--slow-deadlines", "1s,x,1s", url), "three times"),
                           (("--slow", "65535", "-c", "1", "--idle", "1", url), "65536"),
                           (("--find-max", "--p99", "1ms", "--slow", "1", url), "--slow"),
                           (("--repeat", "101", url), "--repeat"), (("--also", "bt", url), "bt"),
                           (("--also", "x=/y", url), "SENDER=/PATH"),
                           (("--also", "bt=y", url), "SENDER=/PATH"),
                           (("--also", "bt=/a b", url), "SENDER=/PATH"),
                           (("--also", "bt=/b") * 16 + (url,), "not more than 15"),
                           (("--sender", "bt", "-o", "2", url), "one document"),
                           (("--secret", "x" * 1025, url), "1024"), (("--secret", 'a"b', url), "control"),
                           (("--nonsense", url), "nonsense"), (("-Z", url), "-Z"),
                           (("--json=1", url), "no value"), (("--rate",), "needs a value")):
            done = bench(*args, status=2)
            self.assertIn(part, done.stderr)
            self.assertRegex(done.stderr, r"^rollcall-bench: [^\n]+\n$")
            self.assertEqual(done.stdout, "")

    def test_the_longest_that_are_right(self):
        with StandIn() as server:
            bench("-r", "1", "-c", "1", "-H", "a: " + "x" * 65531,
                  "https://127.0.0.1:%d/%s" % (server.port, "x" * 2045))
            self.assertIn("POST /%s HTTP/1.1\r\n" % ("x" * 2045), server.posts[0][0])
            self.assertIn("\r\na: %s\r\n" % ("x" * 65531), server.posts[0][0])

    def test_help_and_version(self):
        self.assertIn("--verify", bench("--help").stdout)
        self.assertRegex(bench("--version").stdout, r"^rollcall-bench \d+\.\d+\.\d+\n$")

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        figures = result("-r", "10", "-c", "2", "https://127.0.0.1:%d/x" % port, status=1)
        self.assertGreater(figures["errors"]["connect"], 0)


class Answers(unittest.TestCase):
    def invalid(self, answer):
        with StandIn(lambda number: [answer]) as server:
            figures = result("-r", "3", "-c", "1", server.url, status=1)
            self.assertEqual(figures["errors"]["invalid"], 3, answer[:80])
            self.assertEqual(figures["requests"], 0)

    def test_what_was_sent_is_what_is_counted(self):
        with StandIn() as server:
            figures = result("-r", "300", "-c", "6", "-o", "5", "--secret", "abc", "-H", "X-A: b",
                             "--pid", str(os.getpid()), server.url)
            self.assertEqual((figures["requests"], figures["observations"]), (300, 1500))
            self.assertEqual(figures["codes"], {"200": 300})
            self.assertGreater(figures["server"]["rss_kib"], 1000)
            self.assertEqual(len(server.posts), 300)
            self.assertEqual(len(set(server.macs())), 1500)
            head = server.posts[0][0]
            for field in ("Host: 127.0.0.1:%d" % server.port, "Authorization: Basic abc", "X-A: b"):
                self.assertIn("\r\n%s\r\n" % field, head)
            for _, document in server.posts:
                for observation in document[0]["observations"]:
                    self.assertRegex(observation["clientMac"], r"^02[0-9A-F]{10}$")
                    self.assertEqual(observation["seenEpoch"] % 1000,
                                     int(observation["seenTime"][20:23]))
                    self.assertLess(observation["seenEpoch"], time.time() * 1000)

    def test_documents(self):
        with StandIn() as server:
            result("-r", "100", "-c", "3", "--sender", "json", server.url)
            seen = {(document["bench"]["c"], document["bench"]["n"]) for _, document in server.posts}
            self.assertEqual(len(seen), 100)

    def test_the_same_seed_is_the_same_run(self):
        runs = []
        for seed in (("--seed", "7"), ("--seed", "7"), ("--seed", "8"), ()):
            with StandIn() as server:
                figures = result("-r", "20", "-c", "1", *seed, server.url)
                if seed:
                    self.assertEqual(figures["seed"], int(seed[1]))
                    epochs = [observation["seenEpoch"] % 1000 for _, document in server.posts
                              for observation in document[0]["observations"]]
                    self.assertEqual(set(epochs), {int(seed[1])})
                runs.append(server.macs())
        self.assertEqual(runs[0], runs[1])
        self.assertFalse(set(runs[0]) & set(runs[2]))
        self.assertFalse(set(runs[0]) & set(runs[3]))

    def test_an_answer_in_small_pieces(self):
        with StandIn(lambda number: [OK[i:i + 1] for i in range(len(OK))]) as server:
            self.assertEqual(result("-r", "20", "-c", "2", server.url)["requests"], 20)

    def test_spellings(self):
        for answer in (b"HTTP/1.1 200 \r\ncontent-length:2\t\r\n\r\n{}", b"HTTP/1.1 204 X\r\n\r\n",
                       b"HTTP/1.1 200\r\nX: y\r\nContent-Length: 0\r\n\r\n",
                       b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n{}"):
            with StandIn(lambda number: [answer]) as server:
                figures = result("-r", "5", "-c", "1", server.url)
                self.assertEqual((figures["requests"], figures["reconnects"]), (5, 0), answer)

    def test_what_is_no_answer(self):
        for answer in (b"\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n",
                       b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n",
                       b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
                       b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 1 1\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OK + OK,
                       OK + b"x"):
            self.invalid(answer)

    def test_the_longest_answer(self):
        front = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        for extra, status in ((0, 0), (1, 1)):
            length = 65536 - len(front % 10000) + extra
            with StandIn(lambda number: [front % length + b"x" * length]) as server:
                figures = result("-r", "2", "-c", "1", server.url, status=status)
                self.assertEqual(figures["errors"]["invalid"], 2 * extra)
        self.invalid(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 65536)

    def test_a_refused_post_goes_out_again(self):
        with StandIn(lambda number: [REFUSED if number == 4 else OK]) as server:
            figures = result("-r", "10", "-c", "1", server.url, status=1)
            self.assertEqual(figures["codes"], {"200": 9, "503": 1})
            self.assertEqual(figures["observations"], 27)
            macs = server.macs()
            self.assertEqual(macs[12:15], macs[15:18])
            self.assertEqual(len(set(macs)), 27)

    def test_a_refusal_in_the_warm_up_still_fails_the_run(self):
        with StandIn(lambda number: [OK if number else REFUSED]) as server:
            figures = result("-r", "5", "-c", "1", "--warmup", "100ms", server.url, status=1)
            self.assertEqual(figures["codes"], {"200": 5})


class Connections(unittest.TestCase):
    def test_closed_before_the_answer(self):
        with StandIn(lambda number: [CLOSE] if number % 5 == 4 else [OK]) as server:
            figures = result("-r", "50", "-c", "2", server.url, status=1)
            self.assertEqual((figures["requests"], figures["errors"]["broken"]), (40, 10))
            self.assertEqual(figures["errors"]["invalid"], 0)
            self.assertEqual(len(server.posts), 50)

    def test_closed_within_the_answer(self):
        with StandIn(lambda number: [OK[:20], CLOSE] if number == 3 else [OK]) as server:
            figures = result("-r", "10", "-c", "1", server.url, status=1)
            self.assertEqual((figures["requests"], figures["errors"]["broken"]), (9, 1))

    def test_closed_as_announced(self):
        announced = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        old = OK.replace(b"HTTP/1.1", b"HTTP/1.0")
        for answer in (announced, old):
            with StandIn(lambda number: [answer, CLOSE]) as server:
                figures = result("-r", "20", "-c", "2", server.url)
                self.assertEqual((figures["requests"], sum(figures["errors"].values())), (20, 0))
                self.assertGreaterEqual(figures["reconnects"], 18)
                self.assertEqual(len(set(server.macs())), 60)

    def test_no_answer(self):
        with StandIn(lambda number: [] if number == 2 else [OK]) as server:
            figures = result("-r", "10", "-c", "1", "--timeout", "300ms", server.url, status=1)
            self.assertEqual((figures["requests"], figures["errors"]["timeout"]), (9, 1))

    def test_no_handshake(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            figures = result("-r", "10", "-c", "2", "--timeout", "300ms",
                             "https://127.0.0.1:%d/x" % silent.getsockname()[1], status=1)
            self.assertEqual(figures["errors"]["connect"], 2)

    def test_the_name_of_a_certificate_is_checked(self):
        other = make_certificate(SCRATCH, "other.example")
        with StandIn() as server, StandIn(certificate=other) as impostor:
            bench("-r", "2", "-c", "1", "--cacert", LOCALHOST, "https://localhost:%d/x" % server.port)
            result("-r", "2", "-c", "1", "--cacert", other,
                   "https://localhost:%d/x" % impostor.port, status=1)
            result("-r", "2", "-c", "1", "--cacert", LOCALHOST, server.url, status=1)  # an address
            bench("-r", "2", "-c", "1", "--insecure", impostor.url)

    def test_a_name_with_an_address_where_nobody_listens(self):
        with StandIn() as server:  # on 127.0.0.1 only; localhost may be ::1 first
            bench("-r", "2", "-c", "1", "https://localhost:%d/x" % server.port)


class Rate(unittest.TestCase):
    def test_it_is_a_number_of_posts(self):
        with StandIn() as server:
            figures = result("--rate", "200/s", "-d", "1s", "-c", "4", server.url)
            self.assertEqual(figures["requests"] + figures["unsent"], 200)
            self.assertEqual(len(server.posts), figures["requests"])
            self.assertGreaterEqual(figures["latency_ns"]["p50"], figures["service_ns"]["p50"])

    def test_the_warm_up_is_sent_and_not_counted(self):
        with StandIn() as server:
            figures = result("--rate", "200", "-d", "1s", "--warmup", "500ms", "-c", "4", server.url)
            self.assertEqual(figures["requests"] + figures["unsent"], 200)
            self.assertEqual(len(server.posts) + figures["unsent"], 300)

    def test_a_slow_server_shows_in_the_latency_from_planned(self):
        def slow(number):
            time.sleep(0.02)
            return [OK]
        with StandIn(slow) as server:
            figures = result("--rate", "200", "-d", "1s", "-c", "1", server.url)
            self.assertGreater(figures["unsent"], 0)
            self.assertEqual(figures["requests"] + figures["unsent"], 200)
            self.assertGreater(figures["latency_ns"]["p50"], 2 * figures["service_ns"]["p50"])

    def test_so_slow_a_rate_that_nothing_happens_for_seconds(self):
        with StandIn() as server:
            figures = result("--rate", "0.15", "-r", "2", "-c", "1", server.url)
            self.assertEqual(figures["requests"], 2)


class Files(unittest.TestCase):
    def test_percentiles_and_plot(self):
        hdr, svg = os.path.join(SCRATCH, "run.hdr"), os.path.join(SCRATCH, "run.svg")
        with StandIn() as server:
            figures = result("--rate", "200", "-d", "1s", "-c", "4", "--hdr", hdr, "--svg", svg,
                             server.url)
        for path in (hdr, hdr + ".uncorrected"):
            with open(path) as text:
                lines = text.read().splitlines()
            self.assertEqual(lines[0].split(),
                             ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"])
            last = [line.split() for line in lines if line and line[0] == " "][-1]
            self.assertEqual((last[1], int(last[2])), ("1.000000000000", figures["requests"]))
        root = xml.etree.ElementTree.parse(svg).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        texts = "".join(root.itertext())
        for part in ("99 %", "from the planned moment", "uncorrected", "answers a second"):
            self.assertIn(part, texts)
        self.assertRegex(texts, r"\d [mµ]s\b")
        self.assertIn("prefers-color-scheme:dark", texts)
        with open(svg) as text:
            self.assertNotRegex(text.read(), "nan|inf")

    def test_the_shortest_run_can_be_drawn(self):
        svg = os.path.join(SCRATCH, "short.svg")
        with StandIn() as server:
            result("-r", "1", "-c", "1", "--svg", svg, server.url)
        with open(svg) as text:
            self.assertNotRegex(text.read(), "nan|inf")

    def test_a_file_that_cannot_be_written(self):
        with StandIn() as server:
            done = bench("-r", "1", "-c", "1", "--svg", "/nonexistent/x", server.url, status=1)
            self.assertIn("/nonexistent/x: ", done.stderr)
            self.assertIn("requests", done.stdout)

    def test_no_progress_where_there_is_no_terminal(self):
        with StandIn() as server:
            self.assertEqual(bench("-d", "1500ms", "-c", "1", server.url).stderr, "")


class Search(unittest.TestCase):
    def test_the_rate_of_a_server_that_takes_its_time(self):
        def slow(number):
            time.sleep(0.005)
            return [OK]
        with StandIn(slow) as server:  # one connection: less than 200 a second, whatever the machine
            figures = result("--find-max", "--p99", "2s", "--rate", "50", "-d", "300ms", "--warmup",
                             "100ms", "-c", "1", server.url)
        self.assertTrue(25 <= figures["max_rate"] <= 250, figures)
        self.assertEqual(figures["p99_bound_ns"], 2000000000)
        kept = [step["rate"] for step in figures["steps"] if step["kept"]]
        self.assertEqual(max(kept), figures["max_rate"])

    def test_no_rate_at_all(self):
        with StandIn(lambda number: [REFUSED]) as server:
            done = bench("--find-max", "--p99", "1s", "--rate", "2", "-d", "50ms", "--warmup", "10ms",
                         "-c", "1", server.url, status=1)
            self.assertIn("none", done.stdout)


class NewConnections(unittest.TestCase):
    def run_with(self, *args):
        announced = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        with StandIn(lambda number: [announced, CLOSE]) as server:
            figures = result("-r", "40", "-c", "4", "--new-connections", *args, server.url)
            self.assertEqual((figures["requests"], sum(figures["errors"].values())), (40, 0))
            self.assertEqual(len(server.posts), 40)
            self.assertEqual(len(set(server.macs())), 120)
            for head, _ in server.posts:
                self.assertIn("\r\nConnection: close\r\n", head)
            return figures

    def test_one_for_each_post(self):
        figures = self.run_with()
        self.assertEqual((figures["handshakes"], figures["resumed"]), (40, 0))
        self.assertGreaterEqual(figures["latency_ns"]["p50"], figures["handshake_ns"]["p50"])

    def test_at_a_fixed_rate(self):
        self.run_with("--rate", "400")

    def test_resumed(self):
        figures = self.run_with("--resume")
        self.assertEqual((figures["handshakes"], figures["resumed"]), (40, 36))

    def test_a_server_that_keeps_connections_open(self):
        with StandIn() as server:
            figures = result("-r", "20", "-c", "2", "--new-connections", server.url)
            self.assertEqual((figures["requests"], figures["handshakes"]), (20, 20))

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        figures = result("-r", "10", "-c", "2", "--new-connections",
                         "https://127.0.0.1:%d/x" % port, status=1)
        self.assertGreaterEqual(figures["errors"]["connect"], 2)


class Repeats(unittest.TestCase):
    def test_a_part_is_sent_again_byte_by_byte(self):
        with StandIn() as server:
            figures = result("-r", "100", "-c", "1", "--repeat", "25", server.url)
            self.assertEqual((figures["requests"], figures["repeated"]), (100, 20))
            self.assertEqual(figures["observations"], 240)
            posts = [json.dumps(document) for _, document in server.posts]
            self.assertEqual(len(set(posts)), 80)
            again = [number for number in range(1, 100) if posts[number] == posts[number - 1]]
            self.assertEqual(len(again), 20)


class Slow(unittest.TestCase):
    """The measured load's end is an event of the slow one: its nth post has come."""

    def run_until(self, slow, enough, answer=lambda document: [OK], args=(), status=0):
        """Slow connections are behind the two others; `enough` of their posts end the run."""
        done = []

        def answer_all(number):
            document = server.posts[number][1]
            if is_slow(document):
                done.append(document)
                if len(done) == enough:
                    process.send_signal(signal.SIGINT)
                return answer(document)
            return [OK]

        def is_slow(document):
            return int(document[0]["observations"][0]["clientMac"][2:6], 16) >= 2
        with StandIn(answer_all) as server:
            process = subprocess.Popen([BENCH, "--json", "-c", "2", "--rate", "50", "-d", "60s",
                                        "--slow", slow, *args, server.url], stdout=subprocess.PIPE)
            figures = json.loads(process.communicate(timeout=120)[0])
            self.assertEqual(process.returncode, status)
            measured = [post for post in server.posts if not is_slow(post[1])]
        self.assertEqual(figures["requests"], len(measured))
        self.assertEqual(sum(figures["errors"].values()), 0)
        slow = figures["slow"]
        self.assertEqual(slow["begun"], sum(slow[name] for name in (
            "answered", "timed_out", "refused", "lost", "unfinished")))
        return slow, done

    def test_answers_are_counted_apart(self):
        slow, done = self.run_until("3:3000", 9)
        self.assertEqual((slow["connections"], slow["bytes_per_s"], slow["connect"]), (3, 3000, 0))
        self.assertGreaterEqual(slow["answered"], 8)  # the ninth's answer may be under way
        self.assertEqual((slow["timed_out"], slow["refused"], slow["lost"]), (0, 0, 0))
        macs = [observation["clientMac"] for document in done
                for observation in document[0]["observations"]]
        self.assertEqual(len(macs), len(set(macs)))

    def test_the_slower_the_fewer_bytes(self):
        with StandIn() as server:
            figures = result("-c", "1", "-d", "1s", "--rate", "10", "--slow", "20:10", server.url)
            slow = figures["slow"]
            self.assertEqual((slow["begun"], slow["unfinished"]), (20, 20))
            self.assertGreater(slow["bytes"], 0)
            # 10 bytes a second: the post of some 900 would have been sent whole many times otherwise
            self.assertLess(slow["bytes"], 20 * 900)
            self.assertEqual(len(server.posts), figures["requests"])

    def test_the_fastest_there_is(self):
        slow, _ = self.run_until("1:1000000", 5)
        self.assertGreaterEqual(slow["answered"], 4)

    def test_a_post_of_many_pieces_and_of_more_than_the_socket_takes(self):
        slow, done = self.run_until("1:1000000", 2, args=("-o", "2000"))
        self.assertGreaterEqual(slow["answered"], 1)
        self.assertEqual(len(done[0][0]["observations"]), 2000)

    def test_a_deadline_and_a_refusal_and_an_end_are_told_apart(self):
        late = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        for answer, name in (([late, CLOSE], "timed_out"), ([REFUSED], "refused"), ([CLOSE], "lost")):
            slow, _ = self.run_until("2:5000", 6, lambda document: answer)
            self.assertGreaterEqual(slow[name], 5, name)
            self.assertEqual(slow["answered"], 0)
            self.assertEqual(slow["connect"], 0)

    def test_no_answer_in_time(self):
        slow, _ = self.run_until("1:5000", 2, lambda document: [], args=("--timeout", "300ms"))
        self.assertGreaterEqual(slow["lost"], 1)

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        figures = result("-r", "1", "-c", "1", "--slow", "100", "https://127.0.0.1:%d/x" % port,
                         status=1)
        self.assertGreaterEqual(figures["slow"]["connect"], 100)
        self.assertEqual(figures["slow"]["begun"], 0)

    def test_text_for_people(self):
        with StandIn() as server:
            text = bench("-r", "20", "-c", "1", "--slow", "7", server.url).stdout
            self.assertRegex(text, r"slow connections +7 at 100 bytes/s: 7 posts begun, 0 answered")
            self.assertNotIn("slow", bench("-r", "20", "-c", "1", server.url).stdout)


class VerifyStandIn(unittest.TestCase):
    """`keep(number, lines)` says which lines the stream carries for the post of that number."""

    def run_with(self, keep, answer=lambda number: [OK], args=("-r", "40", "-c", "1"), status=0):
        with Stream() as stream:
            def answer_and_tell(number):
                lines = list(stream.lines(server.posts[number][1]))
                stream.put(b"".join(keep(number, lines)))
                return answer(number)
            with StandIn(answer_and_tell) as server:
                figures = result(*args, "--patience", "1s", "--verify", "-s", stream.path, server.url,
                                 status=status)
                self.assertTrue(stream.request.startswith(b"GET /v1/events?from=now HTTP/1."))
                return figures

    def test_all_is_well(self):
        verify = self.run_with(lambda number, lines: lines)["verify"]
        self.assertEqual((verify["ok"], verify["arrived"], verify["lost"], verify["capped"]),
                         (True, 120, 0, 0))
        self.assertGreater(verify["latency_ns"]["max"], 0)

    def test_one_lost_one_doubled_one_late(self):
        held = []

        def change(number, lines):
            if number == 3:
                return lines[1:]
            if number == 5:
                return lines + lines[2:]
            if number == 7:
                held.append(lines.pop(1))
            if number == 9:
                return lines + held
            return lines
        verify = self.run_with(change, status=1)["verify"]
        self.assertEqual((verify["lost"], verify["doubled"], verify["reordered"]), (1, 1, 1))

    def test_the_last_one_doubled(self):
        """After the answer, when all that was expected has come."""
        with Stream() as stream:
            def answer(number):
                lines = list(stream.lines(server.posts[number][1]))
                stream.put(b"".join(lines))
                return [OK] + [lambda: stream.put(lines[2])] * (number == 39)
            with StandIn(answer) as server:
                verify = result("-r", "40", "-c", "1", "--verify", "-s", stream.path, server.url,
                                status=1)["verify"]
                self.assertEqual((verify["lost"], verify["doubled"]), (0, 1))

    def test_unanswered_posts_may_be_there_or_not(self):
        def answer(number):
            return [CLOSE] if number in (10, 20) else [OK]
        for kept in (True, False):
            figures = self.run_with(lambda number, lines: lines if kept or number != 10 else [],
                                    answer, status=1)
            verify = figures["verify"]
            self.assertEqual((verify["ok"], verify["lost"], verify["unanswered"]), (True, 0, 6))
            self.assertEqual(figures["errors"]["broken"], 2)

    def test_unanswered_posts_excuse_no_others(self):
        def keep(number, lines):
            return {10: [], 30: lines[:2]}.get(number, lines)
        verify = self.run_with(keep, lambda number: [CLOSE] if number == 10 else [OK],
                               status=1)["verify"]
        self.assertEqual((verify["ok"], verify["lost"], verify["unanswered"]), (False, 1, 3))

    def test_an_unanswered_post_kept_in_part(self):
        """Its missing number was passed over before the connection broke."""
        verify = self.run_with(lambda number, lines: lines[::2] if number == 10 else lines,
                               lambda number: [CLOSE] if number == 10 else [OK], status=1)["verify"]
        self.assertEqual((verify["ok"], verify["lost"], verify["reordered"]), (True, 0, 0))

    def test_an_unanswered_post_that_comes_late(self):
        held = []

        def keep(number, lines):
            if number == 10:
                held.extend(lines)
                return []
            return lines + held if number == 20 else lines
        verify = self.run_with(keep, lambda number: [CLOSE] if number == 10 else [OK],
                               status=1)["verify"]
        self.assertEqual((verify["ok"], verify["arrived"]), (True, 120))

    def test_a_refused_post_is_not_expected_until_it_is_taken(self):
        verify = self.run_with(lambda number, lines: [] if number == 5 else lines,
                               lambda number: [REFUSED if number == 5 else OK], status=1)["verify"]
        self.assertEqual((verify["ok"], verify["arrived"]), (True, 117))

    def test_a_refused_post_that_was_kept_is_doubled(self):
        verify = self.run_with(lambda number, lines: lines,
                               lambda number: [REFUSED if number == 5 else OK], status=1)["verify"]
        self.assertEqual((verify["ok"], verify["doubled"]), (False, 3))

    def test_others_are_left_alone(self):
        others = [b'{"seq":1,"client":{"mac":"02:00:00:%s"}}\n' % mac for mac in
                  (b"00:00:00", b"7f:ff:ff", b"ff:ff:ff")]
        others += [b'{"seq":1,"client":{"mac":"de:ad:be:ef:00:01"}}\n', b'{"x":1}\n', b"\n"]
        figures = self.run_with(lambda number, lines: others + lines if number == 2 else lines,
                                args=("-r", "40", "-c", "1", "--seed", "1"))
        self.assertEqual((figures["verify"]["arrived"], figures["verify"]["foreign"]), (120, 3))

    def test_lines_far_behind_the_posts(self):
        """More posts than whose time of sending is remembered: slow ones must not drop out."""
        held = []

        def keep(number, lines):
            held.extend(lines)
            return held if number == 299 else []
        verify = self.run_with(keep, args=("-r", "300", "-c", "1"))["verify"]
        self.assertEqual((verify["arrived"], verify["lost"]), (900, 0))
        self.assertEqual(verify["capped"], (300 - 128) * 3)
        self.assertEqual(verify["latency_ns"]["count"], 900)

    def test_the_longest_line(self):
        front, back = b'{"x":"', b'"}'
        for extra, status in ((0, 0), (1, 1)):
            size = 16 * 1024 * 1024 - len(front) - len(back) + extra
            line = front + b"x" * size + back + b"\n"
            verify = self.run_with(lambda number, lines: lines + [line] * (number == 0),
                                   args=("-r", "2", "-c", "1"), status=status)["verify"]
            self.assertEqual("16 MiB" in verify.get("error", ""), extra == 1)

    def test_a_stream_that_is_none(self):
        for head, part in ((b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "refuses"),
                           (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "chunks"),
                           (b"", "does not answer")):
            with Stream(head) as stream, StandIn() as server:
                done = bench("-r", "1", "--verify", "-s", stream.path, server.url, status=1)
                self.assertIn(part, done.stderr)
                self.assertEqual(server.posts, [])
        done = bench("-r", "1", "--verify", "-s", "/nonexistent", "https://127.0.0.1:1/x", status=1)
        self.assertIn("/nonexistent: no such file", done.stderr)

    def test_a_stream_that_ends(self):
        with Stream() as stream:
            def answer(number):
                if number == 5:
                    stream.client.shutdown(socket.SHUT_RDWR)
                return [OK]
            with StandIn(answer) as server:
                verify = result("-r", "20", "-c", "1", "--verify", "-s", stream.path, server.url,
                                status=1)["verify"]
                self.assertIn("ended", verify["error"])


@unittest.skipUnless(ROLLCALLD, "ROLLCALLD names no node")
class Counting(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.__exit__, None)
        self.hq = "https://127.0.0.1:%d/presence/hq" % self.node.port
        self.lab = "https://127.0.0.1:%d/presence/lab" % self.node.port

    def test_what_it_counts_is_in_the_ring(self):
        figures = json.loads(bench("-r", "500", "-c", "5", "-o", "7", "--secret", "test-token",
                                  "--pid", str(self.node.process.pid), "--json", self.hq).stdout)
        self.assertEqual((figures["requests"], figures["observations"]), (500, 3500))
        self.assertEqual(figures["answers"], {"2xx": 500})
        self.assertGreater(figures["server"]["rss_kib"], 1000)
        lines = events(self.node)
        self.assertEqual(len(lines), 3500)
        self.assertEqual(len({line["client"]["mac"] for line in lines}), 3500)
        self.assertEqual({line["kind"] for line in lines}, {"seen"})
        self.assertFalse(any("extra" in line for line in lines))

    def test_a_fixed_rate_is_a_number_of_posts(self):
        figures = json.loads(bench("--rate", "400", "-d", "2s", "-c", "4", "--sender", "json", "--json",
                                  self.lab).stdout)
        self.assertEqual(figures["requests"] + figures["unsent"], 800)
        self.assertEqual(len(events(self.node)), figures["requests"])
        self.assertGreaterEqual(figures["latency_ns"]["p50"], figures["service_ns"]["p50"])

    def test_idle_connections_stay(self):
        figures = json.loads(bench("-r", "100", "-c", "2", "--idle", "50", "--secret", "test-token",
                                  "--pid", str(self.node.process.pid), "--json", self.hq).stdout)
        self.assertEqual((figures["requests"], figures["idle_lost"]), (100, 0))
        self.assertIn("idle_kib_each", figures)
        self.assertEqual(len(events(self.node)), 3 * (100 + 50))

    def test_slow_ones_within_the_deadlines(self):
        figures = result("-d", "2s", "--rate", "100", "-c", "2", "--slow", "10:4000", "--secret",
                         "test-token", "--verify", "-s", self.node.socket, self.hq)
        slow = figures["slow"]
        self.assertGreater(slow["answered"], 0)
        self.assertEqual((slow["timed_out"], slow["refused"], slow["lost"]), (0, 0, 0))
        self.assertEqual(figures["verify"]["foreign"], 0)
        self.assertGreaterEqual(figures["verify"]["arrived"],
                                3 * (figures["requests"] + slow["answered"]))

    def test_slow_ones_past_the_deadlines(self):
        for key, rate in (("header_timeout", "10:100"), ("body_timeout", "10:400")):
            with Node(server="%s = 200ms" % key) as node:
                figures = result("-d", "3s", "--rate", "50", "-c", "2", "--slow", rate,
                                 "--secret", "test-token",
                                 "https://127.0.0.1:%d/presence/hq" % node.port)
                slow = figures["slow"]
                self.assertGreater(slow["timed_out"], 0, key)
                self.assertEqual((slow["answered"], slow["refused"]), (0, 0))
                self.assertEqual(len(events(node)), figures["observations"])

    def stall(self, deadlines, kinds):
        with Node(server="header_timeout = 1s\nbody_timeout = 2s\nkeepalive_timeout = 2s\n"
                  "max_connections_per_ip = 300\n") as node:
            return result("-c", "1", "--rate", "20", "-d", "5s", "--slow", "200:50", "--slow-kinds", kinds,
                          "--slow-deadlines", deadlines, "--secret", "test-token", "--pid",
                          str(node.process.pid), "https://127.0.0.1:%d/presence/hq" % node.port)

    def test_those_who_stay_are_closed_at_their_deadlines(self):
        figures = self.stall("1s,2s,2s", "silent,hello,head:2,body:2,idle:2,read")
        slow = figures["slow"]
        self.assertEqual(slow["up"], 200)
        self.assertEqual((slow["refused"], slow["connect"], slow["begun"]), (0, 0, 0))
        self.assertIn("kib_each", slow)
        self.assertEqual(set(slow["stalled"]), {"silent", "hello", "head", "body", "idle", "read"})
        for kind, stalled in slow["stalled"].items():
            self.assertGreater(stalled["closed"], 0, kind)
            self.assertEqual(stalled["stalled"], stalled["closed"] + stalled["left"], kind)
            self.assertLess(stalled["early_s"], 1, kind)
            self.assertLess(stalled["late_s"], 1 + slow["lag_s"], kind)

    def test_closings_before_and_after_the_deadline_are_seen(self):
        early = self.stall("2.5s,4s,4s", "silent,body,idle")["slow"]["stalled"]
        late = self.stall("100ms,200ms,200ms", "silent,body,idle")["slow"]["stalled"]
        for kind in early:
            self.assertGreater(early[kind]["early_s"], 1, kind)
            self.assertGreater(late[kind]["late_s"], 0.8, kind)

    def test_one_that_is_not_closed_is_late(self):
        with Node() as node:
            figures = result("-c", "1", "--rate", "20", "-d", "2s", "--slow", "3", "--slow-kinds",
                             "silent,body,idle", "--slow-deadlines", "100ms,100ms,100ms", "--secret",
                             "test-token", "https://127.0.0.1:%d/presence/hq" % node.port)
        for kind, stalled in figures["slow"]["stalled"].items():
            self.assertEqual((stalled["stalled"], stalled["closed"], stalled["left"]), (1, 0, 1), kind)
            self.assertGreater(stalled["late_s"], 1, kind)

    def test_those_who_stay_in_words(self):
        text = bench("-c", "1", "-r", "5", "--slow", "5", "--slow-kinds", "silent,body", "--secret",
                     "test-token", self.hq).stdout
        self.assertRegex(text, r"slow connections +up to 5 at once, coming 16 at a time\n")
        self.assertRegex(text, r"\n  silent +0, at most 0.000 s before its deadline and 0.000 s after it; 3 not")
        self.assertNotRegex(text, r"bytes/s|\n  idle")

    def test_text_for_people(self):
        text = bench("-r", "50", "-c", "2", "--secret", "test-token", self.hq).stdout
        for part in ("requests ", "latency ", "200: 50", "this generator"):
            self.assertIn(part, text)

    def test_refusals_fail_the_run(self):
        done = bench("-r", "20", "-c", "2", "--json", self.hq, status=1)
        self.assertEqual(json.loads(done.stdout)["answers"], {"4xx": 20})

    def test_the_certificate_is_checked_when_asked_for(self):
        bench("-r", "5", "-c", "1", "--cacert", CERT, "--sender", "json", self.lab)
        bench("-r", "5", "-c", "1", "--cacert", "/etc/ssl/certs/ca-certificates.crt", "--sender",
              "json", self.lab, status=1)

    def test_a_node_that_dies(self):
        node = Node()
        process = subprocess.Popen([BENCH, "-d", "60s", "-c", "4", "--sender", "json", "--json",
                                    "https://127.0.0.1:%d/presence/lab" % node.port],
                                   stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + DEADLINE
        while not events(node, "from=oldest&follow=0&limit=1"):
            self.assertLess(time.monotonic(), deadline)
        node.process.kill()
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertGreater(json.loads(out)["errors"]["connect"], 0)
        node.stop()
        shutil.rmtree(node.directory)

    def test_interrupted_it_still_reports(self):
        process = subprocess.Popen([BENCH, "-d", "60s", "-c", "4", "--secret", "test-token", "--json",
                                    self.hq], stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + DEADLINE
        while not events(self.node, "from=oldest&follow=0&limit=1"):
            self.assertLess(time.monotonic(), deadline)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.assertGreater(json.loads(out)["requests"], 0)


EVERY_SENDER = """
[endpoint hq]
path = /hq
provider = aerohive
secret = s3cret

[endpoint bt]
path = /bt
provider = bt

[endpoint pubnub]
path = /pubnub
provider = pubnub

[endpoint meraki]
path = /meraki
provider = meraki
secret = s3cret

[endpoint mist]
path = /mist
provider = mist
secret = s3cret

[endpoint lab]
path = /lab
provider = json
auth = none
identity = body
"""
SENDERS = {"aerohive": "hq", "bt": "bt", "pubnub": "pubnub", "pubnub-flat": "pubnub",
           "meraki": "meraki", "meraki-v3": "meraki", "mist": "mist", "json": "lab"}


@unittest.skipUnless(ROLLCALLD, "ROLLCALLD names no node")
class Senders(unittest.TestCase):
    """A real node understands each shape, believes its secret, and knows what it was sent before."""

    def test_each(self):
        with Node(endpoints=EVERY_SENDER) as node:
            for sender, path in SENDERS.items():
                with self.subTest(sender=sender):
                    figures = result("-r", "60", "-c", "3", "--sender", sender, "--secret", "s3cret",
                                     "--repeat", "50", "--verify", "-s", node.socket,
                                     "https://127.0.0.1:%d/%s" % (node.port, path))
                    self.assertEqual(figures["codes"], {"200": 60})
                    self.assertEqual(figures["verify"]["arrived"], figures["observations"])
                    self.assertEqual(figures["accepted"], figures["observations"])
                    self.assertEqual(figures["duplicates"] * 60,
                                     figures["repeated"] * (figures["observations"] * 60 //
                                                            (60 - figures["repeated"])))
                    last = events(node)[-1]
                    self.assertEqual(last["endpoint"], path)
                    self.assertNotIn(last["kind"], ("unreadable", "unknown"))

    def test_all_at_once(self):
        with Node(endpoints=EVERY_SENDER) as node:
            also = [arg for sender, path in SENDERS.items() if sender != "aerohive"
                    for arg in ("--also", "%s=/%s" % (sender, path))]
            figures = result("-r", "400", "-c", "16", *also, "-o", "4", "--secret", "s3cret", "--verify",
                             "-s", node.socket, "https://127.0.0.1:%d/hq" % node.port)
            self.assertEqual(figures["verify"]["arrived"], figures["observations"])
            endpoints = {line["endpoint"] for line in events(node)}
            self.assertEqual(endpoints, set(SENDERS.values()))

    def test_a_wrong_secret_is_refused(self):
        with Node(endpoints=EVERY_SENDER) as node:
            for sender in ("aerohive", "meraki", "meraki-v3", "mist"):
                figures = result("-r", "3", "-c", "1", "--sender", sender, "--secret", "wrong",
                                 "https://127.0.0.1:%d/%s" % (node.port, SENDERS[sender]), status=1)
                self.assertEqual(figures["codes"], {"401": 3}, sender)

    def test_marked_repeats(self):
        with Node(rest="[dedupe]\nmode = mark\n", endpoints=EVERY_SENDER) as node:
            figures = result("-r", "50", "-c", "1", "--repeat", "25", "--secret", "s3cret", "--verify",
                             "-s", node.socket, "https://127.0.0.1:%d/hq" % node.port)
            self.assertEqual(figures["verify"]["marked"], 3 * figures["repeated"])


@unittest.skipUnless(ROLLCALLD, "ROLLCALLD names no node")
class Verify(unittest.TestCase):
    """A middleman on the Unix socket that passes the lines on, but for what `change` makes of them."""

    def run_with(self, change):
        with Node() as node:
            path = os.path.join(node.directory, "middle.sock")
            server = socket.socket(socket.AF_UNIX)
            server.bind(path)
            server.listen()

            def middleman():
                client, _ = server.accept()
                upstream = socket.socket(socket.AF_UNIX)
                upstream.connect(node.socket)
                upstream.sendall(client.recv(4096))
                stream = upstream.makefile("rb")
                while True:
                    line = stream.readline()
                    client.sendall(line)
                    if line == b"\r\n":
                        break
                try:
                    for number, line in enumerate(stream):
                        for changed in change(number, line):
                            client.sendall(changed)
                except OSError:
                    pass
                upstream.close()
                client.close()

            thread = threading.Thread(target=middleman)
            thread.start()
            done = subprocess.run(
                [BENCH, "-r", "50", "-c", "1", "-o", "10", "--secret", "test-token", "--verify", "-s",
                 path, "--patience", "1s", "--json", "https://127.0.0.1:%d/presence/hq" % node.port],
                capture_output=True, text=True, timeout=120)
            node.process.send_signal(signal.SIGTERM)
            thread.join(DEADLINE)
            server.close()
            return done.returncode, json.loads(done.stdout)["verify"]

    def test_all_is_well(self):
        status, verify = self.run_with(lambda number, line: [line])
        self.assertEqual(status, 0)
        self.assertEqual((verify["arrived"], verify["lost"], verify["doubled"], verify["reordered"]),
                         (500, 0, 0, 0))

    def test_one_lost(self):
        status, verify = self.run_with(lambda number, line: [] if number == 100 else [line])
        self.assertEqual((status, verify["lost"], verify["arrived"]), (1, 1, 499))

    def test_the_last_one_lost(self):
        status, verify = self.run_with(lambda number, line: [] if number == 499 else [line])
        self.assertEqual((status, verify["lost"]), (1, 1))

    def test_one_doubled(self):
        status, verify = self.run_with(lambda number, line: [line] * (1 + (number == 100)))
        self.assertEqual((status, verify["doubled"], verify["lost"]), (1, 1, 0))

    def test_one_late(self):
        held = []

        def change(number, line):
            if number == 100:
                held.append(line)
                return []
            return [line] + ([held.pop()] if number == 110 else [])
        status, verify = self.run_with(change)
        self.assertEqual((status, verify["reordered"], verify["lost"], verify["doubled"]), (1, 1, 0, 0))

    def test_a_gap(self):
        gap = b'{"gap":{"after":"a","next":"b","lost":0,"reason":"overrun"}}\n'
        status, verify = self.run_with(lambda number, line: [gap, line] if number == 9 else [line])
        self.assertEqual((status, verify["gaps"]), (1, 1))


def load_script(name):
    """bench/NAME as a module."""
    loader = importlib.machinery.SourceFileLoader(name, os.path.join("bench", name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class Instructions(unittest.TestCase):
    """What is said of counts; the counting itself is the test `instructions`."""

    def compare(self, counts, growth_only):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            fine = load_script("instructions").compare(counts, {"a": 1000, "b": 1000}, 5, growth_only)
        return fine, out.getvalue()

    def test_the_bound(self):
        for value, fine, guarded in ((1000, True, True), (1050, True, True), (1051, False, False),
                                     (950, True, True), (949, False, True)):
            for growth_only, expected in ((False, fine), (True, guarded)):
                found, text = self.compare({"a": value, "b": 1000}, growth_only)
                self.assertEqual((found, "<--" in text), (expected, not expected), (value, growth_only))

    def test_a_path_that_is_gone_fails_and_a_new_one_does_not(self):
        self.assertEqual(self.compare({"a": 1000}, True)[0], False)
        self.assertEqual(self.compare({"a": 1000, "b": 1000, "c": 5}, True)[0], True)

    def test_the_guard_is_skipped_where_it_cannot_count_or_compare(self):
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(os.path.join(directory, "bench"))
            program = os.path.join(directory, "bench", "instructions")
            with open(program, "w") as out:
                out.write("#!/bin/sh\necho key of no machine\n")
            os.chmod(program, 0o755)
            for path in (os.environ["PATH"], directory):
                done = subprocess.run([sys.executable, "bench/instructions", "--guard", "--build",
                                       directory], capture_output=True, text=True, timeout=60,
                                      env={**os.environ, "PATH": path})
                self.assertEqual(done.returncode, 77, done.stderr)


@unittest.skipUnless(ROLLCALLD, "ROLLCALLD names no node")
class Growth(unittest.TestCase):
    def test_it_tells_base_and_tenfold(self):
        path = os.path.join(SCRATCH, "growth.json")
        build = os.path.dirname(os.path.dirname(ROLLCALLD))
        done = subprocess.run([sys.executable, "bench/growth", "--quick", "--rounds", "2", "--seconds",
                               "0.5", "--only", "endpoints,idle", "--build", build, "--json", path],
                              capture_output=True, text=True, timeout=300)
        self.assertIn(done.returncode, (0, 1))  # so short a run proves nothing
        self.assertEqual(done.stderr, "")
        with open(path) as text:
            rows = json.load(text)["rows"]
        self.assertEqual([row["name"] for row in rows], ["idle", "endpoints"])
        for row in rows:
            self.assertEqual(row["tenfold"], 10 * row["base"])
            self.assertGreater(row["ratio"], 0)
            self.assertIn(row["what"], done.stdout)

    def test_wrong_options(self):
        for args in (("--only", "x"), ("--nonsense",)):
            done = subprocess.run([sys.executable, "bench/growth", *args], capture_output=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
