"""Writes the handles of the asynchronous API, runtime/aio/faces, from the synchronous ones: `python
docs/async_faces.py`. A test compares the classes there with what this writes, and holds each method to its way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
LOOSE: Final = frozenset(
    {"ask_human", "call_tool", "grant_scope", "revoke", "share_artifact", "store_artifact", "check_access"}
)
"""Methods whose keywords mypy cannot follow through a ParamSpec."""
TARGET: Final = ROOT / "runtime" / "aio" / "faces"
FOLDERS: Final = {
    "sessions": "Session Scope Records Templates Schemas StateBackups",
    "calls": "Tools Agents Approvals Hooks Middleware",
    "history": "Events Analytics Replay Replays",
}
"""The folders of faces, and the classes whose faces stand in them. The others stand beside the folders."""


@dataclass(frozen=True)
class Plan:
    """How the face of one class is made. Each of its public methods stands in exactly one of the lists."""

    module: str
    """The file of the class, in the repository."""
    name: str
    once: str = ""
    """Asks a session exactly once: answered in the loop where that takes no time."""
    run: str = ""
    """May wait for the store: on a thread."""
    abandon: str = ""
    """May wait for the host's own code, or for people: on a thread, for which a cancelled task does not wait."""
    brief: str = ""
    """Never waits: in the loop."""
    each: str = ""
    """Gives an iterator, which is read on threads."""
    block: str = ""
    """Makes a block that never waits."""
    skip: str = ""
    """By hand, in the class that inherits from the face, or not for the public."""
    bases: tuple[tuple[str, str], ...] = ()
    """Files and names of classes whose methods belong to it too."""
    imports: dict[str, str] = field(default_factory=dict)

    def ways(self) -> dict[str, str]:
        """Return the way of each method."""
        found: dict[str, str] = {}
        for way in ("once", "run", "abandon", "brief", "each", "block", "skip"):
            for name in getattr(self, way).split():
                if name in found:
                    raise ValueError(f"{self.name}.{name} has two ways")
                found[name] = way
        return found


PLANS: Final = (
    Plan(
        "runtime/handles/session.py",
        "Session",
        once="""set get delete_variable variables variable_keys compare_and_set update info suspend resume complete fail
            archive save load delete rename describe add_tag remove_tag set_tags update_metadata add_message
            add_messages edit_message retract_message pop_message truncate_messages clear_messages messages
            store_many get_artifact query_artifacts count_artifacts artifact_names get_artifact_info list_artifacts
            artifact_versions delete_artifact delete_many share shares grant_scope revoke_scope scopes share_artifact
            revoke permissions check_access call_tool ask_human approvals accept_losses config update_config
            __getitem__ store_artifact""",
        run="""fork children parent tree export_messages timeline at diff context debugger store_file get_many
            save_artifact diff_artifact shared_sessions shared_with_me store_version interrupted_workflows export""",
        abandon="call_agent run_workflow resume_workflow run_script replay_script wait_for",
        each="events",
        block="admitted",
        skip="""with_timeout records batch stream_message follow as_current current create_artifact open_artifact
            what_if __setitem__ __delitem__ __contains__ __iter__""",
        bases=(("runtime/handles/variables.py", "Variables"),),
    ),
    Plan(
        "runtime/handles/records.py",
        "Records",
        once="put put_if_absent put_many delete delete_many get get_many count",
        run="delete_prefix scan keys",
        each="iterate",
    ),
    Plan(
        "runtime/handles/scope.py",
        "Scope",
        once="set get delete list keys update compare_and_set __getitem__",
        run="clear",
        skip="__setitem__ __delitem__ __contains__ __iter__",
        bases=(("runtime/handles/variables.py", "Variables"),),
    ),
    Plan(
        "runtime/runtime.py",
        "Runtime",
        run="""refresh query_artifacts count_artifacts get_many tell audit get_or_create compare search
            list_sessions count_sessions can_replay replay_metadata list_replayable query_hooks find_sessions
            delete_session save_all restore_recent cleanup export_session import_bundle import_session ingest backup
            verify gc retention erase run_retention retention_runs usage compact stats""",
        abandon="run_script replay_script replay",
        brief="session exists trace before_calls",
        each="iterate_sessions",
        block="operation",
        skip="""open close closed restore salvage ask create_session state_scope stream_script follow analytics scripts
            recording replaying replays templates agents approvals quotas schemas state_backups tools workflows""",
    ),
    Plan(
        "runtime/tools/registry.py",
        "Tools",
        run="discover",
        brief="register unregister register_file_operations exists get list categories",
        abandon="call invoke",
        skip="collector send perform rerun",
    ),
    Plan(
        "runtime/agents/registry.py",
        "Agents",
        brief="""register unregister models available build create composite build_composite as_tool discover get list
            remove""",
        abandon="call",
        skip="collector close send message perform",
    ),
    Plan(
        "actors/hooks/hooks.py",
        "Hooks",
        brief="register unregister enable disable info list",
        skip="register_at at has_shared any fire around creation creating close services",
    ),
    Plan("actors/hooks/library/composition.py", "Middleware", brief="use"),
    Plan(
        "runtime/events/events.py",
        "Events",
        run="publish link links get query timeline export",
        brief="stats",
        skip="""subscribe subscriptions follow handler_failed imported tell_changes of_session hurry close""",
    ),
    Plan(
        "runtime/approvals.py",
        "Approvals",
        run="list get answer cancel",
        abandon="wait",
    ),
    Plan(
        "runtime/policies.py",
        "Policies",
        run="effective usage update",
        brief="get add remove names",
        skip="""sequential parallel voting config_with admitted require for_child script_memory timekeeper""",
    ),
    Plan(
        "runtime/state/schemas.py",
        "Schemas",
        run="register unregister get list versions status migrate migrate_all",
    ),
    Plan(
        "runtime/state/backups.py",
        "StateBackups",
        run="create list get validate restore cleanup usage",
        skip="directory",
    ),
    Plan("runtime/retention/quotas.py", "Quotas", run="set get list delete"),
    Plan("runtime/handles/templates.py", "Templates", run="save get list delete"),
    Plan(
        "runtime/analytics/analytics.py",
        "Analytics",
        run="session aggregate prometheus collector count_events",
        skip="private",
    ),
    Plan(
        "runtime/installed/installed.py",
        "InstalledScripts",
        run="install uninstall list get status",
        skip="begin begin_to_close close",
    ),
    Plan(
        "runtime/replay/controls/replay.py",
        "Replay",
        run="state",
        abandon="pause step step_back run_to stop wait wait_paused",
        brief="resume",
        skip="status pause_reason position last time progress speed __enter__ __exit__",
    ),
    Plan(
        "runtime/replay/controls/replays.py",
        "Replays",
        run="schedule schedules",
        skip="start list get begin_to_close close",
    ),
)  # fmt: skip


def main() -> None:
    """Write all faces, in the form that ruff gives them."""
    TARGET.mkdir(exist_ok=True)
    for folder in FOLDERS:
        (TARGET / folder).mkdir(exist_ok=True)
        (TARGET / folder / "__init__.py").touch()
    for plan in PLANS:
        (TARGET / f"{file_of(plan)}.py").write_text(face_of(plan))
    tool = [sys.executable, "-m", "ruff"]
    subprocess.run([*tool, "format", "-q", str(TARGET)], check=True)
    subprocess.run([*tool, "check", "-q", "--fix", "--unsafe-fixes", str(TARGET)], check=False)
    subprocess.run([*tool, "format", "-q", str(TARGET)], check=True)


def file_of(plan: Plan) -> str:
    """Return the path of the module of a face, in the folder of all."""
    folder = next((f"{folder}/" for folder, names in FOLDERS.items() if plan.name in names.split()), "")
    return folder + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", plan.name).lower()


def methods_of(plan: Plan) -> dict[str, list[ast.FunctionDef]]:
    """Return the methods of a class by name, each with its overloads before it."""
    found: dict[str, list[ast.FunctionDef]] = {}
    ways = plan.ways()
    for module, name in (*plan.bases, (plan.module, plan.name)):
        own: dict[str, list[ast.FunctionDef]] = {}
        for node in _class_of(module, name).body:
            if isinstance(node, ast.FunctionDef) and (node.name in ways or not node.name.startswith("_")):
                if any(ast.unparse(each).endswith(".setter") for each in node.decorator_list):
                    continue
                own.setdefault(node.name, []).append(node)
        found |= own
    return found


def _class_of(module: str, name: str) -> ast.ClassDef:
    tree = ast.parse((ROOT / module).read_text())
    return next(each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name)


def face_of(plan: Plan) -> str:
    """Return the module with the face of a class. Raises ValueError if one of its methods has no way."""
    ways = plan.ways()
    methods = methods_of(plan)
    lost = {*methods} ^ {*ways}
    unknown = sorted(each for each in lost if each in methods or ways[each] != "skip")
    if unknown:
        raise ValueError(f"{plan.name}: without a way, or without a method: {unknown}")
    body = [
        text
        for name, nodes in methods.items()
        if ways[name] != "skip"
        for text in _method(plan, name, nodes, ways[name])
    ]
    tree = ast.parse("\n".join(body))
    names = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    names |= {"Session"} if plan.name in _ABSTRACT else set()
    for node in ast.walk(tree):  # what is left is needed when the module is imported
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Name("found")
    needed = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)} | {plan.name}
    imports = set(_imports(plan, names))
    now = {each for each in imports if each.split()[-1] in needed or each.startswith("from typing ")}
    text = "\n\n".join("    " + each.replace("\n", "\n    ") for each in body)
    helpers = sorted(names & {"again", "beneath", "each", "readable", "Block"} | {"Face"})
    variables = [f'{each} = TypeVar("{each}")' for each in ("T", "D", "A") if each in names]
    own = ", Generic[A]" if "A" in names else ""
    lines = [
        f'"""`{plan.name}`, to be awaited. Written by `python docs/async_faces.py`."""',
        "from __future__ import annotations",
        *sorted(now),
        "from typing import TYPE_CHECKING, Any, Generic, TypeVar",
        f"from greenroom.runtime.aio.face import {', '.join(helpers)}",
        "if TYPE_CHECKING:",
        "    from collections.abc import AsyncIterator, Awaitable, Callable",
        "    from greenroom.storage.common.session_ids import SessionHandle",
        *(f"    {each}" for each in sorted(imports - now)),
        f'__all__ = ["{plan.name}Face"]',
        *variables,
        f"class {plan.name}Face(Face[{plan.name}]{own}):",
        f'    """The methods of `{plan.name}` that can be awaited as they are."""',
        text,
        *_ABSTRACT.get(plan.name, ()),
    ]
    return "\n".join(lines) + "\n"


_ABSTRACT: Final = {
    name: [
        "",
        f"    def _session(self, made: Session) -> {own}:",
        '        """Return the asynchronous handle of a session."""',
        "        raise NotImplementedError",
    ]
    for name, own in (("Session", "Self"), ("Runtime", "A"))
}


def _imports(plan: Plan, names: set[str]) -> Iterator[str]:
    wanted = {*names, plan.name}
    for module in (*(each for each, _ in plan.bases), plan.module):
        package = ["greenroom", *module.split("/")[:-1]]
        tree = ast.parse((ROOT / module).read_text())
        here = ".".join(("greenroom", *module.removesuffix(".py").split("/")))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node not in _inner(tree):
                source = node.module or ""
                if node.level:
                    source = ".".join([*package[: len(package) - node.level + 1], *([source] if source else [])])
                for each in node.names:
                    if (each.asname or each.name) in wanted:
                        yield f"from {source} import {each.name}" + (f" as {each.asname}" if each.asname else "")
            elif isinstance(node, ast.Import) and node not in _inner(tree):
                for each in node.names:
                    if (each.asname or each.name.split(".")[0]) in wanted:
                        yield f"import {each.name}"
        for top in tree.body:
            names_here = (
                [top.name]
                if isinstance(top, ast.ClassDef)
                else [each.id for each in top.targets if isinstance(each, ast.Name)]
                if isinstance(top, ast.Assign)
                else [top.target.id]
                if isinstance(top, ast.AnnAssign) and isinstance(top.target, ast.Name)
                else []
            )
            for name in names_here:
                if name in wanted and name not in ("T", "D"):
                    yield f"from {here} import {name}"


def _inner(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes within functions."""
    return {each for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for each in ast.walk(node)}


_SESSION = re.compile(r"\bSession\b(?!\[)")


def _method(plan: Plan, name: str, nodes: list[ast.FunctionDef], way: str) -> Iterator[str]:
    """Yield the overloads of a method, and the method itself, of a face."""
    last = nodes[-1]
    for node in nodes[:-1]:
        decorators = "".join(f"@{ast.unparse(each)}\n" for each in node.decorator_list)
        ignore = "  # type: ignore[overload-overlap]" if name == "share" and node is nodes[0] else ""
        returns = _returned(plan, ast.unparse(node.returns) if node.returns else "Any")[0]
        yield f"{decorators}async def {name}({ignore}\n    {_parameters(node)}\n) -> {returns}: ..."
    yield _implementation(plan, name, last, way, overloaded=len(nodes) > 1)


def _parameters(node: ast.FunctionDef) -> str:
    arguments = ast.unparse(node.args)
    return _SESSION.sub("SessionHandle", arguments)


def _returned(plan: Plan, kind: str) -> tuple[str, str]:
    """Return the type that a method of a face returns, and the form of what it returns."""
    if plan.name in _ABSTRACT:
        own = "Self" if plan.name == "Session" else "A"
        if kind == "Session":
            return own, "self._session({})"
        if kind == "Session | None":
            return f"{own} | None", "(self._session(found) if (found := {}) is not None else None)"
        if kind == "list[Session]":
            return f"list[{own}]", "[self._session(each) for each in {}]"
    return kind, "{}"


def _implementation(plan: Plan, name: str, node: ast.FunctionDef, way: str, *, overloaded: bool) -> str:
    is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
    kind, form = _returned(plan, ast.unparse(node.returns) if node.returns else "Any")
    passed = ", ".join(_passed(node, once=way == "once"))
    comma = f", {passed}" if passed else ""
    doc = _doc(plan, name, node)
    parameters = _parameters(node)
    if way == "each":
        item = re.fullmatch(r"Iterator\[(.*)\]", kind)
        assert item is not None
        return (
            f"def {name}({parameters}) -> AsyncIterator[{item[1]}]:\n{doc}"
            f"    return each(self._bridge, lambda: self.sync.{name}({passed}))"
        )
    if way == "block":
        item = re.fullmatch(r"(?:Iterator|AbstractContextManager)\[(.*)\]", kind)
        assert item is not None
        return f"def {name}({parameters}) -> Block[{item[1]}]:\n{doc}    return Block(self.sync.{name}({passed}))"
    if way == "once":
        whole = f"{plan.name}.{name}"
        before = ""
        if is_property:
            whole = f'vars({plan.name})["{name}"].fget'
        if loose := overloaded or is_property:
            before, whole = f"    method: Callable[..., Any] = {whole}\n", "method"
        if name == "store_artifact":
            before = f"    if readable(content):\n        return await self._bridge.run(self.sync.{name}{comma})\n"
        call = f"self._bridge.once(self._here, {whole}{comma})"
    else:
        before = ""
        runner = {"run": "run", "abandon": "run_abandoning", "brief": "brief"}[way]
        whole = f"self.sync.{name}"
        if is_property:
            whole = f"lambda: self.sync.{name}"
        elif overloaded:
            before, whole = f"    method: Callable[..., Any] = {whole}\n", "method"
        loose = overloaded
        call = f"self._bridge.{runner}({whole}{comma})"
    if is_property:
        return f"@property\ndef {name}({parameters}) -> Awaitable[{kind}]:\n{doc}{before}    return {call}"
    statement = f"    await {call}" if kind == "None" else f"    return {form.format(f'await {call}')}"
    if loose and kind not in ("Any", "None"):
        statement = f"    found: {kind} = await {call}\n    return found"
    return f"async def {name}({parameters}) -> {kind}:\n{doc}{before}{statement}"


def _passed(node: ast.FunctionDef, *, once: bool) -> Iterator[str]:
    """Yield the arguments that a method hands on."""
    given = node.args
    positional = [*given.posonlyargs, *given.args][1:]
    for each in positional:
        yield _argument(each, once=once)
    if given.vararg is not None:
        yield f"*{given.vararg.arg}"
    for each in given.kwonlyargs:
        yield f"{each.arg}={_argument(each, once=once)}"
    if given.kwarg is not None:
        yield f"**{given.kwarg.arg}"


def _argument(parameter: ast.arg, *, once: bool) -> str:
    kind = ast.unparse(parameter.annotation) if parameter.annotation is not None else ""
    if re.search(r"\b(Session|SessionHandle)\b", kind):
        return f"beneath({parameter.arg})"
    if once and "Iterable[" in kind:
        return f"again({parameter.arg})"
    return parameter.arg


def _doc(plan: Plan, name: str, node: ast.FunctionDef) -> str:
    text = ast.get_docstring(node)
    if text is None:
        return f'    """See `{plan.name}.{name}`."""\n'
    paragraph = " ".join(text.split("\n\n")[0].split())
    sentence = re.split(r"(?<=[a-z`)\d])(?:[.:]|; see) ", paragraph)[0].rstrip(".:")
    whole = f"{sentence}: see `{plan.name}.{name}`."
    return "    " + '"""' + _wrapped(whole) + '"""\n'


def _wrapped(text: str) -> str:
    import textwrap

    return "\n    ".join(textwrap.wrap(text, 100))


if __name__ == "__main__":
    main()
