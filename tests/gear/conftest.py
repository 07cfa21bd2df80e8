"""What gear tests share: the process that forks runs, and a center for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gear.gear_helpers import Center, GearServer

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox


@pytest.fixture(scope="session")
def gear_servers() -> Iterator[dict[bool, GearServer]]:
    """The processes of which runs are children: whether coverage looks at them -> process."""
    servers = {measured: GearServer(measured=measured) for measured in (True, False)}
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture
def gear_server(request: pytest.FixtureRequest, gear_servers: dict[bool, GearServer]) -> GearServer:
    """The process of which this test's runs are children."""
    return gear_servers[request.node.get_closest_marker("no_cover") is None]


@pytest.fixture
def make_center(
    sandbox: Sandbox, gear_server: GearServer, tmp_path: Path
) -> Iterator[Callable[..., Center]]:
    """Makes centers on the shared site, whose fault list and request log are empty.

    In the end no run may have said anything of the patient or of a key, on a command line of its
    own or of a child neither, or have left a file behind.
    """
    made: list[Center] = []

    def make(label: str = "ingest-dicom", site: Sandbox = sandbox) -> Center:
        made.append(Center(site, gear_server, tmp_path, label))
        return made[-1]

    yield make
    sandbox.allowed_actions = None
    for each in made:
        assert each.traces() == []


@pytest.fixture
def center(make_center: Callable[..., Center]) -> Center:
    """A center with a project ingest-dicom and one participant in the registry."""
    return make_center()
