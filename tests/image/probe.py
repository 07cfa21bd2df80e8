"""Run inside the image: prints what its user may do, as JSON.

Needs nothing but the standard library: the image has neither this file nor the tests.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

ENGINES_OWN = ("/dev", "/proc", "/sys")
"""What the engine mounts, and not the image: devices, and the kernel's own files."""


def paths() -> Iterator[str]:
    """Yield every path that the user can see, links aside."""
    yield "/"
    for folder, folders, files in os.walk("/"):
        for name in (*folders, *files):
            path = str(Path(folder, name))
            if not Path(path).is_symlink() and path not in ENGINES_OWN:
                yield path
        folders[:] = [name for name in folders if str(Path(folder, name)) not in ENGINES_OWN]


def may_change(path: str) -> bool:
    """Return whether the user may write there, now or after a chmod, as the owner can."""
    return os.access(path, os.W_OK) or os.lstat(path).st_uid == os.getuid()


def gives_rights(path: str) -> bool:
    """Return whether a program would run with more rights than whoever starts it."""
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and bool(
        status.st_mode & (stat.S_ISUID | stat.S_ISGID)
        or "security.capability" in os.listxattr(path)
    )


def status() -> dict[str, str]:
    """Return the lines of this process's status that tell its rights (proc(5))."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    pairs = [line.split(":", maxsplit=1) for line in lines]
    return {name: text.strip() for name, text in pairs if name.startswith(("Cap", "Uid", "Gid"))}


def main() -> None:
    """Print it."""
    seen = list(paths())
    found = {
        "status": status(),
        "seen": len(seen),
        "writable": [path for path in seen if may_change(path)],
        "programs": [path for path in seen if gives_rights(path)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
