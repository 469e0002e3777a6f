"""What states of flows may carry: it comes back as it was, or it is refused, and then nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from crewai.flow.async_feedback.types import PendingFeedbackContext
from crewai.flow.flow import FlowState

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.integrations.crewai import GreenroomFlowPersistence

from ..values import VALUES, keeps_or_refuses


class Held(FlowState):
    value: Any = None
    inner: dict[Any, Any] = {}


def asking(**fields: Any) -> PendingFeedbackContext:
    return PendingFeedbackContext(
        flow_id="f", flow_class="c", method_name="m", message="?", **{"method_output": 1, **fields}
    )


STATES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "dict": (lambda value: {"value": value}, lambda state: state["value"]),
    "model": (lambda value: Held(value=value), lambda state: state["value"]),
    "nested": (lambda value: Held(inner={"a": [value]}), lambda state: state["inner"]["a"][0]),
    "model in a dict": (lambda value: {"a": Held(value=value)}, lambda state: state["a"]["value"]),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", STATES)
def test_a_state_comes_back_or_is_refused(rt: Runtime, place: str, name: str) -> None:
    make, find = STATES[place]
    store = GreenroomFlowPersistence(rt)

    def put(value: Any) -> Any:
        store.save_state("f", "m", make(value))
        return find(store.load_state("f"))

    keeps_or_refuses(name, put)


@pytest.mark.parametrize("name", [name for name in VALUES if name not in ("keys that are one in JSON", "a key of two")])
@pytest.mark.parametrize("field", ["method_output", "metadata"])
def test_a_context_comes_back_or_is_refused(rt: Runtime, field: str, name: str) -> None:
    store = GreenroomFlowPersistence(rt)

    def put(value: Any) -> Any:
        store.save_pending_feedback("f", asking(**{field: {"value": value}}), {"id": "f"})
        pending = store.load_pending_feedback("f")
        assert pending is not None
        return getattr(pending[1], field)["value"]

    keeps_or_refuses(name, put)


@pytest.mark.parametrize(
    "merged", [{"a": {1: "a", "1": "b"}}, Held(inner={1: "a", "1": "b"}), Held(value=[{1: 0, "1": 1}])]
)
def test_what_is_refused_changes_nothing(rt: Runtime, merged: Any) -> None:
    store = GreenroomFlowPersistence(rt)
    store.save_state("f", "m", {"n": 1})
    before = rt.session(key="crewai:f").info().sequence
    for call in (
        lambda: store.save_state("f", "m", merged),
        lambda: store.save_pending_feedback("f", asking(), merged),
        lambda: store.save_pending_feedback("f", asking(metadata={"a": {1: 1, "1": 2}}), {}),
        lambda: store.save_state("f", 7, {}),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValidationError):
            call()
    assert store.load_state("f") == {"n": 1}
    assert rt.session(key="crewai:f").info().sequence == before


IDS = ["", "/", "a", "A", "%", "\x00", "\ud800", "\udfff", "x" * 600, "x" * 601, "sha256:", "é", "e\u0301"]


def test_ids_of_any_characters_are_apart(rt: Runtime) -> None:
    store = GreenroomFlowPersistence(rt)
    for each in IDS:
        store.save_state(each, "m", {"own": ascii(each)})
    assert [store.load_state(each) for each in IDS] == [{"own": ascii(each)} for each in IDS]


@pytest.mark.parametrize("wrong", [None, 1, b"s", ["s"]])
def test_ids_are_texts(rt: Runtime, wrong: Any) -> None:
    store = GreenroomFlowPersistence(rt)
    for call in (
        lambda: store.load_state(wrong),
        lambda: store.save_state(wrong, "m", {}),
        lambda: store.load_pending_feedback(wrong),
        lambda: store.save_pending_feedback(wrong, asking(), {}),
        lambda: store.clear_pending_feedback(wrong),
    ):
        with pytest.raises(ValidationError, match="flow_uuid"):
            call()
    assert rt.count_sessions() == 0


@pytest.mark.parametrize("left", [None, 7, "text", [1], b"\xff"])
def test_variables_of_others_are_no_states(rt: Runtime, left: Any) -> None:
    session = rt.create_session(key="crewai:f")
    if left is not None and left != 7:
        session.set("state", left)
        session.set("pending_feedback", left)
    store = GreenroomFlowPersistence(rt)
    assert store.load_state("f") is None
    assert store.load_pending_feedback("f") is None
