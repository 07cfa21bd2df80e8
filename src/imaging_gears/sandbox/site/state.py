"""The site's state: what its routes, the engine, the seed and tests work on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imaging_gears.sandbox.site import jobs as job_docs
from imaging_gears.sandbox.site import rules as gear_rules
from imaging_gears.sandbox.site.access import SYSTEM, Access, Principal
from imaging_gears.sandbox.site.errors import ApiError, not_found
from imaging_gears.sandbox.site.files import Files, Upload, infer_type, present
from imaging_gears.sandbox.site.hierarchy import LEVELS, PLURAL, TYPES, Hierarchy
from imaging_gears.sandbox.site.jobs import Gears, Jobs
from imaging_gears.sandbox.site.options import SiteOptions
from imaging_gears.sandbox.store import new_id, now

if TYPE_CHECKING:
    from imaging_gears.sandbox.store import Store

Json = dict[str, Any]


class Site:
    """A Flywheel site without its HTTP: arrange it and look at it directly.

    Methods that change a file or container do what the routes do, gear rules included.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.options = SiteOptions()
        self.access = Access(store)
        self.hierarchy = Hierarchy(store)
        self.files = Files(store)
        self.gears = Gears(store)
        self.queue = Jobs(store, self.hierarchy, self.files, self.gears)

    # -- arranging ----------------------------------------------------------------------------

    def add_group(self, group: str, label: str | None = None) -> str:
        """Make a group, and return its id."""
        return str(self.hierarchy.add_group(group, label)["_id"])

    def add_project(self, group: str, label: str, info: Json | None = None) -> str:
        """Make a project, its group too where it is new, and return the project's id."""
        if self.store.get("container", group) is None:
            self.hierarchy.add_group(group)
        parent = self.hierarchy.get(group, "group")
        return str(self.hierarchy.add("project", parent, label, info=info or {})["_id"])

    def add_subject(self, project_id: str, label: str, info: Json | None = None) -> str:
        """Make a subject, and return its id."""
        return self._add("subject", project_id, label, info)

    def add_session(self, subject_id: str, label: str, info: Json | None = None) -> str:
        """Make a session, and return its id."""
        return self._add("session", subject_id, label, info)

    def add_acquisition(self, session_id: str, label: str, info: Json | None = None) -> str:
        """Make an acquisition, and return its id."""
        return self._add("acquisition", session_id, label, info)

    def add_analysis(self, parent_id: str, label: str, info: Json | None = None) -> str:
        """Make an analysis, and return its id."""
        return self._add("analysis", parent_id, label, info)

    def _add(self, kind: str, parent_id: str, label: str, info: Json | None) -> str:
        parent = self.hierarchy.get(parent_id)
        if kind == "subject" and label == "":
            return self._add_unlabelled(parent, info)
        return str(self.hierarchy.add(kind, parent, label, info=info or {})["_id"])

    def _add_unlabelled(self, project: Json, info: Json | None) -> str:
        """Make a subject as DICOM reapers sometimes leave it: with an empty label."""
        subject = self.hierarchy.add("subject", project, new_id(), info=info or {})
        return str(self.hierarchy.touch({**subject, "label": "", "code": ""})["_id"])

    def add_gear(self, manifest: Json | Path | str) -> str:
        """Register a gear by its manifest (or the path of one), and return the gear's id."""
        if isinstance(manifest, dict):
            return str(self.gears.add(manifest)["_id"])
        return self.add_gear(dict(json.loads(Path(manifest).read_text("utf-8"))))

    def add_rule(self, project_id: str, rule: Json) -> str:
        """Make a gear rule; ``gear_id`` may be a gear's name. Return the rule's id."""
        project = self.hierarchy.get(project_id, "project")
        doc = gear_rules.new_rule(rule, new_id(), project["_id"])
        doc["gear_id"] = self.gears.get(doc["gear_id"])["_id"]
        doc.update(created=now(), modified=now())
        self.store.put("rule", doc["_id"], doc, parent=project["_id"])
        return str(doc["_id"])

    def upload(
        self,
        container_id: str,
        name: str,
        data: bytes | str | Path,
        **metadata: Any,  # noqa: ANN401 - any JSON value
    ) -> Json:
        """Upload a file as the system does, and return it as the API gives it.

        Args:
            container_id: where to.
            name: the file's name.
            data: its content; text is encoded as UTF-8, a path is read.
            metadata: ``type``, ``info``, ``tags``, ``modality``, ``classification``, ...
        """
        if isinstance(data, Path):
            data = data.read_bytes()
        content = data.encode() if isinstance(data, str) else data
        container = self.hierarchy.get(container_id)
        upload = Upload(name, content, SYSTEM.origin_json, metadata)
        return present(self.put_file(container, upload))

    # -- asserting ----------------------------------------------------------------------------

    def file(self, file_id: str, version: int | None = None) -> Json:
        """Return a file as the API gives it."""
        return present(self.files.get(file_id, version))

    def read(self, file_id: str, version: int | None = None) -> bytes:
        """Return a file's content."""
        return self.files.read(self.files.get(file_id, version))

    def container(self, container_id: str) -> Json:
        """Return a container as the API gives it."""
        return self.show(self.hierarchy.get(container_id))

    def lookup(self, path: str) -> Json:
        """Return what is at ``group/project/subject/...``, or at ``.../files/name``."""
        return self.walk(path.split("/"))[-1]

    def jobs(self) -> list[Json]:
        """Return all jobs, oldest first."""
        return [job_docs.present(job) for job in self.queue.all()]

    def lose(self, job_id: str) -> str | None:
        """Take a running job for dead: queue it again and leave its process running.

        Returns:
            The id of the new job, or None after the last attempt.
        """
        new = self.queue.lose(job_id)
        return str(new["_id"]) if new else None

    def dump(self, project: str | None = None) -> Json:
        """Return everything: containers by path, with all versions of their files, and jobs.

        Of the containers only a project, and what is in it, where its id is given.
        """
        containers = {}
        for kind in TYPES:
            for doc in self.hierarchy.all(kind):
                if project not in (None, doc["_id"], doc["parents"].get("project")):
                    continue
                files = [self._dump_file(file) for file in self.files.of(doc["_id"])]
                containers[self.path_of(doc)] = {**doc, "files": files}
        return {"containers": containers, "jobs": self.jobs()}

    def _dump_file(self, file: Json) -> Json:
        versions = [present(doc) for doc in self.files.versions(file["file_id"])]
        return {"name": file["name"], "file_id": file["file_id"], "versions": versions}

    # -- files, with what follows from a change -----------------------------------------------

    def put_file(self, container: Json, upload: Upload, *, rules: bool = True) -> Json:
        """Upload a file and start the gears whose rules it satisfies."""
        if self.options.keep_metadata and not upload.metadata:
            upload = Upload(upload.name, upload.data, upload.origin, {}, True, upload.gear_info)  # noqa: FBT003
        doc = self.files.upload(container, upload)
        if rules:
            self.evaluate_rules(None, doc)
        return doc

    def change_file(self, file_id: str, fields: Json) -> Json:
        """Set fields of a file and evaluate the rules."""
        with self.store.transaction():
            before = self.files.get(file_id)
            after = self.files.change(file_id, fields)
        self.evaluate_rules(before, after)
        return after

    def change_tags(self, file_id: str, *, add: list[str], remove: list[str]) -> Json:
        """Change the tags of a file and evaluate the rules."""
        with self.store.transaction():
            before = self.files.get(file_id)
            after = self.files.change_tags(file_id, add=add, remove=remove)
        self.evaluate_rules(before, after)
        return after

    def evaluate_rules(self, before: Json | None, after: Json) -> list[Json]:
        """Queue a job for each rule of the project that the change of a file satisfies."""
        project = after["parents"]["project"]
        rules = self.store.children("rule", project) if project else []
        if not rules:
            return []
        siblings = self.files.of(after["parent_ref"]["id"])
        others = [file for file in siblings if file["file_id"] != after["file_id"]]
        return [
            self._start(rule, after)
            for rule in rules
            if gear_rules.fires(rule, before, after, others)
        ]

    def _start(self, rule: Json, file: Json) -> Json:
        gear = self.gears.get(rule["gear_id"])
        if rule["auto_update"]:
            gear = self.gears.get(gear["gear"]["name"])
        name = rule["triggering_input"] or triggering_input(gear["gear"], file["type"])
        inputs = {name: file, **self._fixed(rule)}
        destination = self.hierarchy.get(file["parent_ref"]["id"])
        role = "read-only" if rule["role_id"] == "read-only" else "read-write"
        origin = ("gear_rule", rule["_id"])
        who = Principal("system", role, (rule["project_id"],), origin)  # type: ignore[arg-type]
        return self.queue.enqueue(
            gear,
            inputs,
            destination,
            who,
            config=rule["config"],
            rule_id=rule["_id"],
            priority=rule["priority"],
            tags=[gear["gear"]["name"], *rule["tags"]],
        )

    def _fixed(self, rule: Json) -> Json:
        fixed = rule["fixed_inputs"]
        return {
            item["input"]: self.files.named(item["id"], item["name"], item.get("version"))
            for item in fixed
        }

    # -- paths --------------------------------------------------------------------------------

    def walk(self, path: list[str]) -> list[Json]:
        """Return the nodes along a path, the last one being what it names.

        Raises:
            ApiError: 404.
        """
        if path[:1] == ["gears"]:
            return [{**self.gears.get(path[1]), "container_type": "gear", "node_type": "gear"}]
        nodes: list[Json] = []
        rest = list(path)
        while rest:
            step = rest.pop(0)
            if step == "files" and nodes:
                return [*nodes, self._file_node(nodes[-1]["_id"], "/".join(rest))]
            if step == "analyses" and nodes and rest:
                nodes.append(self._child(nodes, "analysis", rest.pop(0)))
            else:
                nodes.append(self._child(nodes, LEVELS[min(len(nodes), 4)], step))
        return nodes

    def _child(self, nodes: list[Json], kind: str, name: str) -> Json:
        if not nodes:
            return self.show(
                self.hierarchy.get(name.removeprefix("<id:").removesuffix(">"), "group")
            )
        parent = self.hierarchy.get(nodes[-1]["_id"])
        doc = self.hierarchy.child(parent, kind, name)
        if doc is None:
            raise not_found(kind.capitalize())
        return self.show(doc)

    def _file_node(self, container_id: str, name: str) -> Json:
        return {**present(self.files.named(container_id, name)), "container_type": "file"}

    def path_of(self, doc: Json) -> str:
        """Return ``group/project/...`` of a container."""
        above = [doc["parents"][level] for level in LEVELS if doc["parents"].get(level)]
        labels = (
            [above[0], *(self.hierarchy.get(id_)["label"] for id_ in above[1:])] if above else []
        )
        if doc["container_type"] == "analysis":
            labels.append("analyses")
        return "/".join([*labels, doc["_id"] if doc["container_type"] == "group" else doc["label"]])

    # -- documents as the API gives them ------------------------------------------------------

    def show(self, doc: Json, *, listing: bool = False, files: bool = True) -> Json:
        """Return a container as the API gives it; files in it come without their info."""
        shown = {**doc, "info_exists": bool(doc["info"])}
        if listing:
            shown["info"] = {}
        if files and doc["container_type"] != "group":
            shown["files"] = [present(file, listing=True) for file in self.files.of(doc["_id"])]
        if doc["container_type"] == "session":
            shown["subject"] = self.hierarchy.get(doc["subject"])
        return shown

    def delete(self, doc: Json) -> None:
        """Delete a container, everything below it, and their files."""
        with self.store.transaction():
            for each in reversed(self.hierarchy.below(doc)):
                for file in self.files.of(each["_id"]):
                    self.files.remove(file["file_id"])
                self.hierarchy.remove(each["_id"])


def triggering_input(manifest: Json, file_type: str | None) -> str:
    """Return the first file input that takes files of this type, else the first file input.

    Raises:
        ApiError: 400, the gear has no file input.
    """
    specs = {name: spec for name, spec in manifest["inputs"].items() if spec["base"] == "file"}
    if not specs:
        raise ApiError(400, "The gear has no file input that a rule could fill.")
    fitting = [name for name, spec in specs.items() if accepts(spec, file_type)]
    return str((fitting or list(specs))[0])


def accepts(spec: Json, file_type: str | None) -> bool:
    """Tell whether an input takes files of this type."""
    allowed = (spec.get("type") or {}).get("enum")
    return not allowed or file_type in allowed


__all__ = ["PLURAL", "Site", "accepts", "infer_type", "triggering_input"]
