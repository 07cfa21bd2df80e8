"""Check the built image: what is in it, and that it does its job on a site.

Usage: ``python -m tests.image.run_image [--engine docker|CONTAINER_TOOL] IMAGE``

The site is the sandbox, on this machine's loopback; the gear directory is mounted piece by piece,
as fw-beta does it (contract flywheel.md, 7). Ends with status 1 at the first check that fails.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file

from imaging_gears.sandbox import Sandbox, default_seed
from tests.image.engines import Completed, ContainerTool, Docker, Engine

REPOSITORY = Path(__file__).resolve().parents[2]
MANIFEST: dict[str, Any] = json.loads((REPOSITORY / "manifest.json").read_text(encoding="utf-8"))
GEAR = "image-identifier-lookup"
BUCKET = "nacc-event-logs"
SUBJECT = "alpha-center/ingest-dicom/110001"
ACQUISITION = f"{SUBJECT}/visit-1/T1"
UPLOAD = "T1.dicom.zip"
FOLDER = "/flywheel/v0"
PROBE = Path(__file__).with_name("probe.py")
# A Debian with Python has far more: fewer means that the search has not seen the image.
FEWEST_PATHS = 5000
# MiB that the image may add to its base.
SIZE_BOUND = 180

# Run inside the image: prints one line for each thing that should not be there.
STRANGERS = """
import importlib.util, pathlib, sys
for name in ("pip", "setuptools", "hatchling", "pytest", "moto", "imaging_gears.sandbox"):
    if importlib.util.find_spec(name):
        print("package", name)
root = pathlib.Path(sys.prefix)
for folder in root.rglob("*"):
    if folder.name in ("tests", "test", "test_files"):
        print("tests", folder)
for source in root.rglob("imaging_gears/**/*.py"):
    if not any((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")):
        print("not compiled", source)
"""


@dataclass(frozen=True)
class Image:
    """The image under test and what runs it."""

    engine: Engine
    name: str

    def output(self, *command: str, mounts: dict[Path, str] | None = None) -> str:
        """Return what `command` prints in a container of the image; it must succeed."""
        return succeeded(self.engine.run(self.name, command, mounts)).stdout.strip()


def succeeded(done: Completed) -> Completed:
    """Return `done` if its status is 0; fail with what it printed otherwise."""
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def folder_for_anybody(path: Path) -> Path:
    """Make a folder that a site mounts: it may be anybody's, and the gear's user must get in."""
    path.mkdir()
    path.chmod(0o777)
    return path


def real_series() -> bytes:
    """Return a zip of two real MR images, their PatientID replaced by a PTID of the seed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in (1, 2):
            ds = dcmread(get_testdata_file("MR_small.dcm"))
            ds.PatientID, ds.InstanceNumber = "110001", number
            image = io.BytesIO()
            ds.save_as(image)
            archive.writestr(f"MR/{number}.IMA", image.getvalue())
    return packed.getvalue()


# --- What is in it --------------------------------------------------------------------------------


def check_user(image: Image) -> str:
    """The image's own user is nobody's root."""
    uid = int(image.output("id", "-u"))
    assert uid != 0, "the image runs as root"
    return f"uid {uid}"


def check_contents(image: Image) -> str:
    """No installer, no tests, no sandbox; every module of ours is compiled."""
    strangers = image.output("python", "-c", STRANGERS)
    assert not strangers, strangers
    assert not image.output("sh", "-c", "command -v pip pip3 || true"), "pip is on the PATH"
    return "no pip, no tests, no sandbox; compiled"


def probed(image: Image) -> dict[str, Any]:
    """Return what `tests.image.probe` finds, with output/ and work/ mounted as a site does."""
    inside = "/tmp/probe.py"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mounts = {PROBE: inside}
        for piece in ("output", "work"):
            mounts[folder_for_anybody(folder / piece)] = f"{FOLDER}/{piece}"
        printed = image.output("python", inside, mounts=mounts)
    found: dict[str, Any] = json.loads(printed)
    assert found["seen"] > FEWEST_PATHS, f"it has seen {found['seen']} paths only"
    return found


def check_rights(image: Image) -> str:
    """The user has no capability, and no program of the image could give it one."""
    found = probed(image)
    sets = ("CapInh", "CapPrm", "CapEff", "CapAmb")
    held = {name: found["status"][name] for name in sets if int(found["status"][name], 16)}
    assert not held, held
    ids = found["status"]["Uid"].split() + found["status"]["Gid"].split()
    assert "0" not in ids, ids
    assert not found["programs"], found["programs"]
    return "no capability, no program with more rights than its caller"


def check_writable(image: Image) -> str:
    """The user can change /tmp, output/ and work/, and nothing else of the whole file system."""
    found = set(probed(image)["writable"]) - {"/tmp/probe.py"}
    assert found == {"/tmp", f"{FOLDER}/output", f"{FOLDER}/work"}, found
    return "/tmp, output/ and work/ only"


def check_size(image: Image) -> str:
    """The layers over the base stay under the bound."""
    # du can't enter a few folders that are root's own: it says so and counts the rest.
    count = ("sh", "-c", "du -sxm / 2>/dev/null | cut -f1")
    base = succeeded(image.engine.run(image.engine.base, count)).stdout
    added = int(image.output(*count)) - int(base)
    assert added < SIZE_BOUND, f"{added} MiB over the base"
    return f"{added} MiB over the base (bound {SIZE_BOUND})"


def check_inspect(image: Image) -> str:
    """The command line works in the image, on somebody's file."""
    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder) / UPLOAD
        upload.write_bytes(real_series())
        inside = f"/tmp/{UPLOAD}"
        printed = image.output(GEAR, "inspect", "--json", inside, mounts={upload: inside})
    seen = json.loads(printed)["dicom_metadata"]
    assert (seen["study_date"], seen["modality"]) == ("20040826", "MR"), seen
    return "reads a DICOM zip"


def check_send(image: Image) -> str:
    """The image serves the other gear, too: it starts, and misses its job."""
    done = image.engine.run(image.name, ("python", "-m", "imaging_gears.dicom_send.run"), None)
    assert done.returncode == 1, done.stderr
    assert "There is no /flywheel/v0/config.json" in done.stdout, done.stdout
    return "starts"


# --- What it does ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One file on the site, and the gear directory of a job that runs on it."""

    sandbox: Sandbox
    folder: Path
    file_id: str

    @property
    def mounts(self) -> dict[Path, str]:
        """Each piece of the gear directory, where fw-beta mounts it."""
        pieces = ("config.json", "manifest.json", "input", "output", "work")
        return {self.folder / piece: f"{FOLDER}/{piece}" for piece in pieces}


def job_config(sandbox: Sandbox, acquisition: str, file: dict[str, Any]) -> dict[str, Any]:
    """Return a config.json as a site writes it (contract flywheel.md, 4.1)."""
    defaults = {k: v["default"] for k, v in MANIFEST["config"].items() if "default" in v}
    snapshot = ("type", "mimetype", "modality", "classification", "tags", "info", "size")
    return {
        "config": {**defaults, "event_environment": "prod", "event_bucket": BUCKET},
        "inputs": {
            "api-key": {"base": "api-key", "key": sandbox.api_key},
            "input_file": {
                "base": "file",
                "hierarchy": {"type": "acquisition", "id": acquisition},
                "location": {"name": UPLOAD, "path": f"/flywheel/v0/input/input_file/{UPLOAD}"},
                "object": {
                    **{key: file.get(key) for key in snapshot},
                    "version": file["version"],
                    "file_id": file["file_id"],
                    "origin": {"type": "user", "id": "scanner@example.org"},
                },
            },
        },
        "destination": {"type": "acquisition", "id": acquisition},
        "job": {"id": "6400000000000000000000aa"},
    }


@contextmanager
def job_on_a_site() -> Iterator[Job]:
    """Start a site, upload a series to it and lay out the gear directory of a job."""
    with (
        tempfile.TemporaryDirectory() as name,
        Sandbox.start(seed=default_seed(), run_jobs=False) as sandbox,
    ):
        folder = Path(name)
        acquisition: str = sandbox.site.lookup(ACQUISITION)["_id"]
        data = real_series()
        file = sandbox.site.upload(acquisition, UPLOAD, data, type="dicom")
        (folder / "input" / "input_file").mkdir(parents=True)
        for piece in ("output", "work"):
            folder_for_anybody(folder / piece)
        (folder / "input" / "input_file" / UPLOAD).write_bytes(data)
        (folder / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
        config = job_config(sandbox, acquisition, file)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        yield Job(sandbox, folder, file["file_id"])


def check_outcome(job: Job) -> None:
    """Subject, QC log, event and file record are there, and say the same."""
    site = job.sandbox.site
    subject = site.lookup(SUBJECT)
    assert subject["info"]["naccid"] == "NACC000042"
    assert subject["info"]["dicom_metadata"]["study_date"] == "20040826"
    log = site.lookup("alpha-center/ingest-dicom/files/110001_2004-08-26_MR_qc-status.log")
    log = site.file(log["file_id"])
    assert log["info"]["qc"][GEAR]["validation"]["state"] == "PASS"
    file = site.file(job.file_id)
    assert file["info"]["qc"][GEAR]["validation"]["state"] == "PASS"
    assert file["info"]["data_identification"]["naccid"] == "NACC000042"
    assert f"{GEAR}-PASS" in file["tags"]
    ((key, body),) = job.sandbox.s3_objects(BUCKET).items()
    assert key.startswith("prod/log-submit-"), key
    assert json.loads(body)["naccid"] == "NACC000042"


def check_entry_point(image: Image, job: Job) -> str:
    """The entry point does the job, as the image's user."""
    done = image.engine.run(image.name, (), job.mounts, job.sandbox.environ)
    succeeded(done)
    check_outcome(job)
    return "subject, QC log, event, file record"


def check_manifest_command(image: Image, job: Job) -> str:
    """The manifest's command does it too, with no variable but the manifest's and AWS's.

    A site uses neither ENV nor ENTRYPOINT of the image (contract flywheel.md, 4.1). This is the
    same file again: no second event.
    """
    environ = {**MANIFEST["environment"], **job.sandbox.environ}
    command = ["env", "-i", *(f"{k}={v}" for k, v in environ.items())]
    command += ["bash", "-c", f"cd /flywheel/v0 && {MANIFEST['command']}"]
    succeeded(image.engine.run(image.name, command, job.mounts))
    check_outcome(job)
    return shlex.join(MANIFEST["command"].split())


# --- The program ----------------------------------------------------------------------------------


def report(title: str, check: Callable[[], str]) -> None:
    """Run `check` and print how it went; ends the program if it failed."""
    started = time.monotonic()
    try:
        finding = check()
    except AssertionError as failure:
        sys.exit(f"FAILED {title}: {failure}")
    print(f"ok     {title}: {finding} ({time.monotonic() - started:.1f} s)")


def main() -> None:
    """Check the image that the command line names."""
    parser = argparse.ArgumentParser(description="Check the built image.")
    parser.add_argument("image")
    parser.add_argument("--engine", default="docker", help="docker, or path of the container tool")
    options = parser.parse_args()
    engine = Docker() if options.engine == "docker" else ContainerTool(options.engine)
    image = Image(engine, options.image)
    report("user", lambda: check_user(image))
    report("contents", lambda: check_contents(image))
    report("rights", lambda: check_rights(image))
    report("writable", lambda: check_writable(image))
    report("size", lambda: check_size(image))
    report("inspect", lambda: check_inspect(image))
    report("dicom-send", lambda: check_send(image))
    with job_on_a_site() as job:
        report("entry point", lambda: check_entry_point(image, job))
        report("manifest command", lambda: check_manifest_command(image, job))


if __name__ == "__main__":
    main()
