"""usage: screenshots.py BUILD DOCS

Draws the pictures of the web page for the docs: a node of BUILD lives through half an hour of a venue in some
seconds (its clock is moved), then through a minute as it is, and a real browser looks at it. Takes about two
minutes; ./dev page --screenshots runs it."""
import os
import struct
import sys
import tempfile
import threading
import time

build, docs = sys.argv[1:3]
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(root)
os.environ.update(ROLLCALLD=build + "/src/rollcalld", ROLLCALL_TEST_CERT=build + "/test/test-cert.pem",
                  ROLLCALL_TEST_KEY=build + "/test/test-key.pem")
sys.path[:0] = [os.path.join(root, "test/blackbox"), os.path.join(root, "test/page")]
from page import *  # noqa: E402,F403
from venue_hour import MINUTES, venue_hour  # noqa: E402

SHIM = build + "/test/libshift-clock.so"
LIVE_S = 75
SIZE, PHONE_SIZE = (1280, 900), (390, 844)


def put_reader(node, name):
    peer = Peer(socket.socket(socket.AF_UNIX))
    peer.sock.connect(node.socket)
    peer.send(b"PUT /v1/readers/%s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % name.encode())
    peer.response()
    peer.close()


def live_through_the_past(node, move_to):
    """Half an hour, up to now."""
    begin = time.time() - MINUTES * 60
    moved = None
    for at, path, body in venue_hour(begin, SECRET):
        if at != moved:
            move_to(round(at - time.time()))
            moved = at
        node.post(path, body)
    move_to(0)


def go_on(node, until):
    """The last minutes again, at the pace of a clock, with what happens to senders."""
    last = {}
    for at, path, body in venue_hour(time.time() - MINUTES * 60, SECRET):
        last[path] = body
    count = 0
    while time.monotonic() < until:
        for path, body in last.items():
            if path in ("/cisco", "/juniper", "/hive"):
                text = json.dumps(body)
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
                text = re.sub(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", stamp, text)
                text = re.sub(r"\b1[2-9]\d{8}(?=(\d{3})?\b)", "%d" % time.time(), text)
                node.post(path, text.encode())
        count += 1
        if count % 6 == 0:
            node.post("/bt/unguessable", sample("bt/sample", 1767607918))  # BT sends it again
        if count == 4:
            node.post("/bt/unguessable", b"<html>502</html>")
        if count == 5:
            post(node, "/hive", b"[]", ("Authorization: Basic old-secret",))
        time.sleep(1.5)


def draw(page, name, size, view, top=True):
    page.resize(*size)
    page.show(view)
    if top:
        page.run("scrollTo(0, 0); document.activeElement?.blur()")
    page.wait_drawn()
    path = os.path.join(docs, name)
    data = page.screenshot(path)
    print("%s: %d KiB" % (path, len(data) // 1024))


def main():
    why = browser.missing()
    if why:
        sys.exit(why)
    with tempfile.NamedTemporaryFile() as clock:
        def move_to(seconds):
            clock.seek(0)
            clock.write(struct.pack("=q", seconds))
            clock.flush()
        move_to(-MINUTES * 60)
        with PageNode(env={"LD_PRELOAD": SHIM, "ROLLCALL_TEST_CLOCK": clock.name}) as node:
            live_through_the_past(node, move_to)
            put_reader(node, "billing")
            end = time.monotonic() + LIVE_S
            feeder = threading.Thread(target=go_on, args=(node, end), daemon=True)
            feeder.start()
            page = Page(node, net_log=False)
            try:
                page.find(hook("event-line"))
                feeder.join()
                draw(page, "page-venue.png", SIZE, "venue")
                draw(page, "page-node.png", SIZE, "node")
                page.prefer(dark=True)
                draw(page, "page-dark.png", SIZE, "venue")
                page.prefer()
                draw(page, "page-phone.png", PHONE_SIZE, "venue")
            finally:
                page.close()


main()
