"""An archive inside the archive: whether anything in it may be an image. Nothing is unpacked."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imaging_gears.dicom.bounds import MIB
from imaging_gears.dicom.members import EMPTY, passed_over, passed_over_by_name, unreadable
from imaging_gears.dicom.recognition import PREFIX_SIZE, Kind, kind_of
from imaging_gears.dicom.streams import BoundedStream
from imaging_gears.dicom.tar import tar_entries
from imaging_gears.dicom.zip_directory import entries, locate
from imaging_gears.dicom.zip_member import MemberStream
from imaging_gears.dicom_send.passing import folder_of, holds_others, lost_image
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imaging_gears.dicom.bounds import Budget
    from imaging_gears.dicom.tar import TarEntry

LARGEST: Final = 8 * MIB
"""Bytes of an archive that is looked into, and of what a gzip inflates to: it is held in memory."""

_ENTRY: Final = 1000  # units for an entry, as `zip_member` takes for opening one
_GZIP: Final = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class _Held:
    """A file in memory, as `RandomAccess`."""

    content: bytes

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return len(self.content)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end."""
        return self.content[offset : offset + size]


def may_hold_images(source: BoundedStream, name: str | None, budget: Budget) -> bool:
    """Return whether an archive may hold an image, from the starts of all that is in it.

    What can't be looked at may: what is damaged, encrypted or larger than `LARGEST`, archives of
    other kinds than zip, tar and gzip, archives that are in it in their turn. What is named as
    images are and is none counts as in the archive around it; the folders hold images, as it were.

    Args:
        source: at the start of the archive; it is read on.
        name: of the archive, which has the name of what is in a gzip.
        budget: of all archives inside of one upload.

    Raises:
        InputFileError: `source` can't be read.
    """
    if kind_of(source.peek(PREFIX_SIZE)) not in _STARTS:
        return True
    content = source.read(LARGEST + 1)
    if len(content) > LARGEST:
        return True
    try:
        budget.spend(len(content))
        starts = _STARTS[kind_of(content[:PREFIX_SIZE])](content, name or "", budget)
        return any(_may_be_one(*start) for start in starts)
    except (ArchiveError, zlib.error):
        return True


def _may_be_one(prefix: bytes, name: str) -> bool:
    if kind_of(prefix) in (Kind.DICOM, Kind.HEADLESS) or holds_others(prefix, name):
        return True
    return lost_image(prefix, name, {folder_of(name)}) is not None


def _of_zip(content: bytes, _: str, budget: Budget) -> Iterator[tuple[bytes, str]]:
    file = _Held(content)
    for entry in entries(file, locate(file)):
        budget.spend(_ENTRY)
        if (skipped := unreadable(entry)) is not None and skipped.error is not None:
            raise skipped.error
        passed = passed_over(entry)
        if passed is None:
            stream = BoundedStream(MemberStream(file, entry, budget), budget, entry.size)
            yield stream.peek(PREFIX_SIZE), entry.name
        elif passed.reason == EMPTY:
            yield b"", entry.name


def _of_tar(content: bytes, _: str, budget: Budget) -> Iterator[tuple[bytes, str]]:
    for entry in tar_entries(_Held(content)):
        budget.spend(_ENTRY)
        if entry.sparse or entry.continued:
            raise ArchiveError("The archive has a part of a file.")
        if _counts(entry):
            end = entry.offset + min(entry.size, PREFIX_SIZE)
            yield content[entry.offset : end], entry.name


def _counts(entry: TarEntry) -> bool:
    return entry.regular and not entry.folder and passed_over_by_name(entry.name) is None


def _of_gzip(content: bytes, name: str, budget: Budget) -> Iterator[tuple[bytes, str]]:
    decoder = zlib.decompressobj(_GZIP)
    inflated = decoder.decompress(content, LARGEST)
    budget.spend(len(inflated))
    if not decoder.eof or decoder.unused_data:
        raise ArchiveError("The gzip is cut off, too large, or of several parts.")
    if kind_of(inflated[:PREFIX_SIZE]) is Kind.TAR:
        yield from _of_tar(inflated, name, budget)
    else:
        yield inflated[:PREFIX_SIZE], name.removesuffix(".gz")


_STARTS: Final = {Kind.ZIP: _of_zip, Kind.TAR: _of_tar, Kind.GZIP: _of_gzip}
