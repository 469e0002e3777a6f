"""Python imports this module when it starts, before the program: it has the program recorded or replayed.

It stands in for any other `sitecustomize` on the path, so it runs that one first.
"""

import os
import sys

# The variables of `programs.options` and the exit codes of `programs.launch` are written again here, because a Python
# without greenroom runs this too.


def _leave_path() -> None:
    """Remove this folder from where the program imports from. Its children have it from their environment."""
    here = os.path.realpath(os.path.dirname(__file__))
    sys.path[:] = [path for path in sys.path if os.path.realpath(path or ".") != here]


def _run_other() -> None:
    """Run the `sitecustomize` that this one stands in for."""
    from importlib.util import find_spec, module_from_spec

    own = sys.modules.pop("sitecustomize", None)
    spec = find_spec("sitecustomize")
    if spec is None or spec.loader is None:
        if own is not None:
            sys.modules["sitecustomize"] = own
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _start() -> None:
    told = os.environ.get("GREENROOM_RECORDING")
    if not told:
        return
    try:
        from greenroom.runtime.recording.programs.child import start
    except ImportError as error:
        lineage = os.environ.get("GREENROOM_RECORDING_LINEAGE")
        if lineage:
            # A tool of the program, in a Python of its own: it runs as any other process.
            _leave_mark(told, f"{lineage}.unrecorded")
            return
        sys.stderr.write(
            f"greenroom: the program's Python, {sys.executable}, cannot import greenroom ({error}): install it there"
            " with pip install 'greenroom[record]', or run greenroom from where the program's packages are\n"
        )
        sys.stderr.flush()
        os._exit(78)
    try:
        start(told)
    except Exception:  # or the program would run on its own, and a replay would call everybody
        import traceback

        sys.stderr.write("greenroom: the program was not run, since it cannot be recorded or replayed:\n")
        traceback.print_exc()
        sys.stderr.flush()
        _leave_mark(told, "not-started")
        os._exit(70)


def _leave_mark(told: str, name: str) -> None:
    """Say in the folder of the run that this process is not recorded, or was not run."""
    import json

    try:
        with open(os.path.join(json.loads(told)["folder"], name), "a", encoding="utf-8") as file:
            file.write(f"{sys.executable}\n")
    except (OSError, ValueError, KeyError):
        return


_leave_path()
try:
    _run_other()
finally:
    _start()
