"""The policies that a host may set, for a runtime and for single sessions."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal, Self

import pydantic
from annotated_types import Ge, Gt, Le, Lt, MaxLen

from greenroom.actors.session.state.limits import Limits, RateLimits, limits_with
from greenroom.storage.common.validation import Checked

__all__ = [
    "NONE",
    "Lifetime",
    "Limit",
    "PolicyConfig",
    "Quota",
    "RatePolicy",
    "ResourcePolicy",
    "TimeoutPolicy",
]

LONGEST: Final = 1e9
"""Seconds, some thirty years: more could not be kept as a time."""
Seconds = Annotated[float, Gt(0), Le(LONGEST)]
Percent = Annotated[float, Gt(0), Lt(100)]
PerMinute = Annotated[float, Ge(1e-6), Le(1e12)]
_MAX_STEPS: Final = 16
_DEFAULT: Final = Limits()


def _no_limit(given: Any) -> Any:
    return None if isinstance(given, str) and given.strip().lower() == "none" else given


NONE: Final = pydantic.BeforeValidator(_no_limit)
"""Takes the text "none" for None: TOML and environment variables have no other word for no limit."""


Limit = Annotated[Annotated[int, Ge(0)] | None, NONE]


class _Section(Checked):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Lifetime(_Section):
    """How long a session may last. Seconds; None: for ever, which is the default: only who sets `max_duration` has
    sessions ended for their time."""

    max_duration: Annotated[Seconds | None, NONE] = _DEFAULT.max_duration
    """Of an active session, from its creation, or from when it was last resumed. Over it, it fails ("timeout")."""
    idle_timeout: Annotated[Seconds | None, NONE] = _DEFAULT.idle_timeout
    """Without an event. Over it, the session is suspended."""


class TimeoutPolicy(Lifetime):
    """How long a session may last, and what comes before its end."""

    grace_period: Annotated[float, Ge(0), Le(LONGEST)] = _DEFAULT.grace_period
    """Between the end of `max_duration` and failing: from when the runtime first sees that it is over."""
    warnings: Annotated[tuple[Seconds, ...], MaxLen(_MAX_STEPS)] = _DEFAULT.warnings
    """How long before the end of `max_duration` a warning is journaled."""


class Quota(_Section):
    """What a session may store and do; None: no limit."""

    max_operations: Limit = None
    max_artifacts: Limit = _DEFAULT.max_artifacts
    max_storage_bytes: Limit = _DEFAULT.max_storage_bytes
    """Without those artifacts that collectors have made of outputs."""
    max_collected_artifacts: Limit = _DEFAULT.max_collected_artifacts
    max_collected_bytes: Limit = _DEFAULT.max_collected_bytes
    """Of the artifacts that collectors have made of outputs. Over it, outputs are not collected any more."""
    max_state_bytes: Limit = _DEFAULT.max_state_bytes
    """Of all variables together: their keys and encoded values, and 160 bytes for each. Of the state of a scope too."""


class RatePolicy(_Section):
    """Operations per minute; None: as many as they like."""

    runtime: Annotated[PerMinute | None, NONE] = None
    """Of all sessions together."""
    session: Annotated[PerMinute | None, NONE] = None
    """Of each session."""
    kinds: Annotated[dict[Annotated[str, MaxLen(64)], Annotated[PerMinute | None, NONE]], MaxLen(64)] = pydantic.Field(
        default_factory=dict
    )
    """Of each kind of operation, by all sessions together: llm_call, tool_execution, state_update, artifact_store,
    artifact_delete, message, event, session_create, read, operation. In a session's policies: its own."""
    burst: Annotated[float, Ge(1), Le(1e6)] = 1.5
    """How many minutes' worth may come at once after a quiet time."""


class ResourcePolicy(Quota):
    """What a session may use up; None: no limit."""

    max_tokens: Limit = None
    """Of all calls of agents together. The next call is refused once they are used up."""
    max_tokens_per_operation: Limit = None
    max_cost_usd: Annotated[Annotated[float, Ge(0), Le(1e12)] | None, NONE] = None
    max_script_memory_bytes: Annotated[Annotated[int, Ge(1 << 20)] | None, NONE] = None
    """Of scripts that are bound to a session. Never more than the runtime's `script_memory_bytes`."""
    alert_thresholds: Annotated[tuple[Percent, ...], MaxLen(_MAX_STEPS)] = _DEFAULT.alert_thresholds
    """Percentages of a limit at which a warning is journaled, each once."""


class PolicyConfig(_Section):
    """What sessions may use of time, rate and resources.

    As `RuntimeConfig.policies` it holds for all sessions; as `SessionConfig.policies` what it sets (and only that) wins
    over the runtime's, in both directions. There `rate.runtime` and `composition` mean nothing: they are not one
    session's to set.
    """

    timeout: TimeoutPolicy = TimeoutPolicy()
    rate: RatePolicy = RatePolicy()
    resources: ResourcePolicy = ResourcePolicy()
    composition: Literal["sequential", "parallel", "voting"] = "sequential"
    """How the rates and the policies that the host has added decide together, see `rt.policies.add`."""
    voting_threshold: Annotated[float, Ge(0), Lt(1)] = 0.5
    """With `voting`: more than this share of them must refuse."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        """Text, as from an environment variable: "strict", "default", or JSON."""
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
        """Return what holds for a session that sets nothing itself."""
        return limits_with({"policies": {"timeout": dict(self.timeout), "resources": dict(self.resources)}}, _DEFAULT)

    def rates(self) -> RateLimits:
        """Return the rates that hold for the runtime, and for a session that sets none itself."""
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
