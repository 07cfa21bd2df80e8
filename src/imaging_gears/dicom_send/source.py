"""What a job sends, and where it lies: its input, or every DICOM file below its destination."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imaging_gears.dicom_send.config import FILE
from imaging_gears.errors import NothingToSendError
from imaging_gears.gear.inputs import found
from imaging_gears.gear.job import InputFile, Job
from imaging_gears.gear.joblog import step
from imaging_gears.ports import ContainerRef, Place, SendSite, StoredFile


@dataclass(slots=True)
class Source:
    """What a job sends; `find` finds it on the job's site.

    Attributes:
        job: with what is known of its input.
        connect: gives the job's site.
        site: None before it was asked for anything, and in a run without a site.
        place: of what is sent; None where it is not known (yet).
        files: what is sent, where it lies on a site.
    """

    job: Job
    connect: Callable[[Job], SendSite]
    site: SendSite | None = None
    place: Place | None = None
    files: tuple[StoredFile, ...] = ()

    @property
    def given(self) -> InputFile | None:
        """The input; None where all files below the destination are sent."""
        return self.job.files.get(FILE)

    @property
    def named(self) -> list[tuple[str, StoredFile | None]]:
        """The names of what is sent, and where it lies on a site; a local file lies on none."""
        if self.given is not None and not self.files:
            return [(self.given.name, None)]
        return [(each.name, each) for each in self.files]

    @property
    def container(self) -> ContainerRef | None:
        """The container that the report belongs to: the session, else what was sent."""
        if self.place is None:
            return None
        session = self.place.id("session")
        return self.place.container if session is None else ContainerRef("session", session)

    def find(self) -> None:
        """Find out what there is to send, and where it lies.

        Raises:
            ImagingError: there is nothing, or the site does not say.
        """
        destination = self.job.destination
        if self.given is not None and self.given.file_id is None and destination is None:
            return  # a local run: there is the file, and no site
        self.site = self.connect(self.job)
        if self.given is not None:
            self._find_input(self.site)
        elif destination is None:
            message = "The job has neither a file nor a destination."
            raise NothingToSendError(message, location="inputs.file")
        else:
            self._list(self.site, destination)

    def _find_input(self, site: SendSite) -> None:
        self.job = found(self.job, FILE, site)
        given = self.job.files[FILE]
        if given.file_id is None:
            return
        with step(f"file {given.file_id}"):
            parent = given.parent or site.file(given.file_id).parent
            self.place = site.place(parent)
            analysis = site.label(parent) if parent.type == "analysis" else None
        file = StoredFile(
            file_id=given.file_id,
            version=given.version or 1,
            name=given.name,
            place=self.place,
            analysis=analysis,
        )
        self.files = (file,)

    def _list(self, site: SendSite, destination: ContainerRef) -> None:
        with step(f"{destination.type} {destination.id}") as remarks:
            self.place = site.place(destination)
            self.files = site.dicom_files(self.place)
            remarks.append(f"{len(self.files)} files of type dicom below it")
        if not self.files:
            message = f"There is no file of type dicom below {destination.type} {destination.id}."
            raise NothingToSendError(message, location="destination")
