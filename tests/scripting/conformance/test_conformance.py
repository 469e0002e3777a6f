"""Every function of every global, under every name, in every language: it does what its definition says.

The table is printed by the last test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.agents import echo
from greenroom.scripting.definition.examples import Variable
from greenroom.scripting.globals import known_globals
from tests.scripting.js.conftest import MISSING

from .checks import LANGUAGES, TAKES_ANYTHING, Case, cases, run_bad, run_good

TABLE: dict[tuple[str, str], list[str]] = {}
CASES = cases()


@pytest.fixture(scope="module")
def rt() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        runtime.agents.register("echo", echo)
        yield runtime


def test_every_function_has_an_example_and_a_text() -> None:
    functions = [each for found in known_globals().values() for each in found.functions if not each.hidden]
    assert [each.name for each in functions if each.example is None] == []
    assert [each.name for each in functions if not each.summary] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_function_does_what_its_definition_says(rt: Runtime, tmp_path: Path, case: Case) -> None:
    if case.language == "js" and MISSING:
        pytest.skip("the extra [js] is not installed")
    row = TABLE.setdefault((case.called, case.language), ["✗", "✗", "✗"])
    assert run_good(rt, case, tmp_path) == []
    row[0] = "✓"
    if case.function.name in TAKES_ANYTHING:
        row[1] = "–"
    else:
        assert run_bad(rt, case, tmp_path) == []
        row[1] = "✓"
    row[2] = "–"
    shown = case.function.example.arguments
    if case.function.on is not None and shown and isinstance(shown[0], Variable):
        assert run_good(rt, case, tmp_path, method=True) == []
        row[2] = "✓"


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer to the example has the documented shape; wrong input is a typed error; it is a method too."""
    if len(TABLE) < len({(case.called, case.language) for case in CASES}):
        pytest.skip("not all functions were called")
    names = list(dict.fromkeys(called for called, _ in TABLE))
    width = max(map(len, names))
    with capsys.disabled():
        print(f"\n{'function':{width}}  " + "  ".join(f"{each:^17}" for each in LANGUAGES))
        print(f"{'':{width}}  " + "  ".join("good  bad  method " for _ in LANGUAGES))
        for name in names:
            cells = [TABLE[name, each] for each in LANGUAGES]
            print(f"{name:{width}}  " + "  ".join("{:^4} {:^4} {:^8}".format(*each) for each in cells))
    assert [name for name, row in TABLE.items() if "✗" in row] == []
