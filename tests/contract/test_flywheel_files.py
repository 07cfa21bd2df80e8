"""`FlywheelFiles` in front of a real server: listing, downloading, attaching."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imaging_gears.adapters import flywheel_files, tries
from imaging_gears.adapters.flywheel import parse_site_key
from imaging_gears.adapters.flywheel_files import FlywheelFiles
from imaging_gears.adapters.tries import Tries
from imaging_gears.errors import ConfigError, NotFoundError, PermissionDeniedError, ServiceError
from imaging_gears.ports import ContainerRef, StoredFile

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

_NUMBERS = itertools.count()


class There:
    """A site with a subject of two sessions, one of which has two acquisitions."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.raw = site = sandbox.site
        self.group = site.add_group(f"files{next(_NUMBERS)}")
        self.project = site.add_project(self.group, "ingest")
        self.subject = site.add_subject(self.project, "110001")
        self.session = site.add_session(self.subject, "visit 1")
        self.later = site.add_session(self.subject, "visit 2")
        self.acquisitions = [site.add_acquisition(self.session, each) for each in ("T1", "T2")]
        self.third = site.add_acquisition(self.later, "T3")
        self.site = self.with_key(sandbox.api_key)
        self.put(self.acquisitions[0], "a.zip", b"first")
        self.put(self.acquisitions[0], "a.txt", b"text", "text")
        self.put(self.acquisitions[1], "b.dcm", b"second")
        self.put(self.third, "c.tgz", b"third")
        self.put(self.session, "s.zip", b"of the session")

    def with_key(self, key: str) -> FlywheelFiles:
        """Return the adapter with that key."""
        return FlywheelFiles(parse_site_key(key, location="here"), Tries("Flywheel", Counter()))

    def put(self, container: str, name: str, content: bytes, type_: str = "dicom") -> None:
        """Upload a file."""
        self.raw.upload(container, name, content, type=type_)

    def files(self, type_: str, id_: str) -> tuple[StoredFile, ...]:
        """Return the files below a container."""
        return self.site.dicom_files(self.site.place(ContainerRef(type_, id_)))


@pytest.fixture
def there(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> There:
    """The site; tries follow each other without a pause."""
    monkeypatch.setattr(tries, "BACKOFF_SECONDS", (0.0, 0.0))
    return There(sandbox)


def test_every_dicom_file_below_a_container_is_listed_with_its_path(there: There) -> None:
    """Of a subject, a session with its own files, an acquisition; nothing of another type."""
    head = f"{there.group}/ingest/110001"
    below_session = [
        f"{head}/visit 1/files/s.zip",
        f"{head}/visit 1/T1/files/a.zip",
        f"{head}/visit 1/T2/files/b.dcm",
    ]
    assert [each.path for each in there.files("session", there.session)] == below_session
    assert [each.path for each in there.files("subject", there.subject)] == [
        *below_session,
        f"{head}/visit 2/T3/files/c.tgz",
    ]
    (only,) = there.files("acquisition", there.third)
    assert only.place.container == ContainerRef("acquisition", there.third)
    assert (only.version, only.size, only.name) == (1, 5, "c.tgz")


def test_an_analysis_counts_as_what_it_is_of(there: There) -> None:
    """Its parent's files; it has a label of its own."""
    analysis = there.raw.add_analysis(there.session, "send")
    assert len(there.files("analysis", analysis)) == 3
    assert there.site.label(ContainerRef("analysis", analysis)) == "send"


def test_a_listing_of_many_containers_is_paged(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page is asked for until an empty one."""
    monkeypatch.setattr(flywheel_files, "PAGE", 2)
    for number in range(5):
        acquisition = there.raw.add_acquisition(there.later, f"more {number}")
        there.put(acquisition, "x.dcm", b"x")
    assert len(there.files("session", there.later)) == 6


@pytest.mark.parametrize("type_", ["project", "group"])
def test_not_every_container_is_sent_whole(there: There, type_: str) -> None:
    """A whole project is a slip more often than a wish."""
    with pytest.raises(ConfigError, match=type_):
        there.files(type_, there.project)


def test_a_download_is_whole(there: There, tmp_path: Path) -> None:
    """The version that was listed, although there is a newer one."""
    (file,) = there.files("acquisition", there.third)
    there.put(there.third, "c.tgz", b"newer")
    there.site.download(file, tmp_path / "1", seconds=0)
    assert (tmp_path / "1").read_bytes() == b"third"
    assert [each.name for each in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("kind", ["status", "truncate", "drop-before"])
def test_a_download_that_fails_is_tried_again(there: There, tmp_path: Path, kind: str) -> None:
    """Twice is outlived, and what came of the first tries is gone."""
    from imaging_gears.sandbox import Fault  # noqa: PLC0415 - as the fixture does

    (file,) = there.files("acquisition", there.third)
    there.sandbox.faults.add(Fault(kind=kind, status=503, times=2))  # type: ignore[arg-type]
    there.site.download(file, tmp_path / "1", seconds=0)
    assert (tmp_path / "1").read_bytes() == b"third"


def test_the_time_of_retries_is_what_was_asked_for(
    there: There, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage of seven requests is outlived in three rounds, and not without time for them."""
    from imaging_gears.sandbox import Fault  # noqa: PLC0415 - as the fixture does

    monkeypatch.setattr(flywheel_files, "ROUND_SECONDS", 0.01)
    (file,) = there.files("acquisition", there.third)
    there.sandbox.faults.add(Fault(kind="status", status=502, times=7))
    with pytest.raises(ServiceError):
        there.site.download(file, tmp_path / "1", seconds=0)
    assert list(tmp_path.iterdir()) == []
    there.site.download(file, tmp_path / "1", seconds=30)
    assert (tmp_path / "1").read_bytes() == b"third"


def test_a_file_that_is_gone_is_not_asked_for_again(there: There, tmp_path: Path) -> None:
    """404 is an answer."""
    (file,) = there.files("acquisition", there.third)
    gone = dataclasses.replace(file, name="gone.tgz")
    before = there.sandbox.requests.count()["flywheel"]
    with pytest.raises(NotFoundError):
        there.site.download(gone, tmp_path / "1", seconds=30)
    assert there.sandbox.requests.count()["flywheel"] == before + 1


@pytest.mark.parametrize("type_", ["session", "subject"])
def test_a_file_is_attached(there: There, type_: str) -> None:
    """To a session or a subject; after an outage of one request, too."""
    from imaging_gears.sandbox import Fault  # noqa: PLC0415 - as the fixture does

    container = there.session if type_ == "session" else there.subject
    there.sandbox.faults.add(Fault(kind="status", status=500, method="POST"))
    there.site.attach(ContainerRef(type_, container), "r_07:02:05.csv", b"a,b\n")
    (file,) = (
        each for each in there.raw.container(container)["files"] if each["name"].startswith("r_")
    )
    assert there.raw.read(file["file_id"]) == b"a,b\n"


def test_the_first_version_of_an_attached_file_is_known(there: There) -> None:
    """Its number comes with the answer; the content is whole, or asked for again."""
    from imaging_gears.sandbox import Fault  # noqa: PLC0415 - as the fixture does

    session = ContainerRef("session", there.session)
    files = [there.site.attach(session, "r_07:02:05.csv", each) for each in (b"one", b"two")]
    assert [each and each.version for each in files] == [1, 2]
    assert files[1] is not None
    route = "/{kind}/{id}/files/{name}"
    there.sandbox.faults.add(Fault(kind="body", body="o", route=route, method="GET"))
    assert there.site.first_content(files[1]) == b"one"


@pytest.mark.parametrize("status", [400, 422])
def test_a_name_that_the_site_refuses_is_told(there: There, status: int) -> None:
    """Once, and by no error: there may be another name."""
    from imaging_gears.sandbox import Fault  # noqa: PLC0415 - as the fixture does

    there.sandbox.faults.add(Fault(kind="status", status=status, method="POST", times=None))
    there.sandbox.requests.clear()
    assert there.site.attach(ContainerRef("session", there.session), "r_07:02:05.csv", b"") is None
    assert there.sandbox.requests.count()["flywheel"] == 1


def test_a_key_that_may_only_read_attaches_nothing(there: There) -> None:
    """It is told as that."""
    secret = there.raw.access.add_user(f"reader{next(_NUMBERS)}", "read-only")
    head, _, _ = there.sandbox.api_key.rpartition(":")
    site = there.with_key(f"{head}:{secret}")
    with pytest.raises(PermissionDeniedError):
        site.attach(ContainerRef("session", there.session), "r.csv", b"")


def test_a_listing_of_another_form_is_no_answer(there: There) -> None:
    """The adapter says so, and nothing of the SDK comes out."""
    from imaging_gears.sandbox import Fault  # noqa: PLC0415 - as the fixture does

    fault = Fault(kind="body", body='[{"_id": 5}]', route="*/acquisitions", times=None)
    there.sandbox.faults.add(fault)
    with pytest.raises(ServiceError):
        there.files("session", there.session)
