"""The engine: runs the queue's jobs as processes, as the platform runs containers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imaging_gears.sandbox.site.access import Principal
from imaging_gears.sandbox.site.errors import ApiError
from imaging_gears.sandbox.site.files import Upload
from imaging_gears.sandbox.site.info import deep_merge
from imaging_gears.sandbox.site.jobs import runtime_config
from imaging_gears.sandbox.wire import strict_json

if TYPE_CHECKING:
    from imaging_gears.sandbox.site import Site

Json = dict[str, Any]

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_METADATA = ".metadata.json"
_OUTPUT_LIMIT = 100
_KILLED = 128 + signal.SIGKILL
_TEMPLATE = re.compile(r"\{([\w\-]+)\}")
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How jobs are run.

    Attributes:
        workers: how many at once.
        metadata: what a key of a file in ``.metadata.json`` does to the stored one: ``replace`` it
            whole, or ``merge`` (info deeply, tags as a union).
        retry_failed: queue every failed job again, up to the third attempt, and not only lost ones.
        environ: variables added for every job, over all others.
        keep_directories: leave a job's directory for a look at it; else it goes when the job has
            ended.
    """

    workers: int = 1
    metadata: Literal["replace", "merge"] = "replace"
    retry_failed: bool = False
    environ: dict[str, str] = field(default_factory=dict)
    keep_directories: bool = True


class Engine:
    """The workers.

    Args:
        site: where the jobs are.
        options: how to run them.
        host: ``host:port`` of the site, for the jobs' keys.
        environ: variables with which a job finds AWS.
    """

    def __init__(
        self, site: Site, options: EngineOptions, host: str, environ: dict[str, str]
    ) -> None:
        self._site = site
        self.options = options
        self._host = host
        self._environ = environ
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Take over what an earlier run left behind, and start the workers."""
        for job in self._site.queue.unfinished():
            if job["state"] == "running":
                self._site.queue.lose(job["_id"])
        for number in range(self.options.workers):
            thread = threading.Thread(target=self._work, daemon=True, name=f"worker-{number}")
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Kill the processes that run, and end the workers."""
        self._stopping.set()
        self._site.queue.announce_change()
        with self._lock:
            for process in self._processes:
                _kill(process)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        queue = self._site.queue
        while not self._stopping.is_set():
            job = queue.claim()
            if job is None:
                queue.wait_change(0.2)
            else:
                self._run(job)

    # -- one job ------------------------------------------------------------------------------

    def _run(self, job: Json) -> None:
        """Run a job; whatever goes wrong in the engine itself fails the job, and not the worker."""
        started = time.monotonic()
        try:
            run = _Run(self._site, self.options, job, self._host)
            process = run.launch(self._environ)
        except (OSError, ApiError, KeyError, ValueError) as error:
            self._fail(job, f"The engine could not start the job: {type(error).__name__}: {error}")
            return
        with self._lock:
            self._processes.add(process)
        if self._stopping.is_set():
            _kill(process)
        self._watch(run, process, started)

    def _watch(self, run: _Run, process: subprocess.Popen[bytes], started: float) -> None:
        """Wait for the end of the process, or of the platform's belief in it."""
        while process.poll() is None:
            state = self._site.queue.get(run.job["_id"])["state"]
            if state == "cancelled":
                _kill(process)
            elif state != "running":  # lost: the process goes on, the worker does not wait for it
                closer = threading.Thread(target=self._close, args=(run, process), daemon=True)
                closer.start()
                self._threads.append(closer)
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL)
        elapsed = int((time.monotonic() - started) * 1000)
        self._site.queue.note(run.job["_id"], profile={"elapsed_time_ms": elapsed})
        with contextlib.suppress(ApiError):  # lost or cancelled at this very moment
            self._finish(run, process.returncode)
        self._close(run, process)

    def _finish(self, run: _Run, code: int) -> None:
        """Do what the exit code asks for."""
        queue, job_id = self._site.queue, run.job["_id"]
        run.keep_log()
        if queue.get(job_id)["state"] != "running" or self._stopping.is_set():
            return
        if code < 0 or code == _KILLED:
            queue.lose(job_id)
        elif code == 0:
            self._succeed(run)
        else:
            run.upload_outputs(with_metadata=False)
            run.close()
            self._fail(run.job, f"Gear exited with code {code}.")

    def _succeed(self, run: _Run) -> None:
        try:
            run.upload_outputs(with_metadata=True)
        except (ApiError, ValueError, LookupError, AttributeError, TypeError, OSError) as error:
            self._fail(run.job, f"{_METADATA} could not be applied: {error}")
            return
        run.close()  # who sees the job complete finds its key dead
        self._site.queue.move(run.job["_id"], "complete")

    def _fail(self, job: Json, reason: str) -> None:
        queue = self._site.queue
        with self._site.store.transaction():
            queue.move(job["_id"], "failed", failure_reason=reason)
            if self.options.retry_failed:
                queue.retry(job["_id"], lost=True)

    def _close(self, run: _Run, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        with self._lock:
            self._processes.discard(process)
        run.close()


class _Run:
    """One attempt: its directory, its key, its outputs."""

    def __init__(self, site: Site, options: EngineOptions, job: Json, host: str) -> None:
        self._site = site
        self._options = options
        self.job = job
        self._host = host
        self._manifest = site.gears.get(job["gear_id"])["gear"]
        self.directory = site.store.directory.resolve() / "jobs" / job["_id"]
        self._secret: str | None = None
        self._principal = _principal(job, self._manifest, site)

    # -- before -------------------------------------------------------------------------------

    def launch(self, environ: dict[str, str]) -> subprocess.Popen[bytes]:
        """Make the gear's directory and start its command in it."""
        for name in ("input", "output", "work"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self._secret = self._site.access.add_key(self._principal)
        key = f"{self._host}:__force_insecure:{self._secret}"
        config = runtime_config(self.job, self._manifest, str(self.directory), key)
        _write_json(self.directory / "manifest.json", self._manifest)
        _write_json(self.directory / "config.json", config)
        self._place_inputs()
        command = _command(self._manifest, self.job["config"]["config"])
        with (self.directory / ".log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - running the gear's command is the purpose
                ["/bin/bash", "-c", command],
                cwd=self.directory,
                env=self._environ(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _place_inputs(self) -> None:
        for name, entry in self.job["config"]["inputs"].items():
            snapshot = entry["object"]
            doc = self._site.files.get(snapshot["file_id"], snapshot["version"])
            folder = self.directory / "input" / name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._site.store.blobs / doc["_blob"], folder / entry["name"])

    def _environ(self, aws: dict[str, str]) -> dict[str, str]:
        """Return the job's variables: those of the manifest, of the site, and where it runs."""
        gear = dict(self._manifest.get("environment") or {})
        path = f"{Path(sys.executable).parent}:{gear.pop('PATH', _DEFAULT_PATH)}"
        values = {
            f"FW_CONFIG_{name.upper().replace('-', '_')}": str(value)
            for name, value in self.job["config"]["config"].items()
        }
        here = {"FLYWHEEL": str(self.directory), "HOME": str(self.directory), "PATH": path}
        return {**values, **aws, **gear, **here, **self._options.environ}

    # -- after --------------------------------------------------------------------------------

    def keep_log(self) -> None:
        """Keep what the process has printed."""
        text = (self.directory / ".log").read_text("utf-8", errors="replace")
        self._site.queue.set_log(self.job["_id"], text)

    def close(self) -> None:
        """Revoke the key; keep the log; remove the directory where that is wanted. Repeatable."""
        if self._secret is not None:
            self._site.access.revoke(self._secret)
        with contextlib.suppress(OSError):
            self.keep_log()
        if not self._options.keep_directories:
            shutil.rmtree(self.directory, ignore_errors=True)

    def upload_outputs(self, *, with_metadata: bool) -> None:
        """Upload the plain files of ``output/`` and, on success, apply ``.metadata.json``.

        Raises:
            ApiError: the metadata has a value that a file can't take.
            ValueError: the metadata is not JSON.
        """
        metadata = self._metadata() if with_metadata else {}
        destination = self._site.hierarchy.get(self.job["destination"]["id"])
        given = metadata.get(destination["container_type"]) or {}
        entries = {entry["name"]: entry for entry in given.get("files") or []}
        saved = []
        for path in self._outputs():
            upload = Upload(
                path.name,
                path.read_bytes(),
                {"type": "job", "id": self.job["_id"]},
                entries.pop(path.name, {}),
                gear_info=self.job["gear_info"],
            )
            saved.append(self._site.put_file(destination, upload, rules=with_metadata)["name"])
        self._site.queue.note(self.job["_id"], saved_files=saved, produced_metadata=metadata)
        for name, entry in entries.items():
            self._apply_to_file(destination["_id"], name, entry)
        self._fill_containers(destination, metadata)

    def _metadata(self) -> Json:
        path = self.directory / "output" / _METADATA
        if not path.is_file():
            return {}
        return dict(strict_json(path.read_text("utf-8")))

    def _outputs(self) -> list[Path]:
        found = sorted((self.directory / "output").iterdir())
        plain = [p for p in found if p.is_file() and not p.is_symlink() and p.name != _METADATA]
        return plain[:_OUTPUT_LIMIT]

    def _apply_to_file(self, container_id: str, name: str, entry: Json) -> None:
        """Set what an entry says of a file that is in the destination already."""
        doc = self._site.files.find(container_id, name)
        if doc is None:
            return
        fields = {key: value for key, value in entry.items() if key not in ("name", "size")}
        if self._options.metadata == "merge":
            if "info" in fields:
                fields["info"] = deep_merge(doc["info"], fields["info"])
            if "tags" in fields:
                fields["tags"] = list(dict.fromkeys([*doc["tags"], *fields["tags"]]))
        self._site.change_file(doc["file_id"], fields)

    def _fill_containers(self, destination: Json, metadata: Json) -> None:
        """Fill the fields of the destination and its parents that are missing; overwrite none."""
        parents = {**destination["parents"], destination["container_type"]: destination["_id"]}
        for kind, given in metadata.items():
            if isinstance(given, dict) and kind != "group" and parents.get(kind):
                doc = self._site.hierarchy.get(parents[kind])
                info = {**(given.get("info") or {}), **doc["info"]}
                new = {
                    k: v for k, v in given.items() if k not in ("files", "info") and not doc.get(k)
                }
                self._site.hierarchy.update(doc["_id"], {**new, "info": info})


def _principal(job: Json, manifest: Json, site: Site) -> Principal:
    """Return whom the job's key acts for: its user, or its rule within the rule's project."""
    user, role, projects, origin = job["_principal"]
    specs = [spec for spec in manifest["inputs"].values() if spec["base"] == "api-key"]
    if site.options.read_only_keys and any(spec.get("read-only") for spec in specs):
        role = "read-only"
    limited = tuple(projects) if projects is not None else None
    return Principal(user, role, limited, (origin[0], origin[1]))


def _command(manifest: Json, config: Json) -> str:
    """Return the manifest's command with ``{config-name}`` filled in; other braces stay."""
    template = manifest.get("command") or "./run"
    return _TEMPLATE.sub(
        lambda match: str(config[match[1]]) if match[1] in config else match[0], template
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _write_json(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    path.chmod(0o600)
