"""The globals as JavaScript sees them: objects with methods, ids that answer, listings, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AccessDenied, Runtime, ScriptError


def test_a_session_id_is_a_text_that_answers(js: Any) -> None:
    source = """
      const id = Session.create({ name: 'one', tags: ['a'] })
      id.addTag('b')
      const same = Session.get(id)
      same.addTag('c')
      return [typeof id, id.id === id, id.name, id.tags, id.status, `${id}`.name, id.getTags(), 'other'.name,
        'x'.addTag, Object.keys(same).includes('tags'), typeof same.addTag, JSON.stringify(same).includes('addTag')]"""
    kind, itself, name, tags, status, again, more, other, method, shown, bound, listed = js(source)
    assert (kind, itself, name, tags, status, again) == ("string", True, "one", ["a", "b", "c"], "active", "one")
    assert (more, other, method) == (["a", "b", "c"], None, None)
    assert (shown, bound, listed) == (True, "function", False)


def test_rows_show_themselves_as_metadata(js: Any) -> None:
    source = """
      const id = Session.create({ name: 'one', tags: ['a'], metadata: { team: 'x' } })
      const row = Session.get(id)
      Artifact.store(id, 'user_input', 'n', 'text', { tags: ['t'], kind: 'k' })
      const artifact = Artifact.list(id)[0]
      return [row.metadata.name, row.custom_metadata.team, row.custom.team, artifact.metadata.tags,
        artifact.custom.kind, artifact.custom.tags, artifact.metadata.custom.kind, artifact.original_size,
        'original_size' in { ...artifact }]"""
    assert js(source) == ["one", "x", "x", ["t"], "k", ["t"], "k", 4, False]


def test_artifact_ids_are_objects_with_a_text(js: Any) -> None:
    source = """
      const session = Session.create({ name: 'one' })
      const id = Artifact.store(session, 'user_input', 'n', 'text')
      const again = Artifact.get(session, id)
      const text = [id.content_hash, id.session_id, id.sequence].join(':')
      return [Object.keys(id).sort(), `${id}` === text, again.content,
        again.id.sequence === id.sequence, Artifact.getContent(session, id)]"""
    assert js(source) == [["content_hash", "sequence", "session_id"], True, "text", True, "text"]


def test_binary_content(js: Any) -> None:
    source = """
      const session = Session.create({ name: 'one' })
      const id = Artifact.store(session, 'user_input', 'n', new Uint8Array([0, 255, 254]))
      const content = Artifact.getContent(session, id)
      return [content instanceof Uint8Array, content]"""
    assert js(source) == [True, b"\x00\xff\xfe"]


def test_listings_know_their_total(js: Any) -> None:
    source = """
      for (let i = 0; i < 3; i++) Session.create({ name: 'listed', tags: ['listing'] })
      const page = Session.list({ tags: ['listing'], limit: 2 })
      return [Array.isArray(page), page.length, page.total, page.has_more, Object.keys(page), page[0].name,
        [...page].length, JSON.parse(JSON.stringify(page)).length]"""
    assert js(source) == [True, 2, 3, True, ["0", "1"], "listed", 2, 2]


def test_errors_are_errors_with_a_code(js: Any) -> None:
    source = """
      try { Session.get('none') } catch (e) {
        return [e instanceof Error, e.code, e.name, e.message, String(e), Object.prototype.toString.call(e)]
      }"""
    assert js(source) == [
        True,
        "SessionNotFound",
        "SessionNotFound",
        "there is no session 'none'",
        "SessionNotFound: there is no session 'none'",
        "[object Error]",
    ]


def test_unknown_options_name_the_nearest(js: Any) -> None:
    with pytest.raises(ScriptError, match="nearest known one is 'name'"):
        js("Session.create({ nam: 'x' })")


def test_tools_are_found_by_name(js: Any) -> None:
    source = """
      return [Tool.calculator.execute({ expression: '1 + 2' }).result, String(Tool.calculator),
        Tool.nothing === undefined, typeof Tool.toString, Tool.hasOwnProperty('list'), Tool.get('calculator').name,
        Tool.invoke('calculator', { expression: 2n ** 80n }).success]"""
    assert js(source) == [3, "calculator", True, "function", True, "calculator", False]


def test_constants_and_namespaces(js: Any) -> None:
    assert js("return [Replay.modes.exact, typeof Replay.schedules.once, typeof Session.create.name]") == [
        "exact",
        "function",
        "string",
    ]


def test_the_global_agent_can_be_tested_for(js: Any, runtime: Runtime) -> None:
    assert js("return Agent ? 'there' : typeof Agent") == "undefined"
    runtime.agents.register("mine", lambda request: {"text": "said"})
    assert runtime.run_script("return Agent ? typeof Agent.create : 'none'", language="js").value == "function"


def test_functions_of_the_script_are_called_while_it_waits(js: Any) -> None:
    source = """
      const seen = []
      const hook = Hook.register('SessionCreated', context => { seen.push([context.point, typeof context.session_id]) })
      Session.create({ name: 'hooked' })
      const point = hook.hook_point()
      hook.unregister()
      Session.create({ name: 'not hooked' })
      return [seen, point, typeof hook.id()]"""
    assert js(source) == [[["SessionCreated", "string"]], "SessionCreated", "string"]


def test_hooks_can_cancel_and_be_asynchronous(js: Any) -> None:
    source = """
      Hook.register('SessionCreated', async context => {
        await null
        return context.data.name === 'bad' ? 'cancel' : 'continue'
      })
      Session.create({ name: 'good' })
      try { Session.create({ name: 'bad' }) } catch (e) { return e.code }"""
    assert js(source) in ("HookCancelled", None)


def test_events_reach_handlers(shared_runtime: Runtime) -> None:
    source = """
      Event.on('js.*', event => print('got', event.type, event.data))
      Event.publish('js.one', { x: [1, 2] })"""
    assert shared_runtime.run_script(source, language="js").output == 'got js.one {"x": [1, 2]}\n'


def test_content_is_a_text_or_bytes(js: Any) -> None:
    source = """
      const session = Session.create({ name: 'one' })
      return arguments[0].map(each => {
        const id = Artifact.store(session, 'user_input', 'n', each)
        return [typeof Artifact.getContent(session, id), typeof Artifact.get(session, id).content]
      })"""
    values = ["text", "é\n\t🦐", b"bytes of a text", b"\x01\x02", b"\xff", ""]
    kinds = ["string", "string", "string", "object", "object", "string"]
    assert js(source, args=[values]) == [[kind, kind] for kind in kinds]


def test_a_script_that_changes_the_language_changes_only_itself(js: Any) -> None:
    source = """
      Array.prototype.push = Array.prototype[Symbol.iterator] = Array.prototype.join = null
      JSON.stringify = JSON.parse = Object.keys = Object.defineProperty = Reflect.apply = null
      String.prototype.slice = String.prototype.charCodeAt = Promise.prototype.then = Map.prototype.get = null
      WeakMap.prototype.get = Function.prototype.call = Function.prototype.apply = RegExp.prototype.exec = null
      Error.prototype.toString = Uint8Array.prototype.subarray = BigInt = Error = TypeError = Uint8Array = null
      Object.prototype.hasOwnProperty = Object.getPrototypeOf = Math.random = globalThis.eval = null
      const id = Session.create({ name: 'kept' })
      State.set('kept', { a: [1, 2, { b: id }] })
      print([1, 2], { a: 1 })
      let code
      try { Session.get('none') } catch (e) { code = e.code }
      return [State.get('kept').a[2].b === id, id.name, code]"""
    assert js(source) == [True, "kept", "SessionNotFound"]
    assert js("return [typeof [].push, typeof JSON.parse, typeof Error]") == ["function"] * 3


@pytest.mark.parametrize(
    "pollution",
    [
        "Object.prototype.$b = 'x'",
        "Object.prototype.toJSON = () => 'owned'",
        "Object.defineProperty(Object.prototype, '0', { set() { throw new Error('trap') }, configurable: true })",
        "Object.prototype.get = () => 'owned'; Object.prototype.value = 1",
        "Object.prototype.code = 'Owned'",
    ],
)
def test_polluted_prototypes_reach_no_other_session(shared_runtime: Runtime, pollution: str) -> None:
    one, other = shared_runtime.create_session(), shared_runtime.create_session()
    other.set("secret", "s")
    source = f"{pollution}; State.set('session:{other.id}', 'secret', 'taken')"
    with pytest.raises(ScriptError):
        shared_runtime.run_script(source, language="js", session=one)
    assert other.get("secret") == "s"


def test_a_bound_script_acts_for_its_session(shared_runtime: Runtime) -> None:
    one, other = shared_runtime.create_session(), shared_runtime.create_session()
    with pytest.raises(ScriptError) as caught:
        shared_runtime.run_script(f"Session.get('{other.id}').status", language="js", session=one)
    assert caught.value.fields["cause"] == AccessDenied.__name__
    assert shared_runtime.run_script(
        "return Session.current() === arg[1]", language="js", session=one, args=[one.id]
    ).value


def test_streams(js: Any) -> None:
    source = """
      const counted = []
      const stream = Streaming.create(function* () { for (let i = 0; i < 5; i++) { counted.push(i); yield i } })
      const first = stream.next().value, after = counted.length
      const two = stream.collect(1)
      const seen = []
      const called = stream.forEach(each => { seen.push(each); return each < 3 })
      const plain = Streaming.create(() => { Streaming.yield('a'); Streaming.yield('b') })
      const listed = Streaming.create([1, 2])
      return [first, after, two, seen, called, stream.isDone(), stream.close(), [...plain], [...listed]]"""
    assert js(source) == [0, 1, [1], [2, 3], 2, True, False, ["a", "b"], [1, 2]]


def test_a_stream_that_is_returned_is_read(js: Any) -> None:
    assert js("return Streaming.create(function* () { yield 1; yield { a: 2 } })") == [1, {"a": 2}]
    with pytest.raises(ScriptError, match="in the middle"):
        js("return Streaming.create(function* () { yield 1; throw new Error('in the middle') })")
    for source in (
        "Streaming.create(5)",
        "Streaming.create(async function* () { yield 1 }).next()",
        "Streaming.create(async () => 1).next()",
        "const s = Streaming.create(function* () { s.next(); yield 1 }); s.next()",
    ):
        with pytest.raises(ScriptError):
            js(source)


def test_files_of_the_profile(js: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("secret")
    source = """
      const [inside, written, outside] = arguments
      const file = io.open(inside)
      const lines = [...file.lines()]
      file.close()
      io.open(written, 'w').write('a', 1, '\\n').close()
      let refused
      try { io.open(outside) } catch (e) { refused = e.code }
      const again = io.open(written)
      const text = again.read('a'), at_end = again.read('l')
      os.remove(inside)
      return [lines, text, at_end, refused]"""
    names = [str(tmp_path / "in.txt"), str(tmp_path / "out.txt"), str(outside)]
    options = {"profile": "files", "directories": [tmp_path], "args": names}
    assert js(source, **options) == [["one", "two"], "a1\n", None, "AccessDenied"]
    assert not (tmp_path / "in.txt").exists()
    assert js("return io.open(arguments[0]).read('a')", profile="trusted", args=[str(outside)]) == "secret"
    refused = "try { io.open(arguments[0]).seek([], 0) } catch (e) { return e.code }"
    assert js(refused, profile="trusted", args=[str(outside)]) == "ValidationError"
    assert js("return [typeof io, typeof os]") == ["undefined", "undefined"]
    assert js("try { os.exit() } finally { throw 1 }", profile="trusted") is None
    assert js("return typeof os.exit", profile="files", directories=[tmp_path]) == "undefined"
