"""A Flywheel site, an identifier API and AWS on this machine, to try gears and to test them with.

with Sandbox.start() as sandbox:
    client = flywheel.Client(sandbox.api_key)
"""

from imaging_gears.sandbox.engine import EngineOptions
from imaging_gears.sandbox.faults import Fault, Faults
from imaging_gears.sandbox.identifiers import IdentifierTable
from imaging_gears.sandbox.requests import Request, RequestLog
from imaging_gears.sandbox.seed import Seed, SeedError, default_seed
from imaging_gears.sandbox.server import Sandbox
from imaging_gears.sandbox.site import Site, SiteOptions

__all__ = [
    "EngineOptions",
    "Fault",
    "Faults",
    "IdentifierTable",
    "Request",
    "RequestLog",
    "Sandbox",
    "Seed",
    "SeedError",
    "Site",
    "SiteOptions",
    "default_seed",
]
