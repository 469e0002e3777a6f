"""Let a person change JSON in an editor."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from typing import Any, Final

import typer

from greenroom.storage.errors import ValidationError

__all__ = ["edited"]

_EDITORS: Final = ("sensible-editor", "nano", "vi")


def edited(document: Any) -> Any:
    """Return what somebody makes of a JSON document in $VISUAL or $EDITOR; the same if it was left as it was.

    What is no JSON any more can be edited again, or is given up. Raises ValidationError if there is no editor, or if it
    fails.
    """
    command = _editor()
    with tempfile.TemporaryDirectory(prefix="greenroom-") as folder:
        path = os.path.join(folder, "step.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2, ensure_ascii=False)
            file.write("\n")
        while True:
            try:
                code = subprocess.call([*command, path])
            except OSError as error:
                raise ValidationError(f"the editor {command[0]!r} cannot be started: {error.strerror}") from error
            if code:
                raise ValidationError(f"the editor {command[0]!r} ended with exit code {code}: nothing was changed")
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                typer.echo(f"that is no JSON: {error}", err=True)
                typer.confirm("Edit it again?", default=True, abort=True, err=True)


def _editor() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if named:
        try:
            return shlex.split(named)
        except ValueError as error:
            raise ValidationError(f"$EDITOR cannot be understood: {error}") from error
    found = next((each for each in _EDITORS if shutil.which(each)), None)
    if found is None:
        raise ValidationError("no editor was found: name one in the variable EDITOR, or use --patch")
    return [found]
