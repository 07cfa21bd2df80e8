"""Every image is sent once and accounted for, over a server in memory."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from imaging_gears.dicom_send import main
from imaging_gears.dicom_send.config import SendConfig
from imaging_gears.dicom_send.main import VERIFY_WAITS, DicomSend
from imaging_gears.dicom_send.report import FileReport, causes
from imaging_gears.dicom_send.world import Upload, World
from imaging_gears.errors import ArchiveError, HeaderError, NotDicomError, ServiceError
from imaging_gears.gear.job import parse_config
from imaging_gears.ports import Convert, Offer, Sendable, Sent, SyntaxPair
from tests.unit.dicom_send_gear.world import (
    BIG,
    CT,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    REQUIRED,
    FakeContents,
    FakeImage,
    FakeRefused,
    FakeServer,
    images,
    run,
)


def told(report: FileReport) -> tuple[int, int, str]:
    """Return the counts and the status of a row."""
    return report.in_series, report.sent, report.status


def notes(report: FileReport) -> list[tuple[str, int | None]]:
    """Return outcome and image of each note."""
    return [(note.outcome, note.number) for note in report.notes]


def test_all_images_of_all_files_arrive() -> None:
    """Two files with two images each: four images, two complete rows, and nothing to say."""
    files = FakeContents(images("1.1", "1.2")), FakeContents(images("1.3", "1.4"))
    reports, server = run(*files)
    assert set(server.archive) == {"1.1", "1.2", "1.3", "1.4"}
    assert [told(each) for each in reports] == [(2, 2, "Complete"), (2, 2, "Complete")]
    assert all(not each.notes for each in reports)
    assert all(each.closed for each in files)


def test_an_instance_that_occurs_twice_is_sent_and_counted_once() -> None:
    """In one file and over files: the further ones are named, and cost no file its Complete."""
    reports, server = run(
        FakeContents(images("1.1", "1.1", "1.2")), FakeContents(images("1.2")), FakeContents()
    )
    assert server.requests == ["store", "store"]
    assert [told(each) for each in reports[:2]] == [(2, 2, "Complete"), (0, 0, "Complete")]
    assert notes(reports[0]) == [("duplicate", 1)]
    assert reports[0].notes[0].reason == "the same SOP instance as image 1"
    where = "center/ingest/Quixote/visit/1/T1/files/Quixote1.zip"
    assert reports[1].notes[0].reason == f"the same SOP instance as image 3 of {where}"


def copy(number: int, uid: str, **changes: object) -> FakeImage:
    """Return one image with a number of its own."""
    return replace(images(uid, **changes)[0], number=number)


def test_a_damaged_first_copy_does_not_hide_the_good_one() -> None:
    """It shows while it is sent; the next copy is sent then, and each damaged one was not."""
    broken = HeaderError("The member's checksum is wrong.")
    reports, server = run(
        FakeContents(
            [
                copy(0, "1.1", broken=broken),
                copy(1, "1.2"),
                copy(2, "1.1", broken=broken),
                copy(3, "1.1"),
                copy(4, "1.1"),
            ]
        ),
        verify=True,
    )
    assert set(server.archive) == {"1.1", "1.2"}
    assert told(reports[0]) == (4, 2, "Incomplete")
    assert reports[0].left_out == 1
    assert notes(reports[0]) == [("failed", 0), ("failed", 2), ("duplicate", 4)]
    assert reports[0].notes[2].reason == "the same SOP instance as image 4"


def test_copies_of_what_nobody_came_to_are_not_called_sent() -> None:
    """The run ended before it."""

    class Breaking(FakeServer):
        def send(self, items: Sequence[Sendable], convert: Convert) -> Generator[Sent]:
            raise ZeroDivisionError
            yield

    content, found = FakeContents([copy(0, "1.1"), copy(1, "1.1")]), list[FileReport]()
    with pytest.raises(ZeroDivisionError):
        run(content, server=Breaking(), reports=found)
    assert notes(found[0]) == [("failed", 0), ("duplicate", 1)]
    assert found[0].notes[1].reason == "the same SOP instance as image 1, which was not sent"


def test_a_dry_run_takes_copies_as_the_run_that_follows_does() -> None:
    """Another copy where the first would be refused, and what is refused hides none elsewhere."""
    refuses = {(CT, JPEG): "transfer syntaxes not supported"}
    files = (
        FakeContents([copy(0, "1.1", transfer_syntax_uid=JPEG), copy(1, "1.1")]),
        FakeContents([copy(at, "1.2", transfer_syntax_uid=JPEG) for at in range(2)]),
        FakeContents([copy(0, "1.2", transfer_syntax_uid=JPEG)]),
        FakeContents([copy(0, "1.1")]),
    )
    dry, _ = run(*files, server=FakeServer(refuses=refuses), dry_run=True)
    real, _ = run(*files, server=FakeServer(refuses=refuses))
    assert [told(each) for each in dry] == [told(each) for each in real]
    assert [notes(each) for each in dry] == [notes(each) for each in real]
    assert told(dry[0]) == (2, 1, "Incomplete")
    assert told(dry[3]) == (0, 0, "Complete")


def test_an_archive_that_keeps_members_back_is_named_as_that() -> None:
    """Beside the images that it costs."""
    locked = ArchiveError("The archive is encrypted.")
    refused = [FakeRefused(number=at, reason=locked.message, error=locked) for at in (1, 2)]
    reports, _ = run(FakeContents(images("1.1"), refused))
    assert told(reports[0]) == (3, 1, "Incomplete")
    assert reports[0].errors == [locked]
    assert reports[0].lacks_images

    class Silent(FakeServer):
        def offers(self, pairs: Collection[SyntaxPair]) -> Mapping[SyntaxPair, Offer]:
            raise ServiceError("The DICOM server", "timed out")

    reports, _ = run(FakeContents(images("1.1"), refused), server=Silent(), dry_run=True)
    assert [each.code for each in causes(reports)] == ["archive-unreadable", "service-unavailable"]


def test_the_log_has_the_first_of_many_refused_images(caplog: pytest.LogCaptureFixture) -> None:
    """And how many more there are."""
    refused = [FakeRefused(number=at, reason="It is cut short.") for at in range(300)]
    reports, _ = run(FakeContents(images("1.1"), refused))
    assert caplog.text.count("It is cut short.") == main.REASONS_LOGGED
    assert f"file 1: {300 - main.REASONS_LOGGED} more, which the report has" in caplog.text
    assert len(reports[0].notes) == 300


def test_copies_that_are_all_damaged_fail() -> None:
    """Each of them."""
    broken = HeaderError("The member's checksum is wrong.")
    reports, _ = run(FakeContents([copy(0, "1.1", broken=broken), copy(1, "1.1", broken=broken)]))
    assert told(reports[0]) == (2, 0, "Failed")
    assert notes(reports[0]) == [("failed", 0), ("failed", 1)]


def test_a_copy_in_a_syntax_that_the_server_takes_is_sent() -> None:
    """The first one is compressed in a way that is refused."""
    server = FakeServer(refuses={(CT, JPEG): "transfer syntaxes not supported"})
    first = copy(0, "1.1", transfer_syntax_uid=JPEG)
    reports, _ = run(FakeContents([first, copy(1, "1.1")]), server=server)
    assert told(reports[0]) == (2, 1, "Incomplete")


def test_what_the_server_has_refused_is_final_for_its_copies() -> None:
    """It gave a status for the SOP instance."""
    server = FakeServer(answers={"1.1": (0xA900, "data set does not match")})
    reports, _ = run(FakeContents([copy(0, "1.1"), copy(1, "1.1")]), server=server)
    assert server.requests == ["store"]
    assert told(reports[0]) == (1, 0, "Failed")
    assert notes(reports[0]) == [("failed", 0), ("duplicate", 1)]
    said = "the same SOP instance as image 1, which was not sent"
    assert reports[0].notes[1].reason == said


def test_no_copy_is_sent_to_a_server_that_was_given_up() -> None:
    """One request, and each image has its row."""
    reports, server = run(
        FakeContents([copy(0, "1.1"), copy(1, "1.1")]), server=FakeServer(dies_after=0)
    )
    assert server.requests == ["store"]
    assert notes(reports[0]) == [("failed", 0), ("duplicate", 1)]


def test_a_second_copy_of_a_failed_instance_is_tried() -> None:
    """What the server refuses in one transfer syntax may be there in another."""
    server = FakeServer(refuses={(CT, JPEG): "transfer syntaxes not supported"})
    reports, _ = run(
        FakeContents(images("1.1", transfer_syntax_uid=JPEG)),
        FakeContents(images("1.1")),
        server=server,
    )
    assert [told(each) for each in reports] == [(1, 0, "Failed"), (1, 1, "Complete")]


def test_a_broken_member_makes_the_file_incomplete() -> None:
    """An image that is cut short is never sent, and never a success."""
    cut = FakeRefused(number=2, reason="the pixel data are cut short", sop_instance_uid="1.9")
    reports, server = run(FakeContents(images("1.1", "1.2"), [cut], ignored=3))
    assert told(reports[0]) == (3, 2, "Incomplete")
    assert notes(reports[0]) == [("refused", 2)]
    assert "1.9" not in server.archive


def test_a_file_without_dicom_has_failed() -> None:
    """Nothing in it was sent, and the report says so."""
    reports, _ = run(FakeContents(ignored=4))
    assert told(reports[0]) == (0, 0, "Failed")
    assert reports[0].notes[0].reason == "There is no DICOM image in the file."
    assert [type(each) for each in reports[0].errors] == [NotDicomError]


def test_what_is_passed_over_is_counted_by_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    """Empty members may be lost ones, so the log has them apart; nothing is no line."""
    with caplog.at_level(logging.INFO):
        run(
            FakeContents(images("1.1"), ignored=3),
            FakeContents(images("1.2"), empty=2),
            FakeContents(images("1.3")),
        )
    assert "file 1: passed over: 0 empty, 3 no DICOM" in caplog.text
    assert "file 2: passed over: 2 empty, 0 no DICOM" in caplog.text
    assert "file 3: passed over" not in caplog.text


def test_a_file_that_can_not_be_opened_does_not_stop_the_others() -> None:
    """The next one goes on."""
    broken = ArchiveError("The archive is cut off.")
    reports, server = run(broken, FakeContents(images("1.1")))
    assert [told(each) for each in reports] == [(0, 0, "Failed"), (1, 1, "Complete")]
    assert reports[0].notes[0].reason == "The archive is cut off."
    assert reports[0].errors == [broken]
    assert set(server.archive) == {"1.1"}


def test_what_keeps_the_run_from_a_file_is_the_job_s_own_cause() -> None:
    """A site that does not answer as well as an archive that can't be read."""
    down = ServiceError("Flywheel", "HTTP 500", while_="downloading file f1")
    cut = ArchiveError("The archive is cut off.")
    reports, _ = run(down, cut, FakeContents(images("1.1")))
    assert [each.errors for each in reports] == [[down], [cut], []]
    assert [each.lacks_images for each in reports] == [False, False, False]


def test_a_source_that_breaks_while_it_is_read_fails_its_image_only() -> None:
    """The image before and the one after arrive."""
    broken = images("1.2", broken=HeaderError("The member's checksum is wrong."))[0]
    first, _, last = images("1.1", "x", "1.3")
    middle = type(broken)(number=1, sop_instance_uid="1.2", broken=broken.broken)
    reports, server = run(FakeContents([first, middle, last]))
    assert told(reports[0]) == (3, 2, "Incomplete")
    assert notes(reports[0]) == [("failed", 1)]
    assert set(server.archive) == {"1.1", "1.3"}


def test_a_warning_counts_as_sent_and_is_named() -> None:
    """B007 stands for: stored, data set does not match SOP class (PS3.4 B.2.3)."""
    server = FakeServer(answers={"1.1": (0xB007, "data set does not match SOP class")})
    reports, _ = run(FakeContents(images("1.1")), server=server)
    assert told(reports[0]) == (1, 1, "Complete")
    assert notes(reports[0]) == [("warning", 0)]


def test_a_refused_image_does_not_stop_the_others() -> None:
    """A failure is final for that image."""
    server = FakeServer(answers={"1.2": (0xA900, "data set does not match: comment")})
    reports, _ = run(FakeContents(images("1.1", "1.2", "1.3")), server=server)
    assert told(reports[0]) == (3, 2, "Incomplete")
    assert reports[0].notes[0].reason == "data set does not match: comment"


def test_an_image_in_another_uncompressed_syntax_is_named() -> None:
    """It was sent, in other bytes than its own."""
    server = FakeServer(refuses={(CT, BIG): "refused"}, accepts_instead=IMPLICIT)
    reports, _ = run(FakeContents(images("1.1", transfer_syntax_uid=BIG)), server=server)
    assert told(reports[0]) == (1, 1, "Complete")
    assert notes(reports[0]) == [("converted", 0)]
    assert reports[0].notes[0].reason == f"sent in transfer syntax {IMPLICIT}"
    assert server.archive["1.1"] == b"tes atad"


@pytest.mark.parametrize(("resend", "stored"), [(True, 2), (False, 1)])
def test_what_carries_the_tag_is_sent_again_only_on_demand(resend: bool, stored: int) -> None:  # noqa: FBT001
    """Without resend it is left out, and the file is complete all the same."""
    before = images("1.1", marked=True)[0]
    new = images("x", "1.2")[1]
    reports, server = run(FakeContents([before, new]), resend=resend)
    assert told(reports[0]) == (stored, stored, "Complete")
    assert len(server.archive) == stored
    assert notes(reports[0]) == ([] if resend else [("marked", 0)])


def test_a_server_that_gives_up_ends_the_run() -> None:
    """No further file is opened, and each has a row that says why."""
    later = FakeContents(images("1.4"))
    reports, server = run(
        FakeContents(images("1.1", "1.2", "1.3")), later, server=FakeServer(dies_after=1)
    )
    assert [told(each) for each in reports] == [(3, 1, "Incomplete"), (0, 0, "Failed")]
    assert reports[1].notes[0].reason == "not tried: The server did not answer usably: timed out."
    assert not later.closed
    assert len(server.requests) == 3


def test_a_dry_run_stores_nothing_and_says_what_would_be_refused() -> None:
    """Contexts are asked for, C-STORE is not."""
    server = FakeServer(refuses={(CT, JPEG): "transfer syntaxes not supported"})
    compressed = images("x", "1.2", transfer_syntax_uid=JPEG)[1]
    reports, _ = run(
        FakeContents([*images("1.1"), compressed]), server=server, dry_run=True, verify=True
    )
    assert server.requests == ["offers"]
    assert not server.archive
    assert told(reports[0]) == (2, 1, "Incomplete")
    assert reports[0].notes[0].reason == "transfer syntaxes not supported"


def test_a_dry_run_says_what_would_be_sent_in_another_syntax() -> None:
    """As the run that follows will: it is counted as sent, and has a row."""
    server = FakeServer(refuses={(CT, EXPLICIT): "not supported"}, accepts_instead=IMPLICIT)
    reports, _ = run(FakeContents(images("1.1")), server=server, dry_run=True)
    assert told(reports[0]) == (1, 1, "Complete")
    assert notes(reports[0]) == [("converted", 0)]
    assert reports[0].notes[0].reason == f"would be sent in transfer syntax {IMPLICIT}"


def test_a_dry_run_logs_the_names_of_what_would_be_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Names of PS3.6; what stands there and is no registered UID is anybody's text."""
    server = FakeServer(refuses={(CT, JPEG): "not supported", ("Quixote", "1.2.3.4"): "no UID"})
    strange = images("x", "y", "1.3", sop_class_uid="Quixote", transfer_syntax_uid="1.2.3.4")[2]
    run(
        FakeContents([*images("1.1", "1.2", transfer_syntax_uid=JPEG), strange]),
        server=server,
        dry_run=True,
    )
    known = "2 images: CT Image Storage, JPEG Baseline (Process 1): not supported"
    assert known in caplog.text
    assert "1 images: private or unknown, private or unknown: no UID" in caplog.text
    assert "Quixote" not in caplog.text
    assert "1.2.3.4" not in caplog.text


def test_a_dry_run_whose_server_can_not_be_asked_counts_its_images() -> None:
    """Each has a row, and the next file is asked for all the same."""

    class Silent(FakeServer):
        def offers(self, pairs: Collection[SyntaxPair]) -> Mapping[SyntaxPair, Offer]:
            if not self.requests:
                self.requests.append("offers")
                raise ServiceError("The DICOM server", "timed out")
            return FakeServer.offers(self, pairs)

    reports, _ = run(
        FakeContents(images("1.1", "1.2")),
        FakeContents(images("1.3")),
        server=Silent(),
        dry_run=True,
    )
    assert [told(each) for each in reports] == [(2, 0, "Failed"), (1, 1, "Complete")]
    assert notes(reports[0]) == [("failed", 0), ("failed", 1), ("failed", None)]


def test_verified_images_are_complete() -> None:
    """The server has what it took."""
    reports, server = run(FakeContents(images("1.1", "1.2")), verify=True)
    assert server.requests[-1] == "find"
    assert told(reports[0]) == (2, 2, "Complete")


def test_an_image_that_is_indexed_late_is_waited_for() -> None:
    """Found at the third query: two waits, and only until then."""
    waits: list[float] = []
    server = FakeServer(late={"1.2": 2})
    reports, _ = run(FakeContents(images("1.1", "1.2")), server=server, waits=waits, verify=True)
    assert server.requests.count("find") == 3
    assert waits == list(VERIFY_WAITS[:2])
    assert told(reports[0]) == (2, 2, "Complete")


def test_an_image_that_c_find_does_not_find_was_not_sent() -> None:
    """It is named, and the row is incomplete; the wait for it was of a few seconds."""
    waits: list[float] = []
    server = FakeServer(forgets={"1.2"})
    reports, _ = run(FakeContents(images("1.1", "1.2")), server=server, waits=waits, verify=True)
    assert waits == list(VERIFY_WAITS)
    assert sum(waits) <= 10
    assert told(reports[0]) == (2, 1, "Incomplete")
    assert notes(reports[0]) == [("not found", 1)]


def test_an_image_that_can_not_be_asked_for_stays_sent() -> None:
    """It has a row that says so, and is not waited for."""
    waits: list[float] = []
    server = FakeServer(unasked={"1.2"}, late={"1.1": 1})
    reports, _ = run(FakeContents(images("1.1", "1.2")), server=server, waits=waits, verify=True)
    assert waits == list(VERIFY_WAITS[:1])
    assert told(reports[0]) == (2, 2, "Complete")
    assert notes(reports[0]) == [("not checked", 1)]


@pytest.mark.parametrize("finds", [False, ServiceError("The DICOM server", "timed out")])
def test_what_can_not_be_verified_stays_sent(finds: bool | ServiceError) -> None:  # noqa: FBT001
    """No C-FIND, or none that works: a note, and no failure."""
    reports, _ = run(FakeContents(images("1.1")), server=FakeServer(finds=finds), verify=True)
    assert told(reports[0]) == (1, 1, "Complete")
    assert notes(reports[0]) == [("not checked", None)]


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (
            Sent(number=0, outcome="failed", status=0xA700, reason="disk full for Quixote"),
            "1 images: failed, C-STORE status 0xA700",
        ),
        (
            Sent(
                number=0,
                outcome="failed",
                reason='status 0xA700, out of resources: "the "Quixote" archive is full"',
            ),
            "1 images: failed: status 0xA700, out of resources",
        ),
    ],
)
def test_a_server_out_of_resources_says_why_in_the_report_only(
    caplog: pytest.LogCaptureFixture, sent: Sent, line: str
) -> None:
    """Its comment names somebody; with or without the status beside it, no log line has it."""

    class Full(FakeServer):
        def send(self, items: Sequence[Sendable], convert: Convert) -> Generator[Sent]:
            del items, convert
            yield sent

    with caplog.at_level(logging.DEBUG):
        reports, _ = run(FakeContents(images("1.1")), server=Full())
    assert reports[0].notes[0].reason == sent.reason
    assert caplog.text.rstrip().count(line) == 1
    assert "Quixote" not in caplog.text


def test_a_query_that_fails_with_a_comment_is_told_without_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C-FIND has an Error Comment, too."""
    said = ServiceError("The DICOM server", 'status 0xC001, cannot understand: "Quixote?"')
    reports, _ = run(FakeContents(images("1.1")), server=FakeServer(finds=said), verify=True)
    assert "not verified: The DICOM server did not answer usably" in caplog.text
    assert "Quixote" not in caplog.text
    assert "Quixote" in reports[0].notes[0].reason


def test_a_file_that_breaks_the_run_before_its_images_are_known_has_a_reason() -> None:
    """An error that nobody foresaw, in the fetching: its row says that the run ended."""

    def fetch() -> Path:
        raise ZeroDivisionError

    world = World(
        server=FakeServer(),
        examine=lambda _: FakeContents(),
        convert=lambda image, _: image,
        progress=lambda: None,
    )
    send = DicomSend(parse_config(SendConfig, REQUIRED), world, 1)
    with pytest.raises(ZeroDivisionError):
        send.run(iter([Upload("a.zip", None, fetch)]))
    assert notes(send.reports[0]) == [("failed", None)]
    assert send.reports[0].notes[0].reason == "the run ended before it was sent"


def test_asking_for_the_images_afterwards_is_progress() -> None:
    """The check reads each image again, which takes its time where there are thousands."""
    calls: list[int] = []

    class Reading(FakeServer):
        def stored(self, items: Sequence[Sendable]) -> dict[str, bool] | None:
            before = len(calls)
            for item in items:
                assert b"".join(item.chunks()) == b"data set"
            assert len(calls) >= before + len(items)
            return FakeServer.stored(self, items)

    world = World(
        server=Reading(),
        examine=lambda _: FakeContents(images("1.1", "1.2")),
        convert=lambda image, _: image,
        progress=lambda: calls.append(1),
    )
    send = DicomSend(parse_config(SendConfig, {**REQUIRED, "verify": True}), world, 1)
    (report,) = send.run(iter([Upload("a.zip", None, lambda: Path("a.zip"))]))
    assert told(report) == (2, 2, "Complete")


def test_an_error_among_the_images_leaves_each_its_row() -> None:
    """Nobody foresaw it; one of three was sent, and the two others are named as not sent."""
    world = World(
        server=FakeServer(breaks_after=1),
        examine=lambda _: FakeContents(images("1.1", "1.2", "1.3")),
        convert=lambda image, _: image,
        progress=lambda: None,
    )
    send = DicomSend(parse_config(SendConfig, REQUIRED), world, 1)
    with pytest.raises(ZeroDivisionError):
        send.run(iter([Upload("a.zip", None, lambda: Path("a.zip"))]))
    assert told(send.reports[0]) == (3, 1, "Incomplete")
    assert notes(send.reports[0]) == [("failed", 0), ("failed", 1)]


def test_the_line_of_a_file_has_images_and_megabytes_a_second(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three images of 2 MB in two seconds: what was sent, over the time that the file took."""
    times = iter([0.0, 0.0, 2.0])
    clock = SimpleNamespace(perf_counter=lambda: next(times))
    monkeypatch.setattr(main, "time", clock)  # not that of other threads
    with caplog.at_level(logging.INFO):
        run(FakeContents(images("1.1", "1.2", "1.3", content=bytes(2_000_000))))
    assert "3 of 3 images sent, 0 left out; 2.0 s, 2 images/s, 3.0 MB/s" in caplog.text


def test_the_line_of_a_dry_run_has_no_rate(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was sent."""
    with caplog.at_level(logging.INFO):
        run(FakeContents(images("1.1", "1.2")), dry_run=True)
    line = r"2 of 2 images would be sent, 0 left out; \d+\.\d s$"
    assert re.search(line, caplog.text, re.MULTILINE)


@pytest.mark.parametrize("answers", [{}, {"1.2": (0xC000, "no")}])
def test_an_image_that_is_read_twice_counts_once(answers: dict[str, tuple[int, str]]) -> None:
    """A retry, or a conversion: its bytes were sent once; those of a failed one were not."""

    class Retried(FakeServer):
        def send(self, items: Sequence[Sendable], convert: Convert) -> Generator[Sent]:
            for item in items:
                assert b"".join(item.chunks())
            yield from FakeServer.send(self, items, convert)

    content = FakeContents(images("1.1", "1.2", content=bytes(1000)))
    (report,), _ = run(content, server=Retried(answers=answers))
    assert report.sent_bytes == 1000 * (2 - len(answers))


def test_the_log_has_ids_and_counts_and_no_patient(caplog: pytest.LogCaptureFixture) -> None:
    """Names of files and members, UIDs and the server's own words stay out of it."""
    server = FakeServer(answers={"1.2.3": (0xA900, "patient Quixote exists")})
    refused = FakeRefused(number=4, reason="cut short", sop_instance_uid="1.2.5")
    with caplog.at_level(logging.DEBUG):
        run(
            FakeContents(images("1.2.3", "1.2.4", "1.2.4"), [refused], ignored=1),
            ArchiveError("The archive is cut off."),
            server=server,
            verify=True,
        )
    assert "Quixote" not in caplog.text
    assert "1.2.3" not in caplog.text
    assert "file 1, image 5: cut short" in caplog.text
    assert "1 images: failed, C-STORE status 0xA900" in caplog.text
    assert "file 1 of 2 (file f1, acquisition a1): 1 of 3 images sent, 1 left out" in caplog.text
    assert EXPLICIT not in caplog.text
