"""Every error of the specification exists, says what it is, and travels."""

from __future__ import annotations

import copy
import pickle
import re
import tomllib
from pathlib import Path

import pytest

import greenroom.runtime as api
from greenroom.storage import errors
from greenroom.storage.engine.options import raise_storage_error

NAMES = [
    "SessionNotFound",
    "SessionAlreadyExists",
    "InvalidStateTransition",
    "InvalidSessionState",
    "InvalidOperation",
    "ArtifactNotFound",
    "ArtifactTooLarge",
    "ValidationError",
    "AccessDenied",
    "RateLimited",
    "ResourceLimitExceeded",
    "OperationTimeout",
    "HookCancelled",
    "ScriptError",
    "ScriptTimeout",
    "ScriptMemoryExceeded",
    "StorageError",
    "StorageFull",
    "StoreLocked",
    "SchemaTooNew",
    "IntegrityError",
    "ReplayError",
    "BundleError",
    "ConfigurationError",
    "RuntimeClosed",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_error_has_a_code_fields_and_a_message(name: str) -> None:
    kind = getattr(api, name)
    assert issubclass(kind, api.GreenroomError)
    error = kind("what happened and what to do", size=7, limit=5)
    assert error.code == name
    assert error.fields == {"size": 7, "limit": 5}
    assert (error.size, error.limit) == (7, 5)
    assert str(error) == "what happened and what to do"
    with pytest.raises(AttributeError):
        error.no_such_field  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_an_error_survives_pickling_and_copying(name: str) -> None:
    error = getattr(api, name)("message", field="k", values=[1, 2])
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert (str(twin), twin.fields, twin.code) == (str(error), error.fields, error.code)


def test_storage_errors_are_a_family() -> None:
    for name in ("StorageFull", "StoreLocked", "SchemaTooNew", "IntegrityError"):
        assert issubclass(getattr(api, name), api.StorageError)
    for name in ("ScriptTimeout", "ScriptMemoryExceeded"):
        assert issubclass(getattr(api, name), api.ScriptError)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("SessionNotFound", LookupError),
        ("ArtifactNotFound", LookupError),
        ("OperationTimeout", TimeoutError),
        ("ValidationError", ValueError),
        ("AccessDenied", PermissionError),
    ],
)
def test_some_errors_are_pythons_too(name: str, base: type[Exception]) -> None:
    error = getattr(api, name)("what happened", field="k")
    assert isinstance(error, base)
    assert (str(error), error.fields, error.code) == ("what happened", {"field": "k"}, name)
    assert repr(error) == f"{name}('what happened')"


def test_an_unknown_artifact_is_named_in_the_error(rt: api.Runtime) -> None:
    s = rt.create_session()
    info = s.store_artifact("note", "a.txt", b"x")
    s.delete_artifact(info.id)
    for ref, shown in (
        ("b.txt", "'b.txt'"),
        ("n" * 200, "'nnnnnnnn"),
        (info.id, str(info.id)),
        (str(info.id), str(info.id)),
    ):
        with pytest.raises(api.ArtifactNotFound, match=shown) as caught:
            s.get_artifact(ref)
        assert caught.value.artifact == str(ref)


def test_what_nobody_may_read_is_not_said_to_be_unwritable() -> None:
    with pytest.raises(api.StorageError) as caught:
        raise_storage_error(PermissionError(13, "Permission denied"), "cannot read the backup")
    assert str(caught.value).startswith("cannot read the backup: permission denied")
    assert "write" not in str(caught.value)


@pytest.mark.parametrize("text", ["plain", "a\nb", "\x1b[31m", "\ud800", "\u2028", "x" * 100])
def test_a_name_in_a_message_is_short_and_on_one_line(text: str) -> None:
    shown = errors.shown(text)
    assert shown.isprintable()
    assert len(shown) <= 66
    assert errors.shown(errors) == "<module>"


def test_the_public_names_can_be_imported() -> None:
    for name in (*NAMES, "GreenroomError", *api.__all__):
        assert getattr(api, name) is not None
    assert "Runtime" in dir(api)
    with pytest.raises(AttributeError):
        api.no_such_name  # noqa: B018


def test_there_is_one_version() -> None:
    from greenroom.runtime import __version__

    assert "__version__" in api.__all__
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", __version__)
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "greenroom.runtime.version.__version__"}
