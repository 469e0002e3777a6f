"""Listings of sessions in scripts: every criterion, pages, and fields beside the rows."""

from __future__ import annotations

import pytest

from greenroom.runtime import Runtime, ScriptError


@pytest.fixture
def listed(rt: Runtime) -> Runtime:
    for number in range(30):
        session = rt.create_session(
            name=f"n{number}",
            tags=["even"] if number % 2 == 0 else ["odd"],
            key=f"k/{number:02}" if number < 5 else None,
            created_by="ann",
        )
        if number >= 25:
            session.complete()
    return rt


def test_rows_have_fields_that_are_no_rows(listed: Runtime) -> None:
    source = """
        local rows = Session.list { tags = { "even" }, limit = 5, sort_by = "name", sort_desc = true }
        assert(#rows == 5 and rows.has_more == true and rows.total == 13 and rows.total == 13)
        assert(rows.nothing == nil and rows[6] == nil and rows[1].name == "n8")
        local n = 0
        for key in pairs(rows) do n = n + 1 assert(math.type(key) == "integer") end
        assert(n == 5)
        table.insert(rows, "last")
        assert(#rows == 6 and table.remove(rows) == "last" and table.concat({ table.unpack({ 1, 2 }) }) == "12")
        local all = Session.list { status = "all", limit = 100 }
        assert(#all == 30 and all.has_more == false and all.next_cursor == nil and all.total == 30)
        local none = Session.list { tags = { "none" } }
        assert(#none == 0 and none.total == 0 and none.has_more == false)
        return { JSON.stringify(none), none, #JSON.parse(JSON.stringify(rows)) }
    """
    assert listed.run_script(source).value == ["[]", [], 5]


def test_pages_by_cursor(listed: Runtime) -> None:
    source = """
        local names, query = {}, { status = { "active", "completed" }, created_by = "ann", limit = 7 }
        repeat
          local page = Session.list(query)
          for _, row in ipairs(page) do names[#names + 1] = row.name end
          query.cursor = page.next_cursor
        until not page.has_more
        return names
    """
    assert listed.run_script(source).value == [f"n{number}" for number in range(30)]


def test_criteria_have_their_other_names(listed: Runtime) -> None:
    source = """
        local parent = Session.create { name = "parent" }
        local child = Session.create { name = "The Child", parent_session_id = parent }
        assert(Session.list { parent_session_id = parent }[1].id == child)
        assert(Session.list { parent = parent }[1].id == child and Session.count { parent = parent } == 1)
        assert(Session.list { search_text = "the child" }[1].id == child)
        local keys = Session.list { key_prefix = "k/" }
        assert(#keys == 5 and keys[1].key == "k/00" and Session.count { key_prefix = "k/0" } == 5)
        assert(Session.count { updated_after = 0 } == 27 and Session.count { updated_before = 0 } == 0)
        assert(#Session.list {} == 27 and Session.count { status = "all" } == 32)
        return true
    """
    assert listed.run_script(source).value is True


@pytest.mark.parametrize("query", ["{ search = 'a', search_text = 'b' }", "{ sort_dsec = true }", "{ cursor = 'x' }"])
def test_what_makes_no_sense_is_refused(listed: Runtime, query: str) -> None:
    with pytest.raises(ScriptError, match=r"search_text|sort_dsec|cursor"):
        listed.run_script(f"return Session.list {query}")
