"""Hostile scripts in a process of their own, which is ended from outside when it does not come back."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from ...warm import WarmPopen

_BEGINNING = """
import faulthandler, logging, resource, sys, threading
faulthandler.enable()

logging.disable(logging.CRITICAL)
resource.setrlimit(resource.RLIMIT_AS, ({address_space}, {address_space}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
"""


def run_child(source: str, *, seconds: float = 60, address_space: int = 4 << 30) -> str:
    """Return what a Python program prints. Fail when it freezes or dies: the GIL was lost, or Lua panicked."""
    program = _BEGINNING.format(address_space=address_space) + textwrap.dedent(source)
    child = WarmPopen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        raise AssertionError(f"the process froze; it had printed: {out[-2000:]} {err[-2000:]}") from None
    assert child.returncode == 0, f"the process ended with {child.returncode}: {out[-2000:]} {err[-4000:]}"
    return out
