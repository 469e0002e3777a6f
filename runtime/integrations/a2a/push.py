"""Where the clients of an A2A server want to be notified."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.server.owner_resolver import OwnerResolver, resolve_user_scope
from a2a.server.tasks.push_notification_config_store import (
    PushNotificationConfigStore,
    normalize_push_notification_config,
)
from a2a.types.a2a_pb2 import TaskPushNotificationConfig

from greenroom.runtime import AsyncRuntime, Runtime, ValidationError

from ..opening import Adapter, Opened
from .parts import key_part

__all__ = ["GreenroomPushNotificationConfigStore"]


class GreenroomPushNotificationConfigStore(Adapter, PushNotificationConfigStore):
    """Keeps push notification configurations as records of the session with the key `a2a:push`.

    They are stored as they are given, with tokens and credentials.

    Example:
        ```py
        configs = GreenroomPushNotificationConfigStore(rt)
        sender = BasePushNotificationSender(httpx.AsyncClient(), configs)
        ```
    """

    def __init__(
        self,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        owner_resolver: OwnerResolver = resolve_user_scope,
    ) -> None:
        """Take a runtime or the path of a store; `owner_resolver` says whose configurations a call is about."""
        self._opened = Opened(runtime)
        self.owner_resolver = owner_resolver
        self._records = self._opened.runtime.get_or_create("a2a:push", name="A2A push", tags=["a2a"]).records

    def __repr__(self) -> str:
        return f"<GreenroomPushNotificationConfigStore of {self._opened.runtime!r}>"

    @property
    def runtime(self) -> Runtime:
        """The runtime that the data are in, for other stores beside this one."""
        return self._opened.runtime

    async def set_info(
        self, task_id: str, notification_config: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """Store a configuration of the owner for a task, in place of the one with its id, and return it with its ids.
        Raises ValidationError for an id of over 256 bytes."""
        stored = normalize_push_notification_config(task_id, notification_config)
        key = _prefix(task_id, self.owner_resolver(context)) + key_part(stored.id, "config id")
        await self._opened.run(self._records.put, key, stored.SerializeToString(deterministic=True))
        return stored

    async def get_info(self, task_id: str, context: ServerCallContext) -> list[TaskPushNotificationConfig]:
        """Return the owner's configurations for a task, in the order of their ids."""
        return await self._opened.run(self._read, task_id, self.owner_resolver(context))

    async def get_info_for_dispatch(self, task_id: str) -> list[TaskPushNotificationConfig]:
        """Return the configurations of all owners for a task."""
        return await self._opened.run(self._read, task_id, None)

    async def delete_info(self, task_id: str, context: ServerCallContext, config_id: str | None = None) -> None:
        """Delete one of the owner's configurations for a task, or all of them."""
        await self._opened.run(self._delete, task_id, self.owner_resolver(context), config_id)

    def _read(self, task_id: str, owner: str | None) -> list[TaskPushNotificationConfig]:
        try:
            rows: list[tuple[bytes, Any]] = self._records.scan(_prefix(task_id, owner))
        except ValidationError:
            return []
        return [TaskPushNotificationConfig.FromString(row) for _, row in rows]

    def _delete(self, task_id: str, owner: str, config_id: str | None) -> None:
        try:
            prefix = _prefix(task_id, owner)
            if config_id is None:
                self._records.delete_prefix(prefix)
            else:
                self._records.delete(prefix + key_part(config_id, "config id"))
        except ValidationError:  # what cannot be stored is not there
            return


def _prefix(task_id: str, owner: str | None) -> bytes:
    """Return what the keys of configurations for a task begin with: those of an owner, by its hash, or of all."""
    of_task = key_part(task_id, "task id") + b"\x00"
    return (
        of_task
        if owner is None
        else of_task + sha256(owner.encode("utf-8", "surrogatepass")).hexdigest().encode() + b"\x00"
    )
