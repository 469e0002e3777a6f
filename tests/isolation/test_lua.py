"""Every function of every global, called by a script bound to one session on another: denied, or confined."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.scripting.globals import known_globals

from .conftest import SECRET, Two

DENIED: dict[str, list[str]] = {
    "Session": [
        "addMessage(other, 'user', 'x')",
        "addMessages(other, { { role = 'user', content = 'x' } })",
        "addTag(other, 'x')",
        "archive(other)",
        "children(other)",
        "clearMessages(other)",
        "compare(nil, other)",
        "complete(other)",
        "context(other)",
        "diff(other, 1)",
        "canReplay(other)",
        "create { parent_session_id = other }",
        "getReplayMetadata(other)",
        "getReplayStatus(other)",
        "listReplayable { parent = other }",
        "replay(other)",
        "replay(other, { schedule = { interval = 60 } })",
        "stopReplay(other)",
        "delete(other)",
        "deleteVariable(other, 'k')",
        "events(other)",
        "hasTag(other, 'x')",
        "parent(other)",
        "restore(other)",
        "tree(other)",
        "create { parent = other }",
        "editMessage(other, 2, { content = 'x' })",
        "popMessage(other)",
        "retractMessage(other, 2)",
        "truncateMessages(other, 0)",
        "export(other, path)",
        "fail(other, 'x')",
        "fork(other)",
        "get(other)",
        "getMetadata(other)",
        "getTags(other)",
        "getTimeline(other)",
        "getVariable(other, 'k')",
        "getRecord(other, 'k')",
        "putRecord(other, 'k', 1)",
        "scanRecords(other)",
        "create { key = 'new' }",
        "getOrCreate('new')",
        "import(path)",
        "list { parent = other }",
        "count { parent = other }",
        "listArtifacts(other)",
        "listVariables(other)",
        "load(other)",
        "loadArtifact(other, 'n')",
        "loadArtifact('', id)",
        "messages(other)",
        "search('x', { session = other })",
        "search('x', { parent = other })",
        "removeTag(other, 'x')",
        "rename(other, 'x')",
        "describe(other, 'x')",
        "restoreRecent(1)",
        "resume(other)",
        "save(other)",
        "saveAll()",
        "cleanup()",
        "cleanup(0)",
        "saveArtifact(other, 'n', 'y')",
        "askHuman(other, 'Which?')",
        "approvals(other)",
        "getApproval(other .. '/2')",
        "answerApproval(other .. '/2', 1)",
        "cancelApproval(other .. '/2')",
        "setCurrent(other)",
        "setTags(other, {})",
        "setVariable(other, 'k', 1)",
        "share(other, Session.current())",
        "share(other, Session.current(), 'write')",
        "revoke(other, Session.current())",
        "shares(other)",
        "sharedSessions(other)",
        "grantScope(other, 'global', 'write')",
        "grantScope(Session.current(), 'global', 'write')",
        "revokeScope(other, 'global')",
        "scopes(other)",
        "suspend(other)",
        "timeline(other)",
        "updateMetadata(other, { k = 1 })",
    ],
    "Artifact": [
        "checkAccess(other, 'n')",
        "delete(other, 'n')",
        "delete('', id)",
        "findByTag(other, 't')",
        "findByType(other, 'log')",
        "get(other, 'n')",
        "get(other, id)",
        "get('', id)",
        "getAuditLog(other)",
        "getAuditLog { session = other }",
        "getContent('', id)",
        "getContent(other, 'n')",
        "getInfo('', id)",
        "getInfo(other, 'n')",
        "getPermissions('', id)",
        "getPermissions(other, 'n')",
        "grantPermission('', id, Session.current(), 'read')",
        "list(other)",
        "open(other, 'n')",
        "open('', id)",
        "create(other, 'log', 'n'):close()",
        "query(other, {})",
        "count(other, {})",
        "deleteMany(other, {'n'})",
        "diff(other, 'n', 1)",
        "getMany(other, {'n'})",
        "storeMany(other, { { type = 'log', name = 'n', content = 'y' } })",
        "update('', id, 'y')",
        "update(other, 'n', 'y')",
        "query { session_id = other }",
        "count { session_id = other }",
        "revoke('', id, Session.current())",
        "revokePermission(other, 'n', Session.current())",
        "saveToFile('', id, path)",
        "search(other, 'n')",
        "share('', id, Session.current())",
        "share(other, 'n', Session.current())",
        "sharedWithMe(other)",
        "store(other, 'log', 'n', 'y')",
        "storeFile(other, path)",
        "storeVersion('', id, 'y')",
        "storeVersion(other, 'n', 'y')",
        "verify('', id)",
        "versions(other, 'n')",
        "versions('', id)",
    ],
    "State": [
        "clear('session:' .. other)",
        "delete('session:' .. other, 'k')",
        "get('session:' .. other, 'k')",
        "get('session:' .. other .. ':k')",
        "list('session:' .. other)",
        "set('session:' .. other, 'k', 1)",
        "get('global', 'k')",
        "set('user:7', 'k', 1)",
        "list('agent:a')",
        "delete('tool:t', 'k')",
        "get('workflow:w', 'k')",
        "clear('custom:c')",
        "compareAndSet('session:' .. other, 'k', nil, 1)",
        "compareAndSet('user:7', 'k', nil, 1)",
        "save('session:' .. other, 'k', 1)",
        "save('app', 'k', 1)",
        "load('session:' .. other, 'k')",
        "load('app', 'k')",
        "list_keys('session:' .. other)",
        "list_keys('app')",
        "migrate('session:' .. other)",
        "migrate(other)",
        "migrate('user:7')",
        "migration_status('session:' .. other)",
        "migration_status('user:7')",
        "schema_versions('session:' .. other)",
        "schema_versions('user:7')",
        "create_backup()",
        "create_backup('session:' .. other)",
        "list_backups()",
        "restore_backup('x')",
        "validate_backup('x')",
        "cleanup_backups()",
        "get_storage_usage()",
    ],
    "Event": [
        "publish('custom.x', {}, { session_id = other })",
        "emit('custom.x', {}, { session_id = other })",
        "query { session_id = other }",
        "subscribe('**', { session_id = other })",
    ],
}
OWN_ONLY: dict[str, set[str]] = {
    "Session": {"current", "getCurrent"},
    "Artifact": set(),
    "State": set(),
    "Event": {"dispatch", "receive", "timeline", "unsubscribe", "on", "list_subscriptions", "get_stats", "stats"},
    "Tool": {
        "categories",
        "discover",
        "execute",
        "executeAsync",
        "exists",
        "get",
        "getByName",
        "getSchema",
        "get_schema",
        "invoke",
        "list",
    },
}
"""What names no session, and works on the script's own or on what the host gives to all."""
ELSEWHERE = {"", "Hook", "Agent", "Workflow", "JSON", "Replay", "Streaming"}
"""Globals whose functions take no session: what they call is asked in its place."""


def test_every_function_is_in_the_matrix() -> None:
    for name, found in known_globals().items():
        if name in ELSEWHERE:
            continue
        named = {call.replace("{", "(").split("(")[0].strip() for call in DENIED.get(name, [])}
        functions = {each for function in found.functions if not function.hidden for each in function.names}
        assert functions - named - OWN_ONLY.get(name, set()) == set(), name


@pytest.mark.parametrize(("name", "call"), [(name, call) for name, calls in DENIED.items() for call in calls])
def test_a_bound_script_reaches_nothing_of_another_session(two: Two, name: str, call: str) -> None:
    source = (
        "local other, id, path = ...\n"
        f"local ok, e = pcall(function() return {name}.{call} end)\n"
        "return { ok, not ok and e.code, not ok and e.message }"
    )
    before, log = two.sequence(), two.rt.audit(session=two.mine, granted=False).total
    arguments: list[Any] = [two.other.id, str(two.artifact.id), str(two.folder / "f")]
    if "path" in call:
        (two.folder / "f").write_text("x")
    outcome = two.rt.run_script(
        source,
        session=two.mine,
        args=arguments,
        profile="files" if "path" in call else "sandboxed",
        directories=[two.folder],
    ).value
    for each in two.folder.iterdir():
        assert each.read_text() == "x"
        each.unlink()
    assert outcome[:2] == [False, "AccessDenied"]
    assert SECRET not in outcome[2]
    assert two.sequence() == before
    denied = two.rt.audit(session=two.mine, granted=False)
    assert denied.total > log
    assert denied[0].source == "script:script"


def test_what_lists_sessions_lists_its_own(two: Two) -> None:
    source = "return { Session.count(), #Session.list(), #Session.list { tags = { ... } }, #Event.query {} > 0 }"
    assert two.rt.run_script(source, session=two.mine, args=[SECRET]).value == [1, 1, 0, True]


def test_an_unbound_script_within_a_sessions_code_is_refused(two: Two) -> None:
    """Else a tool could run a script of the host's, which reaches all."""
    found: list[str] = []

    def escape() -> None:
        try:
            two.rt.run_script("return Session.list()")
        except Exception as error:
            found.append(type(error).__name__)

    two.rt.tools.register("escape", escape)
    two.mine.call_tool("escape")
    assert found == ["AccessDenied"]
