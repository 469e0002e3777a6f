"""Reads the fields of workflows and steps from mappings, as Python or as scripts spell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from greenroom.storage.errors import ValidationError

__all__ = ["KINDS", "MAX_ROUNDS", "read_condition", "step_fields", "workflow_fields"]

KINDS: Final = ("sequential", "parallel", "conditional", "loop")
MAX_ROUNDS: Final = 1000

_COMMON: Final = ("kind", "name", "steps", "description", "error_strategy", "timeout", "max_concurrency")
_ITERATED: Final = ("start", "end", "step", "range", "collection", "while_condition")
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "sequential": (),
    "parallel": ("branches",),
    "conditional": ("condition", "otherwise", "branches"),
    "loop": ("times", "items", "condition", "break_conditions", "iterator", *_ITERATED),
}
_SAME: Final = {
    "type": "kind",
    "timeout_ms": "timeout",
    "default_branch": "otherwise",
    "body": "steps",
    "max_iterations": "times",
}
_STEP_SAME: Final = {"parameters": "input", "retry_count": "retries", "timeout_ms": "timeout"}
_STEP_TYPES: Final = ("tool", "agent", "function", "workflow", "custom")
_ITERATORS: Final = ("range", "collection", "while_condition")


def _read(given: Mapping[str, Any], known: Iterable[str], same: Mapping[str, str], what: str) -> dict[str, Any]:
    """Return the fields of a mapping under their own names. Raises ValidationError for an unknown one, and for one that
    is given twice."""
    known = list(known)
    found: dict[str, Any] = {}
    for key, value in given.items():
        name = same.get(key, key)
        if name not in known:
            spellings = [*known, *(other for other, own in same.items() if own in known)]
            from greenroom.storage.common.validation import nearest

            near = nearest(str(key), spellings)
            raise ValidationError(
                f"{what} has no {str(key)[:64]!r}: did you mean {near!r}? There are: {', '.join(sorted(spellings))}",
                field=str(key)[:64],
            )
        if value is None:
            continue
        if name in found:
            raise ValidationError(f"{what}: {name} is given twice, also as {key!r}", field=str(key)[:64])
        found[name] = _seconds(value, key) if key == "timeout_ms" else value
    return found


def _seconds(milliseconds: Any, key: str) -> float:
    if type(milliseconds) not in (int, float) or not milliseconds > 0:
        raise ValidationError(f"{key}: a number of milliseconds above 0 is needed", field=key)
    return float(milliseconds / 1000)


_STEP: Final = ("name", "tool", "agent", "workflow", "function", "input", "timeout", "optional", "undo", "retries")


def step_fields(given: Any) -> dict[str, Any]:
    """Return the fields of a step under Python's names. Raises ValidationError."""
    if not isinstance(given, Mapping):
        raise ValidationError("a step is a mapping with name, tool, agent or function, and input", field="steps")
    fields = _read(given, (*_STEP, "type"), _STEP_SAME, "a step")
    if "name" not in fields:
        raise ValidationError("a step needs a name", field="name")
    name = str(fields["name"])[:64]
    kind = fields.pop("type", None)
    if kind is not None and kind not in _STEP_TYPES:
        raise ValidationError(f"step {name!r}: type is one of {', '.join(_STEP_TYPES)}", field="type")
    kind = "function" if kind == "custom" else kind
    if kind is not None and kind not in fields:
        raise ValidationError(f"step {name!r} is of type {kind!r} and has no {kind!r}", field=kind)
    if isinstance(fields.get("undo"), Mapping):
        fields["undo"] = {"name": f"{name} undone"[:64], **fields["undo"]}
    return fields


def workflow_fields(given: Any) -> dict[str, Any]:
    """Return the fields of a workflow under Python's names: its kind, and what its class method takes. Steps are as
    they were given; branches are mappings of name, condition and steps. Raises ValidationError."""
    if not isinstance(given, Mapping):
        raise ValidationError("a workflow is a mapping with kind and steps", field="workflow")
    kind = given.get("kind", given.get("type"))
    if kind not in KINDS:
        raise ValidationError(f"kind: one of {', '.join(KINDS)}", field="kind")
    assert isinstance(kind, str)
    fields = _read(given, (*_COMMON, *_FIELDS[kind]), _SAME, f"a {kind} workflow")
    fields["steps"] = _steps_in(fields.get("steps"), "steps")
    if fields.get("error_strategy") == "fail_fast":
        fields["error_strategy"] = "fail"
    if "condition" in fields:
        fields["condition"] = read_condition(fields["condition"])
    if kind == "parallel":
        fields["steps"] += [_as_step(each) for each in _list_in(fields.pop("branches", None), "branches")]
    if kind == "conditional":
        branches = [_branch(each, at) for at, each in enumerate(_list_in(fields.get("branches"), "branches"), 1)]
        fields["otherwise"] = _otherwise(fields.get("otherwise"), branches)
        fields["branches"] = branches
    if kind == "loop":
        fields = _iterated(fields)
        if "break_conditions" in fields:
            fields["break_conditions"] = _conditions(fields["break_conditions"])
    return fields


def _list_in(given: Any, field: str) -> list[Any]:
    if given is None or given == {}:  # an empty Lua table can be either
        return []
    if not isinstance(given, list | tuple):
        raise ValidationError(f"{field}: a list is needed", field=field)
    return list(given)


def _steps_in(given: Any, field: str) -> list[Any]:
    if isinstance(given, Mapping) and "name" in given:
        given = [given]
    return _list_in(given, field)


def _branch(given: Any, number: int) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValidationError("branches: a branch is a mapping with name, condition and steps", field="branches")
    fields = _read(given, ("name", "condition", "steps"), {}, "a branch")
    if "condition" not in fields:
        raise ValidationError("branches: a branch needs a condition", field="branches")
    return {
        "name": fields.get("name", f"branch {number}"),
        "condition": read_condition(fields["condition"]),
        "steps": _steps_in(fields.get("steps"), "steps"),
    }


def _as_step(given: Any) -> Any:
    """Return a branch of a parallel workflow as a step: its steps run one after the other."""
    if not isinstance(given, Mapping) or "steps" not in given:
        return given
    fields = _read(given, ("name", "steps", "optional"), {"required": "optional"}, "a branch of a parallel workflow")
    step = {"name": fields.get("name"), "workflow": {"kind": "sequential", "steps": fields["steps"]}}
    if "required" in given:
        return {**step, "optional": not given["required"]}
    return {**step, **{name: fields[name] for name in ("optional",) if name in fields}}


def _otherwise(given: Any, branches: list[dict[str, Any]]) -> list[Any]:
    """Return the steps of the default branch: given as such, as a branch without condition, or by the name of a branch,
    which then is the default only."""
    if isinstance(given, str):
        named = next((branch for branch in branches if branch["name"] == given), None)
        if named is None:
            raise ValidationError(f"default_branch: there is no branch {given[:64]!r}", field="default_branch")
        branches.remove(named)
        return list(named["steps"])
    if isinstance(given, Mapping) and "steps" in given:
        fields = _read(given, ("name", "steps"), {}, "the default branch")
        return _steps_in(fields["steps"], "default_branch")
    return _steps_in(given, "default_branch")


def _conditions(given: Any) -> list[Any]:
    """Return a list of conditions; a single one counts as a list."""
    conditions = _list_in(given, "break_conditions") if isinstance(given, list | tuple) or given == {} else [given]
    return [read_condition(each) for each in conditions]


def read_condition(given: Any) -> Any:
    """Return a condition in its own form; scripts spell some as mappings with a `type`. Raises ValidationError."""
    if isinstance(given, str) and given in ("always", "never"):
        return given == "always"
    if not isinstance(given, Mapping):
        return given
    fields = dict(given)
    kind = fields.pop("type", None)
    if kind in ("always", "never"):
        return kind == "always"
    if kind in ("and", "or"):
        return {"all" if kind == "and" else "any": [read_condition(each) for each in fields.get("conditions") or ()]}
    if kind == "not":
        return {"not": read_condition(fields.get("condition"))}
    if kind in _ABOUT:
        place, test, others = _ABOUT[kind]
        named = next((fields[name] for name in ("key", "step_name", "step") if name in fields), None)
        other = next((fields[name] for name in (*others, "value") if name in fields), None)
        if not isinstance(named, str):
            raise ValidationError(
                f"condition: {kind} needs a {'key' if place == 'state' else 'step_name'}", field="condition"
            )
        return {"value": f"{{{{{place}:{named}{':output' if place == 'step' else ''}}}}}", test: other}
    if kind is not None and kind != "tool" and not (kind == "agent" and "agent" in fields):
        known = ", ".join(sorted((*_ABOUT, "always", "never", "and", "or", "not", "tool", "agent")))
        raise ValidationError(f"condition: type is one of {known}", field="condition")
    for name in ("all", "any"):
        if name in fields:
            fields[name] = [read_condition(each) for each in fields[name]]
    if "not" in fields:
        fields["not"] = read_condition(fields["not"])
    return fields


_ABOUT: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "shared_data_equals": ("state", "equals", ("expected", "expected_value")),
    "state_equals": ("state", "equals", ("expected", "expected_value")),
    "shared_data_exists": ("state", "not_equals", ("nothing",)),
    "step_output_equals": ("step", "equals", ("expected", "expected_value", "expected_output")),
    "step_output_contains": ("step", "contains", ("substring", "search_text", "text", "expected")),
}
"""Conditions that scripts name by a type: what they are about, their test, and where its other side is."""


def _iterated(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a loop with `iterator` read: its range or collection are the items, `while_condition` the
    condition."""
    iterator = fields.pop("iterator", None)
    beside: dict[str, Any] = {name: fields.pop(name) for name in _ITERATED if name in fields}
    if isinstance(iterator, str):  # its name, and what belongs to it beside it
        iterator, beside = _named_iterator(iterator, beside, fields), {}
    elif iterator is None and len(beside) == 1 and next(iter(beside)) in _ITERATORS:
        iterator, beside = beside, {}
    if beside:
        raise ValidationError(f"{next(iter(beside))}: it belongs into the iterator of the loop", field="iterator")
    if iterator is None:
        return fields
    if not isinstance(iterator, Mapping) or len(iterator) != 1 or next(iter(iterator)) not in _ITERATORS:
        raise ValidationError(f"iterator: a mapping with one of {', '.join(_ITERATORS)}", field="iterator")
    if "items" in fields or "condition" in fields:
        raise ValidationError("a loop has either an iterator, or items or a condition", field="iterator")
    ((kind, given),) = iterator.items()
    if kind == "while_condition":
        return {**fields, "condition": read_condition(given)}
    return {**fields, "items": _numbers(given) if kind == "range" else given if given != {} else []}


def _named_iterator(name: str, beside: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return an iterator that is given by its name."""
    if name == "range":
        return {"range": beside.get("range", {key: beside[key] for key in ("start", "end", "step") if key in beside})}
    if name in ("collection", "items"):
        return {"collection": beside["collection"] if "collection" in beside else fields.pop("items", None)}
    if name in ("while", "while_condition"):
        given = beside["while_condition"] if "while_condition" in beside else fields.pop("condition", None)
        return {"while_condition": given}
    raise ValidationError("iterator: range, collection or while", field="iterator")


def _numbers(given: Any) -> list[float]:
    """Return the numbers of a range, its end included: a mapping of start, end and step, or a list of them."""
    if isinstance(given, Mapping):
        fields = _read(given, ("start", "end", "step"), {"stop": "end"}, "a range")
        start, end, step = fields.get("start", 1), fields.get("end"), fields.get("step", 1)
    elif isinstance(given, list | tuple) and 2 <= len(given) <= 3:
        start, end, step = (*given, 1)[:3]
    else:
        start, end, step = 1, given, 1
    limits: tuple[Any, ...] = (start, end, step)
    if not all(type(each) in (int, float) and abs(each) < 1 << 53 for each in limits) or not step:
        raise ValidationError("range: start, end and step are numbers, and step is not 0", field="range")
    count = int((end - start) / step) + 1 if (end - start) * step >= 0 else 0
    if count > MAX_ROUNDS:
        raise ValidationError(f"range: at most {MAX_ROUNDS} rounds, this has {count}", field="range")
    numbers = [start + step * number for number in range(count)]
    return [int(each) if isinstance(each, float) and each.is_integer() else each for each in numbers]
