"""The text of a QC log: one line a run, one line of JSON per error below it. Pure.

Contract outputs.md, 4.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from imaging_gears.image_identifier_lookup import GEAR

_LINE = re.compile(
    r"[-0-9]{10} [:0-9]{8} QC Status: "
    + re.escape(GEAR.upper())
    + r" - (?P<state>PASS|FAIL)  .* (?P<file_id>\S+)#(?P<version>\d+)(?: run (?P<run>\d+))?"
)


def merge_texts(texts: Sequence[str]) -> str:
    """Return the lines of all `texts`, in their order, each as often as the text that has it most.

    A line of this gear stands for one run of one file version: it stays once, with the error lines
    of the fuller one where two texts differ in them.
    """
    merged: list[str] = []
    for text in texts:
        seen: Counter[str] = Counter()
        for block in _blocks(text):
            if _run_of(block) is not None:
                _merge_run(merged, block)
                continue
            seen[block] += 1
            if seen[block] > merged.count(block):
                merged.append(block)
    return "".join(merged)


def _merge_run(merged: list[str], block: str) -> None:
    """Add a line of this gear; of two that tell of the same run, the one with fewer errors goes."""
    run, codes = _run_of(block), _codes(block)
    same = [index for index, other in enumerate(merged) if _run_of(other) == run]
    if any(codes <= _codes(merged[index]) for index in same):
        return
    narrower = [index for index in same if _codes(merged[index]) < codes]
    if not narrower:
        merged.append(block)
        return
    merged[narrower[0]] = block
    for index in reversed(narrower[1:]):
        del merged[index]


def _blocks(text: str) -> list[str]:
    """Return the lines of `text`, each with the lines of JSON below it."""
    blocks: list[str] = []
    for line in text.removesuffix("\n").split("\n") if text else ():
        if line.startswith("{") and blocks:
            blocks[-1] += f"{line}\n"
        else:
            blocks.append(f"{line}\n")
    return blocks


def _run_of(block: str) -> tuple[str | None, ...] | None:
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
