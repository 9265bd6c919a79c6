"""The house's rules that a compiler does not check: who may include what, and what is C++."""
import os
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCE = os.path.join(ROOT, "src")
WITH_LOOP = {"main", "server", "server_internal", "server_reload", "conn", "sync", "ops", "feed", "feed_door", "feed_internal", "feed_readers", "rest"}


def sources():
    for directory, _, names in os.walk(SOURCE):
        for name in names:
            if re.search(r"\.(c|h|cc)$", name):
                yield os.path.relpath(os.path.join(directory, name), SOURCE)


def text_of(name):
    with open(os.path.join(SOURCE, name)) as text:
        return text.read()


class Layers(unittest.TestCase):
    def test_no_io_below_the_connections(self):
        seen = set()
        for name in sources():
            module = name.split("/")[0] if "/" in name else name.split(".")[0]
            if module not in WITH_LOOP:
                seen.add(module)
                self.assertIsNone(re.search(r'#include\s*[<"]uv\.h', text_of(name)), name)
        self.assertGreater(len(seen), 15)  # the walk found the tree

    def test_utilities_know_nothing_above_them(self):
        for name in sources():
            if name.startswith("util/"):
                for included in re.findall(r'#include\s*"([^"]+)"', text_of(name)):
                    self.assertTrue(included.startswith("util/"), (name, included))

    def test_senders_know_no_transport(self):
        for name in sources():
            if name.startswith("sender"):
                for included in re.findall(r'#include\s*"([^"]+)"', text_of(name)):
                    self.assertNotIn(included, ("http.h", "conn.h", "ring.h", "server.h", "feed.h"), name)

    def test_one_file_of_cxx(self):
        self.assertEqual([name for name in sources() if name.endswith(".cc")], ["json.cc"])

    def test_only_the_log_and_the_programs_write_to_stderr(self):
        for name in sources():  # tail*.c are the parts of one program
            if (name not in ("log.c", "main.c", "probe_setup.c", "forward.c", "forward_options.c")
                    and not name.startswith("tail")):
                self.assertNotIn("stderr", re.sub(r"/\*.*?\*/", "", text_of(name), flags=re.S), name)

    def test_nothing_unfinished(self):
        for name in sources():
            self.assertIsNone(re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text_of(name)), name)


if __name__ == "__main__":
    unittest.main()
