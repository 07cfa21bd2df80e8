"""The record on the input file: info and tags, from a fresh read, for the job's version only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from imaging_gears.errors import (
    ImagingError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
)
from imaging_gears.gear import qc
from imaging_gears.gear.job import Job
from imaging_gears.gear.joblog import log, step
from imaging_gears.image_identifier_lookup import GEAR, report
from imaging_gears.image_identifier_lookup.config import GearConfig
from imaging_gears.image_identifier_lookup.progress import Progress, notes_of
from imaging_gears.image_identifier_lookup.unwritten import Unwritten, parse_unwritten
from imaging_gears.model.event import EventNote
from imaging_gears.model.findings import FILE_RECORD_NOT_WRITTEN, WarningKind
from imaging_gears.ports import ContainerRef, FileState, Site

EVENT, FILE_RECORD = "event", "file record"
IDENTIFICATION = "data_identification"


@dataclass(slots=True)
class Recorder:
    """Records one run on its input file.

    Attributes:
        at: what the run has found out; what could not be written is added to it.
        file: the input as the run first read it.
        run: which run of the gear on this version this is, counted from 1.
        owed: what this and earlier runs of this version could not write.
    """

    job: Job
    site: Site
    at: Progress
    file: FileState
    moment: dt.datetime
    run: int = field(init=False)
    owed: Unwritten = field(init=False)
    _path: str | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Take over what earlier runs of this version of the file have left."""
        notes = {} if self.at.is_superseded_by(self.file) else notes_of(self.file)
        self.owed = parse_unwritten(notes.get("unwritten"))
        self.run = run_number(self.file, self.at.version)

    def record(self, note: EventNote | None = None) -> None:
        """Write the file record; a failure ends up in ``at.missing``."""
        if self.at.is_superseded_by(self.file):
            log.info("nothing is written on the file: its newer version has a job of its own")
            return
        ours: list[bool] = []
        if self.done(FILE_RECORD, lambda: ours.append(self._write(note)), FILE_RECORD_NOT_WRITTEN):
            self.at.written += [FILE_RECORD] if ours[0] else []

    def done(
        self, name: str, write: Callable[[], object], warning: WarningKind | None = None
    ) -> bool:
        """Return whether `write` came to its end; its failure is logged, and told by `warning`."""
        try:
            with step(name):
                write()
        except ImagingError as error:
            self.failed(name, error, warning)
            return False
        return True

    def failed(self, name: str, error: ImagingError, warning: WarningKind | None) -> None:
        """Take down that an output could not be written, and why."""
        log.warning("%s not written: %s", name, error.sentence())
        if warning is not None:
            self.at.missing[name] = error.message
            self.at.findings += (warning.finding(),)

    def data(self) -> tuple[dict[str, Any], ...]:
        """Return the findings of the run as error objects."""
        if not self.at.findings:
            return ()
        context, known = self.at.context, self.at.known
        about = qc.Subject(
            file_id=self.file.file_id,
            flywheel_path=self._flywheel_path(),
            ptid=context.ptid if context else known.ptid if known else None,
            date=context.study_date if context else None,
            naccid=self.at.naccid,
        )
        return tuple(qc.error_object(finding, about, self.moment) for finding in self.at.findings)

    def _write(self, note: EventNote | None) -> bool:
        """Write from a read of this moment; return False where the file has a newer version now."""
        data = self.data()  # asks for labels, so it comes before that moment
        fresh = self.site.file(self.file.file_id)
        if self.at.is_superseded_by(fresh):
            log.info("nothing is written on the file: its newer version has a job of its own")
            self._take_back(fresh)
            return False
        self.site.set_file_info(fresh, self._info(fresh, note, data))
        if self._visit_is_gone(fresh):
            self.site.delete_file_info(fresh, (IDENTIFICATION,))
        # The tags come last: they mark the record as finished.
        qc.write_tags(self.site, GEAR, fresh, self.at.state)
        return True

    def _take_back(self, newer: FileState) -> None:
        """Remove the note of this version's event where it came to stand on a newer version.

        Flywheel writes info by name, on whatever version is the newest then.
        """
        notes, version = notes_of(newer), self.at.version
        kept = {key: value for key, value in notes.items() if not _is_of(value, version)}
        if kept and kept != notes:
            self.site.set_file_info(newer, {GEAR: kept})
        elif kept != notes:
            self.site.delete_file_info(newer, (GEAR,))

    def _visit_is_gone(self, fresh: FileState) -> bool:
        """Return whether the visit can't be known, though an earlier run named one."""
        known = self.at.context is not None or self.at.fails_job
        return not known and IDENTIFICATION in fresh.info

    def _info(
        self, fresh: FileState, note: EventNote | None, data: tuple[dict[str, Any], ...]
    ) -> dict[str, Any]:
        context, version = self.at.context, self.at.version
        notes = {key: value for key, value in notes_of(fresh).items() if key != "unwritten"}
        notes["run"] = {"version": version, "number": self.run}
        if note is not None:
            notes["event"] = report.note_block(note)
            if EVENT not in self.at.missing:
                notes["run"]["event"] = report.note_block(note)
        if self.owed:
            notes["unwritten"] = self.owed.block()
        return report.file_record(
            fresh.info.get("qc"),
            self.job.info(GearConfig),
            qc.validation_block(self.at.state, data),
            self.moment,
            identification=report.visit_block(context.visit, self.at.naccid) if context else None,
            metadata=report.metadata_block(
                context.metadata, fresh.file_id, version, self.at.findings
            )
            if context
            else None,
            notes=notes,
        )

    def _flywheel_path(self) -> str | None:
        """Return ``fw://group/project/.../file``; None where the labels can't be had.

        Only a run with findings asks for it: it takes a read for each container that the run itself
        had no need of.
        """
        if self._path is None and not self._is_unreadable():
            try:
                labels = [self._label(type_, id_) for type_, id_ in self._parents()]
                self._path = qc.flywheel_path(labels, self.file.name)
            except ImagingError as error:
                log.warning("the file's path could not be read: %s", error.message)
                self._path = ""  # asked once: a key that was refused is not tried again
        return self._path or None

    def _is_unreadable(self) -> bool:
        """Return whether the containers could not be read, which ended the run: not asked again."""
        error, read = self.at.error, self.at.subject is not None and self.at.project is not None
        if isinstance(error, PermissionDeniedError | NotFoundError):
            return not read
        return isinstance(error, ServiceError) and error.service == "Flywheel"

    def _parents(self) -> list[tuple[str, str]]:
        order = ("group", "project", "subject", "session", "acquisition")
        return [(each, self.file.parents[each]) for each in order if self.file.parents.get(each)]

    def _label(self, type_: str, id_: str) -> str:
        if type_ == "group":
            return id_  # a group's path is its id
        if type_ == "project" and self.at.project is not None:
            return self.at.project.label
        if type_ == "subject" and self.at.subject is not None:
            return self.at.subject.label
        return self.site.label(ContainerRef(type_, id_))


def run_number(file: FileState, version: int) -> int:
    """Return which run of the gear on that version of the file this is, counted from 1.

    A run is finished when its record's tag is the file's only one of the gear. A run that was
    killed before is done again under its number, and so leaves one line in the QC log.
    """
    run = notes_of(file).get("run")
    if version != file.version or not isinstance(run, dict) or run.get("version") != version:
        return 1
    state = qc.recorded_state(file.info.get("qc"), GEAR)
    unfinished = state is None or qc.tag_changes(GEAR, file.tags, state) != (None, ())
    return int(run.get("number", 1)) + (0 if unfinished else 1)


def _is_of(note: object, version: int) -> bool:
    """Return whether one of the gear's notes speaks of that version of the file."""
    return isinstance(note, dict) and version in (note.get("version"), note.get("file_version"))
