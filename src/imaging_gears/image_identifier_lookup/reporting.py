"""What a run leaves of its verdict: QC log, event, file record, in this order.

Each is tried whatever became of the others. What can't be written is named in every output that
still can be, and noted in file.info, from which the next run of the file repairs it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from imaging_gears.errors import NotFoundError
from imaging_gears.gear.joblog import log
from imaging_gears.gear.qc import utc_seconds
from imaging_gears.image_identifier_lookup import processor, report
from imaging_gears.image_identifier_lookup.agreement import naccid_before
from imaging_gears.image_identifier_lookup.announcing import QC_LOG, Announcer
from imaging_gears.image_identifier_lookup.extraction import LookupContext
from imaging_gears.image_identifier_lookup.log_names import qc_log_name
from imaging_gears.image_identifier_lookup.outputs import QcLog
from imaging_gears.image_identifier_lookup.qc_log import Entry, noted_event
from imaging_gears.image_identifier_lookup.record import EVENT, FILE_RECORD, Recorder
from imaging_gears.image_identifier_lookup.report import Submission
from imaging_gears.image_identifier_lookup.unwritten import (
    Unwritten,
    UnwrittenEvent,
    parse_unwritten,
)
from imaging_gears.model.event import EventNote
from imaging_gears.model.findings import EVENT_NOT_CAPTURED, QC_LOG_NOT_WRITTEN
from imaging_gears.ports import ProjectState

UNSEEN_SECONDS = 0.1
"""How long the read and the write of a subject may take together before a job looks at what jobs of
other visits say: what was written between the two, its own write has gone over."""
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
class Reporter(Announcer):
    """Reports one run everywhere. What could not be written is added to `at`."""

    logs: QcLog | None = field(init=False, default=None)

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
            note = self.announce(logged.submission, note)
        self.record(note)
        self._amend_log(logged.entry)

    def _repair(self) -> None:
        """Write what earlier runs of the file could not; what fails again stays owed."""
        if self.at.is_superseded_by(self.file):
            self.owed = parse_unwritten(self.notes().get("unwritten"))
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
            owed = UnwrittenEvent(submission=owed.submission, note=self.later(owed))
        return self.done(EARLIER_EVENT, lambda: self.write_event(owed), EVENT_NOT_CAPTURED)

    def _write_log(self, context: LookupContext, project: ProjectState) -> Logged:
        """Write the verdict to the log; return what was written.

        The log's versions have an order that all jobs see alike, so the first note in it is the one
        that every copy of this job goes by.
        """
        submission = note = None
        if not self.at.fails_job:
            submission = self.submission(context, project)
            note = self.first_note(submission)
        entry = self._entry(context, note)
        infos: list[Mapping[str, Any]] = []
        if not self.done(QC_LOG, lambda: infos.append(self._log_write(entry)), QC_LOG_NOT_WRITTEN):
            self.owe(entries=(*self.owed.entries, entry))
            return Logged(entry, submission, note)
        self.at.written += [] if QC_LOG in self.at.written else [QC_LOG]
        return Logged(entry, submission, _note_in(infos[0], entry, note) or note, infos[0])

    def _log_write(self, entry: Entry) -> Mapping[str, Any]:
        if self.logs is None:
            message = "The project could not be read."
            raise NotFoundError(message)
        return self.logs.write(entry.log_name, entry).info

    def _gives_way(self, logged: Logged, project: ProjectState) -> bool:
        """Return whether another job of the participant was given another NACCID.

        Both had read the subject before either wrote it, and Flywheel takes both writes: the other
        one's NACCID is put back, and this job ends as a conflict (contract outputs.md, 3).
        """
        at, naccid = self.at, self.at.naccid
        if at.subject is None or at.looked_up_at is None or naccid is None:
            return False
        # In the log of the visit, which came first is said by the order of its versions: both see
        # it alike. Jobs of two visits have none; each gives way to another that it sees.
        first = naccid_before(logged.info, logged.entry, utc_seconds(at.looked_up_at))
        if first is None and at.write_seconds >= UNSEEN_SECONDS:
            first = self._naccid_elsewhere(logged, naccid)
        if first is None:
            return False
        field_name, subject_id = self.config.naccid_field_name, at.subject.id
        write = partial(processor.put_back, self.site, subject_id, field_name, naccid, first)
        self.done("subject, as the other job left it", write)
        at.fail(processor.conflict(first, naccid, location="subject.info"))
        at.naccid = None
        log.error("%s: another job of %s was given another one", at.findings[-1].code, project.id)
        return True

    def _naccid_elsewhere(self, logged: Logged, naccid: str) -> str | None:
        found: list[str | None] = []
        if self.logs is not None and logged.info:
            look = partial(self.logs.naccid_elsewhere, logged.entry.log_name, naccid)
            self.done("QC logs of other visits", lambda: found.append(look()))
        return found[0] if found else None

    def _amend_log(self, entry: Entry) -> None:
        """Say in the log, too, what could not be written after it."""
        if {EVENT, FILE_RECORD} & self.at.missing.keys() and QC_LOG in self.at.written:
            fuller = replace(entry, data=self.data())
            self.done("QC log, with what is missing", lambda: self._log_write(fuller))

    def _entry(self, context: LookupContext, note: EventNote | None) -> Entry:
        return Entry(
            log_name=qc_log_name(context.visit),
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
