"""Modifications: of what is small and large, of what is not there, of much at once, and of what breaks an event."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.replay.history import History
from greenroom.runtime import Modification, ReplayConfig, ReplayError, ReplayResult, Runtime, Session, ValidationError
from greenroom.runtime.replay.modifications import Modifications

LARGE = "large " * 2000


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as rt:
        rt.tools.register("find", lambda city, notes: {"city": city, "notes": notes, "deep": [{"n": 1}]})
        rt.agents.register("echo", lambda input, context: {"text": input["text"], "usage": {"input_tokens": 1}})
        yield rt


@pytest.fixture
def s(rt: Runtime) -> Session:
    """A session in which everything that can be kept as content is."""
    s = rt.create_session()
    s.add_message("user", LARGE)
    s.add_message("assistant", [{"type": "text", "text": LARGE}], tool_calls=[{"id": "1", "arguments": LARGE}])
    s.add_message("user", "short", metadata={"a": {"b": 1}, "notes": LARGE})
    s.call_tool("find", {"city": "Rome", "notes": LARGE})
    s.call_agent("echo", {"text": LARGE, "city": "Rome"})
    with s.stream_message("assistant") as stream:
        stream.write(LARGE)
    s.edit_message(s.messages()[-1].sequence, content=LARGE + "!")
    rt.events.publish("my.event", {"notes": LARGE * 8, "n": {"a": 1}}, s)
    return s


def modified(rt: Runtime, s: Session, *changes: tuple[str, Any]) -> ReplayResult:
    given = [{"path": path, "value": value} for path, value in changes]
    return rt.replay(s, ReplayConfig(mode="modified", modifications=given))


def _sequence(s: Session, type_: str) -> int:
    return next(event.sequence for event in s.events() if event.type == type_)


PLACES = (
    ("messages.2.content", "short", "data.content"),
    ("messages.3.content.0.text", "short", "data.content.0.text"),
    ("messages.3.tool_calls.0.arguments", "{}", "data.tool_calls.0.arguments"),
    ("messages.4.metadata.a.b", 2, "data.metadata.a.b"),
    ("tools.find.input.city", "Oslo", "data.input.city"),
    ("tools.find.result.city", "Oslo", "data.result.city"),
    ("tools.find.result.deep.0.n", 2, "data.result.deep.0.n"),
    ("agents.echo.input.city", "Oslo", "data.input.city"),
    ("agents.echo.result.text", "other", "data.result.text"),
    ("agents.echo.result.usage.input_tokens", 7, "data.result.usage.input_tokens"),
    ("events.2.data.content", "short", "data.content"),
    ("events.5.data.input.city", "Oslo", "data.input.city"),
)


@pytest.mark.parametrize(("path", "value", "told"), PLACES)
def test_a_place_within_what_is_kept_as_content_is_changed_and_told(
    rt: Runtime, s: Session, path: str, value: Any, told: str
) -> None:
    result = modified(rt, s, (path, value))
    assert result.unused == ()
    assert not result.identical
    changed = [each for each in result.comparisons if each.kind != "equal"]
    assert [(each.path, each.replayed) for each in changed[0].differences] == [(told, value)]
    assert result.errors == ()
    assert rt.replay(s).identical  # nothing of it was written


def test_the_changed_conversation_can_be_looked_at(rt: Runtime, s: Session) -> None:
    streamed = _sequence(s, "message.started")
    changes = {"messages.3.content.0.text": LARGE + "?", f"messages.{streamed}.content": LARGE + "."}
    with rt.replays.start(s, {"mode": "modified", "modifications": changes}) as replay:
        assert replay.wait(timeout=60).unused == ()
        messages = replay.state.messages
    assert messages[1].content == [{"type": "text", "text": LARGE + "?"}]
    assert messages[1].tool_calls == s.messages()[1].tool_calls
    assert messages[-1].content == LARGE + "."
    assert messages[0].content == LARGE


def test_a_place_within_large_published_data_is_changed(rt: Runtime, s: Session) -> None:
    result = modified(rt, s, (f"events.{_sequence(s, 'my.event')}.data.n.a", 2))
    assert result.unused == ()
    (changed,) = [each for each in result.comparisons if each.kind != "equal"]
    assert [(each.path, each.replayed) for each in changed.differences] == [("data.n.a", 2)]


def test_the_value_that_is_there_already_changes_nothing(rt: Runtime, s: Session) -> None:
    result = modified(rt, s, ("messages.2.content", LARGE), ("tools.find.input.city", "Rome"))
    assert result.identical
    assert result.unused == ()


@pytest.mark.parametrize(
    "path",
    [
        "messages.2.content.0",  # a text has no places
        "messages.3.content.9.text",
        "messages.9999.content",
        f"messages.{'9' * 19}.content",
        "tools.find.input.city.name",
        "tools.find.result.deep.1.n",
        "tools.FIND.result",
        "tools.fi.nd.result",
        "agents.echo.result.text.0",
        "agents.find.input.city",
        "events.9999.data.x",
        "events.2.data.nothing",
        "variables.nothing",
        "metadata.a.b",
    ],
)
def test_what_matches_nothing_is_always_told(rt: Runtime, s: Session, path: str) -> None:
    result = modified(rt, s, (path, "x"), ("tools.find.input.city", "Oslo"))
    assert result.unused == (path,)
    assert path in repr(result)


def test_names_with_dots_and_of_other_alphabets_are_found(rt: Runtime) -> None:
    rt.tools.register("a.b", lambda n: {"c.d": n, "è": n})
    s = rt.create_session()
    s.set("x", {"y": {"z": 1}})
    s.set("x.y", {"z": 1})
    s.set("x.y.z", 1)
    s.set("ключ.中", {"ß": 1})
    s.call_tool("a.b", {"n": 1})
    found = modified(rt, s, ("variables.x.y.z", 2), ("variables.ключ.中.ß", 3), ("tools.a.b.result.è", 4))
    assert found.unused == ()
    assert found.variables == {"x": {"y": {"z": 2}}, "x.y": {"z": 2}, "x.y.z": 2, "ключ.中": {"ß": 3}}
    assert [each.type for each in found.comparisons if each.kind == "changed"] == ["variable.set"] * 4 + [
        "tool.returned"
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messages.2.role", 5),
        ("messages.2.role", None),
        ("messages.2.role.x", "user"),
        ("messages.2.content", 5),
        ("messages.2.content", {"a": 1}),
        ("messages.2.metadata", [1]),
        ("messages.2.tool_calls", "x"),
        ("messages.2.name", {}),
        (f"messages.{'9' * 5000}.content", "x"),
        ("messages.²2.content", "x"),
        ("events.2.data.content_hash", b"\0" * 32),
        ("config.max_operations", -1),
    ],
)
def test_values_that_cannot_be_there_are_refused_before_anything_runs(
    rt: Runtime, s: Session, path: str, value: Any
) -> None:
    with pytest.raises(ValidationError):
        modified(rt, s, (path, value))


def test_an_event_of_another_form_is_no_damage(rt: Runtime, s: Session) -> None:
    s.set("k", 1)
    s.set_tags(["a"])
    s.ask_human("Which?")
    for event in s.events():
        for field in event.data:
            for value in (None, "x", [1], {"a": [1]}, b"x", -1, 1 << 63):
                path = f"events.{event.sequence}.data.{field}"
                try:
                    result = modified(rt, s, (path, value))
                except (ReplayError, ValidationError):
                    continue
                assert result.stopped is None, (path, value, result.reason)
                assert result.unused == () or result.identical
                result.to_dict()
                assert result.info.to_dict() is not None
                assert result.variables is not None


def test_each_event_meets_only_the_modifications_that_may_be_for_it(rt: Runtime) -> None:
    s = rt.create_session()
    for n in range(100):
        s.set(f"k.{n}", {"a": n})
        s.add_message("user", str(n))
    changes = [(f"variables.k.{n}.a", -n) for n in range(5000)] + [(f"messages.{n}.name", "n") for n in range(5000)]
    result = modified(rt, s, *changes)
    assert len(result.unused) == 10_000 - 200
    assert result.variables == {f"k.{n}": {"a": -n} for n in range(100)}
    edit = Modifications([Modification(path=path, value=value) for path, value in changes], lambda digest: None)
    for sequence, stored in History(rt._store, s.id).events():
        assert len(edit._concerning(sequence, stored)) <= 2  # one by its name, one by its place
