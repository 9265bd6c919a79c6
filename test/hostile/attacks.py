"""The attacks as they are run, by the tests with a few thousand and by `./dev hostile` with a million: each
takes a size, starts a node, and returns a line that says what was measured; what must not be is an
AssertionError. `progress(done, of)` is called now and then."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "blackbox")]
from node import *  # noqa: F403,E402
import tls_flood  # noqa: E402
from drain import drain  # noqa: E402,F401
from memory import memory  # noqa: E402,F401
from slow import slow  # noqa: E402,F401

FDS = 8        # how many more may be open after an attack than before
RSS_KIB = 1024  # and how much more memory
WARM_UP = 2000  # flights until memory is measured: the allocator's first few pages are no leak


class Poster:
    """Valid posts, each of which has to be answered and, in the end, readable."""

    def __init__(self, node):
        self.node, self.posts, self.slowest_s = node, 0, 0.0

    def __call__(self):
        began = time.monotonic()
        response = post(self.node, "/presence/lab", {"n": self.posts})
        assert response.status == 200, response
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.posts += 1

    def assert_readable(self):
        newest = events(self.node)[-1]["data"]["n"]
        assert newest == self.posts - 1, "the last event is %d, not %d" % (newest, self.posts - 1)


def wait_until(is_so, what):
    """Waits for what is bound to come; fails with what() when it does not."""
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def wait_calm(node, fds, rss_kib):
    """Descriptors and memory are back."""
    wait_until(lambda: node.fds() <= fds + FDS,
               lambda: "%d descriptors, %d before" % (node.fds(), fds))
    if not is_sanitized():
        wait_until(lambda: node.rss_kib() <= rss_kib + RSS_KIB,
                   lambda: "%d KiB, %d before" % (node.rss_kib(), rss_kib))


def handshakes(count, seed=1, progress=None):
    """`count` mutated handshakes."""
    settings = "header_timeout = 2s\nkeepalive_timeout = 2s\n"
    with Node(server=settings, rest="[ring]\nsize = 64K\n") as node:
        poster = Poster(node)
        poster()
        fds = node.fds()
        flood = tls_flood.Flood(node.port, post_bytes("/presence/hq", b"[]", TOKEN), seed, poster,
                                progress and (lambda done: progress(done, count)))
        try:
            warm_up = min(WARM_UP, count // 3)
            seconds = flood.run(warm_up)
            wait_until(lambda: node.fds() <= fds + FDS, lambda: "%d descriptors" % node.fds())
            rss_kib = node.rss_kib()
            seconds += flood.run(count - warm_up)
        finally:
            flood.close()
        poster()
        wait_calm(node, fds, rss_kib)
        poster.assert_readable()
        return ("%d mutated handshakes (seed %d), %d flights, %.0f a second: %s; %d posts between them "
                "answered, the slowest in %.0f ms; descriptors %d, then %d; KiB %d, then %d" % (
                    count, seed, flood.sent, count / seconds,
                    ", ".join("%s %d" % pair for pair in sorted(flood.ends.items())), poster.posts,
                    poster.slowest_s * 1e3, fds, node.fds(), rss_kib, node.rss_kib()))
