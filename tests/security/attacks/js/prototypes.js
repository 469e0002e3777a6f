/// pollution of Object.prototype
// sees: ["active", false]
Object.prototype.status = "deleted"
Object.prototype.session_id = it.other
Object.prototype.id = it.other
Object.prototype.parent = it.other
Session.create({ name: "child" })
return [Session.get(it.mine).status, Session.list({}).some((row) => row.id === it.other)]

/// pollution through what JSON parses
// sees: ["undefined", "undefined"]
const parsed = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}')
State.set("k", parsed)
const back = State.get("k")
return [typeof ({}).polluted, typeof Object.getPrototypeOf(back).polluted]

/// getters on Object.prototype that count as options
// sees: ["active", 0]
for (const name of ["limit", "tags", "code", "then", "toJSON", "status"])
  Object.defineProperty(Object.prototype, name, { get() { return "mine" }, configurable: true })
const status = Session.get(it.mine).status
for (const name of ["limit", "tags", "code", "then", "toJSON", "status"]) delete Object.prototype[name]
return [status, Session.list({}).length - 1]

/// setters on Object.prototype that take what the host answers
// sees: "secret"
const taken = []
for (const name of ["id", "name", "code", "message"])
  Object.defineProperty(Object.prototype, name, { set(value) { taken.push(value) }, configurable: true })
Session.setVariable("", "k", "secret")
return Session.getVariable("", "k")

/// methods of arrays, strings and functions replaced
// sees: "set"
for (const kind of [Array, String, Map, Set, Promise, RegExp, Number])
  for (const name of Object.getOwnPropertyNames(kind.prototype))
    if (name !== "constructor" && typeof Object.getOwnPropertyDescriptor(kind.prototype, name).value === "function")
      kind.prototype[name] = function () { throw new Error("mine") }
Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { throw new Error("mine") }
State.set("k", "set")
return State.get("k")

/// JSON, Reflect, Object and Error replaced
// sees: "set"
JSON.parse = JSON.stringify = () => { throw new Error("mine") }
Reflect.get = Reflect.ownKeys = Reflect.apply = Object.keys = Object.entries = Object.assign = () => [it.other]
globalThis.Error = globalThis.TypeError = globalThis.Uint8Array = globalThis.Symbol = function () { throw 1 }
State.set("k", "set")
return State.get("k")

/// iteration replaced
// sees: ["a", "b"]
Array.prototype[Symbol.iterator] = function* () { yield "x" }
String.prototype[Symbol.iterator] = function* () { yield "x" }
Session.setTags("", ["a", "b"])
return Session.getTags("")

/// conversions replaced
// sees: "AccessDenied"
Date.prototype.toJSON = Object.prototype.toJSON = Array.prototype.toJSON = function () { return it.other }
String.prototype.toString = String.prototype.valueOf = function () { return "x" }
State.set("t", { k: 1 })
return attempt(Session.get, State.get("t"))

/// the getters of ids replaced
// sees: ["mine", "AccessDenied"]
Object.defineProperty(String.prototype, "name", { get() { return "mine" }, configurable: true })
return [it.other.name, attempt(() => Session.get(it.other))]

/// the functions of the next script
// sees: true
const names = Object.getOwnPropertyNames
for (const one of [Session, State, Artifact, Event, Hook, JSON, String.prototype]) {
  const all = names(one)
  for (let i = 0; i < all.length; i++) try { delete one[all[i]] } catch {}
}
globalThis.left = Object.prototype.left = 1
return true

/// an error's prototype
// sees: ["AccessDenied", "AccessDenied"]
Object.defineProperty(Error.prototype, "code", { value: "mine", writable: true, configurable: true })
Error.prototype.toString = () => "mine"
Error.prepareStackTrace = () => { throw 1 }
Error.captureStackTrace = () => { throw 1 }
Error.stackTraceLimit = -1
const codes = []
for (let i = 0; i < 2; i++) try { Session.get(it.other) } catch (e) { codes.push(e.code) }
return codes
