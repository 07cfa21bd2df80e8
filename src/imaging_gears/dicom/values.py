"""From the bytes of one value field to its values as text (PS3.5 6.2 and 6.4)."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom import charset
from imaging_gears.errors import InvalidAttributeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imaging_gears.dicom.attributes import Attribute

_AFFECTED_BY_CHARSET: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # PS3.5 6.1.2.3
_SINGLE_VALUED: Final = frozenset({"LT", "ST", "UR", "UT"})  # a backslash is a character there
_LEADING_SPACES_COUNT: Final = frozenset({"LT", "PN", "ST", "UC", "UT"})
_MAY_BREAK_LINES: Final = frozenset({"LT", "ST", "UT"})
_LINE_BREAKS: Final = frozenset("\t\n\f\r")
# UI is padded with NUL, all others with a space (PS3.5 6.2); in the field each occurs in place of
# the other, and neither can be a last character that means something.
_PADDING: Final = "\0 "


def texts(attribute: Attribute, raw: bytes, terms: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Return the values of `attribute`, without padding, and whether all its bytes were text.

    Args:
        attribute: whose values they are.
        raw: the whole value field.
        terms: the values of SpecificCharacterSet.

    Returns:
        No value where all are empty. False, where bytes of a descriptive attribute were no text in
        their character set, and U+FFFD stands for them.

    Raises:
        InvalidAttributeError: there are control characters in it, or the attribute is not a
            descriptive one and its bytes are no text.
    """
    text, decodable = _decode(attribute, raw, terms)
    parts = [text] if attribute.vr in _SINGLE_VALUED else text.split("\\")
    values = tuple(_unpadded(part, attribute.vr) for part in parts)
    if any(_is_control(character, attribute.vr) for value in values for character in value):
        raise InvalidAttributeError(
            f"{attribute.keyword} contains control characters.", location=attribute.keyword
        )
    return (values if any(values) else ()), decodable


def _decode(attribute: Attribute, raw: bytes, terms: Sequence[str]) -> tuple[str, bool]:
    if attribute.vr not in _AFFECTED_BY_CHARSET:
        terms = ()
    try:
        return charset.decode(raw, terms), True
    except UnicodeError:
        if attribute.descriptive:
            return charset.decode_leniently(raw, terms), False
        raise InvalidAttributeError(
            f"{attribute.keyword} is not text in the character set that the DICOM declares.",
            location=attribute.keyword,
        ) from None


def _unpadded(value: str, vr: str) -> str:
    value = value.rstrip(_PADDING)
    return value if vr in _LEADING_SPACES_COUNT else value.lstrip(" ")


def _is_control(character: str, vr: str) -> bool:
    if character in _LINE_BREAKS and vr in _MAY_BREAK_LINES:
        return False
    return unicodedata.category(character) == "Cc"
