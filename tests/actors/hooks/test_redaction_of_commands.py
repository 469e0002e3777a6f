"""Every parameter of every command either goes past the redaction before it is journaled, or is listed here as an
identity that stays. New commands and parameters fail until they are looked at."""

from __future__ import annotations

import contextlib
import inspect
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors import messages as m
from greenroom.actors.hooks.points import kinds_of
from greenroom.actors.messages.core import How
from greenroom.actors.session.redaction import IDENTITIES
from greenroom.runtime import GreenroomError, Runtime, Session
from greenroom.runtime.agents import AgentReply

from .test_redaction import RULES, on_disk

Planter = Callable[[str], Any]

PLANTED: dict[str, Planter] = {
    "by": lambda told: told,
    "changes": lambda told: {"m": told, told: 1},
    "content": lambda told: told,
    "created_by": lambda told: told,
    "data": lambda told: {"d": [told, {told: told}], "b": told.encode()},
    "description": lambda told: told,
    "expected": lambda told: m.ANY,
    "input": lambda told: {"given": told},
    "key": lambda told: told,
    "label": lambda told: told,
    "language": lambda told: told,
    "metadata": lambda told: {"m": [told], told: told.encode()},
    "name": lambda told: told,
    "question": lambda told: told,
    "reason": lambda told: told,
    "schema": lambda told: {"type": "string", "description": told},
    "source": lambda told: told,
    "tag": lambda told: told,
    "tags": lambda told: [told],
    "target": lambda told: told,
    "text": lambda told: told,
    "tool_call_id": lambda told: told,
    "tool_calls": lambda told: [{"arguments": told}],
    "value": lambda told: {"deep": [told, {told: told}], "b": told.encode()},
}
"""Parameters that hold content, with content that has a secret in it."""

KEPT: dict[str, str] = {
    **dict.fromkeys(IDENTITIES, "an identity or a choice: see IDENTITIES in actors/session/redaction.py"),
    **dict.fromkeys(How.__annotations__, "how the command is performed"),
    "after_sequence": "a number",
    "approval": "a number",
    "at_sequence": "a number",
    "busy": "the runtime's own",
    "expires": "a time",
    "how": "how the command is performed",
    "if_absent": "a flag",
    "inherit": "a flag",
    "partial": "a flag",
    "now": "the runtime's own",
    "ref": "it names what is there",
    "refs": "they name what is there",
    "scope": "the name of a scope",
    "sequence": "a number",
    "sync": "a flag",
    "timeout": "a number",
    "told": "the runtime's own",
    "ttl_seconds": "a number",
}
"""Parameters that hold no content."""

SPECIAL: dict[str, dict[str, Planter]] = {
    "AddMessages": {
        "messages": lambda told: [{"role": "user", "content": told, "metadata": {"m": told}, "name": told}]
    },
    "AnswerApproval": {"approval": lambda told: 6},
    "CancelApproval": {"approval": lambda told: 6},
    "AddMessage": {"role": lambda told: "user"},
    "Batch": {
        "commands": lambda told: [
            m.SetVariable("k", {"deep": [told]}),
            m.AddMessage("user", told * 500),
            m.AddTag(told),
            m.StoreArtifact("note", told, b"", description=told),
        ]
    },
    "CallAgent": {"name": lambda told: "leaky", "input": lambda told: told},
    "CallTool": {"name": lambda told: "leak"},
    "ContinueMessage": {"sequence": lambda told: 5},
    "FinishMessage": {"sequence": lambda told: 5},
    "StartMessage": {"role": lambda told: "user"},
    "GrantScope": {"scope": lambda told: "user:1"},
    "RevokeScope": {"scope": lambda told: "user:1"},
    "DeleteRecords": {"keys": lambda told: [told], "prefix": lambda told: None},
    "PutRecords": {
        "values": lambda told: {b"a": {"deep": [told, {told: told}]}, b"b": told.encode(), b"c": f"{told} " * 999}
    },
    "ForkSession": {
        "changes": lambda told: [
            m.SetVariable("k", {"deep": [told]}),
            m.AddMessage("user", told * 500),
            m.ReplaceSystemPrompt(told),
        ]
    },
    "DeleteArtifact": {"ref": lambda told: "here.txt"},
    "EditMessage": {"sequence": lambda told: 4},
    "PublishEvent": {"type": lambda told: "custom.x"},
    "RetractMessage": {"sequence": lambda told: 4},
    "StoreArtifact": {
        "type": lambda told: "note",
        "mime_type": lambda told: "text/plain",
        "content": lambda told: b"no secret",
    },
    "StoreMany": {
        "items": lambda told: [
            {"type": "t", "name": told, "content": b"", "description": told, "tags": [told], "metadata": {told: told}}
        ]
    },
    "TruncateMessages": {"after_sequence": lambda told: 4},
}
"""What the commands of this name take that the tables above do not say."""

LEFT_OUT: dict[str, str] = {
    "Call": "the base of the calls",
    "DeleteSession": "leaves nothing",
    "ForgetGrantee": "the runtime's own: an id",
    "LinkEvents": "ids",
    "KeepTime": "the runtime's own: times",
    "RecordCall": "sent by the calls, which redact what they send",
    "RecordEvent": "the runtime's own facts",
    "RecordHooks": "the runtime's own: see test_redaction.py",
    "RecordReturn": "sent by the calls, which redact what they send",
    "Recorded": "the base of what is recorded of calls",
    "RecordScript": "sent by runs of scripts: see tests/runtime/scripts/test_journal.py",
    "RecordTape": "sent by recordings, which redact what they send: see tests/runtime/recording/test_secrets.py",
    "RecordToolResult": "sent by forks: see ForkSession, and tests/actors/transfer/test_fork_changes.py",
    "RecordWorkflow": "the runtime's own: see test_redaction.py",
    "RevokeArtifact": "ids",
    "ShareArtifact": "ids",
    "TurnCommand": "the base of commands about turns",
    "UpdateConfig": "limits",
}


def commands() -> list[type[Any]]:
    found = [kind for kind in kinds_of(m.Command) if kind.__module__.startswith("greenroom.")]
    chosen = {kind for kind in found if kind is not m.Command and kind.__name__ not in LEFT_OUT}
    return sorted(chosen, key=lambda kind: kind.__name__)


def has_content(kind: type[Any]) -> bool:
    return bool({*SPECIAL.get(kind.__name__, ()), *(name for name in parameters(kind) if name not in KEPT)} & _HOLDERS)


_HOLDERS = {*PLANTED, "messages", "items", "values"}


def parameters(kind: type[Any]) -> list[str]:
    return [name for name in inspect.signature(kind).parameters if name != "self"]


def made(kind: type[Any], told: str) -> Any:
    special = SPECIAL.get(kind.__name__, {})
    given: dict[str, Any] = {}
    for name in parameters(kind):
        if name in special:
            given[name] = special[name](told)
        elif name in PLANTED and name not in KEPT:
            given[name] = PLANTED[name](told)
    return kind(**given)


@pytest.mark.parametrize("kind", commands(), ids=lambda kind: kind.__name__)
def test_every_parameter_is_content_or_known_to_be_none(kind: type[Any]) -> None:
    special = SPECIAL.get(kind.__name__, {})
    unknown = [name for name in parameters(kind) if name not in PLANTED.keys() | KEPT.keys() | special.keys()]
    assert not unknown, f"say of {unknown} in PLANTED, KEPT or SPECIAL whether they may hold a secret"


def _send_all(rt: Runtime, secret: str) -> dict[str, Session]:
    """Send every command, each to a session of its own, with the secret in all that it takes."""

    def leak(given: str) -> dict[str, Any]:
        return {"text": f"{given} {secret} " * 100, secret: [secret.encode()]}

    rt.tools.register("leak", leak)
    rt.agents.register("leaky", lambda input, context: AgentReply(f"{input} {secret} " * 100, data={"more": secret}))
    told = f"my key is {secret}"
    sent: dict[str, Session] = {}
    for kind in filter(has_content, commands()):
        s = sent[kind.__name__] = rt.create_session()
        s.set("k", 1)
        s.store_artifact("note", "here.txt", b"")
        s.add_message("user", "hello")
        rt.ask(s.id, m.StartMessage("assistant"))
        rt.ask(s.id, m.AskHuman("may I?"))
        try:
            reply = rt.ask(s.id, made(kind, told))
            if kind is m.ForkSession:
                sent[kind.__name__] = rt.session(reply)
        except GreenroomError:
            sent.pop(kind.__name__)
    return sent


@pytest.fixture
def secret() -> str:
    return f"sk-{secrets.token_hex(16)}"


def test_no_command_writes_what_the_redaction_removes(store_path: Path, secret: str) -> None:
    with Runtime.open(store_path, config={"redact": RULES}) as rt:
        sent = _send_all(rt, secret)
        assert on_disk(rt, secret) == set()
        assert rt.verify().ok
    raw = b"".join(path.read_bytes() for path in store_path.rglob("*") if path.is_file())
    assert secret.encode() not in raw
    assert sent.keys() >= {"SetVariable", "AddMessage", "AddMessages", "EditMessage", "StoreArtifact", "CallTool"}


def test_records_are_cleaned_and_those_that_are_bytes_keep_their_form(store_path: Path, secret: str) -> None:
    form = b"\x07" + f"key={secret};".encode() + b"\xff\x00"
    with Runtime.open(store_path, config={"redact": RULES}) as rt:
        s = rt.create_session()
        s.records.put("a", {"m": secret, secret: [secret]})
        s.records.put(b"b", form)
        s.records.put(b"c", f"{secret} ".encode() * 3000)
        assert s.records.get("a") == {"m": "[redacted]", "[redacted]": ["[redacted]"]}
        assert s.records.get(b"b") == form.replace(secret.encode(), b"*" * len(secret))
        assert len(s.records.get(b"c")) == len(f"{secret} ".encode() * 3000)
        assert on_disk(rt, secret) == set()
        assert rt.verify().ok


def test_a_secret_that_comes_in_pieces_is_not_written(store_path: Path, secret: str) -> None:
    with Runtime.open(store_path, config={"redact": RULES}) as rt:
        s = rt.create_session()
        with s.stream_message("assistant") as message:
            for letter in f"{secret} " * 300:
                message.write(letter)
        assert s.messages()[-1].content == "[redacted] " * 300
        assert on_disk(rt, secret) == set()
        with contextlib.suppress(ZeroDivisionError), s.stream_message("assistant") as message:
            message.write(secret[:20])
            message.write(secret[20:])
            raise ZeroDivisionError
        assert on_disk(rt, secret) == set()
        assert not [event for event in s.events() if secret[:10] in repr(event.to_dict())]


def test_without_redaction_each_of_them_writes_it(store_path: Path, secret: str) -> None:
    """Or the search would find nothing either."""
    with Runtime.open(store_path) as rt:
        sent = _send_all(rt, secret)
        silent = {name for name, s in sent.items() if secret not in repr([event.to_dict() for event in s.events()])}
        refused = {kind.__name__ for kind in commands() if has_content(kind)} - sent.keys()
    # These name what is not there, or only the hash of what they wrote is an event.
    assert silent <= {"DeleteVariable", "RemoveTag", "PutRecords", "DeleteRecords"}
    assert not refused
