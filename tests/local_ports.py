"""Ports on this machine, and who listens there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

from tests.waiting import LONG, until

_KEPT: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that nobody else on this machine is given meanwhile.

    It stays bound here, which a server may join in with SO_REUSEADDR, and refuses connections until
    one does.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    _KEPT.append(sock)
    return int(sock.getsockname()[1])


def wait_for(port: int, *, listening: bool = True) -> None:
    """Wait until somebody listens at `port`; or until nobody does."""
    what = "the server listens" if listening else "nobody listens"
    until(lambda: is_listening(port) is listening, what)


def is_listening(port: int) -> bool:
    """Whether somebody takes connections at `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LONG).close()
    except OSError:
        return False
    return True


def kill_group(process: subprocess.Popen[bytes], port: int) -> None:
    """Kill a server that leads a session of its own; behind that, nobody has its port.

    A server that forks leaves its socket to each child: while one lives, no other can listen.
    """
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(port, listening=False)
