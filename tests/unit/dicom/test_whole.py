"""Every member of an upload, read to its end: zip, tar and tar.gz, whole, cut off and damaged."""

from __future__ import annotations

import gzip
import io
import random
import struct
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging_gears.dicom import bounds, gunzip, tar, whole
from imaging_gears.dicom.gunzip import Gunzipped
from imaging_gears.dicom.random_file import RandomFile, Section, SectionStream
from imaging_gears.dicom.tar import is_tar_header, tar_entries
from imaging_gears.dicom.whole import PassedMember, WholeMember, WholeUpload
from imaging_gears.errors import ArchiveError, ImagingError
from tests.unit.dicom.builders import dicom, packed_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from imaging_gears.dicom.streams import ByteStream

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
LONG_NAME = "/".join(["folder" * 8] * 12) + "/image"
MEMBERS = (("a/image", dicom()), ("text", b"text"), (LONG_NAME, bytes(1000)), ("ö", b"x" * 512))
NOISE = random.Random(4).randbytes(3 * bounds.MIB)  # noqa: S311 - to be the same each time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the upload of the test is."""
    return tmp_path / "upload"


class Bytes:
    """Bytes that are read at any place."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end."""
        return self.data[offset : offset + size]


def packed_tar(
    members: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT, mode: str = "w"
) -> bytes:
    """Return a tar written by `tarfile`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, format=form) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def everything(stream: ByteStream, size: int = 1000) -> bytes:
    """Return all that `stream` gives, asked for `size` bytes at a time."""
    parts = []
    while part := stream.read(size):
        assert len(part) <= size
        parts.append(part)
    return b"".join(parts)


def contents(path: Path, data: bytes) -> list[tuple[str | None, bytes | str]]:
    """Return name and content of each member of the upload `data`, or why it was passed over."""
    path.write_bytes(data)
    with WholeUpload(path) as upload:
        return [
            (
                member.name,
                everything(member.open()) if isinstance(member, WholeMember) else member.reason,
            )
            for member in upload.members()
        ]


def lost(path: Path, data: bytes) -> list[tuple[int, str]]:
    """Return number and reason of each member of the upload `data` that can't be read."""
    path.write_bytes(data)
    with WholeUpload(path) as upload:
        return [
            (member.number, member.reason)
            for member in upload.members()
            if isinstance(member, PassedMember) and member.lost
        ]


def test_a_file_is_its_own_member(path: Path) -> None:
    """What is no archive has no name, and may be read as often as one likes."""
    path.write_bytes(dicom())
    with WholeUpload(path) as upload:
        (member,) = upload.members()
        assert isinstance(member, WholeMember)
        assert (member.number, member.name) == (0, None)
        assert everything(member.open()) == everything(member.open()) == dicom()
        assert everything(member.bounded()) == dicom()


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_members_of_a_zip_are_read_whole(path: Path, method: int) -> None:
    """Each method gives the bytes that were packed; folders have no place in the list."""
    members = [*MEMBERS, ("folder/", b"")]
    assert contents(path, packed_zip(members, method=method, flags=0x800)) == list(MEMBERS)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_of_a_tar_are_read_whole(path: Path, form: int, mode: str) -> None:
    """Each form of `tarfile` gives names and bytes that were packed, also through gzip."""
    members = MEMBERS if form != tarfile.USTAR_FORMAT else (MEMBERS[0], MEMBERS[1], MEMBERS[3])
    assert contents(path, packed_tar(members, form, mode)) == list(members)


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_tars_of_gnu_tar_are_read(path: Path, tmp_path: Path, form: str) -> None:
    """What the tar command writes is found in each of its forms; links are passed over."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "image").write_bytes(dicom())
    (folder / "hard").hardlink_to(folder / "sub" / "image")
    (folder / "soft").symlink_to("sub/image")
    names = ["sub", "hard", "soft"]
    subprocess.run(["tar", f"--format={form}", "-cf", path, "-C", folder, *names], check=True)
    assert contents(path, path.read_bytes()) == [
        ("sub/image", dicom()),
        ("hard", "link or device"),
        ("soft", "link or device"),
    ]


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=posix"]])
def test_sparse_members_are_lost_and_those_behind_them_are_not(
    path: Path, tmp_path: Path, options: list[str]
) -> None:
    """A member with left out holes is said to be unsupported, however long its map is."""
    with (tmp_path / "holes").open("wb") as file:
        for hole in range(64):
            file.seek(hole * bounds.MIB)
            file.write(b"x" * 4096)
    (tmp_path / "text").write_bytes(b"text")
    names = ["holes", "text"]
    subprocess.run(["tar", *options, "-S", "-cf", path, "-C", tmp_path, *names], check=True)
    (sparse, text) = contents(path, path.read_bytes())
    assert "sparse" in str(sparse[1])
    assert text == ("text", b"text")
    assert [number for number, _ in lost(path, path.read_bytes())] == [0]


def test_what_can_not_count_is_passed_over(path: Path) -> None:
    """Empty members, metadata of macOS and links have a reason, and are not lost."""
    names = [("empty", b""), ("__MACOSX/._a", b"x"), ("a/._b", b"x")]
    reasons = ["empty", "macOS metadata", "macOS metadata"]
    for data in (packed_zip(names), packed_tar(names)):
        assert [reason for _, reason in contents(path, data)] == reasons
        assert lost(path, data) == []


def test_an_encrypted_member_is_lost(path: Path) -> None:
    """Nobody knows whether it counts."""
    assert lost(path, packed_zip(MEMBERS[:1], flags=1)) == [(0, "The archive is encrypted.")]


def test_a_wrong_checksum_in_a_zip_shows_at_the_end_of_the_member(path: Path) -> None:
    """All bytes come, and then the error."""
    path.write_bytes(packed_zip(MEMBERS[:1], crc=1))
    with WholeUpload(path) as upload:
        (member,) = upload.members()
        assert isinstance(member, WholeMember)
        for stream in (member.open(), member.bounded()):
            with pytest.raises(ArchiveError, match="checksum"):
                everything(stream)


def test_a_stored_member_is_checked_before_its_first_byte(path: Path) -> None:
    """Looking into it compares no checksum; opening it to send it does."""
    path.write_bytes(packed_zip(MEMBERS[:1], method=0, crc=1))
    with WholeUpload(path) as upload:
        (member,) = upload.members()
        assert isinstance(member, WholeMember)
        assert everything(member.bounded()) == dicom()
        with pytest.raises(ArchiveError, match="checksum"):
            member.open()
    with WholeUpload(path, thorough=True) as upload:
        (member,) = upload.members()
        assert isinstance(member, WholeMember)
        with pytest.raises(ArchiveError, match="checksum"):
            everything(member.bounded())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"PK\3\4", b"PK\3\5", "not where its list"),
        (struct.pack("<2L", 600, 600), struct.pack("<2L", 599, 600), "size or checksum"),
        (struct.pack("<2L", 600, 600), struct.pack("<2L", 9999, 9999), "beyond its end"),
    ],
)
def test_a_stored_member_that_is_not_there_raises(
    path: Path, old: bytes, new: bytes, message: str
) -> None:
    """Another place, another size, or one beyond the end of the file."""
    packed = packed_zip([("text", b"text"), ("a", NOISE[:600])], method=0)
    path.write_bytes(new.join(packed.rsplit(old, 1)))
    with WholeUpload(path) as upload:
        _, member = upload.members()
        assert isinstance(member, WholeMember)
        for opened in (member.open, member.bounded):
            with pytest.raises(ArchiveError, match=message):
                opened()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"BZh91AY" + bytes(600), "bzip2 archive. Only zip, tar and tar.gz"),
        (gzip.compress(dicom()), "holds no tar"),
        (gzip.compress(b""), "holds no tar"),
        (gzip.compress(packed_tar(MEMBERS))[:100], "cut off"),
        (packed_zip(MEMBERS)[:-30], "cut off"),
    ],
    ids=["bzip2", "gzip of a DICOM", "gzip of nothing", "gzip that is cut off", "zip"],
)
def test_an_archive_that_can_not_be_opened_is_refused(
    path: Path, data: bytes, message: str
) -> None:
    """What gives no member at all raises."""
    with pytest.raises(ArchiveError, match=message):
        contents(path, data)


@pytest.mark.parametrize("left", [1025, 1536, 1537, 2047])
def test_a_tar_that_is_cut_off_keeps_what_is_before(path: Path, left: int) -> None:
    """The members before the cut come, and one that is lost stands for what is missing."""
    members = [(f"{number}", bytes([number]) * 512) for number in range(3)]
    data = packed_tar(members, tarfile.USTAR_FORMAT)[:left]
    assert contents(path, data)[0] == members[0]
    ((_, reason),) = lost(path, data)
    assert reason == "The archive is cut off: its end is missing."


def test_a_tar_without_its_end_mark_is_cut_off(path: Path) -> None:
    """All members are there, and nobody knows whether they are all."""
    data = packed_tar(MEMBERS[:2], tarfile.USTAR_FORMAT)
    size = 512 + -(-len(dicom()) // 512) * 512 + 1024
    assert lost(path, data[:size]) == [(2, "The archive is cut off: its end is missing.")]


def test_a_member_that_goes_beyond_the_end_of_a_tar_raises(path: Path) -> None:
    """Passing over a value notices that the file ends before the member does."""
    path.write_bytes(packed_tar([("a", bytes(100_000))], tarfile.USTAR_FORMAT)[:50_000])
    for data in (path.read_bytes(), gzip.compress(path.read_bytes())):
        path.write_bytes(data)
        with WholeUpload(path) as upload:
            member = next(upload.members())
            assert isinstance(member, WholeMember)
            stream = member.bounded()
            with pytest.raises(ArchiveError, match="cut off"):
                stream.skip(90_000, "a value")


def test_a_damaged_header_in_a_tar_loses_what_follows(path: Path) -> None:
    """Where a header's checksum is wrong, nobody knows where the next one is."""
    data = bytearray(packed_tar([("a", b"a"), ("b", b"b")], tarfile.USTAR_FORMAT))
    data[1024] ^= 1
    assert contents(path, bytes(data))[0] == ("a", b"a")
    assert lost(path, bytes(data)) == [
        (1, "The archive is damaged: a header of its members is wrong.")
    ]


def zeroed(members: Sequence[tuple[str, bytes]], number: int) -> bytes:
    """Return a tar of `members` in which the header of one is a block of zeros."""
    data = bytearray(packed_tar(members, tarfile.USTAR_FORMAT))
    start = sum(512 + -(-len(content) // 512) * 512 for _, content in members[:number])
    data[start : start + 512] = bytes(512)
    return bytes(data)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_zeroed_header_in_a_tar_loses_what_follows(
    path: Path, number: int, packed: Callable[[bytes], bytes]
) -> None:
    """It is no end mark: what stands behind it is named as lost, whichever header it is."""
    members = [(f"image{each}", dicom()) for each in range(4)]
    data = packed(zeroed(members, number))
    assert contents(path, data)[:number] == members[:number]
    assert lost(path, data) == [
        (number, "The archive is damaged: its end mark is followed by other data.")
    ]


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_without_its_first_header_a_tar_is_none(
    path: Path, packed: Callable[[bytes], bytes]
) -> None:
    """It holds no member that could be taken for all of them."""
    data = packed(zeroed([("a", dicom()), ("b", dicom())], 0))
    try:
        assert contents(path, data) == [(None, data)]
    except ArchiveError as error:
        assert "holds no tar" in error.message  # noqa: PT017 - a gzip says so


@pytest.mark.parametrize("form", FORMATS)
def test_tars_that_were_joined_are_read_on(path: Path, form: int) -> None:
    """As ``tar --ignore-zeros`` does; their end marks and padding stand between them."""
    first, second = MEMBERS[:2], [MEMBERS[3], ("last", dicom())]
    data = packed_tar(first, form) + bytes(200 * 512) + packed_tar(second, form)
    for packed in (data, gzip.compress(data)):
        assert contents(path, packed) == [*first, *second]
    cut = data[: -(len(data) - len(data.rstrip(b"\0")))]
    assert [reason for _, reason in lost(path, cut)] == [
        "The archive is cut off: its end is missing."
    ]


def test_what_stands_behind_the_padding_of_a_tar_is_lost(path: Path) -> None:
    """However far behind it, and even less than a block of it."""
    data = packed_tar(MEMBERS[:2], tarfile.USTAR_FORMAT) + bytes(300_000) + b"x"
    assert [number for number, _ in lost(path, data)] == [2]


def typed(kind: bytes, content: bytes) -> bytes:
    """Return a tar of three members, the middle one of a type."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, type_, data in (("a", b"0", b"a"), ("b", kind, content), ("c", b"0", b"c")):
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), type_
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.parametrize("kind", [b"\0", b"7", b"A", b"V", b"Z", b"\xff"])
def test_a_type_that_posix_does_not_know_is_a_file(path: Path, kind: bytes) -> None:
    """POSIX.1-2001 has it so, and an image may be in it."""
    assert contents(path, typed(kind, b"b")) == [("a", b"a"), ("b", b"b"), ("c", b"c")]


def test_the_name_of_a_volume_is_no_file(path: Path) -> None:
    """GNU tar writes one for ``--label``."""
    assert contents(path, typed(b"V", b""))[1] == ("b", "link or device")
    assert lost(path, typed(b"V", b"")) == []


def test_a_member_that_begins_in_another_volume_is_lost(path: Path) -> None:
    """The others are there, and it has its name."""
    assert [number for number, _ in lost(path, typed(b"M", b"b"))] == [1]
    (_, (name, reason), last) = contents(path, typed(b"M", b"b"))
    assert (name, last) == ("b", ("c", b"c"))
    assert "another volume" in str(reason)


def test_a_tar_gz_that_is_cut_off_keeps_what_is_before(path: Path) -> None:
    """Members before the cut are whole, one lost member says that others are missing."""
    data = gzip.compress(packed_tar([("a", NOISE[:1000]), ("b", NOISE)]))
    found = lost(path, data[: len(data) // 2])
    assert [number for number, _ in found] == [2]
    path.write_bytes(data[:-20])
    with WholeUpload(path) as upload:
        first, *_, last = upload.members()
    assert first.name == "a"
    assert isinstance(last, PassedMember)
    assert last.name is None


def test_only_the_trailer_of_a_tar_gz_is_missing(path: Path) -> None:
    """All members come, and one that is lost, because the checksum is unknown."""
    data = gzip.compress(packed_tar(MEMBERS))
    assert [number for number, _ in lost(path, data[:-4])] == [len(MEMBERS)]


@pytest.mark.parametrize("at", [-8, -200])
def test_nothing_in_a_damaged_tar_gz_is_trusted(path: Path, at: int) -> None:
    """A wrong checksum, or damage before it, refuses all members: any of them may be wrong."""
    data = bytearray(gzip.compress(packed_tar([("a", NOISE)])))
    data[at] ^= 255
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path, bytes(data))


def test_gzip_data_may_come_in_parts_and_be_padded(path: Path) -> None:
    """Parallel packers write several parts, tapes add zeros; anything else is damage."""
    data = packed_tar(MEMBERS)
    parts = b"".join(gzip.compress(data[at : at + 700]) for at in range(0, len(data), 700))
    for padded in (parts, parts + bytes(40_000)):
        assert contents(path, padded) == list(MEMBERS)
    for garbage in (b"x", b"xyz"):
        with pytest.raises(ArchiveError, match="followed by others"):
            contents(path, parts + garbage)


@given(places=st.lists(st.tuples(st.integers(0, len(NOISE)), st.integers(1, 200_000)), max_size=20))
def test_a_gzip_is_read_at_any_place(places: Sequence[tuple[int, int]]) -> None:
    """Wherever one reads, in whatever order, the bytes are those of the content."""
    for offset, size in places:
        assert SMALL_STEPS.read_at(offset, size) == NOISE[offset : offset + size]


def test_a_gzip_ends_where_its_content_does() -> None:
    """Beyond the end there is nothing; passing bytes gives those behind them."""
    assert SMALL_STEPS.read_at(len(NOISE) + 10, 5) == b""
    section = SMALL_STEPS.open(10, 1000)
    section.advance(400)
    assert everything(section) == NOISE[410:1010]


SMALL_STEPS = Gunzipped(Bytes(gzip.compress(NOISE, 1)))
SMALL_STEPS._distance = 4096


def test_few_decoders_are_kept_of_a_large_gzip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distance between them is doubled before they become more than a bound."""
    monkeypatch.setattr(gunzip, "_FIRST_DISTANCE", 4096)
    file = Gunzipped(Bytes(gzip.compress(NOISE, 1)))
    file.finish()
    assert everything(file.open(0, len(NOISE)), 4096) == NOISE
    assert 2 < len(file._places) <= gunzip._MAX_PLACES
    assert file._distance > 4096
    assert len(file._idle) <= gunzip._MAX_IDLE


def test_another_thread_may_have_kept_a_place_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that is no longer far enough ahead is not kept."""
    monkeypatch.setattr(gunzip, "_FIRST_DISTANCE", 4096)
    file = Gunzipped(Bytes(gzip.compress(NOISE, 1)))
    first, second = file.take(0), file.take(0)
    first.read(8192)
    second.read(8192)
    file._keep(first)
    file._keep(second)
    assert len(file._places) == 2


def test_threads_read_one_gzip_at_once() -> None:
    """Eight readers of eight sections get their own bytes."""
    file = Gunzipped(Bytes(gzip.compress(NOISE, 1)))
    size = len(NOISE) // 8
    found: dict[int, bytes] = {}

    def read(number: int) -> None:
        found[number] = everything(file.open(number * size, size), 5000)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(found[number] for number in range(8)) == NOISE


def test_reading_a_gzip_in_order_inflates_it_once() -> None:
    """Whoever reads on from where the last one stopped pays for nothing twice."""
    source = RandomBytes(gzip.compress(NOISE, 1))
    file = Gunzipped(source)
    for at in range(0, len(NOISE), 100_000):
        assert everything(file.open(at, 100_000)) == NOISE[at : at + 100_000]
    assert source.given <= source.size * 1.1


class RandomBytes(Bytes):
    """`Bytes` that count what they give."""

    given = 0

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end."""
        data = super().read_at(offset, size)
        self.given += len(data)
        return data


def test_a_gzip_beyond_the_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What inflates to more than is read of an upload raises."""
    monkeypatch.setattr(gunzip, "WHOLE_LIMIT", 1000)
    with pytest.raises(ArchiveError, match="within bounds"):
        Gunzipped(Bytes(gzip.compress(NOISE))).finish()


def test_an_upload_beyond_the_bounds_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`exhausted` tells a member that is at fault from all of them together."""
    monkeypatch.setattr(bounds, "WHOLE_LIMIT", 1000)
    path.write_bytes(packed_zip(MEMBERS))
    with WholeUpload(path) as upload:
        *_, member, _ = upload.members()
        assert not upload.exhausted
        assert isinstance(member, WholeMember)
        with pytest.raises(ArchiveError, match="within bounds"):
            everything(member.bounded())
        assert upload.exhausted


def header(**fields: bytes) -> bytes:
    """Return a tar header with the given raw fields and a right checksum."""
    places = {"name": 0, "size": 124, "type": 156, "magic": 257}
    block = bytearray(512)
    block[148:156] = b" " * 8
    for name, value in fields.items():
        block[places[name] : places[name] + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def entries(data: bytes) -> list[tuple[str, int]]:
    """Return names and sizes that `tar_entries` finds."""
    return [(entry.name, entry.size) for entry in tar_entries(Bytes(data))]


def test_sizes_beyond_octal_digits_are_read() -> None:
    """GNU tar writes them in base 256, pax as a decimal record; both lead past the content."""
    assert entries(header(name=b"a", size=b"\x80" + (3).to_bytes(11, "big")) + bytes(1536)) == [
        ("a", 3)
    ]
    pax = header(type=b"x", size=b"17") + b"15 size=000003\n".ljust(512, b"\0")
    assert entries(pax + header(name=b"a") + bytes(1536)) == [("a", 3)]


@pytest.mark.parametrize(
    "data",
    [
        header(name=b"a", size=b"9z"),
        header(name=b"a", size=b"-1"),
        header(name=b"a", size=b"\x80" + b"\xff" * 11),
        header(type=b"x", size=b"20") + b"13 size=123x\n".ljust(512, b"\0") + header(name=b"a"),
        header(type=b"x", size=b"20") + b"99 size=123\n".ljust(512, b"\0") + header(name=b"a"),
        header(type=b"x", size=b"7777777"),
    ],
)
def test_wrong_numbers_in_a_tar_are_damage(data: bytes) -> None:
    """A size that is no number, or of a header that is too long, raises."""
    with pytest.raises(ArchiveError):
        entries(data + bytes(1024))


def test_what_is_said_of_all_members_is_not_a_name() -> None:
    """A global pax header, and the long name of a link, change nothing of the next member."""
    about = header(type=b"g", size=b"13") + b"11 path=all\n".ljust(512, b"\0")
    link = header(type=b"K", size=b"4") + b"link".ljust(512, b"\0")
    assert entries(about + link + header(name=b"a") + bytes(1024)) == [("a", 0)]


def test_the_checksum_of_old_writers_is_one() -> None:
    """Some added up the bytes as signed ones."""
    block = bytearray(header(name=b"\xff"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % (sum(block) - 256)
    assert is_tar_header(bytes(block))
    assert entries(bytes(block) + bytes(1024)) == [("\\xff", 0)]


@pytest.mark.parametrize("block", [b"", bytes(512), b"x" * 512, header(name=b"a")[:500]])
def test_what_is_no_tar_header_is_told(block: bytes) -> None:
    """Zeros, text and half a header are none."""
    assert not is_tar_header(block)


def test_a_tar_of_too_many_members_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is bounded as that of a zip is."""
    monkeypatch.setattr(tar, "MAX_MEMBERS", 2)
    assert len(entries(header(name=b"a") * 2 + bytes(1024))) == 2
    with pytest.raises(ArchiveError, match="more than"):
        entries(header(name=b"a") * 3 + bytes(1024))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_tar_raises_nothing_but_our_errors(path: Path, data: st.DataObject) -> None:
    """Bytes changed anywhere, or the end cut off, end as members or as an `ImagingError`."""
    form = data.draw(st.sampled_from(FORMATS))
    packed = bytearray(packed_tar([("a" * 90 + "/" + "b" * 90, b"x" * 600), ("c", b"y")], form))
    packed = packed[: data.draw(st.integers(600, len(packed)))]
    for _ in range(data.draw(st.integers(0, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert len(contents(path, bytes(packed))) <= 4
    except ImagingError as error:
        assert error.message  # noqa: PT017 - either outcome is right


def test_a_section_passes_what_is_not_asked_for(path: Path) -> None:
    """Skipping reads the file's last byte there, and no value."""
    path.write_bytes(bytes(bounds.MIB) + b"end")
    file = RandomFile(path)
    stream = SectionStream(Section(file, 0, file.size), whole.whole_budget(), file.size)
    assert stream.peek(3) == bytes(3)
    stream.skip(2, "a value")
    stream.skip(bounds.MIB - 2, "a value")
    assert stream.position == bounds.MIB
    assert stream.read(10) == b"end"
    assert file.bytes_read < 10_000
    file.close()
    file.close()
    with pytest.raises(OSError, match="descriptor"):
        file.read_at(0, 1)
