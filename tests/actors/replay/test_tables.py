"""Every type of event is replayed in one way."""

from __future__ import annotations

import re
from pathlib import Path

from greenroom.actors.messages.internal import WORKFLOW_EVENTS
from greenroom.actors.replay.commands import DECIDED, TAKEN
from greenroom.actors.session.state.evolve import EVOLVE

_DOCS = Path(__file__).parents[3] / "docs" / "control" / "events.md"
_PUBLISHED = {"custom.*"}


def documented() -> set[str]:
    """Return the types that the table of docs/control/events.md names, and those that are not journaled."""
    text = _DOCS.read_text("utf-8").split("## An event")[1].split("## Listening")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    rows += re.findall(r"Not journaled: (.*?)\n\n", text, re.DOTALL)
    types: set[str] = set()
    for row in rows:
        family = ""
        for name in re.findall(r"`([\w.*]+)`", row):
            family = name.partition(".")[0] if not name.startswith(".") else family
            types.add(family + name if name.startswith(".") else name)
    return types - _PUBLISHED


def test_every_documented_type_is_in_exactly_one_table() -> None:
    types = documented()
    assert {"session.archived", "script.finished", "workflow.stage", "retention.finished"} <= types
    assert not DECIDED.keys() & TAKEN
    assert types == DECIDED.keys() | TAKEN


def test_every_type_that_is_folded_or_journaled_by_a_workflow_is_in_a_table() -> None:
    assert {*EVOLVE, *WORKFLOW_EVENTS} <= DECIDED.keys() | TAKEN
