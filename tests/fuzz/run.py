"""Read damaged images and archives, guided by what goes a new way through the reader.

Run as ``python -m tests.fuzz.run [COUNT] [SEED] [--keep FOLDER]``. It ends with exit code 1 and
keeps the input in ``fuzz-SEED-NUMBER`` where an exception is none of the project's, or an input
exceeds the bounds.
"""

from __future__ import annotations

import argparse
import base64
import random
import resource
import sys
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from imaging_gears.dicom.attributes import ATTRIBUTES
from imaging_gears.dicom.header import read_header
from imaging_gears.dicom.members import Member, Upload
from imaging_gears.errors import ImagingError
from imaging_gears.image_identifier_lookup.file_resolver import resolve
from tests.fuzz.guide import arcs, minimised
from tests.fuzz.mutate import mutation, seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imaging_gears.dicom.header import Header
    from tests.fuzz.guide import Arc

SLOW = 2.0
"""CPU seconds for one input; the bound is 10 s for any, and these are small."""
MOST_MEMORY = 150
"""MiB that reading may take."""
GUIDED = 8
"""Of how many inputs one is traced, which makes it some ten times slower."""


def read_all(path: Path) -> list[Header]:
    """Return the header of every member of the upload at `path`.

    Raises:
        ImagingError: the upload, or a member, can't be read.
    """
    headers = []
    with Upload(path) as upload:
        for member in upload.members():
            if isinstance(member, Member):
                with member.open() as stream:
                    headers.append(read_header(stream, ATTRIBUTES))
    return headers


def ends_well(path: Path) -> bool:
    """Return whether the upload ends as a success or as one of the project's errors.

    Every member is read, and the one that counts is looked for as the gear does.
    """
    return all(_ends_well(reader, path) for reader in (read_all, resolve))


def _ends_well(reader: Callable[[Path], object], path: Path) -> bool:
    try:
        reader(path)
    except ImagingError:
        pass
    except Exception as error:  # noqa: BLE001 - any other one is what is looked for
        sys.stderr.write(f"{type(error).__name__}\n")
        return False
    return True


@dataclass
class Fuzzer:
    """A run of the fuzzer.

    Attributes:
        file: where an input is written to be read; opened once, as that costs more than reading.
        chance: all that is decided by chance.
        known: what is mutated.
        seen: the arcs that some input has taken.
        found: the inputs that went a new way, each as short as it still does.
        slowest: CPU seconds of the slowest input.
    """

    file: BinaryIO
    chance: random.Random
    known: list[bytes]
    seen: set[Arc] = field(default_factory=set)
    found: list[bytes] = field(default_factory=list)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        """Learn the ways of what is known."""
        for data in self.known:
            self.seen |= self.ways(data)

    def written(self, data: bytes) -> Path:
        """Return the path of a file that holds `data`."""
        self.file.seek(0)
        self.file.write(data)
        self.file.truncate()
        self.file.flush()
        return Path(self.file.name)

    def ways(self, data: bytes) -> set[Arc]:
        """Return the arcs that `data` takes."""
        path = self.written(data)
        with arcs() as taken:
            ends_well(path)
        return taken

    def next_input(self) -> bytes:
        """Return another input: half of them made of what went a new way."""
        of = self.found if self.found and self.chance.random() < 0.5 else self.known
        return mutation(of, self.chance)

    def survives(self, data: bytes) -> bool:
        """Return whether `data` ends well, and in time."""
        path, start = self.written(data), time.process_time()
        well = ends_well(path)
        seconds = time.process_time() - start
        self.slowest = max(self.slowest, seconds)
        return well and seconds < SLOW

    def learn(self, data: bytes) -> None:
        """Keep `data`, made as short as it can be, if it goes a new way."""
        new = self.ways(data) - self.seen
        if new:
            self.seen |= new
            self.found.append(minimised(data, lambda shorter: new <= self.ways(shorter)))

    def failures(self, count: int) -> Iterator[tuple[int, bytes]]:
        """Read `count` inputs; yield number and content of each that does not survive."""
        for number in range(count):
            data = self.next_input()
            if not self.survives(data):
                yield number, data
            elif number % GUIDED == 0:
                self.learn(data)


def keep(found: Sequence[bytes], folder: Path) -> None:
    """Write inputs into the folder, named by their content."""
    folder.mkdir(exist_ok=True)
    for data in found:
        path = folder / f"{sha256(data).hexdigest()[:12]}.b64"
        path.write_bytes(base64.encodebytes(data))


def memory() -> int:
    """Return the peak of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(arguments: Sequence[str]) -> int:
    """Read COUNT mutations and return the exit code."""
    parser = argparse.ArgumentParser(description="Read damaged images and archives.")
    parser.add_argument("count", nargs="?", type=int, default=10_000)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that went a new way")
    options = parser.parse_args(arguments)
    with NamedTemporaryFile() as file:
        chance = random.Random(options.seed)  # noqa: S311 - has to be repeatable
        fuzzer, before = Fuzzer(cast("BinaryIO", file), chance, seeds()), memory()
        failures = [
            Path(f"fuzz-{options.seed}-{number}").write_bytes(data)
            for number, data in fuzzer.failures(options.count)
        ]
    if options.keep:
        keep(fuzzer.found, options.keep)
    grown = memory() - before
    sys.stdout.write(
        f"{options.count} inputs, {len(fuzzer.found)} of them went a new way; the slowest took "
        f"{fuzzer.slowest:.2f} s of CPU, memory grew by {grown} MiB\n{len(failures)} failures\n"
    )
    return 1 if failures or grown > MOST_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
