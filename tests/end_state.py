"""What two worlds must have in common to have ended alike: everything but time and chance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MOMENTS = frozenset({"timestamp", "validated_timestamp", "validated-timestamp"})
CHANCE = frozenset({"base", "job_id", "log_version"})
"""What a log was made from, what a note came with and which job was last: who came between."""
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
_SECOND_OF_KEY = re.compile(r"log-submit-\d{8}-\d{6}-")
_MOMENT_IN_JSON = re.compile(r'"timestamp":"[^"]*"')


@dataclass(frozen=True, slots=True)
class Trial:
    """A run that was disturbed, and what came of it.

    Attributes:
        where: at what moments it was, in words.
        finished: whether the run that was killed last had written all that it had to.
        wrong: in what the end differs from that of undisturbed runs; nothing where all is well.
    """

    where: str
    finished: bool
    wrong: tuple[str, ...]

    def also_wrong(self, what: str) -> Trial:
        """Return the trial with one thing more that is wrong."""
        return replace(self, wrong=(*self.wrong, what))


def timeless(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return `value` without moments, seconds in keys of events, and what chance decides."""
    if isinstance(value, Mapping):
        kept = {key: each for key, each in value.items() if key not in MOMENTS | CHANCE}
        return {timeless(key): timeless(each) for key, each in kept.items()}
    if isinstance(value, list | tuple):
        return sorted(map(timeless, value), key=repr)
    if isinstance(value, str):
        return _MOMENT_IN_JSON.sub("", _SECOND_OF_KEY.sub("log-submit-", _MOMENT.sub("", value)))
    return value


def sorted_lines(text: str) -> list[str]:
    """Return the lines of a QC log without their moments; at once means in any order."""
    return sorted(timeless(text).splitlines())
