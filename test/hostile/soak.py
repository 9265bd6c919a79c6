#!/usr/bin/env python3
"""`./dev soak [MINUTES]`: a node under a mixed load for hours. Half of the highest rate on connections that
stay, connections that come and go, broken handshakes, readers that come and end (every other by
kill -9), reloads. Each minute is a line: memory, descriptors, latency, errors. At the end a verdict."""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_SLOPE_KIB = 1024  # an hour
MAX_DRIFT = 0.10      # of the p99, last third to first
WARM_UP_MIN = 10
RING = "[ring]\nsize = 16M\n[dedupe]\nmax_ids = 100000\n"  # full within seconds: from then on nothing grows


class Soak:
    def __init__(self, node, interval_s):
        import attacks
        self.node, self.interval_s, self.attacks = node, interval_s, attacks
        self.url = "https://localhost:%d/presence/hq" % node.port
        self.done, self.errors = threading.Event(), []
        request = attacks.post_bytes("/presence/hq", b"[]", attacks.TOKEN)
        self.flood = attacks.tls_flood.Flood(node.port, request, 1, lambda: None)
        self.rate = max(50, int(self.bench("-c", "16", "-d", "3s")["requests_per_s"] / 2))

    def start(self, *args):
        return subprocess.Popen([self.attacks.BENCH, "--json", "--secret", "test-token", *args, self.url],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, bench):
        out, errors = bench.communicate(timeout=self.interval_s + 60)
        if bench.returncode:
            self.errors.append("rollcall-bench: %s%s" % (out[:2000], errors))
            return json.loads(out) if out.startswith("{") else None
        return json.loads(out)

    def bench(self, *args):
        result = self.end(self.start(*args))
        assert result, self.errors
        return result

    def beside(self, what, pause_s):
        """A thread that does it again and again until the interval is over."""
        def work():
            while not self.done.is_set():
                try:
                    what()
                except Exception as error:
                    self.errors.append("%s: %r" % (what.__name__, error))
                    return
                self.done.wait(pause_s)
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def send_bad(self):
        self.flood.run(200)
        for body in (b"{", b"\xff", b"[" * 1000):
            assert self.attacks.post(self.node, "/presence/lab", body).status == 400

    def read(self):
        """Two readers for a while: one ends as it should, the other is killed."""
        for number in signal.SIGTERM, signal.SIGKILL:
            tail = subprocess.Popen([self.attacks.TAIL, "--socket", self.node.socket, "--from", "oldest"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.done.wait(0.7)
            tail.send_signal(number)
            tail.wait(60)

    def reload(self):
        self.node.process.send_signal(signal.SIGHUP)

    def minute(self):
        """One interval; its figures."""
        self.done.clear()
        length = ("-d", "%ds" % self.interval_s)
        steady = self.start("-c", "16", "--rate", str(self.rate), *length)
        churn = self.start("-c", "4", "--new-connections", "--rate", "20", *length)
        threads = [self.beside(self.send_bad, 2), self.beside(self.read, 1), self.beside(self.reload, 5)]
        try:
            results = [self.end(steady), self.end(churn)]
        finally:
            self.done.set()
            for thread in threads:
                thread.join()
        assert all(results), self.errors
        self.attacks.wait_until(lambda: self.connections() == 0, lambda: "connections are left")
        return {"rss_kib": self.node.rss_kib(), "fds": self.calm_fds(), "errors": len(self.errors),
                "p99_ms": results[0]["latency_ns"]["p99"] / 1e6,
                "posts": sum(result["codes"].get("200", 0) for result in results)}

    def calm_fds(self):
        """The fewest in a moment: our own last question is closed a little later."""
        counts = []
        for _ in range(20):
            counts.append(self.node.fds())
            time.sleep(0.02)
        return min(counts)

    def connections(self):
        return self.attacks.get(self.node, "/v1/status").json()["connections"]


def slope(values, minutes):
    """Least squares, an hour."""
    times = [n * minutes / 60 for n in range(len(values))]
    return statistics.linear_regression(times, values).slope if len(values) > 1 else 0.0


def judge(rows, interval_s):
    """What is wrong, as sentences; and what was measured."""
    minutes = interval_s / 60
    warm = min(int(WARM_UP_MIN / minutes), len(rows) // 3)
    rest, wrong = rows[warm:], []
    grown = slope([row["rss_kib"] for row in rest], minutes)
    third = max(1, len(rest) // 3)
    first = statistics.median(row["p99_ms"] for row in rest[:third])
    last = statistics.median(row["p99_ms"] for row in rest[-third:])
    fds = {row["fds"] for row in rest}
    if rows[-1]["errors"]:
        wrong.append("errors")
    if len(fds) > 1:
        wrong.append("descriptors went from %d to %d" % (min(fds), max(fds)))
    # A slope needs its time: an allocator's page in a minute is 240 KiB an hour.
    if len(rest) * minutes >= 30:
        if grown > MAX_SLOPE_KIB:
            wrong.append("memory grew by %.0f KiB an hour" % grown)
        if last > first * (1 + MAX_DRIFT):
            wrong.append("p99 drifted from %.2f to %.2f ms" % (first, last))
    return wrong, "RSS %+.0f KiB an hour, %d KiB in the end; descriptors %s; p99 %.2f, then %.2f ms" % (
        grown, rows[-1]["rss_kib"], sorted(fds), first, last)


def soak(minutes, interval_s=60, show=lambda line: None):
    """A line of what was measured; AssertionError where something is wrong."""
    from attacks import Node
    with Node(rest=RING) as node:
        run, rows = Soak(node, interval_s), []
        show("%d posts/s steadily; a line for each %d s\n%8s %10s %5s %9s %9s %7s" % (
            run.rate, interval_s, "minute", "RSS KiB", "fds", "p99 ms", "posts", "errors"))
        for n in range(max(1, round(minutes * 60 / interval_s))):
            row = run.minute()
            rows.append(row)
            show("%8.1f %10d %5d %9.2f %9d %7d" % ((n + 1) * interval_s / 60, row["rss_kib"], row["fds"],
                                                   row["p99_ms"], row["posts"], row["errors"]))
        wrong, measured = judge(rows, interval_s)
        assert not wrong, "%s (%s) %s" % ("; ".join(wrong), measured, run.errors[:3])
        return "%.1f minutes, %d posts, no error: %s" % (
            len(rows) * interval_s / 60, sum(row["posts"] for row in rows), measured)


def main():
    sys.path.insert(0, HERE)
    parser = argparse.ArgumentParser(prog="./dev soak", description="A node under a mixed load for hours.")
    parser.add_argument("minutes", nargs="?", type=float, default=480, metavar="MINUTES",
                        help="how long (480)")
    parser.add_argument("--interval", type=int, default=60, metavar="S", help="seconds for each line (60)")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import run
    with tempfile.TemporaryDirectory(prefix="rollcall-") as directory:
        run.make_environment(os.path.abspath(options.build), directory)
        try:
            print("soak: " + soak(options.minutes, options.interval, lambda line: print(line, flush=True)))
        except AssertionError as error:
            print("soak: FAILED: %s" % error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(1)
