"""The keys that a fork needs, and those that stand in for them in a replay."""

from __future__ import annotations

from greenroom.runtime.recording.programs.credentials import PLACEHOLDER, missing_credentials, stand_ins
from greenroom.runtime.recording.tape.model import Crossing


def _called(url: str) -> Crossing:
    return Crossing(1, "http", f"POST {url}", "a.py:1 in f", "main", {"url": url}, {"status": 200}, 1)


def test_a_host_whose_key_is_not_set_is_named() -> None:
    steps = [_called("https://api.openai.com/v1/responses"), _called("http://127.0.0.1:9/v1/messages")]
    assert missing_credentials(steps, {}) == {"api.openai.com": ("OPENAI_API_KEY",)}
    assert missing_credentials(steps, {"OPENAI_API_KEY": "k"}) == {}
    assert missing_credentials([_called("https://me.openai.azure.com/x")], {"AZURE_OPENAI_AD_TOKEN": "t"}) == {}
    assert missing_credentials([_called("https://evilapi.openai.com.example/x")], {}) == {}


def test_a_replay_needs_no_key_and_keeps_those_that_are_set() -> None:
    assert stand_ins({})["OPENAI_API_KEY"] == PLACEHOLDER
    assert "OPENAI_API_KEY" not in stand_ins({"OPENAI_API_KEY": "k"})
    assert "GEMINI_API_KEY" not in stand_ins({"GOOGLE_API_KEY": "k"})
    assert "AWS_ACCESS_KEY_ID" not in stand_ins({"AWS_PROFILE": "me"})
    assert "AWS_ACCESS_KEY_ID" in stand_ins({"AWS_DEFAULT_REGION": "us-east-1"})
    assert "AWS_ACCESS_KEY_ID" not in stand_ins({}, [_called("http://169.254.169.254/latest/api/token")])
