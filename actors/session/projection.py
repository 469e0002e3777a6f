"""What events add to the batch besides themselves: index entries, artifact records, content, references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.session.decisions.conversation import ARTIFACT, MESSAGE
from greenroom.actors.session.state.grants import shared_ops
from greenroom.storage.artifacts.records import RECORD_FIELDS, Artifacts
from greenroom.storage.codec.keys import INDEX_MESSAGE, sequence_key
from greenroom.storage.content.chunks import Encoded, Reference
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.events.index import LINKED, link_keys

__all__ = ["EFFECTS"]

_Effect = tuple[tuple[tuple[Encoded, Reference], ...], tuple[tuple[bytes, Reference], ...]]


def _message_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops.append((CF.INDEX, sequence_key(INDEX_MESSAGE + session, sequence), b""))
    if command.encoded is None:
        return (), ()
    return ((command.encoded, Reference(session, MESSAGE, sequence)),), ()


def _stored_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    record = [now if name == "time" else data[name] for name in RECORD_FIELDS]
    artifact = data["sequence"]
    ops += Artifacts.add(session, artifact, record)
    if data["version"] > 1:
        ops += artifacts.superseded(session, data["name"], data["version"] - 1)
    command.record = record
    return ((command.encoded, Reference(session, ARTIFACT, artifact)),), ()


def _deleted_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    number, name, version = data["sequence"], data["name"], data["version"]
    newest = artifacts.is_newest(session, name, version)
    ops += artifacts.remove(session, number, name, version, artifacts.record(session, number), newest=newest)
    return (), ((data["content_hash"], Reference(session, ARTIFACT, data["sequence"])),)


def _linked_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops += [(CF.INDEX, key, b"") for key in link_keys(session, sequence, data)]
    return (), ()


def _grant_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops += shared_ops(session, data, there=True)
    return (), ()


def _revoke_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops += shared_ops(session, data, there=False)
    return (), ()


EFFECTS: Final[dict[str, Callable[..., _Effect]]] = {
    "artifact.shared": _grant_effect,
    "artifact.revoked": _revoke_effect,
    "message.added": _message_effect,
    "artifact.stored": _stored_effect,
    "artifact.deleted": _deleted_effect,
    LINKED: _linked_effect,
}
