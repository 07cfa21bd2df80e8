"""The command line as a process: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from imaging_gears import errors
from tests.waiting import LONG

REPOSITORY = Path(__file__).resolve().parents[2]
OUTCOMES: dict[str, dict[str, Any]] = json.loads(
    (REPOSITORY / "tests/golden/dicom_outcomes.json").read_text(encoding="utf-8")
)
CLI = (sys.executable, "-m", "imaging_gears.image_identifier_lookup.cli")
TWELVE = {
    "patient_id": "PatientID",
    "study_date": "StudyDate",
    "modality": "Modality",
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
    "series_number": "SeriesNumber",
    "series_date": "SeriesDate",
    "manufacturer": "Manufacturer",
    "manufacturer_model_name": "ManufacturerModelName",
    "series_description": "SeriesDescription",
    "magnetic_field_strength": "MagneticFieldStrength",
    "images_in_acquisition": "ImagesInAcquisition",
}
KEYS = {
    "file",
    "dicom_metadata",
    "member",
    "skipped",
    "passed_over",
    "transfer_syntax_uid",
    "ptid",
    "ptid_source",
    "qc_log",
    "event_key",
    "warnings",
    "bytes_read",
    "error",
}


def run(*arguments: object, program: tuple[str, ...] = CLI) -> subprocess.CompletedProcess[str]:
    """Return what the command line answers."""
    return subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=LONG
    )


def inspected(*arguments: object) -> list[dict[str, Any]]:
    """Return the objects that ``inspect --json`` prints."""
    return [json.loads(line) for line in run("inspect", "--json", *arguments).stdout.splitlines()]


def sample(name: str) -> Path:
    """Return the path of one of pydicom's files."""
    return Path(str(get_testdata_file(name, download=False)))


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """A zip as scanners and Macs make them: one image behind three things that are none."""
    path = tmp_path / "T1.dicom.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("T1/", b"")
        archive.writestr("__MACOSX/T1/._1.IMA", b"\0\5\x16\7 resource fork")
        archive.writestr("T1/protocol.txt", "T1 MPRAGE\n")
        archive.write(sample("MR_small.dcm"), "T1/1.IMA")
        archive.write(sample("CT_small.dcm"), "T1/2.IMA")
    return path


# --- Help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["inspect", "demo", "sandbox"])
def test_help_shows_how_a_command_is_typed(command: str) -> None:
    """The help of each command ends with examples of it."""
    answer = run(command, "--help")
    assert answer.returncode == 0
    assert f"\nexamples:\n  image-identifier-lookup {command}" in answer.stdout


def test_help_names_the_commands() -> None:
    """The help of the program names each command with what it does."""
    answer = run("--help").stdout
    for command in ("inspect", "demo", "sandbox"):
        assert re.search(rf"^ +{command} +\w", answer, re.MULTILINE)


def test_the_version_is_told() -> None:
    """--version names the program and goes no further."""
    answer = run("--version")
    assert (answer.returncode, answer.stdout.split()[0]) == (0, "image-identifier-lookup")


@pytest.mark.parametrize(
    "words", [(), ("nonsense",), ("inspect",), ("inspect", "--adcid", "1_0", "a.dcm")]
)
def test_a_wrong_command_line_ends_with_2(words: tuple[str, ...]) -> None:
    """What can't be understood is explained on stderr, with the usage."""
    answer = run(*words)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("usage: image-identifier-lookup")


def test_the_sandbox_has_the_options_that_it_takes() -> None:
    """The options of the command are those of the program that it starts."""
    program = (sys.executable, "-m", "imaging_gears.sandbox")
    ours, theirs = run("sandbox", "--help"), run("--help", program=program)
    options = [set(re.findall(r"--[a-z-]+", each.stdout)) for each in (ours, theirs)]
    assert options[0] == options[1] != set()


# --- inspect --------------------------------------------------------------------------------------


def test_inspect_tells_a_person_what_the_gear_sees(upload: Path) -> None:
    """Member, what was passed over and why, values, and names with placeholders are shown."""
    answer = run("inspect", upload)
    assert (answer.returncode, answer.stderr) == (0, "")
    squeezed = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert squeezed[0] == str(upload)
    for line in (
        "DICOM T1/1.IMA",
        "passed over T1/: directory",
        "__MACOSX/T1/._1.IMA: macOS metadata",
        "dicom_metadata patient_id 4MR1",
        "study_date 20040826",
        "series_description -",
        "QC log 4MR1_2004-08-26_MR_qc-status.log",
    ):
        assert line in squeezed
    assert any(line.startswith("T1/protocol.txt: ") for line in squeezed)
    assert any(line.startswith("PTID 4MR1, from PatientID") for line in squeezed)
    assert any(line.startswith("warning mixed-identity: ") for line in squeezed)


def test_inspect_gives_a_program_the_same(upload: Path) -> None:
    """--json prints one object with all that the text says."""
    (seen,) = inspected(upload)
    assert seen.keys() == KEYS
    assert seen["file"] == str(upload)
    assert (seen["member"], seen["passed_over"]) == ("T1/1.IMA", 3)
    names = [each["name"] for each in seen["skipped"]]
    assert names == ["T1/", "__MACOSX/T1/._1.IMA", "T1/protocol.txt"]
    assert all(each["reason"] for each in seen["skipped"])
    assert seen["transfer_syntax_uid"] == "1.2.840.10008.1.2.1"
    assert (seen["ptid"], seen["ptid_source"]) == ("4MR1", "PatientID")
    assert [each["code"] for each in seen["warnings"]] == ["mixed-identity"]
    assert seen["bytes_read"] > 0
    assert seen["error"] is None


@pytest.mark.parametrize("name", ["MR_small.dcm", "CT_small.dcm", "examples_overlay.dcm"])
def test_the_twelve_values_are_those_of_the_file(name: str) -> None:
    """What inspect shows is what pydicom reads, as text, with null for what is absent or empty."""
    ds = dcmread(sample(name), stop_before_pixels=True)
    (seen,) = inspected(sample(name))
    values = {key: str(ds.get(keyword) or "") or None for key, keyword in TWELVE.items()}
    values["series_number"] = str(ds.SeriesNumber)
    assert seen["dicom_metadata"] == values


def test_every_file_of_pydicom_is_seen_as_dcmdump_sees_it() -> None:
    """Of 205 files, all in one call, each is an object with DCMTK's values or with an error."""
    data = sample("MR_small.dcm").parents[1]
    seen = dict(zip(OUTCOMES, inspected(*(data / name for name in OUTCOMES)), strict=True))
    keywords = ("StudyDate", "Modality", "PatientID", "StudyInstanceUID")
    keys = {keyword: key for key, keyword in TWELVE.items() if keyword in keywords}
    for name, outcome in OUTCOMES.items():
        assert seen[name].keys() == KEYS
        assert list(seen[name]["dicom_metadata"]) == list(TWELVE)
        if "error" in outcome:
            assert seen[name]["error"]["code"] == getattr(errors, outcome["error"]).code, name
        elif seen[name]["bytes_read"] is not None:
            found = {word: seen[name]["dicom_metadata"][keys[word]] or "" for word in keywords}
            assert found == {word: outcome.get(word, "") for word in keywords}, name


def test_names_are_complete_where_the_site_is_told() -> None:
    """With center, project and environment only the time is left open in the event's key."""
    (seen,) = inspected(
        "--adcid=42", "--project-label=ingest dicom", "--environment=prod", sample("MR_small.dcm")
    )
    expected = "prod/log-submit-{YYYYMMDD-HHMMSS}-42-ingest-dicom-4MR1-2004-08-26.json"
    assert seen["event_key"] == expected


def test_without_a_site_names_have_placeholders() -> None:
    """What only a site knows stands in braces."""
    (seen,) = inspected(sample("MR_small.dcm"))
    expected = (
        "{environment}/log-submit-{YYYYMMDD-HHMMSS}-{adcid}-{project-label}-4MR1-2004-08-26.json"
    )
    assert seen["event_key"] == expected


def test_a_file_without_patient_id_needs_a_label() -> None:
    """No PatientID is a warning: on a site the subject's label comes first."""
    answer = run("inspect", "--json", "--project-label=-ptid-", sample("ExplVR_BigEnd.dcm"))
    seen = json.loads(answer.stdout)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert (seen["ptid"], seen["ptid_source"]) == (None, None)
    assert seen["qc_log"] == "{ptid}_1997-04-24_US_qc-status.log"
    assert seen["event_key"].endswith("-{adcid}--ptid--{ptid}-1997-04-24.json")
    assert [each["code"] for each in seen["warnings"]] == ["ptid-invalid"]
    text = run("inspect", sample("ExplVR_BigEnd.dcm")).stdout
    assert re.search(r"PTID +none in PatientID", text)


def test_a_file_without_study_date_is_shown_and_refused() -> None:
    """The gear would fail it on any site: exit 1 with the reason, and the values are there."""
    answer = run("inspect", sample("reportsi.dcm"))
    assert answer.returncode == 1
    assert re.search(r"modality +SR\n", answer.stdout)
    assert re.search(r"QC log +none", answer.stdout)
    assert answer.stderr.endswith("reportsi.dcm: The DICOM has no StudyDate (0008,0020).\n")


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_unusable_files_are_named_and_the_others_inspected(
    tmp_path: Path, extra: tuple[str, ...]
) -> None:
    """Each unusable file is one sentence on stderr, exit 1, no traceback."""
    text, empty, pipe = tmp_path / "a.txt", tmp_path / "empty.dcm", tmp_path / "pipe"
    text.write_text("no image", encoding="utf-8")
    empty.touch()
    os.mkfifo(pipe)
    cut = tmp_path / "cut.dicom.zip"
    cut.write_bytes(b"PK\3\4 and no more")
    bad = [text, empty, pipe, cut, tmp_path, tmp_path / "missing", text / "below"]
    answer = run("inspect", *extra, *bad, sample("MR_small.dcm"))
    assert answer.returncode == 1
    assert "4MR1" in answer.stdout
    sentences = answer.stderr.splitlines()
    assert [line.partition(": ")[0] for line in sentences] == [str(path) for path in bad]
    assert all(re.fullmatch(r"[^:]+: [A-Z][^.]*\.", line) for line in sentences), sentences
    if extra:
        seen = [json.loads(line) for line in answer.stdout.splitlines()]
        assert all(each.keys() == KEYS for each in seen)
        assert [each["error"] is None for each in seen] == [False] * len(bad) + [True]


def test_many_members_passed_over_are_counted(tmp_path: Path) -> None:
    """The text names ten of them and says how many more there are; JSON names them all."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(14):
            archive.writestr(f"{number}.txt", "no image")
        archive.write(sample("MR_small.dcm"), "image")
    lines = run("inspect", path).stdout.splitlines()
    assert [line.strip() for line in lines if line.strip().startswith("and ")] == ["and 4 more"]
    assert len(inspected(path)[0]["skipped"]) == 14


def test_names_of_members_do_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    """An escape sequence in a name is shown, not obeyed."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(sample("MR_small.dcm"), "\x1b[2Jimage")
    assert r"\x1b[2Jimage" in run("inspect", path).stdout
    assert "\x1b" not in run("inspect", path).stdout


def test_a_name_that_is_no_text_is_no_trouble(tmp_path: Path) -> None:
    """A file name of bytes that are not UTF-8 is shown with escapes."""
    path = tmp_path / os.fsdecode(b"\xff.dcm")
    path.write_bytes(sample("MR_small.dcm").read_bytes())
    answer = run("inspect", path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert r"\udcff.dcm" in answer.stdout


def test_a_reader_that_leaves_early_is_no_trouble() -> None:
    """A closed pipe (inspect ... | head -1) ends the program without a traceback."""
    with subprocess.Popen(
        [*CLI, "inspect", *[str(sample("MR_small.dcm"))] * 200],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(LONG) == 1


# --- Where the sandbox is not installed -----------------------------------------------------------

# Runs the command line in a process that finds no sandbox, as in the gear's image.
WITHOUT_SANDBOX = (
    sys.executable,
    "-c",
    (
        "import sys; sys.modules['imaging_gears.sandbox'] = None;"
        "from imaging_gears.image_identifier_lookup.cli import main; sys.exit(main())"
    ),
)
# Runs the command line and says which of these it has loaded.
LOADED = (
    sys.executable,
    "-c",
    (
        "import sys; from imaging_gears.image_identifier_lookup.cli import main; main();"
        "names = 'imaging_gears.sandbox', 'imaging_gears.adapters', 'moto', 'flywheel', 'boto3';"
        "print([name for name in names if name in sys.modules])"
    ),
)


@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_without_the_sandbox_one_sentence_says_what_to_install(command: str) -> None:
    """The gear's image has no sandbox: both commands say so and end with 1."""
    answer = run(command, program=WITHOUT_SANDBOX)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (
        "This needs the local site, which is not installed: pip install 'imaging-gears[sandbox]'.\n"
    )


def test_without_the_sandbox_files_are_inspected() -> None:
    """Inspecting needs nothing but the gear."""
    answer = run("inspect", sample("MR_small.dcm"), program=WITHOUT_SANDBOX)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_inspect_loads_no_sdk() -> None:
    """Nothing that talks to a network is loaded to look at a file."""
    answer = run("inspect", sample("MR_small.dcm"), program=LOADED)
    assert answer.stdout.splitlines()[-1] == "[]"


# --- sandbox --------------------------------------------------------------------------------------


def test_sandbox_serves_until_it_is_interrupted() -> None:
    """It says where it is, answers there, and ends with 0 on Ctrl-C."""
    with subprocess.Popen(
        [*CLI, "sandbox", "--ephemeral", "--no-jobs"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.match(r"# Sandbox at (http://127\.0\.0\.1:\d+) \(nothing is kept\)", line)
        assert match, line
        with urllib.request.urlopen(f"{match[1]}/_sandbox/health", timeout=LONG) as reply:  # noqa: S310 - loopback
            assert json.load(reply)["status"] == "ok"
        while "no_proxy" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(LONG) == 0


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A seed that is not there is one sentence and exit 1."""
    answer = run("sandbox", "--ephemeral", "--seed", tmp_path / "missing.yaml")
    assert answer.returncode == 1
    assert re.fullmatch(
        r"The seed .*missing\.yaml can't be read: FileNotFoundError\.\n", answer.stderr
    )


# --- demo: what needs no site ---------------------------------------------------------------------


def test_a_demo_without_manifest_says_so(tmp_path: Path) -> None:
    """Away from a clone the gear's manifest has to be named."""
    answer = run("demo", "--manifest", tmp_path / "missing.json")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.endswith("missing.json: run the demo in a clone, or use --manifest.\n")
