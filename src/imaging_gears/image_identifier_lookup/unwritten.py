"""What a run could not write, as a note in file.info from which the file's next run repairs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from imaging_gears.image_identifier_lookup.qc_log import Entry
from imaging_gears.image_identifier_lookup.report import Submission
from imaging_gears.model.event import EventNote

# Built when it is first needed: most runs owe nothing, and the building takes CPU.
_CONFIG = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class UnwrittenEvent(BaseModel):
    """An event that was not written, with the key and timestamp that it was to have.

    `refused` says that the store has certainly not written it.
    """

    model_config = _CONFIG

    submission: Submission
    note: EventNote
    refused: bool = False


class Unwritten(BaseModel):
    """All that runs of a file version owe: entries of QC logs, and events."""

    model_config = _CONFIG

    entries: tuple[Entry, ...] = ()
    events: tuple[UnwrittenEvent, ...] = ()

    def block(self) -> dict[str, Any]:
        """Return the note as JSON."""
        return self.model_dump(mode="json")

    def __bool__(self) -> bool:
        """Whether anything is owed."""
        return bool(self.entries or self.events)


def parse_unwritten(block: object) -> Unwritten:
    """Return what the note in `block` says; nothing where there is none or it can't be read."""
    try:
        return Unwritten.model_validate(block) if isinstance(block, Mapping) else Unwritten()
    except ValidationError:
        return Unwritten()
