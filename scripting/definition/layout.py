"""The globals by name, and the layouts that give numbers to their functions and shapes, made once in a process.

What a binding reads of a layout is described in binding.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .binding import FIRST, LayoutData
from .function import Function, functions_of
from .packing import pack
from .shapes import Fluent, Iterator, Object, Page, Rows, Shape, Value, plain

__all__ = ["Global", "Layout", "globals_of"]


class Global:
    """A global with all that is known of it: for layouts, the reference, completion and tests."""

    def __init__(self, name: str, owners: Sequence[type]) -> None:
        self.name = name
        self.owners = tuple(owners)
        self.functions: tuple[Function, ...] = tuple(each for owner in owners for each in functions_of(owner))
        self.constants: dict[str, Any] = {}
        self.summary = (owners[0].__doc__ or "").strip()
        self.finder: str | None = None
        for owner in owners:
            self.constants |= getattr(owner, "CONSTANTS", {})
            self.finder = self.finder or getattr(owner, "FINDER", None)

    def function(self, name: str) -> Function:
        """Return the function with this name."""
        return next(each for each in self.functions if name in each.names)

    def __repr__(self) -> str:
        return f"<Global {self.name}>"


def globals_of(owners: Sequence[type]) -> dict[str, Global]:
    """Return the globals that classes make up, by name."""
    names = dict.fromkeys(owner.NAME for owner in owners)  # type: ignore[attr-defined]
    return {
        name: Global(name, [owner for owner in owners if name == owner.NAME])  # type: ignore[attr-defined]
        for name in names
    }


class Layout(LayoutData):
    """The functions of a profile by number, and what a binding builds from them."""

    def __init__(self, profile: str, known: Mapping[str, Global], ids: Object, files: str | None = None) -> None:
        """`ids` is the object whose fields and methods session ids answer. `files` names the hidden global with the
        functions for files."""
        self.functions: list[Function] = [
            each for every in known.values() for each in every.functions if not each.native
        ]
        """Function number n is at n - FIRST."""
        self._numbers = {
            (each.of, name): number for number, each in enumerate(self.functions, FIRST) for name in each.names
        }
        self._shapes: list[dict[str, Any]] = []
        self._numbered: dict[Shape, int] = {}
        super().__init__(profile, pack(self._describe(known, ids, files)))

    def number(self, name: str) -> int:
        """Return the number of a function, given as "Session.create"."""
        owner, _, own = name.partition(".")
        return self._numbers[owner, own]

    def _describe(self, known: Mapping[str, Global], ids: Object, files: str | None) -> dict[str, Any]:
        numbered = [*enumerate(self.functions, FIRST)]
        shown = {
            name: {
                each: self._numbers[name, each]
                for it in every.functions
                if not it.hidden
                for each in it.names
                if not it.native
            }
            for name, every in known.items()
        }
        granted = shown.pop(files, {}) if files is not None else {}
        field = next((number for number, each in numbered if each.hidden and each.names[0] == "field"), None)
        returns = {number: shape for number, each in numbered if (shape := self._shape(each.returns, each.of))}
        return {
            "globals": {name: each for name, each in shown.items() if each},
            "constants": {name: each.constants for name, each in known.items() if each.constants},
            "finders": {name: self._numbers[name, each.finder] for name, each in known.items() if each.finder},
            "returns": returns,
            "callbacks": {number: True for number, each in numbered if each.callbacks},
            "soft": {number: True for number, each in numbered if each.soft},
            "binary": {number: sorted(each.binary) for number, each in numbered if each.binary},
            "ids": {
                "shape": self._shape(ids, "Session"),
                "field": field,
                "fields": list(ids.fields),
                "row": self._numbers.get(("Session", "get"), field),
                "shown": [*ids.aliases, *([ids.itself] if ids.itself else [])],
            },
            "files": granted,
            "shapes": self._shapes,
        }

    def _shape(self, shape: Shape, of: str) -> int | None:
        """Return the number of a shape, counted from 1; None for values that need no dress."""
        shape = plain(shape)
        if isinstance(shape, Value):
            return None
        number = self._numbered.get(shape)
        if number is None:
            self._shapes.append({})
            number = self._numbered[shape] = len(self._shapes)
            self._shapes[number - 1] |= self._facts(shape, of)
        return number

    def _facts(self, shape: Shape, of: str) -> dict[str, Any]:
        if isinstance(shape, Rows | Page):
            inner = self._shape(shape.of, of)
            facts: dict[str, Any] = {"kind": "rows" if isinstance(shape, Rows) else "page"}
            if inner is not None:
                facts["of"] = inner
            if isinstance(shape, Page) and shape.total is not None:
                facts["total"] = self._numbers[of, shape.total]
            return facts
        if isinstance(shape, Fluent):
            return {
                "kind": "fluent",
                "name": shape.name,
                "function": self.number(shape.function),
                "ends": list(shape.ends),
                "lists": shape.lists,
            }
        if isinstance(shape, Iterator):
            return {"kind": "iterator", "function": self.number(shape.function)}
        assert isinstance(shape, Object)
        methods = {name: self.number(each) for name, each in shape.methods.items()}
        methods |= {
            name: self._numbers[each.of, name] for each in self.functions if each.on is shape for name in each.names
        }
        facts = {"kind": "object", "name": shape.name, "methods": methods}
        facts |= {
            name: each
            for name in ("key", "aliases", "getters", "hidden", "shows", "within", "itself")
            if (each := getattr(shape, name))
        }
        if shape.text is not None:
            facts["text"] = [shape.text] if isinstance(shape.text, str) else list(shape.text)
        facts["parts"] = {name: number for name, each in shape.parts.items() if (number := self._shape(each, of))}
        return facts
