"""The page when things go wrong: the node restarts, is killed, drains, wants a secret; events hold what an
attacker would write; pseudonyms are on. Nothing plain appears, nothing runs, and the page finds its way back
by itself."""
import json
import os
import signal
import sys
import tempfile
import shutil

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from page import *  # noqa: F403

# What the browser itself says of a node that is away.
AWAY = (r"net::ERR_", r"Failed to load resource")


class Restart(PageTest):
    allowed_console = AWAY

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def start(self, **more):
        node = PageNode(directory=self.directory, **more)
        self.addCleanup(node.stop)
        return node

    def restart(self, number, rest=""):
        """Ends the node under a page's eyes, and starts it anew; the page and what it has to show then."""
        node = self.start(rest=rest)
        node.post_samples()
        page = self.open(node)
        page.until(lambda: page.texts(hook("event-line")), "lines")
        node.stop(number)
        page.until(lambda: page.state in ("reconnecting", "refused"), "the page to see it")
        words = page.text(hook("connection-state"))
        self.assertRegex(words, "reconnecting|cannot be reached|not connected")
        node = self.start(rest=rest, admin_port=node.admin_port)
        page.wait_live()
        self.assertEqual(node.post("/lab", {"after": "the restart"}).status, 200)
        newest = events(node)[-1]["seq"]
        page.wait_line(newest)
        return page

    def test_memory_ring(self):
        page = self.restart(signal.SIGTERM)
        self.assertRegex(page.wait_text(hook("gap"), "."), "started anew")

    def test_memory_ring_killed(self):
        page = self.restart(signal.SIGKILL)
        self.assertRegex(page.wait_text(hook("gap"), "."), "started anew")

    def test_ring_file_killed(self):
        """Nothing is lost, and so no gap is stated."""
        page = self.restart(signal.SIGKILL, rest="[ring]\nfile = %s/ring\nsize = 1M\n" % self.directory)
        self.assertIsNone(page.text(hook("gap")))
        seqs = page.lines()
        self.assertEqual(sorted(seqs), list(range(min(seqs), max(seqs) + 1)))


class Draining(PageTest):
    allowed_console = AWAY

    def test_draining_is_said(self):
        with PageNode(server="drain_timeout = 10m\n") as node:
            page = self.open(node)
            peer = Peer(tls(node.port))  # a post under way: the drain waits for it
            peer.send(b"POST /lab HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{")
            page.until(lambda: number(self.connections(page)), "the connection")
            node.process.send_signal(signal.SIGTERM)
            page.show("node")
            page.wait_text("body", "node is ending")
            peer.send(b"}")
            self.assertEqual(peer.response().status, 200)
            peer.close()

    def connections(self, page):
        page.show("node")
        return page.text(hook("connections-open"))


class Secret(PageTest):
    allowed_console = AWAY

    def test_admin_secret(self):
        with PageNode(server="admin_secret = sesame-of-the-harbour\n") as node:
            node.post_samples()
            locked = Page(node, live=False)
            self.addCleanup(locked.close)
            self.assertIsNone(locked.find_now(hook("connection-state")))
            self.assertFalse([url for url, _, data in locked.requests() if "/v1/" in url or b"hive" in data])
            page = self.open(node, url=node.url.replace("http://", "http://admin:sesame-of-the-harbour@"))
            page.until(lambda: page.texts(hook("event-line")), "lines")
            self.assertNotIn("sesame", page.run("return document.documentElement.outerHTML"))

    def test_secret_changes_under_the_page(self):
        server = "admin_secret = %s\n"
        with PageNode(server=server % "sesame-of-the-harbour") as node:
            page = self.open(node, url=node.url.replace("http://", "http://admin:sesame-of-the-harbour@"))
            with open(node.config) as config:
                text = config.read()
            with open(node.config, "w") as config:
                config.write(text.replace("sesame-of-the-harbour", "another-word-at-the-door"))
            node.process.send_signal(signal.SIGHUP)
            node.wait_log("configuration reloaded")
            page.wait_text(hook("connection-state"), "admin_secret")


HOSTILE = ["<script>watched.ran++</script>", "\"><img src=x onerror=watched.ran++>", "'onfocus=watched.ran++ autofocus='",
           "</td></table><svg onload=watched.ran++>", "javascript:watched.ran++", "{{7*7}}${watched.ran++}",
           "\u202egnp.exe\u202c", "a\u0000b\u0007c\u001b[31m", "__proto__", "constructor", "x" * 65536,
           "\u0301" * 500, "\U0001f375\u200d" * 50, "%s%n%p", "\ufeff\u2028\u2029"]


def word(text):
    """As much as a kind of event may have."""
    return text.encode()[:80].decode(errors="ignore")


class Hostile(PageTest):
    def bodies(self):
        for i, text in enumerate(HOSTILE):
            mac = "02aa00%06x" % i
            yield "/hive", {"apMac": "4a5b6c7d8e90", "ownerId": text, "apName": text, "observations": [
                {"clientMac": mac, "ssid": text, "os": text, "manufacturer": text, "x": 1e308, "y": -1e308,
                 "seenEpoch": int(time.time()), text[:64]: text}]}
            yield "/bt/unguessable", {
                "client": {"mac": mac, "userAgent": text}, "company": {"id": i, "name": text},
                "session": {"authenticationTime": time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime())},
                "user": {"id": text, "email": text, "firstName": text, "lastName": text,
                         "visitCountsForVenues": {text[:64]: 1}}, "venue": {"id": text, "name": text}}
            yield "/pn/unguessable", {"action": word(text), "channel": text, "uuid": text, "sub_key": text,
                                      "timestamp": int(time.time()), "occupancy": 3}
            yield "/juniper", {"topic": word(text), "events": [
                {"mac": mac, "ap_name": text, "map_id": text, "x": "NaN", "y": "1e400", "zone_id": text, "site_name": text}]}
            yield "/lab", {text[:64]: text, "__proto__": {"polluted": text}}
        yield "/lab", [[[[[[{"deep": [1] * 2000}]]]]]]
        yield "/pn/unguessable", b"<script>watched.ran++</script>"

    def test_hostile_words(self):
        with PageNode() as node:
            for path, body in self.bodies():
                response = node.post(path, json.dumps(body).encode() if not isinstance(body, bytes) else body)
                self.assertEqual(response.status, 200, (path, str(body)[:80], response))
            lines = events(node)
            page = self.open(node)
            page.wait_line(lines[-1]["seq"])
            before = page.run("return document.querySelectorAll('script, img, iframe, object, embed').length")
            page.open_lines(1000)
            for view in ("node", "venue"):
                page.show(view)
                for size in (PHONE, DESKTOP):
                    page.resize(*size)
                    with self.subTest(view=view, size=size):
                        self.assertEqual(page.check("overflow"), [])
            # Nothing became an element, and nothing ran: tearDown looks at watched.ran.
            self.assertEqual(before, page.run(
                "return document.querySelectorAll('script, img, iframe, object, embed').length"))
            self.assertEqual(page.run("return [...document.querySelectorAll('*')].flatMap((e) => "
                                      "[...e.attributes].map((a) => a.name)).filter((n) => /^on/.test(n))"), [])
            self.assertIsNone(page.run("return ({}).polluted ?? null"))
            self.assertEqual(page.run("return location.href.split('#')[0]"), node.url)
            self.assertEqual(page.state, "live")


class Pseudonyms(PageTest):
    # What the samples say of people, in every spelling; access points and floors are no people.
    PERSONS = ["b4f1da0c3e57", "a0d795114f3c", "da0195114f3c", "3c2ef910aa01", "3c2ef910aa03", "daa1192fc45d",
               "72ef00aa535f", "5684dae9ac8b", "001f3a5c77e2"]
    WORDS = ["ada@harbour.example", "Ada", "Quay", "1987-03-14", "mara@example.com", "AppleWebKit"]

    def spellings(self, mac):
        pairs = [mac[i:i + 2] for i in range(0, 12, 2)]
        fours = [mac[i:i + 4] for i in range(0, 12, 4)]
        return {mac, ":".join(pairs), "-".join(pairs), ".".join(fours)}

    def find_plain(self, text):
        lower = text.lower()
        found = [s for mac in self.PERSONS for s in self.spellings(mac) if s in lower]
        return found + [word for word in self.WORDS if word in text]

    def run_page(self, privacy):
        """All that there is to see of a node with that [privacy]: {what: text}."""
        with PageNode(rest=privacy) as node:
            node.post_samples()
            page = self.open(node, keep=True)
            page.until(lambda: len(page.texts(hook("event-line"))) >= 5, "lines")
            page.open_lines(1000)
            seen = {"the page": ""}
            for view in ("node", "venue"):
                page.show(view)
                seen["the page"] += page.run(
                    "return document.documentElement.outerHTML + document.title + "
                    "[...document.querySelectorAll('input, select')].map((e) => e.value).join(' ')")
            snapshots = page.run("return watched.snapshots")
            self.assertTrue(any('"venue":{' in s for s in snapshots), "no snapshot of the venue")
            seen["the worker's snapshots"] = "\n".join(snapshots)
            seen["the console"] = str(page.console())
            asked = page.finish()
            answers = [data for url, _, data in asked if url.startswith(node.url)]
            self.assertTrue(any(b'"received"' in data for data in answers), "no event in the answers")
            seen["the answers"] = b"\n".join(answers).decode("utf-8", "replace")
            seen["the addresses"] = "\n".join(url for url, _, _ in asked)
            return seen

    def test_nothing_plain(self):
        # That the search finds what is there: without pseudonyms it is everywhere.
        seen = self.run_page("")
        for what in ("the page", "the worker's snapshots", "the answers"):
            self.assertTrue(self.find_plain(seen[what]), what)
        seen = self.run_page("[privacy]\nmac = pseudonym\npersonal = pseudonym\nkey = %s\n" % ("a1" * 32))
        for what, text in seen.items():
            # The scripts themselves are no data; none of their words may hide one either.
            self.assertEqual(self.find_plain(text), [], what)


if __name__ == "__main__":
    main()
