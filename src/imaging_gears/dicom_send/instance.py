"""`examine`: the instances in an upload, each walked to its end, ready to be sent with the mark."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from imaging_gears.dicom.bounds import upload_budget
from imaging_gears.dicom.members import EMPTY
from imaging_gears.dicom.recognition import PREFIX_SIZE, Kind, kind_of
from imaging_gears.dicom.whole import PassedMember, WholeMember, WholeUpload
from imaging_gears.dicom_send.nested import may_hold_images
from imaging_gears.dicom_send.passing import NESTED, folder_of, holds_others, lost_image
from imaging_gears.dicom_send.recode import recoded
from imaging_gears.dicom_send.splicing import Spliced, held_back
from imaging_gears.dicom_send.tagging import Group, Mark, check_mark, plan
from imaging_gears.dicom_send.walking import Walk
from imaging_gears.errors import ArchiveError, HeaderError, InputFileError, NotDicomError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imaging_gears.dicom.bounds import Budget
    from imaging_gears.dicom_send.tagging import Plan

__all__ = ["Contents", "Instance", "Mark", "Refused", "as_uncompressed", "check_mark", "examine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One DICOM of an upload, walked to its end. It holds no pixel data.

    Args:
        number: its place among the members of the upload, from 0.
        name: as the archive has it, None for the upload itself. It may identify a patient.
        sop_class_uid: of the data set.
        sop_instance_uid: of the data set.
        transfer_syntax_uid: how `chunks` is encoded.
        marked: the mark was there already; nothing is inserted.
        length: bytes of the data set as it will be sent.
        mark_tags: of the mark's private creator and value.
        pieces: see `chunks`.
    """

    number: int
    name: str | None = field(repr=False)
    sop_class_uid: str = field(repr=False)
    sop_instance_uid: str = field(repr=False)
    transfer_syntax_uid: str = field(repr=False)
    marked: bool
    length: int
    mark_tags: tuple[int, int] = field(repr=False)
    pieces: Callable[[], Iterator[bytes | memoryview]] = field(repr=False, compare=False)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the data set with the mark in pieces, each time from its start.

        A piece has at most 256 KiB, or is a view of at most 1 MiB of what is in memory anyway.
        A member of a zip that is not compressed is checked before its first piece; of others the
        last piece comes after the source has been read to its end and found to be right. Several
        threads may read several instances, or the same one, at once.

        Raises:
            ImagingError: the upload was damaged, or became another one, since it was examined.
        """
        return self.pieces()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A member that looks like DICOM, or may be one, and is not to be sent.

    Args:
        number: its place among the members of the upload, from 0.
        name: as the archive has it; None for the upload itself, and for what is missing behind the
            place where an archive is cut off. It may identify a patient.
        reason: one sentence, without any value of the file.
        is_dicom: it begins as a DICOM does.
        sop_instance_uid: where it was read before something was found to be wrong.
        error: of the archive that it is in, where it can't be read because of that.
    """

    number: int
    name: str | None = field(repr=False)
    reason: str
    is_dicom: bool
    sop_instance_uid: str | None = field(repr=False)
    error: ArchiveError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in an upload. It holds the file open, as a context manager or until `close`.

    Args:
        instances: what can be sent, in the order of the upload.
        refused: what can't.
        ignored: how many members are no DICOM; folders are not counted.
        empty: how many more are empty, and not named as images are.
        upload: the open file.
    """

    instances: tuple[Instance, ...]
    refused: tuple[Refused, ...]
    ignored: int
    empty: int
    upload: WholeUpload = field(repr=False, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; `chunks` of its instances raises from now on."""
        self.upload.close()


def examine(
    path: Path,
    mark: Mark,
    progress: Callable[[], None] = lambda: None,
    *,
    thorough: bool = False,
) -> Contents:
    """Walk through everything in the upload at `path`.

    Args:
        path: a DICOM, or a zip, tar or tar.gz with DICOM in it at any depth of folders. Archives
            inside of it that may hold images are refused, links are not followed.
        mark: the private tag that instances get.
        progress: is called behind each member.
        thorough: compare all checksums here. Else those of zip members that are not compressed are
            compared when they are sent, so that nothing is read twice.

    Raises:
        OSError: there is no such file, or it can't be read.
        ArchiveError: it is an archive that can't be read at all, or of another kind.
        ConfigError: `mark` can't be written.
    """
    check_mark(mark)
    upload = WholeUpload(path, thorough=thorough)
    try:
        return _examined(upload, mark, progress)
    except BaseException:
        upload.close()
        raise


def _examined(upload: WholeUpload, mark: Mark, progress: Callable[[], None]) -> Contents:
    instances: list[Instance] = []
    refused: list[Refused] = []
    others: list[_Other] = []
    folders = set()
    nested = upload_budget()
    for member in upload.members():
        found = (
            _looked_at(upload, member, mark, nested)
            if isinstance(member, WholeMember)
            else _passed(member)
        )
        if isinstance(found, _Other):
            others.append(found)
        elif isinstance(found, Instance):
            instances.append(found)
        else:
            refused.append(found)
        if isinstance(found, Instance) or (isinstance(found, Refused) and found.is_dicom):
            folders.add(folder_of(member.name))
        progress()
    ignored = empty = 0
    for member, prefix in others:
        reason = None if prefix is None else lost_image(prefix, member.name, folders)
        if reason is not None:
            refused.append(_refused(member, InputFileError(reason)))
        elif prefix == b"":
            empty += 1
        else:
            ignored += 1
    return Contents(
        instances=tuple(instances),
        refused=tuple(sorted(refused, key=lambda one: one.number)),
        ignored=ignored,
        empty=empty,
        upload=upload,
    )


class _Other(NamedTuple):
    """A member that is no DICOM, with its start; None where it is known to be something else."""

    member: WholeMember | PassedMember
    prefix: bytes | None


def _passed(member: PassedMember) -> Refused | _Other:
    if member.lost:
        return _refused(member, ArchiveError(member.reason))
    return _Other(member, b"" if member.reason == EMPTY else None)


def _looked_at(
    upload: WholeUpload, member: WholeMember, mark: Mark, nested: Budget
) -> Instance | Refused | _Other:
    """Return what a member is; looking into archives inside of the upload is paid from `nested`.

    Raises:
        ArchiveError: all members together exceed the bounds.
    """
    walk: Walk | None = None
    try:
        source = member.bounded()
        prefix = source.peek(PREFIX_SIZE)
        if kind_of(prefix) not in (Kind.DICOM, Kind.HEADLESS):
            if holds_others(prefix, member.name) and may_hold_images(source, member.name, nested):
                return _refused(member, InputFileError(NESTED))
            return _Other(member, prefix)
        walk = Walk(source, mark.group)
        walk.run()
        tag = plan(mark, Group(walk.elements, walk.place, walk.encoding))
        return _instance(member, walk, tag)
    except NotDicomError:
        return _Other(member, None)  # a DICOMDIR: every export to a disc has one
    except InputFileError as error:
        # Not this member is at fault, but all of them together.
        if upload.exhausted:
            raise
        return _refused(member, error, walk)


def _refused(
    member: WholeMember | PassedMember, error: InputFileError, walk: Walk | None = None
) -> Refused:
    return Refused(
        number=member.number,
        name=member.name,
        reason=error.message,
        is_dicom=walk is not None,
        sop_instance_uid=walk.sop_instance_uid if walk else None,
        error=error if isinstance(error, ArchiveError) else None,
    )


def _instance(member: WholeMember, walk: Walk, tag: Plan) -> Instance:
    source = Spliced(member.open, walk.start, walk.packed_length, walk.deflated, tag.edits)
    length = walk.length + tag.growth
    if walk.deflated:
        # How long a deflated data set becomes is known when it has been deflated.
        length = sum(map(len, source.pieces()))
    return Instance(
        number=member.number,
        name=member.name,
        sop_class_uid=walk.sop_class_uid or "",
        sop_instance_uid=walk.sop_instance_uid or "",
        transfer_syntax_uid=walk.transfer_syntax_uid,
        marked=not tag.edits,
        length=_even(length),
        mark_tags=(tag.creator, tag.value),
        pieces=source.pieces,
    )


def _even(length: int) -> int:
    """Return the length of a data set, which is even as those of all its elements (PS3.5 7.1.1).

    Raises:
        HeaderError: it is not. Its last fragment could not be sent (PS3.8 E.2): DCMTK's servers
            abort the association, which looks like a lost connection.
    """
    if length % 2:
        raise HeaderError("The data set has an odd length: a value in it is not padded.")
    return length


def as_uncompressed(instance: Instance, transfer_syntax_uid: str) -> Instance:
    """Return `instance` in another transfer syntax without compression.

    Every value stays what it is; sequences and items get undefined lengths, group lengths are left
    out (retired, PS3.5 7.2). It is read through once here, because its length must be known.

    Args:
        instance: in implicit little, explicit little or explicit big endian, or deflated.
        transfer_syntax_uid: one of the first three.

    Raises:
        HeaderError: one of the two is another transfer syntax, something nested in the data set
            contradicts its lengths, or its length would be odd.
        ImagingError: as `Instance.chunks` does.
    """
    if transfer_syntax_uid == instance.transfer_syntax_uid:
        return instance

    def pieces() -> Iterator[bytes | memoryview]:
        return held_back(recoded(instance, transfer_syntax_uid))

    return Instance(
        number=instance.number,
        name=instance.name,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        marked=instance.marked,
        length=_even(sum(map(len, pieces()))),
        mark_tags=instance.mark_tags,
        pieces=pieces,
    )
