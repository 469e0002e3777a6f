"""What a host may configure. Unknown keys are refused; sizes are bytes, times seconds unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import pydantic
from annotated_types import Ge, Gt, Le

from greenroom.actors.messages.lifecycle import UpdateConfig
from greenroom.actors.session.redaction import Redaction
from greenroom.actors.session.state.limits import Limits, setting_of
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.validation import Checked, validated
from greenroom.storage.errors import ValidationError

from .policies import NONE, Lifetime, PolicyConfig, Quota, Seconds

__all__ = ["RuntimeConfig", "SessionConfig", "session_overrides"]

_LARGEST = (1 << 63) - 1
"""What RocksDB and Lua take at most."""
Bytes = Annotated[int, Ge(0), Le(_LARGEST)]
Count = Annotated[int, Ge(1), Le(_LARGEST)]


class RuntimeConfig(Checked):
    """The settings of a runtime."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    durability: Durability = Durability.WAL
    """What an acknowledged write survives: `memory` nothing, `wal` the process's death, `fsync` the machine's."""
    ask_timeout: Seconds = 30.0
    """How long a call waits for a session's answer unless it says otherwise."""
    close_timeout: Seconds = 10.0
    """How long closing waits for messages to be handled and states to be saved."""
    handle_signals: bool = True
    """Close on SIGTERM, where the host has not installed a handler of its own. SIGINT is the host's own affair."""

    workers: Annotated[int, Ge(1), Le(64)] = 4
    """Threads that handle the messages of busy sessions."""
    mailbox_capacity: Count = 4096
    """Messages that may wait for one session."""
    max_resident_sessions: Count = 10_000
    max_resident_bytes: Bytes = 256 << 20
    """How many sessions, and how many bytes of their states, stay in memory."""
    passivate_after: Seconds = 300.0
    """How long an unused session stays in memory."""
    snapshot_every: Count = 32
    """A session that leaves memory gets a snapshot if it has more events than this since its last one."""
    max_restarts: Annotated[int, Ge(0)] = 3
    restart_window: Seconds = 60.0
    """A session whose handler fails more often than this within the window is failed for good."""

    artifact_cache_bytes: Bytes = 64 << 20
    """Content that is kept in memory for reading; 0 turns the cache off."""
    max_artifact_bytes: Count = 100 << 20
    """Content that one call may carry; streams and files may be larger."""
    max_artifact_name: Annotated[int, Ge(1), Le(4096)] = 255
    compress_above: Bytes = 10 << 10
    """Content of more bytes than this is compressed, if that makes it smaller."""
    max_store_bytes: Annotated[Bytes | None, NONE] = None
    """What all contents together may have, each counted once and before compression."""
    block_cache_bytes: Bytes = 32 << 20
    write_buffer_bytes: Annotated[int, Ge(4 << 20), Le(_LARGEST)] = 64 << 20
    """RocksDB's memory: cached blocks, and writes that are not in table files yet."""

    audit_max_records: Count = 100_000
    audit_retention_days: Annotated[float, Gt(0), Le(36_500)] = 90.0
    """How many records of access across sessions are kept, and for how long."""

    analytics_privacy: bool = False
    """Metrics and traces name pseudonyms in place of session ids and creators."""
    analytics_key_file: Path | None = None
    """A file whose content is the key of the pseudonyms; without one they hold until the runtime is closed."""
    analytics_retention_days: Annotated[Annotated[float, Gt(0), Le(36_500)] | None, NONE] = None
    """How far back analytics look. Older events stay, and are not counted."""

    tool_timeout: Seconds = 30.0
    agent_timeout: Seconds = 120.0
    """How long a tool and an agent may take that say nothing else of themselves."""
    workflow_timeout: Seconds = 600.0
    """How long a workflow may take unless it says otherwise."""
    max_session_calls: Count = 64
    """Tools and agents of one session that may be at work at once; one that hangs counts until it returns."""
    max_elastic_threads: Annotated[int, Ge(1), Le(10_000)] = 256
    """Threads for tools, agents and hooks that may block; one that hangs keeps its thread."""

    policies: PolicyConfig = PolicyConfig()
    """What sessions may use of time, rate and resources, where their own configuration says nothing else."""

    refresh_interval: Seconds = 0.25
    """How often a runtime that is open for reading only looks whether the writing one has written."""

    redact: tuple[str, ...] | Callable[[str], str] = ()
    """Regular expressions, or a function from text to text, that take secrets out of content before it is journaled:
    messages, variables, inputs and results of tools, replies of agents, metadata. Running code gets it as it is."""

    script_timeout: Seconds = 5.0
    script_memory_bytes: Annotated[int, Ge(1 << 20), Le(_LARGEST)] = 64 << 20
    script_instructions: Count = 200_000_000
    """What one script may use."""

    @pydantic.field_validator("redact")
    @classmethod
    def _has_rules(cls, value: Any) -> Any:
        if value:
            Redaction(value)
        return value

    @classmethod
    def build(cls, values: RuntimeConfig | Mapping[str, Any] | None) -> RuntimeConfig:
        """Return a configuration from one or from a mapping. Raises ValidationError."""
        return validated(cls, {} if values is None else values)


class SessionConfig(Quota, Lifetime):
    """The settings of one session. None: no limit. No default ends a session."""

    auto_save_interval: Annotated[Annotated[float, Gt(0)] | None, NONE] = 300.0
    """How long what it does may go without a snapshot while it is in memory; None: as long as it is there."""
    auto_collect_artifacts: bool = True
    enable_replay: bool = True
    retention_days: Annotated[Annotated[float, Ge(0)] | None, NONE] = None
    """How long after its end `cleanup` leaves it; None: for ever."""
    policies: PolicyConfig = PolicyConfig()
    """What it sets wins over the runtime's policies for this session."""


def session_overrides(config: SessionConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return what a session's config says other than the defaults. Raises ValidationError."""
    if issubclass(type(config), SessionConfig):
        config = cast(SessionConfig, config).model_dump(
            exclude_unset=True, warnings=False
        )  # and checked again: a copy may have been changed unchecked
    elif not issubclass(type(config), Mapping):
        raise ValidationError("config: a SessionConfig or a mapping is needed", field="config")
    return validated(SessionConfig, config).model_dump(exclude_unset=True)


UpdateConfig.checked = session_overrides


def config_in_force(overrides: Mapping[str, Any], limits: Limits, policies: PolicyConfig) -> SessionConfig:
    """Return the configuration that holds for a session: what it sets itself counts as set, all else as default. So one
    that is given to another session sets there what it sets here."""
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
