"""Every public method in every state in which it cannot do what it is for: unknown and deleted sessions, ended ones, a
runtime that is closed or only reads, and what belongs to another session. Each answers with the error that is
documented for it and names what was asked for, or works where nothing stands against it. Nothing else is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

import greenroom.runtime
from greenroom.runtime import (
    AccessDenied,
    GreenroomError,
    InvalidOperation,
    InvalidSessionState,
    InvalidStateTransition,
    ManyArtifacts,
    RuntimeClosed,
    Session,
    SessionNotFound,
    ToolResult,
    ValidationError,
)

from .surface import OWNERS, Method, World, methods
from .test_methods import used

Kind = type[GreenroomError] | None
"""The error that is right; None: it works."""

VALUES = frozenset({
    "Agent", "AgentOutputCollector", "ArtifactQuery", "ArtifactWriter", "Schema",
    "CostHook", "HookContextBuilder", "MessageStream", "SearchHit", "SessionBatch",
    "SessionQuery", "StateDiff", "Template", "ToolResultCollector", "Usage",
})  # fmt: skip
"""Owners of methods that know no runtime, and so no state of one."""
OF_RUNTIMES = frozenset(OWNERS) - VALUES | {"CallContext"}

READING = {
    f"Session.{name}": None
    for name in (
        "approvals", "artifact_names", "artifact_versions", "wait_for", "check_access", "count_artifacts",
        "admitted", "at", "children", "config", "context", "debugger", "diff", "diff_artifact",
        "events", "export", "export_messages", "follow", "get",
        "get_artifact", "get_artifact_info", "get_many", "info", "list_artifacts", "load", "messages", "open_artifact",
        "interrupted_workflows", "parent", "permissions", "query_artifacts", "replay_script",
        "run_script",
        "save_artifact", "scopes", "shared_sessions",
        "shared_with_me", "shares", "timeline", "tree", "variable_keys", "variables", "with_timeout",
    )
}  # fmt: skip
"""Methods of a session that change nothing of it."""
NOT_ASKED = dict.fromkeys(
    ("Session.as_current", "Session.batch", "Session.create_artifact", "Session.current", "Session.records",
     "Session.stream_message", "Session.update")
)  # fmt: skip
"""What asks the session nothing."""
IN_MEMORY = dict.fromkeys((
    "Agents.[!ci]*", "Agents.create", "Agents.composite",
    "Hooks.*", "Middleware.*", "Policies.[!eu]*", "Policies.update", "Tools.[!ci]*",
    "Debugger.compare", "Debugger.last", "Debugger.load", "Debugger.next", "Debugger.note", "Debugger.position",
    "Debugger.session_id", "Schemas.get", "Schemas.list",
    "Tools.categories", "Events.subscriptions", "Subscription.*", "Analytics.collector", "Analytics.prometheus",
    "Breakpoints.*", "PlacedBreakpoint.*", "ReplaySchedule.*", "Replay.[!prs]*", "Replay.po*", "Replay.pro*",
    "Replay.pause_reason", "Replay.run_to", "Replay.sp*", "Replay.step_back", "Replay.stop", "Replay.status",
))  # fmt: skip
"""What shows or arranges what is in memory alone; figures say themselves that the runtime is closed."""
OF_THE_CLASS = dict.fromkeys(("Runtime.open", "Runtime.restore", "Runtime.salvage"))
LEADS_ON = dict.fromkeys(
    (
        "Runtime.analytics",
        "Runtime.closed",
        "Runtime.operation",
        "Runtime.templates",
    )
)
"""What gives something to ask further; what is asked then has its own answer."""


def expected(table: dict[str, Kind], name: str, otherwise: Kind) -> Kind:
    """What a table says of a method: exactly, else by a pattern, else what holds for all others."""
    if name in table:
        return table[name]
    return next((kind for pattern, kind in table.items() if fnmatchcase(name, pattern)), otherwise)


def outcome(call: Callable[[], Any]) -> GreenroomError | None:
    """What a call fails with; what it tells of a failure in its result counts."""
    try:
        result = call()
        if isinstance(result, ToolResult) and result.error is not None:
            kind: type[GreenroomError] = getattr(greenroom.runtime, result.error_code or "")
            return kind(result.error)
        if isinstance(result, ManyArtifacts):
            return next(iter(result.errors.values()), None)
        used(result)
    except GreenroomError as error:
        return error
    return None


def complaint(what: str, found: GreenroomError | None, kind: Kind, *named: str) -> list[str]:
    """What is wrong with an outcome."""
    if type(found) is not (kind or type(None)):
        return [f"{what}: {found!r}, not {kind.__name__ if kind else 'what it is for'}"]
    if found is not None and not any(each in str(found) for each in named):
        return [f"{what}: {str(found)!r} names none of {named}"]
    return []


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    with contextlib.chdir(tmp_path):
        made = World(tmp_path, tmp_path / "its store")
        made.renew()
        yield made
        made.rt.close()


def of_runtimes(world: World) -> list[Method]:
    """The methods whose answer depends on the state of a runtime."""
    found = [each for each in methods(world) if each.name.partition(".")[0] in OF_RUNTIMES]
    assert len(found) > 150
    return found


def of_sessions(world: World) -> list[Method]:
    owners = ("Session", "CallContext")
    return [each for each in of_runtimes(world) if each.name.partition(".")[0] in owners or each.name == "Events.link"]


def tidy(world: World) -> None:
    """Take back what a call has left in the runtime."""
    for hook in world.rt.hooks.list():
        world.rt.hooks.unregister(hook.id)
    for subscription in world.rt.events.subscriptions:
        subscription.close()


def test_a_closed_runtime_says_so(world: World) -> None:
    works = {"Session.admitted": None, **IN_MEMORY, **OF_THE_CLASS, **LEADS_ON, **NOT_ASKED}
    calls = [(each.name, each.bound(world)) for each in of_runtimes(world)]
    world.rt.close()
    wrong: list[str] = []
    for name, call in calls:
        wrong += complaint(name, outcome(call), expected(works, name, RuntimeClosed), "is closed")
    assert not wrong, "\n".join(wrong)


def test_a_runtime_that_only_reads_refuses_every_change(world: World) -> None:
    refused: dict[str, Kind] = dict.fromkeys(
        (
            "CallContext.*", "Events.link", "Scope.clear", "Scope.delete", "Scope.set", "Templates.delete",
            "Templates.save", "Runtime.backup", "Runtime.cleanup", "Runtime.compact", "Runtime.create_session",
            "Runtime.delete_session", "Runtime.gc", "Runtime.import_bundle", "Runtime.import_session",
            "Runtime.ingest", "Runtime.save_all", "Runtime.get_or_create", "Runtime.erase", "Runtime.run_retention",
            "Runtime.recording",
            "Records.put*", "Records.delete*", "Quotas.set", "Quotas.remove", "Scope.update", "Scope.compare_and_set",
            "Schemas.migrate_all", "StateBackups.restore",
            "Approvals.answer", "Approvals.cancel", "InstalledScripts.install", "InstalledScripts.uninstall",
        ),
        InvalidOperation,
    )  # fmt: skip
    table = {**READING, **NOT_ASKED, **refused, "Session.*": InvalidOperation}
    found = of_runtimes(world)
    world.only_read()
    wrong: list[str] = []
    before = world.s.info()
    for each in found:
        kind = expected(table, each.name, None)
        wrong += complaint(each.name, outcome(each.bound(world)), kind, "open for reading only")
    assert world.s.info() == before
    assert not wrong, "\n".join(wrong)


ANY_TIME = (
    "describe",
    "rename",
    "share",
    "share_artifact",
    "revoke",
    "grant_scope",
    "revoke_scope",
    "update_config",
    "delete",
)

STATUSES: dict[str, tuple[Callable[[Session], object], dict[str, Kind]]] = {
    "suspended": (Session.suspend, dict.fromkeys(("Session.complete", "Session.fail", "Session.resume"))),
    "completed": (Session.complete, {"Session.archive": None}),
    "archived": (lambda session: (session.complete(), session.archive()), {}),
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_session_that_takes_no_writes_says_so(world: World, status: str) -> None:
    end, more = STATUSES[status]
    table: dict[str, Kind] = {
        **READING,
        **NOT_ASKED,
        **dict.fromkeys(
            ("Session.archive", "Session.complete", "Session.fail", "Session.resume", "Session.suspend"),
            InvalidStateTransition,
        ),
        # Whether others may read it, what holds for it, and its end are its owner's to decide at any time.
        **{f"Session.{name}": None for name in ANY_TIME},
        "Session.fork": None,  # changes another one
        "Session.what_if": None,
        "Session.save": None,  # changes nothing of it
        "Session.accept_losses": None,  # repairs it
        "Session.resume_workflow": InvalidOperation,  # there is none
        **more,
    }
    wrong: list[str] = []
    for each in of_sessions(world):
        if each.name.startswith("Session.") or each.name in {"CallContext.call_tool", "Events.link"}:
            world.renew()
            call = each.bound(world)
            end(world.s)
            before = world.s.info()
            found = outcome(call)
            wrong += complaint(each.name, found, expected(table, each.name, InvalidSessionState), world.s.id)
            if found is not None and world.s.info() != before:
                wrong.append(f"{each.name}: changed something, and failed")
    assert not wrong, "\n".join(wrong)


def test_a_session_that_is_deleted_is_not_found(world: World) -> None:
    calls = [(each.name, each.bound(world)) for each in of_sessions(world)]
    table: dict[str, Kind] = {
        **NOT_ASKED,
        "Session.admitted": None,
        "Events.link": ValidationError,
    }  # which has the fault at the event
    world.s.delete()
    count = world.rt.count_sessions()
    wrong: list[str] = []
    for name, call in calls:
        wrong += complaint(name, outcome(call), expected(table, name, SessionNotFound), world.s.id)
    assert world.rt.count_sessions() == count
    assert not wrong, "\n".join(wrong)


SESSIONS = ("parent", "session", "session_id", "with_session")
EVENTS = ("event", "event_id", "from_event", "to_event")
ARTIFACTS = ("artifact", "ids", "parent_artifact", "ref", "refs")
UNKNOWN: dict[str, Kind] = {
    "Hooks.*": None,  # a session may yet come: by an import, or from the process that writes
    "Runtime.audit": None,  # what was recorded of a session outlives it
    "Runtime.count_sessions": None,  # a filter that nothing passes, like the two below
    "Runtime.list_sessions": None,
    "Runtime.list_replayable": None,
    "ArtifactQuery.*": None,
    "Session.count_artifacts": None,
    "Session.query_artifacts": None,
    "Session.check_access": None,  # False
    "Runtime.exists": None,  # False
    "Session.revoke": None,  # takes back also from sessions that are deleted
}


HOST_ONLY = {
    "InstalledScripts.install", "Runtime.query_artifacts", "Runtime.count_artifacts", "Runtime.run_script",
    "Runtime.stream_script",
}  # fmt: skip


def names(world: World, parameters: tuple[str, ...]) -> Iterator[tuple[Method, str]]:
    """Every parameter with one of these names."""
    for method in of_runtimes(world):
        for parameter in method.named:
            if parameter in parameters:
                yield method, parameter


def test_a_session_or_an_event_that_is_unknown_is_named(world: World) -> None:
    gone = world.rt.create_session("gone")
    gone.delete()
    wrong: list[str] = []
    before = world.state()[:3]
    for method, parameter in names(world, SESSIONS + EVENTS):
        what = f"{method.name}({parameter})"
        given = gone.id if parameter in SESSIONS else f"{gone.id}/1"
        kind = expected(UNKNOWN, method.name, SessionNotFound if parameter in SESSIONS else ValidationError)
        wrong += complaint(what, outcome(method.bound(world, **{parameter: given})), kind, given)
        found = outcome(method.bound(world, **{parameter: "no id"}))
        if found is not None or kind is not None:
            wrong += complaint(f"{what}, no id", found, type(found) if found else kind, "'no id'", f"{parameter}:")
            if not isinstance(found, (SessionNotFound, ValidationError)):
                wrong.append(f"{what}, no id: {found!r}")
        tidy(world)
    assert world.state()[:3] == before
    assert not wrong, "\n".join(wrong)


def test_the_artifact_of_another_session_is_denied_and_so_is_one_that_is_gone(world: World) -> None:
    """For who acts for a session and for the host that asks as one, in the same words whether or not it is there."""
    table: dict[str, Kind] = {
        "Runtime.audit": None,  # what was recorded; for a session, of itself
        "Session.check_access": None,  # False
        "Session.count_artifacts": None,  # a filter that nothing of the session passes, like the next two
        "Session.query_artifacts": None,
        "ArtifactQuery.*": None,
        "Session.delete_many": ValidationError,  # which deletes of one session, whatever there is of others
    }
    gone = world.rt.create_session("gone")
    there, lost = (each.store_artifact("note", "b.txt", b"another's").id for each in (world.other, gone))
    gone.delete()
    wrong: list[str] = []
    before = world.other.info()
    for method, parameter in names(world, ARTIFACTS):
        if method.name in HOST_ONLY:
            continue  # for the host only, whatever the filter or the script
        for given in (there, lost):
            value = [given] if parameter in ("ids", "refs") else given
            what = f"{method.name}({parameter})"
            host = method.name == "Runtime.get_many"
            kind = expected(table, method.name, AccessDenied)
            call = method.bound(world, **{parameter: value})
            wrong += complaint(what, acting(world, call), kind, str(given))
            if host:
                kind = None if given is there else SessionNotFound
            found = outcome(method.bound(world, **{parameter: value}))
            wrong += complaint(f"{what}, for the host", found, kind, str(given), given.session_id)
    assert world.other.info() == before
    assert not wrong, "\n".join(wrong)


def acting(world: World, call: Callable[[], Any]) -> GreenroomError | None:
    """What a call fails with that code makes which acts for the session."""
    found: list[GreenroomError | None] = []
    world.job = lambda context: found.append(outcome(call))
    world.s.call_tool("within")
    return found[0]


def test_code_that_acts_for_a_session_is_denied_every_method_of_another(world: World) -> None:
    mine = world.s
    world.renew()
    other, before = world.s, world.s.info()
    wrong: list[str] = []
    for method in of_runtimes(world):
        if method.name.startswith("Session."):
            call = method.bound(world)
            world.s = mine
            kind = expected({**NOT_ASKED, "Session.check_access": None}, method.name, AccessDenied)
            wrong += complaint(method.name, acting(world, call), kind, other.id)
            world.s = other
    assert other.info() == before
    assert not wrong, "\n".join(wrong)


def test_every_owner_is_looked_at_or_knows_no_runtime() -> None:
    assert OWNERS.keys() >= VALUES
