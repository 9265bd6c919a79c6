#!/usr/bin/env python3
"""What a comparison of secrets takes must not tell how much of one was right: instructions, counted by
callgrind, of a post with a secret (or signature) that is wrong in its first, a middle, or its last byte.
They are the same to the instruction.

usage: secret_timing.py TEST-AUTH"""
import hashlib
import hmac
import re
import subprocess
import sys

SECRET = 5 * "0123456789abcdef"
SIGNATURE = hmac.new(SECRET.encode(), b"", hashlib.sha256).hexdigest()
OK, WRONG = 0, 3


def count(program, scheme, given):
    """The exit status, and the instructions of the whole process."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program,
                           scheme, given], capture_output=True, text=True, timeout=120, env={})
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return done.returncode, int(found[1])


def wrong_at(text, place):
    return text[:place] + ("z" if text[place] != "z" else "y") + text[place + 1:]


def main(program):
    failed = False
    for scheme, right in (("token", SECRET), ("header", SECRET), ("query", SECRET),
                          ("hmac", SIGNATURE)):
        status, _ = count(program, scheme, right)
        assert status == OK, (scheme, status)
        counts = {}
        for name, place in (("first", 0), ("middle", len(right) // 2), ("last", len(right) - 1)):
            status, counts[name] = count(program, scheme, wrong_at(right, place))
            assert status == WRONG, (scheme, name, status)
        even = len(set(counts.values())) == 1
        print("%s: %s: %s" % (scheme, "the same" if even else "NOT the same", counts))
        failed = failed or not even
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
