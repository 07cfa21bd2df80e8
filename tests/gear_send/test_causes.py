"""Why something was not sent: the QC record and the last line of the log name the cause."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage

from imaging_gears.sandbox import Fault
from tests.gear_send.send_helpers import (
    Ended,
    Session,
    mounted,
    on_file,
    slices,
    tables,
    zipped,
)
from tests.local_ports import free_port
from tests.pki import self_signed

pytestmark = pytest.mark.slow


@contextmanager
def pacs(*, title: str = "PACS", knows: str = "", status: int = 0) -> Iterator[int]:
    """A server that looks at AE titles and answers C-STORE with a status; yields its port."""
    ae = AE(ae_title=title)
    ae.require_called_aet = True
    ae.require_calling_aet = [knows] if knows else []
    ae.add_supported_context(MRImageStorage)
    handlers = [(evt.EVT_C_STORE, lambda _: status)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def codes(session: Session, file_id: str, ended: Ended) -> list[str]:
    """Return the codes of the file's record; its first one has to be in the last line, too."""
    validation = session.sandbox.site.file(file_id)["info"]["qc"]["dicom-send"]["validation"]
    assert (ended.code, validation["state"]) == (1, "FAIL"), ended.out
    found = [each["code"] for each in validation["data"]]
    ending = f"FAILED ({', '.join(found)}): 0 of 2 images of 1 files sent"
    assert ending in ended.out.splitlines()[-1]
    return found


@pytest.mark.parametrize(
    ("server", "cause"),
    [
        ({"title": "OTHER"}, "called-ae-title-unknown"),
        ({"knows": "SOMEBODY"}, "calling-ae-title-unknown"),
    ],
)
def test_an_ae_title_that_the_server_does_not_know(
    session: Session, server: dict[str, str], cause: str
) -> None:
    """Which of the two it is, and what to do."""
    file_id = session.acquisition("T1", zipped(*slices(2)))
    with pacs(**server) as port:  # type: ignore[arg-type]
        ended = session.run(on_file(session, file_id, port=port))
    assert codes(session, file_id, ended) == [cause, "images-not-sent"]
    assert "Waiting" not in ended.out


@pytest.mark.parametrize(
    ("trusted", "speaks", "cause"),
    [(False, True, "certificate-refused"), (True, False, "tls-refused")],
)
def test_tls_that_does_not_come_about(
    session: Session, *, trusted: bool, speaks: bool, cause: str
) -> None:
    """The server's certificate is not trusted, or the server does not speak TLS."""
    identity = self_signed(session.root, "pacs")
    if speaks:
        session.archive.speak_tls(identity)
    file_id = session.acquisition("T1", zipped(*slices(2)))
    inputs = {"key": mounted(identity.key), "cert": mounted(identity.cert)}
    if trusted:
        inputs["add_cert_file"] = mounted(identity.cert)
    parent = session.sandbox.site.file(file_id)["parent_ref"]
    given = {**session.file_input(session.root, file_id), **inputs}
    ended = session.run(session.folder(parent, given, tls_enabled=True))
    assert codes(session, file_id, ended) == [cause, "images-not-sent"]


def test_a_server_that_is_not_there_and_one_without_room(session: Session) -> None:
    """Both are waited for half a minute, so here at once: unreachable, out of resources."""
    first = session.acquisition("T1", zipped(*slices(2)))
    second = session.acquisition("T2", zipped(*slices(2, "1.2.826.0.1.7.2")))
    with pacs(status=0xA700) as port:
        nowhere = on_file(session, first, port=free_port())
        full = on_file(session, second, port=port)
        runs = session.start(nowhere), session.start(full)
        ends = session.wait(runs[0], nowhere), session.wait(runs[1], full)
    assert codes(session, first, ends[0]) == ["dicom-server-unreachable", "images-not-sent"]
    assert codes(session, second, ends[1]) == ["dicom-server-out-of-resources", "images-not-sent"]
    assert "status 0xA700, out of resources" in ends[1].out


def test_a_server_whose_name_is_unknown_ends_the_run_at_once(session: Session) -> None:
    """Nothing is listed or downloaded for it; a file that was given has its record."""
    file_id = session.acquisition("T1", zipped(*slices(2)))
    session.sandbox.requests.clear()
    everything = session.run_all(destination="no-such-host.invalid")
    assert everything.code == 1
    assert "looking up destination: its name can't be resolved" in everything.out
    assert "FAILED (dicom-server-unreachable)" in everything.out.splitlines()[-1]
    assert session.sandbox.requests.all() == []
    ended = session.run(on_file(session, file_id, destination="no-such-host.invalid"))
    validation = session.sandbox.site.file(file_id)["info"]["qc"]["dicom-send"]["validation"]
    assert [each["code"] for each in validation["data"]] == ["dicom-server-unreachable"]
    assert (ended.code, session.sandbox.site.file(file_id)["tags"]) == (1, ["dicom-send-FAIL"])


def test_a_dry_run_names_the_cause(session: Session) -> None:
    """Of its echo; it leaves no record, so the last line has it alone."""
    file_id = session.acquisition("T1", zipped(*slices(2)))
    with pacs(title="OTHER") as port:
        folder = on_file(session, file_id, port=port, dry_run=True)
        ended = session.run(folder)
    assert ended.code == 1, ended.out
    assert "FAILED (called-ae-title-unknown): " in ended.out.splitlines()[-1]
    left = {each.name: each.read_text() for each in (folder / "output").glob("*_dry-run_*.csv")}
    ((*_, status),), ((*_, reason),) = tables(left)
    assert status == "Failed"
    assert reason.startswith("not tried: ")
    assert reason.endswith("called AE title not recognized.")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"called_ae": ""}, "config-invalid"),
        ({"group": "0x0022"}, "config-invalid"),
        ({"tls_enabled": True}, "tls-files-invalid"),
    ],
)
@pytest.mark.parametrize("identified", [True, False])
def test_a_job_that_ends_before_it_reached_its_file_takes_an_earlier_pass_away(
    session: Session, wrong: dict[str, object], code: str, *, identified: bool
) -> None:
    """FAIL with the error's code and the file's path, also where config.json has no file_id."""
    file_id = session.acquisition("T1", zipped(*slices(1)))
    assert session.run(on_file(session, file_id)).code == 0
    assert session.sandbox.site.file(file_id)["tags"] == ["dicom-send-PASS"]
    folder = on_file(session, file_id, **wrong)
    document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not identified:
        del document["inputs"]["file"]["object"]
        (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    ended = session.run(folder)
    file = session.sandbox.site.file(file_id)
    validation = file["info"]["qc"]["dicom-send"]["validation"]
    assert (ended.code, validation["state"], file["tags"]) == (1, "FAIL", ["dicom-send-FAIL"])
    assert [each["code"] for each in validation["data"]] == [code]
    path = validation["data"][0]["flywheel_path"]  # as contract outputs.md, 4 has it
    assert re.fullmatch(r"fw://[^/]+/ingest/Quixote/visit-of/Zelda/T1/Quixote\.dicom\.zip", path)
    assert f"FAILED ({code}): " in ended.out.splitlines()[-1]


def test_a_dry_run_that_ends_early_writes_nothing(session: Session) -> None:
    """As any other dry run."""
    file_id = session.acquisition("T1", zipped(*slices(1)))
    before = session.sandbox.site.dump(session.project)
    assert session.run(on_file(session, file_id, called_ae="", dry_run=True)).code == 1
    assert session.sandbox.site.dump(session.project) == before


def test_an_early_end_without_a_key_says_that_nothing_is_recorded(session: Session) -> None:
    """An earlier verdict may stand there still."""
    file_id = session.acquisition("T1", zipped(*slices(1)))
    folder = on_file(session, file_id, called_ae="")
    document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del document["inputs"]["api-key"]
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")
    ended = session.run(folder)
    assert ended.code == 1
    assert ended.out.count("the QC result could not be written on the input file") == 1
    assert "FAILED (config-invalid): " in ended.out.splitlines()[-1]


def test_images_that_are_refused_are_the_cause_themselves(session: Session) -> None:
    """The server works, and this is no fault of it."""
    first, cut = slices(2)
    file_id = session.acquisition("T1", zipped(first[:-1], cut[:-1]))
    ended = session.run(on_file(session, file_id))
    assert codes(session, file_id, ended) == ["images-not-sent"]


def packed(data: bytes) -> bytes:
    """Return a tar of one member, to be packed by this and that."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo("1.dcm")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


def flagged(content: bytes, *, encrypted: bool = False, method: int | None = None) -> bytes:
    """Return a zip whose directory and headers say that of each member (APPNOTE 4.4.4, 4.4.5)."""
    changed = bytearray(content)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(signature), content):
            flags = found.start() + place
            changed[flags] |= encrypted
            if method is not None:
                changed[flags + 2 : flags + 4] = method.to_bytes(2, "little")
    return bytes(changed)


NOT_READ = {
    "zip, cut off": lambda: zipped(*slices(2))[:-30],
    "tar, cut off": lambda: packed(slices(1)[0])[:300],
    "zip, encrypted": lambda: flagged(zipped(*slices(2)), encrypted=True),
    "zip, of a method that nobody has": lambda: flagged(zipped(*slices(2)), method=97),
    "gz, no tar in it": lambda: gzip.compress(b"no tar" * 200),
    "xz": lambda: lzma.compress(packed(slices(1)[0])),
    "bz2": lambda: bz2.compress(packed(slices(1)[0])),
    "7z": lambda: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(200),
    "rar": lambda: b"Rar!\x1a\x07\x01\x00" + bytes(200),
}


@pytest.mark.parametrize("what", NOT_READ)
def test_an_archive_that_can_not_be_read_is_told_as_that(session: Session, what: str) -> None:
    """The scanner's people can help, and the DICOM server's administrator can't."""
    file_id = session.acquisition("T1", NOT_READ[what]())
    ended = session.run(on_file(session, file_id))
    validation = session.sandbox.site.file(file_id)["info"]["qc"]["dicom-send"]["validation"]
    assert (ended.code, validation["state"]) == (1, "FAIL"), ended.out
    assert validation["data"][0]["code"] == "archive-unreadable"
    assert "FAILED (archive-unreadable" in ended.out.splitlines()[-1]
    assert "Pack the series as an ordinary zip (deflate, no password)" in ended.out
    files, instances = tables(session.reports())
    # Members that are listed count; of the other archives nobody can tell how many there are.
    lost = 2 if what in ("zip, encrypted", "zip, of a method that nobody has") else 0
    assert [row[3:] for row in files] == [[str(lost), "0", "Failed"]]
    assert [row[6] for row in instances] == (["refused"] * lost or ["failed"])
    assert ("images-not-sent" in ended.out) is bool(lost)


def test_a_server_that_aborts_at_the_only_image_is_named(session: Session) -> None:
    """One image does not prove that the server is down, and is what a first try sends."""
    session.archive.restart("--abort-after")
    file_id = session.acquisition("T1", zipped(*slices(1)))
    ended = session.run(on_file(session, file_id))
    assert ended.code == 1, ended.out
    validation = session.sandbox.site.file(file_id)["info"]["qc"]["dicom-send"]["validation"]
    found = [each["code"] for each in validation["data"]]
    assert found == ["dicom-server-failed", "images-not-sent"]
    assert f"FAILED ({', '.join(found)}): 0 of 1 images" in ended.out.splitlines()[-1]
    assert "ask the DICOM server's administrator what its log says of that time" in ended.out


def test_inputs_for_tls_without_tls_are_told(session: Session) -> None:
    """Whoever gives them believes that the images are encrypted."""
    identity = self_signed(session.root, "pacs")
    file_id = session.acquisition("T1", zipped(*slices(1)))
    parent = session.sandbox.site.file(file_id)["parent_ref"]
    given = {**session.file_input(session.root, file_id), "key": mounted(identity.key)}
    ended = session.run(session.folder(parent, given))
    assert ended.code == 0, ended.out
    assert "WARNING there are inputs for TLS, and tls_enabled is off: TLS is not used" in ended.out


def test_a_file_of_an_analysis_has_its_path(session: Session) -> None:
    """As the site finds it; the report is on the session."""
    site = session.sandbox.site
    session.session = site.add_session(session.subject, "visit 1")
    analysis = site.add_analysis(session.session, "made here")
    file_id = site.upload(analysis, "a.zip", zipped(*slices(1)), type="dicom")["file_id"]
    ended = session.run(on_file(session, file_id))
    assert ended.code == 0, ended.out
    ((acquisition, path, *_),), _ = tables(session.reports())
    assert acquisition == ""
    assert path.endswith("/analyses/made here/files/a.zip")
    assert site.lookup(path)["file_id"] == file_id


def test_each_file_that_can_not_be_sent_is_told_by_what_it_is(session: Session) -> None:
    """One without DICOM, one cut off, and one that is sent all the same."""
    session.acquisition("T1", zipped(b"no image", b"no more"))
    session.acquisition("T2", zipped(*slices(2))[:-30])
    session.acquisition("T3", zipped(*slices(2)))
    ended = session.run_all()
    assert ended.code == 1
    last = ended.out.splitlines()[-1]
    assert "FAILED (not-dicom, archive-unreadable): 2 of 2 images of 3 files sent" in last


DOWNLOAD = "/{kind}/{id}/files/{name}"


@pytest.mark.parametrize(
    ("status", "times", "code"),
    [(500, 3, "service-unavailable"), (404, 1, "not-found"), (403, 1, "permission-denied")],
)
def test_a_file_that_can_not_be_downloaded_is_told_as_that(
    session: Session, status: int, times: int, code: str
) -> None:
    """The last line has its code, the sentence says what to do; no DICOM server is suspected."""
    session.acquisition("T1", zipped(*slices(1)))
    session.acquisition("T2", zipped(*slices(1, "1.2.826.0.1.7.2")))
    fault = Fault(
        service="flywheel", method="GET", route=DOWNLOAD, times=times, kind="status", status=status
    )
    session.sandbox.faults.add(fault)
    ended = session.run_all(file_download_retry_time=0)
    assert ended.code == 1
    assert f"FAILED ({code}): 1 of 1 images of 2 files sent" in ended.out.splitlines()[-1]
    assert "images-not-sent" not in ended.out
    assert "the DICOM server's administrator" not in ended.out


def test_a_download_that_failed_and_an_image_that_was_refused_are_both_told(
    session: Session,
) -> None:
    """Neither hides the other, and the counts are those of the images."""
    whole, cut = slices(2)
    session.acquisition("T1", zipped(*slices(1, "1.2.826.0.1.7.2")))
    session.acquisition("T2", zipped(whole, cut[:-1]))
    fault = Fault(
        service="flywheel", method="GET", route=DOWNLOAD, times=3, kind="status", status=500
    )
    session.sandbox.faults.add(fault)
    ended = session.run_all(file_download_retry_time=0)
    last = ended.out.splitlines()[-1]
    assert "FAILED (service-unavailable, images-not-sent): 1 of 2 images of 2 files" in last
    assert "images-not-sent: 1 of 2 images were not sent; 2 of 2 files are not" in ended.out
    assert "service-unavailable: Flywheel did not answer usably while downloading" in ended.out
