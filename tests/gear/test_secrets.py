"""What a run prints names nobody and opens nothing, whatever goes wrong, however much it says.

The fixture that makes centers looks through every run of every gear test: what was printed, what ps
showed at each request, what was left behind. Here are the runs with ``debug``, the services that
repeat what they were told, and the proof that a leak is found.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from imaging_gears.sandbox import Fault
from tests.gear.fault_cells import CELLS, Cell
from tests.gear.fault_runs import run_cell, said
from tests.gear.gear_helpers import (
    BUCKET,
    GEAR,
    INPUT,
    MARKS,
    MODULE,
    NACCID,
    NAME,
    PTID,
    QUICK,
    Center,
    Ended,
    image,
    leaks,
    read_config,
    write_config,
    zipped,
)
from tests.gear.test_errors import CASES, MORE, NAMES, WARNED, Case, warned

# Lines that other tests go through as well, many times over.
pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

UNGIVEN = {"birth date, ISO": "1947-03-09"}
"""A form of a mark that no run is given, but might make; looked for beside `Center.marks`."""


def printed(ended: Ended) -> str:
    """Return all that a run has printed."""
    return ended.out + ended.err


# --- Runs with debug ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_no_error_names_anybody_with_debug(center: Center, case: Case) -> None:
    """Neither the values that were wrong nor those that were right, nor a key."""
    arranged = case.arrange(center)
    document = read_config(arranged.folder)
    document["config"]["debug"] = True
    write_config(arranged.folder, document)
    ended = arranged.run(center)
    assert case.error.code in ended.out
    assert center.traces(MORE) == []


@pytest.mark.parametrize("code", WARNED)
def test_no_warning_names_anybody_with_debug(center: Center, code: str) -> None:
    """Neither what the file holds, nor what a service was asked."""
    file_id = warned(center, code)
    ended = center.quick(file_id, debug=True)
    assert " DEBUG " in ended.out
    assert f"({code})" in ended.summary
    assert center.traces(MORE) == []


def test_a_pass_names_nobody(center: Center) -> None:
    """First run, by the true command, and short cut; file and members have the patient's name."""
    data = zipped(**{"Quixote_Zelda/notes.txt": b"Quixote", "Quixote_Zelda/IM1": image()})
    file_id = center.upload(data=data)
    for exec_ in (True, False):
        ended = center.run_in(center.folder_of(file_id, debug=True), exec_=exec_)
        assert (ended.code, ended.err) == (0, "")
        assert leaks(printed(ended), center.marks) == []


def test_a_plan_names_nobody(center: Center) -> None:
    """A dry run with debug shows targets and shapes."""
    ended = center.run(center.upload(), dry_run=True, debug=True)
    assert "the plan: [" in ended.out
    assert leaks(printed(ended), center.marks) == []


class Talkative(Center):
    """A center whose jobs run with debug."""

    __slots__ = ()

    def folder_of(self, file_id: str, version: int | None = None, **config: object) -> Path:
        """Return the folder of a job with debug."""
        return super().folder_of(file_id, version, **{**config, "debug": True})


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_no_fault_names_anybody_with_debug(center: Center, tmp_path: Path, cell: Cell) -> None:
    """The job ends as without debug; test_fault_matrix looks through all of them without."""
    talkative = Talkative(center.sandbox, center.server, tmp_path / "debug")
    result = run_cell(talkative, cell)
    assert result.end == cell.end, said(result.ended)
    assert " DEBUG " in result.ended.out
    assert talkative.traces(UNGIVEN) == []


# --- Services that repeat what they were told -----------------------------------------------------

TOLD = f"no {PTID} {NACCID} Quixote^Zelda 20240115 1.2.840.99.7713.1 SECRET-7731"
XML = f"<Error><Code>{PTID}{NACCID}</Code><Message>{TOLD}</Message></Error>"
JSON = json.dumps({"message": TOLD, "detail": TOLD, "errorMessage": TOLD, "__type": NACCID})
ECHOES: Mapping[str, Mapping[str, Any]] = {
    "Flywheel 500": {"service": "flywheel", "status": 500, "body": JSON},
    "Flywheel 403": {"service": "flywheel", "status": 403, "body": JSON},
    "Flywheel 422": {"service": "flywheel", "status": 422, "body": JSON},
    "Flywheel 200": {"service": "flywheel", "status": 200, "body": JSON},
    "Flywheel write 400": {"service": "flywheel", "method": "P*", "status": 400, "body": JSON},
    "SSM 400": {"service": "ssm", "status": 400, "body": JSON},
    "SSM 500": {"service": "ssm", "status": 500, "body": JSON},
    "Lambda 400": {"service": "lambda", "status": 400, "body": JSON},
    "Lambda function error": {
        "service": "lambda",
        "status": 200,
        "body": JSON,
        "headers": {"X-Amz-Function-Error": "Unhandled"},
    },
    "Lambda answer": {
        "service": "lambda",
        "status": 200,
        "body": json.dumps({"statusCode": TOLD, "body": TOLD}),
    },
    "S3 400": {"service": "s3", "status": 400, "body": XML},
    "S3 403": {"service": "s3", "status": 403, "body": XML},
    "S3 500": {"service": "s3", "status": 500, "body": XML},
    "S3 redirect": {
        "service": "s3",
        "kind": "redirect",
        "status": 301,
        "headers": {"Location": f"/{PTID}/{NACCID}"},
        "body": XML,
    },
}


@pytest.mark.parametrize("fault", ECHOES.values(), ids=ECHOES)
def test_what_a_service_says_is_not_repeated(center: Center, fault: Mapping[str, Any]) -> None:
    """Its status is told, its text is not: that may hold anything."""
    file_id = center.upload()
    methods = ("POST", "PUT", "PATCH") if fault.get("method") == "P*" else ("*",)
    for method in methods:
        center.sandbox.faults.add(Fault(times=None, **{**fault, "method": method}))
    ended = center.quick(file_id, debug=True)
    assert center.sandbox.faults.hits()
    assert leaks(printed(ended), {**center.marks, "told": "SECRET-7731"}) == []


def test_what_a_service_says_is_not_recorded_either(center: Center) -> None:
    """The QC record has the gear's own sentence."""
    file_id = center.upload()
    fault = Fault("lambda", times=None, status=400, body=JSON)
    center.sandbox.faults.add(fault)
    center.quick(file_id)
    recorded = json.dumps(center.file(file_id)["info"]) + center.log()["text"]
    assert "service-unavailable" in recorded
    assert leaks(recorded, {"told": "SECRET-7731"}) == []


def test_the_https_transport_s_key_is_not_told(center: Center) -> None:
    """Neither URL nor key nor what the API answers."""
    prefix = center.parameters(url="{identifiers_url}", key="{identifiers_key}")
    file_id = center.upload()
    center.sandbox.faults.add(Fault("identifiers", times=None, status=400, body=JSON))
    ended = center.quick(file_id, debug=True, apikey_path_prefix=prefix)
    assert ended.code == 1
    assert leaks(printed(ended), {**center.marks, "told": "SECRET-7731"}) == []


# --- What others on the machine see ---------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_ps_shows_nobody(center: Center, *, debug: bool) -> None:
    """The true command, looked at while each of its requests waits, as every run here is."""
    prefix = center.parameters(url="{identifiers_url}", key="{identifiers_key}")
    folder = center.folder_of(center.upload(), debug=debug, apikey_path_prefix=prefix)
    ended = center.run_in(folder, exec_=True)
    assert ended.code == 0
    assert MODULE in ended.seen
    assert center.traces(UNGIVEN) == []


# --- What is written ------------------------------------------------------------------------------


def test_no_key_is_written_anywhere(center: Center) -> None:
    """file.info with the job's config, the log's info and text, and the event hold none."""
    prefix = center.parameters(url="{identifiers_url}", key="{identifiers_key}")
    file_id = center.upload()
    assert center.run(file_id, apikey_path_prefix=prefix).code == 0
    keys = {name: mark for name, mark in center.marks.items() if name not in MARKS}
    log = center.log()
    written = [center.file(file_id)["info"], log["info"], log["text"], center.events()]
    assert leaks(json.dumps(written), keys) == []
    assert center.file(file_id)["info"]["qc"][GEAR]["job_info"]["inputs"].keys() == {INPUT}


def test_a_run_leaves_no_file_behind(center: Center) -> None:
    """Neither under TMPDIR nor in output/ or work/: what is read of the upload stays in memory."""
    ended = center.run(center.upload(data=zipped(b"a text", image())))
    assert ended.code == 0
    assert ended.left_behind == []


# --- The proof that a leak is found ---------------------------------------------------------------


def test_a_leak_in_a_log_line_is_found(center: Center) -> None:
    """One is planted in the sentence of an error: the real run prints it, the search says so."""
    center.sandbox.identifiers.remove("prod", center.adcid, PTID)
    folder = center.folder_of(center.upload())
    remedy = "imaging_gears.errors.IdentifierNotFoundError.remedy"
    ended = center.run_in(folder, patches={**QUICK, remedy: f"Ask for {PTID.lower()}."})
    assert leaks(printed(ended), center.marks) == ["PTID"]
    center.ended.clear()  # or the fixture would find it, too


CHILD = f"""
import subprocess, sys
sys.planted = subprocess.Popen(
    ["cat", "-", {PTID!r}], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
)
"""
"""Python runs this at its start where it is called sitecustomize; the child ends with the gear."""


def test_a_leak_on_a_command_line_is_found(center: Center, tmp_path: Path) -> None:
    """That of a child of the gear, in a run like any other."""
    (tmp_path / "sitecustomize.py").write_text(CHILD)
    folder = center.folder_of(center.upload())
    ended = center.run_in(folder, exec_=True, environ={"PYTHONPATH": str(tmp_path)})
    assert (ended.code, leaks(printed(ended), center.marks)) == (0, [])
    assert center.traces() == ["PTID"]
    center.ended.clear()  # or the fixture would find it, too


@pytest.mark.parametrize("place", ["tmp", "output", "work"])
def test_a_file_that_is_left_behind_is_found(center: Center, place: str) -> None:
    """It need not even hold anything."""
    folder = center.folder_of(center.upload())
    (folder / place / "header.dcm").touch()
    assert center.run_in(folder).code == 0
    assert center.traces() == [f"{place}/header.dcm"]
    center.ended.clear()  # or the fixture would find it, too


ENCODINGS: Mapping[str, Callable[[str], str]] = {
    "as it is": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "URL": lambda text: quote(text, safe=""),
    "hex": lambda text: text.encode().hex(),
    "hex, upper case": lambda text: text.encode().hex().upper(),
    "hex, spaced": lambda text: text.encode().hex(" "),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind one": lambda text: base64.b64encode(b"x" + text.encode() + b"yz").decode(),
    "base64 behind two": lambda text: base64.b64encode(b"xy" + text.encode() + b"z").decode(),
    "repr": repr,
    "JSON": json.dumps,
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_every_mark_is_found_in_every_encoding(
    center: Center, encode: Callable[[str], str]
) -> None:
    """In the middle of a line that is otherwise a run's own."""
    for name, mark in {**center.marks, **MORE, **UNGIVEN}.items():
        line = f"2026-11-20 07:02:00,085 INFO    file {encode(mark)}: version 1 (0.00 s)"
        assert name in leaks(line, {name: mark})


def test_the_marks_are_in_what_a_run_is_given(center: Center) -> None:
    """Nothing could be found that is not there: the run's inputs and outputs hold all of them."""
    prefix = center.parameters(url="{identifiers_url}", key="{identifiers_key}")
    file_id = center.upload()
    folder = center.folder_of(file_id, apikey_path_prefix=prefix)
    given = [
        json.dumps(read_config(folder)),
        json.dumps(center.environ(folder)),
        image().decode("latin-1"),
        center.sandbox.key("gearbot"),
        center.sandbox.identifiers.api_key,
        center.sandbox.identifiers_url,
        str(center.sandbox.identifiers.all()),
    ]
    assert center.run_in(folder).code == 0
    text = "".join(given) + json.dumps(center.file(file_id)) + center.log()["text"]
    assert set(leaks(text, center.marks)) == set(center.marks)
    assert NAME in text
    assert center.sandbox.s3_objects(BUCKET)
