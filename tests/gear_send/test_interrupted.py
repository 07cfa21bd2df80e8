"""A run that is cancelled or killed before anything is sent, or while the next file comes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imaging_gears.gear.start import CANCELLED
from imaging_gears.sandbox import Fault
from tests.gear_send.send_helpers import Session, rows, slices, tables, zipped
from tests.waiting import LONG, until

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

pytestmark = pytest.mark.slow

# On a busy machine; what would keep a run (a held request, a slow download) lasts longer.
END_SECONDS = LONG
FILES, IMAGES = 3, 5
LISTING = Fault("flywheel", route="*/acquisitions", kind="hold")
DOWNLOAD = Fault("flywheel", "GET", "*/files/*.zip", kind="drip", seconds=0.2, times=None)
SECOND = Fault("flywheel", "GET", "*/files/*.zip", kind="drip", seconds=0.2, times=None, skip=1)


def part(folder: Path, number: int) -> bool:
    """Whether the download with a number has begun, and is not complete."""
    return any((folder / "work").glob(f"*/{number}.file.part"))


def listed(sandbox: Sandbox, session: Session, folder: Path) -> bool:
    """Whether the gear waits for the list of acquisitions."""
    return bool(sandbox.faults.held())


def first(sandbox: Sandbox, session: Session, folder: Path) -> bool:
    """Whether the gear waits for the first file."""
    return part(folder, 0)


def second(sandbox: Sandbox, session: Session, folder: Path) -> bool:
    """Whether the first file has been sent, and the gear waits for the second."""
    return part(folder, 1) and "file 1 of 3" in (folder / "log").read_text(encoding="utf-8")


def whole_reports(folder: Path) -> list[list[str]]:
    """Return the rows of the report in output/; all that is there is whole."""
    paths = list((folder / "output").iterdir())
    if not paths:
        return []
    assert len(paths) == 2
    texts = {path.name: path.read_text(encoding="utf-8") for path in paths}
    assert all(len({len(row) for row in rows(text)}) == 1 for text in texts.values())
    return tables(texts)[0]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    ("fault", "reached", "reported"),
    [
        (LISTING, listed, []),
        (DOWNLOAD, first, ["Failed"] * 3),
        (SECOND, second, ["Complete", "Failed", "Failed"]),
    ],
    ids=["listing", "first download", "second download"],
)
def test_a_run_that_ends_early_leaves_nothing_half_done(
    session: Session,
    how: signal.Signals,
    fault: Fault,
    reached: Callable[[Sandbox, Session, Path], bool],
    reported: list[str],
) -> None:
    """The process ends at once; a second run sends everything, and its report is right.

    Cancelled, it leaves its report, if it knew its files, and no file in work/. Killed, it leaves
    none; what is there of a download does not bear the name of a complete one.
    """
    for number in range(1, FILES + 1):
        session.acquisition(f"T{number}", zipped(*slices(IMAGES, f"1.2.826.0.1.7.{number}")))
    sandbox = session.sandbox
    sandbox.faults.add(fault)
    folder = session.folder({"type": "session", "id": session.session})
    process = session.start(folder)
    until(lambda: reached(sandbox, session, folder), "it is where it is to be ended")
    process.send_signal(how)
    ended = session.wait(process, folder)
    assert ended.seconds < END_SECONDS
    left = [path for name in ("work", "tmp") for path in (folder / name).rglob("*")]
    if how == signal.SIGTERM:
        assert ended.code == CANCELLED, ended.out
        assert left == []
        assert [row[5] for row in whole_reports(folder)] == reported
        assert "Traceback" not in ended.out
    else:
        assert ended.code == -signal.SIGKILL
        assert [path.name for path in left if path.suffix == ".file"] in ([], ["0.file"])
        assert whole_reports(folder) == []
    assert session.reports() == {}
    sandbox.faults.clear()
    again = session.run_all()
    assert again.code == 0, again.out
    assert len(session.archive.images()) == FILES * IMAGES
    files, instances = tables(session.reports())
    assert [row[3:] for row in files] == [[str(IMAGES), str(IMAGES), "Complete"]] * FILES
    assert instances == []
