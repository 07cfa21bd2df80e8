"""What arrives is what was uploaded: real files of every kind, through the whole gear."""

from __future__ import annotations

import io
import struct

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from tests.gear_send.real_files import SAMPLES, WATCHED, check_arrived, sample
from tests.gear_send.send_helpers import Session, only, slices, zipped

pytestmark = pytest.mark.slow


def test_every_element_arrives_as_it_was(session: Session) -> None:
    """Every element but the private tag is equal, and the pixel data are byte-identical.

    The server keeps what it gets bit by bit (+B).
    """
    session.archive.restart("+B")
    contents = {name: sample(name) for name in SAMPLES}
    session.acquisition("T1", zipped(*contents.values()))
    ended = session.run_all()
    assert ended.code == 0, ended.out
    arrived = session.archive.images()
    assert len(arrived) == len(SAMPLES)
    watched = set()
    for name, content in contents.items():
        uid = str(dcmread(DicomBytesIO(content)).SOPInstanceUID)
        watched |= check_arrived(name, arrived[uid])
    assert watched == set(WATCHED)


AGE, THICKNESS, ECHO = (0x00101010, b"AS"), (0x00180050, b"DS"), (0x00180081, b"DS")
NAME, STUDY_ID = (0x00100010, b"PN"), (0x00200010, b"SH")
INSTANCE, STUDY, FRAME = (0x00080018, b"UI"), (0x0020000D, b"UI"), (0x00200052, b"UI")
# What the standard does not allow (PS3.5 6.2, 9.1), and scanners and archives write: these arrive.
IRREGULAR: tuple[tuple[tuple[int, bytes], bytes], ...] = (
    (AGE, b"42"),  # without its unit
    (AGE, b"42Y "),  # two digits
    (THICKNESS, b"0.80 1"),  # two numbers in one
    (THICKNESS, b"1,5 "),
    (THICKNESS, b" 5.00000000000000000000 "),  # more than 16 characters, blanks on both sides
    (ECHO, b""),
    (ECHO, b"4\0"),  # padded as a UID is
    (NAME, b"Quixote^Zelda\0\0\0"),
    (STUDY_ID, b"  4 "),
    (STUDY, b"1.2.03.4"),  # a leading zero
    (STUDY, b"1.2.3.4 "),  # padded as text is
    (FRAME, b"none"),
    (INSTANCE, b"1.2.826.0.1.7.1.0044"),
    (INSTANCE, b"1.2.826.0.1.7.1.045 "),
)
# PS3.8 (E.2) has no fragment of an odd length, which the last one of these would be: refused.
UNPADDED = ((NAME, b"Quixote^Zelda"), (STUDY, b"1.2.3.4"), (FRAME, b"1.2.3.4"))
# Of a SOP instance UID PS3.7 (9.3.1.1) needs one that is one: C-STORE has no other name for it.
# These are refused, and the report says why.
NO_UID = (b"1.2.826.a.1.7.1.1", b"1.2.826..7.1", b"1", b"", b"1." * 33 + b"1")


def with_age(content: bytes) -> bytes:
    """Return a file that has a PatientAge, too."""
    found, packed = dcmread(DicomBytesIO(content)), io.BytesIO()
    found.PatientAge = "042Y"
    found.save_as(packed)
    return packed.getvalue()


def changed(content: bytes, which: tuple[int, bytes], value: bytes) -> bytes:
    """Return an explicit little endian file in which an element has other bytes as its value."""
    tag, vr = which
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    assert content.count(head) == 1
    at = content.index(head)
    (length,) = struct.unpack_from("<H", content, at + 6)
    return content[: at + 6] + struct.pack("<H", len(value)) + value + content[at + 8 + length :]


def data_set(content: bytes) -> bytes:
    """Return what follows the meta information, whose length stands in its first element."""
    (length,) = struct.unpack_from("<L", content, 140)
    return content[144 + length :]


TAG = (
    struct.pack("<HH2sH", 0x0021, 0x0010, b"LO", 8)
    + b"Flywheel"
    + struct.pack("<HH2sH", 0x0021, 0x1000, b"LO", 10)
    + b"DICOM Send"
)


def test_irregular_values_arrive_byte_for_byte(session: Session) -> None:
    """Nothing is corrected on the way: not one byte but the tag is another one."""
    session.archive.restart("+B")
    plain = map(with_age, slices(len(IRREGULAR)))
    contents = [changed(content, *change) for content, change in zip(plain, IRREGULAR, strict=True)]
    session.acquisition("T1", zipped(*contents))
    ended = session.run_all()
    assert ended.code == 0, ended.out
    arrived = [path.read_bytes() for path in session.archive.folder.iterdir()]
    assert all(each.count(TAG) == 1 for each in arrived)
    after = sorted(data_set(each).replace(TAG, b"") for each in arrived)
    assert after == sorted(map(data_set, contents))


def test_what_c_store_can_not_carry_is_refused_with_the_reason(session: Session) -> None:
    """An instance without a UID, or of an odd length, has its row; the others arrive."""
    changes = [*UNPADDED, *((INSTANCE, value + b"\0" * (len(value) % 2)) for value in NO_UID)]
    *plain, whole = slices(len(changes) + 1)
    contents = [changed(content, *change) for content, change in zip(plain, changes, strict=True)]
    session.acquisition("T1", zipped(*contents, whole))
    assert session.run_all().code == 1
    assert len(session.archive.images()) == 1
    rows = only(session.reports(), "instances.csv")
    assert rows.count("refused,SOPInstanceUID is no UID.") == len(NO_UID)
    assert rows.count("refused,The data set has an odd length") == len(UNPADDED)
