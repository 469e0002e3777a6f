"""The public API, found by looking at it: what there is to call, and what each call needs to be right."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.actors.hooks.hook import KeywordOptions
from greenroom.runtime import ArtifactQuery, Runtime, RuntimeConfig, SessionConfig, Step, Workflow, messages
from greenroom.storage.artifacts.query import ArtifactCriteria
from greenroom.storage.catalog.model import SessionQuery
from greenroom.storage.events.query import EventQuery

__all__ = ["JOURNALS_ATTEMPTS", "Call", "World", "calls", "makings"]


class World:
    """A runtime with a session that has a bit of everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rt = Runtime.open(config={"handle_signals": False, "ask_timeout": 20})
        self.rt.tools.register("echo", lambda **input: input)
        self.rt.agents.register("echo", lambda input, context: "said")
        self.rt.templates.save("preset", {"tags": ["t"]})
        self.other = self.rt.create_session("other")
        self.path_number = 0
        self.renew()

    def renew(self) -> None:
        """A session that no call has touched."""
        self.s = self.rt.create_session("fresh")
        self.s.set("k", 1)
        self.artifact = self.s.store_artifact("note", "a.txt", b"content")
        self.event_id = f"{self.s.id}/2"

    def path(self) -> Path:
        self.path_number += 1
        return self.folder / f"file-{self.path_number}"

    def file(self) -> Path:
        path = self.path()
        path.write_bytes(b"content")
        return path

    def bundle(self) -> Path:
        path = self.path()
        self.other.export(path)
        return path

    def store(self) -> Path:
        path = self.path()
        Runtime.open(path, config={"handle_signals": False}).close()
        return path


OWNERS: dict[str, Callable[[World], Any]] = {
    "Runtime": lambda w: w.rt,
    "Session": lambda w: w.s,
    "Scope": lambda w: w.rt.state_scope("scope"),
    "Templates": lambda w: w.rt.templates,
    "Events": lambda w: w.rt.events,
    "Hooks": lambda w: w.rt.hooks,
    "Middleware": lambda w: w.rt.middleware,
    "Tools": lambda w: w.rt.tools,
    "Agents": lambda w: w.rt.agents,
    "Policies": lambda w: w.rt.policies,
    "Analytics": lambda w: w.rt.analytics,
    "Subscription": lambda w: w.rt.events.subscribe("custom.never"),
    "ArtifactQuery": lambda w: ArtifactQuery(),
}

INNER = {
    # What the runtime itself calls, with what it has checked, or what takes no part in a session's life.
    "Agents": {"close", "message", "perform", "send"},
    "Analytics": {"private"},
    "Events": {"close", "handler_failed", "hurry", "imported", "of_session"},
    "Hooks": {"any", "around", "at", "close", "creation", "fire", "register_at"},
    "Policies": {"for_child", "require", "script_memory", "parallel", "sequential", "voting"},
    "Runtime": {"close", "refresh"},
    "Subscription": {"close", "finish", "hurry", "join", "offer", "take", "matches", "on_arrival"},
    "Tools": {"perform", "send"},
}  # fmt: skip

JOURNALS_ATTEMPTS = {
    "Runtime.run_script", "Session.call_tool", "Session.call_agent", "Session.run_workflow", "Tools.call",
    "Tools.invoke",
    "Agents.call",
}  # fmt: skip
"""Calls that leave a trace in the session when what they have begun fails."""

RIGHT: dict[str, Callable[[World], Any]] = {
    "agent": lambda w: "echo",
    "artifact": lambda w: w.artifact.id,
    "at": lambda w: 1,
    "backup": lambda w: w.store(),
    "changes": lambda w: {"k": 1},
    "chain": lambda w: "operation",
    "content": lambda w: b"content",
    "correlation_id": lambda w: w.s.id,
    "event": lambda w: w.event_id,
    "event_id": lambda w: w.event_id,
    "flow": lambda w: Workflow.sequential([Step("one", tool="echo")]),
    "fn": lambda w: lambda *_: None,
    "from_event": lambda w: w.event_id,
    "hook": lambda w: w.rt.hooks.register("ArtifactStored", lambda context: None),
    "id_prefix": lambda w: w.s.id[:8],
    "ids": lambda w: [w.artifact.id],
    "input": lambda w: {},
    "items": lambda w: [{"type": "note", "name": "n", "content": b"x"}],
    "key": lambda w: "k",
    "kind": lambda w: "related_to",
    "message": lambda w: messages.GetInfo(),
    "name": lambda w: "name",
    "new": lambda w: 1,
    "old": lambda w: 1,
    "path": lambda w: w.path(),
    "point": lambda w: "ArtifactStored",
    "policy": lambda w: lambda request: None,
    "preset": lambda w: {"tags": ["x"]},
    "reason": lambda w: "reason",
    "ref": lambda w: w.artifact.id,
    "refs": lambda w: [w.artifact.id],
    "role": lambda w: "user",
    "seconds": lambda w: 5.0,
    "session": lambda w: w.s,
    "session_id": lambda w: w.s.id,
    "source": lambda w: "return 1",
    "tag": lambda w: "t",
    "tags": lambda w: ["t"],
    "target": lambda w: w.path(),
    "to_event": lambda w: f"{w.s.id}/1",
    "to_id": lambda w: f"{w.s.id}/1",
    "from_id": lambda w: w.event_id,
    "type": lambda w: "custom.type",
    "value": lambda w: 1,
    "with_session": lambda w: w.other.id,
    "field": lambda w: "size",
    "text": lambda w: "text",
    "pattern": lambda w: "*.txt",
    "content_hash": lambda w: "0" * 64,
    "creator": lambda w: "me",
    "count": lambda w: 1,
    "kind_": lambda w: "x",
    "artifact_type": lambda w: "note",
}
RIGHT_THERE: dict[str, Callable[[World], Any]] = {
    "Runtime.import_bundle.path": lambda w: w.bundle(),
    "Runtime.import_session.path": lambda w: w.bundle(),
    "Runtime.salvage.path": lambda w: w.store(),
    "Session.store_file.path": lambda w: w.file(),
    "Session.call_tool.name": lambda w: "echo",
    "Session.diff_artifact.name": lambda w: "a.txt",
    "Session.artifact_versions.name": lambda w: "a.txt",
    "Tools.call.name": lambda w: "echo",
    "Tools.invoke.name": lambda w: "echo",
    "Tools.register_file_operations.directories": lambda w: [w.folder],
    "Templates.get.name": lambda w: "preset",
    "Runtime.restore.path": lambda w: w.path(),
}
MORE: dict[str, tuple[str, ...]] = {
    "Runtime.list_sessions": tuple(SessionQuery.model_fields),
    "Runtime.count_sessions": tuple(SessionQuery.model_fields),
    "Runtime.query_artifacts": tuple(ArtifactCriteria.model_fields),
    "Session.query_artifacts": tuple(ArtifactCriteria.model_fields),
    "ArtifactQuery.having": tuple(ArtifactCriteria.model_fields),
    "Events.query": tuple(EventQuery.model_fields),
    "Events.export": tuple(EventQuery.model_fields),
    "Analytics.aggregate": ("status", "tags", "created_by"),
    "Runtime.retention": ("keep_versions", "max_age_days", "max_session_bytes", "ended_days", "keep_journal_days"),
    "Session.store_file": ("description", "tags", "metadata", "durability"),
    "Session.store_version": ("description", "tags", "metadata", "durability"),
    "Session.update_config": tuple(SessionConfig.model_fields),
    "Agents.build": ("temperature",),
    "Agents.create": ("temperature",),
    "Policies.update": ("timeout", "rate", "resources", "composition"),
    "Hooks.register": tuple(KeywordOptions.__annotations__),
    "Middleware.use": ("priority", "timeout", "tags"),
    "ArtifactQuery.where": ("custom_field",),
}
"""Names that stand for `**options`."""


@dataclass(frozen=True)
class Call:
    """One method, or one class to make objects of, and one of its parameters."""

    name: str
    parameter: str
    invoke: Callable[[World, Any], Any]

    def __str__(self) -> str:
        return f"{self.name}({self.parameter})"


def _calls(name: str, find: Callable[[World], Callable[..., Any]], signature: inspect.Signature) -> Iterator[Call]:
    parameters = [each for each in signature.parameters.values() if each.name != "self"]
    needed = [
        each
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    named: list[str] = []
    for each in parameters:
        if each.kind is each.VAR_KEYWORD:
            named += MORE[name]
        elif each.kind is not each.VAR_POSITIONAL:
            named.append(each.name)
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_ONLY]

    def right(world: World, parameter: str) -> Any:
        return (RIGHT_THERE.get(f"{name}.{parameter}") or RIGHT[parameter])(world)

    for parameter in named:

        def invoke(world: World, value: Any, parameter: str = parameter) -> Any:
            given = {each.name: right(world, each.name) for each in needed if each.name != parameter}
            given[parameter] = value
            first = [given.pop(each) for each in positional if each in given]
            return find(world)(*first, **given)

        yield Call(name, parameter, invoke)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):

        def spread(world: World, value: Any) -> Any:
            return find(world)(
                *(right(world, each.name) for each in needed if each.kind is not each.KEYWORD_ONLY), value
            )

        yield Call(name, "*", spread)


def _methods(world: World) -> Iterator[Call]:
    for owner, make in OWNERS.items():
        kind = type(make(world))
        for method in sorted(dir(kind)):
            function = getattr(kind, method)
            if method.startswith("_") or method in INNER.get(owner, ()) or not callable(function):
                continue

            def find(world: World, make: Callable[[World], Any] = make, method: str = method) -> Any:
                return getattr(make(world), method)

            bound = getattr(make(world), method)
            yield from _calls(f"{owner}.{method}", find, inspect.signature(bound))


MADE: dict[str, Any] = {
    **{f"messages.{name}": each for name in messages.__all__ if inspect.isclass(each := getattr(messages, name))},
    "RuntimeConfig": RuntimeConfig,
    "SessionConfig": SessionConfig,
    "ArtifactQuery": ArtifactQuery,
}  # fmt: skip
MADE_WITH = {
    "messages.QueryArtifacts": tuple(ArtifactCriteria.model_fields),
    "ArtifactQuery": tuple(ArtifactCriteria.model_fields),
}
MORE |= MADE_WITH


def _makings() -> Iterator[Call]:
    for name, kind in MADE.items():
        yield from _calls(name, lambda world, kind=kind: kind, inspect.signature(kind))  # type: ignore[misc]


def makings() -> list[Call]:
    """Every class to make objects of, with every parameter."""
    return list(_makings())


def calls(folder: Path) -> list[Call]:
    """Every call with every parameter."""
    world = World(folder)
    try:
        return [*_methods(world), *_makings()]
    finally:
        world.rt.close()
