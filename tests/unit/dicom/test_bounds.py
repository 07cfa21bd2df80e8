"""Hostile uploads: answered within 10 s of CPU and 40 MiB, measured in a process of their own."""

from __future__ import annotations

import bz2
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imaging_gears.dicom.bounds import ELEMENT_COST, Budget, header_budget, upload_budget
from imaging_gears.dicom.random_file import RandomFile
from imaging_gears.dicom.recognition import kind_of
from imaging_gears.dicom.zip_directory import entries, locate
from imaging_gears.dicom.zip_member import MemberStream
from imaging_gears.errors import ArchiveError, HeaderError
from tests.unit.dicom.builders import (
    DEFLATED,
    EXPLICIT,
    FORMS,
    IMPLICIT,
    UNDEFINED,
    body,
    dicom,
    element,
    end_record,
    item,
    lzma_of_zip,
    meta,
    packed_zip,
    pixels,
)
from tests.waiting import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Lines that other tests go through as well, many times over.
pytestmark = pytest.mark.no_cover

PROGRAM = Path(__file__).with_name("measured.py")
MIB = 2**20
PRIVATE = 0x00090010
SEQUENCE = element(0x00081140, "SQ", length=UNDEFINED)
START = meta(EXPLICIT) + element(0x00080016, "UI", "1.2")
EMPTY_ITEM = item(0xFFFEE000, 0)


def cost(path: Path) -> dict[str, Any]:
    """Return the outcome of reading the upload at `path`, with CPU seconds and KiB of memory."""
    command = [sys.executable, str(PROGRAM), str(path)]
    # Coverage would be measured too, and takes several times the time of what is measured here.
    clean = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    result = subprocess.run(command, capture_output=True, check=True, timeout=5 * LONG, env=clean)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_a_budget_is_spent_together_with_its_parent() -> None:
    """The first one that does not hold as much raises its own error."""
    parent = Budget(10, ArchiveError, "upload")
    with pytest.raises(HeaderError):
        Budget(5, HeaderError, "header", parent).spend(6)
    child = Budget(20, HeaderError, "header", parent)
    child.spend(10)
    assert not parent.exhausted
    with pytest.raises(ArchiveError):
        child.spend(1)
    assert parent.exhausted


def sparse(head: bytes, size: int) -> Iterator[bytes | int]:
    """Yield `head`, then a hole up to `size`."""
    yield head
    yield size


def inflating(head: bytes, zeros: int) -> Iterator[bytes | int]:
    """Yield a deflated file of `head` and `zeros` MiB of zeros."""
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    yield meta(DEFLATED) + compress.compress(head)
    for _ in range(zeros):
        yield compress.compress(bytes(MIB))
    yield compress.flush()


def overlapping(data: bytes, copies: int, method: int = 8) -> Iterator[bytes | int]:
    """Yield an archive of `copies` entries that lead to one and the same member."""
    yield packed_zip([("a", data)], copies=copies, method=method)


def without_preamble() -> bytes:
    """Return elements that begin as a DICOM without preamble does, the first of a wrong VR."""
    following = (element(0x00080006 + number, "LO") for number in range(63))
    return element(0x00080005, "US") + b"".join(following)


def almost_without_preamble() -> bytes:
    """Return elements that make sense up to the end of what is looked at, where tags descend."""
    form = FORMS[IMPLICIT]
    rising = (element(0x00080006 + number, "LO", form=form) for number in range(60))
    return b"".join(rising) + element(0x00080001, "LO", form=form) * 3


def greedy_lzma(data: bytes) -> Iterator[bytes | int]:
    """Yield 100,000 entries of one LZMA member that asks for a dictionary of 64 MiB."""
    packed = lzma_of_zip(data)
    content = packed[:5] + struct.pack("<L", 64 * MIB) + packed[9:]
    yield packed_zip([("a", data)], copies=100_000, method=14, content=content)


def zip64(members: int) -> Iterator[bytes | int]:
    """Yield an archive that zipfile wrote, with more members than fit into its plain end record."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for number in range(members - 1):
            archive.writestr(f"{number}", b"text")
        archive.writestr("image", dicom())
    yield written.getvalue()


def long_comments() -> Iterator[bytes | int]:
    """Yield an archive of 900 members with comments of 64 KiB each: 59 MB of directory."""
    local, entry = packed_zip([("t", b"x")])[:-22].split(b"PK\x01\x02")
    entry = b"PK\x01\x02" + entry[:28] + struct.pack("<H", 65535) + entry[30:]
    directory = (entry + bytes(65535)) * 900
    yield local + directory + end_record(900, len(directory), len(local))


TINY: dict[str, tuple[Callable[[], Iterator[bytes | int]], str]] = {
    "10 GB of zeros": (lambda: sparse(b"", 10 * 2**30), "NotDicomError"),
    "a private value of 4 GB": (
        lambda: sparse(START + element(PRIVATE, "UN", length=2**32 - 2), 2**32 + 2**20),
        "HeaderError",
    ),
    "2 GB of pixels, deflated": (lambda: inflating(body() + pixels(), 2048), "read"),
    "128 MB of header, deflated": (
        lambda: inflating(START[-14:] + element(PRIVATE, "UN", length=2**31), 128),
        "HeaderError",
    ),
    "5 million empty items": (
        lambda: iter([START + SEQUENCE + EMPTY_ITEM * 5_000_000]),
        "HeaderError",
    ),
    "endless empty elements, deflated": (
        lambda: iter(
            [
                meta(DEFLATED)
                + zlib.compress(
                    START[-14:]
                    + SEQUENCE
                    + item(0xFFFEE000, UNDEFINED)
                    + element(PRIVATE, "LO") * 5_000_000,
                    wbits=-15,
                )
            ]
        ),
        "HeaderError",
    ),
    "100,000 nested sequences": (
        lambda: iter([START + (SEQUENCE + item(0xFFFEE000, UNDEFINED)) * 100_000]),
        "HeaderError",
    ),
    "10 million values": (
        lambda: iter([START + element(0x0020000D, "UN", b"1\\" * 10_000_000)]),
        "InvalidAttributeError",
    ),
    "20,000 overlapping headers of many items": (
        lambda: overlapping(START + SEQUENCE + EMPTY_ITEM * 300_000, 20_000),
        "ArchiveError",
    ),
    "20,000 overlapping headers of 40 MB": (
        lambda: overlapping(START + element(PRIVATE, "UN", bytes(40 * MIB)), 20_000),
        "ArchiveError",
    ),
    "20,000 overlapping headers of 40 MB, bzip2": (
        lambda: overlapping(START + element(PRIVATE, "UN", bytes(40 * MIB)), 20_000, 12),
        "ArchiveError",
    ),
    "60,000 overlapping images that are cut off": (
        lambda: overlapping(START + SEQUENCE, 60_000),
        "HeaderError",
    ),
    "100,000 overlapping images that are cut off": (
        lambda: overlapping(START + SEQUENCE, 100_000),
        "ArchiveError",
    ),
    "100,000 overlapping images that are cut off, LZMA": (
        lambda: greedy_lzma(START + SEQUENCE),
        "ArchiveError",
    ),
    "100,000 overlapping texts, LZMA": (lambda: greedy_lzma(b"text"), "ArchiveError"),
    "100,000 overlapping files without preamble": (
        lambda: overlapping(without_preamble(), 100_000),
        "ArchiveError",
    ),
    "100,000 overlapping files almost without preamble": (
        lambda: overlapping(almost_without_preamble(), 100_000),
        "ArchiveError",
    ),
    "60,000 members that are a bzip2 bomb": (
        lambda: iter(
            [
                packed_zip(
                    [("a", bytes(1000))],
                    copies=60_000,
                    method=12,
                    size=2**31,
                    content=bz2.compress(bytes(400 * MIB)),
                )
            ]
        ),
        "ArchiveError",
    ),
    "an LZMA member": (
        lambda: overlapping(dicom(extra={PRIVATE: element(PRIVATE, "UN", bytes(9 * MIB))}), 1, 14),
        "read",
    ),
    "members with long comments": (long_comments, "NotDicomError"),
    "70,001 members, zip64, the last of them the image": (lambda: zip64(70_001), "read"),
    "an image and 70,000 texts behind it": (
        lambda: iter([packed_zip([("x", dicom())] + [(f"{n}", b"text") for n in range(70_000)])]),
        "read",
    ),
    "65,001 members, the last of them the image": (
        lambda: iter([packed_zip([(f"{n}", b"text") for n in range(65_000)] + [("x", dicom())])]),
        "read",
    ),
}


def test_the_elements_that_tell_a_dicom_without_preamble_are_paid_for() -> None:
    """By the budget of the upload, once for each encoding that is tried."""
    budget = upload_budget()
    before = budget.left
    kind_of(without_preamble(), header_budget(budget))
    assert before - budget.left > 60 * ELEMENT_COST


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_opening_a_member_is_paid_for(method: int, tmp_path: Path) -> None:
    """Also where it has next to nothing in it: what costs time is that it is one more."""
    path = tmp_path / "upload"
    path.write_bytes(packed_zip([("a", b"t")], copies=3, method=method))
    with closing(RandomFile(path)) as file:
        (entry, *_) = entries(file, locate(file))
        budget = upload_budget()
        before = budget.left
        MemberStream(file, entry, budget)
        assert before - budget.left >= 1000


def write(case: str, folder: Path) -> Path:
    """Write the upload of a case; a number in its parts is a size that the file is stretched to."""
    path = folder / "upload"
    with path.open("wb") as stream:
        for part in TINY[case][0]():
            if isinstance(part, int):
                stream.truncate(part)
            else:
                stream.write(part)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("case", TINY)
def test_hostile_uploads_are_answered_within_the_bounds(case: str, tmp_path: Path) -> None:
    """The outcome is the stated one, for less than 10 s of CPU and 40 MiB above the imports."""
    found = cost(write(case, tmp_path))
    assert found["outcome"] == TINY[case][1]
    assert found["cpu"] < 10
    assert found["memory"] < 40 * 1024
