"""The world in memory: a site with versions, an event store, a registry. They keep state.

What a real peer may do in the middle of a call (fail, lose the reply, let somebody else come
between) is arranged with `Interruptions`. The contract tests hold fakes and adapters together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from imaging_gears.errors import IdentifierNotFoundError, NotFoundError
from imaging_gears.model.participant import Mode, ParticipantKey
from imaging_gears.ports import ContainerRef, FileState, Info, ProjectState, SubjectState

Answer = TypeVar("Answer")
LEVELS = ("group", "project", "subject", "session", "acquisition")


def as_json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return `value` as it comes back from a server; what is no JSON is refused."""
    return json.loads(json.dumps(value, allow_nan=False))


@dataclass(slots=True)
class _Interruption:
    method: str
    action: Callable[[], object]
    after: bool
    times: int | None
    skip: int

    def takes(self, method: str, *, after: bool) -> bool:
        """Return whether this call is meant, and count it."""
        if method != self.method or after != self.after or self.times == 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Interruptions:
    """What happens just before or after the effect of calls."""

    def __init__(self) -> None:
        self._pending: list[_Interruption] = []
        self.calls: list[str] = []

    def add(
        self,
        method: str,
        action: Exception | Callable[[], object],
        *,
        after: bool = False,
        times: int | None = 1,
        skip: int = 0,
    ) -> None:
        """Let calls of `method` raise an error, or do something; `times` None is all of them."""

        def throw() -> None:
            assert isinstance(action, Exception)
            raise action

        run = throw if isinstance(action, Exception) else action
        self._pending.append(_Interruption(method, run, after, times, skip))

    def meet(self, method: str, *, after: bool) -> None:
        """Do what was arranged for this call."""
        if not after:
            self.calls.append(method)
        for each in list(self._pending):
            if each.takes(method, after=after):
                each.action()


@dataclass(slots=True)
class _Container:
    type: str
    id: str
    label: str
    parents: dict[str, str]
    info: dict[str, Any]


@dataclass(slots=True)
class InMemorySite:
    """`ports.Site` in memory. Every version of every file is kept, with its info and tags."""

    on: Interruptions = field(default_factory=Interruptions)
    _containers: dict[str, _Container] = field(default_factory=dict)
    _files: dict[str, list[FileState]] = field(default_factory=dict)
    _contents: dict[tuple[str, int], bytes] = field(default_factory=dict)

    # -- arranging and asserting --------------------------------------------------------------

    def add(
        self, type_: str, label: str, parent: str | None = None, info: Info | None = None
    ) -> str:
        """Make a container and return its id; a group's id is its label."""
        id_ = label if type_ == "group" else f"{len(self._containers) + 0xC0:024x}"
        above = self._containers[parent] if parent else None
        parents = {**above.parents, above.type: above.id} if above else {}
        self._containers[id_] = _Container(type_, id_, label, parents, as_json(info or {}))
        return id_

    def put(
        self,
        container_id: str,
        name: str,
        content: bytes = b"",
        info: Info | None = None,
        tags: tuple[str, ...] = (),
    ) -> FileState:
        """Make a new version of a file, as somebody's upload does."""
        container = self._containers[container_id]
        versions = self._named(container_id, name)
        latest = max((int(file_id, 16) for file_id, _ in self._contents), default=0xEF)
        file_id = versions[0].file_id if versions else f"{latest + 1:024x}"
        state = FileState(
            file_id=file_id,
            version=len(versions) + 1,
            name=name,
            parent=ContainerRef(container.type, container_id),
            parents={**container.parents, container.type: container_id},
            info=as_json(info or {}),
            tags=tuple(tags),
            size=len(content),
        )
        self._files.setdefault(file_id, []).append(state)
        self._contents[file_id, state.version] = content
        return state

    def delete(self, file_id: str) -> None:
        """Delete a file with all its versions."""
        del self._files[file_id]

    def relabel(self, container_id: str, label: str) -> None:
        """Give a container another label."""
        self._containers[container_id].label = label

    def change_info(self, container_id: str, **info: object) -> None:
        """Set top-level keys of a container's info."""
        self._containers[container_id].info.update(as_json(info))

    def info(self, container_id: str) -> dict[str, Any]:
        """Return a container's info."""
        return dict(as_json(self._containers[container_id].info))

    def versions(self, file_id: str) -> list[FileState]:
        """Return all versions of a file, oldest first."""
        return list(self._files[file_id])

    def content(self, file_id: str, version: int | None = None) -> bytes:
        """Return the content of a version of a file, of the newest for None."""
        return self._contents[file_id, version or len(self._files[file_id])]

    def names(self, container_id: str) -> dict[str, str]:
        """Return the names of a container's files and their ids."""
        return {
            versions[-1].name: file_id
            for file_id, versions in self._files.items()
            if versions[-1].parent.id == container_id
        }

    def dump(self) -> tuple[dict[str, Any], dict[str, list[FileState]]]:
        """Return all containers and files, to be compared with later."""
        containers = {
            each.id: (each.label, as_json(each.info)) for each in self._containers.values()
        }
        return containers, {key: list(files) for key, files in self._files.items()}

    # -- ports.Site ---------------------------------------------------------------------------

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""
        return self._call("file", lambda: self._version(file_id, None))

    def file_version(self, file_id: str, version: int) -> FileState:
        """Return that version of a file."""
        return self._call("file_version", lambda: self._version(file_id, version))

    def subject(self, subject_id: str) -> SubjectState:
        """Return a subject."""

        def read() -> SubjectState:
            found = self._container("subject", subject_id)
            return SubjectState(id=found.id, label=found.label, info=as_json(found.info))

        return self._call("subject", read)

    def project(self, project_id: str) -> ProjectState:
        """Return a project with the names and versions of its files."""

        def read() -> ProjectState:
            found = self._container("project", project_id)
            return ProjectState(
                id=found.id,
                group=found.parents["group"],
                label=found.label,
                info=as_json(found.info),
                files=self.names(project_id),
                versions={
                    name: self._files[file_id][-1].version
                    for name, file_id in self.names(project_id).items()
                },
            )

        return self._call("project", read)

    def label(self, container: ContainerRef) -> str:
        """Return a container's label."""
        return self._call("label", lambda: self._container(container.type, container.id).label)

    def merge_subject_info(self, subject_id: str, info: Info) -> None:
        """Merge `info` deeply into subject.info."""

        def write() -> None:
            found = self._container("subject", subject_id)
            found.info = _merged(found.info, as_json(dict(info)))

        self._call("merge_subject_info", write)

    def read_project_file(self, project_id: str, file: FileState) -> bytes:
        """Return the content of that version of a project's file."""

        def read() -> bytes:
            for state in self._named(project_id, file.name):
                if state.version == file.version:
                    return self._contents[state.file_id, state.version]
            raise NotFoundError("There is no such file.")

        return self._call("read_project_file", read)

    def upload_project_file(
        self, project_id: str, name: str, content: bytes, info: Info, tags: tuple[str, ...]
    ) -> FileState:
        """Make a new version of a project's file."""

        def upload() -> FileState:
            self._container("project", project_id)
            return self.put(project_id, name, content, info, tags)

        return self._call("upload_project_file", upload)

    def set_file_info(self, file: FileState, info: Info) -> None:
        """Set top-level keys on the newest version: a file is addressed by container and name."""

        def write() -> None:
            versions = self._named(file.parent.id, file.name)
            if not versions:
                raise NotFoundError("There is no such file.")
            newest = versions[-1]
            self._files[newest.file_id][-1] = replace(
                newest, info={**newest.info, **as_json(dict(info))}
            )

        self._call("set_file_info", write)

    def delete_file_info(self, file: FileState, keys: tuple[str, ...]) -> None:
        """Delete top-level keys of the newest version's info."""

        def write() -> None:
            versions = self._named(file.parent.id, file.name)
            if not versions:
                raise NotFoundError("There is no such file.")
            newest = versions[-1]
            kept = {key: value for key, value in newest.info.items() if key not in keys}
            self._files[newest.file_id][-1] = replace(newest, info=kept)

        self._call("delete_file_info", write)

    def add_file_tag(self, file_id: str, tag: str) -> None:
        """Add a tag."""

        def write() -> None:
            newest = self._version(file_id, None)
            if tag not in newest.tags:
                self._files[file_id][-1] = replace(newest, tags=(*newest.tags, tag))

        self._call("add_file_tag", write)

    def remove_file_tags(self, file_id: str, tags: tuple[str, ...]) -> None:
        """Remove tags."""

        def write() -> None:
            newest = self._version(file_id, None)
            kept = tuple(each for each in newest.tags if each not in tags)
            self._files[file_id][-1] = replace(newest, tags=kept)

        self._call("remove_file_tags", write)

    # -- inside -------------------------------------------------------------------------------

    def _call(self, method: str, effect: Callable[[], Answer]) -> Answer:
        self.on.meet(method, after=False)
        result = effect()
        self.on.meet(method, after=True)
        return result

    def _version(self, file_id: str, version: int | None) -> FileState:
        versions = self._files.get(file_id, [])
        number = len(versions) if version is None else version
        if not 1 <= number <= len(versions):
            raise NotFoundError("There is no such file.")
        return versions[number - 1]

    def _container(self, type_: str, id_: str) -> _Container:
        found = self._containers.get(id_)
        if found is None or found.type != type_:
            raise NotFoundError(f"There is no such {type_}.")
        return found

    def _named(self, container_id: str, name: str) -> list[FileState]:
        for versions in self._files.values():
            if (versions[-1].parent.id, versions[-1].name) == (container_id, name):
                return versions
        return []


@dataclass(slots=True)
class InMemoryEvents:
    """`ports.EventStore` in memory: what is there stays."""

    on: Interruptions = field(default_factory=Interruptions)
    stored: dict[str, bytes] = field(default_factory=dict)

    def put_if_absent(self, key: str, body: bytes) -> bytes | None:
        """Write `body` under `key` unless something is there."""
        self.on.meet("put_if_absent", after=False)
        present = self.stored.get(key)
        if present is None:
            self.stored[key] = body
        self.on.meet("put_if_absent", after=True)
        return present


@dataclass(slots=True)
class InMemoryRegistry:
    """`ports.IdentifierRepository` in memory."""

    known: Mapping[tuple[Mode, int, str], object] = field(default_factory=dict)
    on: Interruptions = field(default_factory=Interruptions)
    asked: list[tuple[Mode, int, str]] = field(default_factory=list)

    def naccid_for(self, key: ParticipantKey, mode: Mode) -> object:
        """Return what the registry has."""
        self.on.meet("naccid_for", after=False)
        self.asked.append((mode, key.adcid, key.ptid))
        if self.asked[-1] not in self.known:
            raise IdentifierNotFoundError("The registry knows no such participant.")
        self.on.meet("naccid_for", after=True)
        return self.known[self.asked[-1]]


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        stored = result.get(key)
        if isinstance(stored, dict) and isinstance(value, dict):
            value = _merged(stored, value)  # noqa: PLW2901 - deeply
        result[key] = value
    return result
