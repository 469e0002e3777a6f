"""`BaseChatStore`: a chat store with both synchronous methods and their async twins."""

from __future__ import annotations

import os
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store.base import BaseChatStore

from greenroom.runtime import (
    AsyncRuntime,
    InvalidOperation,
    Message,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
)
from greenroom.runtime.integrations.opening import Adapter, Opened
from greenroom.runtime.integrations.turns import drained

from .messages import chat_message, conversation, payload_of, sessions, stored, turn_of

__all__ = ["GreenroomChatStore"]


class GreenroomChatStore(Adapter, BaseChatStore):
    """Keeps the messages of each key as turns of the session with the key `llama_index:KEY`.

    It answers what `SimpleChatStore` answers. Keys may be any texts.
    """

    _opened: Opened = PrivateAttr()

    def __init__(self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str], **options: Any) -> None:
        """Work on a runtime, or open the store at a path."""
        super().__init__(**options)
        self._opened = Opened(runtime)

    @classmethod
    def class_name(cls) -> str:
        return "GreenroomChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Put these messages in place of all that the key has, in one write. What is at their beginning already is not
        written again."""
        payloads = [stored(each) for each in messages]
        conversation(self._opened.runtime, key).replace(payloads, turn_of, payload_of)

    def get_messages(self, key: str) -> list[ChatMessage]:
        """Return the messages of a key, oldest first; none for an unknown key."""
        return [chat_message(payload_of(turn)) for turn in drained(conversation(self._opened.runtime, key).turns())]

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Add a message to a key."""
        conversation(self._opened.runtime, key).add([turn_of(stored(message))])

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Delete a key with its session, and return the messages that it had; None for an unknown key."""
        turns: list[Message] | None = conversation(self._opened.runtime, key).read(_deleted, None)
        return [chat_message(payload_of(turn)) for turn in turns] if turns is not None else None

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Take the message at a place out of a key and return it; None if there is none. A negative place counts from
        the end; one before the beginning raises IndexError."""
        turn = conversation(self._opened.runtime, key).read(lambda session: _retracted(session, idx), None)
        return chat_message(payload_of(turn)) if turn is not None else None

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Take the newest message out of a key and return it; None for an unknown key. Raises IndexError for a key
        without messages."""
        try:
            turn = conversation(self._opened.runtime, key).read(_popped, None)
        except InvalidOperation as error:
            raise IndexError("the key has no messages") from error
        return chat_message(payload_of(turn)) if turn is not None else None

    def get_keys(self) -> list[str]:
        """Return all keys."""
        return [key for key, _ in sessions(self._opened.runtime)]

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Put these messages in place of all that the key has, in one write."""
        await self._opened.run(self.set_messages, key, messages)

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """Return the messages of a key, oldest first; none for an unknown key."""
        return await self._opened.run(self.get_messages, key)

    async def async_add_message(self, key: str, message: ChatMessage) -> None:
        """Add a message to a key."""
        await self._opened.run(self.add_message, key, message)

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """Delete a key with its session, and return the messages that it had; None for an unknown key."""
        return await self._opened.run(self.delete_messages, key)

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Take the message at a place out of a key and return it; None if there is none."""
        return await self._opened.run(self.delete_message, key, idx)

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """Take the newest message out of a key and return it; None for an unknown key."""
        return await self._opened.run(self.delete_last_message, key)

    async def aget_keys(self) -> list[str]:
        """Return all keys."""
        return await self._opened.run(self.get_keys)


def _deleted(session: Session) -> list[Message]:
    turns = session.messages()
    session.delete()
    return turns


def _popped(session: Session) -> Message:
    return session.pop_message()


def _retracted(session: Session, place: int) -> Message | None:
    turns = session.messages()
    if place >= len(turns):
        return None
    turn = turns[place]
    try:
        return session.retract_message(turn.sequence)
    except (ValidationError, SessionNotFound):  # somebody else has taken it out meanwhile
        return None
