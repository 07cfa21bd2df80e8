"""Every error raised on purpose, and what each does to the job.

* ImagingError
  x ConfigError                 - the job is set up wrongly; no file is at fault
    + CredentialsError            AWS credentials or region are missing
    + PermissionDeniedError       a service refused the key, or the key may not do this
    + ParameterMissingError       SSM has no such parameter
    + SiteKeyError                the gear's Flywheel key is none, or belongs to another site
    + AdcidError                  the project says no center
    + NotFoundError               what the job was given is not there (any more)
    + NothingToSendError          no DICOM file where the gear was started
    + TlsFilesError               a TLS input is missing, or is none
    + CertificateError            the DICOM server's certificate, or ours, was refused
    + TlsRefusedError             the DICOM server does not speak TLS, or not as we do
    + AssociationRejectedError    the DICOM server does not want an association with us
    + CalledAeTitleError          the DICOM server does not know the AE title it was called by
    + CallingAeTitleError         the DICOM server does not know our AE title
    + NoDicomServerError          what answers there is no DICOM server
  x InputFileError              - this file can't be used
    + NotDicomError               no DICOM, neither the file nor anything in it
    + ArchiveError                an archive that can't be opened
    + HeaderError                 a DICOM whose header can't be read whole
    + MissingAttributeError       a needed attribute is absent or empty
    + InvalidAttributeError       a needed attribute is there and is no legal value
    + PtidError                   no usable participant id
  x IdentityError               - whose image it is can't be said
    + IdentifierNotFoundError     the registry answered: no such participant
    + NaccidInvalidError          a NACCID that is none, or is of the other mode
    + NaccidConflictError         two NACCIDs for one subject
  x DeliveryError               - not every image arrived at the DICOM server
  x ServiceError                - a service did not answer; safe to run again
    + DicomServerError            the DICOM server aborted, or answered not or not usably
    + UnreachableError            no association with the DICOM server came about
    + OutOfResourcesError         the DICOM server has no room, or too many associations
  x UnexpectedError             - the gear met what it was not written for

`disposition` says what an error does: ``fail-file`` ends as QC FAIL in a job that succeeds,
``fail-job`` ends as exit 1. No message carries a value of a patient: `value` does, and only the QC
record shows it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Disposition = Literal["fail-file", "fail-job"]


class ImagingError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: one sentence for a person: what is wrong, and where. No value of a patient in it.
        location: where to look: a DICOM keyword, or a path such as ``project.info.adcid``.
        value: what was found there. May identify a patient: it goes into the QC record only.
        expected: what would have been right.
    """

    code: ClassVar[str]
    disposition: ClassVar[Disposition]
    cause: ClassVar[str]
    remedy: ClassVar[str]
    """What to do, and whom to ask for what the reader may not do or know."""

    def __init__(
        self,
        message: str,
        *,
        location: str | None = None,
        value: str | None = None,
        expected: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.value = value
        self.expected = expected

    def sentence(self) -> str:
        """Return what is wrong and what to do, for a log line or a terminal."""
        return f"{self.message} {self.remedy}"


class ConfigError(ImagingError):
    """The job is set up wrongly; no file is at fault."""

    code = "config-invalid"
    disposition = "fail-job"
    cause = "A config value or an input of the job is missing or not one of the allowed values."
    remedy = (
        "Correct the gear's configuration (gear rule or run dialog) and run it again; ask the"
        " Flywheel site administrator where you may not change it."
    )


class CredentialsError(ConfigError):
    """AWS credentials or region are missing."""

    code = "aws-credentials-missing"
    cause = (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_DEFAULT_REGION is not set in the job's"
        " environment, or the region or an AWS_ENDPOINT_URL is none."
    )
    remedy = (
        "Ask the Flywheel site administrator to put the gear on the allow list for the AWS"
        " variables, and to check them."
    )


class PermissionDeniedError(ConfigError):
    """A service refused the key, or the key may not do this.

    Attributes:
        unknown_key: the service does not know the key (HTTP 401), which may do nothing then.
    """

    code = "permission-denied"
    cause = "Flywheel, AWS or the identifier API answered 401 or 403 to the gear's key."
    remedy = (
        "Ask whoever runs the service that the sentence names to renew the key or to grant the"
        " permission (Flywheel: the Flywheel site administrator; AWS: the owner of the AWS account;"
        " identifier API: NACC's help desk). The gear's page in docs/ lists the permissions."
    )

    unknown_key: bool = False


class ParameterMissingError(ConfigError):
    """SSM has no such parameter."""

    code = "parameter-missing"
    cause = "The AWS SSM parameter store has no usable parameter of that name."
    remedy = (
        "Correct the config value apikey_path_prefix, or ask the owner of the AWS account to create"
        " the parameter."
    )


class SiteKeyError(ConfigError):
    """The gear's Flywheel key is none, or belongs to another site."""

    code = "key-of-another-site"
    cause = (
        "The gear's Flywheel key (the input api-key or, where the gear takes one from SSM, that) is"
        " not of the form host:KEY, would travel unencrypted, or is for another host than the job's"
        " own site."
    )
    remedy = (
        "Ask the Flywheel site administrator for a key of this site. For one in SSM, correct"
        " apikey_path_prefix, or ask the owner of the AWS account to put it into the parameter."
    )


class AdcidError(ConfigError):
    """The project says no center."""

    code = "adcid-invalid"
    cause = "project.info has neither pipeline_adcid nor adcid as a whole number of 0 or more."
    remedy = (
        "Set pipeline_adcid in the project's custom information; ask NACC's help desk for the"
        " center's number."
    )


class NotFoundError(ConfigError):
    """What the job was given is not there (any more)."""

    code = "not-found"
    cause = (
        "What the sentence names (a file, its subject or project, an S3 bucket, a Lambda function)"
        " does not exist, or was deleted meanwhile."
    )
    remedy = (
        "Check that it still exists and that the configuration names it correctly; ask the Flywheel"
        " site administrator or, if it is in AWS, the owner of the AWS account."
    )


class NothingToSendError(ConfigError):
    """No DICOM file where the gear was started."""

    code = "nothing-to-send"
    cause = "No file was given, and no file of type dicom lies below the container of the job."
    remedy = (
        "Run the gear on a session, acquisition or subject with DICOM files, or give it one; ask"
        " the center's data manager where they are."
    )


class TlsFilesError(ConfigError):
    """A TLS input is missing, or is none."""

    code = "tls-files-invalid"
    cause = (
        "tls_enabled is set, and the input key, cert or add_cert_file is missing, can't be read, or"
        " is no key or certificate; or key and cert do not belong together."
    )
    remedy = (
        "Give unencrypted PEM files as inputs: the private key, its certificate, the server's CA;"
        " ask the DICOM server's administrator for the CA, and who issues certificates that the"
        " server trusts."
    )


class CertificateError(ConfigError):
    """The DICOM server's certificate, or ours, was refused."""

    code = "certificate-refused"
    cause = (
        "The DICOM server's certificate is expired, for another host, or not signed by a CA that is"
        " trusted; or the server refused the gear's own certificate."
    )
    remedy = (
        "Expired: ask the DICOM server's administrator for a new certificate. For another host:"
        " give the name that is in it as destination. Not trusted: give its CA as add_cert_file."
        " The gear's own refused: ask the DICOM server's administrator to trust its CA."
    )


class TlsRefusedError(ConfigError):
    """The DICOM server does not speak TLS, or not as we do."""

    code = "tls-refused"
    cause = (
        "The DICOM server does not speak TLS on this port, or shares no TLS version or cipher suite"
        " with tls_security_profile."
    )
    remedy = (
        "Check port, tls_enabled and tls_security_profile; ask the DICOM server's administrator"
        " which of its ports speaks TLS, and how."
    )


class AssociationRejectedError(ConfigError):
    """The DICOM server does not want an association with us."""

    code = "association-rejected"
    cause = "The DICOM server rejected the association (PS3.8 9.3.4), and not for an AE title."
    remedy = (
        "Check called_ae and calling_ae all the same; ask the DICOM server's administrator to let"
        " the gear's AE title and host in."
    )


class CalledAeTitleError(ConfigError):
    """The DICOM server does not know the AE title it was called by."""

    code = "called-ae-title-unknown"
    cause = "The DICOM server rejected the association: called_ae is not its AE title."
    remedy = (
        "Correct called_ae: ask the DICOM server's administrator for its AE title, in exact case."
    )


class CallingAeTitleError(ConfigError):
    """The DICOM server does not know our AE title."""

    code = "calling-ae-title-unknown"
    cause = "The DICOM server rejected the association: it does not know the title in calling_ae."
    remedy = "Correct calling_ae, or ask the DICOM server's administrator to let this AE title in."


class NoDicomServerError(ConfigError):
    """What answers there is no DICOM server."""

    code = "no-dicom-server"
    cause = (
        "What answers at destination and port is no DICOM server: its answer to the association"
        " request is none of those that PS3.8 9.3 has (A-ASSOCIATE-AC, A-ASSOCIATE-RJ, A-ABORT)."
    )
    remedy = (
        "Correct destination and port, where another program listens, such as a web server; ask the"
        " DICOM server's administrator for them."
    )


class InputFileError(ImagingError):
    """This file can't be used."""

    code = "file-unusable"
    disposition = "fail-file"
    cause = "The input file can't be used."
    remedy = "Upload the file again from its source; ask the scanner or PACS staff for it."


class NotDicomError(InputFileError):
    """No DICOM, neither the file nor anything in it."""

    code = "not-dicom"
    cause = "Neither the file nor any member of the archive is a DICOM image."
    remedy = (
        "Upload a DICOM file, or a zip with at least one DICOM image in it; ask the scanner or PACS"
        " staff to export one."
    )


class ArchiveError(InputFileError):
    """An archive that can't be opened."""

    code = "archive-unreadable"
    cause = (
        "The upload is an archive that is cut off, damaged, encrypted, packed with a method that is"
        " not supported, or of a kind that the gear does not read."
    )
    remedy = (
        "Pack the series as an ordinary zip (deflate, no password) and upload it again; ask the"
        " scanner or PACS staff to export it again where the archive is damaged."
    )


class HeaderError(InputFileError):
    """A DICOM whose header can't be read whole."""

    code = "header-unreadable"
    cause = (
        "The DICOM header is cut off, contradicts its own lengths or transfer syntax, or exceeds"
        " the bounds of what a header of this kind holds."
    )
    remedy = "Ask the scanner or PACS staff to export the series again, and upload it."


class MissingAttributeError(InputFileError):
    """A needed attribute is absent or empty."""

    code = "attribute-missing"
    cause = "The DICOM has no value for an attribute that the gear needs (StudyDate, Modality)."
    remedy = "Ask the scanner or PACS staff to send the image with this attribute filled in."


class InvalidAttributeError(InputFileError):
    """A needed attribute is there and is no legal value."""

    code = "attribute-invalid"
    cause = (
        "The attribute holds something that is not legal there: StudyDate is no calendar date,"
        " Modality is not letters and digits, several values stand where one may, or control"
        " characters do."
    )
    remedy = "Ask the scanner or PACS staff to correct the attribute and to send the image again."


class PtidError(InputFileError):
    """No usable participant id."""

    code = "ptid-invalid"
    cause = (
        "The subject label (or, where it is empty, the DICOM PatientID) is not a participant id: 1"
        " to 10 printable characters, no blank, no slash, not zeros only."
    )
    remedy = (
        "Correct the subject's label in Flywheel and run the gear on the file again; ask the"
        " center's data manager which participant it is."
    )


class IdentityError(ImagingError):
    """Whose image it is can't be said."""

    code = "identity-unknown"
    disposition = "fail-file"
    cause = "The image can't be given to a participant."
    remedy = "Ask the center's data manager to check the subject label."


class IdentifierNotFoundError(IdentityError):
    """The registry answered: no such participant."""

    code = "identifier-not-found"
    cause = "The registry has no participant with this center (ADCID) and participant id (PTID)."
    remedy = (
        "Check the subject label; ask the center's data manager to enroll the participant or, where"
        " that was done, NACC's help desk; then run the gear on the file again."
    )


class NaccidInvalidError(IdentityError):
    """A NACCID that is none, or is of the other mode."""

    code = "naccid-invalid"
    cause = (
        "A NACCID is not NACC or TEST and six digits, or is a TEST id in prod mode or a NACC id in"
        " dev mode."
    )
    remedy = "Check database_mode; when it is right, tell NACC's help desk which subject this is."


class NaccidConflictError(IdentityError):
    """Two NACCIDs for one subject."""

    code = "naccid-conflict"
    cause = (
        "The NACCID stored on the subject, the one in its label and the one the registry gives are"
        " not the same. The stored one was left as it is."
    )
    remedy = "Ask NACC's help desk which one is right before anything is changed."


class DeliveryError(ImagingError):
    """Not every image arrived at the DICOM server."""

    code = "images-not-sent"
    disposition = "fail-job"
    cause = (
        "At least one image was refused by the server, was lost with the connection in each try,"
        " was not tried because the server was given up, or is damaged, cut short or not DICOM as"
        " the standard has it. All others were sent."
    )
    remedy = (
        "Look into the report: the file ending in _instances.csv has a reason for each image; ask"
        " the DICOM server's administrator about those that it refused or that were lost, and the"
        " scanner or PACS staff about those that are damaged."
    )


class ServiceError(ImagingError):
    """A service did not answer; safe to run again.

    Args:
        service: who, as the user knows it: ``Flywheel``, ``AWS SSM``, ``identifier API``.
        problem: what it did, without its own text: ``timed out``, ``HTTP 503``.
    """

    code = "service-unavailable"
    disposition = "fail-job"
    cause = "A service did not answer, or not usably, in all tries that the gear makes."
    remedy = (
        "Run the job again later, that is safe. When it goes on, ask whoever runs the service that"
        " the sentence names (Flywheel: the Flywheel site administrator; AWS: the owner of the AWS"
        " account; identifier API: NACC's help desk)."
    )

    def __init__(self, service: str, problem: str, *, while_: str | None = None) -> None:
        doing = f" while {while_}" if while_ else ""
        super().__init__(f"{service} did not answer usably{doing}: {problem}.")
        self.service = service
        self.problem = problem


class DicomServerError(ServiceError):
    """The DICOM server aborted, or answered not or not usably."""

    code = "dicom-server-failed"
    cause = (
        "The DICOM server aborted or closed its associations, rejected them for the moment, did not"
        " answer a request in time, or answered the C-ECHO of a dry run with a failure."
    )
    remedy = (
        "Run the job again later, that is safe: what was sent before is sent once more. When it"
        " goes on, ask the DICOM server's administrator what its log says of that time."
    )


class UnreachableError(ServiceError):
    """No association with the DICOM server came about."""

    code = "dicom-server-unreachable"
    cause = (
        "No connection to the DICOM server could be made (its name is unknown, nobody listens, a"
        " firewall), or it ended or left it before it answered the association request."
    )
    remedy = (
        "Check destination, port and tls_enabled; ask the DICOM server's administrator whether it"
        " runs and whether the gear's host may connect. Then run the job again."
    )


class OutOfResourcesError(ServiceError):
    """The DICOM server has no room, or too many associations."""

    code = "dicom-server-out-of-resources"
    cause = (
        "The DICOM server answered that it is out of resources (C-STORE status A7xx), or at the"
        " limit of its associations, until all of the gear's waits were over."
    )
    remedy = (
        "Ask the DICOM server's administrator to make room; then run the job again. That is safe:"
        " what was sent before is sent once more."
    )


class UnexpectedError(ImagingError):
    """The gear met what it was not written for."""

    code = "unexpected-error"
    disposition = "fail-job"
    cause = "A fault of the gear itself. The file need not be at fault."
    remedy = "Report it to the gear's developers, with the job's log."


def subclasses(root: type[ImagingError] = ImagingError) -> list[type[ImagingError]]:
    """Return `root` and all its descendants, parents first."""
    return [root, *(leaf for child in root.__subclasses__() for leaf in subclasses(child))]
