"""The QC record of a gear on a file, and its tags: names and contents (contract outputs.md, 3-5).

``file.info.qc.<gear>`` has ``job_info`` and ``validation``; the tag is ``<gear>-PASS`` or
``<gear>-FAIL``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from imaging_gears.gear.blocks import as_block
from imaging_gears.model.findings import Finding, State
from imaging_gears.ports import FileRecords, FileState

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the findings of a run are about; None where it is not known (yet)."""

    file_id: str
    flywheel_path: str | None = field(default=None, repr=False)
    ptid: str | None = field(default=None, repr=False)
    date: dt.date | None = field(default=None, repr=False)
    naccid: str | None = field(default=None, repr=False)


def flywheel_path(labels: Sequence[str], name: str) -> str:
    """Return the path of a file as QC records have it: ``fw://group/.../acquisition/name``.

    Args:
        labels: of the containers that it lies in, from the group's id down.
        name: of the file.
    """
    return "fw://" + "/".join([*labels, name])


def utc_seconds(moment: dt.datetime) -> str:
    """Return `moment` as ``YYYY-MM-DD HH:MM:SS`` in UTC, the form of QC records."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def error_object(finding: Finding, about: Subject, moment: dt.datetime) -> Json:
    """Return one entry of a QC record's ``data`` (contract outputs.md, 4); all keys present."""
    return {
        "timestamp": utc_seconds(moment),
        "type": finding.severity,
        "code": finding.code,
        "location": None if finding.location is None else {"key_path": finding.location},
        "container_id": about.file_id,
        "flywheel_path": about.flywheel_path,
        "value": finding.value,
        "expected": finding.expected,
        "message": finding.message,
        "ptid": about.ptid,
        "visitnum": None,
        "date": None if about.date is None else about.date.isoformat(),
        "naccid": about.naccid,
    }


def validation_block(state: State, data: Sequence[Mapping[str, Any]]) -> Json:
    """Return what stands under ``validation`` in a QC record; ``data`` is a list, never null."""
    return {"state": state, "data": list(data), "cleared": []}


def qc_block(qc: object, gear: str, job_info: Json, validation: Json) -> Json:
    """Return file.info.qc with the entry of a run; `qc` is what was there: other gears' stays."""
    return {
        **as_block(qc),
        gear: {"job_info": job_info, "validation": validation},
    }


def recorded_state(qc: object, gear: str) -> State | None:
    """Return the verdict that file.info.qc has of a gear, None where it has none."""
    state = as_block(as_block(as_block(qc).get(gear)).get("validation")).get("state")
    return state if state in ("PASS", "FAIL") else None


def tag(gear: str, state: State | Literal["IN REVIEW"]) -> str:
    """Return the tag of a verdict."""
    return f"{gear}-{state}"


def tag_changes(gear: str, tags: Sequence[str], state: State) -> tuple[str | None, tuple[str, ...]]:
    """Return the tag to add, None where the file has it, and the stale ones to remove."""
    wanted = tag(gear, state)
    stale = {tag(gear, "PASS"), tag(gear, "FAIL"), tag(gear, "IN REVIEW")} - {wanted}
    return None if wanted in tags else wanted, tuple(each for each in tags if each in stale)


def write_tags(site: FileRecords, gear: str, file: FileState, state: State) -> None:
    """Give a file the tag of a verdict, and take the stale ones away."""
    wanted, stale = tag_changes(gear, file.tags, state)
    if wanted is not None:
        site.add_file_tag(file.file_id, wanted)
    if stale:
        site.remove_file_tags(file.file_id, stale)
