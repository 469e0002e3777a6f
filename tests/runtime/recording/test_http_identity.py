"""What identifies an HTTP request, and what of it is secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.recording.boundaries.http import (
    ask,
    changed_headers,
    changed_url,
    clean_answer_headers,
    clean_headers,
    clean_text,
    clean_url,
)

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{SECRET}@host/path",
        f"https://host/path?key={SECRET}",
        f"https://host/path?a=1&API_KEY={SECRET}&b=2#end",
        f"https://host/path?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}&X-Amz-Security-Token={SECRET}",
        f"https://account.blob/x?sig={SECRET}&sv=2024",
        f"//me:{SECRET}@host/path?token={SECRET}",
    ],
)
def test_no_secret_of_a_url_is_shown_or_counts(url: str) -> None:
    clean = clean_url(url)
    assert SECRET not in repr(clean)
    assert clean.identity == clean_url(url.replace(SECRET, "other")).identity
    assert SECRET not in clean_text(f"cannot reach '{url}' now")


def test_a_url_keeps_all_else() -> None:
    clean = clean_url("https://host:8080/a/b?x=1&key=k&x=2&timestamp=5#part")
    assert clean.url == "https://host:8080/a/b?x=1&key=[redacted]&x=2&timestamp=5#part"
    assert clean.identity == "https://host:8080/a/b?x=1&x=2"
    assert clean.name == "https://host:8080/a/b"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "X-API-Key",
        "api-key",
        "x-goog-api-key",
        "X-Amz-Security-Token",
        "Cookie",
        "X-Auth-Token",
        "Ocp-Apim-Subscription-Key",
        "X-Vault-Token",
    ],
)
def test_headers_with_secrets(name: str) -> None:
    assert SECRET not in repr(clean_headers([(name, f"Bearer {SECRET}"), (name.encode(), SECRET.encode())]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "application/json"),
        ("X-Amz-Target", "Table.Get"),
        ("anthropic-version", "2023-06-01"),
        ("x-stainless-retry-count", "0"),
        ("OpenAI-Organization", "org"),
    ],
)
def test_headers_without(name: str, value: str) -> None:
    assert clean_headers([(name, value)]) == [[name, value]]


def test_headers_of_answers() -> None:
    cleaned = clean_answer_headers(
        [
            (b"Set-Cookie", f"sid={SECRET}; Path=/; HttpOnly".encode()),
            (b"Location", f"/next?token={SECRET}".encode()),
            (b"x-ratelimit-remaining-tokens", b"100"),
        ]
    )
    assert cleaned == [
        ["Set-Cookie", "sid=[redacted]; Path=/; HttpOnly"],
        ["Location", "/next?token=[redacted]"],
        ["x-ratelimit-remaining-tokens", "100"],
    ]


def test_the_scheme_of_an_authorization_is_shown_and_a_bare_key_is_not() -> None:
    assert clean_headers([("authorization", f"Bearer {SECRET}")]) == [["authorization", "Bearer [redacted]"]]
    assert clean_headers([("authorization", f"{SECRET} more")]) == [["authorization", "[redacted]"]]


def test_forms_lose_their_secrets() -> None:
    asked = ask("POST", "https://host/token", FORM, f"grant_type=x&client_secret={SECRET}&scope=a".encode())
    assert asked.input["body"] == b"grant_type=x&client_secret=[redacted]&scope=a"
    assert asked.key == ask("POST", "https://host/token", FORM, b"grant_type=x&client_secret=z&scope=a").key
    assert asked.key != ask("POST", "https://host/token", FORM, b"grant_type=x&client_secret=z&scope=b").key


FORM = [("Content-Type", "application/x-www-form-urlencoded")]


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_bodies_identify_requests(one: bytes, other: bytes) -> None:
    json = [(b"content-type", b"application/json")]
    keys = {ask("POST", "https://host/", json, body).key for body in (one, other)}
    assert len(keys) == len({one, other})


def test_the_headers_of_a_client_identify_nothing() -> None:
    one = ask("GET", "https://host/", [("User-Agent", "a/1"), ("Idempotency-Key", "1"), ("traceparent", "00-1")], b"")
    other = ask("GET", "https://host/", [("User-Agent", "a/2"), ("x-stainless-os", "Linux"), ("Date", "now")], b"")
    assert one.key == other.key
    assert one.key != ask("POST", "https://host/", [], b"").key


def test_the_headers_of_a_changed_request() -> None:
    given_headers = [("Content-Length", "3"), ("Authorization", f"Bearer {SECRET}"), ("Accept", "*/*")]
    changed = {"body": b"longer", "headers": [["authorization", "Bearer [redacted]"], ["accept", "text/plain"]]}
    assert changed_headers(given_headers, changed) == [
        (b"Authorization", f"Bearer {SECRET}".encode()),
        (b"accept", b"text/plain"),
        (b"Content-Length", b"6"),
    ]


@given(st.text(max_size=200))
def test_any_text_is_a_url_that_can_be_cleaned(text: str) -> None:
    clean_url(text)
    clean_text(text)


def test_a_changed_url_keeps_what_is_secret_in_the_programs_own() -> None:
    url = "https://me:pw@g.example/models/a:generateContent?key=secret"
    assert changed_url(url, {}) == url
    changed = {"url": "https://redacted@g.example/models/b:generateContent?key=[redacted]"}
    assert changed_url(url, changed) == "https://me:pw@g.example/models/b:generateContent?key=secret"
