"""What a run says of a file: a verdict, and the findings that led to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from imaging_gears.errors import ImagingError

State = Literal["PASS", "FAIL"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a data manager should know of a file.

    `value` may identify a patient: it goes into the QC record only, never into a log line.
    """

    severity: Severity
    code: str
    message: str
    location: str | None = None
    value: str | None = field(default=None, repr=False)
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class WarningKind:
    """A finding that does not fail the file: its code, what brings it about, what to do."""

    code: str
    message: str
    cause: str
    remedy: str
    location: str | None = None

    def finding(self) -> Finding:
        """Return the finding of this kind."""
        return Finding("warning", self.code, f"{self.message} {self.remedy}", self.location)


def error_finding(error: ImagingError) -> Finding:
    """Return what `error` says as a finding."""
    return Finding(
        "error", error.code, error.sentence(), error.location, error.value, error.expected
    )


def state_of(findings: tuple[Finding, ...]) -> State:
    """Return FAIL where a finding is an error, else PASS."""
    return "FAIL" if any(finding.severity == "error" for finding in findings) else "PASS"


PTID_MISMATCH = WarningKind(
    "ptid-mismatch",
    "The DICOM PatientID is not the participant id of the subject's label; the label was used.",
    "The subject label and PatientID (0010,0020), both cleaned, differ.",
    "Check that the image was uploaded to the right subject; ask the center's data manager whose it"
    " is.",
    "PatientID",
)
NO_PREAMBLE = WarningKind(
    "no-preamble",
    "The file has no DICOM preamble; it was read because its first elements are those of a DICOM.",
    "The 128 bytes and the prefix DICM of PS3.10 7.1 are missing.",
    "Ask the scanner or PACS staff to export standard DICOM files.",
)
NO_TRANSFER_SYNTAX = WarningKind(
    "no-transfer-syntax",
    "The file does not say how it is encoded; its first elements showed it.",
    "The file meta information (PS3.10 7.1) has no TransferSyntaxUID (0002,0010).",
    "Ask the scanner or PACS staff to export standard DICOM files.",
)
UNDECODABLE = WarningKind(
    "undecodable-characters",
    "A descriptive attribute holds bytes that are no text; U+FFFD stands for them.",
    "SpecificCharacterSet (0008,0005) does not fit the bytes of an attribute such as"
    " SeriesDescription.",
    "Nothing has to be done; the scanner or PACS staff can correct the character set.",
)
MIXED_IDENTITY = WarningKind(
    "mixed-identity",
    "The archive holds images of more than one patient or study; its first image was used.",
    "PatientID or StudyInstanceUID of the first and the last image of the archive differ.",
    "Check the archive, and upload each study by itself; ask the center's data manager which of"
    " them belongs here.",
)
MULTIPLE_VALUES = WarningKind(
    "multiple-values",
    "A descriptive attribute has several values where one is legal; the first was used.",
    "An attribute of value multiplicity 1 (PS3.6) holds a backslash.",
    "Nothing has to be done; the scanner or PACS staff can correct the attribute.",
)
QC_LOG_NOT_WRITTEN = WarningKind(
    "qc-log-not-written",
    "The QC status log of the visit could not be written.",
    "Flywheel did not take the log after all tries, or the key may not write it.",
    "The next run of this file repairs it; when it does not, ask the Flywheel site administrator.",
)
EVENT_NOT_CAPTURED = WarningKind(
    "event-not-captured",
    "The submission event could not be written to the event bucket.",
    "AWS S3 did not take the event after all tries, or the credentials may not write there.",
    "The next run of this file repairs it; when it does not, ask the owner of the AWS account.",
)
FILE_RECORD_NOT_WRITTEN = WarningKind(
    "file-record-not-written",
    "The record on the input file could not be written.",
    "Flywheel did not take the file's info or tags after all tries, or the key may not write them.",
    "The next run of this file repairs it; when it does not, ask the Flywheel site administrator.",
)
FROM_CONTENT = (NO_PREAMBLE, NO_TRANSFER_SYNTAX, UNDECODABLE, MIXED_IDENTITY, MULTIPLE_VALUES)
"""What is found in the file itself: it stays true of a file version that is not opened again."""
WARNINGS = (
    PTID_MISMATCH,
    *FROM_CONTENT,
    QC_LOG_NOT_WRITTEN,
    EVENT_NOT_CAPTURED,
    FILE_RECORD_NOT_WRITTEN,
)
