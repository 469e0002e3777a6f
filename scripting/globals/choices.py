"""Tables of options that functions of several globals take."""

from __future__ import annotations

from typing import Final

from greenroom.runtime import SessionQuery
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.types import ANYTHING, FLAG, TEXT, WHOLE

__all__ = ["HOW", "QUERY"]

HOW: Final = Options({"expected_sequence": WHOLE, "idempotency_key": TEXT})
"""Options of all functions that change a session."""
QUERY: Final = Options.of(
    SessionQuery,
    {"parent_session_id": "parent", "search_text": "search", "sort_desc": "descending"},
    parent=ANYTHING,
    descending=FLAG,
)
"""The criteria of listings of sessions."""
