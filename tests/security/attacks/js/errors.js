/// an error whose text loops for ever
// ends: ScriptTimeout
throw { toString() { for (;;); }, get message() { for (;;); } }

/// an error whose getters throw errors whose getters throw
// ends: ScriptError
const trap = new Proxy(new Error("x"), { get() { throw trap }, getPrototypeOf() { throw trap } })
throw trap

/// null, undefined, symbols and functions thrown
// sees: ["null", "undefined", "symbol", "function"]
return [null, undefined, Symbol("x"), () => 1].map((each) => {
  try { throw each } catch (e) { return e === null ? "null" : typeof e }
})

/// undefined as the uncaught error
// ends: ScriptError: undefined
throw undefined

/// an error that claims to be a denial of the runtime
// ends: AccessDenied: mine
throw Object.assign(new Error("mine"), { code: "AccessDenied" })

/// an error with a message of megabytes
// ends: Mine: xxxx
throw Object.assign(new Error("x".repeat(1 << 20)), { code: "Mine" })

/// a stack that was made up
// ends: ScriptError: gone
const e = new Error("gone")
e.stack = "    at /usr/lib/python3/greenroom/runtime.py:1\n".repeat(100000)
throw e

/// an error that is a thenable, in a rejected promise
// ends: ScriptError
return Promise.reject({ then(f) { f({ then(g) { throw 1 } }) } })

/// a rejection that nobody handles
// ends: ScriptError: nobody
Promise.reject(new Error("nobody"))
return 1

/// a timeout that is caught
// ends: ScriptTimeout
const f = () => { try { for (;;); } catch { f() } finally { f() } }
f()

/// changing an error object that the host has made
// sees: ["AccessDenied", true]
let first, second
try { Session.get("x") } catch (e) { first = e }
first.message = "changed"
try { Session.get("x") } catch (e) { second = e }
return [second.code, second.message !== "changed"]

/// errors in a hook, a handler and a replacer
// sees: ["set", 1]
Hook.register("BeforeStateWrite", () => { throw { toString() { throw 1 } } })
Event.on("custom.*", () => { throw null })
Event.publish("custom.x", {})
State.set("k", "set")
return [State.get("k"), 1]
