"""A gzip file that is read at given places, without being written out (RFC 1952).

Deflate has no places: to read one, all before it is inflated. What is read here is a tar whose
members are read twice, in about their order, by a few threads. So decoders are kept: those that
have stopped somewhere, to go on from there, and copies of the first one at even distances, the
distances doubled when they become too many. A copy is the 32 KiB that deflate refers back to and
little else: 128 of them cost some 8 MiB, for an archive of any size.
"""

from __future__ import annotations

import copy
import zlib
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from imaging_gears.dicom.bounds import MIB, TOO_LARGE, WHOLE_LIMIT
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from zlib import _Decompress

    from imaging_gears.dicom.zip_directory import RandomAccess

_GZIP: Final = zlib.MAX_WBITS | 16  # zlib itself reads header and trailer, and compares the CRC-32
_MAGIC: Final = b"\x1f\x8b"
_INPUT: Final = 16 * 1024
_MAX_PLACES: Final = 128
_MAX_IDLE: Final = 16
_FIRST_DISTANCE: Final = MIB
_STEP: Final = 256 * 1024


class _Cursor:
    """A decoder, and where it is."""

    def __init__(self, file: RandomAccess) -> None:
        self.position = 0
        self.damaged = False
        self._file = file
        self._offset = 0
        self._input = b""
        self._decoder: _Decompress = zlib.decompressobj(_GZIP)

    def copy(self) -> Self:
        """Return another one at the same place."""
        other = copy.copy(self)
        other._decoder = self._decoder.copy()  # noqa: SLF001 - of its own class
        return other

    def read(self, size: int) -> bytes:
        """Return between 1 and `size` bytes, none only at the end.

        Raises:
            ArchiveError: the file is damaged or cut off, or inflates beyond the bounds.
        """
        while not self._decoder.eof or self._next_part():
            fresh = self._decoder.unconsumed_tail or self._take()
            try:
                data = self._decoder.decompress(fresh, size)
            except zlib.error:
                self.damaged = True
                raise ArchiveError("The archive is damaged: its gzip data are wrong.") from None
            if data:
                return self._count(data)
            if not fresh and not self._decoder.eof:
                raise ArchiveError("The archive is cut off inside its gzip data.")
        return b""

    def _count(self, data: bytes) -> bytes:
        self.position += len(data)
        if self.position > WHOLE_LIMIT:
            raise ArchiveError(TOO_LARGE)
        return data

    def _take(self) -> bytes:
        data, self._input = self._input, b""
        if not data:
            data = self._file.read_at(self._offset, _INPUT)
            self._offset += len(data)
        return data

    def _next_part(self) -> bool:
        """Go on with the gzip data that follow, as parallel packers write them; zeros are padding.

        Raises:
            ArchiveError: something else follows.
        """
        rest = self._decoder.unused_data.lstrip(b"\0")
        while len(rest) < len(_MAGIC) and (more := self._take()):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return False
        if not rest.startswith(_MAGIC):
            self.damaged = True
            raise ArchiveError("The archive is damaged: its gzip data are followed by others.")
        self._input = rest + self._input
        self._decoder = zlib.decompressobj(_GZIP)
        return True


class Gunzipped:
    """The content of a gzip file.

    Args:
        file: the gzip file. Reading from several threads at once is safe where it is safe there.

    Attributes:
        damaged: something was found that is wrong, not only missing.
    """

    def __init__(self, file: RandomAccess) -> None:
        self.damaged = False
        self._file = file
        self._lock = Lock()
        self._places = [_Cursor(file)]
        self._distance = _FIRST_DISTANCE
        self._idle: list[_Cursor] = []

    def open(self, start: int, size: int) -> GunzippedSection:
        """Return `size` bytes from `start` on as a stream; it ends where the content ends."""
        return GunzippedSection(self, start, size)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end.

        Raises:
            ArchiveError: the file is damaged or cut off.
        """
        section = self.open(offset, size)
        parts = []
        while part := section.read(size):
            parts.append(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Read on to the end, so that the checksum is compared.

        Raises:
            ArchiveError: it is wrong, or the file is damaged or cut off.
        """
        cursor = self.take(WHOLE_LIMIT)
        while self.step(cursor, _STEP):
            pass

    def take(self, offset: int) -> _Cursor:
        """Return a cursor at `offset` or, nearest to that, before it.

        One that stands elsewhere is copied, because it waits for the thread that has left it there.
        """
        with self._lock:
            before = [one for one in (*self._idle, *self._places) if one.position <= offset]
            nearest = max(before, key=lambda cursor: cursor.position)
            if nearest.position < offset or nearest not in self._idle:
                return nearest.copy()
            self._idle.remove(nearest)
            return nearest

    def give(self, cursor: _Cursor) -> None:
        """Keep `cursor` for who reads on from where it is."""
        with self._lock:
            self._idle = [*self._idle, cursor][-_MAX_IDLE:]

    def step(self, cursor: _Cursor, size: int) -> bytes:
        """Read from `cursor`, which keeps a copy of it where it has come far enough.

        Raises:
            ArchiveError: as `read_at` does.
        """
        try:
            data = cursor.read(size)
        except ArchiveError:
            self.damaged = self.damaged or cursor.damaged
            raise
        if cursor.position >= self._places[-1].position + self._distance:
            with self._lock:
                self._keep(cursor)
        return data

    def _keep(self, cursor: _Cursor) -> None:
        if cursor.position < self._places[-1].position + self._distance:
            return  # Another thread has come here meanwhile.
        self._places.append(cursor.copy())
        if len(self._places) > _MAX_PLACES:
            self._places = self._places[::2]
            self._distance *= 2


class GunzippedSection:
    """Some bytes of a `Gunzipped`, as a stream."""

    def __init__(self, file: Gunzipped, start: int, size: int) -> None:
        self._file = file
        self._next = start
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end.

        Raises:
            ArchiveError: the file is damaged or cut off.
        """
        data = self._read(min(size, self._left)) if self._left else b""
        self._left -= len(data)
        self._next += len(data)
        return data

    def advance(self, size: int) -> None:
        """Pass `size` bytes, which are inflated and not kept.

        Raises:
            ArchiveError: the file is damaged, or ends before that.
        """
        while size:
            passed = len(self.read(min(size, _STEP)))
            if not passed:
                raise ArchiveError("The file is cut off.")
            size -= passed

    def _read(self, size: int) -> bytes:
        cursor = self._file.take(self._next)
        while cursor.position < self._next:
            if not self._file.step(cursor, min(_STEP, self._next - cursor.position)):
                return b""
        data = self._file.step(cursor, size)
        self._file.give(cursor)
        return data
