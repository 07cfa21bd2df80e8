"""Examining an upload: what is an instance, what is refused and why, and what is ignored."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging_gears.dicom import bounds, stored
from imaging_gears.dicom_send import splicing
from imaging_gears.dicom_send.images import pixel_bytes
from imaging_gears.dicom_send.instance import (
    Instance,
    Mark,
    Refused,
    as_uncompressed,
    examine,
)
from imaging_gears.dicom_send.passing import NESTED
from imaging_gears.dicom_send.walking import Walk
from imaging_gears.errors import ArchiveError, ConfigError, HeaderError, ImagingError
from tests.unit.dicom.builders import (
    BIG,
    CT_IMAGE,
    DEFLATED,
    DIRECTORY,
    EXPLICIT,
    FORMS,
    IMPLICIT,
    JPEG,
    ORDINARY,
    SYNTAXES,
    UNDEFINED,
    Form,
    body,
    deflate,
    dicom,
    element,
    item,
    meta,
    packed_zip,
    pixels,
    sequence,
)

MARK = Mark(group=0x0021, creator="Flywheel", value="DICOM Send")
FRAGMENTS = (
    element(0x7FE00010, "OB", length=UNDEFINED)
    + item(0xFFFEE000, 0)
    + item(0xFFFEE000, 8)
    + b"\xff\xd8jpeg\xff\xd9"
    + item(0xFFFEE0DD, 0)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the upload of the test is."""
    return tmp_path / "upload"


def found(path: Path, data: bytes) -> tuple[list[Instance], list[Refused], int]:
    """Return instances, refused members and the number of ignored ones of the upload `data`."""
    path.write_bytes(data)
    with examine(path, MARK) as contents:
        return list(contents.instances), list(contents.refused), contents.ignored


def sent(path: Path, data: bytes) -> list[bytes]:
    """Return what would be sent of the upload `data`, of each instance as long as it says."""
    path.write_bytes(data)
    with examine(path, MARK) as contents:
        whole = [b"".join(instance.chunks()) for instance in contents.instances]
        assert [len(one) for one in whole] == [one.length for one in contents.instances]
        return whole


def reason(path: Path, data: bytes) -> str:
    """Return why the only member of the upload `data` is refused."""
    instances, (refused,), ignored = found(path, data)
    assert (instances, ignored) == ([], 0)
    return refused.reason


def tag(form: Form | None = None) -> bytes:
    """Return the two elements of the mark."""
    creator = element(0x00210010, "LO", "Flywheel", form)
    return creator + element(0x00211000, "LO", "DICOM Send", form)


def with_tag(syntax: str) -> bytes:
    """Return the data set of `dicom(syntax)` with the mark in it, inflated."""
    form = FORMS.get(syntax)
    return body(form) + tag(form) + pixels(form)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, JPEG])
def test_the_data_set_comes_with_the_tag_in_it(path: Path, syntax: str) -> None:
    """Every other byte is as it was, and the meta information is not among them."""
    assert sent(path, dicom(syntax)) == [with_tag(syntax)]
    ((instance,), _, _) = found(path, dicom(syntax))
    assert (instance.sop_class_uid, instance.sop_instance_uid) == (CT_IMAGE, "1.2.3.4.5")
    assert (instance.transfer_syntax_uid, instance.marked) == (syntax, False)
    assert (instance.number, instance.name) == (0, None)


def test_a_deflated_data_set_is_deflated_again(path: Path) -> None:
    """It inflates to the data set with the tag, and has an even length (PS3.5 A.5)."""
    for text in ("a", "ab", "abcd", "abcdefgh"):
        extra = {0x00204000: element(0x00204000, "LT", text)}
        (packed,) = sent(path, dicom(DEFLATED, extra))
        inflate = zlib.decompressobj(-15)
        assert inflate.decompress(packed) == body(extra=extra) + tag() + pixels()
        assert inflate.eof
        assert inflate.unused_data in {b"", b"\0"}
        assert len(packed) % 2 == 0


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_has_the_tag_is_sent_as_it_is(path: Path, syntax: str) -> None:
    """Not one byte is inserted or deflated anew; an odd length of a deflated one is made even."""
    form = FORMS.get(syntax)
    extra = {0x00210010: tag(form)[:16], 0x00211000: tag(form)[16:]}
    data = dicom(syntax, extra)
    start = len(meta(syntax))
    assert sent(path, data) == [data[start:]]
    ((instance,), _, _) = found(path, data)
    assert instance.marked
    assert instance.mark_tags == (0x00210010, 0x00211000)


def test_an_odd_deflated_length_is_made_even(path: Path) -> None:
    """Where the file lacks the padding, it is added."""
    odd = zlib.compressobj(wbits=-15)
    for text in ("a", "ab", "abc", "abcd", "abcde", "abcdef"):
        extra = {0x00210010: tag()[:16], 0x00211000: tag()[16:]}
        extra[0x00204000] = element(0x00204000, "LT", text)
        odd = zlib.compressobj(wbits=-15)
        packed = odd.compress(body(extra=extra) + pixels()) + odd.flush()
        assert sent(path, meta(DEFLATED) + packed) == [packed + bytes(len(packed) % 2)]


def test_encapsulated_pixel_data_pass_as_they_are(path: Path) -> None:
    """Fragments are walked to their delimiter and not touched."""
    data = body() + FRAGMENTS
    assert sent(path, meta(JPEG) + data) == [body() + tag() + FRAGMENTS]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_a_headless_file_is_sent_as_its_first_elements_say(path: Path, syntax: str) -> None:
    """Without meta information, byte order and VRs show the transfer syntax."""
    form = FORMS.get(syntax)
    assert sent(path, body(form) + pixels(form)) == [with_tag(syntax)]
    ((instance,), _, _) = found(path, body(form) + pixels(form))
    assert instance.transfer_syntax_uid == syntax


def test_all_containers_give_the_same(path: Path) -> None:
    """Zip, tar and tar.gz, at any depth of folders, whatever the names; others are counted."""
    members = [
        ("top", dicom()),
        ("a/b/c/d/no-suffix", dicom(BIG)),
        ("a/README.txt", b"text" * 40),
        ("nested.zip", packed_zip([("x", dicom())])),
        ("nested.tar", tarred([("x", dicom())])),
        ("a/deflated", dicom(DEFLATED)),
    ]
    expected = [with_tag(EXPLICIT), with_tag(BIG)]
    for data in (packed_zip(members), tarred(members), gzip.compress(tarred(members))):
        first, second, third = sent(path, data)
        assert [first, second] == expected
        assert zlib.decompress(third, -15) == with_tag(DEFLATED)
        instances, refused, ignored = found(path, data)
        assert [one.number for one in instances] == [0, 1, 5]
        assert [one.name for one in instances] == [members[0][0], members[1][0], members[5][0]]
        assert [(one.number, one.reason) for one in refused] == [(3, NESTED), (4, NESTED)]
        assert ignored == 1


def tarred(members: list[tuple[str, bytes]]) -> bytes:
    """Return a tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def test_what_is_no_dicom_is_ignored(path: Path) -> None:
    """Text alone, and nothing at all, hold no instance and are no error."""
    assert found(path, b"text") == ([], [], 1)
    assert found(path, b"") == ([], [], 0)
    with examine(path, MARK) as contents:
        assert contents.empty == 1


@pytest.mark.parametrize("size", [0, 1, 100, 131])
@pytest.mark.parametrize(
    "name",
    [
        "a/2.dcm",
        "other/2.DCM",
        "a/2.ima",
        "a/IM2",
        "a/MR.1.2.840.113619",
        "a\\IM2",
        "a/VERSION2",
        "a/README.dcm",
        "other/2.dicom",
    ],
)
def test_what_is_left_of_an_image_is_refused(path: Path, name: str, size: int) -> None:
    """Nothing, or less than the start of any DICOM, with an image's name: it was cut off."""
    members = [(name, dicom()[:size]), ("a/IM1", dicom()), ("a/text", b"text" * 40)]
    for data in (packed_zip(members), tarred(members), gzip.compress(tarred(members))):
        instances, refused, ignored = found(path, data)
        assert [one.number for one in instances] == [1]
        assert [one.number for one in refused] == [0]
        assert refused[0].reason.startswith("It is shorter" if size else "It is empty")
        assert ignored == 1


BROUGHT_ALONG = ("DICOMDIR", "VERSION", "LOCKFILE", "README", "LICENSE", "AUTORUN")


@pytest.mark.parametrize(
    "name",
    [
        *("other/IM2", "a/notes.txt", "a/.keep", "a/._2.dcm", "__MACOSX/a/2.dcm"),
        *(f"a/{each}" for each in BROUGHT_ALONG),
        *(f"a/{each.capitalize()}" for each in BROUGHT_ALONG),
    ],
)
def test_what_is_short_and_not_named_so_is_passed_over(path: Path, name: str) -> None:
    """Without DICOM beside it, with another suffix, hidden, or no image by its name."""
    for content in (b"", b"text"):
        members = [("a/IM1", dicom()), (name, content)]
        for data in (packed_zip(members), tarred(members)):
            path.write_bytes(data)
            with examine(path, MARK) as contents:
                assert (len(contents.instances), contents.refused) == (1, ())
                is_metadata = "._" in name or "MACOSX" in name
                passed = (1, 0) if content or is_metadata else (0, 1)
                assert (contents.ignored, contents.empty) == passed


@pytest.mark.parametrize(
    ("name", "content", "counts"),
    [
        ("a/info", b'{"a": 1}', False),
        ("a/checksums", b"\xef\xbb\xbfM\xc3\xbcller\r\n", False),
        ("a/IM2", dicom()[:4], True),
        ("a/IM2", bytes(131), True),
        ("a/IM2", b"\x08\0\5\0CS\n\0ISO_IR 100", True),
        ("a/IM2", b"M\xfcller \xa0", False),
        ("a/IM2", b"\xff\xfea\0", True),
        ("a/2.dcm", b"Not Found", True),
    ],
)
def test_a_short_text_beside_images_is_passed_over(
    path: Path, name: str, content: bytes, *, counts: bool
) -> None:
    """The start of a DICOM has NUL bytes in it; under an image's suffix a text is no note."""
    _, refused, ignored = found(path, packed_zip([("a/IM1", dicom()), (name, content)]))
    assert (len(refused), ignored) == ((1, 0) if counts else (0, 1))


@pytest.mark.parametrize("name", ["a/2.dcm", "other/2.IMA", "a/IM2", "a/MR.1.2.840.113619"])
@pytest.mark.parametrize("zeroed", [132, 512, None])
def test_an_image_that_was_never_written_is_refused(
    path: Path, name: str, zeroed: int | None
) -> None:
    """Its first bytes, its first block or all of it are NUL, and its name is an image's."""
    whole = dicom()
    start = len(whole) if zeroed is None else zeroed
    members = [(name, bytes(start) + whole[start:]), ("a/IM1", whole), ("a/raw.bin", bytes(600))]
    for data in (packed_zip(members), tarred(members), gzip.compress(tarred(members))):
        instances, refused, ignored = found(path, data)
        assert [one.number for one in instances] == [1]
        assert [one.number for one in refused] == [0]
        assert refused[0].reason.startswith("It begins with NUL bytes only, and is named")
        assert ignored == 1


@pytest.mark.parametrize(
    ("name", "counts"),
    [("a/2.dcm", True), ("other/2.DICOM", True), ("2.ima", True), ("a/IM2", False)],
)
def test_another_content_under_the_suffix_of_an_image_is_refused(
    path: Path, name: str, *, counts: bool
) -> None:
    """Without a suffix it may be a note of whoever exported the images."""
    members = [("a/IM1", dicom()), (name, b"text" * 40)]
    _, refused, ignored = found(path, packed_zip(members))
    assert [one.reason for one in refused] == (
        ["It is no DICOM, and named as images are."] if counts else []
    )
    assert ignored == (not counts)


def test_a_directory_under_the_suffix_of_an_image_is_passed_over(path: Path) -> None:
    """It is DICOM, and no image."""
    directory = meta(EXPLICIT, DIRECTORY) + body()
    instances, refused, ignored = found(
        path, packed_zip([("a/dir.dcm", directory), ("a/IM1", dicom())])
    )
    assert (len(instances), refused, ignored) == (1, [], 1)


@pytest.mark.parametrize("damaged", [b"", dicom()[:150]])
def test_a_folder_of_damaged_images_is_one_of_images(path: Path, damaged: bytes) -> None:
    """What begins as a DICOM does is enough of a neighbour; what is empty is none."""
    members = [("a/IM1", damaged), ("a/IM2", b""), ("IM3", dicom())]
    _, refused, _ = found(path, packed_zip(members))
    assert [one.number for one in refused] == ([0, 1] if damaged else [])


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("series.zip", True),
        ("series.tar.gz", True),
        ("IM2", True),
        ("report.DOCX", False),
        ("viewer/weasis.jar", False),
        ("viewer/weasis.jar.xz", False),
        ("T1.nii.gz", False),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar", "old tar", "gzip", "7z"])
def test_an_archive_in_the_archive_is_named(
    path: Path, name: str, kind: str, *, counts: bool
) -> None:
    """It holds an image, or can't be looked into. Documents and programs are none."""
    tar = tarred([("x", dicom())])
    old = bytearray(tar)
    old[257:265] = bytes(8)
    old[148:156] = b"%06o\0 " % (sum(old[:148]) + sum(old[156:512]) + 8 * 32)
    content = {
        "zip": packed_zip([("x", dicom())]),
        "tar": tar,
        "old tar": bytes(old),
        "gzip": gzip.compress(tar),
        "7z": b"7z\xbc\xaf\x27\x1c" + bytes(500),
    }[kind]
    instances, refused, ignored = found(path, packed_zip([("IM1", dicom()), (name, content)]))
    assert len(instances) == 1
    assert [one.reason for one in refused] == ([NESTED] if counts else [])
    assert ignored == (0 if counts else 1)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_that_is_cut_anywhere_is_not_sent(path: Path, syntax: str) -> None:
    """At each byte: before the prefix it is no DICOM, behind it it is refused."""
    data = dicom(syntax)
    whole = len(data) - (1 if syntax == DEFLATED else 0)  # what is missing may be padding
    for size in range(1, whole):
        instances, refused, ignored = found(path, data[:size])
        assert instances == [], size
        assert (len(refused), ignored) == ((1, 0) if size >= 132 else (0, 1)), size


def test_cut_fragments_are_not_sent(path: Path) -> None:
    """Encapsulated pixel data without their delimiter are cut off, also between fragments."""
    data = meta(JPEG) + body() + FRAGMENTS
    for size in range(len(data) - len(FRAGMENTS), len(data)):
        assert reason(path, data[:size])


@pytest.mark.parametrize("cut", [1, 4, 30, 64, 65, 100, 400])
def test_a_cut_member_is_refused_and_the_next_one_goes(path: Path, cut: int) -> None:
    """In each container; the number says which one."""
    members = [("a", dicom()[:-cut]), ("b", dicom())]
    for data in (packed_zip(members), tarred(members), gzip.compress(tarred(members))):
        instances, refused, _ = found(path, data)
        assert [one.number for one in instances] == [1]
        assert [one.number for one in refused] == [0]


def damaged(data: bytes) -> bytes:
    """Return `data` with one letter of a text changed."""
    at = data.index(b"Siemens")
    return data[:at] + b"Sienens" + data[at + 7 :]


def test_a_wrong_checksum_is_refused(path: Path) -> None:
    """A member of a zip whose content is not what was packed is named."""
    assert "checksum" in reason(path, packed_zip([("a", dicom())], crc=1))
    assert "encrypted" in reason(path, packed_zip([("a", dicom())], flags=1))


@pytest.mark.parametrize(("held", "later"), [(8, 32), (0, 32), (0, 0)])
def test_a_damaged_stored_member_gives_no_byte(
    path: Path, monkeypatch: pytest.MonkeyPatch, held: int, later: int
) -> None:
    """It raises before its first piece, however it is read, unless it was refused already."""
    monkeypatch.setattr(stored, "HELD_SIZE", held * bounds.MIB)
    monkeypatch.setattr(stored, "LATER_SIZE", later * bounds.MIB)
    path.write_bytes(packed_zip([("a", large(3 * bounds.MIB))], method=0))
    with path.open("r+b") as file:
        file.seek(2 * bounds.MIB)
        file.write(b"damage")
    with examine(path, MARK) as contents:
        assert [received(instance) for instance in contents.instances] == ([b""] if later else [])
        assert ["checksum" in refused.reason for refused in contents.refused] == [True][later:]


@pytest.mark.parametrize("method", [0, 8])
def test_a_thorough_look_finds_each_damaged_member(path: Path, method: int) -> None:
    """One that is not compressed, too, whatever its length; the whole one is left."""
    whole, crc = dicom(), zlib.crc32(dicom())
    data = packed_zip([("a", whole), ("b", whole)], method=method)
    at = data.index(struct.pack("<L", crc), data.index(b"PK\1\2"))
    path.write_bytes(data[:at] + bytes(4) + data[at + 4 :])
    with examine(path, MARK, thorough=True) as contents:
        assert [one.number for one in contents.instances] == [1]
        assert ["checksum" in one.reason for one in contents.refused] == [True]


@pytest.mark.parametrize("later", [0, 32])
@pytest.mark.parametrize("held", [0, 8])
def test_a_stored_member_is_sent_whichever_way_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, held: int, later: int
) -> None:
    """Held in memory, read again, or checked beforehand: the bytes are the same."""
    monkeypatch.setattr(stored, "HELD_SIZE", held * bounds.MIB)
    monkeypatch.setattr(stored, "LATER_SIZE", later * bounds.MIB)
    data = large(3 * bounds.MIB)
    (whole,) = sent(path, packed_zip([("a", data)], method=0))
    assert whole.replace(tag(), b"") == data[len(meta(EXPLICIT)) :]


def test_what_is_held_in_memory_does_not_grow_with_the_associations(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two members at a time; others are read again, and what is dropped makes room."""
    monkeypatch.setattr(stored, "HELD_SIZE", 3 * bounds.MIB + bounds.MIB // 2)
    path.write_bytes(packed_zip([(f"{at}", large(3 * bounds.MIB)) for at in range(4)], method=0))
    with examine(path, MARK) as contents:
        held: list[Iterator[bytes | memoryview]] = []
        tracemalloc.start()
        for instance in contents.instances:
            held.append(instance.chunks())
            next(held[-1])
        # Two whole members, and of each two pieces on their way.
        assert tracemalloc.get_traced_memory()[0] < (2 * 3.5 + 4 * 0.5 + 0.5) * bounds.MIB
        held.clear()
        assert tracemalloc.get_traced_memory()[0] < (2 * 3.5 + 0.5) * bounds.MIB
        for instance in contents.instances:
            next(instance.chunks())
        assert tracemalloc.get_traced_memory()[0] < (2 * 3.5 + 0.5) * bounds.MIB
        tracemalloc.stop()


def test_what_is_kept_of_a_held_member_stays_as_it_is(path: Path) -> None:
    """Others that are read meanwhile, and after it was read to its end, get other memory."""
    data = [large(3 * bounds.MIB + 256 * at) for at in range(5)]
    path.write_bytes(packed_zip([(f"{at}", each) for at, each in enumerate(data)], method=0))
    with examine(path, MARK) as contents:
        kept = [list(instance.chunks()) for instance in contents.instances]
    assert [b"".join(each).replace(tag(), b"") for each in kept] == [
        each[len(meta(EXPLICIT)) :] for each in data
    ]
    # Of those for which there was room, without a copy.
    views = [any(isinstance(piece, memoryview) for piece in each) for each in kept]
    assert views == [True, True, False, False, False]


def test_a_member_of_up_to_a_mib_is_not_copied(path: Path) -> None:
    """Its pixels are one view of what was read to check it."""
    path.write_bytes(packed_zip([("a", large(bounds.MIB // 2))], method=0))
    with examine(path, MARK) as contents:
        pieces = list(contents.instances[0].chunks())
    assert [type(piece) for piece in pieces] == [bytes, memoryview]
    assert len(pieces[1]) > bounds.MIB // 2


def test_a_held_member_that_is_cut_after_it_was_examined_gives_no_byte(path: Path) -> None:
    """The file has become shorter: what is missing is told before anything is sent."""
    path.write_bytes(packed_zip([("a", large(3 * bounds.MIB))], method=0))
    with examine(path, MARK) as contents:
        os.truncate(path, 2 * bounds.MIB)
        (instance,) = contents.instances
        assert received(instance) == b""


def test_a_long_stored_member_is_checked_again_only_in_a_file_that_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the file says so; damage with the same time and size is not looked for."""
    monkeypatch.setattr(stored, "LATER_SIZE", 0)
    for moved, intact in ((0, True), (1_000_000_000, False)):
        path.write_bytes(packed_zip([("a", dicom())], method=0))
        written = path.stat().st_mtime_ns
        with examine(path, MARK) as contents:
            path.write_bytes(damaged(path.read_bytes()))
            os.utime(path, ns=(written, written + moved))
            (instance,) = contents.instances
            if intact:
                assert b"Sienens" in b"".join(instance.chunks())
            else:
                received(instance)


def test_pixels_of_a_stored_member_are_not_read_to_examine_it(path: Path) -> None:
    """Their length against that of the member shows whether they are whole."""
    path.write_bytes(packed_zip([("a", large(5 * bounds.MIB))], method=0))
    with examine(path, MARK) as contents:
        assert contents.upload._file.bytes_read < 100_000


def test_a_deflated_image_in_a_zip_is_checked_to_the_end_of_the_member(path: Path) -> None:
    """The checksum is that of the file, whose data set ends before it."""
    assert "checksum" in reason(path, packed_zip([("a", dicom(DEFLATED))], crc=1))


def test_an_archive_that_is_cut_off_keeps_what_is_before(path: Path) -> None:
    """What is missing is refused under the next number, without a name."""
    data = tarred([("a", dicom()), ("b", dicom())])
    instances, refused, _ = found(path, data[:2100])
    assert [one.number for one in instances] == [0]
    assert [(one.number, one.name) for one in refused][-1] == (2, None)


@pytest.mark.parametrize(
    "data",
    [
        meta(EXPLICIT, DIRECTORY) + body(),
        bytes(128) + b"DICM" + element(0x00020010, "UI", EXPLICIT) + element(0x00041130, "CS", "A"),
    ],
    ids=["by its class", "by its records"],
)
def test_a_dicomdir_is_passed_over(path: Path, data: bytes) -> None:
    """Every export to a disc has one beside the images; it is none."""
    instances, refused, ignored = found(path, packed_zip([("DICOMDIR", data), ("a", dicom())]))
    assert (len(instances), refused, ignored) == (1, [], 1)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_a_tag_that_became_one_of_a_dicomdir_is_refused(path: Path, syntax: str) -> None:
    """Whichever element it is: a damaged image must not pass for a DICOMDIR."""
    form = FORMS.get(syntax, Form())
    whole = dicom(syntax)
    start, at = len(meta(syntax)), -1
    for number, vr, value in ORDINARY:
        head = element(number, vr, value, form)[:4]
        at = whole.index(head, start)
        group = struct.pack(form.order + "H", 0x0004)
        assert reason(path, whole[:at] + group + whole[at + 2 :])
    assert at > start


@pytest.mark.parametrize("number", [0x00020000, 0x00020002, 0x00020010])
def test_meta_information_that_became_a_dicomdirs_is_refused(path: Path, number: int) -> None:
    """It ends there then, and names no class."""
    whole = dicom()
    at = whole.index(element(number, "UI")[:4])
    assert reason(path, whole[:at] + b"\4" + whole[at + 1 :])


REFUSED = {
    "no SOPClassUID": (
        meta(EXPLICIT) + body(extra={0x00080016: b""}) + pixels(),
        "has no SOPClassUID",
    ),
    "no SOPInstanceUID": (
        meta(EXPLICIT) + body(extra={0x00080018: b""}) + pixels(),
        "has no SOPInstanceUID",
    ),
    "an empty SOPInstanceUID": (
        dicom(extra={0x00080018: element(0x00080018, "UI", "")}),
        "SOPInstanceUID is no UID",
    ),
    "a UID of 65 characters": (
        dicom(extra={0x00080018: element(0x00080018, "UI", "1.2" + "3" * 62)}),
        "SOPInstanceUID is no UID",
    ),
    "a UID of 2,000 bytes": (
        dicom(extra={0x00080018: element(0x00080018, "UI", "1" * 2000)}),
        "SOPInstanceUID is no UID",
    ),
    "a transfer syntax that is no UID": (
        meta("JPEG") + body() + pixels(),
        "TransferSyntaxUID is no UID",
    ),
    "another encoding than stated": (
        meta(EXPLICIT) + body(Form(explicit=False)) + pixels(),
        "not encoded as",
    ),
    "meta information in the data set": (
        meta(IMPLICIT)
        + element(0x00060010, "LO", "x", Form(explicit=False))
        + body(Form(explicit=False))
        + pixels(Form(explicit=False)),
        "group that it must not have",
    ),
    "elements out of order": (
        meta(EXPLICIT) + body() + pixels() + element(0x00280010, "US", b"\1\0"),
        "ascending order",
    ),
    "an element twice": (dicom(tail=element(0x7FE00010, "OW", b"12")), "ascending order"),
    "zeros behind the data set": (dicom(tail=bytes(512)), "NUL bytes: the file was padded"),
    "an image without pixel data": (meta(EXPLICIT) + body(), "without pixel data"),
    "compressed, says it is not": (
        meta(EXPLICIT) + body() + FRAGMENTS,
        "compressed, and the file says that it is not",
    ),
    "compressed, does not say how": (
        body() + FRAGMENTS,
        "compressed, and the file does not say how",
    ),
    "an odd length": (
        dicom(extra={0x00100020: element(0x00100020, "LO", "123", length=3)}),
        "odd length",
    ),
    "no free block": (
        dicom(extra={0x00210010 + n: element(0x00210010 + n, "LO", "other") for n in range(0xF0)}),
        "no free block",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_sent_is_refused_with_the_reason(path: Path, case: str) -> None:
    """Each reason is one sentence that says what is wrong."""
    data, expected = REFUSED[case]
    assert expected in reason(path, data)


def test_what_is_no_image_needs_no_pixels(path: Path) -> None:
    """Raw data have none; their class says so."""
    raw = "1.2.840.10008.5.1.4.1.1.66"
    extra = {0x00080016: element(0x00080016, "UI", raw)}
    ((instance,), _, _) = found(path, meta(EXPLICIT, raw) + body(extra=extra))
    assert instance.sop_class_uid == raw


LATE: dict[str, tuple[str, int, str]] = {
    "document": ("104.1", 0x00420011, "OB"),
    "report": ("88.11", 0x0040A730, "SQ"),
    "key objects": ("88.59", 0x0040A730, "SQ"),
    "waveform": ("9.1.1", 0x54000100, "SQ"),
    "presentation state": ("11.1", 0x20500020, "CS"),
    "presentation state with a table": ("11.1", 0x20500010, "SQ"),
    "plan": ("481.5", 0x300A000C, "CS"),
    "structure set": ("481.3", 0x30060002, "SH"),
}


@pytest.mark.parametrize("case", LATE)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_what_ends_before_the_content_of_its_class_is_cut_short(
    path: Path, case: str, syntax: str
) -> None:
    """Exactly between two elements; an empty element of Type 1 is no content, either."""
    suffix, number, vr = LATE[case]
    uid, form = f"1.2.840.10008.5.1.4.1.1.{suffix}", FORMS.get(syntax, Form())
    before = {0x00080016: element(0x00080016, "UI", uid, form)}
    before |= {tag: element(tag, "LO", "x", form) for tag in (0x00290010, 0x00291001)}
    behind = element(number + 0x20000, "LO", "y", form)
    start, data = meta(syntax, uid), body(form, before)
    item_of_it = item(0xFFFEE000, 0, form) if vr == "SQ" else b"content "
    for cut in (b"", element(number, vr, b"", form), behind):
        assert "near its end" in reason(path, start + data + cut)
    for end in (b"", behind):
        assert len(sent(path, start + data + element(number, vr, item_of_it, form) + end)) == 1


def test_pixels_may_be_elsewhere(path: Path) -> None:
    """A URL in their place, or pixels as floating point numbers, make an image whole."""
    for other in (
        element(0x00287FE0, "UR", "http://127.0.0.1/"),
        element(0x7FE00008, "OF", bytes(8)),
    ):
        assert sent(path, meta(EXPLICIT) + body() + other) == [body() + tag() + other]


def test_the_uid_of_a_refused_instance_is_known_where_it_was_read(path: Path) -> None:
    """The report names it; before it, nothing is known."""
    _, (refused,), _ = found(path, dicom()[:-1])
    assert refused.sop_instance_uid == "1.2.3.4.5"
    _, (refused,), _ = found(path, dicom()[:150])
    assert refused.sop_instance_uid is None


def test_names_and_uids_are_not_shown(path: Path) -> None:
    """Printing an instance or a refused member tells nothing of a patient."""
    members = [("Doe^Jane", dicom()), ("Doe^John", dicom()[:-1])]
    path.write_bytes(packed_zip(members))
    with examine(path, MARK) as contents:
        shown = repr(contents)
    assert "Doe" not in shown
    assert "1.2.3.4.5" not in shown
    assert "number=1" in shown


def test_sequences_and_private_groups_around_the_tag_stay(path: Path) -> None:
    """Of defined and undefined lengths, nested, and with elements of the tag's own group inside."""
    inner = element(0x00210010, "LO", "Flywheel") + element(0x00211000, "LO", "DICOM Send")
    nested = sequence(0x00081140, [inner, sequence(0x00081199, [inner], delimited=True)])
    own = {
        0x00210010: element(0x00210010, "LO", "Flywheel"),
        0x00211000: sequence(0x00211000, [inner], delimited=True),
    }
    data = body(extra={0x00081140: nested, **own})
    value = element(0x00211001, "LO", "DICOM Send")
    assert sent(path, meta(EXPLICIT) + data + pixels()) == [data + value + pixels()]


def test_two_values_of_odd_lengths_make_an_even_one(path: Path) -> None:
    """Then it can be sent; what is deflated is padded as a whole, and not in another syntax."""
    extra = {tag: element(tag, "LO", "123", length=3) for tag in (0x00100020, 0x00100021)}
    assert len(sent(path, dicom(extra=extra))) == 1
    del extra[0x00100021]
    path.write_bytes(dicom(DEFLATED, extra))
    with examine(path, MARK) as contents:
        (instance,) = contents.instances
        with pytest.raises(HeaderError, match="odd length"):
            as_uncompressed(instance, EXPLICIT)


def test_a_group_length_is_corrected(path: Path) -> None:
    """That of the tag's group; those of others are right as they are."""
    creator = element(0x00210010, "LO", "SIEMENS")
    group = {
        0x00200000: element(0x00200000, "UL", b"\1\0\0\0"),
        0x00210000: element(0x00210000, "UL", struct.pack("<L", len(creator))),
        0x00210010: creator,
    }
    (data,) = sent(path, dicom(extra=group))
    own = element(0x00210011, "LO", "Flywheel") + element(0x00211100, "LO", "DICOM Send")
    expected = group | {
        0x00210000: element(0x00210000, "UL", struct.pack("<L", len(creator + own))),
        0x00210011: own,
    }
    assert data == body(extra=expected) + pixels()


def test_a_tag_behind_everything_and_one_before_the_images_groups(path: Path) -> None:
    """Any odd group will do, the last one behind the pixels."""
    path.write_bytes(dicom())
    for group in (0x0009, 0x7FE1, 0xFFFB):
        with examine(path, Mark(group=group, creator="F", value="v")) as contents:
            data = b"".join(contents.instances[0].chunks())
        own = element(group << 16 | 0x10, "LO", "F") + element(group << 16 | 0x1000, "LO", "v")
        elements = body(extra={group << 16: own})
        expected = elements + pixels() if group == 0x0009 else body() + pixels() + own
        assert data == expected


def test_each_member_is_progress(path: Path) -> None:
    """Whatever it is: a large archive takes longer than the watchdog waits."""
    members = [("a", dicom()), ("text", b"text"), ("cut", dicom()[:-1]), ("empty", b"")]
    for data in (packed_zip(members), tarred(members), gzip.compress(tarred(members))):
        path.write_bytes(data)
        calls: list[None] = []
        examine(path, MARK, lambda calls=calls: calls.append(None)).close()  # type: ignore[misc]
        assert len(calls) == len(members)


def test_a_mark_that_can_not_be_written_is_refused(path: Path) -> None:
    """Before the file is looked at."""
    with pytest.raises(ConfigError):
        examine(path, Mark(group=0x20, creator="F", value="v"))


def test_a_broken_archive_is_closed_again(path: Path) -> None:
    """No file stays open behind an error."""
    path.write_bytes(packed_zip([("a", dicom())])[:-30])
    before = open_files()
    with pytest.raises(ArchiveError, match="cut off"):
        examine(path, MARK)
    assert open_files() == before


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_upload_beyond_the_bounds_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members together are at fault, not the one that met the bound."""
    path.write_bytes(packed_zip([("a", dicom()), ("b", dicom())]))
    monkeypatch.setattr(bounds, "WHOLE_LIMIT", 7_000)
    with pytest.raises(ArchiveError, match="within bounds"):
        examine(path, MARK)


def large(size: int) -> bytes:
    """Return a DICOM with so many bytes of pixels, all of them different from their neighbours."""
    values = bytes(range(256)) * (size // 256)
    return meta(EXPLICIT) + body() + element(0x7FE00010, "OW", values)


def test_pieces_are_bounded_and_come_again(path: Path) -> None:
    """None is longer than 256 KiB or empty, and a second reading gives the same."""
    data = large(5 * bounds.MIB)
    for packed in (data, packed_zip([("a", data)]), gzip.compress(tarred([("a", data)]))):
        path.write_bytes(packed)
        with examine(path, MARK) as contents:
            (instance,) = contents.instances
            pieces = list(instance.chunks())
            assert all(0 < len(piece) <= bounds.MIB for piece in pieces)
            assert b"".join(pieces) == b"".join(instance.chunks())
            assert b"".join(pieces).replace(tag(), b"") == data[len(meta(EXPLICIT)) :]


def test_what_follows_a_deflated_data_set_is_not_sent(path: Path) -> None:
    """Padding of any length is passed, here and in the zip whose checksum comes behind it."""
    data = dicom(DEFLATED) + bytes(200_000)
    for packed in (data, packed_zip([("a", data)])):
        (whole,) = sent(path, packed)
        assert zlib.decompress(whole, -15) == with_tag(DEFLATED)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 512, 200_000])
def test_nul_bytes_behind_the_data_set_are_told_as_that(
    path: Path, syntax: str, count: int
) -> None:
    """And not as damage to whatever they are read as."""
    said = reason(path, dicom(syntax) + bytes(count))
    assert said.startswith("Behind the last element there are NUL bytes")
    assert said.count(".") == 1


def test_nothing_gives_no_piece() -> None:
    """Neither an empty piece, nor none held back for ever."""
    assert list(splicing.held_back(splicing.gathered([b"", b""]))) == []


def test_what_does_not_compress_is_parted(path: Path) -> None:
    """Deflating gives no piece that is longer than 256 KiB either."""
    noise = os.urandom(3 * bounds.MIB)
    data = meta(DEFLATED) + deflate(body() + element(0x7FE00010, "OW", noise))
    path.write_bytes(data)
    with examine(path, MARK) as contents:
        pieces = list(contents.instances[0].chunks())
    assert max(map(len, pieces)) <= splicing.PIECE
    assert zlib.decompress(b"".join(pieces), -15).endswith(noise)


def received(instance: Instance) -> bytes:
    """Return what had been given when reading `instance` raised one of our errors."""
    given: list[bytes | memoryview] = []
    with pytest.raises(ImagingError):
        given.extend(instance.chunks())
    return b"".join(given)


@pytest.mark.parametrize("size", [0, 1, 300, 600, 2_000_000, -10])
def test_a_file_that_is_cut_after_it_was_examined_raises(path: Path, size: int) -> None:
    """Whoever has not had the last piece has not sent the instance."""
    data = large(4 * bounds.MIB)
    path.write_bytes(data)
    with examine(path, MARK) as contents:
        os.truncate(path, size if size >= 0 else len(data) + size)
        assert len(received(contents.instances[0])) < contents.instances[0].length


def test_a_member_that_is_damaged_after_it_was_examined_raises(path: Path) -> None:
    """The last piece comes only after the checksum was compared."""
    data = packed_zip([("a", large(4 * bounds.MIB))], method=0)
    path.write_bytes(data)
    with examine(path, MARK) as contents:
        with path.open("r+b") as file:
            file.seek(1_000_000)
            file.write(b"damage")
        assert len(received(contents.instances[0])) < contents.instances[0].length


def test_a_deflated_file_that_has_changed_raises(path: Path) -> None:
    """Where inflating ends elsewhere, the length is not the stated one any more."""
    path.write_bytes(dicom(DEFLATED))
    with examine(path, MARK) as contents:
        os.truncate(path, path.stat().st_size - 30)
        received(contents.instances[0])


def test_a_file_that_has_grown_since_is_sent_as_it_was(path: Path) -> None:
    """What is appended belongs to nothing that was examined."""
    path.write_bytes(dicom())
    with examine(path, MARK) as contents:
        with path.open("ab") as file:
            file.write(b"more")
        assert b"".join(contents.instances[0].chunks()) == with_tag(EXPLICIT)


def test_a_member_that_is_longer_now_raises(path: Path) -> None:
    """A source that does not end where it did is another one."""
    source = io.BytesIO(meta(EXPLICIT) + bytes(100))
    spliced = splicing.Spliced(lambda: source, len(meta(EXPLICIT)), 90, deflated=False, edits=())
    with pytest.raises(ImagingError, match="changed"):
        list(spliced.pieces())


@pytest.mark.parametrize("packed", [False, True])
def test_reading_after_close_raises_our_error(path: Path, *, packed: bool) -> None:
    """A closed file is a source that is gone."""
    path.write_bytes(packed_zip([("a", dicom())]) if packed else dicom())
    contents = examine(path, MARK)
    contents.close()
    assert received(contents.instances[0]) == b""


class Failing(io.BytesIO):
    """A file on a disk that fails behind some bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, or fail behind the first 100."""
        if self.tell() >= 100:
            raise OSError(5, "Input/output error")
        return super().read(min(size or 0, 100))


def test_a_disk_that_fails_raises_our_error() -> None:
    """The system's words, which have the file's name, stay inside."""
    source = Failing(bytes(1000))
    with pytest.raises(ImagingError, match="can't be read any more"):
        list(splicing.Spliced(lambda: source, 10, 990, deflated=False, edits=()).pieces())


GROUPS = (0x00, 0x02, 0x04)  # of what a data set must not have: damage makes them of 0008


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_ends_as_an_instance_or_refused(path: Path, data: st.DataObject) -> None:
    """Whatever bytes but the prefix change, what is offered has its length, and it is not ignored.

    No other error is raised than ours.
    """
    syntax = data.draw(st.sampled_from(SYNTAXES))
    changed = bytearray(dicom(syntax))
    places = st.integers(0, 127) | st.integers(132, len(changed) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(places)] = data.draw(st.integers(0, 255) | st.sampled_from(GROUPS))
    path.write_bytes(changed)
    with examine(path, MARK) as contents:
        assert (len(contents.instances) + len(contents.refused), contents.ignored) == (1, 0)
        for instance in contents.instances:
            assert sum(map(len, instance.chunks())) == instance.length


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_passing_many_elements_at_once_finds_what_one_by_one_finds(
    path: Path, data: st.DataObject
) -> None:
    """Instances, refused ones and their reasons are equal, also of damaged data sets."""
    syntax = data.draw(st.sampled_from(SYNTAXES))
    tags = data.draw(st.lists(st.sampled_from(NEIGHBOURS), unique=True))
    form = FORMS.get(syntax)
    extra = {number: element(number, "LO", "Flywheel", form) for number in tags}
    changed = bytearray(dicom(syntax, extra))
    for _ in range(data.draw(st.integers(0, 2))):
        changed[data.draw(st.integers(132, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(packed_zip([("a", bytes(changed))], method=0))
    outcomes = []
    for pass_held in (Walk._pass_held, lambda *_: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Walk, "_pass_held", pass_held)
            contents = examine(path, MARK)
            contents.close()
            outcomes.append((contents.instances, contents.refused, contents.ignored))
    assert outcomes[0] == outcomes[1]


NEIGHBOURS = (0x00090010, 0x0020FFFE, 0x00210010, 0x00211000, 0x002110FF, 0x00230010, 0x7FDF0010)


@pytest.mark.parametrize(
    ("length", "whole"), [(0, False), (2, False), (2 * 3 * 4 * 2 - 2, False), (2 * 3 * 4 * 2, True)]
)
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
def test_pixel_data_shorter_than_the_image_are_cut_short(
    path: Path, syntax: str, length: int, *, whole: bool
) -> None:
    """Four frames of two rows and three columns, 16 bits each: 48 bytes."""
    form = FORMS.get(syntax, Form())
    numbers = {0x00280002: 1, 0x00280010: 2, 0x00280011: 3, 0x00280100: 16}
    extra = {
        tag: element(tag, "US", struct.pack(form.order + "H", value), form)
        for tag, value in numbers.items()
    }
    extra[0x00280008] = element(0x00280008, "IS", "4 ", form)
    extra[0x7FE00010] = element(0x7FE00010, "OW", bytes(length), form)
    instances, refused, _ = found(path, meta(syntax) + body(form, extra))
    assert (len(instances), len(refused)) == ((1, 0) if whole else (0, 1))
    if not whole:
        assert "pixel data are shorter" in refused[0].reason


def described() -> dict[int, bytes]:
    """Return Rows, Columns and BitsAllocated of an image of 8 bits, as elements."""
    numbers = {0x00280010: 2, 0x00280011: 3, 0x00280100: 8}
    return {tag: element(tag, "US", struct.pack("<H", number)) for tag, number in numbers.items()}


SOP_CLASSES = {
    "Segmentation": "1.2.840.10008.5.1.4.1.1.66.4",
    "Enhanced US Volume": "1.2.840.10008.5.1.4.1.1.6.2",
    "Parametric Map": "1.2.840.10008.5.1.4.1.1.30",
    "RT Dose": "1.2.840.10008.5.1.4.1.1.481.2",
    "private": "1.2.840.113619.4.26",
}


@pytest.mark.parametrize("name", SOP_CLASSES)
def test_an_image_of_any_class_that_is_cut_before_its_pixels_is_refused(
    path: Path, name: str
) -> None:
    """What states rows, columns and bits has pixels, whatever its class."""
    extra = {0x00080016: element(0x00080016, "UI", SOP_CLASSES[name]), **described()}
    extra[0x3004000A] = element(0x3004000A, "CS", "PLAN")  # which every dose has
    start = meta(EXPLICIT, SOP_CLASSES[name])
    assert "without pixel data" in reason(path, start + body(extra=extra))
    for missing in described():
        fewer = {tag: value for tag, value in extra.items() if tag != missing}
        (instances, refused, _) = found(path, start + body(extra=fewer))
        assert (len(instances), len(refused)) in {(1, 0), (0, 1)}
        assert bool(instances) == (name in {"RT Dose", "private"})
    whole = body(extra=extra) + element(0x7FE00010, "OB", bytes(6))
    assert len(sent(path, start + whole)) == 1


@pytest.mark.parametrize("tag", [0x00287FE0, 0x7FE00008, 0x7FE00009])
def test_described_pixels_may_be_elsewhere(path: Path, tag: int) -> None:
    """A URL takes their place, and so do pixels as floating point numbers; a URL has no length."""
    vr = {0x00287FE0: "UR", 0x7FE00008: "OF", 0x7FE00009: "OD"}[tag]
    assert len(sent(path, meta(EXPLICIT) + body(extra=described()) + element(tag, vr, bytes(8))))


def encapsulated(*lengths: int) -> bytes:
    """Return pixel data with an empty offset table and fragments of these lengths."""
    parts = [item(0xFFFEE000, 0), *(item(0xFFFEE000, each) + bytes(each) for each in lengths)]
    start = element(0x7FE00010, "OB", length=UNDEFINED)
    return start + b"".join(parts) + item(0xFFFEE0DD, 0)


MPEG = "1.2.840.10008.1.2.4.100"
HEVC = "1.2.840.10008.1.2.4.108"
FRAGMENTABLE = "1.2.840.10008.1.2.4.106.1"
MULTI_COMPONENT = "1.2.840.10008.1.2.4.93"  # JPEG 2000 Part 2
RLE = "1.2.840.10008.1.2.5"


@pytest.mark.parametrize(
    ("syntax", "frames", "lengths", "whole"),
    [
        (JPEG, None, (), False),
        (JPEG, None, (0,), False),
        (JPEG, None, (8,), True),
        (JPEG, None, (8, 8), True),
        (JPEG, "2", (8,), False),
        (JPEG, "2", (8, 0), False),
        (JPEG, "2 ", (8, 8), True),
        (JPEG, "2 ", (8, 8, 8), True),
        (RLE, "2 ", (8,), False),
        (RLE, "2 ", (8, 8), True),
        (RLE, "2 ", (8, 8, 8), False),
        (MPEG, "300 ", (), False),
        (MPEG, "300 ", (8,), True),
        (HEVC, "300 ", (8,), True),
        (FRAGMENTABLE, "300 ", (8, 8), True),
        (MULTI_COMPONENT, "300 ", (), False),
        (MULTI_COMPONENT, "300 ", (8, 8), True),
    ],
)
def test_a_frame_without_a_fragment_is_cut_short(
    path: Path, syntax: str, frames: str | None, lengths: tuple[int, ...], *, whole: bool
) -> None:
    """PS3.5 A.4: a fragment is of one frame, but for video; A.4.2: RLE has one for each.

    8.2.4: frames may be the components of JPEG 2000 Part 2.
    """
    number = {} if frames is None else {0x00280008: element(0x00280008, "IS", frames)}
    data = meta(syntax) + body(extra=described() | number) + encapsulated(*lengths)
    (instances, refused, _) = found(path, data)
    assert (len(instances), len(refused)) == ((1, 0) if whole else (0, 1))
    assert all("fragments" in each.reason for each in refused)


def test_what_is_no_fragment_is_refused(path: Path) -> None:
    """Items of undefined length, and elements between fragments."""
    start = element(0x7FE00010, "OB", length=UNDEFINED) + item(0xFFFEE000, 0)
    nested = item(0xFFFEE000, UNDEFINED) + item(0xFFFEE00D, 0)
    for wrong in (nested, element(0x00280010, "US", b"12")):
        data = meta(JPEG) + body() + start + wrong + item(0xFFFEE0DD, 0)
        assert "where a fragment has to be" in reason(path, data)


def test_halved_colour_and_single_bits_need_fewer_bytes() -> None:
    """Two samples a pixel with YBR_FULL_422; eight pixels a byte with one bit."""
    size = {0x00280010: b"\x04\0", 0x00280011: b"\x06\0"}
    colour = {**size, 0x00280002: b"\x03\0", 0x00280100: b"\x08\0"}
    assert pixel_bytes(colour, little=True) == 72
    assert pixel_bytes({**colour, 0x00280004: b"YBR_FULL_422"}, little=True) == 48
    assert pixel_bytes({**size, 0x00280100: b"\x01\0"}, little=True) == 3
    assert pixel_bytes({**size, 0x00280100: b"\x01\0", 0x00280008: b"x"}, little=True) == 3


@pytest.mark.parametrize("vr", ["UI", "OB"])
def test_damage_to_what_the_meta_information_says_of_the_instance_costs_nothing(
    path: Path, vr: str
) -> None:
    """Nothing of it is used, so the image goes."""
    uid = element(0x00020003, vr, bytes(range(200)) * 6)
    start = bytes(128) + b"DICM" + uid + element(0x00020010, "UI", EXPLICIT)
    assert sent(path, start + body() + pixels()) == [with_tag(EXPLICIT)]


def test_what_the_meta_information_says_of_the_instance_is_not_sent(path: Path) -> None:
    """C-STORE names the instance as its data set does; leading zeros in a UID are let through."""
    other = bytes(128) + b"DICM" + element(0x00020003, "UI", "1.2.9")
    data = other + element(0x00020010, "UI", EXPLICIT) + body() + pixels()
    (instance,), refused, _ = found(path, data)
    assert refused == []
    assert instance.sop_instance_uid != "1.2.9"
    zeros = dicom(extra={0x00080018: element(0x00080018, "UI", "1.02")})
    (instance,), refused, _ = found(path, zeros)
    assert instance.sop_instance_uid == "1.02"
