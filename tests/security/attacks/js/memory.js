/// a string that doubles behind try
// ends: ScriptTimeout
let s = "x"
for (;;) try { s += s } catch {}

/// a repetition of gibibytes
// ends: ScriptMemoryExceeded
const s = "x".repeat(2 ** 29).concat("y".repeat(2 ** 29))
return s.length

/// a padding of gibibytes
// ends: ScriptMemoryExceeded
return "x".padEnd(2 ** 30 - 1, "ab").length

/// an array that is pushed to
// ends: ScriptMemoryExceeded
const a = []
for (;;) a.push({}, [], () => a)

/// an array that is filled
// ends: ScriptMemoryExceeded
return new Array(2 ** 28).fill(0).length

/// typed arrays
// ends: ScriptMemoryExceeded
const keep = []
for (;;) keep.push(new Float64Array(1 << 16))

/// one buffer of gibibytes
// ends: RangeError: invalid array buffer length
return new ArrayBuffer(2 ** 31).byteLength

/// maps, sets and symbols
// ends: ScriptMemoryExceeded
const map = new Map(), set = new Set()
for (let i = 0; ; i++) { map.set(i, Symbol.for("s" + i)); set.add({ i }) }

/// arrays in arrays
// ends: ScriptMemoryExceeded
let a = []
for (;;) a = [a, a, [], []]

/// closures and generators
// ends: ScriptMemoryExceeded
const keep = []
function* g(...given) { yield given }
for (;;) { const it = g(...Array(100)); it.next(); keep.push(it) }

/// promises that wait for ever
// ends: ScriptMemoryExceeded
const keep = []
for (;;) keep.push(new Promise(() => {}).then(() => {}))

/// jobs that wait
// ends: ScriptTimeout
const more = () => { Promise.resolve().then(more); Promise.resolve().then(more) }
more()
return new Promise(() => {})

/// a replacement that multiplies
// ends: ScriptMemoryExceeded
let s = "x"
for (;;) s = s.replace(/./g, "$&$&$&$&$&$&$&$&")

/// spreading and concatenating
// ends: ScriptMemoryExceeded
let a = [1]
for (;;) a = [...a, ...a].concat(a)

/// JSON of what unfolds
// ends: ScriptMemoryExceeded
let t = { x: "x".repeat(1000) }
for (let i = 0; i < 40; i++) t = { a: t, b: t }
return JSON.stringify(t).length

/// a split into single letters
// ends: ScriptMemoryExceeded
return "x".repeat(4e6).split("").map((x) => [x]).length

/// a memory error that is caught and caused again
// ends: ScriptMemoryExceeded
const keep = []
for (;;) try { for (;;) keep.push(new Uint8Array(100000)) } catch { keep.push("x".repeat(1000)) }
