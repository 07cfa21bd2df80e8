"""What the fuzzer reads: pydicom's bundled files, archives of them, and damage done to both."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.dicom.builders import DEFLATED, SYNTAXES, deflate, dicom, meta, packed_zip
from tests.unit.dicom.test_real_files import READABLE, data_folder

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

CORPUS = Path(__file__).with_name("corpus")
LARGEST = 150_000
METHODS = (0, 8, 12, 14)
# Lengths, tags and marks that change the way through a file.
TOKENS = (
    *(b"\xff" * 4, b"\x00" * 4, b"\xff\xff\xff\x7f", b"DICM", b"SQ\x00\x00", b"UN\x00\x00", b"OB"),
    *(b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\x08\x00\x05\x00"),
    *(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07", b"\x1b$B", b"\\", b"\x02\x00"),
)


def seeds() -> list[bytes]:
    """Return what is mutated from the start."""
    files = [(data_folder() / name).read_bytes() for name in READABLE]
    found = [data for data in files if len(data) <= LARGEST]
    found += [dicom(syntax) for syntax in SYNTAXES]
    found += [
        packed_zip([("t", b"text"), ("a", data), ("b", data)], method=method)
        for data in (dicom(), found[0])
        for method in METHODS
    ]
    return found + [content(path) for path in corpus()]


def corpus() -> list[Path]:
    """Return the files of inputs that earlier runs have found."""
    return sorted(CORPUS.glob("*.b64"))


def content(path: Path) -> bytes:
    """Return an input of the corpus: base64, since images stay out of the repository."""
    return base64.b64decode(path.read_bytes())


def mutation(of: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one of the inputs `of`, damaged; sometimes with another's end, sometimes packed."""
    data = mutated(chance.choice(of), chance)
    if chance.random() < 0.05:
        other = chance.choice(of)
        data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
    return packed(data, chance) if chance.random() < 0.1 else data


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return `data` with a few places changed, most of them near the start or the end."""
    whole = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        reach = chance.choice((200, 1200, 5000, len(whole)))
        place = min(chance.randrange(reach + 1), len(whole))
        place = len(whole) - place if chance.random() < 0.2 else place
        new = chance.choice((chance.randbytes(chance.randrange(5)), chance.choice(TOKENS)))
        whole[place : place + chance.choice((0, len(new), len(new), 1, 4))] = new
    if chance.random() < 0.1:
        del whole[chance.randrange(len(whole) + 1) :]
    return bytes(whole)


def packed(data: bytes, chance: random.Random) -> bytes:
    """Return `data` in an archive, or as a deflated data set: damage inside of what is whole."""
    if chance.random() < 0.3:
        return meta(DEFLATED) + deflate(data[len(meta(DEFLATED)) :])
    return packed_zip([("a", data[:20_000])], method=chance.choice(METHODS))
