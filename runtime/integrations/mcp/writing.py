"""The tools of a server that may write."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import Field

from greenroom.runtime import Session, ValidationError

from .bounds import bounded_row
from .reach import Reach
from .reading import SessionName

__all__ = ["Writing"]


class Writing:
    """The tools that change something. Each is one write: all of it or nothing."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def create_session(
        self,
        name: str,
        description: str | None = None,
        tags: list[str] | None = None,
        parent_id: Annotated[SessionName, Field(description="The session below which it is created.")] = None,
    ) -> dict[str, Any]:
        """Create a session. A server of one session creates it below that one."""
        bound = self._reach.root is not None
        parent: Session | None = self._reach.session(parent_id) if bound or parent_id is not None else None
        made = self._reach.runtime.create_session(name=name, description=description, tags=tags or (), parent=parent)
        return bounded_row(self._reach.described(made.info()))

    def add_message(
        self,
        role: Literal["system", "user", "assistant", "tool"],
        content: str,
        session_id: SessionName = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Add a message to the conversation of a session."""
        message = self._reach.session(session_id).add_message(role, content, name=name)
        return {"sequence": message.sequence}

    def set_variable(
        self,
        name: str,
        value: Annotated[Any, Field(description="Any JSON value.")],
        session_id: SessionName = None,
    ) -> dict[str, Any]:
        """Set a variable of a session to a value."""
        session = self._reach.session(session_id)
        session.set(name, value)
        return {"sequence": session.info().sequence}

    def store_artifact(
        self,
        name: str,
        session_id: SessionName = None,
        text: Annotated[str | None, Field(description="The content, as text.")] = None,
        content: Annotated[str | None, Field(description="The content in base64, instead of text.")] = None,
        artifact_type: str = "file",
        mime_type: str | None = None,
        description: str | None = None,
    ) -> dict[str, Any]:
        """Store content under a name in a session: a new artifact, or a new version of one."""
        session = self._reach.session(session_id)
        if (text is None) == (content is None):
            raise ValidationError("give text, or content in base64: one of the two", field="text")
        info = session.store_artifact(
            artifact_type,
            name,
            text if text is not None else _decoded(content or ""),
            mime_type=mime_type,
            description=description,
        )
        return bounded_row(info.to_dict())


def _decoded(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ValidationError("content: this is no base64; give text as text", field="content") from None
