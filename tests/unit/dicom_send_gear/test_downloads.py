"""Files come one after the other, the next one while the last is in use, at most two on disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from imaging_gears.dicom_send.downloads import downloads
from imaging_gears.errors import ImagingError, NotFoundError, ServiceError, UnexpectedError
from imaging_gears.ports import StoredFile
from tests.unit.dicom_send_gear.world import FakeSite, stored
from tests.waiting import until


def nothing() -> None:
    """Do nothing."""


def test_files_come_in_order_and_two_are_on_disk_at_most(tmp_path: Path) -> None:
    """Each is deleted before the one after the next is fetched; in the end none is left."""
    site = FakeSite({f"f{number}": bytes([number]) for number in range(1, 6)})
    contents = []
    for each in downloads(
        site, [stored(n) for n in range(1, 6)], tmp_path, seconds=7, progress=nothing
    ):
        contents.append(each.result().read_bytes())
        # As sending takes its time: the next one comes meanwhile.
        until(lambda: len(site.order) >= min(len(contents) + 1, 5), "the next one has come")
    assert contents == [bytes([number]) for number in range(1, 6)]
    assert site.most == 2
    assert site.asked == [7.0] * 5
    assert list(tmp_path.iterdir()) == []


def test_the_next_file_is_fetched_while_one_is_in_use(tmp_path: Path) -> None:
    """It is there without being asked for."""
    site = FakeSite({"f1": b"1", "f2": b"2", "f3": b"3"})
    coming = downloads(
        site, [stored(1), stored(2), stored(3)], tmp_path, seconds=0, progress=nothing
    )
    next(coming).result()
    until(lambda: len(site.order) >= 2, "the second one has come")
    assert site.order == ["f1", "f2"]
    coming.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (NotFoundError("It is gone."), NotFoundError),
        (OSError(28, "No space left on device"), ServiceError),
        (ZeroDivisionError(), UnexpectedError),
    ],
)
def test_a_file_that_does_not_come_is_an_error_of_its_own(
    tmp_path: Path, raised: Exception, kind: type[ImagingError]
) -> None:
    """The next one comes all the same."""
    site = FakeSite({"f1": raised, "f2": b"2"})
    first, second = (
        each
        for each in _results(
            downloads(site, [stored(1), stored(2)], tmp_path, seconds=0, progress=nothing)
        )
    )
    assert isinstance(first, kind)
    assert second == b"2"


def _results(coming: object) -> list[bytes | ImagingError]:
    results: list[bytes | ImagingError] = []
    for each in coming:  # type: ignore[attr-defined]
        try:
            results.append(each.result().read_bytes())
        except ImagingError as error:
            results.append(error)
    return results


def test_no_files_are_no_downloads(tmp_path: Path) -> None:
    """Nothing is begun."""
    assert list(downloads(FakeSite({}), [], tmp_path, seconds=0, progress=nothing)) == []


def test_a_file_that_grows_is_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes; one that hangs is none."""
    monkeypatch.setattr("imaging_gears.dicom_send.downloads.LOOK_SECONDS", 0.02)
    grown: list[int] = []

    class Slow(FakeSite):
        def download(self, file: StoredFile, path: Path, *, seconds: float) -> None:
            part = path.with_name(f"{path.name}.part")
            for number in range(1, 6):
                with part.open("ab") as file_:
                    file_.write(b"x")
                until(lambda: len(grown) >= number, "it was seen to grow")  # noqa: B023 - at once
            time.sleep(0.3)
            part.rename(path)

    (only,) = downloads(
        Slow({}), [stored(1)], tmp_path, seconds=0, progress=lambda: grown.append(1)
    )
    assert len(grown) == 5
    assert only.result() == only.path


def test_a_file_that_changes_its_name_makes_no_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listed under a name is not there when it is looked at: as a link to nothing."""
    monkeypatch.setattr("imaging_gears.dicom_send.downloads.LOOK_SECONDS", 0.02)
    grown: list[int] = []

    class Renaming(FakeSite):
        def download(self, file: StoredFile, path: Path, *, seconds: float) -> None:
            part = path.with_name(f"{path.name}.part")
            part.write_bytes(b"x")
            until(lambda: grown, "it was seen to grow")
            nowhere = path.with_name("link")
            nowhere.symlink_to(path.with_name("nowhere"))
            nowhere.replace(part)
            time.sleep(0.2)
            path.with_name("new").write_bytes(b"x")
            path.with_name("new").replace(part)
            part.rename(path)

    (only,) = downloads(
        Renaming({}), [stored(1)], tmp_path, seconds=0, progress=lambda: grown.append(1)
    )
    assert len(grown) == 1
    assert only.result() == only.path
