"""How a step of a workflow fails, and how a failure is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.storage.errors import GreenroomError

if TYPE_CHECKING:
    from greenroom.runtime.model.workflow import Step

__all__ = ["StepFailed", "described", "error_of"]


class StepFailed(Exception):
    """A step that is not optional has failed. The cause is its error; `described` is that of an earlier process."""

    def __init__(self, step: Step, described: dict[str, str] | None = None) -> None:
        super().__init__(step.name)
        self.step = step
        self.described = described


def described(error: BaseException | None) -> dict[str, str]:
    if isinstance(error, GreenroomError):
        return {"code": error.code, "message": str(error)[:1000]}
    return {"code": type(error).__name__, "message": ""}


def error_of(error: BaseException) -> dict[str, str]:
    """Return the error of a failed step, or any other error, as {code, message}."""
    if isinstance(error, StepFailed):
        return error.described if error.described is not None else described(error.__cause__)
    return described(error)
