"""ImageIdentifierLookup: the order of the steps of a run, over ports."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field

from imaging_gears.errors import ConfigError, ImagingError, InputFileError
from imaging_gears.gear.job import Job
from imaging_gears.gear.joblog import log, step
from imaging_gears.image_identifier_lookup import extraction, processor, report
from imaging_gears.image_identifier_lookup.config import INPUT, GearConfig
from imaging_gears.image_identifier_lookup.extraction import Known, LookupContext
from imaging_gears.image_identifier_lookup.progress import Outcome, Progress, World
from imaging_gears.image_identifier_lookup.record import Recorder
from imaging_gears.image_identifier_lookup.reporting import Reporter
from imaging_gears.ports import FileState, Site

SUBJECT = "subject"


@dataclass(slots=True)
class ImageIdentifierLookup:
    """One run of the gear on one file."""

    config: GearConfig
    job: Job
    world: World
    at: Progress = field(init=False, default_factory=Progress)

    def run(self) -> Outcome:
        """Find out whose the file is, write it on the subject, and say so everywhere else.

        Raises:
            ImagingError: the input can't be read from Flywheel, so nothing could be reported on it.
        """
        file, self.at.version = _read(self.job, self.world.site)
        try:
            self._judge(file)
        except ImagingError as error:
            self.at.fail(error)
            log.error("%s: %s", error.code, error.sentence())
        return self._reported(file)

    def _judge(self, file: FileState) -> None:
        at, site = self.at, self.world.site
        with step("subject and project"):
            at.subject = site.subject(_parent(file, "subject"))
            at.project = site.project(_parent(file, "project"))
        at.known = extraction.from_flywheel(
            file,
            at.subject,
            extraction.adcid_of(at.project),
            field_name=self.config.naccid_field_name,
            version=at.version,
        )
        at.context = self._earlier_context(at.known) or self._context(at.known)
        at.findings += processor.warnings_of(at.context)
        naccid = self._identify(at.context)
        self._update_subject(at.subject.id, naccid, at.context, file)
        at.naccid = naccid

    def _earlier_context(self, known: Known) -> LookupContext | None:
        """Return the context from what an earlier run read of this file, None if that won't do."""
        if known.metadata is None:
            return None
        try:
            context = extraction.complete(known, known.metadata)
        except InputFileError:
            return None
        self.at.findings += known.warnings
        log.info("header: read by an earlier run, the file stays closed")
        return context

    def _context(self, known: Known) -> LookupContext:
        with step("header") as remarks:
            resolved = self.world.resolve(self.job.files[INPUT].path)
            remarks.append(resolved.remark())
        self.at.findings += resolved.findings
        return extraction.complete(known, resolved.metadata)

    def _identify(self, context: LookupContext) -> str:
        with step("NACCID") as remarks:
            naccid = processor.identify(context, self.world.identifiers, self.config.database_mode)
            remarks.append("known to the subject" if context.stored_naccid else "looked up")
        return naccid

    def _update_subject(
        self, subject_id: str, naccid: str, context: LookupContext, file: FileState
    ) -> None:
        stored = processor.parse_stored(context.stored_naccid, self.config.database_mode)
        if stored is None:
            self.at.looked_up_at = self.world.now()
        begin = time.monotonic()
        with step(f"subject {subject_id}") as remarks:
            written = processor.update_subject(
                self.world.site,
                subject_id,
                naccid,
                report.metadata_block(
                    context.metadata, file.file_id, self.at.version, self.at.findings
                ),
                field_name=self.config.naccid_field_name,
                mode=self.config.database_mode,
            )
            remarks.append("info written" if written else "info is up to date")
        self.at.write_seconds = time.monotonic() - begin
        self.at.written.append(SUBJECT)

    def _reported(self, file: FileState) -> Outcome:
        Reporter(
            job=self.job,
            site=self.world.site,
            at=self.at,
            file=file,
            moment=self.world.now(),
            config=self.config,
            world=self.world,
        ).report()
        return self.at.outcome(strict=self.config.strict_outputs)


def record_failure(job: Job, site: Site, error: ImagingError, moment: dt.datetime) -> Outcome:
    """Leave a FAIL record on the input for an error that came before anything was found out."""
    at = Progress()
    at.fail(error)
    try:
        file, at.version = _read(job, site)
    except ImagingError as failure:
        log.warning("the file record can't be written: %s", failure.message)
    else:
        Recorder(job=job, site=site, at=at, file=file, moment=moment).record()
    return at.outcome(strict=False)


def _read(job: Job, site: Site) -> tuple[FileState, int]:
    """Return the input as Flywheel has it now, and the version that the job was given."""
    given = job.files[INPUT]
    if given.file_id is None:
        message = "config.json has no file_id of the input."
        raise ConfigError(message, location="inputs.input_file.object.file_id")
    with step(f"file {given.file_id}") as remarks:
        file = site.file(given.file_id)
        version = given.version or file.version
        remarks.append(f"version {version}")
        if version != file.version:
            remarks.append(f"there is a newer version {file.version}, with a job of its own")
    return file, version


def _parent(file: FileState, container: str) -> str:
    id_ = file.parents.get(container)
    if not id_:
        message = f"The input file does not lie below a {container}."
        raise ConfigError(message, location="inputs.input_file")
    return id_
