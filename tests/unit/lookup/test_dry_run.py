"""A dry run: everything is read and looked up, nothing is written, the plan has no values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imaging_gears import errors
from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.plan import Plan, PlannedEvents, PlannedSite, shape
from imaging_gears.image_identifier_lookup.progress import Outcome
from imaging_gears.ports import ContainerRef
from tests.fakes import Interruptions
from tests.unit.lookup.harness import HEADER, LOG, MARKS, Center

WRITES = {
    "merge_subject_info",
    "upload_project_file",
    "set_file_info",
    "add_file_tag",
    "remove_file_tags",
}


def rehearse(center: Center, file_id: str, version: int | None = None) -> tuple[Outcome, Plan]:
    """Run without writing; nothing may have changed afterwards."""
    plan = Plan()
    before = center.site.dump()
    center.site.on = Interruptions()
    outcome = center.run(
        file_id,
        version,
        site=PlannedSite(center.site, plan),
        events=PlannedEvents("prod", "nacc-event-logs", plan),
    )
    assert center.site.dump() == before
    assert not WRITES & set(center.site.on.calls)
    assert not [mark for mark in MARKS if mark in json.dumps(plan.writes)]
    return outcome, plan


def test_a_dry_run_writes_nothing_and_plans_everything(center: Center) -> None:
    """Each write in its order, with its target."""
    subject = center.subject()
    file_id = center.upload(subject)
    outcome, plan = rehearse(center, file_id)
    assert (outcome.state, outcome.exit_code, outcome.missing) == ("PASS", 0, {})
    assert center.events.stored == {}
    assert [(each["write"], each["target"]) for each in plan.writes] == [
        ("merge info", f"subject/{subject}"),
        (
            "upload",
            f"project/{center.project}/files/{{ptid}}_{{date}}_{{modality}}_qc-status.log",
        ),
        ("set info", f"file/{file_id}"),
        (
            "put if absent",
            "s3://nacc-event-logs/prod/log-submit-{timestamp}-{adcid}-{project}-{ptid}-{date}.json",
        ),
        ("set info", f"file/{file_id}"),
        ("add tag", f"file/{file_id}"),
    ]


def test_the_plan_shows_the_shape_of_each_content(center: Center) -> None:
    """Keys as they are, every value as the name of its JSON type."""
    _, plan = rehearse(center, center.upload(center.subject()))
    merge, upload, _, put, record, tag = plan.writes
    source = {"file_id": "string", "version": "integer"}
    metadata = {**dict.fromkeys(HEADER, "string"), "source": source}
    assert merge["content"] == {"naccid": "string", "dicom_metadata": metadata}
    assert upload["content"]["lines"] == 1
    assert upload["content"]["tags"] == []
    assert upload["content"]["info"]["visit"] == {
        "adcid": "integer",
        "ptid": "string",
        "naccid": "string",
        "date": "string",
        "visitnum": "null",
        "modality": "string",
    }
    assert put["content"]["pipeline_adcid"] == "integer"
    assert set(record["content"]) == {
        "qc",
        "validated_timestamp",
        "validated-timestamp",
        "data_identification",
        "dicom_metadata",
        GEAR,
    }
    assert tag["content"] == f"{GEAR}-PASS"


def test_a_plan_on_top_of_an_existing_log(center: Center) -> None:
    """The log is read and its lines counted; the stale tag would go."""
    file_id = center.upload(center.subject())
    center.site.put(center.project, LOG, b"one\ntwo\n", {}, ("t",))
    center.site.add_file_tag(file_id, f"{GEAR}-FAIL")
    _, plan = rehearse(center, file_id)
    upload = next(each for each in plan.writes if each["write"] == "upload")
    assert (upload["content"]["lines"], upload["content"]["tags"]) == (3, ["t"])
    assert plan.writes[-1]["write"] == "remove tags"
    assert plan.writes[-1]["content"] == [f"{GEAR}-FAIL"]


def test_a_dry_run_of_a_failing_file_plans_the_fail(center: Center) -> None:
    """The verdict is the real run's."""
    file_id = center.upload(center.subject("000"))
    outcome, plan = rehearse(center, file_id)
    assert outcome.codes == ("ptid-invalid",)
    assert [each["write"] for each in plan.writes] == ["set info", "add tag"]
    assert plan.writes[-1]["content"] == f"{GEAR}-FAIL"


def test_a_dry_run_finds_what_a_real_run_would(center: Center) -> None:
    """The registry is asked, a conflict is found."""
    file_id = center.upload(center.subject())
    center.registry.known = {}
    outcome, _ = rehearse(center, file_id)
    assert outcome.codes == (errors.IdentifierNotFoundError.code,)


def test_a_dry_run_goes_back_through_the_logs_history(center: Center) -> None:
    """Versions and labels are read through the plan, too."""
    subject = center.subject()
    file_id, other = center.upload(subject), center.upload(subject, "b.zip")
    center.run(other)
    center.site.put(center.project, LOG, b"by others\n")
    center.registry.known = {}
    center.site.change_info(subject, naccid=None)
    outcome, _ = rehearse(center, file_id)
    assert outcome.state == "FAIL"
    assert {"file_version", "label"} <= set(center.site.on.calls)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.5, "number"),
        ("110001", "string"),
        (b"990001", "string"),
        ({"a": {"b": [1, "x"]}, 2: ()}, {"a": {"b": ["integer", "string"]}, "2": []}),
    ],
)
def test_a_shape_has_types_in_the_place_of_values(value: Any, shown: object) -> None:  # noqa: ANN401
    """Leaves are named after their JSON type, whatever they are."""
    assert shape(value) == shown


def test_a_planned_site_reads_through(center: Center) -> None:
    """Every read is the site's own."""
    subject = center.subject()
    file_id = center.upload(subject)
    planned = PlannedSite(center.site, Plan())
    assert planned.file(file_id) == center.site.file(file_id)
    assert planned.file_version(file_id, 1) == center.site.file(file_id)
    assert planned.subject(subject).label == "110001"
    assert planned.project(center.project).label == "ingest-dicom"
    assert planned.label(ContainerRef("subject", subject)) == "110001"
    state = center.site.put(center.project, "x.log", b"text")
    assert planned.read_project_file(center.project, state) == b"text"
