"""What the repl offers where a word is being typed: names of the script, functions, methods, keys of options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from greenroom.runtime.scripts.console import Console, FunctionHelp

__all__ = ["KEYWORDS", "Offer", "function_at", "offers"]

_CHAIN: Final = re.compile(r"((?:[^\W\d]\w*\s*[.:]\s*)*)([^\W\d]\w*)?\Z")
_CALLED: Final = re.compile(r"((?:[^\W\d]\w*\s*[.:]\s*)*[^\W\d]\w*)\s*\Z")
_QUOTES: Final = "\"'`"
_LONGEST: Final = 4000  # characters before the cursor that are looked at

_LUA: Final = """and break do else elseif end false for function goto if in local nil not or repeat return then true
until while"""
_JAVASCRIPT: Final = """async await break case catch class const continue delete do else false finally for function if
in instanceof let new null of return switch this throw true try typeof undefined var while yield"""
KEYWORDS: Final = {"lua": _LUA.split(), "js": _JAVASCRIPT.split()}


@dataclass(frozen=True)
class Offer:
    """A word that may stand in the place of the last `replaces` characters, and what it is."""

    text: str
    replaces: int
    about: str = ""


def offers(before: str, console: Console) -> list[Offer]:
    """Return what may stand where the cursor is, in order; `before` is the text before it."""
    code, quote = _code(before[-_LONGEST:])
    chain, word = _chain(code)
    if quote or (not chain and code[: len(code) - len(word)].rstrip().endswith((".", ":"))):
        return []
    names = [part for part in re.split(r"\s*[.:]\s*", chain) if part]
    found: dict[str, str] = {}
    keys = {} if names else _option_keys(code[: len(code) - len(word)], console)
    if any(key.startswith(word) for key in keys):
        found = keys
    elif not names:
        for name in console.names(()):
            found.setdefault(name, "")
        for name in KEYWORDS.get(console.language, ()):
            found.setdefault(name, "")
    else:
        for function in console.functions:
            owner, _, name = function.name.rpartition(".")
            if owner == ".".join(names):
                found.setdefault(name, function.signature)
        for name in console.names(names):
            found.setdefault(name, "")
    fitting = (name for name in found if name.startswith(word) and (word or not name.startswith("_")))
    return [Offer(name, len(word), found[name]) for name in sorted(fitting, key=lambda each: (not found[each], each))]


def function_at(before: str, console: Console) -> FunctionHelp | None:
    """Return the function whose arguments are being typed, or whose name stands before the cursor."""
    code, _ = _code(before[-_LONGEST:])
    for opened in (len(code), *sorted(_open_brackets(code, "(") + _open_brackets(code, "{"), reverse=True)):
        called = _CALLED.search(code[:opened])
        if called is not None:
            found = _function(re.sub(r"\s*[.:]\s*", ".", called[1]), console)
            if found is not None:
                return found
    return None


def _chain(code: str) -> tuple[str, str]:
    match = _CHAIN.search(code)
    return (match[1], match[2] or "") if match is not None else ("", "")


def _function(name: str, console: Console) -> FunctionHelp | None:
    """Return a function by its full name; for a method of some variable, the one that sessions have."""
    exact = next((each for each in console.functions if each.name == name), None)
    if exact is not None or "." not in name:
        return exact
    method = name.rpartition(".")[2]
    return next((each for each in console.functions if each.name == f"Session.{method}"), None)


def _option_keys(code: str, console: Console) -> dict[str, str]:
    """Return the keys of the table of options that is being written: the innermost bracket is a brace in a call."""
    braces = _open_brackets(code, "{")
    if not braces or not re.search(r"[{,;]\s*\Z", code):
        return {}
    innermost = max((*braces[-1:], *_open_brackets(code, "(")[-1:], *_open_brackets(code, "[")[-1:]))
    if innermost != braces[-1]:
        return {}
    ahead = code[: braces[-1]].rstrip()
    # A table that stands in another one is none of the function's own.
    if not re.search(r"[\w(,]\Z", ahead) or (ahead[-1:] == "," and braces[-2:-1] > _open_brackets(ahead, "(")[-1:]):
        return {}
    function = function_at(ahead, console)
    if function is None:
        return {}
    given = set(re.findall(r"([^\W\d]\w*)\s*[=:](?!=)", code[braces[-1] :]))
    return {key: kind for key, kind in function.options.items() if key not in given}


def _open_brackets(code: str, kind: str) -> list[int]:
    """Return where brackets stand that are not closed yet, the outermost first."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    opened: list[tuple[str, int]] = []
    for at, each in enumerate(code):
        if each in pairs:
            opened.append((each, at))
        elif opened and each == pairs[opened[-1][0]]:
            opened.pop()
    return [at for bracket, at in opened if bracket == kind]


def _code(text: str) -> tuple[str, str]:
    """Return the text with what stands in quotes blanked out, and the quote that is still open at its end."""
    quote = ""
    out: list[str] = []
    characters: Iterator[tuple[int, str]] = iter(enumerate(text))
    for _, each in characters:
        if quote:
            out.append("_" if each != quote else each)
            if each == "\\":
                out.append("_" if next(characters, None) is not None else "")
            elif each == quote:
                quote = ""
        else:
            if each in _QUOTES:
                quote = each
            out.append(each)
    return "".join(out), quote
