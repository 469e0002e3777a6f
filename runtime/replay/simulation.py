"""Answer calls of tools that have no side effects by running them; all others from the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.replay.boundary import Answer, JournalBoundary, Recording, Request
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.errors import GreenroomError
from greenroom.storage.events.calls import call_value

from .report import differences_of

if TYPE_CHECKING:
    from greenroom.actors.session.redaction import Redaction
    from greenroom.runtime.handles.host import ToolSource

__all__ = ["SimulatedBoundary"]

_HASH_BYTES: Final = 32


class SimulatedBoundary:
    """The boundary of a simulated replay. Nothing is journaled, no hook is called, and no session is at hand."""

    def __init__(self, tools: ToolSource, redaction: Redaction | None, load: Callable[[bytes], bytes | None]) -> None:
        """`load` reads contents: large inputs and results."""
        self._tools = tools
        self._redaction = redaction
        self._load = load
        self._journal = JournalBoundary()

    def record(self, recording: Recording) -> None:
        self._journal.record(recording)

    def answer(self, request: Request) -> Answer:
        """Run the tool, or return what was recorded. Raises ReplayError if nothing was."""
        recorded = self._journal.answer(request)
        given = self._input(request)
        run = self._tools.rerun(request.name, given) if given is not None else None
        if run is None:
            return recorded
        outcome: dict[str, Any] = recorded.outcome
        rest = {name: value for name, value in outcome.items() if name not in ("error", "result_hash", "result_form")}
        try:
            packed = pack_value(run())
        except GreenroomError as error:
            live = {
                **rest,
                "success": False,
                "result": None,
                "error": {"code": error.code, "message": self._text(error)},
            }
            same = not outcome["success"] and outcome["error"]["code"] == error.code
        else:
            packed = packed if self._redaction is None else self._redaction.packed(packed)
            live = {**rest, "success": True, "result": packed}
            recorded_value = call_value(outcome, "result", self._load)
            same = bool(outcome["success"]) and not differences_of(recorded_value, unpack_value(packed))
        return Answer(request, outcome if same else live, recorded.sequence, "live")

    def _input(self, request: Request) -> bytes | None:
        """Return the input of a tool, encoded; None if it cannot be had. Of a large one the request has the hash."""
        if request.kind != "tool" or request.input is None:
            return None
        given = request.input
        if len(given) == _HASH_BYTES:
            given = self._load(given) or given
        try:
            return given if isinstance(unpack_value(given), dict) else None
        except GreenroomError:
            return None

    def _text(self, error: GreenroomError) -> str:
        return str(error) if self._redaction is None else self._redaction.text(str(error))
