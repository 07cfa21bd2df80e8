"""Odd values, through the whole gear: whatever comes of them, no output shows a Python repr.

An output is text for people, or JSON for programs. A list, bytes or an object that was turned into
text by `str` is neither, and readers downstream have taken ``['a', 'b']`` for a description.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imaging_gears.errors import ImagingError
from imaging_gears.image_identifier_lookup import dicom_utils, file_resolver
from imaging_gears.image_identifier_lookup.dicom_utils import KEPT
from tests.fakes import InMemoryRegistry
from tests.unit.dicom.builders import ORDINARY, dicom, element, item, sequence
from tests.unit.lookup.harness import PTID, Center

Json = Any
REPR = re.compile(
    r"""MultiValue|Sequence|Dataset|DataElement|PersonName\(|DS(?:float|decimal)|\bIS\(
    |\['|\["|\(\'|\('|\{'|\bb'|\bb"|'\]|',\s
    |<class|<function|<bound|object\ at\ 0x|0x[0-9a-f]{8,}|datetime\.|Decimal\(
    |\bNone\b|\bTrue\b|\bFalse\b|\bnan\b""",
    re.VERBOSE,
)
"""What `repr` or `str` make of what is no text; nothing in the values below is of this form."""

NESTED = element(0x00080100, "SH", "T-1")
ODD_TEXT = {
    "empty": b"",
    "blanks": b"    ",
    "backslash": b"\\ ",
    "two values": b"20240115\\20240116",
    "first of two empty": b"\\CT",
    "three values": b"1\\2\\3 ",
    "person": b"Roe^Richard^^Dr=X^Y",
    "sign": b"+5",
    "fraction": b"5.50",
    "exponent": b"1e3 ",
    "underscore": b"1_000 ",
    "many digits": b"3.0000000000000004",
    "very long": b"7" * 400,
    "no number": b"abc ",
    "Latin-1": b"Sch\xe4del ",
    "no text": b"\xff\xfe\x80\x81",
    "escape sequence": b"\x1b$B;3ED\x1b(B",
    "control": b"a\x07b ",
    "quotes": b"'x' \"y\"",
    "NUL": b"\0\0",
}
"""Value fields, put where any attribute has its own, under the VR of each and under LO, UN, UT."""
ODD_BINARY = {
    "OB": b"\1\2\xff\0",
    "OW": b"\1\2\3\4",
    "US": struct.pack("<2H", 5, 6),
    "SS": struct.pack("<h", -5),
    "FD": struct.pack("<d", 3.0),
    "FL": struct.pack("<f", float("inf")),
    "AT": b"\x10\0\x20\0",
    "PN": b"Roe^Richard",
    "AS": b"045Y",
    "TM": b"101500.5",
    "DT": b"20240115101500",
}
"""VR -> value field, where another VR belongs."""


def elements(keyword: str) -> Iterator[tuple[str, bytes]]:
    """Yield what may stand in place of one of the twelve attributes: name, and the whole element.

    What belongs there, and nothing at all, are among them.
    """
    tag, own = KEPT[keyword].tag, KEPT[keyword].vr
    yield "absent", b""
    yield from (("ordinary", element(*each)) for each in ORDINARY if each[0] == tag)
    for (name, raw), vr in itertools.product(ODD_TEXT.items(), (own, "LO", "UN", "UT")):
        yield f"{name} as {vr}", element(tag, vr, raw)
    for vr, raw in ODD_BINARY.items():
        yield f"binary {vr}", element(tag, vr, raw)
    for delimited in (False, True):
        yield f"sequence, delimited {delimited}", sequence(tag, [NESTED] * 2, delimited=delimited)
    yield "empty sequence", sequence(tag, [])
    yield "sequence as UN", element(tag, "UN", item(0xFFFEE000, len(NESTED)) + NESTED)


def run(center: Center, folder: Path, image: bytes, label: str = PTID) -> str:
    """Run the gear on an image, and again, which is the short cut; return the file's id."""
    path = folder / "image.dcm"
    path.write_bytes(image)
    try:
        header: object = file_resolver.resolve(path)
    except ImagingError as error:
        header = error
    file_id = center.upload(center.subject(label), header=header)
    center.run(file_id)
    center.run(file_id)
    return file_id


def texts(value: Json) -> Iterator[str]:
    """Yield each text in a JSON value, keys included; what is no JSON is not passed over."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value
    else:
        assert value is None or isinstance(value, bool | int | float), type(value)


def outputs(center: Center, log: str) -> Iterator[tuple[str, str]]:
    """Yield each text that there is after runs, and where: all infos, QC logs, events, job log."""
    containers, files = center.site.dump()
    for label, info in containers.values():
        yield from (("container", each) for each in (label, *texts(info)))
    for versions in files.values():
        for each in versions:
            name = "log info" if each.name.endswith(".log") else "file.info"
            yield from ((name, text) for text in (*texts(each.info), *each.tags))
            yield name, each.name
    for name in center.site.names(center.project):
        for line in center.log_text(name).splitlines():
            found = texts(json.loads(line)) if line.startswith("{") else [line]
            yield from (("QC log", each) for each in found)
    for key, body in center.events.stored.items():
        yield from (("event", each) for each in (key, *texts(json.loads(body))))
    yield from (("job log", line) for line in log.splitlines())


def reprs(center: Center, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return the outputs in which a repr stands: where, and the text."""
    log = "\n".join(record.getMessage() for record in caplog.records)
    return [found for found in outputs(center, log) if REPR.search(found[1])]


@pytest.mark.slow
@pytest.mark.parametrize("keyword", KEPT)
@pytest.mark.parametrize("label", [PTID, ""], ids=["label", "no label"])
def test_no_odd_value_of_an_attribute_shows_a_repr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, keyword: str, label: str
) -> None:
    """Run and short cut, with the PTID of the label and with that of the DICOM."""
    caplog.set_level(logging.DEBUG)
    verdicts = set()
    for name, odd in elements(keyword):
        caplog.clear()
        center = Center()
        file_id = run(center, tmp_path, dicom(extra={KEPT[keyword].tag: odd}), label)
        verdicts.add(center.verdict(file_id)[0])
        assert reprs(center, caplog) == [], name
    assert "PASS" in verdicts


ODD_JSON: tuple[Json, ...] = (
    ["NACC000042"],
    [],
    {},
    {"naccid": "NACC000042"},
    42,
    4.5,
    True,
    False,
    0,
    "",
    "banana",
    " NACC000042",
)
"""What may stand in Flywheel, or be answered by the registry, where text belongs."""


@pytest.mark.parametrize("odd", ODD_JSON, ids=json.dumps)
def test_no_odd_value_in_flywheel_or_of_the_registry_shows_a_repr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, odd: Json
) -> None:
    """The NACCID on the subject, the ADCID, earlier blocks and notes, and the answer."""
    caplog.set_level(logging.DEBUG)
    for place in ("naccid", "dicom_metadata", "qc", "answer", "pipeline_adcid", "twelve", "notes"):
        caplog.clear()
        center = Center()
        subject = center.subject(**({place: odd} if place in ("naccid", "dicom_metadata") else {}))
        if place == "answer":
            center.registry = InMemoryRegistry({("prod", 42, PTID): odd})
        if place == "pipeline_adcid":
            center.site.change_info(center.project, pipeline_adcid=odd)
        file_id = center.upload(subject)
        if place in ("qc", "notes"):
            key = "qc" if place == "qc" else "image-identifier-lookup"
            center.site.set_file_info(center.file(file_id), {key: odd})
        if place == "twelve":
            source = {"file_id": file_id, "version": 1}
            block = {**dict.fromkeys(KEPT, odd), "source": source}
            center.site.set_file_info(center.file(file_id), {"dicom_metadata": block})
        center.run(file_id)
        assert reprs(center, caplog) == [], place


def test_no_odd_value_looks_like_a_repr_itself() -> None:
    """What is found must be the gear's own making."""
    given = [*(raw.decode("latin-1") for raw in ODD_TEXT.values()), *texts(list(ODD_JSON))]
    assert [text for text in given if REPR.search(text)] == []


PLANTED = {
    "a list": str(["T1", "T2"]),
    "a tuple": str(("T1",)),
    "bytes": str(b"T1"),
    "nothing": str(None),
    "a class": str(str),
    "an object": str(object()),
    "a dict": str({"a": 1}),
    "pydicom's values": "MultiValue(T1)",
}


@pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED)
def test_a_repr_is_found_in_every_output(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    """One that the gear makes of a descriptive value, which subject, file and event have then."""
    caplog.set_level(logging.DEBUG)
    real = dicom_utils._first

    def planted(values: tuple[str, ...]) -> str | None:
        return text if values == ("Skyra",) else real(values)

    monkeypatch.setattr(dicom_utils, "_first", planted)
    center = Center()
    run(center, tmp_path, dicom())
    places = {place for place, _ in reprs(center, caplog)}
    assert {"container", "file.info"} <= places


@pytest.mark.parametrize("text", PLANTED.values(), ids=PLANTED)
def test_a_repr_is_found_in_a_message(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """One in an error's sentence, which QC log, its info and the job log have, too."""
    caplog.set_level(logging.DEBUG)
    remedy = "imaging_gears.errors.IdentifierNotFoundError.remedy"
    monkeypatch.setattr(remedy, f"Look at {text}.")
    center = Center()
    center.registry = InMemoryRegistry()
    center.run(center.upload(center.subject()))
    places = {place for place, _ in reprs(center, caplog)}
    assert {"file.info", "log info", "QC log", "job log"} <= places


def test_a_repr_is_found_in_an_event() -> None:
    """Events hold little else than what others have, so one is made up."""
    center = Center()
    center.events.put_if_absent("prod/log", json.dumps({"ptid": "['110001']"}).encode())
    assert [place for place, text in outputs(center, "") if REPR.search(text)] == ["event"]
