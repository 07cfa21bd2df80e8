"""The QC log's content: what a run adds, and how versions of a log are merged without a loss."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imaging_gears.image_identifier_lookup import GEAR
from imaging_gears.image_identifier_lookup.agreement import naccid_before, naccid_since
from imaging_gears.image_identifier_lookup.log_names import find_name, is_of_participant
from imaging_gears.image_identifier_lookup.log_text import merge_texts
from imaging_gears.image_identifier_lookup.qc_log import (
    Content,
    Entry,
    LogVersion,
    base_of,
    lacks_nothing,
    merge,
    noted_event,
    with_entry,
)

VISIT = {
    "adcid": 42,
    "ptid": "110001",
    "naccid": "NACC000042",
    "date": "2024-01-15",
    "visitnum": None,
    "modality": "MR",
}
ERROR = {"timestamp": "2024-03-15 14:05:40", "type": "error", "code": "not-dicom"}
WARNING = {"timestamp": "2024-03-15 14:05:40", "type": "warning", "code": "ptid-mismatch"}


def entry(file_id: str = "64c0", version: int = 1, run: int = 1, **more: Any) -> Entry:  # noqa: ANN401
    """Return an entry; without more it is a PASS without findings."""
    given_ = {
        "log_name": "110001_2024-01-15_MR_qc-status.log",
        "state": "PASS",
        "file_name": "T1.dicom.zip",
        "timestamp": "2024-03-15 14:02:11",
        "visit": VISIT,
    }
    return Entry(**{**given_, "file_id": file_id, "version": version, "run": run, **more})


def failed(file_id: str = "64c0", version: int = 1, run: int = 1, **more: Any) -> Entry:  # noqa: ANN401
    """Return an entry of a failed run."""
    return entry(file_id, version, run, **{"state": "FAIL", "data": (ERROR,), **more})


def version(number: int, content: Content) -> LogVersion:
    """Return `content` as Flywheel keeps it."""
    return LogVersion(number=number, text=content.text, info=content.info, tags=content.tags)


# -- what a run says -------------------------------------------------------------------------------


def test_a_run_is_one_line_in_the_contracts_form() -> None:
    """Time, ``QC Status``, the gear's name in capitals and the verdict; behind it the input."""
    assert entry().text() == (
        "2024-03-15 14:02:11 QC Status: IMAGE-IDENTIFIER-LOOKUP - PASS  T1.dicom.zip 64c0#1\n"
    )


def test_each_error_is_a_line_of_json_below_the_runs_line() -> None:
    """The error objects follow in their order, compact, one a line."""
    verdict, *errors = failed(data=(ERROR, WARNING)).text().splitlines()
    assert verdict == (
        "2024-03-15 14:02:11 QC Status: IMAGE-IDENTIFIER-LOOKUP - FAIL  T1.dicom.zip 64c0#1"
    )
    assert errors == [
        '{"timestamp":"2024-03-15 14:05:40","type":"error","code":"not-dicom"}',
        '{"timestamp":"2024-03-15 14:05:40","type":"warning","code":"ptid-mismatch"}',
    ]


@given(st.text(min_size=1), st.integers(1, 5))
@example("a\nb\u2028c\x85.dcm", 1)
def test_a_file_name_can_not_break_the_line(name: str, run: int) -> None:
    """Line ends of any kind in a file's name become ``_``: a run stays one line."""
    surrogateless = name.encode(errors="ignore").decode()
    text = entry(file_name=surrogateless, run=run).text()
    assert len(text.splitlines()) == 1
    assert text.endswith("#1\n" if run == 1 else f"#1 run {run}\n")


# -- info ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\r\n"])
def test_a_value_can_not_break_a_line_of_json(end: str) -> None:
    """Readers that go by any of Unicode's line ends read each error object whole, as it was."""
    error = {**ERROR, "value": f"NACC{end}42 \xe9"}
    _, *errors = failed(data=(error,)).text().splitlines()
    assert [json.loads(line) for line in errors] == [error]
    assert "\xe9" in errors[0]


def test_the_first_entry_makes_the_contracts_info() -> None:
    """``qc`` has the gear's validation, ``visit`` exactly the six keys; data is a list."""
    info = with_entry(Content(), entry(), base=0).info
    assert info["qc"] == {
        "image-identifier-lookup": {"validation": {"state": "PASS", "data": [], "cleared": []}}
    }
    assert info["visit"] == VISIT
    assert list(info["visit"]) == ["adcid", "ptid", "naccid", "date", "visitnum", "modality"]
    assert set(info) == {"qc", "visit", "image-identifier-lookup"}


def validation(content: Content) -> dict[str, Any]:
    """Return the gear's validation block in a log's info."""
    block = content.info["qc"][GEAR]["validation"]
    assert set(content.info["qc"][GEAR]) == {"validation"}
    return dict(block)


def test_the_state_is_fail_while_the_latest_run_of_any_file_failed() -> None:
    """Another file's PASS does not hide a FAIL; the failed file's own next PASS ends it."""
    content = with_entry(Content(), failed("f1"), base=0)
    content = with_entry(content, entry("f2"), base=1)
    assert validation(content) == {"state": "FAIL", "data": [ERROR], "cleared": []}
    content = with_entry(content, entry("f1", run=2), base=2)
    assert validation(content) == {"state": "PASS", "data": [], "cleared": []}


def test_data_joins_the_errors_of_the_latest_run_of_each_file() -> None:
    """What a later run of the same file has replaced is gone; what other files have stays."""
    second = {**ERROR, "code": "attribute-missing"}
    content = with_entry(Content(), failed("f1"), base=0)
    content = with_entry(content, failed("f2", data=(WARNING,), state="PASS"), base=1)
    content = with_entry(content, failed("f1", run=2, data=(second,)), base=2)
    block = validation(content)
    assert block["state"] == "FAIL"
    assert sorted(each["code"] for each in block["data"]) == ["attribute-missing", "ptid-mismatch"]


def test_a_newer_version_of_a_file_replaces_what_its_older_one_left() -> None:
    """Runs are ordered by file version first: a late run of an old version changes nothing."""
    content = with_entry(Content(), entry("f1", version=2), base=0)
    content = with_entry(content, failed("f1", version=1, run=3), base=1)
    assert validation(content)["state"] == "PASS"
    assert "- FAIL" in content.text


def test_text_keeps_every_run() -> None:
    """The text is the history: a replaced run's line stays."""
    content = with_entry(Content(), failed("f1"), base=0)
    content = with_entry(content, entry("f1", run=2), base=1)
    verdicts = [line for line in content.text.splitlines() if "QC Status" in line]
    assert [each.split(" - ")[1].split()[0] for each in verdicts] == ["FAIL", "PASS"]


def test_a_naccid_that_is_known_is_not_unlearned() -> None:
    """A later run that could not look it up leaves the visit's NACCID in place."""
    unknown = {**VISIT, "naccid": None}
    content = with_entry(Content(), entry("f1"), base=0)
    content = with_entry(content, failed("f2", visit=unknown), base=1)
    assert content.info["visit"] == VISIT
    assert with_entry(Content(), failed(visit=unknown), base=0).info["visit"] == unknown


def test_a_failed_run_leaves_the_visit_the_naccid_of_the_others() -> None:
    """The latest that a file of the visit was given stands there, not one that was taken back."""
    content = with_entry(Content(), entry("f1"), base=0)
    given = {**VISIT, "naccid": OTHER_NACCID}
    content = with_entry(content, entry("f2", visit=given, timestamp="2024-03-15 14:02:12"), base=1)
    assert content.info["visit"]["naccid"] == OTHER_NACCID
    content = with_entry(content, failed("f2", visit={**VISIT, "naccid": None}), base=2)
    assert content.info["visit"]["naccid"] == VISIT["naccid"]


OTHER_NACCID = "NACC000043"
NOTE_OF = {"timestamp": "2024-03-15T14:02:11+00:00", "file_version": 1, "status": "PASS"}


def two_answers(first: Entry, second: Entry) -> Content:
    """Return a log to which the jobs of two files came in this order."""
    base = version(1, with_entry(Content(), first, base=0))
    return with_entry(merge([base]), second, base=1)


def answered(file_id: str, naccid: str, **more: Any) -> Entry:  # noqa: ANN401
    """Return the entry of a file whose job was given that NACCID."""
    event = {**NOTE_OF, "key": f"prod/log-submit-20240315-140211-42-x-{file_id}-2024-01-15.json"}
    return entry(file_id, visit={**VISIT, "naccid": naccid}, event=event, **more)


def test_of_two_answers_the_one_that_came_to_the_log_first_is_before_the_other() -> None:
    """Only the second of them is told of another."""
    first, second = answered("f1", "NACC000001"), answered("f2", "NACC000002")
    info = two_answers(first, second).info
    assert naccid_before(info, second, "2024-03-15 14:02:11") == "NACC000001"
    both = [version(1, with_entry(Content(), first, base=0))]
    both.append(version(2, with_entry(Content(), second, base=0)))
    merged = with_entry(merge(both), second, base=2).info
    assert naccid_before(merged, second, "2024-03-15 14:02:11") == "NACC000001"
    assert naccid_before(merged, first, "2024-03-15 14:02:11") is None


@pytest.mark.parametrize(
    ("first", "since"),
    [
        (answered("f1", "NACC000002"), "2024-03-15 14:02:11"),
        (answered("f1", "NACC000001"), "2024-03-15 14:02:12"),
        (failed("f1", visit={**VISIT, "naccid": None}), "2024-03-15 14:02:11"),
        (answered("f2", "NACC000001", run=1), "2024-03-15 14:02:11"),
    ],
    ids=["the same answer", "seen on the subject", "no answer", "its own earlier run"],
)
def test_what_is_no_other_answer_of_this_moment_does_not_count(first: Entry, since: str) -> None:
    """The NACCID of a visit may be corrected by hand later on."""
    second = answered("f2", "NACC000002", run=2)
    assert naccid_before(two_answers(first, second).info, second, since) is None


FOREIGN_INFO = {
    "qc": {"form-checker": {"validation": {"state": "IN REVIEW", "data": [], "cleared": []}}},
    "visit": VISIT,
    "site-note": {"by": "hand"},
}
FOREIGN_TEXT = "2024-03-15 14:00:00 QC Status: FORM-CHECKER - IN REVIEW\nfree text, kept\n"


def test_what_others_wrote_survives_an_entry() -> None:
    """Text, info and tags of other gears are there afterwards as they were."""
    before = Content(text=FOREIGN_TEXT, info=FOREIGN_INFO, tags=("form-checker-IN REVIEW",))
    after = with_entry(before, entry(), base=7)
    assert after.text == FOREIGN_TEXT + entry().text()
    assert after.info["qc"]["form-checker"] == FOREIGN_INFO["qc"]["form-checker"]
    assert after.info["site-note"] == {"by": "hand"}
    assert after.tags == ("form-checker-IN REVIEW",)
    assert base_of(after.info) == 7


@pytest.mark.parametrize("info", [{}, {GEAR: None}, {GEAR: {}}, {GEAR: {"base": "3"}}, {GEAR: 3}])
def test_a_log_that_does_not_say_its_base_has_none(info: dict[str, Any]) -> None:
    """A version of another writer, or none of ours, has no base."""
    assert base_of(info) is None


# -- merging texts ---------------------------------------------------------------------------------

FOREIGN_LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20).filter(
    lambda line: "QC Status: IMAGE" not in line
)
FOREIGN = st.lists(FOREIGN_LINE, max_size=6).map(lambda lines: "".join(f"{e}\n" for e in lines))
CODES = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)


@st.composite
def our_entries(draw: st.DrawFn) -> Entry:
    """Return an entry of a small world, in which runs meet each other."""
    codes = draw(CODES)
    return entry(
        draw(st.sampled_from(["f1", "f2"])),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
        state=draw(st.sampled_from(["PASS", "FAIL"])),
        data=tuple({"code": code} for code in codes),
        timestamp=draw(st.sampled_from(["2024-03-15 14:02:11", "2024-03-15 14:02:12"])),
    )


LINES = st.one_of(
    FOREIGN_LINE.map(lambda line: f"{line}\n"), our_entries().map(lambda each: each.text())
)
TEXTS = st.lists(LINES, max_size=6).map("".join)


def verdicts(text: str) -> set[tuple[str, ...]]:
    """Return which runs with which verdict a text has lines of: (verdict, file#version, run)."""
    found = set()
    for line in text.split("\n"):
        if "QC Status: IMAGE-IDENTIFIER-LOOKUP - " in line:
            words = line.split(" - ")[1].split()
            found.add((words[0], *words[2:]))
    return found


def foreign_lines(text: str) -> Counter[str]:
    """Return how often a text has each line that is not ours."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return Counter(
        line for line in lines if "IMAGE-IDENTIFIER-LOOKUP - " not in line and line[:1] != "{"
    )


@given(FOREIGN)
@example("a\r\nb\r\n")
@example("\n\n")
@example("same\nsame\n")
@example('{"json": "first"}\n')
def test_a_text_of_others_stays_byte_for_byte(text: str) -> None:
    """Merged alone or with itself, a text without our lines is what it was, doubles included."""
    assert merge_texts([text]) == text
    assert merge_texts([text, text]) == text


@given(FOREIGN, our_entries())
def test_our_line_comes_behind_the_text_of_others(text: str, ours: Entry) -> None:
    """An entry is appended; not a byte in front of it changes."""
    assert merge_texts([text, ours.text()]) == text + ours.text()


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_merging_texts_loses_no_run_and_no_line(texts: list[str]) -> None:
    """Every run's verdict of every text is there, and each foreign line as often as it was."""
    merged = merge_texts(texts)
    assert verdicts(merged) == set().union(*map(verdicts, texts))
    for text in texts:
        assert foreign_lines(text) <= foreign_lines(merged)


@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(
    [
        failed(data=({"code": "a"},)).text(),
        failed(data=({"code": "b"},)).text(),
        failed(data=({"code": "a"}, {"code": "b"})).text(),
    ]
)
@example(["\n", "{\n"])
@example(["{a\n{b\n", "line\n{a\n", "{b\n{c\nline\n"])
def test_merging_texts_again_changes_nothing(texts: list[str]) -> None:
    """The result merged alone, or with what went into it, is the result."""
    merged = merge_texts(texts)
    assert merge_texts([merged]) == merged
    assert merge_texts([merged, *texts]) == merged


@given(our_entries(), st.integers(1, 4))
def test_a_run_that_is_told_twice_is_told_once(ours: Entry, times: int) -> None:
    """A job that was killed and done again, or runs twice at once, leaves one line."""
    assert merge_texts([ours.text()] * times) == ours.text()


def test_of_two_tellings_of_a_run_the_fuller_one_stays() -> None:
    """What became known later (an event that was not written) is added in the run's place."""
    short = failed("f1", data=(ERROR,))
    fuller = failed("f1", data=(ERROR, {"code": "event-not-captured"}))
    other = entry("f2")
    text = short.text() + other.text()
    assert merge_texts([text, fuller.text()]) == fuller.text() + other.text()
    assert merge_texts([fuller.text() + other.text(), short.text()]) == (
        fuller.text() + other.text()
    )


@pytest.mark.parametrize("end", ["\x85", "\u2028"])
def test_a_run_that_was_told_with_a_raw_line_end_is_told_once(end: str) -> None:
    """JSON allows these as they are; other writers of JSON leave them so."""
    ours = failed(data=({**ERROR, "value": f"NACC{end}42"},)).text()
    raw = ours.replace(f"\\u{ord(end):04x}", end)
    assert raw != ours
    assert merge_texts([raw, ours]) == raw
    assert merge_texts([ours, raw]) == ours


def test_a_line_of_json_that_is_broken_still_counts_as_an_error_line() -> None:
    """A line below a run that starts like JSON and is none is kept with the run."""
    broken = entry().text() + "{half a line\n"
    assert merge_texts([entry().text(), broken]) == broken
    assert merge_texts([broken, entry().text()]) == broken


# -- merging versions ------------------------------------------------------------------------------

GEARS = st.sampled_from(["form-checker", "uds-curator"])
STATES = st.sampled_from(["PASS", "FAIL", "IN REVIEW"])


def checked_by(gear: str, state: str) -> dict[str, Any]:
    """Return another gear's entry in a log's info."""
    return {gear: {"validation": {"state": state, "data": [], "cleared": []}}}


@given(st.lists(our_entries(), min_size=1, max_size=4), st.dictionaries(GEARS, STATES))
def test_writers_from_one_base_lose_nothing_to_each_other(
    entries: list[Entry], foreign: dict[str, str]
) -> None:
    """Versions made side by side from one base, merged: every run, every entry of other gears."""
    qc = {gear: checked_by(gear, state)[gear] for gear, state in foreign.items()}
    start = Content(text=FOREIGN_TEXT, info={"qc": qc}, tags=("a-tag",))
    versions = [version(1, start)]
    versions += [
        version(number, with_entry(start, each, base=1)) for number, each in enumerate(entries, 2)
    ]
    merged = merge(versions)
    assert verdicts(merged.text) >= {v for each in entries for v in verdicts(each.text())}
    assert merged.text.startswith(FOREIGN_TEXT)
    for gear, entry_ in qc.items():
        assert merged.info["qc"][gear] == entry_
    assert set(merged.info[GEAR]["files"]) == {each.file_id for each in entries}
    assert merged.tags == ("a-tag",)


@given(st.lists(our_entries(), min_size=1, max_size=4))
def test_merging_versions_again_changes_nothing(entries: list[Entry]) -> None:
    """What has been merged, written as the next version and merged again, is the same."""
    versions = [
        version(number, with_entry(Content(), each, base=0))
        for number, each in enumerate(entries, 1)
    ]
    merged = merge(versions)
    again = merge([*versions, version(len(versions) + 1, merged)])
    assert again.text == merged.text
    assert again.info == merged.info


def test_another_gears_entry_is_taken_from_the_version_that_changed_it_last() -> None:
    """An old copy of another gear's entry never wins over its newer one, whoever carries it."""
    old, new = checked_by("form-checker", "FAIL"), checked_by("form-checker", "PASS")
    first = LogVersion(number=1, text="", info={"qc": old})
    theirs = LogVersion(number=2, text="", info={"qc": new}, tags=("form-checker-PASS",))
    ours = version(3, with_entry(Content(info={"qc": old}), entry(), base=1))
    merged = merge([first, theirs, ours])
    assert merged.info["qc"]["form-checker"] == new["form-checker"]
    assert merged.info["qc"][GEAR] == ours.info["qc"][GEAR]
    assert merged.tags == ("form-checker-PASS",)


def test_other_keys_of_info_are_merged_by_who_changed_them() -> None:
    """A key that one version brought stays, one that a later version changed is the later one."""
    first = LogVersion(number=1, text="", info={"a": 1, "b": 1})
    second = LogVersion(number=2, text="", info={"a": 2, "b": 1, "c": 3})
    third = LogVersion(number=3, text="", info={"a": 1, "b": 5})
    assert merge([first, second, third]).info == {"a": 2, "b": 5, "c": 3}


def test_a_version_that_dropped_our_records_does_not_unmake_them() -> None:
    """Another gear's upload without our info: merged, the records are back."""
    ours = version(1, with_entry(Content(), failed("f1"), base=0))
    theirs = LogVersion(number=2, text=ours.text + "more\n", info={"qc": {}})
    content = with_entry(merge([ours, theirs]), entry("f2"), base=2)
    assert validation(content)["state"] == "FAIL"
    assert content.text == ours.text + "more\n" + entry("f2").text()


# -- lacks_nothing ---------------------------------------------------------------------------------


def test_a_version_lacks_nothing_when_only_its_base_differs() -> None:
    """Somebody else has merged our entry: nothing is left to write."""
    content = with_entry(Content(), entry(), base=1)
    theirs = with_entry(Content(), entry(), base=2)
    assert lacks_nothing(version(3, theirs), content)


@pytest.mark.parametrize(
    "there",
    [
        Content(),
        with_entry(Content(), entry("f2"), base=1),
        Content(text=entry().text()),
        Content(text="", info=with_entry(Content(), entry(), base=1).info),
    ],
)
def test_a_version_lacks_what_is_not_in_its_text_or_info(there: Content) -> None:
    """Text and info both have to hold the entry."""
    assert not lacks_nothing(version(2, there), with_entry(Content(), entry(), base=1))


def test_a_version_lacks_a_tag_that_is_to_be_there() -> None:
    """Tags are compared whatever their order."""
    content = Content(tags=("a", "b"))
    assert lacks_nothing(LogVersion(number=1, text="", info={}, tags=("b", "a")), content)
    assert not lacks_nothing(LogVersion(number=1, text="", info={}, tags=("a",)), content)


# -- the event's note ------------------------------------------------------------------------------

NOTE = {
    "key": "prod/log-submit-20261120-070200-42-p-110001-2024-01-15.json",
    "timestamp": "t1",
    "file_version": 1,
    "status": "PASS",
}


def test_the_first_note_of_an_outcome_is_the_one_that_counts() -> None:
    """Copies of a job note different seconds: merged, the note of the earlier version leads."""
    later = {
        **NOTE,
        "key": "prod/log-submit-20261120-070201-42-p-110001-2024-01-15.json",
        "timestamp": "t2",
    }
    first = version(1, with_entry(Content(), entry("f1", event=NOTE), base=0))
    second = version(2, with_entry(Content(), entry("f1", event=later), base=0))
    content = with_entry(merge([first, second]), entry("f1", event=later), base=2)
    assert noted_event(content.info, "f1", later) == {**NOTE, "log_version": 1}


def test_the_base_of_a_merge_does_not_turn_the_order_of_notes_around() -> None:
    """Version 2 is of a writer that saw nothing of version 1; version 3 has merged both."""
    later = {**NOTE, "timestamp": "t2"}
    first = version(1, with_entry(Content(), entry("f1", event=NOTE), base=0))
    second = version(2, with_entry(Content(), entry("f1", event=later), base=0))
    third = version(3, with_entry(merge([first, second]), entry("f2"), base=2))
    fourth = version(4, with_entry(merge([first, second]), entry("f3"), base=2))
    content = with_entry(merge([second, third, fourth]), entry("f1", event=later), base=4)
    assert noted_event(content.info, "f1", later) == {**NOTE, "log_version": 1}


@pytest.mark.parametrize(
    "other",
    [
        {**NOTE, "status": "FAIL"},
        {**NOTE, "file_version": 2},
        {**NOTE, "key": "dev/log-submit-20261120-070200-42-p-110001-2024-01-15.json"},
    ],
)
def test_another_outcome_has_a_note_of_its_own(other: dict[str, Any]) -> None:
    """Verdict, version and environment tell announcements apart."""
    content = with_entry(Content(), entry("f1", event=NOTE), base=0)
    assert noted_event(content.info, "f1", other) is None
    assert noted_event(content.info, "f2", NOTE) is None
    content = with_entry(content, entry("f1", event=other), base=1)
    assert noted_event(content.info, "f1", other) == other
    assert noted_event(content.info, "f1", NOTE) == NOTE


# -- names -----------------------------------------------------------------------------------------

WANTED = "110001_2024-01-15_MR_qc-status.log"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], None),
        ([WANTED], WANTED),
        (["110001_2024-01-15_mr_qc-status.log"], "110001_2024-01-15_mr_qc-status.log"),
        (["110001_2024-01-15_mr_qc-status.log", WANTED], WANTED),
        # Of several, all jobs take the same one, whatever the order.
        (
            ["110001_2024-01-15_mr_qc-status.log", "110001_2024-01-15_Mr_qc-status.log"],
            "110001_2024-01-15_Mr_qc-status.log",
        ),
        (["110001_2024-01-15_CT_qc-status.log"], None),
        (["110001_2024-01-16_MR_qc-status.log"], None),
        (["110002_2024-01-15_MR_qc-status.log"], None),
        (["110001_2024-01-15_MR_QC-STATUS.log"], None),
        (["x_110001_2024-01-15_MR_qc-status.log", "notes.txt", ""], None),
    ],
)
def test_a_log_goes_on_under_another_letter_case_of_the_modality_only(
    names: list[str], found: str | None
) -> None:
    """Participant, date and ending have to be the same; the modality's case need not."""
    assert find_name(names, WANTED) == found


def test_a_ptid_with_other_letter_case_is_another_participant() -> None:
    """Letter case counts in a PTID."""
    assert find_name(["a1_2024-01-15_mr_qc-status.log"], "A1_2024-01-15_MR_qc-status.log") is None


def test_the_record_of_a_run_is_json() -> None:
    """What the log's info keeps of a file survives being written as JSON."""
    record = failed(event=NOTE).record()
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A1_2023-01-15_MR_qc-status.log", True),
        ("A1_2024-01-15_CT_qc-status.log", True),
        ("A1_2024-01-15_mr_qc-status.log", True),
        ("A12_2023-01-15_MR_qc-status.log", False),
        ("a1_2023-01-15_MR_qc-status.log", False),
        ("A1_x_2023-01-15_MR_qc-status.log", False),
        ("A1_2023-01-15_v2_MR_qc-status.log", False),
        ("A1_2023-01-15_MR_qc-status.log.bak", False),
        ("2023-01-15_MR_qc-status.log", False),
    ],
)
def test_whose_log_a_name_says(name: str, *, expected: bool) -> None:
    """The participant's id may hold an underscore, and even a date."""
    assert is_of_participant(name, "A1_2024-01-15_MR_qc-status.log") is expected


def test_an_id_with_a_date_in_it_is_told_from_the_id_before_it() -> None:
    """A participant ``A1_2023-01-15`` is another one than ``A1``."""
    theirs, ours = "A1_2023-01-15_2024-01-15_MR_qc-status.log", "A1_2024-01-15_MR_qc-status.log"
    assert not is_of_participant(theirs, ours)
    assert not is_of_participant(ours, theirs)


def test_only_what_a_run_has_written_since_counts_as_another_naccid() -> None:
    """Not what a later writer carried on, nor runs without one, nor those that agree."""
    old, new = answered("a", "NACC000001"), answered("b", "NACC000002")
    before = with_entry(Content(), old, base=0).info
    now = two_answers(old, new).info
    assert naccid_since(now, before, "NACC000002") is None
    assert naccid_since(now, before, "NACC000001") == "NACC000002"
    assert naccid_since(now, {}, "NACC000002") == "NACC000001"
    without = with_entry(Content(), failed(visit={**VISIT, "naccid": None}), base=0).info
    assert naccid_since(without, {}, "NACC000001") is None
