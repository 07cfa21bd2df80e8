"""What fuzzing has found: inputs that go their own ways through the reader, and what came of it."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import pytest

from imaging_gears.dicom.attributes import ATTRIBUTES
from imaging_gears.dicom.header import Header, read_header
from imaging_gears.dicom.members import Skipped, Upload
from imaging_gears.errors import (
    HeaderError,
    InputFileError,
    InvalidAttributeError,
    NotDicomError,
)
from tests.fuzz.expect import SHOWN, TABLE
from tests.fuzz.mutate import content, corpus
from tests.unit.dicom.builders import (
    BIG,
    EXPLICIT,
    FORMS,
    IMPLICIT,
    ORDINARY,
    Form,
    body,
    dicom,
    element,
    meta,
)
from tests.unit.dicom.test_header import is_ordinary, read

EXPECTED: dict[str, list[dict[str, str]]] = json.loads(TABLE.read_text(encoding="utf-8"))
"""Name of an input -> the values of the images that dcmdump and zipfile can read in it."""
SECONDS = 2.0
STRICTER: dict[str, tuple[type[InputFileError], str]] = {
    "a8ae89dca788": (InvalidAttributeError, "PatientName is not text"),  # dcmdump shows bytes
    "c24091fc8a8d": (InvalidAttributeError, "PatientName is not text"),
    # Nothing behind the meta information: dcmdump shows an empty data set.
    "5c9812ab65a4": (HeaderError, "has no data set"),
    # A UID of the meta information that goes on behind its padding (PS3.5 6.2).
    "a55d5a6c9992": (HeaderError, "where a UID has to be"),
    # The file ends before SeriesNumber (PS3.3 C.7.3.1, Type 2).
    "2ae368dd3a4d": (HeaderError, "cut off"),
    "8ecc450d12e9": (HeaderError, "cut off"),
    "cc05680f409d": (HeaderError, "cut off"),
    # An item that is in no sequence (PS3.5 7.5).
    "e1869c7d9b07": (HeaderError, "outside of a sequence"),
}
"""Name of an input that dcmdump reads -> the error by which it is refused here."""
META_TAGS = (0x00020002, 0x00020010)


def tag_bytes(tag: int, order: str) -> bytes:
    """Return a tag as it is written."""
    return struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)


def with_raised_tag(data: bytes, tag: int, order: str) -> bytes:
    """Return `data` with a much higher group number in the element of that tag."""
    return data.replace(tag_bytes(tag, order), tag_bytes(tag | 0x7D000000, order), 1)


def first_image(path: Path) -> Header:
    """Return the header of the first image that can be read.

    Raises:
        InputFileError: there is none; that of the first member which is at fault.
    """
    errors: list[InputFileError] = []
    with Upload(path) as upload:
        for member in upload.members():
            if isinstance(member, Skipped):
                errors += [member.error] if member.error else []
                continue
            try:
                with member.open() as stream:
                    return read_header(stream, ATTRIBUTES)
            except InputFileError as error:
                errors.append(error)
    raise errors[0] if errors else NotDicomError("There is no image.")


def test_the_table_has_a_row_for_each_input() -> None:
    """No input of the corpus is without its row, and no row without its input."""
    assert set(EXPECTED) == {path.stem for path in corpus()}
    assert set(STRICTER) <= {name for name, images in EXPECTED.items() if images}


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.stem)
def test_an_input_is_read_as_other_programs_read_it(path: Path, tmp_path: Path) -> None:
    """The same values where they show any, else an error of ours; within the bounds either way."""
    upload = tmp_path / "upload"
    upload.write_bytes(content(path))
    images, start = EXPECTED[path.stem], time.process_time()
    if images and path.stem not in STRICTER:
        header = first_image(upload)
        values = {keyword: "\\".join(header.values[keyword]) for keyword in SHOWN.values()}
        assert {key: value for key, value in values.items() if value} == images[0]
    else:
        error, words = STRICTER.get(path.stem, (InputFileError, "."))
        with pytest.raises(error, match=words):
            first_image(upload)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_a_damaged_tag_never_gives_fewer_values(syntax: str) -> None:
    """One tag that is made too high is an error, in the meta information and in the data set.

    It would otherwise be the first one behind all that is asked for, where reading ends.
    """
    data, order = dicom(syntax), FORMS.get(syntax, Form()).order
    assert is_ordinary(read(data))
    damaged = [with_raised_tag(data, tag, "<") for tag in META_TAGS]
    damaged += [with_raised_tag(data, tag, order) for tag, _, _ in ORDINARY]
    for each in damaged:
        assert each != data
        with pytest.raises(HeaderError):
            read(each)


@pytest.mark.parametrize("tag", [0x00000002, 0x00020003])
def test_meta_information_in_the_data_set_is_an_error(tag: int) -> None:
    """Where its middle is damaged, its rest must not pass for the start of the data set."""
    data = dicom()
    start = len(meta(EXPLICIT))
    with pytest.raises(HeaderError, match="ends too early"):
        read(data[:start] + element(0x00010001, "LO") + element(tag, "UI", "1.2") + data[start:])


@pytest.mark.parametrize(
    "end", [element(0x00280010, "US", b"\x08\x00"), element(0x00290010, "OB", bytes(2000))]
)
def test_a_header_may_end_in_the_element_behind_it(end: bytes) -> None:
    """Nothing behind it shows its tag to be wrong: it is the last one, or too long to be passed."""
    assert is_ordinary(read(meta(EXPLICIT) + body() + end))
