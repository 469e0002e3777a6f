/// recursion without end
// ends: RangeError: stack overflow
const f = () => 1 + f()
return f()

/// recursion without end that is caught
// ends: RangeError: stack overflow
function f() { try { f() } finally { f() } }
for (;;) try { f() } catch {}

/// recursion through getters
// ends: RangeError: stack overflow
const a = { get x() { return this.x } }
return a.x

/// recursion through conversions
// ends: RangeError: stack overflow
const a = { toString() { return `${this}` } }
return `${a}`

/// recursion through proxies
// ends: RangeError: stack overflow
const a = new Proxy({}, { get(t, k, r) { return r[k] } })
return a.x

/// recursion through sort
// ends: RangeError: stack overflow
const sort = () => [2, 1].sort(sort)
return sort()

/// recursion through JSON
// ends: RangeError: stack overflow
const json = () => JSON.parse("[1]", json)
return json()

/// recursion through bound functions
// ends: ScriptMemoryExceeded or RangeError or ScriptError
let bound = () => 1
for (let i = 0; i < 5000; i++) bound = bound.bind(null)
return bound()

/// the host called at the end of the stack
// ends: RangeError: stack overflow
const f = () => { State.get("k"); return 1 + f() }
return f()

/// source that nests too deep
// ends: RangeError: stack overflow
return eval("(".repeat(100000) + "1" + ")".repeat(100000))

/// a regular expression that nests too deep
// ends: SyntaxError: too many captures
return new RegExp("(".repeat(100000) + "a" + ")".repeat(100000)).test("a")

/// JSON that nests too deep
// ends: RangeError: stack overflow
return JSON.parse("[".repeat(100000))

/// a value that nests too deep for the host
// ends: ValidationError: nested deeper
let t = []
for (let i = 0; i < 500; i++) t = [t]
State.set("k", t)

/// a prototype chain without end
// sees: [true, "undefined"]
let t = {}
for (let i = 0; i < 20000; i++) t = Object.create(t)
const cycle = {}
let refused = false
try { Object.setPrototypeOf(Object.prototype, Object.create(cycle)); Object.setPrototypeOf(cycle, cycle) } catch { refused = true }
return [refused, typeof t.none]

/// hooks that call for each other
// sees: true
let depth = 0, deepest = 0, calls = 0
for (let i = 0; i < 20; i++)
  Hook.register("BeforeStateWrite", () => {
    if (++calls > 100) return
    deepest = Math.max(deepest, ++depth)
    try { State.set("k", depth) } catch {}
    depth--
  })
State.set("k", 0)
return deepest <= 8

/// arrays that flatten without end
// ends: RangeError: stack overflow
const a = []
a.push(a, a)
return a.flat(Infinity).length
