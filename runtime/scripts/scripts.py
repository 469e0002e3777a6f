"""The interface to script engines. Engines live in a higher floor and are found by entry points."""

from __future__ import annotations

import importlib.metadata
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.storage.codec.records import Json
from greenroom.storage.concurrency.starter import start_thread
from greenroom.storage.concurrency.waiting import Promise
from greenroom.storage.errors import ConfigurationError, GreenroomError, ScriptError, StorageError, shown
from greenroom.storage.files.regular_file import open_regular

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session

__all__ = [
    "MAX_SCRIPT_ARGUMENTS",
    "MAX_SOURCE_BYTES",
    "ScriptEngine",
    "ScriptRequest",
    "ScriptResult",
    "engine_for",
    "read_source",
    "with_hint",
]

MAX_SCRIPT_ARGUMENTS: Final = 10_000
MAX_SOURCE_BYTES: Final = 1 << 20
_GROUP: Final = "greenroom.script_engines"


@dataclass(frozen=True)
class ScriptRequest:
    """Describes one run of a script. `runtime` is the `Runtime`, untyped because this module must not import it.
    `timeout` is in seconds, `max_memory` in bytes. `session` is the session that the script is bound to, None for a
    script of the host. `echo` gets printed lines as they appear."""

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


@dataclass(frozen=True)
class ScriptResult:
    """The values that a script returned, its output, and the seconds, instructions and bytes that it used. `exit_code`
    is what it gave to `os.exit`, else 0."""

    value: Json
    output: str
    duration: float
    instructions: int
    memory_peak: int
    error: GreenroomError | None = None
    exit_code: int = 0

    def __repr__(self) -> str:
        return f"<ScriptResult {self.error.code if self.error is not None else 'success'}>"


class ScriptEngine(Protocol):
    """Runs scripts of one language."""

    language: str
    suffixes: tuple[str, ...]

    def prepare(self, request: ScriptRequest) -> Callable[[], ScriptResult]:
        """Check the request and return a function that runs the script.

        Raises ConfigurationError for an unknown profile, ValidationError for arguments that cannot be converted, and
        ScriptError for a source that is too large. The returned function raises ScriptError, ScriptTimeout or
        ScriptMemoryExceeded.
        """


@cache
def _engines() -> dict[str, ScriptEngine]:
    # On a thread of its own: an interrupted import can leave Python's import locks taken.
    promise: Promise[dict[str, ScriptEngine]] = Promise()
    start_thread(threading.Thread(target=_load_engines, args=(promise,), name="greenroom-import", daemon=True))
    return promise.result()


def _load_engines(promise: Promise[dict[str, ScriptEngine]]) -> None:
    engines: dict[str, ScriptEngine] = {}
    try:
        for point in importlib.metadata.entry_points(group=_GROUP):
            engines.setdefault(point.name, point.load()())
    except BaseException as error:
        promise.settle(error=error)
    else:
        promise.settle(engines)


def engine_for(language: str | None, path: Path | None) -> ScriptEngine:
    """Return the engine for a language, else for the file's suffix, else for Lua. Raises ConfigurationError."""
    engines = _engines()
    if language is None:
        suffix = path.suffix if path is not None else ""
        language = next((each.language for each in engines.values() if suffix in each.suffixes), "lua")
    engine = engines.get(language)
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
    if len(source) > MAX_SOURCE_BYTES:
        raise ScriptError(f"{path.name} is larger than {MAX_SOURCE_BYTES} bytes", script=path.name)
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptError(f"{path.name} is not UTF-8 text", script=path.name) from error


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
