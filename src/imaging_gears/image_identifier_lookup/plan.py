"""A dry run's world: reads go through, each write is put down with its target and shape instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.ports import (
    ContainerRef,
    FileState,
    Info,
    ProjectState,
    Site,
    SubjectState,
)

QC_LOG_PATTERN = "{ptid}_{date}_{modality}_qc-status.log"
EVENT_PATTERN = "log-submit-{timestamp}-{adcid}-{project}-{ptid}-{date}.json"


def shape(value: object) -> object:
    """Return `value` with every leaf replaced by the name of its JSON type."""
    if isinstance(value, Mapping):
        return {str(key): shape(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [shape(each) for each in value]
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names.get(type(value), "string")


@dataclass(slots=True)
class Plan:
    """The writes of a run that were not made, in their order."""

    writes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, verb: str, target: str, content: object) -> None:
        """Put down one write: what it would do, to what, with content of which shape."""
        self.writes.append({"write": verb, "target": target, "content": content})


@dataclass(frozen=True, slots=True)
class PlannedSite:
    """A site that is read and not written."""

    site: Site
    plan: Plan

    def file(self, file_id: str) -> FileState:
        """Read through."""
        return self.site.file(file_id)

    def subject(self, subject_id: str) -> SubjectState:
        """Read through."""
        return self.site.subject(subject_id)

    def project(self, project_id: str) -> ProjectState:
        """Read through."""
        return self.site.project(project_id)

    def label(self, container: ContainerRef) -> str:
        """Read through."""
        return self.site.label(container)

    def file_version(self, file_id: str, version: int) -> FileState:
        """Read through."""
        return self.site.file_version(file_id, version)

    def read_project_file(self, project_id: str, file: FileState) -> bytes:
        """Read through."""
        return self.site.read_project_file(project_id, file)

    def merge_subject_info(self, subject_id: str, info: Info) -> None:
        """Put down the update of subject.info."""
        self.plan.add("merge info", f"subject/{subject_id}", shape(info))

    def upload_project_file(
        self, project_id: str, name: str, content: bytes, info: Info, tags: tuple[str, ...]
    ) -> FileState:
        """Put down the upload of the QC log."""
        self.plan.add(
            "upload",
            f"project/{project_id}/files/{QC_LOG_PATTERN}",
            {"lines": content.count(b"\n"), "info": shape(info), "tags": list(tags)},
        )
        version = info[GEAR]["base"] + 1
        parent = ContainerRef("project", project_id)
        return FileState(file_id="", version=version, name=name, parent=parent)

    def set_file_info(self, file: FileState, info: Info) -> None:
        """Put down the setting of info keys."""
        self.plan.add("set info", f"file/{file.file_id}", shape(info))

    def delete_file_info(self, file: FileState, keys: tuple[str, ...]) -> None:
        """Put down the deletion of info keys."""
        self.plan.add("delete info", f"file/{file.file_id}", list(keys))

    def add_file_tag(self, file_id: str, tag: str) -> None:
        """Put down the tag."""
        self.plan.add("add tag", f"file/{file_id}", tag)

    def remove_file_tags(self, file_id: str, tags: tuple[str, ...]) -> None:
        """Put down the tags that would go."""
        self.plan.add("remove tags", f"file/{file_id}", list(tags))


@dataclass(frozen=True, slots=True)
class PlannedEvents:
    """An event store that is not written."""

    environment: str
    bucket: str
    plan: Plan

    def put_if_absent(self, key: str, body: bytes) -> bytes | None:
        """Put down the event."""
        del key
        target = f"s3://{self.bucket}/{self.environment}/{EVENT_PATTERN}"
        self.plan.add("put if absent", target, shape(json.loads(body)))
        return None
