"""Files of the site, through the real SDK."""

from __future__ import annotations

import io
import threading
import urllib.request
import zipfile
from typing import TYPE_CHECKING

import flywheel
import pytest
from flywheel.rest import ApiException

from imaging_gears.sandbox import Fault
from imaging_gears.sandbox.site.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imaging_gears.sandbox import Sandbox


def refused(call: Callable[[], object]) -> int:
    """Return the status with which the site refuses a call."""
    with pytest.raises(ApiException) as caught:
        call()
    return int(caught.value.status)


def put(
    container: flywheel.Acquisition, name: str, text: str, **options: object
) -> flywheel.FileOutput:
    """Upload a file and return what the reply says."""
    return container.upload_file(flywheel.FileSpec(name, text), signed=False, **options)[0]


def test_upload_gives_a_complete_file(acquisition: flywheel.Acquisition, sandbox: Sandbox) -> None:
    """The reply has stable id, version, size, type, mimetype, parents and origin."""
    file = put(acquisition, "a.csv", "x,y\n")
    assert (file.version, file.size, file.type) == (1, 4, "tabular data")
    assert (file.mimetype, len(file.file_id), file.revision) == ("text/csv", 24, 1)
    assert (file.parent_ref.id, file.origin.type) == (acquisition.id, "user")
    assert file.parents.project == sandbox.site.lookup("alpha-center/ingest-dicom")["_id"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.dcm", "dicom"),
        ("a.DICOM.zip", "dicom"),
        ("a.zip", "archive"),
        ("a.log", "log"),
        ("a.txt", "text"),
        ("a", None),
    ],
)
def test_type_follows_the_name(
    acquisition: flywheel.Acquisition, name: str, kind: str | None
) -> None:
    """The type is inferred from the name where the upload gives none."""
    assert put(acquisition, name, "x").type == kind


def test_given_type_wins(acquisition: flywheel.Acquisition) -> None:
    """A plain zip that is uploaded as DICOM is DICOM."""
    assert put(acquisition, "a.zip", "x", metadata={"type": "dicom"}).type == "dicom"


def test_content_and_metadata_come_in_one_request(
    acquisition: flywheel.Acquisition, sandbox: Sandbox
) -> None:
    """Info and tags of an upload's metadata are there with the file."""
    sandbox.requests.clear()
    file = put(acquisition, "a.txt", "x", metadata={"info": {"a.b": 1}, "tags": ["t"]})
    assert (file.info, file.tags) == ({"a_b": 1}, ["t"])
    assert sandbox.requests.count() == {"flywheel": 1}


def test_new_version_keeps_the_id_and_starts_empty(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """The same name gives version 2 of the same file_id, without info and tags."""
    one = put(acquisition, "a.txt", "one", metadata={"info": {"a": 1}, "tags": ["t"]})
    two = put(acquisition, "a.txt", "two")
    assert (two.file_id, two.version) == (one.file_id, 2)
    assert two.id != one.id
    assert (two.info, two.tags) == ({}, [])
    assert fw.get_file(one.file_id, version=1).info == {"a": 1}


def test_preserve_metadata_keeps_it(acquisition: flywheel.Acquisition) -> None:
    """A new version takes info and tags over on request."""
    put(acquisition, "a.txt", "one", metadata={"info": {"a": 1}, "tags": ["t"]})
    two = put(acquisition, "a.txt", "two", preserve_metadata=True)
    assert (two.version, two.info, two.tags) == (2, {"a": 1}, ["t"])


def test_every_version_stays_readable(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """An object in hand reads its own version; the container reads the newest."""
    one = put(acquisition, "a.txt", "one")
    put(acquisition, "a.txt", "two")
    old = fw.get_file(one.file_id, version=1)
    assert old.read() == b"one"
    assert old.reload().version == 1
    assert acquisition.read_file("a.txt") == b"two"
    assert fw.get_file(one.file_id).version == 2


def test_versions_are_listed_and_restored(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """A restored version is a new one with the old content."""
    one = put(acquisition, "a.txt", "one")
    put(acquisition, "a.txt", "two")
    assert [v.version for v in fw.get_file_versions(one.file_id)] == [1, 2]
    fw.restore_file(one.file_id, 1, False)  # noqa: FBT003 - the SDK wants it by position
    newest = fw.get_file(one.file_id)
    assert (newest.version, newest.restored_from, newest.read()) == (3, 1, b"one")


def test_embedded_files_come_without_info(acquisition: flywheel.Acquisition) -> None:
    """A container's files have no info, and say that there is some."""
    put(acquisition, "a.txt", "x", metadata={"info": {"a": 1}})
    listed = acquisition.reload().files[0]
    assert (listed.info, listed.info_exists) == ({}, True)
    assert listed.reload().info == {"a": 1}


def test_an_empty_container_has_an_empty_list(
    acquisition: flywheel.Acquisition, sandbox: Sandbox
) -> None:
    """Looking for a file in an empty container costs no request."""
    sandbox.requests.clear()
    assert acquisition.get_file("a.txt") is None
    assert sandbox.requests.count() == {}


def test_info_verbs_meet_the_newest_version(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """Info is written by container and name: to the newest version, whatever is in hand."""
    one = put(acquisition, "a.txt", "one")
    put(acquisition, "a.txt", "two")
    old = fw.get_file(one.file_id, version=1)
    old.update_info({"a": {"x": 1}})
    old.update_info({"a": {"y": 1}, "b": 2})
    old.delete_info("b")
    assert fw.get_file(one.file_id).info == {"a": {"y": 1}}
    assert fw.get_file(one.file_id, version=1).info == {}
    fw.modify_container_file_info(acquisition.id, "a.txt", {"replace": {"c": 1}})
    assert fw.get_file(one.file_id).info == {"c": 1}


def test_metadata_raises_the_revision_not_the_version(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """A change of info is a new revision of the same version."""
    file = put(acquisition, "a.txt", "x")
    acquisition.reload().files[0].update_info({"a": 1})
    again = fw.get_file(file.file_id)
    assert (again.version, again.revision) == (1, 2)


def test_update_takes_type_and_modality_only(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """Another modality clears the classification; other fields are refused."""
    put(acquisition, "a.dcm", "x", metadata={"modality": "MR"})
    file = acquisition.reload().files[0]
    file.update_classification({"Intent": ["Structural"]})
    assert fw.get_file(file.file_id).classification == {"Intent": ["Structural"]}
    file.update(modality="CT")
    again = fw.get_file(file.file_id)
    assert (again.modality, again.classification) == ("CT", {})
    assert refused(lambda: file.update({"name": "b"})) == 400


def test_tags_are_added_set_and_deleted(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """Adding and deleting act on the server's list; deleting what is not there is no error."""
    put(acquisition, "a.txt", "x")
    file = acquisition.reload().files[0]
    file.add_tag("one")
    assert fw.add_file_tags(file.file_id, ["two", "one"]) == ["one", "two"]
    fw.delete_file_tags(file.file_id, body=["one", "never"])
    assert fw.get_file(file.file_id).tags == ["two"]
    file.set_tags(["three"])
    file.rename_tag("three", "four")
    assert fw.get_file(file.file_id).tags == ["four"]


def test_files_finder_has_info_and_a_total(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """The finder of files gives a page with info, and goes on to the end."""
    for number in range(3):
        put(acquisition, f"{number}.txt", "x", metadata={"info": {"n": number}})
    page = fw.get_all_files(limit=2)
    assert (page.count, page.total, page.results[1].info) == (2, 3, {"n": 1})
    query = f"parents.acquisition={acquisition.id},info.n>0"
    assert [f.name for f in fw.files.iter_find(query, limit=1)] == ["1.txt", "2.txt"]


def test_signed_upload(acquisition: flywheel.Acquisition, sandbox: Sandbox, tmp_path: Path) -> None:
    """With signed uploads on, the SDK opens a ticket, puts the bytes and closes it."""
    sandbox.site.options.signed_url = True
    path = tmp_path / "a.txt"
    path.write_text("signed")
    sandbox.requests.clear()
    file = acquisition.upload_file(str(path), metadata={"info": {"a": 1}})[0]
    assert file.info == {"a": 1}
    assert sandbox.site.read(file.file_id) == b"signed"
    assert [r.route for r in sandbox.requests.all()][:4] == [
        "/config",
        "/{kind}/{id}/files",
        "/_storage/{id}",
        "/{kind}/{id}/files",
    ]


def test_signed_upload_commits_only_what_arrived(
    acquisition: flywheel.Acquisition, sandbox: Sandbox, fw: flywheel.Client
) -> None:
    """A ticket that is closed without its bytes makes no file."""
    sandbox.site.options.signed_url = True
    sandbox.faults.add(Fault(route="/_storage/*", status=403))
    spec = flywheel.FileSpec("a.txt", "x")
    assert refused(lambda: acquisition.upload_file(spec)) in (403, 409)
    assert fw.get_acquisition(acquisition.id).files == []


def test_download_by_ticket_remembers_the_version(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """A ticket serves the version that it was made for, without a key."""
    one = put(acquisition, "a.txt", "one")
    url = fw.get_file(one.file_id).url()
    put(acquisition, "a.txt", "two")
    with urllib.request.urlopen(url) as reply:  # noqa: S310 - loopback
        assert reply.read() == b"one"


def test_download_with_a_wrong_hash_is_409(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """A hash that is not the file's is a conflict; the right one is none."""
    file = put(acquisition, "a.txt", "x")
    read = fw.download_file_from_acquisition_as_data
    assert read(acquisition.id, "a.txt", hash=file.hash) == b"x"
    assert refused(lambda: read(acquisition.id, "a.txt", hash="0")) == 409


def test_zip_members_are_listed_and_read(
    acquisition: flywheel.Acquisition, sandbox: Sandbox
) -> None:
    """The zip helpers list a zip's members and give one; what is no zip is refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("d/one.txt", "first")
    sandbox.site.upload(acquisition.id, "a.zip", buffer.getvalue())
    sandbox.site.upload(acquisition.id, "b.txt", "x")
    container = acquisition.reload()
    assert [m.path for m in container.get_file_zip_info("a.zip").members] == ["d/one.txt"]
    assert container.read_file_zip_member("a.zip", "d/one.txt") == b"first"
    assert refused(lambda: container.get_file_zip_info("b.txt")) == 400
    assert refused(lambda: container.read_file_zip_member("a.zip", "no")) == 404


def test_delete_by_name_id_and_version(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """One version goes and the one before is the newest; a file goes whole."""
    file = put(acquisition, "a.txt", "one")
    put(acquisition, "a.txt", "two")
    fw.delete_file(file.file_id, version=2)
    assert fw.get_file(file.file_id).version == 1
    acquisition.delete_file("a.txt")
    assert refused(lambda: fw.get_file(file.file_id)) == 404


def test_audited_site_wants_a_reason(
    acquisition: flywheel.Acquisition, fw: flywheel.Client, sandbox: Sandbox
) -> None:
    """With the switch on, a delete without a reason is refused."""
    sandbox.site.options.demand_delete_reason = True
    file = put(acquisition, "a.txt", "x")
    assert refused(lambda: fw.delete_file(file.file_id)) == 400
    assert fw.delete_file(file.file_id, delete_reason="Test").deleted == 1


def test_slash_in_a_name_is_refused(acquisition: flywheel.Acquisition, sandbox: Sandbox) -> None:
    """A file's name is one segment of a path."""
    with pytest.raises(ApiError):
        sandbox.site.upload(acquisition.id, "a/b.txt", "x")


def test_odd_names_survive(acquisition: flywheel.Acquisition, fw: flywheel.Client) -> None:
    """A name with blanks, percent signs and letters of other alphabets can be used in routes."""
    put(acquisition, "a b%20ü,c.txt", "x")
    acquisition.reload().files[0].update_info({"a": 1})
    file = fw.get_acquisition(acquisition.id).files[0]
    assert (file.name, file.reload().info) == ("a b%20ü,c.txt", {"a": 1})


def test_concurrent_uploads_get_distinct_versions(
    acquisition: flywheel.Acquisition, sandbox: Sandbox
) -> None:
    """Sixteen uploads of one name at once give versions 1 to 16."""
    versions: list[int] = []
    threads = [
        threading.Thread(
            target=lambda n=n: versions.append(put(acquisition, "a.txt", str(n)).version)
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(1, 17))


def test_concurrent_info_writes_lose_nothing(
    acquisition: flywheel.Acquisition, fw: flywheel.Client
) -> None:
    """Sixteen writers of one key each leave sixteen keys."""
    file = put(acquisition, "a.txt", "x")
    write = fw.modify_acquisition_file_info
    threads = [
        threading.Thread(target=write, args=(acquisition.id, "a.txt", {"set": {f"k{n}": n}}))
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fw.get_file(file.file_id).info == {f"k{n}": n for n in range(16)}
