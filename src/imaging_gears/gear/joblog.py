"""The job log: one line a step, with its duration; nothing in it that names a patient or a key.

Only this project's loggers are passed on as they are. Of all others (SDKs, warnings) a
line says who spoke and how loudly, never what: their texts repeat values, keys and S3 names.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from imaging_gears.errors import ImagingError

log = logging.getLogger("imaging_gears.job")


class _OursOnly(logging.Filter):
    """Replaces the text of every record that is not this project's."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] == "imaging_gears":
            return True
        if record.levelno < logging.WARNING:
            return False
        record.msg, record.args = f"{record.name} reported a {record.levelname.lower()}", ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def configure(*, debug: bool) -> None:
    """Send this project's log to standard output, and everything else nowhere but as a remark."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(_OursOnly())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("imaging_gears").setLevel(logging.DEBUG if debug else logging.INFO)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False
    sys.excepthook = _crash
    threading.excepthook = _thread_crash


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say where the program failed without the error's text, which may hold a patient's values."""
    del error
    frames = traceback.extract_tb(trace)
    where = f"{frames[-1].name}, line {frames[-1].lineno}" if frames else "start"
    log.critical("unexpected %s in %s; please report it with this line", kind.__name__, where)


def _thread_crash(args: threading.ExceptHookArgs) -> None:
    if not issubclass(args.exc_type, SystemExit):  # which ends a thread in silence
        _crash(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)


@contextmanager
def step(name: str) -> Iterator[list[str]]:
    """Log `name`, what the caller appends to the yielded list, and how long it took."""
    remarks: list[str] = []
    start = time.perf_counter()
    try:
        yield remarks
    except Exception as error:
        what = error.code if isinstance(error, ImagingError) else type(error).__name__
        log.info("%s: %s (%.2f s)", name, what, time.perf_counter() - start)
        raise
    log.info("%s (%.2f s)", ": ".join([name, *remarks]), time.perf_counter() - start)
