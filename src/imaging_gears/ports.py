"""What the systems need of the world, as small protocols, and the values that cross them.

Every method may raise `ServiceError` (no usable answer after bounded tries),
`PermissionDeniedError` (the key was refused or may not do this) and `NotFoundError` (it is not
there).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from imaging_gears.errors import ImagingError
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
    """A project, as Flywheel had it when it was read.

    Attributes:
        files: name -> file id.
        versions: name -> newest version of that file.
    """

    id: str
    group: str
    label: str
    info: Info = field(repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    versions: Mapping[str, int] = field(default_factory=dict, repr=False)


class Hierarchy(Protocol):
    """Who needs it: the lookup, to see whose file it was given."""

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""

    def subject(self, subject_id: str) -> SubjectState:
        """Return a subject."""

    def project(self, project_id: str) -> ProjectState:
        """Return a project with the names and versions of its files."""

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
        """Return a project with the names and versions of its files."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A container, and what it lies in: containers with their labels from the project down."""

    group: str
    containers: tuple[tuple[ContainerRef, str], ...] = field(repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The group's id and the labels from the project down."""
        return (self.group, *(label for _, label in self.containers))

    @property
    def container(self) -> ContainerRef:
        """The container itself."""
        return self.containers[-1][0]

    def id(self, type_: str) -> str | None:
        """Return the id of the container of that type on the way down, None where there is none."""
        return next((ref.id for ref, _ in self.containers if ref.type == type_), None)

    def label(self, type_: str) -> str | None:
        """Return the label of the container of that type on the way down."""
        return next((label for ref, label in self.containers if ref.type == type_), None)

    def below(self, container: ContainerRef, label: str) -> Place:
        """Return the place of a container in this one."""
        return Place(group=self.group, containers=(*self.containers, (container, label)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A version of a file that lies in Flywheel; its info and tags are not known.

    Attributes:
        place: the container that it lies in; of a file of an analysis, what the analysis is of.
        analysis: the label of that analysis, None where it lies in none.
    """

    file_id: str
    version: int
    name: str = field(repr=False)
    place: Place = field(repr=False)
    analysis: str | None = field(default=None, repr=False)
    size: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all that it lies in, from the group's id down."""
        inside = () if self.analysis is None else ("analyses", self.analysis)
        return (*self.place.labels, *inside)

    @property
    def path(self) -> str:
        """``<group>/<project>/<subject>/<session>/<acquisition>/files/<name>``, by labels."""
        return "/".join([*self.labels, "files", self.name])


class NamedFiles(Protocol):
    """Who needs it: a job that says the name of its input and not its id."""

    def named_file(self, container: ContainerRef, name: str) -> FileState | None:
        """Return the file of that name in a container, None where there is none."""


class DicomFiles(Protocol):
    """Who needs it: dicom-send, to see what there is, and to have it here."""

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""

    def place(self, container: ContainerRef) -> Place:
        """Return where a container lies; an analysis counts as the container that it is of."""

    def label(self, container: ContainerRef) -> str:
        """Return a container's label."""

    def dicom_files(self, place: Place) -> tuple[StoredFile, ...]:
        """Return every file of type ``dicom`` in a subject, session or acquisition, or below it."""

    def download(self, file: StoredFile, path: Path, *, seconds: float) -> None:
        """Write a file's content to `path`, whole or not at all.

        Args:
            file: which, and which version.
            path: is not there yet.
            seconds: how long a server that answers 5xx is asked again.
        """


class Attachments(Protocol):
    """Who needs it: the report of dicom-send."""

    def attach(self, container: ContainerRef, name: str, content: bytes) -> FileState | None:
        """Upload a file to a container; return it, or None where the site refuses its name."""

    def first_content(self, file: FileState) -> bytes:
        """Return what the first version of a file holds.

        Raises:
            NotFoundError: it is not there any more.
        """


class SendSite(DicomFiles, Attachments, NamedFiles, FileRecords, Protocol):
    """A Flywheel site, in all uses of dicom-send."""


class Site(Hierarchy, SubjectStore, ProjectFiles, FileRecords, Protocol):
    """A Flywheel site, in all uses of the lookup."""


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


class Sendable(Protocol):
    """One DICOM instance that can be sent: its identity, and its data set in pieces."""

    @property
    def number(self) -> int:
        """Return its index in the upload, from 0."""

    @property
    def sop_class_uid(self) -> str:
        """Return what it is an instance of."""

    @property
    def sop_instance_uid(self) -> str:
        """Return which instance it is."""

    @property
    def transfer_syntax_uid(self) -> str:
        """Return how its data set is encoded."""

    @property
    def length(self) -> int:
        """Return the length of its data set in bytes."""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Return the data set in pieces; each call begins anew.

        A memoryview is only good until the next piece is asked for.

        Raises:
            ImagingError: the source can't be read any more.
        """


Convert = Callable[[Sendable, str], Sendable]
"""Gives an uncompressed instance in another uncompressed transfer syntax."""
SyntaxPair = tuple[str, str]
"""SOP class UID and transfer syntax UID: what a presentation context is proposed for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A DICOM server, and who is talking to it. AE titles have 1 to 16 characters."""

    host: str
    port: int
    called_ae: str
    calling_ae: str


TlsProfile = Literal["BCP 195", "BCP 195 non-downgrading", "BCP 195 modified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The PEM files of a TLS client, and how strict it is.

    Attributes:
        ca: trusted in addition to the certificate authorities of the system.
        require_peer_cert: verify chain and host name of the server's certificate.
    """

    key: Path
    cert: Path
    ca: Path | None = None
    profile: TlsProfile = "BCP 195"
    require_peer_cert: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a DICOM server says to instances of a SOP class in a transfer syntax.

    Attributes:
        transfer_syntax_uid: in which they would be sent; None where they would not.
        reason: why not.
    """

    transfer_syntax_uid: str | None = None
    reason: str = ""


Outcome = Literal["sent", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of one instance.

    Attributes:
        number: that of the `Sendable`.
        outcome: ``warning`` is stored too; the server has a remark.
        status: of the C-STORE response, None where there was none.
        reason: one phrase; empty where it was sent.
        transfer_syntax_uid: as sent, where that is another than its own.
    """

    number: int
    outcome: Outcome
    status: int | None = None
    reason: str = ""
    transfer_syntax_uid: str | None = None


class DicomServer(Protocol):
    """Who needs it: dicom-send.

    A refusal for good is a `CertificateError`, a `TlsRefusedError`, or one of the errors of a
    rejected association (`AssociationRejectedError`, `CalledAeTitleError`, `CallingAeTitleError`).
    Of what may pass, an `UnreachableError`, an `OutOfResourcesError` or, of everything else, a
    `DicomServerError` says what it was.
    """

    @property
    def given_up(self) -> ImagingError | None:
        """Return why nothing is tried any more, None while the server is worth trying."""

    @property
    def trouble(self) -> ImagingError | None:
        """Return why it was given up, or what it failed by last; None where it has worked since."""

    def look_up(self) -> None:
        """Verify that the server's name leads anywhere; nothing is sent to it.

        Raises:
            UnreachableError: it does not.
        """

    def echo(self) -> str | None:
        """Verify that the server answers (C-ECHO); return why it does not offer that, else None.

        Such a server may take images all the same.

        Raises:
            ConfigError: it does not want us.
            ServiceError: it does not answer.
        """

    def offers(self, pairs: Collection[SyntaxPair]) -> Mapping[SyntaxPair, Offer]:
        """Return for each pair how such instances would be sent, or why they would not be.

        Of an uncompressed pair that may be another uncompressed transfer syntax.

        Raises:
            ConfigError: the server does not want us.
            ServiceError: it does not answer.
        """

    def send(self, items: Sequence[Sendable], convert: Convert) -> Generator[Sent]:
        """Send instances; return exactly one `Sent` for each, in the order they finish in.

        Raises nothing about the server: what could not be sent is ``failed`` and says why. Closing
        the iterator ends all associations.
        """

    def stored(self, items: Sequence[Sendable]) -> Mapping[str, bool] | None:
        """Return by SOP instance UID whether the server has it; None: it offers no C-FIND.

        What can't be asked for, because it has no study or series UID, is left out.

        Raises:
            ConfigError: the server does not want us.
            ServiceError: it does not answer, or the query failed.
        """
