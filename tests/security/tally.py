"""Counts the attacks, and keeps the longest overrun of a limit, for the summary at the end of a test run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .collection import Attack

__all__ = ["TALLY", "Attempt", "Tally"]


@dataclass
class Attempt:
    attack: Attack
    isolation: str
    seconds: float = 0.0
    contained: bool = False

    @property
    def overrun(self) -> float:
        """The seconds from the end of the script's time to the caller's answer."""
        return max(0.0, self.seconds - self.attack.time)


@dataclass
class Tally:
    attempts: list[Attempt] = field(default_factory=list)

    @contextlib.contextmanager
    def attempt(self, attack: Attack, isolation: str) -> Iterator[Attempt]:
        """Count an attack, as contained when the block ends without an error."""
        made = Attempt(attack, isolation)
        self.attempts.append(made)
        yield made
        made.contained = True

    def lines(self) -> Iterator[str]:
        for language, isolation in sorted({(each.attack.language, each.isolation) for each in self.attempts}):
            found = [each for each in self.attempts if (each.attack.language, each.isolation) == (language, isolation)]
            contained = sum(each.contained for each in found)
            latest = max(found, key=lambda each: each.overrun)
            yield (
                f"{language}, isolation {isolation}: {len(found)} tried, {contained} contained, longest overrun of a"
                f" limit {latest.overrun * 1000:.0f} ms ({latest.attack.title})"
            )


TALLY: Final = Tally()
