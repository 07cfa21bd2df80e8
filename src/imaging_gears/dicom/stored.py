"""Members of a zip that are stored as they are: walked by passing their values, checked once.

A zip tells only at the end of a member whether its bytes are right. Reading each of them to its end
before the first is sent costs as much as sending it; so one that is not too long is checked when it
is about to be sent, in the thread that sends it, and gives no byte before.
"""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.bounds import MIB, whole_budget
from imaging_gears.dicom.random_file import Section, SectionStream
from imaging_gears.dicom.streams import BoundedStream
from imaging_gears.dicom.zip_member import (
    LOCAL_SIZE,
    MemberStream,
    check_end,
    content_start,
)
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from imaging_gears.dicom.bounds import Budget
    from imaging_gears.dicom.random_file import RandomFile
    from imaging_gears.dicom.streams import Source
    from imaging_gears.dicom.zip_directory import Entry

LATER_SIZE: Final = 32 * MIB
"""The longest member that is checked when it is sent: the server waits for its first byte."""

HELD_SIZE: Final = 8 * MIB
"""The longest that is held in memory then. Others are read again, which the system's cache
answers."""

HELD_AT_ONCE: Final = 2
"""How many that are longer than a MiB are held at once, however many are being sent."""

_INPUT: Final = 64 * 1024
_PART: Final = 256 * 1024


class Buffers:
    """Memory for the members of an archive that are held, taken in turns.

    It is used again, because what a thread has given back may stay with that thread's share of the
    heap: eight associations had 70 MiB of it. None is used again while anybody has a view of it.
    """

    def __init__(self) -> None:
        self._made: list[bytearray] = []
        self._lock = threading.Lock()

    def take(self, size: int) -> memoryview | None:
        """Return `size` bytes, at most `HELD_SIZE`; None where all are in use."""
        with self._lock:
            buffer = next(filter(_is_free, self._made), None)
            if buffer is None:
                if len(self._made) == HELD_AT_ONCE:
                    return None
                buffer = bytearray(HELD_SIZE)
                self._made.append(buffer)
            return memoryview(buffer)[:size]


def _is_free(buffer: bytearray) -> bool:
    """Return whether nobody has a view of `buffer`: one that is viewed can't be resized."""
    try:
        del buffer[-1]
    except BufferError:
        return False
    buffer.append(0)  # Where it was: there is room for it.
    return True


class HeldStream:
    """A member that is held in memory, given in views that are good as long as they are kept."""

    def __init__(self, content: memoryview) -> None:
        self._left = content

    def read(self, size: int, /) -> memoryview:
        """Return between 1 and `size` bytes, none only at the end."""
        data, self._left = self._left[:size], self._left[size:]
        return data


class StoredMember:
    """A member that is not compressed.

    Args:
        file: the archive.
        entry: the member, of the method 0.
        buffers: of all members of the archive.
        at_once: check it when it is looked into, whatever its length.
    """

    def __init__(
        self, file: RandomFile, entry: Entry, buffers: Buffers, *, at_once: bool = False
    ) -> None:
        self._file = file
        self._entry = entry
        self._buffers = buffers
        self._at_once = at_once
        self._start: int | None = None

    def bounded(self, budget: Budget) -> BoundedStream:
        """Return the content within `budget`, for looking into it.

        The CRC-32 of one that is longer than 32 MiB, or to be checked at once, is compared at its
        end, that of others here not at all.

        Raises:
            ArchiveError: the member is not where the directory says.
        """
        size = self._entry.size
        if self._at_once or size > LATER_SIZE:
            content = MemberStream(self._file, self._entry, budget, chunk=_INPUT)
            return BoundedStream(content, budget, size)
        return SectionStream(self._section(), budget, size)

    def open(self) -> Source:
        """Return the content, of which it is known that it is right.

        Raises:
            ArchiveError: it is not what was packed; with one that is longer than 32 MiB, and in a
                file that has changed since it was looked at, `read` raises that at its end.
        """
        if self._entry.size <= LATER_SIZE:
            return self._checked()
        if self._file.unchanged:
            return self._section()
        return MemberStream(self._file, self._entry, whole_budget(), chunk=_INPUT)

    def _checked(self) -> Source:
        if self._entry.size <= MIB:
            return HeldStream(memoryview(self._section_checked()))
        size = self._entry.size
        content = self._buffers.take(size) if size <= HELD_SIZE else None
        if content is None:
            self._section_checked()
            return self._section()
        read = self._file.read_into(self._begin(), content)
        self._compare(read, zlib.crc32(content[:read]))
        return HeldStream(content)

    def _section_checked(self) -> bytes:
        """Read all of a member; return its last part: all of one that is not longer than a MiB."""
        section = self._section()
        # What is not kept is read in parts as they are sent: each thread has memory for one.
        most = MIB if self._entry.size <= MIB else _PART
        crc = read = 0
        last = b""
        while part := section.read(most):
            crc = zlib.crc32(part, crc)
            read += len(part)
            last = part
        self._compare(read, crc)
        return last

    def _compare(self, read: int, crc: int) -> None:
        if (read, crc) != (self._entry.size, self._entry.crc):
            raise _wrong()

    def _section(self) -> Section:
        return Section(self._file, self._begin(), self._entry.size)

    def _begin(self) -> int:
        if self._start is None:
            self._start = self._located()
        return self._start

    def _located(self) -> int:
        entry = self._entry
        inside = entry.offset < self._file.size
        head = self._file.read_at(entry.offset, LOCAL_SIZE) if inside else b""
        start = entry.offset + content_start(head)
        if entry.compressed_size != entry.size:
            raise _wrong()
        check_end(start + entry.size, self._file.size)
        return start


def _wrong() -> ArchiveError:
    return ArchiveError("The archive is damaged: the size or checksum of a member is wrong.")
