"""Every error of the specification exists, says what it is, and travels."""

from __future__ import annotations

import copy
import pickle

import pytest

import greenroom.runtime as api

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


def test_the_public_names_can_be_imported() -> None:
    for name in (*NAMES, "GreenroomError", *api.__all__):
        assert getattr(api, name) is not None
    assert "Runtime" in dir(api)
    with pytest.raises(AttributeError):
        api.no_such_name  # noqa: B018
