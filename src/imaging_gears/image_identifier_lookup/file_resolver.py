"""Which DICOM of the upload counts: the first image in the order of the archive's directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from imaging_gears.dicom.header import Header, read_header
from imaging_gears.dicom.members import Member, Skipped, Upload
from imaging_gears.dicom.sop_class import may_have_pixels
from imaging_gears.dicom.streams import ByteStream
from imaging_gears.errors import (
    ImagingError,
    InputFileError,
    InvalidAttributeError,
    NotDicomError,
)
from imaging_gears.image_identifier_lookup.dicom_utils import KEPT, DicomMetadata, dicom_metadata
from imaging_gears.model.findings import FROM_CONTENT, MIXED_IDENTITY, Finding

LOOKED_AT_FROM_THE_END = 20
"""DICOMs looked at for the last one that can be read, which tells whether identities are mixed.

What is seen to be none by its first bytes is not counted: the budget of the upload bounds that."""
SKIPPED_NAMED = 1000
"""Members passed over that are named; the rest is only counted."""
NO_PIXELS = "no image: its SOP class has no pixels"
"""The reason to pass over a report, a presentation state or the like where an image follows."""
_IDENTITY = ("patient_id", "study_instance_uid")
_DECIDING = frozenset(kept.keyword for kept in KEPT.values() if not kept.descriptive)


@dataclass(frozen=True, slots=True)
class _Found:
    """A DICOM that counts unless a better one follows."""

    name: str | None
    header: Header
    metadata: DicomMetadata
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The DICOM that counts, and how it was found.

    Attributes:
        member: its name in the archive; None where the upload itself is the DICOM.
        skipped: what was passed over before it, and why; at most `SKIPPED_NAMED` of `passed_over`.
        bytes_read: of the upload, from disk.
    """

    metadata: DicomMetadata = field(repr=False)
    findings: tuple[Finding, ...]
    member: str | None = field(repr=False)
    skipped: tuple[Skipped, ...] = field(repr=False)
    passed_over: int
    transfer_syntax_uid: str | None
    bytes_read: int

    def remark(self) -> str:
        """Return a line for the log: names of members may name patients, so it has none."""
        where = "the upload itself" if self.member is None else "a member of the archive"
        return f"{where}, {self.passed_over} passed over, {self.bytes_read} bytes read"


@dataclass(slots=True)
class Looked:
    """What was seen on the way, also where nothing was found in the end."""

    skipped: list[Skipped] = field(default_factory=list, repr=False)
    passed_over: int = 0
    bytes_read: int = 0


def resolve(path: Path, looked: Looked | None = None) -> Resolved:
    """Return the twelve values of the first readable image in the upload at `path`.

    A DICOM of a class without pixels counts where no image follows that can be read.

    Args:
        path: a file.
        looked: is filled on the way, for who wants to know although an error is raised.

    Raises:
        NotDicomError: there is none.
        ArchiveError: the archive, or the only DICOM in it, can't be read.
        HeaderError: the only DICOM can't be read whole.
        InvalidAttributeError: a needed attribute has several values, or control characters, in the
            first DICOM that is not damaged: an image behind it may be another patient's.
    """
    looked = Looked() if looked is None else looked
    with Upload(path) as upload:
        try:
            return _resolved(upload, _first(upload, looked), looked)
        finally:
            looked.bytes_read = upload.bytes_read


def _first(upload: Upload, looked: Looked) -> _Found:
    first_error: InputFileError | None = None
    without_pixels: _Found | None = None
    its_member: Member | None = None
    before = 0, 0
    for each in upload.members():
        outcome = _read(each, checked=True)
        if isinstance(outcome, Header):
            found = _Found(each.name, outcome, *dicom_metadata(outcome))
            if each.name is None or may_have_pixels(outcome.sop_class_uid):
                return found
            if without_pixels is None and isinstance(each, Member):
                without_pixels, its_member = found, each
                before = len(looked.skipped), looked.passed_over
            outcome = NotDicomError(NO_PIXELS)
        elif each.name is None:
            message = "The upload is neither a DICOM file nor a zip archive."
            raise NotDicomError(message) if isinstance(outcome, NotDicomError) else outcome
        elif _is_refused(outcome):
            raise outcome
        elif not isinstance(outcome, NotDicomError):
            first_error = first_error or outcome
        _pass_over(each, outcome, looked)
    if without_pixels is not None and its_member is not None:
        its_member.check()
        del looked.skipped[before[0] :]
        looked.passed_over = before[1]
        return without_pixels
    message = f"The archive has no DICOM image among its {looked.passed_over} members."
    raise first_error or NotDicomError(message)


def _is_refused(outcome: InputFileError) -> bool:
    """Return whether what a DICOM says of whose it is, or of when, can't be used."""
    return isinstance(outcome, InvalidAttributeError) and outcome.location in _DECIDING


def _pass_over(each: Member | Skipped, error: InputFileError, looked: Looked) -> None:
    looked.passed_over += 1
    if len(looked.skipped) < SKIPPED_NAMED:
        looked.skipped.append(
            each if isinstance(each, Skipped) else Skipped(str(each.name), error.message)
        )


def _resolved(upload: Upload, found: _Found, looked: Looked) -> Resolved:
    header, findings = found.header, found.findings
    findings += tuple(kind.finding() for kind in FROM_CONTENT if kind.code in header.warnings)
    if found.name is not None and _is_mixed(upload, found.metadata):
        findings += (MIXED_IDENTITY.finding(),)
    return Resolved(
        metadata=found.metadata,
        findings=findings,
        member=found.name,
        skipped=tuple(looked.skipped),
        passed_over=looked.passed_over,
        transfer_syntax_uid=header.transfer_syntax_uid,
        bytes_read=upload.bytes_read,
    )


def _read(each: Member | Skipped, *, checked: bool) -> Header | InputFileError:
    """Return the header of a member, or why it does not count.

    Args:
        each: the member.
        checked: whether the checksum is compared of what would count, or ends the search.
    """
    if isinstance(each, Skipped):
        return each.error or NotDicomError(each.reason)
    try:
        with each.open() as stream:
            outcome = _header(stream)
        if checked and (
            isinstance(outcome, ImagingError) or may_have_pixels(outcome.sop_class_uid)
        ):
            each.check()
    except InputFileError as error:
        return error
    return outcome


def _header(stream: ByteStream) -> Header | InvalidAttributeError:
    """Return a refused value instead of raising it, so that the checksum is compared before."""
    try:
        return read_header(stream, KEPT.values())
    except InvalidAttributeError as error:
        return error


def _is_mixed(upload: Upload, first: DicomMetadata) -> bool:
    """Return whether the archive's last image is of another patient or study than its first."""
    try:
        for header in _last_headers(upload):
            last = {key: header.values[KEPT[key].keyword] for key in _IDENTITY}
            return any(last[key] != ((first[key],) if first[key] else ()) for key in _IDENTITY)
    except ImagingError:
        return False  # the end of the archive can't be read; its first image can, and counts
    return False


def _last_headers(upload: Upload) -> Iterator[Header]:
    dicoms = (each for each in upload.members(reverse=True) if isinstance(each, Member))
    for each in islice(dicoms, LOOKED_AT_FROM_THE_END):
        outcome = _read(each, checked=False)
        if isinstance(outcome, Header):
            yield outcome
