"""The rarer routes and refusals of the site, through the real SDK or plain HTTP."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from flywheel.rest import ApiException

from imaging_gears.sandbox import EngineOptions, Sandbox
from imaging_gears.sandbox.site.errors import ApiError
from tests.waiting import LONG, until

if TYPE_CHECKING:
    from collections.abc import Callable

    import flywheel

PROJECT = "alpha-center/ingest-dicom"
PATH = f"{PROJECT}/110001/visit-1/T1"
MANIFEST: dict[str, Any] = {
    "name": "probe",
    "version": "1",
    "inputs": {"scan": {"base": "file"}, "more": {"base": "file", "optional": True}},
    "config": {"need": {"type": "string"}, "code": {"type": "integer", "default": 0}},
    "command": "exit {code}",
}


def ask(
    sandbox: Sandbox,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Send one request as the administrator; an iterable body goes in chunks."""
    secret = sandbox.api_key.rpartition(":")[2]
    client = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=LONG)
    try:
        given = {"Authorization": f"Bearer {secret}", **(headers or {})}
        client.request(method, f"/api{path}", body, given)  # type: ignore[arg-type]
        reply = client.getresponse()
        return reply.status, reply.read()
    finally:
        client.close()


def refused(call: Callable[[], object]) -> int:
    """Return the status with which the site refuses a call."""
    with pytest.raises((ApiException, ApiError)) as caught:
        call()
    return int(caught.value.status)


@pytest.fixture
def file(sandbox: Sandbox) -> dict[str, Any]:
    """Give a file with info, a tag and a zip's content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m.txt", "member")
    acquisition = sandbox.site.lookup(PATH)["_id"]
    return sandbox.site.upload(acquisition, "a.zip", buffer.getvalue(), info={"k": 1}, tags=["t"])


def test_who_and_what(fw: flywheel.Client, sandbox: Sandbox) -> None:
    """The SDK's calls for user, version and configuration work."""
    assert fw.get_current_user().id == "admin"
    assert fw.get_version().release == "sandbox"
    sandbox.site.options.signed_url = True
    assert fw.get_config().features.signed_url


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/at/all/here", 404),
        ("POST", "/files/abc/versions", 405),
        ("GET", "/planets/abc", 404),
        ("GET", "/files/abc", 404),
        ("GET", "/jobs/abc", 404),
        ("GET", "/gears/abc", 404),
        ("GET", "/batch/abc", 404),
        ("PUT", "/_storage/abc?ticket=abc", 404),
        ("GET", "/projects?limit=x", 400),
    ],
)
def test_refusals(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    """What is not there, or can't be done there, is a JSON refusal with its status in it."""
    got, body = ask(sandbox, method, path)
    assert (got, json.loads(body)["status_code"]) == (status, status)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/lookup", b"no json"),
        ("/lookup", b"[]"),
        ("/lookup", b'{"path": "a"}'),
        ("/groups", b'{"_id": "Not legal!"}'),
        ("/gears/x", b'{"gear": {"name": "y"}}'),
        ("/jobs/add", b'{"gear_id": "probe", "inputs": {}, "config": {"need": "x"}}'),
    ],
)
def test_bodies_that_are_none(sandbox: Sandbox, path: str, body: bytes) -> None:
    """A body that is not what the route takes is a 400."""
    sandbox.site.add_gear(MANIFEST)
    assert ask(sandbox, "POST", path, body)[0] == 400


def test_resolve_from_the_top_and_to_a_file(fw: flywheel.Client, file: dict[str, Any]) -> None:
    """An empty path lists the groups; a file has no children."""
    assert [node.id for node in fw.resolve([]).children] == ["alpha-center"]
    answer = fw.resolve([*PATH.split("/"), "files", "a.zip"])
    assert (answer.path[-1].file_id, answer.children) == (file["file_id"], [])


def test_lookup_by_id_and_of_an_analysis(fw: flywheel.Client, sandbox: Sandbox) -> None:
    """A step of a path may be an id in angle brackets, or lead to an analysis."""
    project = sandbox.site.lookup(PROJECT)["_id"]
    assert fw.lookup(f"alpha-center/<id:{project}>").label == "ingest-dicom"
    made = sandbox.site.add_analysis(sandbox.site.lookup(PATH)["_id"], "qa")
    assert fw.lookup(f"{PATH}/analyses/qa").id == made
    assert f"{PATH}/analyses/qa" in sandbox.site.dump()["containers"]


def test_a_session_can_name_its_subject(fw: flywheel.Client) -> None:
    """A session takes its subject by label, and the subject is made when it is new."""
    project = fw.lookup(PROJECT)
    for label in ("110001", "110077"):
        body = {"project": project.id, "subject": {"label": label}, "label": "extra"}
        made = fw.get_session(fw.add_session(body))
        assert made.subject.label == label
    assert len(project.subjects.find()) == 4


def test_subject_with_an_empty_label(sandbox: Sandbox) -> None:
    """A reaper's subject without a label can be arranged."""
    project = sandbox.site.lookup(PROJECT)["_id"]
    assert sandbox.site.container(sandbox.site.add_subject(project, ""))["label"] == ""


def test_lists_below_containers(fw: flywheel.Client) -> None:
    """Every level lists what is below it at any depth."""
    project = fw.lookup(PROJECT)
    assert len(fw.get_project_sessions(project.id)) == 3
    assert [a.label for a in fw.get_project_acquisitions(project.id)] == ["T1"] * 3
    assert [p.label for p in fw.get_group("alpha-center").projects()] == ["ingest-dicom"]
    full = fw.get_all_projects(filter="label=ingest-dicom", exhaustive=True)
    assert len(full) == 1


def test_files_by_id(fw: flywheel.Client, file: dict[str, Any], sandbox: Sandbox) -> None:
    """Info, tags and zip listing can be had by the file's id."""
    fid = file["file_id"]
    assert fw.get_file_info(fid)["info"] == {"k": 1}
    assert fw.get_file_tags(fid) == ["t"]
    assert [m.path for m in fw.get_file_zip_info(fid).members] == ["m.txt"]
    assert fw.get_acquisition_file_info(sandbox.site.lookup(PATH)["_id"], "a.zip").info == {"k": 1}
    patch = b'{"set": {"k": 2}}'
    assert ask(sandbox, "PATCH", f"/files/{fid}/info", patch)[0] == 200
    assert sandbox.site.file(fid)["info"] == {"k": 2}


def test_classification_is_added_replaced_and_deleted(
    fw: flywheel.Client, file: dict[str, Any], sandbox: Sandbox
) -> None:
    """The three verbs of a classification, and the modality beside them."""
    parent = file["parent_ref"]["id"]
    change = fw.modify_acquisition_file_classification
    change(parent, "a.zip", {"modality": "MR", "add": {"Intent": ["A", "B"]}})
    change(parent, "a.zip", {"delete": {"Intent": ["A"]}})
    assert sandbox.site.file(file["file_id"])["classification"] == {"Intent": ["B"]}
    change(parent, "a.zip", {"replace": {"Features": ["C"]}})
    after = sandbox.site.file(file["file_id"])
    assert (after["classification"], after["modality"]) == ({"Features": ["C"]}, "MR")


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-1", 206, slice(0, 2)),
        ("bytes=-4", 206, slice(-4, None)),
        ("bytes=5-", 206, slice(5, None)),
        ("bytes=99999-", 416, slice(0, 0)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_ranges(
    sandbox: Sandbox, file: dict[str, Any], wanted: str, status: int, part: slice
) -> None:
    """A range of a file's bytes can be asked for."""
    path = f"/acquisitions/{file['parent_ref']['id']}/files/a.zip"
    content = sandbox.site.read(file["file_id"])
    assert ask(sandbox, "GET", path, headers={"Range": wanted}) == (status, content[part])
    assert ask(sandbox, "HEAD", path)[0] == 200


def test_several_files_in_one_form(sandbox: Sandbox) -> None:
    """A form with two files and a list of metadata gives each its own; chunks are understood."""
    target = sandbox.site.lookup(PATH)["_id"]
    parts = [
        f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n{name}\r\n'
        for name in ("one", "two")
    ]
    metadata = json.dumps([{"name": "two", "tags": ["t"]}])
    parts += [f'--B\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{metadata}\r\n--B--']
    status, body = ask(
        sandbox,
        "POST",
        f"/acquisitions/{target}/files",
        (part.encode() for part in parts),
        {"Content-Type": "multipart/form-data; boundary=B"},
    )
    assert status == 200
    assert [(f["name"], f["tags"]) for f in json.loads(body)] == [("one", []), ("two", ["t"])]


FORM = "multipart/form-data; boundary=B"
PART = '--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
FIELD = '--B\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n%s\r\n--B--\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", "{}"),
        (FORM, "nothing"),
        (FORM, "--B--\r\n"),
        (FORM, PART + FIELD % '{"info": {"a": NaN}}'),
        (FORM, PART + FIELD % '{"tags": "t"}'),
        (FORM, PART + FIELD % '"text"'),
    ],
)
def test_forms_that_are_none(sandbox: Sandbox, kind: str, body: str) -> None:
    """No form, no file, or metadata that can't be: 400, and no file."""
    target = sandbox.site.lookup(PATH)["_id"]
    path = f"/acquisitions/{target}/files"
    assert ask(sandbox, "POST", path, body, {"Content-Type": kind})[0] == 400
    assert sandbox.site.container(target)["files"] == []


def test_metadata_is_kept_by_switch(sandbox: Sandbox, file: dict[str, Any]) -> None:
    """With the switch, a new version without metadata inherits it."""
    sandbox.site.options.keep_metadata = True
    again = sandbox.site.upload(file["parent_ref"]["id"], "a.zip", b"x")
    assert (again["version"], again["info"], again["tags"]) == (2, {"k": 1}, ["t"])


def test_gears_jobs_and_batches_can_be_looked_at(
    fw: flywheel.Client, sandbox: Sandbox, file: dict[str, Any]
) -> None:
    """The SDK's readers of gears, rules, jobs and batches."""
    gear = sandbox.site.add_gear({**MANIFEST, "custom": {}})
    sandbox.site.add_gear({**MANIFEST, "version": "2"})
    assert [g.gear.version for g in fw.get_all_gears()] == ["2"]
    assert len(fw.get_all_gears(all_versions=True)) == 2
    assert fw.get_gear_invocation(gear)["version"] == "1"
    project = sandbox.site.lookup(PROJECT)["_id"]
    rule = sandbox.site.add_rule(project, {"gear_id": "probe", "name": "r", "disabled": True})
    assert fw.get_project_rule(project, rule).name == "r"
    assert refused(lambda: fw.get_project_rule(project, "0" * 24)) == 404
    job = {
        "gear_id": gear,
        "inputs": {
            "scan": {"type": "acquisition", "id": file["parent_ref"]["id"], "name": "a.zip"}
        },
        "config": {"need": "x"},
    }
    proposal = fw.create_batch_job_from_jobs({"jobs": [job]})
    (made,) = fw.start_batch(proposal.id)
    sandbox.wait_for_jobs()
    assert fw.get_job_detail(made.id).state == "complete"
    assert fw.get_batch(proposal.id).jobs == [made.id]
    assert len(fw.get_all_batches()) == 1
    assert refused(lambda: fw.start_batch(proposal.id)) == 400


def test_fixed_inputs_and_newest_gear(sandbox: Sandbox, file: dict[str, Any]) -> None:
    """A rule can pin a file for another input, and follow its gear's versions."""
    sandbox.site.add_gear(MANIFEST)
    project = sandbox.site.lookup(PROJECT)["_id"]
    pinned = {"input": "more", **file["parent_ref"], "name": "a.zip", "version": 1}
    rule = {"gear_id": "probe", "name": "r", "config": {"need": "x"}, "auto_update": True}
    rule |= {"all": [{"type": "file.name", "value": "*.dcm"}], "triggering_input": "scan"}
    sandbox.site.add_rule(project, {**rule, "fixed_inputs": [pinned]})
    sandbox.site.add_gear({**MANIFEST, "version": "2"})
    sandbox.site.upload(file["parent_ref"]["id"], "b.dcm", "x")
    (job,) = sandbox.wait_for_jobs()
    assert job["gear_info"]["version"] == "2"
    assert {name: ref["name"] for name, ref in job["inputs"].items()} == {
        "scan": "b.dcm",
        "more": "a.zip",
    }


def queue(sandbox: Sandbox, file: dict[str, Any], **changes: object) -> None:
    """Register a gear and start it on the file."""
    sandbox.site.add_gear({**MANIFEST, **changes})
    parent = sandbox.site.hierarchy.get(file["parent_ref"]["id"])
    gear, inputs = (
        sandbox.site.gears.get("probe"),
        {"scan": sandbox.site.files.get(file["file_id"])},
    )
    who = sandbox.site.access.principal_of_user("gearbot")
    sandbox.site.queue.enqueue(gear, inputs, parent, who, config={"need": "x"})


def test_bad_metadata_fails_the_job(sandbox: Sandbox, file: dict[str, Any]) -> None:
    """A .metadata.json that is not JSON fails a job that exited with 0."""
    queue(sandbox, file, command="echo NaN > output/.metadata.json")
    (job,) = sandbox.wait_for_jobs()
    assert job["state"] == "failed"
    assert ".metadata.json" in job["failure_reason"]


def test_a_job_whose_input_is_gone_fails(file: dict[str, Any], sandbox: Sandbox) -> None:
    """A file that was deleted before the job began fails it, and the worker goes on."""
    blocker = sandbox.site.upload(file["parent_ref"]["id"], "b.txt", "x")
    queue(sandbox, blocker, command="while [ ! -e ../go ]; do sleep 0.02; done")
    parent = sandbox.site.hierarchy.get(file["parent_ref"]["id"])
    gear, inputs = (
        sandbox.site.gears.get("probe"),
        {"scan": sandbox.site.files.get(file["file_id"])},
    )
    who = sandbox.site.access.principal_of_user("gearbot")
    sandbox.site.queue.enqueue(gear, inputs, parent, who, config={"need": "x"})
    sandbox.site.files.remove(file["file_id"])
    job = sandbox.site.jobs()[0]["_id"]
    folder = sandbox.engine_directory(job).parent
    until(folder.exists, "jobs have their folder")
    (folder / "go").touch()
    first, second = sandbox.wait_for_jobs()
    assert (first["state"], second["state"]) == ("complete", "failed")


def test_failed_jobs_are_retried_by_switch() -> None:
    """With the switch, a failed job is queued again, three attempts in all; directories go."""
    options = EngineOptions(retry_failed=True, keep_directories=False)
    with Sandbox.start(engine=options) as sandbox:
        acquisition = sandbox.site.lookup(PATH)["_id"]
        queue(sandbox, sandbox.site.upload(acquisition, "a", "x"), command="exit 1")
        jobs = sandbox.wait_for_jobs()
        assert [job["attempt"] for job in jobs] == [1, 2, 3]
        assert not sandbox.engine_directory(jobs[0]["_id"]).exists()


def test_a_running_job_is_lost_by_a_restart(tmp_path: Any) -> None:  # noqa: ANN401 - pytest's path
    """A job that ran when the sandbox stopped is queued again at the next start."""
    with Sandbox.start(state_dir=tmp_path) as first:
        acquisition = first.site.lookup(PATH)["_id"]
        file = first.site.upload(acquisition, "a", "x")
        queue(first, file, command="if mkdir ../once; then sleep 600; fi")
        while not (tmp_path / "jobs" / "once").exists():
            first.site.queue.wait_change(0.02)
    with Sandbox.start(state_dir=tmp_path) as second:
        states = [(job["attempt"], job["state"]) for job in second.wait_for_jobs()]
    assert states == [(1, "failed"), (2, "complete")]
