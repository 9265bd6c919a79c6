"""Slow clients, thousands at once, of every kind (rollcall-bench --slow plays them): who says nothing, half a
ClientHello, a head or a body a few bytes at a time, nothing after an answer, or who does not read answers. Each
has to be closed when its deadline has passed, not before and not much later; meanwhile a sender that behaves is
answered by the same node, which a second rollcall-bench measures. Those who are closed come again. A few others go
by RST, in whatever state they are."""
import json
import random
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import flights
from node import BENCH, DEADLINE, Node, events, get, post, post_bytes, tls, TOKEN

# Each reader fills the kernel's buffers, megabytes.
KINDS = (("silent", 10), ("hello", 10), ("head", 29), ("body", 30), ("idle", 20), ("read", 1))
BYTES = 2          # a second that those who trickle send
LATE_S = 1.0       # past its deadline, and as much before it
MOST_MS = 100.0    # for a post, where the machine is quiet
MOST_KIB = 32.0    # of the node's memory, for a connection
RATE = 4           # posts a second, on a connection of their own
RESETS_S = 0.02    # between two of those who go by RST
RST = struct.pack("ii", 1, 0)


class Resets(threading.Thread):
    """A connection every now and then that comes as far as chance has it, and ends by RST."""

    def __init__(self, port, seed):
        super().__init__(daemon=True)
        self.port, self.random, self.count = port, random.Random(seed), 0
        self.over = threading.Event()

    def reach(self, sock):
        """Says a part of what a sender says."""
        stage = self.random.randrange(5)
        whole = post_bytes("/presence/hq", b"[]" + b" " * 200, TOKEN)
        if stage == 0:
            return sock
        if stage < 3:
            hello = flights.Client(ssl.TLSVersion.TLSv1_3).step()
            sock.sendall(hello if stage == 1 else hello[:self.random.randrange(len(hello))])
            return sock
        sock = tls(self.port, tcp=sock)
        sock.sendall(whole[:self.random.randrange(1, len(whole) + 1)] * (1 if stage == 3 else 50))
        return sock

    def run(self):
        while not self.over.wait(RESETS_S):
            sock = self.reach(socket.create_connection(("127.0.0.1", self.port), DEADLINE))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            sock.close()
            self.count += 1


def bench(node, *args):
    return subprocess.Popen([BENCH, *args, "--json", "--secret", "test-token", "--pid",
                             str(node.process.pid), "https://localhost:%d/presence/hq" % node.port],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def start_crowd(node, count, deadlines):
    return bench(node, "-c", "1", "--rate", "1", "-d", "1h", "--slow", "%d:%d" % (count, BYTES),
                 "--slow-kinds", ",".join("%s:%d" % kind for kind in KINDS),
                 "--slow-deadlines", ",".join("%ds" % seconds for seconds in deadlines))


def end(process, sign=None):
    """What it has measured."""
    if sign:
        process.send_signal(sign)
    told = process.communicate(timeout=4 * DEADLINE)[0]
    try:
        return json.loads(told)
    except ValueError:
        raise AssertionError("rollcall-bench: %s" % told) from None


def wait_for_crowd(node, crowd, count):
    """Until as many are connected, but for those who are on their way again."""
    until = time.monotonic() + 4 * DEADLINE
    while True:
        connections = get(node, "/v1/status").json()["connections"]
        if connections >= count * 0.98:
            return connections
        assert crowd.poll() is None, crowd.communicate()[0]
        assert time.monotonic() < until, "only %d of %d came up" % (connections, count)
        select.select([], [], [], 0.1)


def judge(slow, measured, kib, strict):
    """What was not as it should be, in words."""
    wrong = []
    for kind, figures in slow["stalled"].items():
        # What this program was late to see was not late.
        if figures["early_s"] > LATE_S:
            wrong.append("%s closed %.2f s early" % (kind, figures["early_s"]))
        if figures["late_s"] > LATE_S + slow["lag_s"]:
            wrong.append("%s closed %.2f s late" % (kind, figures["late_s"]))
        if not figures["closed"]:
            wrong.append("no %s was closed" % kind)
    if slow["refused"] or slow["connect"]:
        wrong.append("%d refused, %d not come up" % (slow["refused"], slow["connect"]))
    if not measured["ok"] or measured["unsent"]:
        wrong.append("posts: codes %s, errors %s" % (measured["codes"], measured["errors"]))
    if strict and measured["latency_ns"]["max"] / 1e6 > MOST_MS:
        wrong.append("a post took %.1f ms" % (measured["latency_ns"]["max"] / 1e6))
    if strict and kib > MOST_KIB:
        wrong.append("%.1f KiB for a connection" % kib)
    return wrong


def slow(count, seconds=60, progress=None, deadlines=(20, 30, 30), seed=1, strict=True):
    """`count` slow connections at once, for so many seconds from when all are there. `strict`: a post's latency
    and a connection's memory are judged, too."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard > count + 200, "ulimit -Hn is %d: too few for %d connections" % (hard, count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = ("max_connections = %d\nmax_connections_per_ip = %d\nheader_timeout = %ds\n"
              "body_timeout = %ds\nkeepalive_timeout = %ds\n" % (count + 200, count + 200, *deadlines))
    with Node(server=server, rest="[ring]\nsize = 1M\n") as node:
        assert post(node, "/presence/hq", b"[]", TOKEN).status == 200
        # The first events make memory resident that has nothing to do with connections.
        end(bench(node, "-c", "1", "-r", "2000"))
        fds, rss_kib = node.fds(), node.rss_kib()
        resets, crowd, poster = Resets(node.port, seed), start_crowd(node, count, deadlines), None
        try:
            there = wait_for_crowd(node, crowd, count)
            kib = (node.rss_kib() - rss_kib) / there
            if progress:
                progress(count, count)
            resets.start()
            poster = bench(node, "-c", "1", "--rate", str(RATE), "-d", "%ds" % seconds)
            measured = end(poster)
            kib = max(kib, (node.rss_kib() - rss_kib) / count)
            lag_s = get(node, "/v1/status").json()["loop_lag_s"]
            resets.over.set()
            resets.join(DEADLINE)
            slow_ones = end(crowd, signal.SIGINT)["slow"]
        finally:
            resets.over.set()
            for process in (crowd, poster):
                if process:
                    process.kill()
                    process.wait()
        node.wait_fds(fds + 8)
        assert events(node)
        stalled = slow_ones["stalled"]
        line = ("%d slow connections (up to %d at once), %d s: closed %s; between %.2f s before and %.2f s after "
                "their deadlines (seen up to %.2f s late); %d reset by the client; a post beside them: %d of %d "
                "answered, p50 %.1f ms, p100 %.1f ms; %.1f KiB each; the loop's longest turn %.0f ms" % (
                    sum(kind["stalled"] for kind in stalled.values()), slow_ones["up"], seconds,
                    ", ".join("%s %d" % (kind, figures["closed"]) for kind, figures in stalled.items()),
                    max(kind["early_s"] for kind in stalled.values()),
                    max(kind["late_s"] for kind in stalled.values()), slow_ones["lag_s"], resets.count,
                    measured["codes"].get("200", 0), measured["requests"] + measured["unsent"],
                    measured["latency_ns"]["p50"] / 1e6, measured["latency_ns"]["max"] / 1e6, kib,
                    lag_s * 1e3))
        wrong = judge(slow_ones, measured, kib, strict)
        assert not wrong, "%s: %s" % ("; ".join(wrong), line)
        return line + ": held"
