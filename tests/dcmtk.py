"""DCMTK's programs, which some tests compare with or talk to."""

from __future__ import annotations

import pytest

from imaging_gears.sandbox import programs


def dcmtk(program: str) -> str:
    """Return a program of DCMTK; without it, the test is skipped."""
    path = programs.dcmtk(program)
    if path is None:
        pytest.skip(f"DCMTK's {program} is not installed")
    return path
