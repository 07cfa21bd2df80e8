"""Routes of files: metadata, versions, upload, download, delete."""

from __future__ import annotations

import io
import secrets
import zipfile
from typing import TYPE_CHECKING, Any

from werkzeug.formparser import MultiPartParser
from werkzeug.http import parse_options_header

from imaging_gears.sandbox.site.addressed import CHANGED, container
from imaging_gears.sandbox.site.errors import ApiError, bad_request, not_found
from imaging_gears.sandbox.site.files import Upload, check_hash, present
from imaging_gears.sandbox.site.finders import matching, select
from imaging_gears.sandbox.site.http import Context, Router
from imaging_gears.sandbox.site.routes_containers import demand_reason, tag_list
from imaging_gears.sandbox.wire import Reply, strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]
router = Router()


def _by_id(context: Context, *, write: bool = False, version: int | None = None) -> Json:
    doc = context.site.files.get(context.params["file_id"], version)
    (context.principal.need_write if write else context.principal.need_read)(doc)
    return doc


def _by_name(context: Context, *, write: bool = False) -> Json:
    parent = container(context, write=write)
    return context.site.files.named(parent["_id"], context.params["name"])


# -- by id -----------------------------------------------------------------------------------


@router.route("GET", "/files")
def find(context: Context) -> object:
    """Find files; info is included."""
    seen = [doc for doc in context.site.files.all() if context.principal.sees(doc)]
    page = select(seen, context.query, key="file_id")
    total = len(matching(seen, context.query))
    return {"count": len(page), "total": total, "results": [present(doc) for doc in page]}


@router.route("GET", "/files/{file_id}")
def get(context: Context) -> object:
    """Return one version, the newest by default."""
    return present(_by_id(context, version=context.version))


@router.route("GET", "/files/{file_id}/versions")
def versions(context: Context) -> object:
    """Return who made which version when."""
    keys = ("file_id", "version", "created", "deleted", "origin", "restored_from", "restored_by")
    newest = _by_id(context)
    every = context.site.files.versions(newest["file_id"])
    return [{key: doc[key] for key in keys} for doc in every]


@router.route("POST", "/files/{file_id}/restore")
def restore(context: Context) -> object:
    """Make an old version the newest again, as a copy."""
    doc = _by_id(context, write=True)
    if context.version is None:
        msg = "version is required."
        raise bad_request(msg)
    restored = context.site.files.restore(
        doc["file_id"], context.version, context.principal.origin_json
    )
    if context.flag("evaluate_gear_rules"):
        context.site.evaluate_rules(None, restored)
    return present(restored)


@router.route("GET", "/files/{file_id}/info")
def get_info(context: Context) -> object:
    """Return the file with its info."""
    return present(_by_id(context))


@router.route("PATCH", "/files/{file_id}/info")
def change_info_by_id(context: Context) -> object:
    """Apply ``set``, ``replace`` or ``delete`` to info."""
    context.site.files.change_info(_by_id(context, write=True)["file_id"], context.json())
    return CHANGED


@router.route("GET", "/files/{file_id}/zip_info")
def zip_info_by_id(context: Context) -> object:
    """List the members of a zip."""
    return _zip_listing(context.site.files.read(_by_id(context, version=context.version)))


@router.route("DELETE", "/files/{file_id}")
def delete_by_id(context: Context) -> object:
    """Delete a file, or one version of it."""
    doc = _by_id(context, write=True)
    demand_reason(context)
    return {"deleted": context.site.files.remove(doc["file_id"], context.version)}


# -- tags ------------------------------------------------------------------------------------


@router.route("GET", "/files/{file_id}/tags")
def get_tags(context: Context) -> object:
    """Return the tags."""
    return _by_id(context)["tags"]


@router.route("PATCH", "/files/{file_id}/tags")
def add_tags(context: Context) -> object:
    """Add tags, and return all."""
    file_id = _by_id(context, write=True)["file_id"]
    return context.site.change_tags(file_id, add=tag_list(context), remove=[])["tags"]


@router.route("PUT", "/files/{file_id}/tags")
def set_tags(context: Context) -> object:
    """Replace all tags."""
    file_id = _by_id(context, write=True)["file_id"]
    context.site.change_file(file_id, {"tags": tag_list(context)})
    return CHANGED


@router.route("DELETE", "/files/{file_id}/tags")
def delete_tags(context: Context) -> object:
    """Remove tags; those that are not there don't matter."""
    file_id = _by_id(context, write=True)["file_id"]
    context.site.change_tags(file_id, add=[], remove=tag_list(context))
    return CHANGED


# -- by container and name -------------------------------------------------------------------


@router.route("GET", "/{kind}/{id}/files/{name}/info")
def get_info_by_name(context: Context) -> object:
    """Return the newest version with its info."""
    return present(_by_name(context))


@router.route("PATCH", "/{kind}/{id}/files/{name}/info")
def change_info(context: Context) -> object:
    """Apply ``set``, ``replace`` or ``delete`` to the newest version's info."""
    context.site.files.change_info(_by_name(context, write=True)["file_id"], context.json())
    return CHANGED


@router.route("PUT", "/{kind}/{id}/files/{name}")
def update(context: Context) -> object:
    """Change type and modality, and nothing else; another modality clears the classification."""
    doc = _by_name(context, write=True)
    body = {key: value for key, value in context.object().items() if value is not None}
    if set(body) - {"type", "modality"}:
        msg = "Only type and modality can be changed here."
        raise bad_request(msg)
    if body.get("modality", doc["modality"]) != doc["modality"]:
        body["classification"] = {}
    context.site.change_file(doc["file_id"], body)
    return CHANGED


@router.route("PATCH", "/{kind}/{id}/files/{name}/classification")
def classify(context: Context) -> object:
    """Add to, replace or delete from the classification."""
    doc = _by_name(context, write=True)
    body = context.object()
    fields: Json = {"classification": _classified(doc["classification"], body)}
    if body.get("modality"):
        fields["modality"] = body["modality"]
    context.site.change_file(doc["file_id"], fields)
    return CHANGED


def _classified(old: Json, body: Json) -> Json:
    if body.get("replace") is not None:
        return dict(body["replace"])
    new = {key: list(values) for key, values in old.items()}
    for key, values in (body.get("add") or {}).items():
        new[key] = list(dict.fromkeys([*new.get(key, []), *values]))
    for key, values in (body.get("delete") or {}).items():
        new[key] = [value for value in new.get(key, []) if value not in values]
    return {key: values for key, values in new.items() if values}


@router.route("DELETE", "/{kind}/{id}/files/{name}")
def delete(context: Context) -> object:
    """Delete a file, or one version of it."""
    doc = _by_name(context, write=True)
    demand_reason(context)
    return {"deleted": context.site.files.remove(doc["file_id"], context.version)}


# -- upload ----------------------------------------------------------------------------------


@router.route("POST", "/{kind}/{id}/files")
def upload(context: Context) -> object:
    """Upload by form, or open or close the ticket of a signed upload."""
    parent = container(context, write=True)
    if "ticket" in context.query:
        opening = not context.query["ticket"]
        return _open_ticket(context, parent) if opening else _close_ticket(context, parent)
    parts, metadata = _form(context)
    found = _per_file(metadata, [name for name, _ in parts])
    return [_put(context, parent, name, data, found[name]) for name, data in parts]


def _put(context: Context, parent: Json, name: str, data: bytes, metadata: Json) -> Json:
    keep = context.flag("preserve_metadata")
    doc = Upload(name, data, context.principal.origin_json, metadata, keep)
    return present(context.site.put_file(parent, doc))


def _form(context: Context) -> tuple[list[tuple[str, bytes]], object]:
    """Return the files of a multipart form, and its ``metadata`` field."""
    kind, options = parse_options_header(context.call.headers.get("Content-Type", ""))
    if kind != "multipart/form-data" or "boundary" not in options:
        msg = "The body must be multipart/form-data."
        raise bad_request(msg)
    body, boundary = context.call.body, options["boundary"].encode()
    try:
        fields, files = MultiPartParser(stream_factory=_in_memory).parse(
            io.BytesIO(body), boundary, len(body)
        )
        text = fields.get("metadata")
        metadata = strict_json(text) if text else None
    except ValueError as error:
        msg = "The form or its metadata can't be read."
        raise bad_request(msg) from error
    parts = [(item.filename or "", item.read()) for _, item in files.items(multi=True)]
    if not parts:
        msg = "The form has no file."
        raise bad_request(msg)
    return parts, metadata


def _in_memory(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> io.BytesIO:
    """Hold a part in memory: the whole body is there already."""
    del total_content_length, content_type, filename, content_length
    return io.BytesIO()


def _per_file(metadata: object, names: Iterable[str]) -> dict[str, Json]:
    """Return each file's metadata: an object is meant for all, a list for the files it names."""
    items: list[Any] = metadata if isinstance(metadata, list) else [metadata] if metadata else []
    if not all(isinstance(item, dict) for item in items):
        msg = "metadata must be an object or a list of objects."
        raise bad_request(msg)
    found: dict[str, Json] = {name: {} for name in names}
    for item in items:
        for name in [item["name"]] if item.get("name") in found else list(found):
            found[name] = item
    return found


# -- signed upload ---------------------------------------------------------------------------


def _open_ticket(context: Context, parent: Json) -> object:
    body = context.object()
    names = body.get("filenames")
    if not isinstance(names, list) or len(names) != 1:
        msg = "A signed upload takes one file."
        raise bad_request(msg)
    ticket = secrets.token_hex(12)
    metadata = _per_file(body.get("metadata"), names)[names[0]]
    doc = {"parent": parent["_id"], "name": names[0], "metadata": metadata, "blob": None}
    context.site.store.put("ticket", ticket, doc)
    host = context.call.headers.get("Host", "")
    url = f"http://{host}/api/_storage/{ticket}?ticket={ticket}"
    return {"ticket": ticket, "urls": {names[0]: url}, "headers": {}}


@router.route("PUT", "/_storage/{id}", by_ticket=True)
def store(context: Context) -> object:
    """Take the bytes of a signed upload; the ticket is the permission."""
    ticket = context.site.store.get("ticket", context.params["id"])
    if ticket is None:
        what = "Ticket"
        raise not_found(what)
    ticket["blob"] = context.site.store.write_blob(context.call.body)
    context.site.store.put("ticket", context.params["id"], ticket)
    return Reply(200, headers={"ETag": f'"{ticket["blob"]}"'})


def _close_ticket(context: Context, parent: Json) -> object:
    """Make the file, if its bytes arrived: the SDK closes the ticket in any case."""
    key = context.query["ticket"]
    with context.site.store.transaction():
        ticket = context.site.store.get("ticket", key)
        if ticket is None or ticket["parent"] != parent["_id"]:
            what = "Ticket"
            raise not_found(what)
        if ticket["blob"] is None:
            raise ApiError(409, "The file's bytes have not arrived.")
        context.site.store.remove("ticket", key)
    data = context.site.store.read_blob(ticket["blob"])
    return [_put(context, parent, ticket["name"], data, ticket["metadata"])]


# -- download --------------------------------------------------------------------------------


@router.route("GET HEAD", "/{kind}/{id}/files/{name}", by_ticket=True)
def download(context: Context) -> object:
    """Send content: whole, a member of a zip, or a range; or a listing, or a ticket for it."""
    if context.query.get("ticket"):
        return _send(context, _by_ticket(context))
    parent = container(context)
    doc = context.site.files.named(parent["_id"], context.params["name"], context.version)
    check_hash(doc, context.query.get("hash"))
    if "ticket" in context.query:
        ticket = secrets.token_hex(12)
        wanted = {"file_id": doc["file_id"], "version": doc["version"]}
        context.site.store.put("ticket", ticket, wanted)
        return {"ticket": ticket, "file_cnt": 1, "size": doc["size"]}
    return _send(context, doc)


def _by_ticket(context: Context) -> Json:
    """Return the version that the ticket was made for; the request itself names none."""
    ticket = context.site.store.get("ticket", context.query["ticket"])
    if ticket is None or "file_id" not in ticket:
        what = "Ticket"
        raise not_found(what)
    return context.site.files.get(ticket["file_id"], ticket["version"])


def _send(context: Context, doc: Json) -> object:
    data = context.site.files.read(doc)
    if context.flag("info"):
        return _zip_listing(data)
    if member := context.query.get("member"):
        with _open_zip(data) as archive:
            if member not in archive.namelist():
                what = "Member"
                raise not_found(what)
            return Reply(200, archive.read(member), {"Content-Type": "application/octet-stream"})
    return _ranged(context, data, doc)


def _ranged(context: Context, data: bytes, doc: Json) -> Reply:
    """Return the content, or the one range of it that the request asks for (RFC 9110, 14.2)."""
    headers = {"Content-Type": doc["mimetype"], "Accept-Ranges": "bytes"}
    wanted = context.call.headers.get("Range", "")
    first, dash, last = wanted.removeprefix("bytes=").partition("-")
    if not wanted.startswith("bytes=") or not dash or not (first or last):
        return Reply(200, data, headers)
    size = len(data)
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        return Reply(416, b"", {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Reply(206, data[start : end + 1], headers)


def _open_zip(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        msg = "The file is not a zip."
        raise bad_request(msg) from error


def _zip_listing(data: bytes) -> Json:
    with _open_zip(data) as archive:
        members = [
            {
                "path": item.filename,
                "size": item.file_size,
                "timestamp": "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*item.date_time),
                "comment": item.comment.decode("utf-8", "replace"),
            }
            for item in archive.infolist()
        ]
        return {"comment": archive.comment.decode("utf-8", "replace"), "members": members}
