"""What users read when a setting or an option is wrong: places and needs in plain words, never pydantic's."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import pytest
from annotated_types import Ge, MaxLen
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import core_schema

from greenroom.runtime import PolicyConfig, RetentionPolicy, Runtime, RuntimeConfig, SessionConfig, ValidationError
from greenroom.storage.common import validation
from greenroom.storage.common.validation import Checked, nearest, validated

PYDANTIC = re.compile(
    r"pydantic|Input should|permitted|validation error|str-enum|function-|tuple\[|constrained|\[key\]"
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RuntimeConfig(worker=3), "worker: unknown; the nearest known one is workers"),
        (lambda: RuntimeConfig(workers=0), "workers: it must be at least 1"),
        (lambda: RuntimeConfig(durability="often"), "durability: one of 'memory', 'wal' or 'fsync' is needed"),
        (lambda: RuntimeConfig.model_validate({"worker": 3}), "worker: unknown; the nearest known one is workers"),
        (lambda: RuntimeConfig.model_validate([3]), "RuntimeConfig: an object is needed"),
        (lambda: SessionConfig(auto_collect_artifacts="perhaps"), "auto_collect_artifacts: true or false is needed"),
        (
            lambda: SessionConfig(policies={"rate": {"sesion": 1}}),
            "policies.rate.sesion: unknown; the nearest known one is session",
        ),
        (lambda: PolicyConfig(rate={"kinds": {"x": "y"}}), "rate.kinds.x: a number is needed"),
        (lambda: PolicyConfig(rate={"kinds": {3: 1}}), "rate.kinds[3]: text is needed"),
        (lambda: PolicyConfig(timeout={"warnings": [1, "x"]}), "timeout.warnings[1]: a number is needed"),
        (lambda: RetentionPolicy(keep_version=1), "keep_version: unknown; the nearest known one is keep_versions"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_a_typed_error_with_its_place(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda rt: rt.list_sessions(tag=["x"]), "tag: unknown; the nearest known one is tags"),
        (
            lambda rt: rt.list_sessions(status="activ"),
            "status: one of 'active', 'suspended', 'completed', 'failed', 'archived', 'all' or a list is",
        ),
        (lambda rt: rt.list_sessions(status=["active", "x"]), "status[1]: one of 'active', 'suspended', "),
        (
            lambda rt: rt.list_sessions(status=["done"]),
            "status[0]: one of 'active', 'suspended', 'completed', 'failed', 'archived', 'all' is needed",
        ),
        (lambda rt: rt.query_artifacts(order_by=3), "order_by: one of 'date', 'name', 'size' or 'type' is needed"),
        (lambda rt: rt.query_artifacts(type="x"), "type: unknown; the nearest known one is artifact_type"),
        (lambda rt: rt.events.query(limit=-1), "limit: it must be at least 0"),
        (lambda rt: rt.retention(keep_versions="x"), "keep_versions: a whole number is needed"),
        (lambda rt: rt.retention(5), "policy: a RetentionPolicy or an object with text keys is needed, not int"),
        (
            lambda rt: rt.create_session(config={"max_operation": 1}),
            "max_operation: unknown; the nearest known one is max_operation",
        ),
        (lambda rt: rt.create_session(5), "name: text is needed"),
        (lambda rt: rt.analytics.aggregate(bucket=float("nan")), "bucket: a number is needed, not NaN"),
        (lambda rt: rt.policies.update(rates={}), "rates: unknown; the nearest known one is rate"),
    ],
)
def test_a_wrong_option_of_a_call_is_one_too(rt: Runtime, ask: Callable[[Runtime], object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ask(rt)
    assert str(caught.value).startswith(message)


def test_an_unknown_name_carries_the_one_that_it_may_be_meant_for() -> None:
    with pytest.raises(ValidationError) as caught:
        RuntimeConfig(worker=3)  # type: ignore[call-arg]
    assert (caught.value.field, caught.value.nearest) == ("worker", "workers")
    assert nearest("x", []) is None


class Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    count: Annotated[int, Ge(1)] = 1
    names: tuple[Annotated[str, MaxLen(3)], ...] = ()


class Whole(Checked):
    model_config = pydantic.ConfigDict(extra="forbid")

    either: Part | list[Part] | None = None
    parts: dict[str, Part] = pydantic.Field(default_factory=dict)
    flag: bool = False
    other: float = pydantic.Field(default=0.0, alias="else")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"either": [{"count": 1}, {"count": 0}]}, "either[1].count: it must be at least 1"),
        ({"either": {"names": ["abcd"]}}, "either.names[0]: at most 3 characters"),
        ({"either": 5}, "either: an object or a list is needed"),
        ({"parts": {"a": {"cuont": 2}}}, "parts.a.cuont: unknown; the nearest known one is count"),
        ({"els": 2}, "els: unknown; the nearest known one is else"),
        ({"a\nb" * 40: 2}, r"a\nb" * 15 + "a\\n…: unknown; the nearest known one is flag"),
    ],
)  # fmt: skip
def test_a_place_within_a_choice_of_forms_is_the_users(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validated(Whole, values)
    assert str(caught.value) == message


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("secret words")


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.builds(Hostile)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*RuntimeConfig.model_fields, *PolicyConfig.model_fields, "session", "kinds"]) | st.text()


@given(
    st.dictionaries(NAMES, ANYTHING | st.dictionaries(NAMES, st.dictionaries(NAMES, ANYTHING, max_size=2), max_size=2))
)
def test_whatever_is_given_no_word_of_pydantic_comes_out(values: dict[str, Any]) -> None:
    for model in (RuntimeConfig, SessionConfig, RetentionPolicy, Whole):
        try:
            validated(model, values)
            said = ""
        except ValidationError as error:
            said = re.sub(r"[^:;]*: unknown", "", str(error))  # a name that is the user's
        assert not PYDANTIC.search(said)
        assert "secret words" not in said


def test_the_words_for_pydantics_errors_are_for_errors_that_it_has() -> None:
    known = set(typing.get_args(core_schema.ErrorType))
    assert {*validation._NEEDED, *validation._WRONG} <= known | {"path_type"}
