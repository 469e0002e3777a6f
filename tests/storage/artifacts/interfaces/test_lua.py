"""Scripts find artifacts as the host does."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError, Session


@pytest.fixture
def filled(rt: Runtime) -> list[Session]:
    sessions = [rt.create_session(name=name) for name in ("one", "two")]
    for session in sessions:
        for n in range(4):
            session.store_artifact(
                "tool_result" if n % 2 else "user_input",
                f"{n}.json",
                "x" * n,
                tags=["even" if n % 2 == 0 else "odd", "all"],
                metadata={"n": n},
                description="Quarterly numbers",
            )
    return sessions


def names(rt: Runtime, source: str, *args: Any, **options: Any) -> list[str]:
    found = rt.run_script(
        f"local rows, names = {source}, {{}} for _, row in ipairs(rows) do names[#names + 1] = row.name end "
        "return names",
        args=args,
        **options,
    ).value
    return list(found)


def test_a_filter_has_the_keys_of_the_query(rt: Runtime, filled: list[Session]) -> None:
    one = filled[0].id
    assert names(rt, "Artifact.query(..., {type = 'tool_result'})", one) == ["3.json", "1.json"]
    assert names(rt, "Artifact.query(..., {type = 'tool_output', limit = 1, offset = 1})", one) == ["1.json"]
    assert names(rt, "Artifact.query(..., {order_by = 'size_desc', limit = 2})", one) == ["3.json", "2.json"]
    assert names(rt, "Artifact.query(..., {order_by = 'size_asc', limit = 1})", one) == ["0.json"]
    assert names(rt, "Artifact.query(..., {order_by = 'size', descending = true, limit = 2})", one) == [
        "3.json",
        "2.json",
    ]
    assert names(rt, "Artifact.query(..., {tags = {'odd', 'all'}, custom = {n = 3}})", one) == ["3.json"]
    assert names(rt, "Artifact.query(..., {name_pattern = '?.json', without_tags = {'odd'}, min_size = 1})", one) == [
        "2.json"
    ]
    assert names(rt, "Artifact.query(..., {created_after = os.time() + 100})", one) == []
    assert names(rt, "Artifact.query(..., {tags = {}})", one) == [f"{3 - n}.json" for n in range(4)]
    assert names(rt, "Artifact.query({session_id = ..., text = 'quart 3'})", one) == ["3.json"]
    assert len(names(rt, "Artifact.query {type = 'tool_result'}")) == 4
    assert len(names(rt, "Artifact.query {type = 'tool_result'}", session=filled[1])) == 2


def test_shortcuts_name_a_session_or_mean_the_current_one(rt: Runtime, filled: list[Session]) -> None:
    one = filled[0].id
    assert names(rt, "Artifact.findByType(..., 'user_input')", one) == ["2.json", "0.json"]
    assert names(rt, "Artifact.findByTag(..., 'odd')", one) == ["3.json", "1.json"]
    assert names(rt, "Artifact.findByTag(..., {'odd', 'all'})", one) == ["3.json", "1.json"]
    assert names(rt, "Artifact.search(..., 'quart 2')", one) == ["2.json"]
    for source in ("findByType('user_input')", "findByTag('even')", "findByType('', 'user_input')"):
        assert names(rt, f"Artifact.{source}", session=filled[1]) == ["2.json", "0.json"]
    assert names(rt, "Artifact.search('quart 2')", session=filled[1]) == ["2.json"]
    assert len(names(rt, "Artifact.search('quart 2')")) == 2


def test_rows_are_those_of_list(rt: Runtime, filled: list[Session]) -> None:
    found = rt.run_script(
        "return { Artifact.query(..., {name_pattern = '1.json'})[1], Artifact.list(...)[2] }", args=[filled[0].id]
    ).value
    assert found[0] == found[1]
    assert found[0]["custom"] == {"n": 1}


@pytest.mark.parametrize(
    "source",
    [
        "Artifact.query({session_id = ...})",
        "Artifact.query(..., {})",
        "Artifact.findByType(..., 'user_input')",
        "Artifact.findByTag(..., 'odd')",
        "Artifact.search(..., 'quart')",
    ],
)
def test_a_bound_script_finds_nothing_of_others(rt: Runtime, filled: list[Session], source: str) -> None:
    with pytest.raises(ScriptError) as caught:
        rt.run_script(f"return {source}", args=[filled[0].id], session=filled[1])
    assert caught.value.cause == "AccessDenied"


@pytest.mark.parametrize("given", ["{colour = 1}", "{limit = -1}", "{tags = 'odd'}", "{sort = 'colour'}", "7"])
def test_a_filter_without_sense_is_refused(rt: Runtime, filled: list[Session], given: str) -> None:
    source = f"local ok, e = pcall(Artifact.query, ..., {given}) return {{ok, e.code}}"
    assert rt.run_script(source, args=[filled[0].id]).value == [False, "ValidationError"]
