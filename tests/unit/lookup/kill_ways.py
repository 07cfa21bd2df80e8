"""Ways to disturb a run over ports in memory: killed, beside a copy of itself, overtaken.

Whatever happens in between, the world ends as after runs that nobody disturbed. A run counts as
finished when the world looks as such a run leaves it: whoever runs it again then makes a second
run, with a line of its own in the QC log. ``python -m benchmarks.kills --calls`` counts them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from unittest.mock import patch

from imaging_gears.image_identifier_lookup import announcing
from tests.end_state import Trial
from tests.fakes import Interruptions
from tests.unit.lookup.harness import Killed
from tests.unit.lookup.worlds import (
    ALL,
    NEW_FILES,
    STARTS,
    TURNS,
    WRITES,
    Expected,
    Json,
    Start,
    World,
    passed_by,
)


def trial(
    where: str, world: World, expected: Json, *, finished: bool = False, state: Json = None
) -> Trial:
    """Return how a world ended; `state` is its end state, where not all of it counts."""
    wrong = differences(world.end_state() if state is None else state, expected)
    found = Trial(where, finished=finished, wrong=wrong)
    return found if world.notes_are_true() else found.also_wrong("the note of the event")


def differences(state: Json, expected: Json) -> tuple[str, ...]:
    """Return the names of what differs."""
    return tuple(name for name in expected if state[name] != expected[name])


# --- Kills ----------------------------------------------------------------------------------------

Killing = tuple[int, World]


def killed_worlds(start: Start, *before: int, only: frozenset[str] = ALL) -> Iterator[Killing]:
    """Return, for each moment of the run after the kills `before`, a world where it was killed."""
    for number in itertools.count():
        world = start().ready()
        for each in before:
            world.run_killed_at(each)
        if not world.run_killed_at(number):
            return
        if world.moments.passed[number].rpartition(" ")[2] in only:
            yield number, world


def kills(start: Start) -> Iterator[Trial]:
    """Kill a run before or after any of its calls, and do it again."""
    expected = Expected(start)
    for number, world in killed_worlds(start):
        where = world.moments.passed[number]
        finished = world.end_state() == expected.after(1)
        world.run()
        yield trial(where, world, expected.after(1 + finished), finished=finished)


def pairs(start: Start) -> Iterator[Trial]:
    """Kill a run, and the next one too: all pairs; after a read is before the next call."""
    expected = Expected(start)
    for one, world in killed_worlds(start, only=WRITES):
        done = world.end_state() == expected.after(1)
        for two, again in killed_worlds(start, one, only=WRITES):
            finished = again.end_state() == expected.after(done + 1)
            again.run()
            state = expected.after(done + finished + 1)
            yield trial(f"moments {one} and {two}", again, state, finished=finished)


# --- Copies ---------------------------------------------------------------------------------------


class Turns(Interruptions):
    """Copies of a run, each in a thread that goes on from one call to the next when it is told."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._copies: dict[int, Copy] = {}
        self._world = world
        center = world.center
        center.site.on = center.events.on = center.registry.on = self

    def copy(self) -> Copy:
        """Start a copy of the run; it waits before its first call."""
        copy = Copy(self._world, self._copies)
        copy.step()
        return copy

    def meet(self, method: str, *, after: bool) -> None:
        """Wait for one's turn, before each call."""
        copy = self._copies.get(threading.get_ident())
        if copy is not None and not after:
            copy.wait_for_turn()


class Copy:
    """A copy of a run in a thread of its own. Only one thread of a test runs at any time."""

    def __init__(self, world: World, copies: dict[int, Copy]) -> None:
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._world, self._copies = world, copies
        self._killed, self.ended = False, False
        self.trouble: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def step(self) -> None:
        """Let it go on to its next call, or to its end."""
        if not self.ended:
            self._go.release()
            self._stopped.acquire()

    def finish(self) -> None:
        """Let it go on to its end."""
        while not self.ended:
            self.step()
        self._thread.join()
        assert self.trouble == []

    def kill(self) -> None:
        """End it where it is."""
        self._killed = True
        self.finish()

    def wait_for_turn(self) -> None:
        """Stop at a call until it is this copy's turn."""
        self._stopped.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def _run(self) -> None:
        self._copies[threading.get_ident()] = self
        self._go.acquire()
        try:
            self._world.run()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told by the test's thread
            self.trouble.append(error)
        finally:
            del self._copies[threading.get_ident()]
            self.ended = True
            self._stopped.release()


def copies_between(start: Start) -> Iterator[Trial]:
    """Let the same job run from beginning to end at each moment of a run.

    Before the first read or after the last effect, it is a run of its own.
    """
    expected, passed = Expected(start), passed_by(start)
    for number, where in enumerate(passed):
        world = start().ready()
        world.moments.plan(number, world.run)
        world.run()
        runs = 2 if number in (0, len(passed) - 1) else 1
        yield trial(where, world, expected.after(runs))


def copies_by_turns(start: Start) -> Iterator[Trial]:
    """Let one copy go i calls, another j, the first to its end, the other to its: all i and j."""
    expected = Expected(start)
    calls = sum(moment.startswith("before") for moment in passed_by(start))
    for one_calls, two_calls in itertools.product(range(1, calls), range(1, calls)):
        world = start()
        turns = Turns(world)
        one, two = turns.copy(), turns.copy()
        for copy, count in ((one, one_calls), (two, two_calls)):
            for _ in range(count):
                copy.step()
        one.finish()
        two.finish()
        yield trial(f"{one_calls} calls and {two_calls}", world, expected.after(1))


# --- A newer version ------------------------------------------------------------------------------

UNDER_WAY = {
    ("after subject", "before merge_subject_info"),
    ("after file", "before set_file_info"),
    ("after set_file_info", "before add_file_tag"),
    ("after add_file_tag", "before remove_file_tags"),
}


def newest_only(state: Json) -> Json:
    """Return an end state without what stands on earlier versions."""
    return {**state, "inputs": {key: versions[-1] for key, versions in state["inputs"].items()}}


def overtaken(start: Start, runs: int = 0) -> Json:
    """Return the end state where both versions' jobs ran in order once both were there.

    Args:
        start: what they find.
        runs: of the first version before the second was there.
    """
    world = start()
    for _ in range(runs):
        world.run(1)
    world.let_version_come()
    world.run(1)
    world.run(2)
    return newest_only(world.end_state())


def is_under_way(passed: list[str], number: int) -> bool:
    """Return whether the moment lies between a read and the write that is made from it.

    Flywheel has no conditional write: what comes just then can't be seen by the writer.
    """
    here = (
        passed[number - 1 : number + 1]
        if passed[number].startswith("before")
        else (passed[number : number + 2])
    )
    return tuple(here) in UNDER_WAY


def versions(start: Start) -> Iterator[Trial]:
    """Let a version come at each moment of a job: nothing is written on it.

    Its own job then ends as always.
    """
    expected, passed = overtaken(start), passed_by(start)
    for number, where in enumerate(passed):
        world = start().ready()
        world.moments.plan(number, world.let_version_come)
        world.run(1)
        newest = world.center.file(world.file_id)
        untouched = (newest.info, newest.tags) == ({}, ()) or is_under_way(passed, number)
        world.run(2)
        found = trial(where, world, expected, state=newest_only(world.end_state()))
        yield found if untouched else found.also_wrong("written on the newer version")


def versions_with_jobs(start: Start) -> Iterator[Trial]:
    """Let a version and its whole job come at each moment of a job: what that wrote stays.

    A whole job takes longer than a read of the file counts as fresh.
    """
    with patch.object(announcing, "FRESH_SECONDS", -1.0):
        expected, passed = overtaken(start), passed_by(start)
        for number, where in enumerate(passed):
            world = start().ready()
            world.moments.plan(number, world.let_version_come, partial(world.run, 2))
            world.run(1)
            state = newest_only(world.end_state())
            if is_under_way(passed, number):
                state |= {key: expected[key] for key in ("containers", "inputs")}
            yield Trial(where, finished=True, wrong=differences(state, expected))


def killed_versions(start: Start) -> Iterator[Trial]:
    """Let a version come at each moment of a job that is killed then, or at any moment after.

    The job is run again, then that of the version.
    """
    expected = overtaken(start)
    for comes in itertools.count():
        for killed in itertools.count(comes):
            world = start().ready()
            come = (comes, world.let_version_come)
            if not world.run_killed_at(killed, 1, meanwhile=come):
                break
            for version in (1, 2):
                world.run(version)
            where, state = f"version at {comes}, killed at {killed}", newest_only(world.end_state())
            yield trial(where, world, expected, state=state)
        if killed == comes:
            return


def killed_before_versions(start: Start) -> Iterator[Trial]:
    """Kill a job at each moment; let the version come at each moment of the job that is run again.

    Its first moment is before that, and after the kill.
    """
    undisturbed, expected, second = Expected(start), overtaken(start), overtaken(start, 2)
    for killed, world in killed_worlds(start):
        finished = world.end_state() == undisturbed.after(1)
        for comes in itertools.count():
            again = start().ready()
            again.run_killed_at(killed)
            again.moments.plan(comes, again.let_version_come)
            again.run(1)
            if again.moments.planned:
                break
            again.run(2)
            # What is done again is a second run where the file was read before the version came.
            end = second if finished and comes else expected
            where, state = f"killed at {killed}, version at {comes}", newest_only(again.end_state())
            yield trial(where, again, end, state=state, finished=finished)


# --- All of them ----------------------------------------------------------------------------------

Way = Callable[[Start], Iterator[Trial]]
WAYS: Mapping[Way, tuple[Start, ...]] = {
    kills: STARTS,
    pairs: STARTS,
    copies_between: STARTS,
    copies_by_turns: TURNS,
    versions: NEW_FILES,
    versions_with_jobs: NEW_FILES,
    killed_versions: NEW_FILES,
    killed_before_versions: NEW_FILES,
}
"""Each way to disturb a run, and from where it is tried."""
