/// a proxy whose traps all throw
// ends: ScriptError: trap
return State.set("k", new Proxy({}, new Proxy({}, { get() { throw new Error("trap") } })))

/// a proxy whose traps loop
// ends: ScriptTimeout
State.set("k", new Proxy({}, { ownKeys() { for (;;); } }))

/// a getter that loops while its value crosses
// ends: ScriptTimeout
State.set("k", { get x() { for (;;); } })

/// a getter that answers another id each time it is asked
// sees: ["AccessDenied", "AccessDenied"]
let n = 0
const two = { get id() { return n++ % 2 ? it.other : it.mine } }
const codes = []
for (let i = 0; i < 2; i++) { n = 1; codes.push(attempt(() => Session.get(two).name)) }
return codes

/// toJSON that calls the host
// sees: true
let calls = 0
State.set("k", { toJSON() { calls++; State.set("inner", calls); return { x: calls } } })
return calls <= 1

/// toJSON that answers itself
// ends: RangeError: stack overflow
const me = { toJSON() { return { me } } }
return JSON.stringify(me)

/// valueOf and toString that loop
// ends: ScriptTimeout
Session.getVariable("", { toString() { for (;;); }, valueOf() { for (;;); } } + "")

/// objects that pretend to be texts
// sees: ["ValidationError", "AccessDenied", "ValidationError", "ValidationError"]
return [
  attempt(() => Session.get({ toString: () => it.other })), attempt(() => Session.get(it.other + "")),
  attempt(() => Session.get([it.other])), attempt(() => Session.get(Symbol(it.other))),
]

/// a value that holds itself
// ends: ValidationError
const a = { b: [] }
a.b.push(a)
State.set("k", a)

/// a value that is small but unfolds without end
// time: 0.3
// ends: ScriptMemoryExceeded or ValidationError or ScriptTimeout
let t = [1]
for (let i = 0; i < 60; i++) t = [t, t]
State.set("k", t)

/// an array with a length of billions and nothing in it
// time: 0.3
// ends: ScriptMemoryExceeded or ValidationError or ScriptTimeout or TypeError
const a = []
a.length = 2 ** 32 - 1
State.set("k", a)

/// numbers that are none of JSON
// sees: ["ValidationError", "ValidationError", "ValidationError"]
return [
  attempt(() => State.set("k", 2n ** 64n)), attempt(() => State.set("k", -(2n ** 63n) - 1n)),
  attempt(() => Session.list({ limit: NaN })),
]

/// a BigInt of a million digits
// ends: RangeError: BigInt is too large
State.set("k", 1n << 3000000n)

/// symbols, functions and what JSON leaves out
// sees: ["ValidationError", "ValidationError", "ValidationError"]
return [attempt(() => State.set("k", Symbol("x"))), attempt(() => State.set("k", () => 1)), attempt(() => State.set("k", { f() {} }))]

/// a typed array over a buffer that is gone, and a view of everything
// sees: true
const buffer = new ArrayBuffer(8)
const view = new Uint8Array(buffer)
if (buffer.transfer) buffer.transfer()
try { Artifact.store("", "log", "n", view) } catch (e) { return e instanceof Error }
return Artifact.getContent("", "n").length <= 8

/// a proxy of a typed array, and a class that extends it
// sees: true
class Liar extends Uint8Array { get length() { return 2 ** 40 } get byteLength() { return 2 ** 40 } get buffer() { return null } }
try { Artifact.store("", "log", "n", new Liar(4)) } catch (e) { return e instanceof Error }
return Artifact.getContent("", "n").length <= 4

/// a revoked proxy
// ends: TypeError: revoked proxy
const { proxy, revoke } = Proxy.revocable({}, {})
revoke()
State.set("k", proxy)

/// keys that are names of the engine
// sees: ["__proto__", "constructor", "toString"]
const t = Object.create(null)
for (const name of ["__proto__", "constructor", "toString"]) Object.defineProperty(t, name, { value: 1, enumerable: true })
State.set("k", t)
return Object.keys(State.get("k")).sort()

/// half characters and NULs in texts
// sees: true
State.set("k", "\ud800\0\udc00")
const back = State.get("k")
return typeof back === "string" || back instanceof Uint8Array

/// a thenable as the value of the script
// ends: ScriptTimeout
return { then() { for (;;); } }

/// a promise that is never kept
// ends: ScriptError
return new Promise(() => {})

/// a value of a million objects
// ends: ScriptMemoryExceeded
return Array.from({ length: 1e6 }, () => ({}))
