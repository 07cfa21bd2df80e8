"""The watchdog's patience, and how a gear says what it did not foresee."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from imaging_gears.gear import start
from imaging_gears.gear.start import Watchdog, requests_remark, unexpected


def test_the_watchdog_ends_what_makes_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """With exit code 1, when its patience is over since the last progress, and not before."""
    ended: list[tuple[float, int]] = []
    clock = 100.0

    def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds
        if clock < 130:  # something goes forward at 109.5, 119 and 128.5
            clock -= 0.5
            watchdog.progress()

    # The module's own name of it: other threads go on with the true one.
    monkeypatch.setattr(start, "time", SimpleNamespace(monotonic=lambda: clock, sleep=sleep))
    monkeypatch.setattr(start.os, "_exit", lambda code: ended.append((clock, code)))
    watchdog = Watchdog(10)
    watchdog._watch()
    assert ended == [(138.5, 1)]


def test_an_unforeseen_error_is_told_by_kind_and_place() -> None:
    """Its text may hold anything."""

    def fail() -> None:
        raise KeyError("Quixote")

    with pytest.raises(KeyError) as raised:
        fail()
    error = unexpected(raised.value)
    assert "KeyError in test_start.py, line" in error.message
    assert "Quixote" not in error.sentence()


def test_requests_are_told_by_service() -> None:
    """In their order; none are none."""
    assert requests_remark({"b": 2, "a": 1}) == "requests: a 1, b 2"
    assert requests_remark({}) == "requests: none"
