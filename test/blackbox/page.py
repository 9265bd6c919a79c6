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


class Page(browser.Browser):
    """A browser at a node's page, live. finish() says what has gone wrong in it."""

    def __init__(self, node, url=None, keep=False, live=True, **options):
        super().__init__(before=WATCH + ("watched.keep = true;" if keep else ""), **options)
        self.node = node
        try:
            self.open(url or node.url)
            if live:
                self.wait_live()
        except BaseException:
            self.close()
            raise

    @property
    def state(self):
        return self.run("return document.querySelector('[data-test=connection-state]')?.dataset.state")

    def wait_live(self):
        self.until(lambda: self.state == "live", "the page to be live")

    def show(self, view):
        self.click("nav a[data-view=%s]" % view)
        self.until(lambda: self.run("return !document.getElementById(arguments[0]).hidden", "view-" + view), view)
        self.wait_drawn()

    def wait_drawn(self):
        """Two frames later, whatever was waiting to be drawn is there."""
        self.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def check(self, name):
        """One of test/page/checks.js: what it finds wrong."""
        if not self.run("return Boolean(window.checks)"):
            with open("test/page/checks.js", encoding="utf-8") as script:
                self.run(script.read())
        return self.run("return checks.%s()" % name)

    def wait_text(self, selector, pattern):
        """Waits until what `selector` shows has `pattern` in it; the text."""
        def matching():
            text = self.text(selector)
            return text is not None and re.search(pattern, text) and (text or " ")
        return self.until(matching, "%s to show %r; it shows %r" % (selector, pattern, self.text(selector)))

    def lines(self):
        """The seqs of the event lines that are shown."""
        return [int(seq) for seq in self.run("return [...document.querySelectorAll('[data-test=event-line]')]"
                                             ".map((line) => line.dataset.seq)")]

    def wait_line(self, seq):
        self.until(lambda: seq in self.lines(), "event %d" % seq)

    def open_lines(self, most=1):
        """Opens the first event lines, so many of them; their JSON is there then."""
        self.find(hook("event-line"))
        self.run("""for (const line of [...document.querySelectorAll("[data-test=event-line]")].slice(0, arguments[0]))
                        if (!line.querySelector("[data-test=event-json]")?.checkVisibility())
                            line.querySelector("summary, button").click();""", most)
        self.until(lambda: self.texts(hook("event-json")), "a line's JSON")

    def finish(self, allowed=()):
        """Ends it, and says what was wrong: a violation of the policy, an error, anything on the console
        but what `allowed` has, a request to anywhere but the node. The requests."""
        case = unittest.TestCase()
        case.assertEqual(self.run("return [watched.violations, watched.errors, watched.ran]"), [[], [], 0])
        case.assertEqual([text for _, text in self.console()
                          if not any(re.search(part, text) for part in allowed)], [])
        asked = self.requests() if self.net_log else []
        self.close()
        for url, initiator, _ in asked:
            # What the browser asks on its own account has no initiator, and finds no address.
            if not url.startswith(self.node.url):
                case.assertEqual(initiator, "not an origin", "%s asked for %s" % (initiator, url))
        if self.net_log:
            case.assertTrue(any(url.startswith(self.node.url + "v1/") for url, _, _ in asked), asked)
        return asked


class PageTest(unittest.TestCase):
    """open() gives a page; what goes wrong in one fails the test."""

    allowed_console = ()  # what the tests bring about themselves

    def setUp(self):
        self.pages = []

    def open(self, node, **options):
        page = Page(node, **options)
        self.addCleanup(page.close)
        self.pages.append(page)
        return page

    def tearDown(self):
        for page in self.pages:
            if page.session:
                page.finish(self.allowed_console)


class SharedPageTest(unittest.TestCase):
    """One node and one page for all tests of a class."""

    server = ""

    @classmethod
    def setUpClass(cls):
        cls.node = PageNode(server=cls.server)
        cls.addClassCleanup(cls.node.stop)
        cls.prepare()
        cls.page = Page(cls.node)
        cls.addClassCleanup(cls.page.close)

    @classmethod
    def prepare(cls):
        cls.node.post_samples()

    @classmethod
    def tearDownClass(cls):
        cls.page.finish()


def hook(name, more=""):
    return '[data-test="%s"]%s' % (name, more)


def number(text):
    """The first number of what is shown: "1,234 events" is 1234."""
    found = re.search(r"-?\d[\d,]*(\.\d+)?", text or "")
    return float(found.group().replace(",", "")) if found else None


def main():
    skip_without_browser()
    # Whoever ends the tests ends what they have started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    unittest.main(verbosity=2)
