"""Give the contents of elements out to the browser of the user whose thread they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from chainlit.auth import get_current_user
from fastapi import Depends, FastAPI, HTTPException, Response

if TYPE_CHECKING:
    from .layer import GreenroomDataLayer

__all__ = ["serve_elements"]


def serve_elements(layer: GreenroomDataLayer, app: FastAPI | None = None) -> None:
    """Add the route `layer.elements_url` to an app, by default to Chainlit's own, before its routes that take
    everything. Only the thread's user is given the content, which the browser runs no scripts of."""
    if app is None:
        from chainlit.server import app as chainlit_app

        app = chainlit_app

    async def element(thread_id: str, element_id: str, user: Annotated[Any, Depends(get_current_user)]) -> Response:
        author = await layer.get_thread_author(thread_id)
        if user is None or not author or user.identifier != author:
            raise HTTPException(404, "Element not found")
        fields, found = await layer.get_element(thread_id, element_id), await layer.read_element(thread_id, element_id)
        if fields is None or found is None:
            raise HTTPException(404, "Element not found")
        name = quote((fields.get("name") or "element").encode("utf-8", "replace"), safe="")
        headers = {
            "Content-Disposition": f"inline; filename*=UTF-8''{name}",
            "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(found.content, media_type=found.info.mime_type, headers=headers)

    app.add_api_route(f"{layer.elements_url}/{{thread_id}}/{{element_id}}", element, include_in_schema=False)
    app.router.routes.insert(0, app.router.routes.pop())
