"""Containers: groups, projects, subjects, sessions, acquisitions and analyses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from imaging_gears.sandbox.site.errors import bad_request, conflict, not_found
from imaging_gears.sandbox.site.info import apply_verbs, clean, deep_merge
from imaging_gears.sandbox.store import new_id, now

if TYPE_CHECKING:
    from imaging_gears.sandbox.store import Store

Json = dict[str, Any]

LEVELS = ("group", "project", "subject", "session", "acquisition")
TYPES = (*LEVELS, "analysis")
PLURAL = {kind: "analyses" if kind == "analysis" else f"{kind}s" for kind in TYPES}
SINGULAR = {plural: kind for kind, plural in PLURAL.items()}

_OWN = {"_id", "parents", "container_type", "created", "revision", "files", "permissions"}
_GROUP_ID = re.compile(r"[a-z0-9][a-z0-9_.\-]{0,62}[a-z0-9]")


class Hierarchy:
    """The tree of containers, files aside."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- reading ------------------------------------------------------------------------------

    def get(self, id_: str, kind: str | None = None) -> Json:
        """Return a container.

        Raises:
            ApiError: 404, no container of that id (and kind).
        """
        doc = self._store.get("container", id_)
        if doc is None or (kind is not None and doc["container_type"] != kind):
            raise not_found((kind or "container").capitalize())
        return doc

    def children(self, doc: Json, kind: str) -> list[Json]:
        """Return the containers of `kind` below `doc`, at any depth; analyses only right below."""
        if kind == "analysis":
            return self._store.children("container", f"{doc['_id']}/analysis")
        level = LEVELS.index(doc["container_type"]) + 1 if doc["container_type"] in LEVELS else 9
        found = [doc]
        for step in LEVELS[level : LEVELS.index(kind) + 1]:
            found = [
                child
                for parent in found
                for child in self._store.children("container", f"{parent['_id']}/{step}")
            ]
        return found if level <= LEVELS.index(kind) else []

    def all(self, kind: str) -> list[Json]:
        """Return all containers of a kind, oldest first."""
        return [doc for doc in self._store.all("container") if doc["container_type"] == kind]

    def child(self, doc: Json, kind: str, name: str) -> Json | None:
        """Return the child of that label, or of that ``<id:...>``."""
        if name.startswith("<id:") and name.endswith(">"):
            found = self._store.get("container", name[4:-1])
            return found if found and found["container_type"] == kind else None
        return self._store.find("container", f"{doc['_id']}/{kind}", name)

    # -- making -------------------------------------------------------------------------------

    def add_group(self, id_: str, label: str | None = None) -> Json:
        """Make a group.

        Raises:
            ApiError: 400, no legal id; 409, the group is there.
        """
        if not _GROUP_ID.fullmatch(id_):
            msg = "A group's id is lower-case letters, digits, '.', '_' and '-'."
            raise bad_request(msg)
        if self._store.get("container", id_):
            msg = "Group already exists."
            raise conflict(msg)
        doc = {**_blank(id_, "group", label or id_), "parents": {}}
        self._store.put("container", id_, doc, name=id_)
        return doc

    def add(self, kind: str, parent: Json, label: str, **fields: Any) -> Json:  # noqa: ANN401
        """Make a container below `parent`.

        Raises:
            ApiError: 400, no label; 409, a sibling has it (sessions, acquisitions and analyses may
                repeat).
        """
        if not label.strip():
            msg = f"A {kind} needs a label."
            raise bad_request(msg)
        with self._store.transaction():
            unique = kind in ("project", "subject")
            if unique and self._store.find("container", f"{parent['_id']}/{kind}", label):
                msg = f"{kind.capitalize()} of this label already exists."
                raise conflict(msg)
            doc = _blank(new_id(), kind, label)
            doc["parents"] = {**parent["parents"], parent["container_type"]: parent["_id"]}
            doc.update(_links(kind, doc, parent), **clean(fields))
            self._save(doc)
        return doc

    def _save(self, doc: Json) -> None:
        kind = doc["container_type"]
        parent = "" if kind == "group" else f"{_parent_id(doc)}/{kind}"
        self._store.put("container", doc["_id"], doc, parent=parent, name=doc["label"])

    # -- changing -----------------------------------------------------------------------------

    def touch(self, doc: Json) -> Json:
        """Save a changed document: later time, higher revision."""
        doc["modified"] = now()
        doc["revision"] += 1
        self._save(doc)
        return doc

    def update(self, id_: str, body: Json) -> Json:
        """Change fields; info is merged deeply, and no key of it goes away."""
        with self._store.transaction():
            doc = self.get(id_)
            given = clean({key: value for key, value in body.items() if key not in _OWN})
            info = given.pop("info", None)
            if info is not None:
                doc["info"] = deep_merge(doc["info"], info)
            return self.touch({**doc, **given})

    def change_info(self, id_: str, body: object) -> Json:
        """Apply ``set``, ``replace`` or ``delete`` to info."""
        with self._store.transaction():
            doc = self.get(id_)
            doc["info"] = apply_verbs(doc["info"], body)
            return self.touch(doc)

    def change_tags(self, id_: str, add: list[str], remove: list[str]) -> list[str]:
        """Add and remove tags, and return what there is then."""
        with self._store.transaction():
            doc = self.get(id_)
            kept = [tag for tag in doc["tags"] if tag not in remove]
            doc["tags"] = kept + [tag for tag in dict.fromkeys(add) if tag not in kept]
            return list(self.touch(doc)["tags"])

    def remove(self, id_: str) -> None:
        """Delete a container and all below it; files are left to the caller."""
        self._store.remove("container", id_)

    def below(self, doc: Json) -> list[Json]:
        """Return `doc` and every container below it, analyses included, parents first."""
        found = [doc]
        for parent in found:
            for kind in TYPES[1:]:
                found += self._store.children("container", f"{parent['_id']}/{kind}")
        return found


def _blank(id_: str, kind: str, label: str) -> Json:
    time = now()
    return {
        "_id": id_,
        "label": label,
        "container_type": kind,
        "parents": {},
        "info": {},
        "tags": [],
        "notes": [],
        "permissions": [],
        "created": time,
        "modified": time,
        "revision": 1,
    }


def _links(kind: str, doc: Json, parent: Json) -> Json:
    """Return the fields that name the parents, as each kind of container spells them."""
    parents = doc["parents"]
    if kind == "analysis":
        link = {"type": parent["container_type"], "id": parent["_id"]}
        return {"parent": link, "inputs": [], "job": None}
    wanted = {
        "project": ("group",),
        "subject": ("project",),
        "session": ("group", "project", "subject"),
        "acquisition": ("session",),
    }[kind]
    links = {level: parents[level] for level in wanted}
    return {**links, "code": doc["label"]} if kind == "subject" else links


def _parent_id(doc: Json) -> str:
    if doc["container_type"] == "analysis":
        return str(doc["parent"]["id"])
    above = LEVELS[LEVELS.index(doc["container_type"]) - 1]
    return str(doc["parents"][above])
