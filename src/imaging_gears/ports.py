"""What the systems need of the world, as small protocols, and the values that cross them.

Every method may raise `ServiceError` (no usable answer after bounded tries),
`PermissionDeniedError` (the key was refused or may not do this) and `NotFoundError` (it is not
there).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from imaging_gears.model.participant import Mode, ParticipantKey

ContainerType = Literal["group", "project", "subject", "session", "acquisition", "analysis"]
Info = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerRef:
    """A Flywheel container: its type and its 24 hexadecimal digits."""

    type: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """One version of a file with its info and tags, as Flywheel had it when it was read."""

    file_id: str
    version: int
    name: str = field(repr=False)
    parent: ContainerRef
    parents: Mapping[str, str] = field(default_factory=dict)
    info: Info = field(default_factory=dict, repr=False)
    tags: tuple[str, ...] = ()
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectState:
    """A subject, as Flywheel had it when it was read."""

    id: str
    label: str = field(repr=False)
    info: Info = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectState:
    """A project, as Flywheel had it when it was read. `files` maps names to file ids."""

    id: str
    group: str
    label: str
    info: Info = field(repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)


class Hierarchy(Protocol):
    """Who needs it: the lookup, to see whose file it was given."""

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""

    def subject(self, subject_id: str) -> SubjectState:
        """Return a subject."""

    def project(self, project_id: str) -> ProjectState:
        """Return a project with the names of its files."""

    def label(self, container: ContainerRef) -> str:
        """Return a container's label."""


class SubjectStore(Protocol):
    """Who needs it: the subject update."""

    def subject(self, subject_id: str) -> SubjectState:
        """Return a subject."""

    def merge_subject_info(self, subject_id: str, info: Info) -> None:
        """Merge `info` deeply into subject.info; other keys stay."""


class ProjectFiles(Protocol):
    """Who needs it: the QC log, a text file of the project that many jobs write."""

    def project(self, project_id: str) -> ProjectState:
        """Return a project with the names of its files."""

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""

    def file_version(self, file_id: str, version: int) -> FileState:
        """Return that version of a file, with the info and tags that it had."""

    def read_project_file(self, project_id: str, file: FileState) -> bytes:
        """Return the whole content of that version of a project's file."""

    def upload_project_file(
        self, project_id: str, name: str, content: bytes, info: Info, tags: tuple[str, ...]
    ) -> FileState:
        """Make a new version of a project's file, content and metadata in one request.

        Never repeated: after a `ServiceError` the upload may have happened or not.
        """


class FileRecords(Protocol):
    """Who needs it: the record on the input file."""

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""

    def set_file_info(self, file: FileState, info: Info) -> None:
        """Set each top-level key of `info` on the newest version of `file`; other keys stay."""

    def delete_file_info(self, file: FileState, keys: tuple[str, ...]) -> None:
        """Delete top-level keys of the info of the newest version of `file`."""

    def add_file_tag(self, file_id: str, tag: str) -> None:
        """Add a tag; no effect where the file has it."""

    def remove_file_tags(self, file_id: str, tags: tuple[str, ...]) -> None:
        """Remove tags; no effect where the file has them not."""


class Site(Hierarchy, SubjectStore, ProjectFiles, FileRecords, Protocol):
    """A Flywheel site, in all its uses."""


class EventStore(Protocol):
    """Who needs it: the submission event."""

    def put_if_absent(self, key: str, body: bytes) -> bytes | None:
        """Write `body` under `key` unless something is there; return what was there, else None."""


class IdentifierRepository(Protocol):
    """Who needs it: the lookup of a NACCID."""

    def naccid_for(self, key: ParticipantKey, mode: Mode) -> object:
        """Return what the registry gives as the participant's NACCID; not yet checked.

        Raises:
            IdentifierNotFoundError: the registry answered: no such participant.
        """
