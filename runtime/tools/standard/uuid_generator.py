"""The tool `uuid_generator`."""

from __future__ import annotations

import secrets
import uuid
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Le
from pydantic import BeforeValidator

from greenroom.runtime.calls.work import CallContext
from greenroom.storage.errors import ValidationError

from .inputs import AnyText, any_case

__all__ = ["uuid_generator"]

_NAMESPACES: Final = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}
_FORMATS: Final = {
    "hyphenated": "standard",
    "default": "standard",
    "canonical": "standard",
    "compact": "simple",
    "hex": "simple",
    "no_hyphens": "simple",
    "upper": "uppercase",
    "guid": "braced",
}


def _version(value: Any) -> Any:
    """Return "v4", "V4", "4" and 4.0 as 4."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        digits = value.strip().lower().removeprefix("v")
        return int(digits) if digits in ("1", "4", "5", "7") else value
    return value


def uuid_generator(
    version: Annotated[Literal[1, 4, 5, 7] | None, BeforeValidator(_version)] = None,
    format: Annotated[Literal["standard", "simple", "urn", "uppercase", "braced"], any_case(_FORMATS)] = "standard",
    namespace: str | None = None,
    name: AnyText | None = None,
    count: Annotated[int, Ge(1), Le(1000)] | None = None,
    operation: Annotated[Literal["generate"], any_case()] = "generate",
    *,
    context: CallContext,
) -> str | list[str]:
    """Return a UUID, or a list of `count`. Version 4 (the default) is random, 7 begins with the time, 1 has the time
    and a random node, 5 (the default with a `name`) is the hash of a name in a `namespace`: dns (the default), url,
    oid, x500 or a UUID. `format`: standard, simple (no hyphens), urn, uppercase or braced."""
    version = version if version is not None else 4 if name is None else 5
    if version == 5:
        if name is None:
            raise ValidationError("name: a UUID of version 5 needs one", field="name")
        made = [uuid.uuid5(_namespace(namespace), name)] * (count or 1)
    else:
        made = [_made(version, context) for _ in range(count or 1)]
    shown = [_formatted(each, format) for each in made]
    return shown[0] if count is None else shown


def _made(version: int, context: CallContext) -> uuid.UUID:
    if version == 4:
        return uuid.uuid4()
    if version == 1:
        # The default node is the machine's hardware address, which scripts have no business to know.
        return uuid.uuid1(node=secrets.randbits(48) | (1 << 40))
    milliseconds = int(context.now().timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value)


def _namespace(given: str | None) -> uuid.UUID:
    if given is None:
        return uuid.NAMESPACE_DNS
    known = _NAMESPACES.get(given.strip().lower())
    if known is not None:
        return known
    try:
        return uuid.UUID(given)
    except ValueError:
        names = ", ".join(_NAMESPACES)
        raise ValidationError(f"namespace: one of {names}, or a UUID, is needed", field="namespace") from None


def _formatted(value: uuid.UUID, format: str) -> str:
    if format == "simple":
        return value.hex
    if format == "urn":
        return value.urn
    if format == "uppercase":
        return str(value).upper()
    return f"{{{value}}}" if format == "braced" else str(value)
