"""pydicom's sample files of every kind, and what has to be equal when they have arrived."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

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
    elements = [data_set.get_item(tag) for tag in data_set.keys()]  # noqa: SIM118 - no decoding
    found = {int(each.tag): (each.VR, each.value) for each in elements}
    for tag, (vr, value) in found.items():
        # Decoding a sequence decodes other elements too, so these come last.
        if vr == "SQ" or isinstance(value, Sequence):
            found[tag] = ("SQ", [raw(item) for item in data_set[tag].value])
    return found


def check_arrived(
    name: str, after: Dataset, written_anew: Mapping[int, tuple[str, bytes | None]] | None = None
) -> set[str]:
    """Check that every element but the private tag is as it was, pixel data byte for byte.

    Args:
        name: of the sample.
        after: what arrived, nothing but its SOPInstanceUID decoded yet.
        written_anew: tag -> VR and bytes of elements that this server gives out in another form;
            None stands for the bytes that were sent.

    Returns:
        Those of `WATCHED` that it has.
    """
    before = dcmread(DicomBytesIO(sample(name)))
    assert after.SOPInstanceUID == before.SOPInstanceUID, name
    # Before anything else is asked of them: they keep what they have decoded in its place.
    old, new = raw(before), raw(after)
    syntax, frames, _ = SAMPLES[name]
    assert before.file_meta.TransferSyntaxUID == syntax, name
    assert after.file_meta.TransferSyntaxUID == syntax, name
    assert int(before.get("NumberOfFrames", 1)) == frames, name
    watched = {keyword for keyword in WATCHED if keyword in before}
    for keyword in watched:
        assert after.get_item(keyword).value == before.get_item(keyword).value, (name, keyword)
    for tag, (vr, value) in (written_anew or {}).items():
        assert new[tag] != old[tag], (name, hex(tag))
        old[tag] = (vr, old[tag][1] if value is None else value)
    added = {tag: new.pop(tag) for tag in new.keys() - old.keys()}
    assert new == old, name
    assert {tag >> 16 for tag in added} == {GROUP}, name
    values = sorted(value for _, value in added.values())
    assert values == [b"DICOM Send", b"Flywheel"], name
    return watched
