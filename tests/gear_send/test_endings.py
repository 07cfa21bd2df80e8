"""How a run ends: cancelled, by an error that nobody foresaw, and without lingering."""

from __future__ import annotations

import csv
import io
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.gear_send.send_helpers import (
    GEAR,
    Session,
    mounted,
    on_file,
    slices,
    zipped,
)
from tests.pki import self_signed
from tests.waiting import LONG, until

pytestmark = pytest.mark.slow

LINGER_SECONDS = 2.0
IMAGES = 60
"""As many keep a run for half a minute, each of two associations a second with every image."""
END_SECONDS = 20.0
"""Within which a run that is cancelled ends on a busy machine: less than what it leaves undone."""
CANCELLED = 143
# The gear, with a server in memory that an error comes out of.
BREAKS = """
import sys
from imaging_gears.dicom_send import run
from tests.unit.dicom_send_gear.world import FakeServer
run.dicom_server = lambda *_: FakeServer(breaks_after=1)
sys.exit(run.main())
"""
UNSENT = "the run ended before it was sent"


def reports(folder: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rows of the two CSV files in a folder's output/."""
    (instances,) = (folder / "output").glob("*_instances.csv")
    (files,) = set((folder / "output").glob("*.csv")) - {instances}
    texts = (path.read_text(encoding="utf-8") for path in (files, instances))
    first, second = (list(csv.reader(io.StringIO(text)))[1:] for text in texts)
    return first, second


def slow(session: Session) -> None:
    """Let the server take its time over each image."""
    session.archive.restart("--sleep-during", "1")


def cancelled(session: Session, folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Cancel a run once the server has an image; return what it printed."""
    until(lambda: any(session.archive.folder.iterdir()), "an image has come")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    ended = session.wait(process, folder)
    assert ended.code == CANCELLED, ended.out
    assert ended.seconds < END_SECONDS
    return ended.out


def test_a_cancelled_run_leaves_its_report(session: Session) -> None:
    """SIGTERM: every file and every image has its row in output/, and the log its summary."""
    slow(session)
    for number in (1, 2, 3):
        session.acquisition(f"T{number}", zipped(*slices(IMAGES, f"1.2.826.0.1.7.{number}")))
    folder = session.folder({"type": "session", "id": session.session})
    out = cancelled(session, folder, session.start(folder))
    files, instances = reports(folder)
    counts = [(int(row[3]), int(row[4]), row[5]) for row in files]
    assert counts[0][0] == IMAGES
    assert counts[1:] == [(0, 0, "Failed")] * 2
    unsent = [row for row in instances if row[7] == UNSENT]
    assert len(unsent) == IMAGES - counts[0][1] > 0
    assert [row[7] for row in instances[-2:]] == ["not tried: the run ended before"] * 2
    assert f"CANCELLED: {counts[0][1]} of {IMAGES} images of 3 files sent" in out
    assert session.reports() == {}
    assert list((folder / "work").iterdir()) == []


def test_a_cancelled_run_on_a_file_says_that_the_old_verdict_stays(session: Session) -> None:
    """The tag of an earlier run is there still, and the log says so."""
    slow(session)
    file_id = session.acquisition("T1", zipped(*slices(IMAGES)))
    session.sandbox.site.change_file(file_id, {"tags": [f"{GEAR}-PASS"]})
    folder = on_file(session, file_id)
    out = cancelled(session, folder, session.start(folder))
    assert "the file keeps the verdict and the tag of an earlier run" in out
    assert session.sandbox.site.file(file_id)["tags"] == [f"{GEAR}-PASS"]
    assert len(reports(folder)[0]) == 1


def test_an_error_that_nobody_foresaw_leaves_no_image_without_a_row(
    session: Session,
) -> None:
    """It comes out of the sending after one image of five; the files behind it have rows too."""
    for number in (1, 2, 3):
        session.acquisition(f"T{number}", zipped(*slices(5, f"1.2.826.0.1.7.{number}")))
    folder = session.folder({"type": "session", "id": session.session})
    ended = session.wait(session.start(folder, program=("-c", BREAKS)), folder)
    assert ended.code == 1, ended.out
    texts = session.reports()
    (name,) = (each for each in texts if "_instances" not in each)
    table = list(csv.reader(io.StringIO(texts[name])))[1:]
    assert [row[3:] for row in table] == [
        ["5", "1", "Incomplete"],
        ["0", "0", "Failed"],
        ["0", "0", "Failed"],
    ]
    (told,) = (text for each, text in texts.items() if "_instances" in each)
    rows = list(csv.reader(io.StringIO(told)))[1:]
    assert [(row[3], row[7]) for row in rows[:4]] == [(str(at), UNSENT) for at in (1, 2, 3, 4)]
    assert len(rows) == 6
    assert "unexpected ZeroDivisionError" in ended.out


@pytest.mark.parametrize("tls", [False, True])
def test_the_process_ends_with_its_last_line(session: Session, *, tls: bool) -> None:
    """No association, no thread and no download keeps it."""
    given: dict[str, object] = {}
    if tls:
        identity = self_signed(session.root, "pacs")
        session.archive.speak_tls(identity)
        key, cert = mounted(identity.key), mounted(identity.cert)
        given = {"key": key, "cert": cert, "add_cert_file": cert}
    session.acquisition("T1", zipped(*slices(30)))
    session.acquisition("T2", zipped(*slices(30, "1.2.826.0.1.7.2")))
    container = {"type": "session", "id": session.session}
    ended, seconds = session.timed(session.folder(container, given, tls_enabled=tls))
    assert ended.code == 0, ended.out
    assert "complete: 60 of 60 images of 2 files sent" in ended.out.splitlines()[-1]
    assert len(session.archive.images()) == 60
    assert seconds < LINGER_SECONDS


def test_a_job_that_is_cancelled_while_the_server_is_silent_ends(session: Session) -> None:
    """It accepts the connection and never answers: neither its thread nor it is waited for."""
    session.acquisition("T1", zipped(*slices(2)))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LONG)
        port = silent.getsockname()[1]
        destination = {"type": "session", "id": session.session}
        folder = session.folder(destination, port=port, dry_run=True)
        process = session.start(folder)
        with silent.accept()[0]:
            process.send_signal(signal.SIGTERM)
            ended = session.wait(process, folder)
    assert ended.code == CANCELLED, ended.out
    # It would wait for the answer for half a minute.
    assert ended.seconds < END_SECONDS
