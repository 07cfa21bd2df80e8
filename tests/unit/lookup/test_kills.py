"""Killed at any call and run again; beside a copy of itself; overtaken by a new version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.lookup.kill_ways import WAYS, Turns, Way, kills, trial
from tests.unit.lookup.worlds import STARTS, Expected, Start, first

# Lines that other tests go through as well, many times over.
pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

EVERY = [
    pytest.param(way, start, id=f"{way.__name__}-{start.__name__}")
    for way, starts in WAYS.items()
    for start in starts
]


@pytest.mark.parametrize(("way", "start"), EVERY)
def test_a_run_that_is_disturbed_ends_like_one_that_is_not(way: Way, start: Start) -> None:
    """At every moment of it; what each way is stands where it is made."""
    trials = list(way(start))
    assert [each for each in trials if each.wrong] == []
    assert len(trials) >= 9


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.__name__)
def test_a_run_is_finished_once_all_is_written(start: Start) -> None:
    """Not at an early moment by chance; after the last effect it is."""
    finished = [each.finished for each in kills(start)]
    assert finished == sorted(finished)
    assert finished[-1]


def test_a_world_that_ends_otherwise_is_found() -> None:
    """An end that is another one, and a note of an event that is not there."""
    world = first()
    world.run()
    assert trial("", world, world.end_state()).wrong == ()
    assert trial("", world, Expected(first).after(2)).wrong == ("inputs", "logs")
    world.center.events.stored.clear()
    assert trial("", world, Expected(first).after(1)).wrong == ("events", "the note of the event")


@given(
    start=st.sampled_from(STARTS),
    turns=st.lists(st.integers(0, 2), max_size=40),
    kill=st.booleans(),
)
def test_copies_in_any_order_end_like_one_run(
    start: Start, turns: list[int], *, kill: bool
) -> None:
    """Three copies that take any turns, one of which may be killed, and a run at the end."""
    world = start()
    schedule = Turns(world)
    copies = [schedule.copy() for _ in range(3)]
    for copy in copies:
        copy.step()  # all have read the file before any of them goes on
    for each in turns:
        copies[each].step()
    if kill:
        copies[0].kill()
    for copy in copies:
        copy.finish()
    assert world.end_state() == Expected(start).after(1)
    assert world.notes_are_true()
