"""The loggers of greenroom: each record is one line of bounded length that carries names, ids and sizes, no content.

The words of a script, tool or hook about its failure are content: they may quote a value, and with a line end could
pass for another record. So errors are passed to a logger as arguments, and the record describes them in greenroom's own
words.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import PurePath
from typing import Any, Final

from greenroom.storage.errors import CallFailed, GreenroomError, HookCancelled, ScriptError, shown

__all__ = ["logger_of", "one_line"]

_MAX_RECORD: Final = 2000
_MAX_ARGUMENT: Final = 500
_FRAMES: Final = 3


def logger_of(name: str) -> logging.Logger:
    """Return the logger "greenroom.NAME". Its records are one line each, of bounded length, without content."""
    logger = logging.getLogger(f"greenroom.{name}")
    logger.addFilter(_plain)
    return logger


def one_line(text: str, most: int = _MAX_ARGUMENT) -> str:
    """Return text on one line, without characters that a terminal or a log reader would act on."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: most + 1])
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(record: logging.LogRecord) -> bool:
    """Make a record plain. Used as a filter of the logger that made it."""
    arguments = record.args
    if isinstance(arguments, tuple):
        record.args = tuple(_argument(each) for each in arguments)
    try:
        text = record.getMessage()
    except Exception:  # a record must not fail the operation that it reports
        text = str(record.msg)
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is not None:
        text = f"{text} [{_raised(error)}]"
    record.exc_info = record.exc_text = record.stack_info = None
    record.msg, record.args = one_line(text, _MAX_RECORD), None
    return True


def _argument(value: Any) -> Any:
    kind = type(value)
    if kind in (int, float, bool, type(None)):
        return value
    if issubclass(kind, BaseException):
        return _told(value)
    if issubclass(kind, (str, PurePath)):
        return one_line(str.__str__(value) if issubclass(kind, str) else str(value))
    return shown(value)


def _told(error: BaseException) -> str:
    """Describe an error without the words of the code that raised it."""
    if isinstance(error, ScriptError):
        line = error.fields.get("line")
        return f"{error.code} in {shown(error.fields.get('script', ''))}" + (f", line {line}" if line else "")
    if isinstance(error, CallFailed):
        return f"{error.code}: {error.fields.get('kind')} {shown(error.fields.get('name'))}"
    if isinstance(error, HookCancelled):
        return f"{error.code}: hook {shown(error.fields.get('hook'))}"
    if isinstance(error, GreenroomError):
        return f"{error.code}: {one_line(str(error))}"
    return type(error).__name__


def _raised(error: BaseException) -> str:
    """Describe an error and the places that it came through, the innermost first."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " < ".join(f"{PurePath(each.filename).name}:{each.lineno}" for each in reversed(frames))
    return f"{_told(error)} at {places}" if places else _told(error)


logger_of("actors")  # of the dispatcher, which uses nothing of greenroom but its errors
