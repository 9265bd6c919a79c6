"""A headless Chromium that tests drive through ChromeDriver: W3C WebDriver over HTTP, and the browser's own
protocol where that says more (colours, reduced motion, scripts that run before the page's). It is not a
test: nothing here knows the page. Profile, cache and net log are in a directory of their own, which goes
away with what was started."""
import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

DEADLINE = 30  # seconds until a wait has failed; never a measure of speed
POLL_S = 0.05
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that WebDriver gives an element's id, section 12.1
KEYS = {"tab": "\ue004", "shift": "\ue008", "enter": "\ue007", "space": " ", "escape": "\ue00c", "end": "\ue010",
        "home": "\ue011", "left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015"}


def missing():
    """What is to be installed, as one line; None where all is there."""
    if _chromium() and shutil.which("chromedriver"):
        return None
    return "no Chromium or no ChromeDriver here: apt-get install chromium chromium-driver (or ./dev page)"


def _chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class WebDriverError(Exception):
    """A command that the driver refused; `kind` is its error code, such as "no such element"."""

    def __init__(self, kind, message):
        super().__init__("%s: %s" % (kind, message.split("\n")[0]))
        self.kind = kind


class Element:
    def __init__(self, browser, reference):
        self.browser, self.reference = browser, reference
        self.path = "/element/" + reference[ELEMENT]

    def click(self):
        self.browser.command("POST", self.path + "/click", {})

    def type(self, text):
        self.browser.command("POST", self.path + "/value", {"text": text})

    def clear(self):
        self.browser.command("POST", self.path + "/clear", {})

    @property
    def text(self):
        return self.browser.command("GET", self.path + "/text")


class Browser:
    """A window of `size` (width, height). `dark` and `still` are what the system would say of colours and
    motion. `before` is a script that runs in each document before the page's own. `net_log` keeps all that
    is asked and answered, for requests()."""

    def __init__(self, size=(1280, 800), dark=False, still=False, before="", net_log=True):
        self.directory = tempfile.mkdtemp(prefix="rollcall-browser-")
        self.net_log = os.path.join(self.directory, "net.json") if net_log else None
        self.driver = self.session = self.http = None
        self.seen = []  # all that the console has said, for console()
        try:
            self._start_driver()
            self._start_session()
            self.cdp("Page.enable")
            if before:
                self.cdp("Page.addScriptToEvaluateOnNewDocument", source=before)
            self.resize(*size)
            self.prefer(dark, still)
        except BaseException:
            self.close()
            raise

    # --- starting and ending ---

    def _start_driver(self):
        # It takes a port that is free for IPv4, and ends where it is not for IPv6.
        for _ in range(5):
            if self._try_driver():
                return
        raise RuntimeError("chromedriver does not start")

    def _try_driver(self):
        # A group of its own: whatever it leaves behind can be ended with it.
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True,
                                       stderr=subprocess.DEVNULL, start_new_session=True,
                                       env={**os.environ, "HOME": self.directory, "TMPDIR": self.directory})
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                self.http = http.client.HTTPConnection("127.0.0.1", int(found.group(1)), timeout=120)
                return True
        self.driver.stdout.close()
        self.driver.wait()
        self.driver = None
        return False

    def _start_session(self):
        options = ["--headless=new", "--user-data-dir=" + os.path.join(self.directory, "profile"),
                   # Nothing of the browser's own: no first run, no updates, nobody to report to. What
                   # it tries all the same finds no address.
                   "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
                   "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
                   "--disable-component-update", "--disable-sync", "--disable-default-apps",
                   "--disable-extensions", "--disable-domain-reliability", "--no-pings",
                   # Containers give /dev/shm little room, and there is no screen to draw on faster.
                   "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb",
                   "--hide-scrollbars", "--enable-precise-memory-info"]
        if self.net_log:
            options += ["--log-net-log=" + self.net_log, "--net-log-capture-mode=Everything"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # Chromium refuses to run as root with it
        answer = self.command("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": False,
            "goog:chromeOptions": {"binary": _chromium(), "args": options},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}}, session=False)
        self.session = answer["sessionId"]

    def close(self):
        """Ends the browser and the driver; the net log is whole then, and gone."""
        if self.session:
            self.quit()
        if self.http:
            self.http.close()
        if self.driver:
            try:
                os.killpg(self.driver.pid, signal.SIGTERM)
                self.driver.wait(DEADLINE)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
            self._end_what_is_left()
            self.driver.wait()
            self.driver.stdout.close()
            self.driver = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def quit(self):
        """Ends the browser alone: the net log can be read now."""
        session, self.session = self.session, None
        try:
            self.command("DELETE", "/session/" + session, session=False)
        except (WebDriverError, OSError, http.client.HTTPException):
            pass

    def _end_what_is_left(self):
        """A browser that did not listen to its driver: its profile names it as ours."""
        mark = self.directory.encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as line:
                    is_ours = mark in line.read()
                if is_ours:
                    os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        try:
            os.killpg(self.driver.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    # --- commands ---

    def command(self, method, path, body=None, session=True):
        data = None if body is None else json.dumps(body)
        self.http.request(method, ("/session/" + self.session if session else "") + path, data,
                          {"Content-Type": "application/json"} if data else {})
        value = json.loads(self.http.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise WebDriverError(value["error"], value.get("message", ""))
        return value

    def cdp(self, method, **parameters):
        """A command of the browser's own protocol; its result."""
        return self.command("POST", "/goog/cdp/execute", {"cmd": method, "params": parameters})

    def run(self, script, *arguments):
        """The result of a function's body in the page; a promise is waited for."""
        result = self.command("POST", "/execute/sync", {"script": script, "args": [
            a.reference if isinstance(a, Element) else a for a in arguments]})
        return Element(self, result) if isinstance(result, dict) and ELEMENT in result else result

    def open(self, url):
        self.command("POST", "/url", {"url": url})

    def reload(self):
        self.command("POST", "/refresh", {})

    def resize(self, width, height):
        """The page's own width and height: phones' viewports as phones have them, too."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=False)

    def prefer(self, dark=False, still=False):
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}])

    # --- what the page shows ---

    def find(self, selector):
        """The first such element, waited for."""
        return self.until(lambda: self.find_now(selector), "an element " + selector)

    def find_now(self, selector):
        try:
            return Element(self, self.command("POST", "/element",
                                              {"using": "css selector", "value": selector}))
        except WebDriverError as error:
            if error.kind != "no such element":
                raise
            return None

    def texts(self, selector):
        """What each such element says, as it is shown; hidden ones are left out."""
        return self.run("return [...document.querySelectorAll(arguments[0])]"
                        ".filter(e => e.getClientRects().length).map(e => (e.innerText ?? e.textContent).trim())",
                        selector)

    def text(self, selector):
        texts = self.texts(selector)
        return texts[0] if texts else None

    def until(self, condition, what, deadline=DEADLINE):
        """Waits until `condition()` is true; its value. An element that was drawn anew meanwhile is
        looked for again."""
        end, last = time.monotonic() + deadline, None
        while True:
            try:
                last = condition()
                if last:
                    return last
            except WebDriverError as error:
                if error.kind not in ("stale element reference", "element not interactable",
                                      "element click intercepted"):
                    raise
                last = error
            assert time.monotonic() < end, "waited for %s; last: %r" % (what, last)
            time.sleep(POLL_S)

    def click(self, selector):
        """Clicks on it as soon as that is possible."""
        def clicked():
            element = self.find_now(selector)
            if element:
                element.click()
            return element
        self.until(clicked, "a click on " + selector)

    def keys(self, *names):
        """Presses keys one after the other, by name or as text; "shift+tab" holds the first."""
        actions = []
        for name in names:
            parts = [KEYS.get(part, part) for part in (name.split("+") if len(name) > 1 else [name])]
            typed = parts if len(parts) > 1 or parts[0] != name else list(name)
            if len(parts) > 1:
                actions += [{"type": "keyDown", "value": k} for k in typed]
                actions += [{"type": "keyUp", "value": k} for k in reversed(typed)]
            else:
                for key in typed:
                    actions += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.command("POST", "/actions", {"actions": [
            {"type": "key", "id": "keyboard", "actions": actions}]})

    def screenshot(self, path=None):
        data = base64.b64decode(self.command("GET", "/screenshot"))
        if path:
            with open(path, "wb") as out:
                out.write(data)
        return data

    # --- what happened behind it ---

    def console(self):
        """All that the console has said up to now: [(level, text)]."""
        for entry in self.command("POST", "/se/log", {"type": "browser"}):
            self.seen.append((entry["level"], entry["message"]))
        return self.seen

    def requests(self):
        """Ends the browser, and reads from its net log all that it asked for: [(url, initiator, bytes of
        the answer)]. Workers' requests are among them, and those that were never answered."""
        if self.session:
            self.quit()
        return read_net_log(self.net_log)


def read_net_log(path):
    """Every URL request of a net log, in order. A log that was cut off is read as far as it goes."""
    with open(path, encoding="utf-8", errors="replace") as log:
        head = log.readline()
        names = {number: name for name, number in
                 json.loads(head.rstrip().rstrip(",") + "}")["constants"]["logEventTypes"].items()}
        found = {}
        for line in log:
            line = line.strip().rstrip(",")
            if not line.startswith("{"):
                continue
            try:
                event = json.loads(line)
            except ValueError:
                continue
            name, values = names.get(event["type"]), event.get("params", {})
            source = event["source"]["id"]
            if name == "URL_REQUEST_START_JOB" and "url" in values:
                # A password in an address is no other address.
                url = re.sub(r"^(https?://)[^/@]*@", r"\1", values["url"])
                found.setdefault(source, [url, values.get("initiator"), b""])[0] = url
            elif name == "URL_REQUEST_JOB_FILTERED_BYTES_READ" and source in found and "bytes" in values:
                found[source][2] += base64.b64decode(values["bytes"])
    return [tuple(entry) for entry in found.values()]
