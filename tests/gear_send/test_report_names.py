"""Names of reports: of jobs that end in the same second, and where a site takes no colon."""

from __future__ import annotations

import re

import pytest

from imaging_gears.sandbox import Fault
from tests.gear_send.send_helpers import MODULE, Session, on_file, rows, slices, zipped

pytestmark = pytest.mark.slow

# The gear as it is, with a clock that stands still: it has no other source of a report's time.
AT_ONE_SECOND = f"""
import datetime as dt, sys
import {MODULE} as run
run.now = lambda: dt.datetime(2026, 11, 20, 7, 2, 5, tzinfo=dt.UTC)
sys.exit(run.main())
"""


def test_jobs_that_end_in_the_same_second_have_a_report_each(session: Session) -> None:
    """Each of three is the newest version of its name, and its rows of images are beside it."""
    site = session.sandbox.site
    first = session.acquisition("T1", zipped(*slices(1), bytes(4)), "Quixote1.zip")
    acquisition = site.file(first)["parent_ref"]["id"]
    ids = [first]
    for number in (2, 3):
        images = slices(number, f"1.2.826.0.1.7.{number}")
        content = zipped(*images[:-1], images[-1][:-1])
        name = f"Quixote{number}.zip"
        ids.append(site.upload(acquisition, name, content, type="dicom")["file_id"])
    folders = [on_file(session, each) for each in ids]
    started = [session.start(each, program=("-c", AT_ONE_SECOND)) for each in folders]
    for process, folder in zip(started, folders, strict=True):
        session.wait(process, folder)
        assert list((folder / "output").iterdir()) == []
    reports = session.reports()
    named = [
        re.fullmatch(r"dicom-send_report-visit-of-Zelda_T1_2026-11-20_(07:02:0.)\.csv", name)
        for name in reports
    ]
    times = sorted(each[1] for each in named if each)
    assert times == ["07:02:05", "07:02:06", "07:02:07"]
    told = set()
    for time in times:
        name = f"dicom-send_report-visit-of-Zelda_T1_2026-11-20_{time}"
        ((_, _, file, *_),) = rows(reports[f"{name}.csv"])[1:]
        assert {row[2] for row in rows(reports[f"{name}_instances.csv"])[1:]} == {file}
        told.add(file)
    assert told == {f"Quixote{number}.zip" for number in (1, 2, 3)}
    assert len(reports) == 6


@pytest.mark.parametrize("status", [400, 422])
def test_a_site_that_takes_no_colon_gets_the_same_report(session: Session, status: int) -> None:
    """The first name is refused; the files that are attached then have hyphens in the time."""
    session.acquisition("T1", zipped(*slices(1)))
    fault = Fault(method="POST", route="/{kind}/{id}/files", status=status)
    session.sandbox.faults.add(fault)
    folder = session.folder({"type": "session", "id": session.session})
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    head = r"dicom-send_report-visit-of-Zelda_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"
    report, instances = sorted(session.reports(), key=len)
    assert re.fullmatch(rf"{head}\.csv", report)
    assert re.fullmatch(rf"{head}_instances\.csv", instances)
    assert list((folder / "output").iterdir()) == []


def test_what_stays_in_output_has_a_name_that_the_site_takes(session: Session) -> None:
    """The platform attaches it from there, under that name."""
    session.acquisition("T1", zipped(*slices(1)))
    route = "/{kind}/{id}/files"
    session.sandbox.faults.add(Fault(method="POST", route=route, status=400, times=None))
    folder = session.folder({"type": "session", "id": session.session})
    ended = session.run(folder)
    assert ended.code == 0, ended.out
    assert "stays in output/" in ended.out
    left = [each.name for each in (folder / "output").iterdir()]
    assert len(left) == 2
    assert [name for name in left if ":" in name] == []
