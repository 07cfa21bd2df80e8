"""The notes of a file's events in file.info: one for each outcome of its version. Pure.

The contract has room for one note, that of the event announced last (outputs.md, 6). A file whose
verdict changes and changes back needs the earlier one again, or its outcome is announced twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from imaging_gears.gear.blocks import as_block
from imaging_gears.gear.qc import Json
from imaging_gears.image_identifier_lookup.report import note_block, note_identity, parse_note
from imaging_gears.model.event import EventNote

LAST, ALL = "event", "events"


def noted(notes: Mapping[str, Any], like: EventNote) -> EventNote | None:
    """Return the note of the outcome that `like` announces, whichever attempt it was.

    Args:
        notes: the gear's own, of file.info.
        like: says file version, status, environment, center, project, participant and date.
    """
    block = _by_outcome(notes, like.file_version).get(_outcome(note_block(like)), {})
    attempt = block.get("attempt", 0)
    return parse_note(block, replace(like, attempt=attempt)) if isinstance(attempt, int) else None


def with_note(notes: Mapping[str, Any], note: EventNote) -> Json:
    """Return the keys of the gear's notes in which `note` is the last event's.

    ``events`` has those of the version's other outcomes, where there are any. It says the version
    as every note does, so that all of them are taken back together where they came to stand on a
    newer one.
    """
    block = note_block(note)
    known = _by_outcome(notes, note.file_version)
    known.pop(_outcome(block), None)
    if not known:
        return {LAST: block}
    others = [dict(each) for each in known.values()]
    return {LAST: block, ALL: {"file_version": note.file_version, "notes": others}}


def _by_outcome(notes: Mapping[str, Any], version: int) -> dict[tuple[str, ...], Mapping[str, Any]]:
    listed = as_block(notes.get(ALL)).get("notes")
    blocks = [*(listed if isinstance(listed, list) else ()), notes.get(LAST)]
    return {
        _outcome(block): block
        for block in blocks
        if isinstance(block, Mapping) and block.get("file_version") == version
    }


def _outcome(block: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a note announces, the attempt aside."""
    version, status, _, *key = note_identity(block)
    return tuple(str(part) for part in (version, status, *key))
