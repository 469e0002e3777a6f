"""Python imports this module when it starts, before the program: it has the program recorded or replayed.

It stands in for any other `sitecustomize` on the path, so it runs that one first.
"""

import os
import sys


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
        sys.stderr.write(
            f"greenroom: the program's Python, {sys.executable}, cannot import greenroom ({error}): install it there"
            " with pip install 'greenroom[record]', or run greenroom from where the program's packages are\n"
        )
        sys.stderr.flush()
        os._exit(78)
    start(told)


_leave_path()
try:
    _run_other()
finally:
    _start()
