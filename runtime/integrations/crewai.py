"""The state of CrewAI's flows in a greenroom store: what `@persist` saves, and flows that wait for a human's feedback.

A flow is a session: its state is a variable, and so is the method after which it was saved.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakValueDictionary

from greenroom.runtime import ResourceLimitExceeded, Runtime, Session, SessionBatch, ValidationError

from .json_forms import read_again, written
from .keys import key_of
from .opening import Adapter, Opened
from .turns import Conversation

try:
    from crewai.flow.async_feedback.types import PendingFeedbackContext
    from crewai.flow.persistence import FlowPersistence
except ImportError as error:
    raise ImportError("CrewAI is needed: pip install greenroom[crewai]") from error

from pydantic import BaseModel, Field, PrivateAttr

if TYPE_CHECKING:
    from greenroom.runtime import AsyncRuntime

__all__ = ["GreenroomFlowPersistence"]

_FRAMEWORK: Final = "crewai"
_STATE: Final = "state"
_METHOD: Final = "method"
_PENDING: Final = "pending_feedback"
_MOST_VALUE: Final = 1 << 16
"""A longer JSON is an artifact, of which the store keeps only what is new in each version."""

_open: WeakValueDictionary[str, Runtime] = WeakValueDictionary()
"""The runtimes that flows are kept in, by the paths of their stores: each decorator may name the same store."""


class GreenroomFlowPersistence(Adapter, FlowPersistence):
    """Keeps the states of flows in greenroom: `@persist(GreenroomFlowPersistence(rt))`.

    A flow is the session with the key `crewai:<id of its state>`, with the variables `state` and `method`, and
    `pending_feedback` while it waits for a human. `runtime` is an open runtime or the path of a store. Several may have
    one path in a process: the first opens the store, and its `close` closes it.
    """

    persistence_type: str = Field(default="GreenroomFlowPersistence")
    path: str = Field(default="")
    """Where the store is. By this alone a declared or a restored flow finds it again."""
    _opened: Opened = PrivateAttr()

    def __init__(
        self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str] | None = None, /, **fields: Any
    ) -> None:
        """Take a runtime or the path of a store, which a declaration gives as `path`."""
        given = fields.pop("path", None) if runtime is None else runtime
        if isinstance(given, str | os.PathLike):
            there = _open.get(os.path.realpath(given))
            given = there if there is not None and not there.closed else given
        opened = Opened(given)
        fields["path"] = os.path.realpath(opened.runtime.path)
        super().__init__(**fields)
        self._opened = opened
        _open[self.path] = opened.runtime

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._opened.runtime!r}>"

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return this one: a copy of a flow has the same store."""
        return self

    def init_db(self) -> None:
        """Do nothing: the store is open."""

    def save_state(self, flow_uuid: str, method_name: str, state_data: dict[str, Any] | BaseModel) -> None:
        """Store the state of a flow after a method, in place of the one before, which stays in the journal. Raises
        ValidationError for an id that is no text, and for a state that has no form in JSON."""
        state = _form(state_data, "state_data")
        method = _text(method_name, "method_name")
        self._write(flow_uuid, {_STATE: state}, method)

    def load_state(self, flow_uuid: str) -> dict[str, Any] | None:
        """Return the newest state of a flow, or None if there is none."""
        return self._read(flow_uuid, _STATE)

    def save_pending_feedback(
        self, flow_uuid: str, context: PendingFeedbackContext, state_data: dict[str, Any] | BaseModel
    ) -> None:
        """Store the state of a flow and what it asks a human, in one write. Raises ValidationError as `save_state`."""
        state = _form(state_data, "state_data")
        asked = read_again(written(context.to_dict, "context"), "context", default=_of_others)
        pending = {"context": asked[0], "state": state[0]}, f'{{"context": {asked[1]}, "state": {state[1]}}}'
        self._write(flow_uuid, {_STATE: state, _PENDING: pending}, _text(context.method_name, "method_name"))

    def load_pending_feedback(self, flow_uuid: str) -> tuple[dict[str, Any], PendingFeedbackContext] | None:
        """Return the state of a flow and what it waits to hear of a human, or None if it does not wait."""
        pending = self._read(flow_uuid, _PENDING)
        return (pending["state"], PendingFeedbackContext.from_dict(pending["context"])) if pending is not None else None

    def clear_pending_feedback(self, flow_uuid: str) -> None:
        """Take away what a flow waits for, if it does."""
        self._flow(flow_uuid).read(lambda session: session.delete_variable(_PENDING), False)

    def _flow(self, flow_uuid: str) -> Conversation:
        return Conversation(self._opened.runtime, key_of(_FRAMEWORK, flow_uuid, "flow_uuid"), created_by=_FRAMEWORK)

    def _write(self, flow_uuid: str, values: dict[str, tuple[dict[str, Any], str]], method: str) -> None:
        def write(session: Session, put: Callable[[SessionBatch, str], None]) -> None:
            with session.batch() as batch:
                for key in values:
                    put(batch, key)
                batch.set(_METHOD, method)

        def as_values(session: Session) -> None:
            write(session, lambda batch, key: batch.set(key, values[key][0]))

        def as_artifacts(session: Session) -> None:
            stored = {
                key: session.store_artifact(
                    "flow_state", _file(key), text.encode("utf-8", "surrogatepass"), mime_type="application/json"
                ).version
                for key, (_, text) in values.items()
            }
            write(session, lambda batch, key: batch.set(key, stored[key]))

        flow = self._flow(flow_uuid)
        if all(len(text) <= _MOST_VALUE for _, text in values.values()):
            with contextlib.suppress(ValidationError, ResourceLimitExceeded):  # it has NaN, or is nested too deep
                return flow.write(as_values)
        return flow.write(as_artifacts)

    def _read(self, flow_uuid: str, key: str) -> dict[str, Any] | None:
        def read(session: Session) -> Any:
            value: Any = session.get(key)
            if type(value) is not int:
                return value
            return json.loads(session.get_artifact(_file(key), version=value).content.decode("utf-8", "surrogatepass"))

        value: Any = self._flow(flow_uuid).read(read, None)
        return value if isinstance(value, dict) else None


def _file(key: str) -> str:
    """Return the name of the artifact that has what no variable can hold; the variable has its version."""
    return f"{key}.json"


def _text(text: object, field: str) -> str:
    if not isinstance(text, str):
        raise ValidationError(f"{field}: a text is needed, not {type(text).__name__}", field=field)
    return str.__str__(text)


def _form(state: dict[str, Any] | BaseModel, field: str) -> tuple[dict[str, Any], str]:
    """Return a state as it is read again, and its JSON."""
    if isinstance(state, BaseModel):
        state = _dumped(state, field)
    if not isinstance(state, dict):
        raise ValidationError(f"{field}: a dict or a pydantic model is needed, not {type(state).__name__}", field=field)
    return read_again(state, field, default=_of_others)


def _dumped(model: BaseModel, field: str) -> dict[str, Any]:
    """Return the fields of a model in JSON's types. Raises ValidationError if two keys of a dict are the same there,
    and for a NaN that would be null."""
    plain = written(model.model_dump, field)
    try:
        made = model.model_dump(mode="json")
    except Exception:  # CrewAI's own rule: what pydantic has no JSON for is kept as the text that it shows
        return plain
    if _is_lost(plain, made):
        raise ValidationError(f"{field}: it has no form in JSON: two keys with one name, or no number", field=field)
    return made


def _is_lost(before: object, after: object) -> bool:
    if isinstance(before, dict) and isinstance(after, dict):
        return len(after) < len(before) or any(map(_is_lost, before.values(), after.values()))
    if isinstance(before, list | tuple) and isinstance(after, list):
        return any(map(_is_lost, before, after))
    return after is None and isinstance(before, float)


def _of_others(value: object) -> object:
    """Return what CrewAI writes of what JSON does not have."""
    if isinstance(value, BaseModel):
        return _dumped(value, "state")
    if isinstance(value, set | frozenset):
        return list(value)
    return value.isoformat() if isinstance(value, date) else str(value)
