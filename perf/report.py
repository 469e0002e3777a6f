"""What a run of the benchmarks looks like: a table, a JSON file and a chart."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from harness import MICRO, MILLI, Measured, Result, Target
from rich.console import Console
from rich.table import Table

__all__ = ["figure", "print_table", "write_chart", "write_json"]

LIBRARIES = ("blake3", "lupa", "lz4", "msgpack", "pydantic", "pyfastcdc", "pykka", "rocksdict")


def figure(value: float | None, unit: str) -> str:
    """A figure with three digits or so, in the unit that suits its size."""
    if value is None:
        return ""
    if unit == "s":
        for factor, name in ((MICRO / 1000, "ns"), (MICRO, "µs"), (MILLI, "ms")):
            if abs(value) < 1000 * factor:
                return f"{_digits(value / factor)} {name}"
        return f"{_digits(value)} s"
    if unit == "B" and abs(value) >= 1 << 20:
        return f"{_digits(value / (1 << 20))} MiB"
    if unit == "1/s":
        return f"{value:,.0f}/s"
    return f"{_digits(value)} {unit}".rstrip()


def _digits(value: float) -> str:
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"


def target_text(target: Target | None, unit: str) -> str:
    if target is None:
        return ""
    sign = "≤" if target.upper else "≥"
    return f"{sign} {target.bound:g} x" if target.of == "ratio" else f"{sign} {figure(target.bound, unit)}"


def _verdict(result: Result) -> str:
    if result.error is not None:
        return "[bold red]error"
    if result.met is None:
        return ""
    where = "" if result.complete else " here"
    return f"[green]met{where}" if result.met else f"[bold red]missed{where}"


def print_table(console: Console, results: list[Result]) -> None:
    """The rows with their medians and what became of their targets, then what qualifies them."""
    table = Table(title="greenroom, side by side with its baselines", header_style="bold", pad_edge=False)
    table.add_column("what", no_wrap=True)
    for column in ("median", "quartiles", "baseline", "ratio", "in memory", "target"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("note", style="dim", overflow="fold", min_width=16)
    group = None
    for result in results:
        if group is not None and result.row.group != group:
            table.add_section()
        group = result.row.group
        measured = result.measured
        if measured is None:
            table.add_row(result.row.name, "", "", "", "", "", "", _verdict(result), result.error or "")
            continue
        unit = measured.unit
        table.add_row(
            result.row.name,
            figure(measured.value, unit),
            _spread(measured),
            figure(measured.baseline, unit),
            f"{measured.ratio:.2f} x" if measured.ratio is not None else "",
            figure(measured.memory, unit),
            target_text(result.row.target, unit),
            _verdict(result),
            "; ".join(part for part in (_against(measured), measured.note) if part),
        )
    console.print(table)
    judged = [result for result in results if result.met is not None]
    missed = [result.row.name for result in judged if not result.met]
    console.print(
        f"{len(judged) - len(missed)} of {len(judged)} targets met" + "".join(f"\n  missed: {name}" for name in missed)
    )
    if any(not result.complete for result in results):
        console.print("[yellow]Rows with “here” ran on 100,000 sessions; --full runs them on a million.")


def _spread(measured: Measured) -> str:
    if measured.low is None or measured.high is None or measured.rounds < 3:
        return ""
    low, high = figure(measured.low, measured.unit), figure(measured.high, measured.unit)
    number, _, unit = low.partition(" ")
    return f"{number} – {high}" if high.endswith(" " + unit) and unit else f"{low} – {high}"


def _against(measured: Measured) -> str:
    return f"against {measured.baseline_name}" if measured.baseline_name else ""


def write_json(path: Path, results: list[Result], scale: str) -> None:
    """Every figure in base units (seconds, bytes), with what it was measured on."""
    document: dict[str, Any] = {
        "scale": scale,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "rows": [_row(result) for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _row(result: Result) -> dict[str, Any]:
    target, measured = result.row.target, result.measured
    return {
        "name": result.row.name,
        "group": result.row.group,
        **(vars(measured) if measured is not None else {"error": result.error}),
        "target": {"at_most" if target.upper else "at_least": target.bound, "of": target.of} if target else None,
        "met": result.met,
        "complete": result.complete,
        "seconds": round(result.seconds, 2),
    }


def write_chart(path: Path, results: list[Result]) -> str:
    """A bar a row: how much of its target it uses, on a logarithmic scale. Replies what was done."""
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return "no chart: matplotlib is not installed (it comes with the dev extra)"
    bars = [
        (result.row.name, max(result.row.target.used(result.measured), 0.01), result)
        for result in results
        if result.row.target is not None and result.measured is not None
    ]
    if not bars:
        return "no chart: no row has a target"
    bars.reverse()
    figure_, axes = pyplot.subplots(figsize=(10, 1.2 + 0.32 * len(bars)), layout="constrained")
    colours = ["#2a7f62" if result.met else "#c0392b" for _, _, result in bars]
    axes.barh([name for name, _, _ in bars], [used for _, used, _ in bars], color=colours, height=0.65)
    axes.set_xscale("log")
    axes.axvline(1, color="#333333", linewidth=1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("how much of the target is used: up to 100 % it is met")
    for index, (_, used, result) in enumerate(bars):
        measured = result.measured
        assert measured is not None
        text = figure(measured.value, measured.unit)
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        axes.text(used * 1.06, index, text, va="center", fontsize=8, color="#333333", bbox=behind)
    axes.margins(x=0.15, y=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure_.savefig(path, dpi=130)
    pyplot.close(figure_)
    return f"chart: {path}"
