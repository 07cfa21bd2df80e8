"""DICOM files of a Flywheel site: listing, downloading, and attaching a file to a container."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import flywheel
from flywheel.rest import ApiException

from imaging_gears.adapters.flywheel import SERVICE, FlywheelSite, expect, file_state
from imaging_gears.adapters.tries import Tries
from imaging_gears.errors import ConfigError, ServiceError
from imaging_gears.ports import ContainerRef, FileState, Place, StoredFile

DICOM = "dicom"
PAGE = 250
"""Containers in one answer of a listing."""
ROUND_SECONDS = 5.0
"""Between two rounds of tries of a download."""
_NAME_REFUSED = frozenset({400, 422})
_LEVELS = ("project", "subject", "session", "acquisition")
_BELOW = {"subject": "session", "session": "acquisition"}


class _NameRefusedError(Exception):
    """The site does not take a file's name."""


class FlywheelFiles(FlywheelSite):
    """`ports.DicomFiles` and `ports.Attachments`, and all that `FlywheelSite` does."""

    def place(self, container: ContainerRef) -> Place:
        """Return where a container lies; an analysis counts as the container that it is of."""
        if container.type == "analysis":
            container = self._parent_of(container)
        if container.type not in _LEVELS:
            message = f"The gear can't be run on a {container.type}."
            raise ConfigError(message, location="destination")

        def read() -> tuple[str, list[ContainerRef], str]:
            reply = self._container(container, x_accept_feature=["exclude-files"])
            expect(reply.id == container.id and isinstance(reply.label, str))
            parents = reply.parents.to_dict() if reply.parents else {}
            above = [ContainerRef(each, parents[each]) for each in _LEVELS if parents.get(each)]
            return str(parents.get("group") or getattr(reply, "group", "")), above, reply.label

        group, above, label = self._read(f"reading {container.type} {container.id}", read)
        labels = [(each, self.label(each)) for each in above]
        return Place(group=group, containers=(*labels, (container, label)))

    def dicom_files(self, place: Place) -> tuple[StoredFile, ...]:
        """Return every file of type ``dicom`` in a subject, session or acquisition, or below it.

        Raises:
            ConfigError: it is of another type.
        """
        if place.container.type not in _LEVELS[1:]:
            message = (
                f"The gear does not send all files of a {place.container.type}: run it on a"
                " session, subject or acquisition."
            )
            raise ConfigError(message, location="destination")
        doing = f"reading {place.container.type} {place.container.id}"
        reply = self._read(doing, lambda: _checked(self._container(place.container)))
        return tuple(self._below(place, reply))

    def _below(self, place: Place, reply: Any) -> Iterator[StoredFile]:
        for entry in reply.files or ():
            if entry.type == DICOM:
                yield _stored(entry, place)
        below = _BELOW.get(place.container.type)
        if below is not None:
            for each in self._children(place.container):
                yield from self._below(place.below(ContainerRef(below, each.id), each.label), each)

    def _children(self, container: ContainerRef) -> Iterator[Any]:
        """Page through the containers in a container; each comes with its files."""
        lists: Mapping[str, Callable[..., Any]] = {
            "subject": self._client.get_subject_sessions,
            "session": self._client.get_session_acquisitions,
        }
        options: dict[str, Any] = {"limit": PAGE}
        seen: set[str] = set()
        while True:
            page = self._read(
                f"listing {container.type} {container.id}",
                lambda: _page(lists[container.type](container.id, **options)),
            )
            new = [each for each in page if each.id not in seen]
            yield from new
            if not new:  # the end, or a server that gives the same page again
                return
            seen |= {each.id for each in new}
            options["after_id"] = new[-1].id

    def download(self, file: StoredFile, path: Path, *, seconds: float) -> None:
        """Write a file's content to `path`, whole or not at all.

        Args:
            file: which, and which version.
            path: is not there yet.
            seconds: how long a server that answers 5xx is asked again.
        """
        container = file.place.container
        fetch: Callable[..., Any] = {
            "subject": self._client.download_file_from_subject,
            "session": self._client.download_file_from_session,
            "acquisition": self._client.download_file_from_acquisition,
        }[container.type]
        part = path.with_name(f"{path.name}.part")

        def read() -> None:
            fetch(container.id, file.name, str(part), version=file.version)
            # The SDK checks nothing: a connection that was cut leaves a shorter file.
            expect(file.size in (None, part.stat().st_size))

        try:
            self._patiently(f"downloading file {file.file_id}", read, seconds)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)

    def _patiently(self, doing: str, read: Callable[[], None], seconds: float) -> None:
        """Make rounds of tries until `seconds` are over."""
        until = time.monotonic() + seconds
        while True:
            try:
                # Tries of its own: what one file has used up is not taken from the next.
                return self._read(doing, read, Tries(SERVICE, self._tries.requests))
            except ServiceError:
                if time.monotonic() + ROUND_SECONDS > until:
                    raise
            time.sleep(ROUND_SECONDS)

    def attach(self, container: ContainerRef, name: str, content: bytes) -> FileState | None:
        """Upload a file to a container; repeated where it failed: that makes a version at worst.

        Returns:
            The file with its version; None where the site refuses the request as it is: what can be
            wrong with it is the name.
        """
        put: Callable[..., Any] = {
            "project": self._client.upload_file_to_project,
            "subject": self._client.upload_file_to_subject,
            "session": self._client.upload_file_to_session,
            "acquisition": self._client.upload_file_to_acquisition,
        }[container.type]

        def upload() -> FileState:
            spec = flywheel.FileSpec(name, content, "text/csv", len(content))
            try:
                reply = put(container.id, spec, signed=False)
            except ApiException as error:
                if error.status in _NAME_REFUSED:
                    raise _NameRefusedError from None
                raise
            expect(isinstance(reply, list) and len(reply) == 1 and reply[0].name == name)
            return file_state(reply[0])

        try:
            return self._write(f"attaching the report to {container.type} {container.id}", upload)
        except _NameRefusedError:
            return None

    def first_content(self, file: FileState) -> bytes:
        """Return what the first version of a file holds, whole."""
        container = file.parent
        fetch: Callable[..., Any] = {
            "project": self._client.download_file_from_project_as_data,
            "subject": self._client.download_file_from_subject_as_data,
            "session": self._client.download_file_from_session_as_data,
            "acquisition": self._client.download_file_from_acquisition_as_data,
        }[container.type]
        size = self.file_version(file.file_id, 1).size

        def read() -> bytes:
            reply = fetch(container.id, file.name, version=1)
            # As for a download: what is shorter would be uploaded again as the whole.
            expect(isinstance(reply, bytes) and size in (None, len(reply)))
            return bytes(reply)

        return self._read(f"reading version 1 of file {file.file_id}", read)

    def _parent_of(self, analysis: ContainerRef) -> ContainerRef:
        def read() -> ContainerRef:
            reply = self._client.get_analysis(analysis.id)
            expect(bool(reply.parent and reply.parent.type and reply.parent.id))
            return ContainerRef(str(reply.parent.type), str(reply.parent.id))

        return self._read(f"reading analysis {analysis.id}", read)


def _page(reply: object) -> list[Any]:
    expect(isinstance(reply, list))
    return [_checked(each) for each in (reply if isinstance(reply, list) else ())]


def _checked(container: Any) -> Any:
    """Return a container whose reply has all that is taken from it."""
    expect(isinstance(container.id, str) and isinstance(container.label, str))
    for entry in container.files or ():
        expect(isinstance(entry.file_id, str) and isinstance(entry.name, str))
    return container


def _stored(entry: Any, place: Place) -> StoredFile:
    return StoredFile(
        file_id=entry.file_id,
        version=int(entry.version or 1),
        name=entry.name,
        place=place,
        size=entry.size,
    )
