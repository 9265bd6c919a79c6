"""rollcall-bench: does it count what really happened, and does --verify notice what went wrong?"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403


def bench(*args, status=0):
    done = subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


class Options(unittest.TestCase):
    def test_wrong_ones_are_named(self):
        url = "https://127.0.0.1:1/x"
        for args, part in (((), "URL is missing"), ((url, url), "one URL"), (("http://x/",), "https"),
                           (("https:///x",), "no host"), (("https://h:0/x",), "port"),
                           (("https://h:65536/x",), "port"), (("-c", "0", url), "--connections"),
                           (("-c", "65537", url), "--connections"), (("-d", "10", url), "--duration"),
                           (("--rate", "0", url), "--rate"), (("-o", "100001", url), "--observations"),
                           (("--sender", "x", url), "--sender"), (("-H", "nocolon", url), "nocolon"),
                           (("-H", "a: b\r\nc: d", url), "no header field"),
                           (("--verify", url), "--verify needs --socket"),
                           (("-r", "1", "-d", "1s", url), "exclude each other"),
                           (("--nonsense", url), "nonsense")):
            done = bench(*args, status=2)
            self.assertIn(part, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_help_and_version(self):
        self.assertIn("--verify", bench("--help").stdout)
        self.assertRegex(bench("--version").stdout, r"^rollcall-bench \d+\.\d+\.\d+\n$")

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        done = bench("-r", "10", "-c", "2", "--json", "https://127.0.0.1:%d/x" % port, status=1)
        self.assertGreater(json.loads(done.stdout)["errors"]["connect"], 0)


class Counting(unittest.TestCase):
    def setUp(self):
        self.node = Node()
        self.addCleanup(self.node.__exit__, None)
        self.hq = "https://127.0.0.1:%d/presence/hq" % self.node.port
        self.lab = "https://127.0.0.1:%d/presence/lab" % self.node.port

    def test_what_it_counts_is_in_the_ring(self):
        result = json.loads(bench("-r", "500", "-c", "5", "-o", "7", "--secret", "test-token",
                                  "--pid", str(self.node.process.pid), "--json", self.hq).stdout)
        self.assertEqual((result["requests"], result["observations"]), (500, 3500))
        self.assertEqual(result["answers"], {"2xx": 500})
        self.assertGreater(result["server"]["rss_kib"], 1000)
        lines = events(self.node)
        self.assertEqual(len(lines), 3500)
        self.assertEqual(len({line["client"]["mac"] for line in lines}), 3500)
        self.assertEqual({line["kind"] for line in lines}, {"seen"})
        self.assertFalse(any("extra" in line for line in lines))

    def test_a_fixed_rate_is_a_number_of_posts(self):
        result = json.loads(bench("--rate", "400", "-d", "2s", "-c", "4", "--sender", "json", "--json",
                                  self.lab).stdout)
        self.assertLessEqual(result["requests"], 801)
        self.assertEqual(len(events(self.node)), result["requests"])
        self.assertGreaterEqual(result["latency_ns"]["p50"], result["service_ns"]["p50"])

    def test_text_for_people(self):
        text = bench("-r", "50", "-c", "2", "--secret", "test-token", self.hq).stdout
        for part in ("requests ", "latency ", "2xx 50", "this generator"):
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
                 path, "--json", "https://127.0.0.1:%d/presence/hq" % node.port],
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


if __name__ == "__main__":
    unittest.main()
