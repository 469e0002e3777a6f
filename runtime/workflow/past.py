"""What the journal has of a run that a crash interrupted: so that nothing that had ended is done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from greenroom.runtime.model.workflow import Workflow
from greenroom.runtime.model.workflow_definition import defined_again, definition_of
from greenroom.storage.codec.records import Value, pack_value
from greenroom.storage.errors import InvalidOperation, ValidationError

if TYPE_CHECKING:
    from greenroom.runtime.events.events import Events
    from greenroom.storage.events.model import Event

__all__ = ["NO_PAST", "Past", "flow_of", "is_same", "past_run", "place_key", "unfinished"]

_KINDS: Final = ("workflow.*", "tool.*", "agent.*")


def place_key(name: str, rounds: tuple[int, ...]) -> str:
    """Return the key of a stage within its run: the name of its step, and the rounds of the loops around it."""
    return f"{name}:{'.'.join(map(str, rounds))}"


@dataclass(slots=True)
class Past:
    """The run so far: its definition and input, the stages that ended, what their calls returned, what conditions
    decided, and which stages were undone, all by the keys of their places."""

    run_id: str
    started: Event | None
    definition: Mapping[str, Any]
    input: Value
    stages: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: dict[str, tuple[Value]] = field(default_factory=dict)
    decided: dict[str, Value] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)

    def output(self, key: str) -> Value:
        """Return the output of a stage that succeeded. Raises InvalidOperation if the journal does not have it any
        more."""
        data = self.stages[key]
        if not data.get("cut"):
            return data.get("output")
        if data.get("result") is not None:
            return data["result"]
        if key in self.calls:
            return self.calls[key][0]
        raise InvalidOperation(
            f"the run {self.run_id} cannot be resumed: the journal does not have the output of step"
            f" {data['stage']!r} any more",
            run_id=self.run_id,
        )


NO_PAST: Final = Past("", None, {}, None)
"""That of a run which begins now."""


def unfinished(events: Events, session_id: str) -> list[Event]:
    """Return the events that started runs which have not finished, the newest last."""
    finished = events.query(session_id=session_id, type="workflow.finished", origin="runtime")
    ended = {each.data.get("run_id") for each in finished}
    started = events.query(session_id=session_id, type="workflow.started", origin="runtime")
    return [each for each in started if each.data.get("run_id") not in ended]


def past_run(events: Events, started: Event) -> Past:
    """Read what the journal has of a run. Raises InvalidOperation if it has no definition of the workflow."""
    data: Mapping[str, Any] = {**started.data}
    run_id, definition = data["run_id"], data.get("definition")
    if not isinstance(definition, Mapping):
        raise InvalidOperation(
            f"the run {run_id} cannot be resumed: the journal does not have its definition", run_id=run_id
        )
    past = Past(run_id, started, definition, data["given"] if "given" in data else data.get("input"))
    calls: dict[int, str] = {}
    for kind in _KINDS:
        for event in events.query(session_id=started.session_id, type=kind, origin="runtime", after=started.timestamp):
            if event.sequence > started.sequence:
                _read(past, event, calls)
    return past


def _read(past: Past, event: Event, calls: dict[int, str]) -> None:
    data: Mapping[str, Any] = {**event.data}
    run, _, key = str(data.get("stage")).partition("/")
    if event.type.endswith(".called") and run == past.run_id:
        calls[event.sequence] = key
    elif event.type.endswith(".returned") and data.get("call") in calls and data.get("success"):
        if "bytes" not in data:  # which says that the store could not take the result
            result = data.get("result")
            past.calls[calls[data["call"]]] = (result["text"] if event.type.startswith("agent.") else result,)  # type: ignore[index]
    elif data.get("run_id") != past.run_id:
        return
    elif event.type == "workflow.decided":
        past.decided[data["place"]] = data.get("value")
    elif event.type == "workflow.stage":
        past.stages[_key(data)] = data
    elif event.type == "workflow.rolled_back":
        past.undone.add(_key(data))


def _key(data: Mapping[str, Any]) -> str:
    rounds = data.get("rounds") or ([data["round"]] if data.get("round") is not None else [])
    return place_key(data["stage"], tuple(rounds))


def flow_of(
    past: Past, given: Workflow | None, functions: Mapping[str, Callable[..., Any]], clean: Callable[[bytes], bytes]
) -> Workflow:
    """Return the workflow of a run: `given`, if it is the same one, or the journal's, with its functions.

    Raises ValidationError if another workflow is given, InvalidOperation if the journal's cannot be read.
    """
    if given is not None:
        if not is_same(given, past, clean):
            raise ValidationError(
                f"workflow: the run {past.run_id} is of another one: give the workflow as it was run", field="workflow"
            )
        return given
    try:
        flow = defined_again(past.definition, functions)
    except (TypeError, KeyError, AttributeError, ValueError) as error:  # of a journal that others have written
        raise InvalidOperation(
            f"the run {past.run_id} cannot be resumed: its definition cannot be read", run_id=past.run_id
        ) from error
    names = {step.name for step in flow.every_step()} | {
        name for each in flow.every_flow() for name in (each.name, *(branch.name for branch in each.branches))
    }
    unknown = sorted(functions.keys() - names)
    if unknown:
        raise ValidationError(
            f"functions: the workflow has no step, branch or workflow named {unknown[0][:64]!r}", field="functions"
        )
    return flow


def is_same(flow: Workflow, past: Past, clean: Callable[[bytes], bytes]) -> bool:
    """Return whether a workflow has the definition of a run, apart from its functions. `clean` removes from an encoded
    value what the journal must not have."""
    return clean(pack_value(definition_of(flow), "definition")) == pack_value(dict(past.definition), "definition")
