"""The gear: context, config, adapters, the run itself, report, exit code.

``python -m imaging_gears.dicom_send.run``, in the folder that FLYWHEEL names.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imaging_gears.adapters.dimse.server import DimseServer
from imaging_gears.adapters.flywheel import SERVICE
from imaging_gears.adapters.flywheel_files import FlywheelFiles
from imaging_gears.adapters.tries import Tries
from imaging_gears.dicom_send import GEAR
from imaging_gears.dicom_send.attaching import Report, leave_report
from imaging_gears.dicom_send.config import CA, CERT, FILE, KEY, SendConfig
from imaging_gears.dicom_send.downloads import downloads
from imaging_gears.dicom_send.instance import Contents, Instance, as_uncompressed, examine
from imaging_gears.dicom_send.main import DicomSend, discreet
from imaging_gears.dicom_send.outputs import Record
from imaging_gears.dicom_send.report import (
    FileReport,
    causes,
    files_csv,
    instances_csv,
    log_table,
    report_names,
)
from imaging_gears.dicom_send.tagging import Mark, check_mark
from imaging_gears.dicom_send.world import Image, Upload, World
from imaging_gears.errors import (
    ConfigError,
    DeliveryError,
    ImagingError,
    NothingToSendError,
    TlsFilesError,
)
from imaging_gears.gear.context import gear_folder
from imaging_gears.gear.inputs import found, own_key
from imaging_gears.gear.job import Job, parse_config
from imaging_gears.gear.joblog import log, step
from imaging_gears.gear.start import (
    CANCELLED,
    JobCancelledError,
    Watchdog,
    end_on_sigterm,
    now,
    requests_remark,
    started,
    unexpected,
)
from imaging_gears.model.findings import error_finding
from imaging_gears.ports import ContainerRef, DicomServer, Peer, Place, StoredFile, TlsFiles

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PATIENCE = 1800
"""Seconds without any progress after which the watchdog ends the job."""


@dataclass(slots=True)
class Gear:
    """One start of the gear in its folder.

    Attributes:
        folder: with ``work/`` and ``output/``.
        begun: when, by the clock of `time.perf_counter`.
        place: of what is sent; None in a run without a site.
        files: what is sent, where it lies on a site.
    """

    job: Job
    folder: Path
    watchdog: Watchdog
    begun: float = field(default_factory=time.perf_counter)
    requests: Counter[str] = field(default_factory=Counter)
    site: FlywheelFiles | None = None
    place: Place | None = None
    files: tuple[StoredFile, ...] = ()
    reports: list[FileReport] = field(default_factory=list)

    def run(self) -> int:
        """Do the job and report it; return the exit code."""
        errors: Sequence[ImagingError] = ()
        cancelled = False
        try:
            config = parse_config(SendConfig, self.job.config)
            server = dicom_server(config, self.job)
            mark = mark_of(config)
            # A file has a record, which says why it was not sent, so that one is found first. What
            # lies below a container need not be listed for a server that there is not.
            before = (server.look_up, self._find)
            for each in reversed(before) if FILE in self.job.files else before:
                each()
            self._send(config, server, mark)
            errors = self._verdict(server)
        except ImagingError as failure:
            errors = (failure,)
        except Exception as failure:  # noqa: BLE001 - the last resort: it is recorded
            errors = (unexpected(failure),)
        except JobCancelledError:
            cancelled = True
            log.error("the job was cancelled (SIGTERM); what it has sent is in the report")
        for error in errors:
            log.error("%s: %s", error.code, discreet(error.sentence()))
        return self._reported(errors, cancelled=cancelled)

    def _find(self) -> None:
        """Find out what there is to send, and where it lies."""
        given, destination = self.job.files.get(FILE), self.job.destination
        if given is not None and given.file_id is None and destination is None:
            return  # a local run: there is the file, and no site
        self.site = FlywheelFiles(own_key(self.job), Tries(SERVICE, self.requests))
        if given is not None:
            self._find_input(self.site)
        elif destination is None:
            message = "The job has neither a file nor a destination."
            raise NothingToSendError(message, location="inputs.file")
        else:
            self._list(self.site, destination)

    def _find_input(self, site: FlywheelFiles) -> None:
        self.job = found(self.job, FILE, site)
        given = self.job.files[FILE]
        if given.file_id is None:
            return
        with step(f"file {given.file_id}"):
            parent = given.parent or site.file(given.file_id).parent
            self.place = site.place(parent)
        version = given.version or 1
        self.files = (
            StoredFile(file_id=given.file_id, version=version, name=given.name, place=self.place),
        )

    def _list(self, site: FlywheelFiles, destination: ContainerRef) -> None:
        with step(f"{destination.type} {destination.id}") as remarks:
            self.place = site.place(destination)
            self.files = site.dicom_files(self.place)
            remarks.append(f"{len(self.files)} files of type dicom below it")
        if not self.files:
            message = f"There is no file of type dicom below {destination.type} {destination.id}."
            raise NothingToSendError(message, location="destination")

    def _send(self, config: SendConfig, server: DicomServer, mark: Mark) -> None:
        run = DicomSend(config, self._world(config, server, mark), max(len(self.files), 1))
        self.reports = run.reports
        try:
            if config.dry_run:
                _echo(server)
            if FILE in self.job.files:
                run.run(iter([self._given()]))
                return
            with tempfile.TemporaryDirectory(dir=self._work(), ignore_cleanup_errors=True) as name:
                run.run(self._downloaded(Path(name), config.file_download_retry_time))
        finally:
            run.not_tried(self.files)

    def _world(self, config: SendConfig, server: DicomServer, mark: Mark) -> World:
        def opened(path: Path) -> AbstractContextManager[Contents]:
            try:
                # Nothing is sent in a dry run, so what is checked while sending is checked here.
                return examine(path, mark, self.watchdog.progress, thorough=config.dry_run)
            except OSError as error:
                problem = (error.strerror or type(error).__name__).lower()
                message = f"The file can't be read here ({problem})."
                raise ConfigError(message, location="inputs.file") from None

        return World(
            server=server, examine=opened, convert=converted, progress=self.watchdog.progress
        )

    def _given(self) -> Upload:
        given = self.job.files[FILE]

        def path() -> Path:
            if not given.path.is_file():
                message = "The input file is not where the platform mounts it."
                raise ConfigError(message, location="inputs.file")
            return given.path

        return Upload(given.name, self.files[0] if self.files else None, path)

    def _downloaded(self, folder: Path, seconds: float) -> Iterator[Upload]:
        assert self.site is not None  # noqa: S101 - files were listed from it
        progress = self.watchdog.progress
        for each in downloads(self.site, self.files, folder, seconds=seconds, progress=progress):
            yield Upload(each.file.name, each.file, each.result)

    def _work(self) -> Path | None:
        work = self.folder / "work"
        return work if work.is_dir() else None

    # -- the end --------------------------------------------------------------------------------

    def _verdict(self, server: DicomServer) -> tuple[ImagingError, ...]:
        """Return why the job fails, the causes first; nothing where all that was to be sent was."""
        bad = sum(each.status != "Complete" for each in self.reports)
        if not bad:
            return ()
        found = causes(self.reports)
        if (trouble := server.trouble) is not None:
            found = (trouble, *(each for each in found if each.code != trouble.code))
        if not any(each.lacks_images for each in self.reports):
            return found
        wanted, sent = (sum(getattr(each, name) for each in self.reports) for name in _COUNTS)
        were = "would not be" if self._dry else "were not"
        message = (
            f"{wanted - sent} of {wanted} images {were} sent; {bad} of {len(self.reports)} files"
            " are not complete."
        )
        return (*found, DeliveryError(message))

    @property
    def _dry(self) -> bool:
        return self.job.config.get("dry_run") is True

    def _reported(self, errors: Sequence[ImagingError], *, cancelled: bool) -> int:
        """Leave report and record; return the exit code."""
        code = 1 if errors else 0
        moment = now()
        try:
            try:
                self._leave(errors, moment, cancelled=cancelled)
            except JobCancelledError:
                cancelled = True
                log.error("the job was cancelled (SIGTERM) while it left its report")
                self._leave(errors, moment, cancelled=True)
        except OSError as failure:
            log.error("the report could not be written to output/: %s", failure.strerror)
            code = 1
        if cancelled:
            code = CANCELLED
        for line in log_table(self.reports) if self.reports else ():
            log.info("%s", line)
        wanted, sent = (sum(getattr(each, name) for each in self.reports) for name in _COUNTS)
        log.info(
            "%s: %d of %d images of %d files %s; %s; %.1f s",
            _end(code, errors),
            sent,
            wanted,
            len(self.reports),
            "would be sent (dry run, nothing was)" if self._dry else "sent",
            requests_remark(self.requests),
            time.perf_counter() - self.begun,
        )
        return code

    def _leave(
        self, errors: Sequence[ImagingError], moment: dt.datetime, *, cancelled: bool
    ) -> None:
        """Leave report and record; of a dry run or a cancelled job the report stays in output/.

        A cancelled job has seconds left, which are too few to wait for a site.
        """
        lost: OSError | None = None
        if self.reports:
            try:
                self._leave_report(moment, cancelled=cancelled)
            except OSError as failure:
                lost = failure  # The record is on the site, so it can be written all the same.
        self._leave_record(errors, moment, cancelled=cancelled)
        if lost is not None:
            raise lost

    def _leave_report(self, moment: dt.datetime, *, cancelled: bool) -> None:
        report = Report(
            contents=(files_csv(self.reports), instances_csv(self.reports)),
            named=lambda time: report_names(self.place, time, dry=self._dry),
            moment=moment,
        )
        leave_report(
            None if self._dry or cancelled else self.site,
            _session(self.place),
            self.folder / "output",
            report,
            destination=self.job.destination,
        )

    def _leave_record(
        self, errors: Sequence[ImagingError], moment: dt.datetime, *, cancelled: bool
    ) -> None:
        if FILE not in self.job.files or self._dry:
            return
        why = "The job was cancelled." if cancelled else self._unreached()
        findings = tuple(map(error_finding, errors))
        path = self.files[0].path if self.files else None
        record = Record(job=self.job, findings=findings, path=path, moment=moment)
        if why is not None:
            record.left_out(why)
        elif self.site is not None:
            record.write(self.site, self.folder / "output", succeeds=not errors)

    def _unreached(self) -> str | None:
        """Find the input if the run has failed before it did; return why it can't be found."""
        if self.site is not None:
            return None
        try:
            self._find()
        except ImagingError as error:
            return error.message
        return None


_COUNTS = ("in_series", "sent")
_ENDS = {0: "complete", CANCELLED: "CANCELLED"}


def _end(code: int, errors: Sequence[ImagingError]) -> str:
    """Return the first words of the last line: how a run ended, and of what."""
    codes = ", ".join(each.code for each in errors)
    return _ENDS.get(code) or (f"FAILED ({codes})" if errors else "FAILED")


def dicom_server(config: SendConfig, job: Job) -> DimseServer:
    """Return the server of a job's config; nothing is sent to it yet.

    Raises:
        TlsFilesError: an input for TLS is missing, or is none.
    """
    peer = Peer(
        host=config.destination,
        port=config.port,
        called_ae=config.called_ae,
        calling_ae=config.calling_ae,
    )
    return DimseServer(peer, tls_files(config, job), associations=config.associations)


def tls_files(config: SendConfig, job: Job) -> TlsFiles | None:
    """Return the TLS inputs of a job, None where it is to go without.

    Raises:
        TlsFilesError: one that is needed was not given.
    """
    if not config.tls_enabled:
        return None
    for name in (KEY, CERT):
        if name not in job.files:
            message = f"tls_enabled is set, and the job has no input {name}."
            raise TlsFilesError(message, location=f"inputs.{name}")
    if not config.tls_require_peer_cert:
        log.warning(
            "tls_require_peer_cert is off: the server's certificate and name are not checked, so"
            " anybody could stand in for it"
        )
    return TlsFiles(
        key=job.files[KEY].path,
        cert=job.files[CERT].path,
        ca=job.files[CA].path if CA in job.files else None,
        profile=config.tls_security_profile,
        require_peer_cert=config.tls_require_peer_cert,
    )


def mark_of(config: SendConfig) -> Mark:
    """Return the private tag of a config.

    Raises:
        ConfigError: there can be no such tag.
    """
    mark = Mark(group=config.group_number, creator=config.identifier, value=config.tag_value)
    check_mark(mark)
    return mark


def _echo(server: DicomServer) -> None:
    """Ask whether the server answers, which one need not offer that takes images.

    Raises:
        ConfigError, ServiceError: it wants nothing of us, or does not answer.
    """
    with step("C-ECHO") as remarks:
        offered = server.echo()
        remarks.append("answered" if offered else "not offered")
    if not offered:
        log.warning(
            "the server refuses the presentation context of verification (C-ECHO); it may take"
            " images all the same, and is asked for theirs"
        )


def converted(image: Image, transfer_syntax_uid: str) -> Image:
    """Return an uncompressed instance in another uncompressed transfer syntax."""
    assert isinstance(image, Instance)  # noqa: S101 - `examine` gives no others
    return as_uncompressed(image, transfer_syntax_uid)


def _session(place: Place | None) -> ContainerRef | None:
    """Return the container that the report belongs to: the session, else what was sent."""
    if place is None:
        return None
    session = place.id("session")
    return place.container if session is None else ContainerRef("session", session)


def main() -> int:
    """Run the gear in its folder; return the exit code."""
    watchdog = Watchdog(PATIENCE)

    def run(job: Job) -> int:
        return Gear(job, gear_folder(), watchdog).run()

    end_on_sigterm()
    try:
        return started(run, watchdog, gear=GEAR, optional=(FILE, KEY, CERT, CA))
    except JobCancelledError:
        # Before there was anything to report, or after all of it was.
        return CANCELLED


if __name__ == "__main__":
    sys.exit(main())
