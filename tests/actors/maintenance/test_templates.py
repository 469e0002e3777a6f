from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.runtime import InvalidOperation, Runtime, SessionConfig, ValidationError

RESEARCH = {
    "name_prefix": "Research: ",
    "tags": ["research", "2026"],
    "metadata": {"team": "a", "depth": 1},
    "config": {"max_artifacts": 5, "retention_days": 3.0},
}


def test_a_session_takes_from_its_template_what_its_maker_does_not_give(rt: Runtime) -> None:
    rt.templates.save("research", RESEARCH)
    info = rt.create_session("whales", template="research", tags=["sea", "2026"], metadata={"depth": 2}).info()
    assert info.name == "Research: whales"
    assert info.tags == ("research", "2026", "sea")
    assert info.custom_metadata == {"team": "a", "depth": 2}


def test_settings_of_the_template_hold_unless_the_maker_sets_them(rt: Runtime) -> None:
    rt.templates.save("small", {"config": {"max_artifacts": 1, "max_operations": 50}})
    s = rt.create_session(template="small", config={"max_operations": 60})
    s.store_artifact("user_input", "a", "1")
    with pytest.raises(Exception, match="1 artifacts"):
        s.store_artifact("user_input", "b", "2")
    other = rt.create_session(template="small", config=SessionConfig(max_artifacts=2))
    other.store_artifact("user_input", "a", "1")
    other.store_artifact("user_input", "b", "2")


def test_a_session_without_a_name_is_called_like_the_prefix(rt: Runtime) -> None:
    rt.templates.save("research", RESEARCH)
    rt.templates.save("plain", {})
    assert rt.create_session(template="research").info().name == "Research: "
    assert rt.create_session(template="plain").info().name is None


def test_templates_last_and_can_be_replaced_and_deleted(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        rt.templates.save("b", RESEARCH)
        rt.templates.save("a", {"tags": ["old"]})
        rt.templates.save("a", {"tags": ["new"]})
    with Runtime.open(store_path, read_only=True) as rt:
        assert [each.name for each in rt.templates.list()] == ["a", "b"]
        assert rt.templates.get("a").tags == ("new",)
        assert rt.templates.get("b").to_dict() == {"name": "b", **RESEARCH}
        with pytest.raises(InvalidOperation, match="read_only"):
            rt.templates.save("c", {})
    with Runtime.open(store_path) as rt:
        assert rt.templates.delete("a")
        assert not rt.templates.delete("a")
        assert [each.name for each in rt.templates.list()] == ["b"]
        assert rt.verify().ok


@pytest.mark.parametrize(
    ("preset", "field"),
    [
        ({"tag": []}, "tag"),
        ({"tags": "text"}, "tags"),
        ({"tags": ["x" * 65]}, "tags"),
        ({"name_prefix": 3}, "name_prefix"),
        ({"name_prefix": "x" * 256}, "name_prefix"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"config": {"max_artefacts": 1}}, "max_artefacts"),
        ({"config": {"max_artifacts": -1}}, "max_artifacts"),
        ([], "template"),
    ],
)
def test_a_wrong_template_is_refused_by_the_name_of_the_field(rt: Runtime, preset: object, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rt.templates.save("t", preset)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert rt.templates.list() == []


@pytest.mark.parametrize("name", ["", "x" * 256, None, 3])
def test_a_template_needs_a_name(rt: Runtime, name: object) -> None:
    with pytest.raises(ValidationError):
        rt.templates.save(name, {})  # type: ignore[arg-type]


def test_an_unknown_template_is_an_error_that_lists_the_known(rt: Runtime) -> None:
    rt.templates.save("research", {})
    with pytest.raises(ValidationError, match="research"):
        rt.create_session(template="reserch")
    assert rt.count_sessions() == 0


def test_a_name_that_the_prefix_makes_too_long_is_refused(rt: Runtime) -> None:
    rt.templates.save("long", {"name_prefix": "x" * 250})
    with pytest.raises(ValidationError):
        rt.create_session("123456", template="long")
