"""The boundary of processes: those that the program starts are recorded with it, or, where it is asked for, answered in
a replay by what they gave when they were recorded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any, Final

from ...tape import sites
from ...tape.model import Asked
from ...tape.reels import active, inside

__all__ = ["OURS", "patch_multiprocessing", "patch_subprocess", "record_results", "set_environment"]

_PATCHED: Final = "__greenroom_original__"
_RUNS: Final = ("run", "call", "check_call", "check_output", "getoutput", "getstatusoutput")
_ENV: Final = 9
"""The position of `env` among the positional arguments of Popen, after the command."""

OURS: Final = ("GREENROOM_RECORDING", "GREENROOM_RECORDING_LINEAGE")
"""The variables that have a Python program recorded or replayed: how, and which process of the run it is."""

_environment: Callable[[], Mapping[str, str]] | None = None
_results: bool = False


def set_environment(of_children: Callable[[], Mapping[str, str]] | None) -> None:
    """Say which variables each process that this one starts gets, so that it is recorded too."""
    global _environment
    _environment = of_children


def record_results(wanted: bool) -> None:
    """Say whether the results of `subprocess.run` and its like are recorded, so that a replay starts no process."""
    global _results
    _results = wanted


def patch_subprocess(module: ModuleType) -> None:
    """Patch `subprocess`."""
    original = module.Popen.__init__
    if hasattr(original, _PATCHED):
        return

    @wraps(original)
    def init(self: Any, args: Any, *rest: Any, **kwargs: Any) -> None:
        if _environment is not None:
            given = rest[_ENV] if len(rest) > _ENV else kwargs.get("env")
            if active() is None:  # inside a boundary: what the process does is recorded with its result
                env = {name: value for name, value in _as_given(given).items() if _text(name) not in OURS}
            else:
                env = _with_ours(_as_given(given), _environment())
            if len(rest) > _ENV:
                rest = (*rest[:_ENV], env, *rest[_ENV + 1 :])
            else:
                kwargs["env"] = env
        original(self, args, *rest, **kwargs)

    setattr(init, _PATCHED, original)
    module.Popen.__init__ = init
    for name in _RUNS:
        setattr(module, name, _recorded(getattr(module, name), name, module))


def patch_multiprocessing(module: ModuleType) -> None:
    """Patch `multiprocessing.util`: processes that it spawns take the variables along."""
    spawn = module.spawnv_passfds
    if hasattr(spawn, _PATCHED):
        return

    @wraps(spawn)
    def spawned(path: Any, args: Any, passfds: Any) -> Any:
        if _environment is None or active() is None:
            return spawn(path, args, passfds)
        ours = _environment()
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update({name: value for name, value in _with_ours(dict(os.environ), ours).items() if name in ours})
        try:
            return spawn(path, args, passfds)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    setattr(spawned, _PATCHED, spawn)
    vars(module)["spawnv_passfds"] = spawned


def _as_given(env: Any) -> dict[Any, Any]:
    return dict(os.environ if env is None else env)


def _text(name: Any) -> str:
    return os.fsdecode(name)


def _with_ours(env: dict[Any, Any], ours: Mapping[str, str]) -> dict[Any, Any]:
    """Return an environment with our variables."""
    as_bytes = any(isinstance(name, bytes) for name in env)
    for name, value in ours.items():
        if name == "PYTHONPATH":
            before = env.get(os.fsencode(name) if as_bytes else name)
            before = os.fsdecode(before) if before else ""
            if value not in before.split(os.pathsep):
                value = f"{value}{os.pathsep}{before}" if before else value
            else:
                value = before
        env[os.fsencode(name) if as_bytes else name] = os.fsencode(value) if as_bytes else value
    return env


def _recorded(run: Callable[..., Any], name: str, module: ModuleType) -> Callable[..., Any]:
    @wraps(run)
    def called(*args: Any, **kwargs: Any) -> Any:
        reel = active() if _results else None
        if reel is None or not sites.is_own(sys._getframe(1).f_code):
            return run(*args, **kwargs)
        from ...tape.held.errors import held_error
        from ...tape.held.values import hold_loosely

        command = args[0] if args else kwargs.get("args", kwargs.get("cmd"))
        given = {key: value for key, value in kwargs.items() if key not in ("args", "cmd", "env", "stdin", "stdout")}
        words = command if isinstance(command, list | tuple) else str(command).split()[:1]
        first = os.path.basename(os.fsdecode(words[0])) if words else ""
        input = {"arguments": hold_loosely(command), "options": hold_loosely(given)}
        pending = reel.begin(Asked("process", f"{name} {first}", input))
        if pending.recorded is not None:
            pending.tick()
            return _given_back(pending.recorded, command, module)
        if pending.changed:
            kwargs = {key: value for key, value in kwargs.items() if key not in ("args", "cmd")}
            args = (pending.changed.get("arguments", command), *args[1:])
        try:
            with inside():
                value = run(*args, **kwargs)
        except BaseException as error:
            pending.tick()
            pending.finish({"error": held_error(error)})
            raise
        pending.tick()
        pending.finish(_held(value, module))
        return value

    return called


def _held(value: Any, module: ModuleType) -> dict[str, Any]:
    if isinstance(value, module.CompletedProcess):
        return {"code": value.returncode, "output": value.stdout, "errors": value.stderr, "is_result": True}
    if isinstance(value, tuple):
        return {"code": value[0], "output": value[1], "is_pair": True}
    return {"value": value}


def _given_back(recorded: Mapping[str, Any], command: Any, module: ModuleType) -> Any:
    if "error" in recorded:
        from ...tape.held.errors import raised_again

        raise raised_again(recorded["error"])
    if recorded.get("is_result"):
        return module.CompletedProcess(command, recorded["code"], recorded["output"], recorded["errors"])
    if recorded.get("is_pair"):
        return recorded["code"], recorded["output"]
    return recorded["value"]
