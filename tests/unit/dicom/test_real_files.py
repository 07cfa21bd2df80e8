"""pydicom's bundled files, read as they are; what to expect was found with DCMTK's dcmdump."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from imaging_gears import errors
from imaging_gears.dicom import attributes as known
from imaging_gears.dicom.header import NO_PREAMBLE, Header, read_header
from imaging_gears.dicom.members import Member, Upload

GOLDEN = Path(__file__).parents[2] / "golden" / "dicom_outcomes.json"
TABLE: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
READABLE = sorted(name for name, row in TABLE.items() if "error" not in row)
UNREADABLE = sorted(name for name, row in TABLE.items() if "error" in row)
ASKED = (
    known.STUDY_DATE,
    known.MODALITY,
    known.PATIENT_NAME,
    known.PATIENT_ID,
    known.STUDY_INSTANCE_UID,
    known.IMAGES_IN_ACQUISITION,
)


def data_folder() -> Path:
    """Return pydicom's data folder without importing pydicom."""
    spec = find_spec("pydicom")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


def read(path: Path) -> Header:
    """Return the header of the upload at `path`, which is no archive."""
    with Upload(path) as upload:
        (member,) = upload.members()
        assert isinstance(member, Member)
        with member.open() as stream:
            return read_header(stream, ASKED)


def test_the_table_has_a_row_for_each_bundled_file() -> None:
    """No file of the package is left out of the table, and no row is without its file."""
    folder = data_folder()
    files = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert files == set(TABLE)


@pytest.mark.parametrize("name", READABLE)
def test_values_are_those_that_dcmdump_shows(name: str) -> None:
    """Each value, the transfer syntax and the kind of file are as dcmdump has them."""
    row = TABLE[name]
    header = read(data_folder() / name)
    for keyword in ("StudyDate", "Modality", "PatientID", "StudyInstanceUID"):
        assert "\\".join(header.values[keyword]) == row[keyword], keyword
    if row["PatientName"] is not None:
        assert "\\".join(header.values["PatientName"]) == row["PatientName"]
    assert (header.transfer_syntax_uid or "") == row["TransferSyntaxUID"]
    assert (NO_PREAMBLE in header.warnings) is not row["preamble"]


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_readable_image_ends_as_the_stated_error(name: str) -> None:
    """A file that dcmdump refuses, or the rules do, raises exactly the error of the table."""
    with pytest.raises(errors.InputFileError) as raised:
        read(data_folder() / name)
    assert type(raised.value).__name__ == TABLE[name]["error"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # PS3.5 H.3.1, H.3.2: Yamada^Tarou in JIS X 0208, and with a half-width first group.
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrH32.dcm", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ],
)
def test_japanese_names_of_the_standard_are_read(name: str, expected: str) -> None:
    """The examples of PS3.5 annex H, which dcmdump can't convert, read as the annex prints them."""
    header = read(data_folder() / "charset_files" / name)
    assert header.values["PatientName"] == (expected,)
