"""What arrives is what was uploaded: real files of every kind, through the whole gear."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence

from tests.gear_send.send_helpers import Session, only, slices, zipped

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

pytestmark = pytest.mark.slow

GROUP = 0x0021
# Name -> UID of its transfer syntax (PS3.6 table A-1), frames, and what the file is sent with
# instead of the last digits of its SOP instance UID, where another one here has the same.
SAMPLES: dict[str, tuple[str, int, str]] = {
    "MR_small_implicit.dcm": ("1.2.840.10008.1.2", 1, "11"),
    "rtdose.dcm": ("1.2.840.10008.1.2", 15, ""),
    "CT_small.dcm": ("1.2.840.10008.1.2.1", 1, ""),
    "MR_small_bigendian.dcm": ("1.2.840.10008.1.2.2", 1, "12"),
    "rtdose_expb.dcm": ("1.2.840.10008.1.2.2", 15, "13"),
    "image_dfl.dcm": ("1.2.840.10008.1.2.1.99", 1, ""),
    "SC_rgb_jpeg_dcmtk.dcm": ("1.2.840.10008.1.2.4.50", 1, ""),
    "examples_ybr_color.dcm": ("1.2.840.10008.1.2.4.50", 30, ""),
    "JPEG-lossy.dcm": ("1.2.840.10008.1.2.4.51", 1, ""),
    "MR_small_jp2klossless.dcm": ("1.2.840.10008.1.2.4.90", 1, "14"),
    "JPEG2000.dcm": ("1.2.840.10008.1.2.4.91", 1, ""),
    "MR_small_RLE.dcm": ("1.2.840.10008.1.2.5", 1, "15"),
    "SC_rgb_rle_2frame.dcm": ("1.2.840.10008.1.2.5", 2, ""),
}
UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
WATCHED = (*UIDS, "FrameOfReferenceUID", "SliceThickness", "PatientAge", "PixelData")


def sample(name: str) -> bytes:
    """Return one of pydicom's files, its SOP instance UID that of no other sample.

    Two of them have another one in their file meta, which nothing asks; `storescp` writes that of
    the data set there, and so that the two files can be compared, it is made the same.
    """
    content = Path(str(get_testdata_file(name, download=False))).read_bytes()
    data_set = dcmread(DicomBytesIO(content))
    uid, in_meta = str(data_set.SOPInstanceUID), str(data_set.file_meta.MediaStorageSOPInstanceUID)
    # Whatever takes its place is as long, so that no length changes in data set or file meta.
    assert len(in_meta) == len(uid)
    content = content.replace(in_meta.encode(), uid.encode())
    if digits := SAMPLES[name][2]:
        content = content.replace(uid.encode(), f"{uid[:-2]}{digits}".encode())
    return content


def raw(data_set: Dataset) -> dict[int, tuple[str | None, Any]]:
    """Return every element with its VR and its bytes, undecoded; of sequences, their items."""
    found: dict[int, tuple[str | None, Any]] = {}
    for tag in data_set.keys():  # noqa: SIM118 - iterating over a Dataset decodes its elements
        element = data_set.get_item(tag)
        value = element.value
        if isinstance(value, Sequence):
            value = [raw(item) for item in value]
        found[int(tag)] = (element.VR, value)
    return found


def test_every_element_arrives_as_it_was(session: Session) -> None:
    """Every element but the private tag is equal, and the pixel data are byte-identical.

    The server keeps what it gets bit by bit (+B).
    """
    session.archive.stop()
    session.archive.options = ("+B",)
    session.archive.start()
    contents = {name: sample(name) for name in SAMPLES}
    session.acquisition("T1", zipped(*contents.values()))
    ended = session.run_all()
    assert ended.code == 0, ended.out
    arrived = session.archive.images()
    assert len(arrived) == len(SAMPLES)
    watched = set()
    for name, content in contents.items():
        before = dcmread(DicomBytesIO(content))
        after = arrived[str(before.SOPInstanceUID)]
        # Before anything else is asked of them: they keep what they have decoded in its place.
        old, new = raw(before), raw(after)
        syntax, frames, _ = SAMPLES[name]
        assert before.file_meta.TransferSyntaxUID == syntax, name
        assert after.file_meta.TransferSyntaxUID == syntax, name
        assert int(before.get("NumberOfFrames", 1)) == frames, name
        for keyword in WATCHED:
            if keyword in before:
                watched.add(keyword)
                assert after.get_item(keyword).value == before.get_item(keyword).value, name
        added = {tag: new.pop(tag) for tag in new.keys() - old.keys()}
        assert new == old, name
        assert {tag >> 16 for tag in added} == {GROUP}, name
        values = sorted(value for _, value in added.values())
        assert values == [b"DICOM Send", b"Flywheel"], name
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
    session.archive.stop()
    session.archive.options = ("+B",)
    session.archive.start()
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
