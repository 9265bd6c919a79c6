"""rollcall-forward against a real nats-server: what a node acknowledged is in the stream, once and in
order, whoever goes away."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nats
from node import *  # noqa: F403

KILLS = int(os.environ.get("ROLLCALL_TEST_FORWARD_KILLS", "3"))  # of each part

LAB = """
[endpoint lab]
path = /presence/lab
provider = json
auth = none
identity = body

[endpoint a.b]
path = /presence/ab
provider = json
auth = none
identity = body
"""


def has_nats():
    """Whether this build forwards to NATS."""
    with tempfile.NamedTemporaryFile() as none:
        text = subprocess.run([FORWARD, "--to", "nats://127.0.0.1:1", "--credentials", none.name],
                              capture_output=True, text=True).stderr
    return "built without NATS" not in text


def readers(node):
    return get(node, "/v1/readers").json()["readers"]


class Forward:
    """A rollcall-forward; `said` is all that it wrote to stderr so far."""

    def __init__(self, node, *arguments):
        self.process = subprocess.Popen([FORWARD, "--socket", node.socket, *arguments],
                                        stderr=subprocess.PIPE, text=True)
        self.said, self.changed = [], threading.Condition()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.said.append(line.rstrip("\n"))
                self.changed.notify_all()

    def wait_said(self, part):
        with self.changed:
            assert self.changed.wait_for(lambda: any(part in line for line in self.said), DEADLINE), \
                "no %r in %s" % (part, self.said)

    def wait(self):
        status = self.process.wait(DEADLINE)
        self.thread.join(DEADLINE)
        self.process.stderr.close()
        return status

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()


def forward(node, *arguments):
    """One that ends by itself: its status and what it said."""
    run = Forward(node, *arguments)
    return run.wait(), run.said


def eventually(what, why):
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.02)


def wait_committed(node, name="forward"):
    """Until the reader has committed all that there is."""
    def there():
        return any(r["reader"] == name and r["behind"] == 0 for r in readers(node))
    eventually(there, "not committed: %s" % readers(node))


@unittest.skipUnless(nats.SERVER, "nats-server is not installed")
class WithServer(unittest.TestCase):
    server_options = ""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.server = nats.Server(self.directory, self.server_options)
        self.addCleanup(lambda: self.server.stop())

    def start_node(self, *arguments, **options):
        node = Node(*arguments, **{"endpoints": LAB, **options})
        self.addCleanup(node.stop)
        return node

    def start_forward(self, node, *arguments):
        run = Forward(node, "--to", self.server.url, *arguments)
        self.addCleanup(run.stop)
        return run

    def messages(self):
        with nats.Client(self.server) as client:
            return client.messages()


class Publishing(WithServer):
    def test_every_line_once_with_its_id_and_subject(self):
        node = self.start_node(endpoints=ENDPOINTS + LAB.split("[endpoint a.b]")[1].join(
            ["[endpoint a.b]", ""]))
        metrics = os.path.join(self.directory, "forward.prom")
        post(node, "/presence/hq", [{"apMac": "C413E2008040", "ownerId": 1, "observations": [
            {"clientMac": "5CB90164%04X" % n, "seenTime": "2026-01-05T10:12:12.900Z"}
            for n in range(50)]}], TOKEN)
        for n in range(20):
            post(node, "/presence/ab", {"n": n})
        arguments = ("--to", self.server.url, "--create", "--no-follow", "--metrics-file", metrics)
        self.assertEqual(forward(node, *arguments), (0, []))
        lines = get(node, "/v1/events?from=oldest&follow=0").body.splitlines()
        found = self.messages()
        self.assertEqual([m.body for m in found], lines)
        for message in found:
            event = json.loads(message.body)
            self.assertEqual(message.headers, {"Nats-Msg-Id": event["id"]})
            self.assertEqual(message.subject, "presence.%s.%s" % (
                event["endpoint"].replace(".", "_"), event["kind"]))
        self.assertEqual([(r["reader"], r["behind"]) for r in readers(node)], [("forward", 0)])
        with open(metrics) as text:
            values = dict(re.findall(r"^rollcall_forward_(\w+){[^}]*} (\S+)$", text.read(), re.M))
        self.assertEqual((values["acknowledged_total"], values["duplicates_total"]), ("70", "0"))
        self.assertEqual((values["in_flight"], values["gaps_total"]), ("0", "0"))
        # Again: there is nothing new.
        post(node, "/presence/ab", {"n": 20})
        self.assertEqual(forward(node, *arguments), (0, []))
        self.assertEqual(len(self.messages()), 71)
        # Another reader publishes all of it again, and JetStream knows each.
        self.assertEqual(forward(node, *arguments, "--reader", "second"), (0, []))
        with open(metrics) as text:
            self.assertIn('duplicates_total{reader="second",sink="NATS"} 71', text.read())
        self.assertEqual(len(self.messages()), 71)

    def test_windows_of_any_size(self):
        node = self.start_node()
        for n in range(100):
            post(node, "/presence/lab", {"n": n})
        for size in ("1", "2", "65536"):
            self.assertEqual(forward(node, "--to", self.server.url, "--create", "--no-follow",
                                     "--window", size, "--reader", "r" + size), (0, []))
        self.assertEqual([json.loads(m.body)["data"]["n"] for m in self.messages()],
                         list(range(100)))

    def test_it_follows_and_ends_at_a_signal(self):
        node = self.start_node()
        run = self.start_forward(node, "--create", "--stats")
        for n in range(10):
            post(node, "/presence/lab", {"n": n})
        wait_committed(node)
        self.assertEqual(len(self.messages()), 10)
        self.assertEqual(run.stop(), 0)
        self.assertRegex(run.said[-1], r"10 events in \S+ s")

    def test_one_tls_library(self):
        """NATS' and Kafka's libraries bring OpenSSL, whose names are BoringSSL's too: never both."""
        node = self.start_node()
        run = self.start_forward(node, "--create")
        eventually(lambda: readers(node), "no reader was made")
        with open("/proc/%d/maps" % run.process.pid) as maps:
            libraries = {os.path.basename(line.split()[-1]) for line in maps if ".so" in line}
        ssl_of = {name for name in libraries if re.match(r"lib(ssl|crypto)", name)}
        self.assertEqual(len(ssl_of), 2, libraries)

    def test_marked_repeats_are_one(self):
        node = self.start_node(rest="[dedupe]\nmode = mark\n")
        for _ in range(3):
            post(node, "/presence/lab", {"n": 1})
        self.assertEqual([e.get("duplicate") for e in events(node)], [None, True, True])
        self.assertEqual(forward(node, "--to", self.server.url, "--create", "--no-follow"), (0, []))
        self.assertEqual([json.loads(m.body)["seq"] for m in self.messages()], [1])

    def test_from_now(self):
        node = self.start_node()
        post(node, "/presence/lab", {"n": 1})
        arguments = ("--to", self.server.url, "--create", "--no-follow", "--from", "now")
        self.assertEqual(forward(node, *arguments), (0, []))
        post(node, "/presence/lab", {"n": 2})
        self.assertEqual(forward(node, *arguments), (0, []))
        self.assertEqual([json.loads(m.body)["data"]["n"] for m in self.messages()], [2])


class TooLarge(WithServer):
    server_options = "max_payload: 4096"

    def test_what_is_too_large_is_a_gap_and_holds_nothing_up(self):
        node = self.start_node()
        for n, size in enumerate((10, 5000, 10, 3000)):
            post(node, "/presence/lab", {"n": n, "fill": "x" * size})
        status, said = forward(node, "--to", self.server.url, "--create", "--no-follow")
        self.assertEqual(status, 0, said)
        self.assertIn("which NATS does not take", said[0])
        found = [(m.subject, json.loads(m.body)) for m in self.messages()]
        ring = get(node, "/v1/events?follow=0").headers["rollcall-ring"]
        self.assertEqual(found[1], ("presence.gap", {"gap": {
            "after": ring + "-1", "next": ring + "-3", "lost": 1, "reason": "too-large"}}))
        self.assertEqual([v["data"]["n"] for _, v in found[:1] + found[2:]], [0, 2, 3])
        wait_committed(node)


class Gaps(WithServer):
    def test_a_new_ring_is_a_gap_in_the_stream(self):
        node = self.start_node()
        run = self.start_forward(node, "--create")
        post(node, "/presence/lab", {"n": 1})
        wait_committed(node)
        before = readers(node)[0]["after"]
        node.stop(signal.SIGKILL)
        run.wait_said("waiting for the node")
        again = self.start_node(directory=node.directory)
        post(again, "/presence/lab", {"n": 2})
        run.wait_said("the node is back")
        wait_committed(again)
        run.wait_said("gap: an unknown number of events lost (restart)")
        found = self.messages()
        self.assertEqual([m.subject for m in found],
                         ["presence.lab.document", "presence.gap", "presence.lab.document"])
        gap = json.loads(found[1].body)["gap"]
        self.assertEqual((gap["after"], gap["lost"], gap["reason"]), (before, None, "restart"))
        self.assertEqual(found[1].headers["Nats-Msg-Id"],
                         "gap-%s-%s" % (gap["after"], gap["next"]))


class Outages(WithServer):
    def test_the_server_goes_away_and_comes_back(self):
        node = self.start_node()
        run = self.start_forward(node, "--create")
        post(node, "/presence/lab", {"n": 0})
        wait_committed(node)
        for n in range(1, 4):
            self.server.stop(signal.SIGKILL if n % 2 else signal.SIGTERM)
            post(node, "/presence/lab", {"n": n})
            run.wait_said("waiting for it")
            self.server.start()
            wait_committed(node)
        self.assertEqual([json.loads(m.body)["data"]["n"] for m in self.messages()], [0, 1, 2, 3])
        self.assertIsNone(run.process.poll())
        run.wait_said("NATS is back")

    def test_it_waits_for_both_from_the_start(self):
        self.server.stop()
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory, True)
        absent = type("Absent", (), {"socket": os.path.join(directory, "events.sock")})
        run = self.start_forward(absent, "--create")
        run.wait_said("waiting for it")
        self.server.start()
        run.wait_said("waiting for the node")
        node = self.start_node(directory=directory)
        post(node, "/presence/lab", {"n": 1})
        wait_committed(node)
        self.assertEqual(len(self.messages()), 1)

    def test_a_stopped_server_is_waited_for(self):
        """One that is there and says nothing: its connection is given up, and nothing is lost."""
        node = self.start_node()
        run = self.start_forward(node, "--create")
        post(node, "/presence/lab", {"n": 0})
        wait_committed(node)
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            post(node, "/presence/lab", {"n": 1})
            run.wait_said("no acknowledgement for 5 s")
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        wait_committed(node)
        self.assertEqual([json.loads(m.body)["data"]["n"] for m in self.messages()], [0, 1])

    def test_old_events_are_warned_of(self):
        node = self.start_node()
        arguments = ("--to", self.server.url, "--create", "--duplicates", "1s", "--no-follow")
        self.assertEqual(forward(node, *arguments), (0, []))
        post(node, "/presence/lab", {"n": 0})
        received = time.monotonic()
        eventually(lambda: time.monotonic() > received + 1.5, "time stands still")
        status, said = forward(node, *arguments)
        self.assertEqual(status, 0, said)
        self.assertIn("may be there twice", said[0])
        # Nothing of a reader that is new was there before.
        self.assertEqual(forward(node, *arguments, "--reader", "new"), (0, []))


class Security(WithServer):
    def test_credentials(self):
        self.server.stop()
        secret = os.path.join(self.directory, "secret")
        node = self.start_node()
        post(node, "/presence/lab", {"n": 0})
        for option, good, bad in (("authorization { user: u, password: p }", "u:p\n", "u:q\n"),
                                  ("authorization { token: tok }", "tok", "tik")):
            directory = tempfile.mkdtemp(prefix="rollcall-")
            self.addCleanup(shutil.rmtree, directory, True)
            server = nats.Server(directory, option)
            self.addCleanup(server.stop)
            arguments = ("--to", server.url, "--create", "--no-follow", "--reader", "x",
                         "--credentials", secret)
            for text, wanted in ((bad, 1), (good, 0)):
                with open(secret, "w") as out:
                    out.write(text)
                status, said = forward(node, *arguments)
                self.assertEqual(status, wanted, said)
                if wanted:
                    self.assertIn("NATS: connect:", said[0])
                    self.assertNotIn(text.strip(), said[0])

    def test_tls(self):
        self.server.stop()
        node = self.start_node()
        post(node, "/presence/lab", {"n": 0})
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory, True)
        server = nats.Server(directory, 'tls { cert_file: "%s", key_file: "%s" }' % (CERT, KEY))
        self.addCleanup(server.stop)
        url = "tls://localhost:%d" % server.port
        status, said = forward(node, "--to", url, "--create", "--no-follow", "--ca", CERT)
        self.assertEqual((status, said), (0, []))
        self.assertEqual([r["behind"] for r in readers(node)], [0])
        status, said = forward(node, "--to", url, "--create", "--no-follow", "--reader", "other")
        self.assertEqual(status, 1, said)
        self.assertIn("NATS: connect:", said[0])


class Mistakes(WithServer):
    def test_usage(self):
        node = type("Absent", (), {"socket": "/nowhere"})
        long = "x" * 65
        for arguments in ((), ("--to", "http://x"), ("--to", "nats://"), ("--to", "nats://a,b"),
                          ("--to", "nats://a", "--window", "0"),
                          ("--to", "nats://a", "--window", "65537"),
                          ("--to", "nats://a", "--subject-prefix", "a..b"),
                          ("--to", "nats://a", "--subject-prefix", long),
                          ("--to", "nats://a", "--stream", "a.b"), ("--to", "nats://a", "--reader", "a/b"),
                          ("--to", "nats://a", "--duplicates", "10"), ("--to", "nats://a", "more"),
                          ("--to", "nats://a", "--from", "then"), ("--to", "nats://a", "--nonsense"),
                          ("--to", "nats://a", "--certificate", CERT),
                          ("--to", "nats://a", "--kafka-config", "a=b"),
                          ("--to", "nats://a", "--ca", "/nowhere"),
                          ("--to", "nats://a", "--credentials", "/nowhere"),
                          ("--to", "kafka://a"), ("--to", "kafka:///t"), ("--to", "kafka://a/t/u"),
                          ("--to", "kafka://a/t", "--create"),
                          ("--to", ",".join(["nats://a"] * 17))):
            status, said = forward(node, *arguments)
            self.assertEqual(status, 2, (arguments, said))
            self.assertTrue(said and said[0].startswith((FORWARD, "rollcall-forward: ")), said)

    def test_help_and_version(self):
        for option in ("--help", "--version"):
            run = subprocess.run([FORWARD, option], capture_output=True, text=True)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertIn("rollcall-forward", run.stdout)

    def test_a_stream_that_is_not_there(self):
        node = self.start_node()
        status, said = forward(node, "--to", self.server.url)
        self.assertEqual((status, said), (1, [
            "rollcall-forward: NATS: there is no stream PRESENCE; make it, or say --create"]))

    def test_a_subject_that_another_stream_takes(self):
        node = self.start_node()
        post(node, "/presence/lab", {"n": 0})
        with nats.Client(self.server) as client:
            for name, subject in (("OTHER", "presence.>"), ("PRESENCE", "else.>")):
                client.ask("STREAM.CREATE." + name, {"name": name, "subjects": [subject]})
        run = self.start_forward(node)
        run.wait_said("another stream takes the subject")
        self.assertEqual([r["behind"] for r in readers(node)], [1])
        self.assertEqual(run.stop(), 0)

    def test_no_jetstream(self):
        self.server.stop()
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory, True)
        server = nats.Server(directory, jetstream=False)
        self.addCleanup(server.stop)
        node = self.start_node()
        run = Forward(node, "--to", server.url, "--create")
        self.addCleanup(run.stop)
        run.wait_said("NATS: PRESENCE:")


class Load:
    """Posts {"n": k} to an endpoint, k = 0, 1, 2, ..., one batch in flight; each batch again until all
    of it is answered. `count`: so many are acknowledged."""

    BATCH = 16

    def __init__(self, get_port, path):
        self.get_port, self.path, self.count = get_port, path, 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        peer = None
        while not self.done.is_set():
            try:
                peer = peer or Peer(tls(self.get_port()))
                peer.sock.settimeout(DEADLINE)
                peer.send(b"".join(
                    post_bytes(self.path, json.dumps({"n": n, "fill": "x" * 200}).encode())
                    for n in range(self.count, self.count + self.BATCH)))
                answers = [peer.response().status for _ in range(self.BATCH)]
            except (OSError, EOFError):
                if peer:
                    peer.close()
                peer = None
                self.done.wait(0.02)
                continue
            # What stands in front of the first refusal is acknowledged.
            good = answers.index(503) if 503 in answers else self.BATCH
            assert set(answers) <= {200, 503}, answers
            self.count += good
            if good < self.BATCH:
                self.done.wait(0.05)
        if peer:
            peer.close()

    def stop(self):
        self.done.set()
        self.thread.join(DEADLINE)


class Kills(WithServer):
    def restart_node(self):
        if self.node:
            self.node.stop(signal.SIGKILL)
        self.node = Node(server="drain_timeout = 1s", endpoints=LAB, directory=self.directory,
                         rest="[ring]\nsize = 4M\nfile = %s/ring\n" % self.directory)

    def restart_forward(self):
        if self.run_:
            self.run_.stop(signal.SIGKILL)
        self.run_ = Forward(self.node, "--to", self.server.url, "--create")

    def restart_server(self):
        self.server.stop(signal.SIGKILL)
        self.server.start()

    def test_every_acknowledged_event_once_and_in_order(self):
        seed = int(os.environ.get("ROLLCALL_TEST_SEED", "1"))
        chance = random.Random(seed)
        self.node = self.run_ = None
        self.restart_node()
        self.addCleanup(lambda: self.node.stop())
        self.restart_forward()
        self.addCleanup(lambda: self.run_.stop(signal.SIGKILL))
        loads = [Load(lambda: self.node.port, path) for path in ("/presence/lab", "/presence/ab")]
        victims = [self.restart_node, self.restart_forward, self.restart_server] * KILLS
        chance.shuffle(victims)
        try:
            for kill in victims:
                time.sleep(chance.uniform(0.02, 0.4))  # the moment is what is tried
                kill()
        finally:
            for load in loads:
                load.stop()
        wait_committed(self.node)
        found = {"lab": [], "a.b": []}
        ids, gaps = [], []
        for message in self.messages():
            event = json.loads(message.body)
            if "gap" in event:
                gaps.append(event)
                continue
            ids.append(message.headers["Nats-Msg-Id"])
            self.assertEqual(ids[-1], event["id"])
            found[event["endpoint"]].append(event["data"]["n"])
        self.assertEqual(gaps, [], "seed %d" % seed)
        self.assertEqual(len(ids), len(set(ids)), "seed %d" % seed)
        for load, name in zip(loads, ("lab", "a.b")):
            # What was not acknowledged at the end may be there too.
            self.assertEqual(found[name], list(range(len(found[name]))), "%s, seed %d" % (name, seed))
            self.assertLessEqual(load.count, len(found[name]), "seed %d" % seed)
            self.assertGreater(load.count, 0)
        if KILLS > 4:
            print("%d kills; %d acknowledged, %d in the stream" % (
                len(victims), sum(load.count for load in loads), len(ids)), file=sys.stderr)


class Nodes(WithServer):
    def test_two_nodes_on_one_port(self):
        """reuse_port: each has its own ring; what a sender sends to both is once in the stream."""
        port = nats.free_port()
        both = [Node(server="listen = 127.0.0.1:%d\nreuse_port = yes" % port, endpoints=LAB)
                for _ in range(2)]
        for node in both:
            self.addCleanup(node.stop)
            self.start_forward(node, "--create")
        shared = type("Shared", (), {"port": port})
        for node in both:  # what each listens on alone
            ports = [int(line.rsplit(":", 1)[1]) for line in node.log
                     if line and "msg=listening" in line]
            node.port = next(p for p in ports if p != port)
        n = 0
        while n < 64 or not all(events(node) for node in both):
            self.assertEqual(post(shared, "/presence/lab", {"n": n}).status, 200)
            n += 1
            self.assertLess(n, 1000)
        for node in both:
            self.assertEqual(post(node, "/presence/lab", {"n": "both"}).status, 200)
            wait_committed(node)
        found = [json.loads(m.body)["data"]["n"] for m in self.messages()]
        self.assertEqual(sorted(map(str, found)), sorted([str(i) for i in range(n)] + ["both"]))


if __name__ == "__main__":
    if not FORWARD or not nats.SERVER or not has_nats():
        sys.exit(77)
    unittest.main()
