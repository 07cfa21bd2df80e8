"""The demo: five scenes at a local Flywheel site, each looked at afterwards as a person would.

The site and the person come from the caller (`cli.py`): this room knows neither the sandbox nor an
SDK.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.config import INPUT
from imaging_gears.image_identifier_lookup.demo.result import Result, unexpected
from imaging_gears.image_identifier_lookup.demo.scenes import (
    BUCKET,
    CONFIG,
    PROJECT,
    SCENES,
    Scene,
)

Json = dict[str, Any]
_JOB_SECONDS = 120.0
_EXIT = re.compile(r"exited with code (\d+)")
_BYTES = re.compile(r"(\d+) bytes read")
_CLOSED = "the file stays closed"


class Requests(Protocol):
    """What the site was asked."""

    def count(self) -> dict[str, int]:
        """Return the number of requests per service."""


class LocalSite(Protocol):
    """What the demo needs of the sandbox beyond what a person sees."""

    @property
    def requests(self) -> Requests:
        """The request log."""

    def wait_for_jobs(self, timeout: float) -> list[Json]:
        """Wait until no job is pending or running, and return all jobs.

        Raises:
            TimeoutError: some job has not ended after `timeout` seconds.
        """

    def s3_objects(self, bucket: str) -> dict[str, bytes]:
        """Return the objects of a bucket."""


class Visitor(Protocol):
    """Somebody who works at the site."""

    def upload(self, container: str, path: Path) -> str:
        """Upload a file to the container at ``group/project/...``; return its file_id."""

    def run_gear(self, gear: str, input_name: str, file_id: str, config: Json) -> str:
        """Start a gear on a file; return the job's id."""

    def job(self, job_id: str) -> Json:
        """Return ``state``, ``failure_reason`` and ``log`` of a job."""

    def file(self, file_id: str) -> Json:
        """Return ``name``, ``version``, ``info`` and ``tags`` of a file."""

    def subject_info(self, file_id: str) -> Json:
        """Return the info of the subject that a file belongs to."""

    def project_files(self, project: str) -> Json:
        """Return the files of a project: name -> ``text`` and ``info``."""


Waiting = Callable[[str], AbstractContextManager[None]]
"""Says, while its context lasts, what is being waited for."""


@dataclass(slots=True)
class Demo:
    """The walk through the scenes.

    Attributes:
        site: with the seed of `demo_scenes.site_seed`.
        person: with a key of its `UPLOADER`.
    """

    site: LocalSite
    person: Visitor
    waiting: Waiting
    _file_id: str = ""
    _logs: Json = field(default_factory=dict)
    _events: set[str] = field(default_factory=set)

    def walk(self) -> Iterator[Result]:
        """Play the scenes in their order.

        Raises:
            TimeoutError: a job did not end.
            FileNotFoundError: pydicom's sample files are missing.
        """
        with tempfile.TemporaryDirectory(prefix="demo-") as name:
            for scene in SCENES:
                yield self._play(scene, Path(name))

    def _play(self, scene: Scene, folder: Path) -> Result:
        path = scene.package.write(folder) if scene.package else None
        start = time.perf_counter()
        self._begin(scene, path)
        before = Counter(self.site.requests.count())
        with self.waiting(f"({scene.name}) the job is running"):
            job_id = str(self.site.wait_for_jobs(_JOB_SECONDS)[-1]["_id"])
        seconds = time.perf_counter() - start
        requests = Counter(self.site.requests.count()) - before
        result = self._looked_at(scene, job_id, seconds, requests)
        result.unexpected = unexpected(scene.expected, result)
        return result

    def _begin(self, scene: Scene, path: Path | None) -> None:
        """Upload, whereupon the rule starts the job; or start it by hand."""
        if path is None:
            self.person.run_gear(GEAR, INPUT, self._file_id, CONFIG)
        else:
            self._file_id = self.person.upload(f"{PROJECT}/{scene.container}", path)

    def _looked_at(
        self, scene: Scene, job_id: str, seconds: float, requests: Mapping[str, int]
    ) -> Result:
        job, file = self.person.job(job_id), self.person.file(self._file_id)
        validation = file["info"].get("qc", {}).get(GEAR, {}).get("validation", {})
        return Result(
            name=scene.name,
            title=scene.title,
            uploaded=scene.package.describe() if scene.package else None,
            container=f"{PROJECT}/{scene.container}",
            job_state=job["state"],
            exit=_exit_code(job),
            verdict=validation.get("state"),
            codes=[each["code"] for each in validation.get("data", ())],
            qc_log=self._changed_log(),
            events=self._new_events(),
            subject_info=self.person.subject_info(self._file_id),
            file_info=file["info"],
            tags=file["tags"],
            requests=dict(sorted(requests.items())),
            seconds=round(seconds, 2),
            bytes_read=_bytes_read(job["log"]),
        )

    def _changed_log(self) -> Json | None:
        logs = self.person.project_files(PROJECT)
        changed = [name for name in logs if logs[name] != self._logs.get(name)]
        self._logs = logs
        return {"name": changed[0], **logs[changed[0]]} if changed else None

    def _new_events(self) -> list[Json]:
        stored = self.site.s3_objects(BUCKET)
        new = [key for key in stored if key not in self._events]
        self._events = set(stored)
        return [{"key": key, "body": json.loads(stored[key])} for key in new]


def _exit_code(job: Json) -> int | None:
    if job["state"] == "complete":
        return 0
    match = _EXIT.search(job["failure_reason"] or "")
    return int(match[1]) if match else None


def _bytes_read(log: str) -> int | None:
    if _CLOSED in log:
        return 0
    match = _BYTES.search(log)
    return int(match[1]) if match else None
