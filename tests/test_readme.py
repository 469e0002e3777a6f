"""Every snippet of the README runs, in its order, in one directory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
CONVERSATION = '{"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]}\n'


def test_the_snippets_of_the_readme_run(tmp_path: Path) -> None:
    kinds = [kind for kind, _ in SNIPPETS]
    assert kinds == ["console", *["python"] * 5, "lua", "python", "console"]
    greenroom = shutil.which("greenroom", path=str(Path(sys.executable).parent))
    assert greenroom is not None, "the greenroom command is not installed"
    (tmp_path / "conversation.jsonl").write_text(CONVERSATION, encoding="utf-8")
    for kind, text in SNIPPETS[1:]:
        if kind == "lua":
            (tmp_path / "script.lua").write_text(text, encoding="utf-8")
        elif kind == "python":
            _run([sys.executable, "-c", text], tmp_path)
        else:
            for line in text.splitlines():
                assert line.startswith("$ greenroom ")
                output = _run([greenroom, *line.split()[2:]], tmp_path)
                if "sessions list" in line:
                    assert "Analysis" not in output  # completed sessions are not in the default listing
                    assert "From Lua" in output


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
