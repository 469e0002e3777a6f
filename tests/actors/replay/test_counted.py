"""The number of operations in a replay: with hooks that are recorded, limits, and what counts as none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import HookResult, ResourceLimitExceeded, Runtime, Session

from .story import Ticking


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    """A runtime in which all is done at one time, and all hooks are recorded."""
    with Runtime.open(tmp_path / "store", clock=Ticking()) as rt:
        for point in ("BeforeStateWrite", "AfterStateWrite", "BeforeMessageAdd", "MessageAdded", "BeforeArtifactStore"):
            rt.hooks.register(point, lambda context: HookResult.continue_(), name=point, replayable=True)
        yield rt


COMMANDS: dict[str, Callable[[Session], Any]] = {
    "set": lambda s: s.set("k", 1),
    "message": lambda s: s.add_message("user", "x"),
    "messages": lambda s: s.add_messages([{"role": "user", "content": "x"}] * 3),
    "store": lambda s: s.store_artifact("note", "a", "x"),
    "store many": lambda s: s.store_many([{"type": "note", "name": n, "content": n} for n in "ab"]),
    "once": lambda s: s.set("k", 1, idempotency_key="key"),
    "tag": lambda s: s.add_tag("t"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_last_operation_that_a_limit_allows_is_replayed(rt: Runtime, command: Callable[[Session], Any]) -> None:
    s = rt.create_session(config={"max_operations": 3})
    s.set("first", 1)
    command(s)
    with pytest.raises(ResourceLimitExceeded):
        s.set("k", 2)
    result = rt.replay(s)
    assert (result.identical, result.errors, result.unproven) == (True, (), 0)
    less = rt.replay(s, {"mode": "modified", "modifications": {"config.max_operations": 2}})
    assert [each.code for each in less.errors] == ["ResourceLimitExceeded"]


def test_what_changes_nothing_is_told_from_what_counts_as_none(rt: Runtime) -> None:
    s = rt.create_session()
    with s.stream_message("assistant") as stream:
        s.delete_variable("nothing")
        stream.write("one")
        s.delete_variable("nothing", idempotency_key="key")
        s.delete_variable("nothing")
    s.delete_variable("nothing")
    s.edit_message(s.messages()[0].sequence, content="two")
    result = rt.replay(s)
    assert (result.identical, result.divergence) == (True, None)
