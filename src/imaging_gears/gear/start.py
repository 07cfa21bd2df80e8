"""How a gear is started: log, watchdog, job, and the exit code of what can't even begin."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imaging_gears.adapters.waiting import waited_for
from imaging_gears.errors import ImagingError, ServiceError, UnexpectedError
from imaging_gears.gear import joblog
from imaging_gears.gear.context import gear_folder, read_job
from imaging_gears.gear.job import Job
from imaging_gears.gear.joblog import log

CANCELLED = 128 + signal.SIGTERM
"""The exit code of a job that the platform has cancelled, as a shell gives it."""


class JobCancelledError(BaseException):
    """The platform ends the job. No `Exception`: nothing but the end of the run may catch it."""


def end_on_sigterm() -> None:
    """Let SIGTERM raise `JobCancelledError` in the main thread, once.

    The next one does nothing: what the first has begun to close and to write is to be finished
    before the platform's patience is over and it kills the process.
    """

    def cancel(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise JobCancelledError

    signal.signal(signal.SIGTERM, cancel)


class Watchdog:
    """Ends the process when nothing has gone forward for some time: the job can be run again then.

    Args:
        seconds: its patience, from the start or from the last `progress`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.progress()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()

    def progress(self) -> None:
        """Say that something has gone forward."""
        self._deadline = time.monotonic() + self._seconds

    def _watch(self) -> None:
        while (left := self._deadline - time.monotonic()) > 0:
            time.sleep(left)
        log.critical(
            "service-unavailable: %s did not come to an end, so the job was ended after %g s. %s",
            waited_for() or "The gear itself",
            self._seconds,
            ServiceError.remedy,
        )
        sys.stdout.flush()
        os._exit(1)


def started(
    run: Callable[[Job], int],
    watchdog: Watchdog,
    *,
    gear: str | None = None,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> int:
    """Run a gear on the job of its folder; return the exit code.

    Args:
        run: does the job and returns the exit code.
        watchdog: is started here.
        gear: its name, where its manifest may be another than the folder's.
        required: names of the file inputs that the gear can't do without.
        optional: names of its other file inputs.
    """
    joblog.configure(debug=False)
    watchdog.start()
    try:
        job = read_job(gear_folder(), gear=gear, required=required, optional=optional)
    except ImagingError as error:
        log.error("%s: %s", error.code, error.sentence())
        return 1
    return run(job)


def requests_remark(requests: Mapping[str, int] | Counter[str]) -> str:
    """Return how many requests a run has made of each service, for its last line."""
    counts = ", ".join(f"{service} {count}" for service, count in sorted(requests.items()))
    return f"requests: {counts or 'none'}"


def unexpected(error: Exception) -> UnexpectedError:
    """Return what an error says that nobody foresaw: its kind and place, never its text."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    return UnexpectedError(f"The gear met an unexpected {type(error).__name__} in {where}.")


def now() -> dt.datetime:
    """Return the time, with its zone."""
    return dt.datetime.now(dt.UTC)
