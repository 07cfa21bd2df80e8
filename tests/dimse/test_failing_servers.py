"""Servers that abort, run out of resources, never answer or die: bounded, once each, and said."""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset

from imaging_gears.errors import OutOfResourcesError, ServiceError
from tests.dimse.items import EXPLICIT, MR, converted, item, stored_data_set
from tests.dimse.peers import (
    QUICK,
    Pauses,
    Scripted,
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
from tests.waiting import LONG

if TYPE_CHECKING:
    from pynetdicom.events import Event

SHORT = replace(QUICK, answer=0.3, progress=0.3)


def status(value: int, comment: str = "") -> Dataset:
    """A response with an Error Comment."""
    answer = Dataset()
    answer.Status = value
    if comment:
        answer.ErrorComment = comment
    return answer


def test_out_of_resources_twice_then_fine() -> None:
    """The association waits, longer each time, and the instance is sent on a new one."""
    pauses = Pauses()

    def answer(scp: Scripted, _: Event) -> int:
        return 0xA700 if len(scp.received) <= 2 else 0

    with scripted(answer) as scp:
        results = send(server_at(scp.port, associations=1, pause=pauses), [item(0)])
    assert results[0].outcome == "sent"
    assert (scp.associations, len(scp.received)) == (3, 3)
    assert pauses.seconds == list(QUICK.waits[:2])


def test_a_server_that_stays_out_of_resources_ends_the_run_once() -> None:
    """Not a wait per image: three waits for a hundred of them, and none for the next file."""
    pauses = Pauses()
    with scripted(lambda *_: status(0xA701, "disk full")) as scp:
        server = server_at(scp.port, associations=1, pause=pauses)
        results = send(server, [item(at) for at in range(100)])
        tries = len(scp.received)
        assert send(server, [item(200)])[200].outcome == "failed"
    assert {each.outcome for each in results.values()} == {"failed"}
    assert tries == len(scp.received) == len(QUICK.waits) + 1
    assert pauses.seconds == list(QUICK.waits)
    assert isinstance(server.given_up, OutOfResourcesError)
    assert f"127.0.0.1:{scp.port}" in server.given_up.message
    assert "status 0xA701, out of resources" in server.given_up.message


def test_two_associations_out_of_resources_wait_as_one() -> None:
    """Both break at the same moment: that is one failure of the server."""
    pauses = Pauses()
    both = threading.Barrier(2, timeout=LONG)

    def answer(scp: Scripted, _: Event) -> int:
        return 0xA700 if len(scp.received) <= 2 else 0

    def together() -> None:
        both.wait()

    with scripted(answer) as scp:
        items = [item(at, on_chunks=together) for at in range(2)]
        results = send(server_at(scp.port, associations=2, pause=pauses), items)
    assert {each.outcome for each in results.values()} == {"sent"}
    assert set(pauses.seconds) == {QUICK.waits[0]}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0xB000, "warning"),
        (0xB006, "warning"),
        (0xB007, "warning"),
        (0x0107, "warning"),
        (0x0110, "failed"),
        (0x0111, "failed"),
        (0xA900, "failed"),
        (0xC123, "failed"),
    ],
)
def test_a_status_is_told_with_the_servers_comment(code: int, outcome: str) -> None:
    """Warnings are stored, other failures are final for the instance; the next one goes on."""

    def answer(_: Scripted, event: Event) -> int | Dataset:
        first = event.request.AffectedSOPInstanceUID.endswith(".0")
        return status(code, "bad\r\nthing") if first else 0

    with scripted(answer) as scp:
        results = send(server_at(scp.port, associations=1), [item(0), item(1)])
    assert results[0].outcome == outcome
    assert results[0].status == code
    assert results[0].reason.startswith(f"status 0x{code:04X}, ")
    assert results[0].reason.endswith(': "bad thing"')
    assert results[1].outcome == "sent"
    assert (scp.associations, len(scp.received)) == (1, 2)


def test_a_lost_reply_counts_once() -> None:
    """The server stored it and died before it said so: sent again, reported once."""
    with scripted(aborts_at(3)) as scp:
        results = send(server_at(scp.port, associations=1), [item(at) for at in range(5)])
    assert {each.outcome for each in results.values()} == {"sent"}
    assert len(scp.received) == 6
    assert len(set(scp.received)) == 5


@pytest.mark.parametrize("lost", [1, 2])
def test_a_duplicate_after_a_lost_reply_is_stored(lost: int) -> None:
    """0111 is a failure, but not of an instance that the same run may have stored."""

    def answer(scp: Scripted, event: Event) -> int:
        if len(scp.received) == lost:
            event.assoc.abort()
        return 0x0111 if len(scp.received) >= lost else 0

    with scripted(answer) as scp:
        results = send(server_at(scp.port, associations=1), [item(0), item(1), item(2)])
    outcomes = [results[at].outcome for at in range(3)]
    assert outcomes[lost - 1] == "warning"
    assert outcomes[lost:] == ["failed"] * (3 - lost)


def test_an_instance_that_the_server_dies_of_does_not_stop_the_others() -> None:
    """It is put behind all others, tried as the first of three associations, and failed."""

    def answer(_: Scripted, event: Event) -> int:
        if event.request.AffectedSOPInstanceUID.endswith(".1"):
            event.assoc.abort()
        return 0

    with scripted(answer) as scp:
        server = server_at(scp.port, associations=1)
        results = send(server, [item(at) for at in range(6)])
    assert {at for at, each in results.items() if each.outcome == "failed"} == {1}
    assert results[1].reason == "aborted by the server"
    # Behind image 0, behind image 5, and then alone.
    assert sum(uid.endswith(".1") for uid in scp.received) == 2 + QUICK.tries
    assert server.given_up is None


@pytest.mark.parametrize("option", ["--abort-after", "--abort-during"])
def test_a_server_that_aborts_each_image_is_given_up(tmp_path: Path, option: str) -> None:
    """Bounded, with the abort as the reason, and said of those that it was not tried with."""
    pauses = Pauses()
    with storescp(tmp_path / "in", "--fork", option) as scp:
        server = server_at(scp.port, associations=1, pause=pauses)
        results = send(server, [item(at, pixels=300_000) for at in range(10)])
    assert {each.outcome for each in results.values()} == {"failed"}
    assert {each.reason for each in results.values()} == {
        "aborted by the server",
        "not tried: the server was given up (aborted by the server)",
    }
    assert pauses.seconds == list(QUICK.waits)
    assert server.given_up is not None


def test_a_server_that_aborts_every_third_image_gets_all() -> None:
    """Each association carries a few; progress in between counts."""

    def answer(scp: Scripted, event: Event) -> int:
        if len(scp.received) % 3 == 0:
            event.assoc.abort()
        return 0

    with scripted(answer) as scp:
        server = server_at(scp.port, associations=1)
        results = send(server, [item(at) for at in range(12)])
    assert {each.outcome for each in results.values()} == {"sent"}
    assert server.given_up is None


def test_a_server_that_dies_and_comes_back_gets_everything(tmp_path: Path) -> None:
    """Killed in the middle of an instance, restarted at once: all are there, each whole."""
    with storescp(tmp_path / "in", "--fork") as scp:
        died = threading.Event()

        def die() -> None:
            if not died.is_set():
                died.set()
                scp.kill()
                scp.start()

        items = [item(at, pixels=200_000) for at in range(30)]
        items[7] = item(7, pixels=200_000, on_chunks=die)
        patient = replace(QUICK, waits=(0.2, 1.0, 5.0))  # it takes a moment to start
        results = send(server_at(scp.port, limits=patient), items)
        assert {each.outcome for each in results.values()} == {"sent"}
        arrived = sorted(stored_data_set(path)[1] for path in scp.files)
    assert died.is_set()
    assert arrived == sorted(each.data for each in items)


def test_a_server_that_never_answers_an_association() -> None:
    """One sentence with its address, after bounded time."""

    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    begin = time.monotonic()
    with listening(silent) as port:
        server = server_at(port, limits=SHORT)
        results = send(server, [item(0), item(1)])
        with pytest.raises(ServiceError, match=rf"127\.0\.0\.1:{port} .*no answer"):
            server.echo()
    assert {each.outcome for each in results.values()} == {"failed"}
    assert time.monotonic() - begin < LONG


def test_a_server_that_begins_an_answer_and_stops() -> None:
    """Three bytes of an answer hold nobody up."""

    def stuck(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x02\x00\x00")
        while connection.recv(65536):
            pass

    with no_thread_left(), listening(stuck) as port:
        begin = time.monotonic()
        with pytest.raises(ServiceError, match=f"127.0.0.1:{port}"):
            server_at(port, limits=SHORT).echo()
        assert time.monotonic() - begin < LONG


def test_a_server_that_answers_nonsense() -> None:
    """Bytes of another protocol are a failure, not a crash."""
    with listening(lambda connection: connection.sendall(b"SSH-2.0-x\r\n" * 10)) as port:
        results = send(server_at(port, limits=SHORT), [item(0)])
    assert results[0].outcome == "failed"


def test_a_server_that_never_answers_an_instance() -> None:
    """The time-out names itself; each association is tried a bounded number of times."""
    associations = []

    def mute(connection: socket.socket) -> None:
        associations.append(connection)
        connection.sendall(accept_of())
        while connection.recv(65536):
            pass

    with listening(mute) as port:
        server = server_at(port, limits=replace(QUICK, progress=0.3), associations=1)
        begin = time.monotonic()
        results = send(server, [item(0)])
        seconds = time.monotonic() - begin
    assert results[0].outcome == "failed"
    assert results[0].reason == "no progress in 0.3 s"
    assert len(associations) == QUICK.tries
    assert seconds < LONG


def test_a_slow_server_is_waited_for_while_something_moves() -> None:
    """An object that takes many times the time-out arrives, because its bytes keep moving."""
    big = item(0, pixels=7_000_000)

    def slow(connection: socket.socket) -> None:
        connection.sendall(accept_of())
        received = 0
        while received < big.length:
            received += len(connection.recv(65536))
            time.sleep(0.02)
        connection.sendall(stored())
        while connection.recv(65536):
            pass

    # What the server has not read must be in our own buffer, where it can be seen to shrink.
    with listening(slow, receive_buffer=65536) as port:
        server = server_at(port, limits=replace(QUICK, progress=1.0, tries=1), associations=1)
        begin = time.monotonic()
        results = send(server, [big])
    assert results[0].outcome == "sent"
    assert time.monotonic() - begin > 3 * 1.0


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (struct.pack(">BxLBBBB", 7, 4, 0, 0, 2, 6), "provider: invalid PDU parameter value"),
        (struct.pack(">BxLBBBB", 7, 4, 0, 0, 0, 0), "aborted by the server"),
        (struct.pack(">BxLL", 5, 4, 0), "released by the server"),
        (struct.pack(">BxLL", 9, 4, 0), "unexpected PDU of type 9"),
        (struct.pack(">BxL", 4, 0xFFFFFFFF), "what is no PDU"),
        (struct.pack(">BxLLBB", 4, 6, 9, 1, 3), "contradicts its lengths"),
        (struct.pack(">BxL", 4, 3) + b"abc", "PDU that is cut off"),
        (struct.pack(">BxLLBB", 4, 8, 4, 1, 3) + b"ab", "message that is cut off"),
        (struct.pack(">BxLLBB", 4, 6, 2, 1, 3), "without a part"),
        (b"", "closed the connection"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_server_ends_with_is_in_the_reason(last: bytes, reason: str) -> None:
    """Aborts by source and reason, a release, and every kind of nonsense."""

    def serve(connection: socket.socket) -> None:
        pass_pdu(connection)
        connection.sendall(accept_of())
        pass_pdu(connection)
        connection.sendall(last)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with listening(serve) as port:
        limits = replace(QUICK, tries=1, waits=())
        results = send(server_at(port, limits=limits, associations=1), [item(0)])
    assert results[0].outcome == "failed"
    assert reason in results[0].reason


def test_closing_the_iterator_ends_everything_at_once() -> None:
    """A run that is ended in the middle leaves no thread, though the server does not answer."""
    hold = threading.Event()

    def answer(scp: Scripted, _: Event) -> int:
        if len(scp.received) > 3:
            hold.wait(3 * LONG)
        return 0

    with scripted(answer) as scp:
        server = server_at(scp.port, limits=replace(QUICK, progress=3 * LONG))
        try:
            with no_thread_left(named="dicom-send"):
                results = server.send([item(at) for at in range(20)], converted)
                next(results)
                begin = time.monotonic()
                results.close()
            assert time.monotonic() - begin < LONG
        finally:
            hold.set()


def test_closing_the_iterator_ends_a_wait() -> None:
    """The wait before another association is no reason to stay."""
    with scripted(lambda scp, _: 0xA700 if len(scp.received) > 1 else 0) as scp:
        waits = (3 * LONG, 3 * LONG)
        server = server_at(scp.port, associations=1, limits=replace(QUICK, waits=waits))
        results = server.send([item(0), item(1)], converted)
        next(results)
        time.sleep(0.2)
        begin = time.monotonic()
        results.close()
        assert time.monotonic() - begin < LONG
    assert server.given_up is None


def test_contexts_of_a_dead_server_are_an_error() -> None:
    """A dry run against nobody is a sentence."""
    with (
        listening(lambda connection: connection.close()) as port,
        pytest.raises(ServiceError, match=f"127.0.0.1:{port}"),
    ):
        server_at(port).offers([(MR, EXPLICIT)])
