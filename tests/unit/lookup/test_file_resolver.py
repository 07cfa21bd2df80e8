"""Which DICOM of an upload counts, what is passed over, and the twelve values that are kept."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from imaging_gears import errors
from imaging_gears.dicom.header import Header
from imaging_gears.image_identifier_lookup.dicom_utils import KEPT, dicom_metadata
from imaging_gears.image_identifier_lookup.file_resolver import (
    LOOKED_AT_FROM_THE_END,
    NO_PIXELS,
    SKIPPED_NAMED,
    resolve,
)
from tests.unit.dicom.builders import CT_IMAGE, EXPLICIT, body, dicom, element, meta, packed_zip

STUDY_UID, PATIENT_ID, SERIES_DESCRIPTION, MODALITY = 0x0020000D, 0x00100020, 0x0008103E, 0x00080060
# What `dicom` of the builders writes, under the contract's keys.
EXPECTED = {
    "patient_id": "110001",
    "study_date": "20240115",
    "modality": "CT",
    "study_instance_uid": "1.2.3.4",
    "series_instance_uid": "1.2.3.4.1",
    "series_number": "5",
    "series_date": "20240116",
    "manufacturer": "Siemens",
    "manufacturer_model_name": "Skyra",
    "series_description": "Sch\xe4del",
    "magnetic_field_strength": "3.0",
    "images_in_acquisition": "176",
}


def packed(folder: Path, members: Mapping[str, bytes]) -> Path:
    """Return an archive of these members, in this order."""
    path = folder / "upload.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def other(tag: int, vr: str, value: str) -> bytes:
    """Return an ordinary image with another value of one attribute."""
    return dicom(EXPLICIT, {tag: element(tag, vr, value)})


def test_the_kept_attributes_are_the_contracts_twelve() -> None:
    """Their keys, in the contract's order."""
    assert list(KEPT) == list(EXPECTED)


def test_an_upload_that_is_a_dicom_is_the_dicom(tmp_path: Path) -> None:
    """Whatever its name; it is no member of anything."""
    path = tmp_path / "1.2.840.99"
    path.write_bytes(dicom())
    found = resolve(path)
    assert found.metadata == EXPECTED
    assert (found.member, found.skipped, found.passed_over) == (None, (), 0)
    assert (found.findings, found.transfer_syntax_uid) == ((), EXPLICIT)
    assert found.remark() == f"the upload itself, 0 passed over, {found.bytes_read} bytes read"
    assert "110001" not in repr(found)


def test_the_first_image_of_an_archive_counts(tmp_path: Path) -> None:
    """Folders, empty members, hidden files of a Mac, DICOMDIR and other files are passed over."""
    members = {
        "series/": b"",
        "series/empty": b"",
        "__MACOSX/series/._IM1": dicom(),
        "series/._IM1": dicom(),
        "DICOMDIR": meta(EXPLICIT, "1.2.840.10008.1.3.10"),
        "readme.dcm": b"not an image",
        "series/IM1.IMA": other(MODALITY, "CS", "MR"),
        "series/IM2.IMA": dicom(),
    }
    found = resolve(packed(tmp_path, members))
    assert found.member == "series/IM1.IMA"
    assert found.metadata["modality"] == "MR"
    assert found.passed_over == 6
    assert [each.name for each in found.skipped] == list(members)[:6]
    assert all(each.reason for each in found.skipped)
    assert "IM1" not in found.remark()


def test_an_unreadable_image_is_passed_over_when_a_good_one_follows(tmp_path: Path) -> None:
    """Cut off behind its meta information; the reason is kept."""
    found = resolve(packed(tmp_path, {"a": dicom()[:400], "b": dicom()}))
    assert (found.member, found.passed_over) == ("b", 1)
    assert found.skipped[0].name == "a"


def test_an_unreadable_image_alone_is_the_error(tmp_path: Path) -> None:
    """Not "no DICOM": there is one, and it can't be read."""
    with pytest.raises(errors.HeaderError):
        resolve(packed(tmp_path, {"readme": b"text", "a": dicom()[:400], "c": dicom()[:420]}))


@pytest.mark.parametrize("content", [b"", b"text", b"\x00" * 1000])
def test_an_upload_that_is_neither_is_said_to_be_neither(tmp_path: Path, content: bytes) -> None:
    """Neither a DICOM file nor an archive."""
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    with pytest.raises(errors.NotDicomError, match="neither a DICOM file nor a zip archive"):
        resolve(path)


def test_an_archive_without_dicom_says_how_many_it_looked_at(tmp_path: Path) -> None:
    """Names of members may name patients: they are only counted."""
    with pytest.raises(errors.NotDicomError, match="among its 2 members") as raised:
        resolve(packed(tmp_path, {"Doe_Jane.txt": b"text", "b.pdf": b"%PDF-1.4"}))
    assert "Doe" not in str(raised.value)


def test_what_was_passed_over_is_named_up_to_a_bound(tmp_path: Path) -> None:
    """The rest is counted."""
    members = {f"{number}.txt": b"t" for number in range(SKIPPED_NAMED + 5)}
    found = resolve(packed(tmp_path, {**members, "image": dicom()}))
    assert (len(found.skipped), found.passed_over) == (SKIPPED_NAMED, SKIPPED_NAMED + 5)


@pytest.mark.parametrize(
    ("last", "codes"),
    [
        (dicom(), []),
        (other(MODALITY, "CS", "MR"), []),
        (other(PATIENT_ID, "LO", "110002"), ["mixed-identity"]),
        (other(PATIENT_ID, "LO", ""), ["mixed-identity"]),
        (other(STUDY_UID, "UI", "1.2.3.5"), ["mixed-identity"]),
        (b"not an image", []),
    ],
    ids=["same", "modality", "patient", "no patient", "study", "no image"],
)
def test_an_archive_of_two_patients_or_studies_is_warned_of(
    tmp_path: Path, last: bytes, codes: list[str]
) -> None:
    """First and last image are compared; the first one counts."""
    found = resolve(packed(tmp_path, {"a": dicom(), "b": dicom(), "c": last}))
    assert [each.code for each in found.findings] == codes
    assert found.metadata == EXPECTED


def test_a_file_without_preamble_is_warned_of(tmp_path: Path) -> None:
    """It is read when its first elements make sense."""
    path = tmp_path / "headless"
    path.write_bytes(dicom()[132:])
    found = resolve(path)
    assert "no-preamble" in [each.code for each in found.findings]
    assert found.metadata == EXPECTED


def test_the_first_of_several_descriptions_is_used_with_a_warning(tmp_path: Path) -> None:
    """It describes well enough."""
    path = tmp_path / "x"
    path.write_bytes(other(SERIES_DESCRIPTION, "LO", "T1\\T2"))
    found = resolve(path)
    assert found.metadata["series_description"] == "T1"
    assert [each.code for each in found.findings] == ["multiple-values"]


def test_the_last_image_that_can_be_read_is_compared(tmp_path: Path) -> None:
    """One that is cut off tells nothing."""
    members = {"a": dicom(), "b": other(PATIENT_ID, "LO", "110002"), "c": dicom()[:400]}
    (warning,) = resolve(packed(tmp_path, members)).findings
    assert warning.code == "mixed-identity"
    assert resolve(packed(tmp_path, {"a": dicom(), "c": dicom()[:400]})).findings == ()


def test_an_end_that_is_not_read_within_bounds_does_not_undo_the_start(tmp_path: Path) -> None:
    """The image that counts is read; whether another patient's follows stays unknown."""
    path = packed(tmp_path, {"a": dicom(), "b": other(PATIENT_ID, "LO", "110002")})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_BZIP2) as archive:
        for number in range(2000):
            archive.writestr(f"{number}", b"text")
    found = resolve(path)
    assert (found.metadata, found.findings) == (EXPECTED, ())


def test_many_files_behind_the_last_image_do_not_hide_it(tmp_path: Path) -> None:
    """What is no DICOM by its first bytes is not counted among those that are looked at."""
    texts = {f"{number}.txt": b"text" for number in range(LOOKED_AT_FROM_THE_END + 5)}
    images = {"a": dicom(), "b": other(PATIENT_ID, "LO", "110002")}
    found = resolve(packed(tmp_path, {**images, **texts}))
    assert [each.code for each in found.findings] == ["mixed-identity"]


REPORT = "1.2.840.10008.5.1.4.1.1.88.11"  # PS3.4 B.5: Basic Text SR Storage
STATE = "1.2.840.10008.5.1.4.1.1.11.1"  # Grayscale Softcopy Presentation State Storage


def without_pixels(sop_class: str, tags: Mapping[int, tuple[str, str]]) -> bytes:
    """Return a whole DICOM of a class without pixels, with these values."""
    extra = {tag: element(tag, vr, value) for tag, (vr, value) in tags.items()}
    extra[0x00080016] = element(0x00080016, "UI", sop_class)
    end = element(0x0040A040, "CS", "TEXT")
    return meta(EXPLICIT, sop_class) + body(extra=extra) + end


@pytest.mark.parametrize("sop_class", [REPORT, STATE])
def test_what_has_no_pixels_is_passed_over_where_an_image_follows(
    sop_class: str, tmp_path: Path
) -> None:
    """It has a modality and a series of its own."""
    report = without_pixels(sop_class, {MODALITY: ("CS", "SR")})
    found = resolve(packed(tmp_path, {"r": report, "text": b"text", "r2": report, "im": dicom()}))
    assert (found.member, found.metadata) == ("im", EXPECTED)
    assert [each.name for each in found.skipped] == ["r", "text", "r2"]
    assert (found.passed_over, found.skipped[0].reason) == (3, NO_PIXELS)


def test_a_report_counts_where_no_image_follows(tmp_path: Path) -> None:
    """The first one; an image that can't be read is none that follows."""
    first, second = (without_pixels(REPORT, {MODALITY: ("CS", name)}) for name in ("SR", "KO"))
    members = {"text": b"text", "a": first, "cut": dicom()[:400], "b": second, "end": b"text"}
    found = resolve(packed(tmp_path, members))
    assert (found.member, found.metadata["modality"]) == ("a", "SR")
    assert ([each.name for each in found.skipped], found.passed_over) == (["text"], 1)


def test_an_upload_that_is_a_report_counts(tmp_path: Path) -> None:
    """Nothing else is there."""
    path = tmp_path / "x"
    path.write_bytes(without_pixels(REPORT, {MODALITY: ("CS", "SR")}))
    assert resolve(path).metadata["modality"] == "SR"


def test_an_image_that_ends_before_its_identity_hides_no_other(tmp_path: Path) -> None:
    """Cut exactly between two elements, it is unreadable, and not an image without values."""
    start = len(meta(EXPLICIT)) + len(element(0x00080005, "CS", "ISO_IR 100"))
    found = resolve(packed(tmp_path, {"a": dicom()[:start], "b": dicom()}))
    assert (found.member, found.metadata) == ("b", EXPECTED)


@pytest.mark.parametrize("value", ["11\x010001", "110001\\110002", "\xe4" * 6])
def test_a_refused_identity_is_the_error_of_the_upload(value: str, tmp_path: Path) -> None:
    """The image behind it may be another patient's: it must not count instead."""
    extra = {PATIENT_ID: element(PATIENT_ID, "LO", value), 0x00080005: b""}
    with pytest.raises(errors.InvalidAttributeError) as raised:
        resolve(packed(tmp_path, {"a": dicom(EXPLICIT, extra), "b": dicom()}))
    assert raised.value.location == "PatientID"


def test_a_refused_description_is_passed_over(tmp_path: Path) -> None:
    """It says nothing of whose the image is."""
    members = {"a": other(SERIES_DESCRIPTION, "LO", "T\x01"), "b": dicom()}
    assert resolve(packed(tmp_path, members)).member == "b"


@pytest.mark.parametrize("pixels", [True, False], ids=["image", "report"])
@pytest.mark.parametrize("last", [True, False], ids=["alone", "a good one follows"])
def test_a_member_with_a_wrong_checksum_does_not_count(
    tmp_path: Path, *, pixels: bool, last: bool
) -> None:
    """However much of it follows the header: any of its values may be wrong."""
    report = without_pixels(REPORT, {}) + element(0x00420011, "OB", bytes(300_000))
    whole = dicom(tail=bytes(300_000)) if pixels else report
    members = [("a", whole)] if last else [("a", whole), ("b", other(PATIENT_ID, "LO", "good"))]
    data = packed_zip(members, method=0)
    at = data.index(b"110001")
    path = tmp_path / "upload.zip"
    path.write_bytes(data[:at] + b"2" + data[at + 1 :])
    if last:
        with pytest.raises(errors.ArchiveError, match="checksum"):
            resolve(path)
    else:
        assert resolve(path).metadata["patient_id"] == "good"


def test_a_value_that_is_wrong_by_its_checksum_is_no_refused_one(tmp_path: Path) -> None:
    """The member is damaged: it is passed over like any other that can't be read."""
    path = tmp_path / "x"
    damaged = other(PATIENT_ID, "LO", "11\x010001")
    path.write_bytes(packed_zip([("a", damaged)], crc=1))
    with pytest.raises(errors.ArchiveError, match="checksum"):
        resolve(path)


@pytest.mark.parametrize("keyword", ["PatientID", "StudyDate", "Modality"])
def test_two_answers_to_whose_or_when_are_an_error(keyword: str) -> None:
    """The values are in no sentence."""
    values: dict[str, tuple[str, ...]] = {kept.keyword: ("1",) for kept in KEPT.values()}
    header = Header({**values, keyword: ("777", "778")}, EXPLICIT, CT_IMAGE, ())
    with pytest.raises(errors.InvalidAttributeError, match=keyword) as raised:
        dicom_metadata(header)
    assert raised.value.location == keyword
    assert "777" not in str(raised.value)


def test_an_attribute_without_value_is_none() -> None:
    """Absent, and empty as the first of several."""
    values: dict[str, tuple[str, ...]] = {kept.keyword: () for kept in KEPT.values()}
    header = Header({**values, "Manufacturer": ("", "x")}, EXPLICIT, CT_IMAGE, ())
    found, _ = dicom_metadata(header)
    assert set(found.values()) == {None}
