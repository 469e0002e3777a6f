"""How a command gets at the store and at a session in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from greenroom.runtime import Runtime, Session
    from greenroom.runtime.config.settings import Settings

_LEAST_DIGITS = 6
KEY = "key:"
"""Marks the key of a session where an id is expected."""
_WHOLE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]*")
_SOME = 4  # how many ids a message lists


class Store:
    """The store that the command line names; opened by the commands, each in the way it needs."""

    def __init__(self, data: str | None, *, as_json: bool = False, quiet: bool = False) -> None:
        self._data = data
        self.as_json = as_json
        self.quiet = quiet

    def take(self, *, data: str | None, quiet: bool, as_json: bool | None) -> None:
        """Take what was said after the command to what was said before it."""
        self._data = data if data is not None else self._data
        self.quiet = self.quiet or quiet
        self.as_json = self.as_json or bool(as_json)

    @property
    def named(self) -> bool:
        """Whether the command line names a directory."""
        return self._data is not None

    def settings(self) -> Settings:
        """Return the settings in force; raises ConfigurationError."""
        from greenroom.runtime.config.settings import load_settings

        return load_settings({"data": self._data})

    @contextmanager
    def reading(self, defaults: Mapping[str, Any] | None = None) -> Iterator[Runtime]:
        """The store opened beside whoever writes to it. `defaults` stand in for settings that nobody has set."""
        with self._open(read_only=True, defaults=defaults) as runtime:
            yield runtime

    @contextmanager
    def reading_if_there(self) -> Iterator[Runtime | None]:
        """The store opened beside whoever writes to it; None if there is none."""
        if not self.settings().data.is_dir():
            yield None
            return
        with self.reading() as runtime:
            yield runtime

    @contextmanager
    def writing(self, create: bool = False, defaults: Mapping[str, Any] | None = None) -> Iterator[Runtime]:
        """The store opened for writing; made when it is not there and `create` is true. `defaults` as in `reading`."""
        with self._open(create=create, defaults=defaults) as runtime:
            yield runtime

    @contextmanager
    def _open(
        self, *, create: bool = False, read_only: bool = False, defaults: Mapping[str, Any] | None = None
    ) -> Iterator[Runtime]:
        from greenroom.runtime import Runtime, StorageError

        settings = self.settings()
        if not create and not settings.data.is_dir():
            raise StorageError(
                f"there is no store at {settings.data}: name another with --data, "
                "or make one with: greenroom ingest FILE, or greenroom record -- python PROGRAM"
            )
        unset = {key: value for key, value in (defaults or {}).items() if settings.origins[key] == "default"}
        config = settings.config.model_copy(update=unset)
        with Runtime.open(settings.data, config=config, read_only=read_only) as runtime:
            yield runtime


def the_store(context: typer.Context) -> Store:
    """Return the store of this command."""
    store = context.obj
    assert isinstance(store, Store)
    return store


def the_sessions(runtime: Runtime, names: list[str]) -> list[Session]:
    """Return the sessions that ids, or the beginnings of some, name, each once. Raises as `the_session`."""
    return list({session.id: session for session in (the_session(runtime, name) for name in names)}.values())


def the_session(runtime: Runtime, name: str) -> Session:
    """Return the session that an id, the beginning of one, or `key:` and its key names.

    Raises SessionNotFound when there is none and ValidationError when it is no such beginning or fits
    several.
    """
    from greenroom.runtime import SessionNotFound, ValidationError

    if name.startswith(KEY):
        return runtime.session(key=name.removeprefix(KEY))
    if _WHOLE_ID.fullmatch(name):
        return runtime.session(name)
    if not _PREFIX.fullmatch(name) or len(name.replace("-", "")) < _LEAST_DIGITS:
        raise ValidationError(
            f"{name!r} is no session id: give the whole id, at least its first {_LEAST_DIGITS} digits, or {KEY}KEY",
            field="session",
        )
    found = runtime.find_sessions(name, limit=_SOME + 1)
    if not found:
        raise SessionNotFound(f"no session's id begins with {name!r}; see: greenroom sessions list --status all")
    if len(found) > 1:
        some = ", ".join(found[:_SOME]) + (", …" if len(found) > _SOME else "")
        raise ValidationError(f"{name!r} fits several sessions ({some}): give more digits", field="session")
    return runtime.session(found[0])
