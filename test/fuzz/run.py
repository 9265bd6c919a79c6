#!/usr/bin/env python3
"""Runs the fuzzers that are built in BUILD, each for some seconds, as many at once as there are
processors, and says in one table what came of it. What they have learned stays in BUILD/corpus; an
input that ends one of them is kept in test/fuzz/corpus, so that every later test run meets it.

usage: run.py BUILD [--seconds N] [--merge] [NAME...]
  --merge   instead: of the kept corpus and what was learned, keep the smallest set of inputs that
            reaches all that they reach together"""
import argparse
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CORPUS = os.path.join(HERE, "corpus")
MAX_BYTES = 4096      # of an input
MAX_KEPT_BYTES = 2048  # of a kept one; larger ones slow every test run down
MAX_KEPT = 16         # files of one fuzzer that --merge keeps
DICTIONARIES = {"http": "http", "conn": "http", "feed": "http", "config": "config", "event": "json",
                "json": "json"}


def names(build):
    folder = os.path.join(build, "test", "fuzz")
    return sorted(n[len("fuzz-"):] for n in os.listdir(folder)
                  if n.startswith("fuzz-") and os.access(os.path.join(folder, n), os.X_OK)
                  and os.path.isfile(os.path.join(folder, n)))


def seeds(name):
    """The directories that a fuzzer begins with."""
    found = [os.path.join(CORPUS, name)]
    if name.startswith("sender-"):
        found.append(os.path.join(ROOT, "test", "data", name[len("sender-"):]))
    os.makedirs(found[0], exist_ok=True)
    return found


def environment(build):
    test = os.path.join(build, "test")
    return dict(os.environ,
                ROLLCALL_TEST_CERT=os.path.join(test, "test-cert.pem"),
                ROLLCALL_TEST_KEY=os.path.join(test, "test-key.pem"),
                ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1",
                UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")


def command(build, name, options):
    dictionary = DICTIONARIES.get(name, "json" if name.startswith("sender-") else None)
    found = [os.path.join(build, "test", "fuzz", "fuzz-" + name), "-max_len=%d" % MAX_BYTES,
             "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", *options]
    if dictionary:
        found.append("-dict=" + os.path.join(HERE, dictionary + ".dict"))
    return found


class Result:
    def __init__(self, name, output, findings, failed):
        self.name, self.output, self.findings, self.failed = name, output, findings, failed
        runs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", output)
        self.runs = int(runs[-1]) if runs else 0
        edges = re.findall(r"cov: (\d+)", output)
        self.edges = int(edges[-1]) if edges else 0
        self.edges_before = next((int(n) for n in re.findall(r"INITED cov: (\d+)", output)), 0)
        last = re.findall(r"#(\d+)\s+NEW\s+cov", output)
        self.last_new = int(last[-1]) if last else 0

    def row(self):
        return "%-16s %12d %7d %6d %8d%%  %s" % (
            self.name, self.runs, self.edges, self.edges - self.edges_before,
            100 * self.last_new // self.runs if self.runs else 0,
            "%d CRASHED" % len(self.findings) if self.findings else
            "FAILED" if self.failed else "none")


def keep_findings(folder, name):
    kept = []
    for file in sorted(os.listdir(folder)):
        if file.startswith(("slow-unit", ".")):
            continue
        with open(os.path.join(folder, file), "rb") as found:
            data = found.read()
        kind = file.split("-")[0]  # crash, timeout, oom, leak
        target = os.path.join(CORPUS, name, "%s-%s" % (kind, hashlib.sha1(data).hexdigest()[:12]))
        shutil.copyfile(os.path.join(folder, file), target)
        kept.append(target)
    return kept


def fuzz(build, name, seconds):
    learned = os.path.join(build, "corpus", name)
    os.makedirs(learned, exist_ok=True)
    with tempfile.TemporaryDirectory() as artifacts:
        done = subprocess.run(
            command(build, name, ["-max_total_time=%d" % seconds,
                                  "-artifact_prefix=%s/" % artifacts]) + [learned, *seeds(name)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(build), cwd=ROOT)
        return Result(name, done.stderr.decode("utf-8", "replace"), keep_findings(artifacts, name),
                      done.returncode != 0)


def report(result):
    if not result.failed:
        return
    lines = result.output.splitlines()
    first = next((i for i, line in enumerate(lines)
                  if re.search(r"ERROR|runtime error|fuzz\S*\.c:\d+:|src/\S+:\d+:.*Assert", line)), 0)
    print("\n--- %s" % result.name)
    print("\n".join("    " + line[:400] for line in lines[first:first + 30]))
    for file in result.findings:
        print("kept: %s" % os.path.relpath(file, ROOT))


def run_all(options):
    results = []
    print("%-16s %12s %7s %6s %9s  %s" % ("fuzzer", "executions", "edges", "new", "last new",
                                          "findings"), flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for result in pool.map(lambda name: fuzz(options.build, name, options.seconds),
                               options.names):
            results.append(result)
            print(result.row(), flush=True)
    print("%-16s %12d" % ("all", sum(result.runs for result in results)))
    for result in results:
        report(result)
    return 1 if any(result.failed for result in results) else 0


def merge(build, name):
    """Replaces the kept corpus by a smaller one of the same reach. Findings and hand-made files of
    a name of their own stay as they are."""
    kept, learned = os.path.join(CORPUS, name), os.path.join(build, "corpus", name)
    os.makedirs(learned, exist_ok=True)
    before = [file for file in os.listdir(kept) if re.fullmatch(r"[0-9a-f]{40}", file)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as old:
        for file in before:
            shutil.move(os.path.join(kept, file), old)
        for file in os.listdir(kept):
            shutil.copyfile(os.path.join(kept, file), os.path.join(folder, file))
        base = set(os.listdir(folder))
        done = subprocess.run(
            command(build, name, ["-merge=1", "-max_len=%d" % MAX_KEPT_BYTES]) +
            [folder, *seeds(name)[1:], old, learned],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(build), cwd=ROOT)
        new = [f for f in os.listdir(folder) if f not in base]
        new = [f for f in new if not os.path.exists(os.path.join(seeds(name)[-1], f))]
        new.sort(key=lambda f: os.path.getsize(os.path.join(folder, f)))
        step = max(1, -(-len(new) // MAX_KEPT))
        for file in new[::step]:
            shutil.copyfile(os.path.join(folder, file), os.path.join(kept, file))
        print("%-16s %d kept of %d" % (name, len(os.listdir(kept)), len(base) + len(new)))
        return done.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--merge", action="store_true")
    options = parser.parse_intermixed_args()  # names may stand behind --seconds N
    options.build = os.path.abspath(options.build)
    known = names(options.build)
    options.names = options.names or known
    for name in options.names:
        if name not in known:
            parser.error("there is no fuzzer %s; there are: %s" % (name, " ".join(known)))
    if options.merge:
        return max(merge(options.build, name) for name in options.names)
    return run_all(options)


if __name__ == "__main__":
    sys.exit(main())
