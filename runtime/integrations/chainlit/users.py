"""The users of a Chainlit app, and where steps and feedback are: Chainlit names those without their thread."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from greenroom.runtime import InvalidOperation, Runtime, Session, ValidationError
from greenroom.runtime.messages import ABSENT

from ..json_forms import read_again
from ..keys import key_of
from ..turns import Conversation

__all__ = ["FRAMEWORK", "Users", "now", "text_of"]

FRAMEWORK: Final = "chainlit"
_USER: Final = "user"


class Users:
    """Users, each a session of its own; and records of the session `chainlit:index`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._index = Conversation(runtime, f"{FRAMEWORK}:index", created_by=FRAMEWORK)

    def __repr__(self) -> str:
        return f"<Users in {self._runtime!r}>"

    def get(self, identifier: str) -> dict[str, Any] | None:
        """Return the fields of a user, or None."""
        found: Any = self._of(identifier).read(lambda session: session.get(_USER), None)
        return found if isinstance(found, dict) else None

    def put(self, identifier: str, display_name: str | None, metadata: dict[str, Any]) -> dict[str, Any]:
        """Store a user, or the metadata of one who is there, and return the fields."""
        known, _ = read_again(metadata, "metadata")

        def put(session: Session) -> dict[str, Any]:
            made = {
                "id": str(uuid4()),
                "identifier": identifier,
                "createdAt": now(),
                "display_name": display_name,
                "metadata": known,
            }
            self.locate("user", made["id"], identifier)
            try:
                session.set(_USER, made, expected=ABSENT)
            except InvalidOperation:
                there: Any = session.get(_USER)
                made = {**there, "metadata": known}
                session.set(_USER, made)
            return made

        before = self.get(identifier)
        if before is not None:
            made = {**before, "metadata": known}
            self._of(identifier).write(lambda session: session.set(_USER, made))
            return made
        return self._of(identifier).write(put)

    def identifier(self, user_id: str) -> str:
        """Return the name of the user with an id. Raises ValidationError if there is none."""
        found = self.located("user", user_id)
        if not isinstance(found, str):
            raise ValidationError(f"user_id: there is no user {user_id!r}: create_user makes one", field="user_id")
        return found

    def locate(self, kind: str, id: str, where: object) -> None:
        """Keep where something is, which is known by its id alone."""
        key = _key(kind, id)
        self._index.write(lambda session: session.records.put(key, where))

    def located(self, kind: str, id: object) -> Any:
        """Return where something is, or None."""
        if not isinstance(id, str):
            return None
        key = _key(kind, id)
        return self._index.read(lambda session: session.records.get(key), None)

    def forget(self, kind: str, ids: list[str]) -> None:
        """Keep no longer where things are."""
        keys = [_key(kind, each) for each in ids]
        if keys:
            self._index.read(lambda session: session.records.delete_many(keys), 0)

    def _of(self, identifier: str) -> Conversation:
        return Conversation(self._runtime, key_of(f"{FRAMEWORK}:user", identifier, "identifier"), created_by=FRAMEWORK)


def _key(kind: str, id: str) -> str:
    return key_of(kind, id, "id")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def text_of(value: object, field: str) -> str:
    """Return a text. Raises ValidationError for what is none."""
    if not isinstance(value, str):
        raise ValidationError(f"{field}: a text is needed, not {type(value).__name__}", field=field)
    return str.__str__(value)
