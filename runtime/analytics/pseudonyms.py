"""Privacy mode: ids of sessions and names of people replaced by a keyed hash."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

from blake3 import blake3

from greenroom.actors.messages.events import RESERVED_FAMILIES
from greenroom.storage.errors import ConfigurationError, StorageError
from greenroom.storage.files.regular_file import open_regular

__all__ = ["Pseudonyms"]

_CONTEXT: Final = "greenroom 2026 analytics pseudonyms"
_LEAST_BYTES: Final = 16
_MOST_BYTES: Final = 1 << 16
_DIGEST_BYTES: Final = 12
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ROLES: Final = frozenset({"assistant", "developer", "function", "system", "tool", "user"})


class Pseudonyms:
    """Replaces session ids and names by pseudonyms. The same key gives the same pseudonyms.

    Without the key a pseudonym cannot be traced to a session, even by someone who knows all ids.
    """

    def __init__(self, key: bytes | None = None) -> None:
        """Create pseudonyms with a key; None makes a random key for this object."""
        self._key = blake3(key or secrets.token_bytes(32), derive_key_context=_CONTEXT).digest()

    @classmethod
    def from_file(cls, path: Path) -> Pseudonyms:
        """Read the key from a file; line ends at its end do not count. Raises ConfigurationError."""
        try:
            with open_regular(path, f"analytics_key_file: cannot read {path}") as file:
                key = file.read(_MOST_BYTES + 1).rstrip(b"\r\n")
        except StorageError as error:
            raise ConfigurationError(str(error), key="analytics_key_file") from None
        if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
            raise ConfigurationError(
                f"analytics_key_file: {path} must have {_LEAST_BYTES} to {_MOST_BYTES} bytes, as from: "
                "openssl rand -hex 32",
                key="analytics_key_file",
            )
        return cls(key)

    def session(self, session_id: str) -> str:
        """Return the pseudonym of a session."""
        return self._pseudonym("session", session_id.lower())

    def name(self, name: str) -> str:
        """Return the pseudonym of a creator's name."""
        return self._pseudonym("name", name)

    def text(self, text: str) -> str:
        """Return the text with every session id in it replaced by its pseudonym."""
        return _ID.sub(lambda found: self.session(found.group()), text)

    def event_type(self, type_: str) -> str:
        """Return the type of an event if it is one of the runtime's own, else "custom"."""
        return type_ if type_.partition(".")[0] in RESERVED_FAMILIES or type_.startswith("(") else "custom"

    def role(self, role: str) -> str:
        """Return the role of a message if it is a usual one, else "other"."""
        return role if role in _ROLES else "other"

    def _pseudonym(self, kind: str, text: str) -> str:
        digest = blake3(f"{kind}\0{text}".encode("utf-8", "surrogatepass"), key=self._key).hexdigest(_DIGEST_BYTES)
        return f"{kind}-{digest}"
