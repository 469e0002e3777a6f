"""A conversation against a plain list: whatever is done to it, through forks, bundles and reopening, they agree."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from greenroom.runtime import InvalidOperation, Runtime, RuntimeConfig, ValidationError

CONFIG = RuntimeConfig(max_resident_sessions=1, snapshot_every=3, handle_signals=False)
CONTENTS = st.sampled_from(["", "hello", "long " * 2000, None, [{"type": "text", "text": "part"}], ["long " * 1000]])
METADATA = st.sampled_from([{}, {"k": 1}, {"large": "x" * 5000}])

Row = tuple[Any, dict[str, Any], bool]
"""Content, metadata, whether it was edited."""


class Conversations(RuleBasedStateMachine):
    path: Path
    runtime: Runtime

    @initialize()
    def make(self) -> None:
        self.session = self.runtime.create_session()
        self.runtime.create_session().set("another", 1)
        self.turns: dict[int, Row] = {}
        self.past: dict[int, list[Row]] = {1: []}

    def done(self) -> None:
        self.past[self.session.info().sequence] = list(self.turns.values())

    def some(self, back: int) -> int | None:
        return list(self.turns)[-1 - back % len(self.turns)] if self.turns else None

    @rule(content=CONTENTS, metadata=METADATA)
    def add(self, content: Any, metadata: dict[str, Any]) -> None:
        turn = self.session.add_message("user", content, metadata=metadata)
        self.turns[turn.sequence] = content, metadata, False
        self.done()

    @rule(rows=st.lists(st.tuples(CONTENTS, METADATA), max_size=4))
    def add_many(self, rows: list[tuple[Any, dict[str, Any]]]) -> None:
        turns = self.session.add_messages([{"role": "user", "content": c, "metadata": m} for c, m in rows])
        assert [turn.content for turn in turns] == [content for content, _ in rows]
        self.turns.update((turn.sequence, (*row, False)) for turn, row in zip(turns, rows, strict=True))
        self.done()

    @rule(
        texts=st.lists(st.sampled_from(["a", "bc ", "long " * 2000]), max_size=4), how=st.sampled_from(["end", "break"])
    )
    def stream(self, texts: list[str], how: str) -> None:
        with contextlib.suppress(ZeroDivisionError), self.session.stream_message("user") as stream:
            for number, text in enumerate(texts):
                stream.write(text)
                self.turns[stream.sequence] = "".join(texts[: number + 1]), {}, False
                if number < 20:
                    self.done()
            if how == "break":
                raise ZeroDivisionError
        self.turns[stream.sequence] = "".join(texts), {}, False
        assert self.session.messages(limit=1)[0].partial == (how == "break")
        self.done()

    @rule()
    def between(self) -> None:
        self.session.set("k", len(self.turns))
        self.done()

    @rule(back=st.integers(0, 9), content=CONTENTS, metadata=METADATA, which=st.sampled_from(["c", "m", "cm"]))
    def edit(self, back: int, content: Any, metadata: dict[str, Any], which: str) -> None:
        sequence = self.some(back)
        if sequence is None:
            with pytest.raises(ValidationError):
                self.session.edit_message(2, content=content)
            return
        changes: dict[str, Any] = {"c": {"content": content}, "m": {"metadata": metadata}}.get(which) or {
            "content": content,
            "metadata": metadata,
        }
        turn = self.session.edit_message(sequence, **changes)
        row = self.turns[sequence]
        self.turns[sequence] = changes.get("content", row[0]), changes.get("metadata", row[1]), True
        assert (turn.content, turn.metadata) == self.turns[sequence][:2]
        self.done()

    @rule(back=st.integers(0, 9))
    def retract(self, back: int) -> None:
        sequence = self.some(back)
        if sequence is not None:
            turn = self.session.retract_message(sequence)
            assert (turn.content, turn.metadata) == self.turns.pop(sequence)[:2]
            self.done()

    @rule()
    def pop(self) -> None:
        if not self.turns:
            with pytest.raises(InvalidOperation):
                self.session.pop_message()
            return
        turn = self.session.pop_message()
        sequence, row = self.turns.popitem()
        assert (turn.sequence, turn.content, turn.metadata) == (sequence, *row[:2])
        self.done()

    @rule(after=st.integers(0, 30))
    def truncate(self, after: int) -> None:
        going = [sequence for sequence in self.turns if sequence > after]
        assert self.session.truncate_messages(after) == len(going)
        for sequence in going:
            del self.turns[sequence]
        self.done()

    @rule()
    def clear(self) -> None:
        assert self.session.clear_messages() == len(self.turns)
        self.turns.clear()
        self.done()

    @rule()
    def reopen(self) -> None:
        self.runtime.close()
        type(self).runtime = Runtime.open(self.path, config=CONFIG)
        self.session = self.runtime.session(self.session.id)

    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        at = data.draw(st.sampled_from(sorted(self.past)))
        fork = self.session.fork(at_sequence=at)
        assert rows(fork.messages()) == self.past[at]
        fork.delete()

    @rule(history=st.booleans())
    def travel(self, history: bool) -> None:
        path = self.path.parent / "bundle"
        self.runtime.export_session(self.session.id, path, history=history)
        (arrived,) = self.runtime.import_bundle(path, keep_ids=False)
        assert rows(arrived.messages()) == list(self.turns.values())
        arrived.delete()
        path.unlink()

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "session"):
            turns = self.session.messages()
            assert [turn.sequence for turn in turns] == list(self.turns)
            assert rows(turns) == list(self.turns.values())

    def teardown(self) -> None:
        if hasattr(self, "session"):
            assert self.runtime.verify().problems == []
            for info in self.runtime.list_sessions():
                self.runtime.delete_session(info.id)
            assert self.runtime.stats()["artifacts"]["contents"] == 0


def rows(turns: list[Any]) -> list[Row]:
    return [(turn.content, turn.metadata, turn.edited_at is not None) for turn in turns]


def test_a_conversation_is_the_list_that_it_should_be(tmp_path: Path) -> None:
    Conversations.path = tmp_path / "store"
    Conversations.runtime = Runtime.open(Conversations.path, config=CONFIG)
    try:
        run_state_machine_as_test(Conversations, settings=settings(max_examples=25, stateful_step_count=30))
    finally:
        Conversations.runtime.close()
