"""What every server shows of sessions: each method is a tool, and its docstring is what the model reads about it."""

from __future__ import annotations

import base64
import json
from itertools import islice
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from greenroom.runtime import ArtifactInfo, Message, SessionInfo

from .bounds import MAX_PIECE, bounded_row, bounded_rows, plain, text_piece
from .reach import Reach

__all__ = ["Reading", "SessionName"]

MAX_SEARCHED: Final = 5_000
"""The most messages that one search looks at."""
MAX_TIMELINE: Final = 10_000

SessionName = Annotated[
    str | None,
    Field(description="Id of the session, or key: and its key. A server of one session takes that one by default."),
]
Limit = Annotated[int, Field(ge=1, le=200, description="The most rows to return.")]
Offset = Annotated[int, Field(ge=0, description="How many to pass over: next_offset of the answer before.")]
Version = Annotated[int | str | None, Field(description="Number or label of the version; by default the latest.")]
Moment = Annotated[int | str, Field(description="The sequence of an event, or a time in RFC 3339.")]
Status = Literal["active", "suspended", "completed", "failed", "archived", "all"]


class Reading:
    """The tools that change nothing."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    # -- sessions

    def list_sessions(
        self,
        status: Status = "all",
        search: Annotated[str | None, Field(description="A part of the name or description.")] = None,
        tags: Annotated[list[str] | None, Field(description="Tags that a session must have, all of them.")] = None,
        limit: Limit = 50,
        cursor: Annotated[str | None, Field(description="next_cursor of the answer before.")] = None,
    ) -> dict[str, Any]:
        """List sessions with their facts, the last changed first. A session is a chat, an agent's run or a pipeline."""
        if self._reach.root is None:
            page = self._reach.runtime.list_sessions(
                status=status, search=search, tags=tags or (), limit=limit, cursor=cursor,
                sort_by="updated_at", descending=True,
            )  # fmt: skip
            rows, complete = bounded_rows(self._reach.described(info) for info in page)
            if complete:
                return {"sessions": rows, "next_cursor": page.next_cursor if page.has_more else None}
            return self.list_sessions(status, search, tags, len(rows), cursor)
        begin = int(cursor) if cursor is not None and cursor.isdecimal() else 0
        found = sorted(
            (info for info in self._reach.infos() if _matches(info, status, search, tags)),
            key=lambda info: (info.updated_at, info.id),
            reverse=True,
        )
        rows, _ = bounded_rows(self._reach.described(info) for info in found[begin : begin + limit])
        end = begin + len(rows)
        return {"sessions": rows, "next_cursor": str(end) if end < len(found) else None}

    def show_session(self, session_id: SessionName = None) -> dict[str, Any]:
        """Show the facts of one session: status, name, times, tags, metadata, counts, and its children."""
        session = self._reach.session(session_id)
        children, complete = bounded_rows(
            {"id": child.id, "name": child.name, "status": str(child.status)} for child in session.children()
        )
        row = bounded_row(self._reach.described(session.info()))
        return {**row, "children": children, "children_complete": complete}

    def read_variables(
        self,
        session_id: SessionName = None,
        prefix: Annotated[str, Field(description="The beginning of the variables' names.")] = "",
        at: Annotated[Moment | None, Field(description="Read them as they were at this moment.")] = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """Read the variables of a session, by name: now, or as they were after an event or at a time."""
        session = self._reach.session(session_id)
        if at is None:
            values = session.variables(prefix)
        else:
            past = session.at(sequence=at) if isinstance(at, int) else session.at(time=at)
            values = {name: value for name, value in past.variables.items() if name.startswith(prefix)}
        names = sorted(values)[offset : offset + limit]
        rows, _ = bounded_rows({"name": name, "value": values[name]} for name in names)
        return {"variables": rows, **_next(offset + len(rows), len(values))}

    def read_variable(self, name: str, session_id: SessionName = None, offset: Offset = 0) -> dict[str, Any]:
        """Read one variable piece by piece: for values that read_variables has cut. Text as it is, others as JSON."""
        session = self._reach.session(session_id)
        missing = object()
        value = session.get(name, missing)
        return {"exists": False} if value is missing else {"exists": True, **_piece(value, offset)}

    # -- conversations

    def read_conversation(
        self,
        session_id: SessionName = None,
        limit: Limit = 20,
        before: Annotated[int | None, Field(ge=1, description="Only messages with a smaller sequence.")] = None,
    ) -> dict[str, Any]:
        """Read the messages of a session, the newest of them, oldest first. Go back with before = next_before."""
        session = self._reach.session(session_id)
        found = session.messages(limit + 1, before)
        newest, _ = bounded_rows(message.to_dict() for message in reversed(found[-limit:]))
        more = len(newest) < len(found)
        return {"messages": newest[::-1], "next_before": newest[-1]["sequence"] if more and newest else None}

    def read_message(
        self,
        sequence: Annotated[int, Field(ge=1, description="The sequence of the message.")],
        session_id: SessionName = None,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """Read the content of one message piece by piece: for contents that read_conversation has cut."""
        session = self._reach.session(session_id)
        found = [each for each in session.messages(1, sequence + 1) if each.sequence == sequence]
        return (
            {"exists": True, "role": found[0].role, **_piece(found[0].content, offset)} if found else {"exists": False}
        )

    # -- artifacts

    def list_artifacts(
        self,
        session_id: SessionName = None,
        text: Annotated[str | None, Field(description="Words of the name, description or tags.")] = None,
        artifact_type: str | None = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """List the artifacts of a session, newest first: named files with type, size and version."""
        page = self._reach.session(session_id).query_artifacts(
            text=text, artifact_type=artifact_type, limit=limit, offset=offset
        )
        rows, _ = bounded_rows(info.to_dict() for info in page)
        return {"artifacts": rows, **_next(offset + len(rows), page.total)}

    def read_artifact(
        self,
        artifact: Annotated[str, Field(description="Name or id of the artifact.")],
        session_id: SessionName = None,
        version: Version = None,
        offset: Annotated[
            int, Field(ge=0, description="The first byte to read: next_offset of the answer before.")
        ] = 0,
        length: Annotated[int, Field(ge=1, le=MAX_PIECE, description="The most bytes to read.")] = MAX_PIECE,
    ) -> dict[str, Any]:
        """Read the content of an artifact, piece by piece if it is long: as text, or in base64 if it is no text."""
        session = self._reach.session(session_id)
        info = self._reach.artifact(session, artifact, version)
        with session.open_artifact(info.id) as stream:
            stream.seek(offset)
            data = _read(stream, length)
        decoded = text_piece(data, last=offset + len(data) >= info.size)
        used = len(data) if decoded is None else decoded[1]
        content = {"base64": base64.b64encode(data).decode()} if decoded is None else {"text": decoded[0]}
        facts = {"id": str(info.id), "name": info.name, "version": info.version, "mime_type": info.mime_type}
        return {**facts, "size": info.size, **content, **_next(offset + used, info.size)}

    def diff_artifact(
        self,
        artifact: Annotated[str, Field(description="Name of the artifact.")],
        old: Annotated[int | str, Field(description="Number or label of the older version.")],
        session_id: SessionName = None,
        new: Annotated[int | str, Field(description="Number or label of the newer version.")] = "latest",
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """Compare two versions of a text artifact: a unified diff, empty if they are equal."""
        session = self._reach.session(session_id)
        name = self._reach.artifact(session, artifact, None).name
        return _piece(session.diff_artifact(name, old, new), offset)

    # -- what happened

    def search(
        self,
        text: Annotated[str, Field(min_length=1, max_length=1000, description="What to look for.")],
        session_id: Annotated[str | None, Field(description="Look into this session only.")] = None,
        limit: Annotated[int, Field(ge=1, le=50, description="The most hits of each kind.")] = 20,
    ) -> dict[str, Any]:
        """Search sessions by name and description, artifacts by the words of their names, descriptions and tags, and
        messages for the text as it is, in any case. Messages are looked through from the sessions changed last on;
        messages_complete says whether it was all of them."""
        reach = self._reach
        if session_id is not None or reach.root is not None:
            within = [reach.session(session_id).info()] if session_id is not None else list(reach.infos())
            sessions = [info for info in within if session_id is None and _matches(info, "all", text, None)]
            artifacts = [info for each in within for info in _artifacts(reach.session(each.id), text, limit)]
            within.sort(key=lambda info: info.updated_at, reverse=True)
        else:
            newest = {"sort_by": "updated_at", "descending": True, "status": "all"}
            sessions = list(reach.runtime.list_sessions(newest, search=text, limit=limit))
            artifacts = _artifacts(reach.runtime, text, limit)
            within = list(reach.runtime.list_sessions(newest, limit=MAX_SEARCHED // 10))
        hits, complete = self._said(text, within, limit)
        if session_id is None and reach.root is None:
            complete = complete and len(within) < MAX_SEARCHED // 10
        found, _ = bounded_rows(
            [
                *({"kind": "session", **_brief(info)} for info in sessions[:limit]),
                *(
                    {"kind": "artifact", "session_id": info.id.session_id, **info.to_dict()}
                    for info in artifacts[:limit]
                ),
                *hits,
            ]
        )
        return {"hits": found, "messages_complete": complete}

    def _said(self, text: str, within: list[SessionInfo], limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return the messages that contain a text, and whether all were looked at."""
        wanted, left = text.casefold(), MAX_SEARCHED
        hits: list[dict[str, Any]] = []
        for info in within:
            if left <= 0:
                return hits, False
            messages = self._reach.session(info.id).messages(left)
            complete = len(messages) < left
            left -= max(1, len(messages))
            for message in reversed(messages):
                place = _place(message, wanted)
                if place is not None:
                    hits.append({"kind": "message", "session_id": info.id, "sequence": message.sequence,
                                 "role": message.role, "text": place})  # fmt: skip
                    if len(hits) == limit:
                        return hits, False
            if not complete:
                return hits, False
        return hits, True

    def read_timeline(self, session_id: SessionName = None, limit: Limit = 50, offset: Offset = 0) -> dict[str, Any]:
        """Read what happened in a session, in causal order: each event with its cause and its depth below the first
        cause. Covers the first 10 000 events; read_events reads on."""
        rows = self._reach.session(session_id).timeline(MAX_TIMELINE)
        kept, _ = bounded_rows(row.to_dict() for row in islice(rows, offset, offset + limit))
        return {"events": kept, **_next(offset + len(kept), len(rows))}

    def read_events(
        self,
        session_id: SessionName = None,
        after: Annotated[int, Field(ge=0, description="Only events with a greater sequence.")] = 0,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Read the journal of a session, event by event, oldest first. Go on with after = next_after."""
        found = list(self._reach.session(session_id).events(after, limit + 1))
        rows, _ = bounded_rows(event.to_dict() for event in found[:limit])
        return {"events": rows, "next_after": rows[-1]["sequence"] if len(rows) < len(found) else None}

    def diff_session(
        self,
        before: Moment,
        session_id: SessionName = None,
        after: Annotated[Moment | None, Field(description="By default now.")] = None,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        """Compare two moments of a session: what changed in its variables, messages, artifacts, tags and settings."""
        diff = self._reach.session(session_id).diff(before, after)
        rows, _ = bounded_rows(change.to_dict() for change in diff.changes[offset:])
        facts = {"before": diff.before, "after": diff.after, "complete": diff.complete}
        return {**facts, "changes": rows, **_next(offset + len(rows), len(diff))}


def _next(end: int, total: int) -> dict[str, Any]:
    return {"total": total, "next_offset": end if end < total else None}


def _piece(value: object, offset: int) -> dict[str, Any]:
    """Return a piece of a text, or of a value as JSON, from a character on."""
    text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    piece = text[offset : offset + MAX_PIECE]
    return {"text": piece, **_next(offset + len(piece), len(text))}


def _read(stream: Any, length: int) -> bytes:
    """Read as many bytes as there are, up to a length: a raw stream may give fewer at a time."""
    parts: list[bytes] = []
    while length > 0 and (part := stream.read(length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _artifacts(where: Any, text: str, limit: int) -> list[ArtifactInfo]:
    return list(where.query_artifacts(text=text, limit=limit)) if any(each.isalnum() for each in text) else []


def _matches(info: SessionInfo, status: str, search: str | None, tags: list[str] | None) -> bool:
    named = f"{info.name or ''}\n{info.description or ''}".casefold()
    return (
        status in ("all", str(info.status))
        and (search is None or search.casefold() in named)
        and set(tags or ()).issubset(info.tags)
    )


def _brief(info: SessionInfo) -> dict[str, Any]:
    return {"session_id": info.id, "name": info.name, "description": info.description, "status": str(info.status)}


def _place(message: Message, wanted: str) -> str | None:
    """Return what stands around a text in a message, or None if it does not contain it."""
    content = message.content
    text = content if isinstance(content, str) else json.dumps(plain(content), ensure_ascii=False) if content else ""
    at = text.casefold().find(wanted)
    return None if at < 0 else text[max(0, at - 100) : at + len(wanted) + 100]
