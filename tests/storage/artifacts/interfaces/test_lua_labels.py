"""Scripts give labels, count and delete many."""

from __future__ import annotations

from greenroom.runtime import Runtime


def test_a_script_labels_counts_and_deletes_many(rt: Runtime) -> None:
    value = rt.run_script(
        """
        local s = Session.create {}
        local first = Artifact.store(s, "tool_result", "r.json", "1", { label = "1.0.0" })
        local second = Artifact.store(s, "tool_result", "r.json", "2", { label = "1.2.0", parent_artifact = first })
        assert(Artifact.getContent(s, "r.json", "1.0.0") == "1")
        assert(Artifact.getInfo(s, second).label == "1.2.0")
        assert(Artifact.getInfo(s, second).custom.label == nil)
        assert(Artifact.count(s, {}) == 2 and Artifact.count { session_id = s, latest_only = true } == 1)
        local found = Artifact.query(s, { parent_artifact = first })
        assert(#found == 1 and found[1].version == 2)
        local page = Artifact.query(s, { limit = 1 })
        assert(#page == 1 and page.total == 2 and page.has_more and #Artifact.list(s) == Artifact.list(s).total)
        assert(#Artifact.findByTag(s, "none") == 0 and not Artifact.findByTag(s, "none").has_more)
        local report = Artifact.deleteMany(s, { first, "nothing" })
        assert(report.deleted[1].sequence == 1 and report.missing[1] == "nothing")
        local ok, e = pcall(Artifact.store, s, "t", "a", "x", { label = "2" })
        return { Artifact.count(s), ok, e.code }
        """
    ).value
    assert value == [1, False, "ValidationError"]
