"""Compose hooks of hooks: one after the other, all at once, or by vote. A composition is a hook like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final, Unpack

from greenroom.actors.hooks.context import HookContext
from greenroom.actors.hooks.hook import UnnamedOptions
from greenroom.actors.hooks.hooks import HookHandle, Hooks
from greenroom.actors.hooks.points import AFTER, CREATE, DELETE, OPERATION, READ, UPDATE
from greenroom.actors.hooks.result import CONTINUE, HookResult, NoResult, awaited, result_of, waits
from greenroom.actors.scheduling.callables import require_callable
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import ValidationError

__all__ = ["Middleware", "Parallel", "Sequential", "Voting", "parallel", "sequential", "voting"]


logger = logger_of("hooks")

Member = Callable[[HookContext], Any]
_WEAK = ("continue", "skipped")


@checked
def sequential(members: Iterable[Member], name: str = "sequential") -> Sequential:
    """Return a hook that calls its members in turn. Each sees the data as those before it have left it. The first that
    decides anything but `modified` ends the turn. A member's failure is the whole hook's failure."""
    return Sequential(members, name)


@checked
def parallel(members: Iterable[Member], name: str = "parallel") -> Parallel:
    """Return a hook that calls its members at once, on threads of their own, each with a copy of the data.

    If one cancels, that decides at once. Otherwise, once all have ended, a member's failure is the whole hook's
    failure. Otherwise the first member, in the given order, that decides anything but `modified` decides. The
    modifications of all members are made in that order.
    """
    return Parallel(members, name)


@checked
def voting(members: Iterable[Member], threshold: float = 0.5, name: str = "voting") -> Voting:
    """Return a hook whose members vote, all at once. `cancel` and an invalid answer are votes against, `skipped` and a
    failure are no vote, and every other answer is a vote for the operation.

    `threshold` is the share of the votes cast that must be for it, 0 < share ≤ 1, or a whole number of votes from 1.
    Otherwise, or if nobody votes, the operation is cancelled. The modifications of those who voted for it are made.
    """
    return Voting(members, threshold, name)


class _Composition:
    def __init__(self, members: Iterable[Member], name: str) -> None:
        self.members: Sequence[Member] = tuple(members)
        if not self.members:
            raise ValidationError("members: one or more functions that take a context are needed", field="members")
        for each in self.members:
            require_callable("members", each, "a context")
        self.__name__ = name

    _at_once: ClassVar[bool] = False
    """Whether the members run on threads of their own."""

    @property
    def waits(self) -> bool:
        """Whether it has to wait for other threads or for a loop, and so never runs on its caller's thread."""
        return self._at_once or any(waits(each) for each in self.members)


class Sequential(_Composition):
    """Calls its members in turn; see `sequential`."""

    def __call__(self, context: HookContext) -> HookResult:
        changes: dict[str, Any] = {}
        for member in self.members:
            result = result_of(awaited(member(context)))
            if result.kind == "modified":
                changes.update(result.data or {})
                context.data = {**context.data, **changes}
            elif result.kind not in _WEAK:
                return result
        return HookResult.modified(changes) if changes else CONTINUE


class Parallel(_Composition):
    """Calls its members at once; see `parallel`."""

    _at_once = True

    def __call__(self, context: HookContext) -> HookResult:
        answers = context.ask_at_once(self.members)
        results = [each for each in answers if isinstance(each, HookResult)]
        errors = [each for each in answers if isinstance(each, BaseException)]
        if errors and not any(each.kind == "cancel" for each in results):
            # Among the failed members, an invalid answer comes first: it may have been meant as a veto.
            raise next((each for each in errors if isinstance(each, NoResult)), errors[0])
        return _together(context, results)


class Voting(_Composition):
    """Lets its members vote; see `voting`."""

    _at_once = True

    def __init__(self, members: Iterable[Member], threshold: float, name: str) -> None:
        super().__init__(members, name)
        by_number = type(threshold) is int and 1 <= threshold <= len(self.members)
        if not by_number and not (type(threshold) is float and 0 < threshold <= 1):
            raise ValidationError(
                "threshold: a share above 0 and up to 1, or a number of votes from 1 to that of the members",
                field="threshold",
            )
        self.threshold = threshold

    def __call__(self, context: HookContext) -> HookResult:
        answers = context.ask_at_once(self.members)
        votes: list[HookResult] = []
        for answer in answers:
            if isinstance(answer, NoResult):
                logger.warning("what a member of %s answered counts against it: %s", self.__name__, answer)
                votes.append(HookResult("cancel"))
            elif isinstance(answer, BaseException):
                logger.warning("a member of %s did not vote: %s", self.__name__, type(answer).__name__)
            elif answer.kind != "skipped":
                votes.append(answer)
        approving = [each for each in votes if each.kind != "cancel"]
        if type(self.threshold) is int:
            needed: float = self.threshold
        else:
            needed = self.threshold * len(votes)
        if votes and len(approving) >= needed:
            return _together(context, approving)
        return HookResult.cancel(f"{len(approving)} of {len(votes)} votes were for it, {self.threshold:g} needed")


def _together(context: HookContext, results: Sequence[HookResult]) -> HookResult:
    """Combine results that were given at once. A cancelling one decides, or else the first that decides."""
    changes: dict[str, Any] = {}
    decisive = None
    for result in results:
        if result.kind == "cancel":
            return result
        if result.kind == "modified":
            changes.update(result.data or {})
        elif result.kind not in _WEAK and decisive is None:
            decisive = result
    if decisive is not None:
        if changes:
            context.data = {**context.data, **changes}
        return decisive
    return HookResult.modified(changes) if changes else CONTINUE


_POINTS: Final = {"create": CREATE, "read": READ, "update": UPDATE, "delete": DELETE, "operation": OPERATION}
_WHEN: Final = {"before": "", "after": AFTER}


class Middleware:
    """The chains of a runtime, which run around the hooks of single points.

    `create`: creating a session. `read`: every query. `update`: every command except deleting a session. `delete`:
    deleting a session. `operation`: all of them.

    Example:
        ```py
        rt.middleware.use("update", check_quota, check_hours)
        rt.middleware.use("delete", alice, bob, carol, pattern="voting", threshold=2)
        rt.middleware.use("operation", LoggingHook(), when="after")
        ```
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def __repr__(self) -> str:
        return "<Middleware>"

    @checked
    def use(
        self,
        chain: str,
        *members: Callable[[HookContext], Any],
        pattern: str = "sequential",
        threshold: float = 0.5,
        when: str = "before",
        name: str | None = None,
        **options: Unpack[UnnamedOptions],
    ) -> HookHandle:
        """Add hooks to a chain: "create", "read", "update", "delete" or "operation".

        `pattern`: "sequential", "parallel" or "voting" (with `threshold`), see the compositions with these names.
        `when`: "before" or "after" the operation. `options` are those of `Hooks.register`. Raises ValidationError.
        """
        if chain not in _POINTS:
            raise ValidationError(f"chain: one of {', '.join(_POINTS)}", field="chain")
        if when not in _WHEN:
            raise ValidationError("when: before or after", field="when")
        title = name or f"{chain} middleware"
        match pattern:
            case "sequential":
                hook: Callable[[HookContext], Any] = sequential(members, title)
            case "parallel":
                hook = parallel(members, title)
            case "voting":
                hook = voting(members, threshold, title)
            case _:
                raise ValidationError("pattern: sequential, parallel or voting", field="pattern")
        return self._hooks.register_at((_POINTS[chain] + _WHEN[when],), hook, name=title, **options)
