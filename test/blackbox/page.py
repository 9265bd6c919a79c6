"""What the tests of the web page share: a node with every sender's endpoint and the admin listener, bodies as
senders write them with the times of now, and a browser that notes whatever goes wrong in it. The page is
read by its hooks (data-test) alone, as its views' head comments list them."""
import hashlib
import hmac
import json
import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import browser
from node import *  # noqa: F403

DATA = "test/data"
AXE = ".dev/page/node_modules/axe-core/axe.min.js"
PHONE, DESKTOP = (360, 740), (1280, 800)
SECRET = "quiet-harbour"  # as in test/data/meraki, whose secret is in the body

SENDERS = """
[endpoint hive]
path = /hive
provider = aerohive
secret = %(s)s

[endpoint cisco]
path = /cisco
provider = meraki
secret = %(s)s

[endpoint juniper]
path = /juniper
provider = mist
secret = %(s)s

[endpoint bt]
path = /bt/unguessable
provider = bt

[endpoint pn]
path = /pn/unguessable
provider = pubnub

[endpoint lab]
path = /lab
provider = json
auth = none
""" % {"s": SECRET}

# A body of each: endpoint, its path, the file.
SAMPLES = [("hive", "/hive", "aerohive/sample"), ("hive", "/hive", "aerohive/macs"),
           ("cisco", "/cisco", "meraki/v2"), ("cisco", "/cisco", "meraki/v3"),
           ("juniper", "/juniper", "mist/client_join"), ("juniper", "/juniper", "mist/location"),
           ("juniper", "/juniper", "mist/zone"), ("bt", "/bt/unguessable", "bt/sample"),
           ("pn", "/pn/unguessable", "pubnub/flat_all"), ("lab", "/lab", "json/object")]

# Runs before the page's own scripts: what the policy stopped, what was thrown, what the worker has said,
# tasks that held up the page.
WATCH = r"""
window.watched = { violations: [], errors: [], snapshots: [], tasks: [], ran: 0 };
addEventListener("securitypolicyviolation", (event) =>
  watched.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
addEventListener("error", (event) => watched.errors.push(String(event.message || event.target)), true);
addEventListener("unhandledrejection", (event) => watched.errors.push(String(event.reason)));
new PerformanceObserver((list) => watched.tasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({ type: "longtask" });
window.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({ data }) => {
      if (watched.keep && watched.snapshots.length < 400) watched.snapshots.push(JSON.stringify(data));
    });
  }
};
"""


def skip_without_browser():
    """To be called by each file's tests first: exit status 77 is a test left out, as meson has it."""
    why = browser.missing()
    if why and os.environ.get("ROLLCALL_PAGE") == "required":
        sys.exit(why)
    if why:
        print("left out: " + why)
        sys.exit(77)


class PageNode(Node):
    """A node with every sender's endpoint, and the page. `port`: the admin listener's, where it has to be
    the last one's."""

    def __init__(self, server="", endpoints=SENDERS, admin_port=0, **more):
        super().__init__(server="admin = 127.0.0.1:%d\n%s" % (admin_port, server), endpoints=endpoints, **more)
        found = re.search(r"msg=admin address=\S+:(\d+)", "\n".join(line for line in self.log if line))
        self.admin_port = int(found.group(1))
        self.url = "http://127.0.0.1:%d/" % self.admin_port

    def post(self, path, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return post(self, path, data, headers_for(path, data))

    def post_samples(self, at=None):
        """Every sender's bodies, with the times of `at`; all are taken."""
        for _, path, name in SAMPLES:
            response = self.post(path, sample(name, at))
            assert response.status == 200, (name, response)


def headers_for(path, data):
    if path == "/juniper":
        return ("X-Mist-Signature-v2: " + hmac.new(SECRET.encode(), data, hashlib.sha256).hexdigest(),)
    return ("Authorization: Basic " + SECRET,)


def sample(name, at=None):
    """A body of test/data with the times of `at` (seconds, now if absent) in the place of its own."""
    with open("%s/%s.json" % (DATA, name), encoding="utf-8") as body:
        text = body.read()
    at = time.time() if at is None else at
    iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    text = re.sub(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", iso, text)
    text = re.sub(r"\b1[2-9]\d{8}(?=(\d{3})?\b)", "%d" % at, text)
    return text.encode()


def of_events(lines, *path):
    """The values at `path` of all lines that have one."""
    found = []
    for line in lines:
        for step in path:
            line = line.get(step) if isinstance(line, dict) else None
        if line is not None:
            found.append(line)
    return found


class PageTest(unittest.TestCase):
    """`self.open()` gives a browser at the page. At the end of each test: no violation of the policy, no
    error, nothing on the console, and no request to anywhere but the node."""

    # Lines of the console that a test has brought about itself.
    allowed_console = ()

    def setUp(self):
        self.browsers = []

    def open(self, node, url=None, keep=False, **options):
        page = browser.Browser(before=WATCH, **options)
        self.addCleanup(page.close)
        self.browsers.append((page, node))
        if keep:
            page.cdp("Page.addScriptToEvaluateOnNewDocument", source="watched.keep = true;")
        page.open(url or node.url)
        self.wait_live(page)
        return page

    def wait_live(self, page):
        page.until(lambda: self.state(page) == "live", "the page to be live")

    def state(self, page):
        return page.run("return document.querySelector('[data-test=connection-state]')?.dataset.state")

    def tearDown(self):
        for page, node in self.browsers:
            if page.session:
                self.assert_clean(page, node)

    def assert_clean(self, page, node):
        watched = page.run("return window.watched && [watched.violations, watched.errors, watched.ran]")
        self.assertEqual(watched, [[], [], 0])
        console = [text for _, text in page.console()
                   if not any(re.search(part, text) for part in self.allowed_console)]
        self.assertEqual(console, [])
        if page.net_log:
            self.assert_only_asks(page, node)

    def assert_only_asks(self, page, node):
        """Ends the browser. What it asks for its own (none of it by the page) has no initiator, and finds
        no address."""
        origin = node.url.rstrip("/")
        asked = page.requests()
        here = [url for url, _, _ in asked if url.startswith(node.url)]
        self.assertTrue(any("/v1/events" in url for url in here), asked)
        for url, initiator, _ in asked:
            if url.startswith(node.url):
                continue
            self.assertEqual(initiator, "not an origin", "%s was asked for %s" % (initiator, url))
            self.assertNotIn(origin, url)
        return asked

    def check(self, page, name):
        """One of test/page/checks.js: what it finds wrong."""
        if not page.run("return Boolean(window.checks)"):
            with open("test/page/checks.js", encoding="utf-8") as script:
                page.run(script.read())
        return page.run("return checks.%s()" % name)

    def show(self, page, view):
        page.click("nav a[data-view=%s]" % view)
        page.until(lambda: page.run("return !document.getElementById('view-%s').hidden" % view), view)

    def wait_text(self, page, selector, pattern):
        """Waits until what `selector` shows has `pattern` in it; the text."""
        def matching():
            text = page.text(selector)
            return text is not None and re.search(pattern, text) and (text or " ")
        return page.until(matching, "%s to show %r; it shows %r" % (selector, pattern, page.text(selector)))


def hook(name, more=""):
    return '[data-test="%s"]%s' % (name, more)


def number(text):
    """The first number of what is shown: "1,234 events" is 1234."""
    found = re.search(r"-?\d[\d,]*(\.\d+)?", text or "")
    return float(found.group().replace(",", "")) if found else None


def main():
    skip_without_browser()
    unittest.main(verbosity=2)
