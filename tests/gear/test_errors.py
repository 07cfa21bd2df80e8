"""Every error of the catalogue in a real run: what brings it about, and all that it does."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imaging_gears import errors
from imaging_gears.errors import ImagingError
from imaging_gears.model.findings import FROM_CONTENT, PTID_MISMATCH, WARNINGS
from imaging_gears.sandbox import Fault
from tests.gear.gear_helpers import (
    GEAR,
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
from tests.unit.dicom.builders import DIRECTORY, EXPLICIT, body, meta, packed_zip
from tools.error_catalogue import LOOKUP

# Lines that other tests go through as well, many times over.
pytestmark = pytest.mark.no_cover

OTHER = "NACC000777"
ABSTRACT = {ImagingError, errors.InputFileError, errors.IdentityError}
"""Errors that only group others: nothing raises them."""


@dataclass(slots=True)
class Arranged:
    """A job that is going to fail: its input and folder, and options of `Center.start`."""

    file_id: str
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, center: Center, **options: object) -> Ended:
        """Run it without the pauses between tries."""
        return center.run_in(self.folder, **{"patches": QUICK, **self.options, **options})


@dataclass(frozen=True, slots=True)
class Case:
    """One way to an error.

    Attributes:
        error: what is raised.
        name: what is wrong.
        arrange: brings it about.
        log: whether the visit is known, so that its QC log is written.
        record: whether the file can be written to.
    """

    error: type[ImagingError]
    name: str
    arrange: Callable[[Center], Arranged]
    log: bool = False
    record: bool = True

    def run(self, center: Center, **options: object) -> tuple[str, Ended]:
        """Bring it about; return the file's id and how the run ended."""
        arranged = self.arrange(center)
        return arranged.file_id, arranged.run(center, **options)


def config(**values: object) -> Callable[[Center], Arranged]:
    """Set config values; None leaves one out."""

    def arrange(center: Center) -> Arranged:
        file_id = center.upload()
        folder = center.folder_of(file_id)
        document = read_config(folder)
        merged = {**document["config"], **values}
        document["config"] = {key: value for key, value in merged.items() if value is not None}
        write_config(folder, document)
        return Arranged(file_id, folder)

    return arrange


def environ(**values: str | None) -> Callable[[Center], Arranged]:
    """Set variables; None removes one."""

    def arrange(center: Center) -> Arranged:
        file_id = center.upload()
        return Arranged(file_id, center.folder_of(file_id), {"environ": values})

    return arrange


def allowed(*actions: str) -> Callable[[Center], Arranged]:
    """Give the AWS credentials these permissions only."""

    def arrange(center: Center) -> Arranged:
        center.sandbox.allowed_actions = set(actions)
        file_id = center.upload()
        return Arranged(file_id, center.folder_of(file_id))

    return arrange


def parameters(**values: str) -> Callable[[Center], Arranged]:
    """Put these parameters under a prefix of the center's own."""

    def arrange(center: Center) -> Arranged:
        prefix = center.parameters(**values)
        file_id = center.upload()
        return Arranged(file_id, center.folder_of(file_id, apikey_path_prefix=prefix))

    return arrange


def faults(*given: Fault) -> Callable[[Center], Arranged]:
    """Let a service misbehave."""

    def arrange(center: Center) -> Arranged:
        file_id = center.upload()
        center.sandbox.faults.add(*given)
        return Arranged(file_id, center.folder_of(file_id))

    return arrange


def always(service: str, route: str = "*", status: int = 503, **more: Any) -> Fault:  # noqa: ANN401
    """Return a fault that never ends."""
    return Fault(service=service, route=route, times=None, status=status, **more)


def content(data: bytes, name: str = NAME) -> Callable[[Center], Arranged]:
    """Upload something else than an image."""

    def arrange(center: Center) -> Arranged:
        file_id = center.upload(data=data, name=name)
        return Arranged(file_id, center.folder_of(file_id))

    return arrange


def subject(
    label: str = PTID, data: bytes | None = None, **info: str
) -> Callable[[Center], Arranged]:
    """Upload to a subject of that label and info."""

    def arrange(center: Center) -> Arranged:
        file_id = center.upload(center.subject(label, **info), data)
        return Arranged(file_id, center.folder_of(file_id))

    return arrange


def project(**info: object) -> Callable[[Center], Arranged]:
    """Give the project other info."""

    def arrange(center: Center) -> Arranged:
        center.sandbox.site.hierarchy.change_info(center.project, {"replace": info})
        file_id = center.upload()
        return Arranged(file_id, center.folder_of(file_id))

    return arrange


def registered(naccid: str) -> Callable[[Center], Arranged]:
    """Let the registry answer something else."""

    def arrange(center: Center) -> Arranged:
        center.sandbox.identifiers.add("prod", center.adcid, PTID, naccid)
        return subject()(center)

    return arrange


def patched(name: str, value: object) -> Callable[[Center], Arranged]:
    """Put a defect into the program."""

    def arrange(center: Center) -> Arranged:
        file_id = center.upload()
        folder = center.folder_of(file_id)
        return Arranged(file_id, folder, {"patches": {**QUICK, name: value}})

    return arrange


def without_key(center: Center) -> Arranged:
    """Give the job no key of the site."""
    file_id = center.upload()
    folder = center.folder_of(file_id)
    document = read_config(folder)
    del document["inputs"]["api-key"]
    write_config(folder, document)
    return Arranged(file_id, folder)


def refused_key(center: Center) -> Arranged:
    """Let the key in SSM be of this site, and revoked."""
    key = center.sandbox.api_key.rpartition(":")[0] + ":revoked"
    return parameters(apikey=key)(center)


def reader_s_key(center: Center) -> Arranged:
    """Let the key in SSM be one that may only read."""
    center.sandbox.site.access.add_user(f"reader-{center.adcid}", "read-only")
    return parameters(apikey=f"{{key:reader-{center.adcid}}}")(center)


def deleted(center: Center) -> Arranged:
    """Delete the file before the job runs."""
    file_id = center.upload()
    folder = center.folder_of(file_id)
    center.sandbox.site.files.remove(file_id)
    return Arranged(file_id, folder)


def in_the_project(center: Center) -> Arranged:
    """Run the gear on a file that belongs to no subject."""
    file = center.sandbox.site.upload(center.project, NAME, zipped(image()), type="dicom")
    return Arranged(file["file_id"], center.folder_of(file["file_id"]))


MISSING_FUNCTION = {"x-amzn-ErrorType": "ResourceNotFoundException"}
FUNCTION_ERROR = '{"errorMessage": "2026-01-01 Task timed out after 3.00 seconds"}'
CUT = image()[:-400]
DICOMDIR = meta(EXPLICIT, DIRECTORY) + body()
ENCRYPTED = packed_zip([("IM1", image())], flags=1)
DEFLATE64 = packed_zip([("IM1", image())], method=9, content=b"\0" * 99)

CASES = (
    Case(errors.ConfigError, "no bucket", config(event_bucket=None)),
    Case(errors.ConfigError, "no environment", config(event_environment=None)),
    Case(errors.ConfigError, "no such environment", config(event_environment="test")),
    Case(errors.ConfigError, "no such mode", config(database_mode="PROD")),
    Case(errors.ConfigError, "a wrong type", config(dry_run="true")),
    Case(errors.ConfigError, "an unknown entry", config(bucket="nacc")),
    Case(errors.ConfigError, "file of no subject", in_the_project),
    Case(
        errors.ConfigError,
        "identifier URL not https",
        parameters(url="http://identifiers.example.org/", key="k"),
    ),
    Case(errors.CredentialsError, "no key id", environ(AWS_ACCESS_KEY_ID=None)),
    Case(errors.CredentialsError, "no secret", environ(AWS_SECRET_ACCESS_KEY=None)),
    Case(errors.CredentialsError, "no region", environ(AWS_DEFAULT_REGION=None)),
    Case(errors.PermissionDeniedError, "SSM", allowed("s3:PutObject")),
    Case(errors.PermissionDeniedError, "Lambda", allowed("ssm:GetParameters"), log=True),
    Case(
        errors.PermissionDeniedError,
        "identifier API's key",
        parameters(url="{identifiers_url}", key="revoked"),
        log=True,
    ),
    Case(errors.PermissionDeniedError, "gear's key revoked", refused_key),
    Case(errors.PermissionDeniedError, "gear's key reads only", reader_s_key, record=False),
    Case(errors.ParameterMissingError, "nothing there", config(apikey_path_prefix="/nothing/here")),
    Case(errors.ParameterMissingError, "blank", parameters(apikey=" ")),
    Case(errors.ParameterMissingError, "URL without key", parameters(url="{identifiers_url}")),
    Case(errors.SiteKeyError, "other host", parameters(apikey="fw.example.org:somebody-else-s")),
    Case(errors.SiteKeyError, "other port", parameters(apikey="{host}:1:__force_insecure:s3cr3t")),
    Case(errors.SiteKeyError, "no key at all", parameters(apikey="somebody-else-s")),
    Case(
        errors.SiteKeyError,
        "unencrypted",
        parameters(apikey="fw.example.org:80:__force_insecure:s3cr3t"),
    ),
    Case(errors.ConfigError, "job without key", without_key, record=False),
    Case(errors.AdcidError, "no ADCID", project(center="alpha")),
    Case(errors.AdcidError, "no number", project(pipeline_adcid="4_2")),
    Case(errors.AdcidError, "below zero", project(pipeline_adcid=-1)),
    Case(errors.NotFoundError, "file deleted", deleted, record=False),
    Case(errors.NotFoundError, "project deleted", faults(always("flywheel", "/projects/*", 404))),
    Case(
        errors.NotFoundError,
        "no Lambda function",
        faults(always("lambda", status=404, headers=MISSING_FUNCTION)),
        log=True,
    ),
    Case(errors.NotDicomError, "text", content(b"not an image\n" * 99, "notes.txt")),
    Case(errors.NotDicomError, "empty file", content(b"")),
    Case(errors.NotDicomError, "zip of texts", content(zipped(b"a text", b"another"))),
    Case(errors.NotDicomError, "empty zip", content(zipped())),
    Case(errors.NotDicomError, "DICOMDIR", content(DICOMDIR)),
    Case(errors.ArchiveError, "zip cut off", content(zipped(image())[:-40])),
    Case(errors.ArchiveError, "encrypted", content(ENCRYPTED)),
    Case(errors.ArchiveError, "Deflate64", content(DEFLATE64)),
    Case(errors.ArchiveError, "7z", content(b"7z\xbc\xaf\x27\x1c" + bytes(200))),
    Case(errors.HeaderError, "cut off", content(image()[: image().index(b"1.2.840.99.7713.1")])),
    Case(errors.HeaderError, "cut off in a zip", content(zipped(image()[:240]))),
    Case(errors.MissingAttributeError, "StudyDate", content(image(StudyDate=None))),
    Case(errors.MissingAttributeError, "Modality empty", content(image(Modality=""))),
    Case(errors.InvalidAttributeError, "no such day", content(image(StudyDate="20240230"))),
    Case(errors.InvalidAttributeError, "two dates", content(image(StudyDate="20240115\\20240116"))),
    Case(errors.InvalidAttributeError, "modality", content(image(Modality="C_T"))),
    Case(errors.InvalidAttributeError, "control", content(image(PatientID=f"{PTID}\x07"))),
    Case(errors.PtidError, "zeros only", subject("0000")),
    Case(errors.PtidError, "too long", subject("12345678901")),
    Case(errors.PtidError, "a blank in it", subject("QZ7 4418")),
    Case(errors.PtidError, "neither", subject("", zipped(image(PatientID=None)))),
    Case(errors.PtidError, "PatientID too long", subject("", image(PatientID="Q" * 11))),
    Case(
        errors.IdentifierNotFoundError,
        "unknown",
        subject("QZ9-0001", image(PatientID="QZ9-0001")),
        log=True,
    ),
    Case(errors.NaccidInvalidError, "stored: none", subject(naccid="banana"), log=True),
    Case(errors.NaccidInvalidError, "stored: other mode", subject(naccid="TEST908172"), log=True),
    Case(errors.NaccidInvalidError, "answered: none", registered("NACC42"), log=True),
    Case(errors.NaccidInvalidError, "answered: other mode", registered("TEST908172"), log=True),
    Case(
        errors.NaccidConflictError,
        "label and subject",
        subject(f"{PTID}+{NACCID}", naccid=OTHER),
        log=True,
    ),
    Case(errors.NaccidConflictError, "label and registry", subject(f"{PTID}+{OTHER}"), log=True),
    Case(
        errors.UnexpectedError,
        "a defect of the gear",
        patched("imaging_gears.image_identifier_lookup.file_resolver.KEPT", f"{PTID} {NACCID}"),
    ),
    Case(errors.ServiceError, "SSM", faults(always("ssm"))),
    Case(errors.ServiceError, "Lambda", faults(always("lambda")), log=True),
    Case(
        errors.ServiceError,
        "Lambda function ends with an error",
        faults(
            always(
                "lambda",
                kind="body",
                status=200,
                body=FUNCTION_ERROR,
                headers={"X-Amz-Function-Error": "Unhandled"},
            )
        ),
        log=True,
    ),
    Case(errors.ServiceError, "subject", faults(always("flywheel", "/subjects/*"))),
    Case(errors.ServiceError, "file", faults(always("flywheel")), record=False),
)
NAMES = [f"{case.error.code}: {case.name}" for case in CASES]
MORE = {
    "other NACCID": OTHER,
    "other PTID": "QZ9-0001",
    "PTID too long": "12345678901",
    "PatientID too long": "QQQQQQQQQQQ",
    "PTID with a blank": "QZ7 4418",
    "no date": "20240230",
    "stored text": "banana",
    "key of another site": "somebody-else-s",
    "key that would travel unencrypted": "s3cr3t",
}
"""What the cases hold of a person or a key, beside `Center.marks`."""


def subjects(center: Center) -> dict[str, Any]:
    """Return the info of the project's subjects, by their ids."""
    project = center.project
    every = center.sandbox.site.hierarchy.all("subject")
    return {doc["_id"]: doc["info"] for doc in every if doc["project"] == project}


def log_of(file_id: str, center: Center) -> str:
    """Return the name of the one QC log that tells of a file."""
    (name,) = [
        name for name, each in center.logs().items() if file_id in each["info"][GEAR]["files"]
    ]
    return name


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_an_error_does_what_the_table_says(center: Center, case: Case) -> None:
    """Exit code, verdict, tag, QC log, event and log line; the subject is as it was."""
    arranged = case.arrange(center)
    file_id, before = arranged.file_id, subjects(center)
    ended = arranged.run(center)
    assert subjects(center) == before
    fails_job = case.error.disposition == "fail-job"
    assert ended.code == (1 if fails_job else 0)
    code = case.error.code
    if case.record:
        assert center.verdict(file_id) == ("FAIL", [code], [f"{GEAR}-FAIL"])
    if case.log:
        name = log_of(file_id, center)
        assert center.log_verdict(name) == ("FAIL", [code])
        assert center.runs(name) == [f"FAIL  {NAME} {file_id}#1"]
    else:
        assert center.logs() == {}
    announced = [(each["status"], each["file_id"]) for each in center.events().values()]
    assert announced == ([("FAIL", file_id)] if case.log and not fails_job else [])
    check_what_is_printed(ended, case.error)
    assert leaks(ended.out, MORE) == []


def check_what_is_printed(ended: Ended, error: type[ImagingError]) -> None:
    """Hold the log to one line for the error, one for the summary, and no trace of the program."""
    (line,) = ended.lines("ERROR")
    code, _, sentence = line.partition(": ")
    assert code == error.code
    assert sentence.endswith(error.remedy)
    # What is wrong comes before what to do, and is a sentence.
    assert sentence.removesuffix(error.remedy).endswith(". ")
    assert ended.err == ""
    assert "Traceback" not in ended.out
    assert ended.summary.startswith(f"verdict FAIL ({error.code}")
    assert not ended.lines("CRITICAL")


def test_every_error_and_warning_has_a_case() -> None:
    """Nothing in the catalogue is without a run that shows it."""
    shown = {case.error for case in CASES}
    assert shown == LOOKUP.kinds - ABSTRACT
    assert WARNED.keys() == {kind.code for kind in WARNINGS}


def test_the_error_object_is_complete(center: Center) -> None:
    """All thirteen keys, in file record, log info and log text alike; the value is there only."""
    file_id = center.upload(center.subject(naccid="TEST908172"))
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    center.run(file_id)
    validation = center.file(file_id)["info"]["qc"][GEAR]["validation"]
    (found,) = validation["data"]
    stamp = found.pop("timestamp")
    moment = dt.datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC)
    assert before <= moment <= dt.datetime.now(dt.UTC)
    message = found.pop("message")
    assert message.endswith(errors.NaccidInvalidError.remedy)
    assert found == {
        "type": "error",
        "code": "naccid-invalid",
        "location": {"key_path": "subject.info"},
        "container_id": file_id,
        "flywheel_path": f"fw://{center.group}/ingest-dicom/{PTID}/visit-1/T1/{NAME}",
        "value": "TEST908172",
        "expected": "NACC and six digits",
        "ptid": PTID,
        "visitnum": None,
        "date": "2024-01-15",
        "naccid": None,
    }
    whole = {**found, "timestamp": stamp, "message": message}
    log = center.log()
    assert log["info"]["qc"][GEAR]["validation"] == {
        "state": "FAIL",
        "data": [whole],
        "cleared": [],
    }
    (line,) = [line for line in log["text"].splitlines() if line.startswith("{")]
    assert json.loads(line) == whole
    assert '"code":"naccid-invalid","location":{' in line


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"]
)
def test_a_missing_variable_is_named(center: Center, name: str) -> None:
    """The sentence says which one."""
    arranged = environ(**{name: None})(center)
    (line,) = center.run_in(arranged.folder, **arranged.options).lines("ERROR")
    assert f": {name} is not set." in line


@pytest.mark.parametrize("error", [errors.NotDicomError, errors.ParameterMissingError])
def test_a_failure_by_the_true_command_is_no_other(
    center: Center, error: type[ImagingError]
) -> None:
    """The manifest's command ends as the forked runs do."""
    case = next(case for case in CASES if case.error is error)
    file_id, ended = case.run(center, patches=None, exec_=True)
    assert ended.code == (1 if error.disposition == "fail-job" else 0)
    assert center.verdict(file_id)[:2] == ("FAIL", [error.code])
    check_what_is_printed(ended, error)


# --- Warnings -------------------------------------------------------------------------------------

WITHOUT_SYNTAX = meta(None) + image().removeprefix(meta(EXPLICIT))
NOT_TEXT = image(SpecificCharacterSet="ISO_IR 192", SeriesDescription=b"T1 \xff\xfe")
WARNED: Mapping[str, bytes | Fault] = {
    "ptid-mismatch": image(PatientID="somebody"),
    "no-preamble": image()[132:],
    "no-transfer-syntax": WITHOUT_SYNTAX,
    "undecodable-characters": NOT_TEXT,
    "mixed-identity": zipped(image(), image(StudyInstanceUID="1.2.840.99.7713.9")),
    "multiple-values": image(SeriesDescription="T1\\T2"),
    "qc-log-not-written": always("flywheel", "/projects/*/files", 403, method="POST"),
    "event-not-captured": always("s3", "PutObject", 403),
    "file-record-not-written": always("flywheel", "/containers/*/info", 403, method="PATCH"),
}
"""Warning -> the upload that gives rise to it, or what is refused."""


def warned(center: Center, code: str) -> str:
    """Bring a warning about; return the file's id."""
    given = WARNED[code]
    if isinstance(given, Fault):
        center.sandbox.faults.add(given)
    return center.upload(data=given if isinstance(given, bytes) else None)


@pytest.mark.parametrize("code", WARNED)
def test_a_warning_leaves_verdict_and_event_alone(center: Center, code: str) -> None:
    """PASS, exit 0; each output that could be written carries the warning, the summary too."""
    file_id = warned(center, code)
    ended = center.quick(file_id)
    assert (ended.code, ended.err) == (0, "")
    assert ended.summary.startswith(f"verdict PASS ({code});")
    assert not ended.lines("ERROR")
    if code != "file-record-not-written":
        assert center.verdict(file_id) == ("PASS", [code], [f"{GEAR}-PASS"])
    if code != "qc-log-not-written":
        assert center.log_verdict() == ("PASS", [code])
        (line,) = [text for text in center.log()["text"].splitlines() if text.startswith("{")]
        assert (json.loads(line)["type"], json.loads(line)["code"]) == ("warning", code)
    if code != "event-not-captured":
        assert [each["status"] for each in center.events().values()] == ["PASS"]


@pytest.mark.parametrize("code", [kind.code for kind in (PTID_MISMATCH, *FROM_CONTENT)])
def test_a_warning_of_the_file_stays_when_the_file_is_not_read(center: Center, code: str) -> None:
    """The short cut's record says it again: it is as true as before."""
    given = WARNED[code]
    assert isinstance(given, bytes)
    file_id = center.upload(data=given)
    center.run(file_id)
    ended = center.run(file_id)
    assert "the file stays closed" in ended.out
    assert center.verdict(file_id) == ("PASS", [code], [f"{GEAR}-PASS"])
    assert center.log_verdict() == ("PASS", [code])
