"""Tests that are coroutines run against their recordings: with the plugins of pytest-asyncio and of anyio."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from ..fake_models import FakeModels

pytest_plugins = ["pytester"]

TESTS = """
import asyncio, os, random, time
import anyio, httpx, pytest
{imports}

async def ask(client, text):
    messages = [{{"role": "user", "content": text}}]
    url = os.environ["MODEL_URL"] + "/v1/chat/completions"
    response = await client.post(url, json={{"model": "m", "messages": messages}})
    return response.json()["choices"][0]["message"]["content"]

@pytest.fixture(params={backends})
def anyio_backend(request):
    return request.param

@{fixture}
async def client():
    async with httpx.AsyncClient() as made:
        await ask(made, "fixture")
        yield made

@pytest.mark.greenroom
@pytest.mark.{mark}
async def test_concurrent_calls():
    async with httpx.AsyncClient() as made, anyio.create_task_group() as group:
        for text in "abc":
            group.start_soon(ask, made, text)
    assert time.time() > random.random()

@pytest.mark.greenroom
@pytest.mark.{mark}
async def test_fixture(client):
    assert await ask(client, "test")
    await anyio.to_thread.run_sync(httpx.get, os.environ["MODEL_URL"] + "/v1/models")
"""


@pytest.mark.parametrize(
    ("mark", "imports", "fixture", "backends", "count"),
    [
        ("asyncio", "import pytest_asyncio", "pytest_asyncio.fixture", ["asyncio"], 2),
        ("anyio", "", "pytest.fixture", ["asyncio", "trio"], 4),
    ],
    ids=["pytest-asyncio", "anyio"],
)
def test_coroutines_are_recorded_and_run_offline(
    pytester: pytest.Pytester,
    fake: FakeModels,
    monkeypatch: pytest.MonkeyPatch,
    mark: str,
    imports: str,
    fixture: str,
    backends: list[str],
    count: int,
) -> None:
    pytest.importorskip("pytest_asyncio" if mark == "asyncio" else "trio")
    monkeypatch.setenv("MODEL_URL", fake.url)
    pytester.makepyfile(TESTS.format(imports=imports, fixture=fixture, backends=backends, mark=mark))
    installed = any(each.name == "greenroom" for each in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "greenroom.runtime.cassettes.plugin")
    options = [*plugin, "-p", "no:cacheprovider"]
    recorded = pytester.runpytest_subprocess(*options, "--greenroom-record=missing")
    recorded.assert_outcomes(passed=count)
    fake.stop()
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=count)
