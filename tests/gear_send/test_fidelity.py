"""What arrives is what was uploaded: real files of every kind, through the whole gear."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence

from tests.gear_send.send_helpers import Session, zipped

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

    Two of them have another one in their file meta, which the gear refuses; it is made the same.
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
