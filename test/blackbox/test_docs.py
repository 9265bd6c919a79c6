"""docs/*.md tell the truth: each shell block (```sh) runs against a node as the pages assume it, each
settings block (```ini) is taken, what stands behind a prompt (```console) names programs and options
that there are, and the tables of figures, log lines, answers and limits are complete.

The paths and addresses of the pages are replaced by those of the test's own node."""
import os
import re
import shlex
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from metrics import Families
from node import *  # noqa: F403

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCS = os.path.join(ROOT, "docs")
# What may stand behind a prompt, besides the project's own programs.
PROGRAMS = {"rollcalld": ROLLCALLD, "rollcall-tail": TAIL}
TOOLS = {"meson", "ninja", "pkill", "sysctl", "prlimit"}
MESON_OPTIONS = {"buildtype", "b_ndebug", "b_lto"}
ELSEWHERE = {"../SECURITY.md"}


def page(name):
    with open(os.path.join(DOCS, name)) as text:
        return text.read()


def pages():
    return sorted(name for name in os.listdir(DOCS) if name.endswith(".md"))


def blocks(text, language):
    return re.findall(r"^```%s\n(.*?)^```$" % language, text, re.M | re.S)


def source(names=r".*\.c$"):
    for directory, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in files:
            if re.match(names, name):
                with open(os.path.join(directory, name)) as text:
                    yield text.read()


def environment(node):
    """With the node's programs in the path."""
    path = ":".join((os.path.dirname(ROLLCALLD), os.path.dirname(TAIL), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "HQ_SECRET": "test-token", "CURL_CA_BUNDLE": CERT,
            "NODE": "https://localhost:%d" % node.port}


def own(node, text):
    """The text with the node's own paths and addresses in place of the pages'."""
    log = "\n".join(filter(None, node.log))
    admin = re.search(r"msg=admin address=(\S+)", log)
    for theirs, ours in (("/etc/rollcall/rollcall.conf", node.config), ("/run/rollcall/events.sock", node.socket),
                         ("https://localhost:8443", "https://localhost:%d" % node.port),
                         ("127.0.0.1:9464", admin.group(1) if admin else "")):
        text = text.replace(theirs, ours)
    return text


class Commands(unittest.TestCase):
    def run_blocks(self, node, text, environ):
        """Runs all of them in one shell, in the node's directory; what each has printed."""
        script = "set -euo pipefail\n" + "".join("%s\nprintf '\\n@@\\n'\n" % block for block in text)
        done = subprocess.run(["bash", "-c", script], cwd=node.directory, env=environ, text=True,
                              capture_output=True, timeout=DEADLINE * 4)
        printed = done.stdout.split("\n@@\n")
        self.assertEqual(done.returncode, 0, "block %d: %s%s" % (len(printed), done.stdout[-500:], done.stderr))
        self.assertEqual(len(printed), len(text) + 1)
        for output in printed:
            self.assertNotIn('{"error"', output)
        return printed[:-1]

    def test_each_page(self):
        for name in pages():
            text = blocks(page(name), "sh")
            if name == "portals.md" or not text:
                continue
            with self.subTest(name), Node(server="admin = 127.0.0.1:0\n") as node:
                post(node, "/presence/hq", [{"apMac": "3a1e6d8c785c", "observations": [
                    {"clientMac": "dcac3da506b4", "seenEpoch": 1767607933000}]}], TOKEN)
                for command, output in zip(text, self.run_blocks(node, [own(node, b) for b in text],
                                                                 environment(node))):
                    # All but these print something where all is well.
                    if not command.startswith("rollcalld") and ">" not in command:
                        self.assertTrue(output.strip(), command)

    def test_portals(self):
        text = page("portals.md")
        first, *rest = blocks(text, "sh")
        done = subprocess.run(["bash", "-euc", first + "\nenv -0"], capture_output=True, text=True, timeout=DEADLINE)
        secrets = dict(pair.split("=", 1) for pair in done.stdout.split("\0") if "=" in pair)
        endpoints = "\n".join(blocks(text, "ini"))
        with Node(endpoints=endpoints, env=secrets) as node:
            environ = {**environment(node), **{name: secrets[name] for name in re.findall(r"\$\{(\w+)\}", endpoints)}}
            rest = [own(node, block).replace("$PWD/.dev/cert.pem", CERT) for block in rest]
            printed = "".join(self.run_blocks(node, rest, environ))
            self.assertIn('{"accepted":0,"duplicates":1,"rejected":0}', printed)
            self.assertIn("wifiWebhookListener: 1", printed)
            self.assertIn(secrets["MERAKI_VALIDATOR"], printed)
            for endpoint in get(node, "/v1/status").json()["endpoints"]:
                self.assertIn("last_event", endpoint)
                self.assertNotIn("last_error", endpoint)

    def check_options(self, program, words, line):
        usage = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=DEADLINE).stdout
        for word in words:
            if word.startswith("-"):
                self.assertRegex(usage, r"(^|[\s,])%s\b" % re.escape(word), line)

    def test_what_stands_behind_a_prompt(self):
        seen = 0
        for name in pages():
            for line in "".join(blocks(page(name), "console")).splitlines():
                self.assertRegex(line, r"^[$#] ", name)
                words = shlex.split(line[2:])
                self.assertIn(words[0], TOOLS | set(PROGRAMS) | {"./dev"}, line)
                seen += 1
                if words[0] in PROGRAMS:
                    self.check_options(PROGRAMS[words[0]], words[1:], line)
                if words[0] == "./dev":
                    with open(os.path.join(ROOT, "dev")) as dev:
                        self.assertIn("  %s" % " ".join(words[1:3] if words[2][0] != "-" else words[1:2]),
                                      dev.read(), line)
                    self.check_options(BENCH, words[2:], line)
                if words[:2] == ["meson", "setup"]:
                    with open(os.path.join(ROOT, "meson_options.txt")) as options:
                        known = MESON_OPTIONS | set(re.findall(r"option\('(\w+)'", options.read()))
                    for word in words:
                        if word.startswith("-D"):
                            self.assertIn(word[2:].split("=")[0], known, line)
        self.assertGreater(seen, 3)


class Settings(unittest.TestCase):
    def check(self, text):
        """A configuration of the block's settings, and of what it takes besides."""
        directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, directory)
        sections = {"server": ["certificate = " + CERT, "private_key = " + KEY, "socket = %s/s" % directory]}
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
                sections.setdefault(section, [])
            elif line:
                sections[section].append(line)
        if not any(name.startswith("endpoint") for name in sections):
            sections["endpoint lab"] = ["path = /p", "provider = json", "auth = none"]
        path = os.path.join(directory, "rollcall.conf")
        with open(path, "w") as out:
            for name, lines in sections.items():
                out.write("[%s]\n%s\n" % (name, "\n".join(lines)))
        environ = {**os.environ, **{name: "0123456789abcdef" for name in re.findall(r"\$\{(\w+)\}", text)}}
        done = subprocess.run([ROLLCALLD, "--config", path, "--dump-config"], capture_output=True, text=True,
                              env=environ, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, text + done.stderr)
        return done.stdout

    def test_each_block_is_taken(self):
        seen = 0
        for name in pages():
            for block in blocks(page(name), "ini"):
                self.check(block)
                seen += 1
        self.assertGreater(seen, 10)

    def test_the_limits_are_the_defaults(self):
        dump = self.check("[ring]\nsize = 64M\n")
        defaults = dict(re.findall(r"^(\w+) = (\S+)$", dump, re.M))
        table = page("tuning.md").split("## Limits")[1].split("\n\n")[1]
        rows = re.findall(r"^\| (`.*?) \| ([^|]*) \|", table, re.M)
        self.assertGreater(len(rows), 8)
        for keys, values in rows:
            for key, value in zip(re.findall(r"`(\w+)`", keys), values.split(", "), strict=True):
                self.assertEqual(defaults[key], value.strip(), key)


class Complete(unittest.TestCase):
    def test_each_figure_is_explained(self):
        with Node() as node:
            found = Families(get(node, "/metrics").body.decode())
        text = page("operations.md").split("## Figures")[1].split("## Log lines")[0]
        named = set(re.findall(r"`([a-z_]+)(?:\{[a-z,]+\})?`", "\n".join(
            row.split("|")[1] for row in text.splitlines() if row.startswith("| `"))))
        self.assertEqual({name.removeprefix("rollcall_") for name in found.types}, named)

    def test_each_log_line_is_explained(self):
        text = page("operations.md").split("## Log lines")[1]
        messages = set()
        for code in source():
            for message in re.findall(r'log_write\(\s*LOG_\w+,\s*((?:"[^"]*"\s*)+),', code):
                messages.add("".join(re.findall(r'"([^"]*)"', message)))
        # Those whose text is not the call's own.
        messages |= {"accept failed", "request refused", "body not read in full", "handshake failed", "not HTTP"}
        self.assertGreater(len(messages), 20)
        for message in messages:
            self.assertIn("`%s`" % message, text)

    def test_each_answer_is_explained(self):
        text = page("contract.md").split("| answer |")[1].split("\n\n")[0]
        rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| ")]
        explained = set(re.findall(r"\b([2-5]\d\d)\b", " ".join(rows)))
        given = set()
        for code in source(r"(ingest|http|conn)\.c$"):
            given |= set(re.findall(r"(?:answer_error\(answer|fail\(parser|on_bad\(conn), (\d{3})", code))
            given |= set(re.findall(r"(?:status = |\? |: |batch, body, )([2-5]\d\d)\b", code)) & {"200", "400", "422", "501", "503", "505"}
        self.assertEqual(given - explained, set())
        self.assertEqual(explained - given, set())

    def test_links_lead_somewhere(self):
        for name in pages():
            for target in re.findall(r"\]\(([^)#]+)\)", page(name)):
                if target not in ELSEWHERE and "://" not in target:
                    self.assertTrue(os.path.exists(os.path.join(DOCS, target)), (name, target))

    def test_each_page_is_in_the_index(self):
        for name in pages():
            if name != "README.md":
                self.assertIn("](%s)" % name, page("README.md"))


if __name__ == "__main__":
    unittest.main()
