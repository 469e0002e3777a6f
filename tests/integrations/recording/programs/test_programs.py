"""Programs as they are: errors and retries, many calls at once, frameworks, and edits between record and replay."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from greenroom.storage.errors import ReplayError

from ..fake_models import FakeModels
from ..runs import record, replay

Cut = Callable[[], None]

SOON = {"retry-after-ms": "1"}


def ask(client: Any, text: str) -> str:
    answer = client.chat.completions.create(model="gpt-fake", messages=[{"role": "user", "content": text}])
    return str(answer.model_dump_json())


def client(url: str, retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=retries)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retries_of_an_sdk_are_recorded_once_each(fake: FakeModels, cut: Cut, status: int) -> None:
    def program() -> list[str]:
        claude = anthropic.Anthropic(base_url=fake.url, api_key="k", max_retries=2)
        message = claude.messages.create(model="c", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
        return [ask(client(fake.url, 2), "hello"), message.to_json()]

    fake.failures.extend([(status, SOON), (status, SOON)])
    first, tape = record(program)
    assert [each.outcome["status"] for each in tape.crossings] == [status, status, 200, 200]
    cut()
    again, report = replay(tape, program)
    assert again == first
    assert report.is_exact


def test_errors_that_the_program_sees_are_raised_again(fake: FakeModels, cut: Cut) -> None:
    def program() -> list[Any]:
        seen: list[Any] = []
        for url in (fake.url, "http://127.0.0.1:1"):
            try:
                ask(client(url), "hello")
            except openai.OpenAIError as error:
                cause = error.__cause__
                seen.append((type(error), str(error), getattr(error, "body", None), type(cause), str(cause)))
        return seen

    fake.failures.append((429, {}))
    first, tape = record(program)
    assert [each[0] for each in first] == [openai.RateLimitError, openai.APIConnectionError]
    cut()
    again, report = replay(tape, program)
    assert again == first
    assert report.is_exact


class Turns:
    """Has the server answer calls in an order of its own: each when the program has got the one before."""

    def __init__(self, fake: FakeModels, order: list[int]) -> None:
        self.order = order
        self.gates = {number: threading.Event() for number in order}
        fake.gates = {f"call <{number}>": gate for number, gate in self.gates.items()}
        self.got: list[int] = []
        self.lock = threading.Lock()
        self.gates[order[0]].set()

    def done(self, number: int) -> None:
        with self.lock:
            self.got.append(number)
            if len(self.got) < len(self.order):
                self.gates[self.order[len(self.got)]].set()


ORDER = [5, 2, 7, 0, 3, 6, 1, 4]


def test_tasks_get_their_answers_in_the_recorded_order(fake: FakeModels, cut: Cut) -> None:
    def program(turns: Turns) -> list[str]:
        async def main() -> list[str]:
            async with openai.AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="k", max_retries=0) as made:

                async def one(number: int) -> str:
                    answer = await made.chat.completions.create(
                        model="gpt-fake", messages=[{"role": "user", "content": f"call <{number}>"}]
                    )
                    turns.done(number)
                    return answer.model_dump_json()

                return await asyncio.gather(*map(one, range(len(ORDER))))

        return asyncio.run(main())

    turns = Turns(fake, ORDER)
    first, tape = record(program, turns)
    assert turns.got == ORDER
    cut()
    turns = Turns(fake, ORDER)
    again, report = replay(tape, program, turns)
    assert again == first
    assert turns.got == ORDER
    assert report.is_exact


def test_threads_get_their_answers_in_the_recorded_order(fake: FakeModels, cut: Cut) -> None:
    def program(turns: Turns) -> list[str]:
        made = client(fake.url)

        def one(number: int) -> str:
            answer = ask(made, f"call <{number}>")
            turns.done(number)
            return answer

        with ThreadPoolExecutor(len(ORDER)) as pool:
            return list(pool.map(one, range(len(ORDER))))

    turns = Turns(fake, ORDER)
    first, tape = record(program, turns)
    cut()
    turns = Turns(fake, ORDER)
    again, report = replay(tape, program, turns)
    assert again == first
    assert report.is_exact


def test_streams_at_once_are_interleaved_as_they_were(fake: FakeModels, cut: Cut) -> None:
    def program() -> tuple[list[tuple[int, str]], list[int]]:
        got: list[tuple[int, str]] = []
        ended: list[int] = []

        async def main() -> None:
            async with openai.AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="k", max_retries=0) as made:

                async def one(number: int) -> None:
                    stream = await made.chat.completions.create(
                        model="gpt-fake",
                        messages=[{"role": "user", "content": f"{number} " + "word " * 20}],
                        stream=True,
                    )
                    async for chunk in stream:
                        got.append((number, chunk.model_dump_json()))  # noqa: PERF401  as it comes
                    ended.append(number)

                await asyncio.gather(*map(one, range(4)))

        asyncio.run(main())
        return got, ended

    first, tape = record(program)
    cut()
    again, report = replay(tape, program)
    assert again == first
    assert report.is_exact


def test_a_program_whose_lines_moved_is_answered(fake: FakeModels, cut: Cut) -> None:
    def before() -> list[str]:
        made = client(fake.url)
        return [ask(made, "one"), ask(made, "two")]

    def after() -> list[str]:
        made = client(fake.url)
        one = made.chat.completions.create(model="gpt-fake", messages=[{"role": "user", "content": "one"}])
        return [one.model_dump_json(), ask(made, "two")]

    first, tape = record(before)
    cut()
    again, report = replay(tape, after)
    assert again == first
    assert (report.exact, report.moved) == (2, 1)
    assert report.is_exact


def test_a_prompt_that_changed_has_drifted(fake: FakeModels, cut: Cut) -> None:
    def program(text: str) -> str:
        return ask(client(fake.url), text)

    first, tape = record(program, "How warm is it in Oslo?")
    cut()
    again, report = replay(tape, program, "How warm is it in Rome?")
    assert again == first
    assert (report.drifted, report.is_exact) == (1, False)
    [drift] = report.drifts
    assert "Rome" in drift.difference
    with pytest.raises(ReplayError):
        replay(tape, program, "How warm is it in Rome?", strict=True)


def test_a_call_too_many_stops_the_replay(fake: FakeModels, cut: Cut) -> None:
    def program(count: int) -> Any:
        made = client(fake.url)
        try:
            return [ask(made, f"number {number}") for number in range(count)]
        except ReplayError:
            return "stopped"

    first, tape = record(program, 2)
    cut()
    again, report = replay(tape, program, 3)
    assert again == "stopped"
    assert report.refused is not None
    assert "nothing was recorded for http" in report.refused
    fewer, report = replay(tape, program, 1)
    assert fewer == first[:1]
    assert report.unused == 1
