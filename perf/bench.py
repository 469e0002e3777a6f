"""Measures greenroom against its targets and against the same work done by hand. Run: make bench"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import report
import rows as _all_rows  # noqa: F401  importing enters the rows
from harness import Result, Scale, rows, run
from rich.console import Console

OUT = Path(__file__).parent / "out"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: minutes become seconds, figures rougher")
    parser.add_argument("--full", action="store_true", help="run the rows about large stores on a million sessions")
    parser.add_argument("--only", metavar="PATTERN", default="", help="rows whose name or group contains this")
    parser.add_argument("--json", metavar="PATH", type=Path, default=OUT / "bench.json", help="where the figures go")
    parser.add_argument(
        "--directory", metavar="PATH", type=Path, help="measure on this disk (default: temporary files)"
    )
    parser.add_argument("--verbose", action="store_true", help="show where a row's error came from")
    options = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    for loud in ("matplotlib", "pykka", "PIL"):
        logging.getLogger(loud).setLevel(logging.WARNING)

    console = Console(width=None if sys.stdout.isatty() else 190)
    chosen = rows(options.only)
    if not chosen:
        console.print(f"no row contains {options.only!r}; there are:", *(each.name for each in rows()), sep="\n  ")
        return 2
    scale: Scale = "full" if options.full else "quick" if options.quick else "default"
    results: list[Result] = []
    with console.status("measuring") as status:
        for each in chosen:
            status.update(f"measuring: {each.name}")
            results.append(run(each, scale, options.directory))
    report.print_table(console, results)
    report.write_json(options.json, results, scale)
    console.print(f"figures: {options.json}", report.write_chart(options.json.with_suffix(".png"), results), sep="\n")
    return 1 if any(result.error for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
