"""Gears, rules, jobs and the engine, through the real SDK and real processes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from flywheel.rest import ApiException

from imaging_gears.sandbox import EngineOptions, Sandbox
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import flywheel

PATH = "alpha-center/ingest-dicom/110001/visit-1/T1"
MANIFEST: dict[str, Any] = {
    "name": "probe",
    "label": "Probe",
    "version": "0.1.0",
    "inputs": {
        "api-key": {"base": "api-key"},
        "scan": {"base": "file", "type": {"enum": ["dicom"]}},
        "extra": {"base": "file", "optional": True},
    },
    "config": {
        "code": {"type": "integer", "default": 0},
        "note": {"type": "string", "optional": True},
    },
    "environment": {"GREETING": "hello"},
    "custom": {"flywheel": {"show-job": True}, "gear-builder": {"category": "utility"}},
}
DICOM_RULE = {
    "name": "on upload",
    "gear_id": "probe",
    "all": [{"type": "file.type", "value": "dicom"}],
}


def gear(command: str, **changes: object) -> dict[str, Any]:
    """Return the manifest of a gear that runs a shell command."""
    return {**MANIFEST, "command": command, **changes}


def gear_with_rule(sandbox: Sandbox, command: str, **rule: object) -> str:
    """Register a gear and a rule for it; return the id of the acquisition to upload to."""
    sandbox.site.add_gear(gear(command))
    project = sandbox.site.lookup("alpha-center/ingest-dicom")["_id"]
    sandbox.site.add_rule(project, {**DICOM_RULE, **rule})
    return str(sandbox.site.lookup(PATH)["_id"])


def run_one(sandbox: Sandbox, command: str, **rule: object) -> dict[str, Any]:
    """Upload a DICOM that starts the command, and return the job when it has ended."""
    acquisition = gear_with_rule(sandbox, command, **rule)
    sandbox.site.upload(acquisition, "a.dcm", "pixels", info={"old": 1})
    return dict(sandbox.wait_for_jobs()[0])


@pytest.fixture
def merging() -> Iterator[Sandbox]:
    """Serve a site whose engine merges metadata."""
    with Sandbox.start(engine=EngineOptions(metadata="merge")) as running:
        yield running


def test_an_upload_that_satisfies_a_rule_runs_the_gear(
    sandbox: Sandbox, fw: flywheel.Client
) -> None:
    """The job runs the command, its log is kept, and it says which rule and input it had."""
    job = run_one(sandbox, "echo $GREETING; cat input/scan/a.dcm")
    found = fw.get_job(job["_id"])
    assert (found.state, found.attempt, found.gear_info.name) == ("complete", 1, "probe")
    assert found.inputs["scan"].name == "a.dcm"
    assert "".join(line.msg for line in fw.get_job_logs(found.id).logs) == "hello\npixels"


def test_config_json_is_the_platforms(sandbox: Sandbox) -> None:
    """The gear finds its config, a snapshot of its input, the destination, the job and a key."""
    job = run_one(sandbox, "cat config.json")
    config = json.loads(sandbox.site.queue.log(job["_id"]))
    scan, acquisition = config["inputs"]["scan"], sandbox.site.lookup(PATH)["_id"]
    assert config["config"] == {"code": 0}
    assert config["destination"] == {"type": "acquisition", "id": acquisition}
    assert config["job"] == {"id": job["_id"]}
    assert (scan["base"], scan["hierarchy"]) == ("file", config["destination"])
    assert (scan["object"]["version"], scan["object"]["info"]) == (1, {"old": 1})
    assert scan["location"]["name"] == "a.dcm"
    assert config["inputs"]["api-key"]["key"].startswith(f"127.0.0.1:{sandbox.port}:")


def test_stored_config_has_no_key(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """The config that the site gives for a job has inputs and config, and no key."""
    job = run_one(sandbox, "true")
    stored = fw.get_job_config(job["_id"])
    assert set(stored["inputs"]) == {"scan"}


def test_job_environment(sandbox: Sandbox) -> None:
    """A job has the manifest's variables, AWS's, its own directory, and nothing of the server's."""
    os.environ["SANDBOX_CANARY"] = "x"
    try:
        job = run_one(sandbox, "env; pwd")
    finally:
        del os.environ["SANDBOX_CANARY"]
    text = sandbox.site.queue.log(job["_id"])
    assert "SANDBOX_CANARY" not in text
    assert f"AWS_ENDPOINT_URL={sandbox.url}\n" in text
    assert "FW_CONFIG_CODE=0\n" in text
    directory = text.splitlines()[-1]
    assert f"FLYWHEEL={directory}\n" in text
    assert f"HOME={directory}\n" in text


def test_rule_key_is_limited_and_dies(
    sandbox: Sandbox, connect: Callable[[str], flywheel.Client]
) -> None:
    """A rule's key says so, works in its project only, and not after the job."""
    other = sandbox.site.add_project("alpha-center", "other")
    program = (
        "import json, os, urllib.error, urllib.request;"
        "key = json.load(open('config.json'))['inputs']['api-key']['key'].rpartition(':')[2];"
        "headers = {'Authorization': 'scitran-user ' + key};"
        "urllib.request.HTTPErrorProcessor.http_response = lambda _, request, reply: reply;"
        "ask = lambda path: urllib.request.urlopen(urllib.request.Request("
        "os.environ['AWS_ENDPOINT_URL'] + '/api/' + path, headers=headers)).read().decode();"
        "[print(ask(path)) for path in os.environ['FW_CONFIG_NOTE'].split()]"
    )
    note = f"auth/status groups/alpha-center projects/{other}"
    command = f'python -c "{program}"'
    job = run_one(sandbox, command, config={"note": note})
    status, group, project = map(json.loads, sandbox.site.queue.log(job["_id"]).splitlines())
    assert status["origin"] == {"type": "gear_rule", "id": job["rule_id"]}
    assert (group["status_code"], project["status_code"]) == (403, 403)
    config = json.loads((sandbox.engine_directory(job["_id"]) / "config.json").read_text())
    with pytest.raises(ApiException) as caught:
        connect(config["inputs"]["api-key"]["key"]).get_auth_status()
    assert caught.value.status == 401


def test_outputs_and_metadata_replace(sandbox: Sandbox) -> None:
    """Plain files of output/ appear with their metadata; info given for the input is set whole."""
    metadata = {
        "acquisition": {
            "files": [
                {"name": "r.txt", "info": {"r": 1}, "tags": ["made"]},
                {"name": "a.dcm", "info": {"new": 1}},
            ],
            "label": "other",
            "operator": "Op",
        }
    }
    command = (
        "mkdir output/folder; echo x > output/folder/y; echo out > output/r.txt;"
        f"echo '{json.dumps(metadata)}' > output/.metadata.json"
    )
    job = run_one(sandbox, command)
    container = sandbox.site.lookup(PATH)
    files = {file["name"]: sandbox.site.file(file["file_id"]) for file in container["files"]}
    assert set(files) == {"a.dcm", "r.txt"}
    assert (files["r.txt"]["info"], files["r.txt"]["tags"]) == ({"r": 1}, ["made"])
    assert files["r.txt"]["origin"] == {"type": "job", "id": job["_id"]}
    assert files["a.dcm"]["info"] == {"new": 1}
    assert (container["label"], container["operator"]) == ("T1", "Op")


def test_metadata_merges_by_switch(merging: Sandbox) -> None:
    """With the switch, info given for the input is laid over what is there."""
    entry = {"acquisition": {"files": [{"name": "a.dcm", "info": {"new": 1}}]}}
    run_one(merging, f"echo '{json.dumps(entry)}' > output/.metadata.json")
    file = merging.site.lookup(f"{PATH}/files/a.dcm")
    assert file["info"] == {"old": 1, "new": 1}


def test_failed_job_uploads_outputs_without_metadata(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """An exit code other than 0 fails the job; outputs come, metadata and rules don't."""
    entry = {"acquisition": {"files": [{"name": "b.dcm", "info": {"r": 1}}]}}
    command = (
        f"echo x > output/b.dcm; echo '{json.dumps(entry)}' > output/.metadata.json; exit {{code}}"
    )
    job = run_one(sandbox, command, config={"code": 3})
    assert (job["state"], job["failure_reason"]) == ("failed", "Gear exited with code 3.")
    assert sandbox.site.lookup(f"{PATH}/files/b.dcm")["info"] == {}
    assert len(fw.jobs.find()) == 1


def test_a_lost_job_is_queued_again_thrice(sandbox: Sandbox) -> None:
    """A process that is killed makes a new job, up to the third attempt, with the same snapshot."""
    run_one(sandbox, "kill -9 $$")
    jobs = sandbox.wait_for_jobs()
    assert [(job["attempt"], job["state"]) for job in jobs] == [
        (1, "failed"),
        (2, "failed"),
        (3, "failed"),
    ]
    assert jobs[1]["previous_job_id"] == jobs[0]["_id"]
    assert jobs[2]["config"] == jobs[0]["config"]


def test_a_job_taken_for_dead_goes_on(sandbox: Sandbox) -> None:
    """A lost job's process is left alone, and the same work runs a second time beside it."""
    acquisition = gear_with_rule(
        sandbox,
        "mkdir ../first 2>/dev/null && first=yes; echo start;"
        "while [ $first ] && [ ! -e ../go ]; do sleep 0.02; done; echo end",
    )
    sandbox.site.upload(acquisition, "a.dcm", "x")
    first = wait_running(sandbox)
    second = sandbox.site.lose(first)
    assert second is not None
    jobs = {job["_id"]: job for job in sandbox.wait_for_jobs()}
    (sandbox.engine_directory(first).parent / "go").touch()
    assert (jobs[first]["state"], jobs[second]["state"]) == ("failed", "complete")
    assert sandbox.site.queue.log(second) == "start\nend\n"
    until(lambda: sandbox.site.queue.log(first) == "start\nend\n", "the first job has ended")


def wait_running(sandbox: Sandbox) -> str:
    """Return the id of the first job when its command has begun."""
    until(sandbox.site.jobs, "there is a job")
    job = str(sandbox.site.jobs()[0]["_id"])
    log = sandbox.engine_directory(job) / ".log"
    until(lambda: log.exists() and log.read_text().endswith("\n"), "it has begun")
    return job


def test_cancel_kills_the_process(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """A job that is cancelled ends at once."""
    acquisition = gear_with_rule(sandbox, "echo $$; exec sleep 600")
    sandbox.site.upload(acquisition, "a.dcm", "x")
    job = wait_running(sandbox)
    fw.change_job_state(job, "cancelled")
    assert sandbox.wait_for_jobs()[0]["state"] == "cancelled"
    pid = int((sandbox.engine_directory(job) / ".log").read_text())
    until(lambda: not alive(pid), "the process has ended")


def alive(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_stop_kills_running_jobs() -> None:
    """No process of a job outlives the sandbox."""
    with Sandbox.start() as sandbox:
        acquisition = gear_with_rule(sandbox, "echo $$; exec sleep 600")
        sandbox.site.upload(acquisition, "a.dcm", "x")
        pid = int((sandbox.engine_directory(wait_running(sandbox)) / ".log").read_text())
        assert alive(pid)
    assert not alive(pid)


def test_gear_run_and_retry(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """A user's job acts as the user; failed, it can be retried once."""
    sandbox.site.add_gear(gear("exit {code}"))
    acquisition = fw.lookup(PATH)
    sandbox.site.upload(acquisition.id, "a.dcm", "x")
    file = acquisition.reload().files[0]
    job = fw.lookup("gears/probe").run(inputs={"scan": file}, config={"code": 1})
    sandbox.wait_for_jobs()
    assert fw.get_job(job).state == "failed"
    fw.retry_job(job)
    jobs = sandbox.wait_for_jobs()
    assert (jobs[1]["previous_job_id"], jobs[1]["origin"]["type"]) == (job, "user")
    with pytest.raises(ApiException) as caught:
        fw.retry_job(job)
    assert caught.value.status == 400


def test_bad_job_requests_are_400(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """Missing inputs and unknown config values are refused."""
    sandbox.site.add_gear(gear("true"))
    acquisition = fw.lookup(PATH)
    for inputs, config in (({}, {}), ({"nothing": acquisition}, {"unknown": 1})):
        with pytest.raises(ApiException) as caught:
            fw.lookup("gears/probe").run(inputs=inputs, destination=acquisition, config=config)
        assert caught.value.status in (400, 404)


def test_analysis_gear_fills_an_analysis(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """A gear of category analysis gets a new analysis as its destination."""
    custom = {"gear-builder": {"category": "analysis"}}
    sandbox.site.add_gear(gear("echo x > output/r.txt", custom=custom))
    acquisition = fw.lookup(PATH)
    sandbox.site.upload(acquisition.id, "a.dcm", "x")
    file = acquisition.reload().files[0]
    made = fw.lookup("gears/probe").run(
        inputs={"scan": file}, destination=acquisition, analysis_label="qa"
    )
    sandbox.wait_for_jobs()
    analysis = fw.get_analysis(made)
    assert (analysis.label, [file.name for file in analysis.files]) == ("qa", ["r.txt"])
    assert analysis.job.state == "complete"


def test_batch(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """A proposal sorts containers by what fits, and runs those that do."""
    sandbox.site.add_gear(gear("true"))
    targets = [fw.lookup(f"alpha-center/ingest-dicom/{s}/visit-1/T1") for s in ("110001", "110002")]
    sandbox.site.upload(targets[0].id, "a.dcm", "x")
    proposal = fw.lookup("gears/probe").propose_batch(targets)
    assert ([c.id for c in proposal.matched], [c.id for c in proposal.not_matched]) == (
        [targets[0].id],
        [targets[1].id],
    )
    jobs = proposal.run()
    assert len(jobs) == 1
    assert sandbox.wait_for_jobs()[0]["state"] == "complete"


def test_batch_cancel(connect: Callable[[str], flywheel.Client]) -> None:
    """Cancelling a batch cancels the jobs that have not ended."""
    with Sandbox.start(run_jobs=False) as sandbox:
        sandbox.site.add_gear(gear("true"))
        fw = connect(sandbox.api_key)
        target = fw.lookup(PATH)
        sandbox.site.upload(target.id, "a.dcm", "x")
        proposal = fw.lookup("gears/probe").propose_batch([target])
        proposal.run()
        assert fw.cancel_batch(proposal.id) == 1
        assert [job["state"] for job in sandbox.site.jobs()] == ["cancelled"]


def test_rules_of_the_sdk(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """A rule made, changed and deleted through the SDK acts accordingly."""
    gear_id = sandbox.site.add_gear(gear("true"))
    project = fw.lookup("alpha-center/ingest-dicom")
    condition = {"type": "file.name", "value": "*.dcm", "regex": False}
    body = {"project_id": project.id, "gear_id": gear_id, "name": "r", "all": [condition]}
    body |= {"any": [], "not": []}
    fw.add_project_rule(project.id, body)
    rule = fw.get_project_rules(project.id)[0]
    acquisition = sandbox.site.lookup(PATH)["_id"]
    sandbox.site.upload(acquisition, "a.dcm", "x")
    fw.modify_project_rule(project.id, rule.id, {"disabled": True})
    sandbox.site.upload(acquisition, "b.dcm", "x")
    fw.remove_project_rule(project.id, rule.id)
    assert fw.get_project_rules(project.id) == []
    assert [job["inputs"]["scan"]["name"] for job in sandbox.wait_for_jobs()] == ["a.dcm"]


def test_a_rule_fires_when_its_condition_turns_true(sandbox: Sandbox) -> None:
    """Files that were there don't fire; a change that makes the condition true does, once."""
    acquisition = sandbox.site.lookup(PATH)["_id"]
    old = sandbox.site.upload(acquisition, "old.dcm", "x")
    gear_with_rule(sandbox, "true", all=[{"type": "file.tags", "value": "go"}])
    assert sandbox.site.jobs() == []
    for tags in (["other"], ["go"], ["more"]):
        sandbox.site.change_tags(old["file_id"], add=tags, remove=[])
    assert len(sandbox.wait_for_jobs()) == 1


def test_a_new_version_fires_again(sandbox: Sandbox) -> None:
    """Each version of a file that satisfies the rule has its own job."""
    acquisition = gear_with_rule(sandbox, "true")
    for _ in range(2):
        sandbox.site.upload(acquisition, "a.dcm", "x")
    jobs = sandbox.wait_for_jobs()
    assert [job["inputs"]["scan"]["version"] for job in jobs] == [1, 2]


def test_register_gear_through_the_sdk(sandbox: Sandbox, fw: flywheel.Client) -> None:
    """A manifest is registered by the API; a version can't be changed."""
    body = {"category": "utility", "gear": gear("true"), "exchange": {}}
    fw.add_gear("probe", body)
    with pytest.raises(ApiException) as caught:
        fw.add_gear("probe", body)
    assert caught.value.status == 409
    assert fw.lookup("gears/probe").gear.version == "0.1.0"
