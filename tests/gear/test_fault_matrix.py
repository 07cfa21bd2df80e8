"""Every external call of a run, failing in every way: how the job ends, and what is there then.

A seventh of the cells, every call and every way to fail among them, is not marked as slow.
``python -m benchmarks.faults`` runs all of them by themselves.
"""

from __future__ import annotations

import pytest

from tests.gear.fault_cells import CALLS, CELLS, FAILURES, SAMPLE, Cell
from tests.gear.fault_runs import flaws, run_cell, said
from tests.gear.gear_helpers import Center
from tools import reliability

# Lines that other tests go through as well, many times over.
pytestmark = [pytest.mark.no_cover, pytest.mark.slow]


def marked(cell: Cell) -> pytest.ParameterSet:
    """Return a cell as a parameter; those outside of the sample take most of a minute together."""
    marks = [] if cell in SAMPLE else [pytest.mark.slow]
    return pytest.param(cell, id=cell.name, marks=marks)


@pytest.mark.parametrize("cell", [marked(cell) for cell in CELLS])
def test_a_failing_call_ends_the_job_as_the_table_says(center: Center, cell: Cell) -> None:
    """Exit code, outputs and codes; few requests; a sentence that names the service."""
    result = run_cell(center, cell)
    assert result.end == cell.end, said(result.ended)
    assert flaws(center, cell, result) == []


def test_the_sample_holds_every_call_and_every_failure() -> None:
    """Each call fails in two ways or more, and each way is met by two calls or more."""
    for call in CALLS:
        assert sum(cell.call == call for cell in SAMPLE) >= 2
    for failure in FAILURES:
        assert sum(cell.failure == failure for cell in SAMPLE) >= 2


def test_the_page_has_the_table_of_the_data() -> None:
    """docs/reliability.md is what ``python -m tools.reliability`` writes."""
    page = reliability.PAGE.read_text(encoding="utf-8")
    assert reliability.page_with_table(page) == page
