"""The attack scripts of `attacks/LANGUAGE/KIND.EXTENSION`: many in one file, each below a header.

A header begins with `---` (in JavaScript `///`) and a title. Its further lines are comments with a fact each:

- `ends:` the code of the error that the script ends with, and words of its message after a colon; or
- `sees:` what it returns, as JSON: it is contained, and this is all it gets to see.
- `profile:` the profile, if it is not `sandboxed`.
- `host:` anything: the script is the host's, bound to no session.
- `only:` the isolation in which it is contained, if it is only one: in a thread, a native operation can go on.
- `time:` the script's limit in seconds, if it is not the usual one of attacks that end in this way.

A script gets a table of facts as `it`; `try(f, ...)` returns the code (or text) of the error that a call raises, and
"done" when it raises none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["ATTACKS", "Attack"]

_FOLDER: Final = Path(__file__).parent / "attacks"
_MARKS: Final = {"lua": ("--- ", "-- "), "js": ("/// ", "// ")}
_SUFFIXES: Final = {"lua": "lua", "js": "javascript"}
_FACT: Final = re.compile(r"(ends|sees|profile|host|only|time): (.*)")
_OPENINGS: Final = {
    "lua": """local it = ...
local function try(f, ...)
  local ok, e = pcall(f, ...)
  if ok then return "done" end
  return type(e) == "table" and e.code or tostring(e)
end
""",
    "js": """const it = arg[1];
function attempt(f, ...given) {
  try { f(...given) } catch (e) { return e instanceof Error && e.code || String(e) }
  return "done";
}
""",
}
_LIMITS: Final = {"ScriptTimeout": 0.08}
"""The time of attacks that end for it. The others have time to end by themselves, on a slow machine too."""
_LONG: Final = 20.0


@dataclass(frozen=True)
class Attack:
    title: str
    kind: str
    language: str
    source: str
    codes: tuple[str, ...] = ()
    words: str = ""
    sees: Any = None
    profile: str = "sandboxed"
    host: bool = False
    only: str = ""
    time: float = _LONG

    @property
    def id(self) -> str:
        return f"{self.language}-{self.kind}-{self.title.replace(' ', '_')}"


def _read(path: Path) -> list[Attack]:
    title_mark, fact_mark = _MARKS[path.parent.name]
    found: list[Attack] = []
    title, facts, lines = "", dict[str, str](), list[str]()

    def finish() -> None:
        if title:
            found.append(_attack(path, title, facts, "\n".join(lines)))

    for line in path.read_text("utf-8").splitlines():
        if line.startswith(title_mark):
            finish()
            title, facts, lines = line.removeprefix(title_mark), {}, []
        elif not lines and (fact := _FACT.fullmatch(line.removeprefix(fact_mark))):
            facts[fact[1]] = fact[2]
        else:
            lines.append(line)
    finish()
    return found


def _attack(path: Path, title: str, facts: dict[str, str], source: str) -> Attack:
    assert len(facts.keys() & {"ends", "sees"}) == 1, f"{path}: {title}: needs one of ends, sees"
    code, _, words = facts.get("ends", "").partition(": ")
    codes = tuple(code.split(" or ")) if code else ()
    return Attack(
        title=title,
        kind=path.stem,
        language=_SUFFIXES[path.parent.name],
        source=_OPENINGS[path.parent.name] + source,
        codes=codes,
        words=words,
        sees=json.loads(facts["sees"]) if "sees" in facts else None,
        profile=facts.get("profile", "sandboxed"),
        host="host" in facts,
        only=facts.get("only", "thread" if facts.get("profile") == "trusted" else ""),
        time=float(facts["time"]) if "time" in facts else _LIMITS.get(code, _LONG),
    )


ATTACKS: Final = [each for path in sorted(_FOLDER.glob("*/*.*")) for each in _read(path)]
