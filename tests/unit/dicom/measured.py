"""A program: reads the first image of an upload and prints what that cost, as JSON.

It is a process of its own, so that its CPU time and its peak memory are those of the reading alone.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from imaging_gears.dicom.attributes import ATTRIBUTES
from imaging_gears.dicom.header import read_header
from imaging_gears.dicom.members import Skipped, Upload
from imaging_gears.errors import InputFileError, NotDicomError


def peak_memory() -> int:
    """Return the peak of this process in KiB; ``ru_maxrss`` would include that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def first_image(upload: Upload) -> str:
    """Return "read", or the error that the upload ends as."""
    first_error: InputFileError | None = None
    for member in upload.members():
        if isinstance(member, Skipped):
            first_error = first_error or member.error
            continue
        try:
            with member.open() as stream:
                read_header(stream, ATTRIBUTES)
        except InputFileError as error:
            first_error = first_error or error
        else:
            return "read"
    raise first_error or NotDicomError("There is no image.")


def main() -> None:
    """Read the upload whose path is given."""
    before_memory, before = peak_memory(), resource.getrusage(resource.RUSAGE_SELF)
    with Upload(Path(sys.argv[1])) as upload:
        try:
            outcome = first_image(upload)
        except InputFileError as error:
            outcome = type(error).__name__
        bytes_read = upload.bytes_read
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = {"cpu": cpu, "memory": peak_memory() - before_memory, "bytes_read": bytes_read}
    sys.stdout.write(json.dumps({"outcome": outcome, **cost}))


if __name__ == "__main__":
    main()
