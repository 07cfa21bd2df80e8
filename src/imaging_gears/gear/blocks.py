"""Blocks of JSON that others write, too: config.json, and the info of files and containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_block(value: object) -> Mapping[str, Any]:
    """Return a block of JSON; whatever else stands in its place counts as an empty one."""
    return value if isinstance(value, Mapping) else {}
