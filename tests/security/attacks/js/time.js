/// a loop behind try, finally and continue
// ends: ScriptTimeout
for (;;) { try { for (;;); } catch {} finally { continue } }

/// a regular expression that backtracks
// ends: ScriptTimeout
return /^(a+)+$/.test("a".repeat(60) + "!")

/// regular expressions with look-arounds, back-references and lazy repetition
// ends: ScriptTimeout
const s = "ab".repeat(3000)
for (;;) { /(?=(a.*?b)*\1$)(.*?)*c/.test(s); s.replace(/(.*?){1,50}x/g, "") }

/// parsing JSON for ever
// ends: ScriptTimeout
const text = "[" + "1,".repeat(1000) + "1]"
for (;;) JSON.parse(text)

/// a reviver and a replacer that loop
// ends: ScriptTimeout
JSON.parse("[1]", () => JSON.stringify([1], () => { for (;;); }))

/// sorting by an order that loops
// ends: ScriptTimeout
[3, 2, 1].sort(() => { for (;;); })

/// native loops over lengths that lie
// ends: ScriptTimeout
const liar = { length: 2 ** 53 - 1 }
for (const f of ["indexOf", "join", "lastIndexOf", "reverse", "fill", "includes"]) Array.prototype[f].call(liar, 1)

/// an array of billions of holes
// ends: ScriptTimeout
const a = new Array(2 ** 32 - 1)
for (;;) { a.indexOf(1); a.sort() }

/// BigInts that grow
// ends: RangeError: BigInt is too large
let x = 3n
for (;;) x *= x

/// an async loop
// ends: ScriptTimeout
const spin = async () => { for (;;) await null }
spin()
return spin()

/// promises that resolve each other
// ends: ScriptTimeout
const again = () => { Promise.resolve().then(again) }
again()
return new Promise(() => {})

/// an async generator
// ends: ScriptTimeout
async function* endless() { for (;;) yield 1 }
for await (const x of endless());

/// a generator that refuses to end
// ends: ScriptTimeout
function* stubborn() { for (;;) try { yield 1 } finally { for (;;) yield 2 } }
const g = stubborn()
g.next()
for (;;) g.return(1)

/// an iterator whose return loops
// ends: ScriptTimeout
const it2 = { [Symbol.iterator]: () => ({ next: () => ({ value: 1 }), return() { for (;;); } }) }
for (const x of it2) break

/// strings compared, searched and normalized
// ends: ScriptTimeout
const s = "\u1e9b\u0323".repeat(2000)
for (;;) { s.normalize("NFKD"); s.localeCompare(s + "x"); s.toUpperCase(); s.indexOf("y"); s.split("") }

/// a finalization registry
// ends: ScriptTimeout
const registry = globalThis.FinalizationRegistry ? new FinalizationRegistry(() => { for (;;); }) : null
for (;;) registry?.register({}, 1)

/// eval that grows
// ends: ScriptTimeout
let source = "var x = 1;"
for (;;) { eval(source); if (source.length < 200000) source += source }

/// dates, numbers and their texts
// ends: ScriptTimeout
for (;;) { new Date("x".repeat(10000)); (1e300).toFixed(100); parseFloat("9".repeat(100000)); Number("0x" + "f".repeat(10000)) }

/// tagged templates and destructuring for ever
// ends: ScriptTimeout
const tag = (...given) => given
for (;;) { const [a, b, ...rest] = tag`${1}${2}`; ({ a: [], ...{ rest } }) }

/// proxies of proxies
// ends: ScriptTimeout
let p = {}
for (let i = 0; i < 500; i++) p = new Proxy(p, {})
for (;;) p.x
