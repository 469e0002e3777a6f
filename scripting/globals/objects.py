"""The rows that functions of several globals return: what they are called, and what they answer beside their fields."""

from __future__ import annotations

from typing import Final

from greenroom.runtime import SessionInfo
from greenroom.scripting.definition.shapes import Object, Rows, Value

__all__ = [
    "AGENT",
    "APPROVAL",
    "ARTIFACT",
    "ARTIFACT_ID",
    "CONTENT",
    "EVENT",
    "HOOK",
    "HOOK_ROW",
    "MESSAGE",
    "RECORD",
    "SEARCH_HIT",
    "SESSION",
    "SESSION_ID",
    "SUBSCRIPTION",
    "TOOL",
    "WORKFLOW",
]

SESSION_ID: Final = Value("session id")
"""A text that answers the fields and the methods of its session."""
SESSION: Final = Object(
    "session",
    "id",
    aliases={"custom": "custom_metadata"},
    shows={"custom_metadata": ("tags",)},
    within="custom_metadata",
    fields=(*SessionInfo.FIELDS, "config"),
)
SESSION.parts["children"] = Rows(SESSION)  # of a tree
ARTIFACT_ID: Final = Object("artifact id", text=("content_hash", "session_id", "sequence"), itself=None)
ARTIFACT: Final = Object(
    "artifact",
    parts={"id": ARTIFACT_ID},
    aliases={"original_size": "size"},
    shows={"custom": ("tags",)},
    within="custom",
)
CONTENT: Final = Object("artifact", parts={"id": ARTIFACT_ID, "metadata": ARTIFACT})
"""An artifact with its content."""
RECORD: Final = Object("record", itself=None)
MESSAGE: Final = Object("message", itself=None)
SEARCH_HIT: Final = Object("search hit", parts={"artifact": ARTIFACT_ID}, itself=None)
APPROVAL: Final = Object("approval", itself=None)
EVENT: Final = Object("event", aliases={"source_language": "language"})
SUBSCRIPTION: Final = Object("subscription", "id", text="id", itself=None)
HOOK: Final = Object(
    "hook",
    "id",
    getters={"id": "id", "hook_point": "hook_point"},
    methods={"unregister": "Hook.unregister"},
    text="id",
    itself=None,
)
HOOK_ROW: Final = Object("hook", itself=None)
TOOL: Final = Object("tool", "name", text="name")
AGENT: Final = Object("agent", "handle", hidden=("handle",), text="name")
WORKFLOW: Final = Object("workflow", "id", text="id")
