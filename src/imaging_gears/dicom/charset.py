"""From bytes to characters by SpecificCharacterSet (PS3.3 C.12.1.1.2, PS3.5 6.1).

pydicom's `decode_bytes` replaces what it can't decode and prints the value in a warning; here a
value is decoded whole or not at all. The codecs are Python's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASCII: Final = "ascii"

# PS3.3 tables C.12-2 to C.12-5. The terms with code extensions ("ISO 2022 IR 100") name the same
# characters as those without ("ISO_IR 100").
_CODECS: Final = {
    "6": _ASCII,
    "13": "shift_jis",  # a superset of JIS X 0201
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "tis_620",
    "203": "iso8859_15",
    "192": "utf_8",
    # Multi-byte sets of code extensions: without an escape sequence, ASCII is in force.
    "58": _ASCII,
    "87": _ASCII,
    "149": _ASCII,
    "159": _ASCII,
}
_NAMED: Final = {"": _ASCII, "GB18030": "gb18030", "GBK": "gbk"}
_TERM: Final = re.compile(r"ISO[ _-]?(?:2022[ _-])?IR[ _-](\d+)")
_EXTENDED: Final = re.compile(r"ISO[ _-]2022[ _-]IR")

# Escape sequences of PS3.3 tables C.12-3 and C.12-4. Those of G1 stay until the next one of G1,
# whatever is in G0.
_G1: Final = {
    b"\x1b-A": "latin_1",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso8859_7",
    b"\x1b-G": "iso8859_6",
    b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5",
    b"\x1b-M": "iso8859_9",
    b"\x1b-T": "tis_620",
    b"\x1b-b": "iso8859_15",
    b"\x1b)I": "shift_jis",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
}
_G0_SINGLE: Final = frozenset({b"\x1b(B", b"\x1b(J"})
_G0_MULTI: Final = {b"\x1b$B": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2"}
_FRAGMENTS: Final = re.compile(rb"(\x1b\$?[()-]?[A-Za-z])")


def codec_of(term: str) -> str | None:
    """Return the Python codec of one defined term of SpecificCharacterSet, None without one."""
    if term in _NAMED:
        return _NAMED[term]
    match = _TERM.fullmatch(term)
    return _CODECS.get(match[1]) if match else None


def decode(raw: bytes, terms: Sequence[str]) -> str:
    """Return the text of `raw`.

    Args:
        raw: a value of a VR that SpecificCharacterSet affects.
        terms: the values of SpecificCharacterSet; none means ASCII, and so does a term that is
            unknown, because all sets contain it.

    Raises:
        UnicodeError: `raw` is no text in these character sets.
    """
    initial = (codec_of(terms[0]) if terms else None) or _ASCII
    if b"\x1b" not in raw or not any(_EXTENDED.match(term) for term in terms):
        return raw.decode(initial)
    return _decode_extended(raw, initial)


def decode_leniently(raw: bytes, terms: Sequence[str]) -> str:
    """Return the text of `raw` with U+FFFD for what is none, without code extensions."""
    initial = (codec_of(terms[0]) if terms else None) or _ASCII
    return raw.decode(initial, errors="replace")


def _decode_extended(raw: bytes, g1: str) -> str:
    """Decode a value with code extensions (PS3.5 6.1.2.5)."""
    first, *rest = _FRAGMENTS.split(raw)
    text = [first.decode(g1)]
    for escape, fragment in zip(rest[::2], rest[1::2], strict=True):
        if escape in _G0_MULTI:
            text.append((escape + fragment).decode(_G0_MULTI[escape]))
            continue
        if escape not in _G0_SINGLE:
            g1 = _g1_codec(escape)
        text.append(fragment.decode(g1))
    return "".join(text)


def _g1_codec(escape: bytes) -> str:
    if escape not in _G1:
        raise UnicodeError("unknown escape sequence")
    return _G1[escape]
