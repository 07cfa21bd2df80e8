"""A fresh center for each test, whose log is searched for what may not be in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.unit.lookup.harness import MARKS, Center


@pytest.fixture
def center(caplog: pytest.LogCaptureFixture) -> Iterator[Center]:
    """A center in memory. No line that a run logs, at any level, has a marked value in it."""
    caplog.set_level(logging.DEBUG)
    yield Center()
    lines = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert not [mark for mark in MARKS if mark in lines]
