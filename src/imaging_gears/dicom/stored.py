"""Members of a zip that are stored as they are: walked by passing their values, checked once.

A zip tells only at the end of a member whether its bytes are right. Reading each of them to its end
before the first is sent costs as much as sending it; so one that is not too long is checked when it
is about to be sent, in the thread that sends it, and gives no byte before.
"""

from __future__ import annotations

import io
import threading
import weakref
import zlib
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.bounds import MIB, whole_budget
from imaging_gears.dicom.random_file import Section, SectionStream
from imaging_gears.dicom.streams import BoundedStream, ByteStream
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
    from imaging_gears.dicom.zip_directory import Entry

LATER_SIZE: Final = 32 * MIB
"""The longest member that is checked when it is sent: the server waits for its first byte."""

HELD_SIZE: Final = 8 * MIB
"""The longest that is held in memory then. Others are read again, which the system's cache
answers."""

HELD_AT_ONCE: Final = 2
"""How many that are longer than a MiB are held at once, however many are being sent."""

_INPUT: Final = 64 * 1024


class Buffers:
    """Memory for the members of an archive that are held, taken in turns.

    It is used again, because what a thread has given back may stay with that thread's share of the
    heap: eight associations had 70 MiB of it.
    """

    def __init__(self) -> None:
        self._free: list[bytearray] = []
        self._made = 0
        self._lock = threading.Lock()

    def take(self) -> bytearray | None:
        """Return `HELD_SIZE` bytes, None where all are in use."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if self._made == HELD_AT_ONCE:
                return None
            self._made += 1
        return bytearray(HELD_SIZE)

    def give(self, buffer: bytearray) -> None:
        """Take back what `take` gave."""
        with self._lock:
            self._free.append(buffer)


class _HeldStream:
    """A member that is held in memory."""

    def __init__(self, content: memoryview) -> None:
        self._left = content

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end."""
        data = bytes(self._left[:size])
        self._left = self._left[size:]
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

    def open(self) -> ByteStream:
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

    def _checked(self) -> ByteStream:
        if self._entry.size <= MIB:
            return io.BytesIO(self._section_checked())
        buffer = self._buffers.take() if self._entry.size <= HELD_SIZE else None
        if buffer is None:
            self._section_checked()
            return self._section()
        return self._held_checked(buffer)

    def _section_checked(self) -> bytes:
        """Read all of a member; return its last MiB or less."""
        section = self._section()
        crc = read = 0
        last = b""
        while part := section.read(MIB):
            crc = zlib.crc32(part, crc)
            read += len(part)
            last = part
        self._compare(read, crc)
        return last

    def _held_checked(self, buffer: bytearray) -> ByteStream:
        # Whoever reads a stream just drops it, at its end or before.
        stream = _HeldStream(memoryview(buffer)[: self._entry.size])
        weakref.finalize(stream, self._buffers.give, buffer)
        content = memoryview(buffer)[: self._entry.size]
        read = self._file.read_into(self._begin(), content)
        self._compare(read, zlib.crc32(content[:read]))
        return stream

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
