"""Killed at any call and run again; beside a copy of itself; overtaken by a new version.

Whatever happens in between, the world ends as after runs that nobody disturbed. A run counts as
finished when the world looks as such a run leaves it: whoever runs it again then makes a second
run, with a line of its own in the QC log.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging_gears.errors import NotDicomError, ServiceError
from imaging_gears.image_identifier_lookup import GEAR, reporting
from tests.end_state import sorted_lines, timeless
from tests.fakes import InMemoryRegistry, Interruptions
from tests.unit.lookup.harness import LOG, NACCID, START, Center, Killed

# Lines that other tests go through as well, many times over.
pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

Json = Any
OTHERS_LINE = b"2024-01-15 10:00:00 QC Status: FORM-CHECKER - PASS\n"
OTHERS_INFO = {"qc": {"form-checker": {"validation": {"state": "PASS", "data": [], "cleared": []}}}}


class Moments(Interruptions):
    """Every moment before and after the effect of a call, counted; one of them can be used."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []
        self.planned: dict[int, Callable[[], object]] = {}

    def plan(self, number: int, action: Callable[[], object]) -> None:
        """Do something at the `number`-th moment from now."""
        self.passed, self.planned = [], {number: action}

    def meet(self, method: str, *, after: bool) -> None:
        """Do what was planned for this moment, once."""
        super().meet(method, after=after)
        number = len(self.passed)
        self.passed.append(f"{'after' if after else 'before'} {method}")
        self.planned.pop(number, lambda: None)()


@dataclass(slots=True)
class World:
    """A center in which every call of a run is a moment, and the file that is run on."""

    center: Center = field(default_factory=Center)
    moments: Moments = field(default_factory=Moments)
    file_id: str = ""

    def ready(self) -> World:
        """Begin to count."""
        center = self.center
        center.site.on = center.events.on = center.registry.on = self.moments
        return self

    def run(self, version: int | None = None) -> None:
        """Run the gear to its end."""
        self.center.run(self.file_id, version)

    def run_killed_at(self, number: int) -> bool:
        """Run the gear; return whether it lived long enough to be killed at that moment."""

        def kill() -> None:
            raise Killed

        self.moments.plan(number, kill)
        try:
            self.run()
        except Killed:
            return True
        self.moments.planned = {}
        return False

    def end_state(self) -> Json:
        """Return all that is there, without time and chance."""
        center, logs = self.center, self.center.site.names(self.center.project)
        containers, files = center.site.dump()
        return {
            "containers": timeless(containers),
            "inputs": {
                file_id: [
                    (each.version, timeless(each.info), sorted(each.tags)) for each in versions
                ]
                for file_id, versions in files.items()
                if file_id not in logs.values()
            },
            "logs": {
                name: (sorted_lines(center.log_text(name)), timeless(center.log_file(name).info))
                for name in logs
            },
            "events": sorted(
                (timeless(key), timeless(body.decode()))
                for key, body in center.events.stored.items()
            ),
        }

    def notes_are_true(self) -> bool:
        """Return whether the event that the file notes is there, at the time that is noted."""
        note = self.center.file(self.file_id).info.get(GEAR, {}).get("event")
        if note is None:
            return not self.center.events.stored
        body = self.center.events.stored[note["key"]].decode()
        return f'"timestamp":"{note["timestamp"]}"' in body and self.file_id in body


# --- What a run may find --------------------------------------------------------------------------


def first() -> World:
    """Nothing is there: no NACCID, no log."""
    world = World()
    world.file_id = world.center.upload(world.center.subject())
    return world


def beside_others() -> World:
    """The log has lines and info of another gear and of another file of the visit."""
    world = first()
    site = world.center.site
    site.put(world.center.project, LOG, OTHERS_LINE, OTHERS_INFO, ("theirs",))
    world.center.run(world.center.upload(site.file(world.file_id).parents["subject"], "b.zip"))
    return world


def known_naccid() -> World:
    """The subject has its NACCID already, and the file a tag of a review."""
    world = World()
    world.file_id = world.center.upload(world.center.subject(naccid=NACCID))
    world.center.site.add_file_tag(world.file_id, f"{GEAR}-IN REVIEW")
    return world


def mismatch() -> World:
    """PASS with a warning, which needs the labels of all containers above the file."""
    world = World()
    world.file_id = world.center.upload(world.center.subject(), header={"patient_id": "990001"})
    return world


def unknown_participant() -> World:
    """FAIL, with a visit."""
    world = first()
    world.center.registry = InMemoryRegistry()
    return world


def no_dicom() -> World:
    """FAIL, without a visit."""
    world = World()
    error = NotDicomError("This is no DICOM.")
    world.file_id = world.center.upload(world.center.subject(), header=error)
    return world


def short_cut() -> World:
    """An earlier run has read the header already."""
    world = first()
    world.run()
    return world


def failed_before() -> World:
    """An earlier run has failed; the registry knows the participant now."""
    world = unknown_participant()
    world.run()
    world.center.registry = Center().registry
    return world


def passed_before() -> World:
    """An earlier run has passed; the subject has another NACCID now."""
    world = short_cut()
    subject = world.center.file(world.file_id).parents["subject"]
    world.center.site.change_info(subject, naccid="not one")
    return world


def other_label() -> World:
    """An earlier run has passed for a label that was corrected since."""
    world = short_cut()
    world.center.site.relabel(world.center.file(world.file_id).parents["subject"], "110002")
    return world


def spoilt_label() -> World:
    """An earlier run has passed; the label names nobody now, so there is no visit."""
    world = short_cut()
    world.center.site.relabel(world.center.file(world.file_id).parents["subject"], "000")
    return world


def second_taken() -> World:
    """The event of another file of the visit stands in this run's second."""
    world = beside_others()
    world.center.moment = START
    return world


def event_owed() -> World:
    """An earlier run could not write its event."""
    world = first()
    world.center.events.on.add("put_if_absent", ServiceError("AWS S3", "HTTP 503"))
    world.run()
    return world


def log_owed() -> World:
    """An earlier run could not write the log."""
    world = first()
    world.center.site.on.add("upload_project_file", ServiceError("Flywheel", "HTTP 500"), times=3)
    world.run()
    return world


STARTS = (
    first,
    beside_others,
    known_naccid,
    mismatch,
    unknown_participant,
    no_dicom,
    short_cut,
    failed_before,
    passed_before,
    other_label,
    spoilt_label,
    second_taken,
    event_owed,
    log_owed,
)
Start = Callable[[], World]
Killing = tuple[int, World]
WRITES = frozenset(
    {
        "merge_subject_info",
        "upload_project_file",
        "set_file_info",
        "delete_file_info",
        "put_if_absent",
        "add_file_tag",
        "remove_file_tags",
    }
)
ALL = WRITES | {
    "file",
    "file_version",
    "subject",
    "project",
    "label",
    "read_project_file",
    "naccid_for",
}
every_start = pytest.mark.parametrize("start", STARTS, ids=lambda start: start.__name__)


class Expected:
    """The end states after 1, 2, 3 ... runs that nobody disturbs."""

    def __init__(self, start: Start) -> None:
        self._world, self._states = start().ready(), []

    def after(self, runs: int) -> Json:
        """Return the end state after that many runs."""
        while len(self._states) < runs:
            self._world.run()
            self._states.append(self._world.end_state())
        return self._states[runs - 1]


def passed_by(start: Start) -> list[str]:
    """Return the moments of a run that nobody disturbs."""
    world = start().ready()
    world.run()
    return world.moments.passed


# --- Kills ----------------------------------------------------------------------------------------


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


@every_start
def test_a_killed_run_that_is_done_again_ends_like_one_run(start: Start) -> None:
    """Killed before or after any of its calls. After the last effect, it had been finished."""
    expected, finished = Expected(start), []
    for number, world in killed_worlds(start):
        where = world.moments.passed[number]
        finished.append(world.end_state() == expected.after(1))
        world.run()
        assert world.end_state() == expected.after(2 if finished[-1] else 1), where
        assert world.notes_are_true(), where
    assert finished == sorted(finished)
    assert finished[-1]


@every_start
def test_a_run_that_is_killed_again_when_it_is_done_again_ends_like_one_run(start: Start) -> None:
    """All pairs of moments; after a read is before the next call, so writes are enough."""
    expected, pairs = Expected(start), 0
    for one, world in killed_worlds(start, only=WRITES):
        finished = 1 if world.end_state() == expected.after(1) else 0
        for two, again in killed_worlds(start, one, only=WRITES):
            done = finished + (again.end_state() == expected.after(finished + 1))
            again.run()
            assert again.end_state() == expected.after(done + 1), (one, two)
            assert again.notes_are_true(), (one, two)
            pairs += 1
    assert pairs >= 9


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


@every_start
def test_a_copy_that_runs_in_between_changes_nothing(start: Start) -> None:
    """At each moment of a run, the same job runs from beginning to end.

    Before the first read or after the last effect, it is a run of its own.
    """
    expected, passed = Expected(start), passed_by(start)
    for number, where in enumerate(passed):
        world = start().ready()
        world.moments.plan(number, world.run)
        world.run()
        runs = 2 if number in (0, len(passed) - 1) else 1
        assert world.end_state() == expected.after(runs), where
        assert world.notes_are_true(), where


@pytest.mark.parametrize(
    "start",
    [first, unknown_participant, failed_before, event_owed],
    ids=lambda start: start.__name__,
)
def test_copies_that_run_by_turns_count_once(start: Start) -> None:
    """One goes i calls, the other j, the first to its end, the other to its: all i and j."""
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
        assert world.end_state() == expected.after(1), (one_calls, two_calls)
        assert world.notes_are_true(), (one_calls, two_calls)


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


# --- A newer version ------------------------------------------------------------------------------

UNDER_WAY = {
    ("after subject", "before merge_subject_info"),
    ("after file", "before set_file_info"),
    ("after set_file_info", "before add_file_tag"),
    ("after add_file_tag", "before remove_file_tags"),
}
NEW_FILES = (
    first,
    beside_others,
    known_naccid,
    mismatch,
    unknown_participant,
    no_dicom,
    second_taken,
)
every_new_file = pytest.mark.parametrize("start", NEW_FILES, ids=lambda start: start.__name__)

NEWER = {"series_number": "6", "series_instance_uid": "1.2.840.99.3"}


def new_version(world: World) -> None:
    """Upload another series under the same name."""
    world.center.new_version(world.file_id, NEWER)


def newest_only(state: Json) -> Json:
    """Return an end state without what stands on earlier versions."""
    return {**state, "inputs": {key: versions[-1] for key, versions in state["inputs"].items()}}


def overtaken(start: Start) -> Json:
    """Return the end state where the version came first, and then both jobs ran in order."""
    world = start()
    new_version(world)
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


@every_new_file
def test_a_version_that_comes_meanwhile_has_its_own_record(start: Start) -> None:
    """At each moment of a job: nothing is written on it, and its own job ends as always."""
    expected = overtaken(start)
    passed = passed_by(start)
    for number, where in enumerate(passed):
        world = start().ready()
        world.moments.plan(number, lambda world=world: new_version(world))
        world.run(1)
        newest = world.center.file(world.file_id)
        assert (newest.info, newest.tags) == ({}, ()) or is_under_way(passed, number), where
        world.run(2)
        assert newest_only(world.end_state()) == expected, where


@every_new_file
def test_a_version_and_its_whole_job_may_come_meanwhile(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each moment of a job: what the newer version's job has written is still there.

    A whole job takes longer than a read of the file counts as fresh.
    """
    monkeypatch.setattr(reporting, "FRESH_SECONDS", -1.0)
    expected = overtaken(start)
    passed = passed_by(start)
    for number, where in enumerate(passed):
        world = start().ready()

        def version_and_job(world: World = world) -> None:
            new_version(world)
            world.run(2)

        world.moments.plan(number, version_and_job)
        world.run(1)
        state = newest_only(world.end_state())
        assert (state["logs"], state["events"]) == (expected["logs"], expected["events"]), where
        assert state == expected or is_under_way(passed, number), where
