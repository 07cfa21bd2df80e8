"""How a run ends: why it failed, the report and the record that it leaves, its last lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging_gears.dicom_send.attaching import Report, leave_report
from imaging_gears.dicom_send.outputs import Record
from imaging_gears.dicom_send.report import (
    FileReport,
    causes,
    files_csv,
    instances_csv,
    log_table,
    report_names,
)
from imaging_gears.dicom_send.source import Source
from imaging_gears.errors import DeliveryError, ImagingError
from imaging_gears.gear import qc
from imaging_gears.gear.joblog import log
from imaging_gears.gear.start import CANCELLED, JobCancelledError
from imaging_gears.model.findings import error_finding

_ENDS = {0: "complete", CANCELLED: "CANCELLED"}


def why_failed(
    reports: Sequence[FileReport], trouble: ImagingError | None, *, dry: bool
) -> tuple[ImagingError, ...]:
    """Return why the job fails, the causes first; nothing where all that was to be sent was.

    Args:
        reports: of all files.
        trouble: of the DICOM server.
        dry: whether nothing was to be sent.
    """
    bad = sum(each.status != "Complete" for each in reports)
    if not bad:
        return ()
    found = causes(reports)
    if trouble is not None:
        found = (trouble, *(each for each in found if each.code != trouble.code))
    if not any(each.lacks_images for each in reports):
        return found
    wanted, sent = _counts(reports)
    were = "would not be" if dry else "were not"
    message = (
        f"{wanted - sent} of {wanted} images {were} sent; {bad} of {len(reports)} files are not"
        " complete."
    )
    return (*found, DeliveryError(message))


@dataclass(slots=True, kw_only=True)
class Ending:
    """What a run leaves.

    Attributes:
        output: the folder whose files the platform takes.
        dry: whether nothing was to be sent.
        moment: when the run ended.
        cancelled: the job has seconds left, which are too few to wait for a site.
    """

    source: Source
    output: Path
    reports: Sequence[FileReport]
    errors: Sequence[ImagingError]
    dry: bool
    moment: dt.datetime
    cancelled: bool

    def leave(self) -> int:
        """Leave report and record; return the exit code."""
        code = 1 if self.errors else 0
        try:
            try:
                self._leave()
            except JobCancelledError:
                self.cancelled = True
                log.error("the job was cancelled (SIGTERM) while it left its report")
                self._leave()
        except OSError as failure:
            log.error("the report could not be written to output/: %s", failure.strerror)
            code = 1
        return CANCELLED if self.cancelled else code

    def tell(self, code: int, remark: str) -> None:
        """Log the table, and in one line how the run ended.

        Args:
            code: the exit code.
            remark: stands at the end of the line.
        """
        for line in log_table(self.reports) if self.reports else ():
            log.info("%s", line)
        wanted, sent = _counts(self.reports)
        codes = ", ".join(each.code for each in self.errors)
        log.info(
            "%s: %d of %d images of %d files %s; %s",
            _ENDS.get(code) or (f"FAILED ({codes})" if codes else "FAILED"),
            sent,
            wanted,
            len(self.reports),
            "would be sent (dry run, nothing was)" if self.dry else "sent",
            remark,
        )

    def _leave(self) -> None:
        """Leave report and record; of a dry run or a cancelled job the report stays in output/."""
        lost: OSError | None = None
        if self.reports:
            try:
                self._leave_report()
            except OSError as failure:
                lost = failure  # The record is on the site, so it can be written all the same.
        self._leave_record()
        if lost is not None:
            raise lost

    def _leave_report(self) -> None:
        place = self.source.place
        report = Report(
            contents=(files_csv(self.reports), instances_csv(self.reports)),
            named=lambda time: report_names(place, time, dry=self.dry),
            moment=self.moment,
        )
        leave_report(
            None if self.dry or self.cancelled else self.source.site,
            self.source.container,
            self.output,
            report,
            destination=self.source.job.destination,
        )

    def _leave_record(self) -> None:
        if self.source.given is None or self.dry:
            return
        why = "The job was cancelled." if self.cancelled else self._unreached()
        files = self.source.files
        record = Record(
            job=self.source.job,
            findings=tuple(map(error_finding, self.errors)),
            path=qc.flywheel_path(files[0].labels, files[0].name) if files else None,
            moment=self.moment,
        )
        if why is not None:
            record.left_out(why)
        elif self.source.site is not None:
            record.write(self.source.site, self.output, succeeds=not self.errors)

    def _unreached(self) -> str | None:
        """Find the input if the run has failed before it did; return why it can't be found."""
        if self.source.site is not None:
            return None
        try:
            self.source.find()
        except ImagingError as error:
            return error.message
        return None


def _counts(reports: Sequence[FileReport]) -> tuple[int, int]:
    """Return how many images were to be sent, and how many were."""
    return sum(each.in_series for each in reports), sum(each.sent for each in reports)
