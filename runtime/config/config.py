"""The configuration of a runtime and of a session. Unknown keys are refused. Sizes are in bytes and times in seconds,
unless the name says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pydantic
from annotated_types import Ge, Gt, Le

from greenroom.actors.messages.lifecycle import UpdateConfig
from greenroom.actors.session.redaction import Redaction
from greenroom.actors.session.state.limits import Limits, setting_of
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.validation import Checked, validated
from greenroom.storage.errors import ValidationError

from .policies import NONE, Lifetime, PolicyConfig, Quota, Seconds
from .retention import RetentionSchedule

__all__ = ["RuntimeConfig", "SessionConfig", "session_overrides"]

_LARGEST = (1 << 63) - 1
"""What RocksDB and Lua take at most."""
Bytes = Annotated[int, Ge(0), Le(_LARGEST)]
Count = Annotated[int, Ge(1), Le(_LARGEST)]


def _durability(value: object) -> object:
    """Return a durability that is given by its name; anything else unchanged."""
    return Durability(value) if type(value) is str and value in {*Durability} else value


class RuntimeConfig(Checked):
    """The settings of a runtime."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    durability: Annotated[Durability | Literal["memory", "wal", "fsync"], pydantic.BeforeValidator(_durability)] = (
        Durability.WAL
    )
    """What an acknowledged write survives: `memory` nothing, `wal` a crash of the process, `fsync` a crash of the
    machine."""
    ask_timeout: Seconds = 30.0
    """The default time that a call waits for a session's reply."""
    close_timeout: Seconds = 10.0
    """How long `close` waits for messages to be handled and states to be saved."""
    handle_signals: bool = True
    """Close on SIGTERM, unless the host has installed its own handler. SIGINT is left to the host."""

    workers: Annotated[int, Ge(1), Le(64)] = 4
    """Threads that handle the messages of busy sessions."""
    mailbox_capacity: Count = 4096
    """Messages that may wait for one session."""
    max_resident_sessions: Count = 10_000
    max_resident_bytes: Bytes = 256 << 20
    """The sessions, and the bytes of their states, that stay in memory."""
    passivate_after: Seconds = 300.0
    """How long an unused session stays in memory."""
    snapshot_every: Count = 32
    """A session gets a snapshot on passivation if it has more events than this since its last snapshot."""
    max_restarts: Annotated[int, Ge(0)] = 3
    restart_window: Seconds = 60.0
    """A session is failed when its handler fails more often than this within the window."""

    artifact_cache_bytes: Bytes = 64 << 20
    """Bytes of content cached in memory; 0 turns the cache off."""
    max_artifact_bytes: Count = 100 << 20
    """Bytes of content that one call may carry; streams and files may be larger."""
    max_artifact_name: Annotated[int, Ge(1), Le(4096)] = 255
    """Characters of an artifact's name."""
    compress_above: Bytes = 10 << 10
    """Content larger than this is compressed, if that makes it smaller."""
    creator_max_sessions: Annotated[Count | None, NONE] = None
    creator_max_storage_bytes: Annotated[Bytes | None, NONE] = None
    """What the sessions of one `created_by` may have together: sessions in any status, and bytes of artifacts and
    records. `rt.quotas.set` sets other limits for one creator."""
    max_store_bytes: Annotated[Bytes | None, NONE] = None
    """Bytes of all contents together, each counted once and before compression."""
    state_backups: Path | None = None
    """The directory of the backups of state (`rt.state_backups`). None: beside the store, `.state-backups` after its
    name."""
    block_cache_bytes: Bytes = 32 << 20
    write_buffer_bytes: Annotated[int, Ge(4 << 20), Le(_LARGEST)] = 64 << 20
    """Memory of RocksDB: cached blocks, and writes that are not in table files yet."""

    audit_max_records: Count = 100_000
    audit_retention_days: Annotated[float, Gt(0), Le(36_500)] = 90.0
    """The size of the audit log, and how long its records are kept."""

    analytics_privacy: bool = False
    """Replace session ids and creators by pseudonyms in metrics and traces."""
    analytics_key_file: Path | None = None
    """A file with the key of the pseudonyms. Without it a random key is used until the runtime is closed."""
    analytics_retention_days: Annotated[Annotated[float, Gt(0), Le(36_500)] | None, NONE] = None
    """How far back analytics read. Older events stay and are not counted."""

    tool_timeout: Seconds = 30.0
    agent_timeout: Seconds = 120.0
    """The default time limits of tools and agents."""
    workflow_timeout: Seconds = 600.0
    """The default time limit of workflows."""
    max_session_calls: Count = 64
    """Tools and agents that one session may run at once. One that hangs counts until it returns."""
    max_elastic_threads: Annotated[int, Ge(1), Le(10_000)] = 256
    """Threads for tools, agents and hooks that may block. One that hangs keeps its thread."""

    prices: Annotated[Path | None, NONE] = None
    """A JSON file with what models cost, in place of the prices that come with greenroom, for recorded calls."""

    max_concurrent_replays: Annotated[int, Ge(1), Le(1000)] = 4
    """Replays under way at once. Others wait for their turn."""

    policies: PolicyConfig = PolicyConfig()
    """Limits of time, rate and resources for sessions that do not set their own."""

    retention: Annotated[RetentionSchedule | None, NONE] = None
    """What the runtime deletes by itself, and how often. None: nothing."""

    refresh_interval: Seconds = 0.25
    """How often a read-only runtime looks for new writes."""

    redact: tuple[str, ...] | Callable[[str], str] = ()
    """Regular expressions, or a function from text to text, that remove secrets from content before it is journaled:
    messages, variables, inputs and results of tools, replies of agents, metadata. Running code gets the unchanged
    content."""

    script_timeout: Seconds = 5.0
    script_memory_bytes: Annotated[int, Ge(1 << 20), Le(_LARGEST)] = 64 << 20
    script_instructions: Count = 200_000_000
    """The limits of one script."""
    script_isolation: Annotated[Literal["thread", "process"] | None, NONE] = None
    """Where scripts run if a call does not say. None: in a process of their own those whose author is not trusted, on
    threads the others. Scripts of profile 'trusted' always run on threads."""
    script_processes: Annotated[int, Ge(0), Le(64)] = 2
    """The processes that are kept ready for scripts, once the first one has run in a process."""

    @pydantic.field_validator("redact")
    @classmethod
    def _has_rules(cls, value: Any) -> Any:
        if value:
            try:
                Redaction(value)
            except ValidationError as error:
                raise ValueError(str(error).removeprefix("redact: ")) from None
        return value

    @classmethod
    def build(cls, values: RuntimeConfig | Mapping[str, object] | None) -> RuntimeConfig:
        """Return a checked configuration, given one or a mapping. Raises ValidationError."""
        return validated(cls, {} if values is None else values)


class SessionConfig(Quota, Lifetime):
    """The settings of one session. None: no limit. The defaults never end a session."""

    auto_save_interval: Annotated[Annotated[float, Gt(0)] | None, NONE] = 300.0
    """The longest time without a snapshot while the session has changes in memory; None: no snapshots by time."""
    auto_collect_artifacts: bool = True
    """Store outputs of tools and agents as artifacts of the session."""
    enable_replay: bool = True
    """Whether the session may be replayed."""
    retention_days: Annotated[Annotated[float, Ge(0)] | None, NONE] = None
    """How long retention keeps the session after its end; None: for ever."""
    delete_after_idle_days: Annotated[Annotated[float, Gt(0)] | None, NONE] = None
    """Retention deletes the session, in any status, when nothing has happened in it for so long; None: never."""
    policies: PolicyConfig = PolicyConfig()
    """Policies of this session. What they set overrides the runtime's policies."""


def session_overrides(config: SessionConfig | Mapping[str, object]) -> dict[str, Any]:
    """Return the settings of a session's config that differ from the defaults. Raises ValidationError."""
    if issubclass(type(config), SessionConfig):
        config = cast(SessionConfig, config).model_dump(
            exclude_unset=True, warnings=False
        )  # checked again: a copy may have been changed without checks
    elif not issubclass(type(config), Mapping):
        raise ValidationError("config: a SessionConfig or a mapping is needed", field="config")
    return validated(SessionConfig, config).model_dump(exclude_unset=True)


UpdateConfig.checked = session_overrides


def config_in_force(overrides: Mapping[str, Any], limits: Limits, policies: PolicyConfig) -> SessionConfig:
    """Return the configuration in force for a session. Only its own settings count as set, so that another session that
    gets this configuration sets just the same."""
    values: dict[str, Any] = {
        name: setting_of(name, getattr(limits, name)) if hasattr(limits, name) else overrides.get(name, field.default)
        for name, field in SessionConfig.model_fields.items()
    }
    own = overrides.get("policies") or {}
    parts: dict[str, Any] = dict(policies)
    for name, part in policies:
        if isinstance(part, pydantic.BaseModel):
            parts[name] = type(part).model_construct(_fields_set=set(own.get(name) or ()), **dict(part))
    values["policies"] = PolicyConfig.model_construct(_fields_set=set(own), **parts)
    return SessionConfig.model_construct(_fields_set=set(overrides), **values)
