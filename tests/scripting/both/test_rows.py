"""What rows and ids answer beside their fields, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_the_tags_of_a_session_are_found_under_every_name(both: Callable[..., Any]) -> None:
    assert both(
        """
        local s = Session.create { name = "x", tags = { "t" }, metadata = { team = "y" } }
        local row, listed = Session.get(s), Session.list { tags = { "t" } }[1]
        return { s.tags, s.metadata.tags, s.custom.tags, s.custom.team, row.tags, row.metadata.tags, row.custom.tags,
                 listed.metadata.custom_metadata.team, listed.custom.tags, s.metadata.name }
        """,
        """
        const s = Session.create({ name: "x", tags: ["t"], metadata: { team: "y" } })
        const row = Session.get(s), listed = Session.list({ tags: ["t"] })[0]
        return [s.tags, s.metadata.tags, s.custom.tags, s.custom.team, row.tags, row.metadata.tags, row.custom.tags,
                listed.metadata.custom_metadata.team, listed.custom.tags, s.metadata.name]
        """,
    ) == [["t"], ["t"], ["t"], "y", ["t"], ["t"], ["t"], "y", ["t"], "x"]


def test_the_tags_of_an_artifact_are_found_under_every_name(both: Callable[..., Any]) -> None:
    assert both(
        """
        local s = Session.create {}
        local id = Artifact.store(s, "log", "a", "x", { tags = { "t" }, step = 3 })
        local row = Artifact.getInfo(s, id)
        local found = Artifact.get(s, id)
        return { row.tags, row.metadata.tags, row.custom.tags, row.custom.step, found.metadata.metadata.tags,
                 Artifact.query(s, { tags = { "t" } })[1].metadata.custom.step,
                 row.original_size, tostring(id) == tostring(row.id) }
        """,
        """
        const s = Session.create({})
        const id = Artifact.store(s, "log", "a", "x", { tags: ["t"], step: 3 })
        const row = Artifact.getInfo(s, id)
        const found = Artifact.get(s, id)
        return [row.tags, row.metadata.tags, row.custom.tags, row.custom.step, found.metadata.metadata.tags,
                Artifact.query(s, { tags: ["t"] })[0].metadata.custom.step,
                row.original_size, String(id) === String(row.id)]
        """,
    ) == [["t"], ["t"], ["t"], 3, ["t"], 3, 1, True]


def test_listings_are_arrays_with_a_total(both: Callable[..., Any]) -> None:
    assert both(
        """
        local s = Session.create { name = "x" }
        for i = 1, 3 do s:addMessage("user", "m" .. i) Artifact.store(s, "log", "a" .. i, "x") end
        local found = {}
        for _, page in ipairs { s:messages(), s:events(), s:children(), Artifact.list(s), Tool.list(), Hook.list(),
                                Session.list(), Artifact.query(s, { limit = 2 }) } do
          found[#found + 1] = { #page <= page.total, type(page.has_more) }
        end
        found[#found + 1] = Artifact.query(s, { limit = 2 }).total
        return found
        """,
        """
        const s = Session.create({ name: "x" })
        for (let i = 1; i <= 3; i++) { s.addMessage("user", "m" + i); Artifact.store(s, "log", "a" + i, "x") }
        const found = []
        for (const page of [s.messages(), s.events(), s.children(), Artifact.list(s), Tool.list(), Hook.list(),
                            Session.list(), Artifact.query(s, { limit: 2 })]) {
          found.push([page.length <= page.total, typeof page.has_more])
        }
        found.push(Artifact.query(s, { limit: 2 }).total)
        return found
        """,
    ) == [*[[True, "boolean"]] * 8, 3]
