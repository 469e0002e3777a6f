"""The pages of docs/reference are what the code says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOW = """
import json, runpy
made = runpy.run_path("docs/generate.py")
print(json.dumps({name: made["page"](name) for name in made["PAGES"]}))
"""


def test_every_page_is_what_the_code_says() -> None:
    made = subprocess.run([sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = json.loads(made.stdout)
    assert sorted(pages) == sorted(each.name for each in (ROOT / "docs" / "reference").iterdir())
    for name, text in pages.items():
        written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
        assert text == written, f"docs/reference/{name}: run python docs/generate.py"
