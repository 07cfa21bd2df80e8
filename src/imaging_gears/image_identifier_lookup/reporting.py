"""What a run leaves of its verdict: QC log, event, file record, in this order.

Each is tried whatever became of the others. What can't be written is named in every output that
still can be, and noted in file.info, from which the next run of the file repairs it first.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from imaging_gears.errors import ImagingError, NotFoundError, ServiceError
from imaging_gears.gear.joblog import log, step
from imaging_gears.gear.qc import utc_seconds
from imaging_gears.image_identifier_lookup import GEAR, processor, report
from imaging_gears.image_identifier_lookup.config import GearConfig
from imaging_gears.image_identifier_lookup.event_notes import noted, with_note
from imaging_gears.image_identifier_lookup.extraction import LookupContext
from imaging_gears.image_identifier_lookup.outputs import QcLog, announce
from imaging_gears.image_identifier_lookup.progress import World, notes_of
from imaging_gears.image_identifier_lookup.qc_log import Entry, naccid_before, noted_event
from imaging_gears.image_identifier_lookup.record import EVENT, FILE_RECORD, Recorder
from imaging_gears.image_identifier_lookup.report import Submission
from imaging_gears.image_identifier_lookup.unwritten import (
    Unwritten,
    UnwrittenEvent,
    parse_unwritten,
)
from imaging_gears.model.event import EventNote
from imaging_gears.model.findings import EVENT_NOT_CAPTURED, QC_LOG_NOT_WRITTEN
from imaging_gears.ports import FileState, ProjectState

FRESH_SECONDS = 5.0
"""How old the read of the file may be that the event's note is written from."""
QC_LOG = "QC log"
EARLIER_LOG, EARLIER_EVENT = "QC log of an earlier run", "event of an earlier run"


@dataclass(frozen=True, slots=True)
class Logged:
    """What was written to the QC log.

    Attributes:
        note: by which the event of `submission` is to be announced.
        info: the log's info then, empty where it could not be written.
    """

    entry: Entry
    submission: Submission | None
    note: EventNote | None
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Reporter(Recorder):
    """Reports one run everywhere. What could not be written is added to `at`."""

    config: GearConfig
    world: World
    logs: QcLog | None = field(init=False, default=None)
    _older: FileState | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        """Take over what earlier runs of this version of the file have left."""
        Recorder.__post_init__(self)
        if self.at.project is not None:
            self.logs = QcLog(self.site, self.at.project, self.world.pause)

    def report(self) -> None:
        """Write all outputs; what fails ends up in ``at.missing``, never in an exception."""
        self._write_all()
        # The record holds what is owed. None was tried where the file has a newer version.
        if self.owed and FILE_RECORD not in (*self.at.written, *self.at.missing):
            self.at.forgotten = True
            log.error(
                "not written, and the file's newer version has no place to note that: %s; "
                "run this job again, that is safe",
                ", ".join(self.at.missing) or EARLIER_EVENT,
            )

    def _write_all(self) -> None:
        self._repair()
        if self.at.context is None or self.at.project is None:
            self.record()
            return
        logged = self._write_log(self.at.context, self.at.project)
        if self._gives_way(logged, self.at.project):
            logged = self._write_log(self.at.context, self.at.project)
        note = logged.note
        if logged.submission is not None and note is not None:
            if self._is_announced(note):
                log.info("event: announced by an earlier run")
            else:
                note = self._announce(logged.submission, note)
        self.record(note)
        self._amend_log(logged.entry)

    def _repair(self) -> None:
        """Write what earlier runs of the file could not; what fails again stays owed."""
        if self.at.is_superseded_by(self.file):
            self.owed = parse_unwritten(self._notes().get("unwritten"))
        self.owed = Unwritten(
            entries=tuple(entry for entry in self.owed.entries if not self._repaired_log(entry)),
            events=tuple(event for event in self.owed.events if not self._repaired_event(event)),
        )

    def _repaired_log(self, entry: Entry) -> bool:
        return self.done(EARLIER_LOG, lambda: self._log_write(entry), QC_LOG_NOT_WRITTEN)

    def _repaired_event(self, owed: UnwrittenEvent) -> bool:
        """Return whether an owed event was written; that of this run's own outcome comes later."""
        announces = self.at.context is not None and not self.at.fails_job
        if announces and owed.note.status == self.at.state:
            return False
        if owed.refused and self.at.is_superseded_by(self.file):
            # The time of another try could be noted nowhere; this run's own event overtakes it.
            return announces
        if owed.refused:
            owed = UnwrittenEvent(submission=owed.submission, note=self._later(owed))
        return self.done(EARLIER_EVENT, lambda: self._event_write(owed), EVENT_NOT_CAPTURED)

    def _later(self, owed: UnwrittenEvent) -> EventNote:
        """Return the note of an event that was refused: it is first written now, if it is."""
        environment = owed.note.key.partition("/")[0]
        key = report.event_key(environment, owed.submission, self.moment)
        return replace(owed.note, key=key, timestamp=self.moment, attempt=owed.note.attempt + 1)

    def _write_log(self, context: LookupContext, project: ProjectState) -> Logged:
        """Write the verdict to the log; return what was written.

        The log's versions have an order that all jobs see alike, so the first note in it is the one
        that every copy of this job goes by.
        """
        submission = note = None
        if not self.at.fails_job:
            submission = self._submission(context, project)
            note = self._first_note(submission)
        entry = self._entry(context, note)
        infos: list[Mapping[str, Any]] = []
        if not self.done(QC_LOG, lambda: infos.append(self._log_write(entry)), QC_LOG_NOT_WRITTEN):
            self._owe(entries=(*self.owed.entries, entry))
            return Logged(entry, submission, note)
        self.at.written += [] if QC_LOG in self.at.written else [QC_LOG]
        return Logged(entry, submission, _note_in(infos[0], entry, note) or note, infos[0])

    def _log_write(self, entry: Entry) -> Mapping[str, Any]:
        if self.logs is None:
            message = "The project could not be read."
            raise NotFoundError(message)
        return self.logs.write(entry.log_name, entry).info

    def _gives_way(self, logged: Logged, project: ProjectState) -> bool:
        """Return whether another job of the visit, which came first, was given another NACCID.

        Both had read the subject before either wrote it, and Flywheel takes both writes. Which came
        first is said by the order of the log's versions, which both see alike: that one's NACCID is
        put back, and this job ends as a conflict (contract outputs.md, 3).
        """
        at, naccid = self.at, self.at.naccid
        if at.subject is None or at.looked_up_at is None or naccid is None:
            return False
        since = utc_seconds(at.looked_up_at)
        first = naccid_before(logged.info, logged.entry, since)
        if first is None:
            return False
        field_name, subject_id = self.config.naccid_field_name, at.subject.id
        write = partial(processor.put_back, self.site, subject_id, field_name, naccid, first)
        self.done("subject, as the other job left it", write)
        at.fail(processor.conflict(first, naccid, location="subject.info"))
        at.naccid = None
        log.error("%s: another job of %s was given another one", at.findings[-1].code, project.id)
        return True

    def _is_announced(self, note: EventNote) -> bool:
        """Return whether a finished run has written this event: its record names the event's key.

        A note alone says no more than that a run was about to write.
        """
        run = notes_of(self.file).get("run")
        announced = run.get("event") if isinstance(run, Mapping) else None
        return self.run > 1 and announced == report.note_block(note) and not self.owed.events

    def _announce(self, submission: Submission, note: EventNote) -> EventNote:
        """Announce this run's outcome; owed events of other outcomes are overtaken by it."""
        announced: list[EventNote] = []
        try:
            with step(EVENT):
                announced.append(
                    self._event_write(UnwrittenEvent(submission=submission, note=note))
                )
        except ImagingError as error:
            self.failed(EVENT, error, EVENT_NOT_CAPTURED)
            refused = not isinstance(error, ServiceError)
            owed = UnwrittenEvent(submission=submission, note=note, refused=refused)
            others = (each for each in self.owed.events if each.note.status != note.status)
            self._owe(events=(*others, owed))
            return note
        self.at.written.append(EVENT)
        # Readers take the later event for the file's state: an earlier outcome must not follow.
        self._owe(events=())
        return announced[0]

    def _event_write(self, owed: UnwrittenEvent) -> EventNote:
        return announce(
            self.world.events,
            owed.submission,
            owed.note,
            self.config.event_fields,
            self._note_down,
        )

    def _note_down(self, note: EventNote) -> None:
        """Note the event in file.info before it is written (contract outputs.md, 6).

        Where the file can't be written to, the note in the QC log does. Where there is neither, the
        event must wait: a second one could not be told from it.
        """
        try:
            only_here = QC_LOG in self.at.missing
            if only_here or time.monotonic() - self.at.read_at > FRESH_SECONDS:
                # A newer version, and its whole job, may have come since.
                self._read_again()
            self._expect_own_version()
            notes = notes_of(self.file)
            wanted = {**notes, **with_note(notes, note)}
            if notes != wanted:
                info = {GEAR: wanted}
                self.site.set_file_info(self.file, info)
                self.file = replace(self.file, info={**self.file.info, **info})
                if only_here:
                    # It must not have come to stand on a version that came in between.
                    self._read_again()
                    if self.at.is_superseded_by(self.file):
                        self._take_back(self.file)
                    self._expect_own_version()
        except ImagingError:
            if QC_LOG in self.at.missing:
                raise

    def _read_again(self) -> None:
        self.file, self.at.read_at = self.site.file(self.file.file_id), time.monotonic()

    def _expect_own_version(self) -> None:
        if self.at.is_superseded_by(self.file):
            raise ServiceError("Flywheel", "the event could not be noted on the file")

    def _amend_log(self, entry: Entry) -> None:
        """Say in the log, too, what could not be written after it."""
        if {EVENT, FILE_RECORD} & self.at.missing.keys() and QC_LOG in self.at.written:
            fuller = replace(entry, data=self.data())
            self.done("QC log, with what is missing", lambda: self._log_write(fuller))

    def _owe(self, **more: object) -> None:
        self.owed = self.owed.model_copy(update=more)

    def _submission(self, context: LookupContext, project: ProjectState) -> Submission:
        return Submission(
            project_label=project.label,
            group_id=project.group,
            visit=context.visit,
            naccid=self.at.naccid,
            metadata=dict(context.metadata),
            file_id=self.file.file_id,
            file_version=self.at.version,
            status=self.at.state,
        )

    def _first_note(self, submission: Submission) -> EventNote:
        """Return the note that an earlier run left for this outcome, else one of this moment."""
        key = report.event_key(self.config.event_environment, submission, self.moment)
        note = EventNote(key, self.moment, self.at.version, self.at.state)
        owed = [each for each in self.owed.events if each.note.status == self.at.state]
        if owed and owed[-1].refused:
            return replace(note, attempt=owed[-1].note.attempt + 1)
        return noted(self._notes(), note) or note

    def _notes(self) -> Mapping[str, Any]:
        """Return the gear's notes on the job's version, which may be the newest no more."""
        if not self.at.is_superseded_by(self.file):
            return notes_of(self.file)
        try:
            if self._older is None:
                self._older = self.site.file_version(self.file.file_id, self.at.version)
        except ImagingError as error:
            log.warning("the notes on the job's own version not read: %s", error.sentence())
            return {}
        return notes_of(self._older)

    def _info(
        self, fresh: FileState, note: EventNote | None, data: tuple[dict[str, Any], ...]
    ) -> dict[str, Any]:
        """Return the keys of the record, with the notes of what was announced before `note`."""
        info = Recorder._info(self, fresh, note, data)  # noqa: SLF001 - slots forbid super()
        if note is not None:
            info[GEAR] |= with_note(notes_of(fresh), note)
        return info

    def _entry(self, context: LookupContext, note: EventNote | None) -> Entry:
        return Entry(
            log_name=report.qc_log_name(context.visit),
            file_id=self.file.file_id,
            version=self.at.version,
            run=self.run,
            state=self.at.state,
            file_name=self.file.name,
            timestamp=utc_seconds(self.moment),
            data=self.data(),
            event=None if note is None else report.note_block(note),
            visit=report.visit_block(context.visit, self.at.naccid),
        )


def _note_in(info: Mapping[str, Any], entry: Entry, note: EventNote | None) -> EventNote | None:
    """Return the note by which the log has the event that `note` announces."""
    if entry.event is None or note is None:
        return None
    return report.parse_note(noted_event(info, entry.file_id, entry.event), note)
