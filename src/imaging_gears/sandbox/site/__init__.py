"""A Flywheel site: its state (`state`), its routes (``routes_*``), and the pure rules both use."""

from imaging_gears.sandbox.site.options import SiteOptions
from imaging_gears.sandbox.site.state import Site

__all__ = ["Site", "SiteOptions"]
