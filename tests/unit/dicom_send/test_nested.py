"""Archives inside of archives: which of them may hold images, and what looking costs."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from imaging_gears.dicom import bounds
from imaging_gears.dicom_send import instance, nested
from imaging_gears.dicom_send.instance import Mark, examine
from imaging_gears.dicom_send.passing import NESTED
from imaging_gears.errors import ArchiveError
from tests.unit.dicom.builders import DEFLATED, body, dicom, packed_zip, pixels

MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")
TEXT = b"text, which is no image, " * 20


def zipped(members: Mapping[str, bytes], method: int = 8) -> bytes:
    """Return a zip."""
    return packed_zip(list(members.items()), method=method)


def tarred(members: Mapping[str, bytes]) -> bytes:
    """Return a tar with a folder and a link in it, too."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind in (("notes", tarfile.DIRTYPE), ("latest", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "x"
            archive.addfile(info)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def tar_gz(members: Mapping[str, bytes]) -> bytes:
    """Return a tar.gz."""
    return gzip.compress(tarred(members))


def judged(path: Path, name: str, archive: bytes) -> str | None:
    """Return why an archive beside an image is refused; None where it is ignored as one member."""
    path.write_bytes(packed_zip([("a/IM1", dicom()), (name, archive)], method=0))
    with examine(path, MARK) as contents:
        assert len(contents.instances) == 1
        assert len(contents.refused) + contents.ignored == 1
        return contents.refused[0].reason if contents.refused else None


@pytest.mark.parametrize("pack", [zipped, tarred, tar_gz])
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"a.txt": b"x", "deep/er/b.pdf": TEXT},
        {"VERSION": b"", "__MACOSX/IM1": b"", "empty.txt": b""},
        {"report.docx": zipped({"word.xml": TEXT}), "no-suffix": TEXT},
    ],
)
def test_an_archive_without_images_is_one_ignored_member(
    tmp_path: Path, pack: object, members: dict[str, bytes]
) -> None:
    """Nobody misses an image for it."""
    assert callable(pack)
    assert judged(tmp_path / "upload", "notes.bin", pack(members)) is None


@pytest.mark.parametrize("pack", [zipped, tarred, tar_gz])
@pytest.mark.parametrize(
    "members",
    [
        {"a.txt": TEXT, "deep/er/b.txt": dicom()},
        {"x": dicom(DEFLATED)},
        {"x": body() + pixels()},
        {"IM1": b""},
        {"x.dcm": TEXT},
        {"IM1": bytes(600)},
        {"inner.zip": zipped({"a.txt": TEXT})},
        {"x.7z": b"7z\xbc\xaf\x27\x1c" + bytes(500)},
    ],
)
def test_an_archive_with_anything_like_an_image_is_refused(
    tmp_path: Path, pack: object, members: dict[str, bytes]
) -> None:
    """An image, what is left of one, or an archive in its turn."""
    assert callable(pack)
    assert judged(tmp_path / "upload", "notes.bin", pack(members)) == NESTED


def sparse() -> bytes:
    """Return a tar of a file that is stored without its holes."""
    packed = bytearray(tarred({"a.txt": TEXT}))
    at = 2 * 512
    packed[at + 156] = ord("S")
    packed[at + 148 : at + 156] = b" " * 8
    packed[at + 148 : at + 156] = b"%06o\0 " % sum(packed[at : at + 512])
    return bytes(packed)


UNREADABLE = {
    "cut zip": zipped({"a.txt": TEXT})[:-10],
    "cut tar": tarred({"a.txt": TEXT})[:1400],
    "cut gzip": tar_gz({"a.txt": TEXT})[:-10],
    "damaged gzip": gzip.compress(TEXT)[:15] + b"\xff" * 40,
    "gzip of two parts": gzip.compress(TEXT) + gzip.compress(dicom()),
    "encrypted": packed_zip([("a.txt", TEXT)], flags=1),
    "packed with bzip2 that is none": packed_zip([("a.txt", TEXT)], method=12, content=b"x" * 50),
    "sparse": sparse(),
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(500),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_can_not_be_looked_into_is_refused(tmp_path: Path, case: str) -> None:
    """Nobody knows what is missed."""
    assert judged(tmp_path / "upload", "notes.bin", UNREADABLE[case]) == NESTED


def test_what_is_in_a_gzip_has_its_name(tmp_path: Path) -> None:
    """A short note is none of an image; an image is."""
    assert judged(tmp_path / "upload", "a/notes.txt.gz", gzip.compress(b"x")) is None
    assert judged(tmp_path / "upload", "a/IM2.gz", gzip.compress(bytes(4))) == NESTED
    assert judged(tmp_path / "upload", "a/notes.txt.gz", gzip.compress(dicom())) == NESTED


def test_an_archive_named_as_images_are_is_refused(tmp_path: Path) -> None:
    """As any other member that is no DICOM."""
    why = judged(tmp_path / "upload", "x.dcm", zipped({"a.txt": TEXT}))
    assert why == "It is no DICOM, and named as images are."


@pytest.mark.parametrize("pack", [zipped, tarred, tar_gz])
def test_a_large_archive_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: object
) -> None:
    """As it lies there, or inflated."""
    assert callable(pack)
    archive = pack({"a.txt": TEXT})
    monkeypatch.setattr(nested, "LARGEST", len(archive) - 1)
    assert judged(tmp_path / "upload", "notes.bin", archive) == NESTED
    monkeypatch.setattr(nested, "LARGEST", len(archive) + 1)
    inflates = pack is tar_gz
    assert judged(tmp_path / "upload", "notes.bin", archive) == (NESTED if inflates else None)


def test_looking_into_many_archives_has_one_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes behind it is refused, and the images are sent all the same."""

    def small() -> bounds.Budget:
        return bounds.Budget(5000, ArchiveError, "It is too much.")

    monkeypatch.setattr(instance, "upload_budget", small)
    archives = [(f"{number}.zip", zipped({"a.txt": TEXT})) for number in range(9)]
    (tmp_path / "upload").write_bytes(packed_zip([*archives, ("IM1", dicom())], method=0))
    with examine(tmp_path / "upload", MARK) as contents:
        assert len(contents.instances) == 1
        assert 1 <= contents.ignored < 9
        assert len(contents.refused) == 9 - contents.ignored


def test_a_member_that_is_damaged_is_told_as_that(tmp_path: Path) -> None:
    """Its checksum is compared before it is called harmless."""
    data = packed_zip([("IM1", dicom()), ("notes.zip", zipped({"a.txt": TEXT}))], crc=5)
    (tmp_path / "upload").write_bytes(data)
    with examine(tmp_path / "upload", MARK) as contents:
        assert contents.ignored == 0
        assert "checksum" in contents.refused[-1].reason
