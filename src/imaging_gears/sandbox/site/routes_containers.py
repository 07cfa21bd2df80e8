"""Routes of containers: reading, finding, making, changing, deleting; lookup; who is asking."""

from __future__ import annotations

from typing import Any

from imaging_gears.sandbox.site.addressed import CHANGED, container
from imaging_gears.sandbox.site.errors import ApiError, bad_request
from imaging_gears.sandbox.site.finders import select
from imaging_gears.sandbox.site.hierarchy import LEVELS, PLURAL, SINGULAR
from imaging_gears.sandbox.site.http import Context, Router
from imaging_gears.sandbox.site.routes_jobs import enqueue

Json = dict[str, Any]
router = Router()


# -- who is asking ---------------------------------------------------------------------------


@router.route("GET", "/auth/status")
def auth_status(context: Context) -> object:
    """Tell whose key this is."""
    principal = context.principal
    return {
        "origin": principal.origin_json,
        "user_id": principal.user,
        "user_is_admin": principal.role == "admin",
        "is_device": principal.origin[0] == "device",
        "roles": ["site_admin"] if principal.role == "admin" else ["public"],
    }


@router.route("GET", "/config")
def config(context: Context) -> object:
    """Tell what the site can do."""
    signed = context.site.options.signed_url
    return {"site": {"name": "Sandbox"}, "features": {"signed_url": signed}, "signed_url": signed}


@router.route("GET", "/version")
def version(_context: Context) -> object:
    """Tell the version."""
    return {"database": 1, "release": "sandbox"}


@router.route("GET", "/users/self")
def self_user(context: Context) -> object:
    """Return the user of the key."""
    user = context.principal.user
    return {"_id": user, "email": user, "firstname": user, "lastname": "", "roles": ["public"]}


# -- lookup ----------------------------------------------------------------------------------


@router.route("POST", "/lookup")
def lookup(context: Context) -> object:
    """Return the one node that a path names."""
    return _walk(context)[-1]


@router.route("POST", "/resolve")
def resolve(context: Context) -> object:
    """Return the nodes along a path, and the children of the last."""
    nodes = _walk(context)
    return {"path": nodes, "children": _children(context, nodes)}


def _walk(context: Context) -> list[Json]:
    path = context.object().get("path")
    if not isinstance(path, list):
        msg = "path must be a list."
        raise bad_request(msg)
    nodes = context.site.walk([step for step in path if step])
    for node in nodes:
        if node["container_type"] not in ("group", "gear"):
            context.principal.need_read(node)
    return nodes


def _children(context: Context, nodes: list[Json]) -> list[Json]:
    site = context.site
    if not nodes:
        return [site.show(doc, listing=True) for doc in site.hierarchy.all("group")]
    last = nodes[-1]
    if last["container_type"] not in LEVELS[:-1]:
        return []
    below = LEVELS[LEVELS.index(last["container_type"]) + 1]
    found = site.hierarchy.children(site.hierarchy.get(last["_id"]), below)
    return [site.show(doc, listing=True) for doc in found if context.principal.sees(doc)]


# -- finders ---------------------------------------------------------------------------------


def _page(context: Context, docs: list[Json]) -> list[Json]:
    seen = [doc for doc in docs if context.principal.sees(doc)]
    if context.principal.projects is not None and any(d["container_type"] == "group" for d in docs):
        raise ApiError(403, "The key is limited to its project.")
    full = context.flag("include_all_info")
    return [context.site.show(doc, listing=not full) for doc in select(seen, context.query)]


def _list(plural: str) -> None:
    kind = SINGULAR[plural]

    @router.route("GET", f"/{plural}")
    def find(context: Context) -> object:
        return _page(context, context.site.hierarchy.all(kind))

    for above in LEVELS[: LEVELS.index(kind)] if kind in LEVELS else LEVELS[1:]:

        @router.route("GET", f"/{PLURAL[above]}/{{id}}/{plural}")
        def find_below(context: Context, above: str = above) -> object:
            context.params["kind"] = PLURAL[above]
            parent = _parent(context)
            return _page(context, context.site.hierarchy.children(parent, kind))


def _parent(context: Context) -> Json:
    if context.params["kind"] == "groups" and context.principal.projects is None:
        return context.site.hierarchy.get(context.params["id"], "group")
    return container(context)


for _plural in SINGULAR:
    _list(_plural)


# -- making ----------------------------------------------------------------------------------


@router.route("POST", "/groups")
def add_group(context: Context) -> object:
    """Make a group."""
    context.principal.need_admin()
    body = context.object()
    return {"_id": context.site.add_group(str(body.get("_id") or ""), body.get("label"))}


def _create(kind: str) -> None:
    above = LEVELS[LEVELS.index(kind) - 1]

    @router.route("POST", f"/{PLURAL[kind]}")
    def create(context: Context) -> object:
        body = {key: value for key, value in context.object().items() if value is not None}
        site = context.site
        parent = _parent_of_new(context, above, body)
        context.principal.need_write(parent)
        label = str(body.pop("label", None) or body.pop("code", ""))
        return {"_id": site.hierarchy.add(kind, parent, label, **body)["_id"]}


for _kind in LEVELS[1:]:
    _create(_kind)


def _parent_of_new(context: Context, above: str, body: Json) -> Json:
    """Take the parent out of a body; a session's subject is an id or an object."""
    hierarchy, given = context.site.hierarchy, body.pop(above, "")
    if above != "subject":
        return hierarchy.get(str(given), above)
    project = str(body.pop("project", ""))
    if not isinstance(given, dict):
        return hierarchy.get(str(given), above)
    if given.get("_id"):
        return hierarchy.get(str(given["_id"]), above)
    parent = hierarchy.get(project, "project")
    context.principal.need_write(parent)
    label = str(given.get("label") or given.get("code") or "")
    return hierarchy.child(parent, "subject", label) or hierarchy.add("subject", parent, label)


# -- one container ---------------------------------------------------------------------------


@router.route("GET", "/{kind}/{id}")
def get(context: Context) -> object:
    """Return a container, info included."""
    features = context.call.headers.get("X-Accept-Feature", "").lower()
    doc = container(context)
    shown = context.site.show(doc, files="exclude-files" not in features)
    if doc["container_type"] == "analysis" and doc["job"] and context.flag("inflate_job"):
        shown["job"] = context.site.queue.get(doc["job"])
    return shown


@router.route("PUT", "/{kind}/{id}")
def update(context: Context) -> object:
    """Change fields; info is merged deeply."""
    doc = container(context, write=True)
    context.site.hierarchy.update(doc["_id"], context.object())
    return CHANGED


@router.route("DELETE", "/{kind}/{id}")
def delete(context: Context) -> object:
    """Delete a container with everything below."""
    doc = container(context, write=True)
    demand_reason(context)
    context.site.delete(doc)
    return {"deleted": 1}


def demand_reason(context: Context) -> None:
    """Raise ApiError 400 where the site wants a reason for a delete and there is none."""
    if context.site.options.demand_delete_reason and not context.query.get("delete_reason"):
        msg = "A delete_reason is required on this site."
        raise bad_request(msg)


@router.route("PATCH", "/{kind}/{id}/info")
def change_info(context: Context) -> object:
    """Apply ``set``, ``replace`` or ``delete`` to info."""
    doc = container(context, write=True)
    context.site.hierarchy.change_info(doc["_id"], context.json())
    return CHANGED


# -- tags ------------------------------------------------------------------------------------


@router.route("POST", "/{kind}/{id}/tags")
def add_tag(context: Context) -> object:
    """Add one tag: ``{"value": "..."}``."""
    doc = container(context, write=True)
    value = context.object().get("value")
    if not isinstance(value, str) or not value:
        msg = "A tag needs a value."
        raise bad_request(msg)
    if value in doc["tags"]:
        raise ApiError(409, "Tag already exists.")
    context.site.hierarchy.change_tags(doc["_id"], [value], [])
    return CHANGED


@router.route("PATCH", "/{kind}/{id}/tags")
def add_tags(context: Context) -> object:
    """Add several tags, and return all."""
    doc = container(context, write=True)
    return context.site.hierarchy.change_tags(doc["_id"], tag_list(context), [])


@router.route("DELETE", "/{kind}/{id}/tags")
def delete_tags(context: Context) -> object:
    """Remove several tags."""
    doc = container(context, write=True)
    context.site.hierarchy.change_tags(doc["_id"], [], tag_list(context))
    return CHANGED


@router.route("DELETE", "/{kind}/{id}/tags/{tag}")
def delete_tag(context: Context) -> object:
    """Remove one tag.

    Raises:
        ApiError: 404, there is no such tag.
    """
    doc = container(context, write=True)
    if context.params["tag"] not in doc["tags"]:
        raise ApiError(404, "Tag not found.")
    context.site.hierarchy.change_tags(doc["_id"], [], [context.params["tag"]])
    return CHANGED


def tag_list(context: Context) -> list[str]:
    """Return the body as a list of tags."""
    body = context.json()
    if not isinstance(body, list) or not all(isinstance(tag, str) for tag in body):
        msg = "The body must be a list of tags."
        raise bad_request(msg)
    return body


# -- analyses --------------------------------------------------------------------------------


@router.route("POST", "/{kind}/{id}/analyses")
def add_analysis(context: Context) -> object:
    """Make an analysis, and the job that fills it where the body has one."""
    parent = container(context, write=True)
    body = context.object()
    analysis = context.site.hierarchy.add("analysis", parent, str(body.get("label") or "analysis"))
    if context.flag("job") and body.get("job"):  # the SDK says job=true in any case
        job = enqueue(context, {**body["job"], "destination": None}, analysis)
        context.site.hierarchy.touch({**analysis, "job": job["_id"]})
    return {"_id": analysis["_id"]}
