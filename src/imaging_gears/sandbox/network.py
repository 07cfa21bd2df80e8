"""The way to what runs on this machine: by no proxy, and where needed in a network of its own."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # sched.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # sockios.h, if.h
_IFREQ = "16sh22x"


def ask_no_proxy() -> None:
    """Let this process, and what it starts, reach the sandbox without the environment's proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))


def enter_loopback() -> bool:
    """Move this thread, and what it starts from now on, into a network of its own.

    It has the loopback interface only: what listens there, on whatever address, is reached from
    there alone. To be called before other threads are started; sockets that are open stay where
    they are.

    Returns:
        False where that can't be had (no Linux, not permitted): nothing has changed then.
    """
    if sys.platform != "linux":
        return False
    if _unshare(_CLONE_NEWNET):
        _bring_up("lo")
        return True
    # Some systems let a user make such a network, and then nothing be done in it: seen by trying.
    child = os.fork()
    if child == 0:
        os._exit(0 if _enter_as_user() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and _enter_as_user()


def _enter_as_user() -> bool:
    user, group = os.getuid(), os.getgid()
    if not _unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        return False
    try:
        # The same user within, or files written from now on would belong to nobody.
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        _bring_up("lo")
    except OSError:
        return False
    return True


def _unshare(flags: int) -> bool:
    return bool(ctypes.CDLL(None).unshare(flags) == 0)


def _bring_up(interface: str) -> None:
    import fcntl  # noqa: PLC0415 - there is none on Windows

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack(_IFREQ, interface.encode(), 0)
        flags = struct.unpack(_IFREQ, fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(
            control, _SIOCSIFFLAGS, struct.pack(_IFREQ, interface.encode(), flags | _IFF_UP)
        )
