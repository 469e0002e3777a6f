"""What crosses between a script and the host through functions, contents, errors and times comes out as it went in."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime, ScriptError, Session

LANGUAGES = ["lua", "javascript"]
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def session(shared_runtime: Runtime) -> Session:
    return shared_runtime.create_session()


def same(language: str, one: Any, other: Any) -> bool:
    """Equal. Lua keeps integers and floats apart; JavaScript has one kind of number."""
    if isinstance(one, list):
        return len(one) == len(other) and all(same(language, a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(language, one[key], other[key]) for key in one)
    numbers = type(one) in (int, float) and type(other) in (int, float)
    if numbers and (language == "javascript" or type(one) is type(other)):
        return bool(one == other) and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and bool(one == other)


HANDLER = {
    "lua": """
      Event.on("custom.value", function(event) State.set("heard", event.data) end)
      Event.publish("custom.value", State.get("in"))
    """,
    "javascript": """
      Event.on("custom.value", event => State.set("heard", event.data))
      Event.publish("custom.value", State.get("in"))
    """,
}
HOOK = {
    "lua": """
      Hook.register("BeforeStateWrite", function(context)
        if context.data.key == "asked" then
          return { type = "modified", data = { value = { is = context.data.value } } }
        end
      end)
      State.set("asked", State.get("in").v)
    """,
    "javascript": """
      Hook.register("BeforeStateWrite", context => {
        if (context.data.key === "asked") return { type: "modified", data: { value: { is: context.data.value } } }
      })
      State.set("asked", State.get("in").v)
    """,
}


@pytest.mark.parametrize("language", LANGUAGES)
@settings(deadline=None, max_examples=40)
@given(_VALUES)
@example([None, [], {}, -0.0, {"deep": [2**64 - 1, -(2**63)]}])
def test_functions_of_a_script_get_and_give_values_unchanged(
    shared_runtime: Runtime, session: Session, language: str, value: Any
) -> None:
    session.set("in", {"v": value})
    shared_runtime.run_script(HANDLER[language], language=language, session=session)
    assert same(language, {"v": value}, session.get("heard"))
    shared_runtime.run_script(HOOK[language], language=language, session=session)
    if value is not None:  # nil is no field
        assert same(language, {"is": value}, session.get("asked"))


CONTENT = {
    "lua": """
      local s, given = ...
      local id = Artifact.store(s, "log", "copy", given)
      return Artifact.getContent(s, id)
    """,
    "javascript": """
      const [s, given] = arguments
      const id = Artifact.store(s, "log", "copy", given)
      return Artifact.getContent(s, id)
    """,
}


@pytest.mark.parametrize("language", LANGUAGES)
@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=300))
@example(b"\0\xff\xfe")
@example("é🦐".encode())
def test_binary_content_is_kept_to_the_byte(
    shared_runtime: Runtime, session: Session, language: str, content: bytes
) -> None:
    args = [session.id, content]
    back = shared_runtime.run_script(CONTENT[language], language=language, args=args).value
    assert (back.encode() if isinstance(back, str) else back) == content
    assert session.get_artifact("copy").content == content


THROWN = {
    "lua": "error({ code = 'Mine', message = (...) })",
    "javascript": "throw Object.assign(new Error(arguments[0]), { code: 'Mine' })",
}


@pytest.mark.parametrize("language", LANGUAGES)
@settings(deadline=None, max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40))
def test_an_error_leaves_with_its_code_and_message(shared_runtime: Runtime, language: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        shared_runtime.run_script(THROWN[language], language=language, args=[message])
    assert caught.value.cause == "Mine"
    assert message in str(caught.value)


FAILING = {
    "Session.get('nonsense')": "SessionNotFound",
    "Artifact.get(SESSION, 'none')": "ArtifactNotFound",
    "Session.rename(SESSION, TABLE)": "ValidationError",
    "Session.resume(SESSION)": "InvalidStateTransition",
    "Event.publish('', 1)": "ValidationError",
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("call", FAILING)
def test_errors_of_the_host_are_objects_with_code_and_message(
    shared_runtime: Runtime, session: Session, language: str, call: str
) -> None:
    call = call.replace("SESSION", f"'{session.id}'").replace("TABLE", "{ a = 1 }" if language == "lua" else "{ a: 1 }")
    source = {
        "lua": f"local ok, e = pcall(function() return {call} end) return {{ ok, e.code, e.message, tostring(e) }}",
        "javascript": f"try {{ {call} }} catch (e) {{ return [false, e.code, e.message, String(e)] }}",
    }[language]
    ok, code, message, text = shared_runtime.run_script(source, language=language).value
    assert not ok
    assert code in FAILING.values()
    assert message
    assert message in text


TIMES = {
    "lua": """
      local before = os.time() - 60
      local s = Session.create { name = "dated" }
      return { s.created_at, #Session.list { created_after = before, search = "dated" },
               #Session.list { created_after = s.created_at, search = "dated" },
               #Session.list { created_before = before, search = "dated" } }
    """,
    "javascript": """
      const before = new Date(Date.now() - 60000)
      const s = Session.create({ name: "dated" })
      return [s.created_at, Session.list({ created_after: before, search: "dated" }).length,
              Session.list({ created_after: s.created_at, search: "dated" }).length,
              Session.list({ created_before: before, search: "dated" }).length]
    """,
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_times_are_texts_that_the_host_takes_back(runtime: Runtime, language: str) -> None:
    created, after, since, before = runtime.run_script(TIMES[language], language=language).value
    assert abs((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()) < 600
    assert after == 1
    assert since <= 1
    assert before == 0


NOTHING = {
    "lua": """
      State.set("null", JSON.null) State.set("gone", 1) State.set("gone", nil)
      return { State.get("null") == JSON.null, State.get("gone") == nil, State.get("gone", 7),
               JSON.is_null(State.get("list")[2]), #State.get("list"), State.get("object").b == JSON.null }
    """,
    "javascript": """
      State.set("null", null); State.set("gone", 1); State.set("gone", undefined)
      return [State.get("null") === null, State.get("gone") === undefined, State.get("gone", 7),
              JSON.is_null(State.get("list")[1]), State.get("list").length, State.get("object").b === null]
    """,
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_null_is_a_value_and_nothing_is_none(runtime: Runtime, language: str) -> None:
    session = runtime.create_session()
    session.set("list", [1, None, 3])
    session.set("object", {"a": 1, "b": None})
    found = runtime.run_script(NOTHING[language], language=language, session=session).value
    assert found == [True, True, 7, True, 3, True]
    assert session.get("null", default="missing") is None
    assert session.get("gone", default="missing") == "missing"
