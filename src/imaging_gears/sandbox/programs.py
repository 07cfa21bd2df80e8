"""DCMTK's programs on this machine, which play the DICOM servers that a gear sends to."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

_SECONDS = 30.0


def dcmtk(name: str) -> str | None:
    """Return the path of a program of DCMTK, None where it is not installed.

    pynetdicom installs programs of the same names (storescp, storescu, echoscu) with other options
    into a venv, whose folder often stands first in PATH. DCMTK's tell whose they are.
    """
    return _found(name, tuple(os.get_exec_path()))


@cache
def _found(name: str, folders: tuple[str, ...]) -> str | None:
    for folder in folders:
        path = shutil.which(name, path=folder)
        if path is not None and f"$dcmtk: {name} ".encode() in _version(path):
            return path
    return None


def _version(path: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - a program of this name in PATH, asked for its version
            [path, "--version"], capture_output=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout
