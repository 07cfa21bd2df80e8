"""`Upload`: a file that somebody uploaded, and what is in it, without writing anything to disk.

A zip is read by `zip_directory` and `zip_member`, not by `zipfile`: that one holds all entries in
memory, lets bzip2 and LZMA decompress without limit, and raises eight kinds of exception.
"""

from __future__ import annotations

import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from imaging_gears.dicom.bounds import MIB, header_budget, upload_budget
from imaging_gears.dicom.header import read_meta
from imaging_gears.dicom.random_file import RandomFile, Section
from imaging_gears.dicom.recognition import PREFIX_SIZE, Kind, kind_of
from imaging_gears.dicom.streams import BoundedStream
from imaging_gears.dicom.zip_directory import (
    Directory,
    Entry,
    entries,
    locate,
    reversed_entries,
)
from imaging_gears.dicom.zip_member import METHODS, READABLE, MemberStream
from imaging_gears.errors import ArchiveError, HeaderError, NotDicomError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

DIRECTORY: Final = "directory"
"""The reason to pass over a folder."""
EMPTY: Final = "empty"
"""The reason to pass over a file that has no content."""

_ENCRYPTED: Final = 0x0001 | 0x0040 | 0x2000  # APPNOTE.TXT 4.4.4: plain, strong, masked directory
CHECKED_SIZE: Final = 8 * MIB
"""Bytes of a member, as stated and as they are in the archive, up to which its CRC is checked."""
_PACKED_NOTHING: Final = 32
"""Compressed bytes of no content at most: deflate makes 2 to 5 of it, bzip2 14, LZMA 9 to 20."""
ARCHIVES: Final = frozenset(set(Kind) - {Kind.DICOM, Kind.HEADLESS, Kind.OTHER})
"""What holds other files."""


@dataclass(frozen=True, slots=True)
class Member:
    """Something that begins as a DICOM does: a member of the archive, or the upload itself.

    Args:
        name: as the archive has it, None for the upload itself. It may identify a patient.
        index: its place in the archive's directory, from 0.
        opener: see `open`.
        checker: see `check`; there is nothing to check of the upload itself.
    """

    name: str | None
    index: int
    opener: Callable[[], AbstractContextManager[BoundedStream]]
    checker: Callable[[], None] = lambda: None

    def open(self) -> AbstractContextManager[BoundedStream]:
        """Return a context manager that gives the content as a stream, from its start.

        Raises:
            ArchiveError: the archive is damaged there; also while reading.
        """
        return self.opener()

    def check(self) -> None:
        """Compare the member's checksum, for which it is read whole; not that of one over 8 MiB.

        A single image is rarely larger; what is, is a multi-frame.

        Raises:
            ArchiveError: it is not as stated: the header that was read may be wrong, too.
        """
        self.checker()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A member that is passed over.

    Args:
        name: as the archive has it. It may identify a patient.
        reason: a short phrase.
        error: what to raise when nothing else in the archive counts; None where the member is
            rightly passed over.
    """

    name: str
    reason: str
    error: ArchiveError | None = None


class Upload:
    """What was uploaded, as a context manager around its path.

    Args:
        path: a regular file.

    Raises:
        OSError: there is no such file, or it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._budget = upload_budget()
        self._file: RandomFile | None = None

    def __enter__(self) -> Self:
        """Open the file."""
        self._file = RandomFile(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._opened.close()

    @property
    def bytes_read(self) -> int:
        """Bytes that were really asked of the operating system so far."""
        return self._opened.bytes_read

    @property
    def _opened(self) -> RandomFile:
        if self._file is None:
            raise RuntimeError("an Upload is used as a context manager")
        return self._file

    def members(self, *, reverse: bool = False) -> Iterator[Member | Skipped]:
        """Yield what is in the upload in the order of its directory, or from its end.

        What is no archive is its own only member, DICOM or not.

        Raises:
            ArchiveError: it is an archive of another kind than zip; one that is cut off or damaged
                as a whole; or reading its members would cost more than the bounds allow.
        """
        kind = kind_of(self._opened.read_at(0, PREFIX_SIZE))
        if kind not in ARCHIVES:
            yield Member(None, 0, self._open_itself)
            return
        if kind is not Kind.ZIP:
            raise ArchiveError(f"The upload is a {kind} archive. Only zip is read.")
        for index, entry in self._entries(locate(self._opened), reverse=reverse):
            yield self._judge(index, entry)

    def _entries(self, directory: Directory, *, reverse: bool) -> Iterator[tuple[int, Entry]]:
        if reverse:
            return reversed_entries(self._opened, directory)
        return enumerate(entries(self._opened, directory))

    def _judge(self, index: int, entry: Entry) -> Member | Skipped:
        skipped = passed_over(entry) or unreadable(entry)
        if skipped is not None:
            return skipped
        try:
            reason = _reason(self._member_stream(entry)[1])
        except ArchiveError as error:
            # Not this member is at fault, but all of them together.
            if self._budget.exhausted:
                raise
            return Skipped(entry.name, "damaged", error)
        if reason is not None:
            return Skipped(entry.name, reason)
        return Member(
            entry.name, index, lambda: self._open_member(entry), lambda: self._check_member(entry)
        )

    @contextmanager
    def _open_itself(self) -> Iterator[BoundedStream]:
        yield BoundedStream(
            Section(self._opened, 0, self._opened.size),
            header_budget(self._budget),
            self._opened.size,
        )

    @contextmanager
    def _open_member(self, entry: Entry) -> Iterator[BoundedStream]:
        yield self._member_stream(entry)[1]

    def _check_member(self, entry: Entry) -> None:
        self._member_stream(entry)[0].finish(CHECKED_SIZE)

    def _member_stream(self, entry: Entry) -> tuple[MemberStream, BoundedStream]:
        content = MemberStream(self._opened, entry, self._budget)
        return content, BoundedStream(content, header_budget(self._budget), entry.size)


def passed_over_by_name(name: str) -> str | None:
    """Return why a member does not count whatever it contains, from its name alone."""
    parts = name.replace("\\", "/").split("/")
    if not parts[-1]:
        return DIRECTORY
    if "__MACOSX" in parts or parts[-1].startswith("._"):
        return "macOS metadata"
    return None


def passed_over(entry: Entry) -> Skipped | None:
    """Return why a member does not count whatever it contains, from its entry alone."""
    reason = passed_over_by_name(entry.name)
    if reason is not None:
        return Skipped(entry.name, reason)
    if stat.S_ISLNK(entry.mode):
        return Skipped(entry.name, "link")
    # A size of 0 with content behind it is a lie, which reading the member shows.
    is_empty = not entry.size and entry.compressed_size <= _PACKED_NOTHING
    return Skipped(entry.name, EMPTY) if is_empty else None


def unreadable(entry: Entry) -> Skipped | None:
    """Return why a member can't be read, from its entry alone."""
    if entry.flags & _ENCRYPTED:
        message = "The archive is encrypted."
        return Skipped(entry.name, "encrypted", ArchiveError(message))
    if entry.method not in READABLE:
        method = METHODS.get(entry.method, f"method {entry.method}")
        message = f"The archive is packed with {method}, which is not supported."
        return Skipped(entry.name, f"packed with {method}", ArchiveError(message))
    return None


def _reason(stream: BoundedStream) -> str | None:
    """Return why a member does not count, from its first bytes; None where it may be an image."""
    kind = kind_of(stream.peek(PREFIX_SIZE), stream.budget)
    if kind is Kind.OTHER:
        return "not DICOM"
    if kind in ARCHIVES:
        return "archive inside the archive"
    try:
        read_meta(stream, kind)
    except NotDicomError:
        return "DICOMDIR"
    except HeaderError:
        return None  # It counts as an image, and `read_header` will say what is wrong with it.
    return None
