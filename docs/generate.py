"""Writes the pages of docs/reference and docs/scripting/reference that are made from the code: `python
docs/generate.py`. A test compares them with what it writes."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import runpy
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydantic
import typer

import greenroom.runtime
from greenroom.runtime import GreenroomError, PolicyConfig, RuntimeConfig, SessionConfig

_FOLDER = Path(__file__).parent
_PYTHON = runpy.run_path(str(_FOLDER / "python_reference.py"))
_WRITTEN = _PYTHON["_WRITTEN"]


# -- settings


def _type(annotation: Any) -> str:
    """Return the type of a setting as one writes it down, with its bounds."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _type(typing.get_args(annotation)[0])
    if inspect.isclass(annotation) and issubclass(annotation, enum.Enum):
        return " or ".join(f"`{each.value}`" for each in annotation)
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if annotation is type(None):
        return "none"
    if arguments and typing.get_origin(annotation) in (typing.Union, __import__("types").UnionType):
        return " or ".join(_type(each) for each in arguments)
    if arguments:
        inner = ", ".join("…" if each is ... else _type(each) for each in arguments)
        return f"{getattr(typing.get_origin(annotation), '__name__', annotation)}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))


def _settings_of(kind: type[pydantic.BaseModel]) -> Iterator[str]:
    yield "\n| setting | type | default | what it does |\n| --- | --- | --- | --- |"
    notes = _PYTHON["_notes"](kind)
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, pydantic.BaseModel):
            shown = f"see [{type(default).__name__}](#{type(default).__name__.lower()})"
        elif isinstance(default, enum.Enum):
            shown = f"`{default.value}`"
        else:
            shown = "none" if default is None else f"`{default}`"
        yield f"| `{name}` | {_type(field.annotation)} | {shown} | {notes.get(name, '')} |"


def _sections(kind: type[pydantic.BaseModel]) -> Iterator[type[pydantic.BaseModel]]:
    for field in kind.model_fields.values():
        for each in (field.annotation, *typing.get_args(field.annotation)):
            if inspect.isclass(each) and issubclass(each, pydantic.BaseModel):
                yield each


def _settings() -> Iterator[str]:
    yield f"""# Settings

{_WRITTEN}. Sizes are in bytes and times in seconds, unless the name says otherwise. "none" means no limit.

A runtime takes its settings from `Runtime.open(config=...)`. The command line reads `greenroom.toml` in the working
directory (`durability = "fsync"`), then the environment (`GREENROOM_DURABILITY=fsync`), then arguments. An unknown
setting is an error that names the nearest known one. `greenroom config show` prints what is in force, and where each
value comes from."""
    shown: list[type[pydantic.BaseModel]] = []
    waiting: list[type[pydantic.BaseModel]] = [RuntimeConfig, SessionConfig, PolicyConfig]
    while waiting:
        kind = waiting.pop(0)
        if kind in shown:
            continue
        shown.append(kind)
        yield f"\n## {kind.__name__}\n\n{inspect.getdoc(kind) or ''}"
        yield from _settings_of(kind)
        waiting += [each for each in _sections(kind) if each not in shown]


# -- limits

_LIMITS = (
    ("the name of a session, of an artifact's creator", "checks.MAX_NAME", "characters"),
    ("the description of a session or an artifact", "checks.MAX_TEXT", "characters"),
    ("tags of a session or an artifact", "checks.MAX_TAGS", ""),
    ("one tag", "checks.MAX_TAG", "characters"),
    ("metadata of a session, custom entries of an artifact", "checks.MAX_METADATA_BYTES", "bytes, encoded"),
    ("the key of a variable", "checks.MAX_KEY", "characters"),
    ("a variable", "checks.MAX_VARIABLE_BYTES", "bytes, encoded"),
    ("a message of the conversation", "checks.MAX_MESSAGE_BYTES", "bytes, encoded"),
    ("the role of a message", "checks.MAX_ROLE", "characters"),
    ("artifacts or messages in one call", "checks.MAX_BATCH", ""),
    ("an idempotency key", "checks.MAX_IDEMPOTENCY_KEY", "characters"),
    ("the input of a tool or an agent", "calls.MAX_INPUT_BYTES", "bytes, encoded"),
    ("the data of a published event", "events.MAX_EVENT_BYTES", "bytes, encoded"),
)
_HOST_LIMITS = (
    ("the result of a tool or an agent", "greenroom.runtime.calls.work.MAX_RESULT_BYTES", "bytes, encoded"),
    ("calls of tools and agents within one another", "greenroom.runtime.calls.calls.MAX_NESTING", ""),
    ("grants that one session gives", "greenroom.actors.session.state.grants.MAX_GRANTS", ""),
    ("registered hooks", "greenroom.actors.hooks.hooks.MAX_HOOKS", ""),
    ("hooks within one another", "greenroom.actors.hooks.chain.MAX_NESTING", ""),
    ("subscriptions", "greenroom.actors.events.bus.MAX_SUBSCRIPTIONS", ""),
    ("replays that wait for their turn", "greenroom.runtime.replay.controls.replays.MAX_WAITING", ""),
    ("schedules of replays", "greenroom.runtime.replay.controls.schedule.MAX_SCHEDULES", ""),
    ("breakpoints of one replay", "greenroom.runtime.replay.controls.breakpoints.MAX_BREAKPOINTS", ""),
    ("events that wait for one subscriber", "greenroom.actors.events.subscription.MAX_CAPACITY", ""),
    ("the text of a search", "greenroom.storage.search.query.MAX_TEXT", "characters"),
    ("words and phrases of a search", "greenroom.storage.search.query.MAX_TERMS", ""),
    ("hits on one page of a search", "greenroom.runtime.search.request.MAX_LIMIT", ""),
    ("hits of a search that are ranked, the newest", "greenroom.storage.search.index.MAX_RANKED", ""),
    ("what is searched of an artifact's content", "greenroom.actors.search.texts.MAX_INDEXED", "bytes"),
    ("levels of a value", "greenroom.storage.codec.plain.MAX_DEPTH", ""),
)
_RECORDED = "greenroom.runtime.recording"
_RECORDING_LIMITS = (
    (
        "one request or response",
        f"{_RECORDED}.boundaries.http.bodies.MOST_BYTES",
        "bytes",
        "the program sends and gets all of it; a request is kept without its body, and a replay that reads so far"
        " raises `ReplayError`",
    ),
    (
        "a JSON body that is looked through for tokens",
        f"{_RECORDED}.boundaries.http.bodies.MAX_JSON",
        "bytes",
        "a longer one is kept as it is: use `redact=`",
    ),
    (
        "a body that is understood, unpacked",
        f"{_RECORDED}.understanding.bodies.MAX_BYTES",
        "bytes",
        "a longer one is no call of a model",
    ),
    (
        "reads of clocks and the like that wait for a call",
        f"{_RECORDED}.tape.recorder.MOST_READS",
        "",
        "then they are kept without one",
    ),
    (
        "the name, place or lane of a call",
        f"{_RECORDED}.journal.forms.MAX_TEXT",
        "characters",
        "`ValidationError`: the recording ends and says why",
    ),
    ("bodies that stand on one another", "greenroom.storage.events.bodies.MAX_DEPTH", "", "the next is kept whole"),
    ("rules of `redact=`", f"{_RECORDED}.tape.secrets.redacting.MAX_RULES", "", "`ValidationError`"),
    ("sessions that wait to be understood", "greenroom.runtime.owed.MOST_WAITING", "", "the end of a block does one"),
    ("departures that a replay tells one by one", f"{_RECORDED}.tape.report.MOST_TOLD", "", "all are counted"),
    (
        "threads and tasks of one name: its characters",
        f"{_RECORDED}.tape.lanes.LONGEST",
        "",
        "a digest stands for the rest",
    ),
    (
        "seconds that an answer of a replay waits for its turn",
        f"{_RECORDED}.tape.player.PATIENCE",
        "",
        "then it goes on, and `order` counts it",
    ),
    ("forks of one `blame`", f"{_RECORDED}.searching.blame.MOST_TRIALS", "", "`ValidationError`"),
)


def _limits() -> Iterator[str]:
    yield f"""# Fixed limits

{_WRITTEN}. What these refuse is a `ValidationError` or a `ResourceLimitExceeded` that names the limit. Limits that
can be set, and all defaults, are on [the page of settings](settings.md).

| of | at most |
| --- | --- |"""
    for what, where, unit in (*((a, f"greenroom.actors.messages.{b}", c) for a, b, c in _LIMITS), *_HOST_LIMITS):
        module, _, name = where.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        yield f"| {what} | {value:,} {unit} |".replace(" |", " |")
    yield """
## Of recordings

What a recording cannot hold never stops the program. A call that is larger than the store's `max_artifact_bytes` is
kept without its large parts.

| of | at most | beyond |
| --- | --- | --- |"""
    for what, where, unit, beyond in _RECORDING_LIMITS:
        module, _, name = where.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        yield f"| {what} | {value:,} {unit}".rstrip() + f" | {beyond} |"


# -- errors


def _errors() -> Iterator[str]:
    yield f"""# Errors

{_WRITTEN}. Every error that greenroom raises on purpose is a `GreenroomError`. `error.code` is the name of its
class, `error.fields` are the facts of the case, which can be read as attributes too, and `str(error)` says what was
asked, what is wrong and what to do. An indented error is a kind of the one above it.
"""
    public = [getattr(greenroom.runtime, name) for name in greenroom.runtime.__all__]
    errors = [each for each in public if inspect.isclass(each) and issubclass(each, GreenroomError)]

    def tree(kind: type, depth: int) -> Iterator[str]:
        also = [f"`{each.__name__}`" for each in kind.__bases__ if not issubclass(each, GreenroomError)]
        beside = f" (also a {', '.join(also)})" if also and kind is not GreenroomError else ""
        yield f"{'  ' * depth}- **{kind.__name__}**{beside}: {_PYTHON['_first'](kind)}"
        for each in sorted(errors, key=lambda error: error.__name__):
            if each.__bases__[0] is kind:
                yield from tree(each, depth + 1)

    yield from tree(GreenroomError, 0)


# -- the command line


def _command_line() -> Iterator[str]:
    from greenroom.runtime.cli.app import app

    yield f"# The command line\n\n{_WRITTEN} from the help of `greenroom`. `greenroom COMMAND --help` shows the same."
    root: Any = typer.main.get_command(app)
    yield f"\n{_help(root)}"
    yield from _options(root)

    def walk(command: Any, path: str) -> Iterator[str]:
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            if getattr(inner, "hidden", False):
                continue
            usage = " ".join(
                each.name.upper() + ("..." if each.nargs == -1 else "")
                for each in inner.params
                if each.param_type_name == "argument"
            )
            yield f"\n## `{path} {name}{' ' + usage if usage else ''}`\n\n{_help(inner)}"
            if not hasattr(inner, "commands"):
                yield from _options(inner)
            yield from walk(inner, f"{path} {name}")

    yield from walk(root, "greenroom")


def _help(command: Any) -> str:
    return inspect.getdoc(command.callback) or inspect.cleandoc(command.help or "")


def _options(command: Any) -> Iterator[str]:
    rows = []
    for each in command.params:
        what = " ".join((getattr(each, "help", None) or "").split())
        if each.param_type_name == "argument":
            rows.append(f"| `{each.name.upper()}` | {what} |")
        elif not getattr(each, "hidden", False):
            names = " ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
            rows.append(f"| {names} | {what} |")
    if rows:
        yield "\n| argument or option | |\n| --- | --- |"
        yield from (row.replace(" || ", " or ") for row in rows)


# -- patches


def _patches() -> Iterator[str]:
    from greenroom.runtime.recording.patches.fields import table

    yield f"""# Patches

{_WRITTEN} from the table of `greenroom.runtime.recording.patches`, whose examples a test runs on every provider's
format.

A patch says what a fork of a recording changes: `greenroom fork ID --at N --patch 'PATCH'`. The first N steps are
answered from the recording, and what comes after them is called anew. Several patches are applied in their order.

    TARGET=VALUE      set a field
    TARGET+=VALUE     add to it: to a text, a list, an object or a number
    del TARGET        take it away

A value is JSON; what does not begin with a quote, a brace or a bracket may be text as it is: `llm.model=other-model`.
A path goes into objects by `.name` or `["a name"]`, and into lists by `[0]` or, from the end, `[-1]`. What no
recorded call has, is told before anything is run, with the nearest field that there is.

{table()}
The answer of step N is patched in what was recorded: nothing is called for it. A streamed answer is patched as the
whole that it adds up to, and handed to the program as a valid stream again. What the calls after step N are changed
to is what the new recording has. `--edit` opens both sides in an editor instead."""


# -- scripts


def _scripts() -> dict[str, str]:
    """Return the pages about the globals of scripts, by their paths."""
    return runpy.run_path(str(_FOLDER / "script_reference.py"))["pages"](_WRITTEN)


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "reference/messages.md": _PYTHON["_messages"],
    "reference/python.md": _PYTHON["_python"],
    "reference/settings.md": _settings,
    "reference/limits.md": _limits,
    "reference/errors.md": _errors,
    "reference/command-line.md": _command_line,
    "reference/patches.md": _patches,
}


def pages() -> dict[str, str]:
    """Return the texts of all pages, by their paths below docs/."""
    return {path: _tidy("\n".join(lines())) for path, lines in PAGES.items()} | {
        path: _tidy(text) for path, text in _scripts().items()
    }


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


if __name__ == "__main__":
    for path, text in pages().items():
        (_FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (_FOLDER / path).write_text(text, encoding="utf-8")
