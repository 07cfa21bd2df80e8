"""The files around the package agree with each other."""

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools import check_readme, refuse_dicom, validate_manifest

REPOSITORY = Path(__file__).resolve().parents[1]
PINNED = re.compile(
    r"^([a-z0-9-]+)==(\S+)((?:.*\\\n\s+--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)
PREAMBLE = bytes(128) + b"DICM"


def read(name: str) -> str:
    """Return the text of a file of the repository."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def pins(name: str) -> dict[str, tuple[str, str]]:
    """Return version and hashes of each package in a lock file."""
    return {package: (version, hashes) for package, version, hashes in PINNED.findall(read(name))}


@pytest.mark.parametrize("name", ["gear", "build"])
def test_what_is_shipped_is_what_is_tested(name: str) -> None:
    """Every package of the image stands in dev.txt with the same version and the same hashes."""
    shipped, tested = pins(f"requirements/{name}.txt"), pins("requirements/dev.txt")
    assert shipped
    assert {package: tested.get(package) for package in shipped} == shipped


@pytest.mark.parametrize("name", ["gear", "build", "dev"])
def test_every_line_of_a_lock_is_pinned(name: str) -> None:
    """A lock holds hash-pinned packages and comments, no index and no host."""
    rest = PINNED.sub("", read(f"requirements/{name}.txt"))
    assert [line for line in rest.splitlines() if line and not line.lstrip().startswith("#")] == []
    assert "://" not in read(f"requirements/{name}.txt")


def write_wheel(folder: Path, name: str, version: str, *metadata: str) -> str:
    """Write a wheel without any content. Returns its line in a lock."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    lines = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, "")
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{about}/METADATA", "\n".join(lines))
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_a_newer_release_does_not_disturb_what_a_lock_installs(tmp_path: Path, file: str) -> None:
    """A package asks for an extra of another, which has a release that the lock doesn't know."""
    extra = ("Provides-Extra: toml",)
    lock = write_wheel(tmp_path, "asked", "1.0", *extra)
    write_wheel(tmp_path, "asked", "1.1", *extra)
    lock += write_wheel(tmp_path, "asking", "1.0", "Requires-Dist: asked[toml]>=1.0")
    (tmp_path / "lock.txt").write_text(lock, encoding="utf-8")
    installs = re.findall(r"install ((?:[^&\n]|\\\n)*--require-hashes(?:[^&\n]|\\\n)*)", read(file))
    assert installs
    for options in installs:
        words = options.replace("\\", " ").split()
        flags = words[: words.index("-r")] if "-r" in words else words
        pip = f"{sys.executable} -m pip --isolated install --dry-run --no-index"
        where = (f"--find-links={tmp_path}", f"--target={tmp_path}/site", f"-r{tmp_path}/lock.txt")
        done = subprocess.run(
            [*pip.split(), *flags, *where], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_image_and_manifest_start_the_same_program() -> None:
    """The ENTRYPOINT of the image is the command of the manifest."""
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", read("Dockerfile"), re.MULTILINE)
    assert " ".join(json.loads(entry)) == json.loads(read("manifest.json"))["command"]


def test_the_manifest_finds_the_python_of_the_image() -> None:
    """The platform takes PATH from the manifest: it must begin with the image's venv."""
    path = json.loads(read("manifest.json"))["environment"]["PATH"]
    assert path.split(":")[0] == "/opt/venv/bin"
    assert f"PATH={path.split(':')[0]}:" in read("Dockerfile")


def test_the_manifest_names_the_image_of_its_version() -> None:
    """The image that the manifest names carries the manifest's version as its tag."""
    manifest = json.loads(read("manifest.json"))
    assert manifest["custom"]["gear-builder"]["image"].endswith(f":{manifest['version']}")


def test_manifests_are_valid() -> None:
    """What `make check` says of the manifests."""
    for path in (REPOSITORY / "manifest.json", *REPOSITORY.glob("gears/*/manifest.json")):
        assert validate_manifest.problems(str(path)) == []


def test_a_manifest_with_a_fault_is_refused(tmp_path: Path) -> None:
    """What fw-gear finds wrong comes back as text."""
    manifest = json.loads(read("manifest.json"))
    manifest["inputs"] = 5
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert any("5" in fault for fault in validate_manifest.problems(f"{tmp_path}/manifest.json"))


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("```console\n$ make check\nany output\n```", None),
        ("```console\n$ make nonsense\n```", "no target nonsense"),
        ("```sh\nmake check ARGS=-x\nmake tset # typo\n```", "no target tset"),
        ("```sh\nimage-identifier-lookup inspect --json a.zip\n```", None),
        ("```sh\nimage-identifier-lookup inspekt a.zip\n```", "knows no command inspekt"),
        ("```sh\n.venv/bin/image-identifier-lookup inspect \\\n  --jsonn a.zip\n```", "no option"),
        ("nothing to type", "no command of this project"),
    ],
)
def test_commands_of_a_page_are_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    page: str,
    fault: str | None,
) -> None:
    """A command that does not exist is named, one that does is not."""
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / "page.md").write_text(page + "\n", encoding="utf-8")
    status = check_readme.main([f"{tmp_path}/page.md"])
    assert status == (fault is not None)
    assert fault is None or fault in capsys.readouterr().out


def test_images_are_refused_whatever_they_are_called(tmp_path: Path) -> None:
    """A DICOM file and a zip with one in it are refused, text and a zip of text are not."""
    (tmp_path / "notes.txt").write_bytes(PREAMBLE)
    (tmp_path / "real-notes.txt").write_text("DICM", encoding="utf-8")
    for name, content in (("images.bin", PREAMBLE), ("texts.zip", b"DICM")):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a", b"")
            archive.writestr("b", content)
        (tmp_path / name).write_bytes(packed.getvalue())
    refused = {path.name for path in tmp_path.iterdir() if refuse_dicom.holds_dicom(path)}
    assert refused == {"notes.txt", "images.bin"}
    assert refuse_dicom.main([str(tmp_path / "notes.txt")]) == 1
    assert refuse_dicom.main([str(tmp_path / "real-notes.txt")]) == 0
