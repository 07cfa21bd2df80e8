"""Writing the QC log and the event, each safe to repeat and safe beside a copy of itself."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from imaging_gears.errors import ImagingError, NotFoundError, ServiceError
from imaging_gears.image_identifier_lookup.agreement import naccid_since
from imaging_gears.image_identifier_lookup.log_names import find_name, is_of_participant
from imaging_gears.image_identifier_lookup.qc_log import (
    Content,
    Entry,
    LogVersion,
    base_of,
    lacks_nothing,
    merge,
    with_change,
    with_entry,
)
from imaging_gears.image_identifier_lookup.report import (
    Submission,
    event_body,
    event_key,
)
from imaging_gears.model.event import EventNote
from imaging_gears.ports import EventStore, FileState, ProjectFiles, ProjectState

UPLOADS = 30
"""Uploads of one log by one job; 16 jobs at once need two or three."""
LONGEST_PAUSE = 16.0
"""Seconds. Whoever wakes first merges for all; the others find their lines written."""
LOST_UPLOADS = 3
"""Uploads without a reply after which Flywheel counts as down."""
HISTORY = 500
"""Versions looked back through where others' uploads have dropped the note of their base. Each
takes a request, and one more if its text counts; the job has ten minutes."""
LATER_SECONDS = 120
"""How far an event moves out of the way of other series of its visit, a second each."""


@dataclass(slots=True)
class QcLog:
    """The QC status logs of one project."""

    files: ProjectFiles
    project: ProjectState
    pause: Callable[[float], None]
    _file_ids: dict[str, str] = field(default_factory=dict)
    _versions: dict[tuple[str, int], LogVersion] = field(default_factory=dict)
    _changed: dict[str, list[LogVersion]] = field(default_factory=dict)

    def write(self, wanted: str, entry: Entry) -> Content:
        """Make the log of that name hold `entry`; return what it holds then.

        Raises:
            ServiceError: Flywheel did not take it; the log may lack the entry.
        """
        name = find_name(self.project.files, wanted) or wanted
        self._file_ids = {**self.project.files, **self._file_ids}
        lost = others = 0
        for attempt in range(UPLOADS):
            if attempt:
                # The more there were at once, the further apart they go on: one merges for all.
                longest = min(LONGEST_PAUSE, max(2**attempt, others))
                self.pause(random.uniform(0, longest))  # noqa: S311 - no secret
            newest = self._newest(name)
            content = self._merged(name, newest, entry)
            if newest is not None and lacks_nothing(newest, content):
                return content
            base = newest.number if newest else 0
            try:
                uploaded = self._upload(name, content)
            except ServiceError:
                # The reply may be lost and the upload done: what is there next says which.
                lost += 1
                if lost == LOST_UPLOADS:
                    raise
                self._look_for(name)
            else:
                others = uploaded - base - 1
                changed = newest is not None and self._was_changed(name, newest, uploaded)
                if not others and not changed:
                    return content
        raise ServiceError("Flywheel", "other jobs kept writing the QC log")

    def naccid_elsewhere(self, ours: str, naccid: str) -> str | None:
        """Return another NACCID that a job of another visit of the participant has come to.

        Only since the project was first read: what was said before has reached the subject, too.

        Args:
            ours: the name of this job's own log, which is written already.
            naccid: this job's.

        Raises:
            ServiceError: the project or a log can't be read.
        """
        ours = find_name(self.project.files, ours) or ours
        project = self.files.project(self.project.id)
        for name in sorted(project.files.keys() - {ours}):
            before = self.project.versions.get(name, 0)
            if is_of_participant(name, ours) and project.versions[name] != before:
                file_id = project.files[name]
                then = self._state(file_id, before) if before else None
                info = {} if then is None else then.info
                other = naccid_since(self.files.file(file_id).info, info, naccid)
                if other is not None:
                    return other
        return None

    def _was_changed(self, name: str, read: LogVersion, uploaded: int) -> bool:
        """Return whether somebody has set info or tags of the version that an upload was made from.

        That makes no version, so nothing else tells of it. It is kept for the next merge.
        """
        file_id = self._file_ids[name]
        try:
            state = self._state(file_id, read.number)
        except ImagingError:
            return False  # what this job had to write is written
        if state is None or (state.info, state.tags) == (read.info, read.tags):
            return False
        ours = self._versions[file_id, uploaded]
        now = replace(read, info=state.info, tags=state.tags)
        self._changed[file_id] = [ours, with_change(ours, read, now)]
        return True

    def _upload(self, name: str, content: Content) -> int:
        reply = self.files.upload_project_file(
            self.project.id, name, _encode(content.text), content.info, content.tags
        )
        self._file_ids[name] = reply.file_id
        self._versions[reply.file_id, reply.version] = LogVersion(
            number=reply.version, text=content.text, info=content.info, tags=content.tags
        )
        return reply.version

    def _look_for(self, name: str) -> None:
        """Find the log that a first upload of unknown effect may have made."""
        if name not in self._file_ids:
            self._file_ids = {**self.files.project(self.project.id).files}

    def _merged(self, name: str, newest: LogVersion | None, entry: Entry) -> Content:
        if newest is None:
            return with_entry(Content(), entry, base=0)
        file_id = self._file_ids[name]
        versions = [*self._changed.get(file_id, ()), *self._since(file_id, newest)]
        # Stable: what is read of a version now comes after what was to be changed of it.
        versions.sort(key=lambda version: version.number)
        return with_entry(merge(versions), entry, newest.number)

    def _since(self, file_id: str, newest: LogVersion) -> list[LogVersion]:
        """Return the versions that may hold something which `newest` lacks, and `newest`."""
        base = base_of(newest.info)
        if base is None:
            return [*self._since_ours(file_id, newest.number), newest]
        # The base itself shows what later versions changed; a log's first version has none.
        numbers = range(max(1, base), newest.number) if base < newest.number - 1 else range(0)
        read = (self._read(file_id, number) for number in numbers)
        return [*(version for version in read if version is not None), newest]

    def _since_ours(self, file_id: str, newest: int) -> list[LogVersion]:
        """Return the versions that may hold something which `newest`, without a base, lacks.

        These are the last one that says its base, what that one needs, and what others made since.
        There are none where no version says one: a log that only others wrote is taken as it is.

        Raises:
            ServiceError: there are more versions than can be looked at; any may hold our records.
        """
        later: list[FileState] = []
        oldest = max(1, newest - HISTORY)
        for number in range(newest - 1, oldest - 1, -1):
            state = self._state(file_id, number)
            if state is not None and base_of(state.info) is not None:
                between = [self._with_text(each) for each in reversed(later)]
                return [*self._since(file_id, self._with_text(state)), *between]
            later += [] if state is None else [state]
        if oldest > 1:
            raise ServiceError(
                "Flywheel", f"the QC log has over {HISTORY} foreign versions in a row"
            )
        return []

    def _newest(self, name: str) -> LogVersion | None:
        if name not in self._file_ids:
            return None
        try:
            state = self.files.file(self._file_ids[name])
        except NotFoundError:
            if self._is_listed(name):
                raise  # it is there and can't be read: an upload would lose what it holds
            return self._newest(name)
        return self._with_text(state)

    def _is_listed(self, name: str) -> bool:
        """Return whether the project still has the log whose read was answered by "not there".

        One that was deleted since the project was read is begun anew, by this job or by another.
        """
        gone = self._file_ids.pop(name)
        self._file_ids = {**self.files.project(self.project.id).files}
        return self._file_ids.get(name) == gone

    def _read(self, file_id: str, number: int) -> LogVersion | None:
        """Return an earlier version, None where somebody has deleted it."""
        known = self._versions.get((file_id, number))
        if known is not None:
            return known
        state = self._state(file_id, number)
        return None if state is None else self._with_text(state)

    def _state(self, file_id: str, number: int) -> FileState | None:
        try:
            return self.files.file_version(file_id, number)
        except NotFoundError:
            return None

    def _with_text(self, state: FileState) -> LogVersion:
        key = (state.file_id, state.version)
        if key not in self._versions:
            content = self.files.read_project_file(self.project.id, state)
            self._versions[key] = LogVersion(
                number=state.version,
                text=content.decode(errors="surrogateescape"),
                info=state.info,
                tags=state.tags,
            )
        # A version's text never changes; its info and tags may.
        return replace(self._versions[key], info=state.info, tags=state.tags)


def announce(
    store: EventStore,
    submission: Submission,
    first: EventNote,
    fields: Literal["full", "strict"],
    note_down: Callable[[EventNote], None],
) -> EventNote:
    """Write the event of `submission` once; return the note of where it stands.

    Where the event of another series of the visit has the second already, this one is noted and
    written a second later. Every job that announces this outcome starts from the same note, so all
    of them come to the same second.

    Raises:
        ServiceError: the store did not answer, or every second was taken.
    """
    note, environment = first, first.key.partition("/")[0]
    for later in range(LATER_SECONDS):
        if later:
            moment = first.timestamp + dt.timedelta(seconds=later)
            key = event_key(environment, submission, moment)
            note = replace(first, key=key, timestamp=moment)
        note_down(note)
        body = event_body(submission, note.timestamp, fields)
        present = store.put_if_absent(note.key, body)
        if present is None or present == body or _announces(present, submission):
            return note
    raise ServiceError("AWS S3", "every second near the event's is taken by other events")


def _announces(present: bytes, submission: Submission) -> bool:
    """Return whether an event says the same of the same file version; a strict one can't tell."""
    try:
        event: Any = json.loads(present)
    except ValueError:
        return False
    return isinstance(event, dict) and (
        event.get("file_id"),
        event.get("file_version"),
        event.get("status"),
    ) == (submission.file_id, submission.file_version, submission.status)


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
