"""The fuzzer finds what it looks for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imaging_gears.errors import HeaderError
from tests.fuzz import run
from tests.fuzz.guide import minimised
from tests.fuzz.mutate import content
from tests.unit.dicom.builders import dicom, element, pixels, sequence


@pytest.fixture
def fuzzer(tmp_path: Path) -> Iterator[run.Fuzzer]:
    """A fuzzer that knows one image."""
    with (tmp_path / "upload").open("wb") as file:
        yield run.Fuzzer(file, random.Random(5), known=[dicom()])  # noqa: S311 - repeatable


def raising(error: Exception) -> Any:  # noqa: ANN401 - stands in for a function
    """Return a reader that fails for every input whose preamble was changed."""

    def read(stream: Any, _: object) -> None:  # noqa: ANN401 - a stream
        if stream.read(128) != bytes(128):
            raise error

    return read


def test_a_new_way_is_learned_once_and_made_short(fuzzer: run.Fuzzer, tmp_path: Path) -> None:
    """A sequence goes other ways than plain values; what does not lead there is left out."""
    nested = sequence(0x00081140, [element(0x00100020, "LO", "1")], delimited=True)
    data = dicom(extra={0x00081140: nested})
    fuzzer.learn(dicom())
    assert fuzzer.found == []
    fuzzer.learn(data)
    fuzzer.learn(data)
    (found,) = fuzzer.found
    assert fuzzer.ways(found) - fuzzer.ways(dicom())
    assert len(found) < len(data) - len(pixels())
    run.keep(fuzzer.found, tmp_path / "kept")
    assert [content(path) for path in (tmp_path / "kept").iterdir()] == [found]


def test_what_an_input_needs_is_not_cut_out_of_it() -> None:
    """Eight bytes that count, in the middle of many that don't, are what is left."""
    needed = b"01234567"
    assert needed in minimised(bytes(1000) + needed + bytes(999), lambda data: needed in data)
    assert len(minimised(bytes(1000) + needed + bytes(999), lambda data: needed in data)) < 16


def test_an_exception_of_others_is_a_failure(
    fuzzer: run.Fuzzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is none of the project's errors; one of these is an answer."""
    monkeypatch.setattr(run, "read_header", raising(HeaderError("planted")))
    assert list(fuzzer.failures(50)) == []
    monkeypatch.setattr(run, "read_header", raising(ValueError("planted")))
    failures = list(fuzzer.failures(50))
    assert failures
    assert all(data[:128] != bytes(128) for _, data in failures)


def test_the_gears_own_way_is_gone(fuzzer: run.Fuzzer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails only where the image that counts is looked for is a failure, too."""

    def broken(_: Path) -> None:
        raise ValueError("planted")

    monkeypatch.setattr(run, "resolve", broken)
    assert len(list(fuzzer.failures(3))) == 3


def test_an_input_that_takes_too_long_is_a_failure(
    fuzzer: run.Fuzzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPU time counts."""
    monkeypatch.setattr(run, "SLOW", 0.0)
    assert len(list(fuzzer.failures(3))) == 3


def test_the_program_ends_with_one_where_something_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The input is kept under its number, to be read again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "seeds", lambda: [dicom()])
    assert run.main(["20", "3", "--keep", "kept"]) == 0
    assert "20 inputs" in capsys.readouterr().out
    monkeypatch.setattr(run, "SLOW", 0.0)
    assert run.main(["2", "3"]) == 1
    assert "2 failures" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("fuzz-*")) == ["fuzz-3-0", "fuzz-3-1"]
    assert (tmp_path / "kept").is_dir()
