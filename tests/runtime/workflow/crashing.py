"""Runs workflows in processes that kill themselves at a given moment, and resumes them in others.

Called as `python crashing.py STORE KIND STEP`, it dies at each STEP-th moment. Prints one JSON line: for each of them
how often each step has had its effect, which had ended when the process died, and the output at the end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from greenroom.runtime import Branch, HookResult, Runtime, Session, Step, Workflow


def effect(name: str, what: str) -> Step:
    return Step(name, tool="effect", input={"what": what})


def flows(here: Any) -> dict[str, Workflow]:
    """The workflows by kind; `here` is the function of their steps that are functions."""
    three = [effect("a", "a"), Step("b", agent="speaker", input="b after {{step:a:output}}"), effect("c", "c")]
    return {
        "sequential": Workflow.sequential(*three),
        "parallel": Workflow.parallel(*three[::2], Step("b", agent="speaker", input="b")),
        "loop": Workflow.loop(
            effect("x", "x{{item}}"), effect("y", "y{{index}} of {{step:x:output}}"), items="{{input.items}}"
        ),
        "nested": Workflow.sequential(
            effect("first", "first"),
            Step(
                "rows",
                workflow=Workflow.loop(
                    Step("cells", workflow=Workflow.loop(effect("cell", "{{item}} {{index}}"), times=2)),
                    items=["p", "q"],
                ),
            ),
            effect("last", "{{step:cell:output}}"),
        ),
        "branches": Workflow.conditional(
            branches=[
                Branch("no", "{{state:mode}} == 'no'", (effect("n", "n"),)),
                Branch("yes", "{{state:mode}} == 'yes'", (effect("y", "y"), effect("z", "z"))),
            ]
        ),
        "functions": Workflow.sequential(
            effect("a", "a"),
            Step("large", function=here, input="large"),
            effect("size", "{{step:large:output.size}}"),
            Step("own", function=here, input="own"),
        ),
    }


def effects(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


class Work:
    """One process: does the workflow, and dies after so many moments."""

    def __init__(self, folder: Path, kind: str, moments: int | None) -> None:
        self.file = folder / "effects"
        self.moments = moments
        self.flow = flows(self.here)[kind]
        self.rt = Runtime.open(folder / "store")
        self.rt.tools.register("effect", self.effect)
        self.rt.agents.register("speaker", lambda input: self.effect(input[0]))
        for point in ("BeforeWorkflowStage", "AfterWorkflowStage", "WorkflowCheckpoint"):
            self.rt.hooks.register(point, self.moment, name=point)

    def moment(self, context: Any = None) -> HookResult:
        """Die if the time has come."""
        if self.moments is not None:
            self.moments -= 1
            if self.moments < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return HookResult.continue_()

    def effect(self, what: str | int) -> str:
        self.moment()
        with self.file.open("a") as file:
            file.write(f"{what}\n")
        self.moment()
        return str(what).upper()

    def here(self, input: str) -> dict[str, Any]:
        return {"said": self.effect(input), "size": 20_000, "text": "x" * 20_000}

    def session(self) -> Session:
        found = self.rt.get_or_create("the only one")
        if found.get("mode") is None:
            found.set("mode", "yes")
        return found


def died(work: Any) -> bool:
    """Do `work` in a process of its own. Return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "see the error above"
    return False


def one(folder: Path, kind: str, moments: int) -> dict[str, Any] | None:
    """Die after so many moments, then resume. None if the workflow had ended before."""
    folder.mkdir()

    def begin() -> None:
        work = Work(folder, kind, moments)
        work.session().run_workflow(work.flow, {"items": [1, 2, 3]})

    def look() -> None:
        work = Work(folder, kind, None)
        session = work.session()
        done = Counter(each.data["stage"] for each in session.events() if each.type == "workflow.stage")
        called = sum(each.type in ("tool.returned", "agent.returned") for each in session.events())
        before = effects(work.file)
        session.set("mode", "no")  # what was decided stays decided
        run = session.interrupted_workflows()
        if not run:
            (folder / "report").write_text("null")  # it died before the workflow began
            return
        result = session.resume_workflow(work.flow if kind == "functions" else None)
        report = {
            "stages": done,
            "returned": called,
            "before": before,
            "after": effects(work.file),
            "success": result.success,
            "output": result.output,
            "error": result.error,
            "resumed": sum(step.resumed for step in result.steps),
            "runs": [result.run_id == run[-1], session.interrupted_workflows()],
            "problems": len(work.rt.verify().problems),
        }
        (folder / "report").write_text(json.dumps(report))

    if not died(begin):
        return None
    assert not died(look)
    return json.loads((folder / "report").read_text()) or {}


if __name__ == "__main__":
    root, kind, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    reports: list[Any] = []
    while (report := one(root / str(len(reports)), kind, step * len(reports))) is not None:
        reports.append(report)
    print(json.dumps(reports))
