"""A request of AWS that a fork has changed is signed again."""

from __future__ import annotations

import pytest

from greenroom.runtime.recording.boundaries.http.signing import signed_again
from greenroom.storage.errors import ReplayError

auth = pytest.importorskip("botocore.auth")
awsrequest = pytest.importorskip("botocore.awsrequest")
credentials = pytest.importorskip("botocore.credentials")

URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3A0/converse"
KEYS = {"AWS_ACCESS_KEY_ID": "AKEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}


def signed(url: str, body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request as botocore signs it."""
    request = awsrequest.AWSRequest("POST", url, {"Content-Type": "application/json"}, body)
    keys = credentials.Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_SESSION_TOKEN"])
    auth.SigV4Auth(keys, "bedrock", "us-east-1").add_auth(request)
    return [(name.encode(), value.encode()) for name, value in request.headers.items()]


def test_the_new_signature_is_the_one_of_the_changed_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    old = signed(URL, b"{}")
    changed = URL.replace("a%3A0", "other")
    for _ in range(3):  # a second may end in between
        expected = dict(signed(changed, b"[1]"))
        found = dict(signed_again("POST", changed, old, b"[1]"))
        if found[b"X-Amz-Date"] == expected[b"X-Amz-Date"]:
            break
    assert found == expected
    assert found[b"Authorization"] != dict(old)[b"Authorization"]


def test_keys_that_only_the_program_has_are_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_ACCESS_KEY_ID": "ANOTHER"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ReplayError, match="signed again"):
        signed_again("POST", URL, signed(URL, b"{}"), b"[1]")


def test_what_is_not_signed_stays_as_it_is() -> None:
    headers = [(b"Authorization", b"Bearer k"), (b"X", b"1"), (b"X", b"2")]
    assert signed_again("POST", URL, headers, b"") == headers
