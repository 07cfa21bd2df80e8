"""All routes of the site, the special ones before the general."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaging_gears.sandbox.site import routes_containers, routes_files, routes_jobs
from imaging_gears.sandbox.site.http import Router

if TYPE_CHECKING:
    from imaging_gears.sandbox.site.state import Site
    from imaging_gears.sandbox.wire import Call, Target

_ROUTER = Router()
for _module in (routes_jobs, routes_files, routes_containers):
    _ROUTER.include(_module.router)


def site_target(site: Site, call: Call) -> Target:
    """Return what answers a call to the site."""
    return _ROUTER.target(site, call)
