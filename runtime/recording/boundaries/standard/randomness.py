"""The boundary of randomness: what the program's own code draws from generators that it did not seed itself.

A draw of an element is put on the tape as its index, so that the program gets its own objects back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from sys import _getframe
from types import FrameType, ModuleType
from typing import Any, Final

from ...tape.reels import active
from ...tape.sites import is_own
from .clock import Read, replace_in_own_modules

__all__ = ["patch_random", "patch_urandom", "patch_uuid"]

_PATCHED: Final = "__greenroom_original__"
_KIND: Final = "randomness"
_NUMBERS: Final = (
    "random", "uniform", "triangular", "randint", "randrange", "getrandbits", "randbytes", "gauss", "normalvariate",
    "lognormvariate", "expovariate", "vonmisesvariate", "gammavariate", "betavariate", "paretovariate",
    "weibullvariate", "binomialvariate",
)  # fmt: skip
_OF_SYSTEM: Final = ("random", "getrandbits", "randbytes")
_WRAPPING: Final = ("/random.py", "/secrets.py")
"""Modules that draw for whoever calls them."""
_LARGE: Final = 1 << 63
_SEED_BYTES: Final = 32


def patch_random(module: ModuleType) -> None:
    """Patch `random`: its functions, generators without a seed, and those of the operating system."""
    if hasattr(module.random, _PATCHED):
        return
    replaced: dict[int, Any] = {}
    methods = dict.fromkeys(_NUMBERS, _Number) | {
        "choice": _Choice,
        "choices": _Choices,
        "sample": _Sample,
        "shuffle": _Shuffle,
    }
    for name, kind in methods.items():
        if (original := getattr(module, name, None)) is not None:
            replaced[id(original)] = drawn = kind(original, _KIND, f"random.{name}")
            setattr(module, name, drawn)
    replace_in_own_modules(replaced)
    _patch_seed(module.Random)
    for name in _OF_SYSTEM:
        _patch_system(module.SystemRandom, name)


def patch_uuid(module: ModuleType) -> None:
    """Patch `uuid`."""
    if hasattr(module.uuid4, _PATCHED):
        return
    replaced: dict[int, Any] = {}
    for name in ("uuid1", "uuid4", "uuid6", "uuid7", "uuid8"):
        if (original := getattr(module, name, None)) is not None:
            replaced[id(original)] = read = _UUID(original, _KIND, f"uuid.{name}", module.UUID)
            setattr(module, name, read)
    replace_in_own_modules(replaced)


def patch_urandom(module: ModuleType) -> None:
    """Patch `os.urandom`."""
    original = module.urandom
    if not hasattr(original, _PATCHED):
        vars(module)["urandom"] = read = _Number(original, _KIND, "os.urandom")
        replace_in_own_modules({id(original): read})


class _Draw(Read):
    """Stands in for a function that draws."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        reel = active()
        if reel is not None:
            frame = _getframe(1)
            if is_own(frame.f_code):
                return self._drawn(reel, frame, args, kwargs)
        return self._original(*args, **kwargs)

    def _drawn(self, reel: Any, frame: FrameType, args: Any, kwargs: Any) -> Any:
        raise NotImplementedError

    def _read(self, reel: Any, frame: FrameType, live: Callable[[], Any]) -> Any:
        return reel.read(_KIND, self._name, frame.f_code, frame.f_lineno, live)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        original: Callable[..., Any] = self._original
        return original(*args, **kwargs)


class _Number(_Draw):
    def _drawn(self, reel: Any, frame: FrameType, args: Any, kwargs: Any) -> Any:
        return _whole(self._read(reel, frame, lambda: _plain(self._call(*args, **kwargs))))


class _Choice(_Draw):
    def _drawn(self, reel: Any, frame: FrameType, args: Any, kwargs: Any) -> Any:
        seq = kwargs["seq"] if "seq" in kwargs else args[0]
        if not len(seq):
            return self._call(*args, **kwargs)
        return seq[self._read(reel, frame, lambda: self._call(range(len(seq))))]


class _Choices(_Draw):
    def _drawn(self, reel: Any, frame: FrameType, args: Any, kwargs: Any) -> Any:
        population, rest, kwargs = _first("population", args, kwargs)
        at = self._read(reel, frame, lambda: self._call(range(len(population)), *rest, **kwargs))
        return [population[each] for each in at]


class _Sample(_Draw):
    def _drawn(self, reel: Any, frame: FrameType, args: Any, kwargs: Any) -> Any:
        population, rest, kwargs = _first("population", args, kwargs)
        if isinstance(population, set | frozenset) or not hasattr(population, "__getitem__"):
            return self._call(population, *rest, **kwargs)
        at = self._read(reel, frame, lambda: self._call(range(len(population)), *rest, **kwargs))
        return [population[each] for each in at]


class _Shuffle(_Draw):
    def _drawn(self, reel: Any, frame: FrameType, args: Any, kwargs: Any) -> Any:
        values, rest, kwargs = _first("x", args, kwargs)

        def live() -> list[int]:
            order = list(range(len(values)))
            self._call(order, *rest, **kwargs)
            return order

        order = self._read(reel, frame, live)
        before = list(values)
        for place, at in enumerate(order[: len(before)]):
            values[place] = before[at]


class _UUID(_Draw):
    def __init__(self, original: Callable[..., Any], kind: str, name: str, uuid: Any) -> None:
        super().__init__(original, kind, name)
        self._uuid = uuid

    def _drawn(self, reel: Any, frame: FrameType, args: Any, kwargs: Any) -> Any:
        return self._uuid(bytes=self._read(reel, frame, lambda: self._call(*args, **kwargs).bytes))


def _first(name: str, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    if args:
        return args[0], args[1:], kwargs
    others = dict(kwargs)
    return others.pop(name), (), others


def _patch_seed(kind: Any) -> None:
    """Have generators that the program makes without a seed be seeded with one that is on the tape."""
    original = kind.seed

    @wraps(original)
    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        reel = active()
        if reel is not None and a is None:
            frame = _calling(_getframe(1))
            if frame is not None and is_own(frame.f_code):
                from os import urandom

                live = getattr(urandom, _PATCHED, urandom)
                drawn = reel.read(_KIND, "random.Random", frame.f_code, frame.f_lineno, lambda: live(_SEED_BYTES))
                a = int.from_bytes(drawn, "big")
        original(self, a, version)

    setattr(seed, _PATCHED, original)
    kind.seed = seed


def _patch_system(kind: Any, name: str) -> None:
    original = getattr(kind, name)

    @wraps(original)
    def drawn(self: Any, *args: Any) -> Any:
        reel = active()
        if reel is not None:
            frame = _calling(_getframe(1))
            if frame is not None and is_own(frame.f_code):
                value = reel.read(
                    _KIND, f"SystemRandom.{name}", frame.f_code, frame.f_lineno, lambda: _plain(original(self, *args))
                )
                return _whole(value)
        return original(self, *args)

    setattr(drawn, _PATCHED, original)
    setattr(kind, name, drawn)


def _calling(frame: FrameType | None) -> FrameType | None:
    """Return the nearest frame that does not draw for another."""
    while frame is not None and frame.f_code.co_filename.endswith(_WRAPPING):
        frame = frame.f_back
    return frame


def _plain(value: Any) -> Any:
    """Return a number as it stands on a tape: large ones as text."""
    return hex(value) if isinstance(value, int) and not -_LARGE <= value < _LARGE else value


def _whole(value: Any) -> Any:
    return int(value, 16) if isinstance(value, str) else value
