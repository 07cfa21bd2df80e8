"""Reading the header of a DICOM: the values asked for, whole, or an error.

`read_header` goes through the elements in their order and ends at the first one behind the last
that is asked for, so it never gets to the pixels. Every byte is paid for from a budget, so that it
ends soon on any input. What it returns is complete: what is missing in it is missing in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.attributes import (
    SERIES_NUMBER,
    SOP_CLASS_UID,
    SPECIFIC_CHARACTER_SET,
    Attribute,
)
from imaging_gears.dicom.bounds import MAX_VALUE_LENGTH
from imaging_gears.dicom.elements import (
    DELIMITER_GROUP,
    UNDEFINED_LENGTH,
    Element,
    peek_tag,
    read_element,
    skip_value,
)
from imaging_gears.dicom.recognition import (
    DICM,
    META_GROUP,
    PREAMBLE_SIZE,
    PREFIX_SIZE,
    Kind,
    kind_of,
)
from imaging_gears.dicom.streams import (
    BoundedStream,
    ByteStream,
    DecodedStream,
    Inflater,
    bounded,
    cut_off,
)
from imaging_gears.dicom.transfer_syntax import (
    ELEMENT_HEADER_SIZE,
    EXPLICIT_LITTLE,
    Encoding,
    encoding_of,
    is_deflated,
)
from imaging_gears.dicom.values import texts
from imaging_gears.errors import HeaderError, InvalidAttributeError, NotDicomError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NO_PREAMBLE: Final = "no-preamble"
"""Warning: the file has no preamble (PS3.10 7.1: then it is none), but its elements make sense."""
NO_TRANSFER_SYNTAX: Final = "no-transfer-syntax"
"""Warning: the file does not say how it is encoded; its first element showed it."""
UNDECODABLE: Final = "undecodable-characters"
"""Warning: a descriptive attribute has bytes that are no text; U+FFFD stands for them."""

MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_DIRECTORY_GROUP: Final = 0x0004
_FILE_SET_ID: Final = 0x00041130  # PS3.3 F.3.2.1, Type 2: the first element of every DICOMDIR
# Of commands (PS3.7 E.1) and of the meta information: met in a data set, they are what is left of
# meta information whose middle is damaged.
_NEVER_IN_DATA_SETS: Final = frozenset({0x0000, META_GROUP})
_PIXEL_DATA: Final = 0x7FE00010
_TRANSFER_SYNTAX_UID: Final = 0x00020010
_MEDIA_STORAGE_SOP_CLASS_UID: Final = 0x00020002
_DECIDING: Final = frozenset({_TRANSFER_SYNTAX_UID, _MEDIA_STORAGE_SOP_CLASS_UID})
_TEXT_VRS: Final = frozenset(
    b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UN UR UT".split()
)  # UN: the writer's dictionary did not know the attribute (PS3.5 6.2.2)
_ALWAYS_READ: Final = (SPECIFIC_CHARACTER_SET, SOP_CLASS_UID)


@dataclass(frozen=True)
class Header:
    """What was read of a DICOM.

    Args:
        values: keyword -> its values as text, for each attribute that was asked for: without the
            padding of PS3.5 6.2, decoded by SpecificCharacterSet; ``()`` where absent or empty.
        transfer_syntax_uid: as the meta information says, None where it does not.
        sop_class_uid: of the meta information, else of the data set, else None.
        warnings: codes, `NO_PREAMBLE`, `NO_TRANSFER_SYNTAX`, `UNDECODABLE`, each at most once.
    """

    values: Mapping[str, tuple[str, ...]] = field(repr=False)
    transfer_syntax_uid: str | None
    sop_class_uid: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meta:
    """File meta information (PS3.10 7.1), as far as it is needed."""

    transfer_syntax_uid: str | None = None
    sop_class_uid: str | None = None


def read_header(stream: ByteStream, attributes: Iterable[Attribute]) -> Header:
    """Return the values of `attributes` at the top level of the DICOM in `stream`.

    Args:
        stream: at its start. It is read as far as needed, plus a buffer; never seeked, except to
            find its size.
        attributes: in any order.

    Raises:
        NotDicomError: it is no DICOM (its first 512 bytes decide), or a DICOMDIR, no image.
        HeaderError: it is one and is cut off, contradicts itself or exceeds the bounds.
        InvalidAttributeError: a value is too long, no text, or has control characters.
        ArchiveError: `stream` is a member of an archive that is damaged there.
    """
    source = bounded(stream)
    meta, warnings = read_meta(source)
    data_set, encoding = open_data_set(source, meta)
    requested = tuple(attributes)
    wanted = {attribute.tag: attribute for attribute in (*_ALWAYS_READ, *requested)}
    raw = _scan(data_set, encoding, wanted)
    values, undecodable = _convert(raw, requested)
    return Header(
        MappingProxyType(values),
        meta.transfer_syntax_uid,
        meta.sop_class_uid or _sop_class_uid(raw),
        warnings + undecodable,
    )


def read_meta(source: BoundedStream, kind: Kind | None = None) -> tuple[Meta, tuple[str, ...]]:
    """Pass preamble and meta information; return what the latter says, and warnings.

    Args:
        source: at its start.
        kind: what it is, where the caller has found that out.

    Raises:
        NotDicomError: it is no DICOM, or a DICOMDIR.
        HeaderError: it is cut off or contradicts itself.
    """
    kind = kind or kind_of(source.peek(PREFIX_SIZE), source.budget)
    if kind not in (Kind.DICOM, Kind.HEADLESS):
        raise NotDicomError(
            "It is no DICOM." if kind is Kind.OTHER else f"It is a {kind} archive, no DICOM."
        )
    if kind is Kind.DICOM:
        source.skip(PREAMBLE_SIZE + len(DICM), "the preamble")
    meta = _meta_elements(source)
    if meta.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        raise _directory()
    if not source.peek(1):
        raise HeaderError(
            "The DICOM has no data set: nothing follows its preamble and meta information."
        )
    return meta, _warnings(kind, meta)


def _warnings(kind: Kind, meta: Meta) -> tuple[str, ...]:
    if kind is Kind.HEADLESS:
        return (NO_PREAMBLE,)
    return (NO_TRANSFER_SYNTAX,) if meta.transfer_syntax_uid is None else ()


def _meta_elements(source: BoundedStream) -> Meta:
    """Read group 0002, which is explicit little endian always.

    It ends where another group begins. Its group length is not asked: where it is wrong, writers
    have changed the group and forgot it.
    """
    found: dict[int, str] = {}
    while source.peek(2) == META_GROUP.to_bytes(2, "little"):
        element = read_element(source, EXPLICIT_LITTLE)
        if element is None or element.length == UNDEFINED_LENGTH:
            raise HeaderError("The meta information of the DICOM has a value of undefined length.")
        if element.tag in _DECIDING:
            found[element.tag] = _meta_uid(source, element)
        else:
            skip_value(source, element, EXPLICIT_LITTLE)
    return Meta(
        found.get(_TRANSFER_SYNTAX_UID) or None,
        found.get(_MEDIA_STORAGE_SOP_CLASS_UID) or None,
    )


def _meta_uid(source: BoundedStream, element: Element) -> str:
    source.require(element.length)
    if element.vr != b"UI" or element.length > MAX_VALUE_LENGTH:
        raise _no_uid()
    raw = source.read_exactly(element.length, "the meta information").strip(b"\0 ")
    # Where its length is wrong, it has swallowed elements behind it, and nobody would miss them:
    # the tag of each has a 0, as its group is below 0100.
    if b"\0" in raw:
        raise _no_uid()
    return raw.decode("ascii", errors="replace")


def open_data_set(source: BoundedStream, meta: Meta) -> tuple[BoundedStream, Encoding]:
    """Return the data set behind the meta information, inflated where it is deflated.

    Raises:
        NotDicomError: it is that of a DICOMDIR, and the meta information does not say otherwise.
        HeaderError: there is none, or it is encoded otherwise than `meta` says.
    """
    if is_deflated(meta.transfer_syntax_uid):
        inflated = DecodedStream(source, Inflater(), HeaderError)
        source = BoundedStream(inflated, source.budget)
    start = source.peek(ELEMENT_HEADER_SIZE)
    if not start:
        raise HeaderError("The DICOM has no data set: nothing is in its deflated part.")
    encoding = encoding_of(meta.transfer_syntax_uid, start)
    # Not by its group alone, nor in what names its class: one damaged byte makes 0004 of 0002 or
    # 0008, and nobody would miss the image.
    if meta.sop_class_uid is None and peek_tag(source, 0, encoding) == _FILE_SET_ID:
        raise _directory()
    return source, encoding


def _scan(
    source: BoundedStream, encoding: Encoding, wanted: Mapping[int, Attribute]
) -> dict[int, bytes]:
    """Return the value fields of `wanted`, by tag, each of them whole."""
    raw: dict[int, bytes] = {}
    last, stop = -1, max(wanted)
    while (element := read_element(source, encoding)) is not None:
        check_place(element, last)
        if element.tag > stop:
            _check_end(source, element, encoding)
            return raw
        if element.tag in wanted:
            raw[element.tag] = _value_field(source, element, wanted[element.tag])
        else:
            skip_value(source, element, encoding)
        last = element.tag
    # Every instance has SeriesNumber (PS3.3 C.7.3.1, Type 2: it may be empty, not absent). One that
    # ends before it was cut off between two elements. Behind it, the end of the file may be that of
    # the data set: headers that were stripped of all about their pixels end in this group.
    if last < min(stop, SERIES_NUMBER.tag):
        raise cut_off("its header")
    return raw


def check_place(element: Element, last: int) -> None:
    """Refuse an element that can't stand here.

    PS3.5 7.1: each tag once, in ascending order. Where that is broken, what is asked for may stand
    behind the place where reading ends, or stand there twice.

    Raises:
        HeaderError: it can't stand there.
    """
    if element.group == _DIRECTORY_GROUP:
        raise HeaderError("The DICOM has an element of a DICOMDIR, and is none: damaged.")
    if element.group in _NEVER_IN_DATA_SETS:
        raise HeaderError("The meta information of the DICOM is damaged: it ends too early.")
    if element.tag <= last:
        raise _not_ascending()
    if element.group == DELIMITER_GROUP:
        raise HeaderError("The DICOM header has an item or a delimiter outside of a sequence.")


def _check_end(source: BoundedStream, element: Element, encoding: Encoding) -> None:
    """Refuse to end at something that only looks like an element behind all that is asked for.

    Damage to a length leads to the middle of other data: what is read there as a tag is mostly high
    enough to end at, but its length is mostly beyond the end. Damage to a tag makes one too high,
    and leaves the lower ones behind it, where they can't stand (PS3.5 7.1).
    """
    if element.length == UNDEFINED_LENGTH or element.tag == _PIXEL_DATA:  # pixels may be cut off
        return
    source.require(element.length)
    if element.length <= MAX_VALUE_LENGTH:
        follower = peek_tag(source, element.length, encoding)
        if follower is not None and follower <= element.tag:
            raise _not_ascending()


def _value_field(source: BoundedStream, element: Element, attribute: Attribute) -> bytes:
    # An implicit encoding says no VR, so that its values are what the dictionary says.
    if element.vr and element.vr not in _TEXT_VRS:
        raise InvalidAttributeError(
            f"{attribute.keyword} has a VR that is no text.", location=attribute.keyword
        )
    if element.length != UNDEFINED_LENGTH:
        source.require(element.length)
    if element.length > MAX_VALUE_LENGTH:
        raise InvalidAttributeError(
            f"{attribute.keyword} is longer than {MAX_VALUE_LENGTH} bytes.",
            location=attribute.keyword,
        )
    return source.read_exactly(element.length, f"the value of {attribute.keyword}")


def _convert(
    raw: Mapping[int, bytes], requested: Iterable[Attribute]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    terms, _ = texts(SPECIFIC_CHARACTER_SET, raw.get(SPECIFIC_CHARACTER_SET.tag, b""), ())
    values: dict[str, tuple[str, ...]] = {}
    warnings: tuple[str, ...] = ()
    for attribute in requested:
        values[attribute.keyword], decodable = texts(attribute, raw.get(attribute.tag, b""), terms)
        if not decodable:
            warnings = (UNDECODABLE,)
    return values, warnings


def _sop_class_uid(raw: Mapping[int, bytes]) -> str | None:
    values, _ = texts(SOP_CLASS_UID, raw.get(SOP_CLASS_UID.tag, b""), ())
    return values[0] if values else None


def _not_ascending() -> HeaderError:
    return HeaderError("The elements of the DICOM header are not in ascending order of their tags.")


def _no_uid() -> HeaderError:
    return HeaderError(
        "The meta information of the DICOM holds something else where a UID has to be."
    )


def _directory() -> NotDicomError:
    return NotDicomError("It is a DICOMDIR, which lists images and is none.")
