"""Refuse to commit DICOM files, whatever they are called, and archives that hold one.

A hook for pre-commit (.pre-commit-config.yaml). Usage: ``python -m tools.refuse_dicom FILE...``
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# PS3.10 section 7.1: a preamble of 128 bytes, then these four.
_PREAMBLE = 128
_PREFIX = b"DICM"


def _starts_as_dicom(stream: IO[bytes]) -> bool:
    return stream.read(_PREAMBLE + len(_PREFIX))[_PREAMBLE:] == _PREFIX


def holds_dicom(path: Path) -> bool:
    """Return whether the file is a DICOM file or a zip with a DICOM file in it.

    Raises:
        OSError: the file can't be read.
        zipfile.BadZipFile: it looks like a zip and is none.
    """
    with path.open("rb") as stream:
        if _starts_as_dicom(stream):
            return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                if _starts_as_dicom(member):
                    return True
    return False


def main(paths: Sequence[str]) -> int:
    """Name the files that may not be committed; return 1 if there is one."""
    refused = [path for path in paths if Path(path).is_file() and holds_dicom(Path(path))]
    for path in refused:
        print(f"{path}: a DICOM image, which stays out of the repository: build it in a test")
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
