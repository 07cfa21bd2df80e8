"""Kill -9 at every moment of a run, then run it again: does it end like a run nobody disturbed?

``python -m benchmarks.kills [--pairs | --copies | --new-version | --calls]``

A moment is before or after the effect of a request that a local site gets from a real process.

Without options a run is killed at each moment, and run again. With ``--pairs`` the next run is
killed, too, at each of its own moments. With ``--copies`` two copies of the job run at once: one
waits at each moment while the other is killed at each of its own. With ``--new-version`` the input
gets a new version at each moment, and the job is killed there; both versions' jobs run then.
With ``--calls`` the runs are made over ports in memory, from many starting points: killed before
and after each call, in pairs, beside copies, and overtaken by new versions.

Prints how many there were, each that ended otherwise, and ends with status 1 if one did.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from imaging_gears.sandbox import Sandbox
from tests.end_state import Trial
from tests.gear import kill_runs
from tests.gear.gear_helpers import Center, GearServer
from tests.gear.kill_runs import Undisturbed
from tests.unit.lookup.kill_ways import WAYS

CENTERS_OF_A_SITE = 100
"""After so many centers a new site is started: what the old one holds slows looking at it."""
PROGRESS = 100


class Centers:
    """Makes centers on local sites; a context manager, which ends what it has started."""

    def __init__(self) -> None:
        self._server, self._site = GearServer(), ExitStack()
        self._made = itertools.count()
        self._sandbox: Sandbox | None = None
        self._root = Path()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the site and the process that forks runs."""
        self._site.close()
        self._server.stop()

    def __call__(self) -> Center:
        """Make a center, on a new site every now and then."""
        number = next(self._made)
        if self._sandbox is None or number % CENTERS_OF_A_SITE == 0:
            self._site.close()
            self._sandbox = self._site.enter_context(Sandbox.start(run_jobs=False))
            self._root = Path(self._site.enter_context(tempfile.TemporaryDirectory()))
        return Center(self._sandbox, self._server, self._root / str(number))


def tell(name: str, trials: Iterable[Trial]) -> int:
    """Go through trials and print how many there were; return how many ended otherwise."""
    count = wrong = 0
    began = time.monotonic()
    for count, trial in enumerate(trials, 1):
        if trial.wrong:
            wrong += 1
            print(f"{name}: {trial.where}: {', '.join(trial.wrong)}")
        if count % PROGRESS == 0:
            print(f"{name}: {count} so far, {wrong} wrong", file=sys.stderr)
    print(f"{name}: {count} ends, {wrong} wrong, {time.monotonic() - began:.0f} s", flush=True)
    return wrong


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; return 1 when something ends otherwise than it should."""
    parser = argparse.ArgumentParser(prog="benchmarks.kills", description=__doc__)
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument("--pairs", action="store_true", help="killed again in the next run")
    one_of.add_argument("--copies", action="store_true", help="two copies at once, one killed")
    one_of.add_argument("--new-version", action="store_true", help="the input gets a new version")
    one_of.add_argument("--calls", action="store_true", help="over ports in memory")
    given = parser.parse_args(argv)
    logging.disable()  # runs over ports log to this process
    if given.calls:
        return 1 if sum(list(_over_ports())) else 0
    with Centers() as make:
        if given.new_version:
            return 1 if tell("new version", kill_runs.new_versions(make)) else 0
        expected = Undisturbed(make)
        print(f"a first run makes {len(expected.requests)} requests")
        if given.pairs:
            return 1 if tell("pairs", kill_runs.pairs(make, expected)) else 0
        if given.copies:
            return 1 if tell("copies", kill_runs.copies(make, expected)) else 0
        return 1 if tell("kills", kill_runs.kills(make, expected)) else 0


def _over_ports() -> Iterator[int]:
    for way, starts in WAYS.items():
        trials = itertools.chain.from_iterable(map(way, starts))
        yield tell(f"{way.__name__}, {len(starts)} starting points", trials)


if __name__ == "__main__":
    sys.exit(main())
