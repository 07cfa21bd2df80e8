"""The bytes of an instance as they are sent: those of the upload, with the tag put in.

Nothing is decoded. All but the inserted bytes come from the upload as they are; a data set that is
deflated as a whole is inflated, and deflated again behind the insertion (PS3.5 A.5).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.streams import ByteStream, DecodedStream, Inflater
from imaging_gears.errors import HeaderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from imaging_gears.dicom_send.tagging import Edit

PIECE: Final = 256 * 1024
"""Bytes of a piece at most."""

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

    open: Callable[[], ByteStream]
    start: int
    size: int
    deflated: bool
    edits: tuple[Edit, ...]

    def pieces(self) -> Iterator[bytes]:
        """Yield pieces of at most 256 KiB, the last one when the source has ended well.

        Raises:
            ImagingError: the upload was damaged, or became another one, since it was looked at.
        """
        return held_back(gathered(self._parts()))

    def _parts(self) -> Iterator[bytes]:
        source = self._open_at_start()
        if not self.deflated:
            yield from spliced(source, self.edits)
        elif self.edits:
            inflated = DecodedStream(source, Inflater(), HeaderError, chunk=_INPUT)
            yield from deflated(spliced(inflated, self.edits))
            _drain(source)
        else:
            yield from spliced(source, ())
            yield bytes(self.size % 2)

    def _open_at_start(self) -> ByteStream:
        try:
            source = self.open()
            _skip(source, self.start)
        except OSError:
            raise _unreadable() from None
        return _Guarded(source, self.size)


class _Guarded:
    """A stream that has a given size, or raises."""

    def __init__(self, source: ByteStream, size: int) -> None:
        self._source = source
        self._left = size

    def read(self, size: int, /) -> bytes:
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


def _skip(source: ByteStream, size: int) -> None:
    while size and (data := source.read(size)):
        size -= len(data)


def _drain(source: ByteStream) -> None:
    while source.read(_INPUT):
        pass


def spliced(source: ByteStream, edits: Iterable[Edit]) -> Iterator[bytes]:
    """Yield the bytes of `source` with `edits` made."""
    position = 0
    for edit in edits:
        while position < edit.offset and (data := source.read(min(PIECE, edit.offset - position))):
            position += len(data)
            yield data
        _skip(source, edit.removed)
        position += edit.removed
        yield edit.inserted
    while data := source.read(PIECE):
        yield data


def deflated(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `parts` as raw deflate (RFC 1951), padded to an even length (PS3.5 A.5)."""
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for part in parts:
        packed = compress.compress(part)
        size += len(packed)
        yield packed
    packed = compress.flush()
    yield packed + bytes((size + len(packed)) % 2)


def gathered(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `parts` joined to fewer ones, or parted, none of them empty or longer than a piece."""
    held: list[bytes] = []
    size = 0
    for part in _parted(parts):
        if size + len(part) > PIECE:
            yield b"".join(held)
            held, size = [], 0
        held.append(part)
        size += len(part)
    if size:
        yield b"".join(held)


def _parted(parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        for start in range(0, len(part), PIECE):
            yield part[start : start + PIECE]


def held_back(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each of `parts` when the next one, or the end, is there.

    What is wrong with a source shows at its end; whoever has not had the last piece by then has
    not sent the instance.
    """
    last: bytes | None = None
    for part in parts:
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last
