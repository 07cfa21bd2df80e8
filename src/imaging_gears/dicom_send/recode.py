"""A data set in another transfer syntax without compression (PS3.5 A.1 to A.3).

Only the form of the elements changes: VRs appear or go, numbers change their byte order. The bytes
of texts are passed as they are, whatever their character set; nothing is parsed to a number and
written again. Sequences and items get undefined lengths, so that nothing has to be held back until
its length is known. Pixel data pass in pieces.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from imaging_gears.dicom.bounds import MAX_DEPTH, whole_budget
from imaging_gears.dicom.elements import (
    DELIMITER_GROUP,
    ITEM,
    ITEM_DELIMITATION,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    Element,
    read_element,
    skip_value,
)
from imaging_gears.dicom.streams import BoundedStream, ByteStream, DecodedStream, Inflater, cut_off
from imaging_gears.dicom.transfer_syntax import (
    DEFLATED_UID,
    IMPLICIT_LITTLE,
    LONG_VRS,
    NATIVE,
    Encoding,
)
from imaging_gears.dicom_send.splicing import gathered
from imaging_gears.errors import HeaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = 256 * 1024  # a multiple of each width below
_MAX_SHORT: Final = 0xFFFE
_CREATORS: Final = range(0x0010, 0x0100)
# PS3.5 7.3: what a change of the byte order does to which VR. UN stays little endian (6.2.2).
_WIDTHS: Final = (
    dict.fromkeys((b"US", b"SS", b"OW", b"AT"), 2)
    | dict.fromkeys((b"UL", b"SL", b"FL", b"OF", b"OL"), 4)
    | dict.fromkeys((b"FD", b"OD", b"OV", b"SV", b"UV"), 8)
)
_CODES: Final = {2: "H", 4: "I", 8: "Q"}
_PIXEL_REPRESENTATION: Final = 0x00280103
_WORD: Final = 2


class _Encoded(Protocol):
    """An instance, as far as it is needed here."""

    @property
    def transfer_syntax_uid(self) -> str:
        """How `chunks` is encoded."""

    @property
    def mark_tags(self) -> tuple[int, int]:
        """Of elements that are known to be LO."""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the data set."""


def recoded(instance: _Encoded, transfer_syntax_uid: str) -> Iterator[bytes | memoryview]:
    """Yield the data set of `instance` in another transfer syntax, in pieces of at most 256 KiB.

    Raises:
        HeaderError: one of the two transfer syntaxes is none of PS3.5 A.1 to A.3 (or A.5, for
            `instance`); or the data set contradicts its own lengths.
        ImagingError: as `chunks` of the instance does.
    """
    source_uid = instance.transfer_syntax_uid
    if (
        not {source_uid, transfer_syntax_uid} <= NATIVE.keys()
        or transfer_syntax_uid == DEFLATED_UID
    ):
        raise HeaderError("The DICOM can't be sent in that other transfer syntax.")
    stream, source = _stream(instance), NATIVE[source_uid]
    recoder = _Recoder(stream, source, NATIVE[transfer_syntax_uid], frozenset(instance.mark_tags))
    signed = not source.explicit and _is_signed(_stream(instance), source)
    return gathered(recoder.data_set(None, _Place(0, signed)))


def _stream(instance: _Encoded) -> BoundedStream:
    raw: ByteStream = _Joined(instance.chunks())
    if instance.transfer_syntax_uid == DEFLATED_UID:
        raw = DecodedStream(raw, Inflater(), HeaderError)
    return BoundedStream(raw, whole_budget())


def _is_signed(stream: BoundedStream, encoding: Encoding) -> bool:
    """Return whether the data set has signed pixels: some attributes before that are SS then."""
    while (element := read_element(stream, encoding)) is not None:
        if element.tag >= _PIXEL_REPRESENTATION:
            return element.tag == _PIXEL_REPRESENTATION and any(stream.peek(_WORD))
        skip_value(stream, element, encoding)
    return False


class _Joined:
    """Pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        data, self._held = self._held[:size], self._held[size:]
        return bytes(data)


class _Place(NamedTuple):
    """Where in the nesting a data set is, and whether its pixels are signed."""

    depth: int
    signed: bool


@dataclass(frozen=True, slots=True)
class _Recoder:
    """Reads elements in one encoding and writes them in another.

    Args:
        stream: what is read.
        source: its encoding.
        target: the other one.
        texts: tags that are LO.
    """

    stream: BoundedStream
    source: Encoding
    target: Encoding
    texts: frozenset[int]

    def data_set(self, end: int | None, place: _Place) -> Iterator[bytes]:
        """Yield the elements up to `end`; where it is None, to the end of the stream or item."""
        while end is None or self.stream.position < end:
            element = read_element(self.stream, self.source)
            if element is None and not place.depth:
                return
            if element is None:
                raise cut_off("a sequence")
            if element.tag == ITEM_DELIMITATION and end is None and place.depth:
                return
            if element.tag == _PIXEL_REPRESENTATION:
                place = place._replace(signed=any(self.stream.peek(_WORD)))
            yield from self._element(element, place)
        self._check_end(end)

    def _element(self, element: Element, place: _Place) -> Iterator[bytes]:
        if element.group == DELIMITER_GROUP:
            raise HeaderError("The data set has an item or a delimiter outside of a sequence.")
        vr = element.vr or self._implied_vr(element, signed=place.signed)
        if vr == b"SQ":
            yield self._head(element.tag, vr, UNDEFINED_LENGTH)
            yield from self._items(element.length, place)
            yield self._head(SEQUENCE_DELIMITATION, b"", 0)
        elif element.length == UNDEFINED_LENGTH:
            yield self._head(element.tag, vr, UNDEFINED_LENGTH)
            yield from self._unknown_items(vr, place)
        elif element.tag & 0xFFFF:
            yield self._head(element.tag, _with_room(vr, element.length), element.length)
            yield from self._value(vr, element.length)
        else:  # A group length would be another one (PS3.5 7.2: retired, may be left out).
            self.stream.skip(element.length, "a value")

    def _items(self, length: int, place: _Place) -> Iterator[bytes]:
        if place.depth == MAX_DEPTH:
            raise HeaderError("The data set has sequences that are nested too deeply.")
        end = self._end(length)
        while end is None or self.stream.position < end:
            item = read_element(self.stream, self.source)
            if item is None:
                raise cut_off("a sequence")
            if item.tag == SEQUENCE_DELIMITATION and end is None:
                return
            if item.tag != ITEM:
                raise HeaderError("The data set has a sequence that is not made of items.")
            yield self._head(ITEM, b"", UNDEFINED_LENGTH)
            inner = place._replace(depth=place.depth + 1)
            yield from self.data_set(self._end(item.length), inner)
            yield self._head(ITEM_DELIMITATION, b"", 0)
        self._check_end(end)

    def _unknown_items(self, vr: bytes, place: _Place) -> Iterator[bytes]:
        """Yield the items of a UN of undefined length: implicit everywhere (PS3.5 6.2.2)."""
        if vr != b"UN":
            raise HeaderError("The data set has compressed data where its syntax has none.")
        same = _Recoder(self.stream, IMPLICIT_LITTLE, IMPLICIT_LITTLE, self.texts)
        yield from same._items(UNDEFINED_LENGTH, place)
        yield same._head(SEQUENCE_DELIMITATION, b"", 0)

    def _value(self, vr: bytes, length: int) -> Iterator[bytes]:
        width = 1 if self.source.little is self.target.little else _WIDTHS.get(vr, 1)
        if length % width:
            raise HeaderError("The data set has a value whose length does not fit its VR.")
        while length:
            data = self.stream.read_exactly(min(length, _PIECE), "a value")
            length -= len(data)
            yield _swapped(data, width)

    def _end(self, length: int) -> int | None:
        return None if length == UNDEFINED_LENGTH else self.stream.position + length

    def _check_end(self, end: int | None) -> None:
        if self.stream.position != end:
            raise HeaderError("The data set has a sequence that contradicts its lengths.")

    def _implied_vr(self, element: Element, *, signed: bool) -> bytes:
        """Return the VR of an element of an implicit data set."""
        if element.length == UNDEFINED_LENGTH:
            return b"SQ"  # Nothing else has no length there (PS3.5 7.1.3, A.1).
        if element.tag in self.texts:
            return b"LO"
        if element.group % 2:
            return b"LO" if element.tag & 0xFFFF in _CREATORS else b"UN"
        return _dictionary_vr(element.tag, signed=signed)

    def _head(self, tag: int, vr: bytes, length: int) -> bytes:
        """Return the header of an element, or of an item or delimiter, whose VR is empty."""
        order = "<" if self.target.little else ">"
        group, number = tag >> 16, tag & 0xFFFF
        if not (vr and self.target.explicit):
            return struct.pack(order + "HHL", group, number, length)
        if vr in LONG_VRS:
            return struct.pack(order + "HH2sHL", group, number, vr, 0, length)
        return struct.pack(order + "HH2sH", group, number, vr, length)


def _with_room(vr: bytes, length: int) -> bytes:
    """Return `vr`, or UN where its short form has no room for the length (PS3.5 6.2.2, note)."""
    return vr if vr in LONG_VRS or length <= _MAX_SHORT else b"UN"


def _swapped(data: bytes, width: int) -> bytes:
    if width == 1:
        return data
    words = array(_CODES[width], data)
    words.byteswap()
    return words.tobytes()


def _dictionary_vr(tag: int, *, signed: bool) -> bytes:
    """Return the VR of a standard attribute (PS3.6); UN of one that is not known.

    Where PS3.6 leaves a choice to the pixels' sign, it is made by that; where it leaves one between
    OW and others, it is OW, because that is what it was in an implicit data set (PS3.5 A.1).
    """
    from pydicom.datadict import dictionary_VR  # noqa: PLC0415 - only this way of sending needs it

    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return b"UN"
    if vr == "US or SS":
        return b"SS" if signed else b"US"
    return b"OW" if " or " in vr else vr.encode()
