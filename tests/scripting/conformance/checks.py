"""Calls of functions made from their definitions: by their examples, with what no parameter takes, and as methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from greenroom.runtime import GreenroomError, Runtime
from greenroom.scripting.definition import examples, types
from greenroom.scripting.definition.examples import Example, Method, files_of, render
from greenroom.scripting.definition.function import MANY, Function
from greenroom.scripting.definition.shapes import Fluent, Maybe, Object, Page, Rows, Value
from greenroom.scripting.definition.shapes import Iterator as Iterated
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals import known_globals

__all__ = ["LANGUAGES", "TAKES_ANYTHING", "Case", "cases", "run_bad", "run_good"]

LANGUAGES: Final = examples.LANGUAGES
_NOTHING: Final = {"no_such_option": 1}
_BAD: Final[dict[types.Type, Any]] = {
    types.TEXT: _NOTHING,
    types.WHOLE: "no number",
    types.NUMBER: "no number",
    types.FLAG: "no flag",
    types.CONTENT: _NOTHING,
    types.TEXTS: 5,
    types.ITEMS: 5,
    types.TABLE: 5,
    types.FUNCTION: 5,
    types.SESSION: True,
    types.OTHER_SESSION: True,
    types.ARTIFACT: True,
    types.TIME: True,
    types.PATH: True,
}
"""What each type does not take."""
_NATIVE: Final[dict[str, tuple[Any, ...]]] = {"JSON.parse": ("{",), "JSON.array": (5,)}
"""What the functions do not take that languages have themselves."""
TAKES_ANYTHING: Final = {"print", "JSON.is_null", "JSON.stringify"}
"""Functions for which there is no wrong value of plain data."""


@dataclass(frozen=True)
class Case:
    """A function under one of its names, in one language."""

    function: Function
    name: str
    language: str

    @property
    def called(self) -> str:
        of = self.function.of
        return f"{of}.{self.name}" if of else self.name

    def __str__(self) -> str:
        return f"{self.called}-{self.language}"


def cases() -> list[Case]:
    """Return a case for every function of every global, under every name, in every language."""
    return [
        Case(function, name, language)
        for language in LANGUAGES
        for found in known_globals().values()
        for function in found.functions
        if not function.hidden
        for name in function.names
    ]


def _shape(shape: Any, depth: int = 4) -> dict[str, Any]:
    """Return a shape as plain data, for the checks that are written in the language."""
    if isinstance(shape, Maybe):
        return {**_shape(shape.of, depth), "optional": True}
    if isinstance(shape, Value):
        return {"kind": "value", "is": shape.kind}
    if isinstance(shape, Iterated):
        return {"kind": "iterator"}
    if isinstance(shape, Rows | Page):
        return {"kind": "page" if isinstance(shape, Page) else "rows", "of": _shape(shape.of, depth)}
    if isinstance(shape, Fluent):
        methods, aliases, parts, shows = [*shape.ends, *shape.lists, "anything"], {}, {}, {}
        return _object(shape.name, methods, aliases, parts, shows)
    assert isinstance(shape, Object)
    parts = {name: _shape(each, depth - 1) for name, each in shape.parts.items()} if depth else {}
    methods = [*shape.methods, *shape.getters, *_methods(shape)]
    found = _object(shape.name, methods, shape.aliases, parts, {name: [*each] for name, each in shape.shows.items()})
    return found | {"text": shape.text is not None, "itself": shape.itself or False}


def _object(name: str, methods: list[str], aliases: Any, parts: Any, shows: Any) -> dict[str, Any]:
    return {
        "kind": "object",
        "name": name,
        "methods": methods,
        "aliases": aliases,
        "parts": parts,
        "shows": shows,
        "text": False,
        "itself": False,
    }


@cache
def _methods(shape: Object) -> tuple[str, ...]:
    return tuple(
        name
        for found in known_globals().values()
        for function in found.functions
        if function.on is shape
        for name in function.names
    )


def _run(runtime: Runtime, case: Case, source: str, folder: Path, args: list[Any]) -> Any:
    return runtime.run_script(
        source,
        language=case.language,
        profile="files",
        directories=[folder],
        args=args,
        timeout=60,
        on_piece=lambda piece: True,
    ).value


def _place(shown: Example, folder: Path) -> str:
    for file in files_of(shown):
        (folder / file.name).write_text(file.content or "")
    return f"{folder}/"


def run_good(runtime: Runtime, case: Case, folder: Path, *, method: bool = False) -> list[str]:
    """Call a function as its example shows, or as a method of the first argument. Return what is wrong with the
    answer."""
    shown = case.function.example
    place = _place(shown, folder)
    if method:
        call: Any = Method(shown.arguments[0], case.name, shown.arguments[1:])
        lines, expression = _render_method(shown, call, case.language, place)
    else:
        lines, expression = render(case.called, shown, case.language, folder=place)
    checker = (Path(__file__).parent / f"shapes.{case.language}").read_text()
    if case.language == "lua":
        source = "\n".join([checker, "local shape = ...", *lines, f"return shape_problems({expression}, shape)"])
    else:
        source = "\n".join([checker, *lines, f"return shape_problems({expression}, arguments[0]);"])
    problems: list[str] = _run(runtime, case, source, folder, [_shape(case.function.returns)])
    return problems


def _render_method(shown: Example, call: Method, language: str, place: str) -> tuple[list[str], str]:
    """Return an example with the call of a method in the place of that of a function."""
    writer = examples._Writer(language, place)
    for each in (*shown.before, call.of):
        writer.state(each)
    expression = writer.value(call)
    return writer.lines, expression


def _bad_arguments(case: Case) -> Iterator[tuple[Any, ...]]:
    """Yield arguments that the function does not take: its example's, one of them of another type."""
    function = case.function
    shown = function.example.arguments
    if function.name in _NATIVE:
        yield _NATIVE[function.name]
        return
    for at, parameter in enumerate(function.parameters):
        kept = [*shown[:at], *[UNDEFINED] * (at - len(shown))]
        if parameter.options is not None:
            yield (*kept, _NOTHING)
        elif parameter.type in _BAD:
            yield (*kept, _BAD[parameter.type], *shown[at + 1 :])
    if not function.native:
        yield (*shown, *[1] * (MANY + 1 - len(shown)))


def run_bad(runtime: Runtime, case: Case, folder: Path) -> list[str]:
    """Call a function with each value that it does not take. Return what is wrong with its errors."""
    shown = case.function.example
    place = _place(shown, folder)
    found = []
    for arguments in _bad_arguments(case):
        lines, expression = render(case.called, replace(shown, arguments=arguments), case.language, folder=place)
        if case.language == "lua":
            source = "\n".join(
                [
                    *lines,
                    f"local ok, e = pcall(function() return {expression} end)",
                    "if ok and type(e) == 'table' and e.success == false then return { e.error_code, e.error } end",
                    "return ok and {} or { e.code, e.message }",
                ]
            )
        else:
            source = "\n".join(
                [
                    *lines,
                    f"try {{ const e = {expression};",
                    "  return e && e.success === false ? [e.error_code, e.error] : [];",
                    "} catch (e) { return [e.code, e.message]; }",
                ]
            )
        try:
            error = _run(runtime, case, source, folder, [])
        except GreenroomError as failure:
            error = [failure.code, str(failure)]
        if len(error) != 2 or error[0] != "ValidationError" or not error[1]:
            found.append(f"{case.called}{arguments!r}: {error}")
    return found
