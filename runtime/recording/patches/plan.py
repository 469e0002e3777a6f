"""Find out what patches mean at a step of a recording, before anything is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from greenroom.runtime.recording.tape.model import Asked, Crossing
from greenroom.storage.errors import ValidationError

from .answers import answer_of, format_of_crossing, patched_answer
from .grammar import Patch
from .requests import RequestChanges, names_tool

__all__ = ["Plan", "plan"]

_TOOLS = ("tool", "mcp")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fork changes: the answer of its last replayed step, None if that stays as it is, and the patches of the
    calls after it."""

    answer: Crossing | None = None
    requests: list[Patch] = field(default_factory=list)


def plan(patches: Sequence[Patch], steps: Sequence[Crossing], at: int) -> Plan:
    """Return what patches do in a fork that replays the first `at` steps. Raises ValidationError if one of them fits
    nothing: each is tried on what was recorded."""
    step = steps[at - 1] if at else None
    answer: Crossing | None = None
    requests: list[Patch] = []
    for patch in patches:
        if not _is_of_answer(patch, step):
            requests.append(patch)
        elif step is None:
            raise ValidationError(
                f"patch: {patch.target} is of a recorded answer, and no step is replayed: fork --at the step that is "
                "to be answered otherwise",
                field="patch",
            )
        else:
            answer = patched_answer(answer or step, patch)
    _try(requests, steps, at)
    return Plan(answer, requests)


def _is_of_answer(patch: Patch, step: Crossing | None) -> bool:
    if patch.root == "response" or patch.path[0] == "status":
        return True
    if patch.root != "tool" or step is None:
        return False
    name = str(patch.path[0])
    if patch.path[1] == "result":
        return step.kind in _TOOLS and names_tool(step.name, name)
    format = format_of_crossing(step)
    return format is not None and "status" in step.outcome and name in _called(step)


def _called(step: Crossing) -> list[str]:
    """Return the names of the tools that a model's answer calls."""
    format = format_of_crossing(step)
    try:
        return [each.name for each in format.calls(answer_of(step))] if format is not None else []
    except ValidationError:
        return []


def _try(patches: Sequence[Patch], steps: Sequence[Crossing], at: int) -> None:
    """Apply patches to what was called after a step, or, where they fit nothing there, to all that was called."""
    for patch in patches:
        if patch.root == "tool":
            _check_tool(patch, steps)
        if not any(_applies(patch, part) for part in (steps[at:], steps[:at])):
            what = {"llm": "model call", "http": "HTTP call"}.get(patch.root, "call")
            raise ValidationError(
                f"patch: {patch.target}: the recording has no {what} that it would change", field="patch"
            )


def _applies(patch: Patch, steps: Sequence[Crossing]) -> bool:
    changes = RequestChanges([patch])
    for each in steps:
        changes(Asked(each.kind, each.name, each.input))
        if changes.applied[patch.text]:
            return True
    return False


def _check_tool(patch: Patch, steps: Sequence[Crossing]) -> None:
    own = {each.name for each in steps if each.kind in _TOOLS}
    asked = {name for each in steps for name in _called(each)}
    name = str(patch.path[0])
    if name in asked or any(names_tool(each, name) for each in own):
        return
    known = f"its tools are {', '.join(sorted(own | asked)[:10])}" if own or asked else "it calls no tools"
    raise ValidationError(f"patch: {patch.target}: the recording has no tool {name}: {known}", field="patch")
