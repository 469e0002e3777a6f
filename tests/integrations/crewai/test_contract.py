"""The contract of CrewAI's FlowPersistence, by itself and below real flows: each test runs on CrewAI's own
SQLiteFlowPersistence, and on greenroom. CrewAI's package has no tests."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from crewai.flow.async_feedback import HumanFeedbackPending, PendingFeedbackContext
from crewai.flow.flow import Flow, FlowState, listen, router, start
from crewai.flow.human_feedback import human_feedback
from crewai.flow.persistence import FlowPersistence, persist
from crewai.flow.persistence.factory import set_flow_persistence_factory
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel


class Colour(Enum):
    RED = "r"


class Note(BaseModel):
    text: str
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class Rich(FlowState):
    notes: list[Note] = []
    tags: set[str] = {"a"}
    colour: Colour = Colour.RED
    price: Decimal = Decimal("1.10")
    place: Path = Path("/a")
    by_id: dict[UUID, date] = {UUID(int=1): date(2026, 1, 2)}
    pair: tuple[int, str] = (1, "b")
    score: float = math.nan
    blob: bytes = b"text"


class Counted(FlowState):
    counter: int = 0
    steps: list[str] = []


def context(method: str = "review", **more: Any) -> PendingFeedbackContext:
    fields: dict[str, Any] = {"method_output": {"draft": [1, Note(text="n")]}, "message": "Good?", **more}
    return PendingFeedbackContext(flow_id="f", flow_class="tests.Review", method_name=method, **fields)


# -- by itself


def test_the_newest_state_is_loaded(persistence: FlowPersistence) -> None:
    persistence.init_db()
    assert persistence.load_state("f") is None
    persistence.save_state("f", "first", {"id": "f", "n": 1, "gone": True})
    persistence.save_state("f", "second", {"id": "f", "n": 2})
    persistence.save_state("g", "first", {"id": "g"})
    persistence.init_db()
    assert persistence.load_state("f") == {"id": "f", "n": 2}
    assert persistence.load_state("g") == {"id": "g"}
    assert persistence.load_state("F") is None


def test_what_is_loaded_is_the_callers_own(persistence: FlowPersistence) -> None:
    given_ = {"id": "f", "list": [1]}
    persistence.save_state("f", "m", given_)
    given_["list"].append(2)  # type: ignore[attr-defined]
    loaded = persistence.load_state("f")
    assert loaded == {"id": "f", "list": [1]}
    loaded["list"].append(3)
    assert persistence.load_state("f") == {"id": "f", "list": [1]}


DICTS: dict[str, dict[str, Any]] = {
    "empty": {},
    "nested": {"z": {"b": [1.5, None, True, "é\0😀"], "a": -(10**30)}, "a": []},
    "a time": {"at": datetime(2026, 1, 1, tzinfo=UTC), "on": date(2026, 1, 1)},
    "a model": {"note": Note(text="n"), "notes": [Note(text="m")]},
    "a set and a tuple": {"set": {1}, "tuple": (1, (2,))},
    "numbers as keys": {"by": {7: "a", 2.5: "b", None: "c", True: "d"}},
    "others": {"id": UUID(int=1), "path": Path("/a"), "price": Decimal("1.10"), "bytes": b"\xff"},
    "no numbers": {"inf": [math.inf, -math.inf]},
    "half a pair": {"\ud800": "\udc00"},
    "large": {"text": "é" * 3_000_000},
    "deep": {"deep": json.loads("[" * 90 + "]" * 90), "deeper": [[[[]]]] * 2},
}


@pytest.mark.parametrize("name", DICTS)
def test_states_are_loaded_as_crewai_writes_them(persistence: FlowPersistence, name: str, tmp_path: Path) -> None:
    from crewai.flow.persistence import SQLiteFlowPersistence

    model = SQLiteFlowPersistence(str(tmp_path / "model"))
    for each in (model, persistence):
        each.save_state("f", "m", DICTS[name])
        each.save_pending_feedback("g", context(), DICTS[name])
    wanted, got = model.load_state("f"), persistence.load_state("f")
    assert got == wanted
    assert got is not None
    assert list(got) == list(DICTS[name])
    assert (persistence.load_pending_feedback("g") or [None])[0] == wanted


def test_models_are_loaded_as_pydantic_writes_them(persistence: FlowPersistence) -> None:
    state = Rich(notes=[Note(text="n")])
    persistence.save_state(state.id, "m", state)
    loaded = persistence.load_state(state.id)
    assert loaded is not None
    again = Rich.model_validate(loaded)
    assert math.isnan(again.score)
    assert again.model_dump(exclude={"score"}) == state.model_dump(exclude={"score"})
    assert list(loaded) == list(Rich.model_fields)


def test_what_pydantic_has_no_json_for_is_kept_as_its_text(persistence: FlowPersistence) -> None:
    class Odd(FlowState):
        blob: bytes = b"\xff"

    persistence.save_state("f", "m", Odd(id="f"))
    assert persistence.load_state("f") == {"id": "f", "blob": str(b"\xff")}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.text(), st.lists(st.dictionaries(st.text(), JSON, max_size=5), min_size=1, max_size=3))
def test_any_json_comes_back(persistence: FlowPersistence, flow_id: str, states: list[dict[str, Any]]) -> None:
    for state in states:
        persistence.save_state(flow_id, "m", state)
    assert repr(persistence.load_state(flow_id)) == repr(states[-1])


@pytest.mark.parametrize("wrong", [None, 1, "text", [1], object()])
def test_states_are_dicts_or_models(persistence: FlowPersistence, wrong: Any) -> None:
    with pytest.raises(ValueError, match="dict"):
        persistence.save_state("f", "m", wrong)
    with pytest.raises(ValueError, match="dict"):
        persistence.save_pending_feedback("f", context(), wrong)
    assert persistence.load_state("f") is None
    assert persistence.load_pending_feedback("f") is None


def test_pending_feedback(persistence: FlowPersistence) -> None:
    assert persistence.load_pending_feedback("f") is None
    persistence.clear_pending_feedback("f")
    asked = context(emit=["yes", "no"], default_outcome="no", metadata={"to": {"who": ("a",)}}, llm={"model": "m"})
    persistence.save_pending_feedback("f", asked, {"id": "f", "n": 1})
    assert persistence.load_state("f") == {"id": "f", "n": 1}
    persistence.save_state("f", "later", {"id": "f", "n": 2})
    found = persistence.load_pending_feedback("f")
    assert found is not None
    assert found[0] == {"id": "f", "n": 1}
    assert found[1].to_dict() == asked.to_dict()
    persistence.save_pending_feedback("f", context("again"), Counted(id="f", counter=3))
    found = persistence.load_pending_feedback("f")
    assert found is not None
    assert (found[0]["counter"], found[1].method_name) == (3, "again")
    persistence.clear_pending_feedback("f")
    persistence.clear_pending_feedback("f")
    assert persistence.load_pending_feedback("f") is None
    assert persistence.load_state("f") == {"id": "f", "counter": 3, "steps": []}


# -- below flows


def counting(backend: FlowPersistence) -> type[Flow[Any]]:
    @persist(backend)
    class Counting(Flow[Counted]):
        @start()
        def first(self) -> None:
            self.state.counter += 1
            self.state.steps.append("first")

        @listen(first)
        async def second(self) -> str:
            await asyncio.sleep(0)
            self.state.counter += 1
            self.state.steps.append("second")
            return "done"

    return Counting


def test_a_flow_goes_on_from_its_state(persistence: FlowPersistence) -> None:
    kind = counting(persistence)
    flow = kind()
    assert flow.kickoff() == "done"
    saved = persistence.load_state(flow.state.id)
    assert saved == {"id": flow.state.id, "counter": 2, "steps": ["first", "second"]}
    again = kind()
    again.kickoff(inputs={"id": flow.state.id})
    assert (again.state.id, again.state.counter) == (flow.state.id, 4)
    changed = kind()
    changed.kickoff(inputs={"id": flow.state.id, "counter": 40})
    assert changed.state.counter == 42


def test_a_flow_is_hydrated_from_another(persistence: FlowPersistence) -> None:
    kind = counting(persistence)
    flow = kind()
    asyncio.run(flow.kickoff_async())
    fork, pinned, fresh = kind(), kind(), kind()
    fork.kickoff(restore_from_state_id=flow.state.id)
    pinned.kickoff(inputs={"id": "pinned"}, restore_from_state_id=flow.state.id)
    fresh.kickoff(restore_from_state_id="nobody")
    assert [each.state.counter for each in (flow, fork, pinned, fresh)] == [2, 4, 4, 2]
    assert pinned.state.id == "pinned"
    counts = [(persistence.load_state(each.state.id) or {})["counter"] for each in (flow, fork, pinned, fresh)]
    assert counts == [2, 4, 4, 2]
    assert len({each.state.id for each in (flow, fork, pinned, fresh)}) == 4


def test_states_that_are_dicts(persistence: FlowPersistence) -> None:
    class Free(Flow[dict[str, Any]]):
        @start()
        @persist(persistence)
        def kept(self) -> None:
            self.state["n"] = self.state.get("n", 0) + 1

        @listen(kept)
        def lost(self) -> None:
            self.state["n"] += 100

    flow = Free()
    flow.kickoff()
    again = Free(persistence=persistence)
    again.kickoff(inputs={"id": flow.state["id"]})
    assert again.state["n"] == 102
    assert persistence.load_state(flow.state["id"]) == {"id": flow.state["id"], "n": 2}


def test_a_method_that_fails_leaves_the_state_before_it(persistence: FlowPersistence) -> None:
    @persist(persistence)
    class Failing(Flow[Counted]):
        @start()
        def first(self) -> None:
            self.state.counter = 1

        @listen(first)
        def second(self) -> None:
            self.state.counter = 2
            raise LookupError("no")

    flow = Failing()
    with pytest.raises(LookupError):
        flow.kickoff()
    assert persistence.load_state(flow.state.id) == {"id": flow.state.id, "counter": 1, "steps": []}


class Waiting:
    """Asks a human who is not there."""

    def request_feedback(self, context: PendingFeedbackContext, flow: Flow[Any]) -> str:
        raise HumanFeedbackPending(context=context)


class Reviewed(FlowState):
    draft: str = ""
    verdict: str = ""


class Review(Flow[Reviewed]):
    @start()
    @human_feedback(message="Good?", provider=Waiting())
    def write(self) -> str:
        self.state.draft = "a draft"
        return self.state.draft

    @listen(write)
    def decide(self, result: Any) -> str:
        self.state.verdict = result.feedback
        return f"{self.state.draft}: {result.feedback}"


@pytest.fixture
def by_default(persistence: FlowPersistence) -> Any:
    set_flow_persistence_factory(lambda: persistence)
    yield persistence
    set_flow_persistence_factory(None)


@pytest.mark.parametrize("named", [True, False])
def test_a_flow_waits_for_a_human(persistence: FlowPersistence, by_default: Any, named: bool) -> None:
    flow = Review(persistence=persistence) if named else Review()
    pending = flow.kickoff()
    assert isinstance(pending, HumanFeedbackPending)
    flow_id = pending.context.flow_id
    assert persistence.load_state(flow_id) == {"id": flow_id, "draft": "a draft", "verdict": ""}
    later = Review.from_pending(flow_id, persistence if named else None)
    assert later.pending_feedback is not None
    assert later.pending_feedback.message == "Good?"
    assert later.resume("fine") == "a draft: fine"
    assert persistence.load_pending_feedback(flow_id) is None
    with pytest.raises(ValueError, match="No pending feedback"):
        Review.from_pending(flow_id, persistence)


def test_routes(persistence: FlowPersistence) -> None:
    @persist(persistence)
    class Routed(Flow[Counted]):
        @start()
        def begin(self) -> None:
            self.state.counter += 1

        @router(begin)
        def where(self) -> str:
            return "odd" if self.state.counter % 2 else "even"

        @listen("odd")
        def after_odd(self) -> str:
            self.state.steps.append("odd")
            return "odd"

        @listen("even")
        def after_even(self) -> str:
            self.state.steps.append("even")
            return "even"

    flow = Routed()
    flow.kickoff()
    again = Routed()
    assert again.kickoff(inputs={"id": flow.state.id}) == "even"
    assert (persistence.load_state(flow.state.id) or {})["steps"] == ["odd", "even"]


def test_many_flows_at_once(persistence: FlowPersistence) -> None:
    kind = counting(persistence)

    async def main() -> list[Any]:
        flows = [kind() for _ in range(30)]
        await asyncio.gather(*(each.kickoff_async() for each in flows))
        return flows

    flows = asyncio.run(main())
    for each in flows:
        assert (persistence.load_state(each.state.id) or {})["counter"] == 2
    assert len({each.state.id for each in flows}) == 30


def test_a_declared_flow_finds_its_store_again(persistence: FlowPersistence) -> None:
    kind = counting(persistence)
    flow = kind()
    flow.kickoff()
    restored = type(persistence).model_validate(persistence.model_dump(mode="json"))
    assert restored.load_state(flow.state.id) == persistence.load_state(flow.state.id)
