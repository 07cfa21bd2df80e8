"""The demo's site, its five scenes, and how each must turn out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaging_gears.dicom.samples import CT_LIGHTSPEED_PLUS, CT_LIGHTSPEED_ULTRA, MR_ECLIPSE
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.demo.uploads import Package
from imaging_gears.model.findings import State

Json = dict[str, Any]

ADCID = 42
KNOWN, UNKNOWN = "110001", "990001"
NACCID = "NACC000042"
PROJECT = "alpha-center/ingest-dicom"
BUCKET = "nacc-event-logs"
UPLOADER = "radiographer"
CONFIG: Json = {"event_environment": "prod", "event_bucket": BUCKET}
_GEARBOT = "gearbot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How a scene must turn out.

    Attributes:
        naccid: on the subject afterwards.
        log: name of the QC log that got a line; None where no visit is known to have one.
        lines: lines of this gear in that log.
        events: how many are new.
        opened: whether the upload was opened.
    """

    verdict: State
    codes: tuple[str, ...] = ()
    naccid: str | None
    log: str | None
    lines: int = 1
    events: int
    opened: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Something that happens at a site.

    Attributes:
        container: where the upload goes, ``subject/session/acquisition``.
        package: what is uploaded; None runs the gear on the last upload again, by hand.
    """

    name: str
    title: str
    container: str
    package: Package | None
    expected: Expected


SCENES = (
    Scene(
        name="a",
        title="A scanner's series of a participant whom the registry knows",
        container=f"{KNOWN}/2003-05-05/MR",
        package=Package(name="MR.dicom.zip", series=MR_ECLIPSE, patient_id=KNOWN),
        expected=Expected(
            verdict="PASS", naccid=NACCID, log=f"{KNOWN}_2003-05-05_MR_qc-status.log", events=1
        ),
    ),
    Scene(
        name="b",
        title="The same again: somebody runs the gear by hand",
        container=f"{KNOWN}/2003-05-05/MR",
        package=None,
        expected=Expected(
            verdict="PASS",
            naccid=NACCID,
            log=f"{KNOWN}_2003-05-05_MR_qc-status.log",
            lines=2,
            events=0,
            opened=False,
        ),
    ),
    Scene(
        name="c",
        title="A second study of the same subject, of another date and modality",
        container=f"{KNOWN}/2001-01-01/CT",
        package=Package(name="CT.dicom.zip", series=CT_LIGHTSPEED_ULTRA, patient_id=KNOWN),
        expected=Expected(
            verdict="PASS", naccid=NACCID, log=f"{KNOWN}_2001-01-01_CT_qc-status.log", events=1
        ),
    ),
    Scene(
        name="d",
        title="A participant whom the registry does not know",
        container=f"{UNKNOWN}/1995-09-03/CT",
        package=Package(name="CT.dicom.zip", series=CT_LIGHTSPEED_PLUS, patient_id=UNKNOWN),
        expected=Expected(
            verdict="FAIL",
            codes=("identifier-not-found",),
            naccid=None,
            log=f"{UNKNOWN}_1995-09-03_CT_qc-status.log",
            events=1,
        ),
    ),
    Scene(
        name="e",
        title="A zip without any DICOM in it",
        container=f"{KNOWN}/no-images/unknown",
        package=Package(name="notes.dicom.zip"),
        expected=Expected(verdict="FAIL", codes=("not-dicom",), naccid=NACCID, log=None, events=0),
    ),
)


def site_seed(manifest: Path) -> Json:
    """Return what the demo's site holds: a center, its subjects, the gear and its rule."""
    rule = {
        "name": "Look up whose image it is",
        "gear": GEAR,
        "config": CONFIG,
        "all": [{"type": "file.type", "value": "dicom"}],
    }
    group, label = PROJECT.split("/")
    project = {
        "label": label,
        "info": {"pipeline_adcid": ADCID},
        "subjects": _subjects(),
        "rules": [rule],
    }
    return {
        "groups": [{"id": group, "projects": [project]}],
        "gears": [str(manifest)],
        "users": [{"id": _GEARBOT}, {"id": UPLOADER}],
        "identifiers": [{"adcid": ADCID, "ptid": KNOWN, "naccid": NACCID}],
        "parameters": [{"name": "/prod/flywheel/gearbot/apikey", "value": f"{{key:{_GEARBOT}}}"}],
        "buckets": [BUCKET],
    }


def _subjects() -> list[Json]:
    """Return the containers of the scenes, as a scanner's connector makes them."""
    tree: dict[str, dict[str, str]] = {}
    for scene in SCENES:
        subject, session, acquisition = scene.container.split("/")
        tree.setdefault(subject, {})[session] = acquisition
    return [
        {
            "label": subject,
            "sessions": [
                {"label": session, "acquisitions": [{"label": acquisition}]}
                for session, acquisition in sessions.items()
            ],
        }
        for subject, sessions in tree.items()
    ]
