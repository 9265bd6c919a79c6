#!/usr/bin/env python3
"""`./dev hostile`: the attacks of attacks.py at their whole size, against a node of the build that --build
names. Ends with a line for each; status 1 where one found something."""
import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def make_environment(build, directory):
    """What test/blackbox/node.py wants to know."""
    certificate, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-out", certificate, "-keyout", key, "-days", "30", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    os.environ.update(ROLLCALLD=os.path.join(build, "src", "rollcalld"), ROLLCALL_TEST_CERT=certificate,
                      ROLLCALL_TAIL=os.path.join(build, "src", "rollcall-tail"),
                      ROLLCALL_BENCH=os.path.join(build, "bench", "rollcall-bench"),
                      ROLLCALL_TEST_KEY=key)
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")


def show(done, of):
    if sys.stderr.isatty():
        print("\r%d of %d " % (done, of), end="\r" if done < of else "\n", file=sys.stderr, flush=True)


def read_options():
    parser = argparse.ArgumentParser(prog="./dev hostile", description=(
        "Attacks a node of its own as the internet does. Without an option: a million mutated TLS "
        "handshakes."))
    parser.add_argument("handshakes", nargs="?", type=int, metavar="N",
                        help="so many mutated TLS handshakes")
    parser.add_argument("--slow", type=int, metavar="N", help="N slow connections at once")
    parser.add_argument("--drain", type=int, metavar="N", help="stop a node under load N times")
    parser.add_argument("--memory", type=int, metavar="N", help=(
        "N idle connections, then N / 10 bodies of 1 MiB at once: memory against the formula"))
    parser.add_argument("--seconds", type=int, default=60, help="how long --slow takes (60)")
    parser.add_argument("--seed", type=int, default=1, help="of what is by chance (1)")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not (options.handshakes or options.slow or options.drain or options.memory):
        options.handshakes = 1000000
    return options


def main():
    options = read_options()
    with tempfile.TemporaryDirectory(prefix="rollcall-") as directory:
        make_environment(os.path.abspath(options.build), directory)
        sys.path.insert(0, HERE)
        import attacks  # it reads the environment
        chosen = [(options.handshakes, lambda n: attacks.handshakes(n, options.seed, show)),
                  (options.slow, lambda n: attacks.slow(n, options.seconds, show)),
                  (options.drain, lambda n: attacks.drain(n, options.seed, show)),
                  (options.memory, lambda n: attacks.memory(n, show))]
        for size, attack in chosen:
            if not size:
                continue
            try:
                print("hostile: " + attack(size), flush=True)
            except AssertionError as error:
                print("hostile: FAILED: %s" % error, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(1)
