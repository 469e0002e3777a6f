from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "data" / "artifacts.md"


def test_the_snippets_of_the_page_run() -> None:
    for number, text in enumerate(re.findall(r"```py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)):
        exec(compile(text, f"docs/data/artifacts.md, snippet {number + 1}", "exec"), {})
