""""""

from __future__ import annotations

from dataclasses import dataclass

from .core import Query

__all__ = ["Consumption", "GetConsumption"]


@dataclass(frozen=True, slots=True)
class Consumption:
    """How much of a resource a session has used: bytes, US dollars, or a number; `limit` None means no limit."""

    value: float
    limit: float | None

    @property
    def percent(self) -> float | None:
        """Of the limit; None where there is none."""
        if self.limit is None:
            return None
        return 100 * self.value / self.limit if self.limit else 100.0


class GetConsumption(Query[dict[str, Consumption]]):
    """Replies, by the name of a resource, how much of it the session has used and may use: a dict of Consumption."""

    __slots__ = ()
    rate = None
