"""The findings of checking a store: problems, the operations that repair them, and the report of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew

__all__ = [
    "DAMAGE",
    "MARKED",
    "PROBLEM_KINDS",
    "QUARANTINE",
    "Findings",
    "Look",
    "Problem",
    "Progress",
    "Verifiable",
    "VerifyReport",
    "kind_of",
    "quarantine",
]

Progress = Callable[[str, int], None]
"""Called with the kind of things that are being checked and how many have been checked."""
DAMAGE: Final = (IntegrityError, SchemaTooNew)
PROBLEM_KINDS: Final = {
    CF.SESSIONS: "session",
    CF.ARTIFACTS: "artifact",
    CF.INDEX: "index",
    CF.REFERENCES: "reference",
}
MARKED: Final = (
    "marked as damaged: its artifacts stay listed, reading them raises IntegrityError, storing it again repairs them"
)
QUARANTINE: Final = b"quarantine/"


@dataclass(frozen=True, slots=True)
class Problem:
    """One damaged or inconsistent thing: its kind, where it is, what is wrong. Never carries content.

    `repaired` says how it was repaired; None if it was not.
    """

    kind: str
    where: str
    detail: str
    repaired: str | None = None


@dataclass(slots=True)
class VerifyReport:
    """The result of `verify`: how many things of each kind were checked, and every problem.

    `quarantined` lists the content that this or an earlier repair has marked as damaged and that was not stored again
    since. `needs_salvage`: table files are damaged, so the store can only be repaired while it is closed.
    `freed_bytes`: stored content that repair has deleted because it was orphaned.
    """

    checked: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("sessions", "events", "snapshots", "artifacts", "contents"), 0)
    )
    problems: list[Problem] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    needs_salvage: bool = False
    freed_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, or everything was repaired."""
        return all(problem.repaired is not None for problem in self.problems)

    def add(self, kind: str, where: str, detail: str) -> None:
        self.problems.append(Problem(kind, where, detail))

    def to_dict(self) -> dict[str, Any]:
        """Return `ok` and the fields by name as JSON values, without `freed_bytes`."""
        return {
            "ok": self.ok,
            "checked": dict(self.checked),
            "problems": [asdict(each) for each in self.problems],
            "quarantined": list(self.quarantined),
            "needs_salvage": self.needs_salvage,
        }


class Verifiable(Protocol):
    """An open store that can be checked: a runtime."""

    def verify(self, repair: bool = False, *, on_progress: Progress | None = None) -> VerifyReport: ...


@dataclass(slots=True)
class Findings:
    """The findings of one check of one thing, and the operations that repair it."""

    problems: list[Problem] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)

    def count(self, kind: str, number: int = 1) -> None:
        self.checked[kind] = self.checked.get(kind, 0) + number

    def add(self, kind: str, where: str, detail: str, ops: list[Op] | None = None, done: str | None = None) -> None:
        self.problems.append(Problem(kind, where, detail, done if ops else None))
        self.ops += ops or ()


Look = Callable[[Findings], None]


def kind_of(key: bytes) -> str:
    return repr(key[:1].decode("latin-1"))


def quarantine(cf: int, key: bytes, record: bytes) -> Op:
    """Return the operation that keeps a damaged record where nothing reads it, see docs/format.md."""
    return CF.META, QUARANTINE + bytes([cf]) + key, record
