"""What TLS clients say, and what becomes of it: Client is one without a socket (ssl.MemoryBIO), record()
keeps the flights of whole handshakes and Mutator breaks them, by a seeded generator: the same seed is
the same million handshakes."""
import random
import socket
import ssl
import struct

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
MAX_FLIGHT = 70000  # bytes; a mutation may repeat what it finds
INTERESTING = (0, 1, 2, 3, 4, 0x14, 0x15, 0x16, 0x17, 0x18, 0x40, 0x7f, 0x80, 0xfe, 0xff)
LENGTHS = (0, 1, 2, 3, 0x4000, 0x4001, 0x4100, 0x4101, 0x7fff, 0x8000, 0xffff)


class Client:
    """A client's half of a session: bytes in, bytes out."""

    def __init__(self, version, context=None, session=None):
        if not context:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = context.maximum_version = version
            context.set_alpn_protocols(["http/1.1"])
        self.context, self.established = context, False
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost",
                                    session=session)

    def step(self, data=b""):
        """Takes what the node has sent; what there is to send back."""
        self.incoming.write(data)
        if not self.established:
            try:
                self.tls.do_handshake()
                self.established = True
            except ssl.SSLWantReadError:
                pass
        return self.outgoing.read()

    def encrypt(self, data):
        self.tls.write(data)
        return self.outgoing.read()

    def decrypt(self, data):
        """Plaintext of what the node has sent; b"" where it is not whole, or the end."""
        self.incoming.write(data)
        plain = b""
        try:
            while piece := self.tls.read(65536):
                plain += piece
        except ssl.SSLWantReadError:
            pass
        return plain


def converse(port, client, request, timeout=30):
    """A whole session: the flights that the client sent, the last with the request, and the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        flights = [client.step()]
        sock.sendall(flights[0])
        while not client.established:
            data = sock.recv(65536)
            if not data:
                raise EOFError("closed in the handshake")
            flight = client.step(data)
            if client.established:
                break
            if flight:
                flights.append(flight)
                sock.sendall(flight)
        last = flight + client.encrypt(request)
        flights.append(last)
        sock.sendall(last)
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = sock.recv(65536)
            if not data:
                raise EOFError("closed after %r" % answer)
            answer += client.decrypt(data)
        return flights, answer


def record(port, request):
    """Lists of flights: both versions, each with a whole handshake and a resumed one."""
    recorded = []
    for version in VERSIONS:
        client = Client(version)
        recorded.append(converse(port, client, request)[0])
        resumed = Client(version, client.context, client.tls.session)
        recorded.append(converse(port, resumed, request)[0])
        assert resumed.tls.session_reused, "%s: not resumed" % version
    return recorded


def records(flight):
    """Cut where its records are; what is no record stays in one piece."""
    cut, at = [], 0
    while at + 5 <= len(flight):
        end = at + 5 + struct.unpack_from(">H", flight, at + 3)[0]
        if end > len(flight):
            break
        cut.append(flight[at:end])
        at = end
    return cut + ([flight[at:]] if at < len(flight) else [])


class Mutator:
    def __init__(self, seed, corpus):
        self.random = random.Random(seed)
        self.corpus = [flight for flights in corpus for flight in flights]
        self.kinds = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")]

    def mutate(self, flight):
        """One to four changes."""
        for _ in range(self.random.choice((1, 1, 1, 2, 2, 4))):
            if flight:
                flight = self.random.choice(self.kinds)(flight)[:MAX_FLIGHT]
        return flight

    def at(self, flight):
        """Somewhere; as often as not near the beginning, where the headers are."""
        bound = min(len(flight), 64) if self.random.random() < 0.5 else len(flight)
        return self.random.randrange(bound)

    def patch(self, flight, at, data):
        return flight[:at] + data + flight[at + len(data):]

    def do_flip(self, flight):
        at = self.at(flight)
        return self.patch(flight, at, bytes((flight[at] ^ 1 << self.random.randrange(8),)))

    def do_byte(self, flight):
        return self.patch(flight, self.at(flight), bytes((self.random.choice(INTERESTING),)))

    def do_length(self, flight):
        """Two bytes that may be a length: of a record, a list, an extension."""
        at = self.at(flight)
        return self.patch(flight, at, struct.pack(">H", self.random.choice(LENGTHS)))

    def do_nudge(self, flight):
        """A length, one too long or too short."""
        at = self.at(flight)
        value = int.from_bytes(flight[at:at + 2], "big") + self.random.choice((-2, -1, 1, 2))
        return self.patch(flight, at, struct.pack(">H", value & 0xffff))

    def do_record_length(self, flight):
        return self.patch(flight, 3, struct.pack(">H", self.random.choice(LENGTHS)))

    def do_message_length(self, flight):
        return self.patch(flight, 6, struct.pack(">I", self.random.choice(LENGTHS) << 8)[:3])

    def do_cut_off(self, flight):
        return flight[:self.random.randrange(len(flight))]

    def do_cut_out(self, flight):
        at = self.at(flight)
        return flight[:at] + flight[at + self.random.randrange(1, 64):]

    def do_insert(self, flight):
        at = self.at(flight)
        return flight[:at] + self.random.randbytes(self.random.randrange(1, 64)) + flight[at:]

    def do_repeat(self, flight):
        at = self.at(flight)
        piece = flight[at:at + self.random.randrange(1, 128)]
        return flight[:at] + piece * self.random.choice((2, 3, 17, 200)) + flight[at:]

    def do_splice(self, flight):
        other = self.random.choice(self.corpus)
        return flight[:self.random.randrange(len(flight))] + other[self.random.randrange(len(other)):]

    def do_random(self, flight):
        at = self.at(flight)
        return self.patch(flight, at, self.random.randbytes(self.random.randrange(1, 64)))

    def do_shuffle_records(self, flight):
        cut = records(flight)
        self.random.shuffle(cut)
        return b"".join(cut)

    def do_repeat_record(self, flight):
        cut = records(flight)
        at = self.random.randrange(len(cut))
        cut[at:at] = [cut[at]] * self.random.choice((1, 2, 33, 40))
        return b"".join(cut)

    def do_own_records(self, flight):
        """Empty records, alerts and changes of cipher in front of, or among, the others."""
        cut = records(flight)
        record = self.random.choice((
            b"\x16\x03\x03\0\0", b"\x17\x03\x03\0\0", b"\x14\x03\x03\0\1\1", b"\x14\x03\x03\0\2\1\1",
            b"\x15\x03\x03\0\2\1\0", b"\x15\x03\x03\0\2\1\x5a", b"\x15\x03\x03\0\2\2\x28",
            b"\x18\x03\x03\0\3\1\x40\0", b"\x16\x03\x03\0\4\0\0\0\0", b"\x80\x2e\1\0\2"))
        at = self.random.randrange(len(cut) + 1)
        cut[at:at] = [record] * self.random.choice((1, 1, 2, 40, 300))
        return b"".join(cut)

    def do_fragment(self, flight):
        """The same messages in records of a few bytes each."""
        cut = []
        for record in records(flight):
            size = self.random.choice((1, 2, 7, 100))
            body = record[5:]
            if record[0] != 0x16 or len(body) > 2000:
                cut.append(record)
                continue
            for at in range(0, len(body), size):
                piece = body[at:at + size]
                cut.append(record[:3] + struct.pack(">H", len(piece)) + piece)
        return b"".join(cut)

    def do_split_record(self, flight):
        """One record as two, cut at any byte of its body; the handshake may not notice."""
        cut = records(flight)
        at = self.random.randrange(len(cut))
        record = cut[at]
        if len(record) < 7:
            return flight
        middle = self.random.randrange(6, len(record))
        cut[at:at + 1] = [record[:3] + struct.pack(">H", len(piece)) + piece
                          for piece in (record[5:middle], record[middle:])]
        return b"".join(cut)

    def do_largest(self, flight):
        """A message, or a record, of the greatest size that may be, or one more."""
        body = self.random.choice((0x3ffc, 0x4000, 0x4001, 0x4100, 0x4101, 0xffff))
        kind = self.random.choice((b"\x16", b"\x17", b"\x14", b"\x15"))
        if self.random.randrange(2):
            return kind + b"\3\3" + struct.pack(">H", body) + flight[5:] + bytes(
                max(body - len(flight[5:]), 0))
        length = self.random.choice((0x3fff, 0x4000, 0x4001, 0xffff, 0x10000, 0xffffff))
        message = flight[5:6] + struct.pack(">I", length)[1:] + flight[9:] + bytes(
            min(length, MAX_FLIGHT))
        return b"".join(b"\x16\3\1" + struct.pack(">H", len(piece)) + piece
                        for piece in (message[at:at + 0x4000]
                                      for at in range(0, len(message), 0x4000)))

    def do_key_share(self, flight):
        """A point that is none: the X25519 or P-256 share of zeros, of ones, or of no known group."""
        for group, size in ((b"\0\x1d", 32), (b"\0\x17", 65)):
            at = flight.find(group + struct.pack(">H", size))
            if at < 0:
                continue
            share = self.random.choice((bytes(size), b"\xff" * size, b"\1" + bytes(size - 1),
                                        b"\4" + bytes(size - 1), b"\2" + b"\xff" * (size - 1)))
            flight = self.patch(flight, at + 4, share)
            if self.random.randrange(4) == 0:
                flight = self.patch(flight, at, self.random.choice((b"\0\0", b"\x2a\x2a", b"\xff\xff")))
        return flight

    def do_half_and_again(self, flight):
        """A handshake that begins anew where it stands: as in a renegotiation, or after half of one."""
        return flight[:self.random.randrange(len(flight) + 1)] + self.random.choice(
            [other for other in self.corpus if other[:1] == b"\x16"])

    def do_version(self, flight):
        at = self.random.choice((1, 9))
        return self.patch(flight, at, self.random.choice((
            b"\3\0", b"\3\1", b"\3\2", b"\3\3", b"\3\4", b"\3\5", b"\2\0", b"\xfe\xfd", b"\x7f\x1c")))
