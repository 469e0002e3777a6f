"""`State` in both languages: the same as `rt.state_scope`, `rt.schemas` and `rt.state_backups`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError

Both = Callable[..., Any]


def test_save_load_and_list_keys_take_any_scope(both: Both, runtime: Runtime) -> None:
    assert both(
        """
        State.save("myapp", "k", { a = 1 })
        State.save("myapp", "l", 2)
        State.save("user:7", "k", 3)
        return { State.load("myapp", "k").a, State.load("custom:myapp", "l"), State.load("user:7", "k"),
                 State.load("myapp", "none", "default"), State.load("myapp", "none") == nil,
                 State.list_keys("myapp"), State.list_keys("myapp", "l"), State.list_keys("empty"),
                 State.delete("myapp", "l"), State.save("myapp", "k", nil), State.list_keys("myapp") }""",
        """
        State.save('myapp', 'k', { a: 1 })
        State.save('myapp', 'l', 2)
        State.save('user:7', 'k', 3)
        return [State.load('myapp', 'k').a, State.load('custom:myapp', 'l'), State.load('user:7', 'k'),
                State.load('myapp', 'none', 'default'), State.load('myapp', 'none') === undefined,
                State.list_keys('myapp'), State.list_keys('myapp', 'l'), State.list_keys('empty'),
                State.delete('myapp', 'l'), State.save('myapp', 'k', undefined), State.list_keys('myapp')]""",
    ) == [1, 2, 3, "default", True, ["k", "l"], ["l"], [], True, True, []]
    assert runtime.state_scope("custom:myapp").list() == {}
    assert runtime.state_scope("user:7").list() == {"k": 3}


def test_the_other_functions_name_scopes_exactly(both: Both) -> None:
    with pytest.raises(ScriptError) as refused:
        both("State.set('usr:7', 'k', 1)", "State.set('usr:7', 'k', 1)")
    assert refused.value.cause == "ValidationError"


def test_compare_and_set(both: Both, runtime: Runtime) -> None:
    runtime.state_scope("global").set("null", None)
    assert both(
        """
        local c = State.compareAndSet
        return { c("global", "n", 1, 2), c("global", "n", nil, { a = 1, b = 2 }), c("global", "n", nil, 3),
                 c("global", "n", { b = 2.0, a = 1 }, 4), c("global", "n", 4, true), c("global", "n", 1, 5),
                 c("global", "n", true, nil), State.get("global", "n") == nil, c("global", "null", nil, 1),
                 c("global", "null", JSON.null, 1), c("global", "m", JSON.null, 1, { idempotency_key = "i" }),
                 c("global", "m", JSON.null, 1, { idempotency_key = "i" }) }""",
        """
        const c = State.compareAndSet
        return [c('global', 'n', 1, 2), c('global', 'n', undefined, { a: 1, b: 2 }), c('global', 'n', undefined, 3),
                c('global', 'n', { b: 2.0, a: 1 }, 4), c('global', 'n', 4, true), c('global', 'n', 1, 5),
                c('global', 'n', true, undefined), State.get('global', 'n') === undefined,
                c('global', 'null', undefined, 1), c('global', 'null', null, 1),
                c('global', 'm', null, 1, { idempotency_key: 'i' }),
                c('global', 'm', null, 1, { idempotency_key: 'i' })]""",
    ) == [False, True, False, True, True, False, True, True, False, True, True, True]


def test_compare_and_set_in_a_session(both: Both, runtime: Runtime) -> None:
    session = runtime.create_session()
    assert both(
        "return { State.compareAndSet('session:current', 'k', nil, 1), State.compareAndSet(nil, 'k', 1, 2) }",
        "return [State.compareAndSet('session:current', 'k', null, 1), State.compareAndSet(null, 'k', 1, 2)]",
        session=session,
    ) == [True, True]
    assert session.get("k") == 2


def test_a_script_migrates_what_the_host_has_registered(both: Both, runtime: Runtime) -> None:
    runtime.schemas.register("settings", 1)
    scope, session = runtime.state_scope("user:7"), runtime.create_session()
    for place in (scope, session):
        place.set("settings", {"colour": "dark"})
    runtime.schemas.register("settings", 2, {"required": ["theme"]}, migrate={1: lambda old: {"theme": old["colour"]}})
    found = both(
        """
        local status = State.migration_status("user:7")
        local versions = State.schema_versions("user:7")
        local done = State.migrate("user:7")
        local all = State.migrate()
        return { status.pending, status.schemas.settings.versions["1"], #versions, versions[1].key, versions[1].version,
                 versions[1].current, done.success, done.count, done.migrated[1].from_version, all.count, all.success,
                 State.migration_status().pending, State.get("user:7", "settings").theme }""",
        """
        const status = State.migration_status('user:7')
        const versions = State.schema_versions('user:7')
        const done = State.migrate('user:7')
        const all = State.migrate()
        return [status.pending, status.schemas.settings.versions['1'], versions.length, versions[0].key,
                versions[0].version, versions[0].current, done.success, done.count, done.migrated[0].from_version,
                all.count, all.success, State.migration_status().pending, State.get('user:7', 'settings').theme]""",
    )
    assert found == [1, 1, 1, "settings", 1, 2, True, 1, 1, 1, True, 0, "dark"]
    with pytest.raises(ScriptError, match="settings: 'theme' is missing"):
        both("State.save('user:7', 'settings', {})", "State.save('user:7', 'settings', {})")


def test_a_bound_script_migrates_its_own_session(both: Both, runtime: Runtime) -> None:
    session = runtime.create_session()
    session.set("k", 1)
    runtime.schemas.register("k", 1)
    source = "{} State.migration_status().pending, State.migrate().count, State.migrate('session:current').count {}"
    assert both("return { " + source[2:-2] + " }", "return [" + source[2:-2] + "]", session=session) == [1, 1, 0]


def test_backups(both: Both, runtime: Runtime) -> None:
    runtime.state_scope("user:7").update({"a": 1, "b": 2})
    session = runtime.create_session()
    session.set("k", 1)
    found = both(
        """
        local id = ...
        local made = State.create_backup("user:7", { description = "before" })
        State.clear("user:7")
        State.set("user:7", "later", 1)
        local restored = State.restore_backup(made.id)
        local full = State.create_backup(false)
        local small = State.create_backup(true)
        local rows = State.list_backups()
        local valid = State.validate_backup(small)
        Session.setCurrent(id)
        local with_session = State.create_backup { incremental = true, description = "last" }
        local usage = State.get_storage_usage()
        local dry = State.cleanup_backups(true)
        local gone = State.cleanup_backups { keep = 1 }
        return {
          made.success, made.entry_count, made.description, made.backup_id == made.id, math.type(made.created_at),
          restored.success, restored.set, restored.deleted, full.is_incremental, small.parent_id == full.id, #rows,
          rows.total, rows[1].id == small.id, tostring(small) == small.id, valid.is_valid, #valid.errors,
          #with_session.scopes, usage.total_backups, usage.incremental_backups, usage.total_size > 0,
          dry.deleted_count, gone.deleted_count, gone.retained_count, State.validate_backup("../x").is_valid }""",
        """
        const id = arg[1]
        const made = State.create_backup('user:7', { description: 'before' })
        State.clear('user:7')
        State.set('user:7', 'later', 1)
        const restored = State.restore_backup(made.id)
        const full = State.create_backup(false)
        const small = State.create_backup(true)
        const rows = State.list_backups()
        const valid = State.validate_backup(small)
        Session.setCurrent(id)
        const with_session = State.create_backup({ incremental: true, description: 'last' })
        const usage = State.get_storage_usage()
        const dry = State.cleanup_backups(true)
        const gone = State.cleanup_backups({ keep: 1 })
        return [made.success, made.entry_count, made.description, made.backup_id === made.id,
                Number.isInteger(made.created_at) ? 'integer' : '', restored.success, restored.set, restored.deleted,
                full.is_incremental, small.parent_id === full.id, rows.length, rows.total, rows[0].id === small.id,
                String(small) === small.id, valid.is_valid, valid.errors.length, with_session.scopes.length,
                usage.total_backups, usage.incremental_backups, usage.total_size > 0, dry.deleted_count,
                gone.deleted_count, gone.retained_count, State.validate_backup('../x').is_valid]""",
        args=[session.id],
    )
    assert found == [
        *(True, 2, "before", True, "integer", True, 2, 1, False, True, 3, 3, True, True, True, 0),
        *(2, 4, 2, True, 0, 2, 2, False),
    ]
    assert runtime.state_scope("user:7").list() == {"a": 1, "b": 2}


def test_a_restored_scope_that_fails_is_reported(both: Both, runtime: Runtime) -> None:
    session = runtime.create_session()
    session.set("k", 1)
    made = runtime.state_backups.create(session)
    session.delete()
    assert both(
        "local r = State.restore_backup(...) return { r.success, r.failures[1].code, r.error ~= nil }",
        "const r = State.restore_backup(arg[1]); return [r.success, r.failures[0].code, r.error !== undefined]",
        args=[made.id],
    ) == [False, "SessionNotFound", True]


@pytest.mark.parametrize(
    "call",
    [
        "create_backup()",
        "list_backups()",
        "restore_backup('x')",
        "validate_backup('x')",
        "cleanup_backups()",
        "get_storage_usage()",
        "migrate('global')",
        "save('app', 'k', 1)",
    ],
)
def test_what_is_the_hosts_is_refused_to_a_bound_script(both: Both, runtime: Runtime, call: str) -> None:
    session = runtime.create_session()
    with pytest.raises(ScriptError) as refused:
        both(f"State.{call}", f"State.{call}", session=session)
    assert refused.value.cause == "AccessDenied"
    assert not runtime.state_backups.directory.exists()


def test_what_there_is_not_is_an_outcome_and_no_error(both: Both, runtime: Runtime) -> None:
    assert both(
        """
        local status = State.migration_status()
        local r, v, m = State.restore_backup("none"), State.validate_backup("none"), State.migrate("2.1.0")
        return { r.success, r.code, r.error ~= nil, v.is_valid, #v.errors, m.success, m.status, m.error ~= nil,
                 status.migration_available, status.error, status.total_schemas, status.is_latest }""",
        """
        const status = State.migration_status()
        const r = State.restore_backup('none'), v = State.validate_backup('none'), m = State.migrate('2.1.0')
        return [r.success, r.code, r.error !== undefined, v.is_valid, v.errors.length, m.success, m.status,
                m.error !== undefined, status.migration_available, status.error, status.total_schemas,
                status.is_latest]""",
    ) == [*(False, "ValidationError", True, False, 1, False, "failed", True, False, "No current schema found", 0, True)]


def test_versions_in_short(both: Both, runtime: Runtime) -> None:
    runtime.schemas.register("k", 1)
    runtime.state_scope("user:7").set("k", 1)
    runtime.schemas.register("k", 2)
    assert both(
        """
        local before, done, again = State.migration_status(), State.migrate(2), State.migrate(2)
        return { before.current_version, before.latest_version, before.is_latest, before.migration_targets,
                 done.success, done.status, done.from_version, done.to_version, done.items_migrated,
                 again.status, again.success, "v " .. State.schema_versions("user:7")[1] }""",
        """
        const before = State.migration_status(), done = State.migrate(2), again = State.migrate(2)
        return [before.current_version, before.latest_version, before.is_latest, before.migration_targets,
                done.success, done.status, done.from_version, done.to_version, done.items_migrated,
                again.status, again.success, `v ${State.schema_versions('user:7')[0]}`]""",
    ) == [1, 2, False, [2], True, "migrated", 1, 2, 1, "already_current", True, "v k:2"]
