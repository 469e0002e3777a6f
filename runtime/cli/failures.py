"""How the command line tells that something went wrong: in its own words, in one line or as JSON, on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import typer

from greenroom.storage.codec.json_lines import json_able

if TYPE_CHECKING:
    from greenroom.storage.errors import GreenroomError

__all__ = ["in_our_words", "is_for_outside", "tell", "way_there"]

# The exceptions of click, wherever this version of typer has them from.
_CLICK: Final = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

# What the runtime advises those who write Python, and what it means here.
_ADVICE: Final = (
    (re.compile(r"close that one, or open this one with read_only=True"), "wait for it, or stop it"),
    (re.compile(r"\banother runtime has it open"), "another process has it open"),
    (
        re.compile(r"\bthis runtime is open for reading only: open it without read_only.*"),
        "the store is open for reading only here",
    ),
    (re.compile(r"; run verify\b"), "; look with: greenroom verify"),
    (re.compile(r", or take all as they are with accept_losses\(\)"), ""),
    (re.compile(r": open it again to go on"), ""),
    (re.compile(r", or a part of one with rt\.recording\(\)"), ""),
    (re.compile(r", as text or a Path\b"), ""),
    (re.compile(r"use None, bool, int, float, str, bytes, list or dict"), "use what JSON has, or bytes"),
)

# Fields of the runtime whose option has another name.
_OPTIONS: Final = {
    "args": "arguments",
    "artifact_type": "kind",
    "created_after": "after",
    "created_before": "before",
    "directories": "allow_dir",
    "expires_at": "expires",
    "name_pattern": "name",
    "name_prefix": "prefix",
    "sort_by": "sort",
    "source": "script",
    "tags": "tag",
    "type": "kind",
    "with_session": "other",
    "without_tags": "without_tag",
}
_FIELD: Final = re.compile(r"(\w+)(?:\[\d+\])?: ")


def tell(error: Exception, *, as_json: bool, command: Any = None) -> int:
    """Tell of an error on stderr and return the exit code: 2 for a usage error, else 1.

    `command` is the command that was running, if any: its options are named in place of the runtime's parameters.
    Notes that were added to the error stand below the message.
    """
    from greenroom.storage.errors import GreenroomError

    told: dict[str, Any]
    code = 1
    begin, more = "greenroom: ", ""
    notes = "".join(f"{note}\n" for note in getattr(error, "__notes__", ()))
    if isinstance(error, GreenroomError):
        message = in_our_words(str(error), command)
        told = {"code": error.code, "message": message, "fields": json_able(error.fields)}
        more = way_there(error)
    elif isinstance(error, _CLICK):
        usage: Any = error
        code = int(usage.exit_code)
        usage.message = _without_pydantic(usage)
        message = usage.format_message()
        if type(error).__name__ == "NoArgsIsHelpError" and not as_json:
            usage.show()
            return code
        begin = "Error: "
        context = getattr(error, "ctx", None)
        more = f"For help: {context.command_path if context is not None else 'greenroom'} --help"
        told = {"code": "UsageError", "message": message or "a command is needed", "fields": {}}
    elif isinstance(error, typer.Abort):
        message = "stopped"
        told = {"code": "Aborted", "message": message, "fields": {}}
    elif isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        message = f"{where}{error.strerror or type(error).__name__}"
        told = {"code": "OSError", "message": message, "fields": {}}
    else:
        message = f"a bug in greenroom: {type(error).__name__} at {_place(error)}: {error}; please report it"
        told = {"code": "Unexpected", "message": message, "fields": {}}
    _say(json.dumps({"error": told}, default=str) if as_json else _text(begin + message, notes + more))
    return code


def way_there(error: GreenroomError) -> str:
    """Return the traceback of a script's error without the message that it begins with."""
    trace = str(error.fields.get("traceback") or "")
    message = str(error)
    return (trace.removeprefix(message) if trace.startswith(message) else trace.partition("\n")[2]).lstrip("\n")


def is_for_outside(error: Exception) -> bool:
    """Return whether the command line was not understood, or is left on purpose, or its reader has gone."""
    return isinstance(error, (_CLICK, typer.Exit, typer.Abort, BrokenPipeError))


def in_our_words(message: str, command: Any = None) -> str:
    """Return a message of the runtime without what only a Python program could follow."""
    for advice, here in _ADVICE:
        message = advice.sub(here, message)
    field = _FIELD.match(message)
    if field is not None and command is not None:
        wanted = (field[1], _OPTIONS.get(field[1]))
        found = next((each for each in command.params if each.name in wanted), None)
        if found is not None:
            name = found.opts[0] if found.opts[0].startswith("-") else found.metavar or found.opts[0].upper()
            return f"{name.strip('[]')}: {message[field.end() :]}"
    return message


def _without_pydantic(error: Any) -> str:
    """Return what is wrong with an argument; where typer has left that to pydantic, in our words."""
    import pydantic

    from greenroom.storage.common.validation import complaints

    if isinstance(error.__cause__, pydantic.ValidationError):
        return complaints(error.__cause__, pydantic.BaseModel)[0].text
    return str(error.message)


def _text(message: str, more: str) -> str:
    from .output import one_line, printable

    return one_line(message) + (f"\n{printable(more.rstrip())}" if more else "")


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = next((each for each in reversed(frames) if "greenroom" in each.filename or "runtime" in each.filename), None)
    return f"{os.path.basename(last.filename)}:{last.lineno}" if last is not None else "an unknown place"


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # where nobody hears, the exit code has to do
        print(text, file=sys.stderr, flush=True)
