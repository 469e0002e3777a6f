"""Check the options of a new session that are not plain names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import pydantic
from annotated_types import MaxLen, MinLen

from greenroom.actors import messages as m
from greenroom.storage.common.validation import refusal

__all__ = ["check_new_session"]


class _NewSession(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    name: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None
    description: Annotated[str, MaxLen(m.MAX_TEXT)] | None
    created_by: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None
    correlation_id: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None


_check: Final = _NewSession.__pydantic_validator__.validate_python


def check_new_session(options: Mapping[str, Any]) -> None:
    """Raise ValidationError if an option of a new session is impossible."""
    try:
        _check(options)
    except pydantic.ValidationError as error:
        raise refusal(error, _NewSession) from None
