"""Files of a site one after the other, the next one fetched while the last is in use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from imaging_gears.errors import ImagingError, ServiceError
from imaging_gears.gear.start import unexpected
from imaging_gears.ports import DicomFiles, StoredFile

LOOK_SECONDS = 1.0
"""Between two looks at how far a download is."""


@dataclass(slots=True)
class Download:
    """A file on its way; a thread of its own fetches it.

    The thread is a daemon: where the run ends early, it does not wait for a file it does not need.
    """

    site: DicomFiles
    file: StoredFile
    path: Path
    seconds: float
    _error: ImagingError | None = field(init=False, default=None)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._fetch, daemon=True, name="download")
        self._thread.start()

    def _fetch(self) -> None:
        try:
            self.site.download(self.file, self.path, seconds=self.seconds)
        except ImagingError as error:
            self._error = error
        except OSError as error:
            problem = (error.strerror or type(error).__name__).lower()
            self._error = ServiceError("The gear's disk", problem, while_="keeping a download")
        except Exception as error:  # noqa: BLE001 - it must reach the thread that waits for it
            self._error = unexpected(error)

    def join(self, progress: Callable[[], None]) -> None:
        """Wait until it has come to its end, whatever that is; say when there is more of it."""
        before = 0
        while self._thread.is_alive():
            self._thread.join(LOOK_SECONDS)
            size = self._size()
            if size is not None and size != before:
                before = size
                progress()

    def _size(self) -> int | None:
        """Return how many bytes are there, under whatever name they are kept meanwhile.

        None while that name changes.
        """
        with suppress(OSError):
            return sum(each.stat().st_size for each in self.path.parent.glob(f"{self.path.name}*"))
        return None

    def result(self) -> Path:
        """Return the path when the file is there.

        Raises:
            ImagingError: it could not be had.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.path


def downloads(
    site: DicomFiles,
    files: Sequence[StoredFile],
    folder: Path,
    *,
    seconds: float,
    progress: Callable[[], None],
) -> Iterator[Download]:
    """Fetch files in their order, one ahead; at most two of them are on disk at any time.

    Each is deleted when the next one is asked for.

    Args:
        site: where they are.
        files: which.
        folder: where to keep them.
        seconds: how long each of them is tried.
        progress: is called while a file that is waited for grows.
    """

    def begin(number: int) -> Download | None:
        if number >= len(files):
            return None
        # Names of files may be long, or no names here.
        return Download(site, files[number], folder / f"{number}.file", seconds)

    current = begin(0)
    number = 0
    while current is not None:
        number += 1
        current.join(progress)
        upcoming = begin(number)
        try:
            yield current
        finally:
            current.path.unlink(missing_ok=True)
        current = upcoming
