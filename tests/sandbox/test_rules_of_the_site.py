"""The site's pure rules: filters, info, gear rules."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging_gears.sandbox.site.errors import ApiError
from imaging_gears.sandbox.site.finders import parse_filter, select
from imaging_gears.sandbox.site.info import apply_verbs, clean, deep_merge
from imaging_gears.sandbox.site.rules import fires, new_rule, satisfied

FILE: dict[str, Any] = {
    "name": "T1.dicom.zip",
    "type": "dicom",
    "modality": "MR",
    "classification": {"Intent": ["Structural"]},
    "tags": ["ready"],
    "parent_ref": {"type": "acquisition", "id": "1"},
    "gear_info": {"name": "maker", "version": "1.0"},
}
OTHER = {**FILE, "name": "x.nii", "type": "nifti", "classification": {"Intent": ["Functional"]}}

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
infos = st.dictionaries(words, values, max_size=4)


def rule(**changes: object) -> dict[str, Any]:
    """Return a rule's document."""
    return new_rule({"gear_id": "g", "name": "r", **changes}, "r1", "p1")


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_a_400(text: str) -> None:
    """The parser gives conditions or refuses; it never fails otherwise."""
    conditions = []
    with contextlib.suppress(ApiError):
        conditions = parse_filter(text)
    assert all(isinstance(c.holds({"label": "a"}), bool) for c in conditions)


@given(st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs"]), max_size=20))
def test_a_quoted_value_finds_itself(label: str) -> None:
    """What stands in quotes is text, commas and brackets included."""
    if label != label.strip():
        return
    docs = [{"_id": "1", "label": label}, {"_id": "2", "label": label + "x"}]
    assert [doc["_id"] for doc in select(docs, {"filter": f'label="{label}"'})] == ["1"]


def test_escaped_commas_and_lists() -> None:
    r"""``\,`` is a comma of the value; a list in brackets is one value."""
    first, second = parse_filter(r"a=x\,y,b=|[1,two,true]")
    assert (first.value, second.value) == ("x,y", [1, "two", True])


@given(st.lists(st.integers(0, 99), unique=True, max_size=12), st.integers(1, 5))
def test_pages_join_to_the_whole(numbers: list[int], limit: int) -> None:
    """Pages by after_id give each document once, in order, and end with an empty one."""
    docs = [{"_id": f"{number:03d}"} for number in sorted(numbers)]
    found: list[dict[str, Any]] = []
    while page := select(
        docs, {"limit": str(limit)} | ({"after_id": found[-1]["_id"]} if found else {})
    ):
        found += page
    assert found == docs


def test_sort_takes_several_fields() -> None:
    """The first field counts first; what is missing comes before all else."""
    docs: list[dict[str, Any]] = [
        {"_id": "1", "a": "x", "n": 1},
        {"_id": "2", "a": "x", "n": 2},
        {"_id": "3", "n": 3},
    ]
    ordered = select(docs, {"sort": "a:asc,n:desc"})
    assert [doc["_id"] for doc in ordered] == ["3", "2", "1"]


@given(infos, infos)
def test_deep_merge_loses_no_key(old: dict[str, Any], new: dict[str, Any]) -> None:
    """All keys of both are there, and every value of the new one that is no object."""
    merged = deep_merge(old, new)
    assert set(merged) == set(old) | set(new)
    assert all(merged[k] == v for k, v in new.items() if not isinstance(v, dict))


@given(infos)
def test_clean_keys_are_clean(info: dict[str, Any]) -> None:
    """No dot and no dollar is left in a key, and cleaning again changes nothing."""
    cleaned = clean(info)
    assert clean(cleaned) == cleaned
    assert not any("." in key or "$" in key for key in cleaned)


@given(infos, infos)
def test_set_and_delete_are_repeatable(old: dict[str, Any], new: dict[str, Any]) -> None:
    """The same body applied twice gives what it gave once."""
    body = {"set": new, "delete": sorted(old)[:1]}
    once = apply_verbs(old, body)
    assert apply_verbs(once, body) == once


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"type": "file.type", "value": "dicom"}, True),
        ({"type": "file.type", "value": "nifti"}, False),
        ({"type": "file.name", "value": "*.ZIP"}, True),
        ({"type": "file.name", "value": "T1"}, False),
        ({"type": "file.name", "value": "^T[0-9]", "regex": True}, True),
        ({"type": "file.modality", "value": "MR"}, True),
        ({"type": "file.tags", "value": "ready"}, True),
        ({"type": "file.tags", "value": ["no", "ready"]}, True),
        ({"type": "file.classification", "value": "structural"}, True),
        ({"type": "file.classification", "value": "functional"}, False),
        ({"type": "container.has-type", "value": "nifti"}, True),
        ({"type": "container.has-classification", "value": "functional"}, True),
        ({"type": "file.parent_ref.type", "value": "acquisition"}, True),
        ({"type": "gear.name", "value": "maker"}, True),
        ({"type": "gear.version", "value": "2.0"}, False),
    ],
)
def test_conditions(condition: dict[str, Any], *, holds: bool) -> None:
    """Every type of condition looks at what its name says."""
    assert satisfied(rule(all=[condition]), FILE, [OTHER]) is holds
    assert satisfied(rule(**{"not": [condition]}), FILE, [OTHER]) is not holds


def test_any_wants_one() -> None:
    """Of ``any`` one is enough; an empty one asks for nothing."""
    yes, no = ({"type": "file.type", "value": kind} for kind in ("dicom", "pdf"))
    assert satisfied(rule(any=[no, yes]), FILE, [])
    assert not satisfied(rule(any=[no]), FILE, [])
    assert satisfied(rule(), FILE, [])


def test_fires_on_the_edge_only() -> None:
    """True now and false before fires; true before or disabled does not."""
    wanted = {"all": [{"type": "file.tags", "value": "ready"}]}
    before = {**FILE, "tags": []}
    assert fires(rule(**wanted), before, FILE, [])
    assert fires(rule(**wanted), None, FILE, [])
    assert not fires(rule(**wanted), FILE, FILE, [])
    assert not fires(rule(**wanted, disabled=True), None, FILE, [])


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"gear_id": None}, {"all": [{"type": "file.size", "value": 1}]}]
)
def test_what_is_no_rule_is_refused(changes: dict[str, Any]) -> None:
    """A rule needs a gear, a name, and known conditions."""
    with pytest.raises(ApiError):
        rule(**changes)
