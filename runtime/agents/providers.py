"""What answers for a model: a callable of the host, called with its input and, if it takes one, a context."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.scheduling.callables import signature_of
from greenroom.storage.errors import ValidationError

if TYPE_CHECKING:
    from greenroom.storage.codec.records import Value

    from .context import AgentContext

__all__ = ["Provider", "provider_of"]

_BY_POSITION: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Provider:
    """A callable that answers for a model."""

    fn: Callable[..., Any]
    timeout: float | None
    signature: inspect.Signature | None
    input: str | None
    """The parameter that gets the input. None: the first positional argument."""
    contexts: tuple[str, ...]
    """The parameters that get the context."""

    def call(self, input: Value, context: AgentContext | None) -> Any:
        if self.signature is None or self.input is None:
            return self.fn(input, **dict.fromkeys(self.contexts, context))
        from greenroom.runtime.tools.parameters import arguments_of

        args, kwargs = arguments_of(self.signature, {self.input: input, **dict.fromkeys(self.contexts, context)})
        return self.fn(*args, **kwargs)


def provider_of(fn: Callable[..., Any], timeout: float | None) -> Provider:
    """Find the parameters of a callable that get its input and its context. The context is found by annotation, by the
    name `context`, or as the second argument without default. Raises ValidationError for other signatures."""
    if not callable(fn):
        raise ValidationError("fn: a callable is needed", field="fn")
    signature = signature_of(fn)
    if signature is None:
        return Provider(fn, timeout, None, None, ())
    from greenroom.runtime.tools.parameters import arguments_of, context_parameters, hints_of

    named = [each for each in signature.parameters.values() if each.kind in _BY_POSITION]
    hints = hints_of(fn, signature)
    contexts = context_parameters(signature, hints)
    if len(named) == 1 and named[0].name not in hints:
        # A single positional parameter gets the input under any name.
        contexts = tuple(each for each in contexts if each != named[0].name)
    places = [each for each in named if each.name not in contexts]
    if not contexts and len(places) > 1 and places[1].default is places[1].empty:
        contexts = (places[1].name,)
    input = places[0].name if places else None
    given = dict.fromkeys(contexts) if input is None else {input: None, **dict.fromkeys(contexts)}
    args, kwargs = arguments_of(signature, given)
    try:
        signature.bind(*args, **kwargs) if input is not None else signature.bind(None, **kwargs)
    except TypeError:
        raise ValidationError(
            f"fn: an agent takes its input, and if it likes a context; this one is called with {signature}"[:300],
            field="fn",
        ) from None
    return Provider(fn, timeout, signature, input, contexts)
