"""What an artifact is called and what it is taken for."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.storage.artifacts.mime import guess_mime_type
from greenroom.storage.artifacts.model import ArtifactId, artifact_type
from greenroom.storage.errors import ValidationError

HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
SESSION = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"
HASH = "ab" * 32


@given(HASHES, st.uuids(version=4).map(str), st.integers(1, 10**18 - 1))
def test_an_id_is_its_text(content_hash: str, session_id: str, sequence: int) -> None:
    artifact = ArtifactId(content_hash, session_id, sequence)
    assert ArtifactId.parse(str(artifact)) == artifact
    assert hash(ArtifactId.parse(str(artifact))) == hash(artifact)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        f"{HASH}:{SESSION}",
        f"{HASH}:{SESSION}:0",
        f"{HASH}:{SESSION}:01",
        f"{HASH}:{SESSION}:-1",
        f"{HASH}:{SESSION}:+1",
        f"{HASH}:{SESSION}:1 ",
        f"{HASH}:{SESSION}:1.0",
        f"{HASH}:{SESSION}:٣",
        f"{HASH}:{SESSION}:{'9' * 30}",
        f"{HASH}:{SESSION}:1:2",
        f"{HASH[:-1]}:{SESSION}:1",
        f"{HASH.upper()}:{SESSION}:1",
        f"{HASH}:{SESSION.upper()}:1",
        f"{HASH}:{SESSION[:-1]}:1",
        None,
        7,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ArtifactId.parse(text)


@given(st.text(max_size=150))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    with contextlib.suppress(ValidationError):
        assert str(ArtifactId.parse(text)) == text


@pytest.mark.parametrize(
    ("given_type", "stored"),
    [
        ("user_input", "user_input"),
        ("agent_output", "agent_output"),
        ("tool_result", "tool_result"),
        ("system_generated", "system_generated"),
        ("tool_output", "tool_result"),
        ("prompt", "user_input"),
        ("my own type", "my own type"),
        ("报告", "报告"),
        ("x" * 64, "x" * 64),
    ],
)
def test_types_have_one_name_each(given_type: str, stored: str) -> None:
    assert artifact_type(given_type) == stored


@pytest.mark.parametrize("bad", ["", "x" * 65, "two\nlines", "nul\x00", None, 3, b"x"])
def test_what_cannot_be_a_type_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError) as caught:
        artifact_type(bad)
    assert caught.value.fields["field"] == "artifact_type"


@pytest.mark.parametrize(
    ("name", "head", "mime_type"),
    [
        ("a.json", b"\x00", "application/json"),  # the name comes first
        ("a.TXT", b"{}", "text/plain"),
        ("page.html", b"", "text/html"),
        ("photo", b"\x89PNG\r\n\x1a\n....", "image/png"),
        ("photo", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("photo.unknown-suffix", b"GIF89a", "image/gif"),
        ("paper", b"%PDF-1.7", "application/pdf"),
        ("bundle", b"PK\x03\x04", "application/zip"),
        ("logs.tar.gz", b"\x1f\x8b\x08", "application/gzip"),
        ("answer", b'{"a": 1}', "application/json"),
        ("answer", b"[1]", "application/json"),
        ("answer", b"plain words", "text/plain"),
        ("answer", "Grüße, 世界".encode(), "text/plain"),
        ("answer", b"", "text/plain"),
        ("answer", b"\x00\x01\x02", "application/octet-stream"),
        ("answer", b"\xff\xfe\x00", "application/octet-stream"),
        ("answer", b"text and \x00 more", "application/octet-stream"),
        (".", b"x", "text/plain"),
        ("...", b"x", "text/plain"),
    ],
)
def test_the_mime_type_is_told_from_the_name_else_from_the_first_bytes(name: str, head: bytes, mime_type: str) -> None:
    assert guess_mime_type(name, head) == mime_type


@pytest.mark.parametrize("cut", range(509, 516))
def test_a_character_cut_in_two_by_the_sample_is_still_text(cut: int) -> None:
    head = b"a" * (cut % 3) + "世".encode() * 400
    assert guess_mime_type("x", head[:1024]) == "text/plain"
    assert guess_mime_type("x", (b"a" * (cut - 1) + "𝄞".encode() * 200)[:1024]) == "text/plain"


@given(st.binary(min_size=600, max_size=1024))
def test_random_bytes_are_guessed_without_complaint(head: bytes) -> None:
    assert "/" in guess_mime_type("x", head)
