"""Whether the name of a DICOM server leads anywhere."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

UNKNOWN: Final = "its name can't be resolved"
_NO_ANSWER: Final = "its name can't be resolved now, the name service does not answer"


def why_unknown(
    host: str,
    waits: Sequence[float],
    pause: Callable[[float], object] = time.sleep,
) -> str | None:
    """Return why a name can't be resolved, None where it can.

    Args:
        host: a name, or an address, which is always known.
        waits: seconds before it is tried again, when the name service did not answer.
        pause: waits so long.
    """
    failure = _lookup(host)
    for seconds in waits:
        if failure != socket.EAI_AGAIN:
            break
        pause(seconds)
        failure = _lookup(host)
    if failure is None:
        return None
    return _NO_ANSWER if failure == socket.EAI_AGAIN else UNKNOWN


def _lookup(host: str) -> int | None:
    """Return the code of the resolver's failure, None where there is none.

    A name service that is slow must not keep the job from being cancelled: no signal is heard
    inside of `getaddrinfo`, so it has a thread of its own, one that nothing waits for at the end.
    """
    failures: list[int] = []

    def run() -> None:
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            failures.append(error.errno or socket.EAI_FAIL)

    thread = threading.Thread(target=run, daemon=True, name="lookup")
    thread.start()
    thread.join()
    return failures[0] if failures else None
