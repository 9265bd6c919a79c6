"""SIGHUP: the configuration, its secrets and its certificates anew, all or nothing, connections kept.
And what --check says of certificates."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import *  # noqa: F403

LAB = "\n[endpoint lab]\npath = /presence/lab\nprovider = json\nauth = none\n"


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=DEADLINE)


def make_certificate(directory, name, issuer=None, ca=False):
    """DIRECTORY/NAME.pem and NAME.key, self-signed or by the issuer of that name; the paths."""
    cert, key = (os.path.join(directory, name + end) for end in (".pem", ".key"))
    args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-out", cert, "-keyout", key, "-days", "365", "-subj", "/CN=" + name,
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:" + ("TRUE" if ca else "FALSE")]
    if issuer:
        args += ["-CA", os.path.join(directory, issuer + ".pem"),
                 "-CAkey", os.path.join(directory, issuer + ".key")]
    openssl(*args)
    return cert, key


def tls_any(port):
    """A TLS connection that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), DEADLINE))


class Reloaded(Node):
    def rewrite(self, change):
        """Changes the file's text, sends SIGHUP, waits for what comes of it: true where it took."""
        with open(self.config) as text:
            before = text.read()
        after = change(before)
        assert after != before or change is same
        with open(self.config, "w") as out:
            out.write(after)
        return self.reload()

    def reload(self):
        count = len(self.outcomes())
        self.process.send_signal(signal.SIGHUP)
        with self.changed:
            assert self.changed.wait_for(
                lambda: len(self.outcomes()) > count or self.log[-1] is None, DEADLINE), self.log
        return "configuration reloaded" in self.outcomes()[count]

    def outcomes(self):
        return [line for line in self.log
                if line and ("configuration reloaded" in line or "reload failed" in line)]


def same(text):
    return text


class Configuration(unittest.TestCase):
    def test_endpoints_and_secrets_change_and_connections_stay(self):
        with Reloaded() as node:
            peer = Peer(tls(node.port))

            def ask(path, headers=()):
                peer.send(post_bytes(path, b"[]", headers))
                return peer.response().status
            self.assertEqual(ask("/presence/hq", TOKEN), 200)
            self.assertTrue(node.rewrite(
                lambda text: text.replace("secret = test-token", "secret = another")
                .replace("path = /presence/lab", "path = /presence/moved")))
            self.assertEqual(ask("/presence/hq", TOKEN), 401)
            self.assertEqual(ask("/presence/hq", ("Authorization: Basic another",)), 200)
            self.assertEqual(ask("/presence/lab"), 404)
            self.assertEqual(ask("/presence/moved"), 200)
            peer.close()

    def test_a_mistake_changes_nothing_and_is_named(self):
        with Reloaded() as node:
            self.assertFalse(node.rewrite(
                lambda text: text.replace("secret = test-token", "secret = another\nsecrte = x")
                .replace("auth = none", "auth = noone")))
            named = [line for line in node.log if "level=error msg=configuration " in line]
            self.assertEqual(len(named), 2, node.log)
            self.assertRegex(named[0], r'rollcall\.conf:\d+: unknown key \\"secrte\\"')
            self.assertRegex(named[1], r'rollcall\.conf:\d+: \\"auth\\" must be ')
            self.assertEqual(post(node, "/presence/hq", [], TOKEN).status, 200)
            self.assertTrue(node.rewrite(
                lambda text: text.replace("\nsecrte = x", "").replace("noone", "none")))
            self.assertEqual(post(node, "/presence/hq", [], TOKEN).status, 401)

    def test_what_needs_a_restart_is_refused(self):
        with Reloaded() as node:
            self.assertFalse(node.rewrite(
                lambda text: text.replace("[endpoint hq]", "[ring]\nsize = 1M\n[endpoint hq]", 1)))
            self.assertTrue(any(
                r'\"size\" in [ring] changes only when the node is restarted' in line
                for line in node.log if line), node.log)

    def test_the_file_is_gone(self):
        with Reloaded() as node:
            os.unlink(node.config)
            self.assertFalse(node.reload())
            self.assertEqual(post(node, "/presence/hq", [], TOKEN).status, 200)

    def test_a_request_under_way_ends_by_what_it_began_with(self):
        with Reloaded() as node:
            data = post_bytes("/presence/hq", b"[]", TOKEN)
            peer = Peer(tls(node.port))
            peer.send(data[:-1])
            other = Peer(tls(node.port))  # closed in the middle, after the reload
            other.send(data[:-1])
            # Whatever follows on the same loop comes after the two: the endpoint was looked up.
            self.assertEqual(post(node, "/presence/lab", {}).status, 200)
            self.assertTrue(node.rewrite(
                lambda text: text[:text.index("[endpoint hq]")] + LAB.replace("lab", "new")))
            other.close()
            peer.send(data[-1:])
            self.assertEqual(peer.response().status, 200)
            peer.send(data)
            self.assertEqual(peer.response().status, 404)
            peer.close()

    def test_limits_change(self):
        with Reloaded() as node:
            self.assertEqual(post(node, "/presence/lab", b'"' + b"x" * 2000 + b'"').status, 200)
            self.assertTrue(node.rewrite(
                lambda text: text.replace("[endpoint hq]", "max_body_bytes = 1K\n[endpoint hq]", 1)))
            self.assertEqual(post(node, "/presence/lab", b'"' + b"x" * 2000 + b'"').status, 413)

    def test_files_of_secrets_are_read_again(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "secret")
            with open(path, "w") as out:
                out.write("first\n")
            with Reloaded(endpoints="[endpoint hq]\npath = /presence/hq\nprovider = aerohive\n"
                                    "secret_file = %s\n" % path) as node:
                self.assertEqual(
                    post(node, "/presence/hq", [], ("Authorization: x first",)).status, 200)
                with open(path, "w") as out:
                    out.write("second")
                self.assertTrue(node.reload())
                self.assertEqual(
                    post(node, "/presence/hq", [], ("Authorization: x first",)).status, 401)
                self.assertEqual(
                    post(node, "/presence/hq", [], ("Authorization: x second",)).status, 200)
                os.unlink(path)
                self.assertFalse(node.reload())
                self.assertEqual(
                    post(node, "/presence/hq", [], ("Authorization: x second",)).status, 200)
                self.assertNotIn("second", "".join(line for line in node.log if line))

    def test_a_storm_under_load_loses_nothing(self):
        with Reloaded() as node:
            posted, started, done = [0], threading.Event(), threading.Event()

            def load():
                peer = Peer(tls(node.port))
                while not done.is_set():
                    peer.send(post_bytes("/presence/lab", b'{"n":%d}' % posted[0]))
                    assert peer.response().status == 200
                    posted[0] += 1
                    started.set()
                peer.close()
            thread = threading.Thread(target=load)
            thread.start()
            try:
                self.assertTrue(started.wait(DEADLINE))
                self.assertTrue(node.reload())
                fds = node.fds()
                for _ in range(100):
                    node.process.send_signal(signal.SIGHUP)
                self.assertTrue(node.reload())
                node.wait_fds(fds)  # the last of the storm may still be read
            finally:
                done.set()
                thread.join(DEADLINE)
            self.assertEqual([event["data"]["n"] for event in events(node)],
                             list(range(posted[0])))


class Certificates(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="rollcall-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.cert, self.key = make_certificate(self.directory, "first")

    def node(self):
        return Reloaded(server="", rest="", endpoints=LAB)

    def shown(self, node):
        """The certificate that a new connection is shown, as bytes."""
        with tls_any(node.port) as sock:
            return sock.getpeercert(binary_form=True)

    def test_a_new_pair_is_shown_to_new_connections(self):
        with self.node() as node:
            old = Peer(tls(node.port))
            before = self.shown(node)
            self.assertTrue(node.rewrite(
                lambda text: text.replace(CERT, self.cert).replace(KEY, self.key)))
            after = self.shown(node)
            self.assertNotEqual(before, after)
            old.send(post_bytes("/presence/lab", b"{}"))
            self.assertEqual(old.response().status, 200)
            old.close()
            # A key of another certificate: the good pair stays.
            other_cert, _ = make_certificate(self.directory, "second")
            shutil.copy(other_cert, self.cert)
            self.assertFalse(node.reload())
            self.assertTrue(any(line and self.key in line and "private key" in line
                                for line in node.log), node.log)
            self.assertEqual(self.shown(node), after)

    def test_files_that_change_are_read_again(self):
        """As certbot, and as Kubernetes, renew them: nobody sends a signal."""
        for name in ("one", "two"):
            os.mkdir(os.path.join(self.directory, name))
            made = make_certificate(os.path.join(self.directory, name), "pair")
            for path, end in zip(made, ("cert", "key")):
                os.rename(path, os.path.join(self.directory, name, end))
        live = os.path.join(self.directory, "live")
        os.symlink("one", live)
        pair = {end: os.path.join(live, end) for end in ("cert", "key")}
        with self.node() as node:
            self.assertTrue(node.rewrite(
                lambda text: text.replace(CERT, pair["cert"]).replace(KEY, pair["key"])))
            old = Peer(tls_any(node.port))
            first = self.shown(node)
            # A link above both.
            os.symlink("two", live + ".new")
            os.rename(live + ".new", live)
            node.wait_log("certificate read again")
            second = self.shown(node)
            self.assertNotEqual(first, second)
            # One file after the other: until the second is there, what was good stays.
            make_certificate(self.directory, "third")
            shutil.copy(os.path.join(self.directory, "third.pem"), pair["cert"])
            node.wait_log("cannot be used: the last ones stay")
            self.assertEqual(self.shown(node), second)
            os.unlink(pair["key"])
            self.assertEqual(self.shown(node), second)
            before = len(node.log)
            shutil.copy(os.path.join(self.directory, "third.key"), pair["key"])
            with node.changed:
                self.assertTrue(node.changed.wait_for(
                    lambda: any(line is None or "certificate read again" in line
                                for line in node.log[before:]), DEADLINE), node.log)
            self.assertNotIn(self.shown(node), (first, second))
            old.send(post_bytes("/presence/lab", b"{}"))
            self.assertEqual(old.response().status, 200)
            old.close()

    def config(self, cert, key, more=""):
        path = os.path.join(self.directory, "rollcall.conf")
        with open(path, "w") as out:
            out.write("[server]\nlisten = 127.0.0.1:0\nsocket = %s/s.sock\n"
                      "certificate = %s\nprivate_key = %s\n%s%s"
                      % (self.directory, cert, key, more, LAB))
        return path

    def check(self, *args):
        done = subprocess.run([ROLLCALLD, "--check", "--config", self.config(*args)],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr.replace(self.directory, "D")

    def chain(self, name, *names):
        path = os.path.join(self.directory, name)
        with open(path, "w") as out:
            for part in names:
                with open(os.path.join(self.directory, part + ".pem")) as text:
                    out.write(text.read())
        return path

    def test_check(self):
        self.assertEqual(self.check(self.cert, self.key), (0, ""))
        _, other_key = make_certificate(self.directory, "other")
        status, said = self.check(self.cert, other_key)
        self.assertEqual(status, 2)
        self.assertRegex(said, r"^D/rollcall\.conf:5: D/other\.key: no private key that belongs to "
                               r"the certificate .*\n$")
        status, said = self.check(self.key, self.key)
        self.assertEqual(status, 2)
        self.assertRegex(said, r"^D/rollcall\.conf:4: D/first\.key: no certificate chain .*\n$")
        status, said = self.check(self.cert, self.key, "client_ca = %s\n" % self.key)
        self.assertEqual(status, 2)
        self.assertRegex(said, r"^D/rollcall\.conf:6: D/first\.key: no certificates .*\n$")

    def test_check_of_chains(self):
        make_certificate(self.directory, "root", ca=True)
        make_certificate(self.directory, "middle", issuer="root", ca=True)
        _, key = make_certificate(self.directory, "leaf", issuer="middle")
        self.assertEqual(self.check(self.chain("good", "leaf", "middle"), key), (0, ""))
        self.assertEqual(self.check(self.chain("whole", "leaf", "middle", "root"), key), (0, ""))
        status, said = self.check(self.chain("alone", "leaf"), key)
        self.assertEqual(status, 0)
        self.assertRegex(said, r"^D/rollcall\.conf:4: warning: the certificate of /CN=leaf stands "
                               r"alone.*\n$")
        status, said = self.check(self.chain("holed", "leaf", "root"), key)
        self.assertEqual(status, 2)
        self.assertRegex(said, r"^D/rollcall\.conf:4: the certificate of /CN=leaf was not issued by "
                               r".*\n$")

    def test_clients_show_a_certificate_where_client_ca_is_set(self):
        ca, ca_key = make_certificate(self.directory, "clients", ca=True)
        cert, key = make_certificate(self.directory, "client", issuer="clients")
        with Reloaded(server="client_ca = %s\n" % ca, endpoints=LAB) as node:
            def ask(*pair):
                context = ssl.create_default_context(cafile=CERT)
                if pair:
                    context.load_cert_chain(*pair)
                with socket.create_connection(("127.0.0.1", node.port), DEADLINE) as raw:
                    with context.wrap_socket(raw, server_hostname="localhost") as sock:
                        peer = Peer(sock)
                        peer.send(post_bytes("/presence/lab", b"{}"))
                        return peer.response().status
            self.assertEqual(ask(cert, key), 200)
            for stranger in ((), (self.cert, self.key)):
                with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
                    ask(*stranger)
            self.assertEqual(ask(cert, key), 200)
            self.assertEqual(len(events(node)), 2)


if __name__ == "__main__":
    unittest.main()
