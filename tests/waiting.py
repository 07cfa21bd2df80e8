"""Waiting for what happens, however long a busy machine takes for it."""

from __future__ import annotations

import time
from collections.abc import Callable

LONG = 120.0
"""Seconds that nothing takes which goes on at all, on the busiest machine."""


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` is true; `what` says what it is, for the message of a failed test."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, f"still not so: {what}"
        time.sleep(0.01)
