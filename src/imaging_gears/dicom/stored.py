"""Members of a zip that are stored as they are: walked by passing their values, checked once.

A zip tells only at the end of a member whether its bytes are right. Reading each of them to its end
before the first is sent costs as much as sending it; so one that is not too long is checked when it
is about to be sent, in the thread that sends it, and gives no byte before.
"""

from __future__ import annotations

import io
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
"""The longest that is held in memory then: eight associations have one each. Others are read again,
which the system's cache answers."""

_INPUT: Final = 64 * 1024


class StoredMember:
    """A member that is not compressed.

    Args:
        file: the archive.
        entry: the member, of the method 0.
        at_once: check it when it is looked into, whatever its length.
    """

    def __init__(self, file: RandomFile, entry: Entry, *, at_once: bool = False) -> None:
        self._file = file
        self._entry = entry
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
        section, size = self._section(), self._entry.size
        step = size if size <= HELD_SIZE else MIB
        crc = read = 0
        last = b""
        while part := section.read(step):
            crc = zlib.crc32(part, crc)
            read += len(part)
            last = part
        if (read, crc) != (size, self._entry.crc):
            raise _wrong()
        return io.BytesIO(last) if len(last) == size else self._section()

    def _section(self) -> Section:
        if self._start is None:
            self._start = self._located()
        return Section(self._file, self._start, self._entry.size)

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
