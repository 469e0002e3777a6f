"""The policies of a runtime and of single sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypedDict

import pydantic
from annotated_types import Ge, Gt, Le, Lt, MaxLen

from greenroom.actors.session.state.limits import Limits, RateLimits, limits_with
from greenroom.storage.common.validation import Checked

__all__ = [
    "NONE",
    "Lifetime",
    "Limit",
    "PolicyConfig",
    "PolicyKeywords",
    "Quota",
    "RatePolicy",
    "ResourcePolicy",
    "TimeoutPolicy",
]

LONGEST: Final = 1e9
"""Seconds, about thirty years. Longer times could not be stored."""
Seconds = Annotated[float, Gt(0), Le(LONGEST)]
Percent = Annotated[float, Gt(0), Lt(100)]
PerMinute = Annotated[float, Ge(1e-6), Le(1e12)]
_MAX_STEPS: Final = 16
_DEFAULT: Final = Limits()


def _no_limit(given: Any) -> Any:
    return None if isinstance(given, str) and given.strip().lower() == "none" else given


NONE: Final = pydantic.BeforeValidator(_no_limit)
"""Reads the text "none" as None: TOML and environment variables cannot express None."""


Limit = Annotated[Annotated[int, Ge(0)] | None, NONE]


class _Section(Checked):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Lifetime(_Section):
    """How long a session may last, in seconds. None, the default, sets no limit."""

    max_duration: Annotated[Seconds | None, NONE] = _DEFAULT.max_duration
    """The time an active session may last from its creation or last resume. After that it fails ("timeout")."""
    idle_timeout: Annotated[Seconds | None, NONE] = _DEFAULT.idle_timeout
    """The time a session may be without events. After that it is suspended."""


class TimeoutPolicy(Lifetime):
    """How long a session may last, the grace period and the warnings."""

    grace_period: Annotated[float, Ge(0), Le(LONGEST)] = _DEFAULT.grace_period
    """The time between the end of `max_duration`, as first seen by the runtime, and failing."""
    warnings: Annotated[tuple[Seconds, ...], MaxLen(_MAX_STEPS)] = _DEFAULT.warnings
    """How long before the end of `max_duration` warnings are journaled."""


class Quota(_Section):
    """Limits on what a session stores and does; None: no limit."""

    max_operations: Limit = None
    """Commands that the session may perform."""
    max_artifacts: Limit = _DEFAULT.max_artifacts
    max_storage_bytes: Limit = _DEFAULT.max_storage_bytes
    """Not counting artifacts that collectors made of outputs."""
    max_collected_artifacts: Limit = _DEFAULT.max_collected_artifacts
    max_collected_bytes: Limit = _DEFAULT.max_collected_bytes
    """Limit for artifacts that collectors made of outputs. Above it, outputs are not collected any more."""
    max_records: Limit = _DEFAULT.max_records
    max_record_bytes: Limit = _DEFAULT.max_record_bytes
    """Limit for the keys and values of all records together."""
    max_state_bytes: Limit = _DEFAULT.max_state_bytes
    """Limit for all variables together: keys, encoded values and 160 bytes each. It also holds for the state of a
    scope."""


class RatePolicy(_Section):
    """Limits of operations per minute; None: no limit."""

    runtime: Annotated[PerMinute | None, NONE] = None
    """For all sessions together."""
    session: Annotated[PerMinute | None, NONE] = None
    """For each session."""
    kinds: Annotated[dict[Annotated[str, MaxLen(64)], Annotated[PerMinute | None, NONE]], MaxLen(64)] = pydantic.Field(
        default_factory=dict
    )
    """For each kind of operation, of all sessions together: llm_call, tool_execution, state_update, artifact_store,
    artifact_delete, message, event, session_create, read, operation. In a session's policies: for its own."""
    burst: Annotated[float, Ge(1), Le(1e6)] = 1.5
    """The burst allowed after a quiet time, in minutes' worth of operations."""


class ResourcePolicy(Quota):
    """Limits on the resources that a session uses up; None: no limit."""

    max_tokens: Limit = None
    """Limits for all calls of agents together. Once used up, the next call is refused."""
    max_tokens_per_operation: Limit = None
    """Limit for one call of an agent."""
    max_cost_usd: Annotated[Annotated[float, Ge(0), Le(1e12)] | None, NONE] = None
    """Limit for all calls of agents together, in US dollars. Once used up, the next call is refused."""
    max_script_memory_bytes: Annotated[Annotated[int, Ge(1 << 20)] | None, NONE] = None
    """Limit for scripts that are bound to a session. At most the runtime's `script_memory_bytes` applies."""
    alert_thresholds: Annotated[tuple[Percent, ...], MaxLen(_MAX_STEPS)] = _DEFAULT.alert_thresholds
    """Percentages of a limit at which warnings are journaled, each once."""


class PolicyConfig(_Section):
    """Limits of time, rate and resources for sessions.

    As `RuntimeConfig.policies` it holds for all sessions. As `SessionConfig.policies`, the settings given override the
    runtime's, whether stricter or looser; `rate.runtime` and `composition` have no effect there.
    """

    timeout: TimeoutPolicy = TimeoutPolicy()
    rate: RatePolicy = RatePolicy()
    resources: ResourcePolicy = ResourcePolicy()
    """Limits of time, rate and resources."""
    composition: Literal["sequential", "parallel", "voting"] = "sequential"
    """How the rates and the host's added policies are combined; see `rt.policies.add`."""
    voting_threshold: Annotated[float, Ge(0), Lt(1)] = 0.5
    """With `voting`: an operation is refused if more than this share refuses it."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        """Read a text, as from an environment variable: "strict", "default", or JSON."""
        if not isinstance(given, str):
            return given
        if given in _PRESETS:
            return _PRESETS[given]
        try:
            return json.loads(given)
        except ValueError:
            raise ValueError("a preset (default, strict) or an object is needed") from None

    @classmethod
    def strict(cls) -> Self:
        """Rates on: 1000 operations a minute by all sessions, 100 by each; 60 llm_call, 120 tool_execution and 300
        state_update by all; half as much again at once."""
        return cls.model_validate(_PRESETS["strict"])

    def limits(self) -> Limits:
        """Return the limits for a session that sets none itself."""
        return limits_with({"policies": {"timeout": dict(self.timeout), "resources": dict(self.resources)}}, _DEFAULT)

    def rates(self) -> RateLimits:
        """Return the rates for the runtime, and for a session that sets none itself."""
        return RateLimits(**dict(self.rate))


_PRESETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "strict": {
        "rate": {
            "runtime": 1000.0,
            "session": 100.0,
            "kinds": {"llm_call": 60.0, "tool_execution": 120.0, "state_update": 300.0},
            "burst": 1.5,
        }
    },
}


class PolicyKeywords(TypedDict, total=False):
    """The sections of a `PolicyConfig`, for type checkers and editors."""

    timeout: TimeoutPolicy | Mapping[str, object]
    rate: RatePolicy | Mapping[str, object]
    resources: ResourcePolicy | Mapping[str, object]
    composition: Literal["sequential", "parallel", "voting"]
    voting_threshold: float
