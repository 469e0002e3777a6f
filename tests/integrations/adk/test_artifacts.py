"""The contract of ADK's `BaseArtifactService`, held by ADK's own service in memory and by greenroom's alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from google.adk.artifacts.base_artifact_service import BaseArtifactService
from google.adk.artifacts.in_memory_artifact_service import InMemoryArtifactService
from google.adk.errors.input_validation_error import InputValidationError
from google.genai import types

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.adk import GreenroomArtifactService, GreenroomSessionService

USER: dict[str, Any] = {"app_name": "app", "user_id": "user"}
HERE: dict[str, Any] = {**USER, "session_id": "s"}


@pytest.fixture(params=["greenroom", "memory"])
def service(request: pytest.FixtureRequest, rt: Runtime) -> BaseArtifactService:
    return GreenroomArtifactService(rt) if request.param == "greenroom" else InMemoryArtifactService()


def run(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(steps())


PARTS = [
    types.Part(text="plain ü"),
    types.Part(text=""),
    types.Part(text="half \ud800"),
    types.Part(inline_data=types.Blob(data=bytes(range(256)) * 100, mime_type="image/png")),
    types.Part(inline_data=types.Blob(data=b"", mime_type="application/pdf", display_name="d")),
    types.Part(file_data=types.FileData(file_uri="gs://bucket/file", mime_type="text/csv")),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_parts_come_back_exactly(service: BaseArtifactService, part: types.Part) -> None:
    async def steps() -> None:
        assert await service.save_artifact(**HERE, filename="f", artifact=part) == 0
        assert await service.load_artifact(**HERE, filename="f") == part
        as_dict = part.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert await service.save_artifact(**HERE, filename="f", artifact=as_dict) == 1
        assert await service.load_artifact(**HERE, filename="f", version=1) == part

    run(steps)


def test_what_a_rewind_stores_counts_as_missing(service: BaseArtifactService) -> None:
    async def steps() -> None:
        await service.save_artifact(**HERE, filename="f", artifact=types.Part(text="x"))
        empty = types.Part(inline_data=types.Blob(mime_type="application/octet-stream", data=b""))
        assert await service.save_artifact(**HERE, filename="f", artifact=empty) == 1
        assert await service.load_artifact(**HERE, filename="f") is None
        assert await service.load_artifact(**HERE, filename="f", version=0) == types.Part(text="x")
        assert await service.list_versions(**HERE, filename="f") == [0, 1]

    run(steps)


def test_versions(service: BaseArtifactService) -> None:
    async def steps() -> None:
        for number in range(3):
            part = types.Part(text=f"v{number}")
            assert (
                await service.save_artifact(**HERE, filename="f", artifact=part, custom_metadata={"n": number})
                == number
            )
        assert await service.list_versions(**HERE, filename="f") == [0, 1, 2]
        one = await service.load_artifact(**HERE, filename="f", version=1)
        assert one is not None
        assert one.text == "v1"
        for missing in (3, 99, -1):
            assert await service.load_artifact(**HERE, filename="f", version=missing) is None
            assert await service.get_artifact_version(**HERE, filename="f", version=missing) is None
        found = await service.list_artifact_versions(**HERE, filename="f")
        assert [(each.version, each.custom_metadata, each.mime_type) for each in found] == [
            (number, {"n": number}, "text/plain") for number in range(3)
        ]
        assert all(each.canonical_uri.endswith(f"/artifacts/f/versions/{each.version}") for each in found)
        newest = await service.get_artifact_version(**HERE, filename="f")
        assert newest is not None
        assert newest.version == 2
        await service.delete_artifact(**HERE, filename="f")
        await service.delete_artifact(**HERE, filename="f")
        assert await service.list_versions(**HERE, filename="f") == []
        assert await service.load_artifact(**HERE, filename="f") is None
        assert await service.get_artifact_version(**HERE, filename="f") is None
        assert await service.save_artifact(**HERE, filename="f", artifact=types.Part(text="again")) == 0

    run(steps)


def test_names_of_a_session_and_of_its_user(service: BaseArtifactService) -> None:
    async def steps() -> None:
        part = types.Part(text="x")
        await service.save_artifact(**HERE, filename="b/own.txt", artifact=part)
        await service.save_artifact(**HERE, filename="user:shared.txt", artifact=part)
        await service.save_artifact(**{**HERE, "session_id": "other"}, filename="other.txt", artifact=part)
        assert await service.list_artifact_keys(**HERE) == ["b/own.txt", "user:shared.txt"]
        assert await service.list_artifact_keys(**USER) == ["user:shared.txt"]
        assert await service.load_artifact(**USER, filename="user:shared.txt") == part
        assert await service.list_artifact_keys(app_name="app", user_id="nobody", session_id="s") == []

    run(steps)


def test_references_are_followed_within_their_scope(service: BaseArtifactService) -> None:
    async def steps() -> None:
        await service.save_artifact(**HERE, filename="f", artifact=types.Part(text="first"))
        await service.save_artifact(**HERE, filename="f", artifact=types.Part(text="second"))
        uri = "artifact://apps/app/users/user/sessions/s/artifacts/f/versions/0"
        reference = types.Part(file_data=types.FileData(file_uri=uri, mime_type="text/plain"))
        await service.save_artifact(**HERE, filename="r", artifact=reference)
        found = await service.load_artifact(**HERE, filename="r")
        assert found is not None
        assert found.text == "first"
        for bad in ("artifact://nonsense", uri.replace("users/user", "users/another")):
            wrong = types.Part(file_data=types.FileData(file_uri=bad))
            with pytest.raises(InputValidationError):
                await service.save_artifact(**HERE, filename="w", artifact=wrong)
        circle = types.Part(file_data=types.FileData(file_uri=uri.replace("/f/", "/c/"), mime_type="text/plain"))
        await service.save_artifact(**HERE, filename="c", artifact=circle)
        with pytest.raises(InputValidationError):
            await service.load_artifact(**HERE, filename="c")

    run(steps)


def test_wrong_input_is_refused_and_stores_nothing(service: BaseArtifactService) -> None:
    async def steps() -> None:
        text = types.Part(text="x")
        for names in (
            {**USER, "filename": "f"},
            {"app_name": "a/../b", "user_id": "u", "session_id": "s", "filename": "f"},
            {"app_name": "a", "user_id": "", "session_id": "s", "filename": "f"},
            {"app_name": "a", "user_id": "u", "session_id": "..", "filename": "f"},
        ):
            with pytest.raises(InputValidationError):
                await service.save_artifact(**names, artifact=text)
        with pytest.raises(InputValidationError):
            await service.save_artifact(**HERE, filename="f", artifact=types.Part())
        assert await service.list_artifact_keys(**HERE) == []

    run(steps)


# -- greenroom's own


def test_artifacts_go_with_their_session(rt: Runtime) -> None:
    async def steps() -> None:
        sessions, artifacts = GreenroomSessionService(rt), GreenroomArtifactService(rt)
        await artifacts.save_artifact(**HERE, filename="early", artifact=types.Part(text="x"))
        assert await sessions.get_session(**HERE) is None  # an artifact makes no session of ADK
        await sessions.create_session(**HERE)
        await artifacts.save_artifact(**HERE, filename="late", artifact=types.Part(text="y"))
        assert await artifacts.list_artifact_keys(**HERE) == ["early", "late"]
        await sessions.delete_session(**HERE)
        assert await artifacts.list_artifact_keys(**HERE) == []

    run(steps)
    assert rt.verify().problems == []
