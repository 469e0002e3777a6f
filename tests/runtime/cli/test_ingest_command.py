"""``greenroom ingest``: exports by every way in, what it says, and its exit codes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

SAID = '{"role": "user", "content": "hello"}\n'


def node(id: str, parent: str | None, role: str, text: str) -> dict[str, Any]:
    message = {
        "id": id,
        "author": {"role": role},
        "content": {"content_type": "text", "parts": [text]},
        "create_time": 1.7e9,
    }
    return {"id": id, "parent": parent, "message": message, "children": []}


def export(title: str) -> dict[str, Any]:
    nodes = [node("q", None, "user", title), node("a", "q", "assistant", "one"), node("b", "q", "assistant", "two")]
    return {
        "title": title,
        "conversation_id": title,
        "current_node": "b",
        "mapping": {each["id"]: each for each in nodes},
    }


def test_a_dry_run_makes_no_store_and_has_the_exit_code_of_the_run(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps([export("Rome"), export("Paris")]))
    (tmp_path / "mixed.json").write_text(json.dumps([export("Rome"), {"no": "talk"}]))
    (tmp_path / "bad.json").write_text("{oops")
    for name, code in (("good.json", 0), ("mixed.json", 3), ("bad.json", 1)):
        before = sorted(path.name for path in tmp_path.iterdir())
        dry = json.loads(greenroom("ingest", "--dry-run", "--json", name, code=code).stdout)
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        assert dry["dry_run"] is True
        wet = json.loads(greenroom("--data", f"of-{name}", "ingest", "--json", name, code=code).stdout)
        assert dry["session_ids"] == []
        assert [dry[key] for key in ("sessions", "branches", "messages")] == [
            wet[key] for key in ("sessions", "branches", "messages")
        ]
    again = greenroom("--data", "of-good.json", "ingest", "--dry-run", "good.json")
    assert "0 would go in" in again.stdout
    assert greenroom("ingest", "--dry-run", "nowhere.json", code=1)
    greenroom("ingest", "--dry-run", code=2)


def test_titles_branches_and_times_are_to_be_seen(greenroom: Any, tmp_path: Path) -> None:
    (tmp_path / "conversations.json").write_text(json.dumps([export("Rome")]))
    done = greenroom("ingest", "conversations.json")
    assert "branches" in done.stdout
    rows = greenroom.json("sessions", "list", "--status", "completed")
    assert sorted(row["name"] for row in rows) == ["Rome", "Rome"]
    assert {row["created_at"][:10] for row in rows} == {"2023-11-14"}
    assert sum(row["parent_session_id"] is not None for row in rows) == 1


def test_standard_input_and_packed_files(greenroom: Any, tmp_path: Path) -> None:
    assert json.loads(greenroom("ingest", "--json", "-", stdin=SAID * 3).stdout)["messages"] == 3
    (tmp_path / "talk.jsonl.gz").write_bytes(gzip.compress((SAID * 2).encode()))
    assert json.loads(greenroom("ingest", "--json", "talk.jsonl.gz").stdout)["messages"] == 2


def test_the_help_teaches_by_examples(greenroom: Any) -> None:
    text = greenroom("ingest", "--help").stdout
    for words in ("ingest chatgpt-export.zip", "ingest --dry-run conversations.json", "ingest -", "Exit code"):
        assert words in text
