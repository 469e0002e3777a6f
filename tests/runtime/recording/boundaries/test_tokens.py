"""Tokens in JSON bodies come onto no tape, and a replay goes on without them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from greenroom.runtime.recording.boundaries.http import Exchange, Replayed, ask, changed_body
from greenroom.runtime.recording.boundaries.http.bodies import clean_json
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder

from ..tape.lists import ListSink

SECRET = "s3cr3t-value"
JSON = [("Content-Type", "application/json; charset=utf-8")]


def recorded(body: bytes, headers: list[tuple[str, str]], *, pieces: int = 1) -> ListSink:
    """Record a response that has this body."""
    sink = ListSink()
    exchange = Exchange(Recorder(sink).begin(Asked("http", "POST https://host/token", {})), 200, headers)
    size = -(-len(body) // pieces)
    for at in range(0, len(body), size):
        exchange.chunk(body[at : at + size])
    exchange.read_to_end()
    return sink


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "name",
    ["access_token", "refresh_token", "id_token", "accessToken", "api_key", "apiKey", "client_secret", "password"],
)
def test_a_token_of_an_answer_is_marked(name: str, packed: bool, pieces: int) -> None:
    answer = {"token_type": "Bearer", name: SECRET, "expires_in": 3600, "data": {"user": "ann", name: SECRET}}
    body = json.dumps(answer).encode()
    headers = [*JSON, ("Content-Encoding", "gzip")] if packed else JSON
    body = gzip.compress(body) if packed else body
    sink = recorded(body, [*headers, ("Content-Length", str(len(body)))], pieces=pieces)
    [crossing] = sink.tape.crossings
    outcome: Any = crossing.outcome
    assert outcome["redacted"] is True
    [chunk] = Replayed(Player(sink.tape).begin(Asked("http", "POST https://host/token", {})), outcome)
    marked = {**answer, name: "[redacted]", "data": {"user": "ann", name: "[redacted]"}}
    assert json.loads(chunk) == marked
    assert outcome["headers"] == [list(JSON[0]), ["Content-Length", str(len(chunk))]]


def test_the_claims_of_a_web_token_can_still_be_read() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2VjcmV0c2VjcmV0"
    cleaned = clean_json(json.dumps({"id_token": token}).encode())
    head, claims, signature = json.loads(cleaned)["id_token"].split(".")
    assert [head, claims] == token.split(".")[:2]
    assert signature != token.split(".")[2]
    assert clean_json(cleaned) == cleaned, "what a replay gives is asked with as it was recorded"


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"tool_calls": [{"input": {"password": SECRET}}]}}], "usage": {"prompt_tokens": 3}},
        {"token": "word", "code": "rate_limit", "key": "value", "max_tokens": 5, "next_page_token": "p2"},
        {"properties": {"password": {"type": "string"}, "api_key": None}},
        [{"access_token": SECRET}],
        "access_token",
    ],
)
def test_all_else_stays_as_it_is_to_the_byte(body: Any) -> None:
    data = json.dumps(body, indent=1).encode()
    assert clean_json(data) is data
    outcome = recorded(data, JSON, pieces=2).tape.crossings[0].outcome
    assert b"".join(outcome["chunks"]) == data
    assert "redacted" not in outcome


def test_a_damaged_body_is_left() -> None:
    for data, headers in (
        (b'{"access_token": "cut', JSON),
        (b'"access_token" is no gzip', [*JSON, ("Content-Encoding", "gzip")]),
    ):
        assert b"".join(recorded(data, headers).tape.crossings[0].outcome["chunks"]) == data


def test_a_replay_asks_with_the_mark_and_matches() -> None:
    """The program sends on what it got: the token in the recording, the mark in the replay."""
    for body in ({"grant_type": "refresh_token", "refresh_token": "{}"}, {"query": "weather", "api_key": "{}"}):
        first, again = (
            ask("POST", "https://host/token", JSON, json.dumps(body).replace("{}", each).encode())
            for each in (SECRET, "[redacted]")
        )
        assert first == again
        assert SECRET.encode() not in first.input["body"]


def test_a_fork_sends_the_secret_that_the_program_has() -> None:
    given = json.dumps({"query": "weather", "api_key": SECRET, "auth": {"password": SECRET}}).encode()
    patched = json.loads(ask("POST", "https://host/search", JSON, given).input["body"])
    patched["query"] = "news"
    sent = json.loads(changed_body(given, {"body": json.dumps(patched).encode()}))
    assert sent == {"query": "news", "api_key": SECRET, "auth": {"password": SECRET}}
