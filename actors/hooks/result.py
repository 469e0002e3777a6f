"""The possible answers of a hook: nine kinds of result, each with an effect of its own."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from greenroom.actors.messages.core import Message
from greenroom.storage.errors import ValidationError

__all__ = ["CONTINUE", "KINDS", "HookResult", "NoResult", "Outcome", "awaited", "is_awaitable", "result_of", "waits"]


KINDS: Final = ("continue", "modified", "cancel", "redirect", "replace", "retry", "fork", "cache", "skipped")

MAX_DELAY: Final = 60.0
MAX_ATTEMPTS: Final = 100
MAX_FORKS: Final = 16
MAX_KEY: Final = 1024
_MAX_REASON: Final = 500


class NoResult(ValidationError):
    """A hook's answer is no valid result, so it may have been meant as a veto."""

    @property
    def code(self) -> str:
        return ValidationError.__name__


@dataclass(frozen=True, slots=True)
class HookResult:
    """The answer of a hook. Make one with the method named after its kind; None counts as `continue_()`.

    An invalid result raises a ValidationError, however it is made. If a hook before an operation raises it, the
    operation is refused.

    Example:
        ```py
        def no_secrets(context):
            if "password" in context.data["key"]:
                return HookResult.cancel("passwords are not kept here")

        rt.hooks.register("BeforeStateWrite", no_secrets)
        ```
    """

    kind: str
    data: Mapping[str, object] | None = None
    reason: str = ""
    target: str | None = None
    value: object = None
    delay: float = 0.0
    max_attempts: int = 0
    operations: tuple[object, ...] = ()
    key: str = ""
    ttl: float = 0.0

    def __post_init__(self) -> None:
        check = _CHECKS.get(self.kind) if type(self.kind) is str else None
        if check is None:
            raise NoResult(f"a hook's result has one of the types {', '.join(KINDS)}", field="type")
        try:
            check(self)
        except NoResult:
            raise
        except Exception as error:  # a field that fails when it is read
            raise NoResult(f"a hook's result {self.kind!r} has a field that cannot be read", field="type") from error

    def __repr__(self) -> str:
        return f"<HookResult {self.kind}>"

    @classmethod
    def continue_(cls) -> HookResult:
        """Go on. The hook's changes to `context.data` count."""
        return CONTINUE

    @classmethod
    def modified(cls, data: Mapping[str, object]) -> HookResult:
        """Go on with these fields of the data changed. Before an operation it runs with them; after it, `{"result": …}`
        changes the reply."""
        return cls("modified", data=_taken(dict, data, Mapping))

    @classmethod
    def cancel(cls, reason: str = "") -> HookResult:
        """Refuse the operation: its caller gets HookCancelled, and nothing is changed. After a read or a tool call the
        reply is withheld. After a change it is too late, and the hook counts as failed."""
        return cls("cancel", reason=_cut(reason))

    @classmethod
    def redirect(cls, target: str) -> HookResult:
        """Perform the operation on another session, tool or agent, which its caller must be able to access."""
        return cls("redirect", target=target)

    @classmethod
    def replace(cls, value: object) -> HookResult:
        """Before an operation, return this value without performing it; after it, or at its failure, return this value
        instead."""
        return cls("replace", value=value)

    @classmethod
    def retry(cls, delay: float = 0.0, max_attempts: int = 3) -> HookResult:
        """Try again. Before an operation, call this hook again after `delay` seconds, at most `max_attempts` times,
        then refuse. After it, or at its failure, perform the operation again, at most that often."""
        return cls("retry", delay=delay, max_attempts=max_attempts)

    @classmethod
    def fork(cls, operations: Sequence[object]) -> HookResult:
        """Go on, and run these operations in the background, each on a thread of its own: a message for the same
        session, a pair (session id, message), or a callable without arguments. At most 16; failures are logged and
        journaled."""
        text = issubclass(type(operations), (str, bytes))
        return cls("fork", operations=operations if text else _taken(tuple, operations, Sequence))  # type: ignore[arg-type]

    @classmethod
    def cache(cls, key: str, ttl: float) -> HookResult:
        """Keep the reply. Before an operation, return the reply that this hook kept under this key for this session
        less than `ttl` seconds ago; if there is none, perform the operation and keep its reply."""
        return cls("cache", key=key, ttl=ttl)

    @classmethod
    def skipped(cls, reason: str = "") -> HookResult:
        """Abstain: no effect, and no vote."""
        return cls("skipped", reason=_cut(reason))


def _cut(reason: str) -> str:
    return str.__str__(reason)[:_MAX_REASON] if issubclass(type(reason), str) else reason


def _taken(make: Callable[[Any], Any], given: Any, kind: type[Any]) -> Any:
    """Return a copy of a value of the expected kind. Other values are returned unchanged, and the result's check
    refuses them."""
    if not issubclass(type(given), kind):
        return given
    try:
        return make(given)
    except Exception as error:
        raise NoResult("a hook's result has a field that cannot be read", field="type") from error


def _check_nothing(result: HookResult) -> None:
    pass


def _check_data(result: HookResult) -> None:
    if not isinstance(result.data, Mapping) or not all(isinstance(key, str) for key in result.data):
        raise NoResult("modified: a mapping with text keys is needed", field="data")


def _check_reason(result: HookResult) -> None:
    if not isinstance(result.reason, str):
        raise NoResult("reason: text is needed", field="reason")


def _check_target(result: HookResult) -> None:
    if not isinstance(result.target, str) or not 0 < len(result.target) <= MAX_KEY:
        raise NoResult("redirect: the id or the name of the target is needed", field="target")


def _check_retry(result: HookResult) -> None:
    if type(result.delay) not in (int, float) or not 0 <= result.delay <= MAX_DELAY:
        raise NoResult(f"retry: a delay from 0 to {MAX_DELAY:g} seconds is needed", field="delay")
    if type(result.max_attempts) is not int or not 1 <= result.max_attempts <= MAX_ATTEMPTS:
        raise NoResult(f"retry: 1 to {MAX_ATTEMPTS} attempts", field="max_attempts")


def _check_fork(result: HookResult) -> None:
    operations = result.operations
    if type(operations) is not tuple:
        raise NoResult("fork: a list of operations is needed", field="operations")
    if not 1 <= len(operations) <= MAX_FORKS:
        raise NoResult(f"fork: 1 to {MAX_FORKS} operations", field="operations")
    for each in operations:
        message = each[1] if type(each) is tuple and len(each) == 2 and isinstance(each[0], str) else each
        if not isinstance(message, Message) and not (message is each and callable(each)):
            raise NoResult("fork: messages, pairs (session id, message) and callables are operations",
                           field="operations")  # fmt: skip


def _check_cache(result: HookResult) -> None:
    if not isinstance(result.key, str) or not 0 < len(result.key) <= MAX_KEY:
        raise NoResult(f"cache: a key of 1 to {MAX_KEY} characters is needed", field="key")
    if type(result.ttl) not in (int, float) or not (result.ttl > 0 and math.isfinite(result.ttl)):
        raise NoResult("cache: a number of seconds above 0 is needed", field="ttl")


_CHECKS: Final[dict[str, Callable[[HookResult], None]]] = {
    "continue": _check_nothing,
    "modified": _check_data,
    "cancel": _check_reason,
    "redirect": _check_target,
    "replace": _check_nothing,
    "retry": _check_retry,
    "fork": _check_fork,
    "cache": _check_cache,
    "skipped": _check_reason,
}

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
    """Return the result that a hook's answer means: a HookResult, None, "continue", "cancel", "skipped", or a mapping
    with `type` and the fields of that kind. Raises NoResult, which names the answer, for anything else."""
    if answer is None:
        return CONTINUE
    try:
        return _read(answer)
    except NoResult as error:
        raise NoResult(f"it answered with {_named(answer)}: {error}", **error.fields) from None
    except Exception as error:  # an object that fails when it is read
        name = type(error).__name__
        raise NoResult(f"it answered with {_named(answer)}, which failed with {name}", field="type") from error


def _read(answer: Any) -> HookResult:
    if isinstance(answer, HookResult):
        return answer
    if isinstance(answer, str) and answer in ("continue", "cancel", "skipped"):
        return CONTINUE if answer == "continue" else HookResult(str(answer))
    if not isinstance(answer, Mapping):
        raise NoResult(
            "a result is a HookResult, None, 'continue', 'cancel', 'skipped' or a mapping with a type", field="type"
        )
    kind = answer.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise NoResult(f"a hook's result has one of the types {', '.join(KINDS)}", field="type")
    given = {key: value for key, value in answer.items() if key != "type"}
    unknown = [key for key in given if key not in _FIELDS[kind]]
    if unknown:
        raise NoResult(f"a hook's result {kind!r} has no field {str(unknown[0])[:64]!r}", field="type")
    make: Callable[..., HookResult] = getattr(HookResult, "continue_" if kind == "continue" else kind)
    try:
        return make(**given)
    except TypeError:
        raise NoResult(f"a hook's result {kind!r} needs {', '.join(_FIELDS[kind])}", field="type") from None


_WORD: Final = re.compile(r"[A-Za-z_-]{1,32}")


def _named(answer: Any) -> str:
    """Describe an answer without its content: numbers, booleans and plain words as they are, anything else by its
    class."""
    kind = type(answer)
    if kind is bool or (kind in (int, float) and abs(answer) < 1e15):
        return repr(answer)
    if kind is str:
        return repr(answer) if _WORD.fullmatch(answer) else f"a text of {len(answer)} characters"
    if kind is dict and type(answer.get("type")) is str and _WORD.fullmatch(answer["type"]):
        return f"the type {answer['type']!r}"
    return f"an object of class {type.__dict__['__name__'].__get__(kind)[:64]}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The return value of `Hooks.fire`. A cancelled operation has no outcome: HookCancelled is raised."""

    data: dict[str, Any]
    """The operation's data as the hooks left it."""
    kind: str = "continue"
    """"continue"; "replace": do not perform the operation, its result is `value`; "redirect": perform it on
    `target`."""
    value: Any = None
    target: str | None = None


def awaited(answer: Any, timeout: float | None = None) -> Any:
    """Return an answer. If it is awaitable, await it for at most `timeout` seconds. Raises TimeoutError."""
    if not is_awaitable(answer):
        return answer

    import asyncio

    async def main() -> Any:
        return await asyncio.wait_for(_result(answer), timeout)  # a hanging answer must not keep the thread

    return asyncio.run(main())


def is_awaitable(answer: Any) -> bool:
    """Return whether an answer has to be awaited. Never raises."""
    try:
        return answer is not None and answer.__class__ is not HookResult and isinstance(answer, Awaitable)
    except Exception:  # an object that fails when it is read
        return False


def waits(fn: Any) -> bool:
    """Return whether a hook's function is known to answer only after waiting: an async one, or one that says so."""
    is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004
    return is_async or getattr(fn, "waits", False) is True


async def _result(answer: Awaitable[Any]) -> Any:
    return await answer
