"""Examples of hypothesis: the same in every process, whatever it has done before."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    import pytest


def examples() -> list[tuple[str, int]]:
    """Return what a test with these strategies is given."""
    found: list[tuple[str, int]] = []

    @given(st.text(), st.integers())
    def take(text: str, number: int) -> None:
        found.append((text, number))

    take()
    return found


def test_examples_do_not_depend_on_what_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of ours with many constants makes no difference."""
    before = examples()
    path = tmp_path / "ours.py"
    texts, numbers = [f"constant {each}" for each in range(99)], list(range(1000, 1099))
    path.write_text(f"TEXTS = {texts}\nNUMBERS = {numbers}\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("ours", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ours", module)
    spec.loader.exec_module(module)
    assert examples() == before
    assert len(before) == 150
