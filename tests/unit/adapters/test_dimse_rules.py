"""Rules of sending over DIMSE: codes, contexts, waits; and the bytes of messages."""

from __future__ import annotations

import errno
import io
import socket
import ssl
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

from imaging_gears.adapters.dimse import commands
from imaging_gears.adapters.dimse.breaker import Breaker
from imaging_gears.adapters.dimse.contexts import (
    MAX_CONTEXTS,
    choose,
    fallbacks,
    groups,
)
from imaging_gears.adapters.dimse.failures import AssociationLostError, Failure
from imaging_gears.adapters.dimse.status import (
    abort_text,
    category,
    clean_comment,
    rejection_kind,
    rejection_text,
    status_text,
)
from imaging_gears.adapters.dimse.wire import Framer, Wire
from imaging_gears.dicom.transfer_syntax import BIG_UID, EXPLICIT_UID, IMPLICIT_UID
from imaging_gears.errors import (
    AssociationRejectedError,
    CalledAeTitleError,
    CallingAeTitleError,
    DicomServerError,
    ImagingError,
    InputFileError,
    OutOfResourcesError,
)

JPEG = "1.2.840.10008.1.2.4.50"
MR = "1.2.840.10008.5.1.4.1.1.4"


# --- Codes


def test_categories_agree_with_pynetdicoms_table() -> None:
    """Success, warning and failure as another reading of the standard has them."""
    ours = {"sent": "Success", "warning": "Warning", "retry": "Failure", "failed": "Failure"}
    # C-STORE knows no cancel.
    codes = sorted(set(STORAGE_SERVICE_CLASS_STATUS) - {0xFE00})
    assert [ours[category(code)] for code in codes] == [code_to_category(code) for code in codes]


def test_only_out_of_resources_is_retried() -> None:
    """A700 to A7FF, nothing else of 65,536."""
    assert {status for status in range(0x10000) if category(status) == "retry"} == set(
        range(0xA700, 0xA800)
    )


def test_all_of_b_is_a_warning() -> None:
    """Bxxx and the three general warnings are stored."""
    warnings = {status for status in range(0x10000) if category(status) == "warning"}
    assert warnings == {*range(0xB000, 0xC000), 0x0001, 0x0107, 0x0116}


def test_a_status_is_a_phrase() -> None:
    """Known ones by name, ranges by what they stand for, others as unknown."""
    assert status_text(0xB007) == "status 0xB007, data set does not match SOP class"
    assert status_text(0xC001, "no") == 'status 0xC001, cannot understand: "no"'
    assert status_text(0xD000) == "status 0xD000, unknown status"


@given(st.binary(max_size=300))
def test_a_comment_is_one_short_printable_line(value: bytes) -> None:
    """Whatever a server sends, it can't break a log line or a cell."""
    text = clean_comment(value)
    assert len(text) <= 64
    assert text.isascii()
    assert text == "" or text.isprintable()


def test_who_ended_it_and_why() -> None:
    """Codes of rejections and aborts, the ones that do not exist too."""
    assert rejection_text(1, 1, 7).endswith("permanently: called AE title not recognized")
    assert rejection_text(2, 3, 2).endswith("for the moment: local limit exceeded")
    assert rejection_text(2, 9, 9).endswith("source 9, reason 9")
    assert abort_text(0, 6) == "aborted by the server"
    assert abort_text(2, 1) == "aborted by the server's provider: unrecognized PDU"
    assert abort_text(2, 99) == "aborted by the server's provider: reason 99"


# --- Contexts


def test_uncompressed_brings_its_fallbacks_and_compressed_none() -> None:
    """Explicit before implicit, never itself, never big endian."""
    assert fallbacks((MR, JPEG)) == ()
    assert fallbacks((MR, IMPLICIT_UID)) == ((MR, EXPLICIT_UID),)
    assert fallbacks((MR, BIG_UID)) == ((MR, EXPLICIT_UID), (MR, IMPLICIT_UID))


PAIRS = st.sets(
    st.tuples(
        st.integers(1, 200).map("1.2.{}".format),
        st.sampled_from([JPEG, IMPLICIT_UID, EXPLICIT_UID, BIG_UID]),
    ),
    max_size=400,
)


@given(PAIRS)
def test_groups_hold_every_pair_once_with_its_fallbacks(pairs: set[tuple[str, str]]) -> None:
    """At most 128 contexts each, and none of them twice in a group."""
    found = groups(pairs)
    assert sorted(pair for group in found for pair in group.pairs) == sorted(pairs)
    for group in found:
        assert 0 < len(group.contexts) <= MAX_CONTEXTS
        wanted = {each for pair in group.pairs for each in (pair, *fallbacks(pair))}
        assert wanted == set(group.contexts)


def test_its_own_syntax_comes_first() -> None:
    """Then the fallbacks in their order, then nothing."""
    pair = (MR, BIG_UID)
    accepted = [(MR, IMPLICIT_UID), (MR, EXPLICIT_UID), pair]
    assert choose(pair, accepted) == pair
    assert choose(pair, accepted[:2]) == (MR, EXPLICIT_UID)
    assert choose(pair, accepted[:1]) == (MR, IMPLICIT_UID)
    assert choose((MR, JPEG), accepted) is None


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ((1, 1, 1), AssociationRejectedError),
        ((1, 1, 2), AssociationRejectedError),
        ((1, 1, 3), CallingAeTitleError),
        ((2, 1, 3), CallingAeTitleError),
        ((1, 1, 7), CalledAeTitleError),
        ((2, 3, 1), OutOfResourcesError),
        ((2, 3, 2), OutOfResourcesError),
        ((2, 1, 1), DicomServerError),
    ],
)
def test_what_a_rejection_is(codes: tuple[int, int, int], kind: type[ImagingError]) -> None:
    """By source and reason (PS3.8 table 9-21); one that may pass is not the configuration's."""
    assert rejection_kind(*codes) is kind


# --- Waits

A, B = Failure("a"), Failure("b")


def test_failures_of_one_moment_count_once() -> None:
    """Who began before the failure has nothing to add to it."""
    breaker = Breaker((1.0, 2.0))
    assert [breaker.failed(0, A), breaker.failed(0, B)] == [1.0, 1.0]
    assert breaker.epoch == 1
    assert breaker.failed(1, B) == 2.0
    assert breaker.given_up is None
    assert breaker.failed(2, Failure("d")) == 0.0
    breaker.judge(last_chance=False)
    assert breaker.given_up == Failure("d")


def test_success_begins_anew_but_not_after_the_end() -> None:
    """The waits start with the first again; what was given up stays so."""
    breaker = Breaker((1.0, 2.0))
    breaker.failed(0, A)
    breaker.succeeded()
    assert breaker.failed(0, A) == 0.0
    assert breaker.failed(breaker.epoch, B) == 1.0
    breaker.give_up(Failure("no"))
    breaker.succeeded()
    assert breaker.failed(breaker.epoch, B) == 0.0
    assert breaker.given_up == Failure("no")


# --- Bytes


def test_a_store_request_is_what_pynetdicom_makes_of_it() -> None:
    """The same elements with the same values, as pydicom reads both."""
    theirs = C_STORE()
    theirs.MessageID = 7
    theirs.AffectedSOPClassUID = MR
    theirs.AffectedSOPInstanceUID = "1.2.3"
    theirs.Priority = 0
    theirs.DataSet = io.BytesIO(b"x")
    message = C_STORE_RQ()
    message.primitive_to_message(theirs)
    ours = dcmread(io.BytesIO(commands.store_request(7, MR, "1.2.3")), force=True)
    assert ours.CommandGroupLength == len(commands.store_request(7, MR, "1.2.3")) - 12
    assert message.command_set is not None
    for element in message.command_set:
        # How it says that there is a data set is free: anything but 0101.
        if element.keyword == "CommandDataSetType":
            assert ours[element.tag].value != 0x0101
        elif element.keyword != "CommandGroupLength":
            assert ours[element.tag].value == element.value


def test_a_query_is_a_data_set_in_order() -> None:
    """Level IMAGE, both keys above it, and the one that is asked for."""
    query = dcmread(io.BytesIO(commands.query_identifier("1.2.3", "1.2.34")), force=True)
    assert query.QueryRetrieveLevel == "IMAGE"
    assert (query.StudyInstanceUID, query.SeriesInstanceUID) == ("1.2.3", "1.2.34")
    assert not query.SOPInstanceUID
    assert [element.tag for element in query] == sorted(element.tag for element in query)


@given(st.binary(max_size=200))
def test_a_command_of_any_bytes_is_parsed_or_lost(data: bytes) -> None:
    """Nothing but the error that ends the association."""
    with suppress(AssociationLostError):
        commands.number(commands.parse_command(data), commands.STATUS)


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 30), st.sampled_from([0, 1]))
def test_framed_pieces_are_what_pynetdicom_decodes(
    pieces: list[bytes], room: int, control: int
) -> None:
    """Full PDUs, the last one marked, and all bytes in their order."""
    whole = b"".join(pieces)
    framer = Framer(9, control, len(whole), room)
    sent = b"".join(bytes(part) for piece in pieces for part in framer.feed(piece))
    assert (framer.left, framer.within) == (0, False)
    fragments, position = [], 0
    while position < len(sent):
        (length,) = struct.unpack_from(">L", sent, position + 2)
        pdu = P_DATA_TF()
        pdu.decode(sent[position : position + 6 + length])
        (item,) = pdu.presentation_data_value_items
        assert item.presentation_context_id == 9
        fragments.append(item.presentation_data_value)
        position += 6 + length
    assert b"".join(each[1:] for each in fragments) == whole
    assert all(len(each) - 1 == room for each in fragments[:-1])
    last = [bool(each[0] & 2) for each in fragments]
    assert last == [False] * (len(fragments) - 1) + [True] * bool(fragments)
    assert {each[0] & 1 for each in fragments} <= {control}


def test_more_than_announced_is_refused() -> None:
    """At the first byte too many."""
    framer = Framer(1, 0, 3, 10)
    assert len(list(framer.feed(b"abc"))) == 2
    with pytest.raises(InputFileError, match="longer"):
        list(framer.feed(b"d"))


@pytest.mark.parametrize("longest", [1, 6, 7])
def test_an_association_that_takes_no_data_is_lost(longest: int) -> None:
    """A Maximum Length that leaves no room for two bytes of data can't be kept."""
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(AssociationLostError, match="long enough"):
        Wire(ours, longest, 1)


def failed_tls() -> ssl.SSLError:
    """As `ssl` raises one: OpenSSL's reason is an attribute."""
    error = ssl.SSLError(1, "bad record mac")
    error.reason = "BAD_RECORD_MAC"
    return error


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (ConnectionResetError(), True),
        (ssl.SSLEOFError(), True),  # as `ssl` tells of the same
        (failed_tls(), False),
        (OSError(errno.EHOSTUNREACH, "no route to host"), False),
    ],
)
def test_who_ended_an_association_is_told_alike_over_tls(
    monkeypatch: pytest.MonkeyPatch, error: OSError, *, ended: bool
) -> None:
    """A server that cuts the connection has ended it; what else fails has not."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("imaging_gears.adapters.dimse.wire._write_pieces", fail)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as ours,
    ):
        server.accept()[0].close()
        with pytest.raises(AssociationLostError) as raised:
            Wire(ours, 0, 1).send(1, b"command")
    assert raised.value.ended is ended
    assert (raised.value.reason == "the connection was lost") is ended


def p_data(values: list[tuple[int, bytes]]) -> bytes:
    """A P-DATA-TF with these message control headers and fragments."""
    body = b"".join(
        struct.pack(">LBB", len(value) + 2, 1, control) + value for control, value in values
    )
    return struct.pack(">BxL", 4, len(body)) + body


ANYTHING = st.binary(max_size=100) | st.lists(
    st.tuples(st.integers(0, 3), st.binary(max_size=30)), max_size=4
).map(p_data)


@given(st.lists(ANYTHING, max_size=3).map(b"".join))
def test_any_bytes_from_a_server_end_in_a_message_or_a_loss(data: bytes) -> None:
    """A server can say what it likes; nothing else is raised, and nothing hangs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with theirs, ours:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with suppress(AssociationLostError):
            while True:
                Wire(ours, 0, 5).receive()
