"""Compare adapters with their frameworks' own stores: `python perf/adapters NAME…`, by default all that are
installed."""

from __future__ import annotations

import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def loaded(name: str) -> ModuleType:
    """Return the module of an adapter. It is named otherwise than its file, which has the name of its framework."""
    spec = spec_from_file_location(f"adapter_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(names: list[str]) -> None:
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != HERE.resolve()]  # frameworks are not here
    sys.path.insert(0, str(HERE.parent))
    from measure import table

    known = sorted(each.stem for each in HERE.glob("*.py") if each.stem != "__main__")
    for name in names or known:
        try:
            adapter = loaded(name)
        except ImportError as error:
            if names:
                raise
            print(f"{name}: left out, {error}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n## {name}\n\n{table(adapter.rows(Path(folder)))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
