"""The boundary of a replay: what comes from outside a program, and who answers for it.

This room knows nothing of sessions and their commands. Whoever replays something (a session, or a recorded program)
tells a boundary what was recorded, and asks it whenever the code that runs again needs an answer from outside.
"""

from __future__ import annotations

from .clock import RecordedClock
from .journal import JournalBoundary
from .model import Answer, Boundary, Recording, Request

__all__ = ["Answer", "Boundary", "JournalBoundary", "RecordedClock", "Recording", "Request"]
