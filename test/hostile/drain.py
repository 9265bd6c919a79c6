"""SIGTERM under load, again and again, each time at another moment: the node ends with 0; what it put
into its ring was answered, and what was answered is in the ring and was streamed to a reader that
followed."""
import json
import random
import signal
import ssl
import tempfile
import threading
import time

from node import Node, Peer, DEADLINE, feed, get, post_bytes, tls

WORKERS = 4
LONGEST_S = 0.05  # from the first answer to the signal
RING = "[ring]\nfile = %s/ring\nsize = 16M\n"


class Run:
    """One life of a node; `number` is in its events."""

    def __init__(self, node, number):
        self.node, self.number = node, number
        self.answered, self.lock, self.first = set(), threading.Lock(), threading.Event()

    def work(self, worker):
        try:
            with tls(self.node.port) as sock:
                peer = Peer(sock)
                for n in range(1000000):
                    key = (self.number, worker, n)
                    peer.send(post_bytes("/presence/lab", b"[%d,%d,%d]" % key))
                    response = peer.response()
                    assert response.status == 200, response
                    with self.lock:
                        self.answered.add(key)
                    self.first.set()
        except (OSError, EOFError, ssl.SSLError):
            pass  # closed; whether it should have answered, the ring tells

    def live(self, delay_s):
        """Load, and in its midst the signal; what a reader was told."""
        follower = feed(self.node, "/v1/events")
        follower.until(b"\r\n\r\n")
        workers = [threading.Thread(target=self.work, args=(n,)) for n in range(WORKERS)]
        for worker in workers:
            worker.start()
        assert self.first.wait(DEADLINE), "no answer"
        time.sleep(delay_s)
        self.node.process.send_signal(signal.SIGTERM)
        lines = b"".join(follower.chunks()).splitlines()
        follower.close()
        for worker in workers:
            worker.join(DEADLINE)
        return {tuple(json.loads(line)["data"]) for line in lines}


def in_ring(node, number):
    response = get(node, "/v1/events?from=oldest&follow=0")
    assert response.status == 200, response
    keys = [tuple(json.loads(line)["data"]) for line in response.body.splitlines()
            if b'"data":[%d,' % number in line]
    assert len(keys) == len(set(keys)), "run %d: an event is there twice" % number
    return set(keys)


def compare(number, ring, answered, streamed):
    assert ring <= answered, "run %d: accepted and not answered: %s" % (number, ring - answered)
    assert answered <= ring, "run %d: answered and not there: %s" % (number, answered - ring)
    assert answered <= streamed, "run %d: not streamed: %s" % (number, answered - streamed)


def drain(runs, seed=1, progress=None):
    random_ = random.Random(seed)
    total, slowest_s, last = 0, 0.0, None
    with tempfile.TemporaryDirectory(prefix="rollcall-") as directory:
        for number in range(runs + 1):  # each node's ring is looked at by the next
            node = Node(directory=directory, rest=RING % directory)
            try:
                if last:
                    compare(last.number, in_ring(node, last.number), last.answered, streamed)
                    total += len(last.answered)
                if number == runs:
                    break
                last = Run(node, number)
                streamed = last.live(random_.random() * LONGEST_S)
                began = time.monotonic()
                status = node.process.wait(DEADLINE)
                slowest_s = max(slowest_s, time.monotonic() - began)
                assert status == 0, "run %d: exit %d: %s" % (number, status, node.log)
            finally:
                node.stop()
            if progress:
                progress(number + 1, runs)
    return ("%d nodes stopped under load (seed %d), %d posts answered: all of them in the ring and "
            "streamed, none in the ring that was not answered; exit 0, %.0f ms at the longest after "
            "the stream's end" % (runs, seed, total, slowest_s * 1e3))
