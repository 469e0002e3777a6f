"""What cannot be used is its caller's typed error: no method of any public class, given anything for any of its
parameters, answers with an error that is not greenroom's, changes anything where it fails, or restarts a session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import GreenroomError, Runtime, Scope, Session
from greenroom.runtime.handles.reading.follow import Follow
from greenroom.runtime.handles.session import SessionBatch

from .surface import JOURNALS_ATTEMPTS, LEFT_OUT, OWNERS, Call, World, calls, public_classes
from .values import HOSTILE, SECRET, Called


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world for each value: the more sessions the values before it have left, the more every look at all costs."""
    with contextlib.chdir(tmp_path):  # what is a path after all names something here
        made = World(tmp_path)
        yield made
        made.rt.close()


@pytest.fixture(scope="module")
def methods(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Every method of a public class, found by looking at them; of messages there are tests of their own."""
    return [each for each in calls(tmp_path_factory.mktemp("found")) if not each.name.startswith("messages.")]


def used(outcome: Any) -> None:
    """Do with what a call has given what it is given for."""
    kind = type(outcome)
    if issubclass(kind, (Follow, Runtime)):
        outcome.close()
    elif issubclass(kind, SessionBatch):
        pass  # it has its answers when its block ends
    elif issubclass(kind, Session):
        outcome.info()
    elif issubclass(kind, Scope):
        outcome.get("k")
    elif issubclass(kind, AbstractContextManager) and kind.__module__ == "contextlib":
        with outcome:
            pass
    elif issubclass(kind, Iterator) and kind.__module__ in {"builtins", "itertools"}:
        next(outcome, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pydantic writes such an error off
@pytest.mark.parametrize("what", HOSTILE)
def test_no_method_answers_with_anything_but_its_result_and_typed_errors(
    world: World, methods: list[Call], what: str
) -> None:
    wrong: list[str] = []
    before = world.state()
    for call in methods:
        failed = False
        try:
            used(call.invoke(world, HOSTILE[what]()))
        except GreenroomError as error:
            failed = True
            if SECRET in str(error):
                wrong.append(f"{call}: the error repeats what the object said")
        except Called:
            failed = True  # a function of the caller's own: what it raises is its caller's
        except Exception as error:
            wrong.append(f"{call}: {type(error).__name__} at {_place(error)}")
        actor = world.rt._supervisor.table.resident_actor(world.s.id)
        if actor is not None and actor._failures:
            wrong.append(f"{call}: restarted the session")
        after = world.state()
        if after != before:
            if failed and call.name not in JOURNALS_ATTEMPTS:
                wrong.append(f"{call}: changed something, and failed")
            world.renew()
            before = world.state()
    assert not wrong, "\n".join(wrong)


def _place(error: BaseException) -> str:
    """The last line of greenroom's that an error came from."""
    place, trace = "", error.__traceback__
    while trace is not None:
        if "greenroom" in (file := trace.tb_frame.f_code.co_filename):
            place = f"{file.rpartition('greenroom/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def test_what_is_left_out_is_there_to_be_left_out(methods: list[Call]) -> None:
    kinds = public_classes()
    assert not [name for name in LEFT_OUT if name.partition(".")[0] not in kinds.keys() | OWNERS.keys() | {"Hook"}]
    assert len(methods) > 600
