"""The asynchronous handles, given what nobody should give, and after the end of their runtime: they answer as the
synchronous ones do, which have more tests of this kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AsyncRuntime, AsyncScriptStream, AsyncSession, GreenroomError, RuntimeClosed
from greenroom.runtime.aio.face import Block, Face

from .surface import Call, Method, World, methods
from .test_methods import used
from .test_states import IN_MEMORY, LEADS_ON, NOT_ASKED, OF_THE_CLASS, expected
from .values import HOSTILE, SECRET, Called

OWNERS: dict[str, Callable[[AsyncRuntime, World], Any]] = {
    "Runtime": lambda rt, w: rt,
    "Session": lambda rt, w: AsyncSession(rt._bridge, w.s),
    "Records": lambda rt, w: AsyncSession(rt._bridge, w.s).records,
    "Scope": lambda rt, w: rt.state_scope("scope"),
    "Templates": lambda rt, w: rt.templates,
    "Events": lambda rt, w: rt.events,
    "Hooks": lambda rt, w: rt.hooks,
    "Middleware": lambda rt, w: rt.middleware,
    "Tools": lambda rt, w: rt.tools,
    "Agents": lambda rt, w: rt.agents,
    "Policies": lambda rt, w: rt.policies,
    "Analytics": lambda rt, w: rt.analytics,
    "Quotas": lambda rt, w: rt.quotas,
    "StateBackups": lambda rt, w: rt.state_backups,
    "Schemas": lambda rt, w: rt.schemas,
    "Replays": lambda rt, w: rt.replays,
    "InstalledScripts": lambda rt, w: rt.scripts,
    "Approvals": lambda rt, w: rt.approvals,
}
GIVEN = (
    "every method raises", "every attribute raises", "iterable that raises", "endless iterable", "list that raises",
    "lone surrogate", "cyclic", "huge", "NaN", "function", "none", "file that raises", "file of text",
)  # fmt: skip
"""Values of each kind that goes another way through the asynchronous handles: what is looked at, used up, sent."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with contextlib.chdir(tmp_path):
        made = World(tmp_path)
        yield made
        made.rt.close()


def twins(world: World, rt: AsyncRuntime) -> list[Method]:
    """The methods of the asynchronous handles, with the names and arguments of the synchronous ones."""
    found: list[Method] = []
    for method in methods(world):
        owner, _, name = method.name.partition(".")
        if owner in OWNERS and hasattr(type(OWNERS[owner](rt, world)), name):
            member = getattr(type(OWNERS[owner](rt, world)), name)
            is_property = not callable(member)
            find = partial(_property if is_property else _method, owner, name, rt)
            found.append(replace(method, find=find))
    assert len(found) > 200
    return found


def _method(owner: str, name: str, rt: AsyncRuntime, world: World) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(OWNERS[owner](rt, world), name)
    return method


def _property(owner: str, name: str, rt: AsyncRuntime, world: World) -> Callable[..., Any]:
    return partial(getattr, OWNERS[owner](rt, world), name)


async def taken(outcome: Any) -> None:
    """Await what a call has given, and do with it what it is given for."""
    if issubclass(type(outcome), Awaitable):
        outcome = await outcome
    kind = type(outcome)  # the object may be one that was given, which raises when it is looked at
    if issubclass(kind, Block):
        async with outcome:
            pass
    elif issubclass(kind, AsyncScriptStream):
        async with outcome:
            await anext(outcome, None)
    elif issubclass(kind, AsyncIterator):
        with contextlib.suppress(StopAsyncIteration):
            if kind.__name__ == "async_generator":
                await anext(outcome)
        if hasattr(outcome, "close"):
            await outcome.close()
        elif hasattr(outcome, "aclose"):
            await outcome.aclose()
    elif issubclass(kind, AsyncSession):
        await outcome.info()
    elif not issubclass(kind, Face):
        used(outcome)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("what", GIVEN)
def test_no_method_answers_with_anything_but_its_result_and_typed_errors(world: World, what: str) -> None:
    async def main() -> list[str]:
        rt = AsyncRuntime.over(world.rt)
        wrong: list[str] = []
        for call in [each for method in twins(world, rt) for each in method.calls()]:
            wrong += [f"{call}: {each}" for each in await _complaints(world, call, what)]
        session = await rt.create_session()
        await session.set("k", 1)
        assert await session.get("k") == 1
        await rt.close()
        return wrong

    wrong = asyncio.run(main())
    assert not wrong, "\n".join(wrong)


async def _complaints(world: World, call: Call, what: str) -> list[str]:
    try:
        await taken(call.invoke(world, HOSTILE[what]()))
    except GreenroomError as error:
        return ["the error repeats what the object said"] if SECRET in str(error) else []
    except Called:
        return []
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        world.state()
    return []


@pytest.mark.parametrize("owned", [True, False])
def test_a_closed_runtime_says_so(world: World, owned: bool) -> None:
    """Also one that is closed over a runtime that stays open: nothing goes its way any more."""
    works = {
        "Session.admitted": None,
        "Runtime.state_scope": None,
        **dict.fromkeys(("Runtime.recording", "Runtime.replaying")),  # what is asked when the block begins
        **IN_MEMORY,
        **OF_THE_CLASS,
        **LEADS_ON,
        **NOT_ASKED,
    }

    async def main() -> list[str]:
        rt = AsyncRuntime(world.rt, owned=owned)
        calls = [(each.name, each.bound(world)) for each in twins(world, rt)]
        await rt.close()
        wrong: list[str] = []
        for name, call in calls:
            found: Exception | None = None
            try:
                await taken(call())
            except Exception as error:
                found = error
            if not isinstance(found, RuntimeClosed) and (found or expected(works, name, RuntimeClosed)):
                wrong.append(f"{name}: {found!r}")
        return wrong

    wrong = asyncio.run(main())
    assert not wrong, "\n".join(wrong)
