"""The gear's wiring: inputs for TLS, jobs that lack something, what the log ends with."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imaging_gears.dicom_send import run
from imaging_gears.dicom_send.config import SendConfig
from imaging_gears.dicom_send.run import Gear, mark_of, tls_files
from imaging_gears.errors import CalledAeTitleError, ConfigError, TlsFilesError
from imaging_gears.gear.job import InputFile, Job, parse_config
from imaging_gears.gear.start import JobCancelledError, Watchdog
from imaging_gears.ports import ContainerRef, TlsFiles
from tests.unit.dicom.builders import packed_zip
from tests.unit.dicom_send_gear.world import REQUIRED, FakeServer, stored

# An address is looked up without a name service.
HERE = {**REQUIRED, "destination": "127.0.0.1"}
SESSION = ContainerRef("session", "65f000000000000000000003")


def job(*names: str, **changes: Any) -> Job:  # noqa: ANN401 - fields of a job
    """Return a job with inputs of these names."""
    files = {name: InputFile(path=Path(f"/input/{name}"), name=name) for name in names}
    return Job(**{"gear_version": "1", "files": files, "config": HERE, **changes})


def config(**changes: object) -> SendConfig:
    """Return a config in which these values are other ones."""
    return parse_config(SendConfig, {**REQUIRED, **changes})


def ended(tmp_path: Path, given: Job) -> int:
    """Return the exit code of a run."""
    return Gear(given, tmp_path, Watchdog(60)).run()


def test_without_tls_its_inputs_do_not_count() -> None:
    """They may be there."""
    assert tls_files(config(), job("key", "cert")) is None


def test_tls_takes_its_inputs_and_the_profile() -> None:
    """The CA only where it was given."""
    strict = config(tls_enabled=True, tls_security_profile="BCP 195 modified")
    assert tls_files(strict, job("key", "cert")) == TlsFiles(
        key=Path("/input/key"), cert=Path("/input/cert"), profile="BCP 195 modified"
    )
    given = tls_files(strict, job("key", "cert", "add_cert_file"))
    assert given is not None
    assert given.ca == Path("/input/add_cert_file")


@pytest.mark.parametrize(("names", "missing"), [(("cert",), "key"), (("key",), "cert")])
def test_tls_without_an_input_that_it_needs_names_it(names: tuple[str, ...], missing: str) -> None:
    """One clear sentence."""
    with pytest.raises(TlsFilesError, match=f"no input {missing}"):
        tls_files(config(tls_enabled=True), job(*names))


def test_an_unchecked_server_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log sees it."""
    off = config(tls_enabled=True, tls_require_peer_cert=False)
    given = tls_files(off, job("key", "cert"))
    assert given is not None
    assert given.require_peer_cert is False
    assert "anybody could stand in for it" in caplog.text


@pytest.mark.parametrize("group", ["0x0020", "0x0001", "0xffff"])
def test_a_group_that_can_hold_no_private_tag_is_refused(group: str) -> None:
    """Even, reserved, or none."""
    with pytest.raises(ConfigError):
        mark_of(config(group=group))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (job(), "config-invalid"),
        (job(site_key="127.0.0.1:9:__force_insecure:k"), "nothing-to-send"),
        (job(destination=SESSION), "config-invalid"),
        (job(destination=SESSION, site_key="none"), "key-of-another-site"),
        (job("file", config={**REQUIRED, "port": 0}), "config-invalid"),
    ],
)
def test_a_job_that_lacks_something_fails_with_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, given: Job, code: str
) -> None:
    """Exit 1; there is no report of nothing."""
    assert ended(tmp_path, given) == 1
    assert code in caplog.text
    assert not (tmp_path / "output").exists()


def test_an_input_that_is_not_mounted_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The report of the local run has its row."""
    assert ended(tmp_path, job("file")) == 1
    assert "not where the platform mounts it" in caplog.text
    assert len(list((tmp_path / "output").iterdir())) == 2


def test_a_report_that_can_not_be_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file stands where output/ should be: exit 1, the table is in the log all the same."""
    (tmp_path / "output").write_bytes(b"")
    with caplog.at_level(logging.INFO):
        assert ended(tmp_path, job("file")) == 1
    assert "the report could not be written to output/" in caplog.text
    assert "Images in Series" in caplog.text


def test_examining_an_archive_is_progress_for_the_watchdog(tmp_path: Path) -> None:
    """Once a member, before anything is sent."""
    calls: list[int] = []

    class Counting(Watchdog):
        def progress(self) -> None:
            calls.append(1)

    (tmp_path / "a.zip").write_bytes(packed_zip([(str(n), b"text") for n in range(50)]))
    path = tmp_path / "a.zip"
    given = replace(job(), files={"file": InputFile(path=path, name="a.zip")})
    assert Gear(given, tmp_path, Counting(60)).run() == 1
    assert len(calls) >= 50


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize(
    ("failure", "code"),
    [(CalledAeTitleError("It is another.", location="called_ae"), 1), (JobCancelledError(), 143)],
)
def test_a_dry_run_that_ends_in_its_echo_leaves_a_report(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    code: int,
    *,
    local: bool,
) -> None:
    """Refused or cancelled before anything was asked: each file has its row, which says why."""

    class Refusing(FakeServer):
        def echo(self) -> str | None:
            raise failure

    monkeypatch.setattr(run, "dicom_server", lambda *_: Refusing())
    given = job("file", config={**REQUIRED, "dry_run": True})
    gear = Gear(given, tmp_path, Watchdog(60))
    if not local:
        gear.source.files = (stored(1),)
    assert gear.run() == code
    first, second = sorted((tmp_path / "output").iterdir(), key=lambda each: len(each.name))
    assert ",Failed" in first.read_text(encoding="utf-8")
    why = "It is another." if code == 1 else "the run ended before"
    assert f"not tried: {why}" in second.read_text(encoding="utf-8")


def test_an_unforeseen_error_is_told_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By kind and place, and exit 1."""

    def fail(*_: object) -> None:
        raise KeyError("Quixote")

    monkeypatch.setattr(run, "mark_of", fail)
    assert ended(tmp_path, job("file")) == 1
    assert "unexpected KeyError" in caplog.text
    assert "Quixote" not in caplog.text
