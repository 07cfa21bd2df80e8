"""Many jobs of one visit at the same moment, round after round: is anything lost?

``python -m benchmarks.soak [--rounds N] [--jobs N] [--copies N] [--at-once N]``

A round is one visit: `jobs` files, uploaded to a local site, each with `copies` gear processes, all
started at the same moment; the site delays every request at random. Then each file must have one
line in the visit's QC log, one event, one record in the log's info, its own record and its tag.
Ends with status 1 when something is missing or there twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imaging_gears.sandbox import Fault, Sandbox
from tests.gear.gear_helpers import GEAR, Center, GearServer

DELAYS = Fault(kind="delay", seconds=(0.0, 0.1), times=None)
"""Of every request: chance decides who comes between another's read and write."""
JOB_SECONDS = 600
ROUNDS_OF_A_SITE = 40
"""After so many rounds a new site is started: what the old one holds slows down who looks at it."""


@dataclass
class Tally:
    """What was found over all rounds."""

    rounds: int = 0
    lines: int = 0
    events: int = 0
    uploads: int = 0
    lost: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the figures in one line."""
        return (
            f"rounds {self.rounds}, lines {self.lines}, events {self.events}, "
            f"lost or doubled {len(self.lost)}, repaired {self.uploads - self.lines}"
        )


def examine(center: Center, file_ids: Sequence[str], tally: Tally) -> None:
    """Count what became of a visit, and note what is missing or doubled."""
    tally.rounds += 1
    logs = list(center.logs().values())
    if len(logs) != 1:
        tally.lost.append(f"{center.group}: {len(logs)} QC logs")
        return
    [log] = logs
    records = log["info"][GEAR]["files"]
    announced = Counter(body["file_id"] for body in center.events().values())
    tally.uploads += log["version"]
    for file_id in file_ids:
        lines = log["text"].count(f" {file_id}#1\n")
        tally.lines += lines
        tally.events += announced[file_id]
        found = (lines, announced[file_id], file_id in records, center.file(file_id)["tags"])
        if found != (1, 1, True, [f"{GEAR}-PASS"]):
            tally.lost.append(f"{center.group} {file_id}: lines, events, record, tags {found}")


def run_rounds(centers: Sequence[Center], jobs: int, copies: int, tally: Tally) -> None:
    """Start all jobs of a round in each of `centers` at the same moment; see what they leave."""
    subjects = [center.subject() for center in centers]
    file_ids = [[c.upload(s) for _ in range(jobs)] for c, s in zip(centers, subjects, strict=True)]
    folders = [
        (center, center.folder_of(file_id))
        for center, some in zip(centers, file_ids, strict=True)
        for file_id in some
        for _ in range(copies)
    ]
    centers[0].sandbox.faults.add(DELAYS)
    started = [center.start(folder) for center, folder in folders]
    codes = [each.wait().code for each in started]
    centers[0].sandbox.faults.clear()
    tally.lost += [f"exit {code}" for code in codes if code]
    for center, some in zip(centers, file_ids, strict=True):
        examine(center, some, tally)


def soak(rounds: int, jobs: int, copies: int, at_once: int) -> Tally:
    """Run `rounds` visits, `at_once` of them at the same time; return what was found."""
    tally, server = Tally(), GearServer(seconds=JOB_SECONDS)
    try:
        while tally.rounds < rounds:
            with Sandbox.start(run_jobs=False) as sandbox:
                last = min(rounds, tally.rounds + ROUNDS_OF_A_SITE)
                while tally.rounds < last:
                    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
                        batch = range(min(at_once, last - tally.rounds))
                        centers = [
                            Center(sandbox, server, Path(folder, f"{n}"), watched=False)
                            for n in batch
                        ]
                        run_rounds(centers, jobs, copies, tally)
                    print(tally.text(), file=sys.stderr)
    finally:
        server.stop()
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds that were asked for, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=16, help="files of a visit")
    parser.add_argument("--copies", type=int, default=1, help="processes for each file")
    parser.add_argument("--at-once", type=int, default=4, help="visits at the same time")
    given = parser.parse_args(arguments)
    start = time.monotonic()
    tally = soak(given.rounds, given.jobs, given.copies, given.at_once)
    print(f"{tally.text()}; {time.monotonic() - start:.0f} s")
    for each in tally.lost:
        print(each)
    return 1 if tally.lost else 0


if __name__ == "__main__":
    sys.exit(main())
