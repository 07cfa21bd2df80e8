"""The central directory of a zip (APPNOTE.TXT 4.3), entry by entry.

`zipfile` builds the entries of all members before it gives the first: 110 MB for 65,000 of them,
half a gigabyte where they have long comments. It also raises for one name that is not UTF-8. This
walk holds one block of the directory, and of an entry only what is needed to open the member.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from imaging_gears.dicom.bounds import MIB
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMBERS: Final = 100_000
MAX_DIRECTORY_SIZE: Final = 64 * MIB

_END: Final = Struct("<4s4H2LH")  # 4.3.16 end of central directory record
_END_SIGNATURE: Final = b"PK\x05\x06"
_MAX_COMMENT: Final = 0xFFFF
_LOCATOR: Final = Struct("<4sLQL")  # 4.3.15 zip64 end of central directory locator
_LOCATOR_SIGNATURE: Final = b"PK\x06\x07"
_END64: Final = Struct("<4sQ2H2L4Q")  # 4.3.14 zip64 end of central directory record
_END64_SIGNATURE: Final = b"PK\x06\x06"
_ENTRY: Final = Struct("<4s6H3L5H2L")  # 4.3.12 central directory header
_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
_ZIP64_EXTRA: Final = 0x0001  # 4.5.3
_EXTRA_HEADER: Final = Struct("<HH")  # 4.5.1
_MAX_EXTRA_FIELDS: Final = 32
_SATURATED_16: Final = 0xFFFF
_SATURATED_32: Final = 0xFFFFFFFF
_QUAD: Final = 8
_UTF8_NAME: Final = 0x0800  # 4.4.4, bit 11
_UNIX: Final = 3  # 4.4.2
_BLOCK: Final = 16 * 1024


class RandomAccess(Protocol):
    """A file that is read at any place."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end of the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the central directory says of one member.

    Args:
        name: decoded; bytes that are not UTF-8 where they should be are escaped.
        flags: general purpose bit flag, 4.4.4.
        method: compression method, 4.4.5.
        crc: CRC-32 of the uncompressed data.
        compressed_size: bytes in the archive.
        size: bytes uncompressed.
        offset: of its local header.
        mode: the file mode where the archive was made on Unix, else 0.
    """

    name: str
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    mode: int


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory is: its first byte, and the one behind its last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _End:
    """The end record of an archive, either form."""

    position: int
    disks: tuple[int, int]
    members: int
    size: int
    offset: int


def locate(file: RandomAccess) -> Directory:
    """Find the central directory of the zip that begins at byte 0 of `file`.

    Raises:
        ArchiveError: the archive is cut off, has several parts, or exceeds the bounds.
    """
    end = _end(file)
    if any(end.disks):
        refuse("is one part of a zip that was split")
    if end.members > MAX_MEMBERS or end.size > MAX_DIRECTORY_SIZE:
        refuse("has more than 100,000 members, or a list of them of more than 64 MiB")
    # Where they differ, the record is that of another archive, stored in this one, whose own end is
    # missing; or bytes were lost or added on the way.
    if end.offset + end.size != end.position:
        refuse("is a zip that is cut off or damaged: its list of members is not in its place")
    return Directory(end.offset, end.position)


def entries(file: RandomAccess, directory: Directory) -> Iterator[Entry]:
    """Yield the entries in their order.

    Raises:
        ArchiveError: at a place where the directory is damaged.
    """
    window = _Window(file, directory)
    for position, size in _places(window, directory):
        yield _entry(window.read(position, size))


def reversed_entries(file: RandomAccess, directory: Directory) -> Iterator[tuple[int, Entry]]:
    """Yield the entries from the last to the first, each with its index in the order of `entries`.

    Raises:
        ArchiveError: the directory is damaged anywhere.
    """
    window = _Window(file, directory)
    places = array("Q", (position for position, _ in _places(window, directory)))
    window.backwards = True
    end = directory.end
    for index in range(len(places) - 1, -1, -1):
        yield index, _entry(window.read(places[index], end - places[index]))
        end = places[index]


def refuse(what: str) -> NoReturn:
    """Raise the error of an upload that `what`."""
    raise ArchiveError(f"The upload {what}.")


def _end(file: RandomAccess) -> _End:
    """Find the last end record. Mostly it ends the file; a comment may follow it."""
    for tail_size in (_END.size, _END.size + _MAX_COMMENT):
        start = max(0, file.size - tail_size)
        tail = file.read_at(start, tail_size)
        last_place = max(0, len(tail) - _END.size + len(_END_SIGNATURE))
        at = tail.rfind(_END_SIGNATURE, 0, last_place)
        if at >= 0:
            return _parse_end(file, start + at, tail[at : at + _END.size])
    refuse("is a zip that is cut off: its end is missing")


def _parse_end(file: RandomAccess, position: int, record: bytes) -> _End:
    _, disk, first_disk, _, members, size, offset, _ = _END.unpack(record)
    saturated = _SATURATED_16 in (disk, first_disk, members) or _SATURATED_32 in (size, offset)
    if saturated and position >= _LOCATOR.size:
        locator = file.read_at(position - _LOCATOR.size, _LOCATOR.size)
        if locator.startswith(_LOCATOR_SIGNATURE):
            return _parse_end64(file, _LOCATOR.unpack(locator)[2])
    return _End(position, (disk, first_disk), members, size, offset)


def _parse_end64(file: RandomAccess, position: int) -> _End:
    record = file.read_at(position, _END64.size) if position < file.size else b""
    if len(record) < _END64.size or not record.startswith(_END64_SIGNATURE):
        refuse("is a zip that is cut off or damaged: its zip64 end is not in its place")
    _, _, _, _, disk, first_disk, _, members, size, offset = _END64.unpack(record)
    return _End(position, (disk, first_disk), members, size, offset)


class _Window:
    """Reads of the directory, from one block of it that is held."""

    def __init__(self, file: RandomAccess, directory: Directory) -> None:
        self.backwards = False
        self._file = file
        self._directory = directory
        self._start = 0
        self._block = b""

    def read(self, position: int, size: int) -> bytes:
        """Return `size` bytes from `position` on.

        Raises:
            ArchiveError: they go beyond the directory.
        """
        if position + size > self._directory.end:
            refuse("is a zip whose list of members is damaged")
        if not self._start <= position <= position + size <= self._start + len(self._block):
            self._load(position, position + size)
        at = position - self._start
        return self._block[at : at + size]

    def _load(self, start: int, end: int) -> None:
        if self.backwards:
            start = max(self._directory.start, min(start, end - _BLOCK))
        else:
            end = min(self._directory.end, max(end, start + _BLOCK))
        self._start = start
        self._block = self._file.read_at(start, end - start)


def _places(window: _Window, directory: Directory) -> Iterator[tuple[int, int]]:
    """Yield offset and size of each entry."""
    position = directory.start
    for _ in range(MAX_MEMBERS):
        if position == directory.end:
            return
        head = window.read(position, _ENTRY.size)
        if not head.startswith(_ENTRY_SIGNATURE):
            refuse("is a zip whose list of members is damaged")
        fields = _ENTRY.unpack(head)
        size = _ENTRY.size + fields[10] + fields[11] + fields[12]
        yield position, size
        position += size
    if position != directory.end:
        refuse("has more than 100,000 members")


def _entry(data: bytes) -> Entry:
    fields: tuple[int, ...] = _ENTRY.unpack_from(data)[1:]
    made_by, _, flags, method, _, _, crc, compressed_size, size = fields[:9]
    name_size, extra_size, _, _, _, attributes, offset = fields[9:]
    extra_start = _ENTRY.size + name_size
    name = data[_ENTRY.size : extra_start]
    extra = data[extra_start : extra_start + extra_size]
    if _SATURATED_32 in (size, compressed_size, offset):
        size, compressed_size, offset = _zip64_fields(extra, size, compressed_size, offset)
    return Entry(
        name=_name(name, flags),
        flags=flags,
        method=method,
        crc=crc,
        compressed_size=compressed_size,
        size=size,
        offset=offset,
        mode=attributes >> 16 if made_by >> 8 == _UNIX else 0,
    )


def _name(raw: bytes, flags: int) -> str:
    if flags & _UTF8_NAME:
        return raw.decode("utf-8", errors="backslashreplace")
    return raw.decode("cp437")


def _zip64_fields(extra: bytes, size: int, compressed_size: int, offset: int) -> tuple[int, ...]:
    """Return the three, those that are too large for 32 bits as the zip64 extra field says."""
    large = _extra_field(extra, _ZIP64_EXTRA)
    found = []
    for value in (size, compressed_size, offset):
        if value == _SATURATED_32 and len(large) >= _QUAD:
            found.append(int.from_bytes(large[:_QUAD], "little"))
            large = large[_QUAD:]
        else:
            found.append(value)
    return tuple(found)


def _extra_field(extra: bytes, wanted: int) -> bytes:
    """Return the data of the extra field `wanted`, which is among the first ones."""
    at = 0
    for _ in range(_MAX_EXTRA_FIELDS):
        if len(extra) - at < _EXTRA_HEADER.size:
            break
        kind, size = _EXTRA_HEADER.unpack_from(extra, at)
        at += _EXTRA_HEADER.size
        if kind == wanted:
            return extra[at : at + size]
        at += size
    return b""
