"""What the black-box tests share: a real node on port 0 in a directory of its own, and the two ways to
talk to it. Binaries come by environment: ROLLCALLD, ROLLCALL_TAIL, ROLLCALL_BENCH, ROLLCALL_FORWARD; the
certificate by ROLLCALL_TEST_CERT and ROLLCALL_TEST_KEY."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import schema

ROLLCALLD = os.environ.get("ROLLCALLD", "")
TAIL = os.environ.get("ROLLCALL_TAIL", "")
BENCH = os.environ.get("ROLLCALL_BENCH", "")
FORWARD = os.environ.get("ROLLCALL_FORWARD", "")
CERT = os.environ.get("ROLLCALL_TEST_CERT", "")
KEY = os.environ.get("ROLLCALL_TEST_KEY", "")
DEADLINE = 30  # seconds until a wait has failed; never a measure of speed

ENDPOINTS = """
[endpoint hq]
path = /presence/hq
provider = aerohive
auth = token
secret = test-token

[endpoint lab]
path = /presence/lab
provider = json
auth = none
"""


def is_sanitized():
    """Whether the memory of the programs says nothing: a sanitizer keeps what was freed."""
    with open(ROLLCALLD, "rb") as program:
        return b"libasan" in program.read()


class Node:
    """A rollcalld that is ready. `server` holds further lines of [server]; `log` is all it logged;
    `under` is a command that runs the node's."""

    def __init__(self, server="", rest="", endpoints=ENDPOINTS, directory=None, wait=True,
                 env=None, under=(), pass_fds=()):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="rollcall-")
        self.socket = os.path.join(self.directory, "events.sock")
        self.config = os.path.join(self.directory, "rollcall.conf")
        with open(self.config, "w") as out:
            out.write("[server]\nlisten = 127.0.0.1:0\ncertificate = %s\nprivate_key = %s\n"
                      "socket = %s\n%s\n%s\n%s" % (CERT, KEY, self.socket, server, rest, endpoints))
        self.process = subprocess.Popen([*under, ROLLCALLD, "--config", self.config],
                                        stderr=subprocess.PIPE, text=True, pass_fds=pass_fds,
                                        env={**os.environ, **(env or {})})
        self.log, self.port = [], None
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        if wait:
            self.wait_log("msg=ready")

    def _read_log(self):
        for line in self.process.stderr:
            with self.changed:
                self.log.append(line.rstrip("\n"))
                found = re.search(r"msg=listening address=\S*:(\d+)", line)
                if found:
                    self.port = int(found.group(1))
                self.changed.notify_all()
        with self.changed:
            self.log.append(None)
            self.changed.notify_all()

    def wait_log(self, part):
        """Waits for a log line with `part`; fails when the node ends without one."""
        def there():
            return any(line is None or part in line for line in self.log)
        with self.changed:
            assert self.changed.wait_for(there, DEADLINE), "no %r in %s" % (part, self.log)
            assert any(line and part in line for line in self.log), "ended: %s" % self.log

    def stop(self, number=signal.SIGTERM):
        """Ends it; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        self.process.stderr.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *error):
        status = self.stop()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        if error[0] is None:
            assert status == 0, "exit %d: %s" % (status, self.log)

    def rss_kib(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def cpu_s(self):
        """CPU seconds that it has used."""
        with open("/proc/%d/stat" % self.process.pid) as stat_file:
            fields = stat_file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def wait_fds(self, most):
        """Waits until it has no more than `most` open: a peer's end reaches it a little later."""
        deadline = time.monotonic() + DEADLINE
        while self.fds() > most:
            assert time.monotonic() < deadline, "%d open, not %d" % (self.fds(), most)


def tls(port, **options):
    """A TLS connection to the node. Options: tcp (a socket to wrap), alpn, max_version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERT)
    context.set_alpn_protocols(options.get("alpn", ["http/1.1"]))
    if "max_version" in options:
        context.maximum_version = options["max_version"]
    raw = options.get("tcp") or socket.create_connection(("127.0.0.1", port), DEADLINE)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_hostname="localhost")


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%d %r %r" % (self.status, self.headers, self.body)


class Peer:
    """Reads HTTP/1.1 responses from a connected socket, one after the other."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise EOFError("closed after %r" % self.buffer)
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise EOFError("closed after %r" % self.buffer)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def response(self, head=False):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {n.lower(): v.strip() for n, v in (line.split(":", 1) for line in lines[1:])}
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(self.chunks())
        elif not head and "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
        elif not head and status >= 200:
            while self.fill():
                pass
            body, self.buffer = self.buffer, b""
        return Response(status, headers, body)

    def chunks(self):
        while True:
            size = int(self.until(b"\r\n"), 16)
            data = self.exactly(size + 2)[:-2]
            if size == 0:
                return
            yield data

    def is_closed(self):
        """Waits for the peer to close; false where it sends something instead."""
        try:
            return not self.buffer and not self.fill()
        except (ConnectionResetError, ssl.SSLError):
            return True

    def close(self):
        self.sock.close()


def post_bytes(path, body, headers=(), version="1.1"):
    lines = ["POST %s HTTP/%s" % (path, version), "Host: localhost", "Content-Length: %d" % len(body)]
    return ("\r\n".join(lines + list(headers)) + "\r\n\r\n").encode() + body


def post(node, path, body, headers=()):
    """One POST on a connection of its own."""
    peer = Peer(tls(node.port))
    try:
        peer.send(post_bytes(path, body if isinstance(body, bytes) else json.dumps(body).encode(),
                             headers))
        return peer.response()
    finally:
        peer.close()


TOKEN = ("Authorization: Basic test-token",)


def get(node, target, version="1.1", headers=()):
    """One GET on the Unix socket, to its end."""
    peer = feed(node, target, version, headers)
    try:
        return peer.response()
    finally:
        peer.close()


def feed(node, target, version="1.1", headers=()):
    """A GET on the Unix socket; its peer, nothing read yet."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    sock.connect(node.socket)
    peer = Peer(sock)
    peer.send(("GET %s HTTP/%s\r\nHost: local\r\n%s\r\n" % (
        target, version, "".join(h + "\r\n" for h in headers))).encode())
    return peer


def events(node, query="from=oldest&follow=0"):
    """The ring's lines, parsed. Each is what the schema says."""
    response = get(node, "/v1/events?" + query)
    assert response.status == 200, response
    lines = [json.loads(line) for line in response.body.splitlines()]
    for line in lines:
        schema.check(line)
    return lines
