"""The formula of docs/tuning.md (Memory) at its ends: idle connections, whole bodies on their way at once, and
bodies that nest past the bound, all held back for their last byte and then parsed. The highest that the node's
memory was (VmHWM) may be 1.2 times the formula; and where this machine has memory cgroups, the node runs in one
that is so large, what the kernel keeps for its connections included."""
import os
import re

from cgroup import Cgroup
from node import Node, Peer, is_sanitized, post, post_bytes, tls

MARGIN = 1.2
BASE_KIB, CONNECTION_KIB, RING_KIB = 10 * 1024, 4, 8 * 1024
PARSED, PARSED_KIB = 6, 1536  # while one is parsed: times the largest body, and
BODY_KIB, NESTED = 1024, 100000
SERVER = ("max_connections = 20000\nmax_connections_per_ip = 20000\nkeepalive_timeout = 1h\n"
          "header_timeout = 1h\nbody_timeout = 1h\n")
os.environ.pop("MALLOC_PERTURB_", None)  # Meson's: writes all over memory that nobody uses


def peak_kib(node):
    with open("/proc/%d/status" % node.process.pid) as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))


def fill(node, count, body, status, progress):
    """The connections, each where the memory is highest."""
    assert post(node, "/presence/lab", {}).status == 200
    peers = []
    for number in range(count):
        peers.append(Peer(tls(node.port)))
        if body:
            peers[-1].send(post_bytes("/presence/lab", body)[:-1])
        else:
            peers[-1].send(post_bytes("/presence/lab", b"{}"))
            assert peers[-1].response().status == 200
        if progress and number % 100 == 99:
            progress(number + 1, count)
    for peer in peers if body else []:
        peer.send(body[-1:])
        response = peer.response()
        assert response.status == status, response
    assert post(node, "/presence/lab", {}).status == 200
    return peers


def hold(what, count, body, status, progress):
    """`count` connections; with a body, each of them in its midst until all are. What came of it in words."""
    body_kib = len(body) / 1024
    formula = (BASE_KIB + RING_KIB + count * (CONNECTION_KIB + body_kib) + PARSED * body_kib
               + PARSED_KIB)
    with Cgroup(MARGIN * formula * 1024) as group:
        limited = group.is_there and not is_sanitized()
        with Node(server=SERVER, rest="[ring]\nsize = %dK\n" % RING_KIB,
                  under=group.under if limited else ()) as node:
            peers = fill(node, count, body, status, progress)
            peak = 0 if is_sanitized() else peak_kib(node)
            for peer in peers:
                peer.close()
    assert peak <= MARGIN * formula, "%d %s: %d KiB, the formula says %d" % (count, what, peak, formula)
    return "%d %s %.1f MiB of %.1f%s" % (count, what, peak / 1024, formula / 1024,
                                         ", in a cgroup" if limited else "")


def memory(connections, progress=None):
    """So many idle ones; of the bodies, a tenth."""
    some = max(connections // 10, 1)
    text = b'"' + b"a" * (BODY_KIB * 1024 - 2) + b'"'
    return "memory, highest and by the formula: " + "; ".join([
        hold("idle connections", connections, b"", 200, progress),
        hold("bodies of 1 MiB at once", some, text, 200, progress),
        hold("bodies nested %d deep" % NESTED, some, b"[" * NESTED + b"]" * NESTED, 400, progress)])
