"""Several nodes as on several machines: each in a network namespace of its own, behind haproxy as a TCP
balancer, each forwarded to one stream. Needs root, haproxy, ip and nats-server; skipped elsewhere."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nats
from node import *  # noqa: F403
from test_forward import Forward, LAB, Load, eventually, events, has_nats, wait_committed

NODES = 2
HAPROXY = """
global
    maxconn 1000
defaults
    mode tcp
    timeout connect 500ms
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch
frontend presence
    bind 127.0.0.1:%d
    default_backend nodes
backend nodes
    balance roundrobin
%s
"""


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)


class Machine:
    """A network namespace with one link to this one; addresses of a range that is for such tests
    (RFC 2544)."""

    def __init__(self, number):
        self.name = "rollcall-%d-%d" % (os.getpid(), number)
        self.address = "198.18.%d.2" % (100 + number)
        here, there = "rc%dh%d" % (os.getpid(), number), "rc%dn%d" % (os.getpid(), number)
        for line in ("netns add " + self.name,
                     "link add %s type veth peer name %s netns %s" % (here, there, self.name),
                     "addr add 198.18.%d.1/30 dev %s" % (100 + number, here),
                     "link set %s up" % here,
                     "-n %s addr add %s/30 dev %s" % (self.name, self.address, there),
                     "-n %s link set %s up" % (self.name, there),
                     "-n %s link set lo up" % self.name):
            done = ip(*line.split())
            if done.returncode:
                self.remove()
                raise unittest.SkipTest("ip %s: %s" % (line, done.stderr.strip()))

    def remove(self):
        ip("netns", "del", self.name)  # its link goes with it


class Machines(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.server = nats.Server(self.directory)
        self.addCleanup(self.server.stop)
        self.machines, self.nodes, self.forwards = [], [], []
        for number in range(NODES):
            self.machines.append(Machine(number))
            self.addCleanup(self.machines[number].remove)
            os.mkdir(os.path.join(self.directory, str(number)))
            self.nodes.append(self.start_node(number))
            self.forwards.append(self.start_forward(number))
        self.addCleanup(lambda: [node.stop() for node in self.nodes])
        self.addCleanup(lambda: [run.stop() for run in self.forwards])
        self.start_balancer()

    def start_node(self, number):
        machine, directory = self.machines[number], os.path.join(self.directory, str(number))
        return Node(server="listen = %s:8443" % machine.address, endpoints=LAB, directory=directory,
                    rest="[ring]\nsize = 4M\nfile = %s/ring\n" % directory,
                    under=("ip", "netns", "exec", machine.name))

    def start_forward(self, number):
        return Forward(self.nodes[number], "--to", self.server.url, "--create")

    def start_balancer(self):
        self.port = nats.free_port()
        path = os.path.join(self.directory, "haproxy.cfg")
        with open(path, "w") as out:
            out.write(HAPROXY % (self.port, "\n".join(
                "    server n%d %s:8443 check inter 200ms" % (i, machine.address)
                for i, machine in enumerate(self.machines))))
        balancer = subprocess.Popen(["haproxy", "-db", "-q", "-f", path],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(balancer.wait)
        self.addCleanup(balancer.kill)

        def answers():
            try:
                return post(self, "/presence/lab", {"n": "first"}).status == 200
            except (OSError, EOFError):
                return False
        eventually(answers, "the balancer does not answer")

    def found(self):
        """The documents in the stream, all by their n."""
        with nats.Client(self.server) as client:
            messages = client.messages()
        ids = [m.headers["Nats-Msg-Id"] for m in messages]
        self.assertEqual(len(ids), len(set(ids)))
        return [json.loads(m.body)["data"]["n"] for m in messages]

    def test_what_goes_to_both_is_there_once(self):
        """A sender that got no answer comes again, and the balancer gives it another node."""
        for n in range(20):
            for _ in self.nodes:
                self.assertEqual(post(self, "/presence/lab", {"n": n}).json()["accepted"], 1)
        for node in self.nodes:
            wait_committed(node)
            self.assertGreaterEqual(len(events(node)), 20)
        self.assertEqual([n for n in self.found() if n != "first"], list(range(20)))

    def test_a_killed_node_loses_nothing_that_was_acknowledged(self):
        loads = [Load(lambda: self.port, path) for path in ("/presence/lab", "/presence/ab")]
        for number in range(NODES):
            before = [load.count for load in loads]
            eventually(lambda: all(load.count > count + 200 for load, count in zip(loads, before)),
                       "no load")
            self.nodes[number].stop(signal.SIGKILL)
            before = [load.count for load in loads]
            eventually(lambda: all(load.count > count + 200 for load, count in zip(loads, before)),
                       "the other node does not take over")
            self.nodes[number] = self.start_node(number)  # with its ring file
        for load in loads:
            load.stop()
        for node in self.nodes:
            wait_committed(node)
        counts = {}
        for n in self.found():
            counts[n] = counts.get(n, 0) + 1
        del counts["first"]
        most = max(load.count for load in loads)
        self.assertEqual([n for n in range(most) if n not in counts], [])
        for n in range(min(load.count for load in loads)):
            self.assertEqual(counts[n], 2, n)  # once for each endpoint


if __name__ == "__main__":
    if (not FORWARD or not nats.SERVER or not shutil.which("haproxy") or not shutil.which("ip")
            or os.geteuid() != 0 or not has_nats()):
        sys.exit(77)
    unittest.main()
