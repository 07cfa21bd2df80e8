"""What reading may cost: one currency, spent by everything that reads.

A unit is about the work of one byte. Counting work, and not seconds, makes the outcome for a file
the same on every machine; the limits are set so that the worst that fits takes a few CPU seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imaging_gears.errors import ArchiveError, HeaderError

if TYPE_CHECKING:
    from imaging_gears.errors import InputFileError

MIB: Final = 1024 * 1024

HEADER_LIMIT: Final = 32 * MIB
"""Units for one header. Those of real images, private groups and icons included, take < 4 MiB."""

UPLOAD_LIMIT: Final = 256 * MIB
"""Units for all members of one upload together, so that many bad members cost no more than one."""

WHOLE_LIMIT: Final = 128 * 1024 * MIB
"""Units for all members of one upload where every one is read to its end, pixels included."""

TOO_LARGE: Final = "The upload holds more data, or more elements, than is read within bounds."

ELEMENT_COST: Final = 128
"""Units for one element or item, whose cost is that of the interpreter and not of its few bytes."""

MAX_DEPTH: Final = 64
"""Nesting of sequences. The IODs of PS3.3 need less than ten."""

MAX_VALUE_LENGTH: Final = 1024
"""Bytes of a value that is converted. The longest legal LO is 64 characters, PN 3 groups of 64."""


class Budget:
    """How much more may be read.

    Args:
        limit: units that may be spent.
        error: raised, with `message`, by whoever spends more.
        message: one sentence.
        parent: a larger budget out of which the same units are taken.
    """

    def __init__(
        self, limit: int, error: type[InputFileError], message: str, parent: Budget | None = None
    ) -> None:
        self.left = limit
        self._error = error
        self._message = message
        self._parent = parent

    @property
    def exhausted(self) -> bool:
        """True once more was asked for than there was."""
        return self.left < 0

    def spend(self, units: int) -> None:
        """Take `units` out of this budget and of its parents.

        Raises:
            InputFileError: the error of the first budget that does not hold so much.
        """
        self.left -= units
        if self.left < 0:
            raise self._error(self._message)
        if self._parent is not None:
            self._parent.spend(units)


def header_budget(parent: Budget | None = None) -> Budget:
    """Return the budget for reading one header."""
    return Budget(
        HEADER_LIMIT,
        HeaderError,
        "The DICOM header does not end within 32 MiB, or has too many elements.",
        parent,
    )


def upload_budget() -> Budget:
    """Return the budget for reading one upload, all its members together."""
    return Budget(
        UPLOAD_LIMIT,
        ArchiveError,
        "The archive has no readable image among what can be read of it within bounds.",
    )


def whole_budget() -> Budget:
    """Return the budget for reading all members of one upload to their ends."""
    return Budget(WHOLE_LIMIT, ArchiveError, TOO_LARGE)
