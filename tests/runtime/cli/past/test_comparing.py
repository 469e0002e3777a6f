"""``greenroom diff`` and ``greenroom context``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "greenroom-data"


@pytest.fixture
def session(store: Path) -> str:
    """The id of a session in which an agent is called twice, with one message more and one less the second time."""
    with Runtime.open(store) as rt:
        rt.agents.register("model", lambda input, context: f"about {input}")
        clerk = rt.agents.create("clerk", model="model", system_prompt="Be exact.")
        session = rt.create_session(name="Talk", key="talk")
        session.add_message("user", "first \x1b[31mquestion")
        session.call_agent(clerk, "one")
        session.add_message("user", "second question\nin two lines")
        session.retract_message(2)
        session.call_agent(clerk, "two")
        return session.id


def test_diff_says_where_two_sessions_parted(greenroom: Any, store: Path, session: str) -> None:
    with Runtime.open(store) as rt:
        fork = rt.session(session).fork(at_sequence=5)
        fork.set("k", {"a": 1})
        fork_id = fork.id
    assert greenroom("diff", session, "key:talk").stdout == "the same: 8 events each\n"
    said = greenroom("diff", session, fork_id)
    lines = said.stdout.splitlines()
    assert lines[0] == "the same up to event 5: message.added  user: second question in two lines"
    assert lines[1] == f"A  {session}  Talk"
    assert lines[2].startswith("   3 of 8 events alone: ")
    assert "first 6  message.retracted  2" in lines[3]
    assert lines[4] == f"B  {fork_id}  Talk"
    assert '  + variables.k: {"a": 1}' in lines
    assert "agent:clerk: 2 and 1 call" in lines
    assert "\x1b" not in said.stdout
    found = json.loads(greenroom("diff", session, fork_id, "--json").stdout)
    assert (found["common"], found["identical"], found["b"]["alone"]) == (5, False, 2)


def test_context_tells_what_a_model_was_given_and_what_changed(greenroom: Any, session: str) -> None:
    said = greenroom("context", session).stdout
    assert "\x1b" not in said
    lines = said.splitlines()
    assert lines[0].startswith("call 2 of 2, at event 7  clerk  model  ")
    assert "  system       Be exact." in lines
    assert "  input        two" in lines
    assert "  user         second question" in lines
    assert "               in two lines" in lines
    assert "  reply        about two" in lines
    assert "since the call at event 3:" in lines
    assert any(line.startswith("  injected   message 5 (user): ") for line in lines)
    assert any(line.startswith("  dropped    message 2 (user): ") for line in lines)
    assert any(line.startswith("  changed    input: ") for line in lines)
    for place in (("3",), ("6",), ("--call", "1")):
        first = greenroom("context", session, *place).stdout
        assert first.startswith("call 1 of 2, at event 3")
        assert first.endswith("this is the first call\n")
    assert json.loads(greenroom("context", session, "6", "--json").stdout)["call"] == 3


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("diff", "SESSION"), 2, "OTHER"),
        (("diff", "SESSION", "abcdef"), 1, "no session"),
        (("context", "SESSION", "2"), 1, "the first one is event 3"),
        (("context", "SESSION", "900"), 1, "900"),
        (("context", "SESSION", "--call", "9"), 1, "calls 1 to 2"),
        (("context", "SESSION", "3", "--call", "1"), 2, "by a step, an event or its number"),
        (("context", "SESSION", "0"), 2, "at least 1"),
    ],
)
def test_what_is_not_there_is_said_in_words(
    greenroom: Any, session: str, words: tuple[str, ...], code: int, told: str
) -> None:
    said = greenroom(*(session if each == "SESSION" else each for each in words), code=code)
    assert told in " ".join(said.stderr.split())
    assert said.stdout == ""


def test_a_conversation_without_calls_has_the_messages_of_the_assistant(greenroom: Any, store: Path) -> None:
    with Runtime.open(store) as rt:
        session = rt.create_session()
        session_id = session.id
    assert "no call of an agent" in greenroom("context", session_id, code=1).stderr
    with Runtime.open(store) as rt:
        rt.session(session_id).add_messages([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    said = greenroom("context", session_id).stdout
    assert "  user         a\n  reply        b\n" in said
    with Runtime.open(store) as rt:
        told = rt.create_session()
        told.add_messages([{"role": "system", "content": "Be brief."}, {"role": "assistant", "content": "b"}])
        session_id = told.id
    assert greenroom("context", session_id).stdout.count("Be brief.") == 1


def test_a_long_text_says_where_all_of_it_is_and_line_ends_are_no_control_characters(
    greenroom: Any, store: Path
) -> None:
    with Runtime.open(store) as rt:
        told = rt.create_session()
        told.add_messages(
            [
                {"role": "user", "content": "one\r\ntwo\rthree\r\n"},
                {"role": "tool", "content": "x" * 3000, "tool_call_id": "1"},
                {"role": "assistant", "content": "b"},
            ]
        )
        session_id = told.id
    said = greenroom("context", session_id).stdout
    assert f"{'user':<12} one\n{'':<15}two\\x0dthree\n" in said
    assert "… (3,000 characters: --json shows all)" in said


def test_a_fork_and_tags_are_told_in_words(greenroom: Any, store: Path, session: str) -> None:
    with Runtime.open(store) as rt:
        fork = rt.session(session).fork(2, {"tags": ["tried"]}).id
    said = greenroom("diff", session, fork).stdout
    assert f"session.forked  of {session} after event 2\n" in said
    assert "tags.changed  tried" in greenroom("timeline", fork).stdout
