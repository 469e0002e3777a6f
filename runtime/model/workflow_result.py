"""What a workflow and its steps have given."""

from __future__ import annotations

from dataclasses import dataclass

from greenroom.storage.codec.records import Json, Value
from greenroom.storage.errors import shown

__all__ = ["StepResult", "WorkflowResult"]


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step. `error` is {code, message}; `round` counts within a loop; `duration` is in seconds;
    `attempts` says how often the step was tried; `resumed` is True if it had ended before its workflow was resumed."""

    name: str
    success: bool
    output: Json = None
    error: dict[str, str] | None = None
    round: int | None = None
    duration: float = 0.0
    attempts: int = 1
    resumed: bool = False

    def __repr__(self) -> str:
        return f"<StepResult {shown(self.name)} {'succeeded' if self.success else 'failed'}>"

    def to_dict(self) -> dict[str, Value]:
        """Return the fields that have a value, by name."""
        row: dict[str, Value] = {key: getattr(self, key) for key in self.__dataclass_fields__}
        return {key: value for key, value in row.items() if value is not None}


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """The result of a workflow. `steps` are in the order of their ends; `error` is {code, message, step}."""

    success: bool
    output: Json
    steps: tuple[StepResult, ...]
    error: dict[str, str] | None
    duration: float
    run_id: str

    def __repr__(self) -> str:
        return (
            f"<WorkflowResult {self.run_id} {'succeeded' if self.success else 'failed'} after {len(self.steps)} steps>"
        )
