"""Measure what a run of the gear costs: ``python -m benchmarks.run [--json FILE] [--quick]``.

The gear is the real process, with the real SDKs, against the local site. Requests are those that
the site has got. CPU seconds and peak memory are the kernel's (wait4). Bytes of the upload are
counted in the process, not by the program (see `counting`).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import inputs
from benchmarks.figures import Figure, progress, told
from benchmarks.process import Bench, GearFailedError, Run, Upload

Json = dict[str, Any]

LATEST = Path(__file__).resolve().parent / "latest.json"
REPEATS, QUICK_REPEATS = 15, 3
PEAK_MIB = 120
BYTES_OF_A_SERIES = 256 * 1024
CPU_RATIO = 1.15
REQUESTS = 10
_LOOKUPS = ("identifiers", "lambda")

Say = Callable[[str], None]


def measure(folder: Path, repeats: int, say: Say) -> list[Figure]:
    """Return all figures.

    Raises:
        GearFailedError: a run did not pass.
    """
    say("writing uploads")
    series = inputs.series(folder)
    with Bench.start(folder) as bench:
        say("counting requests and bytes")
        upload = bench.upload(series)
        reads, first = bench.count_reads(upload)
        _make_unreadable(bench, upload, series)
        reads_again, again = bench.count_reads(upload)
        figures = [*_requests(first, again), *_bytes(reads, reads_again)]
        figures += _cpu(bench, series, repeats, say)
        figures += _memory(bench, folder, series, say)
    return figures


def _make_unreadable(bench: Bench, upload: Upload, series: Path) -> None:
    """Prepare the second job with an upload that holds nothing: who opens it can't pass it."""
    bench.again(upload, series)
    upload.path.write_bytes(b"")


def _requests(first: Run, again: Run) -> list[Figure]:
    def figure(name: str, run: Run, *services: str, **bound: Any) -> Figure:  # noqa: ANN401
        return Figure(name=name, measured=_sum(run.requests, services), **bound)

    return [
        figure("Flywheel requests, first run", first, "flywheel", bound=REQUESTS),
        figure("Flywheel requests, short cut", again, "flywheel", bound=REQUESTS),
        figure("SSM requests, first run", first, "ssm", relation="==", bound=1),
        figure("S3 requests, first run", first, "s3", relation="==", bound=1),
        figure("identifier requests, first run", first, *_LOOKUPS, relation="==", bound=1),
        figure("identifier requests, short cut", again, *_LOOKUPS, relation="==", bound=0),
    ]


def _sum(requests: Mapping[str, int], services: Sequence[str]) -> int:
    return sum(requests.get(service, 0) for service in services)


def _bytes(reads: Json, again: Json) -> list[Figure]:
    name = f"read of a zip of {inputs.SLICES} slices, 18 MB"
    return [
        Figure(name="opened by the short cut", measured=again["opened"], relation="==", bound=0),
        Figure(
            name="read by the short cut",
            measured=_counted(again),
            unit="bytes",
            relation="==",
            bound=0,
        ),
        Figure(
            name=name,
            measured=_counted(reads),
            unit="bytes",
            relation="<",
            bound=BYTES_OF_A_SERIES,
        ),
        Figure(
            name="pydicom imported by the short cut",
            measured=int(again["pydicom_imported"]),
            relation="==",
            bound=0,
        ),
    ]


def _counted(reads: Json) -> int | None:
    """Return the bytes; None where some were read by a road that is not counted."""
    return None if reads["uncounted"] else reads["bytes_read"]


def _cpu(bench: Bench, series: Path, repeats: int, say: Say) -> list[Figure]:
    """Return CPU seconds and their ratios, measured by turns.

    The ratios are those of the least of all repetitions: what else a machine does only ever adds.
    """
    turns = []
    for number in range(repeats + 1):
        say(f"CPU seconds, {number} of {repeats}")
        turns.append(_turn(bench, series))
    # The first turn filled the caches.
    bare, first, again = (sorted(seconds) for seconds in zip(*turns[1:], strict=True))
    return [
        _ratio("CPU of a first run / bare imports", first[0] / bare[0], CPU_RATIO),
        _ratio("CPU of the short cut / first run", again[0] / first[0], 1),
        *_seconds("bare imports", bare),
        *_seconds("first run", first),
        *_seconds("short cut", again),
    ]


def _turn(bench: Bench, series: Path) -> tuple[float, float, float]:
    bare = bench.bare_imports()
    upload = bench.upload(series)
    first = bench.run(upload)
    bench.again(upload, series)
    return bare.cpu_seconds, first.cpu_seconds, bench.run(upload).cpu_seconds


def _ratio(name: str, ratio: float, bound: float) -> Figure:
    return Figure(name=name, measured=round(ratio, 3), relation="<", bound=bound, digits=2)


def _seconds(name: str, seconds: Sequence[float]) -> list[Figure]:
    told = {"least": seconds[0], "median": statistics.median(seconds)}
    return [
        Figure(name=f"CPU of {name}, {which}", measured=round(value, 3), unit="s", digits=2)
        for which, value in told.items()
    ]


def _memory(bench: Bench, folder: Path, series: Path, say: Say) -> list[Figure]:
    uploads = {
        "one image": inputs.single(folder),
        f"a zip of {inputs.SLICES} slices": series,
        f"an enhanced image of {inputs.SLICES} frames": inputs.enhanced(folder),
    }
    figures = []
    for name, source in uploads.items():
        say(f"memory, {name}")
        peak = bench.run(bench.upload(source)).peak_mib
        figures.append(_peak(f"peak memory, {name}", peak, bound=PEAK_MIB))
    return [*figures, _peak("peak memory, bare imports", bench.bare_imports().peak_mib)]


def _peak(name: str, mib: float, **bound: float) -> Figure:
    return Figure(name=name, measured=round(mib, 1), unit="MiB", relation="<", digits=1, **bound)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and write it as JSON; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description="Measure the gear.")
    parser.add_argument("--json", type=Path, metavar="FILE", default=LATEST, help="where to")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_REPEATS} repetitions, not {REPEATS}"
    )
    options = parser.parse_args(argv)
    repeats = QUICK_REPEATS if options.quick else REPEATS
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            figures = measure(Path(folder), repeats, progress)
    except GearFailedError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        progress("")
    return told(figures, options.json, repeats=repeats)


if __name__ == "__main__":
    sys.exit(main())
