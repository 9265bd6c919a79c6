#!/usr/bin/env python3
"""A node's life under valgrind's memcheck: posts over connections that stay and new ones, every kind of
refusal, readers that stay, leave and are held, the metrics, a reload, a ring file; then SIGTERM. No
error, nothing definitely or indirectly lost, and at the end no descriptor open but the three standard
ones and valgrind's own.

usage: valgrind_node.py [REQUESTS]     environment: as of the black-box tests (node.py)"""
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TEST = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TEST, "blackbox"))
import node as nodes  # noqa: E402
from node import Node, Peer, TOKEN, post_bytes, tls  # noqa: E402

POSTS_A_CONNECTION = 100
nodes.DEADLINE = 300  # memcheck takes twenty times as long

OBSERVATION = {"apMac": "C413E2008040", "ownerId": 1490}
REFUSED = [
    (post_bytes("/nowhere", b"{}"), 404),
    (post_bytes("/presence/hq", b"[]"), 401),
    (post_bytes("/presence/hq", b"{", TOKEN), 400),
    (post_bytes("/presence/hq", b'{"a":1}', TOKEN), 422),
    (post_bytes("/presence/lab", b"x", ["Content-Encoding: br"]), 415),
    (b"PUT /presence/lab HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405),
    (b"nonsense\r\n\r\n", 400),
]


def wrapper(directory, program):
    """A script that is that program under memcheck; its report is in DIRECTORY/report.PID."""
    path = os.path.join(directory, "under-valgrind")
    words = ["valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect",
             "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99", "--track-fds=yes",
             "--num-callers=20", "--suppressions=" + os.path.join(TEST, "valgrind.supp"),
             "--log-file=%s/report" % directory, program]
    with open(path, "w") as out:
        out.write("#!/bin/sh\nexec %s \"$@\"\n" % " ".join(map(shlex.quote, words)))
    os.chmod(path, 0o755)
    return path


def body(number):
    observations = [{"clientMac": "5C%010X" % (number * 3 + i), "seenEpoch": 1767607932900 + number,
                     "rssi": -61} for i in range(3)]
    return json.dumps([dict(OBSERVATION, observations=observations)]).encode()


def expect(peer, status):
    response = peer.response()
    assert response.status == status, "%d was expected: %r" % (status, response)


def post_all(node, count):
    peer = None
    for number in range(count):
        if number % POSTS_A_CONNECTION == 0:
            if peer:
                peer.close()
            peer = Peer(tls(node.port))
        peer.send(post_bytes("/presence/hq", body(number), TOKEN) if number % 2 else
                  post_bytes("/presence/lab", b'{"n":%d}' % number))
        expect(peer, 200)
    peer.close()


def refuse_all(node):
    for request, status in REFUSED:
        peer = Peer(tls(node.port))
        peer.send(request)
        expect(peer, status)
        peer.close()
    Peer(tls(node.port)).close()


def connect(node):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(nodes.DEADLINE)
    sock.connect(node.socket)
    return Peer(sock)


def ask(node, line, status):
    peer = connect(node)
    peer.send(line.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    response = peer.response()
    peer.close()
    assert response.status == status, "%s: %r" % (line, response)
    return response


def read_all(node, count):
    """What is in the ring after `count` posts, half of them of three events; and the rest of the
    socket's resources."""
    lines = ask(node, "GET /v1/events?from=oldest&follow=0", 200).body.splitlines()
    assert len(lines) == count // 2 + 3 * (count // 2), len(lines)
    for target in ("/metrics", "/livez", "/readyz", "/v1/status", "/v1/schema", "/v1/readers"):
        ask(node, "GET " + target, 200)
    ask(node, "GET /v1/events?reader=held&follow=0&kind=seen", 200)
    ask(node, "GET /nowhere", 404)


def check(report):
    with open(report) as file:
        text = re.sub(r"(?m)^==\d+== ?", "", file.read())
    assert "FILE DESCRIPTORS: " in text, "no account of descriptors:\n" + text
    for entry, origin in re.findall(r"Open ([^\n]*)\n *([^\n]*)", text):
        is_standard = re.match(r"file descriptor [012]:", entry)
        assert is_standard or "<inherited from parent>" in origin, "left open:\n" + text
    assert "ERROR SUMMARY: 0 errors" in text, text
    for lost in ("definitely", "indirectly"):
        assert not re.search(lost + r" lost: [1-9]", text), text


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    count += count % 2
    directory = tempfile.mkdtemp(prefix="rollcall-")
    nodes.ROLLCALLD = wrapper(directory, nodes.ROLLCALLD)
    try:
        with Node(rest="[ring]\nsize = 4M\nfile = %s/ring\nsync = interval 50ms\n" % directory,
                  directory=directory) as node:
            ask(node, "PUT /v1/readers/held", 201)
            follower = connect(node)
            follower.send(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n")
            follower.until(b"\r\n\r\n")
            post_all(node, count)
            refuse_all(node)
            read_all(node, count)
            node.process.send_signal(signal.SIGHUP)
            node.wait_log("configuration reloaded")
            next(follower.chunks())
            follower.close()
        check(os.path.join(directory, "report"))
        print("%d requests and %d refused ones under memcheck: nothing found" % (count, len(REFUSED)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
