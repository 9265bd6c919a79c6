"""rollcall-forward to Kafka, against librdkafka's own mock brokers (test/kafka-mock.c)."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403
from test_forward import Forward, LAB, eventually, forward, readers, wait_committed

MOCK = os.environ.get("ROLLCALL_KAFKA_MOCK", "")


def cpu_s(run):
    with open("/proc/%d/stat" % run.process.pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cluster:
    """Mock brokers with the topic `presence`."""

    def __init__(self, partitions=1):
        self.process = subprocess.Popen([MOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.brokers = self.process.stdout.readline().strip()
        self.do("topic presence %d" % partitions)

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", (line, answer)

    def messages(self):
        """(partition, key, id, kind, body) of all, each partition's in order."""
        self.process.stdin.write("dump presence\n")
        self.process.stdin.flush()
        found = []
        while True:
            line = self.process.stdout.readline()
            assert line, "the brokers ended"
            if line == "end\n":
                return found
            partition, key, id, kind, body = line.rstrip("\n").split(" ", 4)
            found.append((int(partition), key, id[len("id="):], kind[len("kind="):], body))

    def stop(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE)
        self.process.stdout.close()

    @property
    def url(self):
        return "kafka://%s/presence" % self.brokers


class Kafka(unittest.TestCase):
    partitions = 1

    def setUp(self):
        self.cluster = Cluster(self.partitions)
        self.addCleanup(self.cluster.stop)
        self.node = Node(endpoints=ENDPOINTS.split("[endpoint lab]")[0] + LAB)
        self.addCleanup(self.node.stop)

    def start_forward(self, *arguments):
        run = Forward(self.node, "--to", self.cluster.url, "--kafka-config",
                      "reconnect.backoff.max.ms=200", *arguments)
        self.addCleanup(run.stop)
        return run


class Publishing(Kafka):
    partitions = 4

    def test_every_line_with_its_key_and_headers(self):
        post(self.node, "/presence/hq", [{"apMac": "C413E2008040", "ownerId": 1, "observations": [
            {"clientMac": "5CB90164%04X" % (n % 8), "seenTime": "2026-01-05T10:12:%02d.900Z" % n}
            for n in range(40)]}], TOKEN)
        post(self.node, "/presence/lab", {"n": 1})
        self.assertEqual(forward(self.node, "--to", self.cluster.url, "--no-follow"), (0, []))
        lines = get(self.node, "/v1/events?from=oldest&follow=0").body.decode().splitlines()
        found = self.cluster.messages()
        self.assertEqual(sorted(body for *_, body in found), sorted(lines))
        of_key, seqs = {}, {}
        for partition, key, id, kind, body in found:
            event = json.loads(body)
            self.assertEqual((id, kind), (event["id"], event["kind"]))
            self.assertEqual(key, event["client"]["mac"] if "client" in event else "lab")
            of_key.setdefault(key, set()).add(partition)
            self.assertGreater(event["seq"], seqs.get(partition, 0))
            seqs[partition] = event["seq"]
        self.assertEqual({len(partitions) for partitions in of_key.values()}, {1})
        self.assertGreater(len(seqs), 1)
        self.assertEqual([(r["reader"], r["behind"]) for r in readers(self.node)], [("forward", 0)])


class Outages(Kafka):
    def test_refusals_and_brokers_that_go_away(self):
        """The producer tries again by itself; every event is there once and in order."""
        run = self.start_forward()
        n = 0
        for trouble in ("errors 3", "down 1", "down 2", "down 3", "up 1", "up 2", "up 3", "errors 2"):
            self.cluster.do(trouble)
            for _ in range(5):
                post(self.node, "/presence/lab", {"n": n})
                n += 1
        wait_committed(self.node)
        self.assertEqual([json.loads(m[4])["data"]["n"] for m in self.cluster.messages()],
                         list(range(n)))
        self.assertEqual(run.stop(), 0)

    def test_killed_and_begun_again(self):
        """Nothing is missing; what comes twice has the same id."""
        n = 0
        for _ in range(4):
            run = self.start_forward()
            for _ in range(20):
                post(self.node, "/presence/lab", {"n": n})
                n += 1
            run.stop(signal.SIGKILL)
        run = self.start_forward()
        wait_committed(self.node)
        once = {id: json.loads(body)["data"]["n"] for _, _, id, _, body in self.cluster.messages()}
        self.assertEqual(sorted(once.values()), list(range(n)))

    def test_all_brokers_away_are_said_and_waited_for(self):
        run = self.start_forward()
        post(self.node, "/presence/lab", {"n": 0})
        wait_committed(self.node)
        for broker in (1, 2, 3):
            self.cluster.do("down %d" % broker)
        post(self.node, "/presence/lab", {"n": 1})
        run.wait_said("waiting for one")
        self.assertEqual([r["behind"] for r in readers(self.node)], [1])
        # However long: it waits, and does not turn round and round.
        begun = time.monotonic()
        eventually(lambda: time.monotonic() > begun + 6, "time stands still")
        used = cpu_s(run)
        eventually(lambda: time.monotonic() > begun + 7, "time stands still")
        self.assertLess(cpu_s(run) - used, 0.5)
        for broker in (1, 2, 3):
            self.cluster.do("up %d" % broker)
        wait_committed(self.node)
        self.assertEqual(len(self.cluster.messages()), 2)

    def test_no_broker_at_the_start(self):
        run = Forward(self.node, "--to", "kafka://127.0.0.1:1/presence")
        self.addCleanup(run.stop)
        run.wait_said("no broker answers")
        self.assertEqual(run.stop(), 0)


class Settings(Kafka):
    def test_settings(self):
        post(self.node, "/presence/lab", {"n": 1})
        with tempfile.NamedTemporaryFile("w", suffix=".properties") as file:
            file.write("# compression\n\ncompression.type = gzip \nsasl.password = not=shown\n")
            file.flush()
            status, said = forward(self.node, "--to", self.cluster.url, "--no-follow",
                                   "--kafka-properties", file.name, "--kafka-config", "linger.ms=1")
            self.assertEqual((status, said), (0, []))
            file.write("compression.type=strange\n")
            file.flush()
            status, said = forward(self.node, "--to", self.cluster.url, "--kafka-properties",
                                   file.name)
            self.assertEqual(status, 2)
            self.assertIn("%s:5: Kafka setting compression.type: " % file.name, said[0])
        self.assertEqual(len(self.cluster.messages()), 1)

    def test_mistakes(self):
        for setting in ("acks=1", "enable.idempotence=false", "bootstrap.servers=x", "no.such=1",
                        "transactional.id=x", "linger.ms=soon"):
            status, said = forward(self.node, "--to", self.cluster.url, "--kafka-config", setting)
            self.assertEqual((status, len(said)), (2, 1), (setting, said))
            self.assertIn("Kafka setting " + setting.split("=")[0], said[0])
        for arguments in (("--kafka-config", "x"), ("--kafka-properties", "/nowhere"),
                          ["--kafka-config", "a=b"] * 65):
            status, said = forward(self.node, "--to", self.cluster.url, *arguments)
            self.assertEqual((status, len(said)), (2, 1), said)

    def test_what_is_too_large_is_a_gap(self):
        for n, size in enumerate((10, 5000, 10)):
            post(self.node, "/presence/lab", {"n": n, "fill": "x" * size})
        status, said = forward(self.node, "--to", self.cluster.url, "--no-follow", "--kafka-config",
                               "message.max.bytes=2000")
        self.assertEqual(status, 0, said)
        found = self.cluster.messages()
        self.assertEqual([kind for _, _, _, kind, _ in found], ["document", "gap", "document"])
        self.assertEqual(json.loads(found[1][4])["gap"]["reason"], "too-large")


if __name__ == "__main__":
    if not FORWARD or not MOCK:
        sys.exit(77)
    unittest.main()
