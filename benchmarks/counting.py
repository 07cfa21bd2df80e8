"""Run a module and count what it reads of one file: ``python counting.py FILE REPORT MODULE``.

Counted is what the functions of `os` return for descriptors that `os.open` gave for the file. Any
other road to its content (`open`, a descriptor wrapped in a file object, `mmap`) passes an audit
hook of the interpreter and is reported as one that was not counted, so that no count is too low.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_RETURN_BYTES = ("read", "pread")
_RETURN_COUNT = ("readv", "preadv", "sendfile", "copy_file_range", "splice")


class Reads:
    """The count.

    Attributes:
        opened: how often the file was opened, in whatever way.
        bytes_read: through counted descriptors.
        uncounted: names of the roads that were taken and are not counted.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self._descriptors: set[int] = set()
        self._counted_opens = 0
        self.opened = 0
        self.bytes_read = 0
        self.uncounted: list[str] = []

    def install(self) -> None:
        """Start counting."""
        for name in (*_RETURN_BYTES, *_RETURN_COUNT):
            if hasattr(os, name):
                setattr(os, name, self._counted(getattr(os, name)))
        os.open = self._counted_open(os.open)
        # typeshed names the parameter, a Callable can not.
        os.close = self._counted_close(os.close)  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def report(self) -> dict[str, object]:
        """Return the count as it stands."""
        roads = [*self.uncounted, *["open"] * (self.opened - self._counted_opens)]
        return {"opened": self.opened, "bytes_read": self.bytes_read, "uncounted": roads}

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self._is_it(arguments[0]):
            self.opened += 1
        elif event == "open" and arguments[0] in self._descriptors:
            self.uncounted.append("open of a descriptor")
        elif event == "mmap.__new__" and arguments[0] in self._descriptors:
            self.uncounted.append("mmap")

    def _is_it(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return os.path.realpath(os.fsdecode(path)) == self._path

    def _counted_open(self, real: Callable[..., int]) -> Callable[..., int]:
        def counted(path: Any, *arguments: Any, **options: Any) -> int:  # noqa: ANN401 - as os.open
            descriptor = real(path, *arguments, **options)
            if self._is_it(path):
                self._descriptors.add(descriptor)
                self._counted_opens += 1
            return descriptor

        return counted

    def _counted_close(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def counted(fd: int) -> None:
            self._descriptors.discard(fd)
            real(fd)

        return counted

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the real one
            result = real(*arguments, **options)
            # The file is the first argument of a read, the first or second of a copy.
            if any(each in self._descriptors for each in arguments[:2] if isinstance(each, int)):
                self.bytes_read += result if isinstance(result, int) else len(result)
            return result

        return counted


def main(path: str, report: str, module: str) -> None:
    """Run `module` as ``python -m`` does, and write the count when it has ended."""
    reads = Reads(path)
    reads.install()
    sys.argv = [module]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        found = {**reads.report(), "pydicom_imported": "pydicom" in sys.modules}
        Path(report).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
