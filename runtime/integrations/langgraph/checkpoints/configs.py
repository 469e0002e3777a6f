"""What the configurations that LangGraph hands over mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from greenroom.runtime import ValidationError

from ..keys import text_of
from .rows import id_part

__all__ = ["Place", "checkpoint_id_of", "config_of", "end_of", "utf8"]


@dataclass(frozen=True, slots=True)
class Place:
    """What a configuration points at."""

    thread: str
    namespace: str | None
    checkpoint: str | None

    @classmethod
    def of(cls, config: object) -> Place:
        """Return the place of a configuration. Raises ValidationError."""
        configurable = config.get("configurable") if isinstance(config, Mapping) else None
        if not isinstance(configurable, Mapping) or "thread_id" not in configurable:
            raise ValidationError(
                'config: {"configurable": {"thread_id": …}} is needed, this has no thread_id', field="config"
            )
        namespace = configurable.get("checkpoint_ns")
        return cls(
            text_of("thread_id", configurable["thread_id"]),
            utf8("checkpoint_ns", namespace) if namespace is not None else None,
            checkpoint_id_of(configurable),
        )

    @property
    def needed_checkpoint(self) -> str:
        """Return the checkpoint's id. Raises ValidationError if there is none."""
        if self.checkpoint is None:
            raise ValidationError("config: a checkpoint_id is needed to put writes", field="checkpoint_id")
        return self.checkpoint


def utf8(field: str, value: object) -> str:
    text = text_of(field, value)
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise ValidationError(f"{field}: a text without lone surrogates is needed", field=field)
    return text


def config_of(thread_id: Any, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def end_of(before: RunnableConfig | None) -> str | None:
    """Return the checkpoint before which to list."""
    if before is None:
        return None
    configurable = before.get("configurable") if isinstance(before, Mapping) else None
    if not isinstance(configurable, Mapping):
        raise ValidationError("before: a configuration with a checkpoint_id is needed", field="before")
    return checkpoint_id_of(configurable)


def checkpoint_id_of(configurable: Mapping[str, object]) -> str | None:
    """Return the id of a checkpoint in a configuration, None if it has none. Raises ValidationError."""
    value = configurable.get("checkpoint_id")
    text = utf8("checkpoint_id", value) if value is not None else ""
    id_part(text)
    return text or None
