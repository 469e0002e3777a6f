"""The shapes that chat and agent tools write, and what must come out of each. The texts are invented.

``corpus/expected.json`` has an entry a file: its `sessions` in order, each with `turns` (role and text) and, where it
matters, `format`, `name`, times, the `artifacts`' types and the names of the tools in `calls`; texts that must be
`somewhere` in the sessions; the positions that are `skipped`; how many fields are `repaired`, `replaced` and `moved`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session
from greenroom.runtime.ingest import ingest

CORPUS = Path(__file__).parent / "corpus"
EXPECTED: dict[str, dict[str, Any]] = json.loads((CORPUS / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    with Runtime.open(tmp_path_factory.mktemp("corpus") / "store") as opened:
        yield opened


def everything(session: Session) -> str:
    """All that can be read of a session, as one text."""
    rows = [message.to_dict() for message in session.messages()]
    parts = [json.dumps([rows, session.info().to_dict()], ensure_ascii=False, default=str)]
    parts += [session.get_artifact(info.id).content.decode() for info in session.list_artifacts()]
    return "\n".join(parts)


def test_the_corpus_is_whole() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*EXPECTED, "expected.json"}
    assert len(EXPECTED) >= 60


@pytest.mark.parametrize("name", EXPECTED)
def test_what_comes_out(name: str, runtime: Runtime) -> None:
    wanted = EXPECTED[name]
    report = ingest(runtime, CORPUS / name)
    try:
        check(wanted, report, [runtime.session(each) for each in report.session_ids])
    finally:
        for each in report.session_ids:
            runtime.delete_session(each)


def check(wanted: dict[str, Any], report: Any, sessions: list[Session]) -> None:
    assert [item.position for item in report.skipped] == wanted.get("skipped", [])
    assert report.repaired_count == wanted.get("repaired", 0), [str(item) for item in report.repaired]
    assert report.replaced_count == wanted.get("replaced", 0)
    assert report.moved_count == wanted.get("moved", 0)
    assert all(item.field and item.reason for item in [*report.repaired, *report.moved])
    assert len(sessions) == len(wanted["sessions"])
    for session, expected in zip(sessions, wanted["sessions"], strict=True):
        messages, info = session.messages(), session.info()
        turns = [[message.role, message.text] for message in messages]
        if expected["turns"][0][0].endswith("…"):
            turns[0][0] = turns[0][0][: len(expected["turns"][0][0])]
        assert turns == expected["turns"]
        assert info.status == "completed"
        assert info.custom_metadata["source_format"] == expected.get("format", info.custom_metadata["source_format"])
        assert info.name == expected.get("name", info.name)
        types = [each.artifact_type for each in session.list_artifacts() if each.artifact_type != "system_generated"]
        assert types == expected.get("artifacts", types)
        calls = [call["function"]["name"] for message in messages for call in message.tool_calls or []]
        assert calls == expected.get("calls", calls)
        for key, time in (("started", info.created_at), ("ended", info.ended_at)):
            if key in expected:
                assert time is not None
                assert time.isoformat().startswith(expected[key])
        if "started" in expected:
            assert [message.created_at for message in messages] == sorted(message.created_at for message in messages)
    texts = "\n".join(everything(session) for session in sessions)
    for text in wanted.get("somewhere", []):
        assert text in texts or json.dumps(text, ensure_ascii=False)[1:-1] in texts
