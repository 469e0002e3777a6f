"""The public API, found by looking at it: what there is to call, and what each call needs to be right.

The file is long because it knows a right argument for every parameter of the public API.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import greenroom.runtime
from greenroom.actors.hooks.hook import KeywordOptions
from greenroom.actors.messages.core import How
from greenroom.runtime import (
    AgentOutputCollector,
    ArtifactQuery,
    CallContext,
    GreenroomError,
    HookQuery,
    Replay,
    Runtime,
    SessionConfig,
    SessionNotFound,
    Step,
    Subscription,
    ToolResultCollector,
    Workflow,
    hooks,
    messages,
)
from greenroom.runtime.model.script import ScriptOptions, StreamOptions
from greenroom.storage.artifacts.query import ArtifactCriteria
from greenroom.storage.catalog.model import SessionCriteria
from greenroom.storage.catalog.query import SessionQuery
from greenroom.storage.events.query import EventQuery

__all__ = ["JOURNALS_ATTEMPTS", "Call", "Method", "World", "calls", "makings", "methods"]


class World:
    """A runtime with a session that has a bit of everything."""

    def __init__(self, folder: Path, path: Path | None = None) -> None:
        self.folder = folder
        self.path_number = 0
        self.job: Callable[[CallContext], None] = lambda context: None
        self._open(path)
        self.rt.templates.save("preset", {"tags": ["t"]})
        self.other = self.rt.create_session("other")
        self.used = self.rt.usage()
        self.hit = self.rt.search("other")[0]
        self.policies = self.rt.policies.get()
        self.tools = {tool.name for tool in self.rt.tools.list()}
        self.renew()

    def _open(self, path: Path | None, *, read_only: bool = False) -> None:
        self.rt = Runtime.open(path, config={"handle_signals": False, "ask_timeout": 20}, read_only=read_only)
        self.rt.tools.register("echo", lambda **input: input)
        self.rt.schemas.register("registered", 1, keys="checked")
        self.backup = self.rt.state_backups.create([]).id
        self.rt.agents.register("echo", lambda input, context: "said")
        self.rt.tools.register("within", self._within)

    def only_read(self) -> None:
        """Have the store opened for reading only from now on."""
        assert self.bundle.exists()  # made while it can be
        self.rt.state_scope("scope").set("k", 1)
        self.installed()
        path = self.rt.path
        self.rt.close()
        self._open(path, read_only=True)
        self.s, self.other = self.rt.session(self.s.id), self.rt.session(self.other.id)

    def installed(self) -> str:
        """The name of an installed script."""
        if not self.rt.read_only:
            self.rt.scripts.install("installed", "return 1")
        return "installed"

    def _within(self, context: CallContext) -> None:
        self.job(context)

    def listening(self) -> Subscription:
        """A subscription to which nothing comes any more."""
        made = self.rt.events.subscribe("custom.never")
        made.close()
        return made

    def state(self) -> tuple[Any, ...]:
        """What there is, which a call that fails leaves as it is; what calls have left in the runtime is taken back."""
        rt = self.rt
        left: list[Any] = [*rt.hooks.list(), *rt.events.subscriptions, *rt.policies.names()]
        for hook in rt.hooks.list():
            rt.hooks.unregister(hook.id)
        for subscription in rt.events.subscriptions:
            subscription.close()
        for policy in rt.policies.names():
            rt.policies.remove(policy)
        for schema in rt.schemas.list():
            if schema.name != "registered":
                rt.schemas.unregister(schema.name)
                left.append(schema)
        for tool in rt.tools.list():
            if tool.name not in self.tools:
                rt.tools.unregister(tool.name)
                left.append(tool)
        if rt.policies.get() != self.policies:
            left.append(rt.policies.get())
            rt.policies.update(self.policies)
        try:
            info = self.s.info()
        except SessionNotFound:  # deleted
            info = None
        return info, rt.state_scope("scope").list(), rt.templates.list(), left

    def renew(self) -> None:
        """A session that no call has touched."""
        self.s = self.rt.create_session("fresh")
        self.s.set("k", 1)
        self.artifact = self.s.store_artifact("note", "a.txt", b"content")
        self.event_id = f"{self.s.id}/2"
        self.turn = self.s.add_message("user", "said").sequence
        self.s.add_message("assistant", "answered")
        self.asked, self.cancelled = self.s.ask_human("Which?"), self.s.ask_human("Which?")
        self.rt.approvals.cancel(self.cancelled)
        self.script_run = self.s.run_script("return 1").run_id

    def replaying(self) -> Replay:
        """A replay that is paused; there is one at a time."""
        for each in self.rt.replays.list():
            each.stop()
        replay = self.rt.replays.start(self.s, breakpoints=[{"event": "never"}], paused=True)
        replay.step(2)
        return replay

    def path(self) -> Path:
        self.path_number += 1
        return self.folder / f"file-{self.path_number}"

    def file(self) -> Path:
        path = self.path()
        path.write_bytes(b"content")
        return path

    def conversation(self) -> Path:
        path = self.path()
        path.write_text('{"role": "user", "content": "hello"}')
        return path

    @cached_property
    def bundle(self) -> Path:
        path = self.path()
        self.other.export(path)
        return path

    @cached_property
    def debugging(self) -> Path:
        path = self.path()
        self.other.debugger().export(path)
        return path

    @cached_property
    def store(self) -> Path:
        path = self.path()
        Runtime.open(path, config={"handle_signals": False}).close()
        return path


def _within(world: World, method: str) -> Callable[..., Any]:
    """A method of the context of a call, called within the call."""

    def call(*args: Any, **options: Any) -> Any:
        outcome: list[Any] = []

        def job(context: Any) -> None:
            try:
                outcome.append(getattr(context, method)(*args, **options))
            except BaseException as error:
                outcome.append(error)

        world.job = job
        world.s.call_tool("within")
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    return call


OWNERS: dict[str, Callable[[World], Any]] = {
    "Agent": lambda w: w.rt.agents.build("made", "echo"),
    "Runtime": lambda w: w.rt,
    "Session": lambda w: w.s,
    "SessionBatch": lambda w: w.s.batch(),
    "Records": lambda w: w.s.records,
    "Scope": lambda w: w.rt.state_scope("scope"),
    "Templates": lambda w: w.rt.templates,
    "Template": lambda w: w.rt.templates.get("preset"),
    "Events": lambda w: w.rt.events,
    "Hooks": lambda w: w.rt.hooks,
    "Middleware": lambda w: w.rt.middleware,
    "Tools": lambda w: w.rt.tools,
    "Agents": lambda w: w.rt.agents,
    "Policies": lambda w: w.rt.policies,
    "Analytics": lambda w: w.rt.analytics,
    "Quotas": lambda w: w.rt.quotas,
    "StateBackups": lambda w: w.rt.state_backups,
    "Schema": lambda w: w.rt.schemas.get("registered"),
    "Schemas": lambda w: w.rt.schemas,
    "Replays": lambda w: w.rt.replays,
    "InstalledScripts": lambda w: w.rt.scripts,
    "Replay": lambda w: w.replaying(),
    "Breakpoints": lambda w: w.replaying().breakpoints,
    "PlacedBreakpoint": lambda w: w.replaying().breakpoints.add({"event": "**"}),
    "ReplaySchedule": lambda w: w.rt.replays.schedule(w.s, once="2100-01-01T00:00:00Z"),
    "Approvals": lambda w: w.rt.approvals,
    "Subscription": lambda w: w.listening(),
    "ArtifactQuery": lambda w: ArtifactQuery(),
    "SessionQuery": lambda w: SessionQuery(),
    "Usage": lambda w: w.used,
    "SearchHit": lambda w: w.hit,
    "Debugger": lambda w: w.s.debugger(),
    "StateDiff": lambda w: w.s.diff(1),
    "ArtifactWriter": lambda w: w.s.create_artifact("note", "written"),
    "MessageStream": lambda w: w.s.stream_message("assistant"),
    "HookContextBuilder": lambda w: hooks.HookContext.builder("ArtifactStored"),
    "CostHook": lambda w: hooks.CostHook({}),
    "AgentOutputCollector": lambda w: AgentOutputCollector(),
    "ToolResultCollector": lambda w: ToolResultCollector(),
}
"""What to call the methods of, where they are not the class's own."""

_CALLED_BY_GREENROOM = "called by the runtime itself, with what it has checked"
_OF_PYDANTIC = "pydantic's own, with its own rules for what it is given"
CONFIGURATIONS = (
    "HookQuery",
    "Modification",
    "Breakpoint",
    "PolicyConfig",
    "RatePolicy",
    "ReplayConfig",
    "ResourcePolicy",
    "RetentionPolicy",
    "RetentionSchedule",
    "RuntimeConfig",
    "SessionConfig",
    "SessionQuery",
    "TimeoutPolicy",
)
LEFT_OUT: dict[str, str] = {
    "AgentOutputCollector.artifact": _CALLED_BY_GREENROOM,
    "AgentReply.of": _CALLED_BY_GREENROOM,
    "ArtifactId.named_by": _CALLED_BY_GREENROOM,
    "ArtifactId.parts": _CALLED_BY_GREENROOM,
    "CallContext.complete": "runs what it is given: what that raises is the caller's",
    "TokenUsage.of": _CALLED_BY_GREENROOM,
    "ToolResultCollector.artifact": _CALLED_BY_GREENROOM,
    "AgentContext": "a CallContext under another name, which stands for it",
    "Agents.close": _CALLED_BY_GREENROOM,
    "Agents.message": _CALLED_BY_GREENROOM,
    "Agents.perform": _CALLED_BY_GREENROOM,
    "Agents.send": _CALLED_BY_GREENROOM,
    "Analytics.private": _CALLED_BY_GREENROOM,
    "Events.close": _CALLED_BY_GREENROOM,
    "Events.handler_failed": _CALLED_BY_GREENROOM,
    "Events.hurry": _CALLED_BY_GREENROOM,
    "Events.imported": _CALLED_BY_GREENROOM,
    "Events.of_session": _CALLED_BY_GREENROOM,
    "Events.tell_changes": _CALLED_BY_GREENROOM,
    "Follow": "made by greenroom; its methods take nothing",
    "ScriptStream": "made by greenroom; its methods take nothing",
    "Hook": "not public: what a registry keeps of a hook",
    "HookContext.ask_at_once": _CALLED_BY_GREENROOM,
    "Schema.is_for": _CALLED_BY_GREENROOM,
    "Schema.migrated": _CALLED_BY_GREENROOM,
    "Schema.of": _CALLED_BY_GREENROOM,
    "Schema.require": _CALLED_BY_GREENROOM,
    "Hooks.any": _CALLED_BY_GREENROOM,
    "Hooks.around": _CALLED_BY_GREENROOM,
    "Hooks.at": _CALLED_BY_GREENROOM,
    "Hooks.has_shared": _CALLED_BY_GREENROOM,
    "Hooks.besides": _CALLED_BY_GREENROOM,
    "Hooks.close": _CALLED_BY_GREENROOM,
    "Hooks.config_of": _CALLED_BY_GREENROOM,
    "Hooks.correlation_of": _CALLED_BY_GREENROOM,
    "Hooks.creation": _CALLED_BY_GREENROOM,
    "Hooks.fire": _CALLED_BY_GREENROOM,
    "Hooks.fork": _CALLED_BY_GREENROOM,
    "Hooks.info_of": _CALLED_BY_GREENROOM,
    "Hooks.journal": _CALLED_BY_GREENROOM,
    "Hooks.reaches": _CALLED_BY_GREENROOM,
    "Hooks.register_at": _CALLED_BY_GREENROOM,
    "Hooks.scope_name": _CALLED_BY_GREENROOM,
    "HookResult.skipped": _CALLED_BY_GREENROOM,
    "Policies.admitted": _CALLED_BY_GREENROOM,
    "Policies.config_with": _CALLED_BY_GREENROOM,
    "Policies.for_child": _CALLED_BY_GREENROOM,
    "Policies.require": _CALLED_BY_GREENROOM,
    "Policies.script_memory": _CALLED_BY_GREENROOM,
    "Pseudonyms": "not public: what analytics keeps names by",
    "Breakpoints.forget": _CALLED_BY_GREENROOM,
    "Breakpoints.hit": _CALLED_BY_GREENROOM,
    "PlacedBreakpoint.forget": _CALLED_BY_GREENROOM,
    "PlacedBreakpoint.pauses": _CALLED_BY_GREENROOM,
    "Replay.wait": "waits for the end of a replay, and this one is paused",
    "InstalledScripts.begin": _CALLED_BY_GREENROOM,
    "InstalledScripts.begin_to_close": _CALLED_BY_GREENROOM,
    "InstalledScripts.close": "ends the scripts that the others are called of",
    "Replays.begin_to_close": _CALLED_BY_GREENROOM,
    "Replays.close": "ends the replays that the others are called of",
    "ReplaySchedule.run_if_due": _CALLED_BY_GREENROOM,
    "Runtime.abandon": _CALLED_BY_GREENROOM,
    "Runtime.close": "ends the runtime that the others are called of",
    "ScriptEngine": "a protocol, for engines to have",
    "Subscription.finish": _CALLED_BY_GREENROOM,
    "Subscription.hurry": _CALLED_BY_GREENROOM,
    "Subscription.join": _CALLED_BY_GREENROOM,
    "Subscription.matches": _CALLED_BY_GREENROOM,
    "Subscription.offer": _CALLED_BY_GREENROOM,
    "Subscription.on_arrival": _CALLED_BY_GREENROOM,
    "Subscription.take": _CALLED_BY_GREENROOM,
    "Agents.matches": _CALLED_BY_GREENROOM,
    "Tool.matches": _CALLED_BY_GREENROOM,
    "Tools.perform": _CALLED_BY_GREENROOM,
    "Tools.rerun": _CALLED_BY_GREENROOM,
    "Tools.send": _CALLED_BY_GREENROOM,
    "VerifyReport.add": _CALLED_BY_GREENROOM,
    **{
        f"{kind}.{name}": _OF_PYDANTIC
        for kind in CONFIGURATIONS
        for name in ("model_copy", "model_validate", "model_validate_json", "model_validate_strings")
    },
}
"""What has no matrix, and why."""

JOURNALS_ATTEMPTS = {
    "Runtime.run_script", "Session.run_script", "Session.call_tool", "Session.call_agent", "Session.run_workflow",
    "Tools.call", "Tools.invoke", "Agents.call", "CallContext.call_tool", "CallContext.call_agent",
    "CallContext.call_agents", "CallContext.complete",
}  # fmt: skip
"""Calls that leave a trace in the session when what they have begun fails."""

RIGHT: dict[str, Callable[[World], Any]] = {
    "breakpoint": lambda w: {"event": "**"},
    "agent": lambda w: "echo",
    "agents": lambda w: ["echo"],
    "order": lambda w: "sequential",
    "artifact": lambda w: w.artifact.id,
    "a": lambda w: w.s,
    "at": lambda w: 1,
    "b": lambda w: w.other,
    "before": lambda w: 1,
    "backup": lambda w: w.store,
    "changes": lambda w: {"k": 1},
    "chain": lambda w: "operation",
    "commands": lambda w: [messages.AddTag("x")],
    "content": lambda w: b"content",
    "delta": lambda w: "text",
    "correlation_id": lambda w: w.s.id,
    "event": lambda w: w.event_id,
    "expected": lambda w: 1,
    "where": lambda w: w.s,
    "approval": lambda w: w.asked,
    "question": lambda w: "Which?",
    "event_id": lambda w: w.event_id,
    "flow": lambda w: Workflow.sequential(Step("one", tool="echo")),
    "fn": lambda w: lambda *_: None,
    "from_event": lambda w: w.event_id,
    "hook": lambda w: w.rt.hooks.register("ArtifactStored", lambda context: None),
    "id_prefix": lambda w: w.s.id[:8],
    "ids": lambda w: [w.artifact.id],
    "input": lambda w: {},
    "items": lambda w: [{"type": "note", "name": "n", "content": b"x"}],
    "key": lambda w: "k",
    "keys": lambda w: ["k"],
    "kind": lambda w: "related_to",
    "kinds": lambda w: "message",
    "message": lambda w: messages.GetInfo(),
    "messages": lambda w: [{"role": "user", "content": "said"}],
    "after_sequence": lambda w: 1 << 40,
    "name": lambda w: "name",
    "new": lambda w: 1,
    "old": lambda w: 1,
    "path": lambda w: w.path(),
    "point": lambda w: "ArtifactStored",
    "policy": lambda w: lambda request: None,
    "prefix": lambda w: b"k",
    "preset": lambda w: {"tags": ["x"]},
    "reason": lambda w: "reason",
    "ref": lambda w: w.artifact.id,
    "refs": lambda w: [w.artifact.id],
    "role": lambda w: "user",
    "seconds": lambda w: 5.0,
    "schema": lambda w: {"type": "integer"},
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
    "values": lambda w: {"k": 1},
    "with_session": lambda w: w.other.id,
    "scope": lambda w: "user:7",
    "created_by": lambda w: "ada",
    "permission": lambda w: "read",
    "field": lambda w: "size",
    "text": lambda w: "text",
    "pattern": lambda w: "*.txt",
    "content_hash": lambda w: "0" * 64,
    "creator": lambda w: "me",
    "count": lambda w: 1,
    "part": lambda w: "variables",
    "run": lambda w: lambda fork: None,
    "kind_": lambda w: "x",
    "artifact_type": lambda w: "note",
    "condition": lambda w: "$input",
    "members": lambda w: [lambda context: None],
    "model": lambda w: "model",
    "paths": lambda w: w.conversation(),
    "policies": lambda w: [lambda request: None],
    "provider": lambda w: "provider",
    "rate": lambda w: 5,
    "result": lambda w: {"temp": 20},
    "sequence": lambda w: 1,
    "sort": lambda w: "size",
    "started_at": lambda w: datetime(2026, 1, 1, tzinfo=UTC),
    "steps": lambda w: [Step("one", tool="echo")],
    "ttl": lambda w: 5.0,
}
RIGHT_THERE: dict[str, Callable[[World], Any]] = {
    "messages.ReplaceToolResult.call": lambda w: 1,
    "Replays.get.id": lambda w: w.replaying().id,
    "Runtime.import_bundle.path": lambda w: w.bundle,
    "Runtime.import_session.path": lambda w: w.bundle,
    "Runtime.salvage.path": lambda w: w.store,
    "Approvals.wait.approval": lambda w: w.cancelled,
    "Session.wait_for.approval": lambda w: w.cancelled,
    "Session.store_file.path": lambda w: w.file(),
    "Debugger.load.path": lambda w: w.debugging,
    "Debugger.compare.result": lambda w: {"identical": True},
    "Breakpoints.remove.breakpoint": lambda w: 1,
    "Session.call_tool.name": lambda w: "echo",
    "Session.add_message.content": lambda w: "said",
    "Session.edit_message.sequence": lambda w: w.turn,
    "Session.retract_message.sequence": lambda w: w.turn,
    "Session.diff_artifact.name": lambda w: "a.txt",
    "Session.artifact_versions.name": lambda w: "a.txt",
    "Tools.call.name": lambda w: "echo",
    "Tools.invoke.name": lambda w: "echo",
    "Tools.register_file_operations.directories": lambda w: [w.folder],
    "Templates.get.name": lambda w: "preset",
    "StateBackups.get.backup": lambda w: w.backup,
    "StateBackups.restore.backup": lambda w: w.backup,
    "StateBackups.validate.backup": lambda w: w.backup,
    "Schemas.get.name": lambda w: "registered",
    "Runtime.replay_script.run": lambda w: w.script_run,
    "Session.replay_script.run": lambda w: w.script_run,
    "InstalledScripts.get.name": lambda w: w.installed(),
    "InstalledScripts.status.name": lambda w: w.installed(),
    "Schemas.register.version": lambda w: 1,
    "Runtime.restore.path": lambda w: w.path(),
}
ALSO: dict[str, Callable[[World], dict[str, Any]]] = {
    "Session.edit_message": lambda w: {"content": "edited"},
    "Runtime.session": lambda w: {"session_id": w.s.id},
    "Scope.update": lambda w: {"values": {"k": 1}},
    "Replays.schedule": lambda w: {"interval": 3600.0},
    "Session.at": lambda w: {"sequence": 1},
    "Debugger.goto": lambda w: {"sequence": 1},
    "Debugger.search": lambda w: {"text": "said"},
}
"""Arguments that a call does not need by its signature, but by its meaning."""
NEEDED = {
    **dict.fromkeys(("Session.share", "Session.revoke"), ("artifact", "with_session")),
    **dict.fromkeys(("Runtime.run_script", "Session.run_script", "InstalledScripts.install"), ("source",)),
}
"""Parameters that a call does not need by its signature, but by its meaning: their values are of a world."""
INSTEAD = {"source": "artifact"}
"""Parameters that are given in the place of others."""
SPREAD: dict[str, tuple[Any, ...]] = {"Middleware.use": (lambda context: None,), "Session.admitted": ("message",)}
"""What stands for `*args`, where some are needed."""
MORE: dict[str, tuple[str, ...]] = {
    "Runtime.list_sessions": tuple(SessionQuery.model_fields),
    "Runtime.count_sessions": tuple(SessionQuery.model_fields),
    "Runtime.query_artifacts": tuple(ArtifactCriteria.model_fields),
    "Runtime.count_artifacts": tuple(ArtifactCriteria.model_fields),
    "Session.count_artifacts": tuple(ArtifactCriteria.model_fields),
    "Session.query_artifacts": tuple(ArtifactCriteria.model_fields),
    "ArtifactQuery.having": tuple(ArtifactCriteria.model_fields),
    "Runtime.search": tuple(SessionCriteria.__annotations__),
    "Events.query": tuple(EventQuery.model_fields),
    "Events.export": tuple(EventQuery.model_fields),
    "Analytics.aggregate": ("status", "tags", "created_by"),
    "Runtime.list_replayable": tuple(SessionQuery.model_fields),
    "Runtime.query_hooks": tuple(HookQuery.model_fields),
    "Runtime.retention": ("keep_versions", "max_age_days", "max_session_bytes", "ended_days", "keep_journal_days"),
    "Session.create_artifact": ("description", "tags", "metadata", "durability"),
    "SessionBatch.create_artifact": ("description", "tags"),
    "Session.store_file": ("description", "tags", "metadata", "durability"),
    "Session.store_version": ("description", "tags", "metadata", "durability"),
    "Session.update_config": tuple(SessionConfig.model_fields),
    "Agents.build": ("temperature",),
    "Agents.create": ("temperature",),
    "Policies.update": ("timeout", "rate", "resources", "composition"),
    "Hooks.register": tuple(KeywordOptions.__annotations__),
    "Middleware.use": ("priority", "timeout", "tags"),
    "ArtifactQuery.where": ("custom_field",),
    "Runtime.stream_script": tuple(StreamOptions.__annotations__),
    "Session.run_script": tuple(ScriptOptions.__annotations__),
}
"""Names that stand for `**options`, where these have meanings."""


@dataclass(frozen=True)
class Method:
    """One method or property, or one class to make objects of."""

    name: str
    signature: inspect.Signature
    find: Callable[[World], Callable[..., Any]]

    @property
    def parameters(self) -> list[inspect.Parameter]:
        return [each for each in self.signature.parameters.values() if each.name != "self"]

    @property
    def needed(self) -> list[inspect.Parameter]:
        various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return [each for each in self.parameters if each.default is each.empty and each.kind not in various]

    @property
    def named(self) -> list[str]:
        """The names that an argument can be given by."""
        found: list[str] = []
        for each in self.parameters:
            if each.kind is each.VAR_KEYWORD:
                known = tuple(How.__annotations__) if "[How]" in str(each.annotation) else ("anything",)
                found += MORE.get(self.name, known)
            elif each.kind is not each.VAR_POSITIONAL:
                found.append(each.name)
        return found

    def right(self, world: World, parameter: str) -> Any:
        """An argument that is right."""
        return (RIGHT_THERE.get(f"{self.name}.{parameter}") or RIGHT[parameter])(world)

    def bound(self, world: World, **given: Any) -> Callable[[], Any]:
        """What calls it with these arguments and right ones for all others that it needs; they are made at once."""
        names = (*(each.name for each in self.needed), *NEEDED.get(self.name, ()))
        needed = [each for each in names if each not in given and INSTEAD.get(each) not in given]
        also = ALSO.get(self.name) if "key" not in given else None
        given = {**(also(world) if also else {}), **{name: self.right(world, name) for name in needed}, **given}
        spread = SPREAD.get(self.name, ())
        positional = (
            inspect.Parameter.POSITIONAL_ONLY,
            *((inspect.Parameter.POSITIONAL_OR_KEYWORD,) if spread else ()),
        )
        first = [given.pop(each.name) for each in self.parameters if each.kind in positional and each.name in given]
        return partial(self.find(world), *first, *spread, **given)

    def calls(self) -> Iterator[Call]:
        """A call for each parameter."""
        for parameter in self.named:
            yield Call(self.name, parameter, lambda world, value, it=parameter: self.bound(world, **{it: value})())
        if any(each.kind is each.VAR_POSITIONAL for each in self.parameters):

            def spread(world: World, value: Any) -> Any:
                needed = [each.name for each in self.needed if each.kind is not each.KEYWORD_ONLY]
                return self.find(world)(*(self.right(world, each) for each in needed), value)

            yield Call(self.name, "*", spread)


@dataclass(frozen=True)
class Call:
    """One method, or one class to make objects of, and one of its parameters."""

    name: str
    parameter: str
    invoke: Callable[[World, Any], Any]

    def __str__(self) -> str:
        return f"{self.name}({self.parameter})"


def public_classes() -> dict[str, type[Any]]:
    """Every class that a user can come by: those with a public name, and what their methods and properties return."""
    found: dict[type[Any], None] = {}
    waiting: list[Any] = [getattr(module, name) for module in (greenroom.runtime, hooks) for name in module.__all__]
    while waiting:
        each = waiting.pop(0)
        waiting.extend(typing.get_args(each))
        each = typing.get_origin(each) or each
        if not inspect.isclass(each) or each in found or not each.__module__.startswith("greenroom."):
            continue
        if issubclass(each, (GreenroomError, messages.Message)):
            continue
        found[each] = None
        for name, function in _functions(each):
            waiting.append(_returned(each, name, function))
    return {each.__name__: each for each in found}


def _functions(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class that are greenroom's."""
    for name in dir(kind):
        if name.startswith("_"):
            continue
        member = inspect.getattr_static(kind, name)
        member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(member) and member.__module__.startswith("greenroom."):
            yield name, member


def _returned(kind: type[Any], name: str, function: Any) -> Any:
    """What a function is annotated to return, as far as names that are for type checkers only let it be known."""
    inner = inspect.unwrap(function)
    told = inner.__annotations__.get("return")
    names = {**vars(greenroom.runtime), **vars(sys.modules[inner.__module__])}
    try:
        return eval(told, names) if isinstance(told, str) else told
    except NameError:
        return None


def _methods(world: World) -> Iterator[Method]:
    for owner, kind in sorted(
        {**public_classes(), **{name: type(make(world)) for name, make in OWNERS.items()}}.items()
    ):
        if owner in LEFT_OUT:
            continue
        for method, function in _functions(kind):
            if f"{owner}.{method}" in LEFT_OUT:
                continue
            bound: Any = getattr(kind, method)
            find: Callable[[World], Any]
            if isinstance(inspect.getattr_static(kind, method), property):
                if owner in OWNERS:
                    yield Method(f"{owner}.{method}", inspect.Signature(), partial(_read, owner, method))
                continue
            if issubclass(kind, CallContext):
                find = partial(_within, method=method)
            elif isinstance(inspect.getattr_static(kind, method), (classmethod, staticmethod)):
                find = partial(_same, bound)
            elif owner in OWNERS:
                find = partial(_of, owner, method)
                bound = find(world)
            else:
                assert not Method("", inspect.signature(function), find=_same).parameters, (
                    f"say in OWNERS how to come by a {owner}, or in LEFT_OUT why not"
                )
                continue
            yield Method(f"{owner}.{method}", inspect.signature(bound), find)


def _same(found: Any, world: World) -> Any:
    return found


def _of(owner: str, method: str, world: World) -> Any:
    return getattr(OWNERS[owner](world), method)


def _read(owner: str, name: str, world: World) -> Callable[[], Any]:
    return partial(getattr, OWNERS[owner](world), name)


_MADE_BY_GREENROOM = [
    "WhatIf",
    "StateDiff",
    "StateChange",
    "SessionError",
    "Segment",
    "ErrorAnalysis",
    "Debugger",
    "ContextView",
    "ContextChange",
    "ComparedSide",
    "Comparison",
    "CallCounts",
    "Approval",
    "Approvals",
    "Activity",
    "Agent",
    "AgentContext",
    "AggregateMetrics",
    "Agents",
    "Analytics",
    "Approvals",
    "Artifact",
    "ArtifactInfo",
    "ArtifactWriter",
    "AuditRecord",
    "BackupReport",
    "CallContext",
    "CallMetrics",
    "CallTable",
    "Checkpoints",
    "Collected",
    "Component",
    "Consumption",
    "CreatorQuota",
    "ErasureReport",
    "Quotas",
    "BackupUsage",
    "BackupValidation",
    "BackupsRemoved",
    "StateBackup",
    "StateBackups",
    "StateRestored",
    "MigratedValue",
    "Migration",
    "PlaceFailure",
    "MigrationRun",
    "MigrationStatus",
    "Schema",
    "SchemaStatus",
    "Schemas",
    "ValueVersion",
    "RetentionRun",
    "Difference",
    "Distribution",
    "Divergence",
    "Drift",
    "DriftedAnswer",
    "Durability",
    "ErasureReport",
    "Event",
    "EventComparison",
    "Events",
    "ExportReport",
    "Figures",
    "Follow",
    "GcReport",
    "Grant",
    "Hook",
    "HookContext",
    "HookContextBuilder",
    "HookExecution",
    "HookHandle",
    "HookInfo",
    "Hooks",
    "JournalCut",
    "Limits",
    "Link",
    "DeletedArtifacts",
    "ManyArtifacts",
    "MessageStream",
    "Middleware",
    "NoResult",
    "Notice",
    "Operation",
    "Origin",
    "Outcome",
    "Overflow",
    "Page",
    "PastRecord",
    "PastState",
    "Policies",
    "Problem",
    "Pseudonyms",
    "Quotas",
    "Ranked",
    "Records",
    "RateLimits",
    "Removal",
    "ReplayFault",
    "ReplayMetadata",
    "ReplayReport",
    "ReplayResult",
    "Request",
    "ResourceUse",
    "RetentionReport",
    "Breakpoints",
    "PlacedBreakpoint",
    "Replay",
    "ReplayPause",
    "ReplayProgress",
    "ReplaySchedule",
    "ReplayStatus",
    "Replays",
    "ScheduledReplay",
    "Runtime",
    "SalvageReport",
    "Scope",
    "SearchHit",
    "RetentionRun",
    "InstalledScript",
    "InstalledScripts",
    "ScriptDifference",
    "ScriptReplay",
    "ScriptStatus",
    "ScriptEngine",
    "ScriptRequest",
    "ScopeGrant",
    "ScriptResult",
    "Session",
    "SessionInfo",
    "SessionKeywords",
    "SessionMetrics",
    "SessionStatus",
    "SessionBatch",
    "SessionShare",
    "SessionTree",
    "Share",
    "SnapshotCheck",
    "Spending",
    "StepResult",
    "Subscription",
    "Template",
    "Templates",
    "TimelineRow",
    "Tool",
    "ToolResult",
    "Tools",
    "Turn",
    "Usage",
    "VerifyReport",
    "WorkflowResult",
    "ScriptStream",
]
"""Classes whose objects come from greenroom: what they are made of has been checked."""

MADE: dict[str, Any] = {
    **{
        f"messages.{name}": each
        for name in messages.__all__
        if inspect.isclass(each := getattr(messages, name)) and not issubclass(each, tuple)  # what they reply
    },
    **{name: kind for name, kind in public_classes().items() if name not in _MADE_BY_GREENROOM},
    **{f"hooks.{name}": getattr(hooks, name) for name in hooks.__all__ if inspect.isfunction(getattr(hooks, name))},
}
MADE_WITH = {
    "messages.QueryArtifacts": tuple(ArtifactCriteria.model_fields),
    "ArtifactQuery": tuple(ArtifactCriteria.model_fields),
}
MORE |= MADE_WITH


def makings() -> list[Call]:
    """Every class to make objects of, with every parameter."""
    return [
        call
        for name, kind in MADE.items()
        for call in Method(name, inspect.signature(kind), partial(_same, kind)).calls()
    ]


def methods(world: World) -> list[Method]:
    """Every method and property."""
    return [*_methods(world)]


def calls(folder: Path) -> list[Call]:
    """Every call with every parameter."""
    world = World(folder)
    try:
        return [*(call for method in _methods(world) for call in method.calls()), *makings()]
    finally:
        world.rt.close()
