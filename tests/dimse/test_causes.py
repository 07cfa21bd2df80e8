"""Why nothing is sent any more: which error each cause is, of an echo and of the sending."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage, Verification

from imaging_gears.adapters.dimse.server import DimseServer
from imaging_gears.errors import (
    CalledAeTitleError,
    CallingAeTitleError,
    DicomServerError,
    ImagingError,
    NoDicomServerError,
    OutOfResourcesError,
    TlsRefusedError,
    UnreachableError,
)
from imaging_gears.ports import Peer, TlsFiles
from tests.dimse.items import item
from tests.dimse.peers import QUICK, Scripted, listening, scripted, send, server_at
from tests.local_ports import free_port
from tests.pki import Authority

if TYPE_CHECKING:
    from pynetdicom.events import Event

NOWHERE = Peer(host="no-such-host.invalid", port=104, called_ae="A", calling_ae="B")


@contextmanager
def strict(*, called: bool = False, calling: bool = False) -> Iterator[int]:
    """A server that looks at AE titles; yields its port."""
    ae = AE(ae_title="OTHER" if called else "SCP")
    ae.require_called_aet = called
    ae.require_calling_aet = ["SOMEBODY"] if calling else []
    ae.add_supported_context(Verification)
    ae.add_supported_context(MRImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def ends_of(server: DimseServer) -> tuple[ImagingError, ImagingError]:
    """Return how an echo ends, and why the sending was given up."""
    with pytest.raises(ImagingError) as raised:
        server.echo()
    results = send(server, [item(at) for at in range(3)])
    assert {each.outcome for each in results.values()} == {"failed"}
    assert server.given_up is not None
    return raised.value, server.given_up


def test_an_unknown_called_ae_title_is_told_as_that() -> None:
    """It is in the configuration, and the remedy names it."""
    with strict(called=True) as port:
        ends = ends_of(server_at(port))
    assert [type(each) for each in ends] == [CalledAeTitleError] * 2
    assert {each.location for each in ends} == {"called_ae"}
    assert all("called_ae" in each.sentence() for each in ends)


def test_an_unknown_calling_ae_title_is_told_as_that() -> None:
    """The server's administrator has to let it in."""
    with strict(calling=True) as port:
        ends = ends_of(server_at(port))
    assert [type(each) for each in ends] == [CallingAeTitleError] * 2
    assert {each.location for each in ends} == {"calling_ae"}


def test_a_server_that_is_not_there_is_unreachable() -> None:
    """Nobody listens; or there is no such name."""
    ends = ends_of(server_at(free_port()))
    ends += ends_of(DimseServer(NOWHERE, limits=QUICK))
    assert [type(each) for each in ends] == [UnreachableError] * 4


def test_a_name_that_leads_nowhere_is_told_before_anything_else() -> None:
    """The configuration entry is named, and what to do; an address needs no name service."""
    server = DimseServer(NOWHERE, limits=QUICK)
    with pytest.raises(UnreachableError, match="looking up destination: its name can't") as raised:
        server.look_up()
    assert "Check destination" in raised.value.sentence()
    server_at(free_port()).look_up()


@pytest.mark.parametrize(("failures", "known"), [(0, True), (3, True), (4, False)])
def test_a_name_service_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, failures: int, *, known: bool
) -> None:
    """Three times, with growing pauses."""
    answers = [socket.gaierror(socket.EAI_AGAIN, "later")] * failures
    pauses: list[float] = []

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        if answers:
            raise answers.pop()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    server = DimseServer(NOWHERE, pause=pauses.append)
    if known:
        server.look_up()
    else:
        with pytest.raises(UnreachableError, match="name service does not answer"):
            server.look_up()
    assert pauses == [0.5, 1.5, 4.0][:failures]


def test_a_server_that_hangs_up_at_once_is_unreachable() -> None:
    """It takes connections, and no association."""
    with listening(lambda connection: connection.close()) as port:
        ends = ends_of(server_at(port))
    assert [type(each) for each in ends] == [UnreachableError] * 2


def test_a_server_that_aborts_each_association_has_failed_itself() -> None:
    """Its administrator can help, and not those of Flywheel or AWS."""

    def answer(_: Scripted, event: Event) -> int:
        event.assoc.abort()
        return 0

    with scripted(answer) as scp:
        server = server_at(scp.port)
        results = send(server, [item(at) for at in range(12)])
    assert {each.outcome for each in results.values()} == {"failed"}
    assert type(server.given_up) is DicomServerError
    assert "DICOM server's administrator" in server.given_up.sentence()
    assert "Flywheel" not in server.given_up.sentence()


BUSY = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
SHORT = bytes([3, 0, 0, 0, 0, 1, 9])  # the type of A-ASSOCIATE-RJ, and not its length
RELEASED = bytes([6, 0, 0, 0, 0, 4, 0, 0, 0, 0])  # a PDU, and none that answers a request


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        (BUSY, True),
        (BUSY, False),
        (b"?", True),
        (b"?", False),
        (RELEASED, True),
        (RELEASED, False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (SHORT, True),
    ],
)
def test_what_is_no_dicom_server_is_told_as_that(said: bytes, *, stays: bool) -> None:
    """It answers at once and not in DICOM, and closes the connection or does not."""

    def serve(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(said)
        if stays:
            # Until the client closes it.
            while connection.recv(9999):
                pass

    with listening(serve) as port:
        ends = ends_of(server_at(port, limits=replace(QUICK, answer=0.5)))
    assert [type(each) for each in ends] == [NoDicomServerError] * 2
    assert all(f"127.0.0.1:{port}" in each.message for each in ends)
    assert all("is no DICOM server" in each.message for each in ends)
    assert all("destination and port" in each.sentence() for each in ends)


def test_a_server_that_speaks_tls_only_is_no_other_program(tmp_path: Path) -> None:
    """It answers with an alert: what has to be checked is tls_enabled."""
    own = Authority(tmp_path, "authority").issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)

    def serve(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True)

    with listening(serve) as port:
        ends = ends_of(server_at(port))
    assert [type(each) for each in ends] == [UnreachableError] * 2
    assert all("TLS" in each.message and "tls_enabled" in each.sentence() for each in ends)


def test_a_server_without_room_is_out_of_resources() -> None:
    """By the status of C-STORE. Two images are too few to give it up, and show it all the same."""
    with scripted(lambda *_: 0xA700) as scp:
        server = server_at(scp.port, associations=1)
        send(server, [item(at) for at in range(2)])
        assert server.given_up is None
        assert isinstance(server.trouble, OutOfResourcesError)
        send(server, [item(at) for at in range(2, 5)])
    assert isinstance(server.given_up, OutOfResourcesError)
    assert isinstance(server.trouble, OutOfResourcesError)


def test_a_server_that_has_room_again_is_in_no_trouble() -> None:
    """Nor one that has taken an image since it aborted on another; that one has its reason."""

    def answer(scp: Scripted, event: Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid.endswith(".9"):
            event.assoc.abort()
        return 0xA700 if len(scp.received) == 1 else 0

    with scripted(answer) as scp:
        server = server_at(scp.port, associations=1)
        results = send(server, [item(0), item(1)])
        assert {each.outcome for each in results.values()} == {"sent"}
        assert server.trouble is None
        assert send(server, [item(9)])[9].outcome == "failed"
        assert type(server.trouble) is DicomServerError
        assert server.given_up is None
        assert send(server, [item(2)])[2].outcome == "sent"
        assert server.trouble is None


@pytest.mark.parametrize("speaks", [True, False])
def test_a_server_without_our_tls_is_told_as_that(tmp_path: Path, *, speaks: bool) -> None:
    """It speaks TLS 1.2 with AES of 128 bits, which the modified profile has not; or none."""
    authority = Authority(tmp_path, "authority")
    own, ours = authority.issue("server"), authority.issue("client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")

    def serve(connection: socket.socket) -> None:
        if speaks:
            context.wrap_socket(connection, server_side=True)
        else:
            connection.recv(9999)
            connection.sendall(b"what is this?")

    files = TlsFiles(key=ours.key, cert=ours.cert, ca=authority.cert, profile="BCP 195 modified")
    with listening(serve) as port:
        ends = ends_of(server_at(port, tls=files))
    assert [type(each) for each in ends] == [TlsRefusedError] * 2
