"""Writing the QC log and the event, each safe to repeat and safe beside a copy of itself."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from imaging_gears.errors import NotFoundError, ServiceError
from imaging_gears.image_identifier_lookup.qc_log import (
    Content,
    Entry,
    LogVersion,
    base_of,
    find_name,
    lacks_nothing,
    merge,
    with_entry,
)
from imaging_gears.image_identifier_lookup.report import (
    Submission,
    event_body,
    event_key,
)
from imaging_gears.model.event import EventNote
from imaging_gears.ports import EventStore, FileState, ProjectFiles, ProjectState

UPLOADS = 40
"""Uploads of one log by one job; 16 jobs at once need a handful."""
LOST_UPLOADS = 3
"""Uploads without a reply after which Flywheel counts as down."""
HISTORY = 20
"""Versions looked back through where another gear's upload has dropped the note of its base."""
LATER_SECONDS = 120
"""How far an event moves out of the way of other series of its visit, a second each."""


@dataclass(slots=True)
class QcLog:
    """The QC status logs of one project."""

    files: ProjectFiles
    project: ProjectState
    pause: Callable[[float], None]
    _file_ids: dict[str, str] = field(default_factory=dict)
    _read_versions: dict[tuple[str, int], LogVersion] = field(default_factory=dict)

    def write(self, wanted: str, entry: Entry) -> Content:
        """Make the log of that name hold `entry`; return what it holds then.

        Raises:
            ServiceError: Flywheel did not take it; the log may lack the entry.
        """
        name = find_name(self.project.files, wanted) or wanted
        current = self._newest(self._file_ids.get(name) or self.project.files.get(name))
        lost = 0
        for attempt in range(UPLOADS):
            content = self._merged(current, entry)
            if attempt:
                if current and lacks_nothing(current[1], content):
                    return content
                self.pause(random.uniform(0, min(8.0, 0.2 * 2**attempt)))  # noqa: S311 - no secret
            number = current[1].number if current else 0
            try:
                reply = self.files.upload_project_file(
                    self.project.id, name, _encode(content.text), content.info, content.tags
                )
            except ServiceError:
                # The reply may be lost and the upload done: what is there now says which.
                lost += 1
                if lost == LOST_UPLOADS:
                    raise
                current = self._newest_of(name, current[0] if current else None)
                continue
            self._file_ids[name] = reply.file_id
            if reply.version == number + 1:
                return content
            current = (reply.file_id, _version(reply.version, content))
        raise ServiceError("Flywheel", "other jobs kept writing the QC log")

    def _merged(self, current: tuple[str, LogVersion] | None, entry: Entry) -> Content:
        if current is None:
            return with_entry(Content(), entry, base=0)
        file_id, newest = current
        return with_entry(merge(self._since(file_id, newest)), entry, newest.number)

    def _since(self, file_id: str, newest: LogVersion) -> list[LogVersion]:
        """Return the versions that may hold something which `newest` lacks, and `newest`."""
        base = base_of(newest.info)
        if base is None:
            ours = self._last_of_ours(file_id, newest.number)
            if ours is None:
                return [newest]
            start = self._since(file_id, self._read(file_id, ours))
            between = range(ours + 1, newest.number)
        else:
            start = []
            # The base itself shows what later versions changed; a log's first version has none.
            between = range(max(1, base), newest.number) if base < newest.number - 1 else range(0)
        return [*start, *(self._read(file_id, number) for number in between), newest]

    def _last_of_ours(self, file_id: str, newest: int) -> int | None:
        """Return the last version before `newest` that says its base; a later writer dropped it."""
        for number in range(newest - 1, max(0, newest - 1 - HISTORY), -1):
            if base_of(self.files.file_version(file_id, number).info) is not None:
                return number
        return None

    def _newest_of(self, name: str, file_id: str | None) -> tuple[str, LogVersion] | None:
        if file_id is None:
            file_id = self.files.project(self.project.id).files.get(name)
        return self._newest(file_id)

    def _newest(self, file_id: str | None) -> tuple[str, LogVersion] | None:
        if file_id is None:
            return None
        try:
            state = self.files.file(file_id)
        except NotFoundError:
            return None  # deleted since the project was read
        return file_id, self._with_text(state)

    def _read(self, file_id: str, number: int) -> LogVersion:
        key = (file_id, number)
        if key not in self._read_versions:
            state = self.files.file_version(file_id, number)
            self._read_versions[key] = self._with_text(state)
        return self._read_versions[key]

    def _with_text(self, state: FileState) -> LogVersion:
        content = self.files.read_project_file(self.project.id, state)
        version = LogVersion(
            number=state.version,
            text=content.decode(errors="surrogateescape"),
            info=state.info,
            tags=state.tags,
        )
        self._read_versions[state.file_id, state.version] = version
        return version


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
            note = EventNote(key, moment, submission.file_version, submission.status)
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


def _version(number: int, content: Content) -> LogVersion:
    return LogVersion(number=number, text=content.text, info=content.info, tags=content.tags)


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
