"""A program: finds the image that counts in an upload and prints what that cost, as JSON.

It is a process of its own, so that its CPU time and its peak memory are those of the reading alone.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from imaging_gears.errors import InputFileError
from imaging_gears.image_identifier_lookup.file_resolver import Looked, resolve


def peak_memory() -> int:
    """Return the peak of this process in KiB; ``ru_maxrss`` would include that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    """Read the upload whose path is given."""
    before_memory, before = peak_memory(), resource.getrusage(resource.RUSAGE_SELF)
    outcome, looked = "read", Looked()
    try:
        resolve(Path(sys.argv[1]), looked)
    except InputFileError as error:
        outcome = type(error).__name__
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = {"cpu": cpu, "memory": peak_memory() - before_memory, "bytes_read": looked.bytes_read}
    sys.stdout.write(json.dumps({"outcome": outcome, **cost}))


if __name__ == "__main__":
    main()
