"""What all tests share: the local site, started once, and hypothesis without a stopwatch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers

from imaging_gears.sandbox.network import enter_loopback
from tests.load_once import load_once

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

# Examples are the same in every run: a test that passed for one person passes for the next, and on
# a busy machine.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    max_examples=150,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")
# Else constants in those of our modules that are loaded are among the examples: which modules these
# are, differs by the tests that a process has run before.
providers.is_local_module_file = lambda _: False

load_once()
# storescp and others listen on all addresses; here these are those of a loopback interface alone.
enter_loopback()


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """A Flywheel site, an identifier API and AWS on this machine, without jobs."""
    from imaging_gears.sandbox import Sandbox  # noqa: PLC0415 - only tests that use it load it

    with Sandbox.start(run_jobs=False) as started:
        started.aws.wait()  # else the first request of some test waits for it
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
