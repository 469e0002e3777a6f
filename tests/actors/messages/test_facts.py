"""A message carries its facts: none lacks what decides it, what replies to it, or its line in the docs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from greenroom.actors import messages as m
from greenroom.actors.hooks.points import POINTS
from greenroom.actors.messages.artifacts import AboutArtifact
from greenroom.actors.messages.calls import Call, Recorded
from greenroom.actors.session.answers.replies import ANSWERS, REPLIES
from greenroom.actors.session.decisions.decide import DECIDERS

ROOT = Path(__file__).parents[3]
ABSTRACT = {m.Query, m.Command, m.TurnCommand, AboutArtifact, Call, Recorded}
WITHOUT_DECIDER = {
    m.DeleteSession: "the actor deletes itself with its journal",
    m.Batch: "each of its commands has one",
    m.ForkSession: "makes another session: a question to this one",
    m.CallTool: "runs outside of the session's turn, and records by messages of its own",
    m.CallAgent: "runs outside of the session's turn, and records by messages of its own",
}


def kinds(base: type[Any] = m.Message) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        if each.__module__.startswith("greenroom"):
            if each not in ABSTRACT:
                yield each
            yield from kinds(each)


def reply_type(kind: type[Any]) -> Any:
    """The type of the reply as the class declares it; what is not declared anywhere is an error."""
    for each in kind.__mro__:
        for base in getattr(each, "__orig_bases__", ()):
            for argument in get_args(base):
                if argument.__class__.__name__ != "TypeVar":
                    return argument
    raise AssertionError(f"{kind.__name__} does not say what it replies")


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_message_has_what_handles_it(kind: type[Any]) -> None:
    if issubclass(kind, m.Query):
        assert kind in ANSWERS
        assert kind not in DECIDERS
    elif kind in WITHOUT_DECIDER:
        assert kind not in DECIDERS
    else:
        assert kind in DECIDERS
    if kind in REPLIES:
        assert reply_type(kind) is not type(None) or kind.__name__ == "KeepTime"
    if kind.permission:
        assert kind.names or kind.crosses is not m.Message.crosses, (
            "a permission is asked for on an artifact that it names"
        )
    assert vars(kind).get("__doc__"), "what the message asks for stands in its docstring"
    for point in (kind.points.before, kind.points.after):
        assert point is None or point in POINTS


def test_no_decider_or_reply_is_for_no_message() -> None:
    assert {*DECIDERS, *REPLIES} <= set(kinds())
