"""DicomSend: every image of every file, each sent once, each accounted for. Over ports."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain

from imaging_gears.dicom_send.config import SendConfig
from imaging_gears.dicom_send.report import FileReport, ImageNote, ImageOutcome
from imaging_gears.dicom_send.world import Contents, Counted, Image, Upload, World
from imaging_gears.errors import ImagingError, NotDicomError
from imaging_gears.gear.joblog import log, step
from imaging_gears.ports import Sendable, Sent, StoredFile

MEGABYTE = 1_000_000
REASONS_LOGGED = 10
"""Refused images, and different reasons, that the log tells of a file; the report has all."""
VERIFY_WAITS = (0.5, 1.5, 3.0)
"""Seconds between the queries for images that a server took and does not find yet."""
UNSENT = "the run ended before it was sent"
# Of the adapter's phrases only a server's comment stands in quotation marks, and it may hold some.
_COMMENT = re.compile(r':? *".*"', re.DOTALL)


@dataclass(slots=True)
class DicomSend:
    """One run: the files one after the other, with what the run knows across them.

    Attributes:
        total: how many files there are.
        reports: of the files so far, in their order.
        sent: SOP instance UIDs that were sent, and where each was: number of file, index of image.
    """

    config: SendConfig
    world: World
    total: int
    reports: list[FileReport] = field(default_factory=list)
    sent: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)

    def run(self, uploads: Iterator[Upload]) -> list[FileReport]:
        """Send the files; return what became of each."""
        for upload in uploads:
            report = FileReport(name=upload.name, stored=upload.stored)
            self.reports.append(report)
            self._one(upload, report)
            if self.world.server.given_up is not None:
                break
        return self.reports

    def not_tried(self, files: Sequence[tuple[str, StoredFile | None]], why: str) -> None:
        """Take down the files that the run did not come to.

        Args:
            files: names of all, and where they lie in Flywheel.
            why: unless the server was given up, which is told then.
        """
        if (end := self.world.server.given_up) is not None:
            why = end.message
        for name, stored in files[len(self.reports) :]:
            report = FileReport(name=name, stored=stored)
            report.notes.append(ImageNote(outcome="failed", reason=f"not tried: {why}"))
            self.reports.append(report)

    def _one(self, upload: Upload, report: FileReport) -> None:
        number, begun = len(self.reports), time.perf_counter()
        try:
            path = upload.fetch()
            begun = time.perf_counter()
            with self.world.examine(path) as contents:
                self.world.progress()
                self._contents(contents, report)
        except ImagingError as error:
            log.error("file %d: %s: %s", number, error.code, discreet(error.sentence()))
            report.notes.append(ImageNote(outcome="failed", reason=error.message))
            report.errors.append(error)
        except BaseException:
            if not (report.in_series or report.notes):
                report.notes.append(ImageNote(outcome="failed", reason=UNSENT))
            raise
        seconds = max(time.perf_counter() - begun, 1e-6)
        rate = f", {report.sent / seconds:.0f} images/s, {_megabytes(report, seconds):.1f} MB/s"
        log.info(
            "file %d of %d (%s): %d of %d images %s, %d left out; %.1f s%s",
            number,
            self.total,
            _where(upload.stored),
            report.sent,
            report.in_series,
            "would be sent" if self.config.dry_run else "sent",
            report.left_out,
            seconds,
            "" if self.config.dry_run else rate,
        )

    def _contents(self, contents: Contents, report: FileReport) -> None:
        number = len(self.reports)
        if contents.ignored or contents.empty:
            passed = contents.empty, contents.ignored
            log.info("file %d: passed over: %d empty, %d no DICOM", number, *passed)
        for each in contents.refused[:REASONS_LOGGED]:
            log.warning("file %d, image %d: %s", number, each.number + 1, each.reason)
        if further := contents.refused[REASONS_LOGGED:]:
            log.warning("file %d: %d more, which the report has", number, len(further))
        for each in contents.refused:
            # The rows say what it costs; this says what it is, and how to pack it instead.
            if each.error is not None and not report.errors:
                report.errors.append(each.error)
            report.refuse(
                ImageNote(
                    outcome="refused",
                    reason=each.reason,
                    number=each.number,
                    member=each.name,
                    sop_instance_uid=each.sop_instance_uid,
                )
            )
        if not (contents.instances or contents.refused):
            raise NotDicomError("There is no DICOM image in the file.")
        choice = self._choice(contents.instances, report)
        try:
            self._send(choice, report)
        finally:
            for image in choice.left():
                report.leave_out(_note(image, "duplicate", self._same_as(image, choice, report)))

    def _choice(self, instances: Sequence[Image], report: FileReport) -> _Choice:
        """Choose the images to send: each SOP instance of the run once, and none sent before."""
        choice = _Choice()
        for image in instances:
            uid = image.sop_instance_uid
            if image.marked and not self.config.resend:
                reason = "it carries the tag: it was sent before"
                report.leave_out(_note(image, "marked", reason))
            elif uid in self.sent or uid in choice.tried:
                choice.copies.setdefault(uid, []).append(image)
            else:
                choice.tried[uid] = image
        return choice

    def _send(self, choice: _Choice, report: FileReport) -> None:
        reasons: Counter[str] = Counter()
        arrived: list[Image] = []
        images = {image.number: image for image in choice.tried.values()}
        while images:
            failed = (
                self._offer_each(images, report, reasons)
                if self.config.dry_run
                else self._send_each(images, report, reasons, arrived)
            )
            # One may be whole where the other is damaged, or be in a syntax that the server takes.
            further = () if self.world.server.given_up is not None else choice.others(failed)
            images = {image.number: image for image in further}
        _log_reasons(len(self.reports), reasons)
        if self.config.verify and arrived:
            self._verify(arrived, report)

    def _same_as(self, image: Image, choice: _Choice, report: FileReport) -> str:
        """Return which other copy of an image was sent, or that none was."""
        uid = image.sop_instance_uid
        if uid not in self.sent:
            were = "would not be" if self.config.dry_run else "was not"
            number = choice.tried[uid].number + 1
            return f"the same SOP instance as image {number}, which {were} sent"
        file, index = self.sent[uid]
        other = self.reports[file - 1]
        where = "" if other is report else f" of {other.path or other.name}"
        return f"the same SOP instance as image {index + 1}{where}"

    def _send_each(
        self,
        images: Mapping[int, Image],
        report: FileReport,
        reasons: Counter[str],
        arrived: list[Image],
    ) -> list[Image]:
        """Send images; return those that could not be sent, and did not get an answer either."""
        items = [Counted(image, self.world.progress) for image in images.values()]
        failed: list[Image] = []

        def convert(item: Sendable, transfer_syntax_uid: str) -> Sendable:
            image = self.world.convert(images[item.number], transfer_syntax_uid)
            return Counted(image, self.world.progress)

        missing = dict(images)
        try:
            with closing(self.world.server.send(items, convert)) as results:
                for sent in results:
                    self.world.progress()
                    image = missing.pop(sent.number)
                    report.take_down(sent, image.name, image.sop_instance_uid)
                    if sent.outcome != "sent":
                        reasons[_logged(sent)] += 1
                    if sent.outcome == "failed":
                        # Of what the server has said no to, a copy in this file is the same.
                        if sent.status is None:
                            failed.append(image)
                    else:
                        self._note_sent(image)
                        # Here, in one thread and once: an image may be read in several tries.
                        report.sent_bytes += image.length
                        arrived.append(image)
        finally:
            # After an error that nobody foresaw, or a cancelled job: each image has its row.
            for image in missing.values():
                report.refuse(_note(image, "failed", UNSENT))
        return failed

    def _verify(self, arrived: Sequence[Image], report: FileReport) -> None:
        """Ask the server for the images; one that it has not got was not sent."""
        number = len(self.reports)
        try:
            found = self._looked_for(arrived)
        except ImagingError as error:
            log.warning("file %d: not verified: %s", number, discreet(error.message))
            report.notes.append(ImageNote(outcome="not checked", reason=error.message))
            return
        if found is None:
            log.warning("file %d: not verified: the server offers no C-FIND", number)
            reason = "the server offers no C-FIND"
            report.notes.append(ImageNote(outcome="not checked", reason=reason))
            return
        lost, unasked = found
        log.info(
            "file %d: the server has %d images", number, len(arrived) - len(lost) - len(unasked)
        )
        for each in unasked:
            reason = "C-FIND can't ask for it: its study or series UID is missing, or no UID"
            report.notes.append(_note(each, "not checked", reason))
        if unasked:
            log.warning("file %d: C-FIND can't ask for %d of them", number, len(unasked))
        for each in lost:
            report.sent -= 1
            del self.sent[each.sop_instance_uid]
            reason = "the server took it, but C-FIND does not find it"
            report.notes.append(_note(each, "not found", reason))
        if lost:
            log.warning("file %d: C-FIND does not find %d of them", number, len(lost))

    def _looked_for(
        self, arrived: Sequence[Image]
    ) -> tuple[Sequence[Image], Sequence[Image]] | None:
        """Return which images the server has not got, and which can't be asked for.

        None: it offers no C-FIND.

        Some servers answer C-STORE first and index the image then: what is missing is asked for
        again, for some seconds.

        Raises:
            ImagingError: as `ports.DicomServer.stored` does.
        """
        missing, unasked = arrived, list[Image]()
        for seconds in (0.0, *VERIFY_WAITS):
            if seconds:
                self.world.pause(seconds)
            # The images are read again, for their series: that is progress, too.
            items = [Counted(each, self.world.progress) for each in missing]
            stored = self.world.server.stored(items)
            self.world.progress()
            if stored is None:
                return None
            unasked += [each for each in missing if each.sop_instance_uid not in stored]
            missing = [each for each in missing if stored.get(each.sop_instance_uid) is False]
            if not missing:
                break
        return missing, unasked

    def _offer_each(
        self, images: Mapping[int, Image], report: FileReport, reasons: Counter[str]
    ) -> list[Image]:
        """Count what would be sent, and name what would be refused, or sent in another syntax.

        Returns:
            What would be refused.
        """
        pairs = {(each.sop_class_uid, each.transfer_syntax_uid) for each in images.values()}
        missing, refused = dict(images), list[Image]()
        try:
            with step("presentation contexts") as remarks:
                offers = self.world.server.offers(pairs)
                taken = sum(each.transfer_syntax_uid is not None for each in offers.values())
                remarks.append(f"{taken} of {len(offers)} taken")
            for each in images.values():
                del missing[each.number]
                offer = offers[each.sop_class_uid, each.transfer_syntax_uid]
                if (syntax := offer.transfer_syntax_uid) is None:
                    report.refuse(_note(each, "failed", offer.reason))
                    reasons[f"{_pair_names(each)}: {discreet(offer.reason)}"] += 1
                    refused.append(each)
                    continue
                report.in_series += 1
                report.sent += 1
                self._note_sent(each)
                if syntax != each.transfer_syntax_uid:
                    reason = f"would be sent in transfer syntax {syntax}"
                    report.notes.append(_note(each, "converted", reason))
        finally:
            for each in missing.values():
                report.refuse(_note(each, "failed", "the server could not be asked"))
        return refused

    def _note_sent(self, image: Image) -> None:
        self.sent[image.sop_instance_uid] = (len(self.reports), image.number)


@dataclass(slots=True)
class _Choice:
    """What is sent of a file: of each SOP instance one image, and if that fails another copy.

    Attributes:
        tried: SOP instance UID -> the image that is sent, or was tried last.
        copies: further ones, which were not tried.
    """

    tried: dict[str, Image] = field(default_factory=dict)
    copies: dict[str, list[Image]] = field(default_factory=dict)

    def others(self, failed: Sequence[Image]) -> list[Image]:
        """Return one further copy of each image that has any, to be tried instead."""
        found = []
        for each in failed:
            if further := self.copies.get(each.sop_instance_uid):
                image = self.tried[each.sop_instance_uid] = further.pop(0)
                found.append(image)
        return found

    def left(self) -> Iterator[Image]:
        """Return the copies that were not tried."""
        return chain.from_iterable(self.copies.values())


def _note(image: Image, outcome: ImageOutcome, reason: str) -> ImageNote:
    return ImageNote(
        outcome=outcome,
        reason=reason,
        number=image.number,
        member=image.name,
        sop_instance_uid=image.sop_instance_uid,
    )


def _log_reasons(number: int, reasons: Counter[str]) -> None:
    for text, count in reasons.most_common(REASONS_LOGGED):
        log.warning("file %d: %d images: %s", number, count, text)


def _pair_names(image: Image) -> str:
    """Return SOP class and transfer syntax by their names in PS3.6.

    Whatever else stands in those elements is data of an image that nobody vouches for.
    """
    from pydicom.config import IGNORE  # noqa: PLC0415 - only a dry run needs names
    from pydicom.uid import UID  # noqa: PLC0415 - as above

    uids = [UID(uid, IGNORE) for uid in (image.sop_class_uid, image.transfer_syntax_uid)]
    sop_class, syntax = ("private or unknown" if uid.name == uid else uid.name for uid in uids)
    return f"{sop_class}, {syntax}"


def discreet(text: str) -> str:
    """Return a phrase without a server's own words: they may name a patient, and logs travel."""
    return _COMMENT.sub("", text)


def _logged(sent: Sent) -> str:
    """Return why, for the log; the report has the server's comment too."""
    if sent.status is not None:
        return f"{sent.outcome}, C-STORE status 0x{sent.status:04X}"
    return f"{sent.outcome}: {discreet(sent.reason)}"


def _megabytes(report: FileReport, seconds: float) -> float:
    return report.sent_bytes / MEGABYTE / seconds


def _where(stored: StoredFile | None) -> str:
    if stored is None:
        return "no site"
    container = stored.place.container
    return f"file {stored.file_id}, {container.type} {container.id}"
