"""What a UID is (PS3.5 9.1)."""

from __future__ import annotations

import re
from typing import Final

# 9.1 allows no leading zeros; scanners write them, and servers take them.
_UID: Final = re.compile(r"\d+(?:\.\d+)+", re.ASCII)
_MAX_UID: Final = 64


def is_uid(text: str) -> bool:
    """Return whether `text`, without padding, can stand where a UID has to be."""
    return len(text) <= _MAX_UID and _UID.fullmatch(text) is not None
