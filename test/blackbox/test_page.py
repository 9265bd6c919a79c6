"""What the page shows, read by its hooks while real senders' bodies are posted: the venue's clients, floor and
events, and the node's figures and words. What is expected comes from the node's own events, read over its
socket. Under the sanitizers this file and test_page_trouble.py run, the others do not: the page is the same,
and what of the node it uses is used here."""
import json
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from page import *  # noqa: F403

SHIM = os.environ.get("ROLLCALL_TEST_CLOCK_SHIM", "")


class NodeView(SharedPageTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page.show("node")
        cls.page.find(hook("sender-row"))

    def row(self, endpoint):
        return self.page.text(hook("sender-row", '[data-endpoint="%s"]' % endpoint))

    def said(self, endpoint, pattern):
        return self.page.wait_text(hook("sender-row", '[data-endpoint="%s"] [data-test=sender-said]' % endpoint),
                              pattern)

    def test_senders(self):
        for endpoint in ("hive", "cisco", "juniper", "bt", "pn", "lab"):
            self.page.wait_text(hook("sender-row", '[data-endpoint="%s"]' % endpoint), "just now| ago")
        accepted = len([e for e in events(self.node) if e["endpoint"] == "pn"])
        self.assertRegex(self.row("pn"), r"\b%d\b" % accepted)

    def test_duplicates(self):
        before = number(self.page.text(hook("duplicates")))
        body = sample("bt/sample", 1767607918)
        counts = [self.node.post("/bt/unguessable", body).json() for _ in range(3)]
        self.assertEqual(sum(c["duplicates"] for c in counts), 2)
        self.page.until(lambda: number(self.page.text(hook("duplicates"))) == before + 2, "two duplicates")

    def test_rejected(self):
        before = number(self.page.text(hook("rejected")))
        rejected = self.node.post("/hive", sample("aerohive/broken")).json()["rejected"]
        self.assertGreater(rejected, 0)
        self.page.until(lambda: number(self.page.text(hook("rejected"))) == before + rejected, "the rejected")

    def test_unreadable(self):
        before = number(self.page.text(hook("unreadable"))) or 0
        self.assertEqual(self.node.post("/bt/unguessable", b"<html>no json</html>").status, 200)
        self.page.until(lambda: number(self.page.text(hook("unreadable"))) == before + 1, "an unreadable body")
        self.said("bt", "could not be read and was kept as unreadable|could not be read and were kept")

    def test_wrong_secret(self):
        response = post(self.node, "/hive", sample("aerohive/sample"), ("Authorization: Basic wrong",))
        self.assertEqual(response.status, 401)
        self.said("hive", "refused.*[Cc]ompare the secret|refused")
        item = self.page.wait_text(hook("attention-item", "[data-about=hive]"), "refused")
        self.assertRegex(item, r"Compare the secret in the portal")

    def test_figures(self):
        ring = json.loads(get(self.node, "/v1/status").body)["ring"]
        self.assertRegex(self.page.text(hook("ring-fill")), "%")
        self.assertRegex(self.page.text(hook("ring-oldest-age")), r"\d+ (s|min)")
        self.assertGreater(ring["newest_seq"], 0)
        self.assertAlmostEqual(number(self.page.text(hook("certificate-days"))), 3649, delta=1)
        self.assertIsNotNone(number(self.page.text(hook("connections-open"))))

    def test_rate_and_latency(self):
        def posted_and_shown():
            self.assertEqual(self.node.post("/lab", {"n": 1}).status, 200)
            return (number(self.page.text(hook("events-per-second"))) or 0) > 0 \
                and re.search(r"^[\d.]+ (µs|ms|s)$", self.page.text(hook("ack-p99")))
        self.page.until(posted_and_shown, "events a second, and how fast they are acknowledged")

    def test_held_reader(self):
        for method, path, body in (("PUT", "/v1/readers/billing", b""),):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.node.socket)
            peer = Peer(sock)
            peer.send(("%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (method, path, len(body))).encode())
            self.assertIn(peer.response().status, (200, 201))
            peer.close()
        lag = hook("reader-row", "[data-reader=billing] [data-test=reader-lag]")
        first = number(self.page.wait_text(lag, r"\d"))
        for i in range(4):
            self.node.post("/lab", {"lag": i})
        self.page.until(lambda: number(self.page.text(lag)) == first + 4, "a lag of 4 more")


@unittest.skipUnless(SHIM, "no shim under the sanitizers")
class Later(PageTest):
    """What becomes of a node whose senders fall silent: its clock is moved."""

    def test_words(self):
        with tempfile.NamedTemporaryFile() as clock:
            def move_to(seconds):
                clock.seek(0)
                clock.write(struct.pack("=q", seconds))
                clock.flush()
            move_to(0)
            with PageNode(env={"LD_PRELOAD": SHIM, "ROLLCALL_TEST_CLOCK": clock.name}) as node:
                self.assertEqual(node.post("/bt/unguessable", sample("bt/sample")).status, 200)
                page = self.open(node)
                page.show("node")
                row = hook("sender-row", '[data-endpoint="%s"] [data-test=sender-said]')
                page.wait_text(row % "hive", "has never called")
                move_to(3 * 3600 + 60)
                page.wait_text(row % "bt", "bt has been silent for 3 h")
                item = page.wait_text(hook("attention-item", "[data-about=bt]"), "silent for 3 h")
                self.assertRegex(item, "webhook page.*rollcalld --probe")
                move_to(3640 * 86400)
                self.assertRegex(page.wait_text(hook("attention-item", "[data-about=certificate]"), r"\d"),
                                 r"ends in (8|9|10) days")
                move_to(3651 * 86400)
                page.wait_text(hook("attention-item", "[data-about=certificate]"), "has ended")
                move_to(0)


if __name__ == "__main__":
    main()
