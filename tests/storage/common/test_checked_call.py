"""Every argument of every checked function is checked by its annotation, also where its type comes late."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

import pytest

from greenroom import actors, runtime, scripting, storage
from greenroom.storage.common.checked_call import checked
from greenroom.storage.errors import ValidationError

_OPTIONAL: Final = "greenroom.runtime.integrations."
"""Adapters need frameworks that may not be installed; none has checked functions."""
_ANYTHING: Final = {"Any", "object", "Value"}
"""What annotations say if every value is accepted."""


_CHECKED: Final = checked(len).__code__  # type: ignore[attr-defined]
"""The code of every checked function."""


class _Stranger:
    """Is of no kind that a signature names."""


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for room in (actors, runtime, scripting, storage):
        root = Path(room.__path__[0])
        for path in sorted(root.rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "checked_call import" in source or "_LATE: Final" in source:
                parts = path.relative_to(root).with_suffix("").parts
                yield ".".join((room.__name__, *parts)).removesuffix(".__init__"), ast.parse(source)


def _functions() -> Iterator[tuple[str, str]]:
    """Return (module, name in it) of each checked function: a name is found by its attributes."""

    def below(node: ast.AST, path: tuple[str, ...]) -> Iterator[str]:
        for each in ast.iter_child_nodes(node):
            if not isinstance(each, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from below(each, path)
                continue
            named = {one.id for one in each.decorator_list if isinstance(one, ast.Name)}
            if "checked" in named:
                yield ".".join((*path, each.name))
            if "checked_fields" in named:
                yield ".".join((*path, each.name, "__init__"))
            yield from below(each, (*path, each.name))

    for module, tree in _trees():
        for name in below(tree, ()):
            yield module, name


def _found(module: str, name: str) -> Callable[..., Any]:
    *way, last = name.split(".")
    holder = reduce(getattr, way, import_module(module))
    function = inspect.getattr_static(holder, last)
    function = getattr(function, "fget", None) or getattr(function, "__func__", function)
    while function.__code__ is not _CHECKED:  # something else is around it
        function = function.__wrapped__
    return function  # type: ignore[no-any-return]


def _arguments(function: Callable[..., Any]) -> Iterator[tuple[str, str, inspect.Parameter]]:
    """Return (name, annotation, parameter) of each argument, those included for which `Unpack` stands."""
    for each in list(inspect.signature(function).parameters.values()):
        annotation = str(each.annotation)
        if each.kind is each.VAR_KEYWORD and annotation.startswith("Unpack["):
            module = inspect.unwrap(function).__globals__
            name = annotation.removeprefix("Unpack[").removesuffix("]")
            options = module.get(name) or getattr(import_module(module["_LATE"][name]), name)
            for option, one in options.__annotations__.items():
                yield option, one.__forward_arg__, each
        elif each.name not in ("self", "cls"):
            yield each.name, annotation, each


@pytest.mark.parametrize(("module", "name"), [each for each in _functions() if not each[0].startswith(_OPTIONAL)])
def test_a_value_of_no_kind_that_the_signature_names_is_refused(module: str, name: str) -> None:
    function = _found(module, name)
    for argument, annotation, parameter in _arguments(function):
        if annotation in _ANYTHING:
            continue
        before: list[Any] = []
        given = {argument: _Stranger()}
        if parameter.kind is parameter.VAR_POSITIONAL:
            before = [""] * list(inspect.signature(function).parameters).index(argument) + [given.pop(argument)]
        with pytest.raises(ValidationError) as caught:
            function(*before, **given)
        assert caught.value.fields["field"] == argument, annotation


def test_no_adapter_has_checked_functions() -> None:
    assert [each for each in _functions() if each[0].startswith(_OPTIONAL)] == []


def _imports(tree: ast.Module, package: str) -> dict[str, Any]:
    """Return what a module imports for type checkers only."""
    found = {}
    for block in tree.body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for node in block.body:
                if isinstance(node, ast.ImportFrom):
                    home = "." * node.level + (node.module or "")
                    found |= {each.asname or each.name: (home, package, each.name) for each in node.names}
    return found


def test_late_names_are_those_that_a_type_checker_takes_them_for() -> None:
    compared = []
    for module, tree in _trees():
        names: Mapping[str, str] = getattr(import_module(module), "_LATE", {}) if "_LATE" in ast.dump(tree) else {}
        imported = _imports(tree, module.rpartition(".")[0])
        for name, home in names.items():
            there, package, original = imported[name]
            expected = getattr(import_module(there, package), original)
            assert getattr(import_module(home), name) is expected, (module, name)
            compared.append(name)
    assert {"PolicyConfig", "RuntimeConfig", "SessionConfig"} <= set(compared)


def test_a_name_that_is_not_known_at_run_time_is_an_error_at_the_first_call() -> None:
    @checked
    def called(one: Unknown) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    with pytest.raises(TypeError, match=r"'Unknown' cannot be checked.*_LATE"):
        called(1)


class _Options(TypedDict):
    one: Unknown  # type: ignore[name-defined]  # noqa: F821


def test_an_option_whose_type_is_not_known_at_run_time_is_an_error_at_the_first_call() -> None:
    @checked
    def called(**options: Unpack[_Options]) -> None:
        pass

    with pytest.raises(TypeError, match=r"'Unknown' cannot be checked"):
        called(one=1)


def test_an_annotation_for_which_there_is_no_rule_is_an_error_at_the_first_call() -> None:
    @checked
    def quoted(one: list["_Stranger"]) -> None:  # noqa: UP037
        pass

    @checked
    def named(**options: int) -> None:
        pass

    with pytest.raises(TypeError, match="no rule"):
        quoted([])
    with pytest.raises(TypeError, match="cannot be checked"):
        named(one=1)
