"""Where the private tag goes into a data set (PS3.5 7.8), and what it costs the rest: nothing.

A private element needs a creator: (gggg,00xx) reserves the elements (gggg,xx00) to (gggg,xxFF) for
whom it names. Everything here is decided from the elements of that one group; `Plan` says which
bytes are put where, and nothing else of the data set changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from imaging_gears.errors import ConfigError, HeaderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imaging_gears.dicom.transfer_syntax import Encoding

_MAX_CHARACTERS: Final = 64  # PS3.5 6.2, LO
_GROUPS: Final = "an odd number from 0x0009 to 0xFFFD"
_RESERVED_GROUPS: Final = frozenset({0x0001, 0x0003, 0x0005, 0x0007, 0xFFFF})  # PS3.5 7.8
_MAX_GROUP: Final = 0xFFFF
_FIRST_BLOCK: Final = 0x10
_LAST_BLOCK: Final = 0xFF
_BLOCK_SIZE: Final = 0x100
_LENGTH_SIZE: Final = 4
_EXPLICIT: Final = {True: Struct("<HH2sH"), False: Struct(">HH2sH")}
_IMPLICIT: Final = Struct("<HHL")
_LENGTH: Final = {True: Struct("<L"), False: Struct(">L")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The private tag that says who has sent an instance.

    Args:
        group: an odd group number.
        creator: who owns the tag.
        value: what it says.
    """

    group: int
    creator: str
    value: str


@dataclass(frozen=True, slots=True)
class GroupElement:
    """One element of the mark's group at the top level of a data set.

    Args:
        tag: ``0xGGGGEEEE``.
        start: offset of its header in the data set.
        end: offset of what follows its value.
        value: its value field; None where that is too long for an LO, or a sequence.
    """

    tag: int
    start: int
    end: int
    value: bytes | None

    @property
    def block(self) -> int:
        """The block that it belongs to, which is below 0x10 for creators and group length."""
        return (self.tag & 0xFFFF) >> 8


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes that are put into a data set.

    Args:
        offset: where, in the data set as it is.
        removed: how many bytes are left out there.
        inserted: what comes in their place.
    """

    offset: int
    removed: int
    inserted: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """How a data set gets the mark.

    Args:
        edits: in ascending order of their offsets; none where the mark is there already.
        creator: tag of the private creator.
        value: tag of the element that holds the mark's value.
    """

    edits: tuple[Edit, ...]
    creator: int
    value: int

    @property
    def growth(self) -> int:
        """Bytes that the data set grows by."""
        return sum(len(edit.inserted) - edit.removed for edit in self.edits)


def check_mark(mark: Mark) -> None:
    """Refuse a mark that can't be written.

    Raises:
        ConfigError: the group is not one for private elements (PS3.5 7.8), or a text is none for an
            LO in the default character set (PS3.5 6.1, 6.2).
    """
    is_private = mark.group % 2 and 0 < mark.group <= _MAX_GROUP
    if not is_private or mark.group in _RESERVED_GROUPS:
        raise ConfigError(
            f"The config value group is none for private elements, which is {_GROUPS}.",
            location="group",
            expected=_GROUPS,
        )
    _check_text("identifier", mark.creator)
    _check_text("tag_value", mark.value)


def _check_text(location: str, text: str) -> None:
    expected = f"1 to {_MAX_CHARACTERS} printable ASCII characters, no backslash"
    if not (text.isascii() and text.isprintable() and 0 < len(text) <= _MAX_CHARACTERS):
        raise ConfigError(
            "A text of the tag can't be written.", location=location, expected=expected
        )
    # A backslash parts values; blanks at the ends are padding, so that they would not be kept.
    if "\\" in text or text != text.strip():
        raise ConfigError(
            "A text of the tag can't be written.",
            location=location,
            expected=f"{expected}, no blank at its ends",
        )


@dataclass(frozen=True, slots=True)
class Group:
    """What a data set has of the mark's group.

    Args:
        elements: all of them, in ascending order.
        place: offset of the first element behind the group, or the end of the data set.
        encoding: of the data set.
    """

    elements: Sequence[GroupElement]
    place: int
    encoding: Encoding


def plan(mark: Mark, group: Group) -> Plan:
    """Decide where the mark goes.

    Args:
        mark: a checked one.
        group: what is there of its group.

    Raises:
        HeaderError: the group has no room for it, or a group length that is none.
    """
    own = _blocks_of(mark.creator, group.elements)
    for element in group.elements:
        if element.block in own and mark.value in _texts(element):
            return Plan((), _tag(mark, element.block), element.tag)
    for block in own:
        value = _free_tag(mark, block, group.elements)
        if value is not None:
            new = {value: mark.value}
            return Plan(_edits(new, group), _tag(mark, block), value)
    block = _free_block(mark, group.elements)
    creator, value = _tag(mark, block), _tag(mark, block * _BLOCK_SIZE)
    new = {creator: mark.creator, value: mark.value}
    return Plan(_edits(new, group), creator, value)


def _texts(element: GroupElement) -> tuple[str, ...]:
    """Return the values of an element as text; those of other VRs compare equal to no mark."""
    raw = (element.value or b"").decode("ascii", errors="replace")
    return tuple(text.strip(" \0") for text in raw.split("\\"))


def _tag(mark: Mark, number: int) -> int:
    return mark.group << 16 | number


def _blocks_of(creator: str, elements: Iterable[GroupElement]) -> tuple[int, ...]:
    """Return the blocks that `creator` has reserved; it may have several (PS3.5 7.8.1)."""
    numbers = ((element.tag & 0xFFFF) for element in elements if _texts(element) == (creator,))
    return tuple(number for number in numbers if _FIRST_BLOCK <= number <= _LAST_BLOCK)


def _free_tag(mark: Mark, block: int, elements: Iterable[GroupElement]) -> int | None:
    taken = {element.tag for element in elements}
    first = _tag(mark, block * _BLOCK_SIZE)
    return next((tag for tag in range(first, first + _BLOCK_SIZE) if tag not in taken), None)


def _free_block(mark: Mark, elements: Iterable[GroupElement]) -> int:
    """Return the first block that nobody has reserved, and nobody uses without having done so.

    Raises:
        HeaderError: there is none.
    """
    reserved = {element.tag & 0xFFFF for element in elements}
    used = {element.block for element in elements}
    for block in range(_FIRST_BLOCK, _LAST_BLOCK + 1):
        if block not in reserved and block not in used:
            return block
    raise HeaderError(
        f"The private group {mark.group:04X} has no free block for the tag: choose another group."
    )


def _edits(new: Mapping[int, str], group: Group) -> tuple[Edit, ...]:
    """Return the edits that put in `new` elements, texts by their tags."""
    inserts = [
        Edit(_offset(tag, group), 0, encoded(tag, text, group.encoding))
        for tag, text in sorted(new.items())
    ]
    growth = sum(len(edit.inserted) for edit in inserts)
    lengths = [
        _corrected(element, growth, group)
        for element in group.elements[:1]
        if not element.tag & 0xFFFF
    ]
    return (*lengths, *inserts)


def _offset(tag: int, group: Group) -> int:
    return next((element.start for element in group.elements if element.tag > tag), group.place)


def _corrected(element: GroupElement, growth: int, group: Group) -> Edit:
    """Return the edit of a group length: retired, but where it is, it has to be right (PS3.5 7.2).

    Raises:
        HeaderError: its value is no number of 4 bytes.
    """
    if element.value is None or len(element.value) != _LENGTH_SIZE:
        raise HeaderError("The length of the private group of the tag is no number of 4 bytes.")
    length = _LENGTH[group.encoding.little].pack(group.place - element.end + growth)
    return Edit(element.end - _LENGTH_SIZE, _LENGTH_SIZE, length)


def encoded(tag: int, text: str, encoding: Encoding) -> bytes:
    """Return an element of VR LO (PS3.5 7.1), padded with a blank to an even length."""
    value = text.encode("ascii") + b" " * (len(text) % 2)
    group, number = tag >> 16, tag & 0xFFFF
    if not encoding.explicit:
        return _IMPLICIT.pack(group, number, len(value)) + value
    return _EXPLICIT[encoding.little].pack(group, number, b"LO", len(value)) + value
