"""What is shown of the selected event: its data, the state, the conversation, and what it has changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.json import JSON
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static, Tree

from greenroom.runtime.cli.output import brief, one_line, printable, size
from greenroom.runtime.cli.past.words import failure, said_in, style_of
from greenroom.runtime.cli.times import lasted
from greenroom.storage.codec.json_lines import json_able

from .shades import shade

if TYPE_CHECKING:
    from textual.widgets.tree import TreeNode

    from greenroom.runtime import Event

    from .recorded import Recorded

__all__ = ["ChangesPane", "ConversationPane", "EventPane", "StatePane"]

_MOST_TEXT: Final = 20_000
"""Characters of one event, or of one message, that are drawn."""
_MOST_MESSAGES: Final = 100
_MOST_ENTRIES: Final = 500
"""Entries of one list or object in the tree."""
_MOST_CHANGES: Final = 500


class EventPane(VerticalScroll):
    """The fields and the data of one event."""

    def compose(self) -> Any:
        yield Static(id="event-text")

    def show(self, row: Event | str, before: datetime | None) -> None:
        """Show an event; `before` is the time of the one before it."""
        body = self.query_one("#event-text", Static)
        self.scroll_home(animate=False)
        if isinstance(row, str):
            body.update(Text(row, "italic"))
            return
        head = Text(one_line(row.type), f"bold {shade(style_of(row.type))}", end="")
        head = Text.assemble(head, "  (published)\n" if row.origin == "published" else "\n")
        failed = failure(row)
        if failed is not None:
            head.append(f"{failed}\n", shade("bold red"))
        since = ""
        if before is not None:
            since = f"  +{lasted((row.timestamp - before).total_seconds())}"
        fields = {
            "sequence": str(row.sequence),
            "time": f"{row.timestamp:%Y-%m-%d %H:%M:%S.%f}"[:-3] + since,
            "cause": _local(row.causation_id, row.session_id),
            "root": _local(row.root_id, row.session_id) if row.root_id not in (row.causation_id, row.id) else "",
            "correlation": _local(row.correlation_id, row.session_id),
            "source": row.source,
            "target": row.target,
            "tags": ", ".join(row.tags),
        }
        for name, value in fields.items():
            if value:
                head.append(f"{name:<12}", "dim").append(f"{one_line(value)}\n")
        body.update(_joined(head, row.data))


def _local(id: str | None, session_id: str) -> str:
    """Return an id, for events of this session only their sequence."""
    return "" if id in (None, session_id) else str(id).removeprefix(f"{session_id}/")


def _joined(head: Text, data: Any) -> Text:
    text = json.dumps(json_able(data), indent=2, ensure_ascii=False, default=str)
    if len(text) > _MOST_TEXT:
        cut = f"\n… {len(text) - _MOST_TEXT:,} characters more: greenroom events --json shows all"
        return head.append("\n").append(printable(text[:_MOST_TEXT])).append(cut, "italic")
    shown = JSON(text, indent=2).text
    shown.plain = printable(shown.plain) if printable(shown.plain) != shown.plain else shown.plain
    return head.append("\n").append_text(shown)


class _Loaded:
    """A pane whose content takes time to read: it is read on a thread, one moment at a time, the newest wanted last."""

    _wanted: int | None = None
    _shown: int | None = None
    _busy = False

    def show(self, sequence: int) -> None:
        """Show the moment after an event, as soon as it is read."""
        self._wanted = sequence
        if not self._busy and self._shown != sequence:
            self._begin(sequence)

    def _begin(self, sequence: int) -> None:
        self._busy = True
        self.run_worker(partial(self._read, sequence), thread=True, group="reading")  # type: ignore[attr-defined]

    def _read(self, sequence: int) -> None:
        from greenroom.runtime import GreenroomError

        try:
            found: Any = self.load(sequence)
        except GreenroomError as error:
            found = error
        self.app.call_from_thread(self._take, sequence, found)  # type: ignore[attr-defined]

    def _take(self, sequence: int, found: Any) -> None:
        self._busy = False
        if self._wanted != sequence and self._wanted is not None:
            self._begin(self._wanted)
            return
        self._shown = sequence
        if isinstance(found, Exception):
            self.fail(str(found))
        else:
            self.fill(found)

    def load(self, sequence: int) -> Any:
        """Read what is to be shown, on any thread."""
        raise NotImplementedError

    def fill(self, found: Any) -> None:
        """Show what was read."""
        raise NotImplementedError

    def fail(self, why: str) -> None:
        """Show why nothing could be read."""
        raise NotImplementedError


class _TextPane(_Loaded, VerticalScroll):
    """A pane of text."""

    def __init__(self, recorded: Recorded, *, id: str) -> None:
        super().__init__(id=id)
        self._recorded = recorded

    def compose(self) -> Any:
        yield Static(classes="body")

    def put(self, text: Text) -> None:
        """Show a text."""
        self.query_one(".body", Static).update(text)

    def fail(self, why: str) -> None:
        self.put(Text(one_line(why), shade("red")))


class ConversationPane(_TextPane):
    """The messages of a moment; at the call of an agent, what its model was given."""

    def load(self, sequence: int) -> Any:
        return self._recorded.conversation(sequence)

    def fill(self, found: Any) -> None:
        text = Text()
        if len(found) > _MOST_MESSAGES:
            text.append(f"… {len(found) - _MOST_MESSAGES:,} messages before these\n\n", "italic dim")
        for message in found[-_MOST_MESSAGES:]:
            content = said_in(message)
            note = f"  {message['note']}" if message.get("note") else ""
            text.append(f"{one_line(str(message.get('role', '')))}", shade("bold cyan"))
            text.append(f"  {message.get('sequence') or ''}", "dim").append(f"{note}\n", shade("yellow"))
            text.append(printable(content[:_MOST_TEXT]))
            text.append("…\n\n" if len(content) > _MOST_TEXT else "\n\n")
        self.put(text if found else Text("no messages", "italic dim"))
        self.call_after_refresh(self.scroll_end, animate=False)


_CHANGE_STYLES: Final = {
    "added": ("+", shade("green")),
    "removed": ("-", shade("red")),
    "changed": ("~", shade("yellow")),
}


class ChangesPane(_TextPane):
    """What differs from the moment before."""

    def load(self, sequence: int) -> Any:
        return self._recorded.changes(sequence)

    def fill(self, found: Any) -> None:
        text = Text()
        for change in found[:_MOST_CHANGES]:
            mark, style = _CHANGE_STYLES.get(change.kind, ("~", shade("yellow")))
            text.append(f"{mark} {one_line(change.place)}\n", f"bold {style}")
            if change.kind != "added":
                text.append(f"  - {one_line(brief(change.before, 2000))}\n", shade("red"))
            if change.kind != "removed":
                text.append(f"  + {one_line(brief(change.after, 2000))}\n", shade("green"))
        if len(found) > _MOST_CHANGES:
            text.append(f"… {len(found) - _MOST_CHANGES:,} more\n", "italic dim")
        self.put(text if found else Text("the event has changed nothing in the state", "italic dim"))
        self.scroll_home(animate=False)


class StatePane(_Loaded, Tree[Any]):
    """The state of a moment as a tree. What was opened stays open from one moment to the next."""

    _SMALL: ClassVar = ("session", "variables", "metadata", "tags", "config")

    def __init__(self, recorded: Recorded, *, id: str) -> None:
        super().__init__("state", id=id)
        self._recorded = recorded
        self._open = {("variables",)}
        self.show_root = False
        self.guide_depth = 2

    def load(self, sequence: int) -> Any:
        parts = self._recorded.state(sequence)
        return {name: part() if name in self._SMALL else part for name, part in parts.items()}

    def fill(self, found: Any) -> None:
        line = self.cursor_line
        self.clear()
        self.root.expand()
        for name, value in found.items():
            self._put(self.root, name, value, (name,))
        self.call_after_refresh(self._back_to, line)

    def fail(self, why: str) -> None:
        self.clear()
        self.root.add_leaf(Text(one_line(why), shade("red")))

    def _back_to(self, line: int) -> None:
        self.cursor_line = min(max(0, line), self.last_line)

    def _put(self, parent: TreeNode[Any], name: str, value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, (bytes, bytearray)):
            value = size(len(value))
        label = Text(one_line(name), "bold" if len(path) == 1 else "")
        if callable(value):
            node = parent.add(label, data=(path, value))
        elif isinstance(value, (Mapping, list, tuple)) and value:
            node = parent.add(label.append(f"  {len(value):,}", "dim"), data=(path, value))
        else:
            shown = "none" if value is None or value in ({}, []) else one_line(brief(value, 500))
            parent.add_leaf(label.append(f"  {shown}", shade("green")))
            return
        if path in self._open:
            node.expand()

    def on_tree_node_collapsed(self, event: Tree.NodeCollapsed[Any]) -> None:
        """Remember that a node is closed."""
        if event.node.data is not None:
            self._open.discard(event.node.data[0])

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Any]) -> None:
        """Fill a node when it is opened."""
        node = event.node
        if node.data is None:
            return
        path, value = node.data
        self._open.add(path)
        if node.children:
            return
        if callable(value):
            node.add_leaf(Text("reading…", "italic dim"))
            self.run_worker(partial(self._read_part, node, path, value), thread=True, group="parts")
        else:
            self._put_all(node, path, value)

    def _read_part(self, node: TreeNode[Any], path: tuple[str, ...], part: Callable[[], Any]) -> None:
        from greenroom.runtime import GreenroomError

        try:
            found = part()
        except GreenroomError as error:
            found = {"cannot be read": str(error)}
        self.app.call_from_thread(self._take_part, node, path, found)

    def _take_part(self, node: TreeNode[Any], path: tuple[str, ...], found: Any) -> None:
        node.remove_children()
        if not found:
            node.add_leaf(Text("none", "italic dim"))
            return
        self._put_all(node, path, found if isinstance(found, (Mapping, list, tuple)) else [found])

    def _put_all(self, node: TreeNode[Any], path: tuple[str, ...], value: Any) -> None:
        entries = list(value.items()) if isinstance(value, Mapping) else list(enumerate(value))
        for key, entry in entries[:_MOST_ENTRIES]:
            self._put(node, str(key), entry, (*path, str(key)))
        if len(entries) > _MOST_ENTRIES:
            node.add_leaf(Text(f"… {len(entries) - _MOST_ENTRIES:,} more", "italic dim"))
