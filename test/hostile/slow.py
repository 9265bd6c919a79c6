"""Slow clients, thousands at once, of every kind: who says nothing, half a ClientHello, a head or a body a
few bytes at a time, nothing after an answer, or who does not read answers. Each has to be closed when
its deadline has passed, not before and not much later; meanwhile a sender that behaves is answered by
the same node (rollcall-bench measures it). Those who are closed come again. Some go by RST instead,
in whatever state they are."""
import collections
import json
import os
import random
import resource
import selectors
import socket
import ssl
import struct
import subprocess
import time

import flights
from node import BENCH, DEADLINE, Node, events, post, post_bytes, TOKEN

AT_ONCE = 256      # that are coming up: a listen queue is not endless
DRIBBLE_S = 0.5
RST = struct.pack("ii", 1, 0)
LATE_S = 1.0       # past its deadline; the node's clock ticks each 250 ms
EARLY_S = 1.0    # before it: a deadline counts from the beginning of the loop's turn
MANY_GETS = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
KINDS = ("silent", "hello", "head", "head", "body", "body", "idle", "idle", "reset", "reader")
MIN_READERS = 4  # and one in fifty: each fills the kernel's buffers, megabytes


class Slow:
    """One slow connection. The node has to close it between `soonest` and `due`: the first counts from
    before what it answers to was sent, the second from when its answer was seen."""

    def __init__(self, crowd, kind):
        self.crowd, self.kind = crowd, kind
        self.client, self.out = None, b""
        self.soonest = time.monotonic() + crowd.header_s
        self.due = self.soonest
        self.stage, self.next_s = "connect", 0.0
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if kind == "reader":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect_ex(crowd.address)
        self.mask = selectors.EVENT_WRITE
        crowd.selector.register(self.sock, self.mask, self)

    def want(self, mask):
        if mask != self.mask:
            self.mask = mask
            self.crowd.selector.modify(self.sock, mask, self)

    def on_ready(self, events_):
        try:
            if self.stage == "connect":
                self.begin()
            elif self.stage == "stuffing" and events_ & selectors.EVENT_WRITE:
                self.stuff()
            elif self.stage == "stuffed":
                self.sock.recv(1)  # what there is is an error, or the end of a connection that is full
            else:
                self.take(self.sock.recv(65536))
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except (OSError, ssl.SSLError, EOFError) as error:
            self.ended(error)

    def begin(self):
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self.stage = "handshake"
        self.due = time.monotonic() + self.crowd.header_s
        if self.kind == "silent":
            return self.settle()
        self.client = flights.Client(None, self.crowd.context)
        hello = self.client.step()
        if self.kind == "hello":
            self.sock.send(hello[:len(hello) // 2])
            return self.settle()
        self.sock.send(hello)
        self.want(selectors.EVENT_READ)

    def settle(self):
        """It has come to where it stays."""
        self.stage = "slow"
        self.crowd.coming.discard(self)
        self.want(selectors.EVENT_READ)
        if self.kind == "reset":
            self.crowd.later(self, self.crowd.random.random() * self.crowd.header_s * 0.9)
        elif self.out:
            self.crowd.later(self, DRIBBLE_S)

    def take(self, data):
        if not data:
            raise EOFError
        if self.stage == "slow" and self.kind not in ("silent", "hello"):
            self.crowd.note_answer(self.client.decrypt(data))
            return
        if self.stage == "slow":
            return
        if self.stage == "answer":
            if b"\r\n\r\n" in self.client.decrypt(data):
                self.due = time.monotonic() + self.crowd.keepalive_s
                self.settle()
            return
        answer = self.client.step(data)
        if answer:
            self.sock.send(answer)
        if self.client.established:
            self.speak()

    def speak(self):
        now, crowd = time.monotonic(), self.crowd
        whole = post_bytes("/presence/hq", b"[]" + b" " * 200, TOKEN)
        head = whole.index(b"[]")
        if self.kind == "idle":
            self.stage, self.soonest = "answer", now + crowd.keepalive_s
            self.sock.send(self.client.encrypt(whole))
            return
        if self.kind == "reader":
            self.stage = "stuffing"
            self.out = self.client.encrypt(MANY_GETS)
            crowd.coming.discard(self)
            self.want(selectors.EVENT_WRITE)
            return
        if self.kind == "body" or self.kind == "reset" and crowd.random.randrange(2):
            self.sock.send(self.client.encrypt(whole[:head]))
            self.soonest, self.out = now + crowd.body_s, whole[head:]
            self.due = time.monotonic() + crowd.body_s
        else:
            self.sock.send(self.client.encrypt(whole[:10]))
            self.out = whole[10:head - 2]
        self.settle()

    def stuff(self):
        """Requests until no more are taken: then its answers are what the node waits to be rid of."""
        sent = self.sock.send(self.out)
        self.out = self.out[sent:] or self.client.encrypt(MANY_GETS)
        self.due = time.monotonic() + self.crowd.body_s  # from the last of it

    def turn(self):
        """Its time has come: a few bytes more, or a reset."""
        if self.kind == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            self.crowd.ends["reset by the client"] += 1
            self.crowd.remove(self)
            return
        piece, self.out = self.out[:1], self.out[1:]
        try:
            self.sock.send(self.client.encrypt(piece))
        except (OSError, ssl.SSLError):
            return  # its end comes by way of on_ready
        if self.out:
            self.crowd.later(self, DRIBBLE_S)

    def ended(self, error):
        now, crowd = time.monotonic(), self.crowd
        if self.stage in ("connect", "handshake", "answer"):
            crowd.ends["not come up"] += 1
            crowd.odd.append("%s in %s: %r" % (self.kind, self.stage, error))
        else:
            crowd.note_closed(self, now)
        crowd.remove(self)


class Crowd:
    def __init__(self, node, count, deadlines, seed):
        self.address = ("127.0.0.1", node.port)
        self.header_s, self.body_s, self.keepalive_s = deadlines
        self.count, self.random = count, random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.all, self.coming, self.agenda = set(), set(), collections.defaultdict(list)
        self.ends, self.odd, self.answers = collections.Counter(), [], collections.Counter()
        self.earliest_s, self.latest_s, self.latest = 0.0, 0.0, ""
        self.made = self.readers = 0
        self.longest_s = 0.0  # that a turn of our own took: what is seen is seen so late
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def later(self, slow, seconds):
        self.agenda[int((time.monotonic() + seconds) * 10)].append(slow)

    def note_answer(self, plain):
        if plain:
            self.answers[plain[9:12].decode()] += 1

    def note_closed(self, slow, now):
        late_s = now - slow.due
        if slow.kind == "reset":
            return
        self.ends["closed " + slow.kind] += 1
        if slow.kind != "reader":  # the kernel may have taken some after the node had stopped reading
            self.earliest_s = min(self.earliest_s, now - slow.soonest)
        if slow.kind != "reader" and late_s > self.latest_s:
            self.latest_s, self.latest = late_s, slow.kind

    def remove(self, slow):
        self.selector.unregister(slow.sock)
        slow.sock.close()
        self.all.discard(slow)
        self.coming.discard(slow)
        self.readers -= slow.kind == "reader"

    def add(self):
        kind = KINDS[self.made % len(KINDS)]
        if kind == "reader":
            if self.readers >= max(MIN_READERS, self.count // 50):
                kind = "body"
            self.readers += kind == "reader"
        self.made += 1
        slow = Slow(self, kind)
        self.all.add(slow)
        self.coming.add(slow)

    def turn(self, may_come):
        while may_come and len(self.all) < self.count and len(self.coming) < AT_ONCE:
            self.add()
        ready = self.selector.select(0.05)
        began = time.monotonic()
        for key, events_ in ready:
            key.data.on_ready(events_)
        now = int(time.monotonic() * 10)
        for slot in [slot for slot in self.agenda if slot <= now]:
            for slow in self.agenda.pop(slot):
                if slow in self.all:
                    slow.turn()
        self.longest_s = max(self.longest_s, time.monotonic() - began)

    def close(self):
        for slow in list(self.all):
            self.remove(slow)
        self.selector.close()


def start_bench(node, seconds):
    return subprocess.Popen([BENCH, "-c", "1", "--rate", "4", "--duration", "%ds" % seconds, "--json",
                             "--secret", "test-token", "https://localhost:%d/presence/hq" % node.port],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def slow(count, seconds=60, progress=None, deadlines=(20, 30, 30), seed=1):
    """`count` slow connections at once, for so many seconds from when all are there."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard > count + 200, "ulimit -Hn is %d: too few for %d connections" % (hard, count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = ("max_connections = %d\nmax_connections_per_ip = %d\nheader_timeout = %ds\n"
              "body_timeout = %ds\nkeepalive_timeout = %ds\n" % (count + 100, count + 100, *deadlines))
    with Node(server=server, rest="[ring]\nsize = 1M\n") as node:
        post(node, "/presence/lab", {})
        fds, rss_kib, most = node.fds(), node.rss_kib(), (0, 0)
        crowd = Crowd(node, count, deadlines, seed)
        bench, began, failed_after = None, time.monotonic(), time.monotonic() + seconds + 20 * DEADLINE
        until = failed_after
        try:
            while time.monotonic() < until:
                crowd.turn(True)
                if len(crowd.all) - len(crowd.coming) > most[0]:
                    most = (len(crowd.all) - len(crowd.coming), node.rss_kib())
                # All but those who are on their way, and those who have just been closed.
                if not bench and len(crowd.all) - len(crowd.coming) >= count * 0.9:
                    bench, until = start_bench(node, seconds), time.monotonic() + seconds
                    came_s = time.monotonic() - began
                    if progress:
                        progress(count, count)
            assert bench, "only %d of %d came up: %s" % (most[0], count, crowd.odd[-3:])
            while len(crowd.all) > 0:  # and the last of them is closed, too
                crowd.turn(False)
                assert time.monotonic() < failed_after, "%d are not closed: %s" % (
                    len(crowd.all), collections.Counter(s.kind for s in crowd.all))
            told = bench.communicate(timeout=DEADLINE)[0]
        finally:
            crowd.close()
            if bench:
                bench.kill()
        assert bench.returncode == 0, told
        measured = json.loads(told)
        assert not crowd.odd, crowd.odd[:3]
        assert crowd.earliest_s > -EARLY_S, "closed %.2f s early" % -crowd.earliest_s
        assert crowd.latest_s < LATE_S + 2 * crowd.longest_s, "closed %.2f s late (%s)" % (
            crowd.latest_s, crowd.latest)
        node.wait_fds(fds + 8)
        assert events(node)
        return ("%d slow connections at once (%d in all, there after %.0f s), %d s: %s; answered %s; closed "
                "between %.2f s before and %.2f s after their deadlines (%s; the clients' own turns took up to %.2f s); a post beside them: %d of %d answered, "
                "p50 %.1f ms, p100 %.1f ms; %.1f KiB each at %d connections" % (
                    count, crowd.made, came_s, seconds,
                    ", ".join("%s %d" % pair for pair in sorted(crowd.ends.items())), dict(crowd.answers),
                    -crowd.earliest_s, crowd.latest_s, crowd.latest, crowd.longest_s, measured["codes"].get("200", 0), measured["requests"],
                    measured["latency_ns"]["p50"] / 1e6, measured["latency_ns"]["max"] / 1e6,
                    (most[1] - rss_kib) / max(most[0], 1), most[0]))
