"""Read a patch: `TARGET=VALUE`, `TARGET+=VALUE` or `del TARGET`."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from greenroom.storage.errors import ValidationError

from .fields import FIELDS, ROOTS

__all__ = ["Operator", "Patch", "Step", "parse", "shown_path"]

Operator = Literal["=", "+=", "del"]
Step = str | int
"""A step of a path: the name of a field, or the place in a list."""

_MOST: Final = 1 << 20
"""Characters of one patch."""
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")
_INDEX: Final = re.compile(r"-?\d{1,9}")


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch that was understood.

    `root` is what it changes (llm, response, tool, http), `path` leads to the field from there, `text` is the patch as
    it was given. `value` is None for `del`.
    """

    root: str
    path: tuple[Step, ...]
    operator: Operator
    value: Any
    text: str

    @property
    def target(self) -> str:
        """The path with its root, as one writes it."""
        return self.root + shown_path(self.path)

    @property
    def kept(self) -> str:
        """The patch as it is kept with a recording: without the value of a header, which may be secret."""
        return f'{self.target}="[redacted]"' if self.root == "http" and self.path[0] == "headers" else self.text

    def __str__(self) -> str:
        return self.text


def shown_path(path: tuple[Step, ...]) -> str:
    """Return a path as one writes it: `.messages[-1].content`."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            shown += f".{step}" if _NAME.fullmatch(step) else f"[{json.dumps(step, ensure_ascii=False)}]"
    return shown


def parse(text: str) -> Patch:
    """Return what a patch says. Raises ValidationError, with the `position` at which it is not understood and the
    `nearest` field that there is."""
    if len(text) > _MOST:
        raise ValidationError(f"a patch has at most {_MOST:,} characters: use --edit for more", field="patch")
    reader = _Reader(text)
    deleting = reader.word("del")
    root, path = reader.target()
    _check_field(text, reader, root, path)
    if deleting:
        if not reader.at_end():
            raise reader.wrong("del takes a field and no value", reader.position)
        return Patch(root, path, "del", None, text)
    operator, value = reader.value()
    return Patch(root, path, operator, value, text)


def _check_field(text: str, reader: _Reader, root: str, path: tuple[Step, ...]) -> None:
    """Raise ValidationError if there is no such field."""
    places = reader.places
    if root not in ROOTS:
        raise reader.wrong(f"nothing is called {root!r}", places[0], _nearest(root, ROOTS))
    if not path:
        told = ", ".join(sorted({each.path for each in FIELDS if each.path.split(".")[0] == root}))
        raise reader.wrong(f"{root} alone is no field: name one of {told}", places[0] + len(root))
    if root == "response":
        return  # beside its own names, whatever the body of the answer has
    names = ROOTS[root]
    place = 0
    if root == "tool":
        if not isinstance(path[0], str):
            raise reader.wrong("the name of a tool is needed, such as tool.weather.result", places[1])
        if len(path) < 2:
            raise reader.wrong(f"what of the tool: tool.{path[0]}.arguments or tool.{path[0]}.result", len(text))
        place = 1
    name = path[place]
    if not isinstance(name, str) or name not in names:
        nearest = _nearest(str(name), names)
        raise reader.wrong(f"{root} has no field {name!r}", places[place + 1], nearest and f"{root}.{nearest}")


def _nearest(name: str, names: Any) -> str | None:
    found = difflib.get_close_matches(name, list(names), 1, 0.5)
    return found[0] if found else None


class _Reader:
    """Reads a patch from left to right, and remembers where each step of its path began."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.places: list[int] = []
        self._blanks()

    def wrong(self, what: str, position: int, nearest: str | None = None) -> ValidationError:
        meant = f"; the nearest is {nearest}" if nearest else ""
        text = self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return ValidationError(
            f"patch: {what}{meant} (character {position + 1} of {text!r})",
            field="patch",
            position=position,
            nearest=nearest,
        )

    def at_end(self) -> bool:
        self._blanks()
        return self.position >= len(self.text)

    def _blanks(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def word(self, word: str) -> bool:
        """Skip a word that stands here with a blank behind it, and return whether it did."""
        end = self.position + len(word)
        if not self.text.startswith(word, self.position) or not self.text[end : end + 1].isspace():
            return False
        self.position = end
        self._blanks()
        return True

    def target(self) -> tuple[str, tuple[Step, ...]]:
        root = self._name("a field is needed, such as llm.system")
        path: list[Step] = []
        while self.position < len(self.text):
            match self.text[self.position]:
                case ".":
                    self.position += 1
                    found = _INDEX.match(self.text, self.position)
                    path.append(self._index() if found else self._name("the name of a field is needed"))
                case "[":
                    path.append(self._bracket())
                case _:
                    break
        return root, tuple(path)

    def _name(self, needed: str) -> str:
        found = _NAME.match(self.text, self.position)
        if found is None:
            raise self.wrong(needed, self.position)
        self.places.append(self.position)
        end = found.end()
        if self.text.startswith("-=", end - 1):  # no name ends so: `a-=1` is no operator of ours either
            end -= 1
        self.position = end
        return self.text[found.start() : end]

    def _index(self) -> int:
        found = _INDEX.match(self.text, self.position)
        assert found is not None
        self.places.append(self.position)
        self.position = found.end()
        return int(found[0])

    def _bracket(self) -> Step:
        begin = self.position
        self.position += 1
        step: Step
        if self.text.startswith('"', self.position):
            self.places.append(self.position)
            try:
                step, self.position = json.JSONDecoder().raw_decode(self.text, self.position)
            except ValueError:
                raise self.wrong('the name in ["…"] does not end', begin) from None
        elif _INDEX.match(self.text, self.position):
            step = self._index()
        else:
            raise self.wrong('[ ] takes a whole number, or a name in quotes: [0], [-1], ["a.b"]', self.position)
        if not self.text.startswith("]", self.position):
            raise self.wrong("a ] is missing", self.position)
        self.position += 1
        return step

    def value(self) -> tuple[Operator, Any]:
        self._blanks()
        operator: Operator
        if self.text.startswith("+=", self.position):
            operator = "+="
        elif self.text.startswith("=", self.position):
            operator = "="
        else:
            raise self.wrong("= or += and a value are needed here", self.position)
        self.position += len(operator)
        self._blanks()
        begin = self.position
        text = self.text[begin:].rstrip()
        if not text:
            raise self.wrong('a value is needed; an empty text is ""', begin)
        try:
            return operator, json.loads(text)
        except ValueError as error:
            if text[0] not in '"{[':
                return operator, text
            at = begin + getattr(error, "pos", 0)
            raise self.wrong(
                f"the value begins like JSON and is none ({getattr(error, 'msg', 'invalid')})", at
            ) from None
        except RecursionError:
            raise self.wrong("the value is nested too deeply", begin) from None
