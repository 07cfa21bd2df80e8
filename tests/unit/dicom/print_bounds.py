"""A program: prints what each hostile upload costs, as a Markdown table.

``python -m tests.unit.dicom.print_bounds``
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.unit.dicom.test_bounds import TINY, cost, write


def main() -> None:
    """Read each of the uploads in a process of its own."""
    say = sys.stdout.write
    say("| upload | size | answer | CPU s | MiB above imports | bytes read |\n")
    say("| --- | --- | --- | --- | --- | --- |\n")
    for case in TINY:
        with TemporaryDirectory() as folder:
            path = write(case, Path(folder))
            size, found = path.stat().st_size, cost(path)
        memory = found["memory"] / 1024
        say(f"| {case} | {size:,} | {found['outcome']} | {found['cpu']:.2f} | {memory:.1f} |")
        say(f" {found['bytes_read']:,} |\n")


if __name__ == "__main__":
    main()
