"""Whether two jobs were given different NACCIDs for one participant, as their QC logs tell. Pure.

Flywheel has no conditional write: of two jobs that read the subject before either wrote it, both
writes are taken. Each job says in its log which NACCID it was given before it looks at what others
say, so of two such jobs one at least sees the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from imaging_gears.image_identifier_lookup.qc_log import SINCE, Entry, files_of


def naccid_before(info: Mapping[str, Any], entry: Entry, since: str) -> str | None:
    """Return another NACCID that another file of the visit came to the log with before `entry`.

    Args:
        info: of the log, with `entry` in it.
        entry: as its job has written it.
        since: what was written before that second, ``YYYY-MM-DD HH:MM:SS`` in UTC, does not count:
            the job has seen what it left on the subject.
    """
    ours = _since_of(files_of(info).get(entry.file_id, {}), entry.version)
    earlier = [
        (_since_of(record, record["version"]), str(record["naccid"]))
        for file_id, record in files_of(info).items()
        if file_id != entry.file_id
        and record.get("naccid") not in (None, entry.visit["naccid"])
        and str(record.get("timestamp")) >= since
    ]
    return min(((at, naccid) for at, naccid in earlier if at < ours), default=(0, None))[1]


def naccid_since(now: Mapping[str, Any], before: Mapping[str, Any], naccid: str) -> str | None:
    """Return another NACCID than `naccid` that a run has come to a log with since it was `before`.

    Args:
        now: the log's info.
        before: its info at an earlier moment, empty where there was no log. What a later writer
            only carried on from there does not count.
        naccid: ours.
    """
    earlier = files_of(before)
    others = [
        str(record["naccid"])
        for file_id, record in files_of(now).items()
        if record.get("naccid") not in (None, naccid)
        and _run_of(record) != _run_of(earlier.get(file_id, {}))
    ]
    return min(others, default=None)


def _run_of(record: Mapping[str, Any]) -> list[object]:
    return [record.get(key) for key in ("version", "run", "timestamp", "naccid")]


def _since_of(record: Mapping[str, Any], version: int) -> float:
    """Return the version of the log with which the events of a file's version came first."""
    notes = [note for note in record.get("events", ()) if note.get("file_version") == version]
    return min((float(note.get(SINCE, math.inf)) for note in notes), default=math.inf)
