"""`WholeUpload`: every member of an upload, to be read to its end, more than once if need be.

`members.Upload` is for a look at one header, within bounds that fit that. This one is for who wants
all of it: zip, tar and tar.gz, nothing written to disk, no link followed, no archive opened that is
inside of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from imaging_gears.dicom.bounds import whole_budget
from imaging_gears.dicom.gunzip import Gunzipped
from imaging_gears.dicom.members import (
    ARCHIVES,
    DIRECTORY,
    EMPTY,
    passed_over,
    passed_over_by_name,
    unreadable,
)
from imaging_gears.dicom.random_file import RandomFile, Section, SectionStream
from imaging_gears.dicom.recognition import PREFIX_SIZE, Kind, kind_of
from imaging_gears.dicom.stored import Buffers, StoredMember
from imaging_gears.dicom.streams import BoundedStream
from imaging_gears.dicom.tar import BLOCK, TarEntry, is_tar_header, tar_entries
from imaging_gears.dicom.zip_directory import entries, locate
from imaging_gears.dicom.zip_member import STORED, MemberStream
from imaging_gears.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imaging_gears.dicom.random_file import Passable
    from imaging_gears.dicom.streams import Source
    from imaging_gears.dicom.tar import ReadAt
    from imaging_gears.dicom.zip_directory import Entry

_INPUT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class WholeMember:
    """A file in the upload, or the upload itself.

    Args:
        number: its place among all members, from 0.
        name: as the archive has it, None for the upload itself. It may identify a patient.
        open: gives the content from its start, unbounded. Where the archive has a checksum of it,
            that is compared before the end is given: here, at the end, or, if the file has not
            changed since, when `bounded` was read to its end. Raises ArchiveError.
        bounded: gives the content within the bounds of the upload, for looking into it.
    """

    number: int
    name: str | None
    open: Callable[[], Source]
    bounded: Callable[[], BoundedStream]


@dataclass(frozen=True, slots=True)
class PassedMember:
    """A member that is not looked into.

    Args:
        number: its place among all members, from 0.
        name: as the archive has it; None for what is missing behind the place of a damage.
        reason: one phrase.
        lost: it can't be read, so that nobody knows whether it counts. Else it does not count.
    """

    number: int
    name: str | None
    reason: str
    lost: bool


class WholeUpload:
    """What was uploaded.

    Args:
        path: a regular file. It is opened here, and closed by `close`.
        thorough: compare every checksum in `WholeMember.bounded`, also where that has to read what
            `WholeMember.open` reads again.

    Raises:
        OSError: there is no such file, or it can't be read.
    """

    def __init__(self, path: Path, *, thorough: bool = False) -> None:
        self._file = RandomFile(path)
        self._thorough = thorough
        self._budget = whole_budget()
        self._buffers = Buffers()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was opened of it can't be read any more."""
        self._file.close()

    @property
    def exhausted(self) -> bool:
        """True once the members together have cost more than the bounds allow."""
        return self._budget.exhausted

    def members(self) -> Iterator[WholeMember | PassedMember]:
        """Yield what is in the upload, in its order; folders are left out.

        Where the archive is damaged or cut off behind some members, what follows is one
        `PassedMember` that is lost.

        Raises:
            ArchiveError: it is an archive of another kind, or nothing in it can be trusted.
        """
        kind = kind_of(self._file.read_at(0, PREFIX_SIZE))
        if kind is Kind.ZIP:
            return self._up_to_a_damage(self._zip_members())
        if kind is Kind.GZIP:
            return self._gzip_members()
        if kind is Kind.TAR:
            return self._up_to_a_damage(self._tar_members(self._file, self._section))
        if kind in ARCHIVES:
            raise ArchiveError(
                f"The upload is a {kind} archive. Only zip, tar and tar.gz are read."
            )
        return iter([self._member(0, None, self._section, 0, self._file.size)])

    def _section(self, start: int, size: int) -> Section:
        return Section(self._file, start, size)

    def _member(
        self,
        number: int,
        name: str | None,
        section: Callable[[int, int], Passable],
        start: int,
        size: int,
    ) -> WholeMember:
        return WholeMember(
            number,
            name,
            lambda: section(start, size),
            lambda: SectionStream(section(start, size), self._budget, size),
        )

    def _up_to_a_damage(
        self, members: Iterator[WholeMember | PassedMember]
    ) -> Iterator[WholeMember | PassedMember]:
        last = -1
        try:
            for member in members:
                last = member.number
                yield member
        except ArchiveError as error:
            if last < 0:
                raise
            yield PassedMember(last + 1, None, error.message, lost=True)

    def _zip_members(self) -> Iterator[WholeMember | PassedMember]:
        for number, entry in enumerate(entries(self._file, locate(self._file))):
            skipped = passed_over(entry)
            if skipped is None and (skipped := unreadable(entry)) is None:
                yield self._zip_member(number, entry)
            elif skipped.error is not None:
                yield PassedMember(number, entry.name, skipped.error.message, lost=True)
            elif skipped.reason != DIRECTORY:
                yield PassedMember(number, entry.name, skipped.reason, lost=False)

    def _zip_member(self, number: int, entry: Entry) -> WholeMember:
        if entry.method == STORED:
            stored = StoredMember(self._file, entry, self._buffers, at_once=self._thorough)
            return WholeMember(
                number, entry.name, stored.open, lambda: stored.bounded(self._budget)
            )

        def bounded() -> BoundedStream:
            content = MemberStream(self._file, entry, self._budget, chunk=_INPUT)
            return BoundedStream(content, self._budget, entry.size)

        return WholeMember(
            number,
            entry.name,
            lambda: MemberStream(self._file, entry, whole_budget(), chunk=_INPUT),
            bounded,
        )

    def _gzip_members(self) -> Iterator[WholeMember | PassedMember]:
        content = Gunzipped(self._file)
        if not is_tar_header(content.read_at(0, BLOCK)):
            raise ArchiveError("The upload is a gzip file that holds no tar.")
        yield from self._up_to_a_damage(self._tar_members(content, content.open))
        try:
            content.finish()
        except ArchiveError:
            # A gzip has one checksum for all of it: when that is wrong, any member may be. That it
            # is cut off was told: members are looked for up to the end of the content.
            if content.damaged:
                raise

    def _tar_members(
        self, file: ReadAt, section: Callable[[int, int], Passable]
    ) -> Iterator[WholeMember | PassedMember]:
        for number, entry in enumerate(tar_entries(file)):
            if entry.folder:
                continue
            reason, missing = _not_counted(entry), _not_readable(entry)
            if reason is not None:
                yield PassedMember(number, entry.name, reason, lost=False)
            elif missing is not None:
                yield PassedMember(number, entry.name, missing, lost=True)
            else:
                yield self._member(number, entry.name, section, entry.offset, entry.size)


def _not_counted(entry: TarEntry) -> str | None:
    if not entry.regular:
        return "link or device"
    if (reason := passed_over_by_name(entry.name)) is not None:
        return reason
    return None if entry.size or _not_readable(entry) else EMPTY


def _not_readable(entry: TarEntry) -> str | None:
    if entry.sparse:
        return "It is stored in the archive as a sparse file, which is not supported."
    if entry.continued:
        return "The archive has only the end of it: its start is in another volume."
    return None
