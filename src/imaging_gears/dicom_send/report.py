"""What a run reports: a row per file, a row per image that was not simply sent. Pure.

No row says anything in a log but ids, numbers and counts: labels and names of files and members may
name patients, and go into the CSV files only.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from imaging_gears.errors import ImagingError
from imaging_gears.ports import Place, Sent, StoredFile

Status = Literal["Complete", "Incomplete", "Failed"]
ImageOutcome = Literal[
    "failed", "refused", "not found", "duplicate", "marked", "warning", "converted", "not checked"
]

COLUMNS = ("Acquisition ID", "FW Path", "Filename", "Images in Series", "Images Sent", "Status")
INSTANCE_COLUMNS = (
    "Acquisition ID",
    "FW Path",
    "Filename",
    "Image",
    "Member",
    "SOP Instance UID",
    "Outcome",
    "Reason",
)
LOGGED = ("file", "Acquisition ID", "Images in Series", "Images Sent", "Status")

LABEL_LENGTH = 90
"""Bytes of a label in a file name.

File systems take 255 in all: two labels, what stands around them, `.part` while it is written."""
# Flywheel takes no slash, storage and file systems stumble over the rest, and marks of direction
# let a name be read as another one. The colons of the time stay until a site refuses them.
_DIRECTION = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_REFUSED = re.compile(rf'[\x00-\x1f\x7f-\x9f\u2028\u2029{_DIRECTION}/\\*?"<>|%#]')
# What begins a formula, also in full width, at the start of a cell; or behind what may be taken for
# the end of one: some countries' spreadsheets part cells at a semicolon, and then see no quotes.
_FORMULA = re.compile(
    r"\A(?=[\t\r\n])|(?:\A|[;\t\r\n])(?=[^\S\t\r\n]*[-=+@\uff0d\uff1d\uff0b\uff20])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNote:
    """One image that was not sent, or not simply sent; `number` is its index in the file."""

    outcome: ImageOutcome
    reason: str = field(repr=False)
    number: int | None = None
    member: str | None = field(default=None, repr=False)
    sop_instance_uid: str | None = field(default=None, repr=False)


@dataclass(slots=True, kw_only=True)
class FileReport:
    """What became of a file.

    Attributes:
        name: of the file.
        stored: where it lies in Flywheel; None in a run without a site.
        in_series: images that were to be sent, the damaged ones included; an image that is left
            out on purpose (a duplicate, one that was sent before) is none of them.
        sent: images that the server has taken, each counted once.
        left_out: images that were left out on purpose.
        sent_bytes: of the data sets of those that were sent.
        errors: what kept the run from all or some of its images: a download that failed, an archive
            that can't be read, a file without DICOM.
    """

    name: str = field(repr=False)
    stored: StoredFile | None = field(default=None, repr=False)
    in_series: int = 0
    sent: int = 0
    left_out: int = 0
    sent_bytes: int = 0
    errors: list[ImagingError] = field(default_factory=list)
    notes: list[ImageNote] = field(default_factory=list, repr=False)

    @property
    def status(self) -> Status:
        """The seed's status; a file in which there is nothing to send has failed, too."""
        if self.sent == self.in_series and (self.sent or self.left_out):
            return "Complete"
        return "Incomplete" if self.sent else "Failed"

    @property
    def lacks_images(self) -> bool:
        """Whether images were not sent, or not tried, beyond what its cause says."""
        return self.sent < self.in_series or (not self.errors and self.status != "Complete")

    @property
    def acquisition_id(self) -> str:
        """The id of the acquisition that it lies in; empty where it lies in none."""
        return (self.stored.place.id("acquisition") if self.stored else None) or ""

    @property
    def path(self) -> str:
        """Its Flywheel path; empty where there is no site."""
        return self.stored.path if self.stored else ""

    def leave_out(self, note: ImageNote) -> None:
        """Take down an image that is not to be sent."""
        self.left_out += 1
        self.notes.append(note)

    def refuse(self, note: ImageNote) -> None:
        """Take down an image that was to be sent and can't be."""
        self.in_series += 1
        self.notes.append(note)

    def take_down(self, sent: Sent, member: str | None, sop_instance_uid: str) -> None:
        """Take down what became of an image that was tried."""
        self.in_series += 1
        self.sent += sent.outcome != "failed"
        outcome: ImageOutcome | None = None if sent.outcome == "sent" else sent.outcome
        if outcome is not None or sent.transfer_syntax_uid is not None:
            how = f"sent in transfer syntax {sent.transfer_syntax_uid}"
            converted = how if sent.transfer_syntax_uid is not None else ""
            self.notes.append(
                ImageNote(
                    outcome=outcome or "converted",
                    reason="; ".join(each for each in (sent.reason, converted) if each),
                    number=sent.number,
                    member=member,
                    sop_instance_uid=sop_instance_uid,
                )
            )


def causes(reports: Iterable[FileReport]) -> tuple[ImagingError, ...]:
    """Return what kept the run from files, the first error of each code."""
    first: dict[str, ImagingError] = {}
    for error in chain.from_iterable(each.errors for each in reports):
        first.setdefault(error.code, error)
    return tuple(first.values())


def files_csv(reports: Iterable[FileReport]) -> bytes:
    """Return the report: a row per file, the columns of `COLUMNS`."""
    return _csv(COLUMNS, (_row(each) for each in reports))


def instances_csv(reports: Iterable[FileReport]) -> bytes:
    """Return a row per image that was not simply sent, the columns of `INSTANCE_COLUMNS`."""
    return _csv(
        INSTANCE_COLUMNS,
        (
            (
                each.acquisition_id,
                each.path,
                each.name,
                "" if note.number is None else note.number + 1,
                note.member or "",
                note.sop_instance_uid or "",
                note.outcome,
                note.reason,
            )
            for each in reports
            for note in sorted(each.notes, key=_by_image)
        ),
    )


def _by_image(note: ImageNote) -> tuple[bool, int]:
    """Return what sorts notes by their images, and those of the whole file behind them."""
    return (True, 0) if note.number is None else (False, note.number)


def _row(report: FileReport) -> tuple[str | int, ...]:
    counts = (report.in_series, report.sent, report.status)
    return (report.acquisition_id, report.path, report.name, *counts)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> bytes:
    text = "".join(map(_line, chain([columns], rows)))
    # A name that is no text (a member's, in an old code page) must not cost the report.
    return text.encode("utf-8", "backslashreplace")


def _line(row: Sequence[str | int]) -> str:
    """Return a row as a line of CSV (RFC 4180), with a newline at its end.

    A writer quotes a cell for a character of its line terminator, and before Python 3.13 for no
    other break: so a lone carriage return in a name is quoted only if that has one.
    """
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow([cell(value) for value in row])
    return line.getvalue().removesuffix("\r\n") + "\n"


def cell(value: str | int) -> str | int:
    """Return a cell that no spreadsheet runs as a formula, nor a part of (OWASP, CSV injection)."""
    return _FORMULA.sub(r"\g<0>'", value) if isinstance(value, str) else value


def report_names(place: Place | None, moment: dt.datetime, *, dry: bool = False) -> tuple[str, str]:
    """Return the names of the two CSV files.

    Args:
        place: of the session, or of the one acquisition that was chosen; or of a subject.
        moment: of the report; its name has it in UTC.
        dry: whether nothing was sent; the names say so.
    """
    types = ("session", "acquisition")
    labels = [place.label(each) for each in types] if place else []
    parts = [label for label in labels if label] or [place.containers[-1][1] if place else "local"]
    stamp = moment.astimezone(dt.UTC).strftime("%Y-%m-%d_%H:%M:%S")
    kind = ["dry-run"] if dry else []
    stem = "_".join(["dicom-send_report-" + "_".join(map(_in_name, parts)), *kind, stamp])
    return f"{stem}.csv", f"{stem}_instances.csv"


def _in_name(label: str) -> str:
    """Return a label as it may stand in a file name: bytes count there, and all are UTF-8."""
    text = label.encode("utf-8", "replace").decode()  # a lone surrogate is no character
    return _REFUSED.sub("-", text).encode()[:LABEL_LENGTH].decode(errors="ignore")


def log_table(reports: Sequence[FileReport]) -> list[str]:
    """Return the report for the log: files by their number in it, no label and no name."""
    rows = [
        LOGGED,
        *(
            (
                str(number),
                each.acquisition_id or "-",
                str(each.in_series),
                str(each.sent),
                each.status,
            )
            for number, each in enumerate(reports, 1)
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
