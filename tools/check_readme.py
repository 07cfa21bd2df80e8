"""Check that the commands a page tells people to type exist.

In every shell block of the page, ``make TARGET`` must be a documented target of the Makefile, and
``image-identifier-lookup COMMAND --option`` a command with that option. (What the commands print is
checked by the tests.)

Usage: ``python -m tools.check_readme PAGE...``
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAM = "image-identifier-lookup"
_BLOCK = re.compile(r"^```(console|sh|bash|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"^([a-z-]+):.*## ", re.MULTILINE)


def commands(markdown: str) -> Iterator[list[str]]:
    """Yield the words of each command in the page's shell blocks.

    In a ``console`` block the commands follow a ``$`` and the rest is output; elsewhere every line
    is a command. Comments are dropped, lines that end in a backslash continue.
    """
    for kind, body in _BLOCK.findall(markdown):
        for line in body.replace("\\\n", " ").splitlines():
            if kind == "console" and not line.startswith("$ "):
                continue
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                yield words


def fault(words: Sequence[str], targets: frozenset[str]) -> str | None:
    """Return what is wrong with the command, or None; `targets` are those of the Makefile."""
    if words[0] == "make":
        unknown = [word for word in words[1:] if "=" not in word and word not in targets]
        return f"the Makefile documents no target {unknown[0]}" if unknown else None
    if Path(words[0]).name == PROGRAM:
        return _fault_of_program(words[1:])
    return None


def _fault_of_program(arguments: Sequence[str]) -> str | None:
    command = [word for word in arguments[:1] if not word.startswith("-")]
    program = str(Path(sys.executable).with_name(PROGRAM))
    answer = subprocess.run(  # noqa: S603 - our own program, with words of our own page
        [program, *command, "--help"], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        return f"{PROGRAM} knows no command {' '.join(command)}"
    options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    unknown = [option for option in options if option not in answer.stdout]
    return f"{PROGRAM} {' '.join(command)} has no option {unknown[0]}" if unknown else None


def main(pages: Sequence[str]) -> int:
    """Print every fault of every page; return 1 if there is one, or nothing to check."""
    targets = frozenset(_TARGET.findall(Path("Makefile").read_text(encoding="utf-8")))
    found = [(page, words) for page in pages for words in commands(Path(page).read_text("utf-8"))]
    faults = [
        f"{page}: {' '.join(words)}: {reason}"
        for page, words in found
        if (reason := fault(words, targets)) is not None
    ]
    checked = sum(words[0] == "make" or Path(words[0]).name == PROGRAM for _, words in found)
    if not checked:
        faults.append(f"{', '.join(pages)}: no command of this project in any shell block")
    print("\n".join(faults) if faults else f"Commands in {', '.join(pages)}: {checked} exist.")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
