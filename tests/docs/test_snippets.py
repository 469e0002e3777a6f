"""The snippets of the pages that no other test runs: those of one page one after the other, in one directory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    [DOCS / "concepts.md", DOCS / "control" / "workflows.md", *DOCS.glob("tutorials/*.md"), *DOCS.glob("how-to/*.md")]
)
SNIPPET = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    greenroom = shutil.which("greenroom", path=str(Path(sys.executable).parent))
    assert greenroom is not None, "the greenroom command is not installed"
    source = ""
    for kind, text in SNIPPET.findall(page.read_text("utf-8")):
        if kind == "python":
            source += text
            continue
        run([sys.executable, "-c", source], tmp_path)
        source = ""
        for line in text.splitlines():
            if line.startswith("$ greenroom "):
                run([greenroom, *line.partition("  #")[0].split()[2:]], tmp_path)
    run([sys.executable, "-c", source], tmp_path)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.fail(f"{command[-1][-2000:]}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
