"""The limits of one session: the runtime's, overridden by those of its configuration."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from greenroom.storage.codec.records import unpack_value
from greenroom.storage.errors import ValidationError

__all__ = [
    "MICRO",
    "UNLIMITED",
    "Limits",
    "RateLimits",
    "capped",
    "limits_of",
    "limits_of_scope",
    "limits_with",
    "merged",
    "micro_dollars",
    "rate_overrides",
    "sections_of",
    "setting_of",
]


UNLIMITED: Final = 1 << 62
"""Stands for no limit where every operation compares with a number."""
MICRO: Final = 1_000_000


def _set_in(section: str, default: Any = None, **facts: Any) -> Any:
    """Declare a limit that a section of the policies sets, under the same name unless `name` is among the facts.
    `counted`: UNLIMITED stands for no limit; `limiting`: a lower value is stricter."""
    return dataclasses.field(default=default, metadata={"section": section, **facts})


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one session, and how often it is saved. Sizes are bytes, times seconds, cost micro-dollars. None,
    UNLIMITED and infinity mean no limit. No default ends a session."""

    max_artifacts: int = _set_in("resources", 10_000, counted=True)
    max_storage_bytes: int = _set_in("resources", 10 << 30, counted=True)
    max_collected_artifacts: int = _set_in("resources", 10_000, counted=True)
    max_collected_bytes: int = _set_in("resources", 10 << 30, counted=True)
    max_records: int = _set_in("resources", 1_000_000, counted=True)
    max_record_bytes: int = _set_in("resources", 10 << 30, counted=True)
    max_state_bytes: int = _set_in("resources", 64 << 20, counted=True)
    max_operations: int = _set_in("resources", UNLIMITED, counted=True)
    auto_save_interval: float = 300.0
    auto_collect_artifacts: bool = True
    max_tokens: int | None = _set_in("resources")
    max_tokens_per_operation: int | None = _set_in("resources")
    max_cost: int | None = _set_in("resources", name="max_cost_usd")
    max_script_memory_bytes: int | None = _set_in("resources")
    alert_thresholds: tuple[float, ...] = _set_in("resources", (50.0, 75.0, 90.0), limiting=False)
    max_duration: float | None = _set_in("timeout")
    idle_timeout: float | None = _set_in("timeout")
    grace_period: float = _set_in("timeout", 60.0)
    warnings: tuple[float, ...] = _set_in("timeout", (300.0, 60.0), limiting=False)


_SET: Final = [each for each in dataclasses.fields(Limits) if "section" in each.metadata]
_POLICIES: Final = [(each.metadata["section"], each.metadata.get("name", each.name), each.name) for each in _SET]
"""For each setting of a session's policies: section, name of the setting, field of Limits."""
_COUNTED: Final = frozenset(each.name for each in _SET if each.metadata.get("counted"))
_NOT_LIMITING: Final = frozenset(each.name for each in _SET if not each.metadata.get("limiting", True))


def limits_of(config: bytes | None, default: Limits) -> Limits:
    """Return the limits of a session that was created with this (encoded) configuration.

    A setting in it overrides the default, in both directions. Of a limit set in two places the stricter value holds.
    """
    if config is None:
        return default
    overrides = unpack_value(config)
    if not isinstance(overrides, dict):
        raise ValidationError("config: an object is needed", field="config")
    return limits_with(overrides, default)


def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge changes into a configuration. Sections of `policies` are changed setting by setting. Of a limit that can be
    set in two places, only the setting made last is kept."""
    after = {**before, **changes}
    policies = dict(before.get("policies") or {})
    changed = changes.get("policies") or {}
    for name, settings in changed.items():
        policies[name] = {**(policies.get(name) or {}), **settings} if isinstance(settings, Mapping) else settings
    for section, name, _ in _POLICIES:
        if name in (changed.get(section) or {}):
            if name not in changes:
                after.pop(name, None)
        elif name in changes and name in (policies.get(section) or {}):
            policies[section] = {each: value for each, value in policies[section].items() if each != name}
    policies = {name: settings for name, settings in policies.items() if settings != {}}
    after.pop("policies", None)
    return {**after, "policies": policies} if policies else after


def limits_of_scope(default: Limits) -> Limits:
    """Return the limits for the state of a scope, which is no session: it stores only variables, and has no end."""
    return Limits(max_state_bytes=default.max_state_bytes, auto_save_interval=default.auto_save_interval)


def limits_with(overrides: Mapping[str, Any], default: Limits) -> Limits:
    """Return the default limits, overridden by those of a session's configuration."""
    found: dict[str, Any] = {
        name: _as_limit(name, value) for name, value in overrides.items() if name in Limits.__dataclass_fields__
    }
    policies = overrides.get("policies") or {}
    for section, name, field in _POLICIES:
        settings = policies.get(section) or {}
        if name not in settings:
            continue
        value = _as_limit(field, settings[name])
        found[field] = _stricter(found[field], value) if field in found and field not in _NOT_LIMITING else value
    return replace(default, **found) if found else default


def _as_limit(field: str, setting: Any) -> Any:
    if field == "max_cost":
        return micro_dollars(setting)
    if field in _NOT_LIMITING:
        return tuple(setting)
    if setting is None and field in _COUNTED:
        return UNLIMITED
    if setting is None and field == "auto_save_interval":
        return math.inf
    return setting


def setting_of(field: str, limit: Any) -> Any:
    """Return a limit in the form in which it is set."""
    if limit is None or limit in (UNLIMITED, math.inf):
        return None
    return limit / MICRO if field == "max_cost" else limit


def sections_of(limits: Limits) -> dict[str, dict[str, Any]]:
    """Return limits as the sections of the policies that set them."""
    sections: dict[str, dict[str, Any]] = {}
    for section, name, field in _POLICIES:
        sections.setdefault(section, {})[name] = setting_of(field, getattr(limits, field))
    return sections


def micro_dollars(dollars: float | None) -> int | None:
    """Return an amount in whole micro-dollars."""
    return None if dollars is None else round(dollars * MICRO)


def _stricter(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def capped(
    overrides: Mapping[str, Any], default: Limits, cap: Limits, rates: Mapping[str, Any], runtime_rates: RateLimits
) -> dict[str, Any]:
    """Return the configuration with nothing looser in it than `cap`. Code that acts for a session may give a child no
    more.

    The default stands for settings that the configuration does not have; `rates` are those that the session itself has
    set. A setting equal to the default is left out, so that it goes on following the runtime.
    """
    wanted = limits_with(overrides, default)
    kept = dict(overrides)
    policies: dict[str, dict[str, Any]] = {
        section: dict(settings or {}) for section, settings in (kept.pop("policies", None) or {}).items()
    }
    for section, name, field in _POLICIES:
        if field in _NOT_LIMITING:
            continue
        value = _stricter(getattr(wanted, field), getattr(cap, field))
        kept.pop(name, None)
        policies.get(section, {}).pop(name, None)
        if value != getattr(default, field):
            policies.setdefault(section, {})[name] = setting_of(field, value)
    own_rates = _capped_rates(policies.pop("rate", {}), rates, runtime_rates)
    if own_rates:
        policies["rate"] = own_rates
    return {**kept, "policies": policies} if any(policies.values()) else kept


def _capped_rates(wanted: dict[str, Any], rates: Mapping[str, Any], runtime: RateLimits) -> dict[str, Any]:
    capped_rates: dict[str, Any] = {}
    for name in ("session", "burst"):
        if name in wanted or name in rates:
            value = _stricter(wanted.get(name), rates.get(name, getattr(runtime, name)))
            if name in rates or value != getattr(runtime, name):  # otherwise it goes on following the runtime
                capped_rates[name] = value
    own, asked = rates.get("kinds") or {}, wanted.get("kinds") or {}
    kinds = {kind: _stricter(asked.get(kind), rate) for kind, rate in own.items()}
    # A bucket of its own would replace the bucket that all sessions share.
    kinds |= {
        kind: rate
        for kind, rate in asked.items()
        if kind not in own and rate is not None and runtime.kinds.get(kind) is None
    }
    return {**capped_rates, "kinds": kinds} if kinds else capped_rates


def rate_overrides(config: bytes | None) -> dict[str, Any]:
    """Return the rates in a session's configuration; empty for most sessions."""
    if config is None:
        return {}
    overrides = unpack_value(config)
    rates = (overrides.get("policies") or {}).get("rate") if isinstance(overrides, dict) else None
    return dict(rates or {})


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Operations per minute; None means no limit."""

    runtime: float | None = None
    session: float | None = None
    """The rate of each session."""
    kinds: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    """The rate of each kind, for all sessions together."""
    burst: float = 1.5
    """How many minutes' worth of operations a bucket holds: so many may come at once after a quiet time."""

    @property
    def any(self) -> bool:
        return self.runtime is not None or self.session is not None or any(v is not None for v in self.kinds.values())
