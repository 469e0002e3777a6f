"""The command that forks a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Unpack

from greenroom.actors.messages.checks import whole_number
from greenroom.actors.messages.core import CREATION, Command, How, Points

from .changes import Change, fork_changes

__all__ = ["ForkSession"]


class ForkSession(Command[str]):
    """Make a new session from the history of this one up to event `at_sequence` (default: all of it), and begin it with
    `changes`. Works in any status. Replies the new session's id.

    `changes` are a list of messages about a conversation, variables, tags, metadata or records, and of
    ReplaceSystemPrompt and ReplaceToolResult; or an object with system_prompt, edit_messages, drop_messages,
    tool_results, add_messages, variables, delete_variables and tags.
    """

    __slots__ = ("at_sequence", "changes")
    batched = False
    rate = CREATION
    access = "read"  # a fork has all artifacts of the original
    about_artifacts = True
    points = Points("BeforeSessionCreated", "SessionCreated")
    apart = frozenset({"changes"})  # each meets the hooks of its own class

    def __init__(
        self,
        at_sequence: int | None = None,
        changes: Iterable[Change] | Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.at_sequence = whole_number("at_sequence", at_sequence)
        self.changes = fork_changes(changes)
