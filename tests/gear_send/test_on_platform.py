"""The gear as the platform runs it, with a key that may only read; and the demo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging_gears.dicom_send import cli
from imaging_gears.sandbox import Sandbox, Seed
from imaging_gears.sandbox.person import Person
from tests.dcmtk import dcmtk
from tests.gear_send.send_helpers import GEAR, REPOSITORY, Archive, slices, zipped

pytestmark = pytest.mark.slow

PROXY = "http://127.0.0.1:9"
"""Nobody listens there."""
ACQUISITION = "center/ingest/110001/visit-1/T1"


@pytest.fixture
def platform() -> Iterator[Sandbox]:
    """A site with an acquisition and the gear, which runs jobs."""
    acquisitions = [{"label": "T1"}]
    session = {"label": "visit-1", "acquisitions": acquisitions}
    project = {"label": "ingest", "subjects": [{"label": "110001", "sessions": [session]}]}
    seed = {
        "groups": [{"id": "center", "projects": [project]}],
        "gears": [str(REPOSITORY / "gears" / GEAR / "manifest.json")],
        "users": [{"id": "coordinator"}],
    }
    with Sandbox.start(seed=Seed.model_validate(seed)) as started:
        yield started


@pytest.mark.parametrize("cut", [0, 100])
def test_a_key_that_only_reads_is_enough(platform: Sandbox, archive: Archive, cut: int) -> None:
    """The report comes by way of output/; verdict and tag come with a job that succeeded."""
    first, second = slices(2)
    site, acquisition = platform.site, platform.site.lookup(ACQUISITION)["_id"]
    content = zipped(first, second[: len(second) - cut])
    file_id = site.upload(acquisition, "a.zip", content, type="dicom")["file_id"]
    config = {"destination": "127.0.0.1", "port": archive.port, "called_ae": "PACS"}
    with Person(platform.key("coordinator")) as person:
        job_id = person.run_gear(GEAR, "file", file_id, config)
        platform.wait_for_jobs()
        job = person.job(job_id)
    assert job["state"] == ("failed" if cut else "complete"), job["log"]
    assert len(archive.images()) == (1 if cut else 2)
    names = [each["name"] for each in site.container(acquisition)["files"]]
    assert sum(name.startswith("dicom-send_report-visit-1_T1_") for name in names) == 2
    file = site.file(file_id)
    assert file["tags"] == ([] if cut else ["dicom-send-PASS"])
    assert ("the QC result could not be written" in job["log"]) is bool(cut)
    assert f"Flywheel attaches to acquisition {acquisition}, the container of" in job["log"]
    if not cut:
        assert "WARNING" not in job["log"]
        assert file["info"]["qc"][GEAR]["validation"]["state"] == "PASS"


def test_a_job_that_ends_early_with_a_key_that_only_reads_says_what_stays(
    platform: Sandbox,
) -> None:
    """It can't take the verdict of an earlier run away; one sentence of the log says so."""
    site, acquisition = platform.site, platform.site.lookup(ACQUISITION)["_id"]
    file_id = site.upload(acquisition, "a.zip", zipped(*slices(1)), type="dicom")["file_id"]
    site.change_file(file_id, {"tags": ["dicom-send-PASS"]})
    config = {"destination": "127.0.0.1", "called_ae": "PACS", "group": "0x0022"}
    with Person(platform.key("coordinator")) as person:
        job_id = person.run_gear(GEAR, "file", file_id, config)
        platform.wait_for_jobs(60)
        job = person.job(job_id)
    assert job["state"] == "failed"
    assert site.file(file_id)["tags"] == ["dicom-send-PASS"]
    assert job["log"].count("the QC result could not be written on the input file") == 1
    assert job["log"].count("the tag of an earlier run") == 1
    assert "FAILED (config-invalid): " in job["log"]


def test_the_demo_shows_what_the_gear_promises() -> None:
    """The real command: exit 0, both reports, and what the server has.

    As in a shell with the venv activated, where pynetdicom has a storescp of its own, and on a
    machine whose way out is a proxy.
    """
    dcmtk("storescp")
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "imaging_gears.dicom_send.cli", "demo"],
        env={**os.environ, "PATH": folders, "HTTP_PROXY": PROXY, "http_proxy": PROXY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"images": 18, "arrived": 17, "tag": 17, "same pixels": 17' in done.stdout
    assert "Incomplete" in done.stdout
    assert done.stderr == ""


def test_the_demo_says_that_it_needs_storescp(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One sentence that says where to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["demo"]) == 2
    assert "storescp of DCMTK is not installed" in capsys.readouterr().err


def test_the_demo_knows_no_other_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it knows."""
    assert cli.main(["demos"]) == 2
    assert "usage" in capsys.readouterr().err
