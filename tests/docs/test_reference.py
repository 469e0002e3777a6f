"""The pages of docs/reference and docs/scripting/reference are what the code says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOW = """
import json, runpy
print(json.dumps(runpy.run_path("docs/generate.py")["pages"]()))
"""
FOLDERS = ("reference", "scripting/reference")


def test_every_page_is_what_the_code_says() -> None:
    made = subprocess.run([sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = json.loads(made.stdout)
    docs = ROOT / "docs"
    assert sorted(pages) == sorted(f"{folder}/{each.name}" for folder in FOLDERS for each in (docs / folder).iterdir())
    for path, text in pages.items():
        assert text == (docs / path).read_text("utf-8"), f"docs/{path}: run python docs/generate.py"
