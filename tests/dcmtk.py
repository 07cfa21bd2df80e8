"""DCMTK's programs, which some tests compare with or talk to."""

from __future__ import annotations

import shutil

import pytest


def dcmtk(program: str) -> str:
    """Return a program of DCMTK; without it, the test is skipped."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"DCMTK's {program} is not installed")
    return path
