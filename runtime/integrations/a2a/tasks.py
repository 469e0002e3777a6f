"""The tasks of an A2A server."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from a2a.server.context import ServerCallContext
from a2a.server.owner_resolver import OwnerResolver, resolve_user_scope
from a2a.server.tasks.task_store import TaskStore
from a2a.types.a2a_pb2 import ListTasksRequest, ListTasksResponse, Task
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import ListTasksCursor, decode_list_tasks_cursor, decode_page_token, encode_list_tasks_cursor

from greenroom.runtime import AsyncRuntime, Runtime, Session, SessionNotFound, ValidationError

from ..keys import key_of
from ..opening import Adapter, Opened
from .parts import HEAD, item_prefix, items_of, order_of, task_of

__all__ = ["GreenroomTaskStore"]

_REMEMBERED: Final = 256
_PAGE: Final = 256

_locks: WeakKeyDictionary[Runtime, threading.RLock] = WeakKeyDictionary()
"""One for each runtime: a task is read and then written by one writer at a time, in whatever store object."""


class GreenroomTaskStore(Adapter, TaskStore):
    """Keeps the tasks of each owner as records of one session, with the key `a2a:tasks:OWNER`.

    A save is one write: the state, and of history and artifacts what has changed. Tasks that are returned are copies.

    Example:
        ```py
        store = GreenroomTaskStore("data")
        handler = DefaultRequestHandler(agent_executor=executor, agent_card=card, task_store=store)
        ```
    """

    def __init__(
        self,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        owner_resolver: OwnerResolver = resolve_user_scope,
    ) -> None:
        """Take a runtime or the path of a store; `owner_resolver` says whose tasks a call is about."""
        self._opened = Opened(runtime)
        self.owner_resolver = owner_resolver
        self._lock = _locks.setdefault(self._opened.runtime, threading.RLock())
        self._sessions: dict[str, Session] = {}
        self._saved: OrderedDict[tuple[str, bytes], tuple[int, dict[bytes, bytes]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<GreenroomTaskStore of {self._opened.runtime!r}>"

    @property
    def runtime(self) -> Runtime:
        """The runtime that the data are in, for other stores beside this one."""
        return self._opened.runtime

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Store a task of the owner, in place of the one with its id. Raises ValidationError for an id of over 256
        bytes."""
        copy = Task()
        copy.CopyFrom(task)  # the caller may go on changing it
        await self._opened.run(self._save, copy, self.owner_resolver(context))

    async def get(self, task_id: str, context: ServerCallContext) -> Task | None:
        """Return a task of the owner, or None."""
        return await self._opened.run(self._get, task_id, self.owner_resolver(context))

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Return a page of the owner's tasks, the last changed first. Raises InvalidParamsError for a page token that
        is none."""
        return await self._opened.run(self._list, params, self.owner_resolver(context))

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Delete a task of the owner, if there is one."""
        await self._opened.run(self._delete, task_id, self.owner_resolver(context))

    # -- the same, synchronously

    def _session(self, owner: str, *, create: bool = False) -> Session | None:
        session = self._sessions.get(owner)
        if session is not None and self._opened.runtime.exists(session.id):
            return session
        key = key_of("a2a:tasks", owner, "owner")
        try:
            if create:
                session = self._opened.runtime.get_or_create(key, name=f"A2A tasks of {owner[:100]!r}", tags=["a2a"])
            else:
                session = self._opened.runtime.session(key=key)
        except SessionNotFound:
            return None
        if len(self._sessions) >= _REMEMBERED:
            self._sessions.clear()
        self._sessions[owner] = session
        return session

    def _save(self, task: Task, owner: str) -> None:
        prefix = item_prefix(task.id)
        items = items_of(task)
        order = order_of(_time_of(task), task.id)
        with self._lock:
            session = self._session(owner, create=True)
            assert session is not None
            before: Any = session.records.get(prefix)
            known = self._known(session, prefix, before)
            version: int = before["version"] + 1 if before is not None else 1
            head = {"version": version, "order": order, "task": items[HEAD]}
            puts: dict[bytes, object] = {
                prefix + place: data for place, data in items.items() if place and known.get(place) != data
            }
            puts[prefix] = head
            puts[order] = {"context": task.context_id, "state": task.status.state}
            gone = [prefix + place for place in known if place not in items]
            if before is not None and before["order"] != order:
                gone.append(before["order"])
            with session.batch() as batch:
                batch.records.put_many(puts)
                if gone:
                    batch.records.delete_many(gone)
            self._saved[session.id, prefix] = (version, items)
            self._saved.move_to_end((session.id, prefix))
            while len(self._saved) > _REMEMBERED:
                self._saved.popitem(last=False)

    def _known(self, session: Session, prefix: bytes, head: Any) -> dict[bytes, bytes]:
        """Return the records that a task has, by the ends of their keys."""
        if head is None:
            return {}
        saved = self._saved.get((session.id, prefix))
        if saved is not None and saved[0] == head["version"]:
            return saved[1]
        rows: Any = session.records.iterate(prefix)
        return {key[len(prefix) :]: row for key, row in rows if key != prefix} | {HEAD: head["task"]}

    def _get(self, task_id: str, owner: str) -> Task | None:
        session = self._session(owner)
        try:
            prefix = item_prefix(task_id)
        except ValidationError:
            return None
        return self._task(session, prefix) if session is not None else None

    def _task(self, session: Session, prefix: bytes) -> Task | None:
        rows: Any = session.records.scan(prefix, limit=_PAGE)
        if len(rows) == _PAGE:  # more pages: none may be of another version
            with self._lock:
                rows = session.records.scan(prefix)
        if not rows:
            return None
        return task_of(rows[0][1]["task"], ((key[len(prefix) :], row) for key, row in rows[1:]))

    def _delete(self, task_id: str, owner: str) -> None:
        session = self._session(owner)
        try:
            prefix = item_prefix(task_id)
        except ValidationError:
            return
        if session is None:
            return
        with self._lock:
            head: Any = session.records.get(prefix)
            if head is None:
                return
            with session.batch() as batch:
                batch.records.delete_many([head["order"], *session.records.keys(prefix)])
            self._saved.pop((session.id, prefix), None)

    def _list(self, params: ListTasksRequest, owner: str) -> ListTasksResponse:
        size = params.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE
        session = self._session(owner)
        if session is None:
            if params.page_token and decode_list_tasks_cursor(params.page_token) is None:
                raise InvalidParamsError(f"Invalid page token: {params.page_token}")
            return ListTasksResponse(page_size=size)
        with self._lock:
            begin, inclusive = self._begin(session, params.page_token)
            total = 0
            page: list[bytes] = []
            for order in _matching(session, params):
                total += 1
                if len(page) <= size and (begin is None or order < begin or (inclusive and order == begin)):
                    page.append(order)
            tasks = [task for order in page[:size] if (task := self._at(session, order)) is not None]
        answer = ListTasksResponse(tasks=tasks, total_size=total, page_size=size)
        if len(page) > size and tasks:
            last = tasks[-1]
            answer.next_page_token = encode_list_tasks_cursor(ListTasksCursor(_time_of(last), last.id))
        return answer

    def _at(self, session: Session, order: bytes) -> Task | None:
        """Return the task with a place in the order."""
        id_at = len(order_of(0, "")) if order[2:3] == b"\x01" else len(order_of(None, ""))
        return self._task(session, b"i/" + order[id_at:] + b"\x00")

    def _begin(self, session: Session, token: str) -> tuple[bytes | None, bool]:
        """Return the place at which a page begins, and whether what is there belongs to it."""
        if not token:
            return None, False
        cursor = decode_list_tasks_cursor(token)
        try:
            if cursor is not None:
                return order_of(cursor.timestamp_ns, cursor.task_id), False
            head: Any = session.records.get(item_prefix(decode_page_token(token)))  # tokens of older versions of A2A
        except (ValidationError, OverflowError):
            head = None
        if head is None:
            raise InvalidParamsError(f"Invalid page token: {token}")
        return head["order"], True


def _time_of(task: Task) -> int | None:
    return task.status.timestamp.ToNanoseconds() if task.status.HasField("timestamp") else None


def _matching(session: Session, params: ListTasksRequest) -> Iterator[bytes]:
    """Yield the places of the tasks that a request asks for, the last changed first."""
    after = params.status_timestamp_after.ToNanoseconds() if params.HasField("status_timestamp_after") else None
    first = order_of(after, "") if after is not None else b""
    rows: Any = session.records.iterate(b"o/", reverse=True)
    for order, row in rows:
        if order < first:
            return
        if (not params.context_id or row["context"] == params.context_id) and (
            not params.status or row["state"] == params.status
        ):
            yield order
