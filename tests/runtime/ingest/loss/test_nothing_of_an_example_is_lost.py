"""Every text and number of each application's example, and the name of every field, is found again in its sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest

from .. import examples
from .test_nothing_is_lost import found_in, leaves

_STRUCTURE = {
    "chatgpt": {"mapping", "message", "parent", "children", "author", "parts", "content_type", "text", "root"}
    | {"role", "multimodal_text", "thoughts", "content"},
    "claude": {"chat_messages", "type"},
    "claude_code": {"type", "message", "parentUuid", "content", "role"},
    "codex": {"payload", "response_item", "session_meta", "call_id", "output", "input", "arguments"},
    "librechat": {"children", "messages", "tool_call", "args", "output", "name"},
    "open_webui": {"messages", "childrenIds", "parentId", "role"},
    "gemini": {"contents", "candidates", "parts", examples.IMAGE},
    "ai_studio": {"chunks", "chunkedPrompt"},
    "takeout": {"safeHtmlItem"},
    "tau_bench": {"traj", "tool_call_id", "tool_calls"},
    "openhands": {"args", "content", "final_thought", "thought", "choices", "long"},
}
"""What a form is made of: it is in the structure of the sessions, not in their texts. Of OpenHands, what the model has
answered stands in every event, and is what the events say."""


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_every_text_number_and_field_is_found_again(name: str, tmp_path: Path) -> None:
    value = examples.EXAMPLES[name]()
    lines = name in ("claude_code", "codex")
    text = "\n".join(map(json.dumps, value)) if lines else json.dumps(value)
    (tmp_path / "export").write_text(text)
    structure = _STRUCTURE[name.removesuffix("_parts")] | {
        "type",
        "role",
        "content",
        "text",
        "name",
        "id",
        "function",
        "",
    }
    with Runtime.open(tmp_path / "store", config={"durability": "memory"}) as runtime:
        report = ingest(runtime, tmp_path / "export")
        assert report.whole
        values: set[Any] = set()
        texts = ""
        for each in [*report.session_ids, *report.branch_ids]:
            more, text = found_in(runtime.session(each))
            values |= more
            texts += text
        lost = []
        for leaf in leaves(value):
            spelt = leaf if isinstance(leaf, str) else json.dumps(leaf)
            if (
                leaf not in values
                and leaf not in structure
                and json.dumps(spelt)[1:-1] not in texts
                and spelt not in texts
            ):
                lost.append(leaf)
        assert lost == []
