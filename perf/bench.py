"""Measures greenroom against its targets and against the same work done by hand. Run: make bench"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

import report
import rows as _all_rows  # noqa: F401  importing enters the rows
from harness import Result, Scale, rows, run
from peers import chart, contest
from rich.console import Console

OUT = Path(__file__).parent / "out"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: minutes become seconds, figures rougher")
    parser.add_argument("--full", action="store_true", help="run the rows about large stores on a million sessions")
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        default="",
        help="rows whose name or group contains this; peers: what else people use",
    )
    parser.add_argument("--json", metavar="PATH", type=Path, default=OUT / "bench.json", help="where the figures go")
    parser.add_argument(
        "--directory", metavar="PATH", type=Path, help="measure on this disk (default: temporary files)"
    )
    parser.add_argument("--chart", metavar="PATH", type=Path, help="where the chart of the peers goes (SVG)")
    parser.add_argument("--verbose", action="store_true", help="show where a row's error came from")
    options = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    for loud in ("matplotlib", "pykka", "PIL"):
        logging.getLogger(loud).setLevel(logging.WARNING)

    console = Console(width=None if sys.stdout.isatty() else 190)
    if options.only == "peers":
        measure_peers(console, options.directory, options.json, options.chart)
        return 0
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
    if not options.only:
        measure_peers(console, options.directory, options.json, options.chart)
    return 1 if any(result.error for result in results) else 0


def measure_peers(console: Console, directory: Path | None, figures: Path, picture: Path | None) -> None:
    """Measure greenroom beside what people use instead; print the table, write the figures and the chart."""
    figures, picture = figures.with_stem("peers"), picture or figures.with_name("peers.svg")
    with (
        tempfile.TemporaryDirectory(prefix="greenroom-bench-", dir=directory) as folder,
        console.status("measuring") as status,
    ):
        held = contest.held(Path(folder), lambda what: status.update(f"measuring beside others: {what}"))
    console.print(contest.table(held), soft_wrap=True)
    for name, why in held.missing.items():
        console.print(f"{name} is left out ({why}); make bench PEERS=1 installs what stands beside greenroom")
    figures.parent.mkdir(parents=True, exist_ok=True)
    figures.write_text(json.dumps(held.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    chart.draw(picture, held.as_json()["figures"])
    console.print(f"figures: {figures}", f"chart: {picture}", sep="\n")


if __name__ == "__main__":
    sys.exit(main())
