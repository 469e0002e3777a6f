"""How a recorded run has ended, and whether its recording lacks what came last."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

__all__ = ["cut_of", "ending_of", "signal_name"]


def signal_name(number: int) -> str:
    """Return a signal as people know it: "signal 9 (SIGKILL)"."""
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def ending_of(about: Mapping[str, Any]) -> str:
    """Return how a program has ended, or a block of one, which has no exit code. `about` is that of a `Tape`."""
    if type(number := about.get("signal")) is int:
        return f"killed by {signal_name(number)}"
    if (code := about.get("exit_code")) is not None:
        return f"with exit code {code}"
    if "ended_at" not in about:
        return "no: it was killed, or goes on"
    error = about.get("error")
    return f"by {error.get('name')}: {error.get('text')}" if isinstance(error, Mapping) else "without an exception"


def cut_of(about: Mapping[str, Any]) -> str | None:
    """Return why a recording may lack what the program did last; None if it has all."""
    if failure := about.get("failure"):
        return f"the recording ended before the program: {failure}"
    if type(number := about.get("signal")) is int:
        return f"the recorded program was killed by {signal_name(number)}, and its recording ends there"
    if under_way := about.get("under_way"):
        return f"{under_way} calls were under way when the recording ended, and were not recorded"
    if "exit_code" not in about and "ended_at" not in about:
        return "the recording was cut off before the end of the program, or goes on"
    return None
