"""Threads: sessions with messages as turns, other steps and feedback as records, elements as artifacts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from greenroom.runtime import (
    ArtifactNotFound,
    Conflict,
    InvalidOperation,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
)
from greenroom.runtime.messages import ABSENT

from ..json_forms import read_again
from ..keys import key_of
from ..turns import MAX_TRIES, Conversation
from .users import FRAMEWORK, Users, now, text_of

__all__ = ["Threads", "element_file"]

T = TypeVar("T")

_THREAD: Final = "thread"
_ROLES: Final = {"user_message": "user", "assistant_message": "assistant", "system_message": "system"}
_FAVORITES: Final = "chainlit-favorites"
_MOST_NAME: Final = 255
_FIELDS: Final[dict[str, Any]] = {
    "parentId": None,
    "streaming": False,
    "waitForAnswer": None,
    "isError": None,
    "metadata": {},
    "tags": None,
    "input": "",
    "output": "",
    "createdAt": None,
    "start": None,
    "end": None,
    "generation": None,
    "showInput": None,
    "language": None,
}
"""The fields of a step that are not kept where they are as here."""
_ELSEWHERE: Final = ("threadId", "feedback")


class Threads:
    """The threads of a store."""

    def __init__(self, runtime: Runtime, users: Users) -> None:
        self._runtime = runtime
        self._users = users

    def __repr__(self) -> str:
        return f"<Threads in {self._runtime!r}>"

    # -- threads

    def session(self, thread_id: str) -> Session | None:
        """Return the session of a thread, or None."""
        return self._of(thread_id).session()

    def head(self, thread_id: str) -> dict[str, Any] | None:
        """Return what a thread has beside its steps and elements, or None."""
        return self._of(thread_id).read(_head, None)

    def get(self, thread_id: str) -> dict[str, Any] | None:
        """Return a thread with its steps and elements, or None."""

        def whole(session: Session) -> dict[str, Any] | None:
            head = _head(session)
            return head and {**head, "steps": _steps(session), "elements": [*_elements(session)]}

        return self._of(thread_id).read(whole, None)

    def update(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[Any, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Change what is given of a thread, and create it if there is none."""
        author = self._users.identifier(user_id) if user_id else None
        merged, _ = read_again(metadata or {}, "metadata")
        given = {"name": name, "userId": user_id, "userIdentifier": author, "tags": tags}

        def change(session: Session) -> None:
            before: Any = session.get(_THREAD, ABSENT)
            head = _new(thread_id) if before is ABSENT else before
            kept = {key: value for key, value in {**head["metadata"], **merged}.items() if value is not None}
            after = {**head, **{key: value for key, value in given.items() if value is not None}, "metadata": kept}
            if name is None and isinstance(kept.get("name"), str):
                after["name"] = kept["name"]
            if after == before:
                return
            with session.batch() as batch:
                batch.set(_THREAD, after, expected=before)
                if after["name"] is not None and after["name"] != head["name"]:
                    batch.rename(after["name"][:_MOST_NAME])
                if after["userId"] != head["userId"]:
                    if head["userId"] is not None:
                        batch.remove_tag(_tag(head["userId"]))
                    batch.add_tag(_tag(after["userId"]))

        self._of(thread_id).write(lambda session: _again(lambda: change(session)))

    def delete(self, thread_id: str) -> None:
        """Delete a thread with all that it has."""
        session = self.session(thread_id)
        if session is None:
            return
        steps: list[Any] = [row["step"]["id"] for _, row in session.records.scan(b"step/")]  # type: ignore[index,call-overload]
        feedback: list[Any] = [row["id"] for _, row in session.records.scan(b"feedback/")]  # type: ignore[index,call-overload]
        with contextlib.suppress(SessionNotFound):
            session.delete()
        self._users.forget("step", steps)
        self._users.forget("feedback", feedback)

    def page(
        self, user_id: str, first: int, cursor: str | None, search: str | None, feedback: int | None
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return the first threads of a user after a cursor, the last changed first, and whether there are more."""
        found: list[dict[str, Any]] = []
        after = cursor is None or self.head(cursor) is None
        for session in self._of_user(user_id):
            with contextlib.suppress(SessionNotFound):
                head = _head(session)
                if head is None or not after:
                    after = after or (head is not None and head["id"] == cursor)
                elif _matches(session, head, search, feedback):
                    if len(found) >= first:
                        return found, True
                    found.append({**head, "steps": [], "elements": []})
        return found, False

    def favorites(self, user_id: str) -> list[dict[str, Any]]:
        """Return the favorite steps of a user, newest first."""
        found = []
        for session in self._of_user(user_id, _FAVORITES):
            with contextlib.suppress(SessionNotFound):
                found += [step for step in _steps(session) if _is_favorite(step)]
        return sorted(found, key=_created, reverse=True)

    def _of_user(self, user_id: str, *tags: str) -> Iterator[Session]:
        infos = self._runtime.iterate_sessions(
            tags=[_tag(user_id), *tags], status="all", sort_by="updated_at", descending=True
        )
        for info in infos:
            with contextlib.suppress(SessionNotFound):
                yield self._runtime.session(info.id)

    def _of(self, thread_id: str) -> Conversation:
        return Conversation(self._runtime, key_of(f"{FRAMEWORK}:thread", thread_id, "thread_id"), created_by=FRAMEWORK)

    # -- steps

    def put_step(self, step: dict[str, Any]) -> None:
        """Store a step, or what is given of one that is there."""
        step_id, thread_id = text_of(step.get("id"), "id"), text_of(step.get("threadId"), "threadId")
        given, _ = read_again(
            {key: value for key, value in step.items() if value is not None and key not in _ELSEWHERE}, "step"
        )
        self.update(thread_id)
        if self._users.located("step", step_id) != thread_id:
            self._users.locate("step", step_id, thread_id)
        self._of(thread_id).write(lambda session: _again(lambda: _put_step(session, step_id, given)))

    def delete_step(self, step_id: str) -> None:
        """Delete a step with its feedback and its elements."""
        thread_id = self._users.located("step", step_id)
        if thread_id is None:
            return

        def delete(session: Session) -> None:
            row: Any = session.records.get(_key("step", step_id))
            feedback: Any = session.records.get(_key("feedback", step_id))
            elements = [each["id"] for each in _elements(session) if each.get("forId") == step_id]
            turn = _turn(session, row)
            with session.batch() as batch:
                if turn is not None:
                    batch.retract_message(turn.sequence)
                batch.records.delete_many([_key("step", step_id), _key("feedback", step_id)])
            for each in elements:
                _delete_element(session, each)
            self._users.forget("step", [step_id])
            self._users.forget("feedback", [feedback["id"]] if feedback else [])

        self._of(thread_id).read(delete, None)

    # -- feedback

    def put_feedback(self, step_id: str, given: dict[str, Any]) -> str:
        """Store the feedback on a step, and return its id."""
        thread_id = self._users.located("step", step_id)
        if thread_id is None:
            raise ValidationError(f"forId: there is no step {step_id!r}", field="forId")
        made = {**given, "id": given["id"] or str(uuid4()), "forId": step_id}
        before = self._users.located("feedback", made["id"])
        self._users.locate("feedback", made["id"], step_id)
        self._of(thread_id).write(lambda session: session.records.put(_key("feedback", step_id), made))
        if before is not None and before != step_id:  # it was on another step
            self._take_feedback(before, made["id"])
        return str(made["id"])

    def delete_feedback(self, feedback_id: str) -> bool:
        """Delete a feedback, and return whether there was one."""
        step_id = self._users.located("feedback", feedback_id)
        self._users.forget("feedback", [feedback_id] if step_id is not None else [])
        return step_id is not None and self._take_feedback(step_id, feedback_id)

    def _take_feedback(self, step_id: str, feedback_id: str) -> bool:
        thread_id = self._users.located("step", step_id)
        if thread_id is None:
            return False

        def take(session: Session) -> bool:
            row: Any = session.records.get(_key("feedback", step_id))
            return row is not None and row["id"] == feedback_id and session.records.delete(_key("feedback", step_id))

        return self._of(thread_id).read(take, False)

    # -- elements

    def put_element(self, fields: dict[str, Any], content: bytes | None, path: str | None) -> None:
        """Store an element, and its content: bytes, or a file."""
        element_id, thread_id = text_of(fields["id"], "id"), text_of(fields.get("threadId"), "threadId")
        row, _ = read_again({**fields, "stored": bool(content or path)}, "element")
        self.update(thread_id)

        def put(session: Session) -> None:
            with contextlib.ExitStack() as stack:
                source: Any = stack.enter_context(Path(path).open("rb")) if path else content
                if source:
                    session.store_artifact(
                        "chainlit_element",
                        element_file(element_id),
                        source,
                        mime_type=fields.get("mime") or "application/octet-stream",
                        description=str(fields.get("name") or "") or None,
                    )
            session.records.put(_key("element", element_id), row)

        self._of(thread_id).write(put)

    def element(self, thread_id: str, element_id: str) -> dict[str, Any] | None:
        """Return the fields of an element, or None."""
        found: Any = self._of(thread_id).read(lambda session: session.records.get(_key("element", element_id)), None)
        return found if isinstance(found, dict) else None

    def delete_element(self, element_id: str, thread_id: str | None) -> None:
        """Delete an element and its content. Chainlit always says of which thread."""
        if thread_id is not None:
            self._of(thread_id).read(lambda session: _delete_element(session, element_id), None)


def element_file(element_id: str) -> str:
    """Return the name of the artifact that has an element's content."""
    return f"element-{sha256(element_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _new(thread_id: str) -> dict[str, Any]:
    return {
        "id": thread_id,
        "createdAt": now(),
        "name": None,
        "userId": None,
        "userIdentifier": None,
        "tags": None,
        "metadata": {},
    }


def _tag(user_id: str) -> str:
    return f"chainlit-user:{sha256(user_id.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


def _key(kind: str, id: str) -> bytes:
    """Return the key of a record: the beginning says what it is."""
    raw = id.encode("utf-8", "surrogatepass")
    if len(raw) > 256 or raw.startswith(b"sha256:"):
        raw = b"sha256:" + sha256(raw).hexdigest().encode()
    return kind.encode() + b"/" + raw


def _again(change: Callable[[], T]) -> T:
    """Return what a change returns, which is made again if something came between. Raises Conflict if that happens
    without end."""
    for _ in range(MAX_TRIES - 1):
        try:
            return change()
        except Conflict:
            continue
        except InvalidOperation as error:
            if not error.fields.get("conflict"):
                raise
    return change()


def _head(session: Session) -> dict[str, Any] | None:
    head: Any = session.get(_THREAD)
    return head if isinstance(head, dict) else None


def _turn(session: Session, row: Any) -> Any:
    """Return the turn of a step, or None: it is no message, or its turn was retracted by others."""
    sequence = row["turn"] if row is not None else None
    if sequence is None:
        return None
    turns = session.messages(1, before=sequence + 1)
    return turns[0] if turns and turns[0].sequence == sequence else None


def _put_step(session: Session, step_id: str, given: dict[str, Any]) -> None:
    """Store a step in one write: a message is a turn, whose content is in no other place."""
    sequence = session.info().sequence
    row: Any = session.records.get(_key("step", step_id))
    turn = _turn(session, row)
    fields = {**(row["step"] if row is not None else {}), **given}
    output: Any = fields.pop("output", turn.content if turn is not None else None)
    role = _ROLES.get(fields.get("type", ""))
    place = turn.sequence if turn is not None else None
    was = row is not None and _is_favorite(row["step"])
    with session.batch(expected_sequence=sequence) as batch:
        if turn is not None:
            if isinstance(output, str) and output != turn.content:
                batch.edit_message(turn.sequence, content=output)
        elif role is not None and isinstance(output, str):
            batch.add_message(role, output, metadata={"step_id": step_id})
            place = sequence + 1
        elif output is not None:
            fields["output"] = output
        kept = {key: value for key, value in fields.items() if key not in _FIELDS or value != _FIELDS[key]}
        batch.records.put(_key("step", step_id), {"turn": place, "step": kept})
        if _is_favorite(fields) and not was:
            batch.add_tag(_FAVORITES)


def _steps(session: Session) -> list[dict[str, Any]]:
    """Return the steps of a thread, oldest first, each with its feedback."""
    turns = {turn.sequence: turn.content for turn in session.messages()}
    rows: Any = session.records.scan(b"step/")
    feedback: Any = {row["forId"]: row for _, row in session.records.scan(b"feedback/")}  # type: ignore[index,call-overload]
    thread_id = (_head(session) or {}).get("id")
    steps = []
    for _, row in rows:
        place = row["turn"]
        if place is not None and place not in turns:
            continue  # it was retracted by others
        step = {
            **_FIELDS,
            "metadata": {},
            **row["step"],
            "threadId": thread_id,
            "feedback": feedback.get(row["step"]["id"]),
        }
        if place is not None:
            step["output"] = turns[place]
        if step["showInput"] in (None, False, "false"):
            step["input"] = ""
        steps.append((step["createdAt"] or "", place or 0, step))
    return [step for *_, step in sorted(steps, key=lambda each: each[:2])]


def _elements(session: Session) -> Iterator[dict[str, Any]]:
    rows: Any = session.records.scan(b"element/")
    for _, row in rows:
        yield row


def _delete_element(session: Session, element_id: str) -> None:
    session.records.delete(_key("element", element_id))
    with contextlib.suppress(ArtifactNotFound):
        session.delete_artifact(element_file(element_id))


def _is_favorite(step: dict[str, Any]) -> bool:
    return bool((step.get("metadata") or {}).get("favorite"))


def _created(step: dict[str, Any]) -> str:
    return step["createdAt"] or ""


def _matches(session: Session, head: dict[str, Any], search: str | None, feedback: int | None) -> bool:
    if feedback is not None:
        rows: Any = session.records.scan(b"feedback/")
        if not any(row["value"] == feedback for _, row in rows):
            return False
    if not search:
        return True
    wanted = search.lower()
    return wanted in (head["name"] or "").lower() or any(
        wanted in str(step["output"]).lower() for step in _steps(session)
    )
