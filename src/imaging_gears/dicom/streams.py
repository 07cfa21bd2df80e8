"""Streams that know where they are, where they end, and what they may still cost.

pydicom inflates a deflated data set at once and reads a value of any length that its header states;
`zipfile` passes bzip2 and LZMA no limit, so that 4 KiB of bzip2 become gigabytes. Everything that
is read here passes through the classes of this module, which never hold more than a chunk.
"""

from __future__ import annotations

import io
import lzma
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from imaging_gears.dicom.bounds import Budget, header_budget
from imaging_gears.errors import HeaderError

if TYPE_CHECKING:
    from imaging_gears.errors import InputFileError

CHUNK: Final = 4096
_SKIP_CHUNK: Final = 64 * 1024


class ByteStream(Protocol):
    """What is asked of a stream: bytes in order."""

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end."""


class Source(Protocol):
    """A stream that is only passed on: it may give views of what is in memory already."""

    def read(self, size: int, /) -> bytes | memoryview:
        """Return between 1 and `size` bytes, none only at the end."""


class BoundedStream:
    """A buffered, sequential stream within a budget.

    Args:
        raw: where the bytes come from.
        budget: what is read is spent from it.
        size: bytes of the whole stream where that is known, else None.
    """

    def __init__(self, raw: ByteStream, budget: Budget, size: int | None = None) -> None:
        self.budget = budget
        self.size = size
        self.position = 0
        self._raw = raw
        self._buffer = b""
        self._start = 0

    @property
    def held(self) -> int:
        """Bytes that were read from below already and not passed yet."""
        return len(self._buffer) - self._start

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, fewer only where the stream ends."""
        end = self._start + size
        if end > len(self._buffer):
            self._fill(size)
            end = self._start + size
        data = self._buffer[self._start : end]
        self._start += len(data)
        self.position += len(data)
        return data

    def read_exactly(self, size: int, what: str) -> bytes:
        """Return `size` bytes.

        Raises:
            HeaderError: the stream ends before that, inside `what`.
        """
        data = self.read(size)
        if len(data) < size:
            raise cut_off(what)
        return data

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end, without passing them."""
        end = self._start + size
        if end > len(self._buffer):
            self._fill(size)
            end = self._start + size
        return self._buffer[self._start : end]

    def require(self, size: int) -> None:
        """Check, where the end is known, that `size` more bytes can follow.

        Raises:
            HeaderError: they can't.
        """
        if self.size is not None and size > self.size - self.position:
            raise HeaderError(
                "The DICOM header states a length that goes beyond the end of the file."
            )

    def skip(self, size: int, what: str) -> None:
        """Pass `size` bytes without holding them.

        Raises:
            HeaderError: the stream ends before that, inside `what`.
        """
        self.require(size)
        if size <= self.held:
            self._start += size
            self.position += size
            return
        if size > self.budget.left:
            self.budget.spend(size)
        while size > 0:
            passed = len(self.read(min(size, _SKIP_CHUNK)))
            if not passed:
                raise cut_off(what)
            size -= passed

    def _fill(self, size: int) -> None:
        parts = [self._buffer[self._start :]]
        missing = size - len(parts[0])
        while missing > 0 and (chunk := self._raw.read(max(missing, CHUNK))):
            self.budget.spend(len(chunk))
            parts.append(chunk)
            missing -= len(chunk)
        self._buffer = b"".join(parts)
        self._start = 0


def cut_off(what: str) -> HeaderError:
    """Return the error of a stream that ends inside `what`."""
    return HeaderError(f"The DICOM is cut off inside {what}.")


def bounded(stream: ByteStream) -> BoundedStream:
    """Return `stream` within the bounds of one header; one that is bounded already as it is."""
    if isinstance(stream, BoundedStream):
        return stream
    return BoundedStream(stream, header_budget(), _remaining(stream))


def _remaining(stream: ByteStream) -> int | None:
    if not (isinstance(stream, io.IOBase) and stream.seekable()):
        return None
    here = stream.tell()
    end = stream.seek(0, io.SEEK_END)
    stream.seek(here)
    return end - here


class Decoder(Protocol):
    """An incremental decompressor whose output per call can be limited (`bz2`, `lzma`)."""

    @property
    def eof(self) -> bool:
        """Whether the end mark of the compressed data has been read."""

    @property
    def needs_input(self) -> bool:
        """Whether all input given so far is used up."""

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        """Return at most `max_length` bytes of output."""


class Inflater:
    """Raw deflate (RFC 1951) with the face of `bz2.BZ2Decompressor`."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        """Whether the final block has been read to its end."""
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        """Whether all input given so far is used up."""
        return not self._inflate.unconsumed_tail

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        """Return at most `max_length` bytes of output."""
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


class DecodedStream:
    """What a decoder makes of a compressed stream, never more at once than is asked for.

    Args:
        raw: the compressed bytes.
        decoder: fresh.
        error: raised where the data are damaged, and where they end before the decoder has seen
            their end mark.
        marked: False for formats without an end mark: the end of `raw` is the end.
        chunk: compressed bytes that are read at once.
    """

    def __init__(
        self,
        raw: Source,
        decoder: Decoder,
        error: type[InputFileError],
        *,
        marked: bool = True,
        chunk: int = CHUNK,
    ) -> None:
        self._chunk = chunk
        self._raw = raw
        self._decoder = decoder
        self._error = error
        self._marked = marked

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end.

        Raises:
            InputFileError: `error`, with a sentence that says what is wrong.
        """
        while not self._decoder.eof:
            data = self._raw.read(self._chunk) if self._decoder.needs_input else b""
            ended = self._decoder.needs_input and not data
            if output := self._decode(data, size):
                return output
            if ended:
                return self._end()
        return b""

    def _decode(self, data: bytes | memoryview, size: int) -> bytes:
        try:
            return self._decoder.decompress(data, size)
        # What zlib, bz2 (OSError, ValueError) and lzma raise for damaged data.
        except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, MemoryError):
            raise self._error("The compressed data are damaged.") from None

    def _end(self) -> bytes:
        if self._marked:
            raise self._error("The compressed data are cut off.")
        return b""
