"""Privacy, seen from outside: of the people in what senders post, nothing is in the ring's memory, in
what readers get, or in the log; and nodes that share a key agree."""
import datetime
import hashlib
import hmac
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRIVACY_KEY = "0123456789abcdef"

ENDPOINTS = "".join("\n[endpoint %s]\npath = /%s\nprovider = %s\n%s" % (name, name, name, rest)
                    for name, rest in (("aerohive", "secret = test-token\n"), ("bt", ""),
                                       ("meraki", "secret = quiet-harbour\n"),
                                       ("mist", "auth = none\n"), ("pubnub", ""),
                                       ("json", "auth = none\n")))

BODIES = [
    ("aerohive", [{"apMac": "08EA44A1B2C0", "ownerId": 2718, "observations": [
        {"clientMac": "A0D795114F3C", "ipv4": "10.20.0.41", "ipv6": "fe80::a2d7:95ff:fe11:4f3c",
         "seenEpoch": 1767607918123, "rssi": -87, "hint": "dhcp a0d7.9511.4f3c"}]}]),
    ("bt", {"client": {"mac": "A0-D7-95-11-4F-3C", "userAgent": "Mozilla/5.0"},
            "company": {"id": 4210}, "session": {"authenticationTime": "2026-01-05T10:11:58+0000"},
            "user": {"dateOfBirth": "1987-03-14", "email": "Ada@Harbour.example", "id": 90017,
                     "firstName": "Augusta", "lastName": "Lovelace", "mobile": "+44700900"},
            "venue": {"id": 311}}),
    ("meraki", {"version": "3.0", "secret": "quiet-harbour", "type": "WiFi", "data": {
        "networkId": "N_42", "observations": [
            {"clientMac": "a0:d7:95:11:4f:3c", "name": "Augustas-Phone", "ipv4": "10.20.0.41",
             "userId": "ada@harbour.example", "latestRecord": {"time": "2026-01-05T10:11:55Z"}}]}}),
    ("mist", {"topic": "guest-authorizations", "events": [
        {"client": "a0d795114f3c", "email": "ADA@harbour.example", "name": "Augusta Lovelace",
         "company": "Lovelace Engines", "site_id": "s", "authorized_time": 1767607900}]}),
    ("pubnub", {"action": "interval", "channel": "c", "sub_key": "k", "timestamp": 1767607918,
                "join": ["ada@harbour.example"], "data": {"a0d795114f3c": "Lovelace's"}}),
    ("json", {"visitor": {"name": "Augusta"}, "note": "ask ada@harbour.example, a0:d7:95:11:4f:3c"}),
]
UNREADABLE = [("bt", b"{\"user\":{\"email\":\"ada@harbour.example\",\"firstName\":\"Augusta\","),
              ("pubnub", b"{'uuid': 'Lovelace', 'mac': 'a0d795114f3c'}"), ("bt", b"[\"Augusta\"]")]
# Without what MAC addresses are parted by, in lower case.
PEOPLE = [b"a0d795114f3c", b"95fffe114f3c", b"ada@harbour", b"augusta", b"mozilla", b"19870314",
          b"90017", b"+44700900", b"10200041"]


def settings(mac, personal, key=PRIVACY_KEY):
    return "[privacy]\nmac = %s\npersonal = %s\nkey = %s\nrotate = 24h\n" % (mac, personal, key)


def plain(data):
    return re.sub(rb"[-:. \0]", b"", data).lower()


def ring_memory(node):
    """All of the ring: what readers get, and what was aborted or never pushed."""
    found = b""
    with open("/proc/%d/maps" % node.process.pid) as maps, \
            open("/proc/%d/mem" % node.process.pid, "rb") as memory:
        for row in maps:
            if "rollcall-ring" in row:
                start, end = (int(part, 16) for part in row.split(" ")[0].split("-"))
                memory.seek(start)
                found += memory.read(end - start)
    return found


def post_all(node):
    for name, body in BODIES:
        response = post(node, "/" + name, body, TOKEN if name == "aerohive" else ())
        assert response.status == 200 and response.json()["accepted"] == 1, (name, response)
    for name, body in UNREADABLE:
        assert post(node, "/" + name, body).status == 200, body
    # refused: these say why, and to the log where
    for name, body in (("mist", b"{\"ada@harbour.example\":\"Augusta\"}"), ("json", b"\"Augusta"),
                       ("meraki", b"{\"secret\":\"quiet-harbour\",\"user\":\"Augusta\"}")):
        assert post(node, "/" + name, body).status in (400, 422), body


class Privacy(unittest.TestCase):
    def node(self, *modes):
        return Node(server="max_unauthenticated_body_bytes = 64K\nmax_unauthenticated_total = 1M",
                    rest="[ring]\nsize = 256K\n[log]\nlevel = debug\n" +
                    (settings(*modes) if modes else ""), endpoints=ENDPOINTS)

    def test_nobody_is_in_the_ring_or_in_the_log(self):
        for modes in (("pseudonym", "pseudonym"), ("drop", "drop"), ("drop", "pseudonym")):
            with self.node(*modes) as node:
                post_all(node)
                memory = plain(ring_memory(node))
                lines = events(node)
            log = plain("\n".join(line or "" for line in node.log).encode())
            self.assertEqual(len(lines), len(BODIES) + len(UNREADABLE))
            self.assertIn(b"guestauthorizations", memory)  # it was the ring that was searched
            for who in PEOPLE:
                self.assertNotIn(who, memory, modes)
                self.assertNotIn(who, log, modes)
            self.assertNotIn(b"lovelace", memory.replace(b"lovelace's", b""), modes)

    def test_people_alone(self):
        with self.node("plain", "drop") as node:
            post_all(node)
            memory = plain(ring_memory(node))
        for who in b"ada@harbour", b"augusta", b"19870314":
            self.assertNotIn(who, memory)
        self.assertIn(b"a0d795114f3c", memory)

    def test_all_of_it_is_there_without(self):
        with self.node() as node:
            post_all(node)
            memory = plain(ring_memory(node))
        for who in PEOPLE + [b"lovelace"]:
            if who != b"95fffe114f3c" and who != b"10200041":  # zeros of IPv6; a point less
                self.assertIn(who, memory)

    def test_pseudonyms(self):
        with self.node("pseudonym", "pseudonym") as node:
            post_all(node)
            lines = events(node)
            received = lines[0]["received"]
            mac = lines[0]["client"]["mac"]
            days = {line["received"][:10] for line in lines}
        if len(days) > 1:
            self.skipTest("midnight was in between")
        by_name = {line["provider"]: line for line in lines if line["kind"] != "unreadable"}
        self.assertEqual(mac, expected_mac(received, "a0d795114f3c"))
        for name in ("aerohive", "bt", "meraki", "mist"):
            self.assertEqual(by_name[name]["client"]["mac"], mac, name)
            self.assertFalse(by_name[name]["client"]["randomized"])
            self.assertNotIn("ipv4", by_name[name]["client"])
        ada = by_name["bt"]["user"]["email"]
        self.assertRegex(ada, "^p-[0-9a-f]{16}$")
        self.assertEqual(by_name["meraki"]["user"]["id"], ada)
        self.assertEqual(by_name["mist"]["user"]["email"], ada)
        self.assertEqual(by_name["pubnub"]["channel"]["joined"], [ada])
        self.assertEqual(by_name["json"]["data"]["note"], "ask %s, %s" % (ada, mac))
        self.assertNotIn("birth_date", by_name["bt"]["user"])
        for line in lines:
            if line["kind"] == "unreadable":
                self.assertNotIn("data", line)
                self.assertTrue(line["extra"]["withheld"])

    def test_repeats_and_ids(self):
        with self.node("pseudonym", "drop") as one, self.node("pseudonym", "drop") as two, \
                self.node("drop", "keep", "another key of sixteen") as other, self.node() as open_one:
            ids = []
            for node in (one, two, other, open_one):
                name, body = BODIES[1]
                self.assertEqual(post(node, "/" + name, body).json()["accepted"], 1)
                self.assertEqual(post(node, "/" + name, body).json()["duplicates"], 1)
                ids.append(events(node)[0]["id"])
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(len(set(ids)), 3)


def expected_mac(received, mac):
    """The pseudonym as the header describes it, computed here."""
    def mac_of(key, message):
        return hmac.new(key, message, hashlib.sha256).digest()
    day = datetime.date.fromisoformat(received[:10]) - datetime.date(1970, 1, 1)
    master = mac_of(PRIVACY_KEY.encode(), b"rollcall privacy")
    key = mac_of(master, b"period" + day.days.to_bytes(8, "big"))
    octets = bytearray(mac_of(key, b"mac:" + bytes.fromhex(mac))[:6])
    octets[0] = (octets[0] | 2) & 0xfe
    return octets.hex(":")


if __name__ == "__main__":
    unittest.main()
