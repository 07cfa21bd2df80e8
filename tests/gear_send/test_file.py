"""Runs on one file: its QC record and tag, TLS inputs, and a run without a site."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.gear_send.send_helpers import (
    Session,
    mounted,
    on_file,
    only,
    slices,
    zipped,
)
from tests.pki import self_signed

PASSED, FAILED = "dicom-send-PASS", "dicom-send-FAIL"


def test_a_file_gets_its_verdict_and_the_session_its_report(session: Session) -> None:
    """PASS with tag and job info; the report bears both labels."""
    file_id = session.acquisition("T1", zipped(*slices(2)))
    site = session.sandbox.site
    site.change_file(file_id, {"info": {"qc": {"other": {"x": 1}}}, "tags": [FAILED, "mine"]})
    ended = session.run(on_file(session, file_id))
    assert ended.code == 0, ended.out
    file = site.file(file_id)
    assert sorted(file["tags"]) == [PASSED, "mine"]
    assert file["info"]["qc"]["other"] == {"x": 1}
    record = file["info"]["qc"]["dicom-send"]
    assert record["validation"] == {"state": "PASS", "data": [], "cleared": []}
    assert record["job_info"]["inputs"]["file"]["file_id"] == file_id
    (name,) = (each for each in session.reports() if "instances" not in each)
    assert name.startswith("dicom-send_report-visit-of-Zelda_T1_")


@pytest.mark.parametrize("packed", [True, False])
def test_a_run_leaves_its_input_as_it_was(session: Session, *, packed: bool) -> None:
    """Every byte and the time of its last change, though the tag goes into what is sent."""
    content = zipped(*slices(3)) if packed else slices(1)[0]
    file_id = session.acquisition("T1", content)
    folder = on_file(session, file_id)
    document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    path = Path(document["inputs"]["file"]["location"]["path"])
    os.utime(path, ns=(1_000_000_007, 1_000_000_009))
    before = path.stat()
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    assert len(session.archive.images()) == (3 if packed else 1)
    assert path.read_bytes() == content
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (1_000_000_009, before.st_ino)
    assert [each.name for each in path.parent.iterdir() if path.name in each.name] == [path.name]


def test_the_line_of_a_file_has_its_rates(session: Session) -> None:
    """Images and megabytes a second, which belong to the seconds in the same line."""
    images = slices(20)
    file_id = session.acquisition("T1", zipped(*images))
    ended = session.run(on_file(session, file_id))
    line = re.search(r"20 of 20 images sent.* ([\d.]+) s, (\d+) images/s, ([\d.]+) MB/s", ended.out)
    assert line is not None, ended.out
    seconds, rate, megabytes = map(float, line.groups())
    assert rate > 0
    assert 20 / (seconds + 0.06) - 1 <= rate
    # An image is what it was without 300 to 400 bytes of meta information, and with the tag.
    size = sum(map(len, images)) / len(images) / 1_000_000
    assert megabytes == pytest.approx(rate * size, rel=0.1, abs=0.1)


def test_a_file_with_a_cut_image_fails(session: Session) -> None:
    """FAIL with the error's code; the whole images arrive."""
    first, cut = slices(2)
    file_id = session.acquisition("T1", zipped(first, cut[:-1]))
    ended = session.run(on_file(session, file_id))
    assert ended.code == 1
    file = session.sandbox.site.file(file_id)
    validation = file["info"]["qc"]["dicom-send"]["validation"]
    assert file["tags"] == [FAILED]
    (data,) = validation["data"]
    assert data["code"] == "images-not-sent"
    # The form of contract outputs.md, 4; the CSV has that of the report.
    assert re.fullmatch(r"fw://[^/]+/ingest/Quixote/visit-of/Zelda/T1/[^/]+", data["flywheel_path"])
    assert len(session.archive.images()) == 1


def test_what_was_sent_before_is_sent_again_only_with_resend(session: Session) -> None:
    """The file as it arrived carries the tag."""
    file_id = session.acquisition("T1", slices(1)[0], "Quixote.dcm")
    assert session.run(on_file(session, file_id)).code == 0
    (path,) = session.archive.folder.iterdir()
    tagged = session.acquisition("T2", path.read_bytes(), "Quixote.dcm")
    path.unlink()
    ended = session.run(on_file(session, tagged, resend=False))
    assert ended.code == 0, ended.out
    assert session.archive.images() == {}
    assert session.run(on_file(session, tagged)).code == 0
    (again,) = session.archive.images().values()
    assert len(again.group_dataset(0x0021)) == 2


def test_a_local_run_sends_its_file(session: Session) -> None:
    """No site: the report is in output/."""
    folder = session.folder({}, {})
    path = folder / "Quixote.zip"
    path.write_bytes(zipped(*slices(2)))
    document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    document["inputs"] = {
        "file": {"base": "file", "location": {"name": path.name, "path": str(path)}}
    }
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    assert len(session.archive.images()) == 2
    left = {each.name: each.read_text(encoding="utf-8") for each in (folder / "output").iterdir()}
    assert only(left, "instances.csv").count("\n") == 1
    assert all(name.startswith("dicom-send_report-local_") for name in left)


def test_a_report_has_its_place_whatever_the_labels(session: Session) -> None:
    """Labels of many bytes, and nothing to write to: report, record and tag are on the site."""
    site = session.sandbox.site
    label = "脳MRI追跡検査_第二回_患者群_認知症研究_二〇二六年度_本調査用" * 2
    session.session = site.add_session(session.subject, label)
    file_id = session.acquisition(f"T1強調画像_{label}", zipped(*slices(1)))
    folder = on_file(session, file_id)
    (folder / "output").rmdir()
    (folder / "output").write_bytes(b"")
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    assert site.file(file_id)["tags"] == [PASSED]
    assert site.file(file_id)["info"]["qc"]["dicom-send"]["validation"]["state"] == "PASS"
    assert sum(name.startswith("dicom-send_report-脳MRI") for name in session.reports()) == 2


def test_tls_with_a_private_ca_and_a_client_certificate(session: Session) -> None:
    """The three inputs are used; without the CA the server is not trusted, and that is told."""
    identity = self_signed(session.root, "pacs")
    session.archive.speak_tls(identity)
    file_id = session.acquisition("T1", zipped(*slices(3)))
    parent = session.sandbox.site.file(file_id)["parent_ref"]
    inputs = {"key": identity.key, "cert": identity.cert, "add_cert_file": identity.cert}
    given = {name: mounted(path) for name, path in inputs.items()}
    ended = session.run(session.folder(parent, given, tls_enabled=True))
    assert ended.code == 0, ended.out
    assert len(session.archive.images()) == 3
    del given["add_cert_file"]
    ended = session.run(session.folder(parent, given, tls_enabled=True))
    assert ended.code == 1
    assert "certificate" in ended.out
    assert "Waiting" not in ended.out


def test_a_session_without_dicom_is_told(session: Session) -> None:
    """Nothing to send is not a success."""
    ended = session.run_all()
    assert ended.code == 1
    assert "nothing-to-send" in ended.out
