"""Runs that no platform has prepared: ``fw-beta gear run``, a wrong folder, a bare environment."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gear.gear_helpers import (
    BUCKET,
    GEAR,
    INPUT,
    LOG,
    PTID,
    Center,
    Ended,
    image,
    leaks,
    read_config,
    write_config,
    zipped,
)

LOCAL = "T1.dicom.zip"
"""The name of the input in tests/golden/config_fw_beta.json."""
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
NO_AWS = dict.fromkeys((*CREDENTIALS, "AWS_ENDPOINT_URL"))
NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""
DRY = "dry run: the job names no file of a Flywheel site; only the file itself is read"


def destination(center: Center, file_id: str) -> dict[str, Any]:
    """Return the container of a file, as config.json names it."""
    return dict(center.file(file_id)["parent_ref"])


def only_error(ended: Ended) -> str:
    """Return the one line of a run that could not begin: no traceback, nothing on stderr."""
    (line,) = ended.lines("ERROR")
    assert (ended.code, ended.err) == (1, "")
    assert "Traceback" not in ended.out
    return line


# --- fw-beta gear run -----------------------------------------------------------------------------


def test_with_a_destination_the_file_of_that_name_is_the_input(center: Center) -> None:
    """No job, no hierarchy, an empty file_id: the run is as complete as the platform's."""
    file_id = center.upload(name=LOCAL)
    folder = center.local_folder(destination=destination(center, file_id))
    ended = center.run_in(folder, exec_=True)
    assert (ended.code, ended.err) == (0, "")
    assert center.verdict(file_id) == ("PASS", [], [f"{GEAR}-PASS"])
    job_info = center.file(file_id)["info"]["qc"][GEAR]["job_info"]
    assert job_info["job_id"] == ""
    assert job_info["inputs"][INPUT] == {
        "parent": destination(center, file_id),
        "file_id": file_id,
        "version": 1,
        "file_name": LOCAL,
    }
    assert center.runs() == [f"PASS  {LOCAL} {file_id}#1"]
    ((key, event),) = center.events().items()
    assert key.startswith("dev/")
    assert event["file_id"] == file_id


@pytest.mark.parametrize("kind", ["acquisition", "project"])
def test_without_such_a_file_it_is_a_dry_run(center: Center, kind: str) -> None:
    """The file is read, nothing is written, and the log says so; any container will do."""
    file_id = center.upload(name="another.dicom.zip")
    container = center.file(file_id)["parents"][kind]
    before = center.sandbox.site.dump(center.project)
    ended = center.run_in(center.local_folder(destination={"type": kind, "id": container}))
    assert (ended.code, ended.err) == (0, "")
    assert any("has no file of the input's name" in line for line in ended.lines("INFO"))
    assert DRY in ended.lines("INFO")
    assert ended.summary.startswith("verdict PASS; written: nothing; requests: AWS SSM 1, Flywheel")
    assert center.sandbox.site.dump(center.project) == before
    assert center.events() == {}


@pytest.mark.parametrize("key", [True, False], ids=["with a key", "without"])
def test_without_a_destination_nobody_is_asked(center: Center, *, key: bool) -> None:
    """It needs no key, no AWS and no site to say what the file holds."""
    folder = center.local_folder()
    if not key:
        document = read_config(folder)
        del document["inputs"]["api-key"]
        write_config(folder, document)
    ended = center.run_in(folder, environ=NO_AWS)
    assert (ended.code, ended.err) == (0, "")
    assert DRY in ended.lines("INFO")
    assert ended.summary.startswith("verdict PASS; written: nothing; requests: none;")
    assert center.requests() == {}


def test_a_local_dry_run_judges_the_file(center: Center) -> None:
    """What can't be used FAILs, with its reason; a bad file is no bad job."""
    ended = center.run_in(center.local_folder(zipped(b"no image")), environ=NO_AWS)
    assert (ended.code, ended.err) == (0, "")
    (line,) = ended.lines("ERROR")
    assert line.startswith("not-dicom: ")
    assert ended.summary.startswith("verdict FAIL (not-dicom); written: nothing;")


def test_a_dry_run_with_a_destination_writes_nothing(center: Center) -> None:
    """dry_run is kept, and the file of the site is looked at."""
    file_id = center.upload(name=LOCAL)
    before = center.sandbox.site.dump(center.project)
    folder = center.local_folder(destination=destination(center, file_id), dry_run=True)
    ended = center.run_in(folder)
    assert ended.code == 0
    assert "the plan: [" in ended.out
    assert center.sandbox.site.dump(center.project) == before
    assert center.events() == {}


def test_a_destination_without_a_key_is_an_error(center: Center) -> None:
    """Which site it is of can't be known."""
    file_id = center.upload(name=LOCAL)
    folder = center.local_folder(destination=destination(center, file_id))
    document = read_config(folder)
    del document["inputs"]["api-key"]
    write_config(folder, document)
    assert only_error(center.run_in(folder)).startswith("config-invalid: ")
    assert center.requests() == {}


def test_a_key_without_its_base_is_found(center: Center) -> None:
    """Some tools write the api-key input without saying what it is."""
    file_id = center.upload(name=LOCAL)
    folder = center.local_folder(destination=destination(center, file_id))
    document = read_config(folder)
    del document["inputs"]["api-key"]["base"]
    write_config(folder, document)
    assert center.run_in(folder).code == 0
    assert center.verdict(file_id)[0] == "PASS"


def test_config_json_may_lack_what_has_a_default(center: Center) -> None:
    """Only the two required entries are there."""
    file_id = center.upload(name=LOCAL)
    folder = center.local_folder(destination=destination(center, file_id))
    document = read_config(folder)
    document["config"] = {"event_environment": "prod", "event_bucket": BUCKET}
    write_config(folder, document)
    assert center.run_in(folder).code == 0
    assert center.log_verdict(LOG) == ("PASS", [])


# --- The folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_flywheel_the_folder_is_the_platform_s(center: Center, value: str | None) -> None:
    """/flywheel/v0, which this machine has not."""
    folder = center.local_folder()
    ended = center.run_in(folder, environ={"FLYWHEEL": value}, exec_=value is None)
    line = only_error(ended)
    assert line.startswith("config-invalid: There is no /flywheel/v0/config.json. ")


@pytest.mark.parametrize("name", ["config.json", "manifest.json"])
def test_a_missing_file_is_named(center: Center, name: str) -> None:
    """One sentence, exit 1."""
    folder = center.local_folder()
    (folder / name).unlink()
    line = only_error(center.run_in(folder))
    assert line.startswith(f"config-invalid: There is no {folder / name}. ")


def test_a_missing_input_is_named(center: Center) -> None:
    """The upload is neither where config.json says nor where the platform mounts it."""
    file_id = center.upload()
    folder = center.folder_of(file_id)
    (path,) = (folder / "input" / INPUT).iterdir()
    path.unlink()
    line = only_error(center.run_in(folder))
    assert line.startswith("config-invalid: The input file is not where the platform mounts it")
    assert center.verdict(file_id) == ("FAIL", ["config-invalid"], [f"{GEAR}-FAIL"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"config"',
        '{"config": {"key": "SECRET-7731"}, }',
        "\x00\x01\x02",
        "[" * 100_000,
        '{"config": []}',
        '{"config": {}, "inputs": {"input_file": 5}}',
        '{"config": {}, "inputs": "SECRET-7731"}',
    ],
    ids=[
        "empty",
        "cut off",
        "a list",
        "null",
        "a text",
        "a comma too many",
        "control characters",
        "nested",
        "config a list",
        "input a number",
        "inputs a text",
    ],
)
def test_a_broken_config_json_is_one_sentence(center: Center, text: str) -> None:
    """Whatever is in it: no traceback, and nothing of its content in the log."""
    folder = center.local_folder()
    (folder / "config.json").write_text(text, encoding="utf-8")
    ended = center.run_in(folder)
    assert only_error(ended).startswith("config-invalid: ")
    assert leaks(ended.out, {"content": "SECRET-7731"}) == []


def test_bytes_that_are_no_text_are_one_sentence_too(center: Center) -> None:
    """config.json in another encoding than UTF-8."""
    folder = center.local_folder()
    (folder / "config.json").write_bytes('{"config": "\xe4"}'.encode("latin-1"))
    assert only_error(center.run_in(folder)).startswith("config-invalid: ")


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00"], ids=["empty", "a list", "{}", "control"])
def test_a_broken_manifest_is_one_sentence(center: Center, text: str) -> None:
    """It is asked for the gear's version only."""
    folder = center.local_folder()
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    assert only_error(center.run_in(folder)).startswith("config-invalid: ")


# --- AWS ------------------------------------------------------------------------------------------


def test_all_missing_variables_are_named_at_once(center: Center) -> None:
    """One sentence; nobody is asked but Flywheel, for the record on the file."""
    file_id = center.upload()
    ended = center.run_in(center.folder_of(file_id), environ=NO_AWS)
    line = only_error(ended)
    assert f"The AWS environment is not complete: {', '.join(CREDENTIALS)} is not set. " in line
    assert center.requests().keys() == {"flywheel"}
    assert center.verdict(file_id) == ("FAIL", ["aws-credentials-missing"], [f"{GEAR}-FAIL"])


def test_each_service_may_have_an_endpoint_of_its_own(center: Center) -> None:
    """AWS_ENDPOINT_URL_SSM, _S3 and _LAMBDA go before AWS_ENDPOINT_URL."""
    url = center.sandbox.url
    services = {f"AWS_ENDPOINT_URL_{name}": url for name in ("SSM", "S3", "LAMBDA")}
    file_id = center.upload()
    folder = center.folder_of(file_id)
    ended = center.run_in(folder, environ={"AWS_ENDPOINT_URL": NOWHERE, **services})
    assert ended.code == 0
    assert center.verdict(file_id) == ("PASS", [], [f"{GEAR}-PASS"])
    assert center.requests("ssm", "s3", "lambda") == {"ssm": 1, "s3": 1, "lambda": 1}


def test_one_service_s_endpoint_leads_only_that_one_astray(center: Center) -> None:
    """Nobody listens where S3 should be: the rest is written, and the event is owed."""
    file_id = center.upload()
    ended = center.run_in(center.folder_of(file_id), environ={"AWS_ENDPOINT_URL_S3": NOWHERE})
    assert ended.code == 0
    assert center.verdict(file_id) == ("PASS", ["event-not-captured"], [f"{GEAR}-PASS"])
    assert center.requests("ssm", "s3", "lambda") == {"ssm": 1, "s3": 0, "lambda": 1}


def test_the_image_itself_is_an_input_too(center: Center) -> None:
    """A single DICOM file, not a zip, in a prepared folder."""
    ended = center.run_in(center.local_folder(image(PatientID=PTID)), environ=NO_AWS)
    assert ended.code == 0
    assert ended.summary.startswith("verdict PASS; ")


@pytest.mark.parametrize(
    "environ",
    [{"FW_SSL_CERT_FILE": "/nope"}, {"HTTPS_PROXY": "nonsense://u:secret@x"}],
    ids=["certificates", "proxy"],
)
def test_an_environment_that_no_connection_can_be_made_with_is_named(
    center: Center, environ: dict[str, str]
) -> None:
    """One sentence that names the variables, without what they hold; nothing can be recorded."""
    ended = center.run_in(center.folder_of(center.upload()), environ=environ)
    assert ended.code == 1
    [line] = ended.lines("ERROR")
    assert "config-invalid" in line
    assert "FW_SSL_CERT_FILE" in line
    assert "HTTPS_PROXY" in line
    assert "Traceback" not in ended.out + ended.err
    assert "secret" not in ended.out + ended.err
