"""Takes files out of messages: images, sounds and documents in base64, and texts of attachments.

They become artifacts, and the message names them in their place as ``artifact:NAME``.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ARTIFACT_TYPES", "Moved", "take_files"]

ARTIFACT_TYPES: Final = {"user": "user_input", "assistant": "agent_output", "tool": "tool_result"}
"""The types of artifacts by the role of the message that they are from."""
_LEAST: Final = 1024
"""Shorter data stays where it is."""
_MOST_FILES: Final = 100
_EXTRACTED: Final = "extracted_content"
"""The key of an attachment's text in Claude's exports."""
_MAX_DEPTH: Final = 8
_DATA_URL: Final = re.compile(r"data:([\w.+-]{1,60}/[\w.+-]{1,60})(?:;[\w=.+-]{1,60})*;base64,", re.ASCII)
_MIME_KEYS: Final = ("media_type", "mimeType", "mime_type")
_NAME_KEYS: Final = ("file_name", "filename", "name", "title")
_NOT_IN_NAMES: Final = re.compile(r"[^\w.() -]+")
_MIME: Final = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moved:
    """A field, or a file within a message, that becomes an artifact: its name and content."""

    field: str
    name: str
    content: str | bytes
    mime_type: str
    type: str = "system_generated"


class _Taking:
    """Walks through one message."""

    def __init__(self, stem: str, role: str) -> None:
        self._stem = stem
        self._type = ARTIFACT_TYPES.get(role, "system_generated")
        self.files: list[Moved] = []

    def value(self, value: Any, path: str, depth: int = _MAX_DEPTH) -> Any:
        """Return the value with names in place of its files; the same object if it has none."""
        if len(self.files) >= _MOST_FILES or not depth:
            return value
        if isinstance(value, list):
            items = [self.value(item, f"{path}[{number}]", depth - 1) for number, item in enumerate(value)]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        if isinstance(value, dict):
            return self._object(value, path, depth)
        if isinstance(value, str) and len(value) >= _LEAST and value.startswith("data:"):
            match = _DATA_URL.match(value)
            if match is not None:
                return self._decoded(value, match.end(), match.group(1), path, {})
        return value

    def _object(self, value: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(item, str):
                new: Any = item
                if len(item) >= _LEAST or (item and key == _EXTRACTED):
                    new = self._field(value, key, item, f"{path}.{key}")
            else:
                new = self.value(item, f"{path}.{key}", depth - 1)
            if new is not item:
                changed[key] = new
        return {**value, **changed} if changed else value

    def _field(self, value: dict[str, Any], key: str, text: str, path: str) -> str:
        """Return the name of the artifact for a field of an object, or its text if it is no file."""
        if key == _EXTRACTED:
            mime = _mime_of(_name_of(value))
            return self._kept(text, mime if mime.startswith("text/") else "text/plain", path, _name_of(value))
        url = _DATA_URL.match(text)
        if url is not None:
            return self._decoded(text, url.end(), url.group(1), path, value)
        if key == "data":
            named = [value[name] for name in _MIME_KEYS if isinstance(value.get(name), str)]
            if isinstance(value.get("format"), str):
                named.append(f"audio/{value['format']}")
            if named and _MIME.fullmatch(named[0]) and value.get("type") != "text":
                return self._decoded(text, 0, named[0], path, value)
        return text

    def _decoded(self, text: str, at: int, mime: str, path: str, around: dict[str, Any]) -> str:
        try:
            content = base64.b64decode(text[at:], validate=True)
        except (binascii.Error, ValueError):
            return text
        return self._kept(content, mime, path, _name_of(around))

    def _kept(self, content: str | bytes, mime: str, path: str, name: str) -> str:
        number = len(self.files) + 1
        ending = mimetypes.guess_extension(mime) or ".bin"
        shown = _NOT_IN_NAMES.sub("_", name).strip(" ._")[-100:]
        name = f"{self._stem}-file-{number}" + (f"-{shown}" if shown else ending)
        self.files.append(Moved(path.lstrip("."), name, content, mime, self._type))
        return f"artifact:{name}"


def take_files(
    content: str | list[Any] | None, fields: dict[str, Any], stem: str, role: str
) -> tuple[str | list[Any] | None, dict[str, Any], list[Moved]]:
    """Return the content and the other fields of a message, with names in place of files, and the files."""
    if not _may_have_files(content) and not _may_have_files(fields):
        return content, fields, []
    taking = _Taking(stem, role)
    kept: Any = taking.value(content, "content") if isinstance(content, list) else content
    rest: dict[str, Any] = taking.value(fields, "") if fields else fields
    return kept, rest, taking.files


def _may_have_files(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Return whether a value has any text that could be a file. Most have none."""
    if type(value) is dict:
        for key, item in value.items():
            kind = type(item)
            if kind is str:
                if len(item) >= _LEAST or (key == _EXTRACTED and item):
                    return True
            elif (kind is dict or kind is list) and depth and _may_have_files(item, depth - 1):
                return True
    elif type(value) is list:
        for item in value:
            kind = type(item)
            if kind is str:
                if len(item) >= _LEAST:
                    return True
            elif (kind is dict or kind is list) and depth and _may_have_files(item, depth - 1):
                return True
    return False


def _name_of(value: dict[str, Any]) -> str:
    return next((each for key in _NAME_KEYS if isinstance(each := value.get(key), str) and each), "")


def _mime_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "text/plain"
