"""What a run leaves on its input file."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imaging_gears.dicom_send.outputs import Record
from imaging_gears.errors import DeliveryError, ImagingError, PermissionDeniedError, ServiceError
from imaging_gears.gear.job import InputFile, Job
from imaging_gears.model.findings import Finding, error_finding
from imaging_gears.ports import FileState
from tests.fakes import InMemorySite

MOMENT = dt.datetime(2026, 11, 20, 7, 2, 5, tzinfo=dt.UTC)
REFUSED, DOWN = PermissionDeniedError("Flywheel refused."), ServiceError("Flywheel", "HTTP 503")
FAILURE = (error_finding(DeliveryError("1 of 2 images were not sent.")),)


def left(output: Path) -> dict[str, bytes]:
    """Return what is in a folder."""
    return {each.name: each.read_bytes() for each in output.iterdir()}


@dataclass
class There:
    """A file on a site in memory, and the record of a run on it."""

    site: InMemorySite = field(default_factory=InMemorySite)
    state: FileState = field(init=False)

    def __post_init__(self) -> None:
        """Make the containers and the file, which another gear has judged."""
        container = None
        for type_ in ("group", "project", "subject", "session", "acquisition"):
            container = self.site.add(type_, f"the-{type_}", container)
        info = {"qc": {"other": {"x": 1}}, "mine": 2}
        self.state = self.site.put(
            str(container), "a.zip", b"", info, ("dicom-send-FAIL", "theirs")
        )

    def record(self, findings: tuple[Finding, ...] = (), version: int = 1) -> Record:
        """Return the record of a run on that version."""
        file = InputFile(
            path=Path("a.zip"), name="a.zip", file_id=self.state.file_id, version=version
        )
        config = {"port": 104, "tls_key_password": "s3cr3t"}
        job = Job(
            gear_version="1", files={"file": file}, destination=self.state.parent, config=config
        )
        return Record(job=job, findings=findings, path="fw://g/p/a.zip", moment=MOMENT)

    def now(self) -> FileState:
        """Return the file as it is now."""
        return self.site.file(self.state.file_id)


def test_the_verdict_stands_on_the_file_beside_other_gears(tmp_path: Path) -> None:
    """PASS: an empty list, one tag of the gear, nothing of others is lost."""
    there = There()
    there.record().write(there.site, tmp_path, succeeds=True)
    qc = there.now().info["qc"]
    assert qc["other"] == {"x": 1}
    assert qc["dicom-send"]["validation"] == {"state": "PASS", "data": [], "cleared": []}
    assert there.now().info["mine"] == 2
    assert there.now().tags == ("theirs", "dicom-send-PASS")


def test_the_record_has_no_config_that_the_gear_does_not_know(tmp_path: Path) -> None:
    """A key that somebody put there would stand where everybody can read it."""
    there = There()
    there.record().write(there.site, tmp_path, succeeds=True)
    assert there.now().info["qc"]["dicom-send"]["job_info"]["config"] == {"port": 104}
    there.site.on.add("set_file_info", PermissionDeniedError("It is refused."))
    there.record().write(there.site, tmp_path, succeeds=True)
    assert "s3cr3t" not in (tmp_path / ".metadata.json").read_text()


def test_a_failure_stands_there_with_code_and_path(tmp_path: Path) -> None:
    """One finding, for this file, at this time."""
    there = There()
    there.record(FAILURE).write(there.site, tmp_path, succeeds=False)
    validation = there.now().info["qc"]["dicom-send"]["validation"]
    assert validation["state"] == "FAIL"
    (data,) = validation["data"]
    assert (data["code"], data["flywheel_path"]) == ("images-not-sent", "fw://g/p/a.zip")
    assert (data["timestamp"], data["ptid"]) == ("2026-11-20 07:02:05", None)
    assert there.now().tags == ("dicom-send-FAIL", "theirs")


def test_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """It was not sent."""
    there = There()
    there.site.put(there.state.parent.id, "a.zip", b"new")
    there.record(version=1).write(there.site, tmp_path, succeeds=True)
    assert there.now().info == {}
    assert there.now().tags == ()


def test_a_key_that_only_reads_leaves_the_record_to_the_platform(tmp_path: Path) -> None:
    """With info and tags whole, because each replaces what is stored."""
    there = There()
    there.site.on.add("set_file_info", REFUSED)
    there.record().write(there.site, tmp_path, succeeds=True)
    written = json.loads((tmp_path / ".metadata.json").read_text(encoding="utf-8"))
    (entry,) = written["acquisition"]["files"]
    assert entry["name"] == "a.zip"
    assert set(entry["info"]) == {"qc", "mine"}
    assert set(entry["info"]["qc"]) == {"other", "dicom-send"}
    assert sorted(entry["tags"]) == ["dicom-send-PASS", "theirs"]


def test_a_record_that_can_not_be_left_to_the_platform_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The key may only read, and a file stands where output/ should be."""
    (tmp_path / "output").write_bytes(b"")
    there = There()
    there.site.on.add("set_file_info", REFUSED)
    there.record().write(there.site, tmp_path / "output", succeeds=True)
    assert "the QC result could not be written" in caplog.text
    assert "left to the platform" not in caplog.text


@pytest.mark.parametrize(("error", "succeeds"), [(REFUSED, False), (DOWN, True)])
def test_a_record_that_can_not_be_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: ImagingError, *, succeeds: bool
) -> None:
    """The platform applies nothing after a job that failed."""
    there = There()
    there.site.on.add("set_file_info", error)
    there.record(FAILURE).write(there.site, tmp_path, succeeds=succeeds)
    assert "the QC result could not be written" in caplog.text
    assert left(tmp_path) == {}


def test_a_file_that_is_gone_is_told_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And no error comes out."""
    there = There()
    record = there.record()
    there.site.delete(there.state.file_id)
    record.write(there.site, tmp_path, succeeds=True)
    assert "the QC result could not be written" in caplog.text
