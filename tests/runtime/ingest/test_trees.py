"""Trees of messages of any shape: what is shown, what becomes a fork, what it may cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime
from greenroom.runtime.ingest import Conversation, UnknownRecord, conversation_of, ingest
from greenroom.runtime.ingest.forms.tree import MAX_BRANCHES, MAX_REPEATED

from . import examples


def mapping(parents: dict[str, str | None], silent: frozenset[str] = frozenset()) -> dict[str, Any]:
    nodes = {}
    for number, (id, parent) in enumerate(parents.items()):
        message = (
            None if id in silent else examples.said(id, "user" if number % 2 else "assistant", id, examples.T + number)
        )
        nodes[id] = examples.node(id, parent, message)
    return nodes


def paths(conversation: Conversation) -> list[list[str]]:
    """The texts of the conversation, and of each branch from its beginning."""
    found = [[turn.text for turn in conversation.turns]]
    for branch in conversation.branches:
        found.append(found[branch.origin + 1][: branch.shared] + [turn.text for turn in branch.turns])
    return found


@st.composite
def _trees(draw: st.DrawFn) -> tuple[dict[str, str | None], frozenset[str], str]:
    count = draw(st.integers(1, 24))
    parents: dict[str, str | None] = {}
    for number in range(count):
        above = draw(st.one_of(st.none(), st.integers(0, max(0, number - 1)))) if number else None
        parents[f"n{number}"] = None if above is None else f"n{above}"
    silent = draw(st.sets(st.sampled_from(sorted(parents)), max_size=5))
    return parents, frozenset(silent), draw(st.sampled_from(sorted(parents)))


@given(_trees())
def test_each_path_is_that_of_the_tree_and_each_message_is_on_one(
    tree: tuple[dict[str, str | None], frozenset[str], str],
) -> None:
    parents, silent, current = tree
    value = {"mapping": mapping(parents, silent), "current_node": current}

    def to(node: str | None) -> list[str]:
        found: list[str] = []
        while node is not None:
            found += [node] if node not in silent else []
            node = parents[node]
        return found[::-1]

    try:
        conversation = conversation_of(value)
    except UnknownRecord as error:
        if "no messages" not in str(error) or to(current):
            raise
        return
    found = paths(conversation)
    assert found[0] == to(current)
    leaves = [node for node in parents if node not in parents.values() and node != current]
    assert found[1:] == [to(leaf) for leaf in leaves if to(leaf) and to(leaf)[-1] not in to(current)] or silent
    own = [turn.text for turn in conversation.turns]
    own += [turn.text for branch in conversation.branches for turn in branch.turns]
    assert sorted(own) == sorted(set(parents) - silent)  # each is somewhere, and once
    for path in found:
        assert path == to(path[-1])


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.one_of(st.none(), st.sampled_from("abcdefgz")), min_size=1),
    st.one_of(st.none(), st.sampled_from("abcdefgz")),
)
def test_any_parents_at_all_give_a_conversation_or_a_reason(
    parents: dict[str, str | None], current: str | None
) -> None:
    value = {"mapping": mapping(parents), "current_node": current}
    try:
        conversation = conversation_of(value)
    except UnknownRecord as error:
        if "circle" not in str(error):
            raise
        return
    texts = [text for path in paths(conversation) for text in path]
    texts += [node["message"]["content"]["parts"][0] for node in conversation.extra.get("nodes", {}).values()]
    assert set(texts) == set(parents)  # nothing is lost


def _lines_run(value: Any) -> int:
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        conversation_of(value)
    except UnknownRecord:
        pass
    finally:
        sys.settrace(before)
    return lines


_SHAPES = {
    "chain": lambda number: f"n{number - 1}",
    "star": lambda number: "n0",
    "comb": lambda number: f"n{number - 2 if number % 2 else number - 1}" if number > 1 else "n0",
    "many roots": lambda number: None,
    "circles": lambda number: f"n{number ^ 1}",
}


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("silent", [False, True], ids=["said", "empty"])
def test_the_work_for_a_tree_grows_with_its_size_and_no_faster(shape: str, silent: bool) -> None:
    counts = []
    for count in (400, 1600):
        parents = {f"n{number}": _SHAPES[shape](number) if number else None for number in range(count)}
        nodes = mapping(parents, frozenset(parents) if silent else frozenset())
        counts.append(_lines_run({"mapping": nodes, "current_node": f"n{count - 1}"}))
    assert counts[1] <= 4.5 * counts[0] + 1000


def test_a_chain_of_ten_thousand_nodes_and_two_hundred_thousand_empty_ones() -> None:
    parents = {f"n{number}": f"n{number - 1}" if number else None for number in range(10_000)}
    conversation = conversation_of({"mapping": mapping(parents), "current_node": "n9999"})
    assert len(conversation.turns) == 10_000
    empty = {str(number): {"parent": str(number - 1)} for number in range(200_000)}
    with pytest.raises(UnknownRecord, match="no messages"):
        conversation_of({"mapping": empty, "current_node": "199999"})


def test_branches_beyond_the_limits_are_kept_as_they_are() -> None:
    many = {f"n{number}": "n0" if number else None for number in range(MAX_BRANCHES + 9)}
    conversation = conversation_of({"mapping": mapping(many), "current_node": "n1"})
    assert len(conversation.branches) == MAX_BRANCHES
    assert len(conversation.extra["nodes"]) == 7
    assert any(note.field == "branches" for note in conversation.notes)
    long = {f"n{number}": f"n{number - 1}" if number else None for number in range(MAX_REPEATED // 2 + 1)}
    long |= {f"m{number}": f"n{MAX_REPEATED // 2}" for number in range(5)}
    conversation = conversation_of({"mapping": mapping(long), "current_node": "m0"})
    assert len(conversation.branches) == 1
    assert set(conversation.extra["nodes"]) == {"m2", "m3", "m4"}


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store", config={"durability": "memory"}) as opened:
        yield opened


@pytest.mark.parametrize("depth", [100, 10_000])
def test_messages_within_messages_as_deep_as_they_may_be(depth: int, runtime: Runtime, tmp_path: Path) -> None:
    head = '{"messageId": "m", "isCreatedByUser": true, "text": "x", "children": ['
    text = '{"conversationId": "c", "messages": [' + head * depth + "]}" * depth + "]}"
    good = json.dumps(examples.librechat())
    (tmp_path / "deep.jsonl").write_text(f"{text}\n{good}\n")
    report = ingest(runtime, tmp_path / "deep.jsonl")
    assert report.sessions == 1 + (depth == 100)
    assert [item.reason for item in report.skipped] == ([] if depth == 100 else ["it is nested too deeply"])


def test_branches_of_branches_are_forks_of_forks(runtime: Runtime, tmp_path: Path) -> None:
    parents = {"a": None, "b": "a", "c": "b", "x": "a", "y": "x", "z": "x"}
    (tmp_path / "tree.json").write_text(json.dumps({"mapping": mapping(parents), "current_node": "c"}))
    report = ingest(runtime, tmp_path / "tree.json")
    main, first, second = map(runtime.session, [*report.session_ids, *report.branch_ids])
    assert [message.text for message in second.messages()] == ["a", "x", "z"]
    assert (first.info().parent_session_id, second.info().parent_session_id) == (main.id, first.id)
    assert runtime.verify().ok
    runtime.export_session(main.id, tmp_path / "bundle", tree=True)
    with Runtime.open(tmp_path / "other") as other:
        other.import_bundle(tmp_path / "bundle")
        assert [message.text for message in other.session(second.id).messages()] == ["a", "x", "z"]
        assert other.verify().ok
        (again,) = [ingest(other, tmp_path / "tree.json")]
        assert (again.sessions, again.branches, again.duplicate_count) == (0, 0, 1)
