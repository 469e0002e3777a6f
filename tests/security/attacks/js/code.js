/// the modules and globals of other engines
// sees: []
return ["std", "os", "bjson", "require", "module", "process", "Deno", "Bun", "scriptArgs", "fetch", "XMLHttpRequest",
        "WebAssembly", "Worker", "Atomics", "navigator", "window", "self", "global", "load",
        "loadScript", "gc", "setTimeout", "setInterval", "Packages", "java"].filter((name) => name in globalThis)

/// a module by import
// ends: ReferenceError: Error resolving module
return import("std")

/// a module by name from source
// ends: SyntaxError
return eval("import * as os from 'os'; os.exec(['id'])")

/// the Function constructor of a host function
// sees: ["undefined", "undefined", "undefined"]
const make = State.get.constructor
return [typeof make("return this.std")(), typeof make("return this.process")(), typeof make("return typeof require")().std]

/// the caller and the arguments of the code that calls
// sees: [true, true]
function outer() { return attempt(() => outer.caller) !== "done" || outer.caller == null }
return [outer(), attempt(() => { "use strict"; return arguments.callee.caller }) !== "done" || true]

/// names of the engine's own library
// sees: []
const expected = new Set(["it", "attempt", "arg"])
return Object.getOwnPropertyNames(globalThis).filter((name) => /^(_|host|bridge|__|greenroom|qjs|native)/i.test(name) && !expected.has(name))

/// every function that can be reached is one of the sandbox
// sees: []
const seen = new Set(), found = []
function walk(value, path) {
  if (value === null || (typeof value !== "object" && typeof value !== "function") || seen.has(value) || path.length > 8) return
  seen.add(value)
  for (const key of Reflect.ownKeys(value)) {
    const name = String(key)
    if (/__class__|__globals__|__dict__|__builtins__|func_globals|wasm/i.test(name)) found.push([...path, name].join("."))
    const facts = Reflect.getOwnPropertyDescriptor(value, key)
    for (const part of [facts.value, facts.get, facts.set]) walk(part, [...path, name])
  }
  walk(Object.getPrototypeOf(value), [...path, "[[Prototype]]"])
}
walk(globalThis, [])
return found

/// bytecode in an array buffer
// sees: "undefined"
return typeof (globalThis.bjson ?? globalThis.__loadScript ?? globalThis.std?.evalScript)

/// attributes of Python on host functions and on what they return
// sees: []
const found = []
for (const value of [State.get, Session.list, Session.list({}), Tool.get("calculator"), Session.get(it.mine), print])
  for (const name of ["__class__", "__globals__", "__self__", "__dict__", "__init__", "__call__", "__func__", "__code__"])
    if (value[name] !== undefined) found.push(name)
return found

/// a tool that answers with an object of Python
// sees: [false, "string"]
const answer = Tool.invoke("leak", {})
return [answer.success, typeof answer.error]

/// a Realm, a Compartment and an iframe
// sees: ["undefined", "undefined", "undefined", "undefined"]
return [typeof ShadowRealm, typeof Compartment, typeof document, typeof Realm].map(String)
