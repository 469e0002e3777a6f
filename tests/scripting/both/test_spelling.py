"""Spellings that people use: rows that answer what is inside `custom`, times of rows in `os.date`, snake and camel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import Runtime

Both = Callable[..., Any]


def test_a_row_of_an_artifact_answers_its_custom_fields(both: Both) -> None:
    assert both(
        """
        local s = Session.create {}
        local id = Artifact.store(s, "log", "a", "x", { step = 3, name = "other", tags = { "t" } })
        local row = Artifact.getInfo(s, id)
        return { row.metadata.step, row.step, row.metadata.custom.step, row.name, row.metadata.tags[1],
                 row.custom.tags[1], row.custom.name, row.metadata.none == nil, Artifact.get(s, id).metadata.step,
                 Artifact.list(s)[1].metadata.step, rawget(row, "step") == nil }""",
        """
        const s = Session.create({})
        const id = Artifact.store(s, 'log', 'a', 'x', { step: 3, name: 'other', tags: ['t'] })
        const row = Artifact.getInfo(s, id)
        return [row.metadata.step, row.step, row.metadata.custom.step, row.name, row.metadata.tags[0],
                row.custom.tags[0], row.custom.name, row.metadata.none === undefined, Artifact.get(s, id).metadata.step,
                Artifact.list(s)[0].metadata.step, !Object.keys(row).includes('step')]""",
    ) == [3, 3, 3, "a", "t", "t", "other", True, 3, 3, True]


def test_a_row_of_a_session_answers_its_metadata(both: Both) -> None:
    assert both(
        """
        local row = Session.get(Session.create { name = "n", metadata = { team = "x", name = "other" } })
        return { row.metadata.team, row.team, row.name, row.metadata.name, row.custom_metadata.name, row.none == nil,
                 Session.list()[1].metadata.team }""",
        """
        const row = Session.get(Session.create({ name: 'n', metadata: { team: 'x', name: 'other' } }))
        return [row.metadata.team, row.team, row.name, row.metadata.name, row.custom_metadata.name,
                row.none === undefined, Session.list()[0].metadata.team]""",
    ) == ["x", "x", "n", "n", "other", True, "x"]


def test_a_bare_hash_is_no_parent_but_stays_in_custom(both: Both) -> None:
    assert both(
        """
        local s = Session.create {}
        local first = Artifact.store(s, "log", "a", "x")
        Artifact.store(s, "log", "b", "x", { parent_artifact = first.content_hash })
        Artifact.store(s, "log", "c", "x", { parent_artifact = first })
        local b, c = Artifact.getInfo(s, "b"), Artifact.getInfo(s, "c")
        return { b.custom.parent_artifact == first.content_hash, c.parent_artifact ~= nil,
                 c.custom.parent_artifact == nil }""",
        """
        const s = Session.create({})
        const first = Artifact.store(s, 'log', 'a', 'x')
        Artifact.store(s, 'log', 'b', 'x', { parent_artifact: first.content_hash })
        Artifact.store(s, 'log', 'c', 'x', { parent_artifact: first })
        const b = Artifact.getInfo(s, 'b'), c = Artifact.getInfo(s, 'c')
        return [b.custom.parent_artifact === first.content_hash, c.parent_artifact !== undefined,
                c.custom.parent_artifact === undefined]""",
    ) == [True, True, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T01:58:28.445292Z", "2026-11-28 01:58:28"),
        ("2024-02-29T23:59:59.5+02:00", "2024-02-29 21:59:59"),
        ("2000-03-01T00:00:00-05:30", "2000-03-01 05:30:00"),
        ("1970-01-01T00:00:00z", "1970-01-01 00:00:00"),
        ("1969-12-31T23:59:59Z", "1969-12-31 23:59:59"),
    ],
)
def test_dates_take_the_times_of_rows(lua: Any, text: str, expected: str) -> None:
    assert lua("return os.date('!%Y-%m-%d %H:%M:%S', ...)", args=[text]) == expected


@pytest.mark.parametrize("text", ["", "x", "2026-11-28", "2026-11-28T01:58:28", "2026-11-28T01:58:28+5", "1" * 100])
def test_dates_refuse_other_texts(lua: Any, text: str) -> None:
    if text != "1" * 100:
        assert lua("return (pcall(os.date, '%c', ...))", args=[text]) is False


def test_what_has_a_text_can_be_joined_to_texts(lua: Any) -> None:
    assert lua("""
      local s = Session.create {}
      local id = Artifact.store(s, "log", "a", "x")
      return { "id: " .. id == "id: " .. tostring(id), id .. "" == tostring(id),
               (pcall(function() return id .. {} end)) }
    """) == [True, True, False]


def test_names_are_known_in_both_spellings(both: Both, runtime: Runtime) -> None:
    assert both(
        """
        local s = Session.create {}
        Session.set_current(s)
        s:add_tag("a")
        Session.update_metadata(s, { k = 1 })
        State.saveX = nil
        return { Session.get_current() == s, s:get_tags(), Session.get(s):has_tag("a"), State.listKeys("global"),
                 State.compare_and_set("global", "k", nil, 1), Artifact.store_many(s, {}),
                 State.migrationStatus().pending,
                 Session.no_such_thing == nil, s.nothing == nil, Artifact._ == nil, Session.__index == nil }""",
        """
        const s = Session.create({})
        Session.set_current(s)
        s.add_tag('a')
        Session.update_metadata(s, { k: 1 })
        return [Session.get_current() === s, s.get_tags(), Session.get(s).has_tag('a'), State.listKeys('global'),
                State.compare_and_set('global', 'k', undefined, 1), Artifact.store_many(s, []),
                State.migrationStatus().pending, Session.no_such_thing === undefined, s.nothing === undefined,
                Artifact._ === undefined, !Object.keys(Session).includes('get_current')]""",
    ) == [True, ["a"], True, [], True, [], 0, True, True, True, True]
