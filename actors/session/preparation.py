"""Prepare content on the sender's thread: it is hashed and compressed before any turn."""

from __future__ import annotations

from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import Recorded
from greenroom.actors.messages.events import INLINE_EVENT_BYTES, PublishEvent
from greenroom.actors.session.decisions.decide import require_room
from greenroom.actors.store import ArtifactStore, ContentGone
from greenroom.storage.artifacts.mime import guess_mime_type
from greenroom.storage.common.logs import logger_of
from greenroom.storage.content.chunks import Encoded
from greenroom.storage.errors import GreenroomError, OperationTimeout, ResourceLimitExceeded, ValidationError

from .delegated import DelegatedMessage

__all__ = ["Preparation"]

logger = logger_of("preparation")

_BATCH_BYTES: Final = 8 << 20
"""A batch keeps this much of its content in memory. The rest is written ahead, like large content."""


class Preparation:
    """Prepares messages that carry content, and removes what was written ahead for a message that failed."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def ask(self, actor: Any, message: Any, timeout: float) -> Any:
        """Prepare a message and ask an actor, or an object that stands for one. Raises what preparing and the actor
        raise."""
        prepared = self.prepare(actor, message, known=True)
        try:
            return actor.ask(prepared, timeout)
        except ContentGone:
            prepared = self.prepare(actor, prepared, known=False)
        except OperationTimeout as error:
            if not error.fields["started"]:
                self.discard(prepared)
            raise
        except GreenroomError:
            self.discard(prepared)
            raise
        try:
            return actor.ask(prepared, timeout)
        except GreenroomError:
            self.discard(prepared)
            raise

    def prepare(self, actor: Any, message: Any, *, known: bool) -> Any:
        """Return a copy of a message with its content hashed and encoded.

        With `known`, content that the store has already is not encoded.
        """
        if not isinstance(message, m.StoreArtifact):
            if isinstance(message, m.TurnCommand):
                return message if message.small else self._prepare_turn(message, known=known)
            if isinstance(message, m.AddMessages):
                return self._prepare_turns(message, known=known)
            if isinstance(message, m.PutRecords):
                return self._prepare_records(message, known=known)
            if isinstance(message, m.Batch):
                return self._prepare_batch(actor, message, known=known)
            if isinstance(message, PublishEvent):
                return self._prepare_event(message, known=known)
            if isinstance(message, Recorded):
                return self._prepare_fields(message, known=known)
            return self._prepare_many(actor, message, known=known)
        if message.encoded is not m.UNSHARED:
            message = message.copy()
        self._check_name(actor, message)
        self._prepare_artifact(message, actor.limits.max_storage_bytes, known=known)
        return message

    def _prepare_event(self, message: PublishEvent, *, known: bool) -> PublishEvent:
        if len(message.packed) <= INLINE_EVENT_BYTES:
            return message
        message = message.copy()
        message.encoded = self._store.prepare(message.packed, len(message.packed), known=known)[0]
        return message

    def _prepare_fields(self, message: Recorded[Any], *, known: bool) -> Recorded[Any]:
        if not message.large:
            return message
        message = message.copy()
        encoded = message.encoded = {}
        try:
            for name, content in message.large.items():
                encoded[name] = self._store.prepare(content, len(content), known=known)[0]
        except BaseException:
            self.discard(message)
            raise
        return message

    def _prepare_turn(self, message: m.TurnCommand[Any], *, known: bool) -> m.TurnCommand[Any]:
        """Return the message itself if all its fields are small, else a copy with the large ones encoded."""
        if message.small or not (large := [*message.large_fields()]):
            return message
        message = message.copy()
        encoded: dict[str, Encoded] = {}
        try:
            for name, content in large:
                encoded[name] = self._store.prepare(content, len(content), known=known)[0]
        except BaseException:
            for each in encoded.values():
                self._store.discard(each)
            raise
        message.encoded = encoded.pop("content", None)
        message.more = encoded or None
        return message

    def _prepare_turns(self, batch: m.AddMessages, *, known: bool) -> m.AddMessages:
        if all(message.small for message in batch.messages):
            return batch
        batch = batch.copy()
        given, batch.messages = batch.messages, []
        try:
            for message in given:
                batch.messages.append(self._prepare_turn(message, known=known))  # type: ignore[arg-type]
        except BaseException:
            self.discard(batch)
            raise
        return batch

    def _prepare_batch(self, actor: Any, batch: m.Batch, *, known: bool) -> m.Batch:
        prepared: list[m.Command[Any]] = []
        try:
            for command in batch.commands:
                content = command.preparation == "content"
                prepared.append(self.prepare(actor, command, known=known) if content else command)
        except BaseException:
            self.discard(batch.made_of(prepared))
            raise
        return batch if prepared == batch.commands else batch.made_of(prepared)

    @staticmethod
    def _check_name(actor: Any, message: m.StoreArtifact) -> None:
        """Check the length of an artifact's name. Raises ValidationError."""
        if len(message.name) > actor.name_limit:
            raise ValidationError(
                f"name: 1 to {actor.name_limit} characters, this has {len(message.name)}", field="name"
            )

    def _prepare_artifact(
        self, message: m.StoreArtifact, stream_limit: int, *, known: bool, ahead: bool = False
    ) -> None:
        """Encode an artifact's content into its message, and guess its MIME type if none was given."""
        prepared = self._store.prepare(message.content, stream_limit, known=known, ahead=ahead)
        message.encoded, head, message.content = prepared
        if message.mime_type is None:
            message.mime_type = guess_mime_type(message.name, head)

    def _prepare_many(self, actor: Any, message: m.StoreMany, *, known: bool) -> m.StoreMany:
        """Return a copy of a batch with all content prepared. Content that cannot be stored is refused before the first
        write."""
        batch = message.copy()
        batch.items = [item.copy() for item in message.items]
        limits, size = actor.limits, 0
        for item in batch.items:
            self._check_name(actor, item)
            if isinstance(item.content, (bytes, memoryview)):
                self._store.check_size(len(item.content))
                size += len(item.content)
        try:
            require_room(actor.actor_urn, 0, 0, limits, more=len(batch.items), bytes=size)
        except ResourceLimitExceeded as error:
            actor.refused("resources", error.fields["resource"], error.fields["limit"])
            raise
        gathered = 0
        try:
            for item in batch.items:
                encoded, streamed = item.encoded, not isinstance(item.content, (bytes, memoryview))
                if encoded is None or (encoded.payload is None and encoded.blob is None):
                    ahead = gathered > _BATCH_BYTES
                    self._prepare_artifact(item, limits.max_storage_bytes - size, known=known, ahead=ahead)
                    encoded = item.encoded
                assert encoded is not None
                gathered += len(encoded.payload or b"")
                size += encoded.size if streamed else 0
        except BaseException:
            self.discard(batch)
            raise
        return batch

    def _prepare_records(self, message: m.PutRecords, *, known: bool) -> m.PutRecords:
        """Return a copy of a message with its large values prepared, or the message itself if it has none."""
        if not message.has_large:
            return message
        twin = message.copy()
        twin.items = [item.copy() for item in message.items]
        gathered = 0
        try:
            for item in twin.items:
                if item.is_large and (item.encoded is None or not item.is_missing):
                    ahead = gathered > _BATCH_BYTES
                    item.encoded = self._store.prepare_record(item.data, item.hash, known=known, ahead=ahead)
                    gathered += len(item.data)
        except BaseException:
            self.discard(twin)
            raise
        return twin

    def discard(self, message: Any) -> None:
        """Remove what was written ahead for a message that has failed."""
        if isinstance(message, DelegatedMessage):
            message = message.message
        for encoded, _ in message.carried():
            if encoded is None or encoded is m.UNSHARED:
                continue
            try:
                self._store.discard(encoded)
            except GreenroomError as error:
                logger.warning("content written ahead stays until the next opening: %s", error)
