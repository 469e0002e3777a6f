"""The snippets of docs/scripting run in their language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.scripting.globals import known_globals

_FOLDER = Path(__file__).parents[2] / "docs" / "scripting"
_SNIPPETS = [
    pytest.param(found[1], found[2], id=f"{page.stem}-{found[1]}-{number}")
    for page in sorted(_FOLDER.glob("*.md"))
    for number, found in enumerate(re.finditer(r"```(lua|js)\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize(("language", "source"), _SNIPPETS)
def test_a_snippet_runs(runtime: Runtime, language: str, source: str) -> None:
    runtime.run_script(source, language)


@pytest.mark.parametrize("name", [name for name in known_globals() if name])
def test_every_global_has_a_page_with_an_example_of_each_function(name: str) -> None:
    page = (_FOLDER / "reference" / f"{name.lower()}.md").read_text("utf-8")
    shown = [each for each in known_globals()[name].functions if not each.hidden]
    for function in shown:
        assert f"\n## {function.names[0]}\n" in page
        for other in function.names[1:]:
            assert f"`{other}`" in page
    assert page.count("\n```lua\n") == page.count("\n```js\n") == len(shown)


def test_links_within_the_guide_lead_somewhere() -> None:
    for page in (*_FOLDER.glob("*.md"), *_FOLDER.glob("reference/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
