"""The job log: our lines as they are, those of others without their text."""

from __future__ import annotations

import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from imaging_gears.errors import NotFoundError
from imaging_gears.gear import joblog

SECRET = "NACC000042"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put back what `configure` changes for the whole process."""
    root, ours = logging.getLogger(), logging.getLogger("imaging_gears")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    raising, shown = logging.raiseExceptions, warnings.showwarning
    hooks = sys.excepthook, threading.excepthook
    yield
    logging.captureWarnings(capture=False)
    warnings.showwarning = shown
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)
    sys.excepthook, threading.excepthook = hooks
    logging.raiseExceptions = raising


def test_our_lines_pass_with_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, text; on standard output."""
    joblog.configure(debug=False)
    joblog.log.info("file %s: version %d", "64c0", 3)
    out, err = capsys.readouterr()
    assert re.fullmatch(r"[-0-9]{10} [:,0-9]+ INFO    file 64c0: version 3\n", out)
    assert err == ""


@pytest.mark.parametrize("debug", [False, True])
def test_debug_lines_are_ours_only(capsys: pytest.CaptureFixture[str], *, debug: bool) -> None:
    """`debug` adds our detail; third-party loggers stay at WARNING whatever they are set to."""
    joblog.configure(debug=debug)
    logging.getLogger("imaging_gears.adapters").debug("detail")
    noisy = logging.getLogger("botocore.parsers")
    noisy.setLevel(logging.DEBUG)
    try:
        noisy.debug("Response body: %s", SECRET)
        noisy.info("%s", SECRET)
    finally:
        noisy.setLevel(logging.NOTSET)
    out, _ = capsys.readouterr()
    assert ("detail" in out) is debug
    assert "botocore" not in out
    assert SECRET not in out


@pytest.mark.parametrize("name", ["flywheel", "imaging_gearsx", "urllib3.connectionpool", "root"])
def test_third_party_records_are_blanked(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A line says who spoke and how loudly, never what, with traceback and stack gone too."""
    joblog.configure(debug=True)
    logger = logging.getLogger() if name == "root" else logging.getLogger(name)
    logger.error("%s failed", SECRET, exc_info=ValueError(SECRET), stack_info=True)
    logger.warning(SECRET)
    out, err = capsys.readouterr()
    lines = [line.split(maxsplit=3)[3] for line in out.splitlines()]
    assert lines == [f"{name} reported a error", f"{name} reported a warning"]
    assert SECRET not in out + err


def test_python_warnings_are_blanked(capsys: pytest.CaptureFixture[str]) -> None:
    """Pydicom's warnings print values of the header."""
    joblog.configure(debug=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"Invalid value {SECRET}", stacklevel=1)
        logging.captureWarnings(capture=False)
    out, err = capsys.readouterr()
    assert "py.warnings reported a warning" in out
    assert SECRET not in out + err


def test_a_broken_log_call_prints_nothing_of_its_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Python's own report of a log call that fails repeats the arguments."""
    joblog.configure(debug=True)
    joblog.log.info("%d", SECRET)
    out, err = capsys.readouterr()
    assert SECRET not in out + err


def test_a_crash_is_told_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    """The exception's class and the place, for a report; never its message."""
    joblog.configure(debug=False)

    def breaks() -> None:
        raise KeyError(SECRET)

    try:
        breaks()
    except KeyError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    out, err = capsys.readouterr()
    assert re.search(r"CRITICAL unexpected KeyError in breaks, line \d+; please report", out)
    assert SECRET not in out + err
    sys.excepthook(KeyError, KeyError(SECRET), None)
    assert "unexpected KeyError in start" in capsys.readouterr().out


def test_a_thread_that_fails_says_where_and_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    """As the program does; one that was ended says nothing, as ever."""
    joblog.configure(debug=False)

    def breaks() -> None:
        raise KeyError(SECRET)

    for target in (breaks, sys.exit):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    out, err = capsys.readouterr()
    assert re.search(r"CRITICAL unexpected KeyError in breaks, line \d+; please report", out)
    assert (out.count("CRITICAL"), SECRET in out + err, err) == (1, False, "")


def test_a_step_that_fails_says_by_what(caplog: pytest.LogCaptureFixture) -> None:
    """The code that its error has in the docs; of another exception its class."""
    with caplog.at_level(logging.INFO):
        for error in (NotFoundError("It is gone."), KeyError(SECRET)):
            with pytest.raises(type(error)), joblog.step("file"):
                raise error
    assert [each.getMessage().rpartition(" (")[0] for each in caplog.records] == [
        "file: not-found",
        "file: KeyError",
    ]


def test_a_step_is_one_line_with_its_remarks_and_duration(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What it was, what came of it, how long it took."""
    with caplog.at_level(logging.INFO), joblog.step("header") as remarks:
        remarks.append("5 bytes read")
    assert re.fullmatch(r"header: 5 bytes read \(\d+\.\d\d s\)", caplog.messages[0])


def test_a_step_that_fails_names_the_error_and_lets_it_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its class, not its text."""

    def run() -> None:
        with joblog.step("header"):
            raise ValueError(SECRET)

    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match=SECRET):
        run()
    assert re.fullmatch(r"header: ValueError \(\d+\.\d\d s\)", caplog.messages[0])
