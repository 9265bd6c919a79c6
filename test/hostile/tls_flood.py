"""Handshakes that went wrong, by the million: flights of real clients (flights.py), mutated, over real
sockets, many at once; an eighth of them ended by RST. After each hundred a post on a new connection
has to be answered. One of eight is live: a client of its own shakes hands properly, and what it says
after that is mutated, so that what lies behind the keys is reached too."""
import collections
import random
import selectors
import socket
import ssl
import struct
import time

import flights

AT_ONCE = 64
EACH = 100       # flights between two posts
PATIENCE = 0.1   # seconds until the node's answer is not waited for any longer
RST = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets the connection


class Attack:
    """One connection: sends its flights, each when the node has said something, then ends."""

    def __init__(self, flood):
        random_ = flood.random
        self.flood, self.sock = flood, socket.socket()
        self.sock.setblocking(False)
        self.client, self.pending = None, b""
        self.end = random_.choice(("rst", "close", "close", "close", "wait", "wait", "wait", "wait"))
        if random_.randrange(8) == 0:
            self.client = flights.Client(random_.choice(flights.VERSIONS))
            self.left = [self.client.step()]
        else:
            chosen = random_.choice(flood.recorded)
            first = random_.randrange(len(chosen)) if random_.randrange(8) == 0 else 0
            self.left = [chosen[first], *chosen[1:]]
            broken = random_.choice((0, 0, 0, len(self.left) - 1))
            self.left[broken] = flood.mutator.mutate(self.left[broken])
        if self.end != "rst" and len(self.left) > 1 and random_.randrange(4) == 0:
            self.left = [b"".join(self.left)]
        self.sock.connect_ex(("127.0.0.1", flood.port))
        self.until = time.monotonic() + PATIENCE * 10
        flood.selector.register(self.sock, selectors.EVENT_WRITE, self)

    def on_ready(self, events):
        try:
            if events & selectors.EVENT_WRITE:
                self.write()
            else:
                self.read()
        except (OSError, ssl.SSLError, EOFError):
            self.close()

    def write(self):
        if not self.pending:
            self.pending = self.left.pop(0) if self.left else b""
        if self.pending:
            self.pending = self.pending[self.sock.send(self.pending):]
        if self.pending:
            return
        self.flood.sent += 1
        if not self.left and not self.client and self.end != "wait":
            self.close()
            return
        self.until = time.monotonic() + PATIENCE
        self.flood.selector.modify(self.sock, selectors.EVENT_READ, self)

    def read(self):
        data = self.sock.recv(65536)
        if not data:
            self.flood.ends["closed by the node"] += 1
            raise EOFError
        if self.client:
            self.live(data)
        if self.left:
            self.flood.selector.modify(self.sock, selectors.EVENT_WRITE, self)
        elif not self.client:
            self.flood.ends["answered"] += 1
            self.close()

    def live(self, data):
        """A handshake as it should be, and then what should not be."""
        answer = self.client.step(data)
        random_ = self.flood.random
        if self.client.established:
            answer += self.client.encrypt(self.flood.request)
            if random_.randrange(4) == 0:  # not encrypted at all
                answer += random_.choice(self.flood.mutator.corpus)
            self.client = None
        if answer:
            self.left = [self.flood.mutator.mutate(answer) if not self.client else answer]

    def close(self):
        if self.end == "rst":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            self.flood.ends["reset"] += 1
        self.flood.selector.unregister(self.sock)
        self.sock.close()
        self.flood.open.discard(self)


class Flood:
    """`check` is called after each hundred; `progress`, if any, with how many are done."""

    def __init__(self, port, request, seed, check, progress=None):
        self.port, self.request, self.check, self.progress = port, request, check, progress
        self.recorded = flights.record(port, request)
        self.mutator = flights.Mutator(seed, self.recorded)
        self.random = random.Random(seed + 1)
        self.selector = selectors.DefaultSelector()
        self.open, self.sent, self.ends = set(), 0, collections.Counter()

    def run(self, count):
        """`count` connections; how many seconds it took."""
        began, started, swept = time.monotonic(), 0, 0
        while started < count or self.open:
            while started < count and len(self.open) < AT_ONCE:
                self.open.add(Attack(self))
                started += 1
                if started % EACH == 0:
                    self.check()
                    if self.progress:
                        self.progress(started)
            for key, events in self.selector.select(PATIENCE):
                key.data.on_ready(events)
            now = time.monotonic()
            if now - swept > PATIENCE / 2:
                swept = now
                for attack in [attack for attack in self.open if attack.until < now]:
                    self.give_up(attack)
        return time.monotonic() - began

    def give_up(self, attack):
        self.ends["not waited for"] += 1
        attack.close()

    def close(self):
        self.selector.close()
