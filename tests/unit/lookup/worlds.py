"""What a run of the gear may find, with every call that it makes counted as two moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from imaging_gears.errors import NotDicomError, ServiceError
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.model.findings import MIXED_IDENTITY
from tests.end_state import sorted_lines, timeless
from tests.fakes import InMemoryRegistry, Interruptions
from tests.unit.lookup.harness import HEADER, LOG, NACCID, START, Center, Killed, resolved

Json = Any
Meanwhile = tuple[int, Callable[[], object]]
"""The number of a moment, and what happens then."""
OTHERS_LINE = b"2024-01-15 10:00:00 QC Status: FORM-CHECKER - PASS\n"
OTHERS_INFO = {"qc": {"form-checker": {"validation": {"state": "PASS", "data": [], "cleared": []}}}}

NEWER = {"series_number": "6", "series_instance_uid": "1.2.840.99.3"}


class Moments(Interruptions):
    """Every moment before and after the effect of a call, counted; one of them can be used."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []
        self.planned: dict[int, list[Callable[[], object]]] = {}

    def plan(self, number: int, *actions: Callable[[], object]) -> None:
        """Do something at the `number`-th moment from now, instead of what was planned before."""
        self.passed, self.planned = [], {}
        self.plan_too(number, *actions)

    def plan_too(self, number: int, *actions: Callable[[], object]) -> None:
        """Do something at that moment besides what is planned, after it."""
        self.planned.setdefault(number, []).extend(actions)

    def meet(self, method: str, *, after: bool) -> None:
        """Do what was planned for this moment, once."""
        super().meet(method, after=after)
        number = len(self.passed)
        self.passed.append(f"{'after' if after else 'before'} {method}")
        for action in self.planned.pop(number, []):
            action()


@dataclass(slots=True)
class World:
    """A center in which every call of a run is a moment, and the file that is run on."""

    center: Center = field(default_factory=Center)
    moments: Moments = field(default_factory=Moments)
    file_id: str = ""

    def ready(self) -> World:
        """Begin to count."""
        center = self.center
        center.site.on = center.events.on = center.registry.on = self.moments
        return self

    def run(self, version: int | None = None) -> None:
        """Run the gear to its end."""
        self.center.run(self.file_id, version)

    def run_killed_at(
        self, number: int, version: int | None = None, *, meanwhile: Meanwhile | None = None
    ) -> bool:
        """Run the gear; return whether it lived long enough to be killed at that moment.

        Args:
            number: of the moment.
            version: of the file; None is the newest.
            meanwhile: what happens at an earlier moment, or at this one before the kill.
        """

        def kill() -> None:
            raise Killed

        self.moments.plan(*(meanwhile or (number,)))
        self.moments.plan_too(number, kill)
        try:
            self.run(version)
        except Killed:
            return True
        finally:
            self.moments.planned = {}
        return False

    def end_state(self) -> Json:
        """Return all that is there, without time and chance."""
        center, logs = self.center, self.center.site.names(self.center.project)
        containers, files = center.site.dump()
        return {
            "containers": timeless(without_leftovers(containers)),
            "inputs": {
                file_id: [
                    (each.version, timeless(each.info), sorted(each.tags)) for each in versions
                ]
                for file_id, versions in files.items()
                if file_id not in logs.values()
            },
            "logs": {
                name: (sorted_lines(center.log_text(name)), timeless(center.log_file(name).info))
                for name in logs
            },
            "events": sorted(
                (timeless(key), timeless(body.decode()))
                for key, body in center.events.stored.items()
            ),
        }

    def let_version_come(self) -> None:
        """Upload another series under the same name."""
        self.center.new_version(self.file_id, NEWER)

    def notes_are_true(self) -> bool:
        """Return whether the event that the file notes is there, at the time that is noted."""
        note = self.center.file(self.file_id).info.get(GEAR, {}).get("event")
        if note is None:
            return not self.center.events.stored
        body = self.center.events.stored.get(note["key"], b"").decode()
        return f'"timestamp":"{note["timestamp"]}"' in body and self.file_id in body


def without_leftovers(value: Json) -> Json:
    """Return `value` without warnings that stayed when another file's or version's block came.

    Flywheel merges subject.info deeply. They count for no file, and are there or not by who came
    first.
    """
    if isinstance(value, list | tuple):
        return [without_leftovers(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: without_leftovers(each) for key, each in value.items()}
    whose, warnings = ("file_id", "version"), kept.get("warnings")
    if isinstance(warnings, dict) and any(warnings[key] != kept[key] for key in whose):
        del kept["warnings"]
    return kept


# --- What a run may find --------------------------------------------------------------------------


def first() -> World:
    """Nothing is there: no NACCID, no log."""
    world = World()
    world.file_id = world.center.upload(world.center.subject())
    return world


def beside_others() -> World:
    """The log has lines and info of another gear and of another file of the visit."""
    world = first()
    site = world.center.site
    site.put(world.center.project, LOG, OTHERS_LINE, OTHERS_INFO, ("theirs",))
    world.center.run(world.center.upload(site.file(world.file_id).parents["subject"], "b.zip"))
    return world


def known_naccid() -> World:
    """The subject has its NACCID already, and the file a tag of a review."""
    world = World()
    world.file_id = world.center.upload(world.center.subject(naccid=NACCID))
    world.center.site.add_file_tag(world.file_id, f"{GEAR}-IN REVIEW")
    return world


def mismatch() -> World:
    """PASS with a warning, which needs the labels of all containers above the file."""
    world = World()
    world.file_id = world.center.upload(world.center.subject(), header={"patient_id": "990001"})
    return world


def mixed_identity() -> World:
    """PASS with a warning that only opening the file shows."""
    world = World()
    header = resolved(HEADER, (MIXED_IDENTITY.finding(),))
    world.file_id = world.center.upload(world.center.subject(), header=header)
    return world


def unknown_participant() -> World:
    """FAIL, with a visit."""
    world = first()
    world.center.registry = InMemoryRegistry()
    return world


def no_dicom() -> World:
    """FAIL, without a visit."""
    world = World()
    error = NotDicomError("This is no DICOM.")
    world.file_id = world.center.upload(world.center.subject(), header=error)
    return world


def short_cut() -> World:
    """An earlier run has read the header already."""
    world = first()
    world.run()
    return world


def failed_before() -> World:
    """An earlier run has failed; the registry knows the participant now."""
    world = unknown_participant()
    world.run()
    world.center.registry = Center().registry
    return world


def passed_before() -> World:
    """An earlier run has passed; the subject has another NACCID now."""
    world = short_cut()
    subject = world.center.file(world.file_id).parents["subject"]
    world.center.site.change_info(subject, naccid="not one")
    return world


def other_label() -> World:
    """An earlier run has passed for a label that was corrected since."""
    world = short_cut()
    world.center.site.relabel(world.center.file(world.file_id).parents["subject"], "110002")
    return world


def spoilt_label() -> World:
    """An earlier run has passed; the label names nobody now, so there is no visit."""
    world = short_cut()
    world.center.site.relabel(world.center.file(world.file_id).parents["subject"], "000")
    return world


def second_taken() -> World:
    """The event of another file of the visit stands in this run's second."""
    world = beside_others()
    world.center.moment = START
    return world


def event_owed() -> World:
    """An earlier run could not write its event."""
    world = first()
    world.center.events.on.add("put_if_absent", ServiceError("AWS S3", "HTTP 503"))
    world.run()
    return world


def log_owed() -> World:
    """An earlier run could not write the log."""
    world = first()
    world.center.site.on.add("upload_project_file", ServiceError("Flywheel", "HTTP 500"), times=3)
    world.run()
    return world


STARTS = (
    first,
    beside_others,
    known_naccid,
    mismatch,
    mixed_identity,
    unknown_participant,
    no_dicom,
    short_cut,
    failed_before,
    passed_before,
    other_label,
    spoilt_label,
    second_taken,
    event_owed,
    log_owed,
)
NEW_FILES = (
    first,
    beside_others,
    known_naccid,
    mismatch,
    mixed_identity,
    unknown_participant,
    no_dicom,
    second_taken,
)
"""What a run of the first version of a file may find."""
TURNS = (first, mixed_identity, unknown_participant, failed_before, event_owed)
"""Where copies by turns are tried: all their turns are many."""
Start = Callable[[], World]
WRITES = frozenset(
    {
        "merge_subject_info",
        "upload_project_file",
        "set_file_info",
        "delete_file_info",
        "put_if_absent",
        "add_file_tag",
        "remove_file_tags",
    }
)
ALL = WRITES | {
    "file",
    "file_version",
    "subject",
    "project",
    "label",
    "read_project_file",
    "naccid_for",
}


class Expected:
    """The end states after 1, 2, 3 ... runs that nobody disturbs."""

    def __init__(self, start: Start) -> None:
        self._world, self._states = start().ready(), list[Json]()

    def after(self, runs: int) -> Json:
        """Return the end state after that many runs."""
        while len(self._states) < runs:
            self._world.run()
            self._states.append(self._world.end_state())
        return self._states[runs - 1]


def passed_by(start: Start) -> list[str]:
    """Return the moments of a run that nobody disturbs."""
    world = start().ready()
    world.run()
    return world.moments.passed
