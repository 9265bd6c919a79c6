"""What Prometheus' own tool says of /metrics and of the alert rules. Skipped where it is not installed
(Debian: prometheus); test_metrics.py checks the same format by itself, always."""
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

SKIPPED = 77  # an exit status that meson knows
RULES = "packaging/prometheus/rollcall.rules.yml"


class Promtool(unittest.TestCase):
    def promtool(self, *args, text=None):
        done = subprocess.run(["promtool", *args], input=text, capture_output=True, timeout=DEADLINE * 2)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())
        return done.stdout + done.stderr

    def test_metrics(self):
        longest = "Z9._-" * 12 + "abcd"  # as odd as an endpoint's name may be
        self.assertEqual(len(longest), 64)
        endpoints = "[endpoint %s]\npath = /m\nprovider = mist\nauth = none\n" % longest
        with Node(endpoints=ENDPOINTS + endpoints) as node:
            self.assertEqual(self.promtool("check", "metrics", text=get(node, "/metrics").body), b"")
            for topic in ('quo"ted', "back\\slash", "line\nfeed", "\u00e9\u4e2d\U0001f600", "{}=,", "\x7f", "other",
                          "l" * 65, "NaN", ""):
                post(node, "/m", {"topic": topic, "events": [{"n": 1}]})
            post(node, "/presence/lab", {})
            post(node, "/presence/hq", [])
            with socket.create_connection(("127.0.0.1", node.port), DEADLINE) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while sock.recv(100):
                    pass
            self.assertEqual(self.promtool("check", "metrics", text=get(node, "/metrics").body), b"")

    def test_rules(self):
        self.promtool("check", "rules", RULES)
        self.promtool("test", "rules", "test/data/prometheus/rollcall.rules.test.yml")

    def test_the_dashboard_asks_in_promql(self):
        with open("packaging/grafana/rollcall.json") as text:
            dashboard = json.load(text)
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as rules:
            rules.write("groups:\n- name: dashboard\n  rules:\n")
            for panel in dashboard["panels"]:
                for n, target in enumerate(panel.get("targets", ())):
                    expr = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
                    rules.write("  - record: panel_%d_%d\n    expr: %s\n" % (panel["id"], n, json.dumps(expr)))
            rules.flush()
            self.assertIn(b"SUCCESS", self.promtool("check", "rules", rules.name))


if __name__ == "__main__":
    if not shutil.which("promtool"):
        print("promtool is not installed")
        sys.exit(SKIPPED)
    unittest.main()
