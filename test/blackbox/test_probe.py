"""rollcalld --probe: against real nodes, where all is well, and against stand-ins that each have one
thing wrong."""
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

ENDPOINTS = """
[endpoint hq]
path = /presence/hq
provider = aerohive
secret = hq-secret
[endpoint meraki]
path = /presence/meraki
provider = meraki
secret = mer"aki\\secret
validator = a1b2c3
[endpoint mist]
path = /presence/mist
provider = mist
secret = mist-secret
[endpoint bt]
path = /presence/bt-unguessable
provider = bt
[endpoint pubnub]
path = /presence/pubnub-unguessable
provider = pubnub
[endpoint open]
path = /json/open
provider = json
auth = none
[endpoint header]
path = /json/header
provider = json
auth = header X-Key
secret = header-secret
[endpoint basic]
path = /json/basic
provider = json
auth = basic someone
secret = basic-secret
[endpoint query]
path = /json/query
provider = json
auth = query key
secret = query&secret=1
[endpoint body]
path = /json/body
provider = json
auth = body token
secret = body-secret
[endpoint hex]
path = /json/hex
provider = json
auth = hmac-sha256 X-Signature
secret = hex-secret
[endpoint base64]
path = /json/base64
provider = json
auth = hmac-sha256 X-Signature base64
secret = base64-secret
[endpoint standard]
path = /json/standard
provider = json
auth = standard-webhooks
secret = whsec_MDEyMzQ1Njc4OWFiY2RlZg==
"""
PATHS = {line.split(" = ")[1] for line in ENDPOINTS.splitlines() if line.startswith("path")}
SECRETS = [line.split(" = ", 1)[1] for line in ENDPOINTS.splitlines() if line.startswith("secret")]


def probe(*args, **options):
    return subprocess.run([ROLLCALLD, "--probe", *args], capture_output=True, text=True,
                          timeout=2 * DEADLINE, **options)


def openssl(directory, *args, **options):
    subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True, **options)


class Authority:
    """A root, an intermediate and leaves of it, in a directory of their own."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.path = lambda name: os.path.join(self.directory, name)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl(self.directory, "req", "-x509", *key, "-subj", "/CN=root", "-keyout", "root.key",
                "-out", "root.pem", "-days", "30")
        self.issue("middle", "root", "basicConstraints=critical,CA:TRUE")
        self.issue("leaf", "middle", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.issue("other", "middle", "subjectAltName=DNS:example.net")
        self.issue("soon", "middle", "subjectAltName=DNS:localhost", days="3")
        self.issue("past", "middle", "subjectAltName=DNS:localhost", days="-1")
        for leaf in ("leaf", "other", "soon", "past"):
            with open(self.path(leaf + "-chain.pem"), "wb") as out:
                for name in (leaf, "middle"):
                    with open(self.path(name + ".pem"), "rb") as part:
                        out.write(part.read())

    def issue(self, name, issuer, extension, days="20"):
        openssl(self.directory, "req", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name, "-keyout",
                name + ".key", "-out", name + ".csr")
        with open(self.path("extension"), "w") as out:
            out.write(extension)
        openssl(self.directory, "x509", "-req", "-in", name + ".csr", "-CA", issuer + ".pem",
                "-CAkey", issuer + ".key", "-CAcreateserial", "-days", days, "-extfile",
                "extension", "-out", name + ".pem")


class StandIn:
    """A TLS server that answers every request with what `answer(method, head, body)` says."""

    def __init__(self, answer, certificate, key, plain=False, latest=None):
        self.answer, self.plain = answer, plain
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.set_alpn_protocols(["http/1.1"])
        if latest:
            self.context.minimum_version = latest
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        sock = raw
        try:
            raw.settimeout(DEADLINE)
            if self.plain:  # what HTTP servers do with a ClientHello
                raw.recv(65536)
                raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            else:
                sock = self.context.wrap_socket(raw, server_side=True)
            peer = Peer(sock)
            while True:
                head = peer.until(b"\r\n\r\n").decode()
                found = [line for line in head.split("\r\n") if line.startswith("Content-Length")]
                body = peer.exactly(int(found[0].split(":")[1])) if found else b""
                peer.send(self.answer(head.split(" ")[0], head, body))
        except (OSError, EOFError):
            pass
        finally:
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def answer(status="200 OK", fields=(), body=b"{}"):
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body), *fields]
    return lambda method, head, got: ("\r\n".join(lines) + "\r\n\r\n").encode() + (
        b"" if method == "HEAD" else body)


class Real(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node(endpoints=ENDPOINTS)

    @classmethod
    def tearDownClass(cls):
        assert cls.node.stop() == 0
        shutil.rmtree(cls.node.directory)

    def url(self, path):
        return "https://localhost:%d%s" % (self.node.port, path)

    def test_every_sender_and_every_secret(self):
        for path in sorted(PATHS):
            with self.subTest(path):
                done = probe(self.url(path), "--config", self.node.config, "--ca", CERT)
                self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
                self.assertRegex(done.stdout, r"\n\d+ ok, 0 warnings, 0 failures\n\Z")
                for secret in SECRETS:
                    self.assertNotIn(secret, done.stdout)
                self.assertEqual("wrong secret" in done.stdout,
                                 "open" not in path and "unguessable" not in path)
        # Only what has no empty form has left events, and each can be told.
        kept = events(self.node)
        self.assertEqual({line["endpoint"] for line in kept},
                         {"open", "header", "basic", "query", "body", "hex", "base64", "standard"})
        for line in kept:
            self.assertTrue(line["data"]["rollcall_probe"])

    def test_without_a_configuration(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as secret:
            secret.write("hq-secret\n")
            secret.flush()
            done = probe(self.url("/presence/hq"), "--provider", "aerohive", "--secret-file",
                         secret.name, "--ca", CERT, "--connect", "127.0.0.1:%d" % self.node.port)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = probe(self.url("/presence/meraki"), "--provider", "meraki", "--secret-file",
                     os.devnull, "--ca", CERT)
        self.assertEqual(done.returncode, 2)
        self.assertIn("is empty", done.stderr)

    def expect_failure(self, url, line, *args):
        done = probe(url, *args)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^FAIL  %s$" % line)

    def test_what_the_node_says_no_to(self):
        self.expect_failure(self.url("/presence/nowhere"), r"GET +404, not 200: no endpoint has .*",
                            "--provider", "bt", "--ca", CERT)
        with tempfile.NamedTemporaryFile("w") as secret:
            secret.write("not-this-one")
            secret.flush()
            self.expect_failure(self.url("/presence/hq"), r"delivery +401, not 200: the node has .*",
                                "--provider", "aerohive", "--secret-file", secret.name, "--ca", CERT)
            self.expect_failure(self.url("/json/open"), r"wrong secret +200, not 401: .*",
                                "--provider", "json", "--auth", "header X-Key", "--secret-file",
                                secret.name, "--ca", CERT)
            self.expect_failure(self.url("/presence/meraki"),
                                r"GET +the answer is not the validator: .*", "--provider", "meraki",
                                "--secret-file", secret.name, "--validator", "other", "--ca", CERT)

    def test_a_pipe_gets_no_colour(self):
        self.assertNotIn("\033", probe(self.url("/json/open"), "--provider", "json", "--auth",
                                       "none", "--ca", CERT).stdout)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.path = staticmethod(cls.authority.path)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.authority.directory)

    def expect(self, line, server_answer=None, certificate="leaf-chain", key="leaf", ca="root",
               provider="pubnub", failures=1, code=1, args=(), **options):
        with StandIn(server_answer or answer(), self.path(certificate + ".pem"),
                     self.path(key + ".key"), **options) as server:
            done = probe("https://localhost:%d/x" % server.port, "--provider", provider, "--ca",
                         self.path(ca + ".pem"), *args)
        self.assertRegex(done.stdout, r"(?m)^%s$" % line)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if failures is not None:
            self.assertIn(" %d failures\n" % failures, done.stdout)

    def test_certificates(self):
        self.expect(r"ok    chain +2 long, to a known authority", failures=0, code=0)
        self.expect(r"FAIL  chain +the intermediate certificate is missing: .*", certificate="leaf")
        self.expect(r"FAIL  chain +self-signed: .*", certificate="root", key="root",
                    ca="other", failures=2)
        self.expect(r"FAIL  chain +the chain leads to no known authority", ca="other")
        self.expect(r"FAIL  host name +the certificate is not for localhost",
                    certificate="other-chain", key="other")
        self.expect(r"warn  expiry +the certificate ends in [23] days", certificate="soon-chain",
                    key="soon", failures=0, code=0)

    def test_an_expired_certificate(self):
        self.expect(r"FAIL  chain +a certificate has expired: renew it", certificate="past-chain",
                    key="past", failures=2)

    def test_redirects_and_strange_answers(self):
        self.expect(r"FAIL  delivery +301 to https://elsewhere/: senders do not follow .*",
                    answer("301 Moved Permanently", ["Location: https://elsewhere/"]))
        self.expect(r"FAIL  delivery +502, not 200: something else answers here.*\(Bad.Gateway\)",
                    answer("502 Bad Gateway", body=b"Bad\x1bGateway"))
        self.expect(r"FAIL  delivery +the answer is not HTTP: .*",
                    lambda method, head, body: b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        self.expect(r"FAIL  delivery +no answer: its body is longer than 64 KiB",
                    answer(body=b"x" * (64 * 1024 + 1)))
        self.expect(r"ok    delivery +200 x+\.\.\.", answer(body=b"x" * 64 * 1024), failures=0,
                    code=0)

    def test_what_senders_ask_for(self):
        self.expect(r"FAIL  delivery +the field `wifiWebhookListener: 1` is missing: .*",
                    provider="bt", failures=3)
        self.expect(r"ok    delivery +200 .*", answer(fields=["wifiwebhooklistener:1"]),
                    provider="bt", failures=0, code=0)

    def test_connections(self):
        self.expect(r"FAIL  TLS +no TLS connection: .*", plain=True)
        self.expect(r"FAIL  TLS 1.2 +no TLS connection: .*: older senders know nothing newer",
                    latest=ssl.TLSVersion.TLSv1_3)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        done = probe("https://localhost:%d/x" % port, "--provider", "pubnub")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"FAIL  connection +no TCP connection: Connection refused: ")
        done = probe("https://a..b/x", "--provider", "pubnub")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"FAIL  name +a\.\.b: ")

    def test_a_server_that_does_not_answer(self):
        released = threading.Event()

        def wait(method, head, body):
            released.wait(DEADLINE)
            return b""
        try:
            self.expect(r"FAIL  delivery +no answer: no answer in time", wait,
                        args=["--timeout", "1"])
        finally:
            released.set()


class Usage(unittest.TestCase):
    def expect(self, part, *args):
        done = probe(*args)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn(part, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_wrong_words(self):
        self.expect("is no https:// URL", "http://localhost/x", "--provider", "bt")
        self.expect("has no valid port", "https://localhost:0/x", "--provider", "bt")
        self.expect("has no valid host", "https:///x", "--provider", "bt")
        self.expect("whom to play?", "https://localhost/x")
        self.expect("--timeout wants 1 to 3600 seconds", "https://localhost/x", "--provider", "bt",
                    "--timeout", "0")
        self.expect("the configuration says provider", "https://localhost/x", "--provider", "bt",
                    "--config", "/nonexistent")
        self.expect("nonsense", "https://localhost/x", "--provider", "nonsense")
        self.expect("line break", "https://localhost/x", "--provider", "bt\n[ring]")
        self.expect("/nonexistent/rollcall.conf", "https://localhost/x", "--config",
                    "/nonexistent/rollcall.conf")
        with Node() as node:
            self.expect("no endpoint of", "https://localhost:1/other", "--config", node.config)
        done = subprocess.run([ROLLCALLD, "--provider", "bt"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--probe URL is missing", done.stderr)


if __name__ == "__main__":
    unittest.main()
