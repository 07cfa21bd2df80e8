"""The import rules of the repository ([tool.importlinter] in pyproject.toml) hold, and bite."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

ROOM = "image_identifier_lookup"
DOWN = "Imports point down"
# What nobody may write: where, the import, and the rule that refuses it.
FORBIDDEN = [
    ("errors.py", "import imaging_gears.model", DOWN),
    ("model/__init__.py", "import imaging_gears.ports", DOWN),
    ("ports.py", "import imaging_gears.adapters", DOWN),
    (f"{ROOM}/run.py", "import imaging_gears.sandbox", DOWN),
    ("dicom_send/__init__.py", f"import imaging_gears.{ROOM}", DOWN),
    (f"{ROOM}/config.py", "import imaging_gears.dicom_send", DOWN),
    ("gear/job.py", f"import imaging_gears.{ROOM}", DOWN),
    ("adapters/tries.py", "import imaging_gears.gear", DOWN),
    ("sandbox/__init__.py", f"import imaging_gears.{ROOM}", DOWN),
    ("nowhere.py", "", DOWN),
    ("ports.py", "import flywheel", "SDKs of vendors stay"),
    ("gear/start.py", "import fw_gear", "SDKs of vendors stay"),
    ("dicom_send/main.py", "import pynetdicom", "SDKs of vendors stay"),
    ("dicom_send/main.py", "import imaging_gears.adapters.dimse", "Only run.py and cli.py"),
    (f"{ROOM}/main.py", "import botocore.exceptions", "SDKs of vendors stay"),
    (f"{ROOM}/processor.py", "import imaging_gears.adapters", "Only run.py and cli.py"),
    ("model/__init__.py", "import pydicom", "errors and model know no DICOM"),
]


def lint_imports(source: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Check the rules against the package `imaging_gears` in the folder `source`."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--cache-dir", cache, "--config", REPOSITORY / "pyproject.toml"],
        capture_output=True,
        text=True,
        check=False,
        # Before the editable install, which stands at the end of sys.path.
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"},
    )


def test_the_import_rules_hold(tmp_path: Path) -> None:
    """No import of the package breaks a rule."""
    answer = lint_imports(REPOSITORY / "src", tmp_path)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("module", "statement", "rule"), FORBIDDEN)
def test_a_forbidden_import_is_found(
    tmp_path: Path, module: str, statement: str, rule: str
) -> None:
    """Each rule refuses the import that it is there for."""
    package = tmp_path / "src" / "imaging_gears"
    shutil.copytree(REPOSITORY / "src" / "imaging_gears", package)
    target = package / module
    target.parent.mkdir(exist_ok=True)
    text = target.read_text(encoding="utf-8") if target.exists() else '"""New."""\n'
    target.write_text(f"{text}\n{statement}\n", encoding="utf-8")
    answer = lint_imports(package.parent, tmp_path / "cache")
    assert answer.returncode == 1
    broken = [line for line in answer.stdout.splitlines() if " BROKEN" in line]
    assert [line.startswith(rule) for line in broken] == [True]
