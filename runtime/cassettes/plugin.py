"""The pytest plugin: a recording is a regression test.

Tests that are marked with `@pytest.mark.greenroom` run offline, against a bundle in the repository. pytest imports this
module at each start, so it imports nothing but pytest itself: the rest comes with the first marked test.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .run import CassetteRun

_MARK: Final = "greenroom"
_FIXTURE: Final = "greenroom_recording"
_SUFFIX: Final = ".bundle"
_FOLDER: Final = "cassettes"
_HELP: Final = (
    "what to do with tests marked `greenroom`: none (default) replays their cassettes and never goes online; missing"
    " records those that are not there; all records all anew"
)
_run: Final = pytest.StashKey["CassetteRun"]()
_passed: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("greenroom")
    group.addoption("--greenroom-record", choices=("none", "missing", "all"), default="none", help=_HELP)
    group.addoption("--greenroom-data", metavar="DIR", help="the store of recordings that tests name by session")
    parser.addini(
        "greenroom_redact",
        "rules for what cassettes must not hold: regular expressions, JSON paths",
        type="linelist",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker."""
    config.addinivalue_line(
        "markers",
        "greenroom(recording=None, *, strict=True): run offline against a recording: a bundle, or a session of a store."
        " With strict=False a call that has changed is answered and reported, and does not fail the test.",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let marked tests begin with the fixture: after fixtures of larger scopes, which other tests share, and before all
    of their own."""
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is None or item.get_closest_marker(_MARK) is None:
        return
    if _FIXTURE in names:
        names.remove(_FIXTURE)
    known: dict[str, Any] = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    first = next((at for at, name in enumerate(names) if name in known and known[name][-1].scope == "function"), None)
    names.insert(first if first is not None else len(names), _FIXTURE)


@pytest.fixture
def greenroom_recording(request: pytest.FixtureRequest) -> Iterator[CassetteRun]:
    """The recording that a marked test runs with. `is_recording` says whether it is being made just now; `tape` holds
    the calls, `path` is the bundle."""
    from greenroom.storage.errors import GreenroomError

    item = request.node
    missing = ""
    try:
        run = _begun(item)
    except GreenroomError as error:
        missing = str(error)
    if missing:  # outside of the handler, so that pytest does not show the error twice
        pytest.fail(f"greenroom: {missing}", pytrace=False)
    item.stash[_run] = run
    run.begin()
    try:
        yield run
    finally:
        run.end()
        del item.stash[_run]
    if not run.is_recording or run.path is None:
        return
    if not item.stash.get(_passed, False):
        item.add_report_section("teardown", _MARK, f"{run.path} is not written, as the test has not passed")
        return
    from .bundle import keep_tape

    keep_tape(run.tape, run.path, run.name, redact=item.config.getini("greenroom_redact"))


def _begun(item: pytest.Item) -> CassetteRun:
    """Return the run of a test. Raises ReplayError if there is no recording, and none is to be made."""
    from greenroom.runtime.recording.journal.bundles import tape_of_bundle
    from greenroom.storage.errors import ReplayError

    from .run import CassetteRun

    named, _ = _wanted(item)
    record = item.config.getoption("--greenroom-record")
    name = item.nodeid
    if named is not None and not named.endswith(_SUFFIX):
        return CassetteRun(name, None, _tape_in_store(item.config, named))
    path = _path(item, named)
    shown = _relative(path, item.config.rootpath)
    twin = _users(item).get(path)
    if twin is not None and twin != name:
        raise ReplayError(f"{shown} is the cassette of {twin} too: give each test its own")
    if record == "all" or (record == "missing" and not path.exists()):
        return CassetteRun(name, path, None)
    if not path.exists():
        raise ReplayError(
            f"there is no cassette {shown}, and the test runs offline. Record it, with the keys that the test needs:\n"
            f"    pytest '{name}' --greenroom-record=missing"
        )
    return CassetteRun(name, path, tape_of_bundle(path))


_used: Final = pytest.StashKey[dict[Path, str]]()


def _users(item: pytest.Item) -> dict[Path, str]:
    """Return the tests that use each bundle: two with one would overwrite each other's recording."""
    if (used := item.config.stash.get(_used, None)) is None:
        used = item.config.stash[_used] = {}
        for each in item.session.items:
            if each.get_closest_marker(_MARK) is not None:
                named, _ = _wanted(each)
                if named is None or named.endswith(_SUFFIX):
                    used[_path(each, named)] = each.nodeid
    return used


def _wanted(item: pytest.Item) -> tuple[str | None, bool]:
    """Return what the marker of a test names, and whether it is strict."""
    mark = item.get_closest_marker(_MARK)
    if mark is None:
        return None, True
    return _of_mark(*mark.args, **mark.kwargs)


def _of_mark(recording: object = None, *, strict: bool = True) -> tuple[str | None, bool]:
    return (str(recording) if recording is not None else None), strict


def _path(item: pytest.Item, named: str | None) -> Path:
    """Return where a bundle lies: a path with folders counts from the root of the project, a name alone is one in
    `cassettes/` beside the test."""
    beside = item.path.parent / _FOLDER
    if named is None:
        inside = item.nodeid.partition("::")[2].replace("::", ".")
        return beside / item.path.stem / (re.sub(r"[^\w.=-]+", "-", inside).strip("-")[:128] + _SUFFIX)
    return item.config.rootpath / named if "/" in named else beside / named


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _tape_in_store(config: pytest.Config, named: str) -> Any:
    """Return the recording of a session, named by id or by `key:` and its key."""
    from greenroom.runtime.config.settings import load_settings
    from greenroom.runtime.recording.journal.reading import tape_of
    from greenroom.runtime.runtime import Runtime

    data = load_settings({"data": config.getoption("--greenroom-data")}).data
    with Runtime.open(data, read_only=True) as runtime:
        key = named.removeprefix("key:")
        return tape_of(runtime.session(named) if key == named else runtime.session(key=key))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that passed, but did other things than were recorded."""
    run = item.stash.get(_run, None)
    if run is None:
        return (yield)
    try:
        result = yield
    except BaseException:
        if problems := run.problems():
            item.add_report_section("call", _MARK, "\n\n".join(problems))
        raise
    problems = run.problems()
    if not problems:
        item.stash[_passed] = True
        return result
    text = "\n\n".join(problems)
    if _wanted(item)[1]:
        advice = "If that is meant, record it anew: " + f"pytest '{item.nodeid}' --greenroom-record=all"
        pytest.fail(f"greenroom: the test does not do what was recorded.\n\n{text}\n\n{advice}", pytrace=False)
    item.warn(pytest.PytestWarning(f"greenroom: {text}"))
    return result
