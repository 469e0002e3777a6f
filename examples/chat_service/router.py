"""The front of several workers: each request goes to the worker that has the user's chats."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

workers: list[httpx.AsyncClient] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    for socket in json.loads(os.environ["CHAT_WORKERS"]):
        transport = httpx.AsyncHTTPTransport(uds=socket)
        timeout = httpx.Timeout(30, read=None)  # answers and events take their time
        workers.append(httpx.AsyncClient(transport=transport, base_url="http://worker", timeout=timeout))
    yield
    for worker in workers:
        await worker.aclose()


app = FastAPI(lifespan=lifespan)


@app.api_route("/chats/{user}", methods=["GET", "DELETE"])
@app.api_route("/chats/{user}/{rest:path}", methods=["GET", "POST", "PUT"])
async def pass_on(user: str, request: Request) -> Response:
    """Pass a request on, and its response as it comes. All chats of a user are in the store of one worker."""
    worker = workers[zlib.crc32(user.encode()) % len(workers)]
    headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
    passed = worker.build_request(
        request.method, request.url.path, params=request.query_params, headers=headers, content=await request.body()
    )
    try:
        response = await worker.send(passed, stream=True)
    except httpx.ConnectError:
        return Response("this worker is just being started again", 503, {"Retry-After": "1"})

    async def content() -> AsyncIterator[bytes]:
        try:
            async for piece in response.aiter_raw():
                yield piece
        finally:
            await response.aclose()

    kept = {name: value for name, value in response.headers.items() if name != "transfer-encoding"}
    return StreamingResponse(content(), response.status_code, kept)
