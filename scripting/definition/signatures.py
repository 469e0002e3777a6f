"""How functions are called, as text: for the reference and for those who type."""

from __future__ import annotations

from .function import Function

__all__ = ["option_types", "signature_of"]


def signature_of(function: Function, name: str | None = None) -> str:
    """Return how a function is called under a name (its first one by default): "get(key [, default])"."""
    name = name if name is not None else function.names[0]
    if function.forms:
        first = function.forms[0]
        return name + first[first.index("(") :] if "(" in first else first
    text = ""
    opened = 0
    for each in function.parameters:
        shown = f"{each.name}…" if each.many else each.name
        if each.required:
            text += f", {shown}" if text else shown
        else:
            text += f" [, {shown}" if text else f"[{shown}"
            opened += 1
    return f"{name}({text}{']' * opened})"


def option_types(function: Function) -> dict[str, str]:
    """Return the keys of the tables of options that a function takes, other spellings included, with their types."""
    found: dict[str, str] = {}
    for parameter in function.parameters:
        if parameter.options is not None:
            keys = parameter.options.keys
            found |= {key: kind.name for key, kind in keys.items()}
            found |= {other: keys[key].name for other, key in parameter.options.same.items() if key in keys}
    return found
