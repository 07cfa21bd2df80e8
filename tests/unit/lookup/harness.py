"""A small center in memory, and runs of the gear in it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imaging_gears.errors import ImagingError
from imaging_gears.gear.job import InputFile, Job, parse_config
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.config import INPUT, GearConfig
from imaging_gears.image_identifier_lookup.file_resolver import Resolved
from imaging_gears.image_identifier_lookup.main import ImageIdentifierLookup
from imaging_gears.image_identifier_lookup.progress import Outcome, World
from imaging_gears.model.findings import Finding
from imaging_gears.ports import EventStore, FileState, Site
from tests.fakes import InMemoryEvents, InMemoryRegistry, InMemorySite

PTID, NACCID, PATIENT_ID = "110001", "NACC000042", "HOSPITAL-7788"
STUDY_UID, SERIES_UID, KEY = "1.2.840.99.1", "1.2.840.99.2", "sitekey-5511"
FILE_NAME = "Doe_Jane.dicom.zip"
MARKS = (
    PTID,
    NACCID,
    PATIENT_ID,
    STUDY_UID,
    SERIES_UID,
    KEY,
    "Doe_Jane",
    "20240115",
    "2024-01-15",
    "NACC000043",
    "990001",
)
"""What no line of the log may contain."""
LOG = "110001_2024-01-15_MR_qc-status.log"
HEADER: dict[str, str | None] = {
    "patient_id": PTID,
    "study_date": "20240115",
    "modality": "MR",
    "study_instance_uid": STUDY_UID,
    "series_instance_uid": SERIES_UID,
    "series_number": "5",
    "series_date": "20240115",
    "manufacturer": "Siemens",
    "manufacturer_model_name": "Skyra",
    "series_description": "T1 MPRAGE",
    "magnetic_field_strength": "3.0",
    "images_in_acquisition": "176",
}
START = dt.datetime(2026, 11, 20, 7, 2, 0, 85503, tzinfo=dt.UTC)
CONFIG = {"event_environment": "prod", "event_bucket": "nacc-event-logs"}


class Killed(BaseException):
    """The process was killed: nothing of the gear runs any more."""


@dataclass(slots=True)
class Center:
    """Group alpha-center, project ingest-dicom of center 42, a registry with one participant.

    Every run starts a minute after the one before.
    """

    site: InMemorySite = field(default_factory=InMemorySite)
    events: InMemoryEvents = field(default_factory=InMemoryEvents)
    registry: InMemoryRegistry = field(
        default_factory=lambda: InMemoryRegistry({("prod", 42, PTID): NACCID})
    )
    headers: dict[str, Resolved | ImagingError] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    moment: dt.datetime = START
    project: str = ""

    def __post_init__(self) -> None:
        """Make group and project."""
        group = self.site.add("group", "alpha-center")
        self.project = self.site.add("project", "ingest-dicom", group, {"pipeline_adcid": 42})

    def subject(self, label: str = PTID, **info: object) -> str:
        """Make a subject."""
        return self.site.add("subject", label, self.project, info)

    def upload(
        self, subject: str, name: str = FILE_NAME, header: object = None, **info: object
    ) -> str:
        """Upload a file into a new acquisition of a subject; return its file id."""
        session = self.site.add("session", "visit-1", subject)
        acquisition = self.site.add("acquisition", "T1", session)
        state = self.site.put(acquisition, name, b"DICM", info)
        self.holds(state, header)
        return state.file_id

    def holds(self, state: FileState, header: object = None) -> None:
        """Say what opening that version of a file finds: values that differ, or an error."""
        if isinstance(header, Mapping) or header is None:
            header = resolved({**HEADER, **(header or {})})
        assert isinstance(header, Resolved | ImagingError)
        self.headers[f"/input/{state.file_id}.{state.version}"] = header

    def new_version(self, file_id: str, header: object = None) -> None:
        """Upload a new version of a file."""
        newest = self.site.versions(file_id)[-1]
        self.holds(self.site.put(newest.parent.id, newest.name, b"DICM"), header)

    def job(self, file_id: str, version: int | None = None) -> Job:
        """Return the job that the platform starts for the newest, or that, version."""
        number = version or len(self.site.versions(file_id))
        state = self.site.versions(file_id)[number - 1]
        return Job(
            gear_version="0.1.0",
            files={
                INPUT: InputFile(
                    path=Path(f"/input/{file_id}.{number}"),
                    name=state.name,
                    file_id=file_id,
                    version=number,
                    parent=state.parent,
                )
            },
            id="65f000000000000000000001",
            site_key=f"site.example.org:{KEY}",
            config=CONFIG,
        )

    def run(
        self,
        file_id: str,
        version: int | None = None,
        *,
        site: Site | None = None,
        events: EventStore | None = None,
        job: Job | None = None,
        **config: object,
    ) -> Outcome:
        """Run the gear on a file, or do another job than the platform's, each a minute later."""
        moment = self.moment
        self.moment += dt.timedelta(minutes=1)
        world = World(
            site=site or self.site,
            identifiers=self.registry,
            events=events or self.events,
            resolve=self.resolve,
            now=lambda: moment,
            pause=self.pauses.append,
        )
        gear_config = parse_config(GearConfig, {**CONFIG, **config})
        return ImageIdentifierLookup(gear_config, job or self.job(file_id, version), world).run()

    def resolve(self, path: Path) -> Resolved:
        """Open an upload."""
        self.opened.append(str(path))
        header = self.headers[str(path)]
        if isinstance(header, ImagingError):
            raise header
        return header

    # -- what has come of it ------------------------------------------------------------------

    def file(self, file_id: str) -> FileState:
        """Return the newest version of a file."""
        return self.site.versions(file_id)[-1]

    def verdict(self, file_id: str) -> tuple[str, list[str]]:
        """Return state and codes of a file's QC record, whose form is checked on the way."""
        entry = self.file(file_id).info["qc"][GEAR]
        assert set(entry) == {"job_info", "validation"}
        assert set(entry["validation"]) == {"state", "data", "cleared"}
        assert all(len(each) == 13 for each in entry["validation"]["data"])
        return entry["validation"]["state"], [each["code"] for each in entry["validation"]["data"]]

    def log_file(self, name: str = LOG) -> FileState:
        """Return the newest version of a QC log."""
        return self.site.versions(self.site.names(self.project)[name])[-1]

    def log_text(self, name: str = LOG) -> str:
        """Return the text of a QC log."""
        return self.site.content(self.log_file(name).file_id).decode()

    def log_lines(self, name: str = LOG) -> list[str]:
        """Return each run in a QC log: ``PASS <file id>#<version> [run n]``."""
        lines = [line for line in self.log_text(name).splitlines() if "IMAGE-IDENT" in line]
        parts = [line.split(" - ", 1)[1].split("  ", 1) for line in lines]
        return [f"{state} {rest.split(' ', 1)[1]}" for state, rest in parts]

    def log_validation(self, name: str = LOG) -> tuple[str, list[str]]:
        """Return state and codes of the validation in a QC log's info."""
        block = self.log_file(name).info["qc"][GEAR]["validation"]
        return block["state"], [each["code"] for each in block["data"]]

    def bodies(self) -> list[dict[str, Any]]:
        """Return the events, oldest first."""
        return [json.loads(body) for body in self.events.stored.values()]


def resolved(metadata: Mapping[str, str | None], found: tuple[Finding, ...] = ()) -> Resolved:
    """Return what opening an upload with these values gives."""
    return Resolved(
        metadata=dict(metadata),
        findings=found,
        member="Doe_Jane/IM1",
        skipped=(),
        passed_over=0,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        bytes_read=1000,
    )
