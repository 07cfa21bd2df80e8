"""The content of a QC status log: its lines, its info, and how versions of both are merged. Pure.

Flywheel can't write on a condition: an upload makes a new version, whatever came between. So every
version says in its info which version it was made from (`base`), and holds all that the versions up
to that one held. Whoever reads version N with base B therefore knows that only the versions between
B and N can hold something that N lacks, merges those, and has all that was ever written
(docs/image-identifier-lookup.md, "The QC log").
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from imaging_gears.gear.blocks import as_block
from imaging_gears.gear.qc import Json, validation_block
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.log_text import merge_texts
from imaging_gears.image_identifier_lookup.report import note_identity
from imaging_gears.model.findings import State

SINCE = "log_version"
"""In a note of an event: the version of the log that it came with."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogVersion:
    """One version of a log, as Flywheel keeps it. `number` counts from 1."""

    number: int
    text: str = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a log is to hold."""

    text: str = field(default="", repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one run has to say of one file version: its lines, and its record in the log's info.

    Attributes:
        log_name: the log that it belongs to.
        run: counts the finished runs of the gear on this file version from 1. A run that is done
            again because it was killed, or that runs twice at once, has one number and leaves one
            line.
        data: the error objects of the run.
        event: the note of the event that announces the outcome, None where none is announced.
    """

    log_name: str = field(repr=False)
    file_id: str
    version: int
    run: int
    state: State
    file_name: str = field(repr=False)
    timestamp: str
    data: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    event: Mapping[str, Any] | None = field(default=None, repr=False)
    visit: Mapping[str, Any] = field(repr=False)

    def text(self) -> str:
        """Return the line of the run and one line of JSON per error object."""
        name = _CONTROL.sub("_", self.file_name)
        run = f" run {self.run}" if self.run > 1 else ""
        verdict = f"{self.timestamp} QC Status: {GEAR.upper()} - {self.state}"
        lines = [f"{verdict}  {name} {self.file_id}#{self.version}{run}"]
        lines += [_json_line(each) for each in self.data]
        return "".join(f"{line}\n" for line in lines)

    def record(self) -> Json:
        """Return what the log's info keeps of the file."""
        return {
            "version": self.version,
            "run": self.run,
            "state": self.state,
            "timestamp": self.timestamp,
            "naccid": self.visit["naccid"],
            "data": [dict(each) for each in self.data],
            "events": [] if self.event is None else [dict(self.event)],
        }


def _json_line(value: Mapping[str, Any]) -> str:
    """Return JSON that is one line for every reader: JSON allows U+0085 and U+2028 in a text."""
    line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def base_of(info: Mapping[str, Any]) -> int | None:
    """Return the version up to which a log with this info is complete, None if it doesn't say."""
    base = as_block(info.get(GEAR)).get("base")
    return base if isinstance(base, int) else None


def merge(versions: Sequence[LogVersion]) -> Content:
    """Return what a log must hold so that none of `versions` (oldest first) loses anything.

    Entries of other gears are taken from the version that changed them last.
    """
    first, *later = versions
    info, tags = dict(_with_since(first)), list(first.tags)
    for version in later:
        info = _merge_info(first.info, info, _with_since(version))
        tags += [each for each in version.tags if each not in tags]
    text = merge_texts([version.text for version in versions])
    return Content(text=text, info=info, tags=tuple(tags))


def with_change(version: LogVersion, before: LogVersion, after: LogVersion) -> LogVersion:
    """Return `version` with what was set between two reads of one that it was made from."""
    info = _merge_info(before.info, version.info, after.info)
    tags = dict.fromkeys((*version.tags, *(tag for tag in after.tags if tag not in before.tags)))
    return replace(version, info=info, tags=tuple(tags))


def with_entry(content: Content, entry: Entry, base: int) -> Content:
    """Return `content` with what `entry` has to say, as made from version `base`."""
    present = content.info
    files = _merge_files(files_of(present), {entry.file_id: entry.record()})
    known = (
        entry.visit["naccid"],
        _latest_naccid(files),
        as_block(present.get("visit")).get("naccid"),
    )
    naccid = next((each for each in known if each), None)
    info = {
        "qc": {**as_block(present.get("qc")), GEAR: {"validation": _validation(files)}},
        "visit": {**entry.visit, "naccid": naccid},
        GEAR: {**as_block(present.get(GEAR)), "base": base, "files": files},
    }
    text = merge_texts([content.text, entry.text()])
    return Content(text=text, info={**info, **_others(present, info)}, tags=content.tags)


def lacks_nothing(version: LogVersion, content: Content) -> bool:
    """Return whether `version` holds all of `content` already, base and versions of notes aside."""
    return (
        merge_texts([version.text]) == content.text
        and _without_notes(version.info) == _without_notes(content.info)
        and _without_since(version.info) == _without_since(content.info)
        and set(version.tags) == set(content.tags)
    )


def noted_event(
    info: Mapping[str, Any], file_id: str, note: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the note by which the log has what `note` announces of that file."""
    for each in as_block(files_of(info).get(file_id)).get("events", ()):
        if note_identity(as_block(each)) == note_identity(note):
            return as_block(each)
    return None


def _latest_naccid(files: Mapping[str, Any]) -> object:
    named = [record for record in files.values() if record.get("naccid")]
    latest = sorted(named, key=lambda record: str(record.get("timestamp")))
    return latest[-1]["naccid"] if latest else None


def _merge_info(
    start: Mapping[str, Any], merged: Mapping[str, Any], later: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `merged` with what `later` changed against `start`; nothing is ever taken away."""
    result = dict(merged)
    for key, value in later.items():
        if key == "qc":
            entries, before = as_block(value), as_block(start.get(key))
            changed = {gear: entry for gear, entry in entries.items() if entry != before.get(gear)}
            result[key] = {**entries, **as_block(result.get(key)), **changed}
        elif key == GEAR:
            files = _merge_files(files_of(result), files_of(later))
            result[key] = {**as_block(result.get(key)), **as_block(value), "files": files}
        elif key not in result or value != start.get(key):
            result[key] = value
    return result


def _merge_files(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(earlier)
    for file_id, record in later.items():
        other = as_block(merged.get(file_id))
        latest = record if _order(record) >= _order(other) else other
        events = _merge_notes(other.get("events", ()), record.get("events", ()))
        merged[file_id] = {**latest, "events": events}
    return merged


def _merge_notes(*lists: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the notes of all lists; of two of one outcome the one that the log had first.

    That is the one which every copy of a job goes by. A note without its version is a writer's own.
    """
    first: dict[tuple[object, ...], Mapping[str, Any]] = {}
    for note in itertools.chain(*lists):
        known = first.setdefault(note_identity(note), note)
        if note.get(SINCE, math.inf) < known.get(SINCE, math.inf):
            first[note_identity(note)] = note
    return list(first.values())


def _with_since(version: LogVersion) -> Mapping[str, Any]:
    """Return a version's info in which each note says the version that it came with.

    A writer can't know which version its upload will be; whoever reads it does.
    """
    files = {
        file_id: {
            **record,
            "events": [{SINCE: version.number, **note} for note in record["events"]],
        }
        for file_id, record in files_of(version.info).items()
    }
    block = as_block(version.info.get(GEAR))
    return {**version.info, GEAR: {**block, "files": files}} if files else version.info


def _without_since(info: Mapping[str, Any]) -> list[object]:
    return [
        {**record, "events": [{**note, SINCE: None} for note in record["events"]]}
        for _, record in sorted(files_of(info).items())
    ]


def _order(record: Mapping[str, Any]) -> tuple[int, int]:
    return int(record.get("version", 0)), int(record.get("run", 0))


def _validation(files: Mapping[str, Any]) -> Json:
    records = sorted(files.items(), key=lambda item: (str(item[1].get("timestamp")), item[0]))
    failed = any(record.get("state") == "FAIL" for _, record in records)
    data = [each for _, record in records for each in record.get("data", ())]
    return validation_block("FAIL" if failed else "PASS", data)


def files_of(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the records of the files; what is none of this gear's making is passed over."""
    files = as_block(as_block(info.get(GEAR)).get("files"))
    return {file_id: record for file_id, record in files.items() if _is_record(record)}


def _is_record(record: object) -> bool:
    block = as_block(record)
    return (
        all(isinstance(block.get(key), int) for key in ("version", "run"))
        and all(isinstance(block.get(key), list) for key in ("data", "events"))
        and all(isinstance(note, Mapping) for note in block["events"])
    )


def _others(present: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in present.items() if key not in ours}


def _without_notes(info: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**info, GEAR: None}
