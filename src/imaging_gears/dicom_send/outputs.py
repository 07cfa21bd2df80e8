"""What a run leaves on its input file: its verdict, as QC result and tag."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imaging_gears.dicom_send import GEAR
from imaging_gears.dicom_send.attaching import written
from imaging_gears.dicom_send.config import FILE, SendConfig
from imaging_gears.errors import ImagingError, PermissionDeniedError
from imaging_gears.gear import qc
from imaging_gears.gear.job import Job
from imaging_gears.gear.joblog import log, step
from imaging_gears.model.findings import Finding, state_of
from imaging_gears.ports import FileRecords, FileState

METADATA = ".metadata.json"
_NOT_WRITTEN = (
    "the QC result could not be written on the input file, so the file keeps the verdict and the"
    " tag of an earlier run, if it has them: %s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The QC result of a run on its input file.

    Attributes:
        path: the file's Flywheel path, as `qc.flywheel_path` gives it.
        moment: when the run ended.
    """

    job: Job
    findings: tuple[Finding, ...]
    path: str | None = field(default=None, repr=False)
    moment: dt.datetime

    def left_out(self, why: str) -> None:
        """Say that the file has no record of the job, and why: a cancelled one has no time for it.

        A job without a site has no file that could have one.
        """
        if (self.job.files[FILE].file_id or self.job.destination) is not None:
            log.warning(_NOT_WRITTEN, why)

    def write(self, site: FileRecords, output: Path, *, succeeds: bool) -> None:
        """Write it from a fresh read, for the version that was sent. A failure is only logged.

        Args:
            site: where the file is.
            output: the folder whose files the platform takes.
            succeeds: whether the job will.
        """
        given = self.job.files[FILE]
        if given.file_id is None:
            return
        try:
            fresh = site.file(given.file_id)
            if given.version not in (None, fresh.version):
                log.info("nothing is written on the file: it has a newer version")
                return
            self._on_site(site, fresh)
        except PermissionDeniedError as error:
            self._by_platform(site, given.file_id, output, error, succeeds=succeeds)
        except ImagingError as error:
            log.warning(_NOT_WRITTEN, error.message)

    def _on_site(self, site: FileRecords, fresh: FileState) -> None:
        with step("file record"):
            site.set_file_info(fresh, {"qc": self._qc(fresh)})
            # The tags come last: they mark the record as finished.
            qc.write_tags(site, GEAR, fresh, state_of(self.findings))

    def _by_platform(
        self, site: FileRecords, file_id: str, output: Path, error: ImagingError, *, succeeds: bool
    ) -> None:
        """Let the platform write it where the job's key may not, if it will (flywheel.md, 4.2).

        It does so for files of the destination, after a job that succeeded. Every entry that is
        given replaces the stored one, so info and tags are given whole.
        """
        try:
            fresh = site.file(file_id)
        except ImagingError:
            log.warning(_NOT_WRITTEN, error.message)
            return
        if not succeeds or fresh.parent != self.job.destination:
            log.warning(_NOT_WRITTEN, error.message)
            return
        wanted, stale = qc.tag_changes(GEAR, fresh.tags, state_of(self.findings))
        tags = [each for each in fresh.tags if each not in stale] + ([wanted] if wanted else [])
        entry = {"name": fresh.name, "info": {**fresh.info, "qc": self._qc(fresh)}, "tags": tags}
        text = json.dumps({fresh.parent.type: {"files": [entry]}})
        if written(output, {METADATA: text.encode()}) is not None:
            log.warning(_NOT_WRITTEN, error.message)
            return
        log.info("file record: left to the platform, the job's key may not write")

    def _qc(self, fresh: FileState) -> dict[str, Any]:
        about = qc.Subject(file_id=fresh.file_id, flywheel_path=self.path)
        data = [qc.error_object(each, about, self.moment) for each in self.findings]
        validation = qc.validation_block(state_of(self.findings), data)
        return qc.qc_block(fresh.info.get("qc"), GEAR, self.job.info(SendConfig), validation)
