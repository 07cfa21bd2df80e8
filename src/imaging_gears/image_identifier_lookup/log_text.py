"""The text of a QC log: one line a run, one line of JSON per error below it. Pure.

Contract outputs.md, 4.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imaging_gears.image_identifier_lookup import GEAR

_Run = tuple[str | None, ...]
_LINE = re.compile(
    r"[-0-9]{10} [:0-9]{8} QC Status: "
    + re.escape(GEAR.upper())
    + r" - (?P<state>PASS|FAIL)  .* (?P<file_id>\S+)#(?P<version>\d+)(?: run (?P<run>\d+))?"
)


def merge_texts(texts: Sequence[str]) -> str:
    """Return the lines of all `texts`, in their order, each as often as the text that has it most.

    A line of this gear stands for one run of one file version: it stays once, with the error lines
    of the fuller one where two texts differ in them. JSON that a text begins with belongs to no
    line, and comes first: behind a line it would be taken for that line's.
    """
    merged = _Merged()
    for text in texts:
        seen: Counter[str] = Counter()
        for block in _blocks(text):
            run = _run_of(block)
            seen[block] += 1
            if run is not None:
                merged.add_run(run, block)
            elif seen[block] > merged.counts[block]:
                merged.add(block)
    return merged.text()


@dataclass(slots=True)
class _Merged:
    """Lines in their order, and where those of a run are."""

    counts: Counter[str] = field(default_factory=Counter)
    _first: list[str] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _runs: dict[_Run, dict[int, frozenset[str]]] = field(default_factory=dict)

    def add(self, block: str) -> None:
        """Add a line that is not this gear's."""
        self.counts[block] += 1
        (self._first if block.startswith("{") else self._lines).append(block)

    def add_run(self, run: _Run, block: str) -> None:
        """Add a line of this gear; of two of the same run, the one with fewer errors goes."""
        codes, same = _codes(block), self._runs.setdefault(run, {})
        if any(codes <= known for known in same.values()):
            return
        narrower = [at for at, known in same.items() if known < codes]
        at = narrower[0] if narrower else len(self._lines)
        self._lines[at : at + 1] = [block]
        same[at] = codes
        for gone in narrower[1:]:
            self._lines[gone] = ""
            del same[gone]

    def text(self) -> str:
        """Return all of them."""
        return "".join((*self._first, *self._lines))


def _blocks(text: str) -> list[str]:
    """Return the lines of `text`, each with the lines of JSON below it."""
    blocks: list[str] = []
    for line in text.removesuffix("\n").split("\n") if text else ():
        if line.startswith("{") and blocks and not blocks[-1].startswith("{"):
            blocks[-1] += f"{line}\n"
        else:
            blocks.append(f"{line}\n")
    return blocks


def _run_of(block: str) -> _Run | None:
    match = _LINE.fullmatch(block.partition("\n")[0])
    return match.group("file_id", "version", "run", "state") if match else None


def _codes(block: str) -> frozenset[str]:
    codes = set()
    for line in block.removesuffix("\n").split("\n")[1:]:
        try:
            error = json.loads(line)
            codes.add(str(error.get("code") if isinstance(error, Mapping) else None))
        except ValueError:
            codes.add(line)
    return frozenset(codes)
