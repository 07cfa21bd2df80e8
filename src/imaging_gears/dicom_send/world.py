"""What a run works with: files, the images in them, and what it needs of the world."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from imaging_gears.errors import ImagingError
from imaging_gears.ports import DicomServer, Sendable, StoredFile


class Image(Sendable, Protocol):
    """A DICOM instance of a file, examined to its end."""

    @property
    def name(self) -> str | None:
        """Return its member's name; None where the file itself is the instance."""

    @property
    def marked(self) -> bool:
        """Return whether it carried the tag with this value already."""


class Unsendable(Protocol):
    """A DICOM in a file that can't be sent, or must not be."""

    @property
    def number(self) -> int:
        """Return its index in the file."""

    @property
    def name(self) -> str | None:
        """Return its member's name."""

    @property
    def reason(self) -> str:
        """Return why, as one phrase."""

    @property
    def sop_instance_uid(self) -> str | None:
        """Return its SOP instance UID where it is known."""

    @property
    def error(self) -> ImagingError | None:
        """Return what is wrong with the archive that it is in; None where the fault is its own."""


class Contents(Protocol):
    """What is in a file."""

    @property
    def instances(self) -> Sequence[Image]:
        """Return what can be sent."""

    @property
    def refused(self) -> Sequence[Unsendable]:
        """Return what can't."""

    @property
    def ignored(self) -> int:
        """Return how many members are no DICOM, and have content."""

    @property
    def empty(self) -> int:
        """Return how many more are empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a run needs of the world.

    Attributes:
        server: where the images go.
        examine: opens a file; each instance has the tag in it then. It tells its own progress.
        convert: gives an uncompressed instance in another uncompressed transfer syntax.
        progress: is called whenever something has gone forward.
        pause: waits for some seconds.
    """

    server: DicomServer
    examine: Callable[[Path], AbstractContextManager[Contents]]
    convert: Callable[[Image, str], Image]
    progress: Callable[[], None]
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send: what it is called, and how to have it here."""

    name: str = field(repr=False)
    stored: StoredFile | None
    fetch: Callable[[], Path]


@dataclass(slots=True)
class Counted:
    """An image on its way: it tells that something goes on."""

    image: Image
    progress: Callable[[], None]

    @property
    def number(self) -> int:
        """Return its index in the file."""
        return self.image.number

    @property
    def sop_class_uid(self) -> str:
        """Return what it is an instance of."""
        return self.image.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """Return which instance it is."""
        return self.image.sop_instance_uid

    @property
    def transfer_syntax_uid(self) -> str:
        """Return how its data set is encoded."""
        return self.image.transfer_syntax_uid

    @property
    def length(self) -> int:
        """Return the length of its data set in bytes."""
        return self.image.length

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Return the data set in pieces."""
        for chunk in self.image.chunks():
            yield chunk
            self.progress()
