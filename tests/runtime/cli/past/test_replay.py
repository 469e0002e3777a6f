"""``greenroom replay``: the outcome in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.cli.past.stops import breakpoint_of
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "greenroom-data"


@pytest.fixture
def session(store: Path) -> str:
    """The id of a session with a tool that fails once, and variables."""
    with Runtime.open(store) as rt:

        def weather(city: str) -> dict[str, Any]:
            if city == "Atlantis":
                raise LookupError("no such city")
            return {"degrees": 21}

        rt.tools.register("weather", weather)
        session = rt.create_session(name="Trip", key="trip")
        session.set("model", "small")
        session.call_tool("weather", {"city": "Rome"})
        with pytest.raises(Exception, match="no such city"):
            session.call_tool("weather", {"city": "Atlantis"})
        session.set("done", True)
        return session.id


def test_an_exact_replay_is_identical_also_beside_a_writer(greenroom: Any, store: Path, session: str) -> None:
    said = greenroom("replay", session)
    assert said.stdout.startswith("identical: 7 events decided again, and the same came of them\n")
    assert said.stderr == ""
    with Runtime.open(store) as rt:
        rt.session(session).set("late", 1)
        assert "identical: 8 events" in greenroom.process("replay", "key:trip").stdout
    result = greenroom.json("replay", session, "--mode", "debug")
    assert (result["identical"], result["mode"], result["events"]) == (True, "debug", 8)
    assert result["digest"] == result["recorded_digest"]


def test_it_stops_where_it_is_told_to(greenroom: Any, session: str) -> None:
    assert "identical: 4 events" in greenroom("replay", session, "--to", "4").stdout
    assert "identical: 7 events" in greenroom("replay", session, "--to", "now").stdout
    assert greenroom.json("replay", session, "--to", "4")["last"] == 4


def test_a_change_shows_where_the_replay_parts_from_the_recording(greenroom: Any, session: str) -> None:
    said = greenroom("replay", session, "--set", "variables.model=large", code=1)
    lines = said.stdout.splitlines()
    assert lines[0].startswith("not identical: the first difference is at event 2, variable.set")
    assert any("small was recorded, now large" in line for line in lines)
    result = json.loads(greenroom("replay", session, "--set", "variables.model=large", "--json", code=1).stdout)
    assert (result["mode"], result["divergence"]["sequence"]) == ("modified", 2)
    said = greenroom("replay", session, "--set", "variables.other=1")
    assert "identical" in said.stdout
    assert said.stderr == "nothing was found for --set variables.other\n"


def test_breakpoints_tell_the_state_at_them(greenroom: Any, session: str) -> None:
    said = greenroom("replay", session, "--break", "tool.returned", "--break", "when=variables.done == true").stdout
    lines = said.splitlines()
    assert lines[0].startswith("at 4  tool.returned  weather")
    assert lines[1] == "    model = small"
    assert lines[2].startswith("at 6  tool.returned  weather failed")
    assert "at 7  variable.set  done = true  (when variables.done == true)" in lines
    assert any(line.startswith("identical") for line in lines)
    breaks = greenroom.json("replay", session, "--break", "error once")["breaks"]
    assert [each["sequence"] for each in breaks] == [6]
    assert breaks[0]["state"]["variables"] == {"model": "small"}


def test_damage_is_told_with_its_place(greenroom: Any, store: Path, session: str) -> None:
    with Runtime.open(store) as rt:
        key = sequence_key(session_bytes(session), 5)
        record = rt._store.engine.get(CF.JOURNAL, key)
        assert record is not None
        rt._store.engine.write([(CF.JOURNAL, key, record[:-1] + bytes([record[-1] ^ 1]))])
    said = greenroom("replay", session, code=1)
    assert "event 5" in said.stdout + said.stderr
    assert "Traceback" not in said.stderr
    assert "identical: 4 events" in greenroom("replay", session, "--to", "4").stdout


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--to", "99"), 1, "99"),
        (("--to", "soonish"), 2, "no time"),
        (("--set", "variables.model"), 2, "PATH=VALUE"),
        (("--set", "nonsense=1"), 1, "nonsense"),
        (("--mode", "fast"), 2, "exact"),
        (("--mode", "exact", "--set", "variables.model=1"), 1, "modified"),
        (("--speed", "100"), 2, "10"),
        (("--break", "a..b"), 2, "segments"),
        (("--break", "days=3"), 2, "no part of a breakpoint"),
        (("--break", "when="), 2, "--break"),
    ],
)
def test_mistakes_are_told_in_words(
    greenroom: Any, session: str, options: tuple[str, ...], code: int, told: str
) -> None:
    said = greenroom("replay", session, *options, code=code)
    assert told in " ".join(said.stderr.split())
    assert said.stdout == ""


def test_a_session_without_replay_says_why_not(greenroom: Any, store: Path) -> None:
    with Runtime.open(store) as rt:
        session_id = rt.create_session(config={"enable_replay": False}).id
    assert "enable_replay" in greenroom("replay", session_id, code=1).stderr


def test_speed_waits_as_long_as_it_took(greenroom: Any, session: str) -> None:
    assert greenroom.json("replay", session, "--speed", "10")["identical"]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("12", {"sequence": 12}),
        ("tool.*", {"event": "tool.*"}),
        ("error", {"error": True}),
        ("error=CallFailed once", {"error": "CallFailed", "once": True}),
        ("hook=guard skip=2", {"hook": "guard", "skip": 2}),
        ("variable.set when=variables.k == 3", {"event": "variable.set", "when": "variables.k == 3"}),
    ],
)
def test_breakpoints_as_people_write_them(text: str, fields: dict[str, Any]) -> None:
    made = breakpoint_of(text)
    assert {name: getattr(made, name) for name in fields} == fields


@pytest.mark.parametrize("text", ["", "3 4", "error error", "skip=many 3", "once", "event=", "time=never"])
def test_what_is_no_breakpoint_is_refused(text: str) -> None:
    with pytest.raises((typer.BadParameter, ValidationError)):
        breakpoint_of(text)


def test_how_long_it_took_is_told_and_how_long_the_recording_took(greenroom: Any, store: Path, session: str) -> None:
    fields = dict(line.split("  ", 1) for line in greenroom("replay", session).stdout.splitlines()[1:])
    assert {"took", "took when recorded"} <= fields.keys()
    alone = greenroom("replay", session, "--to", "1").stdout  # one event takes no time
    assert "took" in alone
    assert "took when recorded" not in alone


@pytest.mark.parametrize("words", ["replay SESSION --to", "sessions show SESSION --at", "sessions fork SESSION --at"])
@pytest.mark.parametrize(
    ("place", "code", "told"),
    [
        ("soonish", 2, "'soonish' is no time; give RFC 3339"),
        ("-1", 2, "or the sequence of an event"),
        ("2020-01-01", 1, "a time before 20"),
    ],
)
def test_a_place_that_is_none_is_told_in_words(
    greenroom: Any, session: str, words: str, place: str, code: int, told: str
) -> None:
    assert told in greenroom(*words.replace("SESSION", session).split(), place, code=code).stderr


def test_a_breakpoint_that_says_only_how_often_is_told(greenroom: Any, session: str) -> None:
    assert "is needed, in 'once'" in greenroom("replay", session, "--break", "once", code=2).stderr
    assert greenroom("replay", session, "--break", "tool.* once").stdout.startswith("at 3  tool.called")


def test_what_is_not_told_is_counted(greenroom: Any, store: Path) -> None:
    with Runtime.open(store) as rt:
        session = rt.create_session(key="many")
        for number in range(15):
            session.set("k", number)
    said = greenroom("replay", "key:many", "--set", "config.max_operations=3", code=1).stdout
    assert said.count("refused at") == 10
    refused = len(greenroom.json("replay", "key:many", "--set", "config.max_operations=3", code=1)["errors"])
    assert refused > 10
    assert f"  and {refused - 10} more: --json has all\n" in said
