"""The boundary of the environment: the variables that the program's own code asks for by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import wraps
from sys import _getframe
from types import FrameType, ModuleType
from typing import Any, Final

from ...tape.reels import active
from ...tape.sites import is_own
from .randomness import patch_urandom

__all__ = ["HELD_BACK", "credentials_read", "patch_os", "watch_copies"]

HELD_BACK: Final = {"secret": True}
"""What stands on a tape for a value that may be a secret."""
_PATCHED: Final = "__greenroom_original__"
_SECRET: Final = re.compile(
    r"(?:^|_)(?:api_?key|key|tokens?|secrets?|pass|passwd|password|passphrase|pat|credentials?|auth|authorization|dsn|jwt"
    r"|cookie|session|signature|private|(?:database|redis|mongo|postgres|amqp|broker|connection)_?(?:url|uri|string))"
    r"(?:$|_)|secret|passw(?:or)?d|passphrase|api_?key|credential|token$",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(r"^(?:sk-|pk-|ghp_|gho_|xox[abps]-|AKIA|AIza|eyJ)|-----BEGIN|://[^/\s]*:[^/\s]*@")
_CREDENTIAL: Final = re.compile(r"(?:^|_)(?:key|token|secret|password|credentials)(?:_id)?$", re.IGNORECASE)
_MOST_CREDENTIALS: Final = 100
_credentials: Final[dict[str, None]] = {}
_OURS: Final = "GREENROOM_RECORDING"
_WRAPPING: Final = ("os.py", "_collections_abc.py")
"""Modules that read for whoever calls them."""
_STAND_IN: Final = "not-a-secret-this-is-an-offline-replay"


def patch_os(module: ModuleType) -> None:
    """Patch the type of `os.environ`, and `os.urandom`.

    Whoever goes through all of the environment, to copy it, gets that of now.
    """
    patch_urandom(module)
    kind: Any = type(module.environ)
    original = kind.__getitem__
    if hasattr(original, _PATCHED):
        return
    iterate = kind.__iter__

    @wraps(iterate)
    def iterated(self: Any) -> Any:
        if active() is not None:
            frame = _calling(_getframe(1))
            if frame is not None:
                _Copying.frame, _Copying.line = id(frame), frame.f_lineno
                if _Copying.told is not None and is_own(frame.f_code):
                    _Copying.told(frame)
        return iterate(self)

    @wraps(original)
    def getitem(self: Any, key: Any) -> Any:
        reel = active()
        if reel is None or self is not module.environ or not isinstance(key, str):
            return original(self, key)
        frame = _calling(_getframe(1))
        if frame is None or not is_own(frame.f_code) or key.startswith(_OURS):
            found = original(self, key)
            _note_credential(key)
            return found
        if _Copying.frame == id(frame) and _Copying.line == frame.f_lineno:
            return original(self, key)
        value = reel.read("environment", key, frame.f_code, frame.f_lineno, lambda: _held(original, self, key))
        if value is None:
            raise KeyError(key)
        if isinstance(value, str):
            return value
        try:
            found = original(self, key)
        except KeyError:
            return _STAND_IN
        _note_credential(key)
        return found

    setattr(getitem, _PATCHED, original)
    kind.__getitem__ = getitem
    kind.__iter__ = iterated


def credentials_read() -> list[str]:
    """Return the names of the variables with keys that were read while something was recorded, by whatever code."""
    return sorted(_credentials)


def _note_credential(name: str) -> None:
    if _CREDENTIAL.search(name) and not name.startswith(_OURS) and len(_credentials) < _MOST_CREDENTIALS:
        _credentials[name] = None


class _Copying:
    """The frame that goes through all of the environment."""

    frame = 0
    line = 0
    told: Callable[[FrameType], None] | None = None
    """What is told of each such frame of the program's own code."""


def watch_copies(tell: Callable[[FrameType], None]) -> None:
    """Have each frame of the program's own code told that goes through all of the environment."""
    _Copying.told = tell


def _held(original: Any, environment: Any, key: str) -> Any:
    """Return the value of a variable as it stands on a tape; None if it is not set."""
    try:
        value = original(environment, key)
    except KeyError:
        return None
    return dict(HELD_BACK) if _SECRET.search(key) or _SECRET_VALUE.search(value) else value


def _calling(frame: FrameType | None) -> FrameType | None:
    """Return the nearest frame that does not read for another."""
    while frame is not None and _is_wrapping(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _is_wrapping(path: str) -> bool:
    return path.startswith("<frozen") or (path.endswith(_WRAPPING) and path.startswith(sys.base_prefix))
