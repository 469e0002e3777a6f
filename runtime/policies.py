"""`rt.policies`: reads and changes the policies of a runtime, and tells which are in force for a session."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from greenroom.actors.messages.batch import Batch
from greenroom.actors.messages.internal import Consumption, GetConsumption
from greenroom.actors.policies.composition import Policy, Request, parallel, refusals_of, sequential, strictest, voting
from greenroom.actors.policies.rate import Demand, Rates
from greenroom.actors.policies.timekeeper import Timekeeper
from greenroom.actors.scheduling.callables import require_callable
from greenroom.actors.scheduling.operation import in_place
from greenroom.actors.session.state.limits import capped, limits_of, limits_with, rate_overrides, sections_of
from greenroom.actors.session.state.timeout import REASON
from greenroom.runtime.handles.session import required_session_id
from greenroom.storage.catalog.model import SessionRow
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.arguments import as_mapping, as_text
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.session_ids import is_session_id, session_bytes, session_id_of
from greenroom.storage.errors import GreenroomError, RateLimited, SessionNotFound, ValidationError

from .core import RuntimeCore

if TYPE_CHECKING:
    from greenroom.runtime.config.config import RuntimeConfig, SessionConfig
    from greenroom.runtime.config.policies import PolicyConfig, PolicyKeywords
    from greenroom.runtime.handles.session import Session

__all__ = ["Policies"]

_LATE: Final = {
    "PolicyConfig": "greenroom.runtime.config.policies",
    "PolicyKeywords": "greenroom.runtime.config.policies",
}

MAX_KIND: Final = 64
"""The most characters of the name of a kind of operation."""
_UNITS: contextvars.ContextVar[tuple[tuple[Policies, str, frozenset[str]], ...]] = contextvars.ContextVar(
    "greenroom_units", default=()
)
"""The units of work that the running code is within: the policies that admitted each, its session, and its kinds."""

logger = logger_of("policies")
_MOST_MADE: Final = 256


class Policies:
    """The policies of a runtime.

    Example:
        ```py
        rt.policies.get().rate.session               # None: not limited
        rt.policies.update(rate={"session": 600})    # from the next operation of every session on
        rt.policies.effective(session).resources.max_tokens
        rt.policies.usage(session)["tokens"].percent
        rt.policies.add("office hours", lambda request: request.kind != "llm_call" or is_open())
        ```
    """

    sequential = staticmethod(sequential)
    parallel = staticmethod(parallel)
    voting = staticmethod(voting)

    def __init__(self, core: RuntimeCore) -> None:
        """Use `Runtime.policies` instead."""
        self._core = core
        self._config = config = core.config.policies
        self._made: tuple[PolicyConfig, dict[bytes, SessionConfig]] = config, {}
        """The configurations that were asked for, by the settings of sessions, and the policies that they follow."""
        self._supervisor = supervisor = core.supervisor
        self._hooks = core.hooks
        self._lock = threading.Lock()
        self._added: dict[str, Policy] = {}
        self._own_rates = False
        self._rates = Rates(supervisor.services.clock, config.rates(), self._overrides)
        self.timekeeper = Timekeeper(supervisor.table, self._acted, lambda each: core.elastic.at_work_for(each) > 0)
        supervisor.table.own_rates = self._follow_own_rates
        supervisor.table.reconfigured = self._reconfigured
        self._arm()

    def __repr__(self) -> str:
        return "<Policies>"

    # -- reading

    def get(self) -> PolicyConfig:
        """Return the policies for sessions that set none themselves."""
        return self._config

    def effective(self, session: Session | str) -> PolicyConfig:
        """Return the policies in force for a session: the runtime's, overridden by those of the session's
        configuration.

        Raises SessionNotFound.
        """
        self._supervisor.security.require(_id_of(session), "policies.effective")
        row = self._row(session)
        return self._effective(unpack_value(row.config) if row.config is not None else {})

    def config_with(self, overrides: Mapping[str, Any]) -> SessionConfig:
        """Return the configuration in force for a session with these settings of its own."""
        config, made = self._config, self._made
        if made[0] is not config or len(made[1]) >= _MOST_MADE:
            made = self._made = config, {}
        key = pack_value(dict(overrides))
        found = made[1].get(key)
        if found is None:
            from greenroom.runtime.config.config import config_in_force

            found = config_in_force(overrides, limits_with(overrides, config.limits()), self._effective(overrides))
            made[1][key] = found
        return found

    def _effective(self, overrides: Mapping[str, Any]) -> PolicyConfig:
        config = self._config
        limits, rates = limits_with(overrides, config.limits()), (overrides.get("policies") or {}).get("rate") or {}
        rate = {
            **config.rate.model_dump(),
            **rates,
            "runtime": config.rate.runtime,
            "kinds": {**config.rate.kinds, **(rates.get("kinds") or {})},
        }
        return type(config).model_validate(
            {
                **sections_of(limits),
                "rate": rate,
                "composition": config.composition,
                "voting_threshold": config.voting_threshold,
            }
        )

    def usage(self, session: Session | str) -> dict[str, Consumption]:
        """Return how much a session has used of operations, artifacts, storage_bytes, tokens and cost_usd, with the
        limits.

        Raises SessionNotFound.
        """
        found: dict[str, Consumption] = self._supervisor.ask(
            _id_of(session), GetConsumption(), self._supervisor.services.store_timeout
        )
        return found

    # -- changing

    @checked
    def update(
        self, config: PolicyConfig | Mapping[str, object] | None = None, **sections: Unpack[PolicyKeywords]
    ) -> PolicyConfig:
        """Change policies until the runtime is closed, and return those in force. Give a whole PolicyConfig, or only
        the changes as a mapping or keywords (`rate={"session": 600}`).

        The change applies from the next command of every session. Used-up rates stay used. Calls the hooks at
        ConfigurationChange, which can veto it. Raises ValidationError, HookCancelled.
        """
        from greenroom.storage.common.validation import validated

        self._core.require_host("policies.update")
        while True:
            before = self._config
            after = _changed(before, config, sections)
            if self._hooks.at("ConfigurationChange") is not None:
                data = {"policies": after.model_dump(mode="json"), "before": before.model_dump(mode="json")}
                outcome = self._hooks.fire(
                    "ConfigurationChange", data, component="policies", operation="UpdatePolicies"
                )
                after = validated(type(before), dict(outcome.data["policies"]))
            with self._lock:
                if self._config is not before:
                    continue  # another thread has changed policies meanwhile: do not undo that
                self._config = after
                self._supervisor.services.limits = after.limits()
                self._rates.change(after.rates())
                self._arm()
            self.timekeeper.forget()
            return after

    @checked
    def add(self, name: str, policy: Policy) -> None:
        """Add a policy of the host. It is asked before every operation, on the caller's thread.

        The policy gets a `PolicyRequest`. It allows the request by returning None or True, and refuses it by raising a
        GreenroomError or returning False. Combine several with `sequential`, `parallel` and `voting`. Raises
        ValidationError for a name that is taken.
        """
        self._core.require_host("policies.add")
        require_callable("policy", policy, "a request")
        with self._lock:
            if name in self._added:
                raise ValidationError(f"there is a policy {name!r} already: remove it first", field="name")
            self._added = {**self._added, name: policy}
            self._arm()

    @checked
    def remove(self, name: str) -> bool:
        """Remove a policy of the host and return whether it was there."""
        self._core.require_host("policies.remove")
        with self._lock:
            there = name in self._added
            self._added = {each: policy for each, policy in self._added.items() if each != name}
            self._arm()
        return there

    def names(self) -> list[str]:
        """Return the names of the added policies, in the order in which they are asked."""
        return list(self._added)

    # -- for the runtime itself

    @contextlib.contextmanager
    def admitted(self, session_id: str, kinds: Sequence[str]) -> Iterator[None]:
        """Count one operation of each of these kinds in a session, and let rates pass all further ones of the code
        inside. Raises RateLimited, and then counts none."""
        if not kinds:
            raise ValidationError("kinds: name at least one kind of operation, such as message", field="kinds")
        wanted = frozenset(as_text("kinds", kind, MAX_KIND) for kind in kinds)
        self._supervisor.security.require(session_id, "session.admitted", "write")
        if self._supervisor.delivery.rates is not None:
            self._admit_all([(Demand(kind, session_id, 1), "admitted") for kind in sorted(wanted)])
        with in_place(_UNITS, (*_UNITS.get(), (self, session_id, wanted))):
            yield

    def _is_admitted(self, demand: Demand) -> bool:
        """Return whether the running code is within a unit of work that was admitted for this kind of operation."""
        return any(
            policies is self and session_id == demand.session_id and demand.kind in kinds
            for policies, session_id, kinds in _UNITS.get()
        )

    def require(self, kind: str, session: Session | str | None = None) -> None:
        """Count an operation that is not a message. Raises RateLimited, or what a policy of the host raises."""
        if session is not None:
            self._supervisor.security.require(_id_of(session), "policies.require", "write")
        if self._supervisor.delivery.rates is not None:
            self._admit(kind, _id_of(session) if session is not None else None, kind, 1)

    def for_child(self, overrides: Mapping[str, Any], principal: str) -> dict[str, Any]:
        """Return the configuration of a session that code acting for `principal` creates. No limit is looser than the
        principal's own."""
        row = self._row(principal)
        default = self._config.limits()
        limits = limits_of(row.config, default)
        return capped(overrides, default, limits, rate_overrides(row.config), self._config.rates())

    def script_memory(self, session_id: str | None, config: RuntimeConfig) -> int:
        """Return the bytes of memory for a script that is bound to this session, or to none."""
        most = config.script_memory_bytes
        if session_id is None:
            return most
        limit = limits_of(self._row(session_id).config, self._config.limits()).max_script_memory_bytes
        return most if limit is None else min(limit, most)

    def _gate(self, session_id: str, message: Any) -> None:
        """Check a message to a session. In use only while there are rates or policies of the host."""
        kind = message.rate
        if kind is not None:
            self._admit(kind, session_id, message.__class__.__name__, message.operations)
        elif message.__class__ is Batch:
            each = zip(message.targets, message.commands, strict=True)
            counted = [(Demand(one.rate, to or session_id, one.operations), one) for to, one in each if one.rate]
            self._admit_all([(demand, one.__class__.__name__) for demand, one in counted])

    def _admit(self, kind: str, session_id: str | None, name: str, count: int) -> None:
        if self._added or _UNITS.get():
            self._admit_all([(Demand(kind, session_id, count), name)])
            return
        try:
            self._rates.take(kind, session_id, count)
        except RateLimited as error:
            self._note_refusal(error, kind, session_id)
            raise

    def _admit_all(self, wanted: Sequence[tuple[Demand, str]]) -> None:
        """Count operations, each with the name of its message, or none of them. Raises RateLimited, or what a policy of
        the host raises."""
        demands = [demand for demand, _ in wanted]
        if _UNITS.get():
            demands = [demand for demand in demands if not self._is_admitted(demand)]
        try:
            if self._added:
                principal = self._supervisor.security.principal()
                requests = [Request(demand.kind, demand.session_id, name, principal) for demand, name in wanted]
                self._ask_all(requests, demands)
            elif (error := self._rates.refusal(demands, taking=True)) is not None:
                raise error
        except RateLimited as error:
            for session_id in {each.session_id for each in demands if is_session_id(each.session_id)}:
                self._note_refusal(error, wanted[0][0].kind, session_id)
            raise

    def _note_refusal(self, error: RateLimited, kind: str, session_id: str | None) -> None:
        """Have the session journal, with its next change, that rates have refused an operation."""
        actor = self._supervisor.table.resident_actor(session_id) if session_id is not None else None
        if actor is not None:
            actor.refused("rate", error.fields.get("kind", kind), error.fields.get("limit", 0))

    def _ask_all(self, requests: Sequence[Request], demands: Sequence[Demand]) -> None:
        config, added, rates = self._config, self._added, self._rates
        voting, sequential = config.composition == "voting", config.composition == "sequential"
        if sequential:
            for request in requests:
                for policy in added.values():
                    refusals = refusals_of((policy,), request)
                    if refusals:
                        raise refusals[0]
        else:
            most = config.voting_threshold * (len(added) + 1) if voting else 0.0
            limited = rates.refusal(demands, taking=False)
            for request in requests:
                refusals = refusals_of(added.values(), request)
                if limited is not None:
                    refusals.append(limited)
                if len(refusals) > most:
                    raise strictest(refusals)
        error = rates.refusal(demands, taking=True)
        if error is not None and not voting:  # rates that refuse it and are outvoted count nothing
            raise error

    def _arm(self) -> None:
        """Switch the check of messages on if there is anything to check. The caller holds the lock."""
        needed = self._added or self._own_rates or self._config.rates().any
        self._supervisor.delivery.rates = self._gate if needed else None

    def _follow_own_rates(self) -> None:
        with self._lock:
            self._own_rates = True
            self._arm()

    def _reconfigured(self, session: bytes) -> None:
        self._rates.forget(session_id_of(session))
        self.timekeeper.forget(session)

    def _overrides(self, session_id: str) -> Mapping[str, Any] | None:
        if not is_session_id(session_id):
            return None
        row = self._supervisor.services.store.catalog.row(session_bytes(session_id))
        return None if row is None else rate_overrides(row.config)

    def _row(self, session: Session | str) -> SessionRow:
        session_id = _id_of(session)
        row = None
        if is_session_id(session_id):
            row = self._supervisor.services.store.catalog.row(session_bytes(session_id))
        if row is None:
            raise SessionNotFound(f"there is no session {session_id[:64]!r}", session_id=session_id[:64])
        return row

    def _acted(self, session_id: str, outcome: str) -> None:
        """Call the After hooks of a session that its timeouts suspended or failed, outside of the session's turn. There
        are no Before hooks, because a timeout cannot be vetoed."""
        point, reason = _FOLLOWING[outcome]
        if self._hooks.at(point) is None:
            return
        call = partial(self._hooks.fire, point, {"reason": reason}, session_id=session_id, component="policies")
        try:
            self._core.elastic.submit(call)
        except GreenroomError as error:
            logger.warning("%s of session %s is not told to hooks: %s", point, session_id, error)


_FOLLOWING: Final = {
    "session.failed": ("SessionFailed", REASON),
    "session.suspended": ("SessionSuspended", "idle"),
}


def _id_of(session: Session | str) -> str:
    return required_session_id(session, "session")


def _changed(
    before: PolicyConfig, config: PolicyConfig | Mapping[str, Any] | None, sections: Mapping[str, Any]
) -> PolicyConfig:
    from pydantic import BaseModel

    from greenroom.storage.common.validation import validated

    changes = config.model_dump() if isinstance(config, BaseModel) else config or {}
    values = before.model_dump()
    for name, change in {**changes, **sections}.items():
        section, kind = values.get(name), type(change)
        if issubclass(kind, BaseModel):
            change = change.model_dump(exclude_unset=True)
        elif issubclass(kind, Mapping):
            change = as_mapping(name, change)
        values[name] = {**section, **change} if isinstance(section, dict) and type(change) is dict else change
    return validated(type(before), values)
