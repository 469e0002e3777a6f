"""Understands the recording in a session: reads the crossings that were not understood yet, and journals what they tell
as any other session would have it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final

from greenroom.runtime.handles.session import Session, core_of
from greenroom.runtime.recording.journal.reading import JournalSource, items_of
from greenroom.runtime.recording.tape.model import Crossing
from greenroom.runtime.recording.understanding.decode import model_call
from greenroom.runtime.recording.understanding.model import ModelCall
from greenroom.runtime.recording.understanding.parts import ToolCall, calls_in, results_in
from greenroom.runtime.recording.understanding.prices import Prices
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import GreenroomError, ValidationError
from greenroom.storage.events.calls import RECORDING_CROSSING

from .calls import MAX_ERROR_TEXT, CallEvents, packed
from .conversation import Conversation, as_message
from .marks import Said
from .threads import Place, Thread, Threads

__all__ = ["Understanding", "understand", "understand_quietly"]

logger = logger_of("recording")

_SECOND: Final = 1_000_000_000
_MOST_ASKED: Final = 4096
_MOST_TOOLS: Final = 1000
_LONGEST: Final = 255
"""The characters of names; what is longer is whole in the crossing."""
_locks: Final = tuple(threading.Lock() for _ in range(64))
"""One is held while a session is understood. Other processes do not: only one has a store."""


@dataclass(slots=True)
class _Told:
    """What was journaled, in numbers."""

    calls: int = 0
    tools: int = 0
    messages: int = 0


def understand(session: Session, *, prices: Prices | Mapping[str, Any] | str | PathLike[str] | None = None) -> int:
    """Understand what was recorded in a session and not understood yet, and return how many calls of models that was.

    `prices` are a table of one's own, as an object or the path of a JSON file: see `Prices`; otherwise those of the
    runtime's `prices` setting, or those that come with greenroom. Raises ValidationError for a table that is none,
    InvalidSessionState if the session takes nothing more, IntegrityError if the recording is damaged, after all before
    the damage.
    """
    return Understanding(session, prices=prices).go_on()


def understand_quietly(session: Session) -> None:
    """Do the same where nothing can be done about a failure: it is logged."""
    try:
        Understanding(session, quiet=True).go_on()
    except GreenroomError as error:
        logger.warning("session %s: what was recorded is not understood: %s", session.id, error)


class Understanding:
    """Follows a recording while it grows: `go_on` understands what has come since."""

    def __init__(
        self,
        session: Session,
        *,
        prices: Prices | Mapping[str, Any] | str | PathLike[str] | None = None,
        quiet: bool = False,
    ) -> None:
        """Create it for a session. `quiet`: a failure is logged, and nothing more is understood after it, so that a
        recording goes on whatever happens here. Raises ValidationError for a table of prices that is none."""
        self._quiet = quiet
        self._session = session
        core = core_of(session)
        self._lock = _locks[hash(session.id) % len(_locks)]
        if prices is None:
            prices = core.config.prices
        self._prices = prices if isinstance(prices, Prices) or prices is None else Prices(prices)
        self._source = JournalSource(core, session.id)
        self._asked: dict[str, ToolCall] = {}
        self._threads = Threads()
        self._main: Thread | None = None
        """The thread that is the session's conversation."""
        self._begun = self._failed = False
        self._after = 0

    def go_on(self) -> int:
        """Understand what was recorded since the last time, and return how many calls of models that was. Raises what
        `understand` raises, unless it is quiet."""
        told = _Told()
        try:
            if not self._failed:
                with self._lock:
                    self._go_on(told)
        except GreenroomError as error:
            if not self._quiet:
                raise
            self._failed = True
            logger.warning("session %s: what was recorded is not understood: %s", self._session.id, error)
        return told.calls

    def _go_on(self, told: _Told) -> None:
        if not self._begun and not self._begin():
            return
        for item in items_of(self._source, self._after):
            if item.crossing is not None:
                try:
                    self._understand(item.sequence, item.crossing, told)
                except ValidationError as error:
                    logger.warning(
                        "session %s: event %d was not understood: %s", self._session.id, item.sequence, error
                    )
            self._after = item.sequence

    def _begin(self) -> bool:
        """Read from the journal what was understood before. Return whether there is anything more to understand."""
        self._events = events = CallEvents(self._session)
        crossings = (stored.data for _, stored in self._source.events(events.done) if stored.type == RECORDING_CROSSING)
        first = next(crossings, None)
        if first is None:
            return False
        run: int = first["run"]
        self._conversation = Conversation(self._session)
        before = [told for crossing, told in events.told.items() if crossing < run]
        main = next((told for told in reversed(before) if told.main), None)
        self._main = self._threads.begin(
            self._conversation.before(run),
            max((told.thread for told in before), default=0),
            main.thread if main is not None else None,
            main.response if main is not None else None,
        )
        if run < events.done:
            self._recall(run)
        self._after = events.done
        self._begun = True
        return True

    def _recall(self, run: int) -> None:
        """Follow the calls of a recording that was understood up to some point, without telling them again."""
        for item in items_of(self._source, run):
            if item.sequence > self._events.done:
                break
            if item.crossing is None or (told := self._events.told.get(item.sequence)) is None:
                continue
            call = model_call(item.crossing.input, item.crossing.outcome, self._prices)
            if call is not None:
                place = self._threads.place(call)
                reply = self._answered(place, call)
                if told.main:
                    self._main = place.thread
                    self._conversation.take([*place.given[place.new :], *reply])

    def _understand(self, sequence: int, crossing: Crossing, told: _Told) -> None:
        if crossing.kind == "http":
            call = model_call(crossing.input, crossing.outcome, self._prices)
            if call is not None and not self._events.has_returned("agent", sequence):
                self._model(sequence, crossing, call, told)
                told.calls += 1
        elif crossing.kind == "tool" or (crossing.kind == "mcp" and "arguments" in crossing.input):
            self._tool(sequence, crossing)
            told.tools += 1

    # -- tools

    def _tool(self, sequence: int, crossing: Crossing) -> None:
        """Journal a tool that has crossed a boundary itself."""
        outcome, error = crossing.outcome, crossing.outcome.get("error")
        value = outcome.get("value", outcome.get("items"))
        failed = isinstance(error, Mapping) or (isinstance(value, Mapping) and value.get("isError") is True)
        about = {"place": crossing.place or None, "time": crossing.time or None}
        self._events.begin("tool", sequence, crossing.name, {"input": packed(crossing.input.get("arguments")), **about})
        self._events.end(
            "tool",
            sequence,
            crossing.name,
            {
                "duration": crossing.duration / _SECOND,
                "success": not failed,
                "result": None if isinstance(error, Mapping) else packed(value),
                "error": _error_of(error) if isinstance(error, Mapping) else _failed_tool() if failed else None,
            },
        )

    def _results(self, sequence: int, new: Iterable[Said], given: list[Said]) -> list[int]:
        """Journal the tools whose results a model is given now, unless they have crossed a boundary themselves. Return
        the crossings of those that have."""
        asked = dict(self._asked)
        unnamed: list[ToolCall] = []
        for each in given:
            for call in calls_in(each.turn):
                if call.id is not None:
                    asked[call.id] = call
                else:
                    unnamed.append(call)
        crossed: list[int] = []
        number = 0
        for each in new:
            for result in results_in(each.turn):
                number += 1
                if result.call_id is not None:
                    call_ = asked.get(result.call_id)
                else:
                    call_ = next((call for call in reversed(unnamed) if call.name == result.name), None)
                name = result.name or (call_.name if call_ is not None else "tool")
                if result.call_id is not None and result.call_id in self._events.results:
                    if not self._events.has_begun("tool", sequence, result.call_id):
                        continue
                elif (tool := self._crossed(name, crossed)) is not None:
                    crossed.append(tool)
                    continue
                which = result.call_id or f"#{number}"
                arguments = packed(call_.arguments if call_ is not None else None)
                self._events.begin("tool", sequence, name, {"input": arguments}, which)
                outcome = {
                    "success": not result.error,
                    "result": packed(result.content),
                    "error": _failed_tool() if result.error else None,
                }
                self._events.end("tool", sequence, name, outcome, which)
                if result.call_id is not None:
                    self._events.results.add(result.call_id)
        return crossed

    def _crossed(self, name: str, taken: list[int]) -> int | None:
        """Return the crossing of a tool by this name, whose result no model was given yet."""
        for crossing, known in self._events.tools.items():
            if crossing not in taken and (known == name or name.endswith(known.rpartition("/")[2])):
                return crossing
        return None

    # -- models

    def _model(self, sequence: int, crossing: Crossing, call: ModelCall, told: _Told) -> None:
        place = self._threads.place(call)
        if not self._events.has_begun("agent", sequence):
            crossed = self._results(sequence, _newest(place), place.given)
            told.messages += self._show(place, sequence)
            self._called(sequence, crossing, call, place, crossed)
        elif (before := self._events.told.get(sequence)) is not None and before.main:
            self._main = place.thread
        reply = self._answered(place, call)
        if reply and place.thread is self._main:
            about = {"model": _short(call.model_answered or call.model), "finish_reason": _short(call.finish_reason)}
            known = {name: value for name, value in about.items() if value is not None}
            told.messages += self._conversation.add(reply, sequence, reply=known)
        self._returned(sequence, crossing, call, place.thread)

    def _answered(self, place: Place, call: ModelCall) -> list[Said]:
        """Return the reply to a call, once its thread has it."""
        if call.error is not None:
            return []
        for each in call.tool_calls:
            if each.id is not None:
                self._asked[each.id] = each
        while len(self._asked) > _MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        return self._threads.answer(place, call)

    def _show(self, place: Place, sequence: int) -> int:
        """Add to the session's conversation what a call was given new, if it is this conversation. Return how much."""
        thread = place.thread
        if self._main is None:
            self._main = thread
        if thread is self._main:
            return self._conversation.add(place.given[place.new :], sequence)
        if thread.calls > 1 and self._conversation.is_as(place.given):  # it has become this before a crash
            self._main = thread
            return 0
        if self._conversation.outgrown_by(thread):
            self._main = thread
            return self._conversation.become(thread, sequence)
        return 0

    def _called(self, sequence: int, crossing: Crossing, call: ModelCall, place: Place, crossed: list[int]) -> None:
        is_shown = place.thread is self._main and self._conversation.is_as(place.given)
        given = None if is_shown else {"messages": [as_message(each.turn) for each in place.given]}
        self._events.begin(
            "agent",
            sequence,
            _name(call),
            {
                "model": _short(call.model or call.model_answered),
                "provider": call.provider,
                "api": call.api,
                "input": packed(given),
                "system_prompt": call.system,
                "tools": [name[:_LONGEST] for name in call.tool_names[:_MOST_TOOLS]] or None,
                "parameters": packed(call.parameters) if call.parameters else None,
                "streamed": call.streamed or None,
                "thread": place.thread.number,
                "main": True if place.thread is self._main else None,
                "results": crossed or None,
                "place": crossing.place or None,
                "time": crossing.time or None,
            },
        )
        for tool in crossed:
            self._events.tools.pop(tool, None)

    def _returned(self, sequence: int, crossing: Crossing, call: ModelCall, thread: Thread) -> None:
        calls = [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in call.tool_calls]
        data = {
            "finish_reason": call.finish_reason,
            "tool_calls": calls or None,
            "reasoning": call.reasoning,
        }
        known = {name: value for name, value in data.items() if value is not None}
        error = call.error
        described = None
        if error is not None:
            code = error.code or error.type or (str(error.status) if error.status else "error")
            described = {"code": code[:200], "message": error.message[:MAX_ERROR_TEXT]}
            if error.status is not None:
                described["status"] = str(error.status)
        self._events.end(
            "agent",
            sequence,
            _name(call),
            {
                "model": _short(call.model_answered or call.model),
                "provider": call.provider,
                "duration": crossing.duration / _SECOND,
                "first_chunk": call.first_chunk / _SECOND if call.first_chunk is not None else None,
                "success": error is None,
                "result": packed({"text": call.text, **({"data": known} if known else {})}) if error is None else None,
                "error": described,
                "usage": call.usage.to_dict() or None if call.usage is not None else None,
                "cost_microusd": call.cost_microusd,
                "finish_reason": _short(call.finish_reason),
                "response_id": _short(call.response_id),
                "complete": None if call.complete else False,
                "problems": list(call.problems[:10]) or None,
                "thread": thread.number,
            },
        )


def _short(text: str | None) -> str | None:
    return text[:_LONGEST] if text is not None else None


def _name(call: ModelCall) -> str:
    return call.model or call.model_answered or "model"


def _newest(place: Place) -> list[Said]:
    """Return the new turns of a call behind the last one that a model has said: what is older was not done in this
    run."""
    new = place.given[place.new :]
    last = next((at for at in range(len(new) - 1, -1, -1) if new[at].turn.role == "assistant"), -1)
    return new[last + 1 :]


def _error_of(error: Mapping[str, Any]) -> dict[str, str]:
    return {"code": str(error.get("name") or "error")[:200], "message": str(error.get("text") or "")[:MAX_ERROR_TEXT]}


def _failed_tool() -> dict[str, str]:
    return {"code": "tool_error", "message": "the tool has answered with an error"}
