"""The snippets of every page run: those of one page one after the other, in one directory."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime

from ..warm import run_warm

DOCS = Path(__file__).parents[2] / "docs"
SNIPPET = re.compile(r"^```(python|py|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FRAGMENTS = {"bundle", "failed-at-step-14", "performance", "security"}
"""The pages with snippets that are parts of programs."""
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    # Pages about integrations run where their frameworks are installed: tests/integrations.
    if page.stem not in FRAGMENTS and page.parent.name != "integrations" and SNIPPET.search(page.read_text())
]
ABOUT_THE_API = [
    page for page in PAGES if page.parent.name in ("control", "data", "scripting") and page.stem != "workflows"
]
"""Pages of which only the Python runs: their commands are examples for stores that there are not."""


@pytest.mark.parametrize("page", ABOUT_THE_API, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    try:
        for number, (kind, text) in enumerate(SNIPPET.findall(page.read_text("utf-8")), start=1):
            if kind != "console":
                exec(compile(text, f"{page.name}, snippet {number}", "exec"), names)
    finally:
        for each in names.values():
            if isinstance(each, Runtime):
                each.close()


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ABOUT_THE_API], ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    source = ""
    for kind, text in SNIPPET.findall(page.read_text("utf-8")):
        if kind != "console":
            source += text
            continue
        run(["-c", source], tmp_path)
        source = ""
        for line in text.splitlines():
            if line.startswith("$ greenroom "):
                run(["-m", "greenroom.runtime.cli", *line.partition("  #")[0].split()[2:]], tmp_path)
    run(["-c", source], tmp_path)


def run(words: list[str], folder: Path) -> None:
    if words == ["-c", ""]:
        return
    done = run_warm([sys.executable, *words], cwd=folder)
    if done.returncode:
        pytest.fail(f"{words[-1][-2000:]}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
