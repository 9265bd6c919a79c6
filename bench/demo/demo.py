#!/usr/bin/env python3
"""Plays a venue to a node: people who arrive, roam between access points, log in and leave, as the platforms
of all senders would post them. Reads paths and secrets from the node's configuration. Invented data only.

usage: demo.py --config FILE [--port N] [--people N] [--seed N] [--speed N] [--duration SECONDS]
       demo.py --config FILE --print [--start UNIXTIME] --duration SECONDS

Runs until it is stopped (SIGINT, SIGTERM), --duration is over, or the process of --until has ended; a node that
goes away is tried again.
--print writes the posts as lines of JSON instead of sending them, by a clock of its own."""
import argparse
import configparser
import http.client
import json
import os
import random
import signal
import ssl
import sys
import time

from senders import SENDERS
from venue import Venue

STEP_S = 0.25


class Endpoint:
    def __init__(self, name, section):
        self.name, self.path, self.provider = name, section["path"], section["provider"]
        self.secret = section.get("secret", "")


class Target:
    """The node's address, its endpoints (the first of each provider), and whom to trust."""

    def __init__(self, path):
        config = configparser.ConfigParser(strict=False, interpolation=None, inline_comment_prefixes=(";",))
        with open(path) as source:
            config.read_file(source)
        server = config["server"]
        host, port = server["listen"].rsplit(":", 1)
        self.host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
        self.port, self.certificate = int(port), server["certificate"]
        self.endpoints = {}
        for title in config.sections():
            if title.startswith("endpoint "):
                endpoint = Endpoint(title.split(None, 1)[1], config[title])
                self.endpoints.setdefault(endpoint.provider, endpoint)


class Line:
    """One sender's connection; it is made anew when the node has gone."""

    def __init__(self, target, context):
        self.target, self.context, self.conn = target, context, None

    def send(self, endpoint, post):
        """The answer's status; None: nobody answers."""
        for _ in range(2):  # a connection that was kept may have ended meanwhile
            fresh = self.conn is None
            try:
                if fresh:
                    self.conn = http.client.HTTPSConnection(self.target.host, self.target.port, timeout=10,
                                                            context=self.context)
                self.conn.request("POST", endpoint.path, post.body,
                                  {"Content-Type": "application/json", **post.headers})
                answer = self.conn.getresponse()
                answer.read()
                return answer.status
            except (OSError, http.client.HTTPException):
                self.conn.close()
                self.conn = None
                if fresh:
                    return None


class Demo:
    def __init__(self, target, options, send):
        rng = random.Random(options.seed)
        self.send = send
        self.senders = [SENDERS[provider](endpoint, random.Random("%d %s" % (options.seed, provider)))
                        for provider, endpoint in sorted(target.endpoints.items()) if provider in SENDERS]
        self.venue = Venue(rng, options.people)
        self.waiting = []  # (when, sender, post): held back, or not answered yet
        self.first = True

    def step(self, seconds, now):
        if not self.first:  # those who were there at the opening arrive with the first step
            self.venue.step(seconds)
        self.first = False
        for sender in self.senders:
            for post in sender.posts(self.venue, now):
                self.waiting += [(now + post.late_s, sender, post)] * post.times
        due = [entry for entry in self.waiting if entry[0] <= now]
        self.waiting = [entry for entry in self.waiting if entry[0] > now]
        for _, sender, post in due:
            status = self.send(sender, post)
            if status is None or status >= 500:  # tries again as senders do, and gives up when there is too much
                self.waiting.append((now + 2, sender, post))
        del self.waiting[:-200]


def print_posts(target, options):
    def send(sender, post):
        print(json.dumps({"endpoint": sender.endpoint.name, "path": sender.endpoint.path, "headers": post.headers,
                          "body": post.body.decode()}))
        return 200
    demo = Demo(target, options, send)
    for i in range(int(options.duration / STEP_S)):
        demo.step(STEP_S, options.start + i * STEP_S)


def is_wanted(options, passed):
    if options.until:
        try:
            os.kill(options.until, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it is there, and another's
    return not options.duration or passed < options.duration


def run(target, options):
    context = ssl.create_default_context(cafile=target.certificate)
    context.check_hostname = False  # it is the very certificate of the node's configuration
    lines, counts, gone = {}, {}, False

    def send(sender, post):
        nonlocal gone
        line = lines.setdefault(sender.endpoint.name, Line(target, context))
        status = line.send(sender.endpoint, post)
        if status is None and not gone and is_wanted(options, 0):
            print("demo: nobody answers at %s:%d; trying on" % (target.host, target.port), file=sys.stderr)
        gone = status is None
        counts[status] = counts.get(status, 0) + 1
        return status
    demo = Demo(target, options, send)
    begin = time.monotonic()
    while is_wanted(options, time.monotonic() - begin):
        started = time.monotonic()
        demo.step(STEP_S * options.speed, time.time())
        time.sleep(max(0.0, STEP_S - (time.monotonic() - started)))
    said = ["%d posts %s" % (count, "answered with %d" % status if status else "not answered")
            for status, count in sorted(counts.items(), key=str)]
    print("demo: %s" % (", ".join(said) or "nothing was posted"), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--port", type=int, help="where the node listens, if not as the configuration says")
    parser.add_argument("--people", type=int, default=90, help="how many are there, about (90)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster they live than people do (1)")
    parser.add_argument("--duration", type=float, default=0, metavar="SECONDS", help="0: until it is stopped")
    parser.add_argument("--until", type=int, metavar="PID", help="end with that process")
    parser.add_argument("--print", action="store_true", dest="print_posts", help="the posts, instead of sending them")
    parser.add_argument("--start", type=float, default=1767607933.0, metavar="UNIXTIME", help="of --print")
    options = parser.parse_args()
    if options.people < 1 or options.speed <= 0 or options.duration < 0:
        parser.error("--people must be at least 1, --speed above 0, --duration not below 0")
    if options.print_posts and not options.duration:
        parser.error("--print needs a --duration")
    try:
        target = Target(options.config)
    except (OSError, KeyError, ValueError, configparser.Error) as problem:
        sys.exit("demo: %s is not a node's configuration: %s" % (options.config, problem))
    target.port = options.port or target.port
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        (print_posts if options.print_posts else run)(target, options)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
