"""Mutates pydicom's bundled files, and archives of them, and reads the results.

Run as ``python -m tests.fuzz.mutate [COUNT] [SEED]``. It ends with exit code 1 and keeps the input
in ``fuzz-SEED-NUMBER`` where an exception is none of the project's, or one input takes over 2 s.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from imaging_gears.dicom.attributes import ATTRIBUTES
from imaging_gears.dicom.header import read_header
from imaging_gears.dicom.members import Member, Upload
from imaging_gears.errors import ImagingError
from tests.unit.dicom.builders import SYNTAXES, dicom, packed_zip
from tests.unit.dicom.test_real_files import READABLE, data_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = 150_000
SLOW = 2.0
# Lengths, tags and marks that change the way through a file.
TOKENS = (
    *(b"\xff" * 4, b"\x00" * 4, b"\xff\xff\xff\x7f", b"DICM", b"SQ\x00\x00", b"UN\x00\x00", b"OB"),
    *(b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\x08\x00\x05\x00"),
    *(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07", b"\x1b$B", b"\\", b"\x02\x00"),
)


def seeds() -> list[bytes]:
    """Return what is mutated."""
    files = [(data_folder() / name).read_bytes() for name in READABLE]
    found = [data for data in files if len(data) <= LARGEST]
    found += [dicom(syntax) for syntax in SYNTAXES]
    found += [
        packed_zip([("t", b"text"), ("a", data), ("b", data)], method=method)
        for data in (dicom(), found[0])
        for method in (0, 8, 12, 14)
    ]
    return found


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return `data` with a few places changed, most of them near the start or the end."""
    whole = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        reach = chance.choice((200, 1200, 5000, len(whole)))
        place = min(chance.randrange(reach + 1), len(whole))
        place = len(whole) - place if chance.random() < 0.2 else place
        new = chance.choice((chance.randbytes(chance.randrange(5)), chance.choice(TOKENS)))
        whole[place : place + chance.choice((0, len(new), len(new), 1, 4))] = new
    if chance.random() < 0.1:
        del whole[chance.randrange(len(whole) + 1) :]
    return bytes(whole)


def read_all(path: Path) -> None:
    """Read the header of every member of the upload at `path`."""
    with Upload(path) as upload:
        for member in upload.members():
            if isinstance(member, Member):
                with member.open() as stream:
                    read_header(stream, ATTRIBUTES)


def survives(path: Path) -> bool:
    """Return whether the upload at `path` ends well, or as one of the project's errors, in time."""
    start = time.process_time()
    try:
        read_all(path)
    except ImagingError:
        pass
    except Exception as error:  # noqa: BLE001 - any other one is what is looked for
        sys.stderr.write(f"{type(error).__name__}\n")
        return False
    return time.process_time() - start < SLOW


def main(arguments: Sequence[str]) -> int:
    """Read COUNT mutations and return the exit code."""
    count, seed = (*map(int, arguments), *(10_000, 0)[len(arguments) :])
    chance, corpus, failures = random.Random(seed), seeds(), 0  # noqa: S311 - has to be repeatable
    with TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        for number in range(count):
            data = mutated(chance.choice(corpus), chance)
            path.write_bytes(data)
            if not survives(path):
                failures += 1
                Path(f"fuzz-{seed}-{number}").write_bytes(data)
    sys.stdout.write(f"{count} inputs, {failures} failures\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
