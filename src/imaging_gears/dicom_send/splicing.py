"""The bytes of an instance as they are sent: those of the upload, with the tag put in.

Nothing is decoded. All but the inserted bytes come from the upload as they are; a data set that is
deflated as a whole is inflated, and deflated again behind the insertion (PS3.5 A.5).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.bounds import MIB
from imaging_gears.dicom.stored import HeldStream
from imaging_gears.dicom.streams import DecodedStream, Inflater
from imaging_gears.errors import HeaderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from imaging_gears.dicom.streams import Source
    from imaging_gears.dicom_send.tagging import Edit

PIECE: Final = 256 * 1024
"""Bytes of a piece at most."""

VIEW: Final = MIB
"""Bytes at most of a piece that is a view of what is in memory as a whole: it costs nothing, and
each piece costs calls of the system, around which threads wait for each other."""

_LONG: Final = 16 * 1024
"""A view of so many bytes is not copied to be joined with what is beside it."""

_INPUT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Spliced:
    """A data set in an upload, and what is put into it.

    Args:
        open: gives the file from its start.
        start: offset of the data set in the file.
        size: bytes of the data set in the file, deflated where it is.
        deflated: whether it is.
        edits: in ascending order of their offsets in the (inflated) data set.
    """

    open: Callable[[], Source]
    start: int
    size: int
    deflated: bool
    edits: tuple[Edit, ...]

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield pieces of at most 256 KiB, views of 1 MiB, the last when the source has ended well.

        Raises:
            ImagingError: the upload was damaged, or became another one, since it was looked at.
        """
        return held_back(gathered(self._parts()))

    def _parts(self) -> Iterator[bytes | memoryview]:
        source = self._open_at_start()
        if not self.deflated:
            yield from spliced(source, self.edits, source.piece)
        elif self.edits:
            inflated = DecodedStream(source, Inflater(), HeaderError, chunk=_INPUT)
            yield from deflated(spliced(inflated, self.edits))
            _drain(source)
        else:
            yield from spliced(source, (), source.piece)
            yield bytes(self.size % 2)

    def _open_at_start(self) -> _Guarded:
        try:
            source = self.open()
            _skip(source, self.start)
        except OSError:
            raise _unreadable() from None
        return _Guarded(source, self.size)


class _Guarded:
    """A stream that has a given size, or raises.

    Attributes:
        piece: bytes to read at once.
    """

    def __init__(self, source: Source, size: int) -> None:
        self.piece = VIEW if isinstance(source, HeldStream) else PIECE
        self._source = source
        self._left = size

    def read(self, size: int, /) -> bytes | memoryview:
        try:
            # At the end one is asked for, so that the source compares its checksum.
            data = self._source.read(max(1, min(size, self._left)))
        except OSError:
            raise _unreadable() from None
        self._left -= len(data)
        if self._left < 0 or (not data and self._left):
            raise HeaderError("The DICOM has changed since it was looked at.")
        return data


def _unreadable() -> HeaderError:
    return HeaderError("The DICOM can't be read any more.")


def _skip(source: Source, size: int) -> None:
    while size and (data := source.read(size)):
        size -= len(data)


def _drain(source: Source) -> None:
    while source.read(_INPUT):
        pass


def spliced(
    source: Source, edits: Iterable[Edit], piece: int = PIECE
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of `source` with `edits` made, at most `piece` of them at once."""
    position = 0
    for edit in edits:
        while position < edit.offset and (data := source.read(min(piece, edit.offset - position))):
            position += len(data)
            yield data
        _skip(source, edit.removed)
        position += edit.removed
        yield edit.inserted
    while data := source.read(piece):
        yield data


def deflated(parts: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield `parts` as raw deflate (RFC 1951), padded to an even length (PS3.5 A.5)."""
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for part in parts:
        packed = compress.compress(part)
        size += len(packed)
        yield packed
    packed = compress.flush()
    yield packed + bytes((size + len(packed)) % 2)


def gathered(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Yield `parts` joined to fewer ones, or parted, none of them empty or longer than a piece.

    A long view stays as it is.
    """
    held: list[bytes | memoryview] = []
    size = 0
    for part in _parted(parts):
        alone = isinstance(part, memoryview) and len(part) >= _LONG
        if held and (alone or size + len(part) > PIECE):
            yield b"".join(held)
            held, size = [], 0
        if alone:
            yield part
        else:
            held.append(part)
            size += len(part)
    if held:
        yield b"".join(held)


def _parted(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    for part in parts:
        most = VIEW if isinstance(part, memoryview) else PIECE
        for start in range(0, len(part), most):
            yield part[start : start + most]


def held_back(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Yield each of `parts` when the next one, or the end, is there.

    What is wrong with a source shows at its end; whoever has not had the last piece by then has
    not sent the instance.
    """
    last: bytes | memoryview | None = None
    for part in parts:
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last
