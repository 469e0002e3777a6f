"""The command line with programs that use the providers' own clients: recorded, replayed without a server, forked with
patches, also where answers are streamed and requests are signed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..fake_models import FakeModels

OPENAI = """
import openai, os
client = openai.OpenAI(base_url=os.environ["URL"] + "/v1")
messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
for _ in range(2):
    text = ""
    for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    print(text)
    messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on"}]
"""
ANTHROPIC = """
import anthropic, os
client = anthropic.Anthropic(base_url=os.environ["URL"])
messages = [{"role": "user", "content": "Hello"}]
for _ in range(2):
    with client.messages.stream(model="m", max_tokens=9, system="Be kind.", messages=messages) as stream:
        text = stream.get_final_text()
    print(text)
    messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on"}]
"""
GEMINI = """
import os
from google import genai
client = genai.Client(http_options={"base_url": os.environ["URL"]})
chat = client.chats.create(model="m", config={"system_instruction": "Be kind."})
for said in ("Hello", "Go on"):
    print("".join(each.text for each in chat.send_message_stream(said)))
"""
BEDROCK = """
import boto3, os
client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=os.environ["URL"])
messages = [{"role": "user", "content": [{"text": "Hello"}]}]
for _ in range(2):
    found = client.converse_stream(modelId="m", messages=messages, system=[{"text": "Be kind."}])
    deltas = [each["contentBlockDelta"]["delta"] for each in found["stream"] if "contentBlockDelta" in each]
    text = "".join(each["text"] for each in deltas)
    print(text)
    messages += [{"role": "assistant", "content": [{"text": text}]}, {"role": "user", "content": [{"text": "Go on"}]}]
"""
PROGRAMS = {"openai": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI, "bedrock": BEDROCK}
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def greenroom(folder: Path, *arguments: str, code: int = 0, keys: bool = True, **variables: str) -> tuple[str, str]:
    """Run the command line; with `keys`, where keys are set."""
    own = {name: value for name, value in os.environ.items() if name not in KEYS}
    done = subprocess.run(
        [sys.executable, "-m", "greenroom.runtime.cli", *arguments],
        cwd=folder,
        env={**own, **(dict.fromkeys(KEYS, "a-key") if keys else {}), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def recorded(err: str) -> str:
    found = re.search(r"^recorded  (\S+)", err, re.MULTILINE)
    assert found is not None, err
    return found[1]


@pytest.mark.parametrize("provider", PROGRAMS)
def test_a_program_is_recorded_replayed_and_forked(provider: str, fake: FakeModels, tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(PROGRAMS[provider])
    command = [sys.executable, "agent.py"]
    out, err = greenroom(tmp_path, "record", "--", *command, URL=fake.url)
    assert "2 calls, 2 of models, 34 tokens" in err
    session = recorded(err)
    patches = ("-p", 'response.text="Patched: 7°"', "-p", 'llm.system+=" And brief."', "-p", "llm.temperature=0")
    asked = len(fake.requests)
    forked, err = greenroom(tmp_path, "fork", session, "--at", "1", *patches, URL=fake.url)
    child = recorded(err)
    assert forked.splitlines()[0] == "Patched: 7°"
    ((_, _, body),) = fake.requests[asked:]
    assert b"And brief." in body
    assert b'"temperature":0' in body
    assert "Patched: 7°" in body.decode()
    renamed, err = greenroom(tmp_path, "fork", session, "--at", "1", "-p", "llm.model=other", URL=fake.url)
    assert renamed.splitlines()[0] == out.splitlines()[0]
    assert "other" in fake.requests[-1][1] + fake.requests[-1][2].decode()
    fake.stop()
    assert greenroom(tmp_path, "replay", session, URL=fake.url, keys=False)[0] == out
    said = greenroom(tmp_path, "replay", child, URL=fake.url, keys=False)
    assert said[0] == forked
    assert "identical" in said[1]
