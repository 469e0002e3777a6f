"""A message that grows: what is written to it is kept, and told to everybody, while it grows."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from greenroom.actors import messages as m
from greenroom.actors.messages.conversation import MAX_DELTA, Turn
from greenroom.actors.messages.core import Message, Reply, idempotency_key
from greenroom.actors.scheduling.token_bucket import TokenBucket
from greenroom.runtime.core import RuntimeCore
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import GreenroomError, InvalidOperation, ResourceLimitExceeded, ValidationError

__all__ = ["MessageStream"]

logger = logger_of("stream")
_opening: Final = threading.Lock()

DELTAS_PER_SECOND: Final = 20
"""So many deltas are journaled in a second, and so many at once. A faster model's are joined."""
DELTA_BYTES: Final = 16 << 10
"""Text of this length is journaled without waiting for its time."""
HELD_BACK: Final = 4096
"""The newest characters that redaction keeps back until the end, because a secret may be half written."""


class MessageStream:
    """A turn that is written piece by piece. Use it as a context manager; see `Session.stream_message`.

    `tool_calls` and `metadata` may be set until the end. After it, `message` is the complete turn. May be written to
    from several threads.

    A stream that is opened again with its idempotency key continues in the same turn: it writes a message anew that was
    broken off by an exception or a crash, and leaves one that is complete as it is.
    """

    def __init__(
        self,
        core: RuntimeCore,
        session_id: str,
        timeout: float,
        start: m.StartMessage,
        durability: Durability | str | None,
    ) -> None:
        self.tool_calls: Sequence[object] | None = None
        self.metadata: dict[str, object] = unpack_value(start.metadata) if start.metadata is not None else {}
        self._core = core
        self._session_id = session_id
        self._timeout = timeout
        self._start = start
        self._key = idempotency_key(start)
        self._durability = durability
        self._message: Turn | None = None
        self._lock = threading.Lock()
        self._open = False
        self._texts: list[str] = []
        self._size = 0
        self._waiting: list[str] = []
        self._waiting_size = 0
        self._told = ""
        """What redaction has left of the text that was told."""
        self._deltas = TokenBucket(DELTAS_PER_SECOND, DELTAS_PER_SECOND, core.clock.monotonic())
        self._due = False
        # A delta that waits is sent by the timer's thread, for whoever writes and because of what he does.
        self._context = contextvars.copy_context()

    def __repr__(self) -> str:
        state = "open" if self._open else "complete" if self._message is not None else "not begun"
        return f"<MessageStream of session {self._session_id} {state}>"

    @property
    def message(self) -> Turn:
        """The turn, as it was begun or completed. Raises InvalidOperation before the beginning."""
        if self._message is None:
            raise InvalidOperation("this message was not begun: use it as a context manager")
        return self._message

    @property
    def sequence(self) -> int:
        """The sequence of the turn."""
        return self.message.sequence

    @property
    def finished(self) -> bool:
        """Whether the message is complete. If it is so at the beginning of the block, a stream with the same
        idempotency key has completed it before, and what is written is dropped."""
        return self._message is not None and not self._message.partial

    @property
    def text(self) -> str:
        """What was written so far."""
        return "".join(self._texts)

    def __enter__(self) -> Self:
        if self._message is not None:
            raise InvalidOperation("a message is streamed once: begin another one with session.stream_message")
        self._message = self._ask(self._start)
        if self._key is not None and not self.finished:
            self._begin_anew()
        if self.finished and isinstance(self._message.content, str):
            self._texts.append(self._message.content)
        self._open = True
        return self

    def _begin_anew(self) -> None:
        """Take over the turn, which may have been begun before. Raises InvalidOperation if somebody writes to it, or if
        it was retracted."""
        streams, place = self._core.streams, (self._session_id, self.sequence)
        with _opening:
            if place in streams:
                raise InvalidOperation(
                    f"message {self.sequence} with this idempotency key is just being written: open it again later"
                )
            streams[place] = self
        try:
            found = [turn for turn in self._ask(m.GetMessages(1, self.sequence + 1)) if turn.sequence == self.sequence]
            if not found:
                raise InvalidOperation(f"message {self.sequence} with this idempotency key was retracted: use another")
            self._message = found[0]
            if self.finished:
                streams.pop(place, None)
            elif found[0].content:
                # What an earlier stream has told is closed, so that deltas are those of the new text.
                self._ask(m.FinishMessage(self.sequence, found[0].content, partial=True, durability=self._quick))
        except BaseException:
            streams.pop(place, None)
            raise

    def write(self, delta: str) -> None:
        """Append text. Subscribers and followers see it at once, or joined with what follows within 50 ms.

        Raises InvalidOperation if the turn was edited or retracted meanwhile, or the stream is closed.
        """
        if self.add(delta):
            self.tell()

    @property
    def busy(self) -> bool:
        """Whether a thread is just writing or telling, so that `add` would wait."""
        return self._lock.locked()

    def add(self, delta: str) -> bool:
        """Append text without waiting for the session. Return whether it is time to `tell`. Raises what `write` raises,
        but for what the session says."""
        if type(delta) is not str:
            if not issubclass(type(delta), str):
                raise ValidationError("delta: text is needed", field="delta")
            delta = str.__str__(delta)
        with self._lock:
            if not self._open:
                raise InvalidOperation("this message is complete, or was not begun: nothing can be written to it")
            if not delta or self.finished:
                return False
            self._size += len(delta)
            if self._size > m.MAX_MESSAGE_BYTES:
                raise ResourceLimitExceeded(
                    f"a message may have {m.MAX_MESSAGE_BYTES} bytes: store an artifact",
                    resource="message_bytes",
                    limit=m.MAX_MESSAGE_BYTES,
                    value=self._size,
                )
            self._texts.append(delta)
            self._waiting.append(delta)
            self._waiting_size += len(delta)
            much = self._waiting_size >= DELTA_BYTES and self._core.redaction is None
            if self._deltas.admits(self._core.clock.monotonic()) or much:
                return True
            if not self._due:
                self._due = True
                self._core.timers.once(1 / DELTAS_PER_SECOND, self._later)
            return False

    def tell(self) -> None:
        """Journal what was added and not told yet, and wait for it."""
        with self._lock:
            if self._open:
                self._tell(self._ask)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._open = False
        if self.finished:
            return
        try:
            self._finish(kind is not None)
        finally:
            if self._key is not None:
                self._core.streams.pop((self._session_id, self.sequence), None)

    def _finish(self, broken_off: bool) -> None:
        text = "".join(self._texts)
        finish = m.FinishMessage(
            self.sequence,
            text if text or not self.tool_calls else None,
            tool_calls=self.tool_calls,
            metadata=self.metadata or None,
            partial=broken_off,
            durability=self._durability,
            # What was broken off is no answer.
            idempotency_key=None if broken_off else self._key,
        )
        if not broken_off:
            self._message = self._ask(finish)
            return
        try:
            self._message = self._ask(finish)
        except GreenroomError as failure:  # the error in the block is the one to be told of
            logger.warning("message %d stays as it was written so far: %s", self.sequence, failure)

    # -- deltas; the caller holds the lock

    def _ask(self, message: Message[Reply]) -> Reply:
        return self._core.supervisor.ask(self._session_id, message, self._timeout)

    def _send(self, message: Message[Any]) -> None:
        self._core.supervisor.tell(self._session_id, message)

    def _tell(self, send: Callable[[Message[Any]], object]) -> None:
        """Journal what was written and not told yet."""
        delta = self._next_delta()
        for at in range(0, len(delta), MAX_DELTA):
            send(m.ContinueMessage(self.sequence, delta[at : at + MAX_DELTA], durability=self._quick))

    @property
    def _quick(self) -> Durability | None:
        """The durability of a delta: nobody waits for the disk because of one."""
        return Durability.WAL if self._core.config.durability is Durability.FSYNC else None

    def _next_delta(self) -> str:
        hooked = self._core.supervisor.delivery.hooked.get(m.FinishMessage)
        if hooked is not None and hooked.guards:
            return ""  # a hook that may refuse or change the message has to see all of it first
        waiting, self._waiting, self._waiting_size = self._waiting, [], 0
        if self._core.redaction is None:
            return "".join(waiting)
        # A secret may be cut in two by deltas: so the whole text is cleaned, and its end kept back.
        clean = self._core.redaction.text("".join(self._texts))
        safe = clean[: max(0, len(clean) - HELD_BACK)]
        if not safe.startswith(self._told):
            return ""  # what was told would be told otherwise now
        delta, self._told = safe[len(self._told) :], safe
        return delta

    def _later(self) -> None:
        """Tell what has waited for its time. Runs on the timer's thread, which must not wait."""
        if not self._lock.acquire(blocking=False):
            self._core.timers.once(1 / DELTAS_PER_SECOND, self._later)  # somebody is writing
            return
        try:
            self._due = False
            if self._open and not self._core.lifetime.closed:
                self._context.copy().run(self._tell, self._send)
        except GreenroomError as error:
            logger.warning("a delta of message %d waits for the next: %s", self.sequence, error)
        finally:
            self._lock.release()
