"""What a distribution gets: what is installed and where, that it runs from there, and that pages and
completions say of each program and each key what these say themselves."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["ROLLCALL_BUILD"]
MANUAL = os.path.join(ROOT, "packaging", "man")
COMPLETIONS = os.path.join(ROOT, "packaging", "completions")
DEADLINE = 120  # seconds until a program hangs; never a measure of speed
# Program: its section of the manual. Where it is built is said by the environment.
PROGRAMS = {"rollcalld": 8, "rollcall-tail": 1, "rollcall-bench": 1, "rollcall-forward": 1}
PROGRAMS = {name: section for name, section in PROGRAMS.items()
            if name.upper().replace("-", "_") in os.environ}
PAGES = ["%s.%d" % item for item in PROGRAMS.items()] + ["rollcall.conf.5", "rollcall-events.7"]
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as text:
        return text.read()


def path_of_page(name):
    path = os.path.join(MANUAL, name + ".in")
    return path if os.path.exists(path) else os.path.join(MANUAL, name)


def page_of(name):
    return text_of(path_of_page(name))


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, **more)


def built(name):
    return os.environ[name.upper().replace("-", "_")]


def options_of(name):
    """The long options that its --help explains: those before the text, two blanks on."""
    found = set()
    for line in run(built(name), "--help").stdout.splitlines():
        if re.match(r"  \s*-", line):
            found.update(OPTION.findall(re.split(r"(?<=\S)  ", line)[0]))
    assert {"help", "version"} <= found, found
    return found


def senders():
    found = re.findall(r"&sender_(\w+)", text_of("src", "sender.c"))
    assert len(found) >= 6, found
    return sorted(found)


def kinds():
    said = json.loads(text_of("src", "event.schema.json"))["$defs"]["event"]["properties"]["kind"]
    return said["description"].split(", or ")[0].split(", ")


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="rollcall-install-")
        done = run("meson", "install", "--no-rebuild", "--destdir", cls.directory, "-C", BUILD)
        assert done.returncode == 0, done.stdout + done.stderr
        cls.files = {}
        for directory, _, names in os.walk(cls.directory):
            for name in names:
                path = os.path.join(directory, name)
                cls.files[os.path.relpath(path, cls.directory)] = path

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def path_of(self, end):
        found = [path for name, path in self.files.items() if ("/" + name).endswith(end)]
        self.assertEqual(len(found), 1, (end, sorted(self.files)))
        return found[0]

    def test_programs_run_from_where_they_are(self):
        for name, section in PROGRAMS.items():
            program = self.path_of(("/sbin/" if section == 8 else "/bin/") + name)
            done = run(program, "--version", cwd="/",
                       env={key: value for key, value in os.environ.items()
                            if key != "LD_LIBRARY_PATH"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, r"^%s \d+\.\d+\.\d+\n$" % name)
            dynamic = run("readelf", "-d", program).stdout
            self.assertIn("NEEDED", dynamic)
            self.assertNotIn(BUILD, dynamic)

    def test_each_has_its_place(self):
        for page in PAGES:
            with open(self.path_of("/share/man/man%s/%s" % (page[-1], page))) as text:
                self.assertNotRegex(text.read(), r"@\w+@")
        for name in PROGRAMS:
            self.path_of("/share/bash-completion/completions/" + name)
            self.path_of("/share/fish/vendor_completions.d/%s.fish" % name)
            self.path_of("/_" + name)
        for name in ("rollcall.conf.example", "LICENSE", "README.md"):
            self.path_of("/share/doc/rollcall/" + name)
        self.path_of("/share/rollcall/event.schema.json")

    def test_nothing_else(self):
        for name in self.files:
            self.assertNotRegex(name, r"(^|/)(test|fuzz|faults|instructions)|\.(a|o|so|h|pem)$")
            self.assertRegex(name, r"(^|/)(s?bin|share|lib/(systemd|sysusers\.d|tmpfiles\.d))/")
        programs = {os.path.basename(name) for name in self.files if re.search(r"bin/", name)}
        self.assertEqual(programs, set(PROGRAMS))

    def test_prefix_and_directories_are_taken(self):
        """Configured as a distribution does, and without the tests."""
        tree = os.path.join(self.directory, "tree")
        done = run("meson", "setup", tree, ROOT, "--prefix=/usr", "--sysconfdir=/etc",
                   "-Dtests=false", "-Dzsh_completions=share/zsh/vendor-completions")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        plan = json.loads(run("meson", "introspect", "--installed", tree).stdout)
        self.assertEqual([path for path in plan.values() if not re.match(r"/(usr|etc|lib/systemd)/", path)], [])
        for path in ("/usr/sbin/rollcalld", "/usr/bin/rollcall-tail",
                     "/usr/share/man/man5/rollcall.conf.5",
                     "/usr/share/bash-completion/completions/rollcalld",
                     "/usr/share/zsh/vendor-completions/_rollcalld"):
            self.assertIn(path, plan.values())
        with open(os.path.join(tree, "packaging", "rollcalld.8")) as page:
            self.assertIn("/etc/rollcall/rollcall.conf", page.read())
        targets = json.loads(run("meson", "introspect", "--targets", tree).stdout)
        self.assertEqual([target["name"] for target in targets if "test" in target["name"]], [])


class Pages(unittest.TestCase):
    def test_every_option_and_no_other(self):
        for name, section in PROGRAMS.items():
            page = page_of("%s.%d" % (name, section))
            described = set()
            for line in page.splitlines():
                if line.startswith(".It Fl "):
                    described.update(re.findall(r"Fl -([a-z][a-z0-9-]*)", line))
            self.assertEqual(described, options_of(name), name)
            mentioned = set(re.findall(r"Fl -([a-z][a-z0-9-]*)", page))
            for command in re.findall(r"\b%s (-.*(?:\\e\n.*)*)" % name, page):  # the examples
                mentioned.update(OPTION.findall(command))
            self.assertLessEqual(mentioned, described, name)

    def test_every_key_with_its_default_and_no_other(self):
        table = re.findall(
            r'^    \{"(\w+)", "(\w+)",\s+&\w+,\s+(?:IN|OF)\(\w+\),\s+([A-Z_| 0]+),\s+(NULL|"[^"]*")',
            text_of("src", "config_keys.c"), re.M)
        rows = re.findall(r'^    \{"\w+", "\w+",', text_of("src", "config_keys.c"), re.M)
        self.assertEqual(len(table), len(rows))
        known = [(section, key, "CONFIG_FIXED" in flags, None if value == "NULL" else value[1:-1])
                 for section, key, flags, value in table]
        described, section = [], None
        for line in page_of("rollcall.conf.5").splitlines():
            heading = re.match(r"\.Ss \[(\w+)", line)
            item = re.match(r"\.It Ic (\w+)( No \\\(dg)?(?: Pq (.*))?$", line)
            if heading:
                section = heading.group(1)
            elif item:
                described.append((section, item.group(1), bool(item.group(2)), item.group(3)))
        self.assertGreater(len(known), 40)
        self.assertEqual(sorted(described, key=str), sorted(known, key=str))

    def test_the_example_has_every_key_and_no_other(self):
        known = set(re.findall(r'^    \{"\w+", "(\w+)"', text_of("src", "config_keys.c"), re.M))
        example = text_of("packaging", "rollcall.conf.example")
        shown = set(re.findall(r"^;?([a-z][a-z_]*) =", example, re.M))
        shown |= set(re.findall(r"; or (\w+) =", example))
        self.assertEqual(shown, known)

    def test_senders_and_events(self):
        conf, events = page_of("rollcall.conf.5"), page_of("rollcall-events.7")
        listed = re.search(r"\.It Ic provider\n(.*?)\.El", conf, re.S).group(1)
        self.assertEqual(re.findall(r"\.It Cm (\w+)", listed), senders())
        body = re.search(r"\.Ss Events\n(.*?)\.Ss Gaps", events, re.S).group(1)
        schema = json.loads(text_of("src", "event.schema.json"))["$defs"]["event"]["properties"]
        self.assertEqual(re.findall(r"^\.It Li (\w+)", body, re.M), list(schema))
        words = set(re.findall(r"[\w-]+", body))
        self.assertEqual(set(kinds() + senders()) - words, set())
        for member in schema.values():
            self.assertEqual(set(member.get("properties", ())) - words, set())

    def test_lint(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed: deps/install test")
        known = ["%s %s" % tuple(page.rsplit(".", 1)) for page in PAGES]
        known += ["curl 1", "systemd.exec 5"]  # not installed everywhere
        for page in PAGES:
            done = run("mandoc", "-T", "lint", path_of_page(page))
            found = [line for line in done.stdout.splitlines()
                     if not any("referenced manual not found: Xr " + name in line for name in known)]
            self.assertEqual(found, [])
            self.assertNotEqual(run("mandoc", "-T", "utf8", path_of_page(page)).stdout, "")

    def test_all_pages_are_listed(self):
        there = {name.removesuffix(".in") for name in os.listdir(MANUAL)}
        self.assertEqual(there | {"rollcall-forward.1"}, set(PAGES) | {"rollcall-forward.1"})
        for page in PAGES:
            for name, section in re.findall(r"^\.Xr (rollcall\S*) (\d)", page_of(page), re.M):
                self.assertIn("%s.%s" % (name, section), PAGES, page)


class Completions(unittest.TestCase):
    def complete(self, *words):
        """What bash would offer for the last of `words`."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
                  'function=$(complete -p "$1"); function=${function##*-F }; function=${function%% *}\n'
                  '"$function" || :; printf "%s\\n" "${COMPREPLY[@]}"')
        done = run("bash", "-euc", script, "bash",
                   os.path.join(COMPLETIONS, words[0] + ".bash"), *words, cwd=self.directory)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return sorted(done.stdout.split("\n")[:-1]) if done.stdout != "\n" else []

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-complete-")
        self.addCleanup(shutil.rmtree, self.directory)
        with open(os.path.join(self.directory, "node one.conf"), "w"):
            pass

    def test_every_option_and_no_other(self):
        for name in PROGRAMS:
            options = options_of(name)
            self.assertEqual(self.complete(name, "--"), sorted("--" + word for word in options))
            for file in (name + ".bash", "_" + name):
                text = text_of("packaging", "completions", file)
                if file[0] == "_":  # an option is explained there by others' names too
                    text = re.sub(r"\[[^]]*\]|'\([^)]*\)", " ", text)
                found = set(OPTION.findall(re.sub(r"^ *#.*$|\s-- ", " ", text, flags=re.M)))
                self.assertEqual(found, options, file)
            fish = text_of("packaging", "completions", name + ".fish")
            self.assertEqual(set(re.findall(r"^complete -c %s .*?-l ([\w-]+)" % name, fish, re.M)),
                             options)

    def test_bash_completes_values(self):
        import socket
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(self.directory, "node.sock"))
            self.assertEqual(self.complete("rollcall-tail", "--socket", "no"), ["node.sock"])
            self.assertEqual(self.complete("rollcall-bench", "-s", ""), ["node.sock"])
        self.assertEqual(self.complete("rollcalld", "--config", "node o"), ["node one.conf"])
        self.assertEqual(self.complete("rollcalld", "-c", "="), ["node one.conf", "node.sock"])
        self.assertEqual(self.complete("rollcall-tail", "--from", "=", "o"), ["oldest"])
        self.assertEqual(self.complete("rollcall-tail", "--mac", ""), [])
        self.assertEqual(self.complete("rollcall-tail", "--provider", ""), senders())
        self.assertEqual(self.complete("rollcall-tail", "--kind", ""), sorted(kinds()))
        self.assertEqual(self.complete("rollcall-bench", "--also", "bt"), ["bt=/"])

    def test_values_are_those_of_the_programs(self):
        bench = re.search(r"--sender NAME\s+(.*?)\n\s*\(", run(built("rollcall-bench"), "--help").stdout,
                          re.S).group(1)
        players = re.findall(r"[a-z][\w-]*", bench.replace(" or ", " "))
        self.assertGreater(len(players), 6)
        for file in ("_%s", "%s.fish", "%s.bash"):
            tail = text_of("packaging", "completions", file % "rollcall-tail")
            tail = re.sub(r"[\s\\]+", " ", tail)
            self.assertIn(" ".join(senders()), tail)
            self.assertIn(" ".join(kinds()), tail)
            self.assertIn(" ".join(players), text_of("packaging", "completions", file % "rollcall-bench"))

    def test_shells_take_them(self):
        for name in PROGRAMS:
            for shell, option, file in (("bash", "-n", name + ".bash"), ("zsh", "-n", "_" + name),
                                        ("fish", "--no-execute", name + ".fish")):
                if shutil.which(shell):
                    done = run(shell, option, os.path.join(COMPLETIONS, file))
                    self.assertEqual((done.returncode, done.stderr), (0, ""), file)


class Package(unittest.TestCase):
    """What ./dev deb builds from, as far as it shows without building it."""

    def test_scripts_parse(self):
        for shell, path in (("bash", "make-deb"), ("bash", "try-deb"), ("sh", "debian/rollcall.postinst"),
                            ("sh", "debian/rollcall.postrm")):
            done = run(shell, "-n", os.path.join(ROOT, "packaging", path))
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)

    def test_one_version(self):
        version = re.search(r"version: '([^']+)'", text_of("meson.build")).group(1)
        for name in PROGRAMS:
            self.assertEqual(run(built(name), "--version").stdout, "%s %s\n" % (name, version))
        for directory, _, names in os.walk(os.path.join(ROOT, "packaging")):
            for name in names:
                self.assertNotIn(version, text_of(directory, name), (directory, name))

    def test_one_licence(self):
        self.assertIn("license: 'Apache-2.0'", text_of("meson.build"))
        self.assertRegex(text_of("LICENSE"), r"Apache License\s+Version 2\.0")
        ours = re.search(r"\nFiles: \*\n(.*?)\n\n", text_of("packaging", "debian", "copyright"), re.S)
        self.assertIn("License: Apache-2.0", ours.group(1))

    def test_builds_with_what_the_tree_builds_with(self):
        """Beside what every Debian package is built with, and what only tests need."""
        listed = set(re.sub(r"#.*", "", text_of("deps", "build.apt")).split())
        listed -= {"gcc", "g++", "libc6-dev", "libcmocka-dev", "openssl"}
        control = text_of("packaging", "debian", "control")
        named = re.search(r"Build-Depends:(.*?)\n\S", control, re.S).group(1)
        self.assertEqual(set(re.findall(r"^ ([\w.+-]+)", named, re.M)) - {"debhelper-compat"}, listed)


if __name__ == "__main__":
    unittest.main()
