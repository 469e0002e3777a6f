"""Bodies of requests as what is new in them: a conversation is sent again with every turn, and stored once.

A body is written as what stands between the beginning and the end that it shares with an earlier body, its *base*. Each
writer remembers the newest bodies of its session, and each reader has read them just before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final, NamedTuple

__all__ = ["MAX_DEPTH", "Base", "Bodies", "Body", "BodyMemory", "Delta", "spliced"]

MAX_DEPTH: Final = 256
"""How many bodies stand on each other at most: damage takes no more with it, and reading one needs no more."""
_SAME_NAME: Final = 4
"""How many bodies of one name are remembered: a few conversations may take turns."""
_NAMES: Final = 16
_MAX_BODY: Final = 8 << 20
"""Larger bodies are remembered by nobody."""
_MAX_BYTES: Final = 16 << 20
_SESSIONS: Final = 256
_ALL_BYTES: Final = 64 << 20
_GLANCE: Final = 32
_SMALL: Final = 512
"""So few new bytes are good enough: no further base is tried."""


class Base(NamedTuple):
    """The base of a body: the event that has it, and how many of its first and last bytes are the body's too."""

    sequence: int
    prefix: int
    suffix: int
    depth: int
    """On how many bodies the body stands."""


class Delta(NamedTuple):
    """A body as it is stored: what stands between the beginning and the end of its base; all of it without one."""

    base: Base | None
    middle: bytes

    @property
    def depth(self) -> int:
        """On how many bodies it stands."""
        return self.base.depth if self.base is not None else 0


class Body(NamedTuple):
    """A body that is remembered."""

    sequence: int
    content: bytes
    depth: int


def spliced(base: bytes, prefix: int, suffix: int, middle: bytes) -> bytes | None:
    """Return a body from its base; None if the base is too short for it."""
    if prefix + suffix > len(base):
        return None
    return b"".join((base[:prefix], middle, base[len(base) - suffix :] if suffix else b""))


def _common_prefix(a: bytes, b: bytes) -> int:
    """Return how many bytes are the same at the beginning. Slices are compared as a whole, at the speed of memory."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:
        middle = (low + high) >> 1
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _common_suffix(a: bytes, b: bytes, most: int) -> int:
    """Return how many bytes, at most `most`, are the same at the end."""
    end_a, end_b = len(a), len(b)
    if a[end_a - most :] == b[end_b - most :]:
        return most
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) >> 1
        if a[end_a - middle : end_a - low] == b[end_b - middle : end_b - low]:
            low = middle
        else:
            high = middle
    return low


def _is_nearer(other: bytes, content: bytes, best: Base | None) -> bool:
    """Return whether another body goes on being the same where the best base so far stops, at either end."""
    if best is None:
        return True
    at, end = best.prefix, len(content) - best.suffix
    if other[at : at + _GLANCE] == content[at : at + _GLANCE]:
        return True
    behind = len(other) - best.suffix
    return other[max(0, behind - _GLANCE) : behind] == content[max(0, end - _GLANCE) : end]


class Bodies:
    """Remembers the newest bodies of one session, by the name of what was called. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: OrderedDict[str, list[Body]] = OrderedDict()
        self.size = 0

    def delta(self, name: str, content: bytes) -> Delta:
        """Return a body as what is new beside the most similar of the last ones with the same name."""
        with self._lock:
            candidates = list(self._by_name.get(name, ()))
        best: Delta | None = None
        for each in reversed(candidates):
            if each.depth + 1 >= MAX_DEPTH or (best is not None and not _is_nearer(each.content, content, best.base)):
                continue
            prefix = _common_prefix(each.content, content)
            most = min(len(each.content), len(content)) - prefix
            suffix = _common_suffix(each.content, content, most) if most else 0
            if best is None or len(content) - prefix - suffix < len(best.middle):
                middle = content[prefix : len(content) - suffix]
                best = Delta(Base(each.sequence, prefix, suffix, each.depth + 1), middle)
                if len(middle) <= _SMALL or len(middle) * 8 <= len(content):
                    break
        if best is None or len(best.middle) * 4 > len(content) * 3:
            return Delta(None, content)
        return best

    def remember(self, name: str, body: Body) -> None:
        """Remember a body that is in the journal."""
        if not 0 < len(body.content) <= _MAX_BODY:
            return
        with self._lock:
            bodies = self._by_name.get(name)
            if bodies is None:
                bodies = self._by_name[name] = []
            else:
                self._by_name.move_to_end(name)
            bodies.append(body)
            self.size += len(body.content)
            if len(bodies) > _SAME_NAME:
                self.size -= len(bodies.pop(0).content)
            while self.size > _MAX_BYTES or len(self._by_name) > _NAMES:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        name, bodies = next(iter(self._by_name.items()))
        self.size -= len(bodies.pop(0).content)
        if not bodies:
            del self._by_name[name]


class BodyMemory:
    """Remembers the newest bodies of the sessions that a runtime records into, within a bound. So a session that is
    recorded request by request finds the conversation of the request before. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Bodies] = OrderedDict()

    def of(self, session_id: str) -> tuple[Bodies, bool]:
        """Return what is remembered of a session, and whether that is nothing yet."""
        with self._lock:
            bodies = self._sessions.get(session_id)
            new = bodies is None
            if bodies is None:
                bodies = self._sessions[session_id] = Bodies()
            self._sessions.move_to_end(session_id)
            while len(self._sessions) > 1 and (
                len(self._sessions) > _SESSIONS or sum(each.size for each in self._sessions.values()) > _ALL_BYTES
            ):
                self._sessions.popitem(last=False)
            return bodies, new
