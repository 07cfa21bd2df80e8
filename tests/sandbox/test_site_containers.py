"""Containers of the site, through the real SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flywheel
import pytest
from flywheel.rest import ApiException

if TYPE_CHECKING:
    from collections.abc import Callable

    from imaging_gears.sandbox import Sandbox

PROJECT = "alpha-center/ingest-dicom"


def refused(call: Callable[[], object]) -> int:
    """Return the status with which the site refuses a call."""
    with pytest.raises(ApiException) as caught:
        call()
    return int(caught.value.status)


def test_lookup_finds_every_level(fw: flywheel.Client) -> None:
    """A path leads to a container of the level that its depth says."""
    steps = ["alpha-center", "ingest-dicom", "110001", "visit-1", "T1"]
    found = [fw.lookup("/".join(steps[: n + 1])).container_type for n in range(5)]
    assert found == ["group", "project", "subject", "session", "acquisition"]


def test_lookup_of_nothing_is_404(fw: flywheel.Client) -> None:
    """A path that leads nowhere is an error and never None."""
    assert refused(lambda: fw.lookup(f"{PROJECT}/nobody")) == 404


def test_lookup_of_a_file_knows_id_and_parent(
    fw: flywheel.Client, acquisition: flywheel.Acquisition, sandbox: Sandbox
) -> None:
    """A file at the end of a path can be read through its parent."""
    sandbox.site.upload(acquisition.id, "a.txt", "hello")
    found = fw.lookup("alpha-center/ingest-dicom/110001/visit-1/T1/files/a.txt")
    assert (found.container_type, found.parent_ref.id) == ("file", acquisition.id)
    assert fw.get_file(found.file_id).read() == b"hello"


def test_resolve_gives_path_and_children(fw: flywheel.Client) -> None:
    """Resolving a project gives the way there and its subjects."""
    answer = fw.resolve(PROJECT)
    assert [node.label for node in answer.path] == ["alpha-center", "ingest-dicom"]
    assert [node.label for node in answer.children] == ["110001", "110002", "990001"]


def test_get_container_is_typed(fw: flywheel.Client, acquisition: flywheel.Acquisition) -> None:
    """An id alone gives the container as what it is."""
    assert fw.get(acquisition.id).label == "T1"
    assert fw.get_container(acquisition.id).container_type == "acquisition"


def test_parents_name_every_level_above(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """An acquisition knows its group, project, subject and session."""
    project = fw.lookup(PROJECT)
    assert (acquisition.parents.group, acquisition.parents.project) == ("alpha-center", project.id)
    assert fw.get_session(acquisition.parents.session).subject.label == "110001"


def test_children_are_made_through_their_parents(fw: flywheel.Client) -> None:
    """The SDK's add methods make a subject, a session and an acquisition."""
    subject = fw.lookup(PROJECT).add_subject(label="110009")
    made = subject.add_session(label="v").add_acquisition(label="T2", info={"a": 1})
    assert fw.lookup(f"{PROJECT}/110009/v/T2").id == made.id
    assert made.info == {"a": 1}


def test_a_label_can_be_used_once_among_subjects(fw: flywheel.Client) -> None:
    """A second subject of a label is a conflict."""
    assert refused(lambda: fw.lookup(PROJECT).add_subject(label="110001")) == 409


def test_group_and_project_are_made_by_administrators_only(
    fw: flywheel.Client, sandbox: Sandbox, connect: Callable[[str], flywheel.Client]
) -> None:
    """An administrator makes a group; the gearbot may not."""
    fw.add_group(flywheel.Group(id="beta", label="Beta"))
    assert fw.get_group("beta").add_project(label="p").group == "beta"
    bot = connect(sandbox.key("gearbot"))
    assert refused(lambda: bot.add_group(flywheel.Group(id="gamma", label="G"))) == 403


def test_put_merges_info_deeply(fw: flywheel.Client) -> None:
    """Updating a container keeps the info that the update does not name, at every depth."""
    subject = fw.lookup(f"{PROJECT}/110001")
    subject.update(info={"a": {"x": 1, "y": 2}, "b": 1})
    subject.update(info={"a": {"y": 3}}, sex="female")
    again = subject.reload()
    assert (again.info, again.sex) == ({"a": {"x": 1, "y": 3}, "b": 1}, "female")


def test_info_verbs(fw: flywheel.Client) -> None:
    """Set replaces top-level keys whole, delete removes them, replace replaces all."""
    subject = fw.lookup(f"{PROJECT}/110001")
    subject.update_info({"a": {"x": 1}, "b": 2})
    subject.update_info({"a": {"y": 1}})
    assert subject.reload().info == {"a": {"y": 1}, "b": 2}
    subject.delete_info("a")
    assert subject.reload().info == {"b": 2}
    subject.replace_info({"c": 3})
    assert subject.reload().info == {"c": 3}


def test_keys_are_rewritten(fw: flywheel.Client) -> None:
    """A dot in a key becomes an underscore and a dollar a hyphen, at every depth."""
    subject = fw.lookup(f"{PROJECT}/110001")
    subject.update_info({"a.b": {"$c": [{"d.e": 1}]}})
    assert subject.reload().info == {"a_b": {"-c": [{"d_e": 1}]}}


@pytest.mark.parametrize(
    "body", [{"set": {"a": 1}, "replace": {"b": 1}}, {}, {"unset": ["a"]}, {"set": [1]}]
)
def test_mixed_or_unknown_verbs_are_400(fw: flywheel.Client, body: dict[str, object]) -> None:
    """Info takes set and delete, or replace, and nothing else."""
    subject = fw.lookup(f"{PROJECT}/110001")
    assert refused(lambda: fw.modify_subject_info(subject.id, body)) == 400


def test_nan_is_400(fw: flywheel.Client) -> None:
    """NaN, which the SDK sends as it is, is no JSON."""
    subject = fw.lookup(f"{PROJECT}/110001")
    assert refused(lambda: subject.update_info({"a": float("nan")})) == 400


def test_container_tags(fw: flywheel.Client) -> None:
    """Tags are added one by one or as a list, and removed."""
    subject = fw.lookup(f"{PROJECT}/110001")
    subject.add_tag("one")
    fw.add_subject_tags(subject.id, ["two", "one"])
    subject.delete_tag("one")
    assert subject.reload().tags == ["two"]
    assert refused(lambda: subject.delete_tag("one")) == 404


def test_listings_leave_info_out(fw: flywheel.Client) -> None:
    """A finder's containers have no info; a reload has."""
    listed = fw.projects.find_first("label=ingest-dicom")
    assert (listed.info, listed.info_exists) == ({}, True)
    assert listed.reload().info == {"pipeline_adcid": 42}


def test_finder_pages_until_empty(fw: flywheel.Client) -> None:
    """Paging by after_id and by page both come to an end, with every item once."""
    project = fw.lookup(PROJECT)
    labels = ["110001", "110002", "990001"]
    assert [s.label for s in project.subjects.iter(limit=2)] == labels
    by_page = project.subjects.iter_find(sort="label:desc", limit=2)
    assert [s.label for s in by_page] == labels[::-1]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('label="110001"', ["110001"]),
        ("label=110001", []),
        ("label=~^11", ["110001", "110002"]),
        ('label=|["110002","990001"]', ["110002", "990001"]),
        ('label!="110001"', ["110002", "990001"]),
        ('label>"110001",label<"99"', ["110002"]),
        ("info.nothing=null", ["110001", "110002", "990001"]),
    ],
)
def test_filters(fw: flywheel.Client, text: str, labels: list[str]) -> None:
    """Every operator selects what it says; a number that is not quoted is no text."""
    assert [s.label for s in fw.lookup(PROJECT).subjects.find(text)] == labels


def test_find_one_wants_exactly_one(fw: flywheel.Client) -> None:
    """None and two are errors of find_one; find_first gives None."""
    subjects = fw.lookup(PROJECT).subjects
    assert subjects.find_one('label="110001"').label == "110001"
    assert subjects.find_first('label="no"') is None
    with pytest.raises(ValueError, match="more results"):
        subjects.find_one("label=~^11")


@pytest.mark.parametrize("query", [{"filter": "label"}, {"filter": "label=~("}, {"limit": -1}])
def test_malformed_queries_are_400(fw: flywheel.Client, query: dict[str, Any]) -> None:
    """What is no filter and no number is refused."""
    assert refused(lambda: fw.get_all_projects(**query)) == 400


def test_analysis_keeps_parent_and_files(
    fw: flywheel.Client, acquisition: flywheel.Acquisition
) -> None:
    """An analysis hangs below its container and takes files."""
    made = acquisition.add_analysis(label="qa")
    fw.upload_output_to_analysis(made.id, flywheel.FileSpec("r.txt", "x"), signed=False)
    found = fw.get_analysis(made.id)
    assert (found.parent.id, [f.name for f in found.files]) == (acquisition.id, ["r.txt"])


def test_deleting_takes_everything_below(
    fw: flywheel.Client, acquisition: flywheel.Acquisition, sandbox: Sandbox
) -> None:
    """A deleted subject takes its acquisitions and their files with it."""
    file = sandbox.site.upload(acquisition.id, "a.txt", "x")
    fw.delete_subject(fw.lookup(f"{PROJECT}/110001").id)
    assert refused(lambda: fw.get_acquisition(acquisition.id)) == 404
    assert refused(lambda: fw.get_file(file["file_id"])) == 404


def test_bad_key_is_401(sandbox: Sandbox, connect: Callable[[str], flywheel.Client]) -> None:
    """A key that the site does not know is refused."""
    key = sandbox.api_key.rpartition(":")[0] + ":wrong"
    assert refused(connect(key).get_auth_status) == 401


def test_auth_status_says_who(
    fw: flywheel.Client, sandbox: Sandbox, connect: Callable[[str], flywheel.Client]
) -> None:
    """The status tells an administrator from the gearbot."""
    assert fw.get_auth_status().user_is_admin
    status = connect(sandbox.key("gearbot")).get_auth_status()
    assert (status.user_id, status.user_is_admin, status.origin.type) == ("gearbot", False, "user")


def test_read_only_key_reads_and_writes_nothing(
    sandbox: Sandbox, connect: Callable[[str], flywheel.Client]
) -> None:
    """A read-only user gets containers, and 403 for every change."""
    sandbox.site.access.add_user("reader", "read-only")
    client = connect(sandbox.key("reader"))
    subject = client.lookup(f"{PROJECT}/110001")
    assert refused(lambda: subject.update_info({"a": 1})) == 403
    assert refused(lambda: subject.update(label="x")) == 403
    spec = flywheel.FileSpec("a", "x")
    assert refused(lambda: subject.upload_file(spec, signed=False)) == 403


def test_limited_key_stays_in_its_project(
    sandbox: Sandbox, connect: Callable[[str], flywheel.Client]
) -> None:
    """Outside its project a limited key gets 403, and finds nothing."""
    other = sandbox.site.add_project("alpha-center", "other")
    own = sandbox.site.lookup(PROJECT)["_id"]
    sandbox.site.access.add_user("limited", "read-write", [own])
    client = connect(sandbox.key("limited"))
    assert client.get_project(own).label == "ingest-dicom"
    assert [p.label for p in client.projects.find()] == ["ingest-dicom"]
    assert refused(lambda: client.get_project(other)) == 403
    assert refused(lambda: client.get_group("alpha-center")) == 403


def test_422_has_detail_only(fw: flywheel.Client, sandbox: Sandbox) -> None:
    """With the switch on, a refused body has no message: the SDK's reason is None."""
    sandbox.site.options.detail_only_422 = True
    subject = fw.lookup(f"{PROJECT}/110001")
    with pytest.raises(ApiException) as caught:
        subject.update_info({"a": float("inf")})
    assert (caught.value.status, caught.value.reason) == (422, None)
    assert caught.value.detail
