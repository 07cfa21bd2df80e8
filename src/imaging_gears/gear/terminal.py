"""What a command says to the person who typed it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DISTRIBUTION = "imaging-gears"


class CannotRunError(Exception):
    """A command can't do what it was asked; the message is one sentence."""


def say(text: str) -> None:
    """Say what comes of a command, at once: on standard output."""
    print(text, flush=True)  # noqa: T201 - this is the command's output


def complain(sentence: str) -> int:
    """Say why a command could not do what it was asked, on standard error; return exit code 1."""
    print(sentence, file=sys.stderr)  # noqa: T201 - as above
    return 1


@contextmanager
def needing_the_sandbox() -> Iterator[None]:
    """Import the local site in the block, which the gear's image does not contain.

    Raises:
        CannotRunError: the package, or something that it needs, is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = (
            "This needs the local site, which is not installed:"
            f" pip install '{DISTRIBUTION}[sandbox]'."
        )
        raise CannotRunError(message) from error
