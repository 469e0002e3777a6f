"""Messages as hooks see them: their parameters by name, and a message made anew from parameters that were changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.permissions import NAMES
from greenroom.actors.session.reaching import CONCERNING
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.errors import ValidationError

from .subject import fresh

__all__ = ["MessageSubject"]

Reader = Callable[[Any], Any]


def _packed(name: str) -> Reader:
    def read(message: Any) -> Any:
        packed = getattr(message, name)
        return unpack_value(packed) if packed is not None else None

    return read


def _attribute(name: str) -> Reader:
    def read(message: Any) -> Any:
        value = getattr(message, name)
        return str(value) if isinstance(value, ArtifactId) else fresh(value)

    return read


def _expectation(message: Any) -> Any:
    expected = message.expected
    return unpack_value(expected) if isinstance(expected, bytes) else expected


def _permission(message: Any) -> str:
    return NAMES[message.level]


def _expiry(message: Any) -> str | None:
    return iso_time(utc_time(message.expires_at)) if message.expires_at is not None else None


# Where a message keeps a parameter under another name, or encoded.
_READERS: Final[dict[tuple[type[m.Message], str], Reader]] = {
    (m.StoreArtifact, "type"): _attribute("artifact_type"),
    (m.StoreArtifact, "metadata"): _packed("custom"),
    (m.AddMessage, "content"): _packed("content"),
    (m.AddMessage, "tool_calls"): _packed("tool_calls"),
    (m.AddMessage, "metadata"): _packed("metadata"),
    (m.StoreMany, "items"): lambda message: [MessageSubject(item).view() for item in message.items],
    (m.GetArtifacts, "refs"): lambda message: [str(ref) for ref in message.refs],
    (m.SetVariable, "expected"): _expectation,
    (m.DeleteVariable, "expected"): _expectation,
    (m.ShareArtifact, "permission"): _permission,
    (m.ShareArtifact, "expires_at"): _expiry,
    (m.RevokeArtifact, "permission"): _permission,
    (m.CheckAccess, "permission"): _permission,
    (m.CheckAccess, "session"): lambda message: message.who,
}
_HIDDEN: Final = frozenset({"self", "durability"})


@cache
def _readers(kind: type[m.Message]) -> dict[str, Reader]:
    """What reads each parameter of a class of messages, in the order of its constructor."""
    if kind.__init__ is object.__init__:
        return {}
    readers: dict[str, Reader] = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name in _HIDDEN or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        for each in kind.__mro__:
            reader = _READERS.get((each, name))
            if reader is not None:
                break
        readers[name] = reader or _attribute(name)
    return readers


class MessageSubject:
    """A message as the data of an operation."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message

    def view(self) -> dict[str, Any]:
        message = self.message
        data = {name: read(message) for name, read in _readers(message.__class__).items()}
        if data.get("expected") is m.ANY:
            del data["expected"]
        return data

    def crosses(self, session_id: str) -> bool:
        """Whether it has business at other sessions than the one it is sent to, past that one's mailbox."""
        concerns = CONCERNING.get(self.message.__class__)
        return concerns is not None and concerns(session_id, self.message)

    def changed(self, data: dict[str, Any]) -> MessageSubject:
        """The message made anew, with the checks of its class. Raises ValidationError, or what those raise."""
        message = self.message
        kind = message.__class__
        readers = _readers(kind)
        for name in data:
            if name not in readers:
                raise ValidationError(f"{kind.__name__} has no {str(name)[:64]!r}", field=str(name)[:64])
        given = dict(data)
        durability = getattr(message, "durability", None)
        if durability is not None:
            given["durability"] = durability
        try:
            made = kind(**given)
        except TypeError:
            missing = [name for name in readers if name not in data]
            raise ValidationError(f"{kind.__name__} needs {', '.join(missing)}", field="data") from None
        if isinstance(made, m.StoreArtifact):
            made.collected = message.collected
        return MessageSubject(made)
