"""What large uploads cost: memory that does not grow with them, and nothing on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imaging_gears.dicom_send.instance import Mark, as_uncompressed, examine
from tests.unit.dicom.builders import BIG, EXPLICIT, body, deflate, element, meta
from tests.waiting import LONG

if TYPE_CHECKING:
    from collections.abc import Callable

# Lines that other tests go through as well, many times over.
pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

PROGRAM = Path(__file__).with_name("measured.py")
MIB = 2**20
SLICE = 500_000


def head(size: int, number: int = 5) -> bytes:
    """Return a DICOM up to the pixels, of which there are `size` bytes."""
    uid = {0x00080018: element(0x00080018, "UI", f"1.2.3.4.{number}")}
    return meta(EXPLICIT) + body(extra=uid) + element(0x7FE00010, "OW", length=size)


def zipped_slices(path: Path) -> None:
    """Write a zip of 2,000 slices, 1 GB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(2000):
            archive.writestr(f"a/b/{number}", head(SLICE, number) + bytes(SLICE))


def tarred_slices(path: Path) -> None:
    """Write a tar.gz of 2,000 slices, 1 GB."""
    with (
        tarfile.open(path, "w:gz", compresslevel=1) as archive,
        Path("/dev/zero").open("rb") as zero,
    ):
        for number in range(2000):
            start = head(SLICE, number)
            info = tarfile.TarInfo(f"a/b/{number}")
            info.size = len(start) + SLICE
            archive.addfile(info, _Then(start, zero))


class _Then:
    """Some bytes and then those of a file."""

    def __init__(self, start: bytes, file: Any) -> None:  # noqa: ANN401 - any binary file
        self._start = start
        self._file = file

    def read(self, size: int) -> bytes:
        """Return `size` bytes."""
        data, self._start = self._start[:size], self._start[size:]
        return data + self._file.read(size - len(data))


def one_object(path: Path) -> None:
    """Write one object of 512 MB, most of it a hole."""
    start = head(512 * MIB)
    path.write_bytes(start)
    os.truncate(path, len(start) + 512 * MIB)


def one_zipped_object(path: Path) -> None:
    """Write a zip of one object of 512 MB."""
    plain = path.with_suffix(".plain")
    one_object(plain)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(plain, "object")


def one_deflated_object(path: Path) -> None:
    """Write one object of 128 MB in the deflated syntax."""
    data = head(128 * MIB)[len(meta(EXPLICIT)) :] + bytes(128 * MIB)
    path.write_bytes(meta("1.2.840.10008.1.2.1.99") + deflate(data))


UPLOADS: dict[str, tuple[Callable[[Path], None], int]] = {
    "a zip of 2,000 slices": (zipped_slices, 2000),
    "a tar.gz of 2,000 slices": (tarred_slices, 2000),
    "one object of 512 MB": (one_object, 1),
    "one object of 512 MB in a zip": (one_zipped_object, 1),
    "one deflated object of 128 MB": (one_deflated_object, 1),
}


@pytest.mark.parametrize("case", UPLOADS)
def test_memory_does_not_grow_with_the_upload(case: str, tmp_path: Path) -> None:
    """All of it is examined and read in less than 40 MiB, Python included; no file is written."""
    write, count = UPLOADS[case]
    path = tmp_path / "upload"
    write(path)
    before = sorted(tmp_path.iterdir())
    clean = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    command = [sys.executable, str(PROGRAM), str(path)]
    result = subprocess.run(
        command, capture_output=True, check=True, timeout=5 * LONG, cwd=tmp_path, env=clean
    )
    found = json.loads(result.stdout)
    assert (found["instances"], found["refused"], found["as_stated"]) == (count, 0, True)
    assert found["memory"] < 40 * 1024
    assert sorted(tmp_path.iterdir()) == before


def test_a_large_object_is_converted_in_pieces(tmp_path: Path) -> None:
    """64 MiB in big endian come in pieces of 256 KiB at most."""
    path = tmp_path / "upload"
    path.write_bytes(head(64 * MIB) + b"\1\2" * (32 * MIB))
    with examine(path, Mark(group=0x21, creator="Flywheel", value="DICOM Send")) as contents:
        sizes = [len(piece) for piece in as_uncompressed(contents.instances[0], BIG).chunks()]
    assert max(sizes) <= MIB // 4
    assert sum(sizes) > 64 * MIB
