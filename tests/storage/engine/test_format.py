"""docs/format.md is enough to read a store: this reads one by its rules and without greenroom's code.

The file is long because it reads every kind of record by itself.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
import unicodedata
import uuid
from base64 import b64encode
from collections.abc import Container
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import lz4.block
import msgpack
import pytest
import rocksdict
from blake3 import blake3

from tests.golden.make import make, plain

GOLDEN = Path(__file__).parents[2] / "golden"
FAMILIES = [
    "meta",
    "journal",
    "snapshots",
    "sessions",
    "artifacts",
    "index",
    "contents",
    "chunks",
    "manifests",
    "references",
]
STATUSES = ("active", "suspended", "completed", "failed", "archived")
ENCODED = {
    "session.created": ("metadata", "config"),
    "metadata.updated": ("metadata",),
    "variable.set": ("value",),
    "message.added": ("content", "tool_calls", "metadata"),
    "message.started": ("tool_calls", "metadata"),
    "message.finished": ("content", "tool_calls", "metadata"),
    "message.edited": ("content", "metadata"),
    "session.configured": ("config",),
    "command.answered": ("reply",),
    "artifact.stored": ("custom",),
    "approval.requested": ("schema", "metadata"),
    "approval.answered": ("value",),
}


def unpacked(data: bytes) -> Any:
    def extension(code: int, body: bytes) -> Any:
        assert code == 1
        return int(body)

    return msgpack.unpackb(data, ext_hook=extension, unicode_errors="surrogatepass", strict_map_key=False)


def opened(key: bytes, record: bytes) -> Any:
    """The payload of a sealed record."""
    assert record[0] == 1
    assert crc32(key + record[:-4]) == int.from_bytes(record[-4:], "little")
    return unpacked(record[1:-4])


def number(part: bytes) -> int:
    return int.from_bytes(part, "big")


def session_id(part: bytes) -> str:
    return str(uuid.UUID(bytes=part))


def moment(nanoseconds: int) -> str:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def digest8(data: bytes) -> bytes:
    return blake3(data).digest()[:8]


class Store:
    """A whole store in memory, by family."""

    def __init__(self, path: Path) -> None:
        options = {name: rocksdict.Options(raw_mode=True) for name in FAMILIES}
        access = rocksdict.AccessType.read_only(error_if_log_file_exist=False)
        database = rocksdict.Rdict(
            str(path), rocksdict.Options(raw_mode=True), column_families=options, access_type=access
        )
        self.families: dict[str, dict[bytes, bytes]] = {}
        for name in FAMILIES:
            family = database.get_column_family(name)
            self.families[name] = dict(family.items())
            del family
        database.close()
        self.format = opened(b"format", self["meta"][b"format"])[0]

    def __getitem__(self, family: str) -> dict[bytes, bytes]:
        return self.families[family]

    def of(self, family: str, prefix: bytes) -> list[tuple[bytes, Any]]:
        """The records of a family under a prefix, in order."""
        found = sorted((key, value) for key, value in self[family].items() if key.startswith(prefix))
        return [(key, opened(key, value)) for key, value in found]

    def content(self, digest: bytes) -> bytes:
        size, stored_size, blob, *_ = opened(digest, self["contents"][digest])
        if blob is None:
            stored = self["chunks"][b"\0" + digest]
            assert len(stored) - 1 == stored_size
            content = self.decoded(stored, size)
        else:
            content = b""
            for key, (chunk, chunk_size) in self.of("manifests", blob):
                assert number(key[16:]) == len(content)
                piece = self.decoded(self["chunks"][b"\1" + chunk], chunk_size)
                assert blake3(piece).digest() == chunk
                reference = self["references"][b"k" + chunk + blob]
                assert number(reference) == len(self["chunks"][b"\1" + chunk]) - 1
                content += piece
        assert len(content) == size
        assert blake3(content).digest() == digest
        return content

    @staticmethod
    def decoded(stored: bytes, size: int) -> bytes:
        if stored[0] == 0:
            return stored[1:]
        assert stored[0] == 1
        return bytes(lz4.block.decompress(stored[1:], uncompressed_size=size))

    # -- what users see of it

    def info(self, session: bytes) -> dict[str, Any]:
        (row,) = [row for key, row in self.of("sessions", session)]
        key, event = self.of("journal", session)[-1]
        started, ended = row[8], row[9]
        return {
            "id": session_id(session),
            "status": STATUSES[row[0]],
            "name": row[1],
            "description": row[2],
            "created_by": row[3],
            "tags": row[4],
            "parent_session_id": row[5],
            "custom_metadata": unpacked(row[6]),
            "created_at": moment(row[7]),
            "updated_at": moment(event[1]),
            "started_at": moment(started),
            "ended_at": moment(ended) if ended is not None else None,
            "correlation_id": row[10] or session_id(session),
            "failure_reason": row[11],
            "key": row[13] if len(row) > 13 else None,
            "operation_count": event[3],
            "artifact_count": event[4],
            "total_artifact_size": event[5],
            "sequence": number(key[16:]),
            "duration": ((ended if ended is not None else event[1]) - started) / 10**9,
        }

    def events(self, session: bytes) -> list[dict[str, Any]]:
        found = []
        base, _ = self.base(session)
        expected = 1
        for key, event in self.of("journal", session):
            sequence = number(key[16:])
            assert sequence == expected or expected <= sequence <= base + 1
            expected = sequence + 1
            data = dict(event[2])
            for name in ENCODED.get(event[0], ()):
                if data.get(name) is not None:
                    data[name] = unpacked(data[name])
            if event[0] == "records.changed":
                data["changes"] = [
                    {
                        "key": name,
                        "hash": digest.hex() if digest is not None else None,
                        "size": size if digest is not None else None,
                        "replaced_size": replaced,
                    }
                    for name, digest, size, _, replaced, *_ in data["changes"]
                ]
            for name in ("content_hash", "previous_hash"):
                if data.get(name) is not None:
                    data[name] = data[name].hex()
            found.append({"type": event[0], "sequence": sequence, "timestamp": moment(event[1]), "data": plain(data)})
        return found

    def base(self, session: bytes) -> tuple[int, list[Any] | None]:
        """Where the fold of a journal begins, and with which state."""
        key = session + bytes(8)
        if key not in self["snapshots"]:
            return 0, None
        sequence, digest, state = opened(key, self["snapshots"][key])
        assert blake3(state).digest() == digest
        fields = unpacked(state)
        assert fields[1] == sequence
        return sequence, fields

    def variables(self, session: bytes) -> dict[str, Any]:
        base, state = self.base(session)
        found: dict[str, Any] = {key: plain(unpacked(value)) for key, value in (state[8] if state else [])}
        for key, event in self.of("journal", session):
            if number(key[16:]) <= base:
                continue
            if event[0] == "variable.set":
                found[event[2]["key"]] = plain(unpacked(event[2]["value"]))
            elif event[0] == "variable.deleted":
                del found[event[2]["key"]]
        return found

    def messages(self, session: bytes) -> list[tuple[str, Any]]:
        turns: dict[int, tuple[str, Any]] = {}
        for key, event in self.of("journal", session):
            data = event[2]
            if event[0] in ("message.added", "message.finished", "message.edited"):
                sequence = data.get("sequence", number(key[16:]))
                role = data["role"] if event[0] == "message.added" else turns[sequence][0]
                if "content_hash" in data:
                    digest = data["content_hash"]
                    assert b"c" + digest + session + b"m" + key[16:] in self["references"]
                    content = self.content(digest)
                    turns[sequence] = role, content.decode() if data["text"] else plain(unpacked(content))
                elif "content" in data:
                    turns[sequence] = role, plain(unpacked(data["content"]))
            elif event[0] == "message.started":
                turns[number(key[16:])] = data["role"], ""
            elif event[0] == "message.delta":
                role, content = turns[data["sequence"]]
                turns[data["sequence"]] = role, content + data["text"]
            elif event[0] == "message.retracted":
                for first, last in data["turns"]:
                    turns = {each: turn for each, turn in turns.items() if not first <= each <= last}
        return [turns[sequence] for sequence in sorted(turns)]

    def records(self, session: bytes) -> list[list[Any]]:
        """The records, each confirmed by the newest event that names its key."""
        newest: dict[bytes, list[Any]] = {}
        for key, event in self.of("journal", session):
            for position, change in enumerate(event[2]["changes"] if event[0] == "records.changed" else ()):
                newest[change[0]] = [number(key[16:]), position, change]
        found = []
        for key, (sequence, position, flags, size, digest, value) in self.of("index", b"R" + session):
            change = newest.pop(key[17:])[2]
            assert change[1:4] == [digest, size, flags]
            if flags & 2:
                place = (sequence * 65536 + position).to_bytes(8, "big")
                assert b"c" + digest + session + b"r" + place in self["references"]
                assert value is None
                value = self.content(digest)
            else:
                assert len(value) <= 4096
            assert (len(value), blake3(value).digest()) == (size, digest)
            found.append([b64encode(key[17:]).decode(), plain(unpacked(value) if flags & 1 else value)])
        assert all(change[1] is None for *_, change in newest.values())
        return found

    def artifacts(self, session: bytes) -> list[tuple[dict[str, Any], bytes]]:
        found = []
        for key, record in self.of("artifacts", session):
            (
                digest,
                name,
                version,
                previous,
                kind,
                mime_type,
                size,
                stored_size,
                description,
                created_by,
                parent,
                tags,
                custom,
                time,
                *label,
            ) = record
            assert b"c" + digest + session + b"a" + key[16:] in self["references"]
            assert self["index"][b"v" + session + name.encode() + b"\0" + version.to_bytes(4, "big")] == key[16:]
            info = {
                "id": f"{digest.hex()}:{session_id(session)}:{number(key[16:])}",
                "name": name,
                "version": version,
                "previous_hash": previous.hex() if previous is not None else None,
                "artifact_type": kind,
                "mime_type": mime_type,
                "size": size,
                "stored_size": stored_size,
                "description": description,
                "created_by": created_by,
                "parent_artifact": parent,
                "tags": tags,
                "custom": unpacked(custom),
                "created_at": moment(time),
                "is_compressed": stored_size < size,
            }
            if self.format >= 3:
                assert len(label) in (0, 1)
                info["label"] = label[0] if label else None
            found.append((info, self.content(digest)))
        return found

    # -- what the document says that there must be, and nothing else

    def expected_index(self) -> tuple[set[bytes], set[bytes]]:
        """The keys that there must be, and those of deleted versions that there may be."""
        keys: set[bytes] = set()
        deleted: set[bytes] = set()
        for session, row in self.of("sessions", b""):
            status, age = bytes([row[0]]), row[7].to_bytes(8, "big") + session
            newest = self.of("journal", session)[-1][1][1]
            keys |= {b"c" + status + age, b"u" + status + (newest // 10**9).to_bytes(4, "big") + session}
            place = status + age if self.format >= 3 else age
            keys |= {b"t" + digest8(tag.encode()) + place for tag in row[4]}
            if row[3] is not None:
                keys.add(b"b" + digest8(row[3].encode()) + place)
            if row[5] is not None:
                keys.add(b"p" + uuid.UUID(row[5]).bytes + place)
            keys |= {b"m" + entry_digest(key, value) + place for key, value in unpacked(row[6]).items()}
            for name in row[13:]:
                assert self["index"][b"k" + name.encode()] == session
                keys.add(b"k" + name.encode())
            if self.format >= 2 and row[0] == 0 and row[12] is not None:
                keys |= {b"d" + due.to_bytes(8, "big") + session for due in first_due(row[7], unpacked(row[12]))}
            if self.format >= 3 and row[12] is not None:
                settings = unpacked(row[12])
                if any(settings.get(name) is not None for name in ("retention_days", "delete_after_idle_days")):
                    keys.add(b"T" + session)
        newest_of: dict[bytes, bytes] = {}
        granted: dict[bytes, bool] = {}
        heads: dict[bytes, bytes] = {}
        for key, event in self.of("journal", b""):
            if event[0] in ("message.added", "message.started"):
                keys.add(b"M" + key)
            elif event[0] in ("message.finished", "message.edited", "message.delta"):
                heads[b"M" + key[:16] + event[2]["sequence"].to_bytes(8, "big")] = key[16:]
            elif event[0] == "message.retracted":
                for first, last in event[2]["turns"]:
                    keys -= {b"M" + key[:16] + each.to_bytes(8, "big") for each in range(first, last + 1)}
            elif event[0] in ("session.shared", "session.unshared"):
                entry = b"S" + uuid.UUID(event[2]["session"]).bytes + key[:16] + bytes(8)
                (keys.add if event[0] == "session.shared" else keys.discard)(entry)
            elif event[0] in ("scope.granted", "scope.revoked"):
                entry = b"s" + key[:16] + scope_id(event[2]["scope"])
                (keys.add if event[0] == "scope.granted" else keys.discard)(entry)
            elif event[0] == "records.changed":
                for change in event[2]["changes"]:
                    (keys.add if change[1] is not None else keys.discard)(b"R" + key[:16] + change[0])
            elif event[0] == "artifact.stored":
                data = event[2]
                name = b"v" + key[:16] + data["name"].encode() + b"\0"
                version = data["version"].to_bytes(4, "big")
                newest_of[name] = name + version
                if self.format == 1 or key[:16] + data["sequence"].to_bytes(8, "big") in self["artifacts"]:
                    keys.add(name + version)
                else:
                    deleted.add(name + version)
            elif event[0] == "approval.requested":
                keys.add(b"H" + key)
            elif event[0] == "session.forked":
                keys -= {each for each in keys if each.startswith(b"H" + key[:16])}
            elif event[0].startswith("approval."):
                keys.discard(b"H" + key[:16] + event[2]["approval"].to_bytes(8, "big"))
            elif event[0] in ("artifact.shared", "artifact.revoked"):
                grantee = uuid.UUID(event[2]["session"]).bytes
                granted[b"S" + grantee + key[:16] + event[2]["sequence"].to_bytes(8, "big")] = (
                    event[0] == "artifact.shared"
                )
            if self.format >= 2:
                keys |= event_keys(key, event)
        if self.format >= 2:
            for key, record in self.of("artifacts", b""):
                keys |= artifact_keys(key[:16], key[16:], record, self.format, self["index"])
        assert {key: self["index"][key] for key in keys if key[:1] == b"M"} == {
            key: heads.get(key, b"") for key in keys if key[:1] == b"M"
        }
        keys |= {*newest_of.values(), *(key for key, there in granted.items() if there)}
        return keys, deleted - keys


def scope_id(name: str) -> bytes:
    raw = bytearray(blake3(b"greenroom.scope\0" + name.encode()).digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    return bytes(raw)


def first_due(created: int, config: dict[str, Any]) -> list[int]:
    timeout = config.get("policies", {}).get("timeout", {})
    lead = max(timeout.get("warnings", []), default=0)
    seconds = [each["max_duration"] - lead for each in (config, timeout) if each.get("max_duration") is not None]
    seconds += [each["idle_timeout"] for each in (config, timeout) if each.get("idle_timeout") is not None]
    return [min(created + max(0, round(min(seconds) * 10**9)), 2**64 - 1)] if seconds else []


def entry_digest(key: str, value: Any) -> bytes:
    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: ordered(value[name]) for name in sorted(value)}
        if isinstance(value, list):
            return [ordered(each) for each in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return digest8(msgpack.packb(key) + msgpack.packb(ordered(value)))


def event_keys(key: bytes, event: list[Any]) -> set[bytes]:
    context = event[6] if len(event) > 6 else {}
    named = {context.get(name) for name in ("correlation_id", "causation_id", "root_id")} - {None}
    keys = {b"e" + digest8(each.encode()) + event[1].to_bytes(8, "big") + key for each in named}
    if event[0] == "event.linked":
        for end in ("from", "to"):
            session, _, sequence = event[2][end].partition("/")
            keys.add(b"l" + uuid.UUID(session).bytes + int(sequence).to_bytes(8, "big") + key)
    if event[0].startswith("approval."):
        asked = event[2]["approval"].to_bytes(8, "big") if "approval" in event[2] else key[16:]
        keys.add(b"h" + key[:16] + asked + key)
    return keys


def artifact_keys(
    session: bytes, sequence: bytes, record: list[Any], version: int, index: Container[bytes]
) -> set[bytes]:
    kind, created_by, tags, custom = digest8(record[4].encode()), record[9], record[11], unpacked(record[12])
    place = record[13].to_bytes(8, "big") + session + sequence
    keys = {b"A" + session + kind + sequence, b"a" + kind + place}
    for tag in tags:
        keys |= {b"G" + session + digest8(tag.encode()) + sequence, b"g" + digest8(tag.encode()) + place}
    if created_by is not None:
        keys.add(b"y" + digest8(created_by.encode()) + place)
    if version >= 3 and record[10] is not None:
        keys.add(b"q" + digest8(record[10].encode()) + place)
    if len(record) > 14:
        keys.add(b"L" + session + f"{record[1]}\0{record[14]}\0".encode() + sequence)
    if len(custom) > 64:
        keys.add(b"zx" + place)
    else:
        keys |= {b"x" + entry_digest(key, value) + place for key, value in custom.items()}
    words = [word for text in (record[1], record[8] or "", *tags, *texts(custom)) for word in split(text)]
    if len(set(words)) > 64 or len(words) > 256 or b"zw" + place in index:  # perhaps they are not listed yet
        keys.add(b"zw" + place)
    else:
        keys |= {b"w" + word.encode()[:32] + b"\0" + place for word in words}
    return keys


def texts(value: Any) -> list[str]:
    if isinstance(value, bool):
        return []
    if isinstance(value, (str, int, float)):
        return [str(value)]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts(part)]


def split(text: str) -> list[str]:
    spaced = "".join(each if unicodedata.category(each)[0] in "LN" else " " for each in text.casefold())
    return spaced.split()


def check(store: Store, expected: dict[str, Any]) -> None:
    """Everything that must be found is found, and nothing else is there."""
    ids = [uuid.UUID(each["info"]["id"]).bytes for each in expected["sessions"]]
    assert sorted(store["sessions"]) == sorted(ids)
    scopes, wanted_scopes = {}, {**expected["scopes"], **expected.get("own_scopes", {})}
    for name in wanted_scopes:
        raw = scope_id(name)
        scopes[name] = store.variables(raw)
        assert store.of("journal", raw)[0][1][2]["name"] == name
        ids.append(raw)
    assert scopes == wanted_scopes
    for family in ("journal", "snapshots", "artifacts"):
        assert {key[:16] for key in store[family]} <= set(ids)
    for session, wanted in zip(ids, expected["sessions"], strict=False):
        info = store.info(session)
        assert info.pop("duration") == pytest.approx(wanted["info"].pop("duration"))
        assert info == {"key": None, **wanted["info"]}
        assert store.variables(session) == wanted["variables"]
        assert store.messages(session) == [(each["role"], each["content"]) for each in wanted["messages"]]
        assert store.events(session) == [
            {name: each[name] for name in ("type", "sequence", "timestamp", "data")} for each in wanted["events"]
        ]
        assert store.records(session) == wanted.get("records", [])
        artifacts = store.artifacts(session)
        assert [info for info, _ in artifacts] == [each["info"] for each in wanted["artifacts"]]
        for (_, content), each in zip(artifacts, wanted["artifacts"], strict=True):
            if "content" in each:
                assert b64encode(content).decode() == each["content"]
        base, _ = store.base(session)
        for key, record in store.of("snapshots", session):
            if key[16:] == bytes(8):
                continue
            digest, state, *paid = record
            assert blake3(state).digest() == digest
            assert number(key[16:]) >= base
            assert len(paid) in ((0, 2) if store.format == 3 else (0,))
            if paid and not base:
                between = range(paid[0] + 1, number(key[16:]) + 1)
                records = [store["journal"][session + each.to_bytes(8, "big")] for each in between]
                assert paid[1] <= sum(map(len, records))
            fields = unpacked(state)
            assert fields[1] == number(key[16:])
            assert len(fields) in ((9,) if store.format == 1 else (10, 11, 12))
    assert opened(b"counts", store["meta"][b"counts"]) == [
        sum(each["info"]["status"] == status for each in expected["sessions"]) for status in STATUSES
    ]
    expected_keys, deleted_versions = store.expected_index()
    assert set(store["index"]) - deleted_versions == expected_keys
    assert all(store["index"].get(key, b"") == b"" for key in deleted_versions)
    held = {key[1:33] for key in store["references"] if key[:1] == b"c"}
    assert set(store["contents"]) == held
    for digest in held:
        store.content(digest)
    chunks = {key[1:33] for key in store["references"] if key[:1] == b"k"}
    whole = {digest for digest in held if opened(digest, store["contents"][digest])[2] is None}
    assert set(store["chunks"]) == {b"\1" + each for each in chunks} | {b"\0" + each for each in whole}


@pytest.mark.parametrize("archive", sorted(GOLDEN.glob("format-*.tar.xz")), ids=lambda path: path.name)
def test_a_golden_store_is_read_by_the_document_alone(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    store = Store(tmp_path)
    assert store.format == int(re.findall(r"format-(\d+)", archive.name)[0])
    check(store, json.loads(Path(str(archive).replace(".tar.xz", ".json")).read_text("utf-8")))


def test_a_store_of_today_is_read_by_the_document_alone(tmp_path: Path) -> None:
    expected = json.loads(json.dumps(make(tmp_path / "store")))
    store = Store(tmp_path / "store")
    document = (Path(__file__).parents[3] / "docs" / "format.md").read_text("utf-8")
    assert f"Format {store.format}. " in document
    check(store, expected)


def test_the_reader_needs_nothing_of_greenroom() -> None:
    source = Path(sys.modules[__name__].__file__ or "").read_text("utf-8")
    assert not re.search(r"^\s*(from|import) greenroom", source, re.MULTILINE)
