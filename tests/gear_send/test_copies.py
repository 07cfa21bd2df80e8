"""A damaged copy beside a whole one; and damage that only a checksum shows."""

from __future__ import annotations

import io
import zipfile

import pytest
from pydicom import dcmread

from tests.gear_send.send_helpers import Session, rows, slices, tables, zipped

pytestmark = pytest.mark.slow


def pixels(image: bytes) -> bytes:
    """Return the pixel data of a DICOM."""
    return bytes(dcmread(io.BytesIO(image)).PixelData)


def damaged(archive: bytes, member: bytes) -> bytes:
    """Return a zip whose first copy of `member`, not compressed, has other pixels."""
    at = archive.index(member) + member.index(pixels(member))
    return archive[:at] + bytes([archive[at] ^ 0xFF]) + archive[at + 1 :]


def test_the_whole_copy_of_an_image_is_sent(session: Session) -> None:
    """The first one is damaged, which shows when it is to be sent.

    What arrives has the pixels of the whole one; the damaged one has its row, and is no success.
    """
    (image,) = slices(1)
    content = zipped(image, image, method=zipfile.ZIP_STORED)
    session.acquisition("T1", damaged(content, image))
    ended = session.run_all()
    assert ended.code == 1, ended.out
    (arrived,) = session.archive.images().values()
    assert arrived.PixelData == pixels(image)
    files, instances = tables(session.reports())
    assert [row[3:] for row in files] == [["2", "1", "Incomplete"]]
    assert [(row[3], row[6]) for row in instances] == [("1", "failed")]
    assert "checksum" in instances[0][7]


def test_a_cut_copy_counts_the_same(session: Session) -> None:
    """Here the walk through the file shows it already."""
    (image,) = slices(1)
    session.acquisition("T1", zipped(image[:-1], image))
    ended = session.run_all()
    assert ended.code == 1, ended.out
    files, instances = tables(session.reports())
    assert [row[3:] for row in files] == [["2", "1", "Incomplete"]]
    assert [(row[3], row[6]) for row in instances] == [("1", "refused")]


def test_a_dry_run_compares_the_checksums(session: Session) -> None:
    """It names the image that a run would not send, and sends nothing."""
    first, second = slices(2)
    content = zipped(first, second, method=zipfile.ZIP_STORED)
    session.acquisition("T1", damaged(content, first))
    folder = session.folder({"type": "session", "id": session.session}, dry_run=True)
    ended = session.run(folder)
    assert ended.code == 1, ended.out
    assert session.archive.images() == {}
    (path,) = (folder / "output").glob("*_instances.csv")
    (row,) = rows(path.read_text(encoding="utf-8"))[1:]
    assert (row[3], row[6]) == ("1", "refused")
    assert "checksum" in row[7]
    assert "1 of 2 images would not be sent" in ended.out
