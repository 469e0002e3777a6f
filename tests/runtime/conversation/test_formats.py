"""Conversations as other tools take and give them."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import Message, Runtime, Session, StorageError, ValidationError
from greenroom.runtime.ingest import ingest


@pytest.fixture(scope="module")
def shared() -> Any:
    with Runtime.open(config={"handle_signals": False}) as runtime:
        yield runtime


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
OPENAI: list[dict[str, Any]] = [
    {"role": "system", "content": "You help."},
    {"role": "user", "content": "Weather?", "name": "ann"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    {"role": "assistant", "content": [{"type": "text", "text": "Rain."}], "refusal": None},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    },
]
ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "rain", "is_error": False},
            {"type": "text", "text": "and?"},
        ],
    },
    {"role": "assistant", "content": "Rain."},
]


def session_of(rt: Runtime, messages: list[dict[str, Any]]) -> Session:
    session = rt.create_session(name="talk")
    session.add_messages(messages)
    return session


def test_openai_messages_come_back_as_they_were_given(rt: Runtime) -> None:
    assert session_of(rt, OPENAI).messages(format="openai") == OPENAI


def test_anthropic_messages_come_back_as_they_were_given(rt: Runtime) -> None:
    messages = session_of(rt, ANTHROPIC).messages(format="anthropic")
    assert messages == ANTHROPIC
    assert messages.system is None


def test_openai_messages_for_anthropic(rt: Runtime) -> None:
    messages = session_of(rt, [*OPENAI, {"role": "developer", "content": "Be brief."}]).messages(format="anthropic")
    assert messages.system == [{"type": "text", "text": "You help."}, {"type": "text", "text": "Be brief."}]
    assert messages == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Rain."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            ],
        },
    ]


def test_anthropic_messages_for_openai(rt: Runtime) -> None:
    assert session_of(rt, ANTHROPIC).messages(format="openai") == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look."}],
            "tool_calls": [{**CALL, "id": "t1"}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "t1"},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
        {"role": "assistant", "content": "Rain."},
    ]


def test_turns_of_one_side_are_one_message_for_anthropic(rt: Runtime) -> None:
    session = session_of(
        rt,
        [
            {"role": "user", "content": "a"},
            {"role": "user", "content": ""},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "no json"}}]},
            {"role": "assistant", "content": "", "refusal": "no"},
            {"role": "assistant", "content": None, "function_call": {"name": "g", "arguments": "{}"}},
            {"role": "function", "name": "g", "content": "done"},
        ],
    )
    assert session.messages(format="anthropic") == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "", "name": "f", "input": {"arguments": "no json"}},
                {"type": "text", "text": "no"},
                {"type": "tool_use", "id": "call_g", "name": "g", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_g", "content": "done"}]},
    ]


def test_other_keys_are_kept_in_the_metadata(rt: Runtime) -> None:
    session = rt.create_session()
    turn = session.add_messages(
        [{"role": "user", "content": "x", "weight": 0, "n": 1, "metadata": {"n": 2}, "refusal": None}]
    )[0]
    assert turn.metadata == {"n": 2, "n_": 1, "weight": 0, "refusal": None}
    copy = rt.create_session()
    copy.add_messages([each.to_dict() for each in session.messages()])
    assert copy.messages()[0].metadata == turn.metadata


TEXT = st.text(max_size=8)
CALLS = st.lists(
    st.builds(
        lambda id, name, arguments: {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}},
        st.uuids().map(str),
        st.sampled_from(["f", "g"]),
        st.dictionaries(TEXT, st.integers() | TEXT, max_size=2).map(json.dumps),
    ),
    min_size=1,
    max_size=2,
)
OPENAI_MESSAGE = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "developer", "assistant"]), "content": TEXT}),
    st.fixed_dictionaries({"role": st.just("user"), "content": TEXT, "name": st.sampled_from(["ann", "bob"])}),
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant"]),
            "content": st.lists(st.builds(lambda text: {"type": "text", "text": text}, TEXT), min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.none() | TEXT, "tool_calls": CALLS}),
    st.fixed_dictionaries({"role": st.just("tool"), "content": TEXT, "tool_call_id": st.uuids().map(str)}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.none(), "refusal": TEXT}),
)
BLOCKS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, st.text(min_size=1, max_size=8)),
        st.builds(
            lambda id, input: {"type": "tool_use", "id": id, "name": "f", "input": input},
            st.uuids().map(str),
            st.dictionaries(TEXT, st.integers() | TEXT, max_size=2),
        ),
        st.builds(
            lambda id, content: {"type": "tool_result", "tool_use_id": id, "content": content},
            st.uuids().map(str),
            TEXT,
        ),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60)
@given(st.lists(OPENAI_MESSAGE, max_size=6))
def test_openai_round_trip(shared: Runtime, messages: list[dict[str, Any]]) -> None:
    session = session_of(shared, messages)
    given = session.messages(format="openai")
    assert given == messages
    assert [turn.text for turn in session_of(shared, given).messages()] == [turn.text for turn in session.messages()]
    assert_takes(session.messages(format="anthropic"))


@settings(max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=8) | BLOCKS, max_size=6))
def test_anthropic_round_trip(shared: Runtime, contents: list[Any]) -> None:
    messages = [
        {"role": "assistant" if number % 2 else "user", "content": content} for number, content in enumerate(contents)
    ]
    session = session_of(shared, messages)
    assert session.messages(format="anthropic") == messages
    for message in session.messages(format="openai"):
        assert message["role"] in ("user", "assistant", "tool")
        assert not any(part["type"].startswith("tool_") for part in message["content"] or [] if isinstance(part, dict))
    uses = [part["id"] for each in contents if isinstance(each, list) for part in each if part["type"] == "tool_use"]
    calls = [call["id"] for each in session.messages(format="openai") for call in each.get("tool_calls", [])]
    assert calls == uses


def assert_takes(messages: list[dict[str, Any]]) -> None:
    """What Anthropic's API refuses is not there."""
    for before, after in itertools.pairwise(messages):
        assert before["role"] != after["role"]
    for message in messages:
        assert message["role"] in ("user", "assistant")
        assert message["content"]
        parts = message["content"] if isinstance(message["content"], list) else []
        assert all(part["text"] for part in parts if part["type"] == "text")


@pytest.mark.parametrize("format", ["openai ", "json", 7, [], b"openai"])
def test_an_unknown_format_is_refused(rt: Runtime, tmp_path: Path, format: Any) -> None:
    session = session_of(rt, OPENAI)
    with pytest.raises(ValidationError, match="format"):
        session.messages(format=format)
    with pytest.raises(ValidationError, match="format"):
        session.export_messages(tmp_path / "x", format=format)
    assert not list(tmp_path.glob("x*"))


# -- exports


@pytest.mark.parametrize("format", ["openai", "sharegpt"])
def test_exported_lines_are_taken_in_again(rt: Runtime, tmp_path: Path, format: Any) -> None:
    path = tmp_path / "talks.jsonl"
    session = session_of(rt, OPENAI[:5])
    session.add_message("user", "lone \ud800 and ünïcode")
    other = session_of(rt, ANTHROPIC)
    lines = io.BytesIO()
    assert session.export_messages(lines, format) == 6
    assert other.export_messages(lines, format) == 4
    path.write_bytes(lines.getvalue())
    assert len(path.read_text(encoding="utf-8").splitlines()) == 2
    with Runtime.open(tmp_path / "store") as taking:
        report = ingest(taking, [path])
        assert report.sessions == 2
        taken = [taking.session(info.id).messages() for info in taking.list_sessions(status="completed")]
        texts = sorted("".join(turn.text for turn in turns) for turns in taken)
        assert "Weather?" in texts[0]
        assert "rain" in texts[0]
        assert "rain" in texts[1]


def test_markdown_is_for_people(rt: Runtime, tmp_path: Path) -> None:
    session = session_of(rt, OPENAI)
    session.edit_message(session.messages()[0].sequence, content="You ```help```.")
    with session.stream_message("assistant") as stream:
        stream.write("half")
        assert session.export_messages(tmp_path / "talk.md", "markdown") == 7
    text = (tmp_path / "talk.md").read_text()
    assert text.startswith("# talk\n\n## system · ")
    assert "Z · edited\n\nYou ```help```.\n" in text
    assert 'Calls `weather`:\n\n```json\n{\n  "city": "Oslo"\n}\n```' in text
    assert "Z · partial\n\nhalf\n" in text
    written = io.StringIO()
    session.export_messages(written, "markdown")
    assert written.getvalue().count("\n## ") == 7


def test_an_export_appears_whole_or_not_at_all(rt: Runtime, tmp_path: Path) -> None:
    session = session_of(rt, OPENAI)
    session.export_messages(tmp_path / "x.jsonl")
    (line,) = (tmp_path / "x.jsonl").read_text().splitlines()
    assert json.loads(line) == {"messages": OPENAI}
    (tmp_path / "link").symlink_to(tmp_path / "x.jsonl")
    with pytest.raises(StorageError):
        session.export_messages(tmp_path / "link")


def test_a_message_of_a_host_is_given_to_others_unchanged(rt: Runtime) -> None:
    turn = session_of(rt, OPENAI).messages()[1]
    other = rt.create_session()
    assert isinstance(turn, Message)
    other.add_messages([turn])
    assert other.messages(format="openai") == [OPENAI[1]]
