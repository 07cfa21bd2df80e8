"""What all tests share: the local site, started once, and hypothesis without a stopwatch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from imaging_gears.sandbox.network import enter_loopback
from tests.load_once import load_once

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

# Examples are the same in every run: a test that passed for one person passes for the next.
hypothesis.settings.register_profile(
    "house", deadline=None, derandomize=True, max_examples=150, database=None
)
hypothesis.settings.load_profile("house")

load_once()
# storescp and others listen on all addresses; here these are those of a loopback interface alone.
enter_loopback()


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """A Flywheel site, an identifier API and AWS on this machine, without jobs."""
    from imaging_gears.sandbox import Sandbox  # noqa: PLC0415 - only tests that use it load it

    with Sandbox.start(run_jobs=False) as started:
        yield started


@pytest.fixture
def sandbox(shared_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The shared site with an empty fault list and request log, and the variables that lead to it.

    What a test adds to the site stays: tests make containers of their own.
    """
    for name, value in shared_sandbox.environ.items():
        monkeypatch.setenv(name, value)
    shared_sandbox.faults.clear()
    shared_sandbox.requests.clear()
    yield shared_sandbox
    shared_sandbox.faults.clear()
