"""The output of the demo."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from greenroom.runtime.cli.output import is_terminal, printable, size

if TYPE_CHECKING:
    from .ledger import Check, Ledger

_WIDTH = 96
_BAR = 40


class Stage:
    """Prints the demo to stdout: with colours and live counters in a terminal, plain elsewhere."""

    def __init__(self) -> None:
        live = is_terminal()
        self._out = Console(
            file=sys.stdout,
            markup=False,
            emoji=False,
            highlight=False,
            force_terminal=live,
            width=min(_WIDTH, Console().width) if live else _WIDTH,
        )

    def title(self, directory: Path) -> None:
        """Print the opening panel."""
        text = Text.assemble(
            ("greenroom", "bold green"),
            " keeps LLM sessions, each with a durable journal and artifacts of its own.\n",
            "A worker process writes to a store and is killed while it writes. Then the demo checks what is left.\n",
            (f"store: {printable(str(directory))}", "dim"),
        )
        self._out.print(Panel(text, box=box.ROUNDED, border_style="green", padding=(0, 2)))

    def chapter(self, number: int, heading: str) -> None:
        """Print the heading of the next step."""
        self._out.print()
        self._out.print(Text.assemble((f" {number} ", "bold black on green"), (f" {heading}", "bold")))

    def ingested(
        self, inputs: Sequence[Path], sessions: int, events: int, artifacts: int, content: int, took: float
    ) -> None:
        """Print what was ingested."""
        files = ", ".join(printable(path.name) for path in inputs)
        self._out.print(
            Text.assemble(
                "   ",
                (f"{sessions}", "bold cyan"),
                " conversations, ",
                (f"{events - sessions - artifacts}", "bold cyan"),
                " messages and ",
                (f"{artifacts}", "bold cyan"),
                f" artifacts ({size(content)}) in {took * 1000:.0f} ms\n",
                (f"   from {files}", "dim"),
            )
        )

    def watch(self, ledger: Ledger, seconds: float) -> None:
        """Show the number of acknowledged writes for some seconds."""
        until = time.perf_counter() + seconds
        if not is_terminal():
            time.sleep(seconds)
            self._out.print(f"   acknowledged: {ledger.events:,} events, {ledger.artifact_count:,} artifacts")
            return
        before, since = ledger.events, time.perf_counter()
        with Live(console=self._out, refresh_per_second=12) as live:
            while (now := time.perf_counter()) < until:
                rate = (ledger.events - before) / max(now - since, 0.05)
                live.update(self._counters(ledger, rate, 1 - (until - now) / seconds))
                time.sleep(0.05)

    def script(self, script: Path) -> None:
        """Print the script."""
        code = Syntax(script.read_text(encoding="utf-8").rstrip(), "lua", theme="ansi_dark", background_color="default")
        self._out.print(Panel(code, box=box.ROUNDED, title=script.name, title_align="left", border_style="dim"))

    def script_result(self, value: dict[str, Any], duration: float) -> None:
        """Print what the script counted."""
        shown: list[RenderableType] = []
        for title, counts in (("messages by role", value["roles"]), ("tool calls", value["tools"])):
            most = max(counts.values(), default=1)
            table = Table(
                box=None,
                title=title,
                title_style="bold",
                title_justify="left",
                show_header=False,
                pad_edge=False,
            )
            table.add_column(style="cyan")
            table.add_column(justify="right")
            table.add_column()
            for name, count in sorted(counts.items(), key=lambda item: -item[1]):
                bar = Text("█" * max(1, round(16 * count / most)), "green")
                table.add_row(Text(printable(str(name))[:24]), str(count), bar)
            shown.append(table)
        last = Text(
            f"{value['sessions']} sessions read, {value['tagged']} tagged used-tools, "
            f"a summary stored as artifact: {duration * 1000:.0f} ms of sandboxed Lua",
            "dim",
        )
        self._out.print(Panel(Group(Columns(shown, padding=(0, 6)), last), box=box.ROUNDED, border_style="cyan"))

    def killed(self, pid: int, events: int) -> None:
        """Print the crash."""
        text = Text.assemble(
            ("SIGKILL", "bold red"),
            f" to process {pid}, while its threads were writing: no goodbye, no flush, no cleanup.\n",
            f"Until then the store had acknowledged {events:,} events.",
        )
        self._out.print(Panel(text, box=box.HEAVY, border_style="red", padding=(0, 2)))

    def checks(self, checks: Sequence[Check]) -> None:
        """Print the comparison of the ledger with the store."""
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        table.add_column("", width=2)
        table.add_column("what")
        table.add_column("acknowledged", justify="right")
        table.add_column("found", justify="right")
        for check in checks:
            mark = Text("✔", "bold green") if check.ok else Text("✘", "bold red")
            table.add_row(mark, check.what, f"{check.expected:,}", f"{check.found:,}")
        self._out.print(table)
        for check in checks:
            for fault in check.faults[:5]:
                self.complain(fault)
            if len(check.faults) > 5:
                self.complain(f"… and {len(check.faults) - 5} more")

    def complain(self, what: str) -> None:
        """Print a fault."""
        self._out.print(Text(f"   ✘ {printable(what)}", "red"))

    def savings(self, stats: dict[str, Any]) -> None:
        """Print how much space deduplication and compression save."""
        artifacts = stats["artifacts"]
        logical, unique, stored = (artifacts[f"{kind}_bytes"] for kind in ("logical", "unique", "stored"))
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(justify="right")
        table.add_column()
        for name, count, style in (
            ("stored by sessions", logical, "red"),
            ("without repetitions", unique, "yellow"),
            ("compressed, on disk", stored, "green"),
        ):
            table.add_row(name, size(count), Text("█" * max(1, round(_BAR * count / max(logical, 1))), style))
        spared = 1 - stored / logical if logical else 0.0
        note = Text(
            "The worker stores reports that repeat each other on purpose, so this saves more than most data would: "
            f"{artifacts['count']:,} artifacts take {spared:.1%} less than they hold; "
            f"the whole store is {size(stats['disk_bytes'])} on disk, journals included",
            "dim",
        )
        self._out.print(
            Panel(Group(table, note), box=box.ROUNDED, title="space", title_align="left", border_style="green")
        )

    def speed(self, events: float, artifacts: float, reopened: float) -> None:
        """Print the speed."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(justify="right", style="bold cyan")
        table.add_column()
        table.add_row(f"{events:,.0f}", "durable events a second, each reported through a pipe before the next")
        table.add_row(f"{artifacts:,.0f}", "of them artifacts of 24 KiB and more, hashed and deduplicated")
        table.add_row(f"{reopened * 1000:,.0f} ms", "to open the store after the crash")
        self._out.print(Panel(table, box=box.ROUNDED, title="speed", title_align="left", border_style="green"))

    def farewell(self, kept: Path | None, passed: bool) -> None:
        """Print the result."""
        if passed:
            last = Text.assemble(("✔ nothing that was acknowledged is missing. ", "bold green"))
        else:
            last = Text("✘ something that was acknowledged is missing: this is a bug.", "bold red")
        self._out.print(last)
        where = f"--data {kept} " if kept else ""
        hint = "look around: " if kept else "with conversations of your own: greenroom ingest FILE, then "
        self._out.print(Text(f"  {hint}greenroom {where}sessions list", "dim"))

    def _counters(self, ledger: Ledger, rate: float, done: float) -> RenderableType:
        filled = round(_BAR * min(max(done, 0), 1))
        return Text.assemble(
            "   ",
            ("━" * filled, "green"),
            ("━" * (_BAR - filled), "dim"),
            (f"  {ledger.events:>8,}", "bold cyan"),
            " events acknowledged",
            (f"  {rate:>7,.0f}/s", "green"),
        )
