"""Which DICOM of the upload counts: the first image in the order of the archive's directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from imaging_gears.dicom.header import Header, read_header
from imaging_gears.dicom.members import Member, Skipped, Upload
from imaging_gears.errors import ImagingError, InputFileError, NotDicomError
from imaging_gears.image_identifier_lookup.dicom_utils import KEPT, DicomMetadata, dicom_metadata
from imaging_gears.model.findings import FROM_CONTENT, MIXED_IDENTITY, Finding

LOOKED_AT_FROM_THE_END = 20
"""Members looked at for the archive's last image, which tells whether it mixes identities."""
SKIPPED_NAMED = 1000
"""Members passed over that are named; the rest is only counted."""
_IDENTITY = ("patient_id", "study_instance_uid")


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
    """Return the twelve values of the first readable DICOM in the upload at `path`.

    Args:
        path: a file.
        looked: is filled on the way, for who wants to know although an error is raised.

    Raises:
        NotDicomError: there is none.
        ArchiveError: the archive, or the only DICOM in it, can't be read.
        HeaderError: the only DICOM can't be read whole.
        InvalidAttributeError: a needed attribute has several values, or control characters.
    """
    looked = Looked() if looked is None else looked
    with Upload(path) as upload:
        try:
            return _first(upload, looked)
        finally:
            looked.bytes_read = upload.bytes_read


def _first(upload: Upload, looked: Looked) -> Resolved:
    first_error, skipped = None, looked.skipped
    for each in upload.members():
        outcome = _read(each)
        if isinstance(outcome, Header):
            return _resolved(upload, each, outcome, looked)
        if each.name is None:
            message = "The upload is neither a DICOM file nor a zip archive."
            raise NotDicomError(message) if isinstance(outcome, NotDicomError) else outcome
        if not isinstance(outcome, NotDicomError):
            first_error = first_error or outcome
        looked.passed_over += 1
        if len(skipped) < SKIPPED_NAMED:
            skipped.append(_as_skipped(each, outcome))
    if first_error is not None:
        raise first_error
    message = f"The archive has no DICOM image among its {looked.passed_over} members."
    raise NotDicomError(message)


def _resolved(
    upload: Upload,
    each: Member | Skipped,
    header: Header,
    looked: Looked,
) -> Resolved:
    metadata, found = dicom_metadata(header)
    found += tuple(kind.finding() for kind in FROM_CONTENT if kind.code in header.warnings)
    if each.name is not None and _is_mixed(upload, metadata):
        found += (MIXED_IDENTITY.finding(),)
    return Resolved(
        metadata=metadata,
        findings=found,
        member=each.name,
        skipped=tuple(looked.skipped),
        passed_over=looked.passed_over,
        transfer_syntax_uid=header.transfer_syntax_uid,
        bytes_read=upload.bytes_read,
    )


def _read(each: Member | Skipped) -> Header | InputFileError:
    """Return the header of a member, or why it does not count."""
    if isinstance(each, Skipped):
        return each.error or NotDicomError(each.reason)
    try:
        with each.open() as stream:
            return read_header(stream, KEPT.values())
    except InputFileError as error:
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
    for each in islice(upload.members(reverse=True), LOOKED_AT_FROM_THE_END):
        outcome = _read(each)
        if isinstance(outcome, Header):
            yield outcome


def _as_skipped(each: Member | Skipped, error: InputFileError) -> Skipped:
    return each if isinstance(each, Skipped) else Skipped(str(each.name), error.message)
