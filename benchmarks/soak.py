"""Many jobs of one visit at the same moment, round after round: is anything lost?

``python -m benchmarks.soak [--rounds N] [--jobs N] [--copies N] [--at-once N]``

A round is one visit: `jobs` files, uploaded to a local site, each with `copies` gear processes, all
started at the same moment; the site delays every request at random. Then each file must have one
line in the visit's QC log, one event, one record in the log's info, its own record and its tag.
Ends with status 1 when something is missing or there twice.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from benchmarks.inputs import image_of
from imaging_gears.sandbox import Fault, Sandbox

REPOSITORY = Path(__file__).resolve().parents[1]
GEAR_MODULE = "imaging_gears.image_identifier_lookup.run"
GEAR = "image-identifier-lookup"
BUCKET = "nacc-event-logs"
PROJECT = "alpha-center/ingest-dicom"
DELAY_SECONDS = (0.0, 0.1)
JOB_SECONDS = 240.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Visit:
    """One round: a subject whose files all belong to one visit."""

    ptid: str
    file_ids: tuple[str, ...]


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


def job(gear_dir: Path, environ: dict[str, str], start: Event) -> None:
    """Run the gear in this process, which was made for it, once `start` is set."""
    from imaging_gears.image_identifier_lookup import run  # noqa: PLC0415 - loaded by the fork server

    os.environ.update(environ, FLYWHEEL=str(gear_dir))
    log = os.open(gear_dir / "log", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    start.wait()
    sys.exit(run.main())


def prepare(sandbox: Sandbox, folder: Path, ptid: str, jobs: int) -> tuple[Visit, list[Path]]:
    """Upload the files of a visit; return it with a gear directory for each."""
    site = sandbox.site
    subject = site.add_subject(site.lookup(PROJECT)["_id"], ptid)
    acquisition = site.add_acquisition(site.add_session(subject, "visit-1"), "all")
    sandbox.identifiers.add("prod", 42, ptid, f"NACC{ptid}")
    data = image_of(ptid)
    files = [site.upload(acquisition, f"S{n}.dcm", data, type="dicom") for n in range(jobs)]
    dirs = [_gear_dir(sandbox, folder / f"{ptid}-{n}", file, data) for n, file in enumerate(files)]
    return Visit(ptid, tuple(file["file_id"] for file in files)), dirs


def _gear_dir(sandbox: Sandbox, folder: Path, file: Json, data: bytes) -> Path:
    mounted = folder / "input" / "input_file"
    mounted.mkdir(parents=True)
    (mounted / file["name"]).write_bytes(data)
    shutil.copy(REPOSITORY / "manifest.json", folder)
    config = {
        "config": {"event_environment": "prod", "event_bucket": BUCKET},
        "inputs": {
            "api-key": {"base": "api-key", "key": sandbox.key("gearbot")},
            "input_file": {
                "base": "file",
                "location": {"name": file["name"], "path": str(mounted / file["name"])},
                "object": {"file_id": file["file_id"], "version": file["version"]},
            },
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def run_all(context: ForkServerContext, dirs: Sequence[Path], environ: dict[str, str]) -> list[int]:
    """Start a process for each gear directory at the same moment; return their exit codes."""
    start = context.Event()
    processes = [context.Process(target=job, args=(each, environ, start)) for each in dirs]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(JOB_SECONDS)
    return [-1 if process.exitcode is None else process.exitcode for process in processes]


def examine(sandbox: Sandbox, visit: Visit, tally: Tally) -> None:
    """Count what became of a visit, and note what is missing or doubled."""
    site = sandbox.site
    tally.rounds += 1
    names = [
        file
        for file in site.container(site.lookup(PROJECT)["_id"])["files"]
        if file["name"].startswith(f"{visit.ptid}_")
    ]
    if len(names) != 1:
        tally.lost.append(f"{visit.ptid}: {len(names)} QC logs")
        return
    log = site.file(names[0]["file_id"])
    text = site.read(log["file_id"]).decode()
    records = log["info"][GEAR]["files"]
    bodies = [json.loads(body) for body in sandbox.s3_objects(BUCKET).values()]
    announced = Counter(body["file_id"] for body in bodies if body["ptid"] == visit.ptid)
    tally.uploads += log["version"]
    for file_id in visit.file_ids:
        lines = text.count(f" {file_id}#1\n")
        tally.lines += lines
        tally.events += announced[file_id]
        found = (lines, announced[file_id], file_id in records, site.file(file_id)["tags"])
        if found != (1, 1, True, [f"{GEAR}-PASS"]):
            tally.lost.append(f"{visit.ptid} {file_id}: lines, events, record, tags {found}")


@contextmanager
def fork_server() -> Iterator[ForkServerContext]:
    """Give a context whose processes begin with the gear loaded, so that they start at once."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload([GEAR_MODULE])
    yield context


def soak(rounds: int, jobs: int, copies: int, at_once: int) -> Tally:
    """Run `rounds` visits, `at_once` of them at the same time; return what was found."""
    tally, number = Tally(), 0
    with fork_server() as context, tempfile.TemporaryDirectory(prefix="soak-") as folder:
        while number < rounds:
            with Sandbox.start(run_jobs=False) as sandbox:
                sandbox.faults.add(Fault(kind="delay", seconds=DELAY_SECONDS, times=None))
                batch = range(number, min(number + at_once, rounds))
                prepared = [
                    prepare(sandbox, Path(folder), f"{100000 + each}", jobs) for each in batch
                ]
                dirs = [each for _, some in prepared for each in some for _ in range(copies)]
                codes = run_all(context, dirs, sandbox.environ)
                tally.lost += [f"exit {code}" for code in codes if code]
                for visit, _ in prepared:
                    examine(sandbox, visit, tally)
                number += len(batch)
                print(tally.text(), file=sys.stderr)
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
