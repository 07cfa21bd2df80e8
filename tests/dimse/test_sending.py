"""Sending to real servers: what arrives is what was sent, and each instance has one result."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association as Negotiation
from pynetdicom.sop_class import (  # type: ignore[attr-defined] # they are made at import
    StudyRootQueryRetrieveInformationModelFind,
)

from imaging_gears.adapters.dimse.opening import Opening
from imaging_gears.adapters.dimse.server import DimseServer
from imaging_gears.errors import (
    AssociationRejectedError,
    DicomServerError,
    InputFileError,
    ServiceError,
)
from imaging_gears.ports import Offer, Sent
from tests.dimse.items import (
    BIG,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    MR,
    RLE,
    SERIES,
    STUDY,
    Item,
    converted,
    item,
    stored_data_set,
)
from tests.dimse.peers import (
    QUICK,
    Together,
    aborts_at,
    accept_of,
    listening,
    no_thread_left,
    pass_pdu,
    scripted,
    send,
    server_at,
    stored,
    storescp,
)
from tests.local_ports import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from pynetdicom.events import Event

ALL = (IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG, JPEG_2000, RLE)


def outcomes(results: dict[int, Sent]) -> set[str]:
    """The outcomes that occur."""
    return {result.outcome for result in results.values()}


def test_every_transfer_syntax_arrives_byte_for_byte(tmp_path: Path) -> None:
    """Implicit, explicit, big endian, deflated, JPEG, JPEG 2000 and RLE data sets are equal."""
    items = [item(at, syntax, pixels=300_001) for at, syntax in enumerate(ALL)]
    with storescp(tmp_path / "in", "+xa", "--fork") as scp:
        results = send(server_at(scp.port), items)
    assert outcomes(results) == {"sent"}
    assert all(not each.reason and each.status == 0 for each in results.values())
    arrived = sorted(map(stored_data_set, scp.files))
    assert arrived == sorted((each.transfer_syntax_uid, each.data) for each in items)


@pytest.mark.parametrize("length", [4096, 16384, 131072])
def test_the_servers_maximum_length_is_kept(tmp_path: Path, length: int) -> None:
    """Pieces of any size are cut for the PDUs that the server takes."""
    items = [item(at, pixels=pixels) for at, pixels in enumerate((0, 3, length, 3 * length))]
    with storescp(tmp_path / "in", "-pdu", str(length)) as scp:
        assert outcomes(send(server_at(scp.port, associations=1), items)) == {"sent"}
    assert sorted(stored_data_set(path)[1] for path in scp.files) == sorted(
        each.data for each in items
    )


@pytest.mark.parametrize("longest", [8, 9, 4097, 16383])
def test_fragments_are_of_even_length_whatever_the_servers_maximum(longest: int) -> None:
    """PS3.8 annex E.1; DCMTK aborts at an odd one."""
    one = item(0, pixels=4 * longest)
    pdus: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        pass_pdu(connection)
        connection.sendall(accept_of(longest))
        with connection.makefile("rb") as stream:
            # The last fragment of a data set has the message control header 2 (PS3.8 E.2).
            while not (pdus and pdus[-1][5] == 2):
                _, length = struct.unpack(">BxL", stream.read(6))
                pdus.append(stream.read(length))
        connection.sendall(stored())
        pass_pdu(connection)

    with listening(serve) as port:
        assert outcomes(send(server_at(port, associations=1), [one])) == {"sent"}
    assert max(map(len, pdus)) <= longest
    assert {len(pdu) % 2 for pdu in pdus} == {0}
    assert b"".join(pdu[6:] for pdu in pdus if not pdu[5] & 1) == one.data


@pytest.mark.parametrize("associations", [1, 2, 8])
def test_several_associations_share_the_instances(tmp_path: Path, associations: int) -> None:
    """Each instance arrives once, whatever the number of associations; no thread stays."""
    items = [item(at) for at in range(100)]
    with storescp(tmp_path / "in", "--fork") as scp, no_thread_left():
        assert outcomes(send(server_at(scp.port, associations=associations), items)) == {"sent"}
    assert len(scp.files) == 100


def test_a_server_of_one_association_at_a_time_is_not_waited_for(tmp_path: Path) -> None:
    """The second association hangs in the server's queue; the first one sends everything."""
    with storescp(tmp_path / "in") as scp:
        begin = time.monotonic()
        assert outcomes(send(server_at(scp.port), [item(at) for at in range(50)])) == {"sent"}
        assert time.monotonic() - begin < QUICK.answer
    assert len(scp.files) == 50


def test_a_server_that_rejects_further_associations_gets_fewer() -> None:
    """Local limit exceeded: the others go on, and the next call asks for fewer at once."""

    def answer(*_: object) -> int:
        # The first association stands until the others were rejected.
        until(lambda: server._associations == 1, "one association is asked for")
        return 0

    with scripted(answer, most=1) as scp:
        server = server_at(scp.port, associations=4)
        assert outcomes(send(server, [item(at) for at in range(20)])) == {"sent"}
        assert server._associations == 1
        assert server.given_up is None
    assert len(scp.received) == 20


@contextmanager
def asked_together(count: int) -> Iterator[tuple[int, list[bool]]]:
    """A server that keeps its answers back until it is asked for `count` associations.

    Yields its port, and for each one whether the others came before a second was over.
    """
    together = Together(count)
    ae = AE(ae_title="SCP")
    ae.add_supported_context(MR, EXPLICIT)
    handlers = [
        (evt.EVT_REQUESTED, lambda _: together.arrive()),
        (evt.EVT_C_STORE, lambda _: 0),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1], together.met
    finally:
        server.shutdown()


def test_no_association_waits_for_the_answer_to_the_first_one() -> None:
    """On a long way that would take as long as sending an instance over each."""
    with asked_together(4) as (port, together):
        server = server_at(port, associations=4)
        assert outcomes(send(server, [item(at) for at in range(8)])) == {"sent"}
    assert together == [True] * 4


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_server_that_rejects_all_that_come_at_once_is_asked_for_one(most: int) -> None:
    """It counts what it is asked for, too: one goes on at once, and nothing is waited for."""
    waits: list[float] = []
    live: set[object] = set()
    lock = threading.Lock()

    def requested(event: Event) -> None:
        with lock:
            live.add(event.assoc)
        time.sleep(0.2)
        with lock:
            full = len(live) > most
        if full:
            # Local limit exceeded (PS3.8 9.3.4).
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)
            event.assoc.kill()
            ended(event)

    def ended(event: Event) -> None:
        with lock:
            live.discard(event.assoc)

    ae = AE(ae_title="SCP")
    ae.maximum_associations = 9
    ae.add_supported_context(MR, EXPLICIT)
    handlers = [
        (evt.EVT_REQUESTED, requested),
        (evt.EVT_RELEASED, ended),
        (evt.EVT_C_STORE, lambda _: time.sleep(0.02) or 0),
    ]
    scp = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        server = server_at(scp.server_address[1], associations=4, pause=waits.append)
        assert outcomes(send(server, [item(at) for at in range(40)])) == {"sent"}
    finally:
        scp.shutdown()
    assert waits == []
    assert server.given_up is None


@pytest.mark.parametrize(("pixels", "ahead"), [(2000, True), (1_100_000, False)])
def test_a_short_instance_is_read_while_the_server_answers(pixels: int, *, ahead: bool) -> None:
    """One that is longer than a MiB is not: it would cost memory."""
    begun = threading.Event()
    seen: list[bool] = []

    def answer(*_: object) -> int:
        seen.append(begun.wait(2 if ahead else 0.2))
        return 0

    items = [item(0), item(1, pixels=pixels, on_chunks=begun.set), item(2)]
    with scripted(answer) as scp:
        assert outcomes(send(server_at(scp.port, associations=1), items)) == {"sent"}
    assert seen[0] is ahead


def test_what_was_read_for_an_association_that_is_lost_is_sent_over_another() -> None:
    """And before the instance that it was lost with."""
    with scripted(aborts_at(2)) as scp:
        results = send(server_at(scp.port, associations=1), [item(at) for at in range(5)])
    assert outcomes(results) == {"sent"}
    assert [int(uid.rpartition(".")[2]) for uid in scp.received] == [0, 1, 2, 3, 4, 1]


def test_more_than_128_contexts_take_several_associations() -> None:
    """150 SOP classes in two uncompressed syntaxes each: 300 contexts in three associations."""
    classes = [str(each.abstract_syntax) for each in AllStoragePresentationContexts[:150]]
    items = [item(at, sop_class=each) for at, each in enumerate(classes)]
    with scripted(lambda *_: 0, contexts=tuple(classes)) as scp:
        assert outcomes(send(server_at(scp.port, associations=1), items)) == {"sent"}
    assert scp.associations == 3
    assert len(set(scp.received)) == 150


def test_a_refused_syntax_is_reported_or_sent_in_another_uncompressed_one(tmp_path: Path) -> None:
    """A server of implicit little endian only gets explicit data converted, JPEG not at all."""
    items = [item(0, EXPLICIT), item(1, JPEG), item(2, IMPLICIT), item(3, BIG)]
    with storescp(tmp_path / "in", "+xi") as scp:
        results = send(server_at(scp.port), items)
        offered = server_at(scp.port).offers([(MR, EXPLICIT), (MR, JPEG), (MR, "1.2.x")])
    assert [results[at].transfer_syntax_uid for at in range(4)] == [IMPLICIT, None, None, IMPLICIT]
    assert [results[at].outcome for at in range(4)] == ["sent", "failed", "sent", "sent"]
    assert results[1].reason == "the server refused it: transfer syntaxes not supported"
    assert offered[MR, EXPLICIT] == Offer(transfer_syntax_uid=IMPLICIT)
    assert offered[MR, JPEG] == Offer(reason=results[1].reason)
    assert "no UID" in offered[MR, "1.2.x"].reason
    assert {stored_data_set(path)[0] for path in scp.files} == {IMPLICIT}


def test_a_server_that_accepts_nothing_says_so_for_each_instance() -> None:
    """An unknown SOP class: no association is kept, each instance has the reason."""
    with scripted(lambda *_: 0, contexts=(CT,)) as scp:
        server = server_at(scp.port)
        results = send(server, [item(at) for at in range(3)])
    assert {each.reason for each in results.values()} == {
        "the server refused it: abstract syntax not supported"
    }
    assert server.given_up is None


def test_a_rejected_association_ends_the_run(tmp_path: Path) -> None:
    """The rejection's reason is in every result, and nothing is tried a second time."""
    with storescp(tmp_path / "in", "--refuse") as scp:
        server = server_at(scp.port)
        results = send(server, [item(at) for at in range(3)])
        with pytest.raises(
            AssociationRejectedError, match=rf"127\.0\.0\.1:{scp.port}.*rejected .* permanently"
        ):
            server.echo()
    assert outcomes(results) == {"failed"}
    assert all("rejected the association" in each.reason for each in results.values())
    assert isinstance(server.given_up, AssociationRejectedError)
    assert f"127.0.0.1:{scp.port}" in server.given_up.message
    assert outcomes(send(server, [item(9)])) == {"failed"}


def test_nobody_listens() -> None:
    """A refused connection is tried a bounded number of times, for all instances together."""
    waits: list[float] = []
    port = free_port()
    server = server_at(port, pause=waits.append)
    results = send(server, [item(at) for at in range(10)])
    assert {each.reason for each in results.values()} == {
        "not tried: the server was given up (the connection was refused)"
    }
    assert waits == list(QUICK.waits)
    with pytest.raises(ServiceError, match=f"127.0.0.1:{port} .*the connection was refused"):
        server.echo()


def test_an_unknown_host_is_named() -> None:
    """A name that can't be resolved is a sentence, not a traceback."""
    unknown = server_at(104)._peer.__class__(
        host="no-such-host.invalid", port=104, called_ae="SCP", calling_ae="FW"
    )
    with pytest.raises(ServiceError, match=r"no-such-host.invalid:104.*can't be resolved"):
        DimseServer(unknown, limits=QUICK).echo()


def test_a_source_that_breaks_fails_its_instance_only(tmp_path: Path) -> None:
    """Its part is not stored, the others arrive."""

    def broken() -> None:
        raise InputFileError("The archive is damaged there.")

    class Breaking(Item):
        def chunks(self):  # noqa: ANN202
            yield self.data[:150_000]
            broken()

    bad = Breaking(number=1, data=item(1, pixels=500_000).data)
    with storescp(tmp_path / "in", "--fork") as scp:
        server = server_at(scp.port)
        results = send(server, [item(0), bad, item(2), item(3, on_chunks=lambda: None)])
        server.echo()
    assert results[1].reason == "The archive is damaged there."
    assert {at: each.outcome for at, each in results.items()} == {
        0: "sent",
        1: "failed",
        2: "sent",
        3: "sent",
    }
    assert sorted(stored_data_set(path)[1] for path in scp.files) == sorted(
        item(at).data for at in (0, 2, 3)
    )


def test_a_source_that_breaks_at_once_costs_no_association(tmp_path: Path) -> None:
    """Nothing of it was sent, so that the same association takes the next one."""

    def broken() -> None:
        raise InputFileError("The archive is damaged there.")

    with storescp(tmp_path / "in", "--fork") as scp:
        server = server_at(scp.port, associations=1)
        openings = 0
        begin = server._begin

        def counted() -> Opening:
            nonlocal openings
            openings += 1
            return begin()

        server._begin = counted  # type: ignore[method-assign]
        results = send(server, [item(0), item(1, on_chunks=broken), item(2)])
    assert [results[at].outcome for at in range(3)] == ["sent", "failed", "sent"]
    assert results[1].reason == "The archive is damaged there."
    assert openings == 1


@pytest.mark.parametrize("lie", [-10, 10])
def test_a_source_of_another_length_is_not_sent(tmp_path: Path, lie: int) -> None:
    """More or less than was announced: the server must not take it for whole."""

    class Lying(Item):
        @property
        def length(self) -> int:
            return len(self.data) + lie

    with storescp(tmp_path / "in", "--fork") as scp:
        results = send(
            server_at(scp.port, associations=1),
            [Lying(number=0, data=item(0, pixels=500_000).data), item(1)],
        )
    assert "than it was when it was examined" in results[0].reason
    assert results[1].outcome == "sent"
    assert [stored_data_set(path)[1] for path in scp.files] == [item(1).data]


def test_an_error_that_nobody_expects_comes_out_of_send(tmp_path: Path) -> None:
    """A fault of the source's own code is neither swallowed nor waited for."""

    def fault() -> None:
        raise KeyError("bug")

    raises = pytest.raises(KeyError, match="bug")
    with storescp(tmp_path / "in", "--fork") as scp, no_thread_left(), raises:
        send(server_at(scp.port), [item(0, on_chunks=fault), item(1)])


@pytest.mark.parametrize("worker", [0, 1])
def test_a_signal_while_workers_start_comes_out_of_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: int
) -> None:
    """A job that is cancelled just then ends as one that is cancelled."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == f"dicom-send-{worker}":
            raise KeyboardInterrupt
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with storescp(tmp_path / "in", "--fork") as scp, no_thread_left():
        with pytest.raises(KeyboardInterrupt):
            send(server_at(scp.port), [item(0), item(1)])
        time.sleep(0.1)


def test_an_association_that_is_interrupted_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal while the server has not answered yet: pynetdicom's own thread ends, too."""
    monkeypatch.setattr(Negotiation, "request", _interrupted)
    with (
        listening(lambda connection: bool(connection.recv(9999))) as port,
        no_thread_left(),
        pytest.raises(KeyboardInterrupt),
    ):
        server_at(port).echo()


def _interrupted(negotiation: Negotiation) -> None:
    """Begin to negotiate as pynetdicom does, and be interrupted while the answer is waited for."""
    negotiation.dul.start()
    assert negotiation.dul.daemon
    raise KeyboardInterrupt


def test_uids_that_are_none_never_reach_the_wire(tmp_path: Path) -> None:
    """Such an instance fails alone."""
    bad = Item(number=0, data=b"1234", sop_class_uid="1.2.bad")
    empty = Item(number=1, data=b"")
    with storescp(tmp_path / "in") as scp:
        results = send(server_at(scp.port), [bad, empty, item(2)])
    assert [results[at].outcome for at in range(3)] == ["failed", "failed", "sent"]


def test_nothing_is_sent_without_instances() -> None:
    """An empty list needs no server."""
    assert list(server_at(free_port()).send([], converted)) == []


def test_a_server_without_verification_is_asked_for_its_contexts_all_the_same() -> None:
    """It refuses the context of C-ECHO and takes images."""
    with scripted(lambda *_: 0, contexts=(MR,)) as scp:
        server = server_at(scp.port)
        assert "refused" in (server.echo() or "")
        assert server.offers({(MR, EXPLICIT)}) == {
            (MR, EXPLICIT): Offer(transfer_syntax_uid=EXPLICIT)
        }
    assert server.given_up is None


ABORT = bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0])  # PS3.8 9.3.8
RELEASE = bytes([5, 0, 0, 0, 0, 4, 0, 0, 0, 0])  # PS3.8 9.3.6


@contextmanager
def answering_an_echo(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers a C-ECHO like that; yields its port, and what it hears then."""
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        pass_pdu(connection)
        connection.sendall(accept_of())
        pass_pdu(connection)
        connection.sendall(answer)
        if not answer:
            return
        while data := connection.recv(65536):
            heard.append(data)

    with listening(serve) as port:
        yield port, heard


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ABORT, "aborted by the server"),
        (RELEASE, "released by the server"),
        (b"", "the server closed the connection"),
    ],
)
def test_a_server_that_ends_the_association_at_an_echo_does_not_offer_it(
    answer: bytes, reason: str
) -> None:
    """As Orthanc does where C-ECHO is not allowed; nobody would answer a release then."""
    with answering_an_echo(answer) as (port, heard):
        assert server_at(port).echo() == reason
    assert all(data[0] != RELEASE[0] for data in heard)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request", stored(), b"\x09" + ABORT[1:]])
def test_nonsense_for_an_answer_to_an_echo_is_a_failure(answer: bytes) -> None:
    """No PDU, the answer to something else, a PDU of a type that there is not."""
    with answering_an_echo(answer) as (port, _), pytest.raises(DicomServerError):
        server_at(port).echo()


class Broken(Item):
    """An instance whose source is gone."""

    def chunks(self) -> Iterator[bytes]:
        """Fail."""
        raise InputFileError("gone")


def without(one: Item, uid: str, other: str) -> Item:
    """The same with another UID of that length."""
    assert len(uid) == len(other)
    return replace(one, data=one.data.replace(uid.encode(), other.encode()))


def test_a_server_is_asked_for_each_series_and_only_for_what_has_one() -> None:
    """What has no study or series UID is left out; an empty one would match anything."""
    asked: list[tuple[str, str]] = []
    has = {f"{SERIES}.0", f"{SERIES}.2", f"{SERIES}.3"}

    def find(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        asked.append((event.identifier.StudyInstanceUID, event.identifier.SeriesInstanceUID))
        for uid in sorted(has):
            answer = Dataset()
            answer.SOPInstanceUID = uid
            yield 0xFF00, answer

    ae = AE(ae_title="SCP")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    scp = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    other = SERIES[:-1] + "9"
    items = [
        item(0),
        item(1),
        without(item(2), f"{SERIES}\0", f"{other}\0"),
        without(item(3), f"{STUDY}\0", " " * len(STUDY) + "\0"),
        without(item(4), f"{STUDY}\0", "*" + STUDY[1:] + "\0"),
    ]
    try:
        server = server_at(scp.server_address[1])
        found = server.stored(items)
        nothing = server.stored(items[3:])
        with pytest.raises(InputFileError):
            server.stored([Broken(number=9, data=b"")])
    finally:
        scp.shutdown()
    assert found == {f"{SERIES}.0": True, f"{SERIES}.1": False, f"{SERIES}.2": True}
    assert asked == [(STUDY, SERIES), (STUDY, other)]
    assert nothing == {}


def test_echo_and_find_of_a_storage_server(tmp_path: Path) -> None:
    """A plain storescp answers C-ECHO, and offers no C-FIND."""
    with storescp(tmp_path / "in", "--fork") as scp:
        server = server_at(scp.port)
        assert server.echo() is None
        assert server.stored([item(0)]) is None
