"""Files: versions, metadata and contents."""

from __future__ import annotations

import hashlib
import mimetypes
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imaging_gears.sandbox.site.errors import ApiError, bad_request, not_found
from imaging_gears.sandbox.site.info import apply_verbs, clean
from imaging_gears.sandbox.store import new_id, now

if TYPE_CHECKING:
    from imaging_gears.sandbox.store import Store

Json = dict[str, Any]

_TYPES: tuple[tuple[tuple[str, ...], str], ...] = (
    ((".dcm.zip", ".dicom.zip", ".dcm", ".dicom", ".ima"), "dicom"),
    ((".nii", ".nii.gz", ".nifti"), "nifti"),
    ((".zip", ".tar", ".tgz", ".tar.gz"), "archive"),
    ((".csv", ".tsv", ".csv.gz"), "tabular data"),
    ((".json", ".xml", ".yaml", ".yml"), "source code"),
    ((".txt", ".md"), "text"),
    ((".log",), "log"),
    ((".pdf",), "pdf"),
    ((".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff"), "image"),
    ((".qa.png",), "qa"),
)
_GIVEN = (
    "type",
    "mimetype",
    "modality",
    "classification",
    "tags",
    "info",
    "zip_member_count",
    "deid_log_id",
    "deid_log_skip_reason",
)
_KEPT = ("type", "mimetype", "modality", "classification", "tags", "info")


def infer_type(name: str) -> str | None:
    """Return the site's type for a file of that name, or None."""
    for suffixes, kind in _TYPES:
        if name.lower().endswith(suffixes):
            return kind
    return None


def present(doc: Json, *, listing: bool = False) -> Json:
    """Return a file's document as the API gives it; in a listing ``info`` is left empty."""
    shown = {key: value for key, value in doc.items() if key != "_blob"}
    shown["info_exists"] = bool(doc["info"])
    if listing:
        shown["info"] = {}
    return shown


@dataclass(frozen=True, slots=True)
class Upload:
    """What comes in with an upload."""

    name: str
    data: bytes
    origin: Json
    metadata: Json = field(default_factory=dict)
    preserve: bool = False
    gear_info: Json | None = None


class Files:
    """All files: the newest version is the file, older ones are kept beside it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- reading ------------------------------------------------------------------------------

    def get(self, file_id: str, version: int | None = None) -> Json:
        """Return a version of a file, the newest for None or 0.

        Raises:
            ApiError: 404.
        """
        doc = self._store.get("file", file_id)
        if doc is not None and version and version != doc["version"]:
            doc = self._store.get("version", _version_key(file_id, version))
        if doc is None:
            what = "File"
            raise not_found(what)
        return doc

    def named(self, container_id: str, name: str, version: int | None = None) -> Json:
        """Return a version of the file of that name in a container.

        Raises:
            ApiError: 404.
        """
        doc = self._store.find("file", container_id, name)
        if doc is None:
            what = "File"
            raise not_found(what)
        return self.get(doc["file_id"], version)

    def find(self, container_id: str, name: str) -> Json | None:
        """Return the newest version of a file, or None."""
        return self._store.find("file", container_id, name)

    def of(self, container_id: str) -> list[Json]:
        """Return the files of a container, newest versions, oldest file first."""
        return self._store.children("file", container_id)

    def all(self) -> list[Json]:
        """Return all files, newest versions."""
        return self._store.all("file")

    def versions(self, file_id: str) -> list[Json]:
        """Return all versions, oldest first."""
        newest = self.get(file_id)
        return [*self._store.children("version", file_id), newest]

    def read(self, doc: Json) -> bytes:
        """Return the content of a version."""
        return self._store.read_blob(doc["_blob"])

    # -- uploading ----------------------------------------------------------------------------

    def upload(self, container: Json, upload: Upload) -> Json:
        """Store a file; a file of that name gets a new version.

        Raises:
            ApiError: 400, no usable name.
        """
        if not upload.name or "/" in upload.name:
            msg = "A file's name can't be empty or hold a slash."
            raise bad_request(msg)
        blob = self._store.write_blob(upload.data)
        with self._store.transaction():
            old = self._store.find("file", container["_id"], upload.name)
            doc = self._new_version(container, upload, old)
            doc.update(_content(upload.data, blob))
            self._save(doc)
        return doc

    def _new_version(self, container: Json, upload: Upload, old: Json | None) -> Json:
        doc = _blank(upload, container)
        if old is not None:
            doc["file_id"] = old["file_id"]
            doc["version"] = old["version"] + 1
            self._retire(old)
        if old is not None and upload.preserve:
            doc.update({key: old[key] for key in _KEPT})
        else:
            doc.update(_checked(upload.metadata))
        return doc

    def restore(self, file_id: str, version: int, origin: Json) -> Json:
        """Make a copy of an old version the newest."""
        with self._store.transaction():
            newest, old = self.get(file_id), self.get(file_id, version)
            self._retire(newest)
            doc = {
                **old,
                "_id": str(uuid.uuid4()),
                "version": newest["version"] + 1,
                "replaced": None,
            }
            doc.update(created=now(), modified=now(), restored_from=version, restored_by=origin)
            self._save(doc)
        return doc

    def _retire(self, doc: Json) -> None:
        key = _version_key(doc["file_id"], doc["version"])
        self._store.put("version", key, {**doc, "replaced": now()}, parent=doc["file_id"])

    def _save(self, doc: Json) -> None:
        parent = doc["parent_ref"]["id"]
        self._store.put("file", doc["file_id"], doc, parent=parent, name=doc["name"])

    # -- changing -----------------------------------------------------------------------------

    def change(self, file_id: str, fields: Json) -> Json:
        """Set fields of the newest version."""
        with self._store.transaction():
            doc = {**self.get(file_id), **_checked(fields), "modified": now()}
            doc["revision"] += 1
            self._save(doc)
        return doc

    def change_info(self, file_id: str, body: object) -> Json:
        """Apply ``set``, ``replace`` or ``delete`` to the newest version's info."""
        with self._store.transaction():
            return self.change(file_id, {"info": apply_verbs(self.get(file_id)["info"], body)})

    def change_tags(self, file_id: str, *, add: list[str], remove: list[str]) -> Json:
        """Add and remove tags of the newest version."""
        with self._store.transaction():
            kept = [tag for tag in self.get(file_id)["tags"] if tag not in remove]
            tags = kept + [tag for tag in dict.fromkeys(add) if tag not in kept]
            return self.change(file_id, {"tags": tags})

    def remove(self, file_id: str, version: int | None = None) -> int:
        """Delete a file, or one version: then the one before is the newest. Return how many."""
        with self._store.transaction():
            newest = self.get(file_id)
            older = self._store.children("version", file_id)
            if version is not None and (older or version != newest["version"]):
                self._remove_version(newest, older, version)
                return 1
            for doc in older:
                self._store.remove("version", _version_key(file_id, doc["version"]))
            self._store.remove("file", file_id)
        return 1

    def _remove_version(self, newest: Json, older: list[Json], version: int) -> None:
        file_id = newest["file_id"]
        self.get(file_id, version)
        if version == newest["version"]:
            version = older[-1]["version"]
            self._save({**older[-1], "replaced": None})
        self._store.remove("version", _version_key(file_id, version))


def check_hash(doc: Json, wanted: str | None) -> None:
    """Raise ApiError 409 when `wanted` is given and is not the hash of the version."""
    if wanted and wanted != doc["hash"]:
        raise ApiError(409, "The file exists, but its hash does not match the requested hash.")


def _version_key(file_id: str, version: int) -> str:
    return f"{file_id}/{version:08d}"


def _content(data: bytes, blob: str) -> Json:
    return {"size": len(data), "hash": hashlib.sha256(data).hexdigest(), "_blob": blob}


def _blank(upload: Upload, container: Json) -> Json:
    kind = container["container_type"]
    parents = dict.fromkeys(("group", "project", "subject", "session", "acquisition"))
    parents |= {"analysis": None, **container["parents"], kind: container["_id"]}
    time = now()
    return {
        "_id": str(uuid.uuid4()),
        "file_id": new_id(),
        "version": 1,
        "name": upload.name,
        "type": infer_type(upload.name),
        "mimetype": mimetypes.guess_type(upload.name)[0] or "application/octet-stream",
        "modality": None,
        "classification": {},
        "tags": [],
        "info": {},
        "client_hash": None,
        "zip_member_count": None,
        "revision": 1,
        "parent_ref": {"type": kind, "id": container["_id"]},
        "parents": parents,
        "origin": upload.origin,
        "gear_info": upload.gear_info,
        "created": time,
        "modified": time,
        "replaced": None,
        "deleted": None,
        "provider_id": "0" * 24,
        "deid_log_id": None,
        "restored_from": None,
        "restored_by": None,
        "copy_of": None,
        "path": None,
        "reference": False,
    }


def _checked(metadata: Json) -> Json:
    """Return the metadata that a client may give, cleaned.

    Raises:
        ApiError: 400, a value of the wrong type.
    """
    given = {key: metadata[key] for key in _GIVEN if metadata.get(key) is not None}
    wrong = [
        key for key, kind in _JSON_TYPES.items() if not isinstance(given.get(key, kind()), kind)
    ]
    if wrong:
        msg = f"Wrong type of value for {', '.join(wrong)}."
        raise bad_request(msg)
    return {
        **given,
        **clean({key: given[key] for key in ("info", "classification") if key in given}),
    }


_JSON_TYPES: dict[str, type] = {"info": dict, "classification": dict, "tags": list, "type": str}
