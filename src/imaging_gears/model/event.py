"""The submission event: what is announced when a file of a visit has been judged."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from imaging_gears.model.findings import State


@dataclass(frozen=True, slots=True)
class EventNote:
    """Which event announces one outcome of one file version.

    Noted before the event is written, so that a retry announces the same thing under the same key.

    Attributes:
        attempt: how often a store has refused this outcome's event before: it was never written, so
            it is announced at a later time.
    """

    key: str
    timestamp: dt.datetime
    file_version: int
    status: State
    attempt: int = 0
