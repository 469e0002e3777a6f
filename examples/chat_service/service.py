"""The chat service of one worker: a FastAPI application over a store of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request, Response

from greenroom.runtime import AsyncRuntime, AsyncSession, GreenroomError
from greenroom.runtime.integrations.fastapi import Greenroom, error_response, follow_events

greenroom = Greenroom(os.environ.get("CHAT_STORE", "chats"))


async def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


async def model(session: AsyncSession, question: str) -> AsyncIterator[str]:
    """Stand in for a language model that may call a tool and read what was uploaded."""
    if question.startswith("count "):
        words = await session.call_tool("count_words", {"text": question.removeprefix("count ")}, as_=int)
        yield f"{words} words"
    elif question.startswith("read "):
        file = await session.get_artifact(question.removeprefix("read "))
        yield file.content.decode()
    else:
        for word in ("You ", "said: ", question):
            await asyncio.sleep(0)  # where a real model makes one wait
            yield word


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with greenroom.lifespan():
        await greenroom.runtime.tools.register("count_words", count_words)  # runs in this loop
        yield


app = FastAPI(lifespan=lifespan)
app.add_exception_handler(GreenroomError, error_response)


async def chat(user: str, name: str, rt: Annotated[AsyncRuntime, Depends(greenroom)]) -> AsyncSession:
    """Return the session of a chat. A real service authenticates its users here."""
    return await rt.get_or_create(f"{user}/{name}", created_by=user, name=name, tags=["chat"])


Chat = Annotated[AsyncSession, Depends(chat)]


@app.post("/chats/{user}/{name}")
async def ask(session: Chat, text: Annotated[str, Body(embed=True)]) -> Response:
    """Add a question. The answer comes as server-sent events, and is written to its end also if nobody listens."""
    await session.add_message("user", text)
    return await greenroom.answer(session, model(session, text))


@app.get("/chats/{user}/{name}/answers/{sequence}")
async def rest(session: Chat, sequence: int, request: Request) -> Response:
    """Send the rest of an answer to a client whose connection broke, or all of it."""
    return await greenroom.message(session, sequence, request)


@app.get("/chats/{user}/{name}")
async def history(session: Chat) -> list[dict[str, Any]]:
    """Return the conversation."""
    return [
        {"sequence": turn.sequence, "role": turn.role, "content": turn.content, "partial": turn.partial}
        for turn in await session.messages()
    ]


@app.get("/chats/{user}/{name}/events")
async def events(session: Chat, request: Request) -> Response:
    """Send the history and whatever happens, to any number of listeners."""
    return follow_events(session, request)


@app.put("/chats/{user}/{name}/files/{file}")
async def upload(session: Chat, file: str, request: Request) -> dict[str, Any]:
    """Keep a file as an artifact; uploaded again, it is a new version."""
    info = await session.store_artifact("user_input", file, await request.body())
    return {"name": info.name, "version": info.version, "size": info.size}


@app.get("/chats/{user}")
async def newest(user: str, rt: Annotated[AsyncRuntime, Depends(greenroom)]) -> list[str]:
    """Return the newest chats of a user."""
    page = await rt.list_sessions(key_prefix=f"{user}/", sort_by="updated_at", descending=True, limit=20)
    return [info.name or "" for info in page]


@app.delete("/chats/{user}")
async def forget(user: str, rt: Annotated[AsyncRuntime, Depends(greenroom)]) -> dict[str, int]:
    """Delete everything of a user."""
    report = await rt.erase(created_by=user)
    return {"deleted": len(report.sessions)}
