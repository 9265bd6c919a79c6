#!/usr/bin/env python3
"""What the tests reach of src/: a table of lines and branches a file, and the lines that no test came to.
Ends with 1 where less than 95 % of the lines or 90 % of the branches are reached, or where a line of
the core is not reached, or a branch of it not taken, that does not stand in test/uncovered.txt. Branches of
assertions are left out: no test is to reach their other side.

usage: coverage.py BUILD    (a tree built with -Db_coverage=true, its tests run)

test/uncovered.txt: a line each of FILE, tab, the line of source without its indentation, tab, why no
test reaches it; # begins a comment. Such a line stands for all that read like it in that file. For branches
of a line that is reached there is one column more, in front of the reason: which of how many, "2/2" or
"1,4/6", as gcov counts them (two for each condition, in the order of the code that the compiler makes)."""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIST = os.path.join(ROOT, "test", "uncovered.txt")
CORE = ["src/%s.c" % name for name in
        ("ring", "ring_file", "batch", "http", "conn", "ingest", "dedupe")]
LEAST_LINES, LEAST_BRANCHES = 95.0, 90.0


def measure(build):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "coverage.json")
        # A process that is killed while it writes may leave counters that make no sense.
        subprocess.run(["gcovr", "--root", ROOT, "--filter", os.path.join(ROOT, "src") + "/",
                        "--exclude-throw-branches", "--exclude-unreachable-branches",
                        "--exclude-branches-by-pattern", r".*\bassert\(.*",
                        "--gcov-ignore-parse-errors", "--json", out, "."],
                       cwd=build, check=True, stderr=subprocess.DEVNULL)
        with open(out) as file:
            return json.load(file)["files"]


def read_list():
    listed = {}
    with open(LIST) as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            parts = line.rstrip("\n").split("\t")
            if len(parts) == 3 and parts[2]:
                listed[parts[0], parts[1]] = False
            elif len(parts) == 4 and parts[3] and re.fullmatch(r"\d+(,\d+)*/\d+", parts[2]):
                which, count = parts[2].split("/")
                for branch in which.split(","):
                    listed[parts[0], parts[1], int(branch), int(count)] = False
            else:
                sys.exit("%s:%d: not FILE, tab, line, tab, perhaps branches and a tab, reason" % (
                    LIST, number))
    return listed


def percent(some, whole):
    return 100.0 * some / whole if whole else 100.0


class File:
    def __init__(self, found):
        self.name = found["file"]
        lines = {}
        branches = {}
        for line in found["lines"]:
            number = line["line_number"]
            if line.get("gcovr/noncode"):
                continue
            lines[number] = max(lines.get(number, 0), line["count"])
            if line["branches"]:
                branches[number] = [branch["count"] > 0 for branch in line["branches"]]
        self.missing = sorted(number for number, count in lines.items() if not count)
        self.not_taken = [(number, [i + 1 for i, is_taken in enumerate(taken) if not is_taken],
                           len(taken)) for number, taken in sorted(branches.items())
                          if lines[number] and not all(taken)]
        self.lines = len(lines)
        self.branches = sum(map(len, branches.values()))
        self.taken = sum(map(sum, branches.values()))

    def row(self):
        return "%-28s %6d %6.1f %% %8d %6.1f %%" % (
            self.name, self.lines, percent(self.lines - len(self.missing), self.lines),
            self.branches, percent(self.taken, self.branches))


def report_missing(files, listed):
    """Prints what was not reached; how many of these lines are the core's and not listed."""
    open_lines = 0
    for file in files:
        with open(os.path.join(ROOT, file.name)) as source:
            text = source.read().split("\n")
        for number in file.missing:
            line = text[number - 1].strip()
            note = ""
            if file.name in CORE:
                key = (file.name, line)
                note = "   (listed)" if key in listed else "   NOT LISTED in test/uncovered.txt"
                open_lines += key not in listed
                if key in listed:
                    listed[key] = True
            print("%s:%d: %s%s" % (file.name, number, line, note))
    return open_lines


def report_branches(files, listed):
    """The same for branches of the core's lines that were reached."""
    open_branches = 0
    for file in files:
        if file.name not in CORE:
            continue
        with open(os.path.join(ROOT, file.name)) as source:
            text = source.read().split("\n")
        for number, which, count in file.not_taken:
            line = text[number - 1].strip()
            new = []
            for branch in which:
                key = (file.name, line, branch, count)
                if key in listed:
                    listed[key] = True
                else:
                    new.append(branch)
            if new:
                open_branches += len(new)
                print("%s:%d: %s   NOT TAKEN and not listed: %s/%d" % (
                    file.name, number, line, ",".join(map(str, new)), count))
    return open_branches


def main():
    files = sorted((File(found) for found in measure(os.path.abspath(sys.argv[1]))),
                   key=lambda file: file.name)
    if not files:
        sys.exit("coverage: nothing was counted in %s" % sys.argv[1])
    listed = read_list()
    open_lines = report_missing(files, listed)
    open_branches = report_branches(files, listed)
    for key, is_used in sorted(listed.items(), key=str):
        if not is_used:
            print("listed, but reached, taken or gone: %s" % " ".join(map(str, key)))
    print("\n%-28s %6s %8s %8s %8s" % ("file", "lines", "reached", "branches", "reached"))
    for file in files:
        print(file.row())
    count = sum(file.lines for file in files)
    branches = sum(file.branches for file in files)
    lines_percent = percent(count - sum(len(file.missing) for file in files), count)
    branches_percent = percent(sum(file.taken for file in files), branches)
    print("%-28s %6d %6.1f %% %8d %6.1f %%" % ("all", count, lines_percent, branches,
                                               branches_percent))
    if open_lines:
        print("%d lines of the core are neither reached nor listed" % open_lines)
    if open_branches:
        print("%d branches of the core are neither taken nor listed" % open_branches)
    is_less = lines_percent < LEAST_LINES or branches_percent < LEAST_BRANCHES
    if is_less:
        print("less than %g %% of lines or %g %% of branches" % (LEAST_LINES, LEAST_BRANCHES))
    return 1 if open_lines or open_branches or is_less else 0


if __name__ == "__main__":
    sys.exit(main())
