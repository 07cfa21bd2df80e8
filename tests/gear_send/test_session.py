"""Runs on a session: everything below it, against a real server."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, MRImageStorage

from imaging_gears.sandbox import Fault
from tests.gear_send.send_helpers import Session, kill, only, rows, slices, zipped
from tests.waiting import until

pytestmark = pytest.mark.slow

NAME = re.compile(
    r"dicom-send_report-visit-of-Zelda_\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d(_instances)?\.csv"
)
DRY_NAME = NAME.pattern.replace("visit-of-Zelda_", "visit-of-Zelda_dry-run_")
HEAD = ["Acquisition ID", "FW Path", "Filename", "Images in Series", "Images Sent", "Status"]


def test_a_session_with_an_empty_zip_and_a_broken_member(session: Session) -> None:
    """What can be sent arrives; the report says of each file and of each image what became of it.

    The private tag is there, with its creator; pixel data are those that were uploaded.
    """
    whole, broken = slices(3), slices(3, "1.2.826.0.1.7.2")
    session.acquisition("T1", zipped(*whole))
    session.acquisition("T2", zipped())
    session.acquisition("T3", zipped(broken[0], broken[1][:-500], broken[2]))
    ended = session.run_all()
    assert ended.code == 1, ended.out
    arrived = session.archive.images()
    assert set(arrived) == {
        *(f"1.2.826.0.1.7.1.{number}" for number in (1, 2, 3)),
        *(f"1.2.826.0.1.7.2.{number}" for number in (1, 3)),
    }
    assert {each[0x0021, 0x1000].value for each in arrived.values()} == {"DICOM Send"}
    assert {each[0x0021, 0x0010].value for each in arrived.values()} == {"Flywheel"}
    reports = session.reports()
    assert len(reports) == 2
    assert all(NAME.fullmatch(name) for name in reports)
    table = rows(only(reports, next(n for n in reports if "instances" not in n)))
    assert table[0] == HEAD
    assert [row[3:] for row in table[1:]] == [
        ["3", "3", "Complete"],
        ["0", "0", "Failed"],
        ["3", "2", "Incomplete"],
    ]
    assert table[1][1].endswith("/ingest/Quixote/visit-of/Zelda/T1/files/Quixote.dicom.zip")
    told = rows(only(reports, "_instances.csv"))[1:]
    assert [(row[3], row[6]) for row in told] == [("", "failed"), ("2", "refused")]
    assert "images-not-sent: 1 of 6 images were not sent" in ended.out
    assert re.search(r"1 +[0-9a-f]{24} +3 +3 +Complete", ended.out)


def test_a_complete_session_succeeds(session: Session) -> None:
    """Exit 0, and nothing is left on disk."""
    session.acquisition("T1", zipped(*slices(2)))
    session.acquisition("T2", slices(1, "1.2.826.0.1.7.2")[0], "Quixote.dcm")
    folder = session.folder({"type": "subject", "id": session.subject})
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    assert len(session.archive.images()) == 3
    assert [p for name in ("work", "output", "tmp") for p in (folder / name).rglob("*")] == []


def test_a_kill_in_the_middle_and_a_second_run(session: Session) -> None:
    """Everything arrives, and the second run's report is that of a run without a kill."""
    for number in range(1, 4):
        session.acquisition(f"T{number}", zipped(*slices(60, f"1.2.826.0.1.7.{number}")))
    folder = session.folder({"type": "session", "id": session.session})
    # It can't be quicker than the kill: the last file does not come.
    faults = session.sandbox.faults
    faults.add(Fault("flywheel", "GET", "*/files/*.zip", kind="hold", skip=2))
    process = session.start(folder)
    until(lambda: len(list(session.archive.folder.iterdir())) >= 70, "it is in the second file")
    kill(process)
    assert session.wait(process, folder).code == -9
    assert session.reports() == {}
    faults.clear()
    ended = session.run_all()
    assert ended.code == 0, ended.out
    assert len(session.archive.images()) == 180
    table = rows(only(session.reports(), next(n for n in session.reports() if "inst" not in n)))
    assert [row[3:] for row in table[1:]] == [["60", "60", "Complete"]] * 3


def test_a_dry_run_sends_and_uploads_nothing(session: Session) -> None:
    """The server was asked; table and report say what would be sent."""
    session.acquisition("T1", zipped(*slices(2)))
    folder = session.folder({"type": "session", "id": session.session}, dry_run=True)
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    assert session.archive.images() == {}
    assert session.reports() == {}
    left = {each.name: each.read_text(encoding="utf-8") for each in (folder / "output").iterdir()}
    assert len(left) == 2
    assert all(re.fullmatch(DRY_NAME, name) for name in left)
    table = rows(only(left, next(name for name in left if "instances" not in name)))
    assert [row[3:] for row in table[1:]] == [["2", "2", "Complete"]]
    assert "2 of 2 images of 1 files would be sent" in ended.out


def test_a_dry_run_says_what_the_server_would_refuse(session: Session) -> None:
    """Exit 1; class and syntax in the log, the image in the report that the last line leads to."""
    session.archive.restart(syntaxes="+xi")
    jpeg = Path(str(get_testdata_file("JPEG2000.dcm"))).read_bytes()
    session.acquisition("T1", zipped(*slices(1), jpeg))
    folder = session.folder({"type": "session", "id": session.session}, dry_run=True)
    ended = session.run(folder)
    assert ended.code == 1, ended.out
    assert session.archive.images() == {}
    assert "JPEG 2000 Image Compression: the server refused it" in ended.out
    assert "1 of 2 images would not be sent" in ended.out
    (path,) = (folder / "output").glob("*_instances.csv")
    told = rows(path.read_text(encoding="utf-8"))[1:]
    assert [(row[3], row[6]) for row in told] == [("1", "converted"), ("2", "failed")]
    assert told[0][7] == f"would be sent in transfer syntax {ImplicitVRLittleEndian}"


@pytest.mark.parametrize(("takes", "code"), [(MRImageStorage, 0), (CTImageStorage, 1)])
def test_a_dry_run_on_a_server_without_verification_depends_on_the_contexts(
    session: Session, takes: str, code: int
) -> None:
    """It says that C-ECHO is not offered, and goes on to what the images need."""
    session.acquisition("T1", zipped(*slices(2)))
    ae = AE(ae_title="PACS")
    ae.add_supported_context(takes)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        ended = session.run_all(port=server.server_address[1], dry_run=True)
    finally:
        server.shutdown()
    assert ended.code == code, ended.out
    assert "the server does not offer C-ECHO (the server refused it: " in ended.out
    would = 0 if code else 2
    assert f"{would} of 2 images of 1 files would be sent" in ended.out.splitlines()[-1]


def test_a_report_that_can_not_be_attached_stays_in_output(session: Session) -> None:
    """With a key that may only read: the images are sent, the log says where the report is."""
    session.acquisition("T1", zipped(*slices(1)))
    sandbox = session.sandbox
    secret = sandbox.site.access.add_user(f"reader{time.monotonic_ns()}", "read-only")
    folder = session.folder({"type": "session", "id": session.session})
    text = (folder / "config.json").read_text(encoding="utf-8")
    own = sandbox.api_key.rpartition(":")[2]
    (folder / "config.json").write_text(text.replace(own, secret), encoding="utf-8")
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    assert len(session.archive.images()) == 1
    assert len(list((folder / "output").glob("dicom-send_report-*.csv"))) == 2
    assert f"Flywheel attaches to session {session.session}, the container of" in ended.out


def test_a_server_that_is_not_there_ends_the_run(session: Session) -> None:
    """One bounded wait, every file in the report, and a sentence with the server's address."""
    session.acquisition("T1", zipped(*slices(2)))
    session.acquisition("T2", zipped(*slices(2, "1.2.826.0.1.7.2")))
    session.archive.kill()
    ended = session.run_all()
    assert ended.code == 1
    assert f"127.0.0.1:{session.archive.port}" in ended.out
    assert "dicom-server-unreachable: " in ended.out
    codes = "dicom-server-unreachable, images-not-sent"
    assert f"FAILED ({codes}): 0 of 2 images" in ended.out.splitlines()[-1]
    table = rows(only(session.reports(), next(n for n in session.reports() if "inst" not in n)))
    assert [row[5] for row in table[1:]] == ["Failed", "Failed"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"called_ae": "A" * 17}, "called_ae"),
        ({"destination": "dicom://pacs"}, "destination"),
        ({"port": 0}, "port"),
        ({"group": "0x0020"}, "config value group is none for private elements"),
        ({"tls_enabled": True}, "no input key"),
    ],
)
def test_what_is_set_up_wrongly_is_told_before_anything_is_read(
    session: Session, change: dict[str, object], sentence: str
) -> None:
    """No request to the site, no connection to the server."""
    session.acquisition("T1", zipped(*slices(1)))
    ended = session.run_all(**change)
    assert ended.code == 1
    assert re.search(sentence, ended.out)
    assert session.sandbox.requests.count().get("flywheel", 0) == 0
