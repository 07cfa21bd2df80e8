"""The whole fault matrix against a local site: does every cell end as its table says?

``python -m benchmarks.faults [--only TEXT] [--nth] [--outage SERVICE]``

Without options all cells run, and each that ends otherwise is printed; the exit code is 1 then.
With ``--nth`` each way to fail meets the first, second, third, ... request of a run, until a run
comes through untouched; the run after each must leave all in order.
With ``--outage flywheel``, ``ssm``, ``s3``, ``lambda`` or ``identifiers`` that service never
answers, all constants are the program's own, and the seconds that the job takes are printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from imaging_gears.sandbox import Fault, Sandbox
from tests.gear.fault_cells import CELLS, FAILURES, Cell
from tests.gear.fault_runs import SERVICES, fail_request, flaws, https, run_cell, said
from tests.gear.gear_helpers import Center, GearServer

OUTAGE_SECONDS = 90.0
"""A job may take that long when one of its services is silent."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; return 1 when something ends otherwise than it should."""
    parser = argparse.ArgumentParser(prog="benchmarks.faults", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name has this text")
    parser.add_argument("--nth", action="store_true", help="one request after the other")
    parser.add_argument("--outage", choices=SERVICES, help="a service that never answers")
    given = parser.parse_args(argv)
    # The tests' own patience is shorter than an outage.
    server = GearServer(seconds=2 * OUTAGE_SECONDS) if given.outage else GearServer()
    try:
        with Sandbox.start(run_jobs=False) as sandbox, tempfile.TemporaryDirectory() as root:
            if given.outage:
                return _outage(Center(sandbox, server, Path(root)), given.outage)
            if given.nth:
                return _nth(sandbox, server, Path(root))
            return _matrix(sandbox, server, Path(root), given.only)
    finally:
        server.stop()


def _matrix(sandbox: Sandbox, server: GearServer, root: Path, only: str) -> int:
    cells = [cell for cell in CELLS if only in cell.name]
    began, wrong = time.monotonic(), 0
    for number, cell in enumerate(cells):
        folder = root / str(number)
        folder.mkdir()
        sandbox.faults.clear()
        wrong += not _is_right(Center(sandbox, server, folder), cell)
    print(f"{len(cells)} cells, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _nth(sandbox: Sandbox, server: GearServer, root: Path) -> int:
    runs = bad = 0
    for failure in FAILURES:
        met, number = True, 0
        while met:
            folder = root / f"{failure.name}-{number}"
            folder.mkdir()
            met, wrong = fail_request(Center(sandbox, server, folder), failure, number)
            number += 1
            if wrong:
                print(f"{failure.name}, request {number}: {', '.join(wrong)}")
            bad += bool(wrong)
        runs += number
    print(f"{len(FAILURES)} ways to fail, {runs} requests failed in turn, {bad} wrong")
    return 1 if bad else 0


def _is_right(center: Center, cell: Cell) -> bool:
    result = run_cell(center, cell)
    found = flaws(center, cell, result)
    if result.end == cell.end and not found:
        return True
    print(f"{cell.name}: {result.end.text()} instead of {cell.end.text()}; {', '.join(found)}")
    print(said(result.ended))
    return False


def _outage(center: Center, service: str) -> int:
    config = https(center) if service == "identifiers" else {}
    file_id = center.upload()
    center.sandbox.faults.add(Fault(service, kind="silent", times=None))
    ended = center.start(center.folder_of(file_id, **config)).wait()
    print(f"{service} silent: {ended.seconds:.1f} s, exit {ended.code}; {said(ended)}")
    return 0 if ended.seconds < OUTAGE_SECONDS and ended.code in (0, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
