"""Validate gear manifests as the platform does when a gear is uploaded.

Usage: ``python -m tools.validate_manifest MANIFEST...``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fw_gear.manifest import Manifest, ManifestValidationError


def problems(path: str) -> list[str]:
    """Return what is wrong with the manifest at `path`, one entry per fault; empty when valid."""
    try:
        # Classification is optional in fw-gear; a gear without one can't be listed on a site.
        Manifest(path).validate(validate_classification=True)
    except ManifestValidationError as error:
        return [str(fault) for fault in error.errors] or [str(error)]
    return []


def main(paths: Sequence[str]) -> int:
    """Print every fault of every manifest; return 1 if there is one."""
    faults = [f"{path}: {fault}" for path in paths for fault in problems(path)]
    print("\n".join(faults) if faults else f"Manifests: {len(paths)} valid.")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
