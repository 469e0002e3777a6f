"""``greenroom sessions list``: its filters, its pages, and sessions named by their keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.storage.engine.engine import CF


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The id of the parent of some sessions in the store that the commands find by themselves."""
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        parent = rt.create_session(name="parent", key="top")
        for number in range(6):
            rt.create_session(
                name=f"n{number}",
                key=f"user-7/{number}",
                parent=parent,
                metadata={"team": "x", "level": number % 2},
            )
        rt.session(key="user-7/5").complete()
        return parent.id


def listed(greenroom: Any, *options: str) -> list[str]:
    return [row["name"] for row in json.loads(greenroom("sessions", "list", "--json", *options).stdout)]


def test_filters(greenroom: Any, store: str) -> None:
    assert listed(greenroom, "--key-prefix", "user-7/", "--descending") == ["n4", "n3", "n2", "n1", "n0"]
    assert listed(greenroom, "--parent", "key:top", "--status", "completed") == ["n5"]
    assert listed(greenroom, "--metadata", "level=1", "--metadata", "team=x") == ["n1", "n3"]
    assert listed(greenroom, "--updated-after", "1h", "--status", "all") == ["parent", *(f"n{n}" for n in range(6))]
    assert listed(greenroom, "--updated-before", "1h") == []
    greenroom("sessions", "list", "--metadata", "level", code=2)
    greenroom("sessions", "list", "--sort", "key", code=1)


def test_pages_go_on_with_the_cursor_that_was_told(greenroom: Any, store: str) -> None:
    first = greenroom("sessions", "list", "--limit", "4", "--json")
    told = re.fullmatch(r"4 of 6 sessions; more with --cursor (\S+)\n", first.stderr)
    assert told is not None
    assert listed(greenroom, "--limit", "4", "--cursor", told[1]) == ["n3", "n4"]
    filtered = ("sessions", "list", "--limit", "4", "--metadata", "team=x")
    assert greenroom(*filtered).stderr.startswith("4 sessions; more with --cursor ")
    assert greenroom(*filtered, "--total").stderr.startswith("4 of 5 sessions; more with --cursor ")
    assert greenroom("sessions", "list", "--total").stderr == "6 of 6 sessions\n"
    assert greenroom("sessions", "list").stderr == ""
    assert "another query" in greenroom("sessions", "list", "--descending", "--cursor", told[1], code=1).stderr


def test_quiet_leaves_out_no_result(greenroom: Any, store: str) -> None:
    for words in (("--quiet", "sessions", "list"), ("sessions", "list", "-q", "--json")):
        assert "4 of 6 sessions; more with --cursor " in greenroom(*words, "--limit", "4", "--total").stderr
    with Runtime.open("greenroom-data") as rt:
        rt.session(store).records.put_many({"a": 1, "b": 2})
        rt.session(store).store_artifact("t", "a.txt", "kept")
    assert greenroom("records", store, "--limit", "1", "-q").stderr == "1 of 2 records; more with --limit\n"
    assert greenroom("timeline", store, "--limit", "1", "-q").stderr.startswith("2 more")
    assert greenroom("sessions", "fork", store, "-q").stdout.startswith("forked  ")
    assert "version 1" in greenroom("artifacts", "put", store, "-", "--name", "a", "-q", stdin="x").stdout


def test_quiet_tells_what_is_damaged_and_what_erasing_left(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        rt.create_session(created_by="ada", name="Rosebud")
        other = rt.create_session(created_by="bob", name="Rosebud").id
    erased = greenroom("erase", "--created-by", "ada", "--yes", "--needle", "Rosebud", "-q", code=1)
    assert "left: " in erased.stderr
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        (key, value) = rt._store.engine.scan(CF.SESSIONS, b"", b"\xff" * 17)[0]
        rt._store.engine.write([(CF.SESSIONS, key, value[:-1] + b"!")])
    assert other in greenroom("verify", "-q", code=1).stderr
    greenroom("backup", "saved")
    restored = greenroom("restore", "saved", "--data", "again", "-q", code=1)
    assert other in restored.stderr
    assert "1 problem found" in restored.stdout


def test_a_key_stands_for_an_id(greenroom: Any, store: str) -> None:
    assert json.loads(greenroom("sessions", "show", "key:user-7/3", "--json").stdout)["name"] == "n3"
    greenroom("sessions", "rename", "key:user-7/3", "other", "--description", "text")
    row = json.loads(greenroom("sessions", "show", "key:user-7/3", "--json").stdout)
    assert (row["name"], row["description"], row["key"]) == ("other", "text", "user-7/3")
    assert "no session with the key 'none'" in greenroom("sessions", "show", "key:none", code=1).stderr
    assert len(json.loads(greenroom("sessions", "tree", "--json").stdout)) == 1


def test_an_empty_listing_says_how_to_see_the_sessions_that_have_ended(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        rt.create_session(name="done").complete()
    hint = "no session is active or suspended; 1 session with --status all"
    done = greenroom("sessions", "list")
    assert hint in done.stderr
    assert hint not in done.stdout
    assert hint not in greenroom("sessions", "list", "--status", "all").stderr
    assert hint not in greenroom("sessions", "list", "--search", "nothing").stderr
    assert greenroom.json("sessions", "list") == []
