"""Files that are read at given places, and sections of them as streams."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from imaging_gears.dicom.streams import BoundedStream, ByteStream
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

    from imaging_gears.dicom.bounds import Budget
    from imaging_gears.dicom.zip_directory import RandomAccess


class RandomFile:
    """A file that is read at given places, without a buffer, and counts what is read.

    Args:
        path: a regular file. It is opened here, and closed by `close`.

    Raises:
        OSError: there is no such file, or it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self.bytes_read = 0
        self._written = status.st_mtime_ns

    @property
    def unchanged(self) -> bool:
        """Whether the file is, by its size and time, the one that was opened."""
        status = os.fstat(self._descriptor)
        return (status.st_size, status.st_mtime_ns) == (self.size, self._written)

    def close(self) -> None:
        """Close the file; a second time does nothing, so that no other file's number is closed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end of the file.

        Safe to call in several threads at once: there is no position to share.
        """
        data = os.pread(self._descriptor, size, offset)
        self.bytes_read += len(data)
        return data

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; return how many bytes there were. Safe in threads."""
        read = 0
        while read < len(buffer):
            part = os.preadv(self._descriptor, [buffer[read:]], offset + read)
            if not part:
                break
            read += part
        self.bytes_read += read
        return read


class Section:
    """Some bytes of a file, from the first to the last.

    Args:
        file: whose bytes they are.
        start: offset of the first one.
        size: how many.
    """

    def __init__(self, file: RandomAccess, start: int, size: int) -> None:
        self._file = file
        self._next = start
        self._end = start + size

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end."""
        size = min(size, self._end - self._next)
        data = self._file.read_at(self._next, size) if size else b""
        self._next += len(data)
        return data

    def advance(self, size: int) -> None:
        """Pass `size` bytes unread.

        Raises:
            ArchiveError: the file ends before that.
        """
        self._next += size
        if size and not self._file.read_at(self._next - 1, 1):
            raise ArchiveError("The file is cut off.")


class Passable(ByteStream, Protocol):
    """A stream that can pass bytes without giving them."""

    def advance(self, size: int) -> None:
        """Pass `size` bytes.

        Raises:
            ArchiveError: the file ends before that.
        """


class SectionStream(BoundedStream):
    """A section within a budget, whose values cost nothing where they are only passed.

    Args:
        section: a fresh one.
        budget: what is read is spent from it.
        size: bytes of the section.
    """

    def __init__(self, section: Passable, budget: Budget, size: int) -> None:
        super().__init__(section, budget, size)
        self._section = section

    def skip(self, size: int, what: str) -> None:
        """Pass `size` bytes without reading those that are not held yet.

        Raises:
            HeaderError: the stream ends before that, inside `what`.
            ArchiveError: the file ends before the section does.
        """
        held = min(size, self.held)
        if size > held:
            self.require(size)
        super().skip(held, what)
        if size > held:
            self._section.advance(size - held)
            self.position += size - held
