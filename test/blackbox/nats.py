"""A nats-server of the test's own, and enough of its protocol to read a stream back: CONNECT, SUB, PUB,
MSG and HMSG over a plain socket, and JetStream's API, which is JSON on subjects."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

DEADLINE = 60
SERVER = shutil.which("nats-server") or ("/usr/sbin/nats-server"
                                         if os.path.exists("/usr/sbin/nats-server") else None)


def free_port():
    """A port that nobody listens on: a server that is killed has to come back at the same one."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A nats-server with JetStream in `directory`/js. `more` is further configuration."""

    def __init__(self, directory, more="", jetstream=True):
        self.port = free_port()
        self.config = os.path.join(directory, "nats.conf")
        self.log = os.path.join(directory, "nats.log")
        with open(self.config, "w") as out:
            out.write('host: 127.0.0.1\nport: %d\n%s\n' % (self.port, more))
            if jetstream:
                out.write('jetstream { store_dir: "%s/js" }\n' % directory)
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([SERVER, "-c", self.config, "-l", self.log])
        deadline = time.monotonic() + DEADLINE
        while True:
            assert self.process.poll() is None, open(self.log).read()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    if sock.recv(5) == b"INFO ":
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, open(self.log).read()
            time.sleep(0.01)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(DEADLINE)

    @property
    def url(self):
        return "nats://127.0.0.1:%d" % self.port


class Message:
    def __init__(self, subject, reply, headers, body):
        self.subject, self.reply, self.headers, self.body = subject, reply, headers, body


class Client:
    def __init__(self, server, **options):
        self.sock = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        self.file = self.sock.makefile("rb")
        assert self.file.readline().startswith(b"INFO ")
        self.next, self.backlog = 0, []
        self.send("CONNECT " + json.dumps({"verbose": False, "headers": True, "no_responders": True,
                                           **options}))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()
        self.sock.close()

    def send(self, line, body=None):
        self.sock.sendall(line.encode() + b"\r\n" + (b"" if body is None else body + b"\r\n"))

    def subscribe(self):
        self.next += 1
        subject = "_INBOX.test.%d" % self.next
        self.send("SUB %s %d" % (subject, self.next))
        return subject

    def receive(self):
        """The next message of any subscription."""
        return self.backlog.pop(0) if self.backlog else self.read()

    def read(self):
        while True:
            words = self.file.readline().decode().split()
            assert words, "the server closed"
            if words[0] == "PING":
                self.send("PONG")
            elif words[0] == "MSG":
                body = self.file.read(int(words[-1]) + 2)[:-2]
                return Message(words[1], words[3] if len(words) == 5 else None, {}, body)
            elif words[0] == "HMSG":
                head_len, total = int(words[-2]), int(words[-1])
                data = self.file.read(total + 2)[:-2]
                lines = data[:head_len].decode().split("\r\n")[1:]
                headers = dict(line.split(": ", 1) for line in lines if line)
                return Message(words[1], words[3] if len(words) == 6 else None, headers,
                               data[head_len:])
            else:
                assert words[0] in ("INFO", "+OK", "PONG"), words

    def ask(self, subject, value=None):
        """A request to JetStream's API; its answer."""
        inbox = self.subscribe()
        body = b"" if value is None else json.dumps(value).encode()
        self.send("PUB $JS.API.%s %s %d" % (subject, inbox, len(body)), body)
        while True:
            message = self.read()
            if message.subject == inbox:
                return json.loads(message.body)
            self.backlog.append(message)

    def count(self, stream="PRESENCE"):
        return self.ask("STREAM.INFO." + stream)["state"]["messages"]

    def messages(self, stream="PRESENCE"):
        """All of a stream, in its order, by an ephemeral consumer that pushes them."""
        count, inbox, found = self.count(stream), self.subscribe(), []
        answer = self.ask("CONSUMER.CREATE." + stream, {"stream_name": stream, "config": {
            "deliver_subject": inbox, "ack_policy": "none", "deliver_policy": "all",
            "flow_control": True, "idle_heartbeat": 1000000000}})
        assert "error" not in answer, answer
        deadline = time.monotonic() + DEADLINE
        while len(found) < count:
            assert time.monotonic() < deadline, "%d of %d" % (len(found), count)
            message = self.receive()
            if message.subject == inbox and not message.reply:
                continue  # a heartbeat
            if message.reply and not message.reply.startswith("$JS.ACK."):
                self.send("PUB %s 0" % message.reply, b"")  # flow control
            elif message.subject != inbox or message.reply:
                found.append(message)
        return found
