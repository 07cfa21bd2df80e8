"""Measure what sending costs: ``python -m benchmarks.send [--json FILE] [--quick] [--gear CMD]``.

Rates are compared with those of DCMTK's storescu, which sends the same images to the same server
in the same run: what else the machine does slows down both. Ours reads a zip, examines and tags
each image, and sends it; storescu reads files. Each ratio is the median of pairs that were measured
in turns, both of a pair with the same server. Memory and files written are those of a whole run of
the gear, a process; ``--gear`` names another one: a command with ``{file}`` and ``{port}``.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, progress, told
from benchmarks.send_gear import start
from benchmarks.send_peers import (
    HOST,
    PeerFailedError,
    images,
    slow_line,
    storescp,
    storescu,
)
from imaging_gears.adapters.dimse.server import DimseServer
from imaging_gears.dicom_send.instance import Mark, as_uncompressed, examine
from imaging_gears.ports import Peer, TlsFiles
from imaging_gears.sandbox.network import enter_loopback
from tests.pki import self_signed

Json = dict[str, Any]
Say = Callable[[str], None]

LATEST = Path(__file__).resolve().parent / "latest-send.json"
SMALL, LARGE, LONG = 150_000, 5_000_000, 8_000_000
ONE_WAY_SECONDS = 0.01
PEAK_MIB = 120
SLICES, SLICE_BYTES, OBJECT_BYTES = 2000, 500_000, 512 * 1024 * 1024
MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")
_RESOURCES = Path(__file__).resolve().parent / "resources.py"


class NotSentError(Exception):
    """An image was not sent: a rate of what failed is worth nothing."""


TLS_PAIRS = 6
"""Pairs of a turn: one is worth little, both processors are busy at both ends."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    small: int
    large: int
    distant: int
    turns: int
    soak: int


FULL = Size(small=500, large=50, distant=100, turns=5, soak=50)
QUICK = Size(small=100, large=10, distant=40, turns=2, soak=3)


@dataclass(frozen=True, slots=True)
class Seconds:
    """What sending a zip took: all of it, and the part without examining the images first."""

    whole: float
    sending: float


def ours(port: int, upload: Path, *, associations: int = 2, tls: TlsFiles | None = None) -> Seconds:
    """Send a zip as the gear does.

    Raises:
        NotSentError: not all of it was sent.
    """
    peer = Peer(host=HOST, port=port, called_ae="SCP", calling_ae="FLYWHEEL")
    begin = time.perf_counter()
    server = DimseServer(peer, tls, associations=associations)
    with examine(upload, MARK) as contents:
        examined = time.perf_counter()
        results = list(server.send(contents.instances, as_uncompressed))  # type: ignore[arg-type]
    end = time.perf_counter()
    failed = [result.reason for result in results if result.outcome != "sent"]
    if failed or not results:
        raise NotSentError(f"{len(failed)} of {len(results)} images not sent: {failed[:1]}")
    return Seconds(end - begin, end - examined)


def measure(folder: Path, size: Size, gear: str | None, say: Say) -> list[Figure]:
    """Return all figures.

    Raises:
        NotSentError: an image was not sent.
        PeerFailedError: a server or storescu did not work.
    """
    say("writing images")
    small = images(folder, "small", size.small, SMALL)
    large = images(folder, "large", size.large, LARGE)
    distant = images(folder, "distant", size.distant, SMALL)
    return [
        *_against_storescu(small, large, size, say),
        *_tls(folder, small[1], size, say),
        *_distance(distant[1], size, say),
        *_soak(small[1], size, say),
        *_gear(folder, gear, say),
    ]


def _against_storescu(
    small: tuple[Path, Path], large: tuple[Path, Path], size: Size, say: Say
) -> list[Figure]:
    figures = []
    for name, data, count, nodelay, bound in (
        ("150 KB, storescp as shipped", small, size.small, False, 10),
        ("150 KB, TCP_NODELAY=1 on both", small, size.small, True, 0.7),
        ("5 MB, TCP_NODELAY=1 on both", large, size.large, True, 1.0),
    ):
        theirs, us, alone = [], [], []
        for turn in range(size.turns):
            say(f"{name}, {turn + 1} of {size.turns}")
            with storescp(nodelay=nodelay) as port:
                theirs.append(count / storescu(port, data[0], nodelay=nodelay))
                seconds = ours(port, data[1])
                us.append(count / seconds.whole)
                alone.append(count / seconds.sending)
        ratio = statistics.median(a / b for a, b in zip(us, theirs, strict=True))
        figures += [
            _ratio(f"images/s / storescu's: {name}", ratio, bound),
            _rate(f"images/s: {name}", us),
            _rate(f"images/s without examining: {name}", alone),
            _rate(f"images/s of storescu: {name}", theirs),
        ]
    return figures


def _tls(folder: Path, upload: Path, size: Size, say: Say) -> list[Figure]:
    identity = self_signed(folder, "server")
    key, cert = identity.key, identity.cert
    files = TlsFiles(key=key, cert=cert, ca=cert)
    options = ("+tls", str(key), str(cert), "+cf", str(cert), "-rc")
    figures = []
    for name, nodelay, bound in (
        ("storescp as shipped", False, 0.8),
        ("TCP_NODELAY=1 at the server", True, None),
    ):
        plain, secure = [], []
        turns = TLS_PAIRS * size.turns
        for turn in range(turns):
            say(f"TLS, {name}, {turn + 1} of {turns}")
            with storescp(nodelay=nodelay) as port:
                plain.append(size.small / ours(port, upload).whole)
            with storescp(*options, nodelay=nodelay) as port:
                secure.append(size.small / ours(port, upload, tls=files).whole)
        ratio = statistics.median(a / b for a, b in zip(secure, plain, strict=True))
        figures += [
            _ratio(f"images/s over TLS / plain: 150 KB, {name}", ratio, bound),
            _rate(f"images/s over TLS: 150 KB, {name}", secure),
        ]
    return figures


def _distance(upload: Path, size: Size, say: Say) -> list[Figure]:
    rates: dict[int, list[float]] = {1: [], 4: []}
    with storescp(nodelay=True) as target, slow_line(target, ONE_WAY_SECONDS) as port:
        for turn in range(size.turns):
            say(f"20 ms round trip, {turn + 1} of {size.turns}")
            for count, found in rates.items():
                found.append(size.distant / ours(port, upload, associations=count).whole)
    ratio = statistics.median(four / one for one, four in zip(*rates.values(), strict=True))
    return [
        _ratio("images/s at 20 ms round trip, 4 associations / 1", ratio, 3.3),
        _rate("images/s at 20 ms round trip, 1 association", rates[1]),
        _rate("images/s at 20 ms round trip, 4 associations", rates[4]),
    ]


class _Warnings(logging.Handler):
    """Counts what the adapter says about associations that were lost."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - as the base has it
        """Count one."""
        self.count += 1


def _soak(upload: Path, size: Size, say: Say) -> list[Figure]:
    """Return in how many runs no response, association or instance was lost."""
    clean = 0
    logger = logging.getLogger("imaging_gears")
    logger.propagate = False
    with storescp(nodelay=True) as port:
        for turn in range(size.soak):
            say(f"runs in a row, {turn + 1} of {size.soak}")
            warnings = _Warnings()
            logger.addHandler(warnings)
            ours(port, upload, associations=1 + turn % 8)
            logger.removeHandler(warnings)
            clean += not warnings.count
    name = f"runs of {size.small} images without a lost response, abort or retry"
    return [Figure(name=name, measured=clean, relation="==", bound=size.soak)]


# --- A whole run of the gear


def _gear(folder: Path, gear: str | None, say: Say) -> list[Figure]:
    uploads = {
        f"a zip of {SLICES} slices (1 GB)": (images(folder, "many", SLICES, SLICE_BYTES)[1], 2),
        "one object of 512 MB": (_single(folder), 2),
        "40 images of 8 MB, 8 associations": (images(folder, "long", 40, LONG)[1], 8),
    }
    figures = []
    for name, (upload, associations) in uploads.items():
        say(f"memory, {name}")
        peak = _peak(folder, gear, upload, associations)
        figures.append(
            Figure(
                name=f"peak memory, {name}",
                measured=peak,
                unit="MiB",
                relation="<",
                bound=PEAK_MIB,
                digits=1,
            )
        )
    say("files written")
    written = _written(folder, gear, folder / "many.zip")
    name = "files written to disk while a zip is sent"
    return [*figures, Figure(name=name, measured=written, relation="==", bound=0)]


def _single(folder: Path) -> Path:
    loose, upload = images(folder, "one", 1, OBJECT_BYTES)
    shutil.rmtree(loose)
    with zipfile.ZipFile(upload) as archive:
        (member,) = archive.namelist()
        return Path(archive.extract(member, folder / "single"))


def _peak(folder: Path, gear: str | None, upload: Path, associations: int) -> float:
    report = folder / "resources.json"
    with storescp(nodelay=True) as port:
        run = start(folder, upload, port, gear, associations=associations)
        command = [sys.executable, str(_RESOURCES), str(report), *run.command]
        subprocess.run(command, check=True, env=run.environ, stdout=subprocess.DEVNULL)
    found = json.loads(report.read_text(encoding="utf-8"))
    if found["exit"]:
        raise NotSentError(f"the gear ended with {found['exit']}")
    return round(float(found["peak_kib"]) / 1024, 1)


# What a run may write: its own report, which it is started to write, and nothing else.
_OPENED = re.compile(r'open(?:at|at2)?\(.*"([^"]+)", [^)]*O_(?:WRONLY|RDWR)[^)]*\) = \d')
_NOT_DATA = re.compile(r"^/(?:dev|proc)/|/output/|\.metadata\.json|__pycache__")


def _written(folder: Path, gear: str | None, upload: Path) -> int | None:
    """Return how many files a run opens to write, besides its outputs; None without strace."""
    if shutil.which("strace") is None:
        return None
    trace = folder / "trace"
    with storescp(nodelay=True) as port:
        run = start(folder, upload, port, gear)
        command = ["strace", "-f", "-e", "trace=open,openat,openat2", "-o", str(trace)]
        command += run.command
        subprocess.run(command, check=True, env=run.environ, stdout=subprocess.DEVNULL)
    opened = {found[1] for line in trace.open() if (found := _OPENED.search(line))}
    return sum(not _NOT_DATA.search(path) for path in opened)


# --- The table


def _ratio(name: str, ratio: float, bound: float | None) -> Figure:
    return Figure(name=name, relation=">=", measured=round(ratio, 2), bound=bound, digits=2)


def _rate(name: str, rates: Sequence[float]) -> Figure:
    return Figure(name=name, measured=round(statistics.median(rates), 1), unit="/s")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and write it as JSON; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(prog="benchmarks.send", description="Measure sending.")
    parser.add_argument("--json", type=Path, metavar="FILE", default=LATEST, help="where to")
    parser.add_argument("--quick", action="store_true", help="fewer images and repetitions")
    parser.add_argument("--gear", metavar="CMD", help="another run than that of the gear")
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-send-") as folder:
            size = QUICK if options.quick else FULL
            figures = measure(Path(folder), size, options.gear, progress)
    except (NotSentError, PeerFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        progress("")
    return told(figures, options.json)


if __name__ == "__main__":
    enter_loopback()  # storescp listens on all addresses
    sys.exit(main())
