"""Values parsed once: participant ids, NACCIDs, dates, modalities, findings."""

from __future__ import annotations

import datetime as dt
import re
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from imaging_gears import errors
from imaging_gears.model import findings
from imaging_gears.model.event import EventNote
from imaging_gears.model.findings import Finding, WarningKind, error_finding, state_of
from imaging_gears.model.participant import (
    LabelIdentity,
    Mode,
    ParticipantKey,
    parse_label,
    parse_naccid,
    parse_ptid,
    same_participant,
)
from imaging_gears.model.visit import Visit, parse_modality, parse_study_date

PLACE = "subject.label"
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
LEGAL = PRINTABLE.replace("/", "").replace("\\", "")
BLANKS = st.text(" \t\n", max_size=3)


# -- PTID: contract outputs.md, 1 ------------------------------------------------------------------


@given(BLANKS, st.text("0", max_size=12), st.text(LEGAL, min_size=1, max_size=10), BLANKS)
@example("", "", "110001", "")
@example(" ", "00", "A.1-b_c+d!", "\n")
def test_a_ptid_is_stripped_and_loses_its_leading_zeros(
    before: str, zeros: str, ptid: str, after: str
) -> None:
    """1 to 10 printable characters without slashes stay as they are behind blanks and zeros."""
    assume(not ptid.startswith("0"))
    assert parse_ptid(f"{before}{zeros}{ptid}{after}", location=PLACE) == ptid


@given(st.text())
@example("a" * 10)
@example("a" * 11)
@example("0" * 5 + "a" * 10)
@example("a/b")
@example("a\\b")
@example("a b")
@example("é")
def test_a_ptid_is_of_the_contracts_pattern_or_an_error(text: str) -> None:
    """Whatever comes in: what comes out matches the pattern and has no slash, or PtidError."""
    cleaned = text.strip().lstrip("0")
    legal = re.fullmatch(r"[!-~]{1,10}", cleaned) and not set("/\\") & set(cleaned)
    if legal:
        assert parse_ptid(text, location=PLACE) == cleaned
    else:
        with pytest.raises(errors.PtidError) as raised:
            parse_ptid(text, location=PLACE)
        assert raised.value.location == PLACE
        assert raised.value.code == "ptid-invalid"


@pytest.mark.parametrize("text", ["0", "000", " 0000 "])
def test_zeros_only_are_an_error_of_their_own(text: str) -> None:
    """A label of zeros only is no participant, and the sentence says why."""
    with pytest.raises(errors.PtidError, match="zeros only") as raised:
        parse_ptid(text, location=PLACE)
    assert raised.value.value == text.strip()


@given(st.text("/ ", min_size=1, max_size=3), st.text(PRINTABLE, max_size=20))
def test_a_refused_ptid_is_not_in_the_message(illegal: str, rest: str) -> None:
    """The value found is kept for the QC record; the sentence says only where it was found."""
    text = f"x{illegal}x{rest}"
    with pytest.raises(errors.PtidError) as raised:
        parse_ptid(text, location=PLACE)
    assert str(raised.value) == "subject.label holds no participant id."
    assert raised.value.value == text


# -- subject label ---------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["", "  ", "\t\n"])
def test_an_empty_label_says_nothing(label: str) -> None:
    """No label: PatientID is to be asked."""
    assert parse_label(label) is None


@pytest.mark.parametrize(
    ("label", "ptid", "naccid"),
    [
        ("110001", "110001", None),
        (" 00110001 ", "110001", None),
        ("110001+NACC000042", "110001", "NACC000042"),
        ("00110001+TEST000042", "110001", "TEST000042"),
        # A PTID may hold a plus: only a NACCID behind it is taken apart.
        ("11+001", "11+001", None),
        ("1+2+NACC000042", "1+2", "NACC000042"),
        ("11+NACC42", "11+NACC42", None),
        # The label is taken apart before its length is judged.
        ("1234567890+NACC000042", "1234567890", "NACC000042"),
    ],
)
def test_a_label_is_a_ptid_and_on_scan_sites_a_naccid(
    label: str, ptid: str, naccid: str | None
) -> None:
    """``PTID+NACCID`` is taken apart, everything else is one PTID."""
    assert parse_label(label) == LabelIdentity(ptid, naccid)


@pytest.mark.parametrize("label", ["0", "000", "000+NACC000042", "+NACC000042", "a/b", "a b"])
def test_an_unusable_label_is_an_error(label: str) -> None:
    """A label that is there and holds no PTID is never passed over."""
    with pytest.raises(errors.PtidError):
        parse_label(label)


@pytest.mark.parametrize(
    ("patient_id", "same"),
    [("110001", True), (" 00110001 ", True), ("110002", False), ("", False), ("000", False)],
)
def test_patient_id_is_cleaned_like_a_label_before_it_is_compared(
    patient_id: str, *, same: bool
) -> None:
    """Leading zeros and blanks make no other participant."""
    assert same_participant("110001", patient_id) is same


# -- NACCID ----------------------------------------------------------------------------------------

MODES: tuple[Mode, ...] = ("prod", "dev")
PREFIX = {"prod": "NACC", "dev": "TEST"}
DIGITS = st.text("0123456789", min_size=6, max_size=6)


@given(st.sampled_from(MODES), DIGITS)
def test_a_naccid_pairs_with_its_mode(mode: Mode, digits: str) -> None:
    """Prod takes NACC and six digits, dev takes TEST and six digits."""
    assert parse_naccid(PREFIX[mode] + digits, mode, location="here") == PREFIX[mode] + digits


@given(st.sampled_from(MODES), DIGITS)
def test_a_naccid_of_the_other_mode_is_refused(mode: Mode, digits: str) -> None:
    """NACC in dev and TEST in prod are errors, not results."""
    (other,) = set(MODES) - {mode}
    with pytest.raises(errors.NaccidInvalidError, match=f"database_mode {mode}") as raised:
        parse_naccid(PREFIX[other] + digits, mode, location="here")
    assert raised.value.expected == f"{PREFIX[mode]} and six digits"
    assert digits not in str(raised.value)


@given(
    st.sampled_from(MODES),
    st.one_of(
        st.none(), st.integers(), st.floats(), st.booleans(), st.text(), st.lists(st.integers())
    ),
)
@example("prod", "NACC00004")
@example("prod", "NACC0000042")
@example("prod", "nacc000042")
@example("prod", "NACC000042\n")
@example("prod", " NACC000042")
@example("prod", "NACC00004\u0662")
@example("prod", "")
def test_what_is_no_naccid_is_refused(mode: Mode, value: object) -> None:
    """Only text of the pattern, whole and in ASCII digits, is a NACCID."""
    assume(not (isinstance(value, str) and re.fullmatch(r"(NACC|TEST)[0-9]{6}", value)))
    with pytest.raises(errors.NaccidInvalidError) as raised:
        parse_naccid(value, mode, location="subject.info")
    assert raised.value.location == "subject.info"
    assert str(raised.value) == "The NACCID in subject.info is not one."
    assert raised.value.value is None or isinstance(value, str)


# -- study date ------------------------------------------------------------------------------------

PADDING = st.text(" ", max_size=2)


@given(st.dates(), PADDING, PADDING)
def test_a_da_value_is_the_date_that_it_says(date: dt.date, before: str, after: str) -> None:
    """``YYYYMMDD`` (PS3.5 6.2) of any day of the calendar comes back as that day."""
    text = f"{date.year:04}{date.month:02}{date.day:02}"
    assert parse_study_date(before + text + after) == date


@given(st.dates())
def test_the_legacy_form_with_dots_is_read_too(date: dt.date) -> None:
    """``YYYY.MM.DD`` is what ACR-NEMA wrote (PS3.5 6.2, note)."""
    assert parse_study_date(f"{date.year:04}.{date.month:02}.{date.day:02}") == date


@given(st.integers(0, 9999), st.integers(0, 99), st.integers(0, 99))
@example(2024, 2, 30)
@example(2023, 2, 29)
@example(2024, 13, 99)
@example(0, 1, 1)
def test_eight_digits_are_a_date_only_if_the_calendar_has_it(y: int, m: int, d: int) -> None:
    """20241399 is refused, 20240229 is not."""
    text = f"{y:04}{m:02}{d:02}"
    try:
        expected = dt.date(y, m, d)
    except ValueError:
        with pytest.raises(errors.InvalidAttributeError) as raised:
            parse_study_date(text)
        assert (raised.value.location, raised.value.value) == ("StudyDate", text)
    else:
        assert parse_study_date(text) == expected


@given(st.text(min_size=1))
@example("2024-01-15")
@example("2024.0115")
@example("20240115\\20240116")
@example("2024011")
@example("202401150")
@example("２０２４０１１５")
@example("2_240115")
def test_other_text_is_no_study_date(text: str) -> None:
    """Only the two forms are dates; other digits, other separators and several values are not."""
    assume(text.strip())
    assume(not re.fullmatch(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}", text.strip()))
    with pytest.raises(errors.InvalidAttributeError) as raised:
        parse_study_date(text)
    assert str(raised.value) == "StudyDate (0008,0020) is not a date of the calendar."


@pytest.mark.parametrize("text", [None, "", "   "])
@pytest.mark.parametrize("parse", [parse_study_date, parse_modality])
def test_an_attribute_without_value_is_missing(parse: object, text: str | None) -> None:
    """Absent, empty and blank are one case: the attribute is missing, and the error names it."""
    assert callable(parse)
    with pytest.raises(errors.MissingAttributeError) as raised:
        parse(text)
    assert raised.value.location in {"StudyDate", "Modality"}
    assert raised.value.value is None


# -- modality --------------------------------------------------------------------------------------


@given(st.text(string.ascii_letters + string.digits, min_size=1, max_size=16), PADDING)
@example("MR", "")
@example("mr", " ")
def test_a_modality_stays_as_the_dicom_gives_it(modality: str, after: str) -> None:
    """Letters and digits, in the case in which they stand there."""
    assert parse_modality(modality + after) == modality


@given(st.text(min_size=1))
@example("MR\\CT")
@example("M_R")
@example("M R")
@example("é")
@example("MR\nCT")
def test_a_modality_of_other_characters_is_refused(text: str) -> None:
    """Readers of the QC log's name find nothing else in the modality's place."""
    assume(text.strip() and not re.fullmatch(r"[A-Za-z0-9]+", text.strip()))
    with pytest.raises(errors.InvalidAttributeError) as raised:
        parse_modality(text)
    assert (raised.value.code, raised.value.location) == ("attribute-invalid", "Modality")
    assert str(raised.value) == "Modality (0008,0060) is not letters and digits."


# -- nothing of a patient in a repr ----------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        ParticipantKey(adcid=42, ptid="110001"),
        LabelIdentity("110001", "NACC000042"),
        Visit(adcid=42, ptid="110001", date=dt.date(2024, 1, 15), modality="MR"),
        Finding("error", "code", "message", value="110001"),
    ],
)
def test_a_value_does_not_show_whose_it_is(value: object) -> None:
    """What lands in a log line by repr names no participant and no day."""
    assert not any(mark in repr(value) for mark in ("110001", "NACC000042", "2024"))


# -- findings --------------------------------------------------------------------------------------


def test_an_error_becomes_a_finding_with_all_that_it_knows() -> None:
    """The QC record shows code, sentence, place, value and what was expected."""
    error = errors.InvalidAttributeError(
        "It is wrong.", location="StudyDate", value="20241399", expected="YYYYMMDD"
    )
    assert error_finding(error) == Finding(
        severity="error",
        code="attribute-invalid",
        message=f"It is wrong. {errors.InvalidAttributeError.remedy}",
        location="StudyDate",
        value="20241399",
        expected="YYYYMMDD",
    )


@pytest.mark.parametrize(
    ("severities", "state"),
    [((), "PASS"), (("warning",), "PASS"), (("warning", "error"), "FAIL"), (("error",), "FAIL")],
)
def test_only_an_error_fails_a_file(severities: tuple[str, ...], state: str) -> None:
    """Warnings are worth a look and leave the verdict alone."""
    found = tuple(Finding(each, "c", "m") for each in severities)  # type: ignore[arg-type]
    assert state_of(found) == state


@pytest.mark.parametrize("kind", findings.WARNINGS)
def test_every_warning_is_told_apart_and_says_what_to_do(kind: WarningKind) -> None:
    """A warning has a code of its own, a cause, a remedy, and a message without a value."""
    codes = [each.code for each in findings.WARNINGS]
    assert codes.count(kind.code) == 1
    assert kind.code not in {each.code for each in errors.subclasses()[1:]}
    assert kind.cause.endswith(".")
    assert kind.finding() == Finding(
        "warning", kind.code, f"{kind.message} {kind.remedy}", kind.location
    )


def test_the_contracts_warnings_are_there_under_their_codes() -> None:
    """The codes that the contract names are the codes that readers will see."""
    codes = {kind.code for kind in findings.WARNINGS}
    assert codes >= {
        "ptid-mismatch",
        "qc-log-not-written",
        "event-not-captured",
        "file-record-not-written",
    }


def test_a_note_of_an_event_is_a_value() -> None:
    """Two notes of the same announcement are equal."""
    moment = dt.datetime(2026, 11, 20, 7, 2, tzinfo=dt.UTC)
    assert EventNote("dev/x", moment, 1, "PASS") == EventNote("dev/x", moment, 1, "PASS")
