"""Where the private tag goes, for any contents of its group."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging_gears.dicom.transfer_syntax import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Encoding,
)
from imaging_gears.dicom_send.tagging import Group, GroupElement, Mark, Plan, check_mark, plan
from imaging_gears.errors import ConfigError, HeaderError
from tests.unit.dicom.builders import Form, element

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")
ENCODINGS = (EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE)
GROUP = 0x00210000
BEFORE, BEHIND = (0x00200010, "before"), (0x00280010, "behind")
Elements = dict[int, str]


def form(encoding: Encoding) -> Form:
    """Return how `builders.element` writes `encoding`."""
    return Form(explicit=encoding.explicit, order="<" if encoding.little else ">")


def written(numbers: Mapping[int, str], encoding: Encoding) -> tuple[bytes, Group]:
    """Return a data set with these elements in group 0021, and what is known of that group.

    Args:
        numbers: element number -> text; a group length where it is 0.
        encoding: of the data set.
    """
    data = element(BEFORE[0], "LO", BEFORE[1], form(encoding))
    body = [
        element(GROUP | number, "LO", text, form(encoding))
        for number, text in sorted(numbers.items())
        if number
    ]
    if 0 in numbers:
        length = struct.pack(form(encoding).order + "L", sum(map(len, body)))
        body.insert(0, element(GROUP, "UL", length, form(encoding)))
    found = []
    for number, raw in zip(sorted(numbers), body, strict=True):
        value = raw[8:]
        found.append(GroupElement(GROUP | number, len(data), len(data) + len(raw), value))
        data += raw
    place = len(data)
    return data + element(BEHIND[0], "LO", BEHIND[1], form(encoding)), Group(found, place, encoding)


def edited(data: bytes, made: Plan) -> bytes:
    """Return `data` with the edits made, from the last to the first."""
    for edit in reversed(made.edits):
        data = data[: edit.offset] + edit.inserted + data[edit.offset + edit.removed :]
    return data


def parsed(data: bytes, encoding: Encoding) -> list[tuple[int, str]]:
    """Return tags and values; all headers are 8 bytes long. A UL comes as its number."""
    order = form(encoding).order
    found = []
    while data:
        group, number, vr, length = struct.unpack(order + "HH2sH", data[:8])
        if not encoding.explicit:
            length = struct.unpack("<L", data[4:8])[0]
        else:
            assert vr == (b"LO" if number else b"UL")
        value = data[8 : 8 + length]
        text = value.decode().strip() if number else str(struct.unpack(order + "L", value)[0])
        found.append((group << 16 | number, text))
        data = data[8 + length :]
    return found


def tagged(
    numbers: Mapping[int, str], encoding: Encoding = EXPLICIT_LITTLE
) -> tuple[Elements, Plan]:
    """Return the elements of group 0021 afterwards, and the plan; the others are unchanged."""
    data, group = written(numbers, encoding)
    made = plan(MARK, group)
    after = edited(data, made)
    assert len(after) == len(data) + made.growth
    first, *own, last = parsed(after, encoding)
    assert (first, last) == (BEFORE, BEHIND)
    assert own == sorted(own)
    return {tag & 0xFFFF: text for tag, text in own}, made


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("before", "inserted"),
    [
        ({}, {0x10: "Flywheel", 0x1000: "DICOM Send"}),
        ({0x10: "Flywheel", 0x1000: "DICOM Send"}, {}),
        ({0x10: "Flywheel", 0x1007: "x\\DICOM Send"}, {}),
        ({0x10: "Flywheel", 0x1000: "other"}, {0x1001: "DICOM Send"}),
        ({0x10: "Flywheel", 0x1001: "other"}, {0x1000: "DICOM Send"}),
        ({0x10: "Flywheel"}, {0x1000: "DICOM Send"}),
        ({0x10: "SIEMENS"}, {0x11: "Flywheel", 0x1100: "DICOM Send"}),
        ({0x10: "A", 0x12: "B", 0x1200: "b"}, {0x11: "Flywheel", 0x1100: "DICOM Send"}),
        # The value of another creator is not ours, and neither is one that nobody has reserved.
        ({0x10: "A", 0x1000: "DICOM Send"}, {0x11: "Flywheel", 0x1100: "DICOM Send"}),
        ({0x1000: "DICOM Send"}, {0x11: "Flywheel", 0x1100: "DICOM Send"}),
        # Behind our block and before it
        ({0x11: "Flywheel", 0x12: "B", 0x1200: "b"}, {0x1100: "DICOM Send"}),
        # Numbers that no private element may have stay where they are.
        ({0x01: "odd", 0x0F00: "odd"}, {0x10: "Flywheel", 0x1000: "DICOM Send"}),
        # A creator element may stand anywhere, also without a name.
        ({0x10: ""}, {0x11: "Flywheel", 0x1100: "DICOM Send"}),
        ({0x10: "flywheel"}, {0x11: "Flywheel", 0x1100: "DICOM Send"}),
        ({0x1000: "Flywheel"}, {0x11: "Flywheel", 0x1100: "DICOM Send"}),
    ],
)
def test_the_tag_is_put_into_the_creators_block(
    before: Elements, inserted: Elements, encoding: Encoding
) -> None:
    """The elements there stay; creator and value come where PS3.5 7.8.1 lets them be."""
    after, made = tagged(before, encoding)
    assert after == before | inserted
    assert bool(made.edits) is bool(inserted)


def test_a_full_block_is_followed_by_another_one_of_the_same_creator() -> None:
    """A creator may reserve several blocks."""
    full = {0x10: "Flywheel"} | {0x1000 + n: "x" for n in range(256)}
    assert tagged(full)[0] == full | {0x11: "Flywheel", 0x1100: "DICOM Send"}
    second = full | {0x20: "Flywheel", 0x2000: "y"}
    assert tagged(second)[0] == second | {0x2001: "DICOM Send"}


def test_a_group_without_a_free_block_is_refused() -> None:
    """All 240 blocks belong to others."""
    with pytest.raises(HeaderError, match="0021 has no free block"):
        tagged(dict.fromkeys(range(0x10, 0x100), "other"))
    after, _ = tagged(dict.fromkeys(range(0x10, 0xFF), "other"))
    assert (after[0xFF], after[0xFF00]) == ("Flywheel", "DICOM Send")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_group_length_is_corrected(encoding: Encoding) -> None:
    """It counts the bytes of the group behind it, and stays as it is where nothing is inserted."""
    before = {0: "", 0x10: "SIEMENS"}
    after, _ = tagged(before, encoding)
    # Three headers, and SIEMENS (padded), Flywheel and DICOM Send
    assert after[0] == str(3 * 8 + 8 + 8 + 10)
    data, group = written({0: "", 0x10: "Flywheel", 0x1000: "DICOM Send"}, encoding)
    assert edited(data, plan(MARK, group)) == data


def test_a_group_length_that_is_none_is_refused() -> None:
    """Another length than 4 bytes can't be corrected."""
    for value in (b"12", None):
        group = Group([GroupElement(GROUP, 0, 10, value)], 10, EXPLICIT_LITTLE)
        with pytest.raises(HeaderError, match="no number of 4 bytes"):
            plan(MARK, group)


def test_a_value_that_is_too_long_to_be_a_text_is_another_one() -> None:
    """A sequence in the creator's block is no value of ours."""
    group = Group(
        [
            GroupElement(GROUP | 0x10, 0, 16, b"Flywheel"),
            GroupElement(GROUP | 0x1000, 16, 90, None),
        ],
        90,
        EXPLICIT_LITTLE,
    )
    made = plan(MARK, group)
    assert (made.creator, made.value) == (GROUP | 0x10, GROUP | 0x1001)


texts = st.sampled_from(["Flywheel", "SIEMENS", "DICOM Send", "", "x\\DICOM Send", "other"])
numbers = st.one_of(st.integers(0x10, 0x1F), st.integers(0x1000, 0x1FFF), st.integers(1, 0xFFFF))


@given(before=st.dictionaries(numbers, texts, max_size=30), encoding=st.sampled_from(ENCODINGS))
def test_any_group_gets_the_tag_once(before: Elements, encoding: Encoding) -> None:
    """What was there is unchanged, the value is in a block of the creator, and stays one."""
    after, made = tagged(before, encoding)
    assert before.items() <= after.items()
    assert len(after) - len(before) == len(made.edits) <= 2
    value = made.value & 0xFFFF
    assert "DICOM Send" in after[value].split("\\")
    assert after[value >> 8] == after[made.creator & 0xFFFF] == "Flywheel"
    again, unchanged = tagged(after, encoding)
    assert (again, unchanged.edits) == (after, ())


@pytest.mark.parametrize("group", [0x0009, 0x0021, 0xFFFD])
def test_odd_groups_are_good(group: int) -> None:
    """From 0009 to FFFD, with texts of 1 to 64 characters."""
    check_mark(Mark(group=group, creator="F", value="x" * 64))


@pytest.mark.parametrize("group", [0, 1, 3, 5, 7, 0x20, 0xFFFF, 0x10001, -1])
def test_other_groups_are_refused(group: int) -> None:
    """Even ones, those that PS3.5 7.8 keeps out, and numbers that are none."""
    with pytest.raises(ConfigError) as raised:
        check_mark(Mark(group=group, creator="F", value="x"))
    assert raised.value.location == "group"


@pytest.mark.parametrize("text", ["", " ", "x" * 65, "a\\b", "ä", "a\n", " a", "a "])
def test_texts_that_an_lo_does_not_hold_are_refused(text: str) -> None:
    """Both texts of the mark have to be values that come back as they were given."""
    with pytest.raises(ConfigError) as raised:
        check_mark(Mark(group=0x21, creator=text, value="x"))
    assert raised.value.location == "identifier"
    with pytest.raises(ConfigError) as raised:
        check_mark(Mark(group=0x21, creator="F", value=text))
    assert raised.value.location == "tag_value"
