"""The gear as a process, in a folder as the platform makes it, on a site on this machine."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imaging_gears.sandbox import Sandbox, Seed
from imaging_gears.sandbox.person import Person
from imaging_gears.sandbox.site.jobs import runtime_config

Json = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[1]
MANIFEST: Json = json.loads((REPOSITORY / "manifest.json").read_text(encoding="utf-8"))
GEAR: str = MANIFEST["name"]
INPUT = "input_file"
MODULE = "imaging_gears.image_identifier_lookup.run"
GROUP, PTID, NACCID, ADCID = "alpha-center", "110001", "NACC000042", 42
CONFIG = {"event_environment": "prod", "event_bucket": "nacc-event-logs"}
_HERE = Path(__file__).resolve().parent
_SECONDS = 120

SEED = {
    "groups": [{"id": GROUP}],
    "gears": [str(REPOSITORY / "manifest.json")],
    "users": [{"id": "gearbot"}, {"id": "person"}],
    "identifiers": [{"adcid": ADCID, "ptid": PTID, "naccid": NACCID}],
    "parameters": [{"name": "/prod/flywheel/gearbot/apikey", "value": "{key:gearbot}"}],
    "buckets": [CONFIG["event_bucket"]],
}


class GearFailedError(Exception):
    """A run that had to pass did not: what it would have measured is worth nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run has cost.

    Attributes:
        requests: per service, as the site counted them.
        log: what the gear printed.
    """

    cpu_seconds: float
    peak_mib: float
    requests: Mapping[str, int]
    log: str = field(repr=False)


@dataclass(slots=True)
class Upload:
    """A file on the site, and the folder of the job that was last prepared for it."""

    file_id: str
    folder: Path

    @property
    def path(self) -> Path:
        """Return where the gear finds the file."""
        (path,) = (self.folder / "input" / INPUT).iterdir()
        return path


@dataclass(slots=True)
class Bench:
    """A site without an engine: the jobs are run here, one by one.

    Attributes:
        sandbox: started with `SEED` and without running jobs.
        folder: for the jobs' folders.
    """

    sandbox: Sandbox
    folder: Path
    _person: Person
    _numbers: itertools.count[int] = field(init=False, default_factory=itertools.count)

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Bench]:
        """Start a site, and stop it in the end."""
        with (
            Sandbox.start(seed=Seed.model_validate(SEED), run_jobs=False) as sandbox,
            Person(sandbox.key("person")) as person,
        ):
            sandbox.aws.wait()  # no run waits for it
            yield cls(sandbox, folder, person)

    def upload(self, source: Path) -> Upload:
        """Upload a file to a project of its own, where no visit is known yet; prepare its job."""
        label = f"ingest-dicom-{next(self._numbers)}"
        site = self.sandbox.site
        project = site.add_project(GROUP, label, {"pipeline_adcid": ADCID})
        subject = site.add_subject(project, PTID)
        session = site.add_session(subject, "2004-08-26")
        site.add_acquisition(session, "T1")
        file_id = self._person.upload(f"{GROUP}/{label}/{PTID}/2004-08-26/T1", source)
        upload = Upload(file_id, self.folder)
        self.again(upload, source)
        return upload

    def again(self, upload: Upload, source: Path) -> None:
        """Prepare another job of the same version of the file."""
        self._person.run_gear(GEAR, INPUT, upload.file_id, CONFIG)
        job = self.sandbox.site.queue.claim()
        if job is None:
            raise GearFailedError("The site has no job for the gear.")
        upload.folder = self.folder / str(job["_id"])
        for name in (f"input/{INPUT}", "output", "work"):
            (upload.folder / name).mkdir(parents=True)
        config = runtime_config(job, MANIFEST, str(upload.folder), self.sandbox.api_key)
        (upload.folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        shutil.copyfile(REPOSITORY / "manifest.json", upload.folder / "manifest.json")
        shutil.copyfile(source, upload.folder / "input" / INPUT / source.name)

    def run(self, upload: Upload) -> Run:
        """Run the gear as the manifest's command does.

        Raises:
            GearFailedError: it did not end with PASS and exit code 0.
        """
        return self._measured([sys.executable, "-m", MODULE], upload.folder)

    def count_reads(self, upload: Upload) -> tuple[Json, Run]:
        """Run the gear under `counting`; return its report too.

        Raises:
            GearFailedError: it did not end with PASS and exit code 0.
        """
        report = upload.folder / "reads.json"
        program = [sys.executable, str(_HERE / "counting.py"), str(upload.path), str(report)]
        run = self._measured([*program, MODULE], upload.folder)
        return json.loads(report.read_text(encoding="utf-8")), run

    def bare_imports(self) -> Run:
        """Run nothing but the imports that every gear of this kind needs."""
        command = [sys.executable, str(_HERE / "bare_imports.py")]
        return self._run(command, self.folder)

    def _measured(self, command: Sequence[str], folder: Path) -> Run:
        run = self._run(command, folder)
        if "verdict PASS" not in run.log:
            raise GearFailedError(f"The gear did not pass the file:\n{run.log}")
        return run

    def _run(self, command: Sequence[str], folder: Path) -> Run:
        report = folder / "resources.json"
        self.sandbox.requests.clear()
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_HERE / "resources.py"), str(report), *command],
            env=self._environ(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        found = json.loads(report.read_text(encoding="utf-8"))
        if found["exit"]:
            raise GearFailedError(f"Exit code {found['exit']}:\n{done.stdout}")
        return Run(
            cpu_seconds=found["cpu_seconds"],
            peak_mib=found["peak_kib"] / 1024,
            requests=self.sandbox.requests.count(),
            log=done.stdout,
        )

    def _environ(self, folder: Path) -> dict[str, str]:
        manifest: dict[str, str] = MANIFEST["environment"]
        return {
            **manifest,
            **self.sandbox.environ,
            "FLYWHEEL": str(folder),
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY / "src"),
        }
