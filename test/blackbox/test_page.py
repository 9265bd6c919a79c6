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


def hive(*observations):
    """What an access point of Aerohive has seen: (mac, x, y)."""
    return {"apMac": "4a5b6c7d8e90", "apName": "Quay north", "ownerId": 7, "observations": [
        {"clientMac": mac, "seenEpoch": int(time.time() * 1000), "ssid": "quay", "rssi": -55, "x": x, "y": y, "unc": 3}
        for mac, x, y in observations]}


def pubnub(action, uuid, channel="gangway"):
    return {"action": action, "channel": channel, "uuid": uuid, "sub_key": "sub-c-1", "timestamp": int(time.time())}


class VenueView(SharedPageTest):
    def figures(self):
        return [number(self.page.text(hook(name)))
                for name in ("present-known", "present-randomized", "arrivals", "departures")]

    def wait_more(self, before, more):
        """Waits until the figures are `more` than `before`; None: that one may be anything."""
        def there():
            now = self.figures()
            return all(m is None or n == b + m for n, b, m in zip(now, before, more))
        self.page.until(there, "%s more than %s, it is %s" % (more, before, self.figures()))

    def settled(self):
        """The figures, when all that was posted has come."""
        self.page.wait_line(events(self.node)[-1]["seq"])
        self.page.wait_drawn()
        return self.figures()

    def test_present_and_randomised_apart(self):
        before = self.settled()
        self.node.post("/hive", hive(("3c2ef9aa0001", 4, 4), ("3c2ef9aa0002", 9, 4), ("3c2ef9aa0003", 4, 9),
                                     ("da2ef9aa0001", 2, 2), ("da2ef9aa0002", 3, 3)))
        self.wait_more(before, (3, 2, 5, 0))
        # The same again are the same.
        self.node.post("/hive", hive(("3c2ef9aa0001", 5, 4), ("da2ef9aa0002", 3, 4)))
        self.assertEqual(self.settled(), self.figures())
        self.wait_more(before, (3, 2, 5, 0))

    def test_arrivals_and_departures(self):
        before = self.settled()
        self.node.post("/pn/unguessable", [pubnub("join", "badge-1"), pubnub("join", "badge-2")])
        self.wait_more(before, (2, 0, 2, 0))
        self.node.post("/pn/unguessable", pubnub("leave", "badge-1"))
        self.wait_more(before, (1, 0, 2, 1))

    def group(self, sort, pattern):
        """The cells of the group whose row has `pattern`."""
        self.page.click(hook("group-sort", '[data-sort="%s"]' % sort))
        def row():
            found = [text for text in self.page.texts(hook("group-row")) if re.search(pattern, text)]
            return found and found[0]
        return self.page.until(row, "a %s with %s; there are %s" % (sort, pattern, self.page.texts(hook("group-row"))))

    def test_groups(self):
        lines = events(self.node)
        for endpoint in {line["endpoint"] for line in lines} - {"lab"}:
            self.group("endpoint", r"\b%s\b" % endpoint)
        self.node.post("/hive", hive(("3c2ef9bb0001", 4, 4), ("da2ef9bb0001", 2, 2)))
        self.group("ap", r"4a:5b:6c:7d:8e:90|Quay north")
        self.group("ap", "Lobby 1")
        self.group("venue", "Tower Pier")
        self.group("channel", "harbour")

    def test_floor(self):
        self.node.post("/hive", hive(("3c2ef9cc0001", 2, 3), ("3c2ef9cc0002", 40, 3), ("da2ef9cc0003", 2, 30)))
        self.page.find(hook("floor-place"))
        self.page.until(lambda: self.page.run("""
            const select = document.querySelector("[data-test=floor-place]");
            const wanted = [...select.options].find((o) => /4a:5b:6c:7d:8e:90|Quay north/.test(o.textContent));
            if (!wanted) return false;
            if (select.value !== wanted.value) {
                select.value = wanted.value;
                select.dispatchEvent(new Event("input", {bubbles: true}));
                select.dispatchEvent(new Event("change", {bubbles: true}));
            }
            return true"""), "the access point's floor")
        def places():
            return self.page.run("""
                return Object.fromEntries([...document.querySelectorAll("[data-test=floor-client]")].map((e) => {
                    const box = e.getBoundingClientRect();
                    return [e.dataset.mac, [(box.left + box.right) / 2, (box.top + box.bottom) / 2, e.dataset.kind]];
                }))""")
        west, east, south = "3c:2e:f9:cc:00:01", "3c:2e:f9:cc:00:02", "da:2e:f9:cc:00:03"
        self.page.until(lambda: {west, east, south} <= set(places()), "three clients")
        at = self.page.until(lambda: (lambda p: p[east][0] - p[west][0] > 20 and p)(places()), "them apart")
        self.assertAlmostEqual(at[west][0], at[south][0], delta=3)
        self.assertGreater(abs(at[south][1] - at[west][1]), 20)
        self.assertEqual((at[west][2], at[south][2]), ("known", "randomized"))
        # Who walks is drawn elsewhere.
        self.node.post("/hive", hive(("3c2ef9cc0001", 39, 3)))
        self.page.until(lambda: places()[west][0] > (at[west][0] + at[east][0]) / 2, "the step to the east")

    def line_of(self, **wanted):
        """The seq of the last event with these members."""
        found = [e for e in events(self.node) if all(e.get(k) == v for k, v in wanted.items())]
        self.page.wait_line(found[-1]["seq"])
        return found[-1]

    def test_lines_in_words(self):
        for wanted, pattern in (({"kind": "login"}, "Ada|ada@harbour"), ({"endpoint": "cisco", "kind": "seen"}, "3c:2e:f9|da:a1"),
                                ({"kind": "zone-enter"}, "56:84:da:e9:ac:8b"), ({"kind": "timeout"}, "u-2")):
            event = self.line_of(**wanted)
            text = self.page.text(hook("event-line", '[data-seq="%d"]' % event["seq"]))
            self.assertRegex(text, pattern)
            self.assertNotRegex(text, r"[{}]|undefined|null|NaN")

    def test_a_line_opens_to_its_json(self):
        seq = self.line_of(kind="document")["seq"]
        selector = hook("event-line", '[data-seq="%d"]' % seq)
        self.page.click(selector + " summary")
        shown = self.page.wait_text(selector + " " + hook("event-json"), '"received"')
        self.page.click(selector + " summary")
        # As it came: a browser that parses and prints would write 1.5 and 2000, and "twice" alone.
        raw = get(self.node, "/v1/events?from=oldest&follow=0").body.decode().splitlines()[seq - 1]
        squeezed = re.sub(r"\s", "", shown)
        self.assertEqual(squeezed, re.sub(r"\s", "", raw))
        self.assertIn("1.50,2e3", squeezed)

    def choose(self, name, value):
        self.page.run("""const e = document.querySelector(arguments[0]);
                         e.value = arguments[1];
                         e.dispatchEvent(new Event("input", {bubbles: true}));
                         e.dispatchEvent(new Event("change", {bubbles: true}));""", hook(name), value)

    def test_filters(self):
        lines = events(self.node)
        for name, value, fits in (
                ("filter-endpoint", "juniper", lambda e: e["endpoint"] == "juniper"),
                ("filter-kind", "seen", lambda e: e["kind"] == "seen"),
                ("filter-mac", "3C-2E-F9-10-AA-01", lambda e: e.get("client", {}).get("mac") == "3c:2e:f9:10:aa:01"),
                ("filter-mac", "a0d79511", lambda e: e.get("client", {}).get("mac", "").startswith("a0:d7:95:11"))):
            with self.subTest(name=name, value=value):
                wanted = sorted((e["seq"] for e in lines if fits(e)), reverse=True)[:100]
                self.choose(name, value)
                try:
                    self.page.until(lambda: self.page.lines() == wanted, "%s, not %s" % (wanted, self.page.lines()))
                finally:
                    self.choose(name, "")
        self.page.until(lambda: len(self.page.lines()) > 20, "all lines again")


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
