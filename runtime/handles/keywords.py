"""Keywords that several methods of a session take, for type checkers and editors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from greenroom.actors.messages.core import How
from greenroom.storage.artifacts.model import ArtifactId

from .streams import StreamProgress

if TYPE_CHECKING:
    from greenroom.runtime.config.policies import PolicyConfig

__all__ = ["ArtifactOptions", "ConfigKeywords", "VersionOptions"]

_LATE: Final = {"PolicyConfig": "greenroom.runtime.config.policies"}


class ConfigKeywords(How, total=False):
    """The settings of a `SessionConfig`, where None means no limit, and how they are changed."""

    max_duration: float | None
    idle_timeout: float | None
    max_operations: int | None
    max_artifacts: int | None
    max_storage_bytes: int | None
    max_collected_artifacts: int | None
    max_collected_bytes: int | None
    max_records: int | None
    max_record_bytes: int | None
    max_state_bytes: int | None
    auto_save_interval: float | None
    auto_collect_artifacts: bool
    enable_replay: bool
    retention_days: float | None
    delete_after_idle_days: float | None
    policies: PolicyConfig | Mapping[str, object]


class ArtifactOptions(How, total=False):
    """What an artifact may have besides its type, name and content."""

    description: str | None
    mime_type: str | None
    tags: Iterable[str]
    metadata: Mapping[str, object] | None
    created_by: str | None
    parent_artifact: ArtifactId | str | None
    label: str | None
    on_progress: StreamProgress | None


class VersionOptions(ArtifactOptions, total=False):
    """What a further version of an artifact may have besides its content."""

    type: str
