"""What Chainlit calls, and who answers it: the stores of users and threads, off the event loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import quote

from chainlit.data.base import BaseDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.element import Element, ElementDict
from chainlit.step import StepDict
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination, ThreadDict, ThreadFilter
from chainlit.user import PersistedUser, User

from greenroom.runtime import Artifact, ArtifactNotFound, Runtime, ValidationError

from ..opening import Opened
from .threads import Threads, element_file
from .users import Users

if TYPE_CHECKING:
    from greenroom.runtime import AsyncRuntime

__all__ = ["GreenroomDataLayer"]

F = TypeVar("F", bound=Callable[..., Any])

_queued: Final[Callable[[F], F]] = queue_until_user_message()  # type: ignore[no-untyped-call]


class GreenroomDataLayer(BaseDataLayer):
    """Keeps Chainlit's data in greenroom. A thread is the session with the key `chainlit:thread:<id>`: its messages are
    turns, its other steps and feedback records, the contents of its elements artifacts.

    `runtime` is a runtime or the path of a store; `close` closes what was opened here from a path. `elements_url` is
    where `serve_elements` gives the contents of elements out.
    """

    def __init__(
        self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str], *, elements_url: str = "/greenroom/elements"
    ) -> None:
        self._opened = Opened(runtime)
        self.elements_url = elements_url.rstrip("/")
        self._users = Users(self._opened.runtime)
        self._threads = Threads(self._opened.runtime, self._users)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._opened.runtime!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the runtime if it was opened here, from a path."""
        if self._opened.owned and not self._opened.runtime.closed:
            await self._opened.run(self._opened.close)

    async def build_debug_url(self) -> str:
        """Return nothing: there is no page for a thread."""
        return ""

    # -- users

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """Return a user by the name that was logged in with, or None if there is none."""
        return _user(await self._opened.run(self._users.get, identifier))

    async def create_user(self, user: User) -> PersistedUser | None:
        """Store a user, or the new metadata of one who is there, and return it as stored."""
        return _user(await self._opened.run(self._users.put, user.identifier, user.display_name, user.metadata))

    # -- threads

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """Return a thread with its steps, oldest first, and its elements; None if there is none."""
        found = await self._opened.run(self._threads.get, thread_id)
        if found is not None:
            for element in found["elements"]:
                self._locate(thread_id, element)
        return found  # type: ignore[return-value]

    async def get_thread_author(self, thread_id: str) -> str:
        """Return the name of a thread's user; "" if it has none, and if there is no such thread."""
        found = await self._opened.run(self._threads.head, thread_id)
        return (found or {}).get("userIdentifier") or ""

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[Any, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Change what is given of a thread, which is created if there is none. Metadata are merged; None deletes a key.
        Raises ValidationError for a user that is not there."""
        await self._opened.run(self._threads.update, thread_id, name, user_id, metadata, tags)

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread with all that it has."""
        await self._opened.run(self._threads.delete, thread_id)

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> PaginatedResponse[ThreadDict]:
        """Return a page of a user's threads without their steps, the last changed first. `search` is a part of a
        message or of the thread's name, in whatever case. Raises ValidationError without a userId."""
        if not filters.userId:
            raise ValidationError("filters: userId is required", field="userId")
        page: list[Any]
        page, more = await self._opened.run(
            self._threads.page, filters.userId, pagination.first, pagination.cursor, filters.search, filters.feedback
        )
        ends = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        return PaginatedResponse(pageInfo=PageInfo(more, *ends), data=page)

    # -- steps and feedback

    @_queued
    async def create_step(self, step_dict: StepDict) -> None:
        """Store a step of a thread, or what is given of one that is there. The thread is created if there is none."""
        await self._opened.run(self._threads.put_step, dict(step_dict))

    @_queued
    async def update_step(self, step_dict: StepDict) -> None:
        """Store what is given of a step."""
        await self._opened.run(self._threads.put_step, dict(step_dict))

    @_queued
    async def delete_step(self, step_id: str) -> None:
        """Delete a step with its feedback and its elements."""
        await self._opened.run(self._threads.delete_step, step_id)

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """Return the steps of a user's threads that are marked as favorites, newest first."""
        found: list[Any] = await self._opened.run(self._threads.favorites, user_id)
        return found

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Store the feedback on a step, in place of what there was, and return its id. Raises ValidationError for a
        step that is not there."""
        return await self._opened.run(
            self._threads.put_feedback,
            feedback.forId,
            {"id": feedback.id, "value": feedback.value, "comment": feedback.comment},
        )

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Delete a feedback, and return whether there was one."""
        return await self._opened.run(self._threads.delete_feedback, feedback_id)

    # -- elements

    @_queued
    async def create_element(self, element: Element) -> None:
        """Store an element and its content; the same id again stores the next version. One that has nothing but a URL
        keeps it, and nothing is fetched."""
        fields: dict[str, Any] = {**element.to_dict()}
        content = element.content.encode() if isinstance(element.content, str) else element.content
        await self._opened.run(self._threads.put_element, fields, content, element.path)

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """Return an element of a thread, or None if there is none."""
        found = await self._opened.run(self._threads.element, thread_id, element_id)
        return self._locate(thread_id, found) if found is not None else None

    @_queued
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        """Delete an element and its content."""
        await self._opened.run(self._threads.delete_element, element_id, thread_id)

    async def read_element(self, thread_id: str, element_id: str) -> Artifact | None:
        """Return the content of an element with its description, or None if there is none."""
        session = await self._opened.run(self._threads.session, thread_id)
        if session is None:
            return None
        try:
            return await self._opened.run(session.get_artifact, element_file(element_id))
        except (ArtifactNotFound, ValidationError):
            return None

    def _locate(self, thread_id: str, element: dict[str, Any]) -> Any:
        if element.pop("stored", False):
            element["url"] = f"{self.elements_url}/{quote(thread_id, safe='')}/{quote(element['id'], safe='')}"
        return element


def _user(fields: dict[str, Any] | None) -> PersistedUser | None:
    return PersistedUser(**fields) if fields is not None else None
