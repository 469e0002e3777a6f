"""``greenroom search``: hits, filters, pages, and a store that another process has open."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.storage.search.place import index_path


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The id of a session in the store that the commands find by themselves."""
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        s = rt.create_session(name="A trip to Lisbon", tags=["travel"], key="trips/1")
        s.add_message("user", "Find a cheap flight\nto Lisbon.")
        s.store_artifact("note", "hotels.md", "Hotels in Lisbon")
        other = rt.create_session(name="other", parent=s)
        for number in range(3):
            other.add_message("user", f"flight {number}")
        other.complete()
        return s.id


def kinds(greenroom: Any, *words: str) -> list[str]:
    return sorted(row["kind"] for row in json.loads(greenroom("search", "--json", *words).stdout))


def test_it_shows_where_the_words_stand(greenroom: Any, store: str, tmp_path: Path) -> None:
    said = greenroom("search", "lisbon").stdout
    assert "Find a cheap flight to **Lisbon**." in said
    assert "hotels.md" in said
    assert "1 user" not in said.splitlines()[0]
    assert index_path(tmp_path / "greenroom-data").exists()
    rows = json.loads(greenroom("search", "lisbon", "--json").stdout)
    assert {row["session_id"] for row in rows} == {store}
    assert {row["kind"]: row["artifact"] is not None for row in rows} == {
        "message": False,
        "artifact": True,
        "name": False,
    }


def test_filters(greenroom: Any, store: str) -> None:
    assert kinds(greenroom, "lisbon", "--kind", "name", "--kind", "message") == ["message", "name"]
    assert kinds(greenroom, "flight", "--session", store) == ["message"]
    assert kinds(greenroom, "flight", "--status", "completed") == ["message"] * 3
    assert kinds(greenroom, "flight", "--parent", "key:trips/1") == ["message"] * 3
    assert kinds(greenroom, '"cheap flight"', "--tag", "travel", "--key-prefix", "trips/") == ["message"]
    assert kinds(greenroom, "flight", "--updated-before", "1h") == []
    greenroom("search", "flight", "--metadata", "level", code=2)
    assert "quote" in greenroom("search", '"flight', code=1).stderr
    assert "message, artifact, name" in greenroom("search", "flight", "--kind", "turn", code=1).stderr


def test_pages_go_on_with_the_cursor_that_was_told(greenroom: Any, store: str) -> None:
    first = greenroom("search", "flight", "--limit", "3", "--json")
    told = re.fullmatch(r"3 of 4 hits; more with --cursor (\S+)\n", first.stderr)
    assert told is not None
    rest = greenroom("search", "flight", "--json", "--cursor", told[1])
    assert len(json.loads(rest.stdout)) == 1
    assert rest.stderr == ""


def test_it_works_beside_a_process_that_has_the_store_open(greenroom: Any, store: str, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        rt.session(store).add_message("user", "one more flight")
        assert kinds(greenroom, "more flight") == ["message"]


def test_a_store_that_is_not_there_is_named(greenroom: Any, tmp_path: Path) -> None:
    assert "there is no store" in greenroom("search", "x", code=1).stderr
