"""What is in an upload: order, what is passed over and why, and archives that are broken."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import zipfile
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging_gears.dicom.attributes import ATTRIBUTES
from imaging_gears.dicom.header import Header, read_header
from imaging_gears.dicom.members import Member, Skipped, Upload
from imaging_gears.errors import ArchiveError, HeaderError, ImagingError, NotDicomError
from tests.unit.dicom.builders import (
    DEFLATED,
    DIRECTORY,
    EXPLICIT,
    SYNTAXES,
    UNDEFINED,
    VALUES,
    dicom,
    element,
    end_record,
    meta,
    packed_zip,
)

if TYPE_CHECKING:
    from pathlib import Path

LINK = 0o120777 << 16
BROKEN = meta(EXPLICIT) + element(0x00081140, "SQ", length=UNDEFINED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the upload of the test is."""
    return tmp_path / "upload"


def seen(path: Path, data: bytes, *, reverse: bool = False) -> list[tuple[str | None, str | None]]:
    """Return name and reason of each member of the upload `data`; no reason for one that counts."""
    path.write_bytes(data)
    with Upload(path) as upload:
        return [
            (member.name, member.reason if isinstance(member, Skipped) else None)
            for member in upload.members(reverse=reverse)
        ]


def headers(path: Path, data: bytes) -> list[Header]:
    """Return the headers of the members of the upload `data` that count."""
    path.write_bytes(data)
    found = []
    with Upload(path) as upload:
        for member in upload.members():
            if isinstance(member, Member):
                with member.open() as stream:
                    found.append(read_header(stream, ATTRIBUTES))
    return found


def is_ordinary(header: Header) -> bool:
    """Return whether `header` has all values of `builders.ORDINARY`."""
    return all(header.values[keyword] == values for keyword, values in VALUES.items())


def test_a_dicom_is_its_own_member(path: Path) -> None:
    """A plain file has no name within itself."""
    assert seen(path, dicom()) == [(None, None)]
    assert is_ordinary(headers(path, dicom())[0])


def test_a_polyglot_is_a_dicom(path: Path) -> None:
    """A zip behind a DICOM, or zip bytes in its preamble, change nothing."""
    archive = packed_zip([("other", b"x")])
    assert seen(path, dicom() + archive) == [(None, None)]
    assert seen(path, b"PK\x03\x04" + dicom()[4:]) == [(None, None)]


def test_what_is_no_archive_is_left_to_the_header_reader(path: Path) -> None:
    """A text is the upload's only member, and reading it raises NotDicomError."""
    with pytest.raises(NotDicomError):
        headers(path, b"a text")


@pytest.mark.parametrize("method", [0, 8, 12, 14])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_method_gives_the_same_header(path: Path, method: int, syntax: str) -> None:
    """Stored, deflate, bzip2 and LZMA, with every transfer syntax within."""
    (header,) = headers(path, packed_zip([("a", dicom(syntax))], method=method))
    assert is_ordinary(header)


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_what_zipfile_writes_is_read(path: Path, method: int) -> None:
    """Archives of Python's own writer, data descriptors and comment included."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.comment = b"packed by PK\x05\x06 somebody"
        with archive.open("a", "w", force_zip64=True) as stream:
            stream.write(dicom())
        archive.writestr("b/", b"")
    assert seen(path, path.read_bytes()) == [("a", None), ("b/", "directory")]
    assert is_ordinary(headers(path, path.read_bytes())[0])


def test_members_come_in_the_order_of_the_directory_and_back(path: Path) -> None:
    """`reverse` turns the order round; the index of a member stays."""
    data = packed_zip([(str(number), dicom()) for number in range(500)])
    names = [str(number) for number in range(500)]
    assert [name for name, _ in seen(path, data)] == names
    assert [name for name, _ in seen(path, data, reverse=True)] == names[::-1]
    with Upload(path) as upload:
        last = next(upload.members(reverse=True))
    assert isinstance(last, Member)
    assert last.index == 499


def test_what_is_no_image_is_passed_over_with_the_reason(path: Path) -> None:
    """By content, except for what never is an image whatever it contains."""
    members = [
        ("folder/", b""),
        ("__MACOSX/a.dcm", dicom()),
        ("x/._a.dcm", dicom()),
        ("empty.dcm", b""),
        ("notes.dcm", b"a text"),
        ("DICOMDIR", meta(EXPLICIT, DIRECTORY) + element(0x00041130, "CS", "SET")),
        ("inner.zip", packed_zip([("a", dicom())])),
        ("inner.gz", b"\x1f\x8b" + bytes(600)),
        ("1.2.840.IMA", dicom()),
        ("broken", BROKEN),
        ("no dataset", bytes(128) + b"DICM"),
    ]
    assert [reason for _, reason in seen(path, packed_zip(list(members)))] == [
        "directory",
        "macOS metadata",
        "macOS metadata",
        "empty",
        "not DICOM",
        "DICOMDIR",
        "archive inside the archive",
        "archive inside the archive",
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/absolute", "C:\\x", "a", b"\xff\xfe", "n\xe4me", ""]
)
def test_no_name_does_harm(path: Path, name: str | bytes) -> None:
    """Names lead nowhere, UTF-8 or not; a nameless member is passed over."""
    ((_, reason),) = seen(path, packed_zip([(name, dicom())], flags=0x0800))
    assert reason == (None if name else "directory")
    assert list(path.parent.iterdir()) == [path]


def test_names_are_decoded(path: Path) -> None:
    """As UTF-8 where the flag says so, with what is none escaped; else as code page 437."""
    assert seen(path, packed_zip([(b"n\xc3\xa4\xff", b"x")], flags=0x0800))[0][0] == "n\xe4\\xff"
    assert seen(path, packed_zip([(b"n\x84", b"x")]))[0][0] == "n\xe4"


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_a_member_without_content_is_empty(path: Path, method: int) -> None:
    """Also where its packer makes a few bytes of nothing."""
    assert seen(path, packed_zip([("a", b"")], method=method)) == [("a", "empty")]


def test_links_are_not_followed(path: Path) -> None:
    """A symbolic link is passed over, whatever it contains."""
    assert seen(path, packed_zip([("a", dicom())], attributes=LINK)) == [("a", "link")]


def test_members_of_one_name_are_two_members(path: Path) -> None:
    """Each entry is read at its own place."""
    found = headers(path, packed_zip([("a", dicom()), ("a", dicom(DEFLATED))]))
    assert [header.transfer_syntax_uid for header in found] == [EXPLICIT, DEFLATED]


@pytest.mark.parametrize(
    ("flags", "method", "reason"),
    [
        (0x0001, 8, "encrypted"),
        (0x0041, 8, "encrypted"),
        (0, 9, "packed with Deflate64"),
        (0, 98, "packed with PPMd"),
        (0, 77, "packed with method 77"),
    ],
)
def test_members_that_cannot_be_read_say_why(
    path: Path, flags: int, method: int, reason: str
) -> None:
    """They are passed over, with the error to raise when nothing else counts."""
    path.write_bytes(packed_zip([("a", b"x")], flags=flags, method=method, content=b"x"))
    with Upload(path) as upload:
        (member,) = upload.members()
    assert isinstance(member, Skipped)
    assert member.reason == reason
    assert reason in str(member.error)


def damaged(**changes: object) -> bytes:
    """Return an archive with one field of its first member's entry changed."""
    fields: dict[str, tuple[int, str]] = {
        "compressed_size": (20, "<L"),
        "offset": (42, "<L"),
    }
    data = bytearray(packed_zip([("a", dicom())]))
    start = data.index(b"PK\x01\x02")
    for name, value in changes.items():
        struct.pack_into(fields[name][1], data, start + fields[name][0], value)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        packed_zip([("a", dicom())], content=b"\xff" * 500),
        packed_zip([("a", dicom())], method=12, content=b"\xff" * 500),
        packed_zip([("a", dicom())], method=14, content=b"\x09\x00\x05\x00\xff" + b"\xff" * 500),
        packed_zip([("a", dicom())], method=14, content=b"\x09\x00\x05\x00\xe1" + bytes(500)),
        packed_zip([("a", dicom())], method=14, content=b"\x09\x00\x04\x00\x5d" + bytes(500)),
        packed_zip([("a", dicom())], method=14, content=b"\x09"),
        packed_zip([("a", dicom())], content=b""),
        packed_zip([("a", dicom())], size=100),
        packed_zip([("a", dicom())], size=0),
        packed_zip([("a", dicom())], size=0, method=0),
        damaged(offset=3),
        damaged(offset=10**9),
        damaged(compressed_size=10**6),
    ],
)
def test_damaged_members_are_passed_over(path: Path, data: bytes) -> None:
    """What can't be decompressed, or is not where it should be, is "damaged"."""
    path.write_bytes(data)
    with Upload(path) as upload:
        (member,) = upload.members()
    assert isinstance(member, Skipped)
    assert member.reason == "damaged"
    assert isinstance(member.error, ArchiveError)


def first_member(upload: Upload) -> Member:
    """Return the first member, which begins as a DICOM does."""
    member = next(upload.members())
    assert isinstance(member, Member)
    return member


@pytest.mark.parametrize(
    ("method", "tail"), [(0, 5000), (0, 7_000_000), (8, 200_000), (12, 200_000), (14, 200_000)]
)
def test_a_wrong_checksum_of_a_member_is_found(path: Path, method: int, tail: int) -> None:
    """It is read to its end, so a flipped bit never gives a wrong PatientID."""
    for crc in (None, 1):
        path.write_bytes(packed_zip([("a", dicom(tail=bytes(tail)))], crc=crc, method=method))
        with Upload(path) as upload:
            member = first_member(upload)
            with pytest.raises(ArchiveError, match="checksum") if crc else nullcontext():
                member.check()


def test_a_member_shorter_than_stated_is_an_error(path: Path) -> None:
    """The stated size is checked where the end is read."""
    path.write_bytes(packed_zip([("a", dicom())], size=5000))
    with Upload(path) as upload, pytest.raises(ArchiveError):
        first_member(upload).check()


def test_a_large_member_is_not_read_to_its_end(path: Path) -> None:
    """Where 10 MB follow the header, some KiB are read; the checksum stays unknown."""
    noise = random.Random(0).randbytes(10_000_000)  # noqa: S311 - only has to be incompressible
    path.write_bytes(packed_zip([("a", dicom(tail=noise))], crc=1))
    with Upload(path) as upload:
        member = first_member(upload)
        with member.open() as stream:
            assert is_ordinary(read_header(stream, ATTRIBUTES))
        member.check()
        assert upload.bytes_read < 16 * 1024


def test_few_bytes_of_a_large_archive_are_read(path: Path) -> None:
    """Of 18 MB with 176 slices, the first and the last header take under 256 KiB."""
    slices = random.Random(0)  # noqa: S311 - only has to be incompressible
    members: list[tuple[str | bytes, bytes]] = [
        (f"MR.1.3.12.2.1107.5.2.{number:040}.dcm", dicom(tail=slices.randbytes(104_000)))
        for number in range(176)
    ]
    path.write_bytes(packed_zip(members))
    assert path.stat().st_size > 18_000_000
    with Upload(path) as upload:
        for reverse in (False, True):
            member = next(upload.members(reverse=reverse))
            assert isinstance(member, Member)
            with member.open() as stream:
                read_header(stream, ATTRIBUTES)
        assert upload.bytes_read < 256 * 1024


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "7z"),
        (b"\x1f\x8b" + bytes(600), "gzip"),
        (b"BZh91AY&SY" + bytes(600), "bzip2"),
        (b"\xfd7zXZ\x00" + bytes(600), "xz"),
        (b"Rar!\x1a\x07\x00" + bytes(600), "rar"),
        (b"x" * 257 + b"ustar\x00" + bytes(600), "tar"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "Zstandard"),
    ],
)
def test_other_archives_are_named(path: Path, data: bytes, kind: str) -> None:
    """The error says which kind of archive it is."""
    with pytest.raises(ArchiveError, match=f"{kind} archive"):
        seen(path, data)


def test_a_tar_without_a_signature_is_named(path: Path, tmp_path: Path) -> None:
    """The oldest form is known by the checksum of its first header; in a zip it is an archive."""
    (tmp_path / "image").write_bytes(dicom())
    tar = tmp_path / "v7.tar"
    subprocess.run(["tar", "--format=v7", "-cf", tar, "-C", tmp_path, "image"], check=True)
    with pytest.raises(ArchiveError, match="tar archive"):
        seen(path, tar.read_bytes())
    inner = packed_zip([("a", tar.read_bytes())])
    assert seen(path, inner) == [("a", "archive inside the archive")]


WHOLE = packed_zip([("a", dicom()), ("b", dicom())])
ENTRY = b"PK\x01\x02"


@pytest.mark.parametrize(
    "data",
    [
        WHOLE[:-23],
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:40],
        WHOLE[:-22] + end_record(2, 94, 10),
        WHOLE[:-22] + end_record(2, 94, len(WHOLE) - 116, disk=1),
        packed_zip([("inner", WHOLE)], method=0)[:-60],
        b"PK\x03\x04" + bytes(30) + end_record(1, 4, 30),
        WHOLE.replace(ENTRY, b"PK\x01\x03"),
        b"PK\x03\x04" + end_record(0xFFFF, 2**32 - 1, 2**32 - 1),
        b"PK\x03\x04"
        + struct.pack("<4sLQL", b"PK\x06\x07", 0, 10**9, 1)
        + end_record(0xFFFF, 2**32 - 1, 2**32 - 1),
    ],
)
def test_an_archive_that_is_cut_off_or_damaged_is_an_error(path: Path, data: bytes) -> None:
    """The end is missing, leads elsewhere, or the list of members is none."""
    with pytest.raises(ArchiveError):
        seen(path, data)


@pytest.mark.parametrize("size", range(4, 22))
def test_a_piece_of_an_end_record_is_an_archive_that_is_cut_off(path: Path, size: int) -> None:
    """A file of less than 22 bytes is no archive, whatever it begins with."""
    with pytest.raises(ArchiveError, match="cut off"):
        seen(path, end_record(0, 0, 0)[:size])


def test_an_empty_archive_has_no_members(path: Path) -> None:
    """The 22 bytes of an empty zip are a zip."""
    assert seen(path, end_record(0, 0, 0)) == []


def test_bytes_behind_an_archive_are_ignored(path: Path) -> None:
    """A transfer may add some; they are no reason to refuse it."""
    assert seen(path, WHOLE + b"\r\n\r\n") == [("a", None), ("b", None)]


def test_large_numbers_come_from_the_zip64_records(path: Path) -> None:
    """End record and entry in their zip64 form, with other extra fields in front."""
    data = packed_zip([("a", dicom())])
    start = data.index(ENTRY)
    entry = bytearray(data[start:-22])
    compressed, size = struct.unpack_from("<2L", entry, 20)
    extra = struct.pack("<HH4x", 0x5455, 4) + struct.pack("<HH3Q", 1, 24, size, compressed, 0)
    struct.pack_into("<2L", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(extra))
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    directory = bytes(entry) + extra
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(directory), 1)
    end = end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    (header,) = headers(path, data[:start] + directory + end64 + locator + end)
    assert is_ordinary(header)


@pytest.mark.parametrize("extra", [b"", b"\x01", struct.pack("<HH", 0x5455, 0) * 40])
def test_a_large_number_without_its_zip64_field_is_damage(path: Path, extra: bytes) -> None:
    """An offset that is nowhere leads beyond the end of the file."""
    data = packed_zip([("a", dicom())])
    start = data.index(ENTRY)
    entry = bytearray(data[start:-22])
    struct.pack_into("<H", entry, 30, len(extra))
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    directory = bytes(entry) + extra
    found = seen(path, data[:start] + directory + end_record(1, len(directory), start))
    assert found == [("a", "damaged")]


@pytest.mark.parametrize("stated", [0xFFFF, 5])
def test_more_than_100000_members_are_refused(path: Path, stated: int) -> None:
    """The list itself is counted, whatever the end record says."""
    data = packed_zip([("a/", b"")], copies=100_001)
    directory = data[data.index(ENTRY) : -22]
    data = data[:-22] + end_record(stated, len(directory), data.index(ENTRY))
    with pytest.raises(ArchiveError, match="100,000"):
        seen(path, data)


def test_100000_members_are_read(path: Path) -> None:
    """The bound itself is within it."""
    assert len(seen(path, packed_zip([("a/", b"")], copies=100_000))) == 100_000


def test_many_expensive_members_are_refused_together(path: Path) -> None:
    """A block of bzip2 takes milliseconds whatever is read of it, so their number is bounded."""
    with pytest.raises(ArchiveError, match="within bounds"):
        seen(path, packed_zip([("a", b"text")], copies=2000, method=12))


def test_a_list_of_members_beyond_64_mib_is_not_read(path: Path) -> None:
    """The end record alone is enough to refuse it."""
    path.write_bytes(b"PK\x03\x04" + end_record(1, 64 * 2**20 + 1, 4))
    with Upload(path) as upload:
        with pytest.raises(ArchiveError, match="64 MiB"):
            list(upload.members())
        assert upload.bytes_read < 1024


def test_an_upload_is_used_as_a_context_manager(path: Path) -> None:
    """Outside of its context there is no file to read."""
    with pytest.raises(RuntimeError):
        list(Upload(path).members())
    with pytest.raises(FileNotFoundError):
        Upload(path).__enter__()


def test_a_broken_member_does_not_hide_a_good_one(path: Path) -> None:
    """Each member is judged by itself."""
    path.write_bytes(packed_zip([("broken", BROKEN), ("good", dicom())]))
    with Upload(path) as upload:
        broken, good = upload.members()
        assert isinstance(broken, Member)
        assert isinstance(good, Member)
        with pytest.raises(HeaderError), broken.open() as stream:
            read_header(stream, ATTRIBUTES)
        with good.open() as stream:
            assert is_ordinary(read_header(stream, ATTRIBUTES))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_mutation_of_an_archive_raises_anything_but_our_errors(
    path: Path, data: st.DataObject
) -> None:
    """Bytes changed, cut out or put in anywhere: members and headers, or our errors."""
    method = data.draw(st.sampled_from([0, 8, 12, 14]))
    whole = bytearray(packed_zip([("t", b"text"), ("a", dicom()), ("b/", b"")], method=method))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(whole)))
        removed = data.draw(st.integers(0, 8))
        whole[place : place + removed] = data.draw(st.binary(max_size=8))
    path.write_bytes(whole)
    with Upload(path) as upload:
        try:
            for member in upload.members(reverse=data.draw(st.booleans())):
                if isinstance(member, Member):
                    with member.open() as stream:
                        read_header(stream, ATTRIBUTES)
        except ImagingError:
            pass
        assert upload.bytes_read < 50 * len(whole) + 4096


def test_zip_and_stream_agree(path: Path) -> None:
    """A member reads as the same bytes do in memory."""
    (header,) = headers(path, packed_zip([("a", dicom())]))
    assert header == read_header(io.BytesIO(dicom()), ATTRIBUTES)
