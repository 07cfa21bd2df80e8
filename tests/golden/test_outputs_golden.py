"""What a FAIL and the PASS after it leave, byte for byte as written by hand from the contract.

The gear's own notes, whose content is its own business, are left out; of file.info they show the
event's note, which the contract names.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imaging_gears.errors import IdentifierNotFoundError
from imaging_gears.image_identifier_lookup import GEAR
from tests.unit.lookup.harness import LOG, NACCID, Center

GOLDEN = Path(__file__).parent
REVIEWED = {"form-checker": {"validation": {"state": "IN REVIEW", "data": [], "cleared": []}}}


def golden(name: str) -> bytes:
    """Return a file of this folder."""
    return (GOLDEN / name).read_bytes()


def lines(value: object) -> bytes:
    """Return JSON as the golden files have it, keys in their order."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def contractual(info: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the keys of an info that the contract describes, in its order."""
    return {key: info[key] for key in keys}


@pytest.fixture
def failed() -> tuple[Center, str]:
    """A center after a run on a participant that the registry does not know."""
    center = Center()
    file_id = center.upload(center.subject(), "T1.dicom.zip", qc=REVIEWED)
    error = IdentifierNotFoundError("Nobody is known.", location="subject.label")
    center.registry.on.add("naccid_for", error)
    center.run(file_id)
    return center, file_id


@pytest.fixture
def passed(failed: tuple[Center, str]) -> tuple[Center, str]:
    """The same a minute later, after the participant was enrolled."""
    center, file_id = failed
    center.run(file_id)
    return center, file_id


def test_text_of_the_qc_log(passed: tuple[Center, str]) -> None:
    """Two runs, and below the first its error as one line of JSON."""
    center, _ = passed
    assert center.log_text().encode() == golden("qc_log_text.txt")


def test_info_of_the_qc_log_after_the_fail(failed: tuple[Center, str]) -> None:
    """State FAIL, the error object with all its keys, the six keys of the visit."""
    info = failed[0].log_file().info
    assert lines(contractual(info, "visit", "qc")) == golden("qc_log_info_fail.json")


def test_info_of_the_qc_log_after_the_pass(passed: tuple[Center, str]) -> None:
    """State PASS, no errors, and the NACCID."""
    info = passed[0].log_file(LOG).info
    assert lines(contractual(info, "visit", "qc")) == golden("qc_log_info_pass.json")
    assert set(info) == {"visit", "qc", GEAR}


def test_events(passed: tuple[Center, str]) -> None:
    """One for each outcome; the PASS with its key and its NACCID."""
    center, _ = passed
    (_, fail), (key, full) = center.events.stored.items()
    assert fail == golden("event_fail.json")
    assert f"{key}\n".encode() == golden("event_key.txt")
    assert full == golden("event_full.json")


def test_strict_event() -> None:
    """It stops before naccid."""
    center = Center()
    file_id = center.upload(center.subject(naccid=NACCID), "T1.dicom.zip")
    center.moment += dt.timedelta(minutes=1)
    center.run(file_id, event_fields="strict")
    ((key, body),) = center.events.stored.items()
    assert f"{key}\n".encode() == golden("event_key.txt")
    assert body == golden("event_strict.json")


def test_record_on_the_file(passed: tuple[Center, str]) -> None:
    """Another gear's qc entry, both time stamps, identification, metadata, the event's note."""
    center, file_id = passed
    info = center.file(file_id).info
    shown = contractual(
        info,
        "qc",
        "validated_timestamp",
        "validated-timestamp",
        "data_identification",
        "dicom_metadata",
    )
    shown["event"] = info[GEAR]["event"]
    assert lines(shown) == golden("file_record.json")
    assert set(info) == {*shown, GEAR} - {"event"}
    assert center.file(file_id).tags == ("image-identifier-lookup-PASS",)
