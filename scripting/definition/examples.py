"""Examples of calls as neutral data, rendered in any language: the reference prints them, tests run them.

An example is a call with values and the variables that it needs, each with the call that makes it::

    SESSION = Variable("session", call("Session.create", {"name": "Analysis"}))

    @export("addTag", example=example(SESSION, "nlp"), ...)

is in Lua::

    local session = Session.create({ name = "Analysis" })
    Session.addTag(session, "nlp")
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .values import UNDEFINED

__all__ = [
    "LANGUAGES",
    "Call",
    "Example",
    "File",
    "Function",
    "Method",
    "Text",
    "Variable",
    "Word",
    "call",
    "example",
    "files_of",
    "render",
]

LANGUAGES: Final = ("lua", "js")
_WORDS_OF_LUA: Final = frozenset(
    [
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "goto",
        "if",
        "in",
        "local",
        "nil",
        "not",
        "or",
        "repeat",
        "return",
        "then",
        "true",
        "until",
        "while",
    ]
)


@dataclass(frozen=True)
class Call:
    """A call of a function of a global: "Session.create". `field` is what is taken of its answer."""

    function: str
    arguments: tuple[Any, ...]
    field: str | None = None


@dataclass(frozen=True)
class Variable:
    """A local variable of an example, and the call that makes it. `field` is what is taken of it."""

    name: str
    made: Call
    field: str | None = None


@dataclass(frozen=True)
class Method:
    """A call of a method of a value."""

    of: Any
    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Text:
    """A text made of pieces, which are joined: Text("session:", SESSION)."""

    pieces: tuple[Any, ...]


@dataclass(frozen=True)
class Word:
    """A name, or a field of one, as it is written in both languages: "event.type"."""

    text: str


@dataclass(frozen=True)
class File:
    """The path of a file in a folder of the script. With `content` the file is there before."""

    name: str
    content: str | None = None


@dataclass(frozen=True)
class Function:
    """A function of the script, which does some calls and returns a value."""

    parameters: tuple[str, ...] = ()
    returns: Any = UNDEFINED
    body: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Example:
    """How a function is called. `before` are calls that are made first."""

    arguments: tuple[Any, ...]
    before: tuple[Any, ...] = ()


def call(function: str, *arguments: Any, field: str | None = None) -> Call:
    return Call(function, arguments, field)


def example(*arguments: Any, before: Iterable[Any] = ()) -> Example:
    """Return an example: a call of the function that it stands at, with these arguments."""
    return Example(arguments, tuple(before))


def files_of(value: Any) -> list[File]:
    """Return the files that must be there before an example is run."""
    if isinstance(value, File):
        return [value] if value.content is not None else []
    if isinstance(value, Example):
        return [each for part in (*value.arguments, *value.before) for each in files_of(part)]
    if isinstance(value, Call | Method):
        return [each for part in value.arguments for each in files_of(part)]
    if isinstance(value, Variable):
        return files_of(value.made)
    if isinstance(value, Mapping):
        return [each for part in value.values() for each in files_of(part)]
    return [each for part in value for each in files_of(part)] if isinstance(value, list | tuple) else []


def render(function: str, shown: Example, language: str, *, folder: str = "") -> tuple[list[str], str]:
    """Return the statements that an example needs, and the call itself as an expression. `folder` is put before the
    names of files."""
    writer = _Writer(language, folder)
    for each in shown.before:
        writer.state(each)
    expression = writer.value(Call(function, shown.arguments))
    return writer.lines, expression


class _Writer:
    """Writes calls and values in one language."""

    def __init__(self, language: str, folder: str) -> None:
        self._lua = language == "lua"
        self._folder = folder
        self._known: set[str] = set()
        self.lines: list[str] = []

    def state(self, value: Any) -> None:
        """Add a call as a statement, or the making of a variable."""
        text = self.value(value)
        if isinstance(value, Call | Method):
            self.lines.append(text if self._lua else f"{text};")

    def value(self, value: Any) -> str:
        """Return a value as an expression."""
        if isinstance(value, Variable):
            return self._variable(value)
        if isinstance(value, Call):
            listed = ", ".join(self.value(each) for each in value.arguments)
            return f"{value.function}({listed})" + (f".{value.field}" if value.field else "")
        if isinstance(value, Method):
            listed = ", ".join(self.value(each) for each in value.arguments)
            return f"{self.value(value.of)}{':' if self._lua else '.'}{value.name}({listed})"
        if isinstance(value, Text):
            return (" .. " if self._lua else " + ").join(self.value(each) for each in value.pieces)
        if isinstance(value, Word):
            return value.text
        if isinstance(value, File):
            return self._text(self._folder + value.name)
        if isinstance(value, Function):
            return self._function(value)
        return self._plain(value)

    def _variable(self, variable: Variable) -> str:
        if variable.name not in self._known:
            made = self.value(variable.made)
            self._known.add(variable.name)
            word, end = ("local", "") if self._lua else ("const", ";")
            self.lines.append(f"{word} {variable.name} = {made}{end}")
        return variable.name + (f".{variable.field}" if variable.field else "")

    def _function(self, function: Function) -> str:
        names = ", ".join(function.parameters)
        body = [self.value(each) + ("" if self._lua else ";") for each in function.body]
        if function.returns is not UNDEFINED:
            body.append(f"return {self.value(function.returns)}" + ("" if self._lua else ";"))
        text = " ".join(body)
        return f"function({names}) {text} end" if self._lua else f"({names}) => {{ {text} }}"

    def _plain(self, value: Any) -> str:
        if value is UNDEFINED:
            return "nil" if self._lua else "undefined"
        if value is None:
            return "JSON.null" if self._lua else "null"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return repr(value)
        if isinstance(value, bytes):
            if self._lua:
                return '"' + "".join(f"\\x{each:02x}" for each in value) + '"'
            return f"new Uint8Array([{', '.join(map(str, value))}])"
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            pairs = ", ".join(self._pair(name, each) for name, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        listed = ", ".join(self.value(each) for each in value)
        if not self._lua:
            return f"[{listed}]"
        return f"{{ {listed} }}" if listed else "{}"

    def _pair(self, name: str, value: Any) -> str:
        if self._lua:
            plain = name.isidentifier() and name not in _WORDS_OF_LUA
            return f"{name if plain else f'[{self._text(name)}]'} = {self.value(value)}"
        return f"{name if name.isidentifier() else self._text(name)}: {self.value(value)}"

    def _text(self, text: str) -> str:
        return json.dumps(text, ensure_ascii=False)
