"""Gears and jobs: documents, the queue, and what a job is told in its config.json."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from imaging_gears.sandbox.site.errors import bad_request, conflict, not_found
from imaging_gears.sandbox.store import new_id, now

if TYPE_CHECKING:
    from imaging_gears.sandbox.site.access import Principal
    from imaging_gears.sandbox.site.files import Files
    from imaging_gears.sandbox.site.hierarchy import Hierarchy
    from imaging_gears.sandbox.store import Store

Json = dict[str, Any]

ATTEMPTS = 3
_PRIORITIES = ("critical", "high", "medium", "low")
_NEXT = {
    "pending": {"scheduled", "running", "cancelled", "failed"},
    "scheduled": {"running", "cancelled", "failed"},
    "running": {"complete", "failed", "cancelled"},
}
_SNAPSHOT = (
    "type",
    "mimetype",
    "modality",
    "classification",
    "tags",
    "info",
    "size",
    "zip_member_count",
    "version",
    "file_id",
    "origin",
)


class Gears:
    """The gears of the site; a version, once there, never changes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, manifest: Json, category: str | None = None) -> Json:
        """Register a manifest, and return the gear's document.

        Raises:
            ApiError: 400, no name or version; 409, this version is there.
        """
        name: Any = manifest.get("name")
        version: Any = manifest.get("version")
        if not name or not version:
            msg = "A manifest needs name and version."
            raise bad_request(msg)
        builder = manifest.get("custom", {}).get("gear-builder", {})
        doc: Json = {"_id": new_id(), "gear": manifest, "created": now(), "modified": now()}
        doc["category"] = category or builder.get("category", "utility")
        doc["exchange"] = {"git-commit": "local", "rootfs-hash": "sha384:0", "rootfs-url": "local"}
        with self._store.transaction():
            if self._store.find("gear", name, version):
                msg = f"Gear {name} {version} already exists."
                raise conflict(msg)
            self._store.put("gear", doc["_id"], doc, parent=name, name=version)
        return doc

    def get(self, gear: str) -> Json:
        """Return a gear by id, or the newest of a name.

        Raises:
            ApiError: 404.
        """
        doc = self._store.get("gear", gear)
        versions = [] if doc else self._store.children("gear", gear)
        if doc is None and not versions:
            what = "Gear"
            raise not_found(what)
        return doc or versions[-1]

    def all(self) -> list[Json]:
        """Return all gears, oldest first."""
        return self._store.all("gear")


class Jobs:
    """The jobs of the site and their queue."""

    def __init__(self, store: Store, hierarchy: Hierarchy, files: Files, gears: Gears) -> None:
        self._store = store
        self._hierarchy = hierarchy
        self._files = files
        self._gears = gears
        self._changed = threading.Condition()

    # -- reading ------------------------------------------------------------------------------

    def get(self, job_id: str) -> Json:
        """Return a job.

        Raises:
            ApiError: 404.
        """
        doc = self._store.get("job", job_id)
        if doc is None:
            what = "Job"
            raise not_found(what)
        return doc

    def all(self) -> list[Json]:
        """Return all jobs, oldest first."""
        return self._store.all("job")

    def log(self, job_id: str) -> str:
        """Return what the job printed."""
        doc = self._store.get("log", job_id)
        return str(doc["text"]) if doc else ""

    def set_log(self, job_id: str, text: str) -> None:
        """Keep what the job printed."""
        self._store.put("log", job_id, {"_id": job_id, "text": text})

    def unfinished(self) -> list[Json]:
        """Return the jobs that have not ended."""
        return [job for state in _NEXT for job in self._store.named("job", "", state)]

    # -- the queue ----------------------------------------------------------------------------

    def enqueue(
        self,
        gear: Json,
        inputs: Json,
        destination: Json,
        principal: Principal,
        **more: Any,  # noqa: ANN401
    ) -> Json:
        """Put a job into the queue.

        Args:
            gear: the gear's document.
            inputs: by input name: a file's document, as it is now.
            destination: the container that outputs go to.
            principal: whom the job's key acts for.
            more: ``config``, ``tags``, ``priority``, ``rule_id``, ``batch``, ``origin``, ``label``.

        Raises:
            ApiError: 400, an input or a config value that the gear demands is missing or unknown.
        """
        config = _config(gear["gear"], more.pop("config", None) or {})
        _check_inputs(gear["gear"], inputs)
        job = _blank_job(gear, destination)
        job["origin"] = principal.origin_json
        job.update({key: value for key, value in more.items() if value is not None})
        job["inputs"] = {
            name: {**doc["parent_ref"], "name": doc["name"], "version": doc["version"]}
            for name, doc in inputs.items()
        }
        snapshots = {name: _snapshot(doc) for name, doc in inputs.items()}
        where = {"type": destination["container_type"], "id": destination["_id"]}
        job["config"] = {"config": config, "inputs": snapshots, "destination": where}
        job["_principal"] = [principal.user, principal.role, principal.projects, principal.origin]
        self._save(job)
        return job

    def _save(self, job: Json) -> None:
        self._store.put("job", job["_id"], job, name=job["state"])
        self.announce_change()

    def announce_change(self) -> None:
        """Wake who waits in `wait_change`."""
        with self._changed:
            self._changed.notify_all()

    def wait_change(self, timeout: float) -> None:
        """Wait until some job changes, at most `timeout` seconds.

        Nothing is read under this lock: a writer announces its change while it holds the store's.
        """
        with self._changed:
            self._changed.wait(timeout)

    def claim(self) -> Json | None:
        """Take the next pending job and mark it running; None when there is none."""
        with self._store.transaction():
            pending = self._store.named("job", "", "pending")
            if not pending:
                return None
            first = min(pending, key=lambda job: (_PRIORITIES.index(job["priority"]), job["_id"]))
            return self.move(first["_id"], "running")

    def move(self, job_id: str, state: str, **fields: Any) -> Json:  # noqa: ANN401
        """Change a job's state.

        Raises:
            ApiError: 400, a state that can't follow the present one.
        """
        with self._store.transaction():
            job = self.get(job_id)
            if state not in _NEXT.get(job["state"], set()):
                msg = f"Mutating job from {job['state']} to {state} not allowed."
                raise bad_request(msg)
            job.update(fields, state=state, modified=now())
            job["transitions"][state] = job["modified"]
            self._save(job)
        return job

    def note(self, job_id: str, **fields: Any) -> Json:  # noqa: ANN401
        """Set fields of a job that are not its state."""
        with self._store.transaction():
            job = {**self.get(job_id), **fields, "modified": now()}
            self._save(job)
        return job

    def retry(self, job_id: str, *, lost: bool = False) -> Json | None:
        """Queue a failed job again: a new id, the same config snapshot.

        Args:
            job_id: a failed job that was not retried yet.
            lost: the platform does it, and gives up (returns None) after `ATTEMPTS` attempts.

        Raises:
            ApiError: 400, not failed, or retried before.
        """
        with self._store.transaction():
            old = self.get(job_id)
            if old["state"] != "failed" or old["retried"]:
                msg = "Can only retry a job that is failed and was not retried."
                raise bad_request(msg)
            if lost and old["attempt"] >= ATTEMPTS:
                return None
            time = now()
            new = {**old, **_fresh(new_id(), time), "attempt": old["attempt"] + 1}
            new["previous_job_id"] = old["_id"]
            new["original_job_id"] = old["original_job_id"] or old["_id"]
            self.note(job_id, retried=time)
            self._save(new)
        return new

    def lose(self, job_id: str) -> Json | None:
        """Take a running job for dead and queue it again; its process, if any, is left alone.

        Returns:
            The job queued instead, or None after the last attempt.
        """
        with self._store.transaction():
            self.move(job_id, "failed", failure_reason="The job did not send a heartbeat.")
            return self.retry(job_id, lost=True)


def present(job: Json, *, listing: bool = False) -> Json:
    """Return a job's document as the API gives it."""
    shown = {key: value for key, value in job.items() if not key.startswith("_")}
    shown.update(_id=job["_id"], id=job["_id"])
    if listing:
        shown["inputs"] = [{"input": name, **ref} for name, ref in job["inputs"].items()]
    return shown


def runtime_config(job: Json, manifest: Json, gear_path: str, key: str | None) -> Json:
    """Return config.json as the engine writes it into the gear's directory.

    Args:
        job: the job.
        manifest: its gear's manifest.
        gear_path: the directory that has ``input/``.
        key: the job's API key; None where the gear asks for none.
    """
    inputs: Json = {}
    for name, entry in job["config"]["inputs"].items():
        location = {"name": entry["name"], "path": f"{gear_path}/input/{name}/{entry['name']}"}
        inputs[name] = {"base": "file", "hierarchy": entry["hierarchy"], "location": location}
        inputs[name]["object"] = entry["object"]
    inputs.update(job["config"].get("context") or {})
    for name, spec in manifest["inputs"].items():
        if spec["base"] == "api-key" and key is not None:
            inputs[name] = {"base": "api-key", "key": key}
    config = {"config": job["config"]["config"], "inputs": inputs}
    config["destination"] = job["config"]["destination"]
    if manifest.get("custom", {}).get("flywheel", {}).get("show-job"):
        config["job"] = {"id": job["_id"]}
    return config


def _snapshot(doc: Json) -> Json:
    return {
        "name": doc["name"],
        "hierarchy": doc["parent_ref"],
        "object": {key: doc[key] for key in _SNAPSHOT},
    }


def _config(manifest: Json, given: Json) -> Json:
    unknown = set(given) - set(manifest["config"])
    if unknown:
        msg = f"Unknown config values: {', '.join(sorted(unknown))}."
        raise bad_request(msg)
    defaults = {k: spec["default"] for k, spec in manifest["config"].items() if "default" in spec}
    config = {**defaults, **given}
    missing = [
        name
        for name, spec in manifest["config"].items()
        if name not in config and not spec.get("optional")
    ]
    if missing:
        msg = f"Missing config values: {', '.join(missing)}."
        raise bad_request(msg)
    return config


def _check_inputs(manifest: Json, inputs: Json) -> None:
    specs = {name: spec for name, spec in manifest["inputs"].items() if spec["base"] == "file"}
    unknown = set(inputs) - set(specs)
    missing = {name for name, spec in specs.items() if not spec.get("optional")} - set(inputs)
    if unknown or missing:
        msg = f"Inputs do not fit the gear: unknown {sorted(unknown)}, missing {sorted(missing)}."
        raise bad_request(msg)


def _fresh(job_id: str, time: str) -> Json:
    """Return the fields that every attempt starts with."""
    return {
        "_id": job_id,
        "state": "pending",
        "created": time,
        "modified": time,
        "retried": None,
        "failure_reason": None,
        "saved_files": [],
        "outputs": [],
        "transitions": {"pending": time},
        "profile": {},
    }


def _blank_job(gear: Json, destination: Json) -> Json:
    manifest = gear["gear"]
    info = {"id": gear["_id"], "category": gear["category"]}
    kind = destination["container_type"]
    return {
        **_fresh(new_id(), now()),
        "gear_id": gear["_id"],
        "gear_info": {**info, "name": manifest["name"], "version": manifest["version"]},
        "rule_id": None,
        "destination": {"type": kind, "id": destination["_id"]},
        "parents": {**destination["parents"], kind: destination["_id"]},
        "tags": [manifest["name"]],
        "priority": "medium",
        "attempt": 1,
        "previous_job_id": None,
        "original_job_id": None,
        "batch": None,
        "label": None,
    }
