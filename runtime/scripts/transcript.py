"""What a run of a script was answered by its host: kept with the run, so that it can be replayed exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.runtime.model.script import ScriptDifference

__all__ = ["MAX_TRANSCRIPT_BYTES", "ScriptReplaying", "Transcript"]

MAX_TRANSCRIPT_BYTES: Final = 4 << 20
_VERSION: Final = 1


class Transcript:
    """The calls of one run in order, each with its answer, as encoded pieces. The engine fills it."""

    def __init__(self, clean: Callable[[Any], Any] | None = None, limit: int = MAX_TRANSCRIPT_BYTES) -> None:
        """`clean` removes secrets from a value."""
        self.clean = clean
        self.limit = limit
        self.seed = 0
        self.agents = False
        """Whether the script had the global Agent."""
        self.redacted = False
        """Whether secrets were removed, so that a replay may differ."""
        self.pieces: list[bytes] = []
        self.size = 0
        self.broken: str | None = None
        """Why there is none."""

    def add(self, piece: bytes) -> bool:
        """Keep a piece, and return whether there is room for more."""
        self.size += len(piece)
        if self.size > self.limit:
            self.give_up(f"its calls take more than {self.limit} bytes")
            return False
        self.pieces.append(piece)
        return True

    def give_up(self, reason: str) -> None:
        """Keep nothing, because the run cannot be replayed."""
        self.broken = self.broken or reason
        self.pieces.clear()

    def stored(self) -> dict[str, Any]:
        """Return it as it is kept."""
        kept: dict[str, Any] = {"version": _VERSION, "seed": self.seed, "agents": self.agents, "pieces": self.pieces}
        return kept | ({"redacted": True} if self.redacted else {})


class ScriptReplaying:
    """A transcript from which a script is answered, and the first difference that came out."""

    def __init__(self, stored: dict[str, Any], clean: Callable[[Any], Any] | None = None) -> None:
        self.seed: int = stored["seed"]
        self.agents: bool = stored["agents"]
        self.pieces: list[bytes] = stored["pieces"]
        self.redacted: bool = stored.get("redacted", False)
        self.clean = clean
        self.difference: ScriptDifference | None = None
        self.answered = 0
        """How many calls were answered."""
