"""The boundary of functions that the program has marked with `@tool`."""

from __future__ import annotations

import functools
import inspect
import typing
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from typing import Any, Final, TypeVar, overload

from greenroom.runtime.recording.tape.held.errors import held_error, raised_again
from greenroom.runtime.recording.tape.held.values import give_back, hold, hold_loosely
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import Pending, Reel, active, inside
from greenroom.storage.errors import ReplayError, ValidationError

from .cancelled import until_cancelled

__all__ = ["tool"]

F = TypeVar("F", bound=Callable[..., Any])
Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_OWN: Final = ("self", "cls")
"""Names of first parameters that are no argument of a tool."""


@overload
def tool(fn: F, /) -> F: ...
@overload
def tool(*, name: str | None = None) -> Callable[[F], F]: ...
def tool(fn: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Mark a function as a tool: a recording holds its calls with arguments and result, and a replay answers them from
    there without running the function. Exceptions that it raised are raised again.

    Takes functions, `async def` functions, and generators of both kinds. Without a recording the function is called at
    once. What it does inside, such as HTTP requests, is not recorded besides. `name` is the name in recordings; the
    default is the function's. Raises ValidationError for what is no function.

    Example:
        ```py
        @tool
        def charge(order: int, cents: int) -> Receipt: ...
        ```

    Results are plain values, dataclasses, pydantic models, enums, dates and the like, and come back as what they were.
    A result that a recording cannot hold, such as an open connection, reaches the program with a RuntimeWarning; the
    replay of that call raises ReplayError.
    """
    if fn is None:
        return lambda fn: _marked(fn, name)
    return _marked(fn, name)


def _marked(fn: Callable[..., Any], name: str | None) -> Callable[..., Any]:
    if not callable(fn) or inspect.isclass(fn):
        raise ValidationError(
            "fn: @tool marks a function; put it below @staticmethod, @classmethod and @property", field="fn"
        )
    calls = _Calls(fn, name or str(getattr(fn, "__name__", type(fn).__name__)))
    if inspect.isasyncgenfunction(fn):

        @functools.wraps(fn)
        async def stream(*args: Any, **kwargs: Any) -> Any:
            reel = active()
            async for each in fn(*args, **kwargs) if reel is None else calls.astream(reel, args, kwargs):
                yield each

        return stream
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def acall(*args: Any, **kwargs: Any) -> Any:
            reel = active()
            return await (fn(*args, **kwargs) if reel is None else calls.acall(reel, args, kwargs))

        return acall
    if inspect.isgeneratorfunction(fn):

        @functools.wraps(fn)
        def generate(*args: Any, **kwargs: Any) -> Any:
            reel = active()
            return (yield from fn(*args, **kwargs) if reel is None else calls.stream(reel, args, kwargs))

        return generate

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        reel = active()
        return fn(*args, **kwargs) if reel is None else calls.call(reel, args, kwargs)

    return call


class _Calls:
    """The calls of one tool with a reel."""

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        self._fn = fn
        self._name = name
        self._warned = False

    @functools.cached_property
    def _signature(self) -> inspect.Signature | None:
        try:
            return inspect.signature(self._fn)
        except (TypeError, ValueError):  # some callables written in C
            return None

    def _begin(self, reel: Reel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Pending, Arguments]:
        """Begin a crossing. Return it, and what to call with. Raises TypeError as the function itself would."""
        bound = self._signature.bind(*args, **kwargs) if self._signature is not None else None
        given = dict(bound.arguments) if bound is not None else {"args": args, **kwargs}
        if given and next(iter(given)) in _OWN:
            del given[next(iter(given))]
        plain = {name: hold_loosely(value) for name, value in given.items()}
        pending = reel.begin(Asked("tool", self._name, {"arguments": plain}))
        if not pending.changed:
            return pending, (args, kwargs)
        if bound is None:
            raise ReplayError(f"tool {self._name!r}: its signature is not known, so its arguments cannot be patched")
        for name, value in (pending.changed.get("arguments") or {}).items():
            if name not in given:
                raise ReplayError(f"tool {self._name!r} was called without {str(name)[:64]!r}: patch what it was given")
            if value != plain[name]:
                bound.arguments[name] = self._as_annotated(name, value)
        return pending, (bound.args, bound.kwargs)

    def call(self, reel: Reel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pending, (args, kwargs) = self._begin(reel, args, kwargs)
        if pending.recorded is not None:
            pending.tick()
            return self._answer(pending.recorded)
        try:
            with inside():
                value = self._fn(*args, **kwargs)
        except BaseException as error:
            pending.tick()
            pending.fail(error)
            raise
        pending.tick()
        pending.finish(self._outcome({"value": value}))
        return value

    async def acall(self, reel: Reel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pending, (args, kwargs) = self._begin(reel, args, kwargs)
        if pending.recorded is not None:
            await until_cancelled(pending.recorded)
            await pending.atick()
            return self._answer(pending.recorded)
        try:
            with inside():
                value = await self._fn(*args, **kwargs)
        except BaseException as error:
            pending.tick()
            pending.fail(error)
            raise
        await pending.atick()
        pending.finish(self._outcome({"value": value}))
        return value

    def stream(self, reel: Reel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, Any, Any]:
        pending, (args, kwargs) = self._begin(reel, args, kwargs)
        if pending.recorded is not None:
            answer = self._stream_of(pending.recorded)
            for each in answer["items"]:
                pending.tick()
                yield each
            pending.tick()
            self._raise(pending.recorded)
            return answer.get("value")
        items: list[Any] = []
        sent = result = None
        source = self._fn(*args, **kwargs)
        try:
            while True:
                with inside():
                    item = source.send(sent)
                items.append(item)
                pending.tick()
                sent = yield item
        except StopIteration as end:
            result = end.value
        except BaseException as error:
            source.close()
            self._broken_off(pending, items, error)
            raise
        pending.tick()
        pending.finish(self._outcome({"items": items, "value": result}))
        return result

    async def astream(self, reel: Reel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        pending, (args, kwargs) = self._begin(reel, args, kwargs)
        if pending.recorded is not None:
            for each in self._stream_of(pending.recorded)["items"]:
                await pending.atick()
                yield each
            await until_cancelled(pending.recorded)
            await pending.atick()
            self._raise(pending.recorded)
            return
        items: list[Any] = []
        source = self._fn(*args, **kwargs)
        try:
            while True:
                with inside():
                    item = await anext(source)
                items.append(item)
                await pending.atick()
                yield item
        except StopAsyncIteration:
            pass
        except BaseException as error:
            await source.aclose()
            self._broken_off(pending, items, error)
            raise
        await pending.atick()
        pending.finish(self._outcome({"items": items}))

    def _broken_off(self, pending: Pending, items: list[Any], error: BaseException) -> None:
        """Put a stream on the tape whose reader has closed it, or that has raised an exception."""
        if isinstance(error, GeneratorExit):
            pending.finish(self._outcome({"items": items}))
            return
        pending.tick()
        pending.finish({**self._outcome({"items": items}), "error": held_error(error)})

    def _outcome(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the outcome that gives values back. If a tape cannot hold them, warn once, and record why."""
        try:
            plain, marks = hold(fields)
        except ValidationError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"the result of tool {self._name!r} is not recorded, so this call cannot be replayed: {error};"
                    " return plain values, dataclasses or pydantic models, or mark a function nearer to the outside",
                    RuntimeWarning,
                    stacklevel=5,
                )
            return {"unheld": str(error)}
        return {**plain, "marks": marks} if marks else dict(plain)

    def _raise(self, outcome: Mapping[str, Any]) -> None:
        if (error := outcome.get("error")) is not None:
            raise raised_again(error)

    def _answer(self, outcome: Mapping[str, Any]) -> Any:
        """Return the recorded value, or raise the recorded exception."""
        self._raise(outcome)
        self._require_held(outcome)
        plain = outcome.get("value")
        try:
            return give_back({"value": plain}, outcome.get("marks") or ())["value"]
        except ReplayError:
            if self._hints.get("return", Any) is Any:
                raise
            return self._as_annotated("return", plain)  # the class has moved, or has other fields now

    def _stream_of(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recorded items of a generator, and its value."""
        self._require_held(outcome)
        held = {name: outcome[name] for name in ("items", "value") if name in outcome}
        return {"items": [], **give_back(held, outcome.get("marks") or ())}

    def _require_held(self, outcome: Mapping[str, Any]) -> None:
        if (reason := outcome.get("unheld")) is not None:
            raise ReplayError(
                f"tool {self._name!r}: the recording does not have its result ({reason}); return plain values,"
                " dataclasses or pydantic models, and record anew"
            )

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(inspect.unwrap(self._fn), include_extras=True)
        except Exception:  # evaluating an annotation can raise anything
            return {}

    def _as_annotated(self, name: str, plain: Any) -> Any:
        """Return a plain value as the annotated type of a parameter, or of the result."""
        hint = self._hints.get(name, Any)
        if hint is Any:
            return plain
        import pydantic

        try:
            return pydantic.TypeAdapter(hint).validate_python(plain)
        except pydantic.PydanticSchemaGenerationError:
            return plain
        except pydantic.ValidationError as error:
            what = "its recorded result" if name == "return" else f"the patched argument {name!r}"
            raise ReplayError(
                f"tool {self._name!r}: {what} is no {getattr(hint, '__name__', hint)}"
                f" ({error.error_count()} errors, the first at {error.errors()[0]['loc']}): correct the patch, or"
                " record anew"
            ) from None
