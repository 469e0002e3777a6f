"""What is redacted is nowhere in the store, is marked, and is still matched by a replay."""

from __future__ import annotations

import gzip
import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.recording.journal.reading import tape_of
from greenroom.runtime.recording.journal.writing import JournalSink
from greenroom.runtime.recording.tape.model import Asked, Crossing, Reads, key_of
from greenroom.runtime.recording.tape.secrets.redacting import Redactor, redactor_of

from ..crossings import crossing

PATTERN = r"sk-[0-9a-f]{32}"


@pytest.fixture
def secret() -> str:
    return f"sk-{secrets.token_hex(16)}"


def everywhere(secret: str) -> list[Crossing]:
    """Return crossings with a secret in every part, whole, cut into chunks, compressed."""
    text = json.dumps({"text": f"my key is {secret}", "user": {"email": "a@b.c"}}).encode()
    cut = text.index(secret.encode()) + 9
    compressed = [["Content-Encoding", "gzip"], ["Content-Length", "1"]]
    calls = [
        crossing(1, text, [text[:cut], text[cut : cut + 3], text[cut + 3 :]], [1, 2, 3]),
        crossing(2, text * 3000, [text * 3000]),
        replace(crossing(3, b""), outcome={"status": 200, "headers": compressed, "chunks": [gzip.compress(text)]}),
        replace(
            crossing(4, b""),
            outcome={"status": 200, "headers": [["content-encoding", "deflate"]], "chunks": [zlib.compress(text)]},
        ),
        replace(
            crossing(5, b""),
            name=f"GET https://host/{secret}",
            input={"url": secret, "headers": [["x", secret], [secret, "y"]], "body": None},
            outcome={"error": {"text": f"wrong: {secret}", "args": [secret]}},
        ),
        Crossing(6, "tool", "add", "a.py:1", "main", {"arguments": {secret: [secret]}}, {"value": secret}, 60, [61]),
        replace(
            crossing(7, b""),
            input={"method": "POST", "headers": [["content-encoding", "gzip"]], "body": gzip.compress(text)},
            outcome={"headers": [["content-encoding", "unknown"]], "chunks": [text]},
        ),
    ]
    return [replace(each, key=key_of(each.kind, each.name, each.input)) for each in calls]


def recorded(rt: Runtime, secret: str, **options: Any) -> Any:
    s = rt.create_session()
    sink = JournalSink(s, {"command": ["agent.py", "--key", secret], secret: secret}, **options)
    sink.reads(Reads([("environment", "KEY", "a.py:1", "main", secret), ("clock", "time.time", "a.py:1", "main", 1.5)]))
    for each in everywhere(secret):
        sink.crossing(each)
    sink.end({"failure": f"no {secret}"})
    return s


@pytest.mark.parametrize("how", ["redact", "the store's expressions", "the store's function"])
def test_no_byte_of_the_store_has_the_secret(store_path: Path, secret: str, how: str) -> None:
    config: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if how == "redact":
        options["redact"] = [PATTERN]
    elif how == "the store's expressions":
        config["redact"] = [PATTERN]
    else:
        config["redact"] = lambda text: text.replace(secret, "***")
    with Runtime.open(store_path, config=config) as rt:
        s = recorded(rt, secret, **options)
        assert secret not in repr([event.data for event in s.events()])
        tape = tape_of(s)
        assert rt.verify().ok
    raw = b"".join(path.read_bytes() for path in store_path.rglob("*") if path.is_file())
    assert secret.encode() not in raw
    assert gzip.compress(secret.encode())[10:-8] not in raw
    first = tape.crossings[0]
    assert first.input["redacted"] is True
    assert first.outcome["redacted"] is True
    assert b"my key is " in first.input["body"]


def test_without_rules_the_secret_is_there(store_path: Path, secret: str) -> None:
    """Or the search would find nothing either."""
    with Runtime.open(store_path) as rt:
        s = recorded(rt, secret)
        assert tape_of(s).crossings == everywhere(secret)
        assert secret in repr([event.data for event in s.events()])


def test_chunks_keep_their_number_and_compressed_responses_become_plain(rt: Runtime, secret: str) -> None:
    cut, _, packed, deflated, *_ = tape_of(recorded(rt, secret, redact=PATTERN)).crossings
    given = everywhere(secret)[0].outcome["chunks"]
    assert [len(each) for each in cut.outcome["chunks"]] == [len(given[0]) - 9 + 10, 0, len(given[2]) - 23]
    assert json.loads(b"".join(cut.outcome["chunks"]))["text"] == "my key is [redacted]"
    assert cut.outcome["gaps"] == [1, 2, 3]
    for each in (packed, deflated):
        (chunk,) = each.outcome["chunks"]
        assert json.loads(chunk)["text"] == "my key is [redacted]"
        assert "content-encoding" not in [name.lower() for name, _ in each.outcome["headers"]]
    assert packed.outcome["headers"] == [["Content-Length", str(len(packed.outcome["chunks"][0]))]]


def test_a_replay_with_another_secret_asks_for_what_was_recorded(rt: Runtime, secret: str) -> None:
    """The rules are kept with the recording: whoever replays it needs to know nothing of them."""
    tape = tape_of(recorded(rt, secret, redact=[PATTERN, "$.user.email"]))
    redactor = redactor_of(tape.about)
    assert redactor is not None
    for kept, given in zip(tape.crossings, everywhere(f"sk-{'0' * 32}"), strict=True):
        asked = redactor.asked(Asked(given.kind, given.name, given.input))
        assert (asked.name, asked.input) == (kept.name, kept.input)
        if given.input.get("body") != b"":
            assert key_of(*asked) == kept.key


def test_an_expression_that_is_the_secret_itself_is_not_kept(store_path: Path, secret: str) -> None:
    with Runtime.open(store_path) as rt:
        s = recorded(rt, secret, redact=[secret, "$..email", "a+b"])
        assert tape_of(s).about["redact"] == {"patterns": ["a+b"], "paths": ["$..email"], "withheld": 1}
    assert secret.encode() not in b"".join(path.read_bytes() for path in store_path.rglob("*") if path.is_file())


PATHS: list[tuple[str, Any, Any]] = [
    ("$.a", {"a": 1, "b": 2}, {"a": "[redacted]", "b": 2}),
    ("$.a.b", {"a": {"b": [1], "c": 1}}, {"a": {"b": "[redacted]", "c": 1}}),
    ("$.a[*].b", {"a": [{"b": 1}, {"c": 2}]}, {"a": [{"b": "[redacted]"}, {"c": 2}]}),
    ("$.a[1]", {"a": [1, 2]}, {"a": [1, "[redacted]"]}),
    ("$['a b'].c", {"a b": {"c": 1}}, {"a b": {"c": "[redacted]"}}),
    ("$..key", {"key": 1, "a": [{"key": {"key": 2}}]}, {"key": "[redacted]", "a": [{"key": "[redacted]"}]}),
    ("$.*.x", {"a": {"x": 1}, "b": {"x": 2}}, {"a": {"x": "[redacted]"}, "b": {"x": "[redacted]"}}),
    ("$.none", {"a": 1}, {"a": 1}),
    ("$.a.b.c", {"a": [1]}, {"a": [1]}),
    ("$[0]", [1, 2], ["[redacted]", 2]),
]


@pytest.mark.parametrize(("path", "given", "expected"), PATHS, ids=[path for path, _, _ in PATHS])
def test_a_path_names_values_of_a_json_body(path: str, given: Any, expected: Any) -> None:
    body = json.dumps(given).encode()
    cleaned: Mapping[str, Any] = Redactor(path).input({"body": body})
    assert json.loads(cleaned["body"]) == expected
    assert ("redacted" in cleaned) == (given != expected)
    assert given != expected or cleaned["body"] == body


def test_a_path_names_values_in_each_event_of_a_stream() -> None:
    chunks = [b'data: {"user":"me","n":1}\r\n\r\nda', b'ta: {"n":2}\n\ndata: [DONE]\n\n']
    outcome = Redactor("$.user").crossing(replace(crossing(1, b""), outcome={"chunks": chunks})).outcome
    assert b"".join(outcome["chunks"]) == (
        b'data: {"user":"[redacted]","n":1}\r\n\r\ndata: {"n":2}\n\ndata: [DONE]\n\n'
    )


def test_what_has_no_secret_stays_the_same_object() -> None:
    call = crossing(1, b'{"a":1}', [b"x", b"y"])
    assert Redactor([PATTERN, "$.none"]).crossing(call) is call


@pytest.mark.parametrize("rules", [["("], ["x*"], [1], [""], 5, "$.", "$.a[", ["a"] * 300])
def test_rules_that_are_none_are_refused(rules: Any) -> None:
    with pytest.raises(ValidationError, match=r"^redact: "):
        Redactor(rules)


WRITTEN: list[tuple[str, bytes]] = [
    ("JSON", json.dumps({"a": 'päss"1/2', "b": "x"}).encode()),
    ("JSON in JSON", json.dumps({"arguments": json.dumps({"a": ['päss"1/2']}), "quote": 'a " b'}).encode()),
    ("an event of a stream", b"data: " + json.dumps({"a": 'päss"1/2'}).encode() + b"\n\n"),
    ("JSON that escapes slashes", rb'{"a": "p\u00E4ss\"1\/2"}'),
    ("a form", b"a=p%C3%A4ss%221%2F2&b=x"),
    ("UTF-8", 'a päss"1/2 b'.encode()),
]


@pytest.mark.parametrize(("how", "body"), WRITTEN, ids=[how for how, _ in WRITTEN])
def test_a_secret_is_one_however_it_is_written(how: str, body: bytes) -> None:
    given = replace(crossing(1, body, [body[:9], body[9:]], [1, 2]), name="POST https://host/p%C3%A4ss%221%2f2")
    given = replace(given, input={**given.input, "url": "https://host/?q=p%C3%A4ss%221%2F2&r=1"})
    redactor = Redactor('päss"1/2')
    cleaned = redactor.crossing(given)
    for part in (cleaned.input["body"], b"".join(cleaned.outcome["chunks"])):
        assert b"[redacted]" in part
        assert b"ss" not in part
    assert cleaned.input["url"] == "https://host/?q=[redacted]&r=1"
    assert cleaned.name == "POST https://host/[redacted]"
    assert redactor.asked(Asked("http", given.name, given.input)).input == cleaned.input


def test_a_space_of_a_form_is_a_plus() -> None:
    assert Redactor("my secret").text("a=my+secret&b=1+1") == "a=[redacted]&b=1+1"


@given_by(st.text(), st.sampled_from(["\\", '"', "%41", "+", "\\u00e4", "\\ud800"]))
def test_texts_without_secrets_stay_as_they_are(text: str, more: str) -> None:
    given_text = text + more + text
    assert Redactor("s3cr3t-nowhere").text(given_text) == given_text
