"""A message that grows: what is written is told at once, kept after a crash, and complete at the end."""

# ruff: noqa: PT012 (what an exception within a stream leaves is what is tested)

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    Event,
    HookCancelled,
    HookResult,
    InvalidOperation,
    InvalidSessionState,
    Runtime,
    RuntimeConfig,
    Session,
    ValidationError,
)
from greenroom.runtime import messages as m

from ...warm import WarmPopen

LONG = "a longer text, with ünïcode. " * 500


def contents(session: Session) -> list[Any]:
    return [turn.content for turn in session.messages()]


def deltas(events: Any) -> list[str]:
    return [event.data["text"] for event in events if event.type == "message.delta"]


def test_a_streamed_message_is_a_message(rt: Runtime) -> None:
    session = rt.create_session()
    session.add_message("user", "say it")
    with session.stream_message("assistant", name="bot", metadata={"model": "m"}) as stream:
        stream.write("he")
        (turn,) = session.messages(limit=1)
        assert (turn.content, turn.partial, turn.role, turn.name) == ("he", True, "assistant", "bot")
        session.add_message("user", "in between")
        stream.write("llo")
        stream.tool_calls = [{"id": "c"}]
        stream.metadata["tokens"] = 2
    turn = session.messages()[1]
    assert (turn.content, turn.partial, turn.edited_at) == ("hello", False, None)
    assert (turn.metadata, turn.tool_calls) == ({"model": "m", "tokens": 2}, [{"id": "c"}])
    assert stream.message == turn
    assert contents(session) == ["say it", "hello", "in between"], "its place is where it began"
    assert session.info().operation_count == 4, "a stream is one operation"
    types = [event.type for event in session.events()][2:]
    assert types[0] == "message.started"
    assert types[-1] == "message.finished"
    assert rt.verify().problems == []


def test_each_delta_reaches_listeners_and_followers_while_the_message_grows(rt: Runtime) -> None:
    session = rt.create_session()
    heard = rt.events.subscribe("message.delta", session=session.id)
    with session.follow(after=0, timeout=30) as followed, session.stream_message("assistant") as stream:
        for text in ("a", "b", "c"):
            stream.write(text)
            event = heard.receive(timeout=30)
            assert event is not None
            assert event.data["text"] == text
        seen: list[Event] = []
        while len(deltas(seen)) < 3:
            seen.append(next(followed))
        assert deltas(seen) == ["a", "b", "c"]
        assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
        assert {event.data["sequence"] for event in seen if event.type == "message.delta"} == {stream.sequence}


def test_many_quick_deltas_are_joined_and_none_is_lost(rt: Runtime) -> None:
    session = rt.create_session()
    texts = [f"{number} " for number in range(2000)]
    with session.stream_message("assistant") as stream:
        for text in texts:
            stream.write(text)
        stream.write("")
        stream.write("x" * 100_000)
        said = deltas(session.events())
        assert "".join(texts).startswith("".join(said)[: len("".join(texts))])
        assert len(said) < 1000
    assert contents(session) == ["".join(texts) + "x" * 100_000]


def test_a_delta_that_waits_is_told_although_nothing_follows(rt: Runtime) -> None:
    session = rt.create_session()
    with session.stream_message("assistant") as stream, session.follow(after=0, timeout=30) as followed:
        for number in range(100):
            stream.write(f"{number} ")
        said = ""
        while said != stream.text:
            event = next(followed)
            said += event.data["text"] if event.type == "message.delta" else ""


def test_an_exception_leaves_what_was_written(rt: Runtime) -> None:
    session = rt.create_session()
    with pytest.raises(ZeroDivisionError), session.stream_message("assistant") as stream:
        stream.write(LONG)
        stream.write("!")
        raise ZeroDivisionError
    (turn,) = session.messages()
    assert (turn.content, turn.partial) == (LONG + "!", True)
    assert stream.message == turn
    with pytest.raises(InvalidOperation):
        stream.write("more")
    with pytest.raises(InvalidOperation):
        stream.__enter__()
    edited = session.edit_message(turn.sequence, metadata={"why": "model failed"})
    assert edited.partial
    edited = session.edit_message(turn.sequence, content="settled")
    assert (edited.content, edited.partial, edited.metadata) == ("settled", False, {"why": "model failed"})
    assert rt.verify().problems == []


@pytest.mark.parametrize("change", ["edit", "about", "retract", "clear"])
def test_who_edits_or_retracts_a_growing_message_ends_it(rt: Runtime, change: str) -> None:
    session = rt.create_session()
    with pytest.raises(InvalidOperation, match="meanwhile"), session.stream_message("assistant") as stream:
        stream.write("one ")
        if change == "edit":
            session.edit_message(stream.sequence, content="mine")
        elif change == "about":
            session.edit_message(stream.sequence, metadata={"k": 1})
        elif change == "retract":
            assert session.retract_message(stream.sequence).content == "one "
        else:
            session.clear_messages()
        stream.write("two")
    expected = {"edit": ["mine"], "about": ["one "], "retract": [], "clear": []}
    assert contents(session) == expected[change]
    assert [turn.partial for turn in session.messages()] == {"edit": [False], "about": [True]}.get(change, [])


def test_two_streams_at_once_from_several_threads(rt: Runtime) -> None:
    session = rt.create_session()
    with session.stream_message("assistant") as one, session.stream_message("assistant") as other:

        def write(stream: Any, text: str) -> None:
            for _ in range(200):
                stream.write(text)

        threads = [threading.Thread(target=write, args=each) for each in ((one, "a"), (one, "b"), (other, "c"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    first, second = session.messages()
    assert sorted(first.content) == ["a"] * 200 + ["b"] * 200  # type: ignore[arg-type]
    assert second.content == "c" * 200
    assert rt.verify().problems == []


def test_a_stream_in_a_session_that_stops_taking_writes(rt: Runtime) -> None:
    session = rt.create_session()
    with pytest.raises(InvalidSessionState), session.stream_message("assistant") as stream:
        stream.write("kept")
        session.suspend()
        stream.write("refused")
    (turn,) = session.messages()
    assert (turn.content, turn.partial) == ("kept", True)
    with pytest.raises(InvalidSessionState):
        session.stream_message("assistant").__enter__()
    with pytest.raises(ValidationError):
        session.stream_message("")
    session.resume()
    with session.stream_message("assistant") as stream, pytest.raises(ValidationError):
        stream.write(7)  # type: ignore[arg-type]
    assert contents(session) == ["kept", ""]


def test_an_open_stream_goes_on_after_passivation_and_forks_are_partial(store_path: Path) -> None:
    with Runtime.open(store_path, config=RuntimeConfig(max_resident_sessions=1, snapshot_every=2)) as rt:
        session = rt.create_session()
        with session.stream_message("assistant") as stream:
            stream.write("one ")
            rt.create_session().set("k", 1)
            stream.write("two")
            fork = session.fork()
            rt.create_session().set("k", 1)
        assert contents(session) == ["one two"]
        assert (contents(fork), fork.messages()[0].partial) == (["one two"], True)
        assert fork.pop_message().content == "one two"
        assert rt.verify().problems == []


@pytest.mark.parametrize("history", [False, True])
def test_partial_and_complete_streams_travel(rt: Runtime, tmp_path: Path, history: bool) -> None:
    session = rt.create_session()
    for number in range(3):
        with session.stream_message("assistant", metadata={"n": number}) as stream:
            session.set("between", number)
            stream.write("one ")
            stream.write("two")
    session.edit_message(session.messages()[1].sequence, metadata={"edited": 1})
    open_ = session.stream_message("assistant").__enter__()
    open_.write("half ")
    open_.write("way")
    rt.retention(max_journal_events=5, dry_run=False)
    assert "message.delta" not in [event.type for event in session.events() if event.sequence < 10]
    session.export(tmp_path / "b") if history else rt.export_session(session.id, tmp_path / "b", history=False)
    (arrived,) = rt.import_bundle(tmp_path / "b", keep_ids=False)
    for mine, theirs in zip(session.messages(), arrived.messages(), strict=True):
        assert (mine.content, mine.metadata, mine.partial) == (theirs.content, theirs.metadata, theirs.partial)
    assert contents(arrived)[-1] == "half way"
    assert rt.verify().problems == []


def test_a_stream_by_messages_alone(rt: Runtime) -> None:
    session = rt.create_session()
    turn = rt.ask(session.id, m.StartMessage("assistant"))
    assert (turn.content, turn.partial) == ("", True)
    assert session.messages() == [turn]
    rt.ask(session.id, m.ContinueMessage(turn.sequence, "a"))
    rt.tell(session.id, m.ContinueMessage(turn.sequence, "b"))
    assert contents(session) == ["ab"]
    assert rt.ask(session.id, m.FinishMessage(turn.sequence, LONG)).content == LONG
    for message in (m.ContinueMessage(turn.sequence, "c"), m.FinishMessage(turn.sequence, "d")):
        with pytest.raises(InvalidOperation, match="takes no more text"):
            rt.ask(session.id, message)
    added = session.add_message("user", "x")
    with pytest.raises(InvalidOperation):
        rt.ask(session.id, m.ContinueMessage(added.sequence, "c"))
    with pytest.raises(InvalidOperation):
        rt.ask(session.id, m.ContinueMessage(1, "c"))


def test_a_hook_before_messages_sees_all_of_it_before_any_is_journaled(rt: Runtime) -> None:
    session = rt.create_session()
    seen: list[Any] = []

    def look(context: Any) -> HookResult:
        seen.append((context.operation, context.data.get("content")))
        return HookResult.cancel("no") if "bad" in str(context.data) else HookResult.continue_()

    handle = rt.hooks.register("BeforeMessageAdd", look)
    with pytest.raises(HookCancelled), session.stream_message("assistant") as stream:
        stream.write("this is ")
        stream.write("bad")
    assert seen == [("StartMessage", None), ("FinishMessage", "this is bad")]
    assert deltas(session.events()) == []
    assert contents(session) == [""]
    handle.unregister()
    after: list[Any] = []
    rt.hooks.register("MessageAdded", lambda context: after.append(context.data["content"]))
    with session.stream_message("assistant") as stream:
        stream.write("fine")
        assert deltas(session.events()) == ["fine"]
    assert after == ["fine"]


def test_a_secret_cut_in_two_by_deltas_is_nowhere(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s", config=RuntimeConfig(redact=("SECRET[0-9]+",))) as rt:
        session = rt.create_session()
        with session.stream_message("assistant") as stream:
            stream.write("the key is SEC")
            stream.write("RET12")
            stream.write("34 and so on " + "x" * 6000)
            for _ in range(100):
                stream.write("SECRE")
                stream.write("T5678 ")
        text = contents(session)[0]
        assert text.startswith("the key is [redacted] and so on x")
        assert text.count("[redacted]") == 101
        said = "".join(deltas(session.events()))
        assert said.startswith("the key is [redacted] and so on x")
        assert text.startswith(said)
    for path in (tmp_path / "s").rglob("*"):
        if path.is_file():
            assert b"SECRET" not in path.read_bytes()


_WRITER = """
import sys
from greenroom.runtime import Runtime
rt = Runtime.open(sys.argv[1])
session = rt.create_session(name="killed")
session.add_message("user", "say it")
heard = rt.events.subscribe("message.delta", session=session.id)
stream = session.stream_message("assistant", metadata={"k": 1})
stream.__enter__()
session.add_message("user", "in between")
said = ""
for number in range(int(sys.argv[2])):
    stream.write(f"{number} ")
while said != stream.text:
    said += heard.receive(timeout=60).data["text"]
print(said, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("count", [1, 3, 500])
def test_what_was_written_is_there_after_the_process_was_killed(store_path: Path, count: int) -> None:
    command = [sys.executable, "-c", _WRITER, str(store_path), str(count)]
    with WarmPopen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = writer.stdout.readline().rstrip("\n")
        writer.kill()
    with Runtime.open(store_path) as rt:
        (info,) = rt.list_sessions()
        session = rt.session(info.id)
        turn = session.messages()[1]
        assert (turn.content, turn.partial, turn.metadata) == (said, True, {"k": 1})
        assert contents(session) == ["say it", said, "in between"]
        assert rt.verify().problems == []
        assert rt.ask(session.id, m.FinishMessage(turn.sequence, said + "and more")).content == said + "and more"
        assert not session.messages()[1].partial
