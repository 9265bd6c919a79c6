"""Each sender with its own secret, over HTTPS: what it is answered, and what becomes of its events."""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

ENDPOINTS = """
[endpoint cisco]
path = /meraki
provider = meraki
secret = old-secret
secret = s3cret
validator = 5a1b2c

[endpoint pn]
path = /pubnub/unguessable
provider = pubnub

[endpoint bt]
path = /bt/unguessable
provider = bt

[endpoint juniper]
path = /mist
provider = mist
secret = s3cret

[endpoint signed]
path = /signed
provider = json
auth = hmac-sha256 X-Signature base64
secret = s3cret

[endpoint standard]
path = /standard
provider = json
auth = standard-webhooks
secret = whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
"""

MERAKI = {"version": "2.1", "secret": "s3cret", "type": "DevicesSeen", "data": {
    "apMac": "00:18:0a:13:dd:b0", "apTags": ["door"], "observations": [
        {"clientMac": "18:fe:34:fc:5a:7f", "ipv4": "/192.0.2.38", "seenEpoch": 1474675583,
         "seenTime": "2016-09-24T00:06:23Z", "rssi": 47, "location": None}]}}


class Senders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(endpoints=ENDPOINTS, server="max_unauthenticated_body_bytes = 64K\n"
                                                    "max_unauthenticated_total = 100K\n")

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None)

    def last(self):
        return events(self.node)[-1]

    def test_meraki(self):
        peer = Peer(tls(self.node.port))
        peer.send(b"GET /meraki HTTP/1.1\r\nHost: a\r\n\r\n")
        response = peer.response()
        peer.close()
        self.assertEqual((response.status, response.body, response.headers["content-type"]),
                         (200, b"5a1b2c", "text/plain"))
        self.assertEqual(post(self.node, "/meraki", MERAKI).json()["accepted"], 1)
        line = self.last()
        self.assertEqual((line["provider"], line["kind"], line["rssi"]), ("meraki", "seen", -48))
        self.assertEqual(post(self.node, "/meraki", MERAKI).json()["duplicates"], 1)
        for wrong in (dict(MERAKI, secret="s3cre"), {k: v for k, v in MERAKI.items() if k != "secret"}):
            response = post(self.node, "/meraki", wrong)
            self.assertEqual(response.status, 401)
            self.assertIn("www-authenticate", response.headers)

    def test_bt_gets_its_header_on_every_answer(self):
        visit = {"client": {"mac": "00-01-02-03-04-05"}, "company": {"id": 999},
                 "session": {"authenticationTime": "2018-01-18T13:27:08+0000"},
                 "user": {"id": 77, "provider": "Form", "visitCountsForVenues": {"888": 7}},
                 "venue": {"id": 888, "latitude": "53.4857388", "longitude": "-2.0999813"}}
        head = b" /bt/unguessable HTTP/1.1\r\nHost: a\r\n\r\n"
        path = "/bt/unguessable"
        cases = [(b"GET" + head, 200), (b"HEAD" + head, 200), (b"PUT" + head, 405),
                 (post_bytes(path, b""), 200), (post_bytes(path, b"{}"), 200),
                 (post_bytes(path, json.dumps(visit).encode()), 200),
                 (post_bytes(path, b"not JSON"), 200),
                 (post_bytes(path, b"{}", ["Content-Encoding: br"]), 415),
                 (post_bytes(path, b"{}", ["Expect: x"]), 417)]
        peer = Peer(tls(self.node.port))
        for data, status in cases:
            peer.send(data)
            response = peer.response(head=data.startswith(b"HEAD"))
            self.assertEqual(response.status, status, data)
            self.assertEqual(response.headers.get("wifiwebhooklistener"), "1", data)
        peer.close()
        peer = Peer(tls(self.node.port))
        peer.send(post_bytes(path, b"").replace(b"Length: 0", b"Length: 99999999999"))
        response = peer.response()
        self.assertEqual((response.status, response.headers.get("wifiwebhooklistener")), (413, "1"))
        peer.close()
        logins = [line for line in events(self.node) if line["provider"] == "bt"]
        self.assertEqual([line["kind"] for line in logins], ["login", "unreadable"])
        self.assertEqual(logins[0]["venue"], {"id": "888", "lat": 53.4857388, "lng": -2.0999813})
        self.assertNotIn("wifiwebhooklistener", post(self.node, "/signed", b"{}").headers)

    def test_mist(self):
        body = json.dumps({"topic": "zone", "events": [
            {"site_id": "s", "map_id": "m", "zone_id": "z", "trigger": "enter",
             "timestamp": 1461220784.25, "type": "wifi", "mac": "5684dae9ac8b"}]}).encode()
        v2 = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        v1 = hmac.new(b"s3cret", body, hashlib.sha1).hexdigest()
        self.assertEqual(post(self.node, "/mist", body).status, 401)
        response = post(self.node, "/mist", body, ["X-Mist-Signature-v2: " + v2])
        self.assertEqual(response.json()["accepted"], 1)
        line = self.last()
        self.assertEqual((line["kind"], line["client"]["mac"], line["time"]),
                         ("zone-enter", "56:84:da:e9:ac:8b", "2016-04-21T06:39:44.250Z"))
        response = post(self.node, "/mist", body, ["X-Mist-Signature: " + v1])
        self.assertEqual(response.json()["duplicates"], 1)

    def test_no_secret_gets_out(self):
        post(self.node, "/meraki", MERAKI)
        post(self.node, "/meraki", dict(MERAKI, data={"observations": 7}))
        text = get(self.node, "/v1/events?from=oldest&follow=0").body.decode()
        for secret in ("s3cret", "old-secret", "unguessable", "MfKQ9r8G"):
            self.assertNotIn(secret, text)
            self.assertNotIn(secret, "".join(line or "" for line in self.node.log))

    def test_pubnub(self):
        join = {"action": "join", "sub_key": "sub-c-0", "channel": "lacrosse", "uuid": "u-1",
                "timestamp": 1440568311, "occupancy": 1, "data": {"foo": "bar"}}
        self.assertEqual(post(self.node, "/pubnub/unguessable", join).json()["accepted"], 1)
        line = self.last()
        self.assertEqual((line["kind"], line["tenant"], line["data"]),
                         ("join", "sub-c-0", {"foo": "bar"}))
        self.assertEqual(line["channel"], {"name": "lacrosse", "uuid": "u-1", "occupancy": 1})
        for _ in range(3):  # its retries
            self.assertEqual(post(self.node, "/pubnub/unguessable", join).json()["duplicates"], 1)

    def test_what_pubnub_sends_is_kept_though_it_cannot_be_read(self):
        before = len(events(self.node))
        for body in (b"{'action': 'join'}", b"[1,2", b"{}"):
            self.assertEqual(post(self.node, "/pubnub/unguessable", body).status, 200)
            line = self.last()
            self.assertEqual((line["kind"], line["data"]), ("unreadable", body.decode()))
        self.assertEqual(len(events(self.node)), before + 3)

    def test_signed_bodies(self):
        body = b'{"signed": true}'
        good = base64.b64encode(hmac.new(b"s3cret", body, hashlib.sha256).digest()).decode()
        self.assertEqual(post(self.node, "/signed", body, ["X-Signature: " + good]).status, 200)
        self.assertEqual(post(self.node, "/signed", body + b" ", ["X-Signature: " + good]).status, 401)
        self.assertEqual(post(self.node, "/signed", body).status, 401)

    def test_standard_webhooks(self):
        key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

        def deliver(offset):
            stamp = str(int(time.time()) + offset)
            text = b"msg_1." + stamp.encode() + b".{}"
            signature = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
            return post(self.node, "/standard", b"{}", [
                "webhook-id: msg_1", "webhook-timestamp: " + stamp,
                "webhook-signature: v1," + signature]).status
        self.assertEqual(deliver(0), 200)
        self.assertEqual(deliver(-400), 401)

    def test_unauthenticated_bodies_have_a_bound(self):
        head = ("POST /signed HTTP/1.1\r\nHost: a\r\nX-Signature: x\r\nContent-Length: %d\r\n\r\n")
        peers = [Peer(tls(self.node.port)) for _ in range(3)]
        peers[0].send((head % (64 * 1024 + 1)).encode())
        self.assertEqual(peers[0].response().status, 413)
        peers[1].send((head % (64 * 1024)).encode())  # under way: 64 of the 100 KiB are taken
        deadline = time.monotonic() + DEADLINE
        while True:
            peers[2].send((head % (64 * 1024)).encode() + b"x" * (64 * 1024))
            response = peers[2].response()
            if response.status == 503:
                break
            self.assertEqual(response.status, 401)  # the other's head was not read yet
            self.assertLess(time.monotonic(), deadline)
        self.assertIn("retry-after", response.headers)
        peers[1].close()  # gives them back
        while True:
            peers[2].send((head % (64 * 1024)).encode() + b"x" * (64 * 1024))
            if peers[2].response().status == 401:
                break
            self.assertLess(time.monotonic(), deadline)
        for peer in peers:
            peer.close()


if __name__ == "__main__":
    unittest.main()
