"""What `import greenroom.runtime` brings, and when: names whose rooms few hosts need come when they are asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from greenroom import runtime
from greenroom.runtime import public

_LATE = (
    "greenroom.actors.replay",
    "greenroom.actors.search",
    "greenroom.actors.transfer.fork",
    "greenroom.actors.transfer.recording",
    "greenroom.runtime.agents",
    "greenroom.runtime.approvals",
    "greenroom.runtime.calls",
    "greenroom.runtime.handles.templates",
    "greenroom.runtime.retention.quotas",
    "greenroom.runtime.scripts",
    "greenroom.runtime.search",
    "greenroom.runtime.state",
    "greenroom.runtime.tools",
    "greenroom.runtime.workflow",
    "greenroom.storage.search.index",
    "greenroom.actors.maintenance.gc",
    "greenroom.actors.maintenance.salvage",
    "greenroom.actors.maintenance.verification",
    "greenroom.actors.transfer.bundle_export",
    "greenroom.actors.transfer.bundle_import",
    "greenroom.runtime.analytics",
    "greenroom.runtime.cli",
    "greenroom.runtime.handles.conversation",
    "greenroom.runtime.handles.debugging",
    "greenroom.runtime.handles.reading.past",
    "greenroom.runtime.ingest",
    "greenroom.runtime.model",
    "greenroom.runtime.replay.controls",
    "greenroom.runtime.retention.policy",
    "deepdiff",
    "pyfastcdc",
    "rapidfuzz",
    "rich",
    "sqlite3",
    "textual",
    "typer",
)
_LATE_LIBRARIES = {"asyncio", "ctypes.util", "email", "http", "importlib.metadata", "secrets", "sqlite3", "ssl"}
"""What takes long to import, and the runtime itself does not use."""

_NEEDED = {
    "actors.access",
    "actors.events",
    "actors.hooks",
    "actors.maintenance",
    "actors.messages",
    "actors.policies",
    "actors.scheduling",
    "actors.session",
    "actors.supervisor",
    "actors.transfer",
    "runtime.events",
    "runtime.handles",
    "runtime.retention",
    "storage.artifacts",
    "storage.catalog",
    "storage.codec",
    "storage.common",
    "storage.concurrency",
    "storage.content",
    "storage.engine",
    "storage.events",
    "storage.files",
    "storage.records",
    "storage.search",
}
"""The rooms that come with `Runtime`: of `actors.maintenance` what opens a store alone."""


def test_importing_the_runtime_loads_these_rooms_and_libraries_alone() -> None:
    program = """
import sys
before = set(sys.modules)
from greenroom.runtime import Runtime
print(*(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = [name.removeprefix("greenroom.") for name in done.stdout.split() if name.startswith("greenroom.")]
    assert {".".join(name.split(".")[:2]) for name in loaded if name.count(".") > 1} == _NEEDED
    assert [name for name in loaded if name.startswith("actors.maintenance.")] == ["actors.maintenance.opening"]
    others = {name.split(".")[0] for name in done.stdout.split()} - {"greenroom", "typing_extensions"}
    libraries = {name for name in others - sys.stdlib_module_names if "cython" not in name and name[0] != "_"}
    assert libraries == {"blake3", "lz4", "msgpack", "pykka", "rocksdict"}
    assert _LATE_LIBRARIES.isdisjoint(done.stdout.split())


def test_a_host_that_uses_sessions_alone_loads_no_room_that_few_need(tmp_path: Path) -> None:
    program = f"""
import sys
from greenroom.runtime import Runtime

with Runtime.open({str(tmp_path / "store")!r}) as rt:
    session = rt.create_session(name="n", tags=["t"])
    session.set("k", 1)
    session.add_message("user", "hi")
    session.store_artifact("log", "a.txt", b"content")
    assert len(rt.list_sessions(tags=["t"])) == len(session.messages()) == 1
print(*(name for name in {_LATE!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def _imported() -> list[tuple[str, str, str]]:
    """Return (public name, module, name there) of each import in `public`, those for checkers included."""
    assert public.__file__ is not None
    tree = ast.parse(Path(public.__file__).read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module not in ("__future__", "importlib", "typing"):
            home = "." * node.level + (node.module or "")
            found += [(each.asname or each.name, home, each.name) for each in node.names]
    return found


@pytest.mark.parametrize(("name", "home", "there"), _imported())
def test_every_public_name_is_what_a_type_checker_takes_it_for(name: str, home: str, there: str) -> None:
    module = import_module(home, "greenroom.runtime")
    expected = (
        getattr(module, there) if hasattr(module, there) else import_module(f"{home}{there}", "greenroom.runtime")
    )
    assert getattr(runtime, name) is expected


def test_the_public_names_are_those_that_are_imported() -> None:
    assert sorted(public.__all__) == sorted(name for name, _, _ in _imported())
    assert set(public.__all__) <= set(dir(runtime))


@pytest.mark.parametrize("name", ["Nothing", "nothing", ""])
def test_a_name_that_does_not_exist_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"attribute '{name}'"):
        getattr(runtime, name)


def test_names_are_listed_once() -> None:
    assert len(dir(runtime)) == len({*dir(runtime)})


def test_the_rooms_that_the_documentation_imports_from_are_attributes_too() -> None:
    program = "import greenroom.runtime as g; assert g.agents.echo and 'agents' in dir(g)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_late_names_work_like_any_other() -> None:
    program = """
import inspect, pickle, sys
from greenroom import runtime
import greenroom.runtime as named
assert "Workflow" in dir(runtime) and "Workflow" not in vars(runtime)
from greenroom.runtime import Workflow, Step
assert runtime.Workflow is Workflow is named.public.Workflow is vars(runtime)["Workflow"]
assert pickle.loads(pickle.dumps(Step("a", tool="t"))) == Step("a", tool="t")
assert pickle.loads(pickle.dumps(runtime.ScriptRequest)) is runtime.ScriptRequest
everything = {}
exec("from greenroom.runtime import *", everything)
missing = set(runtime.__all__) - everything.keys()
assert not missing, missing
assert {name for name, _ in inspect.getmembers(runtime)} >= set(runtime.__all__)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
