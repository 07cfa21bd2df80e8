"""The names of QC logs in a project: ``{ptid}_{YYYY-MM-DD}_{modality}_qc-status.log``. Pure.

Contract outputs.md, 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from imaging_gears.model.visit import Visit

_DATE_AND_MODALITY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[A-Za-z0-9]+_qc-status\.log")


def qc_log_name(visit: Visit) -> str:
    """Return the name of a visit's QC status log."""
    return f"{visit.ptid}_{visit.date.isoformat()}_{visit.modality}_qc-status.log"


def find_name(names: Iterable[str], wanted: str) -> str | None:
    """Return the log of that name, else the one that differs in the modality's letter case only."""
    visit, modality, ending = _modality_apart(wanted)
    candidates = []
    for name in names:
        if name == wanted:
            return name
        its = _modality_apart(name)
        if (its[0], its[2]) == (visit, ending) and its[1].casefold() == modality.casefold():
            candidates.append(name)
    return min(candidates, default=None)


def is_of_participant(name: str, ours: str) -> bool:
    """Return whether a file is a log of the participant that the log named `ours` is of."""
    ptid = _modality_apart(ours)[0].rpartition("_")[0]
    behind = name.removeprefix(f"{ptid}_")
    return behind != name and _DATE_AND_MODALITY.fullmatch(behind) is not None


def _modality_apart(name: str) -> tuple[str, str, str]:
    """Return what stands before, in and behind the modality's place of a log's name."""
    head, _, ending = name.rpartition("_")
    visit, _, modality = head.rpartition("_")
    return visit, modality, ending
