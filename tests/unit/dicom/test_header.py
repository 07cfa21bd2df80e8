"""Reading a header: complete, or one of the project's errors."""

from __future__ import annotations

import io
import struct
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imaging_gears.dicom import attributes as known
from imaging_gears.dicom.attributes import ATTRIBUTES, Attribute, Level
from imaging_gears.dicom.header import (
    NO_PREAMBLE,
    NO_TRANSFER_SYNTAX,
    UNDECODABLE,
    Header,
    read_header,
)
from imaging_gears.errors import (
    HeaderError,
    ImagingError,
    InvalidAttributeError,
    NotDicomError,
)
from tests.unit.dicom.builders import (
    BIG,
    DEFLATED,
    DIRECTORY,
    EXPLICIT,
    FORMS,
    IMPLICIT,
    JPEG,
    ORDINARY,
    SYNTAXES,
    UNDEFINED,
    VALUES,
    Form,
    body,
    deflate,
    dicom,
    element,
    item,
    meta,
    pixels,
    sequence,
)

PRIVATE = 0x00090010
SEQUENCE = 0x00081140  # ReferencedImageSequence, between Modality and PatientID


def read(data: bytes, *asked: Attribute) -> Header:
    """Return the header in `data`."""
    return read_header(io.BytesIO(data), asked or ATTRIBUTES)


def is_ordinary(header: Header) -> bool:
    """Return whether `header` has all values of `builders.ORDINARY`."""
    return all(header.values[keyword] == values for keyword, values in VALUES.items())


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_transfer_syntax_gives_the_same_values(syntax: str) -> None:
    """Implicit, explicit, big endian, deflated and encapsulated headers read alike."""
    header = read(dicom(syntax))
    assert is_ordinary(header)
    assert header.transfer_syntax_uid == syntax
    assert header.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"
    assert header.warnings == ()


def test_only_what_is_asked_for_is_returned() -> None:
    """An absent attribute has no value, and nothing else is in the result."""
    absent = Attribute("ProtocolName", 0x00181030, "LO", Level.SERIES)
    header = read(dicom(), known.STUDY_DATE, absent)
    assert header.values == {"StudyDate": ("20240115",), "ProtocolName": ()}


def test_values_are_not_in_the_representation() -> None:
    """A header that ends in a log line shows nothing of the patient."""
    assert "110001" not in repr(read(dicom()))


def test_reading_ends_before_the_pixels() -> None:
    """A file of which only the header and one buffer is there is read without complaint."""
    stream = io.BytesIO(dicom(tail=bytes(1_000_000)))
    read_header(stream, ATTRIBUTES)
    assert stream.tell() <= 2 * 4096


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, JPEG])
def test_a_cut_never_gives_fewer_values(syntax: str) -> None:
    """Cut at any byte, a file is an error or reads as the whole one.

    The exception is the cut exactly behind SeriesNumber: so may a file end.
    """
    form = FORMS.get(syntax, Form())
    whole = dicom(syntax)
    end = len(meta(syntax) + body(form))
    rows = element(0x00280010, "US", b"\0\0", form)
    before_images = end - len(element(0x00201002, "IS", "176", form))
    for size in set(range(len(whole))) - {before_images}:
        try:
            assert is_ordinary(read(whole[:size])), size
        except (HeaderError, NotDicomError):
            assert size < end + len(rows)
    assert is_ordinary(read(whole))


@pytest.mark.parametrize("size", range(0, 200, 7))
def test_a_deflated_header_that_is_cut_off_is_an_error(size: int) -> None:
    """A deflate stream has an end mark, so that every cut within it shows."""
    whole = meta(DEFLATED) + deflate(body())
    with pytest.raises(HeaderError):
        read(whole[: -2 - size])


@pytest.mark.parametrize("claimed", SYNTAXES)
@pytest.mark.parametrize("real", SYNTAXES)
def test_a_transfer_syntax_that_lies_is_an_error(real: str, claimed: str) -> None:
    """What is encoded otherwise than it says is refused; where it is the same encoding, read."""
    same = {EXPLICIT, JPEG}
    data = meta(claimed) + dicom(real)[len(meta(real)) :]
    if real == claimed or {real, claimed} <= same:
        assert is_ordinary(read(data))
    else:
        with pytest.raises(HeaderError):
            read(data)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_a_missing_transfer_syntax_is_found_from_the_data(syntax: str) -> None:
    """The first element shows the encoding, and a warning says that it had to."""
    header = read(meta(None) + dicom(syntax)[len(meta(syntax)) :])
    assert is_ordinary(header)
    assert header.transfer_syntax_uid is None
    assert header.warnings == (NO_TRANSFER_SYNTAX,)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("skipped", ["preamble", "meta"])
def test_a_file_without_preamble_is_read_with_a_warning(syntax: str, skipped: str) -> None:
    """It may begin with its meta information or with its data set."""
    whole = dicom(syntax)
    start = 132 if skipped == "preamble" else len(meta(syntax))
    header = read(whole[start:])
    assert is_ordinary(header)
    assert header.warnings == (NO_PREAMBLE,)


@pytest.mark.parametrize(
    "data", [b"", b"DICM", bytes(1000), b"PK\x03\x04" + bytes(500), b"\x08\x00text of a kind" * 40]
)
def test_what_is_no_dicom_is_refused_as_such(data: bytes) -> None:
    """Nothing, zeros, an archive and text are not DICOM."""
    with pytest.raises(NotDicomError):
        read(data)


WITHOUT_CLASS = bytes(128) + b"DICM" + element(0x00020010, "UI", EXPLICIT)


@pytest.mark.parametrize(
    "data",
    [
        meta(EXPLICIT, DIRECTORY) + element(0x00041130, "CS", "SET"),
        WITHOUT_CLASS + element(0x00041130, "CS", "SET"),
    ],
)
def test_a_dicomdir_is_no_image(data: bytes) -> None:
    """A directory is known by its SOP class; where that is missing, by its first element."""
    with pytest.raises(NotDicomError, match="DICOMDIR"):
        read(data)


@pytest.mark.parametrize(
    ("start", "tag"),
    [
        (meta(EXPLICIT), 0x00041130),
        (meta(EXPLICIT), 0x00091130),
        (WITHOUT_CLASS, 0x00041129),
        (WITHOUT_CLASS, 0x00091130),
        (WITHOUT_CLASS, 0x00201130),
    ],
)
def test_an_image_with_an_element_of_a_dicomdir_is_damaged(start: bytes, tag: int) -> None:
    """Wherever it stands: the image is none that nobody has to miss."""
    number = min(tag, 0x00041130)
    data = start + body(extra={tag: element(number, "CS", "SET")}) + pixels()
    with pytest.raises(HeaderError, match="of a DICOMDIR"):
        read(data)


UNUSABLE = {
    "nothing behind the prefix": bytes(128) + b"DICM",
    "nothing behind the meta information": meta(EXPLICIT),
    "nothing in the deflated part": meta(DEFLATED) + b"\x03\x00",
    "no deflate": meta(DEFLATED) + body(),
    "a length beyond the end": dicom(extra={PRIVATE: element(PRIVATE, "UN", b"x", length=10**6)}),
    "a wanted length beyond the end": dicom(
        extra={0x00100020: element(0x00100020, "UN", b"1", length=10**6)}
    ),
    "an unknown VR": dicom(extra={PRIVATE: element(PRIVATE, "XX")}),
    "undefined length of a text": dicom(extra={PRIVATE: element(PRIVATE, "UT", length=UNDEFINED)}),
    "a tag twice": dicom(extra={0x00100021: element(0x00100020, "LO", "2")}),
    "tags that descend": dicom(extra={0x00100021: element(0x00080021, "LO", "2")}),
    "a delimiter at the top": dicom(extra={PRIVATE: item(0xFFFEE00D, 0)}),
    "an unfinished sequence": dicom(
        extra={SEQUENCE: element(SEQUENCE, "SQ", length=UNDEFINED) + item(0xFFFEE000, 0)}
    ),
    "a sequence that the file ends in": meta(EXPLICIT)
    + element(0x00080016, "UI", "1.2")
    + element(SEQUENCE, "SQ", length=UNDEFINED),
    "a sequence of no items": dicom(
        extra={SEQUENCE: element(SEQUENCE, "SQ", length=UNDEFINED) + item(0xFFFEE00D, 0)}
    ),
    "items within an item": dicom(
        extra={
            SEQUENCE: element(SEQUENCE, "SQ", length=UNDEFINED)
            + item(0xFFFEE000, UNDEFINED)
            + item(0xFFFEE000, 0)
        }
    ),
    "nesting without end": dicom(
        extra={
            SEQUENCE: (element(SEQUENCE, "SQ", length=UNDEFINED) + item(0xFFFEE000, UNDEFINED))
            * 1000
        }
    ),
    "an implausible end": meta(IMPLICIT)
    + body(FORMS[IMPLICIT])
    + element(0x43214321, "LO", b"x", FORMS[IMPLICIT], length=10**9),
    "implicit big endian": meta(None) + b"\x00\x08\x00\x05\x00\x00\x00\x02AB" + bytes(100),
    "no UID as transfer syntax": meta(None) + element(0x00020010, "LO", "x") + body(),
    "a UID without end": meta(None) + element(0x00020010, "UI", b"1" * 2000) + body(),
    "meta information without end": meta(None) + element(0x00020102, "OB", length=UNDEFINED),
    "an element header cut off": meta(EXPLICIT) + element(0x00080016, "UI", "1.2") + b"\x08\x00",
    "a long element header cut off": meta(EXPLICIT) + b"\x08\x00\x16\x00UN\x00\x00",
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_header_that_contradicts_itself_is_an_error(case: str) -> None:
    """Each way in which a header can be broken ends as HeaderError."""
    with pytest.raises(HeaderError):
        read(UNUSABLE[case])


@pytest.mark.parametrize("tags", [(0x00080005,), (0x00080005, 0x00080016, 0x00080020)])
def test_a_uid_of_the_meta_information_swallows_nothing(tags: tuple[int, ...]) -> None:
    """A wrong length that ends exactly behind other elements shows by their zeros."""
    swallowed = b"".join(element(tag, "LO", "x") for tag in tags)
    uid = element(0x00020010, "UI", EXPLICIT.encode() + b"\0" + swallowed)
    start = meta(None)[:132] + element(0x00020002, "UI", "1.2")
    with pytest.raises(HeaderError, match="where a UID has to be"):
        read(start + uid + element(0x00200011, "IS", "5") + pixels())


@pytest.mark.parametrize("missing", [None, 0x00080018, 0x0020000E])
@pytest.mark.parametrize("last", [0x00080005, 0x00080016, 0x00080060, 0x00100020, 0x0020000D])
def test_what_ends_before_the_series_number_is_cut_off(last: int, missing: int | None) -> None:
    """SeriesNumber is Type 2: what ends before it was cut off, whatever else it lacks."""
    tags = {tag: element(tag, vr, value) for tag, vr, value in ORDINARY}
    data = b"".join(tags[tag] for tag in sorted(tags) if tag <= last and tag != missing)
    for start in (meta(EXPLICIT), meta(None), b""):
        with pytest.raises(HeaderError, match="cut off"):
            read(start + data)


def test_only_what_is_asked_for_has_to_be_passed() -> None:
    """Who asks for PatientID alone does not care how the file goes on."""
    data = meta(EXPLICIT) + element(0x00100020, "LO", "110001")
    header = read_header(io.BytesIO(data), [known.PATIENT_ID])
    assert header.values["PatientID"] == ("110001",)


def test_a_data_set_may_end_behind_what_is_asked_for() -> None:
    """The end of the stream between two elements is the end of the data set."""
    assert is_ordinary(read(meta(EXPLICIT) + body()))


def test_a_data_set_may_begin_with_a_private_group() -> None:
    """Where the first group does not show the byte order, the transfer syntax counts."""
    header = read(meta(IMPLICIT) + element(0x3F030010, "LO", "maker", FORMS[IMPLICIT]))
    assert header.values["StudyDate"] == ()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("delimited", [False, True])
def test_only_the_top_level_counts(syntax: str, *, delimited: bool) -> None:
    """A PatientID in a sequence is not the patient's."""
    form = FORMS.get(syntax, Form())
    inner = element(0x00100020, "LO", "OTHER", form)
    nested = sequence(
        SEQUENCE,
        [inner, sequence(SEQUENCE, [inner], form, delimited=delimited)],
        form,
        delimited=delimited,
    )
    data = dicom(syntax, {SEQUENCE: nested, 0x00100022: element(0x00100022, "LO", "x", form)})
    assert is_ordinary(read(data))


def test_an_unknown_sequence_is_implicit_inside() -> None:
    """PS3.5 6.2.2: the items of a UN of undefined length are implicit VR little endian."""
    inner = sequence(
        PRIVATE + 0x1000,
        [element(PRIVATE, "LO", "x", FORMS[IMPLICIT])],
        FORMS[IMPLICIT],
        delimited=True,
    )
    unknown = (
        element(PRIVATE, "UN", length=UNDEFINED)
        + item(0xFFFEE000, UNDEFINED)
        + inner
        + item(0xFFFEE00D, 0)
        + item(0xFFFEE0DD, 0)
    )
    assert is_ordinary(read(dicom(extra={PRIVATE: unknown})))


def test_values_written_as_unknown_are_read() -> None:
    """A writer without a dictionary marks values UN; they are the same bytes."""
    data = dicom(extra={0x00100020: element(0x00100020, "UN", b"110001")})
    assert is_ordinary(read(data))


@pytest.mark.parametrize(
    ("value", "vr"),
    [
        ("1" * 1025, "LO"),
        ("11\x0001", "LO"),
        ("11\n0001", "LO"),
        ("11\x1b0001", "LO"),
        (b"\x01\x00", "US"),
    ],
)
def test_a_value_that_is_no_text_is_refused_without_showing_it(value: str | bytes, vr: str) -> None:
    """Too long, with control characters, or numbers: the error names the keyword only."""
    with pytest.raises(InvalidAttributeError) as raised:
        read(dicom(extra={0x00100020: element(0x00100020, vr, value)}))
    assert raised.value.location == "PatientID"
    assert "11" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_sequence_in_place_of_a_value_is_refused() -> None:
    """An implicit PatientID of undefined length is no text."""
    value = element(0x00100020, "SQ", b"", FORMS[IMPLICIT], UNDEFINED) + item(0xFFFEE0DD, 0)
    with pytest.raises(InvalidAttributeError):
        read(dicom(IMPLICIT, {0x00100020: value}))


def test_undecodable_bytes_are_refused_where_they_decide_and_marked_where_they_describe() -> None:
    """Latin-1 in a file that declares ASCII: an error in PatientID, U+FFFD in SeriesDescription."""
    ascii_only = {0x00080005: element(0x00080005, "CS", "")}
    header = read(dicom(extra=ascii_only))
    assert header.values["SeriesDescription"] == ("Sch\ufffddel",)
    assert header.warnings == (UNDECODABLE,)
    with pytest.raises(InvalidAttributeError):
        read(dicom(extra=ascii_only | {0x00100020: element(0x00100020, "LO", "\xe4")}))


def test_sop_class_is_taken_from_the_data_set_where_the_meta_information_has_none() -> None:
    """A file without meta information still says what it is."""
    assert read(body() + pixels()).sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"
    assert read(meta(EXPLICIT, "") + pixels()).sop_class_uid is None


def test_a_large_private_value_is_passed() -> None:
    """A megabyte that nobody asks for is passed, in a plain and in a deflated file."""
    extra = {PRIVATE: element(PRIVATE, "UN", bytes(2**20))}
    assert is_ordinary(read(dicom(extra=extra)))
    assert is_ordinary(read(dicom(DEFLATED, extra)))


class Unseekable(io.RawIOBase):
    """A stream of unknown size that gives 7 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to 7 bytes."""
        return self._data.read(min(size, 7))


def test_a_stream_of_unknown_size_is_read() -> None:
    """Short reads and a missing size change nothing."""
    assert is_ordinary(read_header(Unseekable(dicom()), ATTRIBUTES))


def test_a_length_beyond_the_end_of_an_unknown_size_is_an_error() -> None:
    """Where the size is unknown, the end is found by reading."""
    with pytest.raises(HeaderError):
        read_header(Unseekable(UNUSABLE["a length beyond the end"]), ATTRIBUTES)


def test_a_value_larger_than_the_bounds_is_refused_before_it_is_read() -> None:
    """Where nothing says that a length is too long, 33 MiB are not read to find out."""
    stream = Unseekable(dicom(extra={PRIVATE: element(PRIVATE, "UN", b"x", length=33 * 2**20)}))
    with pytest.raises(HeaderError, match="32 MiB"):
        read_header(stream, ATTRIBUTES)


@given(st.data())
def test_no_mutation_raises_anything_but_our_errors(data: st.DataObject) -> None:
    """Bytes changed, cut out or put in anywhere: a header or one of the project's errors."""
    whole = bytearray(
        dicom(
            data.draw(st.sampled_from(SYNTAXES)),
            {SEQUENCE: sequence(SEQUENCE, [element(0x00081155, "UI", "1.2")])},
        )
    )
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole)))
        removed = data.draw(st.integers(0, 8))
        whole[place : place + removed] = data.draw(st.binary(max_size=8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            header = read(bytes(whole))
        except ImagingError:
            return
    assert all(isinstance(value, str) for values in header.values.values() for value in values)


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
@example(struct.pack("<HHL", 0xFFFE, 0xE000, 8), EXPLICIT)
def test_no_bytes_behind_a_preamble_raise_anything_but_our_errors(data: bytes, syntax: str) -> None:
    """Anything at all behind the meta information ends as a header or as one of our errors."""
    try:
        header = read(meta(syntax) + data)
    except ImagingError:
        return
    assert header.transfer_syntax_uid == syntax
