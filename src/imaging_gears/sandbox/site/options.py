"""What a site's administrators can set, and what the platform's documentation leaves open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SiteOptions:
    """Switches of the site; all may be changed while it runs.

    Attributes:
        signed_url: uploads go to the storage by ticket (``GET /config`` says so to the SDK).
        demand_delete_reason: a site with an audit trail: 400 for a delete without
            ``delete_reason``.
        detail_only_422: refuse a body with FastAPI's 422, which has ``detail`` and no ``message``.
        keep_metadata: a new version inherits info and tags, as with ``preserve_metadata``.
        read_only_keys: an input's ``read-only: true`` gives the job a key that can't write.
    """

    signed_url: bool = False
    demand_delete_reason: bool = False
    detail_only_422: bool = False
    keep_metadata: bool = False
    read_only_keys: bool = True
