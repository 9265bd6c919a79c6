#!/usr/bin/env python3
"""gcc's -fanalyzer over the C sources of src/ and bench/, each with the options that BUILD compiles it
with. Ends with 1 where it warns.

usage: analyzer.py BUILD"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys

# gcc 12 takes memory that an intrusive list or a struct behind a pointer owns for lost: all seven that
# it found were. LeakSanitizer and valgrind look for lost memory in every test.
OFF = ["-Wno-analyzer-malloc-leak"]
# What writes files beside the object, or is another compiler's.
DROPPED_PAIRS = ("-MQ", "-MF", "-o")
DROPPED = ("-MD", "-c", "-flto", "-flto=auto")


def command(entry):
    words = shlex.split(entry["command"])
    while words and not words[0].startswith("-"):
        words.pop(0)  # the compiler, and ccache before it
    kept = ["gcc", "-fanalyzer", "-Werror", *OFF, "-fdiagnostics-color=never", "-S", "-o", "/dev/null"]
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in DROPPED_PAIRS:
            skip = True
        elif word not in DROPPED:
            kept.append(word)
    return kept


def analyze(entry):
    done = subprocess.run(command(entry), cwd=entry["directory"], capture_output=True, text=True)
    return done.returncode, done.stderr


def main():
    build = os.path.abspath(sys.argv[1])
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(build, "compile_commands.json")) as file:
        entries = json.load(file)
    wanted = {}
    for entry in entries:
        path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
        relative = os.path.relpath(path, root)
        if path.endswith(".c") and relative.startswith(("src/", "bench/")):
            wanted.setdefault(relative, entry)
    if not wanted:
        sys.exit("analyzer: %s compiles nothing of src/" % build)
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for status, text in pool.map(analyze, wanted.values()):
            failed = failed or status != 0
            sys.stderr.write(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
