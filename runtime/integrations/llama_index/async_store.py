"""`AsyncDBChatStore`: messages are active or archived."""

from __future__ import annotations

import os
from typing import Any, Final

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from greenroom.runtime import AsyncRuntime, Message, Runtime, Session, SessionBatch, ValidationError
from greenroom.runtime.integrations.opening import Adapter, Opened
from greenroom.runtime.integrations.turns import drained
from greenroom.runtime.messages import AddMessage

from .messages import chat_message, conversation, payload_of, sessions, stored, turn_of

__all__ = ["GreenroomAsyncChatStore"]

STATUS: Final = "status"
"""The field of a turn's metadata that says that it is archived. A turn without it is active."""


class GreenroomAsyncChatStore(Adapter, AsyncDBChatStore):
    """Keeps the messages of each key as turns of the session with the key `llama_index:KEY`, as `GreenroomChatStore`
    does, each of them active or archived. For `Memory.from_defaults(chat_store=…)`.

    It answers what `SQLAlchemyChatStore` answers. The id of a message is the sequence of its turn.
    """

    _opened: Opened = PrivateAttr()

    def __init__(self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str], **options: Any) -> None:
        """Work on a runtime, or open the store at a path."""
        super().__init__(**options)
        self._opened = Opened(runtime)

    @classmethod
    def class_name(cls) -> str:
        return "GreenroomAsyncChatStore"

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Return the messages of a key that have a status, oldest first: at most `limit`, without the first `offset`.
        With None as status, all."""
        return await self._opened.run(self._read, key, status, limit, offset)

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """Return how many messages of a key have a status. With None as status, all count."""
        return len(await self._opened.run(self._turns, key, status))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Add a message to a key."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Add messages to a key in one write: all of them or none."""
        turns = [_turn((status, stored(each))) for each in messages]
        if turns:
            await self._opened.run(conversation(self._opened.runtime, key).add, turns)

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Put these messages in place of all that the key has, in one write. What is at their beginning already is not
        written again."""
        payloads = [(status, stored(each)) for each in messages]
        await self._opened.run(conversation(self._opened.runtime, key).replace, payloads, _turn, _payload)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Take the message whose turn has the sequence `idx` out of a key and return it; None if there is none."""
        return await self._opened.run(self._delete, key, idx)

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Take all messages out of a key that have a status; without one, delete the key with its session."""
        await self._opened.run(self._delete_all, key, status)

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Take the oldest `n` active messages out of a key and return them."""
        return await self._opened.run(self._oldest, key, n, False)

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the oldest `n` active messages of a key and return them."""
        return await self._opened.run(self._oldest, key, n, True)

    async def get_keys(self) -> list[str]:
        """Return all keys that have messages."""
        return await self._opened.run(self._keys)

    # -- the same, synchronously

    def _keys(self) -> list[str]:
        return [key for key, session in sessions(self._opened.runtime) if session.messages(1)]

    def _turns(self, key: str, status: MessageStatus | None) -> list[Message]:
        turns = conversation(self._opened.runtime, key).turns()
        return [each for each in turns if status is None or _status(each) is status]

    def _read(self, key: str, status: MessageStatus | None, limit: int | None, offset: int | None) -> list[ChatMessage]:
        turns = self._turns(key, status)[offset or 0 :]
        return [chat_message(payload_of(turn)) for turn in drained(turns if limit is None else turns[:limit])]

    def _delete(self, key: str, sequence: int) -> ChatMessage | None:
        def retracted(session: Session) -> Message | None:
            try:
                return session.retract_message(sequence)
            except ValidationError:
                return None

        turn = conversation(self._opened.runtime, key).read(retracted, None)
        return chat_message(payload_of(turn)) if turn is not None else None

    def _delete_all(self, key: str, status: MessageStatus | None) -> None:
        its = conversation(self._opened.runtime, key)
        if status is None:
            its.read(Session.delete, None)
            return

        def decide(turns: list[Message], batch: SessionBatch) -> None:
            for turn in turns:
                if _status(turn) is status:
                    batch.retract_message(turn.sequence)

        its.read(lambda session: its.change(session, decide), None)

    def _oldest(self, key: str, n: int, archive: bool) -> list[ChatMessage]:
        def decide(turns: list[Message], batch: SessionBatch) -> list[Message]:
            oldest = [turn for turn in turns if _status(turn) is MessageStatus.ACTIVE][: max(n, 0)]
            for turn in oldest:
                if archive:
                    metadata = {**turn.metadata, STATUS: MessageStatus.ARCHIVED.value}
                    batch.edit_message(turn.sequence, metadata=metadata)
                else:
                    batch.retract_message(turn.sequence)
            return oldest

        its = conversation(self._opened.runtime, key)
        nothing: list[Message] = []
        oldest = its.read(lambda session: its.change(session, decide), nothing)
        return [chat_message(payload_of(turn)) for turn in oldest]


def _status(turn: Message) -> MessageStatus:
    is_archived = turn.metadata.get(STATUS) == MessageStatus.ARCHIVED.value
    return MessageStatus.ARCHIVED if is_archived else MessageStatus.ACTIVE


def _turn(given: tuple[MessageStatus, dict[str, Any]]) -> AddMessage:
    status, payload = given
    return turn_of(payload, {STATUS: status.value} if status is MessageStatus.ARCHIVED else None)


def _payload(turn: Message) -> tuple[MessageStatus, dict[str, Any]]:
    return _status(turn), payload_of(turn)
