"""SIGKILL around every request of a run, then the same job again: it ends like one run.

What ports can show is in tests/unit/lookup/test_kills; here the process, its HTTP clients and their
connections are the real ones. ``python -m benchmarks.kills`` does this for all pairs of moments.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.gear.gear_helpers import GEAR, NACCID, PTID, Center, image, zipped
from tests.gear.kill_runs import Make, Undisturbed, World, copies, kills, new_versions, pairs

# Lines that other tests go through as well, many times over.
pytestmark = pytest.mark.no_cover

FEWEST = 13
"""Requests of a first run: one each to SSM, Lambda and S3, the others to Flywheel."""

TWO_STUDIES = zipped(image(), image(StudyInstanceUID="1.2.840.99.7713.9"))
"""An archive that gives rise to the warning mixed-identity."""


@pytest.fixture
def make(make_center: Callable[..., Center]) -> Make:
    """Makes centers whose jobs have folders apart from each other's."""

    def made() -> Center:
        center = make_center()
        center.root /= str(center.adcid)
        return center

    return made


@pytest.mark.slow
def test_a_killed_process_that_is_run_again_leaves_what_one_run_leaves(make: Make) -> None:
    """Subject, QC log, event, file record and tag; after the last effect, of a second run."""
    trials = list(kills(make, Undisturbed(make)))
    assert [trial for trial in trials if trial.wrong] == []
    assert len(trials) >= 2 * FEWEST
    finished = [trial.finished for trial in trials]
    assert finished == sorted(finished)
    assert finished[-1]


@pytest.mark.slow
def test_a_process_that_is_killed_twice_leaves_what_one_run_leaves(make: Make) -> None:
    """The first time right after the log was written; the second time at every moment."""
    expected = Undisturbed(make)
    trials = list(pairs(make, expected, expected.writes[1:2]))
    assert [trial for trial in trials if trial.wrong] == []
    assert len(trials) > FEWEST


@pytest.mark.slow
def test_a_copy_that_is_killed_disturbs_nobody(make: Make) -> None:
    """The other one waits right after its first write until then."""
    expected = Undisturbed(make)
    trials = list(copies(make, expected, expected.writes[:1]))
    assert [trial for trial in trials if trial.wrong] == []
    assert len(trials) > FEWEST


@pytest.mark.slow
def test_a_killed_process_whose_file_got_a_new_version(make: Make) -> None:
    """Both jobs are run then, and what is there is what undisturbed ones leave."""
    trials = list(new_versions(make))
    assert [trial for trial in trials if trial.wrong] == []
    assert len(trials) >= 2 * FEWEST


@pytest.mark.parametrize("data", [None, TWO_STUDIES], ids=["one image", "two studies"])
def test_a_process_that_is_killed_after_every_write_still_ends_like_one_run(
    make: Make, data: bytes | None
) -> None:
    """One job, run again and again: each time it comes one write further, and is killed there.

    A warning of the file's content is not lost, although only the first run opens the file.
    """
    expected, world = Undisturbed(make, data), World.new(make, data)
    writes = [expected.requests[moment // 2] for moment in expected.writes]
    for service, method, route in writes[:-1]:
        assert world.killed_at(1, service=service, method=method, route=route)
    world.run()
    assert world.wrong(expected.after(1)) == ()


def test_an_end_that_differs_is_found(make: Make) -> None:
    """A tag more, an event less, a run that failed."""
    expected = Undisturbed(make).after(1)
    world = World.new(make)
    world.run()
    assert world.wrong(expected) == ()
    assert world.wrong(expected, events=2) == ("the number of events",)
    world.center.sandbox.site.change_tags(world.file_id, add=["other"], remove=[])
    assert world.wrong(expected) == ("the end state",)
    world.center.run_in(world.center.folder_of(world.file_id, event_bucket=7))
    assert world.wrong(expected) == ("the end state", "an exit code")


def test_a_second_outcome_that_was_only_noted_is_announced(center: Center) -> None:
    """FAIL, then a PASS that is killed before its event is written, then the PASS again."""
    center.sandbox.identifiers.remove("prod", center.adcid, PTID)
    file_id = center.upload()
    assert center.run(file_id).code == 0
    center.sandbox.identifiers.add("prod", center.adcid, PTID, NACCID)
    assert World(center, "", file_id).killed_at(0, service="s3", route="PutObject")
    assert center.run(file_id).code == 0
    assert center.verdict(file_id) == ("PASS", [], [f"{GEAR}-PASS"])
    assert sorted(each["status"] for each in center.events().values()) == ["FAIL", "PASS"]
