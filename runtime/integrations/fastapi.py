"""greenroom in a FastAPI or Starlette application: the runtime as a dependency, and server-sent events.

What a client is sent of a message has been journaled: a message goes on being written when its client leaves, and the
client that comes back is sent the rest.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from greenroom.runtime import (
    AccessDenied,
    ArtifactNotFound,
    ArtifactTooLarge,
    AsyncRuntime,
    AsyncSession,
    GreenroomError,
    HookCancelled,
    InvalidOperation,
    InvalidSessionState,
    InvalidStateTransition,
    OperationTimeout,
    RateLimited,
    ResourceLimitExceeded,
    Runtime,
    RuntimeClosed,
    SessionAlreadyExists,
    SessionNotFound,
    StorageFull,
    ValidationError,
    VariableNotFound,
    logger_of,
)

from .opening import Opened

try:
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
except ImportError as error:
    raise ImportError("FastAPI or Starlette is needed: pip install 'greenroom[fastapi]'") from error

__all__ = ["Greenroom", "error_response", "follow_events"]

_logger = logger_of("fastapi")

_KEEP_ALIVE: Final = 15.0
"""Seconds after which a silent stream sends a comment, so that no proxy ends it, and a client that has left is
noticed."""
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

_STATUS: Final[Mapping[type[GreenroomError], int]] = {
    SessionNotFound: 404,
    ArtifactNotFound: 404,
    VariableNotFound: 404,
    AccessDenied: 403,
    HookCancelled: 403,
    InvalidSessionState: 409,
    InvalidStateTransition: 409,
    InvalidOperation: 409,
    SessionAlreadyExists: 409,
    ArtifactTooLarge: 413,
    ValidationError: 422,
    RateLimited: 429,
    ResourceLimitExceeded: 429,
    RuntimeClosed: 503,
    OperationTimeout: 504,
    StorageFull: 507,
}


async def error_response(request: Request, error: Exception) -> Response:
    """Return what an error of greenroom is to a client, as JSON: its class as `error`, and what it says as `detail`.
    For `app.add_exception_handler(GreenroomError, error_response)`.

    Errors that are the client's doing have a status from 400 to 499; those that are not have one from 500 on, and tell
    nothing of the inside.
    """
    status = next((_STATUS[each] for each in type(error).__mro__ if each in _STATUS), 500)
    detail = str(error) if status < 500 else "the request could not be answered"
    return JSONResponse({"error": type(error).__name__, "detail": detail}, status)


class Greenroom:
    """The runtime of an application: opened when it starts, closed when it ends, and given to its endpoints.

    `runtime` is the path of a store, which each process opens for itself, or a runtime that is open. One process may
    write to a store, so an application with several worker processes needs a store for each of them.

    Example:
        ```py
        greenroom = Greenroom("data")
        app = FastAPI(lifespan=greenroom.lifespan)
        app.add_exception_handler(GreenroomError, error_response)

        @app.get("/chats/{chat}/messages")
        async def messages(chat: str, rt: Annotated[AsyncRuntime, Depends(greenroom)]):
            ...
        ```
    """

    def __init__(
        self,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        *,
        config: Mapping[str, object] | None = None,
    ) -> None:
        """`config` is that of `Runtime.open`, for a store that is opened here."""
        if config is not None and not isinstance(runtime, str | os.PathLike):
            raise ValidationError("config: this runtime is open and has its configuration", field="config")
        self._given = runtime
        self._config = config
        self._runtime: AsyncRuntime | None = None
        self._writing: dict[tuple[str, int], asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Greenroom {self._runtime or self._given!r}>"

    @property
    def runtime(self) -> AsyncRuntime:
        """The runtime. Raises InvalidOperation while the application is not running."""
        if self._runtime is None:
            raise InvalidOperation("the application is not running: give it its runtime, FastAPI(lifespan=….lifespan)")
        return self._runtime

    async def __call__(self) -> AsyncRuntime:
        """Return the runtime, as the dependency of an endpoint: `Depends(greenroom)`."""
        return self.runtime

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Open the runtime for the application, and close it at its end. Messages that are then being written stay
        partial. A lifespan of your own enters this one: `async with greenroom.lifespan(): …`"""
        if isinstance(self._given, str | os.PathLike):
            runtime = await AsyncRuntime.open(self._given, config=self._config)
        else:
            runtime = AsyncRuntime.over(Opened(self._given).runtime)
        async with runtime:
            self._runtime = runtime
            try:
                yield
            finally:
                self._runtime = None
                await self._end_writing()

    async def _end_writing(self) -> None:
        for task in [*self._writing.values()]:
            task.cancel()
        await asyncio.gather(*self._writing.values(), return_exceptions=True)

    # -- messages

    async def answer(
        self, session: AsyncSession, pieces: AsyncIterator[str], *, role: str = "assistant", **how: Any
    ) -> Response:
        """Write a message piece by piece, and return the response that sends it to the client as it grows, as
        server-sent events:

        - `start`, with the message's `sequence`
        - `delta`, with the next `text`; texts that come within 50 ms are joined
        - `restart`: the texts so far were an attempt that broke off, and the message begins anew
        - `message`, the last: the whole, with `sequence`, `role`, `content`, `tool_calls`, `metadata` and `partial`,
          which is true if it was broken off

        The message is written to its end also when the client leaves: `message` sends the rest to one that comes back.
        If `pieces` raises, that is logged, and the message stays partial. `how` is what `Session.stream_message` takes;
        with an `idempotency_key`, a complete message is sent as it is. Raises what `stream_message` raises.
        """
        begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._write(session, pieces, role, how, begun))
        try:
            sequence = await asyncio.shield(begun)
        except asyncio.CancelledError:
            begun.cancel()
            raise
        return self._stream(session, sequence, 0, task)

    async def message(self, session: AsyncSession, sequence: int, request: Request) -> Response:
        """Return the response that sends a message to a client that comes back, as `answer` does: what follows the
        event that the header Last-Event-ID names, or all of it. Where there is nothing left to send, the response is
        204, which ends the reconnecting of browsers. Raises ValidationError for an id that is not of this message."""
        last = request.headers.get("last-event-id")
        if last is None:
            after = 0
        elif last == f"{sequence}-end":
            return Response(status_code=204)
        else:
            of, _, number = last.partition("-")
            if of != str(sequence) or not (number.isascii() and number.isdigit() and len(number) < 19):
                raise ValidationError(
                    f"Last-Event-ID: {last[:64]!r} is no event of message {sequence}", field="Last-Event-ID"
                )
            after = int(number)
        return self._stream(session, sequence, after, self._writing.get((session.id, sequence)))

    async def _write(
        self,
        session: AsyncSession,
        pieces: AsyncIterator[str],
        role: str,
        how: dict[str, Any],
        begun: asyncio.Future[int],
    ) -> None:
        place = None
        try:
            async with session.stream_message(role, **how) as message:
                place = (session.id, message.sequence)
                task = asyncio.current_task()
                assert task is not None
                self._writing[place] = task
                if not begun.done():
                    begun.set_result(message.sequence)
                if not message.finished:
                    async for piece in pieces:
                        await message.write(piece)
        except Exception as error:
            if not begun.done():
                begun.set_exception(error)
            else:
                _logger.exception("a message of session %s was broken off", session.id)
        finally:
            if not begun.done():
                begun.cancel()
            if place is not None:
                self._writing.pop(place, None)

    def _stream(self, session: AsyncSession, sequence: int, after: int, writing: asyncio.Task[None] | None) -> Response:
        return StreamingResponse(
            self._sent(session, sequence, after, writing), media_type="text/event-stream", headers=_HEADERS
        )

    async def _sent(
        self, session: AsyncSession, sequence: int, after: int, writing: asyncio.Task[None] | None
    ) -> AsyncIterator[str]:
        if after < sequence:
            after = sequence
            yield _sse({"sequence": sequence}, "start", f"{sequence}-{after}")
        broken_off = complete = False
        try:
            while not complete:
                live = writing is not None and not writing.done()
                async with session.follow(after, pattern="message.*", timeout=_KEEP_ALIVE if live else 0) as events:
                    async for event in events:
                        after = event.sequence
                        if event.data.get("sequence") != sequence:
                            continue
                        if event.type == "message.delta":
                            if broken_off:
                                broken_off = False
                                yield _sse({}, "restart", None)
                            yield _sse({"text": event.data["text"]}, "delta", f"{sequence}-{after}")
                        elif event.type == "message.finished":
                            broken_off = event.data.get("partial") is True
                            if not broken_off:
                                complete = True
                                break
                if not complete and live:
                    yield ":\n\n"
                elif not complete:
                    break
            yield _sse(await self._whole(session, sequence), "message", f"{sequence}-end")
        except (SessionNotFound, RuntimeClosed, InvalidOperation):  # it was deleted, or the application ends
            return

    async def _whole(self, session: AsyncSession, sequence: int) -> dict[str, Any]:
        turns = await session.messages(1, sequence + 1)
        if not turns or turns[0].sequence != sequence:
            return {"sequence": sequence, "retracted": True}
        turn = turns[0]
        return {
            "sequence": sequence,
            "role": turn.role,
            "content": turn.content,
            "tool_calls": turn.tool_calls,
            "metadata": dict(turn.metadata),
            "partial": turn.partial,
        }


def follow_events(
    source: AsyncSession | AsyncRuntime, request: Request, *, after: Any = None, **options: Any
) -> Response:
    """Return the response that sends the events of a session, or of all, as server-sent events: past ones, then new
    ones as they come. Each has its type as `event`, and all its fields as JSON.

    A client that comes back is sent what follows the event that its header Last-Event-ID names; another one what
    follows `after`: everything of a session by default, and only new events of all sessions. `options` are those of
    `follow`. Raises what `follow` raises, ValidationError for a Last-Event-ID that is none.
    """
    first: Any = 0 if isinstance(source, AsyncSession) else None
    last = request.headers.get("last-event-id")
    start = last if last is not None else after if after is not None else first
    if last is not None and not last:
        raise ValidationError("Last-Event-ID: it is empty", field="Last-Event-ID")
    follow = source.follow(after=start, **options, timeout=_KEEP_ALIVE)

    async def sent() -> AsyncIterator[str]:
        events = follow
        try:
            while True:
                async with events:
                    async for event in events:
                        yield _sse(event.to_dict(), event.type, events.cursor)
                    cursor = events.cursor
                yield ":\n\n"
                events = source.follow(after=cursor, **options, timeout=_KEEP_ALIVE)
        except (SessionNotFound, RuntimeClosed):
            return

    return StreamingResponse(sent(), media_type="text/event-stream", headers=_HEADERS)


def _sse(data: Any, event: str, id: str | None) -> str:
    name = f"event: {event}\n" if "\n" not in event and "\r" not in event else ""
    line = json.dumps(data, default=_as_json, separators=(",", ":"))
    place = f"id: {id}\n" if id is not None else ""
    return f"{place}{name}data: {line}\n\n"


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple | list | set | frozenset) else str(value)
