"""The configuration of a session that is there can be changed, by the host alone, and holds from then on everywhere."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.session.state.limits import merged
from greenroom.runtime import (
    AccessDenied,
    BundleError,
    HookCancelled,
    InvalidSessionState,
    PolicyConfig,
    RateLimited,
    RatePolicy,
    ResourceLimitExceeded,
    ResourcePolicy,
    Runtime,
    RuntimeConfig,
    SessionConfig,
    TimeoutPolicy,
    ValidationError,
    messages,
)
from greenroom.runtime.config.settings import load_settings
from greenroom.storage.codec.keys import INDEX_DEADLINE
from greenroom.storage.engine.engine import CF

Opened = Callable[..., Runtime]
Tick = Callable[[Runtime], None]


def own(rt: Runtime, session: Any) -> dict[str, Any]:
    found: dict[str, Any] = rt.ask(session.id, messages.GetConfig())
    return found


def test_the_configuration_in_force_is_the_sessions_and_for_the_rest_the_runtimes(opened: Opened) -> None:
    rt = opened(policies={"resources": {"max_operations": 70}, "timeout": {"max_duration": 500}})
    session = rt.create_session(config={"max_artifacts": 5, "policies": {"resources": {"max_tokens": 9}}})
    config = session.config
    assert (config.max_artifacts, config.max_operations, config.max_duration) == (5, 70, 500)
    assert config.policies == rt.policies.effective(session)
    rt.policies.update(resources={"max_operations": 80})
    assert session.config.max_operations == 80
    twin = rt.create_session(config=session.config)
    assert own(rt, twin) == own(rt, session), "what follows the runtime goes on following it"
    assert rt.create_session().config.retention_days is None


def test_a_limit_that_refuses_says_how_to_raise_it_and_can_be_raised(rt: Runtime) -> None:
    session = rt.create_session(config={"max_artifacts": 1, "max_storage_bytes": 16, "max_state_bytes": 1000})

    def store() -> None:
        session.store_artifact("user_input", "a", b"12345678")

    def grow() -> None:
        session.set("k", "x" * 1000)

    def note() -> None:
        session.set("k", 1)

    store()
    for limit, change in (
        ("max_artifacts", store),
        ("max_storage_bytes", store),
        ("max_state_bytes", grow),
        ("max_operations", note),
    ):
        if limit == "max_operations":
            session.update_config(max_operations=session.info().operation_count + 1)
        with pytest.raises(ResourceLimitExceeded) as caught:
            change()
        assert limit in str(caught.value)
        assert "update_config" in str(caught.value)
        assert getattr(session.update_config({limit: None}), limit) is None
        change()
    assert rt.verify().ok


@pytest.mark.parametrize("status", ["suspended", "completed", "failed", "archived"])
def test_it_can_be_changed_in_every_status(rt: Runtime, status: str) -> None:
    session = rt.create_session()
    if status == "suspended":
        session.suspend()
    elif status == "failed":
        session.fail("why")
    else:
        session.complete()
    if status == "archived":
        session.archive()
    assert session.update_config(retention_days=7).retention_days == 7
    assert session.info().status == status
    if status != "suspended":
        with pytest.raises(InvalidSessionState):
            session.set("k", 1)


def test_a_change_is_an_event_and_none_is_none(rt: Runtime) -> None:
    session = rt.create_session(config={"max_artifacts": 5})
    before = session.info().sequence
    session.update_config(max_artifacts=5)
    assert session.info().sequence == before
    session.update_config(SessionConfig(max_artifacts=6), idle_timeout=60)
    event = list(session.events())[-1]
    assert (event.type, event.data) == ("session.configured", {"config": {"max_artifacts": 6, "idle_timeout": 60.0}})
    assert rt.ask(session.id, messages.UpdateConfig({"max_artifacts": 7}))["max_artifacts"] == 7


def test_sections_of_policies_are_changed_setting_by_setting(rt: Runtime) -> None:
    timeout = {"max_duration": 50, "warnings": [9]}
    session = rt.create_session(config={"policies": {"timeout": timeout, "resources": {"max_tokens": 3}}})
    session.update_config(policies={"timeout": {"warnings": [7]}, "rate": {"session": 60}})
    assert json.loads(json.dumps(own(rt, session))) == {
        "policies": {
            "timeout": {"max_duration": 50.0, "warnings": [7.0]},
            "resources": {"max_tokens": 3},
            "rate": {"session": 60.0},
        }
    }
    assert session.update_config(max_duration=None).policies.timeout.max_duration is None, "the newest word holds"
    assert session.update_config(policies={"timeout": {"max_duration": 80}}).max_duration == 80


_SETTINGS = st.dictionaries(
    st.sampled_from(["max_duration", "max_artifacts", "max_operations"]), st.none() | st.integers(1, 9)
)
_CHANGES = st.builds(
    lambda top, policies: {**top, **({"policies": policies} if policies else {})},
    _SETTINGS,
    st.fixed_dictionaries(
        {},
        optional={
            "timeout": st.fixed_dictionaries({}, optional={"max_duration": st.none() | st.integers(1, 9)}),
            "resources": st.fixed_dictionaries({}, optional={"max_artifacts": st.none() | st.integers(1, 9)}),
        },
    ),
)


@given(_CHANGES, _CHANGES)
def test_what_was_set_last_holds_and_what_was_not_named_stays(before: dict[str, Any], changes: dict[str, Any]) -> None:
    def settings(config: dict[str, Any], name: str, section: str) -> list[Any]:
        places = (config, (config.get("policies") or {}).get(section) or {})
        return [place[name] for place in places if name in place]

    after = merged(before, changes)
    for name, section in (("max_duration", "timeout"), ("max_artifacts", "resources")):
        assert settings(after, name, section) == (settings(changes, name, section) or settings(before, name, section))
    assert after.get("max_operations", 0) == {**before, **changes}.get("max_operations", 0)


# -- who may


def test_no_session_has_a_say_in_limits(rt: Runtime) -> None:
    session = rt.create_session(config={"max_artifacts": 5})
    child = rt.create_session(parent=session)
    other = rt.create_session()

    def raise_limits(context: Any) -> list[str]:
        refused = []
        for each in (session, child, other):
            for change in (
                lambda each=each: each.update_config(max_artifacts=None),
                lambda each=each: rt.ask(each.id, messages.UpdateConfig({"max_artifacts": None})),
                lambda each=each: rt.tell(each.id, messages.UpdateConfig({"max_artifacts": None})),
            ):
                try:
                    change()
                except AccessDenied as error:
                    refused.append(str(error))
        return refused

    rt.tools.register("raise_limits", raise_limits)
    refused = session.call_tool("raise_limits")
    assert len(refused) == 9
    assert session.config.max_artifacts == 5
    assert rt.audit(session=session, granted=False).total == 9


def test_a_hook_at_configuration_change_may_refuse_or_mend_it(rt: Runtime) -> None:
    session = rt.create_session()
    handle = rt.hooks.register("ConfigurationChange", lambda context: "cancel")
    with pytest.raises(HookCancelled):
        session.update_config(max_artifacts=1)
    handle.unregister()
    assert session.config.max_artifacts == 10_000


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_artefacts": 1}, "max_artifacts"),
        ({"max_artifacts": "many"}, "max_artifacts"),
        ({"policies": {"timeouts": {}}}, "timeout"),
        ({"max_duration": -1}, "max_duration"),
        (7, "is needed"),
    ],
)
def test_what_is_no_setting_is_refused_and_changes_nothing(rt: Runtime, changes: Any, told: str) -> None:
    session = rt.create_session()
    for change in (session.update_config, messages.UpdateConfig):
        with pytest.raises(ValidationError, match=told):
            change(changes)
    assert session.info().sequence == 1


# -- who must know of it


def test_it_lasts_and_goes_with_forks_and_bundles(opened: Opened, store_path: Path) -> None:
    with opened(store_path) as rt:
        session = rt.create_session(config={"max_artifacts": 5, "max_duration": 100})
        session.set("k", 1)
        session.update_config(max_artifacts=6, max_duration=None)
        wanted = own(rt, session)
        before = session.fork(at_sequence=2)
    rt = opened(store_path)
    again = rt.session(session.id)
    assert own(rt, again) == own(rt, again.fork()) == wanted
    assert own(rt, rt.session(before.id)) == {"max_artifacts": 5, "max_duration": 100.0}
    for history in (True, False):
        rt.export_session(session.id, store_path.parent / "s.bundle", history=history)
        moved = rt.import_session(store_path.parent / "s.bundle", keep_ids=False)
        assert own(rt, moved) == wanted
        assert moved.config.max_duration is None
    again.save()
    rt._supervisor.table.while_absent(session.id, lambda: None)
    assert again.config.max_artifacts == 6
    assert rt.verify().ok


def test_a_bundle_with_a_configuration_that_cannot_be_is_refused(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    session.update_config(max_artifacts=6)
    rt.export_session(session.id, tmp_path / "s.bundle")
    bundle = (tmp_path / "s.bundle").read_bytes()
    assert b"max_artifacts" in bundle
    (tmp_path / "s.bundle").write_bytes(bundle.replace(b"max_artifacts", b"max_artefacts"))
    with pytest.raises(BundleError):
        rt.import_session(tmp_path / "s.bundle", keep_ids=False)


def test_time_limits_hold_from_then_on_in_memory_or_not(
    opened: Opened, clock: Any, tick: Tick, store_path: Path, on_disk: Any
) -> None:
    with opened(store_path) as rt:
        limited, freed = rt.create_session(), rt.create_session(config={"max_duration": 100})
        clock.advance(90)
        tick(rt)
        limited.update_config(max_duration=100, policies={"timeout": {"grace_period": 0, "warnings": []}})
        freed.update_config(max_duration=None)
        clock.advance(9)
        tick(rt)
        assert str(limited.info().status) == "active"
    with on_disk() as engine:
        [key] = engine.keys(CF.INDEX, INDEX_DEADLINE, INDEX_DEADLINE + b"\xff" * 24, limit=9)
        assert key[9:].hex() == limited.id.replace("-", "")
    rt = opened(store_path)
    clock.advance(2)
    tick(rt)
    assert str(rt.session(limited.id).info().status) == "failed"
    clock.advance(1000)
    tick(rt)
    assert str(rt.session(freed.id).info().status) == "active"
    assert rt.verify().ok


def test_rates_hold_from_then_on_and_what_was_used_counts(opened: Opened) -> None:
    rt = opened()
    session = rt.create_session()
    session.set("k", 1)
    session.update_config(policies={"rate": {"session": 2, "burst": 1}})
    session.set("k", 1)
    session.set("k", 1)
    with pytest.raises(RateLimited):
        session.set("k", 1)
    session.update_config(policies={"rate": {"session": 3}})
    session.set("k", 1)
    with pytest.raises(RateLimited):
        session.set("k", 1)
    session.update_config(policies={"rate": {"session": None}})
    session.set("k", 1)


# -- none, in every source


def test_none_is_no_limit_in_every_source(tmp_path: Path) -> None:
    limits = [name for name, value in SessionConfig() if name.startswith(("max_", "idle", "auto_save", "retention"))]
    assert len(limits) == 12
    for none in (None, "none", "None", " NONE "):
        config = SessionConfig.model_validate(dict.fromkeys(limits, none))
        assert {getattr(config, name) for name in limits} == {None}
    assert SessionConfig(**dict.fromkeys(limits)).model_dump(include=set(limits)) == dict.fromkeys(limits)
    sections: dict[str, Any] = {
        "timeout": ["max_duration", "idle_timeout"],
        "rate": ["runtime", "session"],
        "resources": [name for name in type(PolicyConfig().resources).model_fields if name.startswith("max_")],
    }
    text = "max_store_bytes = 'none'\nanalytics_retention_days = 'none'\n"
    for section, names in sections.items():
        text += f"[policies.{section}]\n" + "".join(f'{name} = "none"\n' for name in names)
    (tmp_path / "greenroom.toml").write_text(text)
    given = {section: dict.fromkeys(names, "none") for section, names in sections.items()}
    environ = {"GREENROOM_POLICIES": json.dumps(given), "GREENROOM_MAX_STORE_BYTES": "none"}
    for settings in (
        load_settings(file=tmp_path / "greenroom.toml", environ={}),
        load_settings(file=None, environ=environ),
    ):
        assert settings.config.max_store_bytes is None
        for section, names in sections.items():
            assert {getattr(getattr(settings.config.policies, section), name) for name in names} == {None}
    with Runtime.open(config=settings.config) as rt:
        session = rt.create_session(config=dict.fromkeys(limits, "none"))
        session.store_artifact("user_input", "a", b"x")
        session.set("k", 1)
        assert {each.limit for each in rt.policies.usage(session).values()} == {None}


# -- how configurations are made wrongly


@pytest.mark.parametrize(
    "kind", [SessionConfig, RuntimeConfig, PolicyConfig, TimeoutPolicy, RatePolicy, ResourcePolicy]
)
def test_every_way_of_making_one_wrongly_is_told_in_our_words(kind: Any) -> None:
    name = next(iter(kind.model_fields))
    nothing = object()
    ways: list[Callable[[], Any]] = [
        lambda: kind(**{name: nothing}),
        lambda: kind(**{name + "x": 1}),
        lambda: kind.model_validate({name: nothing}),
        lambda: kind.model_validate(7),
        lambda: kind.model_validate_json(json.dumps({name + "x": 1})),
        lambda: kind.model_validate_json("{"),
        lambda: kind.model_validate_strings({name + "x": "1"}),
        lambda: kind().model_copy(update={name: nothing}),
        lambda: setattr(kind(), name, None),
        lambda: delattr(kind(), name),
    ]
    for number, way in enumerate(ways):
        with pytest.raises(ValidationError) as caught:
            way()
        text = str(caught.value)
        assert "pydantic" not in text, number
        assert "input" not in text.lower(), number
        if name + "x" in text:
            assert name in text.replace(name + "x", ""), "the nearest known name"


def test_a_copy_keeps_what_was_set_and_what_was_not() -> None:
    one = SessionConfig(max_artifacts=5, policies=PolicyConfig.strict())
    two = one.model_copy(update={"max_operations": None})
    assert two.model_fields_set == {"max_artifacts", "policies", "max_operations"}
    assert (two.max_artifacts, two.policies) == (5, PolicyConfig.strict())
    assert pickle.loads(pickle.dumps(two)) == copy.deepcopy(two) == two
