"""The colours of the debugger. Those of the other commands are the terminal's own: textual replaces them by shades that
can hardly be told apart."""

from __future__ import annotations

from typing import Final

from rich.style import Style

__all__ = ["CHOSEN", "CHOSEN_ELSEWHERE", "shade"]

_SHADES: Final = {
    "magenta": "#d58ad5",
    "blue": "#6cb2ff",
    "yellow": "#e5c07b",
    "green": "#7bd88f",
    "cyan": "#56d4dd",
    "red": "#ff5f5f",
}
CHOSEN: Final = Style(bgcolor="#204a75", bold=True)
"""The selected line where keys go."""
CHOSEN_ELSEWHERE: Final = Style(bgcolor="#3a3a3a")
"""The selected line of a part of the screen to which no keys go."""


def shade(style: str) -> str:
    """Return a style with our shades of the colours that it names."""
    return " ".join(_SHADES.get(word, word) for word in style.split())
