"""Makes a golden store of the format that the installed greenroom writes: once, before the format changes.

python tests/golden/make.py: format-N.tar.xz, and format-N.json with all that must be found in it. Both are kept for
good: every later greenroom must read them. The tests make the texts again with `text`.

RocksDB writes the name of the host into its files, so run it under a neutral one:
unshare -u sh -c 'hostname localhost && python tests/golden/make.py'
"""

from __future__ import annotations

import io
import json
import random
import sys
import tarfile
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
INLINE = 1 << 10


def text(size: int, seed: int) -> bytes:
    """Text that compresses like prose, the same for the same seed."""
    dice = random.Random(seed)
    words = ["".join(dice.choices("aeioulmnrst", k=dice.randint(2, 9))) for _ in range(500)]
    parts: list[bytes] = []
    length = 0
    while length < size:
        line = (" ".join(dice.choices(words, k=12)) + ".\n").encode()
        parts.append(line)
        length += len(line)
    return b"".join(parts)[:size]


def make(path: Path) -> dict[str, Any]:
    """Fill a new store at `path`; what is in it, as JSON."""
    from greenroom.runtime import Runtime

    with Runtime.open(path) as rt:
        first = rt.create_session(
            name="Analysis",
            description="Everything that a store can hold",
            created_by="ada",
            tags=["nlp", "größe"],
            metadata={"team": "x", "depth": {"a": [1, 2.5, None, True]}},
            config={"max_artifacts": 50},
        )
        first.set("small", {"a": [1, 2, 3], "b": None})
        first.set("bytes", b"\x00\xff")
        first.set("huge", 1 << 80)
        first.set("gone", 1)
        first.delete_variable("gone")
        rt.approvals.answer(first.ask_human("Go on?", schema={"type": "boolean"}), True, by="ada")
        first.ask_human("Who will read it?", metadata={"to": "ada"})
        first.add_message("user", "What is in the store?", name="ada", metadata={"turn": 1})
        first.add_message("assistant", text(9000, 1).decode())
        first.add_message("assistant", [{"type": "text", "text": text(5000, 2).decode()}])
        first.add_message("assistant", None, tool_calls=[{"id": "1", "name": "look"}], tool_call_id="1")
        first.store_artifact("user_input", "note.txt", "A short note.", tags=["note", "keep"], created_by="ada")
        first.store_artifact("tool_result", "table.csv", text(20_000, 3), metadata={"step": 1, "unit": "kg"})
        first.store_artifact("agent_output", "report.md", text(200_000, 4), description="Quarterly report, first draft")
        edited = text(100_000, 4) + b"An insertion.\n" + text(200_000, 4)[100_000:]
        first.store_artifact("agent_output", "report.md", edited, description="Quarterly report", tags=["keep"])
        first.store_artifact("tool_result", "removed.bin", bytes(range(256)) * 4, tags=["scrap"])
        first.store_artifact("my own type", "empty", b"")
        first.delete_artifact("removed.bin")
        first.save()
        first.store_artifact("tool_result", "removed.bin", bytes(range(255)), created_by="bob")
        first.store_artifact("tool_result", "table.csv", text(20_000, 5), parent_artifact="table.csv", label="2.0.1")
        first.add_tag("late")
        first.records.put_many({"step/1": b"one", "step/2": {"n": 2}, b"\xff\x00": text(9000, 1), "gone": 1})
        first.records.put("step/1", text(20_000, 7))
        first.records.put("step/1", text(20_000, 7) + b"and a turn more")
        first.records.delete("gone")

        second = rt.create_session(name="Child", parent=first, metadata={"team": "y"}, correlation_id="run-7")
        second.store_artifact("tool_result", "same.csv", text(20_000, 3), tags=["keep"])
        second.store_artifact("agent_output", "same.md", text(200_000, 4))
        second.add_message("assistant", text(9000, 1).decode())
        second.complete()

        third = rt.create_session(name="Broken", key="user-7/größe")
        third.rename("Failed")
        third.describe("Out of luck")
        for step in range(40):
            third.set("step", step)
        third.save()
        third.set("after", "the snapshot")
        third.fail("out of luck")
        third.archive()

        fourth = rt.create_session(created_by="ada", tags=["nlp"])
        fourth.suspend()

        removed = rt.create_session(name="Removed")
        removed.store_artifact("tool_result", "only here", text(150_000, 6))
        removed.delete()

        governed = rt.create_session(
            config={
                "max_duration": 86_400_000.0,
                "retention_days": 3650,
                "policies": {"timeout": {"warnings": [60.0]}},
            },
            metadata={"team": "x"},
        )
        governed.store_artifact("tool_result", "shared.txt", "For the first session, too.")
        governed.share("shared.txt", first, "write", inherit=True)
        governed.store_artifact("tool_result", "not any more", "secret")
        governed.share("not any more", second)
        governed.revoke("not any more", second)
        rt.events.link(f"{governed.id}/2", f"{first.id}/1", "caused_by")

        chat = rt.create_session(name="Chat", created_by="bob", key="user-7/chat")
        chat.add_messages([{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two", "audio": 1}])
        with chat.stream_message("assistant") as growing:
            growing.write("Thr")
            growing.write("ee")
        chat.edit_message(growing.sequence, content=text(9000, 8).decode(), metadata={"edited": True})
        for content in ("Not this", "nor that", "nor those"):
            chat.add_message("user", content)
        chat.retract_message(chat.messages()[-3].sequence)
        chat.pop_message()
        chat.truncate_messages(chat.messages()[-2].sequence)
        with chat.batch(idempotency_key="batch-1") as batch:
            batch.set("both", True)
            batch.add_message("assistant", "And both at once")
            batch.records.put("both", b"1")
            batch.scope("user:7").set("seen", 1)
        for _ in range(2):
            chat.add_message("user", "Once only", idempotency_key="message-1")
        chat.update_config(max_operations=None, max_artifacts=7)
        chat.share(first, "read")
        chat.share(second, "write", expires_at="2100-01-01T00:00:00Z")
        chat.revoke(second)
        chat.grant_scope("user:7", "write")
        rt.quotas.set("bob", max_sessions=5)
        brief = rt.templates.save("brief", {"tags": ["short"]}).to_dict()

        third_fork = third.fork(20)
        third_fork.set("after", "the fork")
        first_fork = first.fork()
        rt.retention(max_journal_events=10, dry_run=False)
        late = third_fork.fork()

        rt.state_scope("global").set("limit", 7)
        rt.state_scope("user:7").set("theme", {"dark": True})
        sessions = [first, second, third, fourth, third_fork, first_fork, late, governed, chat]
        found = [described(rt, session) for session in sessions]
    return {
        "sessions": found,
        "removed": removed.id,
        "scopes": {"global": {"limit": 7}, "user:7": {"theme": {"dark": True}, "seen": 1}},
        "own_scopes": {"greenroom:quotas": {"bob": [5, None]}, "templates": {"brief": brief}},
    }


def described(rt: Any, session: Any) -> dict[str, Any]:
    """All that users can read of a session."""
    return {
        "info": session.info().to_dict(),
        "variables": plain(session.variables()),
        "messages": [plain(each.to_dict()) for each in session.messages()],
        "events": [plain(each.to_dict()) for each in session.events()],
        "records": [[b64encode(key).decode(), plain(value)] for key, value in session.records.iterate()],
        "artifacts": [
            {"info": info.to_dict(), **content_of(session.get_artifact(info.id).content)}
            for info in session.list_artifacts()
        ],
    }


def content_of(content: bytes) -> dict[str, Any]:
    """Short contents as they are; of longer ones the hash in their info tells."""
    return {"content": b64encode(content).decode()} if len(content) <= INLINE else {}


def plain(value: Any) -> Any:
    """The value as JSON holds it: bytes as {"base64": …}, integers beyond 64 bits as {"integer": …}."""
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if type(value) is int and value.bit_length() > 63:
        return {"integer": str(value)}
    return value


def pack(store: Path, target: Path) -> None:
    """The store's files without RocksDB's logs, and without anything about who made them."""
    with tarfile.open(target, "w:xz", preset=9) as archive:
        for file in sorted(store.iterdir()):
            if file.name.startswith("LOG") or file.name == "LOCK":
                continue
            entry = tarfile.TarInfo(file.name)
            data = file.read_bytes()
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def main() -> None:
    from greenroom.storage.engine.engine import FORMAT_VERSION

    target = HERE / f"format-{FORMAT_VERSION}.tar.xz"
    if target.exists():
        sys.exit(f"{target} is there already, and is never made again")
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "store"
        content = make(store)
        pack(store, target)
    target.with_name(f"format-{FORMAT_VERSION}.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
