"""The gear: context, config, adapters, the run itself, exit code.

``python -m imaging_gears.dicom_send.run``, in the folder that FLYWHEEL names.
"""

from __future__ import annotations

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
from imaging_gears.dicom_send.config import CA, CERT, FILE, KEY, SendConfig
from imaging_gears.dicom_send.downloads import downloads
from imaging_gears.dicom_send.ending import Ending, why_failed
from imaging_gears.dicom_send.instance import Contents, Instance, as_uncompressed, examine
from imaging_gears.dicom_send.main import DicomSend, discreet
from imaging_gears.dicom_send.report import FileReport
from imaging_gears.dicom_send.source import Source
from imaging_gears.dicom_send.tagging import Mark, check_mark
from imaging_gears.dicom_send.world import Image, Upload, World
from imaging_gears.errors import ConfigError, ImagingError, TlsFilesError
from imaging_gears.gear.context import gear_folder
from imaging_gears.gear.inputs import own_key
from imaging_gears.gear.job import InputFile, Job, parse_config
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
from imaging_gears.ports import DicomServer, Peer, TlsFiles

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
    """

    job: Job
    folder: Path
    watchdog: Watchdog
    begun: float = field(default_factory=time.perf_counter)
    requests: Counter[str] = field(default_factory=Counter)
    reports: list[FileReport] = field(default_factory=list)
    source: Source = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is asked of the site yet."""
        self.source = Source(self.job, self._site)

    def run(self) -> int:
        """Do the job and report it; return the exit code."""
        errors: Sequence[ImagingError] = ()
        cancelled = False
        try:
            errors = self._sent()
        except ImagingError as failure:
            errors = (failure,)
        except Exception as failure:  # noqa: BLE001 - the last resort: it is recorded
            errors = (unexpected(failure),)
        except JobCancelledError:
            cancelled = True
            log.error("the job was cancelled (SIGTERM); what it has sent is in the report")
        for error in errors:
            log.error("%s: %s", error.code, discreet(error.sentence()))
        ending = Ending(
            source=self.source,
            output=self.folder / "output",
            reports=self.reports,
            errors=errors,
            dry=self._dry,
            moment=now(),
            cancelled=cancelled,
        )
        code = ending.leave()
        seconds = time.perf_counter() - self.begun
        ending.tell(code, f"{requests_remark(self.requests)}; {seconds:.1f} s")
        return code

    @property
    def _dry(self) -> bool:
        return self.job.config.get("dry_run") is True

    def _site(self, job: Job) -> FlywheelFiles:
        return FlywheelFiles(own_key(job), Tries(SERVICE, self.requests))

    def _sent(self) -> Sequence[ImagingError]:
        """Send what there is to send; return why not all of it was."""
        config = parse_config(SendConfig, self.job.config)
        server = dicom_server(config, self.job)
        mark = mark_of(config)
        # A file has a record, which says why it was not sent, so that one is found first. What
        # lies below a container need not be listed for a server that there is not.
        before = (server.look_up, self.source.find)
        for each in before if self.source.given is None else reversed(before):
            each()
        self._send(config, server, mark)
        return why_failed(self.reports, server.trouble, dry=self._dry)

    def _send(self, config: SendConfig, server: DicomServer, mark: Mark) -> None:
        files = self.source.files
        run = DicomSend(config, self._world(config, server, mark), max(len(files), 1))
        self.reports = run.reports
        why = "the run ended before"
        try:
            if config.dry_run:
                _echo(server)
            if (given := self.source.given) is not None:
                run.run(iter([self._given(given)]))
                return
            with tempfile.TemporaryDirectory(dir=self._work(), ignore_cleanup_errors=True) as name:
                run.run(self._downloaded(Path(name), config.file_download_retry_time))
        except ImagingError as error:
            why = error.message
            raise
        finally:
            run.not_tried(self.source.named, why)

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

    def _given(self, given: InputFile) -> Upload:
        def path() -> Path:
            if not given.path.is_file():
                message = "The input file is not where the platform mounts it."
                raise ConfigError(message, location="inputs.file")
            return given.path

        return Upload(given.name, next(iter(self.source.files), None), path)

    def _downloaded(self, folder: Path, seconds: float) -> Iterator[Upload]:
        site, files = self.source.site, self.source.files
        assert site is not None  # noqa: S101 - files were listed from it
        progress = self.watchdog.progress
        for each in downloads(site, files, folder, seconds=seconds, progress=progress):
            yield Upload(each.file.name, each.file, each.result)

    def _work(self) -> Path | None:
        work = self.folder / "work"
        return work if work.is_dir() else None


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
        if {KEY, CERT, CA} & job.files.keys():
            log.warning("there are inputs for TLS, and tls_enabled is off: TLS is not used")
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
        why_not = server.echo()
        remarks.append("not offered" if why_not else "answered")
    if why_not:
        log.warning(
            "the server does not offer C-ECHO (%s); it may take images all the same, and is asked"
            " for theirs",
            why_not,
        )


def converted(image: Image, transfer_syntax_uid: str) -> Image:
    """Return an uncompressed instance in another uncompressed transfer syntax."""
    assert isinstance(image, Instance)  # noqa: S101 - `examine` gives no others
    return as_uncompressed(image, transfer_syntax_uid)


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
