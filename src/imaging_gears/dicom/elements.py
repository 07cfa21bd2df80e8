"""Headers of data elements, and walking past what is not asked for (PS3.5 chapter 7).

This is a scanner of its own because three things in pydicom's reader can't be switched off: it
recurses into sequences until the interpreter's stack ends (pydicom issue 2330), takes the end of
the file for the end of a value of undefined length, and converts values before their length can
be looked at. Nothing here recurses, and only `header` converts values.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from imaging_gears.dicom.bounds import ELEMENT_COST, MAX_DEPTH
from imaging_gears.dicom.streams import cut_off
from imaging_gears.dicom.transfer_syntax import (
    ELEMENT_HEADER_SIZE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    VRS,
    Encoding,
)
from imaging_gears.errors import HeaderError

if TYPE_CHECKING:
    from imaging_gears.dicom.streams import BoundedStream

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_DELIMITATION: Final = 0xFFFEE00D
SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
DELIMITER_GROUP: Final = 0xFFFE

_SHORT: Final = {True: Struct("<HH2sH"), False: Struct(">HH2sH")}
_PLAIN: Final = {True: Struct("<HHL"), False: Struct(">HHL")}
_TAG: Final = {True: Struct("<HH"), False: Struct(">HH")}
_LENGTH: Final = {True: Struct("<L"), False: Struct(">L")}
# PS3.5 7.1.1 and A.4: sequences, unknown ones among them, and encapsulated pixel data.
_MAY_BE_UNDEFINED: Final = frozenset({b"", b"SQ", b"UN", b"OB", b"OW"})


class Element(NamedTuple):
    """The header of a data element.

    Args:
        tag: ``0xGGGGEEEE``.
        vr: two letters; empty where the encoding is implicit, and for items and delimiters.
        length: bytes of the value, or `UNDEFINED_LENGTH`.
    """

    tag: int
    vr: bytes
    length: int

    @property
    def group(self) -> int:
        """The group number."""
        return self.tag >> 16


def read_element(stream: BoundedStream, encoding: Encoding) -> Element | None:
    """Return the next element's header, or None where the stream ends before it.

    Raises:
        HeaderError: the stream ends within it, its VR is none of PS3.5 6.2, or its VR can't have an
            undefined length.
    """
    head = stream.read(ELEMENT_HEADER_SIZE)
    if not head:
        return None
    stream.budget.spend(ELEMENT_COST)
    if len(head) < ELEMENT_HEADER_SIZE:
        raise cut_off("the header of an element")
    return parse_element(head, encoding, stream)


def parse_element(head: bytes, encoding: Encoding, stream: BoundedStream) -> Element:
    """Return the header whose first 8 bytes are `head`; a long one is read on from `stream`."""
    group, number, vr, length = _SHORT[encoding.little].unpack(head)
    tag = group << 16 | number
    if not encoding.explicit or group == DELIMITER_GROUP:
        vr, length = b"", _PLAIN[encoding.little].unpack(head)[2]
    elif vr in LONG_VRS:
        length_field = stream.read_exactly(4, "the header of an element")
        length = _LENGTH[encoding.little].unpack(length_field)[0]
    elif vr not in VRS:
        raise HeaderError("The DICOM header has an element with a VR that DICOM does not know.")
    if length == UNDEFINED_LENGTH and vr not in _MAY_BE_UNDEFINED:
        raise HeaderError(
            "The DICOM header has a value of undefined length whose VR does not allow that."
        )
    return Element(tag, vr, length)


def peek_tag(stream: BoundedStream, distance: int, encoding: Encoding) -> int | None:
    """Return the tag that begins `distance` bytes from here, None where the stream ends before."""
    field = stream.peek(distance + _TAG[encoding.little].size)[distance:]
    if len(field) < _TAG[encoding.little].size:
        return None
    group, number = _TAG[encoding.little].unpack(field)
    return int(group << 16 | number)


def skip_value(stream: BoundedStream, element: Element, encoding: Encoding) -> None:
    """Pass the value of `element`, whatever is nested in it.

    Raises:
        HeaderError: the stream ends within it, its nesting is too deep, or it is not made of items.
    """
    if element.length == UNDEFINED_LENGTH:
        _skip_items(stream, _inner_encoding(element, encoding))
    else:
        stream.skip(element.length, "a value")


def skip_fragments(stream: BoundedStream, encoding: Encoding) -> int:
    """Pass encapsulated pixel data to their delimiter (PS3.5 A.4).

    Returns:
        How many fragments have data. The first item is the Basic Offset Table, and none of them.

    Raises:
        HeaderError: the stream ends within them, or they are not made of items of defined lengths.
    """
    items = filled = 0
    while (element := read_element(stream, encoding)) is not None:
        if element.tag == SEQUENCE_DELIMITATION:
            return filled
        if element.tag != ITEM or element.length == UNDEFINED_LENGTH:
            raise HeaderError("The pixel data have something else where a fragment has to be.")
        stream.skip(element.length, "the pixel data")
        filled += items > 0 and element.length > 0
        items += 1
    raise cut_off("the pixel data")


class _Open(NamedTuple):
    """A sequence, or an item of one, that has not met its delimiter yet."""

    encoding: Encoding
    is_item: bool


def _skip_items(stream: BoundedStream, encoding: Encoding) -> None:
    """Pass a value of undefined length. Those nested in it wait in a list, not on the stack."""
    opened = [_Open(encoding, is_item=False)]
    while opened:
        element = read_element(stream, opened[-1].encoding)
        if element is None:
            raise cut_off("a sequence")
        if _closes(element, opened[-1]):
            opened.pop()
        elif element.length != UNDEFINED_LENGTH:
            stream.skip(element.length, "a sequence")
        elif len(opened) == MAX_DEPTH * 2:
            raise HeaderError("The DICOM header has sequences that are nested too deeply.")
        else:
            opened.append(_opened_by(element, opened[-1]))


def _closes(element: Element, innermost: _Open) -> bool:
    """Return whether `element` is the delimiter of `innermost`; else it must be a part of it."""
    delimiter = ITEM_DELIMITATION if innermost.is_item else SEQUENCE_DELIMITATION
    if element.tag == delimiter:
        return True
    fits = element.group != DELIMITER_GROUP if innermost.is_item else element.tag == ITEM
    if not fits:
        raise HeaderError(
            "The DICOM header has a sequence whose items and delimiters don't fit together."
        )
    return False


def _opened_by(element: Element, outer: _Open) -> _Open:
    if element.tag == ITEM:
        return _Open(outer.encoding, is_item=True)
    return _Open(_inner_encoding(element, outer.encoding), is_item=False)


def _inner_encoding(element: Element, encoding: Encoding) -> Encoding:
    """Return the encoding of the items: a UN of undefined length is implicit (PS3.5 6.2.2)."""
    return IMPLICIT_LITTLE if element.vr == b"UN" else encoding
