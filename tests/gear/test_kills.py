"""SIGKILL before and after every request of a first run, then the same job again.

The site holds a request while the process is killed: before the request's effect (which then never
comes), or after it, with the reply unsent. What ports can show is in tests/unit/lookup/test_kills;
here the process, its HTTP clients and their connections are the real ones.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from imaging_gears.sandbox import Fault
from tests.end_state import sorted_lines, timeless
from tests.gear.gear_helpers import GEAR, NACCID, PTID, Center

# Lines that other tests go through as well, many times over.
pytestmark = pytest.mark.no_cover

Json = Any
FEWEST = 13
"""Requests of a first run: one each to SSM, Lambda and S3, the others to Flywheel."""
WRITES: tuple[Json, ...] = (
    {"service": "flywheel", "method": "PUT", "route": "/subjects/*"},
    {"service": "flywheel", "method": "POST", "route": "/projects/*/files"},
    {"service": "flywheel", "method": "PATCH", "route": "/containers/*/info"},
    {"service": "s3", "route": "PutObject"},
    {"service": "flywheel", "method": "PATCH", "route": "/containers/*/info"},
)
"""What a first run writes, in this order; its tag comes after all of them."""


def end_state(center: Center, subject: str, file_id: str) -> str:
    """Return all that a run leaves, without time, chance, and the ids of this center."""
    file, log = center.file(file_id), center.log()
    state = timeless(
        {
            "subject": center.info(subject),
            "file": (file["info"], file["tags"]),
            "log": (sorted_lines(log["text"]), log["info"]),
            "events": center.events(),
        }
    )
    ids = {file_id: "FILE", file["parent_ref"]["id"]: "ACQUISITION", str(center.adcid): "ADCID"}
    text = repr(state)
    for each, name in ids.items():
        text = text.replace(each, name)
    return text


def killed_at(center: Center, file_id: str, hold: Fault) -> None:
    """Run the gear, and kill it while one of its requests is held."""
    faults = center.sandbox.faults
    faults.add(hold)
    started = center.start(center.folder_of(file_id))
    assert faults.wait_held()
    assert isinstance(started.process, int)
    os.kill(started.process, signal.SIGKILL)
    ended = started.wait()
    faults.clear()
    assert ended.code == -signal.SIGKILL


@pytest.fixture
def another_center(make_center: Callable[..., Center]) -> Callable[[], Center]:
    """Makes centers whose jobs have folders apart from each other's."""

    def make() -> Center:
        center = make_center()
        center.root /= str(center.adcid)
        return center

    return make


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_killed_process_that_is_run_again_leaves_what_one_run_leaves(
    another_center: Callable[[], Center], *, after: bool
) -> None:
    """Subject, QC log, event, file record and tag; after the last effect, of a second run."""
    undisturbed = another_center()
    subject, states = undisturbed.subject(), []
    file_id = undisturbed.upload(subject)
    undisturbed.sandbox.requests.clear()
    undisturbed.run(file_id)
    requests = [each.route for each in undisturbed.sandbox.requests.all()]
    states.append(end_state(undisturbed, subject, file_id))
    undisturbed.run(file_id)
    states.append(end_state(undisturbed, subject, file_id))
    assert len(requests) >= FEWEST

    for number, route in enumerate(requests):
        center = another_center()
        subject = center.subject()
        file_id = center.upload(subject)
        killed_at(center, file_id, Fault(kind="hold", skip=number, after=after))
        assert center.run(file_id).code == 0
        finished = after and number == len(requests) - 1
        assert end_state(center, subject, file_id) == states[finished], (number, route)
        assert len(center.events()) == 1


def test_a_process_that_is_killed_at_every_step_still_ends_like_one_run(
    another_center: Callable[[], Center],
) -> None:
    """One job, run again and again: each time it comes one write further, and is killed there."""
    undisturbed, center = another_center(), another_center()
    states = []
    for each in (undisturbed, center):
        subject = each.subject()
        file_id = each.upload(subject)
        for write in WRITES if each is center else ():
            killed_at(each, file_id, Fault(**write, kind="hold", after=True))
        assert each.run(file_id).code == 0
        states.append(end_state(each, subject, file_id))
    assert states[0] == states[1]
    assert len(center.events()) == 1


def test_a_second_outcome_that_was_only_noted_is_announced(center: Center) -> None:
    """FAIL, then a PASS that is killed before its event is written, then the PASS again."""
    center.sandbox.identifiers.remove("prod", center.adcid, PTID)
    file_id = center.upload()
    assert center.run(file_id).code == 0
    center.sandbox.identifiers.add("prod", center.adcid, PTID, NACCID)
    killed_at(center, file_id, Fault(service="s3", route="PutObject", kind="hold"))
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("PASS", [], [f"{GEAR}-PASS"])
    assert sorted(each["status"] for each in center.events().values()) == ["FAIL", "PASS"]
