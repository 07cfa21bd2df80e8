"""What came of a scene of the demo, and whether it is what had to come. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from imaging_gears.gear.qc import tag
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.demo.scenes import Expected

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a scene, as the site shows it afterwards.

    Attributes:
        exit: exit code of the gear; None where the platform does not tell it.
        qc_log: name, text and info of the project's file that got a line, None where none did.
        events: key and body of each new one.
        requests: of the gear, per service.
        seconds: from the upload (or the start by hand) to the end of the job.
        bytes_read: of the upload, as the job's log says; None where it does not.
        unexpected: what did not turn out as it had to, a sentence each.
    """

    name: str
    title: str
    uploaded: str | None
    container: str
    job_state: str
    exit: int | None
    verdict: str | None
    codes: list[str]
    qc_log: Json | None
    events: list[Json]
    subject_info: Json
    file_info: Json
    tags: list[str]
    requests: Mapping[str, int]
    seconds: float
    bytes_read: int | None
    unexpected: list[str] = field(default_factory=list)


def unexpected(expected: Expected, result: Result) -> list[str]:
    """Return what did not turn out as expected, a sentence each."""
    return [
        f"{what}: expected {wanted!r}, found {found!r}"
        for what, wanted, found in _compared(expected, result)
        if wanted != found
    ]


def _compared(expected: Expected, result: Result) -> Iterator[tuple[str, object, object]]:
    yield "job", ("complete", 0), (result.job_state, result.exit)
    yield "verdict", expected.verdict, result.verdict
    yield "codes", expected.codes, tuple(result.codes)
    yield "NACCID of the subject", expected.naccid, result.subject_info.get("naccid")
    yield "QC log", expected.log, result.qc_log and result.qc_log["name"]
    if result.qc_log:
        yield "lines in the QC log", expected.lines, len(status_lines(result.qc_log["text"]))
    yield "new events", expected.events, len(result.events)
    for event in result.events:
        yield "status of the event", expected.verdict, event["body"].get("status")
        yield "NACCID of the event", expected.naccid, event["body"].get("naccid")
    yield "tags", [tag(GEAR, expected.verdict)], result.tags
    yield "whether the upload was opened", expected.opened, result.bytes_read != 0


def status_lines(text: str) -> list[str]:
    """Return the lines of a QC log that this gear's runs left, without those of their errors."""
    return [line for line in text.splitlines() if f"QC Status: {GEAR.upper()} - " in line]
