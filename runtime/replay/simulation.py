"""Answer calls of tools that have no side effects by running them; all others from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.actors.replay.boundary import Answer, JournalBoundary, Recording, Request
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.content.chunks import content_digest
from greenroom.storage.errors import GreenroomError

from .report import differences_of

if TYPE_CHECKING:
    from greenroom.actors.session.redaction import Redaction
    from greenroom.runtime.handles.host import ToolSource

__all__ = ["SimulatedBoundary"]


class SimulatedBoundary:
    """The boundary of a simulated replay. Nothing is journaled, no hook is called, and no session is at hand."""

    def __init__(self, tools: ToolSource, redaction: Redaction | None) -> None:
        self._tools = tools
        self._redaction = redaction
        self._journal = JournalBoundary()

    def record(self, recording: Recording) -> None:
        self._journal.record(recording)

    def answer(self, request: Request) -> Answer:
        """Run the tool, or return what was recorded. Raises ReplayError if nothing was."""
        recorded = self._journal.answer(request)
        given = _whole_input(request)
        run = self._tools.rerun(request.name, given) if given is not None else None
        if run is None:
            return recorded
        outcome: dict[str, Any] = recorded.outcome
        try:
            packed = pack_value(run())
        except GreenroomError as error:
            told = {"code": error.code, "message": self._text(str(error))}
            live = {**_without_result(outcome), "success": False, "result": None, "error": told}
            same = not outcome["success"] and outcome["error"]["code"] == error.code
        else:
            packed = packed if self._redaction is None else self._redaction.packed(packed)
            live = {**_without_result(outcome), "success": True, "result": packed}
            same = bool(outcome["success"]) and _is_result(outcome, packed)
        return Answer(request, outcome if same else live, recorded.sequence, "live")

    def _text(self, text: str) -> str:
        return text if self._redaction is None else self._redaction.text(text)


def _whole_input(request: Request) -> bytes | None:
    """Return the input of a tool, encoded; None if it is not at hand: of a large one only the hash is."""
    if request.kind != "tool" or request.input is None:
        return None
    try:
        return request.input if isinstance(unpack_value(request.input), dict) else None
    except GreenroomError:
        return None


def _without_result(outcome: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in outcome.items() if name not in ("error", "result_hash")}


def _is_result(outcome: dict[str, Any], packed: bytes) -> bool:
    """Return whether an encoded result is the recorded one."""
    recorded = outcome.get("result")
    if recorded is None:
        return content_digest(packed) == outcome.get("result_hash")
    return recorded == packed or not differences_of(unpack_value(recorded), unpack_value(packed))
