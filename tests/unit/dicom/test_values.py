"""Padding, several values and character sets."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging_gears.dicom import attributes as known
from imaging_gears.dicom.attributes import Attribute, Level
from imaging_gears.dicom.charset import codec_of, decode
from imaging_gears.dicom.values import texts
from imaging_gears.errors import InvalidAttributeError

COMMENTS = Attribute("PatientComments", 0x00104000, "LT", Level.PATIENT)


@pytest.mark.parametrize(
    ("attribute", "raw", "expected"),
    [
        (known.STUDY_INSTANCE_UID, b"1.2.3\0", ("1.2.3",)),
        (known.STUDY_INSTANCE_UID, b"1.2.3 ", ("1.2.3",)),
        (known.PATIENT_ID, b" 110001 ", ("110001",)),
        (known.PATIENT_ID, b"110001\0\0", ("110001",)),
        (known.PATIENT_NAME, b" Doe ", (" Doe",)),
        (known.MODALITY, b"CT\\MR ", ("CT", "MR")),
        (known.MODALITY, b"CT \\ MR ", ("CT", "MR")),
        (known.PATIENT_ID, b"\\A", ("", "A")),
        (known.PATIENT_ID, b" \\ ", ()),
        (known.PATIENT_ID, b"", ()),
        (known.PATIENT_ID, b"  \0", ()),
        (COMMENTS, b"a\\b\r\n", ("a\\b\r\n",)),
    ],
)
def test_padding_goes_and_values_are_told_apart(
    attribute: Attribute, raw: bytes, expected: tuple[str, ...]
) -> None:
    """PS3.5 6.2: what pads is no part of the value; a backslash separates but in long texts."""
    assert texts(attribute, raw, ()) == (expected, True)


@pytest.mark.parametrize("character", [*map(chr, range(1, 32)), "\x7f"])
def test_control_characters_are_refused(character: str) -> None:
    """None of the control characters may stand in a value."""
    with pytest.raises(InvalidAttributeError):
        texts(known.PATIENT_ID, f"1{character}2".encode(), ())


@pytest.mark.parametrize(
    ("terms", "raw", "expected"),
    [
        (("ISO_IR 100",), "J\xe9r\xf4me".encode("latin-1"), "J\xe9r\xf4me"),
        (("ISO-IR 100",), b"J\xe9", "J\xe9"),
        (("ISO_IR 192",), "小東".encode(), "小東"),
        (("GB18030",), "小东".encode("gb18030"), "小东"),
        (("GBK",), "小东".encode("gbk"), "小东"),
        (("ISO_IR 13",), b"\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
        # PS3.5 H.3.1, I.2 and K.2: escape sequences of G0 and of G1
        (("", "ISO 2022 IR 87"), b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "山田^太郎"),
        (("", "ISO 2022 IR 149"), b"\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf", "김희중"),
        (("", "ISO 2022 IR 58"), b"\x1b$)A\xcd\xf5^\xd0\xa1\xb6\xab", "王^小东"),
        (("", "ISO 2022 IR 100", "ISO 2022 IR 144"), b"\x1b-A\xe9\x1b-L\xbb", "\xe9Л"),
        # what was put into G1 stays there when G0 changes
        (("", "ISO 2022 IR 100"), b"\x1b-A\xe9\x1b(B\xe9", "\xe9\xe9"),
        (("ISO_IR 999",), b"plain", "plain"),
        ((), b"plain", "plain"),
    ],
)
def test_character_sets_are_honoured(terms: tuple[str, ...], raw: bytes, expected: str) -> None:
    """Single-byte, multi-byte and ISO 2022 texts become the characters they stand for."""
    assert decode(raw, terms) == expected


@pytest.mark.parametrize(
    ("terms", "raw"),
    [
        ((), b"\xe4"),
        (("ISO_IR 192",), b"\xff"),
        (("ISO_IR 999",), b"\xe4"),
        (("", "ISO 2022 IR 87"), b"\x1b$B\xff"),
        (("", "ISO 2022 IR 87"), b"\x1b%Gx"),
        (("", "ISO 2022 IR 87"), b"\x1b-Zx"),
    ],
)
def test_what_is_no_text_is_an_error(terms: tuple[str, ...], raw: bytes) -> None:
    """Bytes that the declared character sets don't have are not guessed at."""
    with pytest.raises((UnicodeError, InvalidAttributeError)):
        texts(known.PATIENT_ID, raw, terms)


def test_a_backslash_within_a_character_separates_nothing() -> None:
    """In GB18030 the second byte of a character may be 5C; values are split after decoding."""
    raw = "乗\\A".encode("gb18030")
    assert raw.count(b"\\") == 2
    assert texts(known.PATIENT_ID, raw, ("GB18030",)) == (("乗", "A"), True)


@given(
    st.sampled_from(["100", "101", "109", "110", "126", "127", "138", "144", "148", "166", "192"]),
    st.text(max_size=64),
)
def test_what_python_encodes_is_decoded_again(number: str, text: str) -> None:
    """Every text that a character set can hold survives the way there and back."""
    codec = codec_of(f"ISO_IR {number}")
    assert codec is not None
    raw = text.encode(codec, errors="ignore")
    assert decode(raw, (f"ISO_IR {number}",)) == raw.decode(codec)
    assert codec_of(f"ISO 2022 IR {number}") == codec


@given(st.binary(max_size=64), st.lists(st.sampled_from(["", "ISO 2022 IR 87", "ISO_IR 192", "x"])))
def test_no_bytes_raise_anything_but_our_error(raw: bytes, terms: list[str]) -> None:
    """Any bytes in any character set are a text, or InvalidAttributeError."""
    try:
        values, decodable = texts(known.PATIENT_ID, raw, terms)
    except InvalidAttributeError:
        return
    assert decodable
    assert all(unicodedata.category(character) != "Cc" for value in values for character in value)
