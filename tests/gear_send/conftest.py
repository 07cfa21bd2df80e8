"""What gear tests share: DCMTK's server, and a session for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gear_send.send_helpers import MARKS, Archive, Session

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """A storescp that takes everything."""
    folder = tmp_path / "archive"
    folder.mkdir()
    made = Archive(folder)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def session(sandbox: Sandbox, archive: Archive, tmp_path: Path) -> Iterator[Session]:
    """A session without files; in the end no run may have printed anything of the patient."""
    made = Session(sandbox, archive, tmp_path)
    yield made
    for run in made.runs:
        assert [mark for mark in MARKS if mark in run.out] == []
