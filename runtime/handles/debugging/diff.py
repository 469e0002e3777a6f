"""The difference between two moments of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from greenroom.storage.codec.records import Json
from greenroom.storage.common.arguments import as_text
from greenroom.storage.common.checked_call import checked

from .values import StateChange, differences

__all__ = ["StateDiff", "diff_states"]


@dataclass(frozen=True, slots=True)
class StateDiff:
    """What is different between two moments: variables, tags, metadata, config, messages, artifacts, questions, records
    and the session's own description. True if anything is.

    `before` and `after` are the sequences of the moments. `complete` is False if there are more than 1000 differences
    and only the first are here. `str(diff)` is readable text.
    """

    before: int
    after: int
    changes: tuple[StateChange, ...]
    complete: bool = True

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __repr__(self) -> str:
        return f"<StateDiff of {self.before} and {self.after}: {len(self.changes)} changes>"

    def __str__(self) -> str:
        lines = [str(each) for each in self.changes] or ["no difference"]
        return "\n".join(lines if self.complete else [*lines, "... and more"])

    @checked
    def of(self, part: str) -> list[StateChange]:
        """Return the differences in one part: "variables", "messages", "artifacts", …"""
        part = as_text("part", part, 64)
        return [each for each in self.changes if each.path[0] == part]

    def to_dict(self) -> dict[str, Json]:
        """Return everything by name as JSON values."""
        return {
            "before": self.before,
            "after": self.after,
            "changes": [each.to_dict() for each in self.changes],
            "complete": self.complete,
        }


def diff_states(before: Mapping[str, Any], after: Mapping[str, Any]) -> StateDiff:
    """Return the difference of two moments, given as `PastState.to_dict` returns them."""
    found, complete = differences(by_name(before), by_name(after))
    return StateDiff(before["sequence"], after["sequence"], tuple(found), complete)


_INFO: Final = ("name", "description", "created_by", "parent_session_id", "failure_reason")
_OF_ARTIFACTS: Final = ("id", "stored_size", "is_compressed")
"""What is not part of what an artifact is: the same content may be stored in another way meanwhile."""


def by_name(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a moment, with lists as objects by what names their entries."""
    info = state["info"]
    return {
        "status": state["status"],
        **{name: info[name] for name in _INFO},
        "variables": state["variables"],
        "tags": dict.fromkeys(state["tags"], True),
        "metadata": state["metadata"],
        "config": state["config"],
        "messages": {each["sequence"]: _said(each) for each in state["messages"]},
        "artifacts": {
            f"{each['name']} (version {each['version']})": {
                "hash": each["id"].partition(":")[0],
                **{name: value for name, value in each.items() if name not in _OF_ARTIFACTS},
            }
            for each in state["artifacts"]
        },
        "approvals": {each["sequence"]: each for each in state["approvals"]},
        "records": state["records"],
    }


_OF_MESSAGES: Final = ("sequence", "created_at", "edited_at")


def _said(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message says, without fields that say nothing."""
    return {
        name: value
        for name, value in message.items()
        if name not in _OF_MESSAGES and (name == "content" or value not in (None, {}, False))
    }
