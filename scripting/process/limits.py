"""The limits of the kernel for the process of a script. What a platform does not have is left out."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
from typing import Final

__all__ = ["GRACE", "address_space", "confine", "limit_run"]

_prctl: Final = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SLACK: Final = 128 << 20
_COPIES: Final = 4
"""How often one value can be in memory at once when it crosses: in the engine, converted, encoded, and in a frame."""
_STACK: Final = 16 << 20
"""The least stack in bytes: engines nest calls, and Lua can nest 200 calls of C in each of the functions that wait."""
_NOBODY: Final = 65534
_LONGEST: Final = 10 * 365 * 86400.0
GRACE: Final = 0.09
"""Seconds after the limit at which the fork server and the kernel kill the process, whatever the host does."""


def address_space() -> int:
    """Return the bytes of address space that this process has mapped, 0 if the platform does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0


def confine(parent: int) -> None:
    """Take from a new process what no script needs: files, processes, more rights. It keeps what it has open, and can
    open nothing.

    `parent` is the fork server. If it ends, the kernel kills the process.
    """
    os.setsid()
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 1),  # 0 to 2 are in use; `poll` takes no more connections than this
    ):
        _lower(limit, most)
    _raise(resource.RLIMIT_STACK, _STACK)
    if os.geteuid() == 0:
        # The limit of processes does not bind root. Where nobody is not mapped (some containers) root stays.
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(_NOBODY)  # for root, these change the saved ids too
            os.setuid(_NOBODY)
    if _prctl is not None:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after the change of user, which resets it
    if os.getppid() != parent:
        os._exit(1)


def limit_run(base: int, memory: int, seconds: float) -> None:
    """Limit the address space and the time of a process before the script begins.

    `base` is what the process had mapped before, which includes what engines reserve in advance.
    """
    if base:
        _lower(resource.RLIMIT_AS, base + _COPIES * memory + _SLACK)
    seconds = min(max(seconds, 0.0), _LONGEST)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds) + 1)
    # The kernel kills the process without help from the host, which may be busy.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)


def _raise(limit: int, least: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and soft < least:
            resource.setrlimit(limit, (least if hard == resource.RLIM_INFINITY else min(least, hard), hard))


def _lower(limit: int, most: int) -> None:
    # Other systems know some limits by name only. On Linux, a limit that cannot be set ends the process.
    with contextlib.nullcontext() if sys.platform == "linux" else contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(limit)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(limit, (most, most))
