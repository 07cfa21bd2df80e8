"""The tree of errors: complete, its codes told apart, each with what it does to the job."""

from __future__ import annotations

import pytest

from imaging_gears import errors
from imaging_gears.errors import ImagingError, ServiceError, subclasses
from imaging_gears.model import findings

KINDS = subclasses()[1:]
# The table of errors (docs and design): what each branch does to the job.
DISPOSITIONS = {
    errors.InputFileError: "fail-file",
    errors.IdentityError: "fail-file",
    errors.ConfigError: "fail-job",
    errors.DeliveryError: "fail-job",
    errors.ServiceError: "fail-job",
    errors.UnexpectedError: "fail-job",
}

# Whom there is to ask, and what each can do that the others can't.
DATA_MANAGER = "the center's data manager"  # knows the participants and where images belong
HELP_DESK = "NACC's help desk"  # speaks for the registry, its API and the centers' numbers
FLYWHEEL = "the Flywheel site administrator"  # gear rules, keys and permissions, allow lists
AWS = "the owner of the AWS account"  # parameters, buckets, functions and their permissions
DICOM_SERVER = "the DICOM server's administrator"  # who may send to it, and with what certificate
SCANNER = "the scanner or PACS staff"  # make the images, and export them
DEVELOPERS = "the gear's developers"
PEOPLE = {DATA_MANAGER, HELP_DESK, FLYWHEEL, AWS, DICOM_SERVER, SCANNER, DEVELOPERS}
WHO_CAN_HELP = {
    "config-invalid": {FLYWHEEL},
    "aws-credentials-missing": {FLYWHEEL},
    "permission-denied": {FLYWHEEL, AWS, HELP_DESK},
    "parameter-missing": {AWS},
    "key-of-another-site": {FLYWHEEL, AWS},
    "adcid-invalid": {HELP_DESK},
    "not-found": {FLYWHEEL, AWS},
    "nothing-to-send": {DATA_MANAGER},
    "tls-files-invalid": {DICOM_SERVER},
    "certificate-refused": {DICOM_SERVER},
    "tls-refused": {DICOM_SERVER},
    "association-rejected": {DICOM_SERVER},
    "called-ae-title-unknown": {DICOM_SERVER},
    "calling-ae-title-unknown": {DICOM_SERVER},
    "no-dicom-server": {DICOM_SERVER},
    "file-unusable": {SCANNER},
    "not-dicom": {SCANNER},
    "archive-unreadable": {SCANNER},
    "header-unreadable": {SCANNER},
    "attribute-missing": {SCANNER},
    "attribute-invalid": {SCANNER},
    "ptid-invalid": {DATA_MANAGER},
    "identity-unknown": {DATA_MANAGER},
    "identifier-not-found": {DATA_MANAGER, HELP_DESK},
    "naccid-invalid": {HELP_DESK},
    "naccid-conflict": {HELP_DESK},
    "images-not-sent": {DICOM_SERVER, SCANNER},
    "dicom-server-failed": {DICOM_SERVER},
    "dicom-server-unreachable": {DICOM_SERVER},
    "dicom-server-out-of-resources": {DICOM_SERVER},
    "service-unavailable": {FLYWHEEL, AWS, HELP_DESK},
    "unexpected-error": {DEVELOPERS},
    "ptid-mismatch": {DATA_MANAGER},
    "no-preamble": {SCANNER},
    "no-transfer-syntax": {SCANNER},
    "undecodable-characters": {SCANNER},
    "mixed-identity": {DATA_MANAGER},
    "multiple-values": {SCANNER},
    "qc-log-not-written": {FLYWHEEL},
    "event-not-captured": {AWS},
    "file-record-not-written": {FLYWHEEL},
}
"""Code -> those to whom what is at fault belongs."""
REMEDIES = {kind.code: kind.remedy for kind in (*KINDS, *findings.WARNINGS)}


def asked(remedy: str) -> set[str]:
    """Return the people whom a remedy names."""
    return {person for person in PEOPLE if person in remedy}


def made(kind: type[ImagingError]) -> ImagingError:
    """Return an error of that kind."""
    if issubclass(kind, ServiceError):
        return kind("AWS S3", "timed out")
    return kind("The sentence.", location="StudyDate", value="2024", expected="YYYYMMDD")


def test_the_tree_has_six_branches() -> None:
    """Every error is of one of the rows of the table, or one that nobody foresaw."""
    assert set(ImagingError.__subclasses__()) == set(DISPOSITIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_error_does_follows_from_its_branch(kind: type[ImagingError]) -> None:
    """An error of the file or of the identity fails the file, every other one fails the job."""
    (branch,) = (each for each in DISPOSITIONS if issubclass(kind, each))
    assert kind.disposition == DISPOSITIONS[branch]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_tells_code_cause_and_remedy(kind: type[ImagingError]) -> None:
    """A code is lower case with hyphens; cause and remedy are sentences."""
    assert set(kind.code) <= set("abcdefghijklmnopqrstuvwxyz-")
    assert kind.cause.endswith(".")
    assert kind.remedy.endswith((".", ")."))


def test_no_two_errors_share_a_code() -> None:
    """Who reads a code knows the error."""
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_declares_its_own_code_and_catalogue_texts(kind: type[ImagingError]) -> None:
    """No leaf inherits the code, the cause or the remedy of the branch that it hangs on."""
    assert {"code", "cause", "remedy"} <= vars(kind).keys()


@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_in_the_docstring_is_the_tree(kind: type[ImagingError]) -> None:
    """The drawing at the top of the module names every class."""
    assert f" {kind.__name__} " in str(errors.__doc__)


def test_an_error_says_what_is_wrong_and_what_to_do() -> None:
    """The sentence for a person is the message and the remedy, without the value found."""
    error = made(errors.MissingAttributeError)
    assert error.sentence() == f"The sentence. {errors.MissingAttributeError.remedy}"
    assert (error.location, error.value, error.expected) == ("StudyDate", "2024", "YYYYMMDD")
    assert str(error) == "The sentence."


@pytest.mark.parametrize(
    ("doing", "text"),
    [
        (None, "AWS S3 did not answer usably: timed out."),
        ("writing", "AWS S3 did not answer usably while writing: timed out."),
    ],
)
def test_a_service_error_names_the_service(doing: str | None, text: str) -> None:
    """Who did not answer, what for where that is known, and what it did instead."""
    error = ServiceError("AWS S3", "timed out", while_=doing)
    assert str(error) == text
    assert (error.service, error.problem, error.value) == ("AWS S3", "timed out", None)


def test_subclasses_lists_parents_before_children() -> None:
    """The catalogue can be written in the order of the list."""
    listed = subclasses()
    assert listed[0] is ImagingError
    assert all(
        listed.index(parent) < listed.index(kind)
        for kind in KINDS
        for parent in kind.__mro__[1:]
        if parent in listed
    )


@pytest.mark.parametrize("code", REMEDIES)
def test_a_remedy_names_those_who_can_help(code: str) -> None:
    """Whom to ask for what the reader may not do or know: nobody else, and nobody missing."""
    assert asked(REMEDIES[code]) == WHO_CAN_HELP[code]
    # Named by the words of the list only: a word for one of them beside these would be a second.
    rest = REMEDIES[code]
    for person in PEOPLE:
        rest = rest.replace(person, "")
    assert not {"administrator", "staff", "help desk", "manager", "owner"} & set(rest.split())


def test_every_code_has_somebody_who_can_help_and_everybody_is_asked_somewhere() -> None:
    """No code without an entry, no entry without a code, no one who is named for nothing."""
    assert WHO_CAN_HELP.keys() == REMEDIES.keys()
    assert set().union(*WHO_CAN_HELP.values()) == PEOPLE
    assert asked("Correct the label and run the gear again.") == set()
