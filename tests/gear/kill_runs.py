"""The real gear, killed at any moment: run again, beside a copy of itself, or overtaken.

The site holds a request while the process that made it is killed: before the request's effect,
which then never comes, or after it, with the reply unsent. So a run has two moments per request,
numbered from 0. How many there are is found out by going on until a run ends before its moment.

What all trials must come to is what runs leave that nobody has disturbed. A run that was killed
when all that is there already counts as finished: whoever runs it again makes a second run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from imaging_gears.sandbox import Fault
from tests.end_state import Trial, sorted_lines, timeless
from tests.gear.gear_helpers import QUICK, Center, Started, image, zipped

Make = Callable[[], Center]
"""Makes a center whose jobs have folders apart from those of others."""
NEWER = zipped(image(SeriesNumber="6", SeriesInstanceUID="1.2.840.99.7713.1.6"))
"""Another series, uploaded under the same name."""
MOST_RUNS = 3
"""As many count in a trial at most: two that were killed when all was written, and the last."""


@dataclass(slots=True)
class World:
    """A center, and the file of its one subject that is run on."""

    center: Center
    subject: str
    file_id: str

    @classmethod
    def new(cls, make: Make, data: bytes | None = None) -> World:
        """Make one in which nothing was run yet, with that upload or one of an image."""
        center = make()
        subject = center.subject()
        return cls(center, subject, center.upload(subject, data))

    def run(self, version: int | None = None) -> None:
        """Run the gear to its end, on the newest or that version of the file."""
        self.center.run_in(self.center.folder_of(self.file_id, version), patches=QUICK)

    def start_to(
        self,
        moment: int = 0,
        *,
        version: int | None = None,
        **where: Any,  # noqa: ANN401
    ) -> Started | None:
        """Start the gear, and return it when it has come to that moment, at which it waits.

        Args:
            moment: counted over its requests, or over those that are meant by `where`.
            version: of the file; None is the newest.
            where: service, method and route of `Fault`.

        Returns:
            None where it ended before.
        """
        faults = self.center.sandbox.faults
        count = len(faults.held()) + 1
        faults.add(Fault(**where, kind="hold", skip=moment // 2, after=moment % 2 == 1))
        folder = self.center.folder_of(self.file_id, version)
        started = self.center.start(folder, patches=QUICK)
        while not faults.wait_held(count, timeout=0.05):
            if started.is_over():
                started.wait()
                return None
        return started

    def killed_at(self, moment: int, **where: Any) -> str:  # noqa: ANN401 - as `start_to`
        """Run the gear and kill it at that moment; say where that was: nowhere, if it ended before.

        Whatever is held is let go.
        """
        started, at = self.start_to(moment, **where), self.held(moment)
        if started is not None:
            started.kill()
        self.center.sandbox.faults.clear()
        return at if started is not None else ""

    def held(self, moment: int) -> str:
        """Return the request that is held since last, in words."""
        held = self.center.sandbox.faults.held()
        return " ".join(("after" if moment % 2 else "before", *(held[-1] if held else ())))

    def end_state(self) -> str:
        """Return all that is there, without time, chance, and the ids of this center."""
        center, file, logs = self.center, self.center.file(self.file_id), self.center.logs()
        state = timeless(
            {
                "subject": center.info(self.subject),
                "file": (file["info"], file["tags"]),
                "logs": {name: (sorted_lines(e["text"]), e["info"]) for name, e in logs.items()},
                "events": center.events(),
            }
        )
        acquisition = file["parent_ref"]["id"]
        ids = {self.file_id: "FILE", acquisition: "ACQUISITION", str(center.adcid): "ADCID"}
        text = repr(state)
        for each, name in ids.items():
            text = text.replace(each, name)
        return text

    def wrong(self, expected: str, events: int = 1) -> tuple[str, ...]:
        """Return in what the end differs from what is expected."""
        codes = {ended.code for ended in self.center.ended if ended.code >= 0}
        checks = {
            "the end state": self.end_state() == expected,
            "the number of events": len(self.center.events()) == events,
            "an exit code": codes <= {0},
            "a trace of patient or key": self.center.traces() == [],
        }
        return tuple(name for name, well in checks.items() if not well)


class Undisturbed:
    """What runs leave that nobody disturbs.

    Attributes:
        requests: service, method and route of what a first run asks for.
    """

    def __init__(self, make: Make, data: bytes | None = None) -> None:
        world, self._states = World.new(make, data), list[str]()
        log = world.center.sandbox.requests
        log.clear()
        for run in range(MOST_RUNS):
            world.run()
            self._states.append(world.end_state())
            if run == 0:
                self.requests = [(each.service, each.method, each.route) for each in log.all()]

    def after(self, runs: int) -> str:
        """Return the end state after that many runs, `MOST_RUNS` at most."""
        return self._states[runs - 1]

    @property
    def writes(self) -> list[int]:
        """The moments after the effects of a first run's writes to Flywheel and S3."""
        return [
            2 * number + 1
            for number, (service, method, _) in enumerate(self.requests)
            if service in ("flywheel", "s3") and method != "GET"
        ]

    def has_read_file(self, moment: int) -> bool:
        """Return whether a run that is at that moment knows what earlier ones have recorded."""
        routes = [route for _, _, route in self.requests]
        return moment > 2 * routes.index("/files/{file_id}")


def kills(make: Make, expected: Undisturbed, *before: int) -> Iterator[Trial]:
    """Kill a run at each of its moments, and run it again.

    Args:
        make: makes the centers.
        expected: what is to come of it.
        before: moments at which runs before it are killed.
    """
    for moment in itertools.count():
        world, where, done = World.new(make), list[str](), 0
        for each in (*before, moment):
            where.append(world.killed_at(each))
            if not where[-1]:
                return
            finished = world.end_state() == expected.after(done + 1)
            done += finished
        world.run()
        wrong = world.wrong(expected.after(done + 1))
        yield Trial(", then ".join(where), finished=finished, wrong=wrong)


def pairs(make: Make, expected: Undisturbed, first: Iterable[int] | None = None) -> Iterator[Trial]:
    """Kill a run at each moment, then the next run at each of its own; then run it once more.

    Args:
        make: makes the centers.
        expected: what is to come of it.
        first: moments of the first kill; None is all.
    """
    for moment in itertools.count() if first is None else first:
        trials = 0
        for trials, trial in enumerate(kills(make, expected, moment), 1):  # noqa: B007 - read below
            yield trial
        if not trials:
            return


def copies(
    make: Make, expected: Undisturbed, first: Iterable[int] | None = None
) -> Iterator[Trial]:
    """Let two copies of a job run at once, and kill one of them at each moment.

    One copy comes to a moment and waits there, the other comes from its beginning to each of its
    own and is killed; then the one goes on to its end, and the job is run again.

    Args:
        make: makes the centers.
        expected: what is to come of it.
        first: moments at which the one waits; None is all.
    """
    for one in itertools.count() if first is None else first:
        for two in itertools.count():
            world = World.new(make)
            waiting = world.start_to(one)
            if waiting is None:
                return
            trial = _beside(world, waiting, one, two, expected)
            if trial is None:
                break
            yield trial


def _beside(
    world: World, waiting: Started, one: int, two: int, expected: Undisturbed
) -> Trial | None:
    """Let a second copy be killed at its moment `two`; None where it ended before."""
    where, faults = world.held(one), world.center.sandbox.faults
    over = world.end_state() == expected.after(1)
    killed = world.start_to(two)
    if killed is None:
        faults.clear()
        waiting.wait()
        return None
    where = f"one copy waits {where}, the other is killed {world.held(two)}"
    killed.kill()
    finished = world.end_state() == expected.after(2 if over else 1)
    faults.clear()
    waiting.wait()
    # Two runs, if one of them had ended when the other began.
    done = 1 + (finished and (over or not expected.has_read_file(one)))
    wrong = () if over and not finished else world.wrong(expected.after(done))
    world.run()
    return Trial(where, finished, (*wrong, *world.wrong(expected.after(done + 1))))


def new_versions(make: Make) -> Iterator[Trial]:
    """Upload a new version at each moment of a job, which is killed there; run both jobs.

    While the job waits, a version that comes before the kill is one that comes after it: the site
    sees the same requests in the same order.
    """
    undisturbed = World.new(make)
    undisturbed.center.new_version(undisturbed.file_id, NEWER)
    for version in (1, 2):
        undisturbed.run(version)
    expected = undisturbed.end_state()
    for moment in itertools.count():
        world = World.new(make)
        started = world.start_to(moment)
        if started is None:
            return
        where = world.held(moment)
        world.center.new_version(world.file_id, NEWER)
        started.kill()
        world.center.sandbox.faults.clear()
        for version in (1, 2):
            world.run(version)
        wrong = world.wrong(expected, events=2)
        yield Trial(f"a new version, and killed {where}", finished=False, wrong=wrong)
