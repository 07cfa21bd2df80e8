"""What a run works with, what it has found out so far, and how it ended."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imaging_gears.errors import ImagingError
from imaging_gears.gear.blocks import as_block
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.extraction import Known, LookupContext
from imaging_gears.model.findings import Finding, State, error_finding, state_of
from imaging_gears.ports import (
    EventStore,
    FileState,
    IdentifierRepository,
    ProjectState,
    Site,
    SubjectState,
)

if TYPE_CHECKING:
    from imaging_gears.image_identifier_lookup.file_resolver import Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a run needs of the world.

    `resolve` opens the upload, `now` gives the time with its zone, `pause` waits for seconds.
    """

    site: Site
    identifiers: IdentifierRepository
    events: EventStore
    resolve: Callable[[Path], Resolved]
    now: Callable[[], dt.datetime]
    pause: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the verdict, and which outputs were written or are missing, and why."""

    state: State
    codes: tuple[str, ...]
    written: tuple[str, ...]
    missing: Mapping[str, str]
    exit_code: int


@dataclass(slots=True)
class Progress:
    """What a run has found out so far; an error ends the finding out, not the reporting.

    Attributes:
        version: the version that the job was given.
        read_at: when the file was read last, by the clock of `time.monotonic`.
        looked_up_at: when the subject was seen to have no NACCID, None where it has one.
        write_seconds: from the last read of the subject to the end of its write.
        missing: the outputs that could not be written, and why.
        forgotten: whether something is missing that no later run will know of.
    """

    version: int = 0
    read_at: float = field(default_factory=time.monotonic)
    subject: SubjectState | None = None
    project: ProjectState | None = None
    known: Known | None = None
    context: LookupContext | None = None
    looked_up_at: dt.datetime | None = None
    write_seconds: float = 0.0
    naccid: str | None = field(default=None, repr=False)
    findings: tuple[Finding, ...] = ()
    error: ImagingError | None = None
    written: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    forgotten: bool = False

    @property
    def state(self) -> State:
        """The verdict on the file."""
        return state_of(self.findings)

    @property
    def fails_job(self) -> bool:
        """Whether the job, and not the file, is at fault."""
        return self.error is not None and self.error.disposition == "fail-job"

    def is_superseded_by(self, file: FileState) -> bool:
        """Return whether `file` is a newer version than the job's, with a job of its own."""
        return file.version != self.version

    def fail(self, error: ImagingError) -> None:
        """Take down the error that ended the finding out."""
        self.error = error
        self.findings += (error_finding(error),)

    def outcome(self, *, strict: bool) -> Outcome:
        """Return how the run ends; `strict` makes a missing output the job's failure.

        One that no other run will repair is its failure always: this job must be run again.
        """
        return Outcome(
            state=self.state,
            codes=tuple(dict.fromkeys(finding.code for finding in self.findings)),
            written=tuple(self.written),
            missing=dict(self.missing),
            exit_code=1 if self.fails_job or self.forgotten or (strict and self.missing) else 0,
        )


def notes_of(file: FileState) -> Mapping[str, Any]:
    """Return the gear's own notes in a file's info (contract outputs.md, 5)."""
    return as_block(file.info.get(GEAR))
