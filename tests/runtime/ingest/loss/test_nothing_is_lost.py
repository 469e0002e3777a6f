"""Every text, number and field of any conversation, in every form, is found again in the session that it became."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime, Session
from greenroom.runtime.ingest import ingest


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    with Runtime.open(tmp_path_factory.mktemp("ingest") / "store", config={"durability": "memory"}) as opened:
        yield opened


# -- what is written

_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\x00")
_SHORT = st.text(_CHARACTERS, max_size=12)
_LONG = st.builds(lambda text, count: (text + "~") * count, _SHORT, st.sampled_from([1, 300, 5_000, 30_000]))
_TEXT = st.one_of(_SHORT, _SHORT, _SHORT, _LONG)
_NUMBER = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.integers(10**300, 10**310)
)
_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBER, _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_SHORT, inner, max_size=3)),
    max_leaves=5,
)
_NAMES = (
    *("artifacts", "step", "field", "name", "tool_call_id", "thought", "timestamp", "from", "value", "source", "id"),
    *("refusal", "function_call", "tool_calls", "reasoning_content", "title", "system", "tools", "metadata", "type"),
)
_KEYS = st.one_of(_SHORT, st.sampled_from(_NAMES))
_FIELDS = st.dictionaries(_KEYS, _VALUE, max_size=3)
_PART = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, _TEXT),
    st.builds(lambda text: {"type": "text", "text": {"value": text}}, _SHORT),
    st.builds(lambda text: {"type": "tool_result", "tool_use_id": "t", "content": [{"text": text}]}, _TEXT),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "s"}, _SHORT),
    st.builds(lambda value: {"toolResult": {"content": [{"json": value}]}}, _VALUE),
    st.builds(lambda value: {"type": "tool_use", "id": "t", "name": "look", "input": value}, _VALUE),
    _VALUE,
)
_CONTENT = st.one_of(_TEXT, _TEXT, st.lists(_PART, max_size=3), _VALUE)
_ROLES = st.sampled_from(
    ["user", "assistant", "system", "tool", "human", "gpt", "User", "function", "narrator", "x" * 90]
)
_MESSAGE = st.builds(
    lambda fields, role, content: {**fields, "role": role, "content": content}, _FIELDS, _ROLES, _CONTENT
)
_SAID = st.builds(lambda fields, who, text: {**fields, "from": who, "value": text}, _FIELDS, _ROLES, _CONTENT)
_STEP = st.builds(
    lambda said, seen, fields: {**fields, "response": said, "observation": seen, "state": {"cwd": said}},
    _SHORT,
    _SHORT,
    _FIELDS,
)


def _of(key: str, messages: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda fields, turns: {**fields, key: turns}, _FIELDS, st.lists(messages, min_size=1, max_size=4))


def _with_history(record: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {**record, "trajectory": steps}


def _answer(messages: list[Any], fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "choices": [{"index": number, "message": each} for number, each in enumerate(messages)]}


def _batch(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {"custom_id": "c", "body": request, "response": {"status_code": 200, "body": answer}}


def _responses(messages: list[Any], call: Any, fields: dict[str, Any]) -> dict[str, Any]:
    calls = [
        {"type": "function_call", "call_id": "c9", "name": "look", "arguments": json.dumps(call)},
        {"type": "function_call_output", "call_id": "c9", "output": call},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "because"}]},
    ]
    rest = {key: value for key, value in fields.items() if key not in ("messages", "history")}
    return {**rest, "object": "response", "instructions": "be brief", "input": messages, "output": calls}


_CHAT = _of("messages", _MESSAGE)
_SHAREGPT = _of("conversations", _SAID)
_ANSWER = st.builds(_answer, st.lists(_MESSAGE, min_size=1, max_size=2), st.just({"model": "m1"}))
FORMS = {
    "chat": _CHAT,
    "list": st.lists(_MESSAGE, min_size=1, max_size=4),
    "sharegpt": _SHAREGPT,
    "sharegpt list": st.lists(_SAID, min_size=1, max_size=4),
    "swe-agent": st.builds(_with_history, _of("history", _MESSAGE), st.lists(_STEP, max_size=3)),
    "steps": _of("trajectory", _STEP),
    "completion": _ANSWER,
    "batch": st.builds(_batch, _of("messages", _MESSAGE), _ANSWER),
    "responses": st.builds(_responses, st.lists(_MESSAGE, min_size=1, max_size=2), _VALUE, _FIELDS),
}

# -- what is found again


def leaves(value: Any) -> Iterator[Any]:
    """The texts, numbers and keys of a JSON value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield value


def found_in(session: Session) -> tuple[set[Any], str]:
    """What is in a session: values by themselves, and all texts, in which others may stand."""
    rows: list[Any] = [
        [m.role, m.content, m.name, m.tool_calls, m.tool_call_id, m.metadata] for m in session.messages()
    ]
    info = session.info()
    rows += [info.name, info.custom_metadata]
    texts = []
    for each in session.list_artifacts():
        errors = "replace" if each.mime_type.startswith("image/") else "surrogatepass"
        text = session.get_artifact(each.id).content.decode("utf-8", errors)
        texts.append(text)
        rows.append(each.custom)
        if each.mime_type == "application/json":
            rows.append(json.loads(text))
    values = set(leaves(rows))
    return values, "\n".join([*texts, *(value for value in values if isinstance(value, str))])


# What the form itself is made of: it is in the session's structure, not in its texts.
_STRUCTURE = {
    *("messages", "role", "content", "conversations", "from", "value", "history", "trajectory", "choices", "message"),
    *("name", "tool_call_id", "tool_calls", "function_call", "response", "observation", "body", "input", "output"),
    *("instructions", "type", "call_id", "arguments", "function_call_output", "text", ""),
}


@pytest.mark.parametrize("form", list(FORMS))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_text_number_and_field_is_found_again(
    form: str, runtime: Runtime, tmp_path: Path, data: st.DataObject
) -> None:
    record = data.draw(FORMS[form])
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    report = ingest(runtime, path)
    assert report.skipped == []
    (session_id,) = report.session_ids
    session = runtime.session(session_id)
    try:
        values, texts = found_in(session)
        for leaf in leaves(record):
            if leaf in values or leaf in _STRUCTURE:
                continue
            # In an artifact, in the JSON text of a content, or in a text that is one of several.
            spelt = leaf if isinstance(leaf, str) else json.dumps(leaf)
            assert (
                spelt in texts
                or json.dumps(spelt)[1:-1] in texts
                or json.dumps(spelt, ensure_ascii=False)[1:-1] in texts
            )
        assert report.whole
    finally:
        session.delete()
