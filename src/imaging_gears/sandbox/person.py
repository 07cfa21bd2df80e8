"""Somebody who works at a site with flywheel-sdk: uploads, starts gears, looks at what came of it.

It lives beside the site and not in the room of a gear, because vendor SDKs stay out of rooms, and
because what a person does at a site is the same for every gear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import flywheel

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


class Person:
    """A user with a key; a context manager around the connection to the site.

    Args:
        key: as `Sandbox.key` gives it.
    """

    def __init__(self, key: str) -> None:
        self._client = flywheel.Client(key)

    def close(self) -> None:
        """Close the connection."""
        # The SDK has no way of its own to do it.
        self._client.api_client.rest_client.session.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def upload(self, container: str, path: Path) -> str:
        """Upload a file to the container at ``group/project/...``; return its file_id."""
        content = path.read_bytes()  # the SDK would leave a file open that it is given by name
        spec = flywheel.FileSpec(path.name, content, size=len(content))
        (file,) = self._client.lookup(container).upload_file(spec)
        return str(file.file_id)

    def run_gear(self, gear: str, input_name: str, file_id: str, config: Json) -> str:
        """Start a gear on a file, into the file's container; return the job's id."""
        file = self._client.get_file(file_id)
        container = self._client.get_container(file.parent_ref.id)
        (entry,) = [each for each in container.files if each.file_id == file_id]
        runner = self._client.gears.find_first(f"gear.name={gear}")
        return str(runner.run(inputs={input_name: entry}, destination=container, config=config))

    def run_gear_on(self, gear: str, container: str, config: Json) -> str:
        """Start a gear on the container at ``group/project/...``; return the job's id."""
        destination = self._client.lookup(container)
        runner = self._client.gears.find_first(f"gear.name={gear}")
        return str(runner.run(destination=destination, config=config))

    def job(self, job_id: str) -> Json:
        """Return a job as plain values, with the text that it printed as ``log``."""
        job = self._client.get_job(job_id)
        lines = self._client.get_job_logs(job_id).logs
        return {
            "state": str(job.state),
            "failure_reason": job.failure_reason,
            "log": "".join(line.msg for line in lines),
        }

    def file(self, file_id: str) -> Json:
        """Return name, version, info and tags of a file's newest version."""
        file = self._client.get_file(file_id)
        return {
            "name": file.name,
            "version": file.version,
            "info": dict(file.info or {}),
            "tags": list(file.tags),
        }

    def subject_info(self, file_id: str) -> Json:
        """Return the info of the subject that a file belongs to."""
        parents = self._client.get_file(file_id).parents
        return dict(self._client.get_subject(parents.subject).info or {})

    def project_files(self, project: str) -> Json:
        """Return the files of a project: name -> ``text`` and ``info``."""
        container = self._client.lookup(project)
        return {
            file.name: {
                "text": container.read_file(file.name).decode(),
                "info": dict(self._client.get_file(file.file_id).info or {}),
            }
            for file in container.files
        }
