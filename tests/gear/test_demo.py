"""The demo as people and programs see it: the real command line, site, SDKs and gear."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from imaging_gears.image_identifier_lookup import cli
from imaging_gears.image_identifier_lookup.demo import walk
from imaging_gears.image_identifier_lookup.demo.result import Result, status_lines, unexpected
from imaging_gears.image_identifier_lookup.demo.scenes import SCENES
from imaging_gears.image_identifier_lookup.demo.text import Paint, closing_table, scene_text
from tests.waiting import LONG

GEAR = "image-identifier-lookup"
CLI = (sys.executable, "-m", "imaging_gears.image_identifier_lookup.cli")
PLAIN = Paint(on=False)
MR_LOG, CT_LOG = "110001_2003-05-05_MR_qc-status.log", "110001_2001-01-01_CT_qc-status.log"
UNKNOWN_LOG = "990001_1995-09-03_CT_qc-status.log"
# What each scene has to end with: verdict, codes, QC log, new events, NACCID on the subject.
ENDS = {
    "a": ("PASS", [], MR_LOG, 1, "NACC000042"),
    "b": ("PASS", [], MR_LOG, 0, "NACC000042"),
    "c": ("PASS", [], CT_LOG, 1, "NACC000042"),
    "d": ("FAIL", ["identifier-not-found"], UNKNOWN_LOG, 1, None),
    "e": ("FAIL", ["not-dicom"], None, 0, "NACC000042"),
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What ``demo --json`` ended with, its standard error being a terminal."""

    code: int
    scenes: dict[str, dict[str, Any]]
    terminal: str


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """One run of the demo."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*CLI, "demo", "--json"], stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        scenes = json.loads(process.stdout.read())
        terminal = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
        code = process.wait(LONG)
    return Outcome(code, {scene["name"]: scene for scene in scenes}, terminal.decode())


@pytest.fixture(scope="module")
def scenes(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """The scenes of the run, by their names."""
    return outcome.scenes


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO when the other side has gone
        return b""


# --- For a program --------------------------------------------------------------------------------


def test_all_scenes_end_as_they_have_to(scenes: dict[str, dict[str, Any]]) -> None:
    """Five jobs succeed; verdict, codes, QC log, events and NACCID are those of the contract."""
    found = {
        name: (
            scene["verdict"],
            scene["codes"],
            scene["qc_log"] and scene["qc_log"]["name"],
            len(scene["events"]),
            scene["subject_info"].get("naccid"),
        )
        for name, scene in scenes.items()
    }
    assert found == ENDS
    for scene in scenes.values():
        assert (scene["job_state"], scene["exit"], scene["unexpected"]) == ("complete", 0, [])
        assert scene["tags"] == [f"{GEAR}-{scene['verdict']}"]
        assert 0 < scene["seconds"] < LONG


def test_the_upload_is_a_real_scanner_s_series(scenes: dict[str, dict[str, Any]]) -> None:
    """Seven slices of one series; what is kept of it is what the scanner wrote."""
    assert "7 MR images of Philips" in scenes["a"]["uploaded"]
    metadata = scenes["a"]["file_info"]["dicom_metadata"]
    assert metadata["patient_id"] == "110001"
    assert metadata["series_instance_uid"] == "1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.118"
    assert metadata["manufacturer_model_name"] == "Eclipse 1.5T"
    assert scenes["a"]["bytes_read"] > 0


def test_the_same_again_is_a_short_cut(scenes: dict[str, dict[str, Any]]) -> None:
    """The same file version gets a second line, nothing is read and nobody is asked."""
    first, again = scenes["a"], scenes["b"]
    assert again["uploaded"] is None
    assert again["bytes_read"] == 0
    assert not {"identifiers", "lambda"} & again["requests"].keys()
    assert len(status_lines(again["qc_log"]["text"])) == 2
    note = first["file_info"][GEAR]["event"]
    assert again["file_info"][GEAR]["event"] == note
    assert first["events"][0]["key"] == note["key"]


def test_a_first_run_makes_few_requests(scenes: dict[str, dict[str, Any]]) -> None:
    """Ten of Flywheel, one of each other service."""
    assert scenes["a"]["requests"] == {"flywheel": 10, "lambda": 1, "s3": 1, "ssm": 1}


def test_a_second_study_is_not_taken_for_the_first(scenes: dict[str, dict[str, Any]]) -> None:
    """It has a log and an event of its own, with its own date and modality."""
    event = scenes["c"]["events"][0]["body"]
    assert (event["visit_date"], event["modality"]) == ("2001-01-01", "CT")
    assert event["naccid"] == "NACC000042"
    visit = scenes["c"]["qc_log"]["info"]["visit"]
    assert (visit["date"], visit["modality"]) == ("2001-01-01", "CT")


def test_an_unknown_participant_s_event_has_no_naccid(scenes: dict[str, dict[str, Any]]) -> None:
    """The failure is announced, without a NACCID."""
    event = scenes["d"]["events"][0]["body"]
    assert event["status"] == "FAIL"
    assert "naccid" not in event
    assert scenes["d"]["subject_info"] == {}


# --- For a person ---------------------------------------------------------------------------------


def test_on_a_terminal_there_is_a_sign_of_life() -> None:
    """What takes more than a second is named with its seconds, and wiped away in the end."""
    ours, theirs = pty.openpty()
    program = (
        "from imaging_gears.image_identifier_lookup.demo.text import waiting\n"
        "with waiting('it takes time'): input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        said = _read(ours)
        process.communicate(b"\n")
    assert process.returncode == 0
    said += b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    # Each second has its sentence, as many as a busy machine made of them.
    assert re.fullmatch(rb"(\rit takes time: \d+ s)+\r\x1b\[K", said)
    assert int(said.split()[3]) >= 1


def test_a_sign_of_life_is_all_that_a_terminal_gets(outcome: Outcome) -> None:
    """Beside --json nothing remains on the terminal: every count is wiped away."""
    assert outcome.code == 0
    assert outcome.terminal.rpartition("\r\x1b[K")[2] == ""


def play(monkeypatch: pytest.MonkeyPatch, scenes: dict[str, dict[str, Any]], *words: str) -> int:
    """Return the exit code of the demo when its scenes end like that."""
    results = [Result(**scene) for scene in scenes.values()]
    monkeypatch.setattr(cli, "_results", lambda _: iter(results))
    return cli.main(["demo", *words])


def test_the_walk_is_shown_scene_by_scene(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scenes: dict[str, dict[str, Any]],
) -> None:
    """Each scene has its paragraph; a table and a verdict come last."""
    assert play(monkeypatch, scenes) == 0
    text = capsys.readouterr().out
    assert re.findall(r"^\((.)\) [A-Z]", text, re.MULTILINE) == list(ENDS)
    assert re.findall(r"^\((.)\)  (PASS|FAIL) ", text, re.MULTILINE) == [
        (name, end[0]) for name, end in ENDS.items()
    ]
    assert text.endswith(f"\n\nAll 5 scenes turned out as {GEAR} promises.\n")
    assert "\x1b" not in text


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_scene_that_goes_wrong_is_exit_1(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scenes: dict[str, dict[str, Any]],
    words: tuple[str, ...],
) -> None:
    """The exit code says that not all is as promised, and the output what."""
    wrong = {**scenes, "c": {**scenes["c"], "unexpected": ["tags: expected x, found y"]}}
    assert play(monkeypatch, wrong, *words) == 1
    assert "tags: expected x, found y" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ("complete", None, 0),
        ("failed", "Gear exited with code 3.", 3),
        ("failed", "The job did not send a heartbeat.", None),
    ],
)
def test_the_exit_code_is_what_the_platform_tells(
    state: str, reason: str | None, code: int | None
) -> None:
    """Flywheel gives an exit code as part of a sentence, or not at all."""
    assert walk._exit_code({"state": state, "failure_reason": reason}) == code


def test_a_demo_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """On SIGTERM the site is stopped and its state removed, without a traceback."""
    with subprocess.Popen(
        [*CLI, "demo"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        while not list(tmp_path.glob("demo-*/*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(LONG) == cli.INTERRUPTED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [TimeoutError("1 jobs have not ended"), OSError("no space")])
def test_a_demo_that_cannot_go_on_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError
) -> None:
    """One sentence, exit 1."""

    def fail(_: Path) -> list[Result]:
        raise error

    monkeypatch.setattr(cli, "_results", fail)
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == f"The demo can't go on: {error}\n"


def test_a_scene_is_told_whole(scenes: dict[str, dict[str, Any]]) -> None:
    """Upload, verdict, what appeared where, requests and seconds stand in the text."""
    result = Result(**scenes["a"])
    text = scene_text(result, PLAIN)
    event = scenes["a"]["events"][0]["key"]
    last_line = scenes["a"]["qc_log"]["text"].splitlines()[-1]
    for part in (
        "MR.dicom.zip: 7 MR images",
        "alpha-center/ingest-dicom/110001/2003-05-05/MR",
        "started by the gear rule, complete, exit 0",
        "info naccid NACC000042, dicom_metadata of 20030505 MR",
        MR_LOG,
        last_line,
        event,
        f"tag {GEAR}-PASS",
        f"{result.bytes_read} bytes of the upload",
        "flywheel 10, lambda 1, s3 1, ssm 1",
    ):
        assert part in text


def test_what_did_not_appear_is_told_too(scenes: dict[str, dict[str, Any]]) -> None:
    """A run without visit, or without anything read, says so."""
    assert "the upload stayed closed" in scene_text(Result(**scenes["b"]), PLAIN)
    assert "none: no visit is known" in scene_text(Result(**scenes["e"]), PLAIN)
    assert "it has no info" in scene_text(Result(**scenes["d"]), PLAIN)


def test_a_scene_that_goes_wrong_is_named(scenes: dict[str, dict[str, Any]]) -> None:
    """A second event, a wrong tag, another verdict: each is a sentence, and the table says no."""
    wrong = dataclasses.replace(
        Result(**scenes["b"]), events=scenes["a"]["events"], tags=[], verdict="FAIL", exit=None
    )
    expected = {scene.name: scene.expected for scene in SCENES}["b"]
    wrong.unexpected = unexpected(expected, wrong)
    subjects = [sentence.partition(":")[0] for sentence in wrong.unexpected]
    assert subjects == ["job", "verdict", "new events", "tags"]
    assert "UNEXPECTED new events: expected 0, found 1" in scene_text(wrong, PLAIN)
    table = closing_table([Result(**scenes["a"]), wrong], PLAIN)
    assert table.endswith(
        "1 of 2 scenes turned out otherwise than image-identifier-lookup promises."
    )
    assert [line.split()[-1] for line in table.splitlines()[1:3]] == ["yes", "no"]


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *, coloured: bool
) -> None:
    """NO_COLOR and dumb terminals are honoured, and a file is no terminal."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        assert Paint.for_stream(terminal).on is coloured
    os.close(ours)
    with Path(os.devnull).open("w", encoding="utf-8") as file:
        assert not Paint.for_stream(file).on
