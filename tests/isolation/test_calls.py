"""Every public method, called by code that acts for another session: denied or confined, and in the log.

The file is long because it has a line for every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    HookResult,
    InvalidOperation,
    PolicyConfig,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
    messages,
)
from greenroom.runtime.handles.records import Records
from greenroom.runtime.workflow import Workflow
from greenroom.storage.common.late import late

from .conftest import NOBODY, SECRET, Two

Call = Callable[[Two], Any]

# -- a handle on another session


def _batched(two: Two) -> None:
    with two.other.batch() as batch:
        batch.set("k", 1)


SESSION: dict[str, Call] = {
    "accept_losses": lambda two: two.other.accept_losses(),
    "admitted": lambda two: two.other.admitted("message").__enter__(),
    "add_message": lambda two: two.other.add_message("user", "x"),
    "add_messages": lambda two: two.other.add_messages([{"role": "user", "content": "x"}]),
    "add_tag": lambda two: two.other.add_tag("x"),
    "archive": lambda two: two.other.archive(),
    "artifact_versions": lambda two: two.other.artifact_versions("n"),
    "batch": _batched,
    "call_agent": lambda two: two.other.call_agent("echo", "x"),
    "at": lambda two: two.other.at(sequence=1),
    "call_tool": lambda two: two.other.call_tool("noop"),
    "check_access": lambda two: two.other.check_access("n"),
    "children": lambda two: two.other.children(),
    "clear_messages": lambda two: two.other.clear_messages(),
    "compare_and_set": lambda two: two.other.compare_and_set("k", None, 1),
    "complete": lambda two: two.other.complete(),
    "config": lambda two: two.other.config,
    "create_artifact": lambda two: two.other.create_artifact("log", "n").close(),
    "context": lambda two: two.other.context(),
    "debugger": lambda two: two.other.debugger(),
    "diff": lambda two: two.other.diff(1),
    "delete": lambda two: two.other.delete(),
    "delete_artifact": lambda two: two.other.delete_artifact("n"),
    "delete_variable": lambda two: two.other.delete_variable("k"),
    "diff_artifact": lambda two: two.other.diff_artifact("n", 1, 1),
    "edit_message": lambda two: two.other.edit_message(2, content="x"),
    "events": lambda two: list(two.other.events()),
    "export": lambda two: two.other.export(two.folder / "b"),
    "export_messages": lambda two: two.other.export_messages(two.folder / "m"),
    "fail": lambda two: two.other.fail("x"),
    "fork": lambda two: two.other.fork(),
    "get": lambda two: two.other.get("k"),
    "get_artifact": lambda two: two.other.get_artifact("n"),
    "get_artifact_info": lambda two: two.other.get_artifact_info("n"),
    "get_many": lambda two: two.other.get_many(["n"]),
    "grant_scope": lambda two: two.other.grant_scope("user:7"),
    "info": lambda two: two.other.info(),
    "list_artifacts": lambda two: two.other.list_artifacts(),
    "load": lambda two: two.other.load(),
    "messages": lambda two: two.other.messages(),
    "open_artifact": lambda two: two.other.open_artifact("n"),
    "parent": lambda two: two.other.parent(),
    "follow": lambda two: two.other.follow(),
    "permissions": lambda two: two.other.permissions("n"),
    "pop_message": lambda two: two.other.pop_message(),
    "query_artifacts": lambda two: two.other.query_artifacts(),
    "count_artifacts": lambda two: two.other.count_artifacts(),
    "approvals": lambda two: two.other.approvals(),
    "ask_human": lambda two: two.other.ask_human("Which?"),
    "wait_for": lambda two: two.other.wait_for(f"{two.other.id}/2", 0),
    "artifact_names": lambda two: two.other.artifact_names(),
    "delete_many": lambda two: two.other.delete_many(["n"]),
    "remove_tag": lambda two: two.other.remove_tag(SECRET),
    "describe": lambda two: two.other.describe("x"),
    "rename": lambda two: two.other.rename("x"),
    "resume": lambda two: two.other.resume(),
    "retract_message": lambda two: two.other.retract_message(2),
    "revoke": lambda two: two.other.revoke(two.mine),
    "revoke_scope": lambda two: two.other.revoke_scope("user:7"),
    "scopes": lambda two: two.other.scopes(),
    "run_script": lambda two: two.other.run_script("return 1"),
    "replay_script": lambda two: two.other.replay_script(1),
    "resume_workflow": lambda two: two.other.resume_workflow(),
    "interrupted_workflows": lambda two: two.other.interrupted_workflows(),
    "run_workflow": lambda two: two.other.run_workflow(Workflow.sequential({"name": "s", "tool": "noop"})),
    "save": lambda two: two.other.save(),
    "save_artifact": lambda two: two.other.save_artifact("n", two.folder / "n"),
    "set": lambda two: two.other.set("k", 1),
    "set_tags": lambda two: two.other.set_tags([]),
    "share": lambda two: two.other.share(two.mine, "write"),
    "share_artifact": lambda two: two.other.share_artifact("n", two.mine),
    "shared_sessions": lambda two: two.other.shared_sessions(),
    "shares": lambda two: two.other.shares(),
    "shared_with_me": lambda two: two.other.shared_with_me(),
    "store_artifact": lambda two: two.other.store_artifact("log", "n", "y"),
    "store_file": lambda two: two.other.store_file(__file__),
    "store_many": lambda two: two.other.store_many([{"type": "log", "name": "n", "content": "y"}]),
    "store_version": lambda two: two.other.store_version("n", "y"),
    "stream_message": lambda two: two.other.stream_message("user").__enter__(),
    "suspend": lambda two: two.other.suspend(),
    "timeline": lambda two: two.other.timeline(),
    "tree": lambda two: two.other.tree(),
    "truncate_messages": lambda two: two.other.truncate_messages(0),
    "update_config": lambda two: two.other.update_config(max_artifacts=None),
    "update": lambda two: two.other.update(k=1),
    "update_metadata": lambda two: two.other.update_metadata({"k": 1}),
    "variable_keys": lambda two: two.other.variable_keys(),
    "what_if": lambda two: two.other.what_if(1, run=lambda fork: None),
    "variables": lambda two: two.other.variables(),
}
RECORDS: dict[str, Call] = {
    "count": lambda two: two.other.records.count(),
    "delete": lambda two: two.other.records.delete("k"),
    "delete_many": lambda two: two.other.records.delete_many(["k"]),
    "delete_prefix": lambda two: two.other.records.delete_prefix(b""),
    "get": lambda two: two.other.records.get("k"),
    "get_many": lambda two: two.other.records.get_many(["k"]),
    "iterate": lambda two: list(two.other.records.iterate()),
    "keys": lambda two: two.other.records.keys(),
    "put": lambda two: two.other.records.put("k", 1),
    "put_if_absent": lambda two: two.other.records.put_if_absent("k", 1),
    "put_many": lambda two: two.other.records.put_many({"k": 1}),
    "scan": lambda two: two.other.records.scan(),
}
HARMLESS = {"as_current", "current", "id", "records", "with_timeout"}
"""What a handle tells or does by itself, without its session."""


def public(kind: type[Any]) -> set[str]:
    """The methods and properties of a class. The parts that are made late have rows of their own."""
    return {name for name in dir(kind) if not name.startswith("_") and not isinstance(getattr(kind, name), late)}


def test_every_method_of_a_session_is_in_the_matrix() -> None:
    assert public(Session) == SESSION.keys() | HARMLESS
    assert public(Records) == RECORDS.keys()


MAPPING: dict[str, Callable[[Two], Any]] = {
    "s[k]": lambda two: two.other["k"],
    "s[k] = v": lambda two: two.other.__setitem__("k", 1),
    "del s[k]": lambda two: two.other.__delitem__("k"),
    "k in s": lambda two: "k" in two.other,
    "iter(s)": lambda two: iter(two.other),
}
CALLS = {**SESSION, **MAPPING, **{f"records.{name}": call for name, call in RECORDS.items()}}


@pytest.mark.parametrize("name", CALLS)
def test_a_handle_on_another_session_is_of_no_use(two: Two, name: str) -> None:
    before, log = two.sequence(), two.rt.audit(session=two.other, granted=False).total
    with acting(principal=two.mine.id), pytest.raises(AccessDenied) as caught:
        CALLS[name](two)
    assert SECRET not in str(caught.value)
    assert two.sequence() == before
    assert not list(two.folder.iterdir())
    denied = two.rt.audit(session=two.other, granted=False)
    assert denied.total > log
    assert denied[0].session == two.mine.id


# -- the runtime

DENIED: dict[str, Call] = {
    "ask": lambda two: two.rt.ask(two.other.id, messages.GetInfo()),
    "audit": lambda two: two.rt.audit(session=two.other),
    "before_calls": lambda two: two.rt.before_calls(lambda event: None),
    "recording": lambda two: two.rt.recording(),
    "replaying": lambda two: two.rt.replaying(two.other),
    "backup": lambda two: two.rt.backup(two.folder / "backup"),
    "cleanup": lambda two: two.rt.cleanup(),
    "compact": lambda two: two.rt.compact(),
    "compare": lambda two: two.rt.compare(two.mine, two.other),
    "create_session": lambda two: two.rt.create_session(parent=two.other),
    "delete_session": lambda two: two.rt.delete_session(two.other.id),
    "export_session": lambda two: two.rt.export_session(two.other.id, two.folder / "b"),
    "gc": lambda two: two.rt.gc(),
    "get_or_create": lambda two: two.rt.get_or_create("new"),
    "import_bundle": lambda two: two.rt.import_bundle(two.folder / "b"),
    "ingest": lambda two: two.rt.ingest(two.folder / "b"),
    "import_session": lambda two: two.rt.import_session(two.folder / "b"),
    "query_artifacts": lambda two: two.rt.query_artifacts(),
    "count_artifacts": lambda two: two.rt.count_artifacts(),
    "can_replay": lambda two: two.rt.can_replay(two.other),
    "replay": lambda two: two.rt.replay(two.other),
    "replay_metadata": lambda two: two.rt.replay_metadata(two.other),
    "restore_recent": lambda two: two.rt.restore_recent(),
    "erase": lambda two: two.rt.erase("ada"),
    "search": lambda two: two.rt.search("x", session=two.other),
    "retention_runs": lambda two: two.rt.retention_runs(),
    "run_retention": lambda two: two.rt.run_retention(),
    "retention": lambda two: two.rt.retention(keep_versions=1),
    "run_script": lambda two: two.rt.run_script("return 1"),
    "stream_script": lambda two: [*two.rt.stream_script("return 1")],
    "save_all": lambda two: two.rt.save_all(),
    "session": lambda two: two.rt.session(two.other.id),
    "state_scope": lambda two: two.rt.state_scope("global"),
    "stats": lambda two: two.rt.stats(),
    "tell": lambda two: two.rt.tell(two.other.id, messages.AddTag("x")),
    "templates": lambda two: two.rt.templates,
    "usage": lambda two: two.rt.usage(),
    "verify": lambda two: two.rt.verify(),
}
ALSO_DENIED: list[Call] = [
    lambda two: two.rt.query_artifacts(session_id=two.other.id),
    lambda two: two.rt.create_session(key="new"),
    lambda two: two.rt.query_hooks(session_id=two.other),
    lambda two: two.rt.replay_script(f"{two.other.id}/1"),
    lambda two: two.rt.state_backups.create(two.other),
    lambda two: two.rt.state_backups.list(),
    lambda two: two.rt.state_backups.get("x"),
    lambda two: two.rt.state_backups.validate("x"),
    lambda two: two.rt.state_backups.restore("x"),
    lambda two: two.rt.state_backups.cleanup(),
    lambda two: two.rt.state_backups.usage(),
    lambda two: two.rt.schemas.migrate(two.other),
    lambda two: two.rt.schemas.migrate_all(),
    lambda two: two.rt.schemas.register("name", 1),
    lambda two: two.rt.schemas.status(),
    lambda two: two.rt.schemas.status(two.other.id),
    lambda two: two.rt.schemas.unregister("name"),
    lambda two: two.rt.schemas.versions(f"session:{two.other.id}"),
    lambda two: two.rt.schemas.versions("user:7"),
    lambda two: two.rt.replays.list(),
    lambda two: two.rt.replays.schedules(),
    lambda two: two.rt.list_sessions(parent=two.other.id),
    lambda two: two.rt.count_sessions(parent=two.other.id),
    lambda two: list(two.rt.iterate_sessions(parent=two.other.id)),
    lambda two: two.rt.run_script("return 1", session=two.other),
    lambda two: two.rt.run_script("return 1", session=two.other.id),
]
CONFINED: dict[str, Call] = {
    "count_sessions": lambda two: two.rt.count_sessions(tags=[SECRET]),
    "exists": lambda two: two.rt.exists(two.other.id),
    "find_sessions": lambda two: two.rt.find_sessions(two.other.id[:8]),
    "get_many": lambda two: two.rt.get_many([two.artifact.id]).results,
    "iterate_sessions": lambda two: list(two.rt.iterate_sessions(tags=[SECRET])),
    "list_replayable": lambda two: list(two.rt.list_replayable(tags=[SECRET])),
    "list_sessions": lambda two: list(two.rt.list_sessions(tags=[SECRET])),
}
"""Answers as if there were no other session."""
OF_THE_PROCESS = {"close", "closed", "open", "operation", "refresh", "restore", "salvage"}
"""What starts and ends a runtime, makes a new store of files, or says what operation this is."""


def test_every_method_of_a_runtime_is_in_the_matrix() -> None:
    assert public(Runtime) == DENIED.keys() | CONFINED.keys() | OF_THE_PROCESS | {
        "analytics",
        "follow",
        "query_hooks",
        "replay_script",
        "trace",
    }


def denied(two: Two, call: Call) -> str:
    """The words in which a call is denied; the attempt is in the log."""
    before, log = two.sequence(), two.rt.audit(granted=False).total
    with acting(principal=two.mine.id), pytest.raises(AccessDenied) as caught:
        call(two)
    assert SECRET not in str(caught.value)
    assert two.sequence() == before
    newest = two.rt.audit(granted=False)
    assert newest.total > log
    assert newest[0].session == two.mine.id
    return str(caught.value)


@pytest.mark.parametrize("name", DENIED)
def test_the_runtime_denies_what_is_not_the_sessions_own(two: Two, name: str) -> None:
    denied(two, DENIED[name])


def test_it_finds_what_hooks_did_for_the_session_alone(two: Two) -> None:
    hook = two.rt.hooks.register("BeforeStateWrite", lambda context: None, name="watch", replayable=True)
    two.other.set("k", SECRET)
    two.mine.set("k", 1)
    hook.unregister()
    assert two.rt.query_hooks(hook="watch").total == 2
    with acting(principal=two.mine.id):
        assert [each.session_id for each in two.rt.query_hooks(hook="watch")] == [two.mine.id]


@pytest.mark.parametrize("number", range(len(ALSO_DENIED)))
def test_it_denies_whatever_the_argument(two: Two, number: int) -> None:
    denied(two, ALSO_DENIED[number])


def test_of_many_artifacts_each_that_is_denied_has_its_error(two: Two) -> None:
    with acting(principal=two.mine.id):
        found = two.rt.get_many([two.artifact.id])
    assert isinstance(found.errors[two.artifact.id], AccessDenied)
    assert two.rt.audit(session=two.mine, limit=1)[0].artifact == str(two.artifact.id)


@pytest.mark.parametrize("name", CONFINED)
def test_the_rest_answers_as_if_there_were_no_other_session(two: Two, name: str) -> None:
    with acting(principal=two.mine.id):
        assert not CONFINED[name](two)
    if name != "get_many":
        assert CONFINED[name](two)  # the host sees it


def test_whether_a_session_exists_is_not_to_be_learnt(two: Two) -> None:
    there = denied(two, lambda two: two.rt.session(two.other.id)).replace(two.other.id, "ID")
    with acting(principal=two.mine.id), pytest.raises(AccessDenied) as caught:
        two.rt.session(NOBODY)
    assert str(caught.value).replace(NOBODY, "ID") == there
    with pytest.raises(SessionNotFound):
        two.rt.session(NOBODY)


def test_what_a_session_makes_is_its_own_to_use(two: Two) -> None:
    with acting(principal=two.mine.id):
        child = two.rt.create_session("child")
        grandchild = two.rt.create_session("grandchild", parent=child)
        assert child.info().parent_session_id == two.mine.id
        grandchild.set("k", 1)
        assert [info.name for info in two.rt.list_sessions()] == ["mine", "child", "grandchild"]
        assert [info.name for info in two.rt.list_sessions(sort_by="name", descending=True, limit=2, offset=1)] == [
            "grandchild",
            "child",
        ]
        assert two.rt.list_sessions(limit=1).total == 3
        assert [info.name for info in two.rt.list_sessions(parent=child.id)] == ["grandchild"]
        assert two.rt.find_sessions(child.id[:12]) == [child.id]
        assert two.rt.run_script("return Session.current()", session=child).value == child.id
        two.rt.delete_session(grandchild.id)
        child.delete()


# -- the registries

REGISTRIES: dict[str, dict[str, Call]] = {
    "tools": {
        "register": lambda two: two.rt.tools.register("x", lambda: 1),
        "register_file_operations": lambda two: two.rt.tools.register_file_operations([two.folder]),
        "unregister": lambda two: two.rt.tools.unregister("noop"),
        "call": lambda two: two.rt.tools.call("noop", session=two.other),
    },
    "agents": {
        "register": lambda two: two.rt.agents.register("x", lambda call: "x"),
        "unregister": lambda two: two.rt.agents.unregister("echo"),
        "call": lambda two: two.rt.agents.call("echo", "x", session=two.other),
        "composite": lambda two: two.rt.agents.composite("x", ["echo"]),
    },
    "policies": {
        "add": lambda two: two.rt.policies.add("x", lambda request: True),
        "effective": lambda two: two.rt.policies.effective(two.other),
        "remove": lambda two: two.rt.policies.remove("x"),
        "require": lambda two: two.rt.policies.require("event", two.other),
        "update": lambda two: two.rt.policies.update(PolicyConfig()),
        "usage": lambda two: two.rt.policies.usage(two.other),
    },
    "events": {
        "get": lambda two: two.rt.events.get(f"{two.other.id}/1"),
        "link": lambda two: two.rt.events.link(f"{two.other.id}/1", f"{two.other.id}/2", "caused_by"),
        "links": lambda two: two.rt.events.links(f"{two.other.id}/1"),
        "of_session": lambda two: two.rt.events.of_session(two.other.id, 10),
        "publish": lambda two: two.rt.events.publish("custom.x", {}, session=two.other),
        "query": lambda two: two.rt.events.query(session_id=two.other.id),
        "stats": lambda two: two.rt.events.stats(),
        "subscribe": lambda two: two.rt.events.subscribe("**", session=two.other),
        "subscriptions": lambda two: two.rt.events.subscriptions(),
    },
    "hooks": {
        "around": lambda two: two.rt.hooks.around({}, print, before="custom:x", session_id=two.other.id),
        "fire": lambda two: two.rt.hooks.fire("custom:x", {}, session_id=two.other.id),
    },
    "middleware": {},
    "quotas": {
        "delete": lambda two: two.rt.quotas.delete("ada"),
        "get": lambda two: two.rt.quotas.get("ada"),
        "list": lambda two: two.rt.quotas.list(),
        "set": lambda two: two.rt.quotas.set("ada"),
    },
    "replays": {
        "get": lambda two: two.rt.replays.get(replay_of(two, two.other)),
        "list": lambda two: two.rt.replays.list(two.other),
        "schedule": lambda two: two.rt.replays.schedule(two.other, interval=60),
        "schedules": lambda two: two.rt.replays.schedules(two.other),
        "start": lambda two: two.rt.replays.start(two.other),
    },
    "scripts": {
        "get": lambda two: two.rt.scripts.get("x"),
        "install": lambda two: two.rt.scripts.install("x", "return 1"),
        "list": lambda two: two.rt.scripts.list(),
        "status": lambda two: two.rt.scripts.status("x"),
        "uninstall": lambda two: two.rt.scripts.uninstall("x"),
    },
    "analytics": {
        "collector": lambda two: two.rt.analytics.collector(),
        "count_events": lambda two: two.rt.analytics.count_events(),
        "prometheus": lambda two: two.rt.analytics.prometheus(),
        "session": lambda two: two.rt.analytics.session(two.other),
    },
}
CONFINED_CALLS: dict[str, set[str]] = {
    "tools": {"categories", "discover", "exists", "get", "invoke", "list"},
    "agents": {
        "as_tool",
        "available",
        "build",
        "build_composite",
        "create",
        "discover",
        "get",
        "list",
        "models",
        "remove",
    },
    "policies": {"get", "names", "parallel", "sequential", "voting"},
    "events": {"export", "follow", "timeline"},
    "hooks": {"any", "at", "disable", "enable", "info", "list", "register", "register_at", "unregister"},
    "middleware": {"use"},
    "quotas": set(),
    "replays": set(),
    "scripts": set(),
    "analytics": {"aggregate"},
}
"""What works on what is everybody's, or on a session's own: confined, or asked for in another place."""
OF_THE_RUNTIME: dict[str, set[str]] = {
    "tools": {"collector", "perform", "rerun", "send"},
    "agents": {"close", "collector", "matches", "message", "perform", "send"},
    "policies": {"admitted", "config_with", "for_child", "script_memory", "timekeeper"},
    "events": {"close", "handler_failed", "hurry", "imported", "tell_changes"},
    "hooks": {"close", "creating", "creation", "has_shared"},
    "replays": {"begin_to_close", "close"},
    "scripts": {"begin", "begin_to_close", "close"},
    "analytics": {"private"},
}
"""What the runtime itself calls, after it has asked."""


def replay_of(two: Two, session: Session) -> str:
    """The id of a replay that the host has started."""
    with acting(principal=None):
        return two.rt.replays.start(session).id


@pytest.mark.parametrize("registry", REGISTRIES)
def test_every_method_of_a_registry_is_in_the_matrix(two: Two, registry: str) -> None:
    named = REGISTRIES[registry].keys() | CONFINED_CALLS[registry] | OF_THE_RUNTIME.get(registry, set())
    assert public(type(getattr(two.rt, registry))) - named == set()


@pytest.mark.parametrize(
    ("registry", "name"), [(registry, name) for registry, calls in REGISTRIES.items() for name in calls]
)
def test_the_registries_are_the_hosts(two: Two, registry: str, name: str) -> None:
    denied(two, REGISTRIES[registry][name])


def test_a_hook_of_a_session_is_called_for_no_other_and_touches_no_hook_of_the_host(two: Two) -> None:
    seen: list[str | None] = []
    hosts = two.rt.hooks.register("AfterStateWrite", lambda context: None, name="the host's")
    with acting(principal=two.mine.id):
        own = two.rt.hooks.register("AfterStateWrite", lambda context: seen.append(context.session_id))
        assert [info.id for info in two.rt.hooks.list()] == [own.id]
        assert two.rt.hooks.unregister(hosts.id) is False
        for touch in (two.rt.hooks.disable, two.rt.hooks.enable, two.rt.hooks.info):
            with pytest.raises(InvalidOperation):
                touch(hosts.id)
    two.other.set("k", SECRET)
    two.mine.set("k", 1)
    own.unregister()
    hosts.unregister()
    assert seen == [two.mine.id]


def test_a_hook_of_a_session_leads_no_operation_to_another(two: Two) -> None:
    """Not the host's operations either: it would use the host to reach what it does not."""
    scope = two.rt.state_scope("global")
    scope.set("k", SECRET)
    before = two.sequence()
    for target in (two.other.id, scope._id):
        with acting(principal=two.mine.id):
            hooks = [
                two.rt.hooks.register(point, lambda context, target=target: HookResult.redirect(target))
                for point in ("BeforeStateRead", "BeforeArtifactStore")
            ]
        try:
            for principal in (None, two.mine.id):
                with acting(principal=principal):
                    with pytest.raises(AccessDenied):
                        two.mine.get("k")
                    with pytest.raises(AccessDenied):
                        two.mine.store_artifact("log", "n", "planted")
        finally:
            for hook in hooks:
                hook.unregister()
        assert two.rt.audit(session=two.mine, limit=1)[0].granted is False
    assert two.sequence() == before


def test_a_listener_of_a_session_hears_of_no_other(two: Two) -> None:
    with acting(principal=two.mine.id):
        heard = two.rt.events.subscribe("**")
    try:
        two.other.set("k", SECRET)
        two.mine.set("k", 1)
        event = heard.receive(timeout=10)
        assert event is not None
        assert (event.session_id, event.type) == (two.mine.id, "variable.set")
    finally:
        heard.close()


# -- code of others: tools, agents and hooks that run for a session act for it


def test_a_tool_acts_for_the_session_that_calls_it(two: Two) -> None:
    outcomes: dict[str, str] = {}

    def probe() -> str:
        for name, call in SESSION.items():
            try:
                call(two)
                outcomes[name] = "done"
            except AccessDenied as error:
                outcomes[name] = str(error)
        return "ok"

    two.rt.tools.register("probe", probe, timeout=60)
    before = two.sequence()
    assert two.rt.run_script("return Tool.invoke('probe', {}).result", session=two.mine).value == "ok"
    assert outcomes.keys() == SESSION.keys()
    assert "done" not in outcomes.values()
    assert two.sequence() == before
    newest = two.rt.audit(session=two.other, limit=1)[0]
    assert (newest.session, newest.source) == (two.mine.id, "tool:probe")


def test_below_a_deleted_session_nobody_is_reached_from_above() -> None:
    with Runtime.open() as rt:
        top = rt.create_session()
        middle = rt.create_session(parent=top)
        bottom = rt.create_session(parent=middle)
        with acting(principal=top.id):
            assert bottom.info().id == bottom.id
            middle.delete()
            with pytest.raises(AccessDenied):
                bottom.info()
        assert bottom.info().id == bottom.id, "the host reaches it still"


def test_a_violation_is_told_to_the_hosts_hook(two: Two) -> None:
    seen: list[dict[str, Any]] = []
    handle = two.rt.hooks.register("SecurityViolation", lambda context: seen.append(dict(context.data)))
    try:
        for call in (
            lambda: two.other.get("k"),
            two.rt.stats,
            lambda: two.mine.get_artifact(two.artifact.id),
            lambda: two.rt.tell(two.mine.id, messages.DeleteArtifact(two.artifact.id)),
        ):
            with acting(principal=two.mine.id), pytest.raises(AccessDenied):
                call()
    finally:
        handle.unregister()
    assert [each["operation"] for each in seen] == ["GetVariable", "stats", "GetArtifact", "DeleteArtifact"]
    assert {each["session"] for each in seen} == {two.mine.id}


# -- ids in other spellings


def spellings(session_id: str) -> dict[str, str]:
    return {
        "upper case": session_id.upper(),
        "braces": "{" + session_id + "}",
        "urn": "urn:uuid:" + session_id,
        "no hyphens": session_id.replace("-", ""),
        "space before": " " + session_id,
        "newline after": session_id + "\n",
        "fullwidth digits": "".join(chr(ord(each) + 0xFEE0) if each.isdigit() else each for each in session_id),
        "Arabic digits": "".join(chr(0x660 + int(each)) if each.isdigit() else each for each in session_id),
        "Cyrillic letters": session_id.translate(str.maketrans("ace", "\u0430\u0441\u0435")) + "\u0430",
        "other hyphens": session_id.replace("-", "\u2010"),
        "NUL after": session_id + "\0",
        "zero-width space": session_id[:8] + "\u200b" + session_id[8:],
        "another version": session_id[:14] + "1" + session_id[15:],
        "empty": "",
    }


@pytest.mark.parametrize("how", spellings("0" * 36))
def test_an_id_has_one_spelling_wherever_it_comes_in(two: Two, how: str) -> None:
    rt, wrong = two.rt, spellings(two.other.id)[how]
    assert not rt.exists(wrong)
    for call in (
        lambda: rt.session(wrong),
        lambda: rt.ask(wrong, messages.GetInfo()),
        lambda: rt.tell(wrong, messages.AddTag("x")),
        lambda: rt.delete_session(wrong),
        lambda: rt.export_session(wrong, two.folder / "b"),
        lambda: rt.create_session(parent=wrong),
        lambda: rt.query_artifacts(session_id=wrong),
        lambda: rt.list_sessions(parent=wrong),
        lambda: two.mine.share("n", wrong),
        lambda: rt.audit(session=wrong),
        lambda: rt.events.query(session_id=wrong),
    ):
        with pytest.raises((SessionNotFound, InvalidOperation, ValidationError)):
            call()
    with acting(principal=wrong), pytest.raises(AccessDenied):
        two.other.info()  # it does not act for the session that it resembles
    code = rt.run_script("local ok, e = pcall(Session.get, ...) return not ok and e.code", args=[wrong]).value
    assert code in ("SessionNotFound", "ValidationError")
    artifact = str(two.artifact.id).replace(two.other.id, wrong)
    found = two.other.get_many([artifact]).errors
    assert artifact in found
