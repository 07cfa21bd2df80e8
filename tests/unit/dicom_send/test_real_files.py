"""pydicom's bundled files: what is sent is the file's own bytes, and others read the tag in it."""

from __future__ import annotations

import json
import subprocess
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.filereader import _read_file_meta_info, read_preamble

from imaging_gears.dicom_send.instance import Instance, Mark, Refused, as_uncompressed, examine
from tests.dcmtk import dcmtk
from tests.unit.dicom.builders import BIG, DEFLATED, EXPLICIT, IMPLICIT, Form, element, meta
from tests.waiting import LONG

# pydicom has opinions about some of its own files.
pytestmark = pytest.mark.filterwarnings("ignore")

GOLDEN = Path(__file__).parents[2] / "golden" / "dicom_outcomes.json"
TABLE: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
READABLE = sorted(name for name, row in TABLE.items() if "error" not in row)
MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")
NATIVE = (IMPLICIT, EXPLICIT, BIG)
NO_PIXELS = "It is an image without pixel data: cut off, or stripped of them."
NO_CLASS = "The data set has no SOPClassUID."
NO_GROUP = "The data set has elements of a group that it must not have."
CUT_OFF = "The DICOM header states a length that goes beyond the end of the file."
NO_END = "The DICOM is cut off inside its header."
# Found with dcmdump: no pixel data, no SOPClassUID, and so on.
REFUSED = {
    "charset_files/chrJapMulti.dcm": NO_PIXELS,
    "charset_files/chrJapMultiExplicitIR6.dcm": NO_PIXELS,
    "charset_files/chrKoreanMulti.dcm": NO_PIXELS,
    "charset_files/chrSQEncoding.dcm": NO_CLASS,
    "charset_files/chrSQEncoding1.dcm": NO_CLASS,
    "test_files/MR_truncated.dcm": CUT_OFF,
    "test_files/UN_sequence.dcm": NO_CLASS,
    "test_files/empty_charset_LEI.dcm": NO_END,
    "test_files/meta_missing_tsyntax.dcm": NO_GROUP,
    "test_files/nested_priv_SQ.dcm": NO_GROUP,
    "test_files/no_meta_group_length.dcm": NO_END,
    "test_files/priv_SQ.dcm": NO_CLASS,
    "test_files/rtplan_truncated.dcm": CUT_OFF,
}
REFUSED |= {name: NO_PIXELS for name in READABLE if "dicomdirtests/TINY_ALPHA" in name}
SENT = [name for name in READABLE if name not in REFUSED]


def data_folder() -> Path:
    """Return pydicom's data folder."""
    spec = find_spec("pydicom")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


def member(name: str) -> tuple[Instance | Refused, bytes]:
    """Return the only member of the bundled file `name`, and what would be sent of it."""
    with examine(data_folder() / name, MARK) as contents:
        (found,) = (*contents.instances, *contents.refused)
        sent = b"".join(found.chunks()) if isinstance(found, Instance) else b""
        return found, sent


def original(name: str) -> bytes:
    """Return the data set of the bundled file `name`, found by pydicom, inflated."""
    path = data_folder() / name
    with path.open("rb") as file:
        read_preamble(file, force=True)
        syntax = _read_file_meta_info(file).get("TransferSyntaxUID")
        data = file.read()
    return zlib.decompress(data, -15) if syntax == DEFLATED else data


def form(syntax: str) -> Form:
    """Return how elements are written in `syntax`."""
    return Form(explicit=syntax != IMPLICIT, order=">" if syntax == BIG else "<")


def as_file(syntax: str, data: bytes) -> bytes:
    """Return a file of a data set."""
    return meta(syntax) + data


def dumped(path: Path) -> str:
    """Return what dcmdump shows of group 0021."""
    command = [dcmtk("dcmdump"), "-q", "+P", "0021,0010", "+P", "0021,1000", path]
    result = subprocess.run(command, capture_output=True, check=True, timeout=LONG)
    return result.stdout.decode("latin-1")


def test_each_readable_file_has_its_place() -> None:
    """No row of the table of refused files is without its file, and most are sent."""
    assert TABLE.keys() >= REFUSED.keys()
    syntaxes = {TABLE[name]["TransferSyntaxUID"] for name in SENT}
    assert len(SENT) > 100
    assert len(syntaxes) >= 12


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_says_why(name: str) -> None:
    """The reason is that of the table."""
    found, _ = member(name)
    assert isinstance(found, Refused)
    assert found.reason == REFUSED[name]


@pytest.mark.parametrize("name", SENT)
def test_all_bytes_but_the_tag_are_those_of_the_file(name: str) -> None:
    """Taking the two elements out again leaves the data set of the file, byte for byte."""
    found, sent = member(name)
    assert isinstance(found, Instance)
    assert len(sent) == found.length
    syntax = found.transfer_syntax_uid
    assert syntax == TABLE[name]["TransferSyntaxUID"] or not TABLE[name]["TransferSyntaxUID"]
    if syntax == DEFLATED:
        sent = zlib.decompress(sent, -15)
    creator = element(found.mark_tags[0], "LO", "Flywheel", form(syntax))
    value = element(found.mark_tags[1], "LO", "DICOM Send", form(syntax))
    assert sent.count(creator) == sent.count(value) == 1
    assert sent.replace(creator, b"").replace(value, b"") == original(name)


@pytest.mark.parametrize("name", SENT)
def test_others_read_the_tag(name: str, tmp_path: Path) -> None:
    """Pydicom finds the value in the creator's block; dcmdump shows both elements, with VR LO."""
    found, sent = member(name)
    assert isinstance(found, Instance)
    path = tmp_path / "sent.dcm"
    path.write_bytes(as_file(found.transfer_syntax_uid, sent))
    ds = pydicom.dcmread(path)
    stored = ds.private_block(0x0021, "Flywheel")[found.mark_tags[1] & 0xFF].value
    stored = stored.decode() if isinstance(stored, bytes) else stored
    assert stored.strip() == "DICOM Send"
    shown = dumped(path)
    if found.mark_tags[0] == 0x00210010:
        assert "(0021,0010) LO [Flywheel]" in shown
    if found.mark_tags[1] == 0x00211000 and found.transfer_syntax_uid != IMPLICIT:
        assert "(0021,1000) LO [DICOM Send]" in shown


CONVERTED = [
    name
    for name in SENT
    if TABLE[name]["TransferSyntaxUID"] in {*NATIVE, DEFLATED}
    and name.startswith("test_files/")
    and "dicomdirtests" not in name
]
OPTIONS = {IMPLICIT: "+ti", EXPLICIT: "+te", BIG: "+tb"}


def flat(ds: pydicom.Dataset, path: str = "") -> dict[str, tuple[str, Any]]:
    """Return the values of all elements by their places; numbers as numbers, bytes as they are."""
    values: dict[str, tuple[str, Any]] = {}
    for elem in ds:
        place = f"{path}/{elem.tag}"
        if elem.tag.element == 0:
            continue
        if elem.VR == "SQ":
            values[place] = ("SQ", len(elem.value))
            for number, inner in enumerate(elem.value):
                values |= flat(inner, f"{place}[{number}]")
        else:
            values[place] = (elem.VR, elem.value)
    return values


@pytest.mark.parametrize("target", NATIVE)
@pytest.mark.parametrize("name", CONVERTED)
def test_another_syntax_has_the_values_that_dcmconv_writes(
    name: str, target: str, tmp_path: Path
) -> None:
    """Each element of the converted data set, pixels included, is as DCMTK converts the same."""
    with examine(data_folder() / name, MARK) as contents:
        (instance,) = contents.instances
        sent = b"".join(instance.chunks())
        other = as_uncompressed(instance, target)
        ours = b"".join(other.chunks())
        assert len(ours) == other.length
        assert other.transfer_syntax_uid == target
    before, theirs = tmp_path / "sent.dcm", tmp_path / "theirs.dcm"
    before.write_bytes(as_file(instance.transfer_syntax_uid, sent))
    command = [dcmtk("dcmconv"), "-q", OPTIONS[target], before, theirs]
    assert subprocess.run(command, check=False, timeout=LONG).returncode == 0
    mine = tmp_path / "mine.dcm"
    mine.write_bytes(as_file(target, ours))
    values, expected = flat(pydicom.dcmread(mine)), flat(pydicom.dcmread(theirs))
    if instance.transfer_syntax_uid == IMPLICIT:
        # DCMTK does not know whose the private value is, and calls it UN.
        vr, text = values.pop("/(0021,1000)")
        assert vr == ("UN" if target == IMPLICIT else "LO")
        assert expected.pop("/(0021,1000)") == ("UN", b"DICOM Send")
        assert text in {"DICOM Send", b"DICOM Send"}
    assert values == expected


@pytest.mark.parametrize("name", CONVERTED)
def test_going_through_another_byte_order_changes_nothing(name: str) -> None:
    """What is made of the other byte order is what is made directly."""
    with examine(data_folder() / name, MARK) as contents:
        (instance,) = contents.instances
        target = EXPLICIT if instance.transfer_syntax_uid == IMPLICIT else IMPLICIT
        other = EXPLICIT if instance.transfer_syntax_uid == BIG else BIG
        direct = as_uncompressed(instance, target)
        around = as_uncompressed(as_uncompressed(instance, other), target)
        assert b"".join(around.chunks()) == b"".join(direct.chunks())
