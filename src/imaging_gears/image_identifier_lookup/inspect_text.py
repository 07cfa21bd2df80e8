"""What `inspect` says to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_PASSED_OVER_SHOWN = 10


def inspection_text(seen: Mapping[str, Any]) -> str:
    """Return what the gear sees in a file, a line each."""
    lines = [f"  {label:<15} {printable(text)}".rstrip() for label, text in _lines(seen)]
    return "\n".join([printable(seen["file"]), *lines])


def printable(text: str) -> str:
    """Return `text` with escapes for what a terminal would obey: names come from anybody."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _lines(seen: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    read = any(seen["dicom_metadata"].values())
    yield "DICOM", (seen["member"] or "the file itself") if read else "none"
    yield from _passed_over(seen)
    yield "transfer syntax", seen["transfer_syntax_uid"] or "not stated"
    for key, value in seen["dicom_metadata"].items():
        yield ("dicom_metadata" if key == "patient_id" else ""), f"{key:<23} {value or '-'}"
    yield "PTID", _ptid(seen)
    yield "QC log", seen["qc_log"] or "none: no visit is known"
    yield "event key", seen["event_key"] or "none: no visit is known"
    for warning in seen["warnings"]:
        yield "warning", f"{warning['code']}: {warning['message']}"
    yield "bytes read", str(seen["bytes_read"])


def _passed_over(seen: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    skipped, total = seen["skipped"][:_PASSED_OVER_SHOWN], seen["passed_over"]
    if not total:
        yield "passed over", "nothing"
    for number, each in enumerate(skipped):
        yield ("" if number else "passed over"), f"{each['name']}: {each['reason']}"
    if total > len(skipped):
        yield "", f"and {total - len(skipped)} more"


def _ptid(seen: Mapping[str, Any]) -> str:
    where = "on a site, the subject's label comes first"
    if seen["ptid"] is None:
        return f"none in PatientID (0010,0020); {where}"
    return f"{seen['ptid']}, from PatientID (0010,0020); {where}"
