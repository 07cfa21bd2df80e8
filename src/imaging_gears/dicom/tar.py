"""The members of a tar, header by header (POSIX.1-2001 ustar and pax, GNU tar).

`tarfile` keeps an object for each member, reads a pax header of any stated size into memory, and
follows links to other members. This walk holds one header, and reads at given places, so that it
serves a plain tar and one that is inflated on the way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from imaging_gears.dicom.bounds import MIB
from imaging_gears.dicom.zip_directory import MAX_MEMBERS
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLOCK: Final = 512

_NAME: Final = slice(0, 100)
_SIZE: Final = slice(124, 136)
_CHECKSUM: Final = slice(148, 156)
_TYPE: Final = slice(156, 157)
_MAGIC: Final = slice(257, 263)
_PREFIX: Final = slice(345, 500)
_SPARSE_CONTINUES: Final = 482  # GNU: the map of holes goes on in a block of its own
_BLOCK_CONTINUES: Final = 504
_POSIX: Final = b"ustar\0"
_GNU_NAME: Final = b"L"
_GNU_SPARSE: Final = b"S"
_PAX: Final = b"x"
_PAX_GLOBAL: Final = b"g"
_ABOUT_THE_NEXT: Final = frozenset({_GNU_NAME, b"K", _PAX, _PAX_GLOBAL})
_FOLDER: Final = b"5"
_WITHOUT_CONTENT: Final = frozenset(b"1 2 3 4 5 6".split())  # links, devices, folders, pipes
_CONTINUED: Final = b"M"  # GNU: the rest of a file whose start is in another volume
_LABEL: Final = b"V"  # GNU: the name of the volume
_MAX_HEADER: Final = MIB
_PADDING: Final = 64 * 1024  # bytes behind an end mark that are looked at at once
_BASE_256: Final = 0x80
_MAX_SIZE: Final = 1 << 40
_RECORD: Final = re.compile(rb"(\d{1,7}) ")  # of pax: the length of the record, itself included


class ReadAt(Protocol):
    """A file that is read at any place."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end of the file."""


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One member of a tar.

    Args:
        name: decoded; bytes that are not UTF-8 are escaped.
        offset: of its content.
        size: bytes of its content; 0 for what has none.
        regular: it is a file, no link or device, no name of a volume. What has a type that POSIX
            does not know is a file (POSIX.1-2001, pax, ustar typeflag).
        folder: it is a folder.
        sparse: holes of its content are left out, so that it can't be read as it stands.
        continued: its start is missing.
    """

    name: str
    offset: int
    size: int
    regular: bool
    folder: bool
    sparse: bool
    continued: bool


def is_tar_header(block: bytes) -> bool:
    """Return whether `block` begins a tar, also one that is older than the name ``ustar``."""
    return len(block) >= BLOCK and any(block[:BLOCK]) and _is_intact(block[:BLOCK])


def tar_entries(file: ReadAt) -> Iterator[TarEntry]:
    """Yield the members in their order; nothing of their contents is read here.

    An end mark is passed where another tar follows it (two that were joined). A header that was
    zeroed looks like an end mark: it is told by the content that it leaves behind.

    Raises:
        ArchiveError: where the archive is cut off (its end mark is missing) or damaged, or if it
            has more than 100,000 members.
    """
    offset = 0
    for _ in range(MAX_MEMBERS + 1):
        headers = _Headers(file, offset)
        while headers.entry is None:
            following = _behind_the_end(file, headers.end)
            if following is None:
                return
            headers = _Headers(file, following)
        yield headers.entry
        offset = headers.next
    raise ArchiveError("The upload has more than 100,000 members.")


def _behind_the_end(file: ReadAt, offset: int) -> int | None:
    """Return where the first header behind an end mark is, None where zeros go on to the end.

    Raises:
        ArchiveError: something else follows: all that is behind a damaged header.
    """
    while padding := file.read_at(offset, _PADDING):
        rest = padding.lstrip(b"\0")
        if rest:
            start = offset + (len(padding) - len(rest)) // BLOCK * BLOCK
            if is_tar_header(file.read_at(start, BLOCK)):
                return start
            raise ArchiveError("The archive is damaged: its end mark is followed by other data.")
        offset += len(padding)
    return None


class _Headers:
    """The headers of one member: its own, and those before it that hold what is too long for it.

    Args:
        file: the archive.
        offset: of the first one.
    """

    def __init__(self, file: ReadAt, offset: int) -> None:
        self._file = file
        self._offset = offset
        self._long_name: bytes | None = None
        self._pax: dict[bytes, bytes] = {}
        self._spent = 0
        self.entry: TarEntry | None = None
        self.next = offset
        self._read()

    @property
    def end(self) -> int:
        """Where what was read ends: without an entry, behind the block of zeros."""
        return self._offset

    def _read(self) -> None:
        block = self._block()
        while block[_TYPE] in _ABOUT_THE_NEXT:
            self._extend(block[_TYPE], self._content(_number(block[_SIZE])))
            block = self._block()
        # Two blocks of zeros end a tar; one is as good where nothing follows it.
        if any(block):
            self.entry = self._parse(block)
            self.next = self.entry.offset + _padded(self.entry.size)

    def _block(self) -> bytes:
        block = self._file.read_at(self._offset, BLOCK)
        if len(block) < BLOCK:
            raise ArchiveError("The archive is cut off: its end is missing.")
        if any(block) and not _is_intact(block):
            raise ArchiveError("The archive is damaged: a header of its members is wrong.")
        self._offset += BLOCK
        return block

    def _content(self, size: int) -> bytes:
        self._spent += size + BLOCK
        if self._spent > _MAX_HEADER:
            raise ArchiveError("The archive has a member whose header is longer than 1 MiB.")
        content = self._file.read_at(self._offset, size)
        self._offset += _padded(size)
        return content

    def _extend(self, kind: bytes, content: bytes) -> None:
        if kind == _GNU_NAME:
            self._long_name = content.rstrip(b"\0")
        elif kind == _PAX:
            self._pax = _records(content)

    def _parse(self, block: bytes) -> TarEntry:
        kind = block[_TYPE]
        continues = kind == _GNU_SPARSE and block[_SPARSE_CONTINUES]
        while continues:
            continues = self._content(BLOCK)[_BLOCK_CONTINUES:][:1] not in (b"", b"\0")
        name = self._pax.get(b"path") or self._long_name or _name(block)
        stated = self._pax.get(b"size")
        size = _number(block[_SIZE]) if stated is None else _decimal(stated)
        return TarEntry(
            name=name.decode("utf-8", errors="backslashreplace"),
            offset=self._offset,
            size=0 if kind in _WITHOUT_CONTENT else size,
            regular=kind not in _WITHOUT_CONTENT and (kind != _LABEL or size > 0),
            folder=kind == _FOLDER or name.endswith(b"/"),  # The oldest tars have no type for it.
            sparse=kind == _GNU_SPARSE or _is_sparse(self._pax),
            continued=kind == _CONTINUED,
        )


def _is_intact(block: bytes) -> bool:
    """Compare the checksum: the sum of all bytes, those of itself taken as blanks."""
    stated = block[_CHECKSUM].strip(b" \0")
    if not stated.isdigit():
        return False
    without = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    # Old writers added the bytes up as signed ones.
    signed = sum(memoryview(without).cast("b"))
    return stated.lstrip(b"0") in (b"%o" % sum(without), b"%o" % signed)


def _name(block: bytes) -> bytes:
    name = block[_NAME].rstrip(b"\0")
    prefix = block[_PREFIX].rstrip(b"\0") if block[_MAGIC] == _POSIX else b""
    return prefix + b"/" + name if prefix else name


def _number(field: bytes) -> int:
    """Return a number in octal digits, or in base 256 where it needs more of them (GNU)."""
    if field[0] == _BASE_256:
        return _within(int.from_bytes(field[1:], "big"))
    digits = field.strip(b" \0")
    try:
        return _within(int(digits or b"0", 8))
    except ValueError:
        raise ArchiveError("The archive is damaged: the size of a member is no number.") from None


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > len(str(_MAX_SIZE)):
        raise ArchiveError("The archive is damaged: the size of a member is no number.")
    return _within(int(digits))


def _within(size: int) -> int:
    if not 0 <= size <= _MAX_SIZE:
        raise ArchiveError("The archive is damaged: the size of a member is no number.")
    return size


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _records(content: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header; those behind a damaged one are not seen.

    Raises:
        ArchiveError: one is damaged: a size that is missed leads to another place.
    """
    found = {}
    at = 0
    while match := _RECORD.match(content, at):
        end = at + int(match[1])
        key, equals, value = content[match.end() : end].partition(b"=")
        if not equals or value[-1:] != b"\n" or end > len(content):
            break
        found[key] = value[:-1]
        at = end
    if content[at:].strip(b"\0"):
        raise ArchiveError("The archive is damaged: an extended header is wrong.")
    return found


def _is_sparse(pax: Mapping[bytes, bytes]) -> bool:
    return any(key.startswith(b"GNU.sparse.") for key in pax)
