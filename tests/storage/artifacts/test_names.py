"""What is the text of an id is no name, and no name is ever taken for an id."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import ArtifactNotFound, GreenroomError, ScriptError, Session, ValidationError, messages


def _by_python(s: Session, name: str) -> Any:
    return s.store_artifact("tool_result", name, "other")


def _by_batch(s: Session, name: str) -> Any:
    return s.store_many([{"type": "tool_result", "name": name, "content": "other"}])


def _by_message(s: Session, name: str) -> Any:
    return s._runtime.ask(s.id, messages.StoreArtifact("tool_result", name, "other"))


def _by_lua(s: Session, name: str) -> Any:
    return s._runtime.run_script("Artifact.store(arg[1], 'tool_result', arg[2], 'other')", args=[s.id, name])


def _by_lua_writer(s: Session, name: str) -> Any:
    return s._runtime.run_script(
        "Artifact.storeMany(arg[1], {{type = 'tool_result', name = arg[2], content = 'other'}})", args=[s.id, name]
    )


def _by_file(s: Session, name: str) -> Any:
    return s.store_file(__file__, name=name)


def _by_hook(s: Session, name: str) -> Any:
    def rename(context: Any) -> None:
        context.data["name"] = name

    with s._runtime.hooks.register("BeforeArtifactStore", rename, session_id=s.id):
        info = s.store_artifact("tool_result", "fine", "other")
    s.delete_artifact(info.id)
    raise ValidationError(info.name)


@pytest.mark.parametrize("store", [_by_python, _by_batch, _by_message, _by_lua, _by_lua_writer, _by_file, _by_hook])
def test_the_text_of_an_id_is_refused_as_a_name(session: Session, store: Any) -> None:
    plan = session.store_artifact("tool_result", "plan", "the plan")
    other = session._runtime.create_session().store_artifact("tool_result", "of another", "x")
    for taken in (str(plan.id), str(other.id), f"{'0' * 64}:{session.id}:77"):
        with pytest.raises((GreenroomError, ScriptError)):
            store(session, taken)
    assert [each.name for each in session.list_artifacts()] == ["plan"]
    assert session.get_artifact(str(plan.id)).content == b"the plan"


@pytest.mark.parametrize("change", ["{}x", " {}", "{} ", "{}:1", "x{}", "{}0x", "{}\u0660"])
def test_a_name_that_only_resembles_an_id_is_a_name(session: Session, change: str) -> None:
    plan = session.store_artifact("tool_result", "plan", "the plan")
    name = change.format(plan.id)
    assert session.store_artifact("tool_result", name, "other").name == name
    assert session.get_artifact(name).content == b"other"
    assert [each.name for each in session.artifact_versions(name)] == [name]
    assert set(session.get_many([name, str(plan.id)]).results) == {name, str(plan.id)}
    session.delete_artifact(name)
    assert session.get_artifact(plan.id).content == b"the plan"
    with pytest.raises(ArtifactNotFound):
        session.get_artifact(name)


def test_an_upper_case_hash_and_a_shortened_one_are_names(session: Session) -> None:
    plan = session.store_artifact("tool_result", "plan", "the plan")
    text = str(plan.id)
    for name in (text[:64].upper() + text[64:], text[:101], text[:64], text[1:]):
        session.store_artifact("tool_result", name, name)
        assert session.get_artifact(name).content == name.encode()
