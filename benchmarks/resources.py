"""Run a command and write what it cost: ``python resources.py REPORT COMMAND...``.

A process of its own, and a small one: Linux counts what the parent of a process holds at its start
towards the peak memory of the child, and the benchmark holds a whole site.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(report: str, *command: str) -> int:
    """Run `command`; write its exit code, CPU seconds and peak memory in KiB."""
    pid = os.fork()
    if pid == 0:
        os.execv(command[0], command)  # noqa: S606 - the benchmark's own command
    _, status, usage = os.wait4(pid, 0)
    found = {
        "exit": os.waitstatus_to_exitcode(status),
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
    }
    Path(report).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
