"""A conversation in the forms that chat APIs take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.messages.conversation import Turn
from greenroom.storage.errors import ValidationError

from .anthropic import anthropic_messages
from .openai import openai_messages

__all__ = ["converter"]

_FORMATS: Final[dict[str | None, Callable[[list[Turn]], Any]]] = {
    None: lambda turns: turns,
    "openai": openai_messages,
    "anthropic": anthropic_messages,
}


def converter(format: object) -> Callable[[list[Turn]], Any]:
    """Return the function that puts turns into a format; None stands for the turns themselves. Raises
    ValidationError."""
    convert = _FORMATS.get(format) if format is None or type(format) is str else None
    if convert is None:
        raise ValidationError('format: "openai" or "anthropic" is needed, or none', field="format")
    return convert
