"""TLS to storescp: who is trusted, who is refused, what is said; and that a reconnect keeps it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from imaging_gears.adapters.dimse.sockets import TlsSocket, secured
from imaging_gears.adapters.dimse.tls import PROFILES, ClientTls, certificates_folder
from imaging_gears.adapters.dimse.wire import Wire
from imaging_gears.errors import CertificateError, ServiceError, TlsFilesError, TlsRefusedError
from imaging_gears.ports import TlsFiles
from tests.dcmtk import StoreScp
from tests.dimse.items import item, stored_data_set
from tests.dimse.peers import (
    QUICK,
    Together,
    accept_of,
    listening,
    peer,
    send,
    server_at,
    stored,
    storescp,
)
from tests.local_ports import free_port
from tests.pki import Authority, Identity, self_signed
from tests.waiting import LONG


class Pki:
    """What the tests need: our own authority, a foreign one, and what they issued."""

    def __init__(self, folder: Path) -> None:
        """Make it all."""
        self.authority = Authority(folder, "authority")
        self.foreign = Authority(folder, "foreign")
        self.server = self.authority.issue("server")
        self.client = self.authority.issue("client")
        self.foreign_client = self.foreign.issue("foreign-client")
        self.expired = self.authority.issue("expired", days=-1)
        self.elsewhere = self.authority.issue("elsewhere", names=(x509.DNSName("pacs.example"),))
        self.self_signed = self_signed(folder, "self-signed")

    def files(self, client: Identity | None = None, **changes: object) -> TlsFiles:
        """The inputs of a run that trusts our authority."""
        chosen = client or self.client
        files = TlsFiles(key=chosen.key, cert=chosen.cert, ca=self.authority.cert)
        return replace(files, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, made once."""
    return Pki(tmp_path_factory.mktemp("pki"))


def server_context(pki: Pki) -> ssl.SSLContext:
    """Of a server of a test's own, which asks for no client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.cert, pki.server.key)
    return context


def client_socket(pki: Pki) -> TlsSocket:
    """One that is not connected yet."""
    made = secured(socket.socket(), ClientTls(pki.files()).context(), "127.0.0.1")
    made.settimeout(LONG)
    return made


def tls_options(pki: Pki, server: Identity, verify: str = "-rc") -> tuple[str, ...]:
    """The options of a storescp with the certificate of `server`."""
    trusted = ("+cf", str(pki.authority.cert))
    return ("--fork", "+tls", str(server.key), str(server.cert), *trusted, verify)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_images_arrive_over_tls(tmp_path: Path, pki: Pki, profile: str) -> None:
    """With a client certificate and a private CA, in each profile, large objects too."""
    items = [item(at, pixels=pixels) for at, pixels in enumerate((100, 70_000, 3_000_000))]
    with storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp:
        results = send(server_at(scp.port, tls=pki.files(profile=profile)), items)
    assert {each.outcome for each in results.values()} == {"sent"}
    assert sorted(stored_data_set(path)[1] for path in scp.files) == sorted(
        each.data for each in items
    )


def test_an_image_is_encrypted_in_one_call(
    tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call lets other threads run and waits for its turn, whatever it is given."""
    lengths: list[int] = []

    def send_(sock: TlsSocket, data: bytes) -> int:
        lengths.append(len(data))
        return before(sock, data)

    before = TlsSocket.send
    monkeypatch.setattr(TlsSocket, "send", send_)
    items = [item(at, pixels=70_000) for at in range(3)]
    with storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp:
        send(server_at(scp.port, tls=pki.files(), associations=1), items)
    assert [length > 70_000 for length in lengths] == [False, True, True, True, False]


@pytest.mark.parametrize("option", ["+px", "+py", "+pz"])
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_servers_of_other_profiles_are_understood(
    tmp_path: Path, pki: Pki, profile: str, option: str
) -> None:
    """DCMTK's BCP 195, non-downgrading, and its extended one, which speaks TLS 1.2 only."""
    with storescp(tmp_path / "in", *tls_options(pki, pki.server), option) as scp:
        server_at(scp.port, tls=pki.files(profile=profile)).echo()


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("expired", "certificate has expired"),
        ("elsewhere", "IP address mismatch"),
        ("self_signed", "self-signed certificate"),
    ],
)
def test_a_bad_certificate_is_refused(tmp_path: Path, pki: Pki, server: str, said: str) -> None:
    """Expired, of another host, self-signed: nothing is sent, nothing is tried again."""
    waits: list[float] = []
    with storescp(tmp_path / "in", *tls_options(pki, getattr(pki, server))) as scp:
        client = server_at(scp.port, tls=pki.files(), pause=waits.append, associations=4)
        with pytest.raises(CertificateError, match=rf"127\.0\.0\.1:{scp.port}.*{said}"):
            client.echo()
        results = send(client, [item(at) for at in range(8)])
        assert not scp.files
    assert {each.outcome for each in results.values()} == {"failed"}
    assert all(said in each.reason for each in results.values())
    assert not waits
    assert isinstance(client.given_up, CertificateError)


def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path, pki: Pki) -> None:
    """Without add_cert_file a private CA is not trusted."""
    with (
        storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp,
        pytest.raises(CertificateError, match=r"certificate is not accepted: .*certificate"),
    ):
        server_at(scp.port, tls=pki.files(ca=None)).echo()


@pytest.mark.parametrize("server", ["expired", "elsewhere", "self_signed"])
def test_without_required_peer_certificate_any_is_taken(
    tmp_path: Path, pki: Pki, server: str
) -> None:
    """Both the chain and the host name are let be, with and without a CA."""
    with storescp(tmp_path / "in", *tls_options(pki, getattr(pki, server))) as scp:
        for ca in (None, pki.authority.cert):
            server_at(scp.port, tls=pki.files(require_peer_cert=False, ca=ca)).echo()


def test_a_self_signed_server_is_trusted_as_its_own_authority(tmp_path: Path, pki: Pki) -> None:
    """Its certificate as add_cert_file is enough."""
    with storescp(tmp_path / "in", *tls_options(pki, pki.self_signed)) as scp:
        server_at(scp.port, tls=pki.files(ca=pki.self_signed.cert)).echo()


@pytest.mark.parametrize("options", [(), ("+pz",)], ids=["TLS 1.3", "TLS 1.2"])
def test_a_refused_client_certificate_is_named(
    tmp_path: Path, pki: Pki, options: tuple[str, ...]
) -> None:
    """Under TLS 1.3 the refusal comes after the handshake: still it is the certificate."""
    with (
        storescp(tmp_path / "in", *tls_options(pki, pki.server), *options) as scp,
        pytest.raises((CertificateError, ServiceError), match="client certificate of the input"),
    ):
        server_at(scp.port, tls=pki.files(pki.foreign_client)).echo()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_alert_ends_the_run(pki: Pki, version: ssl.TLSVersion) -> None:
    """A server that says what it minds is not asked again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(pki.server.cert, pki.server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.foreign.cert)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    with listening(serve) as port:
        client = server_at(port, tls=pki.files())
        with pytest.raises(CertificateError, match=r"input cert \(unknown ca\)"):
            client.echo()


def test_a_plain_server_is_told_from_a_tls_one(tmp_path: Path, pki: Pki) -> None:
    """TLS to a plain port, and plain DICOM to a TLS port, end with a sentence that says so."""
    with storescp(tmp_path / "in", "--fork") as scp:
        client = server_at(scp.port, tls=pki.files())
        with pytest.raises(TlsRefusedError, match=f"127.0.0.1:{scp.port}.* not speak TLS"):
            client.echo()
    with storescp(tmp_path / "tls", *tls_options(pki, pki.server)) as scp:
        with pytest.raises(ServiceError, match=f"127.0.0.1:{scp.port}.*may expect TLS"):
            server_at(scp.port).echo()
        assert not scp.files


def test_a_server_that_closes_after_the_handshake_is_suspected_of_the_certificate(
    pki: Pki,
) -> None:
    """Under TLS 1.3 some servers close without an alert."""
    context = server_context(pki)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(9999)

    with (
        listening(serve) as port,
        pytest.raises(ServiceError, match="it may have refused the client certificate"),
    ):
        server_at(port, tls=pki.files()).echo()


def test_a_silent_tls_server_is_not_waited_for(pki: Pki) -> None:
    """The handshake has a time-out."""
    with (
        listening(lambda connection: bool(connection.recv(9999)) and connection.recv(1)) as port,
        pytest.raises(ServiceError, match=r"no progress in 0\.3 s"),
    ):
        server_at(port, tls=pki.files(), limits=replace(QUICK, connect=0.3)).echo()


def test_a_handshake_that_drips_is_not_waited_for(pki: Pki) -> None:
    """A byte now and then keeps no time-out from passing: it is for the whole handshake."""

    def drip(connection: socket.socket) -> None:
        connection.recv(9999)
        # A handshake record of 256 bytes (RFC 8446 5.1) that takes 25 s.
        for byte in b"\x16\x03\x03\x01\x00" + bytes([2, 0, 0, 252]) + bytes(247):
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    begin = time.monotonic()
    with (
        listening(drip) as port,
        pytest.raises(ServiceError, match=r"no progress in 0\.5 s"),
    ):
        server_at(port, tls=pki.files(), limits=replace(QUICK, connect=0.5)).echo()
    assert time.monotonic() - begin < 20


def test_a_slow_tls_server_is_waited_for_while_something_moves(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is encrypted in one call takes longer than the time-out; its bytes keep moving."""
    big = item(0, pixels=300_000)
    context = server_context(pki)

    def slow(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(9999)
            wrapped.sendall(accept_of())
            left = big.length
            while left > 0 and (data := wrapped.recv(16384)):
                left -= len(data)
                time.sleep(0.15)
            wrapped.sendall(stored())
            while wrapped.recv(65536):
                pass

    def with_little_room(wire: Wire, sock: socket.socket, *limits: float) -> None:
        made(wire, sock, int(limits[0]), limits[1])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)

    made = Wire.__init__
    monkeypatch.setattr(Wire, "__init__", with_little_room)
    with listening(slow, receive_buffer=8192) as port:
        limits = replace(QUICK, progress=1.0, tries=1)
        server = server_at(port, tls=pki.files(), limits=limits, associations=1)
        begin = time.monotonic()
        results = send(server, [big])
    assert results[0].outcome == "sent"
    assert time.monotonic() - begin > 2 * 1.0


# A-ABORT by the provider, invalid PDU parameter value (PS3.8 9.3.8).
ABORT = bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 6])


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (ABORT, "aborted by the server's provider: invalid PDU parameter value"),
        (b"", "the connection was lost"),
    ],
    ids=["aborts", "resets the connection"],
)
def test_how_a_tls_server_ends_while_it_is_sent_to_is_the_reason(
    pki: Pki, last: bytes, reason: str
) -> None:
    """What it says is read after the failure of sending."""
    context = server_context(pki)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(9999)
            wrapped.sendall(accept_of())
            wrapped.recv(16384)
            wrapped.sendall(last)
            if not last:
                wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with listening(serve) as port:
        limits = replace(QUICK, tries=1, waits=())
        server = server_at(port, tls=pki.files(), limits=limits, associations=1)
        results = send(server, [item(0, pixels=30_000_000)])
    assert results[0].reason == reason


class Doorman:
    """Relays connections to a server, and notes with what bytes each one begins."""

    def __init__(self, scp: StoreScp) -> None:
        """Relay to `scp`."""
        self.scp = scp
        self.begins: list[bytes] = []

    def serve(self, connection: socket.socket) -> None:
        """Relay one connection."""
        with socket.create_connection(("127.0.0.1", self.scp.port), timeout=LONG) as inner:
            self.begins.append(connection.recv(1, socket.MSG_PEEK))
            back = threading.Thread(target=_pour, args=(inner, connection))
            back.start()
            _pour(connection, inner)
            back.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def test_nothing_is_sent_in_the_clear_after_a_shutdown(pki: Pki) -> None:
    """Another thread may end the connection while one is about to send."""
    context = server_context(pki)
    taken: list[bytes] = []
    arrived = threading.Event()

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            taken.append(socket.socket.recv(wrapped, 65536))
        arrived.set()

    with listening(serve) as port, client_socket(pki) as made:
        made.connect(("127.0.0.1", port))
        made.shutdown(socket.SHUT_RD)
        assert made.send(b"identity") == len(b"identity")
        assert arrived.wait(LONG)
    assert taken[0]
    assert b"identity" not in taken[0]


def test_a_connection_without_tls_takes_and_gives_nothing(pki: Pki) -> None:
    """As while it is connecting, or once it is closed: `ssl` itself would go on in the clear."""
    taken: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"in the clear")
        taken.append(connection.recv(1))

    with listening(serve) as port, client_socket(pki) as made:
        socket.socket.connect(made, ("127.0.0.1", port))
        for use in (made.send, made.sendall):
            with pytest.raises(OSError, match="not connected"):
                use(b"identity")
        with pytest.raises(OSError, match="not connected"):
            made.recv(1)
    assert taken == [b""]


def test_what_is_closed_in_the_handshake_leaves_other_files_alone(tmp_path: Path, pki: Pki) -> None:
    """A cancelled job closes what another thread uses; the next file has the descriptor's number.

    OpenSSL, woken by the end of the connection, would read that file and write an alert to it.
    """
    content = b"\x17\x03\x03\x00\x05HELLO" * 400  # records of TLS (RFC 8446 5.1)
    path = tmp_path / "file"
    begun = threading.Event()

    def hang(connection: socket.socket) -> None:
        connection.recv(9999)
        begun.set()
        connection.recv(1)

    def connect(made: TlsSocket) -> None:
        with contextlib.suppress(OSError):
            made.connect(("127.0.0.1", port))

    with listening(hang) as port:
        for _ in range(20):
            path.write_bytes(content)
            begun.clear()
            made = client_socket(pki)
            number = made.fileno()
            thread = threading.Thread(target=connect, args=(made,))
            thread.start()
            assert begun.wait(LONG)
            made.shutdown(socket.SHUT_RDWR)
            made.close()
            with path.open("r+b", buffering=0) as file:
                thread.join()
                assert (file.fileno(), file.tell()) == (number, 0)
            assert path.read_bytes() == content


def test_an_answer_that_drips_is_waited_for(pki: Pki) -> None:
    """Its record takes longer than the time-out; its bytes keep coming."""
    context = server_context(pki)
    dripping = threading.Event()

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(9999)
            wrapped.sendall(accept_of())
            received = b""
            while not received.endswith(data[-100:]):
                more = wrapped.recv(65536)
                if not more:
                    return
                received += more
            dripping.set()
            wrapped.sendall(stored())
            wrapped.recv(65536)

    def relay(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", inner), timeout=LONG) as server:
            back = threading.Thread(target=drip, args=(server, connection))
            back.start()
            _pour(connection, server)
            back.join()

    def drip(source: socket.socket, target: socket.socket) -> None:
        while taken := source.recv(65536):
            for at in range(0, len(taken), 4):
                if dripping.is_set():
                    time.sleep(0.12)
                target.sendall(taken[at : at + 4])

    one = item(0)
    data = one.data
    with listening(serve) as inner, listening(relay) as port:
        limits = replace(QUICK, progress=1.0, tries=1, waits=())
        server = server_at(port, tls=pki.files(), limits=limits, associations=1)
        begin = time.monotonic()
        results = send(server, [one])
    assert results[0].outcome == "sent"
    assert time.monotonic() - begin > 2 * 1.0


def test_a_reconnect_keeps_tls(tmp_path: Path, pki: Pki) -> None:
    """The server dies in the middle: each association after that begins with TLS, too."""
    with storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp:
        doorman = Doorman(scp)
        died = threading.Event()

        def die() -> None:
            if not died.is_set():
                died.set()
                scp.kill()
                scp.start()

        items = [item(at, pixels=200_000) for at in range(20)]
        items[5] = item(5, pixels=200_000, on_chunks=die)
        with listening(doorman.serve) as port:
            results = send(server_at(port, tls=pki.files()), items)
        assert {each.outcome for each in results.values()} == {"sent"}
        assert len(scp.files) == 20
    assert len(doorman.begins) >= 3
    # 0x16 is a TLS handshake record (RFC 8446 5.1); 0x01 would be an A-ASSOCIATE-RQ.
    assert set(doorman.begins) == {b"\x16"}


def test_no_association_waits_for_the_handshake_of_the_first_one(tmp_path: Path, pki: Pki) -> None:
    """On a long way that would take as long as sending an instance over each."""
    together = Together(4)

    def serve(connection: socket.socket) -> None:
        connection.recv(1, socket.MSG_PEEK)
        together.arrive()
        doorman.serve(connection)

    with storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp:
        doorman = Doorman(scp)
        with listening(serve) as port:
            server = server_at(port, tls=pki.files(), associations=4)
            results = send(server, [item(at) for at in range(8)])
    assert {each.outcome for each in results.values()} == {"sent"}
    assert together.met == [True] * 4


def test_a_reconnect_verifies_the_server_again(tmp_path: Path, pki: Pki) -> None:
    """Whoever stands in for a server that died is found out: nothing more is sent."""
    with storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp:
        died = threading.Event()

        def die() -> None:
            if not died.is_set():
                died.set()
                scp.kill()
                scp.options = tls_options(pki, pki.self_signed)
                scp.start()

        items = [item(at, pixels=200_000) for at in range(20)]
        items[5] = item(5, pixels=200_000, on_chunks=die)
        server = server_at(scp.port, tls=pki.files())
        results = send(server, items)
        kept = len(scp.files)
    assert isinstance(server.given_up, CertificateError)
    sent = sum(each.outcome == "sent" for each in results.values())
    assert len(results) == len(items)
    assert sent <= kept < len(items)


# --- Files


def test_missing_and_unusable_files_are_named(tmp_path: Path, pki: Pki) -> None:
    """One sentence that says which input it is, before anything is connected to."""
    junk, empty = tmp_path / "junk", tmp_path / "empty"
    junk.write_bytes(b"\x00\x01not PEM")
    empty.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    cases = {
        "The input key can't be read: no such file": {"key": tmp_path / "none"},
        "The input cert can't be read: no such file": {"cert": tmp_path / "none"},
        "The input add_cert_file can't be read: is a directory": {"ca": tmp_path},
        "The input key is not a PEM file with a private key": {"key": pki.client.cert},
        "The input cert is not a PEM file with a certificate": {"cert": junk},
        "The input cert is not a certificate": {"cert": empty},
        "The input add_cert_file is not a certificate": {"ca": empty},
        "The input key is not the key of the certificate": {"key": pki.server.key},
    }
    for sentence, changes in cases.items():
        with pytest.raises(TlsFilesError, match=sentence):
            server_at(free_port(), tls=pki.files(**changes))


def test_a_damaged_or_locked_key_is_named(tmp_path: Path, pki: Pki) -> None:
    """A key that needs a password is never asked for at a terminal."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - here only

    damaged, locked = tmp_path / "damaged", tmp_path / "locked"
    damaged.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    key = serialization.load_pem_private_key(pki.client.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsFilesError, match="The input key is not a private key"):
        server_at(free_port(), tls=pki.files(key=damaged))
    with pytest.raises(TlsFilesError, match="encrypted with a password"):
        server_at(free_port(), tls=pki.files(key=locked))


def test_a_key_of_another_certificate_is_named(tmp_path: Path, pki: Pki) -> None:
    """Of the same type or of another one."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    other = self_signed(tmp_path, "rsa", rsa_key)
    for key, cert in ((pki.client.key, other.cert), (other.key, pki.client.cert)):
        with pytest.raises(TlsFilesError, match="not the key of the certificate"):
            server_at(free_port(), tls=pki.files(key=key, cert=cert))


def test_a_key_that_is_too_short_for_tls_is_named_as_that(tmp_path: Path, pki: Pki) -> None:
    """It can be read; what is wrong with it is its length."""
    weak = self_signed(tmp_path, "weak", rsa.generate_private_key(65537, 1024))  # noqa: S505
    with pytest.raises(TlsFilesError, match="too weak for TLS: RSA takes 2048 bits"):
        server_at(free_port(), tls=pki.files(weak))


def test_old_tls_is_not_offered(pki: Pki) -> None:
    """All profiles begin at TLS 1.2; the modified one has no cipher of 128 bits in it."""
    for profile in PROFILES:
        context = ClientTls(pki.files(profile=profile)).context()
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert not [each for each in context.get_ciphers() if each["strength_bits"] < 128]
    modified = ClientTls(pki.files(profile="BCP 195 modified")).context()
    names = [each["name"] for each in modified.get_ciphers() if each["protocol"] == "TLSv1.2"]
    assert names
    assert all(name.startswith("ECDHE") and "128" not in name for name in names)


def system_of(
    folder: Path, authority: Authority, *, hashed: bool, more: int = 0
) -> ssl.DefaultVerifyPaths:
    """Return where a system keeps its certificates that has this one: in a file, and in a folder.

    Args:
        folder: for both.
        authority: whose certificate.
        hashed: whether it stands in the folder under its hash.
        more: certificates that the file has and the folder has not.
    """
    certificates, bundle = folder / "certs", folder / "bundle.pem"
    certificates.mkdir()
    pem = authority.cert.read_bytes()
    bundle.write_bytes(pem * (1 + more))
    command = ("openssl", "x509", "-noout", "-subject_hash", "-in", str(authority.cert))
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (certificates / (f"{name}.0" if hashed else "authority.pem")).write_bytes(pem)
    return ssl.DefaultVerifyPaths(str(bundle), str(certificates), "", "", "", "")


def test_the_system_s_folder_of_certificates_is_trusted(
    tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is read before a server is verified; who is in it is, others are not."""
    paths = system_of(tmp_path, pki.authority, hashed=True)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    files = pki.files(ca=None)
    assert ClientTls(files).context().cert_store_stats()["x509"] == 0
    with storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp:
        server_at(scp.port, tls=files).echo()
    others = storescp(tmp_path / "other", *tls_options(pki, pki.self_signed))
    with others as scp, pytest.raises(CertificateError):
        server_at(scp.port, tls=files).echo()


@pytest.mark.parametrize(
    ("hashed", "more"), [(False, 0), (True, 1)], ids=["not hashed", "one more in the file"]
)
def test_a_system_without_such_a_folder_is_trusted_all_the_same(
    tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch, *, hashed: bool, more: int
) -> None:
    """Its certificates are read in a thread; the context that is used has them all."""
    system = ssl.create_default_context().cert_store_stats()["x509"]
    paths = system_of(tmp_path, pki.foreign, hashed=hashed, more=more)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    context = ClientTls(pki.files()).context()
    assert context.cert_store_stats()["x509"] == system + 1
    without = ClientTls(pki.files(require_peer_cert=False)).context()
    assert without.cert_store_stats()["x509"] == 1


def test_a_system_without_certificates_has_no_folder_of_them(tmp_path: Path) -> None:
    """Neither file nor folder, or no file."""
    nowhere = str(tmp_path / "nowhere")
    assert certificates_folder(ssl.DefaultVerifyPaths(nowhere, nowhere, "", "", "", "")) is None
    assert certificates_folder(ssl.DefaultVerifyPaths("", str(tmp_path), "", "", "", "")) is None


def test_the_server_is_verified_by_the_name_in_the_config(tmp_path: Path, pki: Pki) -> None:
    """Localhost is in the certificate as a DNS name, 127.0.0.1 as an address."""
    with storescp(tmp_path / "in", *tls_options(pki, pki.server)) as scp:
        client = server_at(scp.port, tls=pki.files())
        client._peer = peer(scp.port, "localhost")
        client.echo()
