"""The contract of Chainlit's BaseDataLayer: each test runs on Chainlit's own SQLAlchemyDataLayer over SQLite, and on
greenroom. Chainlit's package has no tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from chainlit.data.base import BaseDataLayer
from chainlit.element import Text
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import User

from .conftest import Run


def step(
    step_id: str, thread_id: str, output: str = "", *, at: int = 0, type: str = "user_message", **more: Any
) -> Any:
    return {
        "id": step_id,
        "threadId": thread_id,
        "name": "ada",
        "type": type,
        "output": output,
        "streaming": False,
        "createdAt": f"2026-01-01T00:{at // 60:02}:{at % 60:02}.000000Z",
        "metadata": {},
        **more,
    }


def metadata_of(found: Any) -> Any:
    """Return metadata. SQLite gives the text of its JSON."""
    metadata = found["metadata"]
    return json.loads(metadata) if isinstance(metadata, str) else metadata


async def page(layer: BaseDataLayer, user_id: str, first: int = 20, cursor: str | None = None, **filters: Any) -> Any:
    return await layer.list_threads(Pagination(first=first, cursor=cursor), ThreadFilter(userId=user_id, **filters))


def test_users(layer: BaseDataLayer, run: Run) -> None:
    async def main() -> None:
        assert await layer.get_user("ada") is None
        made = await layer.create_user(User(identifier="ada", metadata={"role": "admin"}))
        assert made is not None
        assert UUID(made.id)
        assert made.createdAt
        assert (made.identifier, made.metadata) == ("ada", {"role": "admin"})
        again = await layer.create_user(User(identifier="ada", metadata={"role": "guest", "n": [1]}))
        assert again is not None
        assert (again.id, again.createdAt) == (made.id, made.createdAt)
        found = await layer.get_user("ada")
        assert found is not None
        assert found.metadata == {"role": "guest", "n": [1]}
        assert await layer.get_user("Ada") is None

    run(main())


def test_threads(layer: BaseDataLayer, run: Run) -> None:
    async def main() -> None:
        ada = await layer.create_user(User(identifier="ada"))
        assert ada is not None
        assert await layer.get_thread("t") is None
        await layer.update_thread("t")
        found = await layer.get_thread("t")
        assert found is not None
        assert (found["id"], found["name"], found["userId"], found["steps"]) == ("t", None, None, [])
        assert metadata_of(found) == {}
        created = found["createdAt"]
        await layer.update_thread("t", name="first", user_id=ada.id, metadata={"a": 1, "b": {"c": 2}})
        await layer.update_thread("t", metadata={"a": None, "d": 4})
        await layer.update_thread("t")
        found = await layer.get_thread("t")
        assert found is not None
        assert (found["name"], found["userId"], found["userIdentifier"]) == ("first", ada.id, "ada")
        assert metadata_of(found) == {"b": {"c": 2}, "d": 4}
        assert found["createdAt"] == created
        assert await layer.get_thread_author("t") == "ada"
        await layer.delete_thread("t")
        await layer.delete_thread("t")
        assert await layer.get_thread("t") is None
        assert (await page(layer, ada.id)).data == []

    run(main())


def test_steps(layer: BaseDataLayer, run: Run) -> None:
    async def main() -> None:
        await layer.create_step(step("b", "t", "", at=2, type="assistant_message", parentId="a"))
        await layer.create_step(step("a", "t", "hello", at=1))
        await layer.create_step(
            step("c", "t", "42", at=3, type="tool", input="6*7", showInput="json", generation={"m": 1}, isError=True)
        )
        await layer.create_step(step("other", "u", "elsewhere"))
        await layer.update_step(step("b", "t", "hi", at=2, type="assistant_message", metadata={"k": [1]}))
        found = await layer.get_thread("t")
        assert found is not None
        steps: list[Any] = found["steps"]
        assert [(each["id"], each["type"], each["output"]) for each in steps] == [
            ("a", "user_message", "hello"),
            ("b", "assistant_message", "hi"),
            ("c", "tool", "42"),
        ]
        assert [each["parentId"] for each in steps] == [None, "a", None]
        assert metadata_of(steps[1]) == {"k": [1]}
        assert [each["input"] for each in steps] == ["", "", "6*7"]
        assert steps[2]["isError"]
        assert {"start", "end", "tags", "language", "waitForAnswer", "streaming", "feedback"} <= {*steps[0]}
        await layer.delete_step("b")
        await layer.delete_step("b")
        found = await layer.get_thread("t")
        assert found is not None
        assert [each["id"] for each in found["steps"]] == ["a", "c"]

    run(main())


def test_feedback(layer: BaseDataLayer, run: Run) -> None:
    async def main() -> None:
        async def seen() -> list[Any]:
            found = await layer.get_thread("t")
            assert found is not None
            return [each["feedback"] for each in found["steps"]]

        await layer.create_step(step("a", "t", "hello"))
        await layer.create_step(step("b", "t", "hi", at=1, type="assistant_message"))
        made = await layer.upsert_feedback(Feedback(forId="b", value=1, threadId="t"))
        assert await seen() == [None, {"forId": "b", "id": made, "value": 1, "comment": None}]
        assert await layer.upsert_feedback(Feedback(forId="b", value=0, id=made, comment="no", threadId="t")) == made
        assert await seen() == [None, {"forId": "b", "id": made, "value": 0, "comment": "no"}]
        assert await layer.delete_feedback(made)
        assert await seen() == [None, None]

    run(main())


def test_elements(layer: BaseDataLayer, run: Run) -> None:
    async def main() -> None:
        await layer.create_step(step("a", "t", "hello"))
        element = Text(thread_id="t", id="e", name="notes é.txt", content="some text", for_id="a", display="side")
        await layer.create_element(element)
        found: Any = await layer.get_element("t", "e")
        assert (found["id"], found["threadId"], found["name"], found["type"]) == ("e", "t", "notes é.txt", "text")
        assert (found["display"], found["forId"]) == ("side", "a")
        assert found["url"]
        thread = await layer.get_thread("t")
        assert thread is not None
        assert [each["id"] for each in thread["elements"] or []] == ["e"]
        assert await layer.get_element("t", "none") is None
        assert await layer.get_element("u", "e") is None
        await layer.delete_element("e", "t")
        await layer.delete_element("e", "t")
        assert await layer.get_element("t", "e") is None
        await layer.create_element(element)
        await layer.delete_step("a")
        thread = await layer.get_thread("t")
        assert thread is not None
        assert thread["elements"] == []

    run(main())


def test_pages(layer: BaseDataLayer, run: Run) -> None:
    async def main() -> None:
        ada = await layer.create_user(User(identifier="ada"))
        bob = await layer.create_user(User(identifier="bob"))
        assert ada is not None
        assert bob is not None
        for number in range(7):
            await layer.update_thread(f"t{number}", user_id=(bob if number == 3 else ada).id)
            await layer.create_step(step(f"s{number}", f"t{number}", f"Text {number}", at=number))
        await layer.create_step(step("late", "t1", "the last word", at=50))
        order = ["t1", "t6", "t5", "t4", "t2", "t0"]
        got, cursor = [], None
        for more in (True, True, False):
            found = await page(layer, ada.id, 2, cursor)
            got += [each["id"] for each in found.data]
            assert found.pageInfo.hasNextPage is more
            assert (found.pageInfo.startCursor, found.pageInfo.endCursor) == (got[-2], got[-1])
            cursor = found.pageInfo.endCursor
        assert got == order
        end = await page(layer, ada.id, 2, cursor)
        assert (end.data, end.pageInfo.hasNextPage, end.pageInfo.endCursor) == ([], False, None)
        assert [each["id"] for each in (await page(layer, bob.id)).data] == ["t3"]
        assert [each["id"] for each in (await page(layer, ada.id, search="LAST w")).data] == ["t1"]
        await layer.upsert_feedback(Feedback(forId="s5", value=1, threadId="t5"))
        assert [each["id"] for each in (await page(layer, ada.id, feedback=1)).data] == ["t5"]
        assert (await page(layer, ada.id, search="Text 4", feedback=1)).data == []
        with pytest.raises(ValueError, match="userId is required"):
            await layer.list_threads(Pagination(first=1), ThreadFilter())

    run(main())


def test_favorites(layer: BaseDataLayer, run: Run) -> None:
    async def main() -> None:
        ada = await layer.create_user(User(identifier="ada"))
        assert ada is not None
        for number in range(4):
            await layer.update_thread(f"t{number % 2}", user_id=ada.id)
            await layer.create_step(step(f"s{number}", f"t{number % 2}", f"text {number}", at=number))
        assert await layer.get_favorite_steps(ada.id) == []
        for number in (1, 2, 0):
            marked = await layer.set_step_favorite(
                step(f"s{number}", f"t{number % 2}", f"text {number}", at=number), True
            )
            assert marked["metadata"]["favorite"] is True
        found: list[Any] = await layer.get_favorite_steps(ada.id)
        assert [(each["id"], each["output"]) for each in found] == [
            ("s2", "text 2"),
            ("s1", "text 1"),
            ("s0", "text 0"),
        ]
        await layer.set_step_favorite(step("s1", "t1", "text 1", at=1), False)
        assert [each["id"] for each in await layer.get_favorite_steps(ada.id)] == ["s2", "s0"]
        assert await layer.get_favorite_steps(str(uuid4())) == []

    run(main())


def test_many_threads_at_once(layer: BaseDataLayer, run: Run, tmp_path: Path) -> None:
    async def talk(number: int) -> None:
        for turn in range(3):
            await layer.create_step(step(f"s{number}-{turn}", f"t{number}", f"{number} {turn}", at=turn))

    async def main() -> None:
        await asyncio.gather(*map(talk, range(8)))
        for number in range(8):
            found: Any = await layer.get_thread(f"t{number}")
            assert [each["output"] for each in found["steps"]] == [f"{number} {turn}" for turn in range(3)]

    run(main())
