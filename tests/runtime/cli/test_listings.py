"""``greenroom sessions list``: its filters, its pages, and sessions named by their keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime


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


def test_a_key_stands_for_an_id(greenroom: Any, store: str) -> None:
    assert json.loads(greenroom("sessions", "show", "key:user-7/3", "--json").stdout)["name"] == "n3"
    greenroom("sessions", "rename", "key:user-7/3", "other", "--description", "text")
    row = json.loads(greenroom("sessions", "show", "key:user-7/3", "--json").stdout)
    assert (row["name"], row["description"], row["key"]) == ("other", "text", "user-7/3")
    assert "no session with the key 'none'" in greenroom("sessions", "show", "key:none", code=1).stderr
    assert len(json.loads(greenroom("sessions", "tree", "--json").stdout)) == 1
