"""Trees of messages: the path that the application shows, and the branches that leave it.

Applications keep every answer that was generated and every edit of a question, as a tree. Nothing here recurses, and
each node is visited a fixed number of times, so that no tree takes more than time in proportion to its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from greenroom.runtime.ingest.records import Branch, Note, Turn, UnknownRecord

from .common import read_turns

__all__ = ["MAX_BRANCHES", "MAX_REPEATED", "Path", "Tree", "turns_of_paths"]

MAX_BRANCHES: Final = 100
"""Limit of branches of one conversation that become sessions of their own."""
MAX_REPEATED: Final = 10_000
"""Limit of turns that the branches of one conversation begin with, all together."""

_UNPLACED: Final = -2


@dataclass(slots=True)
class Path:
    """A path through the tree, from where it leaves its `origin` (-1: it is the shown path, or begins at a root).

    `joint` is the last node that it has in common with its origin, None if they have none.
    """

    origin: int
    joint: str | None
    nodes: list[str]


class Tree:
    """Nodes by id, in the order of the file, each with the id of its parent."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.parents: dict[str, str | None] = {}
        self.notes: list[Note] = []
        self.unplaced: list[str] = []
        """Nodes that are on no path, after `paths`."""
        self._numbers: dict[str, int] = {}

    def add(self, id: str, parent: Any, item: Any) -> None:
        """Add a node. A second node with an id gets another id, unless it is the same."""
        if id in self.items:
            if self.items[id] == item:
                self.notes.append(Note(f"node {id[:64]}", "it is there more than once, always the same: kept once"))
                return
            number = self._numbers.get(id, 0) + 1
            while f"{id} ({number})" in self.items:
                number += 1
            self._numbers[id] = number
            self.notes.append(Note(f"node {id[:64]}", f"its id is there more than once: kept as {id[:64]} ({number})"))
            id = f"{id} ({number})"
        self.items[id] = item
        self.parents[id] = parent if isinstance(parent, str) and parent else None

    def leaves(self) -> list[str]:
        """Return the nodes that are no other node's parent, in order."""
        inner = set(self.parents.values())
        return [node for node in self.items if node not in inner]

    def newest_leaf(self, time: Callable[[Any], int | None]) -> str:
        """Return the leaf with the newest message; of several without a time, the last. Raises UnknownRecord."""
        best: tuple[int, int] | None = None
        found = None
        for number, node in enumerate(self.leaves()):
            rank = (time(self.items[node]) or 0, number)
            if best is None or rank > best:
                best, found = rank, node
        if found is None:
            raise UnknownRecord("its messages form a circle: none is the last")
        return found

    def paths(self, shown: str, joins: Callable[[list[str]], bool] | None = None) -> list[Path]:
        """Return the path that ends at a node, and the paths to all other leaves, in the order of the file.

        A path for which `joins` is true becomes part of the shown one. Raises UnknownRecord if the shown path is a
        circle.
        """
        owners: dict[str, int] = {}
        main = self._climb(shown, owners, -1)
        if main is None:
            raise UnknownRecord(f"its messages form a circle: node {shown[:64]} is its own ancestor")
        paths = [Path(-1, None, main[1])]
        joined = False
        for leaf in self.leaves():
            if leaf in owners:
                continue
            climbed = self._climb(leaf, owners, len(paths) - 1)
            if climbed is None:
                continue
            joint, nodes = climbed
            origin = owners[joint] if joint is not None else -1
            if joins is not None and origin == -1 and joins(nodes):
                paths[0].nodes += nodes
                owners.update(dict.fromkeys(nodes, -1))
                joined = True
            else:
                paths.append(Path(origin, joint, nodes))
        if joined:
            order = {node: number for number, node in enumerate(self.items)}
            paths[0].nodes.sort(key=order.__getitem__)
        self.unplaced = [node for node in self.items if owners.get(node, _UNPLACED) == _UNPLACED]
        return paths

    def _climb(self, leaf: str, owners: dict[str, int], owner: int) -> tuple[str | None, list[str]] | None:
        """Return the nodes from the first that no path has to `leaf`, and the node before them; None for a circle."""
        nodes: list[str] = []
        node: str | None = leaf
        while node is not None and node in self.items and node not in owners:
            nodes.append(node)
            owners[node] = _CLIMBING
            node = self.parents[node]
        placed = node is None or node not in self.items or owners[node] not in (_CLIMBING, _UNPLACED)
        for each in nodes:
            owners[each] = owner if placed else _UNPLACED
        if not placed:
            return None
        nodes.reverse()
        return (node if node in owners else None), nodes


_CLIMBING: Final = -3


def turns_of_paths(
    tree: Tree, paths: list[Path], messages_of: Callable[[list[Any]], Iterable[tuple[int, Any]]]
) -> tuple[list[Turn], list[Branch], list[Note]]:
    """Return the turns of the shown path, the branches, and notes of what was changed.

    `messages_of` returns the messages of nodes that follow each other, each with the number of its node. What exceeds
    the limits of branches is added to the tree's unplaced nodes.
    """
    notes = list(tree.notes)
    counts: dict[str, int] = {}
    """How many turns a path has up to a node, from its root."""
    made: dict[int, int] = {-1: -1}
    """The branches by the number of their path; -1 is the conversation itself."""
    turns: list[Turn] = []
    branches: list[Branch] = []
    repeated = left_out = 0
    for number, path in enumerate(paths):
        messages = list(messages_of([tree.items[node] for node in path.nodes]))
        shared = counts.get(path.joint, 0) if path.joint is not None else 0
        origin = made.get(path.origin)
        if number and (len(branches) == MAX_BRANCHES or repeated + shared > MAX_REPEATED or origin is None):
            tree.unplaced += path.nodes
            left_out += bool(messages)
            continue
        place = f"branch {len(branches) + 1}," if number else ""
        own = read_turns([message for _, message in messages], notes, place)[0] if messages else []
        ends = iter([at for at, _ in messages])
        end = next(ends, None)
        count = shared
        for at, node in enumerate(path.nodes):
            while end is not None and end <= at:
                count += 1
                end = next(ends, None)
            counts[node] = count
        if not number:
            turns = own
        elif own:
            made[number - 1] = len(branches)
            branches.append(Branch(origin if origin is not None else -1, shared, own, path.nodes[-1]))
            repeated += shared
        else:
            made[number - 1] = origin if origin is not None else -1
            tree.unplaced += path.nodes
    if left_out:
        notes.append(Note("branches", f"{left_out} more than become sessions: kept with the record's other fields"))
    return turns, branches, notes
