"""What every adapter takes: a runtime, or the path of a store."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from greenroom.runtime import Runtime, RuntimeClosed, SessionNotFound, ValidationError, messages
from greenroom.runtime.integrations.opening import Adapter, Opened


def test_a_path_is_opened_and_closed(store_path: Path) -> None:
    opened = Opened(store_path)
    session = opened.runtime.create_session()
    opened.close()
    with pytest.raises(RuntimeClosed):
        session.info()


def test_a_runtime_stays_open(rt: Runtime) -> None:
    opened = Opened(rt)
    opened.close()
    assert rt.create_session().info()


@pytest.mark.parametrize("wrong", [None, 1, object(), b"path"])
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="a Runtime, an AsyncRuntime or the path of a store"):
        Opened(wrong)  # type: ignore[arg-type]


def test_functions_run_off_the_loop(rt: Runtime) -> None:
    async def main() -> tuple[str, bool]:
        opened = Opened(rt)
        loop = threading.get_ident()
        return await opened.run(lambda key: key * 2, "k"), await opened.run(threading.get_ident) != loop

    assert asyncio.run(main()) == ("kk", True)


def test_messages_are_asked_from_the_loop(rt: Runtime) -> None:
    async def main() -> None:
        opened, session = Opened(rt), rt.create_session()
        await opened.ask(session.id, messages.SetVariable("k", 1))
        assert await opened.ask(session.id, messages.GetVariable("k")) == 1
        session.delete()
        with pytest.raises(SessionNotFound):
            await opened.ask(session.id, messages.GetVariable("k"))

    asyncio.run(main())


def test_an_adapter_closes_what_it_has_opened_at_the_end_of_its_block(rt: Runtime, tmp_path: Path) -> None:
    class Own(Adapter):
        def __init__(self, runtime: Runtime | Path) -> None:
            self._opened = Opened(runtime)
            self.runtime = self._opened.runtime

    async def main() -> Runtime:
        async with Own(tmp_path / "store") as own:
            assert not own.runtime.closed
        return own.runtime

    assert asyncio.run(main()).closed
    with Own(tmp_path / "store") as own:
        assert not own.runtime.closed
    assert own.runtime.closed
    with Own(rt):
        pass
    assert not rt.closed
