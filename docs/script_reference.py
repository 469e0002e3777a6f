"""The reference of the globals of scripts, a page each, made from their definitions. `generate.py` writes it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from greenroom.scripting.definition.examples import render
from greenroom.scripting.definition.function import Function, Parameter
from greenroom.scripting.definition.layout import Global
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import Maybe, Object, Page, Rows, Shape
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals import known_globals

__all__ = ["pages"]

_FEW: Final = 3
"""So many keys of options are told in a sentence."""


def pages(written: str) -> dict[str, str]:
    """Return the pages by their paths below docs/."""
    known = known_globals()
    shown = {name: _page(each, written) for name, each in known.items() if name}
    free = [each for name, each in known.items() if not name]
    return {
        **{f"scripting/reference/{name.lower()}.md": text for name, text in shown.items()},
        "scripting/reference/README.md": _overview([*known.values()], free, written),
    }


def _overview(known: list[Global], free: list[Global], written: str) -> str:
    rows = [
        f"| [`{each.name}`]({each.name.lower()}.md) | {_cell(_first(each.summary))} |" for each in known if each.name
    ]
    parts = [
        "# The globals of scripts",
        f"{written} from the definitions of the functions. They are the same in Lua and in JavaScript, and explained in"
        " the [guide](../getting-started.md).",
        "| global | |\n| --- | --- |\n" + "\n".join(rows),
    ]
    return "\n\n".join((*parts, *(_function(function, "##") for each in free for function in each.functions))) + "\n"


def _page(of: Global, written: str) -> str:
    functions = [each for each in of.functions if not each.hidden]
    parts = [
        f"# {of.name}",
        f"{written} from the definitions of the functions ([guide](../getting-started.md)).",
        inspect.cleandoc(of.summary),
    ]
    parts.append(
        "| function | returns | |\n| --- | --- | --- |\n"
        + "\n".join(
            f"| [`{each.names[0]}`](#{_anchor(each)}) | {_shape(each.returns)} | {_cell(_first(each.summary))} |"
            for each in functions
        )
    )
    if of.constants:
        parts.append(
            "Values: " + ", ".join(f"`{of.name}.{name}` = `{value!r}`" for name, value in of.constants.items()) + "."
        )
    parts += [_function(each, "##") for each in functions]
    objects = dict.fromkeys(_objects(each.returns for each in functions))
    if objects:
        parts.append("## What comes back")
        parts += [_object(each, of.functions) for each in objects]
    return "\n\n".join(part for part in parts if part) + "\n"


def _anchor(function: Function) -> str:
    return re.sub(r"[^a-z0-9_ -]", "", function.names[0].lower())


def _function(function: Function, mark: str) -> str:
    parts = [f"{mark} {function.names[0]}", "```\n" + "\n".join(_signatures(function)) + "\n```", function.summary]
    more = [f"`{name}`" for name in function.names[1:]]
    notes = []
    if more:
        notes.append(f"Also {' and '.join(more)}.")
    if function.on is not None:
        notes.append(
            f"Also a method of {_article(function.on.name)}: `{_receiver(function.on)}:{function.names[0]}(…)`."
        )
    if function.soft:
        notes.append("Never raises an error.")
    parts.append(" ".join(notes))
    parts.append(_parameters(function.parameters))
    parts += [_options(each.name, each.options) for each in function.parameters if each.options is not None]
    parts.append(_examples(function))
    return "\n\n".join(part for part in parts if part)


def _signatures(function: Function) -> Iterator[str]:
    """Yield how the function is called, a line for each form."""
    back = _text_of(function.returns)
    if function.forms:
        for form in function.forms:
            yield f"{function.of + '.' if function.of else ''}{form} → {back}"
        return
    yield f"{function.name}({_given(function.parameters)}) → {back}"


def _given(parameters: Iterable[Parameter]) -> str:
    """Return the parameters as a signature has them."""
    return ", ".join(
        f"{each.name}…" if each.many else each.name if each.required else f"{each.name}?" for each in parameters
    )


def _parameters(parameters: tuple[Parameter, ...]) -> str:
    rows = [
        f"| `{each.name}` | {'options' if each.options is not None else each.type.name} |"
        f" {'any number' if each.many else 'needed' if each.required else _default(each.default)} |"
        for each in parameters
    ]
    alone = all(each.options is not None or each.many for each in parameters)
    return "" if alone else "| parameter | type | |\n| --- | --- | --- |\n" + "\n".join(rows)


def _default(value: Any) -> str:
    return "" if value is UNDEFINED or value is None or value == {} else f"default: `{value!r}`"


def _options(parameter: str, options: Options) -> str:
    other: dict[str, list[str]] = {}
    for spelling, key in options.same.items():
        other.setdefault(key, []).append(spelling)
    if len(options.keys) <= _FEW and not other:
        listed = ", ".join(f"`{key}` ({kind.name})" for key, kind in options.keys.items())
        return f"Keys of `{parameter}`: {listed}."
    rows = [
        f"| `{key}` | {kind.name} | {', '.join(f'`{each}`' for each in other.get(key, []))} |"
        for key, kind in options.keys.items()
    ]
    return f"Keys of `{parameter}`:\n\n| key | type | also |\n| --- | --- | --- |\n" + "\n".join(rows)


def _examples(function: Function) -> str:
    if function.example is None:
        return ""
    lua, js = (render(function.name, function.example, language) for language in ("lua", "js"))
    return "```lua\n" + "\n".join((*lua[0], lua[1])) + "\n```\n\n```js\n" + "\n".join((*js[0], js[1] + ";")) + "\n```"


# -- shapes


def _text_of(shape: Shape) -> str:
    """Return what a shape is called."""
    if isinstance(shape, Maybe):
        return f"{_text_of(shape.of)} or nothing"
    if isinstance(shape, Rows):
        return f"list of {_text_of(shape.of)}"
    if isinstance(shape, Page):
        return f"page of {_text_of(shape.of)}"
    return repr(shape)


def _shape(shape: Shape) -> str:
    return _text_of(shape).replace("|", "or")


def _objects(shapes: Iterable[Shape]) -> Iterator[Object]:
    for each in shapes:
        inner: Any = each
        while isinstance(inner, (Maybe, Rows, Page)):
            inner = inner.of
        if isinstance(inner, Object):
            yield inner
            yield from _objects(part for part in inner.parts.values() if part is not inner and not _within(part, inner))


def _within(shape: Any, outer: Object) -> bool:
    while isinstance(shape, (Maybe, Rows, Page)):
        shape = shape.of
    return shape is outer


def _object(shape: Object, functions: Iterable[Function]) -> str:
    lines = []
    own = {each.name: each for each in functions if each.hidden}
    if shape.parts:
        lines.append(f"- parts: {', '.join(f'`{name}`: {_shape(part)}' for name, part in shape.parts.items())}")
    if shape.fields:
        lines.append(f"- fields: {', '.join(f'`{each}`' for each in shape.fields)}")
    if shape.aliases:
        lines.append(f"- also: {', '.join(f'`{alias}` for `{field}`' for alias, field in shape.aliases.items())}")
    for field, shown in shape.shows.items():
        lines.append(f"- `{field}` also answers {', '.join(f'`{each}`' for each in shown)} of the row")
    if shape.getters:
        lines.append(f"- getters: {', '.join(f'`{each}()`' for each in shape.getters)}")
    lines += [
        f"- `{name}({_given(own[function].parameters[1:])})` → {_shape(own[function].returns)}: {own[function].summary}"
        for name, function in shape.methods.items()
        if function in own
    ]
    methods = {name: f"`{function}`" for name, function in shape.methods.items() if function not in own}
    methods |= {name: "" for each in functions if each.on is shape for name in each.names}
    if methods:
        shown_methods = (f"`{name}`" + (f" ({function})" if function else "") for name, function in methods.items())
        lines.append(f"- methods: {', '.join(shown_methods)}")
    if shape.itself:
        lines.append(f"- `{shape.itself}` shows the row itself, where it has no field of this name")
    if shape.text:
        lines.append("- as a text: " + (shape.text if isinstance(shape.text, str) else ":".join(shape.text)))
    return f"### {shape.name}\n\n" + "\n".join(lines) if lines else ""


def _receiver(shape: Object) -> str:
    return shape.name.split()[-1]


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _first(text: str) -> str:
    """Return the first sentence of a text on one line."""
    return re.split(r"(?<=[.!?])\s", " ".join(text.split()), maxsplit=1)[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
