"""The container that a request's path names, and the answer to a change of it."""

from __future__ import annotations

from typing import Any

from imaging_gears.sandbox.site.errors import ApiError
from imaging_gears.sandbox.site.hierarchy import SINGULAR
from imaging_gears.sandbox.site.http import Context

Json = dict[str, Any]

CHANGED = {"modified": 1, "jobs_spawned": 0}


def container(context: Context, key: str = "id", *, write: bool = False) -> Json:
    """Return the container that the path names, if the key may read (or write) it.

    Raises:
        ApiError: 403, 404.
    """
    kind = context.params.get("kind", "containers")
    wanted = None if kind == "containers" else SINGULAR.get(kind)
    if wanted is None and kind != "containers":
        raise ApiError(404, "No such route.")
    doc = context.site.hierarchy.get(context.params[key], wanted)
    (context.principal.need_write if write else context.principal.need_read)(doc)
    return doc
