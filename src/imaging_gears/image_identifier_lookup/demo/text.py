"""What the demo says on a terminal: the scenes, the closing table, and a sign of life."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.demo.result import Result, status_lines

_CODES = {"bold": "1", "red": "31", "green": "32"}
_KEYS_OF_SUBJECT = ("naccid", "dicom_metadata")
_PATIENCE = 1.0
"""Seconds after which somebody wants to know whether anything is still going on."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours, where they are wanted: on a terminal, unless NO_COLOR is set (no-color.org)."""

    on: bool

    @classmethod
    def for_stream(cls, stream: TextIO) -> Paint:
        """Return the colours for what is written to `stream`."""
        return cls(
            stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def __call__(self, text: str, name: str) -> str:
        """Return `text` in the colour `name`."""
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if self.on else text

    def verdict(self, text: str, state: str | None) -> str:
        """Return `text` in the colour of a verdict."""
        return self(text, "green" if state == "PASS" else "red")


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Count the seconds on a terminal's last line while something takes more than one."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    counter = threading.Thread(target=_count, args=(what, done), daemon=True)
    counter.start()
    try:
        yield
    finally:
        done.set()
        counter.join()


def _count(what: str, done: threading.Event) -> None:
    start = time.monotonic()
    while not done.wait(_PATIENCE):
        sys.stderr.write(f"\r{what}: {time.monotonic() - start:.0f} s")
        sys.stderr.flush()
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


def scene_text(result: Result, paint: Paint) -> str:
    """Return what came of a scene, a line each."""
    lines = [paint(f"({result.name}) {result.title}", "bold")]
    lines += [f"    {label:<10} {text}" for label, text in _scene_lines(result, paint)]
    lines += [paint(f"    UNEXPECTED {sentence}", "red") for sentence in result.unexpected]
    return "\n".join(lines)


def _scene_lines(result: Result, paint: Paint) -> Iterator[tuple[str, str]]:
    started = "by the gear rule" if result.uploaded else "by hand"
    yield "uploaded", result.uploaded or "nothing, the file is there already"
    yield "to", result.container
    code = "unknown" if result.exit is None else str(result.exit)
    yield "job", f"started {started}, {result.job_state}, exit {code}, {result.seconds:.1f} s"
    yield "verdict", paint.verdict(_verdict(result), result.verdict)
    yield "subject", _subject(result)
    yield from _qc_log(result)
    yield "event", ", ".join(event["key"] for event in result.events) or "none"
    yield "file", f"tag {', '.join(result.tags)}; info {', '.join(sorted(result.file_info))}"
    yield "read", _read(result)
    yield "requests", _requests(result.requests)


def _verdict(result: Result) -> str:
    codes = f" ({', '.join(result.codes)})" if result.codes else ""
    return f"{result.verdict or 'none'}{codes}"


def _subject(result: Result) -> str:
    info = result.subject_info
    if not info:
        return "unchanged, it has no info"
    metadata = info.get("dicom_metadata") or {}
    shown = [f"naccid {info['naccid']}"] if "naccid" in info else []
    shown += (
        [f"dicom_metadata of {metadata['study_date']} {metadata['modality']}"] if metadata else []
    )
    shown += sorted(set(info) - set(_KEYS_OF_SUBJECT))
    return "info " + ", ".join(shown)


def _qc_log(result: Result) -> Iterator[tuple[str, str]]:
    if result.qc_log is None:
        yield "QC log", "none: no visit is known"
        return
    yield "QC log", result.qc_log["name"]
    yield "", status_lines(result.qc_log["text"])[-1]


def _read(result: Result) -> str:
    if result.bytes_read == 0:
        return "nothing, the upload stayed closed"
    if result.bytes_read is None:
        return "the upload was looked through"
    return f"{result.bytes_read} bytes of the upload"


def _requests(requests: Mapping[str, int]) -> str:
    return ", ".join(f"{service} {number}" for service, number in requests.items())


def closing_table(results: Sequence[Result], paint: Paint) -> str:
    """Return one line per scene, and whether all turned out as expected."""
    rows = [("", "verdict", "QC log", "event", "requests", "seconds", "as expected")]
    rows += [
        (
            f"({result.name})",
            result.verdict or "none",
            result.qc_log["name"] if result.qc_log else "none",
            str(len(result.events)),
            str(sum(result.requests.values())),
            f"{result.seconds:.1f}",
            "no" if result.unexpected else "yes",
        )
        for result in results
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    bad = sum(bool(result.unexpected) for result in results)
    verdict = f"{bad} of {len(results)} scenes turned out otherwise than {GEAR} promises."
    good = f"All {len(results)} scenes turned out as {GEAR} promises."
    return "\n".join([*lines, "", paint(verdict, "red") if bad else paint(good, "green")])
