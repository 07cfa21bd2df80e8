"""What two worlds must have in common to have ended alike: everything but time and chance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOMENTS = frozenset({"timestamp", "validated_timestamp", "validated-timestamp"})
CHANCE = frozenset({"base", "job_id", "log_version"})
"""What a log was made from, what a note came with and which job was last: who came between."""
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
_SECOND_OF_KEY = re.compile(r"log-submit-\d{8}-\d{6}-")
_MOMENT_IN_JSON = re.compile(r'"timestamp":"[^"]*"')


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
