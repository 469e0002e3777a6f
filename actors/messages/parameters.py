"""Present messages to hooks: their parameters by name, and a new message made from changed parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.storage.errors import ValidationError

from .core import How, attribute

__all__ = ["MessageSubject"]

Reader = Callable[[Any], Any]


_HIDDEN: Final = frozenset({"self", *How.__annotations__})


@cache
def _readers(kind: type[m.Message[Any]]) -> dict[str, Reader]:
    """Return a reader for each parameter of a message class, in the order of its constructor."""
    if kind.__init__ is object.__init__:
        return {}
    readers: dict[str, Reader] = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name in _HIDDEN or name in kind.apart or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        readers[name] = kind.shown.get(name) or attribute(name)
    if issubclass(kind, m.StoreMany):
        readers["items"] = lambda message: [MessageSubject(item).view() for item in message.items]
    elif issubclass(kind, m.AddMessages):
        readers["messages"] = lambda message: [MessageSubject(item).view() for item in message.messages]
    return readers


class MessageSubject:
    """Presents a message as the data of an operation."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message

    def view(self) -> dict[str, Any]:
        message = self.message
        data = {name: read(message) for name, read in _readers(message.__class__).items()}
        if data.get("expected") is m.ANY:
            del data["expected"]
        for name in [name for name, value in data.items() if value is m.UNCHANGED]:
            del data[name]
        return data

    def crosses(self, session_id: str) -> bool:
        """Return whether the message concerns other sessions than the one it is sent to, and so bypasses its
        mailbox."""
        message = self.message
        return bool(message.may_cross and message.crosses(session_id))

    def changed(self, data: dict[str, Any]) -> MessageSubject:
        """Make the message anew from changed parameters, with the checks of its class. Raises ValidationError, or what
        those checks raise."""
        message = self.message
        kind = message.__class__
        readers = _readers(kind)
        for name in data:
            if name not in readers:
                raise ValidationError(f"{kind.__name__} has no {str(name)[:64]!r}", field=str(name)[:64])
        try:
            made = kind(**data)
        except TypeError:
            missing = [name for name in readers if name not in data]
            raise ValidationError(f"{kind.__name__} needs {', '.join(missing)}", field="data") from None
        for name in kind.apart:
            setattr(made, name, getattr(message, name))
        if isinstance(made, m.Command):
            made.durability, made.condition = message.durability, message.condition
        if isinstance(made, m.StoreArtifact):
            made.collected = message.collected
        return MessageSubject(made)
