"""A Flywheel site over its SDK: every reply is checked, every vendor error ends here.

The SDK repeats requests by itself, for minutes and not those that answer 500; that is switched off
for each client made here, and `Tries` owns the repetition (contract flywheel.md, 1.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import flywheel
import httpx2
from flywheel.rest import ApiException

from imaging_gears.adapters.loopback import is_loopback
from imaging_gears.adapters.tries import (
    NONSENSE,
    TransientError,
    Tries,
    retry_after,
)
from imaging_gears.errors import (
    ConfigError,
    ImagingError,
    NotFoundError,
    PermissionDeniedError,
    ServiceError,
    SiteKeyError,
)
from imaging_gears.ports import (
    ContainerRef,
    FileState,
    Info,
    ProjectState,
    SubjectState,
)

T = TypeVar("T")

SERVICE = "Flywheel"
CONNECT_SECONDS = 5
READ_SECONDS = 15
INSECURE = "__force_insecure"
NOT_FOUND = 404
_UNAUTHORIZED = 401
_REFUSED = frozenset({_UNAUTHORIZED, 403})
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
# What the SDK throws at a reply whose shape it did not expect (contract flywheel.md, 1.4).
_UNEXPECTED = (RuntimeError, ValueError, TypeError, AttributeError, KeyError, LookupError)
_SECRET = re.compile(r"[!-~]+")
_PORT = re.compile(r"[0-9]{1,5}")
_NO_FILES = ["exclude-files"]


@dataclass(frozen=True, slots=True)
class SiteKey:
    """A Flywheel API key, taken apart."""

    text: str = field(repr=False)
    host: str
    port: int
    insecure: bool


def parse_site_key(text: str, *, location: str) -> SiteKey:
    """Return the key in `text`: ``host:KEY`` or ``host:port:KEY``, the latter also insecure.

    Insecure is ``host:port:__force_insecure:KEY``.

    Raises:
        SiteKeyError: it is not of these forms, or would send itself unencrypted over a network.
    """
    *address, secret = text.strip().split(":")
    insecure = INSECURE in address
    parts = [part for part in address if part != INSECURE]
    port = parts[1] if len(parts) > 1 else "443"
    is_key = _SECRET.fullmatch(secret) and secret != INSECURE
    if len(parts) not in (1, 2) or not (parts[0] and is_key and _PORT.fullmatch(port)):
        message = f"The Flywheel key in {location} is not of the form host:KEY."
        raise SiteKeyError(message, location=location)
    host = parts[0].lower()
    if insecure and not is_loopback(host):
        message = f"The Flywheel key in {location} would be sent unencrypted."
        raise SiteKeyError(message, location=location)
    return SiteKey(text.strip(), host, int(port), insecure)


def key_of_site(text: str, site: SiteKey, *, location: str) -> SiteKey:
    """Return the key in `text` if it is for the same site as `site`.

    Raises:
        SiteKeyError: it is no key, or for another host, port or scheme.
    """
    key = parse_site_key(text, location=location)
    if (key.host, key.port, key.insecure) != (site.host, site.port, site.insecure):
        message = f"The Flywheel key in {location} is for another site than the job's."
        raise SiteKeyError(message, location=location)
    return key


class FlywheelSite:
    """`ports.Site` over flywheel-sdk.

    Args:
        key: of a user who may read the project and write its files and subjects.
        tries: the calls of this run to Flywheel.

    Raises:
        ConfigError: variables of the environment name certificates or a proxy that can't be used.
    """

    def __init__(self, key: SiteKey, tries: Tries) -> None:
        self._tries = tries
        try:
            self._client = flywheel.Client(
                key.text,
                disable_auth_check=True,  # one request less; a refused key shows at the first read
                connect_timeout=CONNECT_SECONDS,
                request_timeout=READ_SECONDS,
            )
        except (OSError, ValueError):
            # What it reads of the environment; its text may repeat a proxy's password.
            message = (
                "The connection to Flywheel can't be set up: FW_SSL_CERT_FILE names no file of"
                " certificates, or HTTP_PROXY, HTTPS_PROXY or ALL_PROXY no proxy."
            )
            raise ConfigError(message, location="environment") from None
        _without_retries(self._client)

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""
        return self._read(f"reading file {file_id}", lambda: self._file(file_id))

    def file_version(self, file_id: str, version: int) -> FileState:
        """Return that version of a file, with the info and tags that it had."""
        doing = f"reading version {version} of file {file_id}"
        return self._read(doing, lambda: self._file(file_id, version=version))

    def subject(self, subject_id: str) -> SubjectState:
        """Return a subject."""

        def read() -> SubjectState:
            reply = self._client.get_subject(subject_id, x_accept_feature=_NO_FILES)
            expect(reply.id == subject_id)
            return SubjectState(id=subject_id, label=reply.label or "", info=_info(reply.info))

        return self._read(f"reading subject {subject_id}", read)

    def project(self, project_id: str) -> ProjectState:
        """Return a project with the names and versions of its files."""

        def read() -> ProjectState:
            reply = self._client.get_project(project_id)
            expect(reply.id == project_id and isinstance(reply.label, str))
            return ProjectState(
                id=project_id,
                group=str(reply.group),
                label=reply.label,
                info=_info(reply.info),
                files={file.name: file.file_id for file in reply.files or ()},
                versions={file.name: int(file.version or 1) for file in reply.files or ()},
            )

        return self._read(f"reading project {project_id}", read)

    def label(self, container: ContainerRef) -> str:
        """Return a container's label."""

        def read() -> str:
            reply = self._container(container, x_accept_feature=_NO_FILES)
            expect(isinstance(reply.label, str))
            return str(reply.label)

        return self._read(f"reading {container.type} {container.id}", read)

    def named_file(self, container: ContainerRef, name: str) -> FileState | None:
        """Return the file of that name in a container, None where there is none."""

        def read() -> str | None:
            reply = self._container(container)
            expect(reply.id == container.id)
            ids = [file.file_id for file in reply.files or () if file.name == name]
            return ids[0] if ids else None

        file_id = self._read(f"reading {container.type} {container.id}", read)
        return None if file_id is None else self.file(file_id)

    def merge_subject_info(self, subject_id: str, info: Info) -> None:
        """Merge `info` deeply into subject.info; other keys stay."""

        def write() -> None:
            _expect_modified(self._client.modify_subject(subject_id, {"info": dict(info)}))

        self._write(f"writing info of subject {subject_id}", write)

    def read_project_file(self, project_id: str, file: FileState) -> bytes:
        """Return the whole content of that version of a project's file."""

        def read() -> bytes:
            reply = self._client.download_file_from_project_as_data(
                project_id, file.name, version=file.version
            )
            # The SDK checks nothing: an error page with status 200 must not become the log.
            expect(isinstance(reply, bytes) and file.size in (None, len(reply)))
            return bytes(reply)

        return self._read(f"reading the QC log in project {project_id}", read)

    def upload_project_file(
        self, project_id: str, name: str, content: bytes, info: Info, tags: tuple[str, ...]
    ) -> FileState:
        """Make a new version of a project's file, content and metadata in one request.

        Never repeated: after a `ServiceError` the upload may have happened or not.
        """

        def upload() -> FileState:
            reply = self._client.upload_file_to_project(
                project_id,
                flywheel.FileSpec(name, content, "text/plain", len(content)),
                signed=False,  # one request: content and metadata together, or neither
                metadata={
                    "name": name,
                    "size": len(content),
                    "info": dict(info),
                    "tags": list(tags),
                },
            )
            expect(isinstance(reply, list) and len(reply) == 1 and reply[0].name == name)
            return file_state(reply[0])

        doing = f"writing the QC log in project {project_id}"
        return self._write(doing, upload, repeatable=False)

    def set_file_info(self, file: FileState, info: Info) -> None:
        """Set each top-level key of `info` on the newest version of `file`; other keys stay."""

        def write() -> None:
            reply = self._client.modify_container_file_info(
                file.parent.id, file.name, {"set": dict(info)}
            )
            _expect_modified(reply)

        self._write(f"writing info of file {file.file_id}", write)

    def delete_file_info(self, file: FileState, keys: tuple[str, ...]) -> None:
        """Delete top-level keys of the info of the newest version of `file`."""

        def write() -> None:
            reply = self._client.modify_container_file_info(
                file.parent.id, file.name, {"delete": list(keys)}
            )
            _expect_modified(reply)

        self._write(f"deleting info of file {file.file_id}", write)

    def add_file_tag(self, file_id: str, tag: str) -> None:
        """Add a tag; no effect where the file has it."""

        def write() -> None:
            reply = self._client.add_file_tags(file_id, [tag])
            expect(isinstance(reply, list) and tag in reply)

        self._write(f"tagging file {file_id}", write)

    def remove_file_tags(self, file_id: str, tags: tuple[str, ...]) -> None:
        """Remove tags; no effect where the file has them not."""

        def write() -> None:
            self._client.delete_file_tags(file_id, body=list(tags))

        self._write(f"removing tags of file {file_id}", write)

    def _file(self, file_id: str, **options: Any) -> FileState:
        reply = self._client.get_file(file_id, **options)
        state = file_state(reply)
        expect(state.file_id == file_id)
        expect(options.get("version") in (None, state.version))
        return state

    def _container(self, container: ContainerRef, **options: Any) -> Any:
        reads: Mapping[str, Callable[..., Any]] = {
            "project": self._client.get_project,
            "subject": self._client.get_subject,
            "session": self._client.get_session,
            "acquisition": self._client.get_acquisition,
            "analysis": self._client.get_analysis,
        }
        # The SDK's get_analysis knows no such options.
        given = {} if container.type == "analysis" else options
        return reads[container.type](container.id, **given)

    def _read(self, doing: str, read: Callable[[], T], tries: Tries | None = None) -> T:
        return self._call(doing, read, tries=tries)

    def _write(self, doing: str, write: Callable[[], T], *, repeatable: bool = True) -> T:
        def checked() -> T:
            result = write()
            # A redirect turns PUT, PATCH, POST and DELETE into GET, and a proxy answers with a page
            # of its own: nothing was written then.
            response = self._client.api_client.last_response.httpx_response
            expect(not response.history)
            expect(not response.content.lstrip().startswith(b"<"))
            return result

        return self._call(doing, checked, repeatable=repeatable)

    def _call(
        self,
        doing: str,
        request: Callable[[], T],
        *,
        repeatable: bool = True,
        tries: Tries | None = None,
    ) -> T:
        def attempt() -> T:
            try:
                return request()
            except ApiException as error:
                raise _translated(error, doing) from None
            except httpx2.TimeoutException:
                problem = "timed out"
                raise TransientError(problem) from None
            except httpx2.HTTPError as error:
                raise TransientError(type(error).__name__) from None
            except _UNEXPECTED:
                raise TransientError(NONSENSE) from None

        return (tries or self._tries).call(doing, attempt, repeatable=repeatable)


def _translated(error: ApiException, doing: str) -> TransientError | ImagingError:
    status = error.status
    if status in _REFUSED:
        message = f"Flywheel refused {doing} (HTTP {status})."
        refused = PermissionDeniedError(message)
        refused.unknown_key = status == _UNAUTHORIZED
        return refused
    if status == NOT_FOUND:
        message = f"Flywheel has nothing there when {doing} (HTTP 404)."
        return NotFoundError(message)
    if status in _TRANSIENT:
        return TransientError(
            f"HTTP {status}", retry_after((error.headers or {}).get("Retry-After"))
        )
    return ServiceError(SERVICE, f"HTTP {status}", while_=doing)


def _without_retries(client: flywheel.Client) -> None:
    """Make the SDK's client send each request once.

    Its environment variable for that is read when the SDK is first imported by anybody, so a client
    could not rely on it.
    """
    http = client.api_client.rest_client.client
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001 - has no public name
        if transport is not None:
            transport.total = 0


def file_state(reply: Any) -> FileState:
    """Return a file as the site describes it.

    Raises:
        TransientError: that is no description of a file.
    """
    expect(isinstance(reply.file_id, str) and isinstance(reply.name, str))
    expect(isinstance(reply.version, int) and reply.version >= 1)
    parents = reply.parents.to_dict() if reply.parents else {}
    return FileState(
        file_id=reply.file_id,
        version=reply.version,
        name=reply.name,
        parent=ContainerRef(str(reply.parent_ref.type), str(reply.parent_ref.id)),
        parents={key: value for key, value in parents.items() if isinstance(value, str)},
        info=_info(reply.info),
        tags=tuple(reply.tags or ()),
        size=reply.size,
    )


def _info(value: object) -> dict[str, Any]:
    """Return an info block; Flywheel gives null for an empty one."""
    expect(value is None or isinstance(value, Mapping))
    return dict(value) if isinstance(value, Mapping) else {}


def _expect_modified(reply: object) -> None:
    # A write that a redirect turned into a read comes back as 200 without a count.
    modified = getattr(reply, "modified", None)
    expect(isinstance(modified, int) and not isinstance(modified, bool))


def expect(condition: bool) -> None:  # noqa: FBT001 - an assertion about a reply
    """Raise TransientError unless `condition` holds for a reply."""
    if not condition:
        raise TransientError(NONSENSE)
