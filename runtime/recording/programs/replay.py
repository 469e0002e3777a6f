"""Run a recorded program again, offline, and say what that has proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgpack
from blake3 import blake3

from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.report import ReplayReport

__all__ = ["ProgramReplay", "Verdict", "digest_of"]

Verdict = Literal["identical", "drifted", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class ProgramReplay:
    """How a program went when it ran again. `recorded_code` is None if the recording was cut off."""

    command: list[str]
    code: int
    recorded_code: int | None
    report: ReplayReport
    digest: str
    """Of all that the recording handed to the program, and in which order."""

    @property
    def verdict(self) -> Verdict:
        """What came of it: identical; drifted, but answered to the end; refused, because something was not recorded;
        or failed: the program ended with another exit code than when it was recorded. What was printed counts, as
        far as the recording has it (`report.streams`)."""
        if self.report.refused is not None:
            return "refused"
        if self.code != (self.recorded_code or 0) and self.recorded_code is not None:
            return "failed"
        return "identical" if self.report.is_exact else "drifted"

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name as JSON values."""
        return {
            "verdict": self.verdict,
            "command": self.command,
            "exit_code": self.code,
            "recorded_exit_code": self.recorded_code,
            "digest": self.digest,
            **self.report.to_dict(),
        }


def digest_of(tape: Tape) -> str:
    """Return a digest of all that a recording hands to a program: the answers of its calls, byte for byte, and what it
    read."""
    digest = blake3()
    for each in sorted(tape.crossings, key=lambda each: (each.process, each.number)):
        outcome = {name: value for name, value in each.outcome.items() if name != "gaps"}
        digest.update(_packed([each.process, each.number, each.kind, each.name, each.key, outcome]))
    for reads in tape.reads:
        for kind, name, _place, _lane, value in reads.reads:
            digest.update(_packed([reads.process, kind, name, value]))
    return str(digest.hexdigest())


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, default=repr, unicode_errors="surrogatepass")
    return packed
