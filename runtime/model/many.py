"""Reports on many artifacts at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from greenroom.storage.artifacts.model import Artifact, ArtifactId
from greenroom.storage.errors import GreenroomError

__all__ = ["DeletedArtifacts", "ManyArtifacts", "deletion_report", "read_in_parts"]

_PART: Final = 16

Read = Callable[[Sequence[ArtifactId | str]], "ManyArtifacts"]


@dataclass(frozen=True, slots=True)
class ManyArtifacts:
    """The result of `get_many`: artifacts and errors, by the requested ids and names."""

    results: dict[ArtifactId | str, Artifact]
    errors: dict[ArtifactId | str, GreenroomError]

    def __repr__(self) -> str:
        return f"<ManyArtifacts {len(self.results)} results, {len(self.errors)} errors>"


@dataclass(frozen=True, slots=True)
class DeletedArtifacts:
    """The result of `delete_many`: the ids of the deleted artifacts, and the requested ids and names that the session
    does not have."""

    deleted: tuple[ArtifactId, ...]
    missing: tuple[ArtifactId | str, ...]

    def __repr__(self) -> str:
        return f"<DeletedArtifacts {len(self.deleted)} deleted, {len(self.missing)} missing>"


def deletion_report(session_id: str, refs: Iterable[ArtifactId | str], gone: Any) -> DeletedArtifacts:
    """Return the report on a deletion; in a batch, which deletes later, what stands for it."""
    if not isinstance(gone, list):
        return cast(DeletedArtifacts, gone)
    deleted = tuple(ArtifactId(each.content_hash, session_id, each.sequence) for each in gone)
    found = {*deleted, *map(str, deleted), *(each.name for each in gone)}
    return DeletedArtifacts(deleted, tuple(ref for ref in refs if ref not in found))


def read_in_parts(
    refs: Sequence[ArtifactId | str], read: Read, on_progress: Callable[[int, int | None], object]
) -> ManyArtifacts:
    """Read artifacts a few at a time, and report the number done and the total after each part."""
    many = ManyArtifacts({}, {})
    for first in range(0, len(refs), _PART):
        part = read(refs[first : first + _PART])
        many.results.update(part.results)
        many.errors.update(part.errors)
        on_progress(min(first + _PART, len(refs)), len(refs))
    return many
