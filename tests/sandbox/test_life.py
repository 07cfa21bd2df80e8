"""Seeds, restarts and the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from imaging_gears.sandbox import Sandbox, Seed, SeedError
from imaging_gears.sandbox.__main__ import main
from imaging_gears.sandbox.seed import default_seed
from imaging_gears.sandbox.store import StateInUseError
from tests.waiting import LONG

if TYPE_CHECKING:
    from collections.abc import Callable

    import flywheel

SEED = """
groups:
  - id: beta
    projects:
      - label: ingest
        info: {adcid: 7}
        tags: [live]
        rules:
          - name: on upload
            gear: probe
            all: [{type: file.name, value: "*.csv"}]
        subjects:
          - label: "0001"
            sessions:
              - label: s
                acquisitions:
                  - label: a
                    files:
                      - {name: a.txt, text: hello, info: {k: 1}}
                      - {name: b.txt, path: b.txt, type: dicom}
gears: [manifest.json]
users:
  - {id: bot, role: read-only, projects: [beta/ingest]}
identifiers: [{adcid: 7, ptid: "1", naccid: NACC000001}]
identifiers_csv: [table.csv]
parameters:
  - {name: /x/apikey, value: "{key:bot}"}
buckets: [events]
options: {signed_url: true}
"""
MANIFEST = """{"name": "probe", "version": "1", "command": "true", "config": {},
  "inputs": {"f": {"base": "file"}}}"""


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    """Write a seed with everything in it."""
    (tmp_path / "b.txt").write_text("from a file")
    (tmp_path / "manifest.json").write_text(MANIFEST)
    (tmp_path / "table.csv").write_text("mode,adcid,ptid,naccid\ndev,7,2,TEST000002\n")
    path = tmp_path / "seed.yaml"
    path.write_text(SEED)
    return path


def test_seed_from_yaml(seed_file: Path, aws: Callable[..., Any]) -> None:
    """All that a seed names is there: containers, files, gears, rules, users, rows, parameters."""
    with Sandbox.start(seed=Seed.from_yaml(seed_file), run_jobs=False) as sandbox:
        site = sandbox.site
        container = site.lookup("beta/ingest/0001/s/a")
        texts = [site.read(file["file_id"]) for file in container["files"]]
        assert texts == [b"hello", b"from a file"]
        assert container["files"][1]["type"] == "dicom"
        project = site.lookup("beta/ingest")
        assert (project["info"], project["tags"]) == ({"adcid": 7}, ["live"])
        site.upload(container["_id"], "c.csv", "x")
        assert [job["gear_info"]["name"] for job in site.jobs()] == ["probe"]
        assert sandbox.identifiers.get("dev", 7, "2") == "TEST000002"
        assert site.access.principal_of_user("bot").projects == (project["_id"],)
        assert sandbox.s3_objects("events") == {}
        parameter = aws("ssm", sandbox).get_parameter(Name="/x/apikey", WithDecryption=True)
        assert parameter["Parameter"]["Value"] == sandbox.key("bot")
        assert site.options.signed_url


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("groups: [", "can't be read"),
        ("unknown: 1", "unknown"),
        ("groups: [{id: a, projects: [{info: {}}]}]", "groups.0.projects.0.label"),
        ("users: [{id: a, role: boss}]", "users.0.role"),
    ],
)
def test_bad_seed_names_the_place(tmp_path: Path, text: str, place: str) -> None:
    """What is no seed is one sentence with the place in it."""
    path = tmp_path / "seed.yaml"
    path.write_text(text)
    with pytest.raises(SeedError, match=place.replace(".", r"\.")):
        Seed.from_yaml(path)


def test_parameter_of_an_unknown_user_is_refused() -> None:
    """A seed whose parameter wants the key of nobody does not start."""
    seed = Seed.model_validate({"parameters": [{"name": "/a", "value": "{key:nobody}"}]})
    with pytest.raises(SeedError, match="nobody"):
        Sandbox.start(seed=seed)


def test_unknown_option_is_refused() -> None:
    """A seed with a switch that the site does not have does not start."""
    with pytest.raises(SeedError, match="no_such_switch"):
        Sandbox.start(seed=Seed.model_validate({"options": {"no_such_switch": True}}))


def test_a_refused_seed_leaves_no_half(tmp_path: Path) -> None:
    """After a seed that was refused, the same state directory takes a good one."""
    bad = Seed.model_validate({"parameters": [{"name": "/a", "value": "{key:nobody}"}]})
    with pytest.raises(SeedError):
        Sandbox.start(seed=bad, state_dir=tmp_path)
    with Sandbox.start(state_dir=tmp_path) as sandbox:
        assert sandbox.site.lookup("alpha-center/ingest-dicom")["label"] == "ingest-dicom"


def test_state_survives_a_restart(tmp_path: Path, aws: Callable[..., Any]) -> None:
    """Files, versions, keys, registry, S3 objects and jobs are there again; keys know the port."""
    path = "alpha-center/ingest-dicom/110001"
    with Sandbox.start(state_dir=tmp_path / "state") as first:
        subject = first.site.lookup(path)
        first.site.upload(subject["_id"], "a.txt", "one")
        file = first.site.upload(subject["_id"], "a.txt", "two", info={"k": 1})
        first.identifiers.add("prod", 1, "x", "NACC000009")
        aws("s3", first).put_object(Bucket="nacc-event-logs", Key="e", Body=b"1")
        secret, port = first.key("gearbot").rpartition(":")[2], first.port
    with Sandbox.start(state_dir=tmp_path / "state") as second:
        again = second.site.file(file["file_id"])
        assert (again["version"], again["info"]) == (2, {"k": 1})
        assert second.site.read(file["file_id"], 1) == b"one"
        assert second.identifiers.get("prod", 1, "x") == "NACC000009"
        assert second.s3_objects("nacc-event-logs") == {"e": b"1"}
        assert second.key("gearbot").endswith(secret)
        name = "/prod/flywheel/gearbot/apikey"
        found = aws("ssm", second).get_parameter(Name=name, WithDecryption=True)
        assert found["Parameter"]["Value"].split(":")[1] == str(second.port)
        assert len(second.site.dump()["containers"]) == len(first_level())
    assert port > 0


def first_level() -> list[str]:
    """Return what the default seed holds: a group, a project, and three containers a subject."""
    return ["group", "project"] + ["subject", "session", "acquisition"] * 3


def test_a_state_directory_has_one_owner(tmp_path: Path) -> None:
    """A second sandbox on the same state is refused."""
    with Sandbox.start(state_dir=tmp_path), pytest.raises(StateInUseError):
        Sandbox.start(state_dir=tmp_path)


def test_ephemeral_state_goes_with_stop() -> None:
    """Nothing stays behind of an ephemeral sandbox."""
    with Sandbox.start() as sandbox:
        directory = sandbox.engine_directory("x").parent.parent
        assert directory.exists()
    assert not directory.exists()


def test_default_seed_is_a_seed_of_yaml_too() -> None:
    """The default seed can be written as YAML and read back the same."""
    seed = default_seed()
    text = yaml.safe_dump(seed.model_dump(mode="json", by_alias=True))
    assert Seed.model_validate(yaml.safe_load(text)) == seed


def serve(arguments: list[str], cwd: Path) -> tuple[subprocess.Popen[str], list[str]]:
    """Start the command, and return it with the lines that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "imaging_gears.sandbox", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert process.stdout is not None
    lines = []
    while not lines or not lines[-1].startswith("export no_proxy"):
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        lines.append(line)
    return process, lines


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of the CPU (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_command_starts_within_three_seconds_and_stops_clean(
    tmp_path: Path, connect: Callable[[str], flywheel.Client]
) -> None:
    """It prints a key that works, and SIGTERM ends it with 0 and silence."""
    process, lines = serve(["--ephemeral"], tmp_path)
    with process:
        assert cpu_seconds(process.pid) < 3
        variables = dict(line.removeprefix("export ").split("=", 1) for line in lines[2:])
        client = connect(variables["FLYWHEEL_API_KEY"].strip())
        assert client.lookup("alpha-center/ingest-dicom").label == "ingest-dicom"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LONG)
    assert (process.returncode, errors) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_command_keeps_its_state(tmp_path: Path) -> None:
    """Without --ephemeral the state stands in .sandbox."""
    process, _ = serve([], tmp_path)
    with process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONG)
    assert (tmp_path / ".sandbox" / "site.sqlite").exists()


@pytest.mark.parametrize(
    "arguments", [["--seed", "none.yaml"], ["--port", "70000"], ["--port", "TAKEN"]]
)
def test_command_says_why_it_cannot_start(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A seed that is not there and a port that can't be had are one sentence and exit 1."""
    given = [str(sandbox.port) if item == "TAKEN" else item for item in arguments]
    assert main(["--ephemeral", *given]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "Traceback" not in printed
