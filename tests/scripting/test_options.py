"""Options, numbers and texts that scripts give: the same rules in every function of every global."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError
from greenroom.runtime.agents import echo
from greenroom.scripting.globals import known_globals
from greenroom.scripting.globals.choices import HOW

MISSPELT = {
    "Session.create": ("Session.create { nmae = 'x' }", "name"),
    "Session.getOrCreate": ("Session.getOrCreate('k', { descripton = 'x' })", "description"),
    "Session.list": ("Session.list { serch_text = 'x' }", "search_text"),
    "Session.search": ("Session.search('x', { kind = 'name' })", "kinds"),
    "Session.count": ("Session.count { created_befor = 5 }", "created_before"),
    "Session.messages": ("s:messages { limt = 5 }", "limit"),
    "Session.events": ("s:events { aftr = 5 }", "after"),
    "Session.addMessage": ("s:addMessage('user', 'x', { idempotencykey = 'i' })", "idempotency_key"),
    "Session.editMessage": ("s:editMessage(3, { contnt = 'x' })", "content"),
    "Session.scanRecords": ("s:scanRecords { revers = true }", "reverse"),
    "Session.askHuman": ("s:askHuman('sure?', { schma = {} })", "schema"),
    "Session.fork": ("s:fork(1, { sytem_prompt = 'x' })", "system_prompt"),
    "Session.replay": ("s:replay { comparresults = true }", "compare_results"),
    "Session.listReplayable": ("Session.listReplayable { limt = 5 }", "limit"),
    "Replay.create_config": ("Replay.create_config { mod = 'exact' }", "mode"),
    "Replay.schedules.once": ("Replay.schedules.once(5, { timezon = 'UTC' })", "timezone"),
    "Replay.schedules.interval": ("Replay.schedules.interval(5, { limt = 3 })", "limit"),
    "Replay.schedules.cron": ("Replay.schedules.cron('0 3 * * *', { untl = 5 })", "until"),
    "Session.share": ("s:share(o, 'read', { expires = 5 })", "expires_at"),
    "Session.export": ("s:export('x.bundle', { tre = true })", "tree"),
    "Session.import": ("Session.import('x.bundle', { keep_id = true })", "keep_ids"),
    "Artifact.query": ("Artifact.query(s, { tpye = 'x' })", "type"),
    "Artifact.count": ("Artifact.count { min_siz = 5 }", "min_size"),
    "Artifact.storeMany": ("Artifact.storeMany(s, { { type = 'x', nam = 'y' } })", "name"),
    "Artifact.share": ("Artifact.share(s, 'a', o, { permision = 'read' })", "permission"),
    "Artifact.getAuditLog": ("Artifact.getAuditLog(s, { acces = 'read' })", "access"),
    "Event.publish": ("Event.publish('x.y', {}, { corelation_id = 'x' })", "correlation_id"),
    "Event.subscribe": ("Event.subscribe('x.*', { overflw = 'block' })", "overflow"),
    "Event.query": ("Event.query { session = 'x' }", "session_id"),
    "Hook.register": ("Hook.register('BeforeStateWrite', print, { priorty = 1 })", "priority"),
    "Hook.list": ("Hook.list { enabld = true }", "enabled"),
    "State.create_backup": ("State.create_backup('global', { descripton = 'x' })", "description"),
    "State.cleanup_backups": ("State.cleanup_backups { keeep = 1 }", "keep"),
    "Agent.discover": ("Agent.discover { modle = 'x' }", "model"),
    "Agent.createComposite": ("Agent.createComposite('x', { 'echo' }, { odrer = 'parallel' })", "order"),
    "Agent.wrapAsTool": ("Agent.wrapAsTool('echo', { tool_nam = 'x' })", "tool_name"),
    "Tool.discover": ("Tool.discover { categry = 'x' }", "category"),
}
"""A call of each function that takes options, with one misspelt, and the option that is meant."""

START = "local s, o = Session.create {}, Session.create {} Artifact.store(s, 'x', 'a', '') "


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_option_is_an_error_that_names_the_nearest(shared_runtime: Runtime, name: str) -> None:
    call, meant = MISSPELT[name]
    shared_runtime.agents.register("echo", echo, replace=True)
    with pytest.raises(ScriptError) as caught:
        shared_runtime.run_script(START + call, profile="trusted")
    assert caught.value.cause == "ValidationError"
    assert name in str(caught.value)
    assert f"nearest known one is {meant!r}" in str(caught.value)


def test_every_function_that_takes_options_is_tried() -> None:
    takes = {
        function.name
        for found in known_globals().values()
        for function in found.functions
        if any(each.options is not None and each.options is not HOW for each in function.parameters)
    }
    items = {"Artifact.storeMany"}  # a list of tables
    assert takes | items == {*MISSPELT}


@pytest.mark.parametrize(
    "call",
    [
        "Session.list { parent = s, parent_session_id = s }",
        "Session.create { parent = s, parent_session_id = s }",
        "Artifact.query(s, { type = 'x', artifact_type = 'x' })",
        "Hook.list { point = 'BeforeStateWrite', hook_point = 'BeforeStateWrite' }",
    ],
)
def test_an_option_under_two_names_is_an_error(shared_runtime: Runtime, call: str) -> None:
    with pytest.raises(ScriptError, match="are the same: give one"):
        shared_runtime.run_script(START + call)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("#Session.restoreRecent(1.0)", 1),
        ("#Session.list { limit = 1.0, offset = 0.0 }", 1),
        ("#s:messages { limit = 1.0, before = 3.0 }", 1),
        ("#s:events { after = 1.0, limit = 1.0 }", 1),
        ("s:truncateMessages(2.0)", 1),
        ("#s:fork(1.0):messages()", 0),
        ("s:editMessage(2.0, { content = 'new' }).content", "new"),
        ("s:retractMessage(2.0).content", "one"),
        ("#s:scanRecords { limit = 1.0 }", 1),
        ("Artifact.get(s, 'a', 1.0).content", "text"),
        ("Artifact.getContent(s, 'a', 1.0)", "text"),
        ("Artifact.getInfo(s, 'a', 1.0).version", 1),
        ("Artifact.verify(s, 'a', 1.0)", True),
        ("#Artifact.diff(s, 'a', 1.0, 1.0)", 0),
        ("#Artifact.query(s, { limit = 1.0, min_size = 4.0, max_size = 4.0 })", 1),
        ("#Artifact.getAuditLog(s, { limit = 1.0 })", 0),
        ("Artifact.delete(s, 'a', 1.0)", True),
        ("#Event.query { session_id = s, limit = 1.0 }", 1),
        ("Event.subscribe('x.*', { capacity = 3.0 }).pattern", "x.*"),
        ("Hook.register('BeforeStateWrite', print, 5.0):hook_point()", "BeforeStateWrite"),
        (
            "Hook.register('BeforeStateWrite', print, { priority = 5.0, tags = { 't' } }):hook_point()",
            "BeforeStateWrite",
        ),
    ],
)
def test_a_whole_number_may_come_as_a_float(shared_runtime: Runtime, call: str, expected: object) -> None:
    source = (
        "local s = Session.create {} s:addMessage('user', 'one') s:addMessage('user', 'two') s:putRecord('r', 1) "
        "Artifact.store(s, 'x', 'a', 'text') return "
    )
    assert shared_runtime.run_script(source + call).value == expected


@pytest.mark.parametrize("given", ["2.5", "1e300", "0/0", "1/0", "true", "'2'"])
def test_what_is_no_whole_number_is_refused(shared_runtime: Runtime, given: str) -> None:
    with pytest.raises(ScriptError) as caught:
        shared_runtime.run_script(f"local s = Session.create {{}} return s:messages {{ limit = {given} }}")
    assert caught.value.cause == "ValidationError"


def test_a_number_may_come_where_a_text_is_wanted(shared_runtime: Runtime) -> None:
    run = shared_runtime.run_script
    assert run("""
      local s = Session.create { name = 5, description = 1.5, tags = { 1, 2.0 }, created_by = 7 }
      s:rename(6) s:addTag(3) s:removeTag(1) s:setVariable(8, "v") s:putRecord(9, "r") s:addMessage("user", 10)
      Session.setCurrent(s)
      State.set("user:7", 11, "w")
      local id = Artifact.store(s, "t", 12, 13, { tags = { 14 }, description = 16.25 })
      local info = Artifact.getInfo(s, 12)
      return { s.name, s.description, s.tags, s.created_by, s:getVariable("8"), s:getVariable(8), State.get(8),
               State.get("user:7", "11"), s:getRecord("9"), s:messages()[1].content, info.name, info.description,
               info.tags, Artifact.getContent(s, "12"), #Artifact.findByTag(s, 14),
               #Session.list { search = 6, tags = { 3 } } }
    """).value == [
        *("6", "1.5", ["2.0", "3"], "7", "v", "v", "v", "w", "r", "10", "12", "16.25"),
        *(["14"], "13", 1, 1),
    ]


@pytest.mark.parametrize(
    "given",
    [
        "{ [1] = 'a', ['1'] = 'b' }",
        "{ deep = { { [2.5] = 1, ['2.5'] = 2 } } }",
        "JSON.parse('[18446744073709551616]')",
        "JSON.parse('-9223372036854775809')",
    ],
)
def test_keys_that_fall_together_and_integers_beyond_64_bits_are_errors(lua: Any, given: str) -> None:
    calls = [
        *("s:setVariable('k', VALUE)", "State.set('global', 'k', VALUE)", "s:updateMetadata { k = VALUE }"),
        *("Session.create { metadata = { k = VALUE } }", "s:addMessage('user', 'x', { metadata = { k = VALUE } })"),
        *(
            "s:putRecord('k', VALUE)",
            "Event.publish('x.y', { k = VALUE }, { session_id = s })",
            "JSON.stringify(VALUE)",
        ),
        "Artifact.store(s, 'x', 'n', 'c', { k = VALUE })",
    ]
    source = "".join(
        f" ok, e = pcall(function() {call} end) found[#found + 1] = {{ ok, e.code }}".replace("VALUE", given)
        for call in calls
    )
    assert lua(f"local s, found, ok, e = Session.create {{}}, {{}}{source} return {{ found, s.sequence }}") == [
        [[False, "ValidationError"]] * len(calls),
        lua("return Session.create({}).sequence"),
    ]


def test_an_empty_table_is_an_empty_list(lua: Any) -> None:
    assert lua("""
      local s = Session.create { tags = {} }
      s:setTags {}
      return { #s:addMessages {}, #Artifact.storeMany(s, {}), #Artifact.getMany(s, {}).found,
               #Artifact.deleteMany(s, {}).deleted, #Artifact.query(s, { tags = {}, without_tags = {} }),
               #Session.list { tags = {} } }
    """) == [0, 0, 0, 0, 0, 1]


def test_a_missing_argument_is_called_nothing(lua: Any) -> None:
    with pytest.raises(ScriptError, match="key: text is needed, not nothing"):
        lua("Session.create({}):setVariable(nil, 1)")


def test_the_current_session_is_meant_where_no_session_is_given(shared_runtime: Runtime) -> None:
    assert shared_runtime.run_script("""
      Session.setCurrent(Session.create { name = "x", tags = { "t" } })
      return { Session.tree().name, #Session.events(), #Session.messages(), Session.getTags(), Session.get == nil }
    """).value == ["x", 1, 0, ["t"], False]


def test_functions_by_both_of_their_names(shared_runtime: Runtime) -> None:
    pairs: dict[str, Any] = {
        "Session": [("getCurrent", "current"), ("load", "restore"), ("timeline", "getTimeline")],
        "Artifact": [
            ("share", "grantPermission"),
            ("revoke", "revokePermission"),
            ("storeVersion", "update"),
        ],
        "Event": [("publish", "emit")],
    }
    names = [f"{name}.{each}" for name, found in pairs.items() for pair in found for each in pair]
    found = shared_runtime.run_script(f"return {{ {', '.join(f'type({name})' for name in names)} }}").value
    assert found == ["function"] * len(names)
