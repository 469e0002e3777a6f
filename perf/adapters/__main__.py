"""Compare adapters with their frameworks' own stores: `python perf/adapters NAME…`, by default all that are
installed."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from measure import table


def main(names: list[str]) -> None:
    here = Path(__file__).parent
    known = sorted(each.stem for each in here.glob("*.py") if each.stem not in {"__main__", "measure"})
    for name in names or known:
        try:
            adapter = importlib.import_module(name if name not in sys.modules else f"adapters.{name}")
        except ImportError as error:
            if names:
                raise
            print(f"{name}: left out, {error}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n## {name}\n\n{table(adapter.rows(Path(folder)))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
