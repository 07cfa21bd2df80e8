"""Walking one DICOM to its end: whether it is whole, and what is needed to send it."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.attributes import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID
from imaging_gears.dicom.bounds import ELEMENT_COST, MAX_VALUE_LENGTH
from imaging_gears.dicom.elements import (
    DELIMITER_GROUP,
    UNDEFINED_LENGTH,
    Element,
    read_element,
    skip_fragments,
    skip_value,
)
from imaging_gears.dicom.header import check_place, open_data_set, read_meta
from imaging_gears.dicom.sop_class import near_the_end
from imaging_gears.dicom.streams import BoundedStream, cut_off
from imaging_gears.dicom.transfer_syntax import (
    ELEMENT_HEADER_SIZE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    NATIVE,
    RLE_UID,
    SHORT_VRS,
    Encoding,
    frames_share_fragments,
    is_deflated,
)
from imaging_gears.dicom.uid import is_uid
from imaging_gears.dicom_send.images import PIXEL_TAGS, frames, has_pixels, pixel_bytes
from imaging_gears.dicom_send.tagging import GroupElement
from imaging_gears.errors import HeaderError

if TYPE_CHECKING:
    from imaging_gears.dicom.header import Meta

_FIRST_GROUP: Final = 0x0008  # PS3.10 7.2: 0000 to 0006 are for messages, meta and media
_URL: Final = 0x00287FE0  # PixelDataProviderURL, PS3.3 C.7.6.3
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010, _URL})  # as above, and C.7.6.24
_DRAIN: Final = 64 * 1024
_WANTED: Final = frozenset({SOP_CLASS_UID.tag, SOP_INSTANCE_UID.tag, *PIXEL_TAGS})
# Where elements are looked at one by one: pixels, and what can't stand there.
_STOPS: Final = (*_PIXELS, DELIMITER_GROUP << 16, 1 << 32)
_HEAD: Final = {
    IMPLICIT_LITTLE: Struct("<HH0sL"),
    EXPLICIT_LITTLE: Struct("<HH2sH"),
    EXPLICIT_BIG: Struct(">HH2sH"),
}
_PLAIN_VRS: Final = {True: SHORT_VRS, False: frozenset({b""})}


class Walk:
    """What is known of a DICOM, the more the further `run` came before it raised.

    Args:
        source: at the start of the file.
        group: the group whose elements are collected.
    """

    def __init__(self, source: BoundedStream, group: int) -> None:
        self.sop_class_uid: str | None = None
        self.sop_instance_uid: str | None = None
        self.transfer_syntax_uid = ""
        self.encoding = EXPLICIT_LITTLE
        self.start = 0  # of the data set in the file
        self.length = 0  # of the data set, inflated
        self.packed_length = 0  # of what follows the meta information in the file
        self.elements: list[GroupElement] = []
        self.place = 0  # of the first element behind `group`, from the start of the data set
        self._source = source
        self._group = group
        self._last = -1
        self._pixels: int | None = None  # bytes of native pixel data
        self._described: dict[int, bytes] = {}  # what says how many they are
        self._has_pixels = False
        self._fragments: int | None = None  # of encapsulated pixel data
        self._awaited: frozenset[int] = frozenset()  # of which a whole instance has one

    @property
    def deflated(self) -> bool:
        """Whether the data set is compressed as a whole."""
        return is_deflated(self.transfer_syntax_uid)

    def run(self) -> None:
        """Walk to the end.

        Raises:
            NotDicomError: it is a DICOMDIR.
            HeaderError: it is not whole, contradicts itself, or is no SOP instance.
            ArchiveError: the archive that it is in is damaged there.
        """
        meta, _ = read_meta(self._source)
        self.start = self._source.position
        data_set, self.encoding = open_data_set(self._source, meta)
        self._walk(data_set)
        # Here ends a member of an archive; where it is compressed, its checksum is compared now.
        while self._source.read(_DRAIN):
            pass
        self.packed_length = self._source.position - self.start
        self._check(meta)

    def _walk(self, data_set: BoundedStream) -> None:
        base = data_set.position
        stops = (*_STOPS, self._group << 16)
        while (element := _next_element(data_set, self.encoding)) is not None:
            check_place(element, self._last)
            if element.group < _FIRST_GROUP:
                raise HeaderError("The data set has elements of a group that it must not have.")
            value = self._value(data_set, element)
            start, self.length = self.length, data_set.position - base
            self._note(element, value)
            if element.group == self._group:
                self.elements.append(GroupElement(element.tag, start, self.length, value))
            self._last = element.tag
            if element.group <= self._group:
                self.place = self.length
            if element.group != self._group:
                every = (*stops, *self._awaited)
                self._pass_held(data_set, min(stop for stop in every if stop > self._last))
                self.length = data_set.position - base
                if self._last >> 16 <= self._group:
                    self.place = self.length

    def _pass_held(self, data_set: BoundedStream, stop: int) -> None:
        """Pass elements below the tag `stop` that are in memory, and that nothing is wrong with.

        Of the hundred elements before the pixels nearly all are of this kind. Each costs a tenth of
        what `read_element` does, to which the first one is left that is any different.
        """
        held = data_set.peek(data_set.held)
        unpack, vrs = _HEAD[self.encoding].unpack_from, _PLAIN_VRS[self.encoding.explicit]
        size, last, end = len(held), self._last, 0
        count = 0
        while end + ELEMENT_HEADER_SIZE <= size:
            group, number, vr, length = unpack(held, end)
            tag = group << 16 | number
            after = end + ELEMENT_HEADER_SIZE + length
            if not last < tag < stop or vr not in vrs or after > size:
                break
            if tag in _WANTED:
                if length > MAX_VALUE_LENGTH:
                    break
                self._keep(tag, held[after - length : after])
                stop = min((stop, *self._awaited))
            last, end = tag, after
            count += 1
        data_set.budget.spend(count * ELEMENT_COST)
        data_set.skip(end, "a value")
        self._last = last

    def _value(self, data_set: BoundedStream, element: Element) -> bytes | None:
        """Pass the value of `element`; return it where it is needed and not too long."""
        wanted = element.tag in _WANTED or element.group == self._group
        if element.tag in _PIXELS and element.length == UNDEFINED_LENGTH:
            self._fragments = skip_fragments(data_set, self.encoding)
            return None
        if wanted and element.length <= MAX_VALUE_LENGTH:
            return data_set.read_exactly(element.length, "a value")
        skip_value(data_set, element, self.encoding)
        return None

    def _note(self, element: Element, value: bytes | None) -> None:
        if element.tag in _PIXELS:
            self._has_pixels = True
            self._pixels = None if element.tag == _URL else element.length
        elif element.tag in self._awaited and element.length:
            self._awaited = frozenset()
        elif element.tag in _WANTED:
            self._keep(element.tag, value)

    def _keep(self, tag: int, value: bytes | None) -> None:
        """Keep the value of an element that is wanted; None where it is too long."""
        if tag == SOP_CLASS_UID.tag:
            self.sop_class_uid = _uid(value, SOP_CLASS_UID.keyword)
            self._awaited = near_the_end(self.sop_class_uid)
        elif tag == SOP_INSTANCE_UID.tag:
            self.sop_instance_uid = _uid(value, SOP_INSTANCE_UID.keyword)
        elif value is not None:
            self._described[tag] = value

    def _check(self, meta: Meta) -> None:
        if self._last < SERIES_INSTANCE_UID.tag:
            # Every instance of a study has SeriesInstanceUID (PS3.3 C.7.3.1, Type 1), and those
            # without a study have elements behind it.
            raise cut_off("its header")
        # What the meta information has of these is not sent: the data set says what it is.
        for keyword, own in (
            (SOP_CLASS_UID.keyword, self.sop_class_uid),
            (SOP_INSTANCE_UID.keyword, self.sop_instance_uid),
        ):
            if own is None:
                raise HeaderError(f"The data set has no {keyword}.")
        if not self._has_pixels and has_pixels(self.sop_class_uid or "", self._described):
            raise HeaderError("It is an image without pixel data: cut off, or stripped of them.")
        if self._awaited:
            raise HeaderError(
                "It ends without what every instance of its SOP class has near its end: cut off, or"
                " stripped of it."
            )
        self.transfer_syntax_uid = self._syntax(meta.transfer_syntax_uid)
        if self._fragments is not None:
            self._check_fragments(self._fragments)
        elif self._pixels is not None:
            least = pixel_bytes(self._described, little=self.encoding.little)
            if self._pixels < least:
                raise HeaderError("The pixel data are shorter than the image: cut short.")

    def _check_fragments(self, fragments: int) -> None:
        """Refuse compressed pixel data that can't be those of all frames (PS3.5 A.4)."""
        count = frames(self._described)
        if fragments < (1 if frames_share_fragments(self.transfer_syntax_uid) else count):
            raise HeaderError("The compressed pixel data have too few fragments: cut short.")
        if self.transfer_syntax_uid == RLE_UID and fragments > count:  # A.4.2: one for each frame
            raise HeaderError("The compressed pixel data have more fragments than frames.")

    def _syntax(self, stated: str | None) -> str:
        """Return the transfer syntax; one that the file does not state is one without compression.

        Raises:
            HeaderError: it is no UID, or contradicts the pixel data.
        """
        uid = _uid(stated.encode(), "TransferSyntaxUID") if stated else _native(self.encoding)
        if self._fragments is not None and uid in NATIVE:
            reason = "says that it is not compressed" if stated else "does not say how"
            raise HeaderError(f"The pixel data are compressed, and the file {reason}.")
        return uid


def _next_element(data_set: BoundedStream, encoding: Encoding) -> Element | None:
    """Return the next element's header as `read_element` does.

    Raises:
        HeaderError: as `read_element` does, or NUL bytes stand there. Nobody can tell padding from
            blocks of a file that were never written.
    """
    head = data_set.peek(ELEMENT_HEADER_SIZE)
    if head and not head.strip(b"\0"):
        raise HeaderError(
            "Behind the last element there are NUL bytes: the file was padded, or not written to"
            " its end."
        )
    return read_element(data_set, encoding)


def _uid(value: bytes | None, keyword: str) -> str:
    """Return a UID without its padding.

    Raises:
        HeaderError: it is none (PS3.5 9.1).
    """
    text = (value or b"").decode("ascii", errors="replace").strip("\0 ")
    if not is_uid(text):
        raise HeaderError(f"{keyword} is no UID.")
    return text


def _native(encoding: Encoding) -> str:
    return next(uid for uid, form in NATIVE.items() if form == encoding)
