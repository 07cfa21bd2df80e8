"""Which ways through the reader an input takes, so that mutation goes on from what went a new way.

An arc is a step from one line to the next within a function of `imaging_gears.dicom`. atheris would
count them faster, but has wheels for one platform only, and no release of it for all of our
versions of Python; this needs the standard library.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import imaging_gears.dicom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    Arc = tuple[CodeType, int, int]
    Tracer = Callable[[FrameType, str, object], "Tracer | None"]

_FOLDER = str(Path(imaging_gears.dicom.__file__).parent)
_SMALLEST_CUT = 4


@contextmanager
def arcs() -> Iterator[set[Arc]]:
    """Give a set that holds, in the end, the arcs of what ran within."""
    found: set[Arc] = set()

    def enter(frame: FrameType, _event: str, _value: object) -> Tracer | None:
        code = frame.f_code
        return steps(code) if code.co_filename.startswith(_FOLDER) else None

    def steps(code: CodeType) -> Tracer:
        last = 0

        def step(frame: FrameType, event: str, _value: object) -> Tracer:
            nonlocal last
            here = -1 if event == "return" else frame.f_lineno
            found.add((code, last, here))
            last = here
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield found
    finally:
        sys.settrace(before)


def minimised(data: bytes, goes_the_way: Callable[[bytes], bool]) -> bytes:
    """Return `data` without what can be left out, in pieces of half of it down to a few bytes.

    Args:
        data: what goes the way.
        goes_the_way: says whether something shorter still does.
    """
    size = len(data) // 2
    while size >= _SMALLEST_CUT:
        start = 0
        while start < len(data):
            shorter = data[:start] + data[start + size :]
            if goes_the_way(shorter):
                data = shorter
            else:
                start += size
        size //= 2
    return data
