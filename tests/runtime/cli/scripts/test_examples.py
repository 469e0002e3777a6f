"""The examples in Lua and JavaScript run as their first lines say, and print what stands behind their arrows."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
COMMENTS = {".lua": "--", ".js": "//"}
FILES = sorted(
    str(path.relative_to(EXAMPLES))
    for path in EXAMPLES.glob("*/*")
    if path.suffix in COMMENTS and path.parent.name != "demo"
)
PLUGIN = "my_tools"


def commands(text: str, comment: str) -> list[list[str]]:
    """Return the command lines that an example names, in order."""
    return [shlex.split(line) for line in re.findall(rf"(?m)^{comment} +\$ greenroom (.*)$", text)]


def expected(text: str, comment: str) -> str:
    """Return what stands behind the arrows, as a pattern."""
    lines = re.findall(rf"(?m)^\s*{comment}> ?(.*)$", text)
    return "".join(".*?".join(map(re.escape, line.split("…"))) + r"\n" for line in lines)


@pytest.fixture
def examples(tmp_path: Path, greenroom: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples, which is the working directory; a store is made in it."""
    for name in {Path(name).parent.name for name in FILES}:
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    shutil.copy(EXAMPLES / f"{PLUGIN}.py", tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, PLUGIN, raising=False)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_an_example_prints_what_it_says(name: str, examples: Path, greenroom: Any) -> None:
    path = examples / name
    if path.suffix == ".js":
        pytest.importorskip("quickjs_rs")
    text, comment = path.read_text(encoding="utf-8"), COMMENTS[path.suffix]
    found = commands(text, comment)
    assert found
    assert found[-1][:2] == ["run", name]
    for words in found[:-1]:
        greenroom(*words)
    said = greenroom(*found[-1])
    assert re.fullmatch(expected(text, comment), said.stdout), said.stdout
    assert said.stderr == ""


def test_every_example_stands_in_both_languages() -> None:
    names = {suffix: {Path(name).stem for name in FILES if name.endswith(suffix)} for suffix in COMMENTS}
    assert len(names[".lua"]) >= 10
    if names[".js"]:
        assert names[".lua"] == names[".js"]


def test_every_arrow_is_followed_by_something_that_is_printed() -> None:
    """A comment that only looks like an arrow would be left out of the comparison unseen."""
    for name in FILES:
        path = EXAMPLES / name
        comment = COMMENTS[path.suffix]
        odd = re.findall(rf"(?m)^.*\S.*{comment}>.*$", path.read_text(encoding="utf-8"))
        assert [line for line in odd if not line.lstrip().startswith(f"{comment}>")] == []
