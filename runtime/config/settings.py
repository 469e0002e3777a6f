"""Settings of a process: defaults < ``greenroom.toml`` < environment ``GREENROOM_*`` < arguments.

The keys are those of `RuntimeConfig` and ``data``, the directory of the store. In the file they stand at
the top level, in the environment in capitals: ``durability = "fsync"``, ``GREENROOM_DURABILITY=fsync``.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from greenroom.storage.common.validation import complaints, nearest
from greenroom.storage.errors import ConfigurationError, StorageError
from greenroom.storage.files.regular_file import open_regular

from .config import RuntimeConfig

#: The file that is read from the working directory when there is one.
FILE_NAME = "greenroom.toml"
#: The default directory of the store.
DEFAULT_DATA = "greenroom-data"

_PREFIX = "GREENROOM_"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Settings:
    """The settings in force, and the source of each value: default, file, variable or argument."""

    data: Path
    config: RuntimeConfig
    origins: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return every key with its value, as JSON values."""
        return {"data": str(self.data), **self.config.model_dump(mode="json")}


def load_settings(
    arguments: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings from all four sources. Arguments that are None are ignored.

    `file` is a TOML file that must exist; the default is ``greenroom.toml`` in the working directory, if it exists.
    Raises ConfigurationError for an unknown key, naming the nearest known one, and for an invalid value, naming its
    source.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source, found in (
        *_from_file(file),
        *_from_environment(os.environ if environ is None else environ),
        *(("argument", {key: value}) for key, value in (arguments or {}).items() if value is not None),
    ):
        for key, value in found.items():
            _check_known(key, source)
            values[key] = value
            origins[key] = source
    data = values.pop("data", DEFAULT_DATA)
    if not isinstance(data, (str, os.PathLike)) or not str(data):
        raise ConfigurationError(f"data ({origins['data']}): the path of a directory is needed", key="data")
    try:
        config = RuntimeConfig.__pydantic_validator__.validate_python(values)
    except pydantic.ValidationError as error:
        raise _impossible(error, origins) from None
    return Settings(Path(data), config, {key: origins.get(key, "default") for key in known_keys()})


def known_keys() -> list[str]:
    """Return every key that may be set."""
    return ["data", *RuntimeConfig.model_fields]


def _from_file(file: Path | None) -> list[tuple[str, dict[str, Any]]]:
    path = file or Path(FILE_NAME)
    if not os.path.lexists(path):
        if file is None:
            return []
        raise ConfigurationError(f"{path}: there is no such settings file", file=str(path))
    try:
        with open_regular(path, f"{path}: cannot be read") as stream:
            text = stream.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ConfigurationError(f"{path}: larger than {_MAX_BYTES} bytes, too large for settings", file=str(path))
        return [(str(path), tomllib.loads(text.decode()))]
    except StorageError as error:
        raise ConfigurationError(str(error), file=str(path)) from None
    except RecursionError:
        raise ConfigurationError(f"{path}: nested too deeply", file=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}", file=str(path)) from None


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, {name.removeprefix(_PREFIX).lower(): value})
        for name, value in sorted(environ.items())
        if name.startswith(_PREFIX) and value
    ]


def _check_known(key: str, source: str) -> None:
    known = known_keys()
    if key in known:
        return
    near = nearest(key, known) or ""
    if source.startswith(_PREFIX):
        message = f"{source}: unknown setting; the nearest known one is {_PREFIX}{near.upper()}"
    else:
        message = f"{source}: unknown setting {key!r}; the nearest known one is {near!r}"
    raise ConfigurationError(message, key=key, nearest=near)


def _impossible(error: pydantic.ValidationError, origins: Mapping[str, str]) -> ConfigurationError:
    first = complaints(error, RuntimeConfig)[0]
    if not first.path:
        return ConfigurationError(f"settings: {first.text}")
    key = str(first.path[0])
    below = first._replace(path=first.path[1:]).place
    where = f"{key} ({origins.get(key, 'default')})"
    if first.nearest is not None:
        message = f"{where}: unknown setting {below!r}; the nearest known one is {first.nearest!r}"
        return ConfigurationError(message, key=first.place, nearest=first.nearest)
    return ConfigurationError(f"{where}: {below + ': ' if below else ''}{first.text}", key=key)
