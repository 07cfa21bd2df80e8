"""What a DICOM server's codes mean: statuses, refused contexts, rejections, aborts. Pure."""

from __future__ import annotations

from typing import Final, Literal

from imaging_gears.errors import (
    AssociationRejectedError,
    CalledAeTitleError,
    CallingAeTitleError,
    DicomServerError,
    ImagingError,
    OutOfResourcesError,
)
from imaging_gears.ports import Outcome

Category = Outcome | Literal["retry"]

SUCCESS: Final = 0x0000
PENDING: Final = frozenset({0xFF00, 0xFF01})  # PS3.4 C.4.1.1.4
DUPLICATE_SOP_INSTANCE: Final = 0x0111
_MAX_COMMENT: Final = 64  # VR LO, PS3.7 E.2

# PS3.7 annex C, those of a class of its own in PS3.4 table B.2-1.
_MEANINGS: Final = {
    0x0001: "requested optional attributes are not supported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
    0xFE00: "cancelled",
}
# PS3.4 table B.2-1: these stand for ranges.
_RANGES: Final = (
    (0xA700, 0xA7FF, "out of resources"),
    (0xA800, 0xA8FF, "SOP class not supported"),
    (0xA900, 0xA9FF, "data set does not match SOP class"),
    (0xB000, 0xBFFF, "warning"),
    (0xC000, 0xCFFF, "cannot understand"),
)
_WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116})  # PS3.7 C.4.2, C.4.3

_CONTEXT_RESULTS: Final = {
    1: "user rejection",
    2: "no reason (provider rejection)",
    3: "abstract syntax not supported",
    4: "transfer syntaxes not supported",
}
_REJECTIONS: Final = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
_REJECTION_KINDS: Final[dict[tuple[int, int], type[ImagingError]]] = {
    (1, 3): CallingAeTitleError,
    (1, 7): CalledAeTitleError,
    (3, 1): OutOfResourcesError,
    (3, 2): OutOfResourcesError,
}
_ABORT_REASONS: Final = {
    0: "reason not specified",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def category(status: int) -> Category:
    """Return what follows from the status of a C-STORE response (PS3.4 B.2.3, PS3.7 annex C)."""
    if status == SUCCESS:
        return "sent"
    if status in _WARNINGS or status >> 12 == 0xB:  # noqa: PLR2004 - Bxxx, as the standard has it
        return "warning"
    return "retry" if status >> 8 == 0xA7 else "failed"  # noqa: PLR2004 - A7xx


def status_text(status: int, comment: str = "") -> str:
    """Return a status as a phrase, with the server's Error Comment where it gave one."""
    meaning = _MEANINGS.get(status) or next(
        (text for low, high, text in _RANGES if low <= status <= high), "unknown status"
    )
    said = f': "{comment}"' if comment else ""
    return f"status 0x{status:04X}, {meaning}{said}"


def clean_comment(value: bytes) -> str:
    """Return an Error Comment (0000,0902) as printable ASCII in one line, 64 characters at most."""
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else " " for byte in value)  # noqa: PLR2004
    return " ".join(text.split())[:_MAX_COMMENT].rstrip()


def context_refusal(result: int | None) -> str:
    """Return why a presentation context was not accepted (PS3.8 table 9-18)."""
    if result is None:
        return "the server did not answer this presentation context"
    return f"the server refused it: {_CONTEXT_RESULTS.get(result, f'result {result}')}"


def is_permanent(result: int) -> bool:
    """Return whether a rejection is for good (PS3.8 table 9-21)."""
    return result == 1


def rejection_text(result: int, source: int, reason: int) -> str:
    """Return why an association was rejected (PS3.8 table 9-21)."""
    how = "permanently" if is_permanent(result) else "for the moment"
    why = _REJECTIONS.get((source, reason), f"source {source}, reason {reason}")
    return f"the server rejected the association {how}: {why}"


def rejection_kind(result: int, source: int, reason: int) -> type[ImagingError]:
    """Return what a rejection is as an error (PS3.8 table 9-21)."""
    other = AssociationRejectedError if is_permanent(result) else DicomServerError
    return _REJECTION_KINDS.get((source, reason), other)


def abort_text(source: int, reason: int) -> str:
    """Return who ended an association and why (PS3.8 table 9-26)."""
    if source == 2:  # noqa: PLR2004 - the service provider; only its reasons mean something
        return f"aborted by the server's provider: {_ABORT_REASONS.get(reason, f'reason {reason}')}"
    return "aborted by the server"
