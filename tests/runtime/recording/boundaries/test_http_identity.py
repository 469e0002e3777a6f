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
from greenroom.runtime.recording.tape.held.errors import held_error, raised_again
from greenroom.runtime.recording.tape.model import Asked

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
        *(
            f"https://host/path?{name}={SECRET}"
            for name in (
                "accessToken",
                "api%5Fkey",
                "api.key",
                "app_key",
                "auth-key",
                "bot_token",
                "google_api_key",
                "jwt",
                "pwd",
                "secret_key",
                "user[password]",
                "x-api-key",
            )
        ),
    ],
)
def test_no_secret_of_a_url_is_shown_or_counts(url: str) -> None:
    clean = clean_url(url)
    assert SECRET not in repr(clean)
    assert clean.identity == clean_url(url.replace(SECRET, "other")).identity
    assert SECRET not in clean_text(f"cannot reach '{url}' now")


@pytest.mark.parametrize("name", ["page_token", "max_tokens", "primary_key", "keyword", "country_code", "author"])
def test_parameters_that_say_what_is_asked_count(name: str) -> None:
    assert clean_url(f"https://host/?{name}=1").identity != clean_url(f"https://host/?{name}=2").identity


def test_fragments_lose_their_secrets() -> None:
    cleaned = clean_answer_headers([("Location", f"https://host/done#access_token={SECRET}&state=1")])
    assert cleaned == [["Location", "https://host/done#access_token=[redacted]&state=1"]]


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
        "Key",
        "X-Key",
        "x-functions-key",
        "DD-APPLICATION-KEY",
        "x-ms-encryption-key",
        "X-Pass",
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
        ("Idempotency-Key", "1"),
        ("Sec-WebSocket-Protocol", "chat, v1"),
    ],
)
def test_headers_without(name: str, value: str) -> None:
    assert clean_headers([(name, value)]) == [[name, value]]


def test_keys_that_are_given_as_protocols_of_a_websocket() -> None:
    given_headers = [("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{SECRET}, v1")]
    assert clean_headers(given_headers) == [
        ["Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.[redacted], v1"]
    ]


def test_headers_of_answers() -> None:
    cleaned = clean_answer_headers(
        [
            (b"Set-Cookie", f"sid={SECRET}; Path=/; HttpOnly".encode()),
            (b"Location", f"/next?token={SECRET}".encode()),
            (b"x-ratelimit-remaining-tokens", b"100"),
            (b"X-Refresh-Token", SECRET.encode()),
            (b"Link", f'<https://host/?page=2&access_token={SECRET}>; rel="next"'.encode()),
            (b"Mcp-Session-Id", b"1"),
        ]
    )
    assert cleaned == [
        ["Set-Cookie", "sid=[redacted]; Path=/; HttpOnly"],
        ["Location", "/next?token=[redacted]"],
        ["x-ratelimit-remaining-tokens", "100"],
        ["X-Refresh-Token", "[redacted]"],
        ["Link", '<https://host/?page=2&access_token=[redacted]>; rel="next"'],
        ["Mcp-Session-Id", "1"],
    ]


def test_the_scheme_of_an_authorization_is_shown_and_a_bare_key_is_not() -> None:
    assert clean_headers([("authorization", f"Bearer {SECRET}")]) == [["authorization", "Bearer [redacted]"]]
    assert clean_headers([("authorization", f"{SECRET} more")]) == [["authorization", "[redacted]"]]


def test_forms_lose_their_secrets() -> None:
    asked = ask("POST", "https://host/token", FORM, f"grant_type=x&client_secret={SECRET}&scope=a".encode())
    assert asked.input["body"] == b"grant_type=x&client_secret=[redacted]&scope=a"
    assert asked.key == ask("POST", "https://host/token", FORM, b"grant_type=x&client_secret=z&scope=a").key
    assert asked.key != ask("POST", "https://host/token", FORM, b"grant_type=x&client_secret=z&scope=b").key


@pytest.mark.parametrize(
    "kind", ["Application/X-WWW-Form-URLencoded; charset=utf-8", "application/x-www-form-urlencoded"]
)
def test_forms_are_known_however_their_type_is_written(kind: str) -> None:
    asked = ask("POST", "https://host/", [("content-type", kind)], f"user%5Bpassword%5D={SECRET}&a=1".encode())
    assert asked.input["body"] == b"user%5Bpassword%5D=[redacted]&a=1"


def test_multipart_forms_lose_their_secrets() -> None:
    def asked(secret: str, boundary: str, more: str = "") -> Asked:
        fields = {"password": secret, "file": f"content {more}", "client_secret": secret}
        parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
        body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
        headers = [("Content-Type", f"multipart/form-data; boundary={boundary}")]
        return ask("POST", "https://host/", headers, body.encode())

    one = asked(SECRET, "aaa")
    assert SECRET.encode() not in one.input["body"]
    assert b"content" in one.input["body"]
    assert one.key == asked("other", "bbb").key
    assert one.key != asked(SECRET, "aaa", "more").key


def test_errors_on_a_tape_have_no_secrets_of_urls_however_deep_they_are() -> None:
    inner = ValueError(f"cannot reach https://me:{SECRET}@host/path", {"url": f"https://host/?key={SECRET}"})
    error = ExceptionGroup("all", [RuntimeError(f"/path?api_key={SECRET} is wrong"), inner])
    error.__cause__ = inner
    held = held_error(error)
    assert SECRET not in repr(held)
    assert str(raised_again(held["exceptions"][0])) == "/path?api_key=[redacted] is wrong"


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
