"""Two peers for the same tests: the world in memory, and adapters in front of the local site."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from imaging_gears.adapters.flywheel import FlywheelSite, parse_site_key
from imaging_gears.adapters.tries import Tries
from imaging_gears.ports import ContainerRef, FileState, Site
from tests.fakes import InMemorySite

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

PROJECT_INFO = {"pipeline_adcid": 42}
SUBJECT_INFO = {"kept": {"a": 1}}
FILE_INFO = {"qc": {"form-checker": {"validation": {"state": "PASS"}}}, "theirs": [1, None]}
_NUMBERS = itertools.count()


class Arranged(Protocol):
    """A site with a project, a subject, an acquisition and a file in it; and somebody else."""

    site: Site
    project: str
    subject: str
    session: str
    acquisition: str
    file_id: str

    def upload(
        self,
        container: str,
        name: str,
        content: bytes,
        **metadata: Any,  # noqa: ANN401 - any JSON
    ) -> FileState:
        """Somebody else uploads a file."""

    def delete(self, file_id: str) -> None:
        """Somebody else deletes a file."""


@dataclass
class InMemory:
    """`InMemorySite`, arranged."""

    site: InMemorySite = field(default_factory=InMemorySite)

    def __post_init__(self) -> None:
        """Make containers and the file."""
        add = self.site.add
        group = add("group", "alpha-center")
        self.project = add("project", "ingest-dicom", group, PROJECT_INFO)
        self.subject = add("subject", "110001", self.project, SUBJECT_INFO)
        self.session = add("session", "visit-1", self.subject)
        self.acquisition = add("acquisition", "T1", self.session)
        self.file_id = self.upload(
            self.acquisition, "T1.zip", b"DICM", info=FILE_INFO, tags=("theirs",)
        ).file_id

    def upload(
        self,
        container: str,
        name: str,
        content: bytes,
        **metadata: Any,  # noqa: ANN401 - any JSON
    ) -> FileState:
        """Somebody else uploads a file."""
        return self.site.put(container, name, content, **metadata)

    def delete(self, file_id: str) -> None:
        """Somebody else deletes a file."""
        self.site.delete(file_id)


class OnSandbox:
    """`FlywheelSite` before the local site, arranged in a project of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Make containers and the file."""
        self.sandbox = sandbox
        self.waits: list[float] = []
        self.requests: Counter[str] = Counter()
        self.tries = Tries("Flywheel", self.requests, self.waits.append)
        key = parse_site_key(sandbox.api_key, location="here")
        self.site: Site = FlywheelSite(key, self.tries)
        state = sandbox.site
        self.project = state.add_project(f"peer-{next(_NUMBERS)}", "ingest-dicom", PROJECT_INFO)
        self.subject = state.add_subject(self.project, "110001", SUBJECT_INFO)
        self.session = state.add_session(self.subject, "visit-1")
        self.acquisition = state.add_acquisition(self.session, "T1")
        self.file_id = self.upload(
            self.acquisition, "T1.zip", b"DICM", info=FILE_INFO, tags=("theirs",)
        ).file_id
        sandbox.requests.clear()

    def upload(
        self,
        container: str,
        name: str,
        content: bytes,
        **metadata: Any,  # noqa: ANN401 - any JSON
    ) -> FileState:
        """Somebody else uploads a file."""
        tags = list(metadata.pop("tags", ()))
        doc = self.sandbox.site.upload(container, name, content, tags=tags, **metadata)
        return FileState(
            file_id=doc["file_id"],
            version=doc["version"],
            name=name,
            parent=ContainerRef(**doc["parent_ref"]),
            parents={key: value for key, value in doc["parents"].items() if value},
            info=doc["info"],
            tags=tuple(doc["tags"]),
            size=doc["size"],
        )

    def delete(self, file_id: str) -> None:
        """Somebody else deletes a file."""
        self.sandbox.site.files.remove(file_id)


def without_parents(state: FileState) -> FileState:
    """Return a state without what a reply to an upload need not repeat."""
    return replace(state, parents={})
