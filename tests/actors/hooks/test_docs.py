"""The snippets of docs/control/hooks.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.hooks import POINTS

PAGE = (Path(__file__).parents[3] / "docs" / "control" / "hooks.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(rt: Runtime, number: int) -> None:
    kind, text = SNIPPETS[number]
    if kind == "lua":
        assert rt.run_script(text).output == "false\tHookCancelled\t1\n"
    else:
        exec(compile(text, f"docs/control/hooks.md, snippet {number + 1}", "exec"), {})


def test_the_page_names_every_point() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    for each in re.findall(r"`…(\w+)`", PAGE):
        named |= {f"Session{each}", f"BeforeSession{each}"}
    assert POINTS - named == set()
