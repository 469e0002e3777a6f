"""Meter the size of long answers while they are built, and the time of long reads, for a caller who is limited in both.

A script may ask for all variables, messages or events at once, and the answer has to fit into the script's memory. The
host must not build ten times as much only to find out that it does not. So code that builds such an answer tells the
meter of the running code, if it has one, what it is about to hold (`hold`) and what it has made (`built`). The meter
raises when that is more than its caller can take, which ends the building. Code that reads many entries tells it every
few hundred that it goes on (`going_on`), which raises when its caller's time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, Protocol, TypeVar

__all__ = ["ROW", "Meter", "built", "counted", "going_on", "held", "hold", "metered", "metering", "timed", "weight_of"]

P = ParamSpec("P")
T = TypeVar("T")

ROW: Final = "·" * 250
"""Stands for the fields that every row has, such as ids and times, if rows are made later than they are counted."""
_INTERNED: Final = 40
_SLOT: Final = 17
_TABLE: Final = 57
_ENTRY: Final = 41


class Meter(Protocol):
    """Counts what is built for one call."""

    def hold(self, size: int) -> None:
        """Count bytes that are still encoded."""

    def built(self, weight: int) -> None:
        """Count values that have been made, by their weight."""


_METER: Final[ContextVar[Meter | None]] = ContextVar("greenroom_meter", default=None)


_TIMED: Final[ContextVar[Callable[[], object] | None]] = ContextVar("greenroom_timed", default=None)


def timed(check: Callable[[], object]) -> None:
    """Have long reads in this context call `check` every few hundred entries. What it raises ends them."""
    _TIMED.set(check)


def going_on() -> None:
    """Let whoever waits for a long read end it. Only for reads: nothing may be half done."""
    check = _TIMED.get()
    if check is not None:
        check()


def metered(meter: Meter, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Return what `call` returns, and meter everything that is built for it. Raises what the meter raises."""
    around = _METER.get()
    try:
        _METER.set(meter)
        return call(*args, **options)
    finally:
        _METER.set(around)


def metering() -> bool:
    """Return whether there is a meter. Without one, callers take the shortest way."""
    return _METER.get() is not None


def hold(size: int) -> None:
    """Tell the meter, if there is one, that `size` encoded bytes are about to be held."""
    meter = _METER.get()
    if meter is not None:
        meter.hold(size)


def built(value: Any) -> None:
    """Tell the meter, if there is one, of a plain value that has been made and is kept."""
    meter = _METER.get()
    if meter is not None:
        meter.built(weight_of(value))


def counted(items: Iterable[T], plain: Callable[[T], Any]) -> Iterable[T]:
    """Yield items as they are made, and count for each the plain value that stands for its contents."""
    meter = _METER.get()
    return items if meter is None else _counted(meter, items, plain)


def held(items: Iterable[T], size: Callable[[T], int], most: int | None = None) -> Iterable[T]:
    """Yield items that are kept encoded, at most `most` of them at a time, and count each by its size."""
    meter = _METER.get()
    return items if meter is None else _held(meter, items, size, most)


def _held(meter: Meter, items: Iterable[T], size: Callable[[T], int], most: int | None) -> Iterator[T]:
    for number, each in enumerate(items):
        if most is None or number < most:
            meter.hold(size(each))
        yield each


def _counted(meter: Meter, items: Iterable[T], plain: Callable[[T], Any]) -> Iterator[T]:
    for each in items:
        meter.built(weight_of(plain(each)))
        yield each


def weight_of(value: Any) -> int:
    """Return the least bytes that a plain value takes in a script, including its transfer. In the host it takes at most
    about three times as much."""
    total = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        kind = each.__class__
        if kind is str or kind is bytes:
            size = len(each)
            total += _SLOT + (size if size <= _INTERNED else 2 * size)
        elif kind is list or kind is tuple:
            total += _TABLE
            waiting += each
        elif kind is dict:
            total += _TABLE + _ENTRY * len(each) + sum(map(len, each))
            waiting += each.values()
        else:
            total += _SLOT
    return total
