"""What the SDKs read from disk for each client that they make is read once for all tests.

Each client of boto3 lists and parses botocore's models, each of Flywheel's SDK parses some 140
certificates: half of the CPU seconds of a run whose imports are done. Sessions and clients stay
each test's own.
"""

from __future__ import annotations

from functools import cache

import botocore.session
import httpcore2


def load_once() -> None:
    """Keep botocore's models and the context with the system's certificates in this process."""
    botocore.session.create_loader = cache(botocore.session.create_loader)
    httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)
