"""A program: examines an upload, reads all that would be sent, and prints what that cost, as JSON.

It is a process of its own, so that its peak memory is that of this work alone.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from imaging_gears.dicom_send.instance import Mark, examine

MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")


def peak_memory() -> int:
    """Return the peak of this process in KiB, all that Python itself needs included."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    """Read the upload whose path is given."""
    with examine(Path(sys.argv[1]), MARK) as contents:
        examined = os.times()
        lengths = [
            sum(len(piece) for piece in instance.chunks()) for instance in contents.instances
        ]
        read = os.times()
        found = {
            "instances": len(lengths),
            "refused": len(contents.refused),
            "bytes": sum(lengths),
            "as_stated": lengths == [instance.length for instance in contents.instances],
            "memory": peak_memory(),
            "cpu": {
                "examining": examined.user + examined.system,
                "reading": read.user + read.system - examined.user - examined.system,
            },
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
