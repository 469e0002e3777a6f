"""The snippets of docs/integrations run, those of one page one after the other, where its framework is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ADAPTERS, is_installed

SNIPPET = re.compile(r"^```(?:python|py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [
    page
    for page in sorted((Path(__file__).parents[2] / "docs" / "integrations").glob("*.md"))
    if page.stem not in ADAPTERS or is_installed(page.stem)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    source = "".join(SNIPPET.findall(page.read_text("utf-8")))
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_the_list_of_adapters_names_every_page() -> None:
    folder = Path(__file__).parents[2] / "docs" / "integrations"
    listed = set(re.findall(r"\]\((\w+\.md)\)", (folder / "README.md").read_text("utf-8")))
    assert listed == {page.name for page in folder.glob("*.md")} - {"README.md"}
