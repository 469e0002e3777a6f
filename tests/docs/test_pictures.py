"""The pictures of docs/pictures show what the command line draws today."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOW = """
import json, runpy
from pathlib import Path
made = runpy.run_path("docs/pictures.py")
written = {each.stem: made["words"](each.read_text("utf-8")) for each in made["FOLDER"].iterdir()}
drawn = {name: made["words"](svg) for name, svg in made["pictures"]().items()}
print(json.dumps([written, drawn]))
"""


def test_every_picture_shows_what_is_drawn() -> None:
    made = subprocess.run([sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    written, drawn = json.loads(made.stdout)
    assert sorted(written) == sorted(drawn)
    for name, lines in drawn.items():
        assert any(line.strip() for line in lines)
        assert written[name] == lines, f"docs/pictures/{name}.svg: run python docs/pictures.py"
