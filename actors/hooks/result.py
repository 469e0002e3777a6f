"""What a hook may answer: nine kinds of result, each with an effect of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from greenroom.storage.errors import ValidationError

__all__ = ["CONTINUE", "KINDS", "HookResult", "result_of"]

KINDS: Final = ("continue", "modified", "cancel", "redirect", "replace", "retry", "fork", "cache", "skipped")

MAX_DELAY: Final = 60.0
MAX_ATTEMPTS: Final = 100
MAX_FORKS: Final = 16
MAX_KEY: Final = 1024
_MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class HookResult:
    """The answer of a hook. Make one with the method named after its kind; None counts as `continue_()`.

    Example:
        ```py
        def no_secrets(context):
            if "password" in context.data["key"]:
                return HookResult.cancel("passwords are not kept here")

        rt.hooks.register("BeforeStateWrite", no_secrets)
        ```
    """

    kind: str
    data: Mapping[str, Any] | None = None
    reason: str = ""
    target: str | None = None
    value: Any = None
    delay: float = 0.0
    max_attempts: int = 0
    operations: tuple[Any, ...] = ()
    key: str = ""
    ttl: float = 0.0

    @classmethod
    def continue_(cls) -> HookResult:
        """Go on. What the hook has changed in `context.data` counts."""
        return CONTINUE

    @classmethod
    def modified(cls, data: Mapping[str, Any]) -> HookResult:
        """Go on with these fields of the data changed. Before an operation it runs with them; after it,
        `{"result": …}` changes the reply."""
        if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
            raise ValidationError("modified: a mapping with text keys is needed", field="data")
        return cls("modified", data=dict(data))

    @classmethod
    def cancel(cls, reason: str = "") -> HookResult:
        """Refuse the operation: its caller gets HookCancelled, and nothing is changed. After a read or a tool call
        the reply is withheld; after a change it is too late, and the hook counts as failed."""
        return cls("cancel", reason=_reason(reason))

    @classmethod
    def redirect(cls, target: str) -> HookResult:
        """Perform the operation on another session, tool or agent; its caller must be allowed to reach that."""
        if not isinstance(target, str) or not 0 < len(target) <= MAX_KEY:
            raise ValidationError("redirect: the id or the name of the target is needed", field="target")
        return cls("redirect", target=target)

    @classmethod
    def replace(cls, value: Any) -> HookResult:
        """Before an operation: do not perform it, answer this. After it, or at its failure: answer this instead."""
        return cls("replace", value=value)

    @classmethod
    def retry(cls, delay: float = 0.0, max_attempts: int = 3) -> HookResult:
        """Before an operation: ask this hook again after `delay` seconds, at most `max_attempts` times, then refuse.
        After it, or at its failure: perform it again, at most so often."""
        if type(delay) not in (int, float) or not 0 <= delay <= MAX_DELAY:
            raise ValidationError(f"retry: a delay from 0 to {MAX_DELAY:g} seconds is needed", field="delay")
        if type(max_attempts) is not int or not 1 <= max_attempts <= MAX_ATTEMPTS:
            raise ValidationError(f"retry: 1 to {MAX_ATTEMPTS} attempts", field="max_attempts")
        return cls("retry", delay=float(delay), max_attempts=max_attempts)

    @classmethod
    def fork(cls, operations: Sequence[Any]) -> HookResult:
        """Go on, and run these besides, each on a thread of its own: a message for the same session, a pair
        (session id, message), or a callable without arguments. At most 16; failures are logged and journaled."""
        if isinstance(operations, (str, bytes, Mapping)) or not isinstance(operations, Sequence):
            raise ValidationError("fork: a list of operations is needed", field="operations")
        if not 1 <= len(operations) <= MAX_FORKS:
            raise ValidationError(f"fork: 1 to {MAX_FORKS} operations", field="operations")
        return cls("fork", operations=tuple(operations))

    @classmethod
    def cache(cls, key: str, ttl: float) -> HookResult:
        """Before an operation: answer what this hook kept under this key for this session less than `ttl` seconds
        ago; else perform the operation and keep its reply."""
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
            raise ValidationError(f"cache: a key of 1 to {MAX_KEY} characters is needed", field="key")
        if type(ttl) not in (int, float) or not (ttl > 0 and math.isfinite(ttl)):
            raise ValidationError("cache: a number of seconds above 0 is needed", field="ttl")
        return cls("cache", key=key, ttl=float(ttl))

    @classmethod
    def skipped(cls, reason: str = "") -> HookResult:
        """Abstain: no effect, and no vote."""
        return cls("skipped", reason=_reason(reason))


def _reason(reason: object) -> str:
    if not isinstance(reason, str):
        raise ValidationError("reason: text is needed", field="reason")
    return reason[:_MAX_REASON]


CONTINUE: Final = HookResult("continue")

_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "continue": (),
    "modified": ("data",),
    "cancel": ("reason",),
    "redirect": ("target",),
    "replace": ("value",),
    "retry": ("delay", "max_attempts"),
    "fork": ("operations",),
    "cache": ("key", "ttl"),
    "skipped": ("reason",),
}


def result_of(answer: Any) -> HookResult:
    """The result that a hook's answer means: a HookResult, None, "continue", "cancel", "skipped", or a mapping with
    `type` and the fields of that kind. Raises ValidationError for anything else."""
    if answer is None:
        return CONTINUE
    if answer.__class__ is HookResult:
        return answer
    if isinstance(answer, str) and answer in ("continue", "cancel", "skipped"):
        return CONTINUE if answer == "continue" else HookResult(answer)
    if isinstance(answer, Mapping):
        kind = answer.get("type")
        if isinstance(kind, str) and kind in _FIELDS:
            given = {key: value for key, value in answer.items() if key != "type"}
            unknown = [key for key in given if key not in _FIELDS[kind]]
            if unknown:
                raise ValidationError(f"a hook's result {kind!r} has no field {str(unknown[0])[:64]!r}", field="type")
            make = getattr(HookResult, "continue_" if kind == "continue" else kind)
            try:
                made: HookResult = make(**given)
            except TypeError:
                wanted = ", ".join(_FIELDS[kind])
                raise ValidationError(f"a hook's result {kind!r} needs {wanted}", field="type") from None
            return made
        raise ValidationError(f"a hook's result has one of the types {', '.join(KINDS)}", field="type")
    raise ValidationError(
        f"a hook answers HookResult, None, 'continue', 'cancel' or a mapping with a type, not {type(answer).__name__}",
        field="type",
    )
