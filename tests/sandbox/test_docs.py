"""docs/sandbox.md against the program."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import yaml

from imaging_gears.sandbox import EngineOptions, Fault, Seed, SiteOptions
from imaging_gears.sandbox.faults import Kind

TEXT = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_seed_is_a_seed() -> None:
    """The example seed is valid and uses every field that a seed has."""
    (text,) = blocks("yaml")
    value = yaml.safe_load(text)
    assert Seed.model_validate(value).groups[0].projects[0].rules[0].gear
    assert set(value) == set(Seed.model_fields)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_are_python(block: str) -> None:
    """Every block can be parsed."""
    assert ast.parse(block).body


def test_every_name_is_explained() -> None:
    """All kinds of faults, all switches and all engine options are in the text."""
    names = [*get_args(Kind)]
    names += [field.name for kind in (Fault, SiteOptions, EngineOptions) for field in fields(kind)]
    assert [name for name in names if f"`{name}`" not in TEXT] == []
