"""`ports.Site`: the same expectations of the fake and of the adapter in front of a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imaging_gears.errors import NotFoundError
from imaging_gears.ports import ContainerRef
from tests.contract.peers import (
    FILE_INFO,
    PROJECT_INFO,
    SUBJECT_INFO,
    Arranged,
    InMemory,
    OnSandbox,
)

if TYPE_CHECKING:
    from imaging_gears.sandbox import Sandbox

NOBODY = "0123456789abcdef01234567"


@pytest.fixture(params=["in memory", "sandbox"])
def there(request: pytest.FixtureRequest) -> Arranged:
    """A site with a project, a subject, an acquisition and a file."""
    if request.param == "in memory":
        return InMemory()
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    return OnSandbox(sandbox)


# -- reading ---------------------------------------------------------------------------------------


def test_a_file_is_read_with_everything_it_has(there: Arranged) -> None:
    """Id, version, name, place, info, tags, size."""
    state = there.site.file(there.file_id)
    assert (state.file_id, state.version, state.name) == (there.file_id, 1, "T1.zip")
    assert state.parent == ContainerRef("acquisition", there.acquisition)
    parents = {key: value for key, value in state.parents.items() if key != "group"}
    assert parents == {
        "project": there.project,
        "subject": there.subject,
        "session": there.session,
        "acquisition": there.acquisition,
    }
    assert state.parents["group"] == there.site.project(there.project).group
    assert (state.info, state.tags, state.size) == (FILE_INFO, ("theirs",), 4)


def test_a_file_without_info_has_an_empty_one(there: Arranged) -> None:
    """No info and no tags are empty, not missing."""
    state = there.site.file(there.upload(there.acquisition, "b.zip", b"").file_id)
    assert (state.info, state.tags, state.size) == ({}, (), 0)


def test_each_version_keeps_its_own_info_and_tags(there: Arranged) -> None:
    """A new version has the same id, the next number and none of the old one's metadata."""
    there.upload(there.acquisition, "T1.zip", b"DICM+", info={"new": True})
    newest = there.site.file(there.file_id)
    assert (newest.version, newest.info, newest.tags) == (2, {"new": True}, ())
    assert there.site.file_version(there.file_id, 2) == newest
    old = there.site.file_version(there.file_id, 1)
    assert (old.version, old.info, old.tags, old.size) == (1, FILE_INFO, ("theirs",), 4)


def test_a_subject_is_read(there: Arranged) -> None:
    """Label and info."""
    subject = there.site.subject(there.subject)
    assert (subject.id, subject.label, subject.info) == (there.subject, "110001", SUBJECT_INFO)


def test_a_project_is_read_with_the_names_of_its_files(there: Arranged) -> None:
    """Group, label, info, and which file id stands behind each name."""
    log = there.upload(there.project, "a_2024-01-15_MR_qc-status.log", b"x")
    project = there.site.project(there.project)
    assert (project.id, project.label, project.info) == (
        there.project,
        "ingest-dicom",
        PROJECT_INFO,
    )
    assert project.files == {"a_2024-01-15_MR_qc-status.log": log.file_id}


@pytest.mark.parametrize("level", ["project", "subject", "session", "acquisition"])
def test_a_container_has_a_label(there: Arranged, level: str) -> None:
    """At every level."""
    labels = {
        "project": "ingest-dicom",
        "subject": "110001",
        "session": "visit-1",
        "acquisition": "T1",
    }
    assert there.site.label(ContainerRef(level, getattr(there, level))) == labels[level]


def test_what_is_not_there_is_not_found(there: Arranged) -> None:
    """Every read of something that is gone, or never was, says so."""
    site = there.site
    state = site.file(there.file_id)
    there.delete(there.file_id)
    reads = [
        lambda: site.file(there.file_id),
        lambda: site.file_version(there.file_id, 1),
        lambda: site.subject(NOBODY),
        lambda: site.project(NOBODY),
        lambda: site.label(ContainerRef("session", NOBODY)),
        lambda: site.read_project_file(there.project, state),
    ]
    for read in reads:
        with pytest.raises(NotFoundError):
            read()


def test_a_version_that_never_was_is_not_found(there: Arranged) -> None:
    """The file is there, its version 9 is not."""
    with pytest.raises(NotFoundError):
        there.site.file_version(there.file_id, 9)


# -- writing ---------------------------------------------------------------------------------------


def test_subject_info_is_merged_deeply(there: Arranged) -> None:
    """Other keys stay, within objects too; a value that is there is replaced."""
    there.site.merge_subject_info(there.subject, {"naccid": "NACC000042", "kept": {"b": 2}})
    there.site.merge_subject_info(there.subject, {"kept": {"a": None}})
    assert there.site.subject(there.subject).info == {
        "naccid": "NACC000042",
        "kept": {"a": None, "b": 2},
    }


def test_an_upload_carries_content_info_and_tags_at_once(there: Arranged) -> None:
    """The reply is the new version; it reads back as it was given."""
    info = {"qc": {"a": {"validation": {"data": []}}}, "visit": {"visitnum": None}}
    reply = there.site.upload_project_file(there.project, "x.log", b"one\n", info, ("a", "b"))
    assert reply.version == 1
    assert reply.parent == ContainerRef("project", there.project)
    read = there.site.file(reply.file_id)
    assert (read.info, set(read.tags), read.size) == (info, {"a", "b"}, 4)
    assert there.site.read_project_file(there.project, read) == b"one\n"
    assert there.site.project(there.project).files == {"x.log": reply.file_id}


def test_uploads_of_one_name_are_versions_of_one_file(there: Arranged) -> None:
    """Their numbers follow each other whoever uploads, and each keeps its content and info."""
    site = there.site
    first = site.upload_project_file(there.project, "x.log", b"one\n", {"n": 1}, ())
    there.upload(there.project, "x.log", b"two\n")
    third = site.upload_project_file(there.project, "x.log", b"three\n", {"n": 3}, ())
    assert (first.file_id, first.version, third.version) == (third.file_id, 1, 3)
    versions = [site.file_version(first.file_id, number) for number in (1, 2, 3)]
    contents = [site.read_project_file(there.project, each) for each in versions]
    assert contents == [b"one\n", b"two\n", b"three\n"]
    assert [each.info for each in versions] == [{"n": 1}, {}, {"n": 3}]


def test_content_is_bytes_of_any_kind(there: Arranged) -> None:
    """Nothing is decoded or translated on the way; nothing is a content, too."""
    for number, content in enumerate([bytes(range(256)), b"", b"\r\n\n", "é\u2028\n".encode()]):
        name = f"{number}.log"
        state = there.site.upload_project_file(there.project, name, content, {}, ())
        assert there.site.read_project_file(there.project, state) == content


@pytest.mark.parametrize(
    "name",
    ["a b_2024-01-15_MR_qc-status.log", "!#$%&'()*+,-.:;<=>?@[]^_`{|}~.log", "a%2Fb.log", "..log"],
)
def test_any_ptid_may_stand_in_a_files_name(there: Arranged, name: str) -> None:
    """Every printable character but the slashes survives the routes."""
    state = there.site.upload_project_file(there.project, name, b"x\n", {}, ())
    assert there.site.read_project_file(there.project, state) == b"x\n"
    assert there.site.project(there.project).files == {name: state.file_id}


def test_info_keys_are_set_one_by_one(there: Arranged) -> None:
    """A key is replaced whole, others stay."""
    state = there.site.file(there.file_id)
    there.site.set_file_info(state, {"qc": {"mine": {}}, "new": 1})
    info = there.site.file(there.file_id).info
    assert info == {"qc": {"mine": {}}, "new": 1, "theirs": [1, None]}
    assert there.site.file(there.file_id).version == 1


def test_info_is_set_on_the_newest_version(there: Arranged) -> None:
    """Flywheel addresses a file by container and name, whichever version is in hand."""
    old = there.site.file(there.file_id)
    there.upload(there.acquisition, "T1.zip", b"DICM+")
    there.site.set_file_info(old, {"late": True})
    assert there.site.file(there.file_id).info == {"late": True}
    assert there.site.file_version(there.file_id, 1).info == FILE_INFO


def test_tags_come_and_go_one_by_one(there: Arranged) -> None:
    """Adding and removing are harmless when they are done already; other tags stay."""
    site, file_id = there.site, there.file_id
    for _ in range(2):
        site.add_file_tag(file_id, "gear-PASS")
        site.add_file_tag(file_id, "gear-IN REVIEW")
    assert set(site.file(file_id).tags) == {"theirs", "gear-PASS", "gear-IN REVIEW"}
    assert len(site.file(file_id).tags) == 3
    for _ in range(2):
        site.remove_file_tags(file_id, ("gear-IN REVIEW", "never-there"))
    assert set(site.file(file_id).tags) == {"theirs", "gear-PASS"}


def test_writes_to_what_is_gone_are_not_found(there: Arranged) -> None:
    """Nothing is made by writing to it."""
    site = there.site
    state = site.file(there.file_id)
    there.delete(there.file_id)
    writes = [
        lambda: site.set_file_info(state, {"a": 1}),
        lambda: site.add_file_tag(there.file_id, "a"),
        lambda: site.remove_file_tags(there.file_id, ("a",)),
        lambda: site.merge_subject_info(NOBODY, {"a": 1}),
        lambda: site.upload_project_file(NOBODY, "x.log", b"", {}, ()),
    ]
    for write in writes:
        with pytest.raises(NotFoundError):
            write()
