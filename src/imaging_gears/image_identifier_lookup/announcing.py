"""Announcing the outcome of a run: one event per file version and outcome (contract outputs.md, 6).

An event is noted on the file before it is written: a run that is killed in between, or whose put
has no answer, is done again under the same key and timestamp.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imaging_gears.errors import ImagingError, ServiceError
from imaging_gears.gear.blocks import as_block
from imaging_gears.gear.joblog import log, step
from imaging_gears.image_identifier_lookup import GEAR, report
from imaging_gears.image_identifier_lookup.config import GearConfig
from imaging_gears.image_identifier_lookup.event_notes import noted, with_note
from imaging_gears.image_identifier_lookup.extraction import LookupContext
from imaging_gears.image_identifier_lookup.outputs import announce
from imaging_gears.image_identifier_lookup.progress import World, notes_of
from imaging_gears.image_identifier_lookup.record import EVENT, Recorder
from imaging_gears.image_identifier_lookup.report import Submission
from imaging_gears.image_identifier_lookup.unwritten import UnwrittenEvent
from imaging_gears.model.event import EventNote
from imaging_gears.model.findings import EVENT_NOT_CAPTURED
from imaging_gears.ports import FileState, ProjectState

QC_LOG = "QC log"
FRESH_SECONDS = 5.0
"""How old the read of the file may be that the event's note is written from."""


@dataclass(slots=True)
class Announcer(Recorder):
    """Records one run on its input file, and announces its outcome."""

    config: GearConfig
    world: World
    _older: FileState | None = field(init=False, default=None, repr=False)

    def announce(self, submission: Submission, note: EventNote) -> EventNote:
        """Announce this run's outcome unless that is done; return the note that it went by.

        Owed events of other outcomes are overtaken by it. A failure ends up in ``at.missing``.
        """
        if QC_LOG in self.at.missing:
            note = self._noted_meanwhile(note)
        if self._is_announced(note):
            log.info("event: announced by an earlier run")
            return note
        announced: list[EventNote] = []
        try:
            with step(EVENT):
                owed = UnwrittenEvent(submission=submission, note=note)
                announced.append(self.write_event(owed))
        except ImagingError as error:
            self.failed(EVENT, error, EVENT_NOT_CAPTURED)
            refused = not isinstance(error, ServiceError)
            owed = UnwrittenEvent(submission=submission, note=note, refused=refused)
            others = (each for each in self.owed.events if each.note.status != note.status)
            self.owe(events=(*others, owed))
            return note
        self.at.written.append(EVENT)
        # Readers take the later event for the file's state: an earlier outcome must not follow.
        self.owe(events=())
        return announced[0]

    def _noted_meanwhile(self, note: EventNote) -> EventNote:
        """Return the note that a copy of this job has left on the file since it was first read.

        All copies go by the first note in the QC log; here there is no log to agree by.
        """
        try:
            self._read_again()
        except ImagingError:
            return note  # nor can it be noted then, and the event waits
        return noted(self.notes(), note) or note

    def _is_announced(self, note: EventNote) -> bool:
        """Return whether a finished run has written this event: its record names the event's key.

        A note alone says no more than that a run was about to write.
        """
        announced = as_block(notes_of(self.file).get("run")).get("event")
        return self.run > 1 and announced == report.note_block(note) and not self.owed.events

    def write_event(self, owed: UnwrittenEvent) -> EventNote:
        """Note an event on the file and write it, once; return the note of where it stands.

        Raises:
            ServiceError: the store did not answer, or the event could be noted nowhere.
        """
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

    def later(self, owed: UnwrittenEvent) -> EventNote:
        """Return the note of an event that was refused: it is first written now, if it is."""
        environment = owed.note.key.partition("/")[0]
        key = report.event_key(environment, owed.submission, self.moment)
        return replace(owed.note, key=key, timestamp=self.moment, attempt=owed.note.attempt + 1)

    def owe(self, **more: object) -> None:
        """Change what is owed."""
        self.owed = self.owed.model_copy(update=more)

    def submission(self, context: LookupContext, project: ProjectState) -> Submission:
        """Return what there is to announce."""
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

    def first_note(self, submission: Submission) -> EventNote:
        """Return the note that an earlier run left for this outcome, else one of this moment."""
        key = report.event_key(self.config.event_environment, submission, self.moment)
        note = EventNote(key, self.moment, self.at.version, self.at.state)
        owed = [each for each in self.owed.events if each.note.status == self.at.state]
        if owed and owed[-1].refused:
            return replace(note, attempt=owed[-1].note.attempt + 1)
        return noted(self.notes(), note) or note

    def notes(self) -> Mapping[str, Any]:
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
