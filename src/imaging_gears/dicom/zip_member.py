"""One member of a zip as a stream: decompressed within bounds, checked where its end is read."""

from __future__ import annotations

import bz2
import lzma
import zlib
from struct import Struct
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.bounds import MIB
from imaging_gears.dicom.streams import CHUNK, ByteStream, DecodedStream, Decoder, Inflater
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from imaging_gears.dicom.bounds import Budget
    from imaging_gears.dicom.zip_directory import Entry, RandomAccess

STORED: Final = 0
DEFLATED: Final = 8
BZIP2: Final = 12
LZMA: Final = 14
METHODS: Final = {
    1: "Shrink",
    6: "Implode",
    9: "Deflate64",
    93: "Zstandard",
    95: "xz",
    97: "WavPack",
    98: "PPMd",
    99: "AES",
}
"""APPNOTE.TXT 4.4.5: names of methods that are met in the field and are not supported."""

READABLE: Final = frozenset({STORED, DEFLATED, BZIP2, LZMA})
_AT_ONCE: Final = 64 * 1024
_LOCAL: Final = Struct("<4s5H3L2H")  # APPNOTE.TXT 4.3.7 local file header
_LOCAL_SIGNATURE: Final = b"PK\x03\x04"
LOCAL_SIZE: Final = _LOCAL.size
_FIRST_READ: Final = 1024
_COSTS: Final = {STORED: 1, DEFLATED: 1, LZMA: 3, BZIP2: 4}  # units a byte, by CPU seconds measured
_MEMBER: Final = 1000
"""Units for opening a member: what the interpreter needs for one without content."""
# Units for the first byte: bzip2 decodes 900 kB before it gives one, in 2 ms; LZMA sets up its
# tables and a dictionary of up to 64 MiB.
_SET_UP: Final = {STORED: 0, DEFLATED: 0, LZMA: 6000, BZIP2: 200_000}


class MemberStream:
    """The content of one member.

    Args:
        file: the archive.
        entry: the member, of a method in `READABLE`.
        budget: all that is read and decompressed is spent from it.
        chunk: compressed bytes that are read at once.

    Raises:
        ArchiveError: the member is not where the directory says, or goes beyond the file's end.
    """

    def __init__(
        self, file: RandomAccess, entry: Entry, budget: Budget, *, chunk: int = CHUNK
    ) -> None:
        self._entry = entry
        self._budget = budget
        self._cost = _COSTS[entry.method]
        self._compressed = _Compressed(file, entry)
        budget.spend(_MEMBER + _SET_UP[entry.method])
        self._content = _content(self._compressed, entry, chunk)
        self._crc = 0
        self._produced = 0
        self._spent = 0

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end.

        Raises:
            ArchiveError: the data are damaged; at the end, if size or CRC-32 are not as stated.
                Bytes before it may have been wrong already: nothing in a zip tells that sooner.
        """
        data = self._content.read(size)
        self._produced += len(data)
        self._crc = zlib.crc32(data, self._crc)
        self._spend()
        if self._produced > self._entry.size or (not data and not self._is_whole()):
            raise ArchiveError("The archive is damaged: the size or checksum of a member is wrong.")
        return data

    def finish(self, within: int) -> None:
        """Read on to the end, because of the CRC-32, unless more than `within` bytes follow.

        Raises:
            ArchiveError: as `read` does.
        """
        if max(self._compressed.left, self._entry.size - self._produced) <= within:
            while self.read(_AT_ONCE):
                pass

    def _is_whole(self) -> bool:
        return self._produced == self._entry.size and self._crc == self._entry.crc

    def _spend(self) -> None:
        total = (self._compressed.passed + self._produced) * self._cost
        self._budget.spend(total - self._spent)
        self._spent = total


def content_start(head: bytes) -> int:
    """Return where a member's content begins, in bytes from its local header.

    Args:
        head: what is at the member's place, `LOCAL_SIZE` bytes or more.

    Raises:
        ArchiveError: that is no local header.
    """
    if len(head) < LOCAL_SIZE or not head.startswith(_LOCAL_SIGNATURE):
        raise ArchiveError(
            "The archive is damaged: a member is not where its list of members says."
        )
    # The lengths of name and extra field differ from those in the directory (4.3.7).
    name_size, extra_size = _LOCAL.unpack_from(head)[9:11]
    return int(LOCAL_SIZE + name_size + extra_size)


def check_end(end: int, size: int) -> None:
    """Check that a member which ends at `end` lies in an archive of `size` bytes.

    Raises:
        ArchiveError: it does not.
    """
    if end > size:
        raise ArchiveError("The archive is cut off or damaged: a member goes beyond its end.")


class _Compressed:
    """The bytes of a member as they are in the archive."""

    def __init__(self, file: RandomAccess, entry: Entry) -> None:
        self._file = file
        head = file.read_at(entry.offset, _FIRST_READ) if entry.offset < file.size else b""
        start = content_start(head)
        self._held = head[start : start + entry.compressed_size]
        self._next: int = entry.offset + max(start, min(len(head), start + entry.compressed_size))
        self._end: int = entry.offset + start + entry.compressed_size
        self.passed = 0
        check_end(self._end, file.size)

    @property
    def left(self) -> int:
        """Bytes that follow."""
        return len(self._held) + self._end - self._next

    def read(self, size: int, /) -> bytes:
        """Return between 1 and `size` bytes, none only at the end."""
        data, self._held = self._held[:size], self._held[size:]
        if not data:
            data = self._file.read_at(self._next, min(size, self._end - self._next))
            self._next += len(data)
        self.passed += len(data)
        return data


def _content(compressed: _Compressed, entry: Entry, chunk: int) -> ByteStream:
    if entry.method == STORED:
        return compressed
    # The stated size ends a member: LZMA may come without an end mark (5.8.9).
    decoder = _DECODERS[entry.method](compressed)
    return DecodedStream(compressed, decoder, ArchiveError, marked=False, chunk=chunk)


def _lzma_decoder(compressed: ByteStream) -> Decoder:
    """Return the decoder that the member's own LZMA properties ask for (APPNOTE.TXT 5.8.8)."""
    header = b""
    while len(header) < _LZMA_HEADER.size and (
        more := compressed.read(_LZMA_HEADER.size - len(header))
    ):
        header += more
    if len(header) < _LZMA_HEADER.size:
        raise ArchiveError("The archive is cut off inside the LZMA properties of a member.")
    _, size, packed, dictionary = _LZMA_HEADER.unpack(header)
    if size != _LZMA_PROPERTIES or dictionary > _MAX_DICTIONARY:
        raise ArchiveError(
            "The archive has a member whose LZMA properties are damaged, or ask for too much."
        )
    rest, lc = divmod(packed, 9)
    pb, lp = divmod(rest, 5)
    options = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": dictionary}
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])
    except (lzma.LZMAError, ValueError, OverflowError, MemoryError):
        raise ArchiveError("The archive has a member whose LZMA properties are damaged.") from None


_LZMA_HEADER: Final = Struct("<HHBL")
_LZMA_PROPERTIES: Final = 5
_MAX_DICTIONARY: Final = 64 * MIB  # what 7-Zip's "ultra" asks for; it is allocated at once
_DECODERS: Final[dict[int, Callable[[ByteStream], Decoder]]] = {
    DEFLATED: lambda _: Inflater(),
    BZIP2: lambda _: bz2.BZ2Decompressor(),
    LZMA: _lzma_decoder,
}
