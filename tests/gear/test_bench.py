"""The benchmark: its figures are what they say, and a broken bound is an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import inputs, run
from benchmarks.figures import Figure, table
from benchmarks.process import Bench, GearFailedError
from tests.waiting import LONG

# Each measures processes of its own.
pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
# Ways to read a file, and whether each is counted.
ROADS = {
    "fd = os.open(p, os.O_RDONLY); os.pread(fd, 100, 7); os.read(fd, 30); os.close(fd)": (130, []),
    "fd = os.open(p, 0); os.close(fd); fd = os.open(q, 0); os.read(fd, 30)": (0, []),
    "fd = os.open(p, 0); os.preadv(fd, [bytearray(40)], 0)": (40, []),
    "open(p).read()": (0, ["open"]),
    "fd = os.open(p, 0); os.fdopen(fd).read()": (0, ["open of a descriptor"]),
    "import mmap; fd = os.open(p, 0); mmap.mmap(fd, 0, prot=mmap.PROT_READ)": (0, ["mmap"]),
    "os.stat(p); open(q).read()": (0, []),
}


@pytest.mark.parametrize("road", ROADS)
def test_reads_are_counted_or_reported(tmp_path: Path, road: str) -> None:
    """Bytes through `os` are counted; any other road to the file is named."""
    for name in ("upload", "other"):
        (tmp_path / name).write_bytes(bytes(1000))
    module = f"import os; p, q = {str(tmp_path / 'upload')!r}, {str(tmp_path / 'other')!r}; {road}"
    (tmp_path / "reader.py").write_text(module, encoding="utf-8")
    counting, report = REPOSITORY / "benchmarks/counting.py", tmp_path / "report.json"
    subprocess.run(
        [sys.executable, counting, tmp_path / "upload", report, "reader"],
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        timeout=LONG,
    )
    found = json.loads(report.read_text(encoding="utf-8"))
    assert (found["bytes_read"], found["uncounted"]) == ROADS[road]
    assert found["opened"] == (0 if "os.stat" in road else 1)
    assert found["pydicom_imported"] is False


def test_a_first_run_and_the_short_cut_are_measured(tmp_path: Path) -> None:
    """The real gear passes, reads a little of the file once, and nothing of it again."""
    source = inputs.single(tmp_path)
    with Bench.start(tmp_path) as bench:
        upload = bench.upload(source)
        reads, first = bench.count_reads(upload)
        bench.again(upload, source)
        upload.path.write_bytes(b"")
        reads_again, again = bench.count_reads(upload)
    assert (reads["opened"], reads["uncounted"]) == (1, [])
    assert 0 < reads["bytes_read"] < source.stat().st_size
    assert (reads_again["opened"], reads_again["bytes_read"]) == (0, 0)
    assert first.requests == {"flywheel": 10, "ssm": 1, "s3": 1, "lambda": 1}
    assert again.requests["flywheel"] <= 10
    assert 10 < first.peak_mib < 1000
    assert 0.1 < first.cpu_seconds < 60


def test_a_run_that_does_not_pass_is_not_measured(tmp_path: Path) -> None:
    """What the gear fails would give figures of something else."""
    source = tmp_path / "T1.dcm"
    source.write_bytes(b"no image")
    with Bench.start(tmp_path) as bench:
        upload = bench.upload(source)
        with pytest.raises(GearFailedError, match="not-dicom"):
            bench.run(upload)


def test_the_uploads_are_of_real_size(tmp_path: Path) -> None:
    """A series of 176 slices, as a zip or as one image, is 18 MB."""
    sizes = [make(tmp_path).stat().st_size for make in (inputs.series, inputs.enhanced)]
    assert all(18_000_000 < size < 19_000_000 for size in sizes)


@pytest.mark.parametrize(
    ("figure", "ok"),
    [
        (Figure(name="a", measured=10, bound=10), True),
        (Figure(name="a", measured=11, bound=10), False),
        (Figure(name="a", measured=0, relation="==", bound=1), False),
        (Figure(name="a", measured=1, relation="==", bound=1), True),
        (Figure(name="a", measured=1.15, relation="<", bound=1.15), False),
        (Figure(name="a", measured=1.149, relation="<", bound=1.15), True),
        (Figure(name="a", measured=None, bound=10), False),
        (Figure(name="a", measured=5), True),
    ],
)
def test_bounds(figure: Figure, *, ok: bool) -> None:
    """A bound is kept as its relation says; what was not measured breaks it."""
    assert figure.ok is ok
    assert figure.as_json()["ok"] is ok


def test_the_table_says_what_is_broken() -> None:
    """Each row has figure, measured value, bound and verdict."""
    figures = [
        Figure(name="bytes", measured=300, unit="bytes", relation="<", bound=256),
        Figure(name="ratio", measured=1.0712, relation="<", bound=1.15, digits=2),
        Figure(name="told", measured=0.5, unit="s", digits=2),
        Figure(name="lost", measured=None, bound=1),
    ]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table(figures).splitlines()
    ]
    assert rows[0] == ["figure", "measured", "bound", ""]
    assert rows[2:] == [
        ["bytes", "300 bytes", "under 256 bytes", "NOT OK"],
        ["ratio", "1.07", "under 1.15", "ok"],
        ["told", "0.50 s", "", ""],
        ["lost", "not measured", "at most 1", "NOT OK"],
    ]


@pytest.mark.parametrize(("measured", "code"), [(9, 0), (11, 1)])
def test_a_broken_bound_is_exit_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    measured: int,
    code: int,
) -> None:
    """The table is printed and written as JSON either way."""
    figures = [Figure(name="requests", measured=measured, bound=10)]
    monkeypatch.setattr(run, "measure", lambda *_: figures)
    path = tmp_path / "figures.json"
    assert run.main(["--quick", "--json", str(path)]) == code
    assert ("NOT OK: requests" in capsys.readouterr().out) is bool(code)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert document["ok"] is not bool(code)
    assert document["figures"][0]["measured"] == measured


def test_a_failed_gear_is_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gear's own log says why there are no figures."""

    def fail(*_: object) -> list[Figure]:
        message = "Exit code 1: no such bucket"
        raise GearFailedError(message)

    monkeypatch.setattr(run, "measure", fail)
    assert run.main(["--json", str(tmp_path / "figures.json")]) == 1
    assert capsys.readouterr().err == "Exit code 1: no such bucket\n"
