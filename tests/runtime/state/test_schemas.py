"""Values under keys with a schema fit it, however they are set, and carry its version with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from greenroom.runtime import (
    AccessDenied,
    HookContext,
    HookResult,
    Runtime,
    Session,
    ValidationError,
    ValueVersion,
    messages,
)

OBJECT = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "integer"}}}}}
BAD = {"a": {"b": "x"}}


class Settings(pydantic.BaseModel):
    theme: str
    size: int = 12


def versions(rt: Runtime, place: Session | str) -> dict[str, tuple[str, int]]:
    return {key: (each.schema, each.version) for key, each in rt.schemas.versions(place).items()}


WAYS: dict[str, Callable[[Runtime, Session, Any], object]] = {
    "set": lambda rt, s, value: s.set("k", value),
    "item": lambda rt, s, value: s.__setitem__("k", value),
    "update": lambda rt, s, value: s.update({"other": 1, "k": value}),
    "compare_and_set": lambda rt, s, value: s.compare_and_set("k", None, value),
    "ask": lambda rt, s, value: rt.ask(s.id, messages.SetVariable("k", value)),
    "tell": lambda rt, s, value: rt.tell(s.id, messages.SetVariable("k", value)),
    "scope": lambda rt, s, value: rt.state_scope("user:7").set("k", value),
    "fork": lambda rt, s, value: s.fork(changes={"variables": {"k": value}}),
    "script": lambda rt, s, value: s.rename(
        rt.run_script(
            "local ok, e = pcall(State.set, 'k', ...) if not ok then error(e, 0) end", session=s, args=[value]
        )
        and "x"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_setting_passes_the_schema(rt: Runtime, session: Session, way: str) -> None:
    rt.schemas.register("it", 3, OBJECT, keys="k")
    with pytest.raises(Exception, match=r"k\.a\.b: does not fit 'type'"):
        WAYS[way](rt, session, BAD)
    assert "k" not in session
    assert "k" not in rt.state_scope("user:7")
    WAYS[way](rt, session, {"a": {"b": 1}})
    rt.ask(session.id, messages.Finish())
    places: list[Session | str] = [session, "user:7", *(child.id for child in session.children())]
    assert [versions(rt, place) for place in places].count({"k": ("it", 3)}) == 1


def test_a_batch_is_refused_as_a_whole_and_says_which(rt: Runtime, session: Session) -> None:
    rt.schemas.register("it", 1, OBJECT, keys="k", scope="user:*")
    with pytest.raises(ValidationError) as refused, session.batch() as b:
        b.scope("user:7").update({"other": b.set("k", BAD), "k": BAD})
    assert refused.value.fields == {"field": "k.a.b", "schema": "it", "index": 2}
    assert session.variables() == {}
    assert rt.state_scope("user:7").list() == {}


def test_what_a_hook_makes_of_a_value_is_checked(rt: Runtime, session: Session) -> None:
    rt.schemas.register("k", 1, OBJECT)

    def spoil(context: HookContext) -> HookResult:
        return HookResult.modified({**context.data, "value": BAD})

    rt.hooks.register("BeforeStateWrite", spoil)
    with pytest.raises(ValidationError, match=r"k\.a\.b"):
        session.set("k", {})


def test_a_model_names_the_place_and_reads_what_it_let_through(rt: Runtime, session: Session) -> None:
    rt.schemas.register("settings", 1, Settings)
    with pytest.raises(ValidationError, match="settings: the value does not fit Settings: theme: it is needed"):
        session.set("settings", {"size": 1})
    session.set("settings", Settings(theme="dark"))
    session.set("settings", {"theme": "light"})  # as it was given
    assert session.get("settings") == {"theme": "light"}
    assert session.get("settings", as_=Settings) == Settings(theme="light")


@pytest.mark.parametrize(
    ("keys", "scope", "place", "key", "matches"),
    [
        ("k", "*", "session", "k", True),
        ("k", "*", "session", "kk", False),
        ("user.*", "*", "user:7", "user.", True),
        ("user.*", "*", "user:7", "userx", False),
        ("a?c", "global", "global", "a\nc", True),
        ("a?c", "global", "user:7", "abc", False),
        ("*", "session:*", "session", "[", True),
        ("[ab]", "*", "session", "a", False),
        ("[ab]", "*", "session", "[ab]", True),
    ],
)
def test_a_schema_is_for_the_keys_and_scopes_that_match(
    rt: Runtime, session: Session, keys: str, scope: str, place: str, key: str, matches: bool
) -> None:
    rt.schemas.register("it", 1, {"type": "integer"}, keys=keys, scope=scope)
    where = session if place == "session" else rt.state_scope(place)
    if matches:
        with pytest.raises(ValidationError):
            where.set(key, "x")
    else:
        where.set(key, "x")


def test_the_first_one_registered_counts_also_when_it_is_registered_anew(rt: Runtime, session: Session) -> None:
    rt.schemas.register("one", 1, {"type": "integer"}, keys="k*")
    rt.schemas.register("two", 1, {"type": "string"}, keys="*k")
    rt.schemas.register("one", 2, {"type": "boolean"}, keys="k*")
    session.set("k", True)
    assert versions(rt, session) == {"k": ("one", 2)}
    assert [(each.name, each.version) for each in rt.schemas.list()] == [("one", 2), ("two", 1)]
    assert rt.schemas.unregister("one")
    assert not rt.schemas.unregister("one")
    session.set("k", "now text")
    assert versions(rt, session) == {"k": ("two", 1)}
    assert rt.schemas.unregister("two")
    session.set("k", 1.5)
    assert rt.schemas.versions(session) == {}


def test_the_version_goes_wherever_the_value_goes(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path, config={"snapshot_every": 10}) as rt:
        session, scope = rt.create_session(), rt.state_scope("user:7")
        session.set("before", 1)
        rt.schemas.register("it", 2, keys="k*")
        for number in range(30):
            session.set(f"k{number}", number)
        scope.set("k", 1)
        session.delete_variable("k1")
        expected = {f"k{number}": ("it", 2) for number in range(30) if number != 1}
        rt.schemas.unregister("it")
        session.set("k2", "set without a schema")
        del expected["k2"]
        assert versions(rt, session) == expected
    with Runtime.open(store_path) as rt:
        session = rt.session(session.id)
        assert versions(rt, session) == expected
        assert versions(rt, "user:7") == {"k": ("it", 2)}
        assert versions(rt, session.fork()) == expected
        assert rt.replay(session).identical
        rt.retention(max_journal_events=5, dry_run=False)
        assert versions(rt, session) == expected
        for history in (True, False):
            session.export(tmp_path / f"{history}.bundle", history=history)
            assert versions(rt, rt.import_session(tmp_path / f"{history}.bundle", keep_ids=False)) == expected
        assert rt.verify().problems == []


def test_the_version_is_in_the_event(rt: Runtime, session: Session) -> None:
    rt.schemas.register("it", 2, keys="k")
    session.set("k", 1)
    assert [*session.events()][-1].data == {"key": "k", "value": 1, "schema": "it", "schema_version": 2}
    assert rt.schemas.versions(session, "k") == {"k": ValueVersion("it", 2, 2)}
    assert rt.schemas.versions(session, "none") == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"version": 0}, "version"),
        ({"version": True}, "version"),
        ({"schema": {"type": "nonsense"}}, "schema"),
        ({"schema": 7}, "schema"),
        ({"keys": ""}, "keys"),
        ({"scope": 1}, "scope"),
        ({"migrate": {1: lambda old: old}}, "migrate"),  # for values of the version itself
        ({"migrate": {"0": lambda old: old}}, "migrate"),
        ({"migrate": {0: "fn"}}, "migrate"),
        ({"migrate": [lambda old: old]}, "migrate"),
    ],
)
def test_what_is_no_schema_is_refused(rt: Runtime, given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        rt.schemas.register(**{"name": "it", "version": 1, **given})
    assert refused.value.fields["field"] == field
    assert rt.schemas.list() == []


def test_schemas_are_the_hosts(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    rt.schemas.register("it", 1, keys="k")
    session.set("k", 1)
    tries: dict[str, Callable[[], object]] = {
        "register": lambda: rt.schemas.register("x", 1),
        "unregister": lambda: rt.schemas.unregister("it"),
        "status": rt.schemas.status,
        "migrate_all": rt.schemas.migrate_all,
        "other": lambda: rt.schemas.migrate(other.id),
        "versions": lambda: rt.schemas.versions(other.id),
        "scope": lambda: rt.schemas.migrate("user:7"),
    }
    rt.tools.register("try", lambda name: tries[name]())
    rt.tools.register("own", lambda: [rt.schemas.migrate(session).to_dict(), rt.schemas.status(session.id).pending])
    for name in tries:
        with pytest.raises(AccessDenied):
            session.call_tool("try", {"name": name})
    assert session.call_tool("own") == [{"scope": f"session:{session.id}", "migrated": []}, 0]
