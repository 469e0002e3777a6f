"""A program is recorded, replayed offline, and forked, in processes of its own against a server of a model."""

from __future__ import annotations

import sys

from .conftest import CALLS, Programs
from .models import AGENT

OUT = 'answer: 2: {"city": "Rome", "temp": 21}\n'


def test_a_program_is_recorded_as_it_is(programs: Programs) -> None:
    out, err = programs("record", "--name", "trial", "--key", "k1", "--tag", "nightly", "--", *CALLS, "a", "b", code=2)
    assert out == OUT
    session = programs.recorded(err)
    assert "3 calls, 2 of models, 220 tokens, $0.0007" in err
    assert f"greenroom replay {session[:8]}" in err
    found = programs.json("recordings", "key:k1")
    assert (found["id"], found["name"], found["exit_code"]) == (session, "trial", 2)
    assert [each["kind"] for each in found["calls"]] == ["http", "tool", "http"]
    assert [each["place"] for each in found["calls"]] == [
        "agent.py:17 in ask",
        "agent.py:28 in <module>",
        "agent.py:17 in ask",
    ]
    assert found["about"]["command"] == [*CALLS, "a", "b"]
    assert b"secret-key" not in b"".join(
        each.read_bytes() for each in programs.directory.rglob("*") if each.is_file() and each.name != "agent.py"
    )
    view = programs.json("context", session, "--call", "2")
    assert [each["role"] for each in view["messages"]][-1] == "tool"


def test_a_replay_is_offline_and_identical(programs: Programs) -> None:
    session = programs.record()
    programs.model.stop()
    out, err = programs("replay", session)
    assert out == OUT
    assert "identical: every call" in err
    assert programs.tool_calls() == 1
    found = programs.json("replay", session)
    assert (found["verdict"], found["exact"], found["drifts"]) == ("identical", 3, [])
    assert found["digest"] in err


def test_a_program_that_was_edited_is_answered_and_each_drift_is_told(programs: Programs) -> None:
    session = programs.record()
    programs.model.stop()
    (programs.directory / "agent.py").write_text(AGENT.replace("Be kind.", "Be rude."))
    out, err = programs("replay", session, code=3)
    assert out == OUT
    assert 'body.messages[0].content: "Be kind." → "Be rude."' in err
    _, err = programs("replay", session, "--strict", code=4)
    assert "refused: the replay stopped" in err
    assert "other body.messages[0].content" in err
    found = programs.json("replay", session, code=3)
    assert (found["verdict"], found["drifted"]) == ("drifted", 2)
    (programs.directory / "next.py").write_text(AGENT.replace("Be kind.", "Be brief."))
    assert programs("replay", session, "--", sys.executable, "next.py", code=3)[0] == OUT
    _, err = programs("replay", session, "--", *CALLS, "one", code=5)
    assert "exit code 1, recorded was 0; stdout is the same, byte for byte" in err
    (programs.directory / "agent.py").write_text(f"print('first'); {AGENT}")
    _, err = programs("replay", session, code=3)
    assert "drifted: " in err
    assert "output stdout: line 1: 'answer" in err
    assert "exit code 0 as recorded; stdout is not the same, stderr is the same, byte for byte" in err
    assert programs.json("replay", session, code=3)["streams"] == {"stdout": "differs", "stderr": "same"}


def test_a_fork_answers_the_first_steps_and_goes_on_live_with_patches(programs: Programs) -> None:
    session = programs.record()
    asked = len(programs.model.asked)
    out, err = programs(
        "fork", session, "--at", 1, "-p", 'llm.system+=" Be brief."', "-p", "llm.temperature=0", "--name", "f"
    )
    assert out == 'answer: 3: {"city": "Rome", "temp": 21}\n'
    assert "step 1 is answered from the recording; step 2 and what follows is live, with 2 patches" in err
    (live,) = programs.model.asked[asked:]
    assert live["messages"][0]["content"] == "Be kind. Be brief."
    assert live["temperature"] == 0
    assert programs.tool_calls() == 2
    child = programs.recorded(err)
    (row,) = (each for each in programs.json("recordings") if each["id"] == child)
    assert (row["parent_session_id"], row["name"], row["steps"]) == (session, "f", 3)
    assert "the same up to event" in programs("diff", session, child)[0]
    programs.model.stop()
    out, err = programs("replay", child)
    assert "identical" in err
    assert out == 'answer: 3: {"city": "Rome", "temp": 21}\n'


PATCHES = [
    (3, 'response.text="No idea."', "No idea.", 0, 0),
    (2, 'tool.weather.result={"temp": -5}', '{"temp": -5}', 1, 0),
    (1, 'tool.weather.arguments.city="Oslo"', '{"city": "Oslo", "temp": 21}', 1, 1),
    (1, "del response.tool_calls", "None", 0, 0),
    (0, "llm.messages[-1].content=And in Oslo?", '{"city": "Rome", "temp": 21}', 2, 1),
]
"""The step, the patch, what the agent says then, and how many live calls of the model and of the tool it makes."""


def test_answers_and_calls_are_patched(programs: Programs) -> None:
    programs.model.says = lambda number, asked: programs.model.last(asked)
    session = programs.record()
    for at, patch, says, live, tool_calls in PATCHES:
        asked, called = len(programs.model.asked), programs.tool_calls()
        out, _ = programs("fork", session, "--at", at, "--patch", patch)
        assert out == f"answer: {says}\n"
        assert (len(programs.model.asked) - asked, programs.tool_calls() - called) == (live, tool_calls)
    programs.model.stop()
    for child in programs.json("recordings")[:-1]:
        assert "identical" in programs("replay", child["id"])[1]


def test_a_step_is_edited_as_json(programs: Programs) -> None:
    session = programs.record()
    editor = programs.directory / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/"temp": 21/"temp": 99/\' "$1"\n')
    editor.chmod(0o755)
    out, err = programs("fork", session, "--at", 2, "--edit", EDITOR=str(editor))
    assert "patch: tool.weather.result.temp=99" in err
    assert out == 'answer: 3: {"city": "Rome", "temp": 99}\n'
    assert "nothing was changed" in programs("fork", session, "--at", 2, "--edit", code=1, EDITOR="true")[1]
    assert "exit code 1" in programs("fork", session, "--at", 2, "--edit", code=1, EDITOR="false")[1]


def test_a_fork_names_a_key_that_the_recorded_program_had_before_anything_runs(programs: Programs) -> None:
    (programs.directory / "agent.py").write_text(AGENT.replace('"Bearer secret-key"', 'os.environ["HOUSE_API_KEY"]'))
    _, err = programs("record", "--", *CALLS, HOUSE_API_KEY="k-12345")
    session = programs.recorded(err)
    assert programs.json("recordings", session)["about"]["credentials"] == ["HOUSE_API_KEY"]
    asked = len(programs.model.asked)
    out, err = programs("fork", session, "--at", "1", code=1)
    assert "the recorded program has read HOUSE_API_KEY" in " ".join(err.split())
    assert (out, len(programs.model.asked)) == ("", asked)
    programs("replay", session)
    programs("fork", session, "--at", "1", HOUSE_API_KEY="k-12345")
    assert len(programs.model.asked) > asked


def test_a_patched_call_with_redacted_fields_is_the_same_in_a_replay_of_the_fork(programs: Programs) -> None:
    _, err = programs("record", "--redact", r"\bRome\b", "--", *CALLS)
    session = programs.recorded(err)
    patches = ("-p", 'llm.system="Be brief."', "-p", 'http.headers.authorization="Bearer other-secret"')
    _, err = programs("fork", session, "--at", "0", *patches, "--assume-credentials")
    fork = programs.recorded(err)
    programs.model.stop()
    _, err = programs("replay", fork)
    assert "identical: every call" in err
    kept = b"".join(each.read_bytes() for each in (programs.directory / "greenroom-data").rglob("*") if each.is_file())
    assert b"other-secret" not in kept


def test_secrets_among_the_arguments_are_not_kept(programs: Programs) -> None:
    words = ["--api-key", "swordfish-1", "--password=swordfish-2", "https://x:swordfish-3@host/", "plain"]
    session = programs.recorded(programs("record", "--", *CALLS, *words, code=5)[1])
    kept = programs.json("recordings", session)["about"]["command"]
    assert kept[-5:-1] == ["--api-key", "[redacted]", "--password=[redacted]", "https://redacted@host/"]
    files = [each for each in programs.directory.rglob("*") if each.is_file() and each.name != "agent.py"]
    assert b"swordfish" not in b"".join(each.read_bytes() for each in files)
    programs("replay", session)
    assert "give the command, with -- CMD" in programs("fork", session, "--at", "1", code=1)[1]
    programs("fork", session, "--at", "1", "--", *CALLS, *words, code=5)


def test_a_rule_that_is_itself_a_secret_is_asked_for_again_before_anything_goes_live(programs: Programs) -> None:
    (programs.directory / "tells.py").write_text(
        "from greenroom.runtime import tool\n"
        "tell = tool(name='tell')(lambda text: text + '!')\n"
        "print(tell('of hunter2'), tell('again hunter2'))\n"
    )
    out, err = programs("record", "--redact", "hunter2", "--", sys.executable, "tells.py")
    session = programs.recorded(err)
    assert out == "of hunter2! again hunter2!\n"
    assert "identical" in programs("replay", session)[1]
    for command in (("fork", session, "--at", 1), ("blame", session, "--check", "true", "--steps", 1)):
        assert "kept nowhere, since they may be secret" in programs(*command, code=1)[1]
        programs(*command, "--redact", "hunter2")
    stored = [path.read_bytes() for path in (programs.directory / "greenroom-data").rglob("*") if path.is_file()]
    assert stored
    assert not any(b"hunter2" in each for each in stored)


def test_blame_asks_for_a_command_whose_secrets_were_not_kept(programs: Programs) -> None:
    session = programs.record(*CALLS, "--api-key", "sk-1234567890", code=2)
    for command in (("fork", session, "--at", 1), ("blame", session, "--check", "true")):
        assert "give the command, with -- CMD" in programs(*command, code=1)[1]
    programs("blame", session, "--check", "true", "--steps", 3, "--tries", 1, "--", *CALLS, "two", "words")
