"""Runs of the gear in which one call fails, and what they leave behind."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaging_gears.sandbox import Fault
from tests.gear.fault_cells import (
    EVENT,
    LOG,
    PATIENCE,
    RECORD,
    SUBJECT,
    TRIES,
    Call,
    Cell,
    End,
    Failure,
)
from tests.gear.gear_helpers import (
    GEAR,
    NACCID,
    QUICK,
    Center,
    Ended,
    image,
    read_config,
    write_config,
    zipped,
)
from tests.gear.gear_helpers import LOG as LOG_NAME
from tests.waiting import until

OTHER_LINE = "2024-01-15 09:00:00 QC Status: OTHER-GEAR - PASS\n"
STALE = f"{GEAR}-IN REVIEW"
_ADAPTERS = "imaging_gears.adapters"
_BACKOFF = "botocore.retries.standard.ExponentialBackoff._DEFAULT_BACKOFF_CONFIG"
_UNSEEN = "imaging_gears.image_identifier_lookup.reporting.UNSEEN_SECONDS"
NO_PAUSES: Mapping[str, object] = {
    **QUICK,
    f"{_ADAPTERS}.tries.RETRY_AFTER_SECONDS": 0.0,
    _BACKOFF: {"throttling_base_scale": 0, "non_throttling_base_scale": 0},
    _UNSEEN: 60.0,
}
"""Every pause between tries is left out, the SDKs' own included, and no write counts as slow."""
JOB_SECONDS = 1.5
"""The watchdog's patience in `run_until_watchdog`."""
READ_SECONDS = {
    "flywheel": f"{_ADAPTERS}.flywheel.READ_SECONDS",
    "ssm": f"{_ADAPTERS}.ssm.READ_SECONDS",
    "s3": f"{_ADAPTERS}.s3.READ_SECONDS",
    "lambda": f"{_ADAPTERS}.identifiers.READ_SECONDS",
    "identifiers": f"{_ADAPTERS}.identifiers.READ_SECONDS",
}
SERVICES = {
    "flywheel": "Flywheel",
    "ssm": "AWS SSM",
    "s3": "AWS S3",
    "lambda": "identifier API",
    "identifiers": "identifier API",
}
"""Service of the local site -> its name in what a run says."""
_NOT_FOUND: Mapping[str, Mapping[str, Any]] = {
    "ssm": {"body": '{"__type": "ResourceNotFoundException"}'},
    "lambda": {"headers": {"x-amzn-ErrorType": "ResourceNotFoundException"}},
    "s3": {"body": "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>"},
}
"""How AWS says that something is not there."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a cell.

    Attributes:
        met: how many requests met the fault.
        row: the longest row of one and the same request.
    """

    end: End
    ended: Ended
    file_id: str
    met: int
    row: int


def run_cell(center: Center, cell: Cell) -> Result:
    """Run the gear on a new file while a call fails as `cell` says; look at what is there then."""
    file_id, config = arrange(center, cell.call)
    with failing(center, cell, file_id) as (options, more):
        folder = center.folder_of(file_id, **{**config, **more})
        if "key" in options:
            _give_key(folder, options.pop("key"))
        ended = center.run_in(folder, patches=patches_of(cell), **options)
    requests = center.sandbox.requests.all()
    rows = itertools.groupby((each.service, each.method, each.path) for each in requests)
    return Result(
        end_at(center, file_id, ended.code),
        ended,
        file_id,
        met=center.sandbox.faults.hits() - (1 if cell.call.given == "lost reply" else 0),
        row=max((len(list(row)) for _, row in rows), default=0),
    )


def arrange(center: Center, call: Call) -> tuple[str, dict[str, Any]]:
    """Make the site such that the call is made; return the input's id and config values."""
    given = call.given
    if given == "old log":
        center.put_log(OTHER_LINE)
    config = https(center) if given == "https" else {}
    data = zipped(image(PatientID="somebody")) if given == "other PatientID" else None
    tags: dict[str, Any] = {"tags": [STALE]} if given == "old tag" else {}
    file_id = center.upload(data=data, **tags)
    center.sandbox.requests.clear()
    if given == "lost reply":
        center.sandbox.faults.add(Fault("s3", route="PutObject", kind="drop-after"))
    return file_id, config


def https(center: Center) -> dict[str, Any]:
    """Return the config of a run that asks the identifier API over HTTPS."""
    prefix = center.parameters(url="{identifiers_url}", key="{identifiers_key}")
    return {"apikey_path_prefix": prefix}


def run_until_watchdog(center: Center, folder: Path) -> Ended:
    """Run the gear in a folder, and let the watchdog's time begin when a reply begins to drip."""
    begun = folder.with_name(f"{folder.name} drips")
    started = center.start(
        folder,
        patches={**NO_PAUSES, "imaging_gears.image_identifier_lookup.run.JOB_SECONDS": JOB_SECONDS},
        watched_from=begun,
    )
    requests = center.sandbox.requests
    until(lambda: any(each.fault == "drip" for each in requests.all()), "a reply drips")
    begun.touch()
    ended = started.wait()
    begun.unlink()
    return ended


@contextmanager
def failing(
    center: Center, cell: Cell, file_id: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Let the call fail; yields options of `Center.start` and config values."""
    call, failure = cell.call, cell.failure
    if failure.severity == "gone" and not call.before:
        with socket.socket() as nobody:
            # Bound and not listening: connections are refused, and nobody else gets the port.
            nobody.bind(("127.0.0.1", 0))
            yield _elsewhere(center, call, nobody.getsockname()[1])
        return
    if failure.severity == "gone":
        fault = Fault(call.service, skip=call.before, times=None, kind="drop-before")
    else:
        fault = _fault(center, call, failure, file_id)
    center.sandbox.faults.add(fault)
    yield {}, {}


def _fault(center: Center, call: Call, failure: Failure, file_id: str) -> Fault:
    logs = center.logs()
    ids = {
        "file": file_id,
        "project": center.project,
        "log": logs[LOG_NAME]["file_id"] if LOG_NAME in logs else "",
    }
    # The note and the record are the same request: the record is made as soon as the note is.
    final = failure.severity in ("refused", "missing", "conflict")
    times = (1 if final else 3) if call.stage == "note" else None
    more = _NOT_FOUND.get(call.service, {}) if failure.severity == "missing" else {}
    where = {"service": call.service, "method": call.method, "route": call.route.format(**ids)}
    return Fault(**{"times": times, **where, "skip": call.same, **failure.fault, **more})


def _elsewhere(center: Center, call: Call, port: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what leads a run to a port of this machine instead of to a service."""
    url = f"http://127.0.0.1:{port}"
    if call.service == "flywheel":
        key = f"127.0.0.1:{port}:__force_insecure:{center.sandbox.api_key.rpartition(':')[2]}"
        return {"key": key}, {"apikey_path_prefix": center.parameters(apikey=key)}
    if call.service == "identifiers":
        prefix = center.parameters(url=f"{url}/identifiers", key="{identifiers_key}")
        return {}, {"apikey_path_prefix": prefix}
    return {"environ": {f"AWS_ENDPOINT_URL_{call.service.upper()}": url}}, {}


def _give_key(folder: Path, key: str) -> None:
    document = read_config(folder)
    document["inputs"]["api-key"]["key"] = key
    write_config(folder, document)


def patches_of(cell: Cell) -> dict[str, object]:
    """Return the constants that differ in the run: pauses, and patience where it is the point."""
    waits = cell.failure.fault.get("kind") in ("silent", "delay")
    patience = {READ_SECONDS[cell.call.service]: PATIENCE} if waits else {}
    slow = {_UNSEEN: 0.0} if cell.call.given == "slow write" else {}
    return {**NO_PAUSES, **patience, **slow}


# --- What is there then ---------------------------------------------------------------------------


def end_at(center: Center, file_id: str, exit_code: int) -> End:
    """Return what the site holds of a run on that file."""
    file, log = center.file(file_id), center.logs().get(LOG_NAME)
    qc = file["info"].get("qc", {}).get(GEAR)
    tags = [tag for tag in file["tags"] if tag.startswith(GEAR)]
    has = {
        SUBJECT: center.info(file["parents"]["subject"]).get("naccid") == NACCID,
        LOG: log is not None and file_id in log["text"],
        EVENT: bool(center.events()),
        RECORD: qc is not None and tags == [f"{GEAR}-{qc['validation']['state']}"],
    }
    entries = [qc] if qc else []
    entries += [log["info"]["qc"][GEAR]] if log is not None and has[LOG] else []
    codes = {each["code"] for entry in entries for each in entry["validation"]["data"]}
    return End(exit_code, frozenset(name for name, there in has.items() if there), frozenset(codes))


def is_whole(center: Center, file_id: str) -> list[str]:
    """Return what is wrong with what an undisturbed last run has left; nothing if all is well."""
    file, log = center.file(file_id), center.log()
    notes = file["info"][GEAR]
    checks = {
        "the verdict": center.verdict(file_id) == ("PASS", [], [f"{GEAR}-PASS"]),
        "the log's verdict": center.log_verdict() == ("PASS", []),
        "lines that stand twice": len(set(center.runs())) == len(center.runs()),
        "the run's line": file_id in log["text"],
        "the events": [each["status"] for each in center.events().values()] == ["PASS"],
        "the event's note": notes["event"]["key"] in center.events(),
        "what is owed": "unwritten" not in notes,
        "the subject": center.info(file["parents"]["subject"])["naccid"] == NACCID,
        "the visit": file["info"]["data_identification"]["naccid"] == NACCID,
    }
    return [name for name, well in checks.items() if not well]


def fail_request(center: Center, failure: Failure, number: int) -> tuple[bool, list[str]]:
    """Let the request of that number fail, whichever it is, until it is given up; then run again.

    Returns:
        whether any request was met, and what is wrong after the second run.
    """
    file_id = center.upload()
    waits = failure.fault.get("kind") in ("silent", "delay")
    patience = dict.fromkeys(READ_SECONDS.values(), PATIENCE) if waits else {}
    how = {"times": TRIES, **(failure.fault or {"kind": "drop-before", "times": None})}
    center.sandbox.faults.add(Fault(**{**how, "skip": number}))
    folder = center.folder_of(file_id)
    first = center.run_in(folder, patches={**NO_PAUSES, **patience})
    met = center.sandbox.faults.hits() > 0
    center.sandbox.faults.clear()
    again = center.run_in(center.folder_of(file_id), patches=NO_PAUSES)
    wrong = is_whole(center, file_id) if again.code == 0 else [f"exit {again.code}"]
    return met, wrong + (["standard error"] if first.err or again.err else [])


def flaws(center: Center, cell: Cell, result: Result) -> list[str]:
    """Return what else is wrong with a run than its end; nothing where all is well."""
    ended, call = result.ended, cell.call
    errors = ended.lines("ERROR")
    told = "\n".join([*errors, *ended.lines("WARNING")])
    unknown = cell.end.codes == {"identifier-not-found"}
    tells = bool(cell.end.codes) and cell.failure.severity != "passes" and not unknown
    checks = {
        "it met the fault": result.met > 0 or (cell.failure.severity == "gone" and not call.before),
        "requests of the call": result.met <= cell.most_requests,
        "requests in a row": result.row <= TRIES + (1 if call.stage == "input" else 0),
        "one event at most": len(center.events()) <= 1,
        "standard error": ended.err == "",
        "one sentence": len(errors) == (1 if cell.end.exit_code or unknown else 0),
        "the service's name": not tells or SERVICES[call.service] in told,
        "no trace": "Traceback" not in ended.out,
    }
    return [name for name, well in checks.items() if not well]


def said(ended: Ended) -> str:
    """Return what a run says for people, for the message of a failed test."""
    return json.dumps([*ended.lines("ERROR"), *ended.lines("WARNING"), ended.summary], indent=1)
