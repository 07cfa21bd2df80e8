"""Data sets in another transfer syntax without compression: their corners, element by element."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging_gears.dicom_send.instance import Mark, as_uncompressed, examine
from imaging_gears.errors import HeaderError, ImagingError
from tests.unit.dicom.builders import (
    BIG,
    DEFLATED,
    EXPLICIT,
    FORMS,
    IMPLICIT,
    JPEG,
    UNDEFINED,
    Form,
    body,
    dicom,
    element,
    item,
    meta,
    pixels,
    sequence,
)

MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")
NATIVE = (IMPLICIT, EXPLICIT, BIG)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the upload of the test is."""
    return tmp_path / "upload"


def converted(path: Path, data: bytes, target: str) -> bytes:
    """Return the only instance of the upload `data` in another syntax, as long as it says."""
    path.write_bytes(data)
    with examine(path, MARK) as contents:
        (instance,) = contents.instances
        other = as_uncompressed(instance, target)
        whole = b"".join(other.chunks())
        assert len(whole) == other.length
        assert (other.number, other.marked) == (instance.number, instance.marked)
        return whole


def expected(syntax: str, extra: dict[int, bytes] | None = None, tail: bytes = b"") -> bytes:
    """Return the ordinary data set with the mark, in `syntax`."""
    form = FORMS.get(syntax)
    own = {
        0x00210010: element(0x00210010, "LO", "Flywheel", form),
        0x00211000: element(0x00211000, "LO", "DICOM Send", form),
    }
    return body(form, own | (extra or {})) + pixels(form) + tail


@pytest.mark.parametrize("source", [*NATIVE, DEFLATED])
@pytest.mark.parametrize("target", NATIVE)
def test_the_ordinary_data_set_in_each_syntax(path: Path, source: str, target: str) -> None:
    """VRs come from the dictionary, texts stay, numbers change their byte order."""
    assert converted(path, dicom(source), target) == expected(target)


NUMBERS: dict[str, tuple[int, str, tuple[float, ...]]] = {
    "US": (0x00181310, "H", (0, 256, 512, 3)),
    "SS": (0x00189219, "h", (-2,)),
    "UL": (0x00081161, "L", (1, 70_000)),
    "SL": (0x00186020, "l", (-70_000,)),
    "FL": (0x00089459, "f", (0.5, -1.5)),
    "FD": (0x00189087, "d", (1.5, -2.0)),
    "AT": (0x00209165, "H", (0x0018, 0x1063)),
    "UV": (0x0008040C, "Q", (2**40 + 1,)),
}


@pytest.mark.parametrize("vr", NUMBERS)
@pytest.mark.parametrize("source", NATIVE)
@pytest.mark.parametrize("target", NATIVE)
def test_numbers_keep_their_values(path: Path, source: str, target: str, vr: str) -> None:
    """Each width of a number, in every direction."""
    tag, code, values = NUMBERS[vr]
    before, after = (
        element(tag, vr, struct.pack(form.order + code * len(values), *values), form)
        for form in (FORMS.get(source, Form()), FORMS.get(target, Form()))
    )
    assert converted(path, dicom(source, {tag: before}), target) == (expected(target, {tag: after}))


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("tag", [0x00189810, 0x00280120])
def test_the_sign_of_the_pixels_decides_between_us_and_ss(
    path: Path, signed: int, tag: int
) -> None:
    """Also for what stands before PixelRepresentation, and in the items of a sequence."""

    def data_set(form: Form, vr: str, own: bytes = b"") -> bytes:
        value = element(tag, vr, b"\xfe\xff", form)
        sign = element(0x00280103, "US", struct.pack("<H", signed), form)
        items = sequence(0x00289110, [value], form, delimited=True)
        before = {tag: value} if tag < 0x00210000 else {}
        behind = b"" if before else value
        pixel = element(0x7FE00010, "OW", bytes(4), form)
        return body(form, before) + own + sign + behind + items + pixel

    own = element(0x00210010, "LO", "Flywheel") + element(0x00211000, "LO", "DICOM Send")
    data = converted(path, meta(IMPLICIT) + data_set(FORMS[IMPLICIT], "US"), EXPLICIT)
    assert data == data_set(Form(), "SS" if signed else "US", own)


@pytest.mark.parametrize("target", NATIVE)
@pytest.mark.parametrize("delimited", [False, True])
def test_sequences_are_walked_and_get_undefined_lengths(
    path: Path, target: str, *, delimited: bool
) -> None:
    """Whatever lengths they had, also nested; group lengths in them are left out."""

    def nested(form: Form, *, group_length: bool, delimited: bool) -> bytes:
        length = element(0x00080000, "UL", bytes(4), form) if group_length else b""
        name = element(0x00081150, "UI", "1.2", form)
        inner = sequence(0x00081199, [name], form, delimited=delimited)
        return sequence(0x00081140, [length + name + inner, b""], form, delimited=delimited)

    source = IMPLICIT if target != IMPLICIT else EXPLICIT
    before = nested(FORMS.get(source, Form()), group_length=True, delimited=delimited)
    after = nested(FORMS.get(target, Form()), group_length=False, delimited=True)
    assert converted(path, dicom(source, {0x00081140: before}), target) == (
        expected(target, {0x00081140: after})
    )


def test_what_is_private_and_unknown_is_un(path: Path) -> None:
    """Its creator is LO; a value of undefined length is a sequence; bytes stay as they are."""
    form = FORMS[IMPLICIT]
    private = {
        0x00190010: element(0x00190010, "LO", "ACME", form),
        0x00191001: element(0x00191001, "UN", b"\1\2\3\4", form),
        0x00191002: sequence(0x00191002, [b""], form, delimited=True),
        0x00189999: element(0x00189999, "UN", b"\5\6", form),
    }
    order = Form(order=">")
    after = {
        0x00190010: element(0x00190010, "LO", "ACME", order),
        0x00191001: element(0x00191001, "UN", b"\1\2\3\4", order),
        0x00191002: sequence(0x00191002, [b""], order, delimited=True),
        0x00189999: element(0x00189999, "UN", b"\5\6", order),
    }
    assert converted(path, dicom(IMPLICIT, private), BIG) == expected(BIG, after)


@pytest.mark.parametrize("target", [IMPLICIT, BIG])
def test_an_unknown_sequence_is_implicit_everywhere(path: Path, target: str) -> None:
    """The items of a UN of undefined length are implicit little endian in each syntax."""
    inner = sequence(0x00191001, [b""], FORMS[IMPLICIT], delimited=True)[8:]
    unknown = element(0x00191001, "UN", length=UNDEFINED) + inner
    head = element(0x00191001, "UN", form=FORMS[target], length=UNDEFINED)
    assert converted(path, dicom(EXPLICIT, {0x00191001: unknown}), target) == (
        expected(target, {0x00191001: head + inner})
    )


def test_a_value_that_is_too_long_for_its_vr_is_un(path: Path) -> None:
    """PS3.5 6.2.2: an explicit VR with a length of 2 bytes has no room for 70,000."""
    long = element(0x00181310, "US", b"\1\2" * 35_000, FORMS[IMPLICIT])
    data = converted(path, dicom(IMPLICIT, {0x00181310: long}), EXPLICIT)
    assert data == expected(EXPLICIT, {0x00181310: element(0x00181310, "UN", b"\1\2" * 35_000)})


@pytest.mark.parametrize("size", [2, 300_000, 3 * 2**20 + 2])
def test_words_are_swapped_in_pieces(path: Path, size: int) -> None:
    """Pixels of any size; bytes are not."""
    values = (b"\1\2" * size)[:size]
    for vr, swapped in (("OW", (b"\2\1" * size)[:size]), ("OB", values)):
        pixel = element(0x7FE00010, vr, values)
        data = converted(path, meta(EXPLICIT) + body() + pixel, BIG)
        assert data[-size:] == swapped
        assert data[-size - 12 :][:6] == b"\x7f\xe0\0\x10" + vr.encode()


FAULTS = {
    "not made of items": element(0x00081140, "SQ", element(0x00081150, "UI", "1.2")),
    "contradicts its lengths": element(0x00081140, "SQ", item(0xFFFEE000, 8) + b"\x08\0\5\0CS\2\0"),
    "outside of a sequence": element(0x00081140, "SQ", item(0xFFFEE000, 8) + item(0xFFFEE0DD, 0)),
    "does not fit its VR": element(0x00181310, "UL", b"123456"),
    "compressed data where": element(0x00091001, "OB", length=UNDEFINED) + item(0xFFFEE0DD, 0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_contradicts_itself_is_not_converted(path: Path, fault: str) -> None:
    """What may be sent as it is can be impossible to write otherwise."""
    tag = int.from_bytes(FAULTS[fault][:2], "little") << 16
    tag |= int.from_bytes(FAULTS[fault][2:4], "little")
    with pytest.raises(HeaderError, match=fault):
        converted(path, dicom(EXPLICIT, {tag: FAULTS[fault]}), BIG)


def test_a_sequence_that_goes_beyond_the_data_set_is_cut_off(path: Path) -> None:
    """The last sequence's item says it is longer than all that follows."""
    long = element(0x7FE10010, "LO", "x") + element(
        0x7FE11000, "SQ", item(0xFFFEE000, 5000) + element(0x00081150, "UI", "1.2")
    )
    with pytest.raises(HeaderError, match="cut off inside a sequence"):
        converted(path, dicom(tail=long), BIG)
    without = (
        element(0x7FE10010, "LO", "x")
        + element(0x7FE11000, "SQ", length=8)
        + item(0xFFFEE000, UNDEFINED)
    )
    with pytest.raises(HeaderError, match="cut off inside a sequence"):
        converted(path, dicom(tail=without), BIG)


def test_an_item_that_is_missing_is_cut_off(path: Path) -> None:
    """A sequence without a length, in one that has a length, does not end with the data set."""
    inner = element(0x00081140, "SQ", length=UNDEFINED)
    outer = element(0x7FE11000, "SQ", item(0xFFFEE000, len(inner)) + inner)
    with pytest.raises(HeaderError, match="cut off inside a sequence"):
        converted(path, dicom(tail=element(0x7FE10010, "LO", "x") + outer), BIG)


def test_what_has_no_pixels_is_converted_too(path: Path) -> None:
    """Raw data end before any attribute of pixels."""
    raw = "1.2.840.10008.5.1.4.1.1.66"
    form = FORMS[IMPLICIT]
    data = body(form, {0x00080016: element(0x00080016, "UI", raw, form)})
    extra = {0x00080016: element(0x00080016, "UI", raw)}
    whole = converted(path, meta(IMPLICIT, raw) + data, EXPLICIT)
    assert whole + pixels() == expected(EXPLICIT, extra)


def test_nesting_is_bounded(path: Path) -> None:
    """Sequences of defined lengths may be nested deeper than is converted."""
    deep = b""
    for _ in range(70):
        deep = sequence(0x00081140, [deep])
    with pytest.raises(HeaderError, match="nested too deeply"):
        converted(path, dicom(EXPLICIT, {0x00081140: deep}), BIG)


def test_compressed_pixels_are_not_converted(path: Path) -> None:
    """Nor is anything made deflated."""
    path.write_bytes(dicom(JPEG))
    with examine(path, MARK) as contents, pytest.raises(HeaderError, match="can't be sent in that"):
        as_uncompressed(contents.instances[0], EXPLICIT)
    path.write_bytes(dicom())
    with examine(path, MARK) as contents:
        for other in (DEFLATED, JPEG):
            with pytest.raises(HeaderError, match="can't be sent in that"):
                as_uncompressed(contents.instances[0], other)
        assert as_uncompressed(contents.instances[0], EXPLICIT) is contents.instances[0]


def test_what_has_the_tag_already_keeps_it_a_text(path: Path) -> None:
    """The value that was found, not put in, is LO in an explicit syntax too."""
    form = FORMS[IMPLICIT]
    own = {
        0x00210010: element(0x00210010, "LO", "Flywheel", form),
        0x00211000: element(0x00211000, "LO", "DICOM Send", form),
    }
    assert converted(path, dicom(IMPLICIT, own), EXPLICIT) == expected(EXPLICIT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_converted_or_refused(path: Path, data: st.DataObject) -> None:
    """Whatever bytes change, nothing but our errors is raised, and the length is the stated one."""
    syntax = data.draw(st.sampled_from([*NATIVE, DEFLATED]))
    nested = sequence(0x00081140, [element(0x00081150, "UI", "1.2", FORMS.get(syntax))] * 2)
    changed = bytearray(dicom(syntax, {0x00081140: nested} if syntax != BIG else None))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(200, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    path.write_bytes(changed)
    with examine(path, MARK) as contents:
        for instance in contents.instances:
            try:
                other = as_uncompressed(instance, data.draw(st.sampled_from(NATIVE)))
                assert sum(map(len, other.chunks())) == other.length
            except ImagingError as error:
                assert error.message  # noqa: PT017 - either outcome is right
