"""The interface to script engines. Engines live in a higher floor and are found by entry points."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.runtime.model.script import ScriptResult
from greenroom.storage.concurrency.starter import start_thread
from greenroom.storage.concurrency.waiting import Promise
from greenroom.storage.errors import ConfigurationError, ScriptError, StorageError, shown
from greenroom.storage.files.regular_file import open_regular

from .isolation import Isolation
from .residence import Residence
from .transcript import ScriptReplaying, Transcript

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session

__all__ = [
    "MAX_SCRIPT_ARGUMENTS",
    "MAX_SOURCE_BYTES",
    "ScriptEngine",
    "ScriptRequest",
    "ScriptResult",
    "as_source",
    "engine_for",
    "read_source",
    "with_hint",
]

MAX_SCRIPT_ARGUMENTS: Final = 10_000
MAX_SOURCE_BYTES: Final = 1 << 20
_GROUP: Final = "greenroom.script_engines"
_SUFFIXES: Final = {
    "text/x-lua": ".lua",
    "application/x-lua": ".lua",
    "text/javascript": ".js",
    "application/javascript": ".js",
    "application/x-javascript": ".js",
}
_LANGUAGES: Final = {".js": "javascript", ".mjs": "javascript", ".cjs": "javascript"}
"""Languages of suffixes whose engine may not be installed, for the error to name."""


@dataclass(frozen=True)
class ScriptRequest:
    """Describes one run of a script. `runtime` is the `Runtime`, untyped because this module must not import it.
    `timeout` is in seconds, `max_memory` in bytes. `session` is the session that the script is bound to, None for a
    script of the host. `echo` gets printed lines as they appear, `on_piece` what the
    script gives by `Streaming`; False from it means that no more is wanted."""

    runtime: Any
    source: str
    name: str
    profile: str
    session: Session | None
    args: Sequence[Any]
    timeout: float
    max_instructions: int
    max_memory: int
    directories: tuple[Path, ...] = ()
    echo: Callable[[str], None] | None = None
    on_piece: Callable[[Any], object] | None = None
    isolation: Isolation = "thread"
    transcript: Transcript | None = None
    """What the run is to be recorded in."""
    replaying: ScriptReplaying | None = None
    """What the run is answered from, in place of the runtime."""
    residence: Residence | None = None
    """Where the script stays when it has come to its end; None for one that ends then."""


class ScriptEngine(Protocol):
    """Runs scripts of one language. `aliases`, a tuple of other names of the language, may be missing."""

    language: str
    suffixes: tuple[str, ...]

    def prepare(self, request: ScriptRequest) -> Callable[[], ScriptResult]:
        """Check the request and return a function that runs the script.

        Raises ConfigurationError for an unknown profile, ValidationError for arguments that cannot be converted, and
        ScriptError for a source that is too large. The returned function raises ScriptError, ScriptTimeout or
        ScriptMemoryExceeded, or returns them as the `error` of a result that says what the failed run has cost.
        """

    def stay(
        self, request: ScriptRequest, ended: Callable[[ScriptResult], object]
    ) -> Callable[[BaseException], object]:
        """Run a script on a thread of its own, and keep its sandbox in the request's residence. Return at once.

        `ended` is called once, on that thread, with a result that has no value. The returned function ends the sandbox
        as soon as possible; what it holds of the runtime is released at once. Raises what `prepare` raises.
        """


@cache
def _engines() -> dict[str, ScriptEngine]:
    # On a thread of its own: an interrupted import can leave Python's import locks taken.
    promise: Promise[dict[str, ScriptEngine]] = Promise()
    start_thread(threading.Thread(target=_load_engines, args=(promise,), name="greenroom-import", daemon=True))
    return promise.result()


def _load_engines(promise: Promise[dict[str, ScriptEngine]]) -> None:
    import importlib.metadata  # takes long, and most hosts run no script

    engines: dict[str, ScriptEngine] = {}
    try:
        for point in importlib.metadata.entry_points(group=_GROUP):
            engines.setdefault(point.name, point.load()())
    except BaseException as error:
        promise.settle(error=error)
    else:
        promise.settle(engines)


def engine_for(language: str | None, file_name: str | None = None, mime_type: str | None = None) -> ScriptEngine:
    """Return the engine for a language, else for a file's suffix, else for a MIME type, else for Lua. Raises
    ConfigurationError."""
    engines = _engines()
    if language is None:
        suffix = PurePath(file_name).suffix if file_name is not None else ""
        of_type = _SUFFIXES.get(mime_type or "", "")
        language = next(
            (each.language for wanted in (suffix, of_type) for each in engines.values() if wanted in each.suffixes),
            _LANGUAGES.get(suffix or of_type, "lua"),
        )
    engine = engines.get(language)
    if engine is None:
        engine = next((each for each in engines.values() if language in getattr(each, "aliases", ())), None)
    if engine is None:
        known = ", ".join(sorted(engines)) or "none installed"
        raise ConfigurationError(f"there is no script engine for {shown(language)}; there are: {known}")
    return engine


def read_source(path: Path) -> str:
    """Return the text of a script file. Raises ScriptError."""
    try:
        with open_regular(path, f"cannot read {path.name}") as file:
            source = file.read(MAX_SOURCE_BYTES + 1)
    except StorageError as error:
        raise ScriptError(str(error), script=path.name) from error
    return as_source(path.name, source)


def as_source(name: str, source: bytes) -> str:
    """Return the text of a script that is stored as bytes. Raises ScriptError."""
    if len(source) > MAX_SOURCE_BYTES:
        raise ScriptError(f"{name} is larger than {MAX_SOURCE_BYTES} bytes", script=name)
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptError(f"{name} is not UTF-8 text", script=name) from error


def with_hint(error: ScriptError, source: Any) -> ScriptError:
    """Return the error, with a hint if the source text looks like the name of a file."""
    if (
        error.fields.get("cause") != "SyntaxError"
        or not issubclass(type(source), str)
        or not _reads_like_a_file(source)
    ):
        return error
    hint = f"{error}. The source reads like the name of a file: to run the file, give it as a Path({source!r})"
    return ScriptError(hint, **error.fields)


def _reads_like_a_file(source: str) -> bool:
    if len(source) > 255 or not source.isprintable():
        return False
    suffixes = tuple(suffix for engine in _engines().values() for suffix in engine.suffixes)
    try:
        return source.endswith(suffixes) or os.path.exists(source)
    except (OSError, ValueError):
        return False
