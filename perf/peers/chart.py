"""A chart of what the peers need, for a page that is light or dark: bars on a logarithmic scale, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from measure import ratio_shown, shown

__all__ = ["draw"]

WIDTH, LEFT, RIGHT, LINE, GAP = 860, 360, 140, 17, 12
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.what { font-weight: 600 } .back { fill: #ffffff } .bar { fill: #8c959f } .ours { fill: #1a7f64 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .back { fill: #0d1117 } .bar { fill: #6e7681 } .ours { fill: #3fb995 }
}
"""


def draw(path: Path, figures: Sequence[Mapping[str, Any]]) -> None:
    """Write the chart of the figures of a contest's JSON: what survives a crash of the process, and what only reads.

    A bar is as long as the logarithm of the time is above that of the quickest one in the chart.
    """
    chosen = [each for each in figures if each["level"] != "machine" and each["unit"] == "s"]
    least, most = (math.log10(pick(each["median"] for each in chosen)) for pick in (min, max))
    per_decade = (WIDTH - LEFT - RIGHT - 20) / (most - least)
    parts: list[str] = []
    y = 44
    for what in dict.fromkeys(each["what"] for each in chosen):
        parts.append(f'<text class="what" x="12" y="{y}">{html.escape(what)}</text>')
        for each in sorted((each for each in chosen if each["what"] == what), key=lambda each: each["median"]):
            ours = each["peer"] == "greenroom"
            length = 20 + per_decade * (math.log10(each["median"]) - least)
            label = shown(each["median"], is_size=False) + ("" if ours else f", {ratio_shown(each['ratio'])}")
            parts += [
                f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{html.escape(each["peer"])}</text>',
                f'<rect class="{"ours" if ours else "bar"}" x="{LEFT}" y="{y - 11}" width="{length:.0f}" height="13"/>',
                f'<text x="{LEFT + length + 6:.0f}" y="{y}">{label}</text>',
            ]
            y += LINE
        y += GAP
    title = "Time of one call, on a logarithmic scale; written data survives kill -9 (SQLite: WAL, NORMAL)"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f'<rect class="back" width="{WIDTH}" height="{y}" rx="6"/><text x="12" y="20">{title}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n",
        encoding="utf-8",
    )
