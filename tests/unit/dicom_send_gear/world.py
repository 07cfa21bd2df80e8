"""A DICOM server, a site and uploads in memory. They keep state, as the true ones do."""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from imaging_gears.dicom_send.config import SendConfig
from imaging_gears.dicom_send.main import DicomSend
from imaging_gears.dicom_send.report import FileReport
from imaging_gears.dicom_send.world import Upload, World
from imaging_gears.errors import ImagingError, UnreachableError
from imaging_gears.gear.job import parse_config
from imaging_gears.ports import (
    ContainerRef,
    Convert,
    Offer,
    Place,
    Sendable,
    Sent,
    StoredFile,
    SyntaxPair,
)

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, BIG = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2"))
JPEG = "1.2.840.10008.1.2.4.50"
REQUIRED = {"destination": "pacs.example.org", "called_ae": "PACS"}
PLACE = Place(
    group="center",
    containers=(
        (ContainerRef("project", "p1"), "ingest"),
        (ContainerRef("subject", "s1"), "Quixote"),
        (ContainerRef("session", "e1"), "visit/1"),
        (ContainerRef("acquisition", "a1"), "T1"),
    ),
)


def stored(number: int, name: str | None = None) -> StoredFile:
    """Return a file of the acquisition."""
    name = name or f"Quixote{number}.zip"
    return StoredFile(file_id=f"f{number}", version=1, name=name, place=PLACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeImage:
    """An instance of which only the outside counts."""

    number: int
    sop_instance_uid: str
    name: str | None = "Quixote/IM1"
    sop_class_uid: str = CT
    transfer_syntax_uid: str = EXPLICIT
    marked: bool = False
    content: bytes = b"data set"
    broken: ImagingError | None = None

    @property
    def length(self) -> int:
        """The length of its content."""
        return len(self.content)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Return the content in two pieces; a broken source breaks between them."""
        yield self.content[:4]
        if self.broken is not None:
            raise self.broken
        yield memoryview(self.content)[4:]


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRefused:
    """A member that can't be sent."""

    number: int
    reason: str
    name: str | None = "Quixote/IM9"
    sop_instance_uid: str | None = None
    error: ImagingError | None = None


@dataclass(slots=True)
class FakeContents:
    """What is in a file; it knows whether it was closed."""

    instances: Sequence[FakeImage] = ()
    refused: Sequence[FakeRefused] = ()
    ignored: int = 0
    empty: int = 0
    closed: bool = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.closed = True


def images(*uids: str, **changes: object) -> list[FakeImage]:
    """Return images with these SOP instance UIDs."""
    return [
        FakeImage(number=number, sop_instance_uid=uid, **changes)  # type: ignore[arg-type]
        for number, uid in enumerate(uids)
    ]


@dataclass(slots=True)
class FakeServer:
    """`ports.DicomServer` in memory.

    Attributes:
        refuses: (SOP class, transfer syntax) -> why such a context is refused.
        accepts_instead: the syntax in which it takes uncompressed images that it refuses else.
        answers: SOP instance UID -> status and reason; all others are taken.
        forgets: SOP instance UIDs that it takes and has not got later.
        unasked: SOP instance UIDs that can't be asked for.
        late: SOP instance UID -> how many queries do not find it yet.
        dies_after: images that it takes before it gives up for good.
        breaks_after: images that it takes before an error comes out that nobody foresaw.
    """

    refuses: dict[SyntaxPair, str] = field(default_factory=dict)
    accepts_instead: str | None = None
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    forgets: set[str] = field(default_factory=set)
    unasked: set[str] = field(default_factory=set)
    late: dict[str, int] = field(default_factory=dict)
    finds: bool | ImagingError = True
    dies_after: int | None = None
    breaks_after: int | None = None
    archive: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    given_up: ImagingError | None = None

    @property
    def trouble(self) -> ImagingError | None:
        """There is no other."""
        return self.given_up

    def look_up(self) -> None:
        """Its name is known."""

    def echo(self) -> str | None:
        """Count it."""
        self.requests.append("echo")
        return None

    def offers(self, pairs: Collection[SyntaxPair]) -> Mapping[SyntaxPair, Offer]:
        """Say how each would be sent."""
        self.requests.append("offers")
        return {pair: self._offer(pair) for pair in pairs}

    def _offer(self, pair: SyntaxPair) -> Offer:
        why = self.refuses.get(pair)
        if why is None:
            return Offer(transfer_syntax_uid=pair[1])
        return Offer(transfer_syntax_uid=self.accepts_instead, reason=why)

    def send(self, items: Sequence[Sendable], convert: Convert) -> Generator[Sent]:
        """Take the images, the last one first."""
        for item in reversed(items):
            if self.breaks_after is not None and len(self.archive) >= self.breaks_after:
                message = "Quixote"
                raise ZeroDivisionError(message)
            self.requests.append("store")
            yield self._store(item, convert)

    def _store(self, item: Sendable, convert: Convert) -> Sent:
        number, converted = item.number, None
        if self.dies_after is not None and len(self.archive) >= self.dies_after:
            self.given_up = UnreachableError("The server", "timed out")
        if self.given_up is not None:
            return Sent(number=number, outcome="failed", reason=self.given_up.message)
        why = self.refuses.get((item.sop_class_uid, item.transfer_syntax_uid))
        if why is not None and self.accepts_instead is not None:
            converted = self.accepts_instead
            item = convert(item, converted)
        elif why is not None:
            return Sent(number=number, outcome="failed", reason=why)
        try:
            content = b"".join(item.chunks())
        except ImagingError as error:
            return Sent(number=number, outcome="failed", reason=error.message)
        status, reason = self.answers.get(item.sop_instance_uid, (0, ""))
        warning = status >> 12 == 0xB
        if status and not warning:
            return Sent(number=number, outcome="failed", status=status, reason=reason)
        assert item.sop_instance_uid not in self.archive
        self.archive[item.sop_instance_uid] = content
        return Sent(
            number=number,
            outcome="warning" if warning else "sent",
            status=status,
            reason=reason,
            transfer_syntax_uid=converted,
        )

    def stored(self, items: Sequence[Sendable]) -> dict[str, bool] | None:
        """Say what it has."""
        self.requests.append("find")
        if isinstance(self.finds, ImagingError):
            raise self.finds
        asked = self.requests.count("find")
        uids = {each.sop_instance_uid for each in items} - self.unasked
        has = {uid for uid in self.archive if asked > self.late.get(uid, 0)} - self.forgets
        return {uid: uid in has for uid in uids} if self.finds else None


@dataclass(slots=True)
class FakeSite:
    """`ports.DicomFiles.download` in memory; it knows what lay on disk together."""

    contents: dict[str, bytes | Exception]
    most: int = 0
    order: list[str] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def download(self, file: StoredFile, path: Path, *, seconds: float) -> None:
        """Write a file, or raise what stands there instead."""
        content = self.contents[file.file_id]
        self.asked.append(seconds)
        if isinstance(content, Exception):
            raise content
        with self.lock:
            path.write_bytes(content)
            self.most = max(self.most, len(list(path.parent.iterdir())))
            self.order.append(file.file_id)


def run(
    *files: FakeContents | ImagingError,
    server: FakeServer | None = None,
    waits: list[float] | None = None,
    reports: list[FileReport] | None = None,
    **config: object,
) -> tuple[list[FileReport], FakeServer]:
    """Send files with these contents, or of which opening raises this error.

    Nothing is waited for: `waits` gets the seconds. `reports` gets those of a run that breaks, too.
    """
    server = server or FakeServer()
    contents = dict(enumerate(files, 1))

    def examine(path: Path) -> FakeContents:
        found = contents[int(path.name)]
        if isinstance(found, ImagingError):
            raise found
        return found

    def convert(image: object, transfer_syntax_uid: str) -> FakeImage:
        assert isinstance(image, FakeImage)
        return FakeImage(
            number=image.number,
            sop_instance_uid=image.sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            content=image.content[::-1],
        )

    send = DicomSend(
        parse_config(SendConfig, {**REQUIRED, **config}),
        World(
            server=server,
            examine=examine,
            convert=convert,
            progress=lambda: None,
            pause=([] if waits is None else waits).append,
        ),
        len(files),
    )
    send.reports = [] if reports is None else reports
    every = [stored(number) for number in contents]
    uploads = (
        Upload(each.name, each, lambda number=number: Path(str(number)))  # type: ignore[misc]
        for number, each in enumerate(every, 1)
    )
    send.run(uploads)
    send.not_tried([(each.name, each) for each in every], "the run ended before")
    return send.reports, server
