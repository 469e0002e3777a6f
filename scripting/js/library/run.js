// The globals of a script, and its run.
const matches = bare(RegExp.prototype.test)

// Returns whether a text has the form of a session id. Without a regular expression: scripts can change how those work.
function is_id(text) {
  if (text.length !== 36) return false
  for (let i = 0; i < 36; i++) {
    const code = code_at(text, i)
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      if (code !== 45) return false
    } else if (!(code >= 48 && code <= 57 || code >= 97 && code <= 102 || code >= 65 && code <= 70)) return false
  }
  return true
}

const components = { __proto__: null, session: true, scope: true, tool: true, agent: true, workflow: true }

// The component of a hook's context: 'tool:calculator' has the type 'tool' and the name 'calculator'.
function part_of(text, name) {
  if (text.length >= 512) return undefined
  let at = 0
  while (at < text.length && text[at] !== ':') at++
  let kind = '', rest = ''
  for (let i = 0; i < at; i++) kind += text[i]
  for (let i = at + 1; i < text.length; i++) rest += text[i]
  if (at === text.length || !components[kind]) return undefined
  return name === 'type' ? kind : rest
}

// Texts that are session ids answer the fields and methods of their session.
function bind_strings(methods, fields, field_number, shown, row_of) {
  const add = (name, get) => {
    if (name in string_prototype) return
    define(string_prototype, name, {
      configurable: true,
      get() {
        const text = typeof this === 'string' ? this : ''
        if (is_id(text)) return get(text)
        return name === 'name' || name === 'type' ? part_of(text, name) : undefined
      },
    })
  }
  add('id', text => text)
  add('type', () => undefined)
  for (let names = keys_of(methods), i = 0; i < names.length; i++) {
    const method = methods[names[i]]
    add(names[i], text => (...values) => {
      const all = [text]
      for (let i = 0; i < values.length; i++) all[i + 1] = values[i]
      return reflect_apply(method, undefined, all)
    })
  }
  for (let i = 0; i < fields.length; i++) add(fields[i], text => call(field_number, [text, fields[i]], false))
  for (let i = 0; i < shown.length; i++) add(shown[i], text => row_of(text)[shown[i]])
}

// A function that never throws: an input that cannot travel to the host is a failed outcome like any other.
function softly(f) {
  return (...values) => {
    try {
      return reflect_apply(f, undefined, values)
    } catch (error) {
      const facts = describe(error)
      return { success: false, error: facts.message, error_code: facts.code, duration: 0 }
    }
  }
}

// Builds the globals from the layout: see definition/layout.py.
function prepare(text) {
  const layout = decode(text)
  hide(globalThis, 'Agent', undefined) // so that scripts can test for it where the host has none
  const by_number = {}
  const dresser = make_dresser(layout.shapes, by_number)
  const make = number => {
    if (by_number[number]) return by_number[number]
    let f = bind(number, layout.callbacks[number] === true)
    if (layout.soft[number]) f = softly(f)
    const shape = layout.returns[number]
    if (shape) {
      const plain = f, dress = dresser(shape)
      f = (...values) => dress(reflect_apply(plain, undefined, values), values)
    }
    by_number[number] = f
    return f
  }
  const called = (f, name) => define(f, 'name', { value: name, configurable: true })
  for (let names = keys_of(layout.globals), i = 0; i < names.length; i++) {
    const name = names[i], numbers = layout.globals[name], paths = keys_of(numbers)
    const global = globalThis[name] || {}
    hide(globalThis, name, global)
    for (let k = 0; k < paths.length; k++) {
      const parts = split(paths[k], '.')
      let space = global
      for (let p = 0; p < parts.length - 1; p++) space = space[parts[p]] = space[parts[p]] || {}
      const own = parts[parts.length - 1], twin = respelt(own)
      space[own] = called(make(numbers[paths[k]]), paths[k])
      if (!(twin in space)) hide(space, twin, space[own])
    }
  }
  for (let names = keys_of(layout.constants), i = 0; i < names.length; i++) {
    const constants = layout.constants[names[i]], own = keys_of(constants)
    if (!globalThis[names[i]]) hide(globalThis, names[i], {})
    for (let k = 0; k < own.length; k++) globalThis[names[i]][own[k]] = constants[own[k]]
  }
  for (let names = keys_of(layout.finders), i = 0; i < names.length; i++) {
    const find_one = make(layout.finders[names[i]])
    set_prototype(globalThis[names[i]], new ProxyOf(create_object(object_prototype), {
      get(target, name) {
        if (typeof name !== 'string' || name in target || name === 'then' || name === 'toJSON') return target[name]
        return find_one(name)
      },
    }))
  }
  for (let i = 0; i < layout.shapes.length; i++) { // methods of rows call functions that no global may show
    const methods = layout.shapes[i].methods || {}
    for (let names = keys_of(methods), k = 0; k < names.length; k++) make(methods[names[k]])
    if (layout.shapes[i]['function']) make(layout.shapes[i]['function'])
    if (layout.shapes[i].total) make(layout.shapes[i].total)
  }
  const methods = {}, of_ids = layout.shapes[layout.ids.shape - 1].methods
  for (let names = keys_of(of_ids), i = 0; i < names.length; i++) {
    methods[names[i]] = make(of_ids[names[i]])
    const twin = respelt(names[i])
    if (!has_own(of_ids, twin)) methods[twin] = methods[names[i]]
  }
  install_streaming(globalThis.Streaming)
  bind_strings(methods, layout.ids.fields, layout.ids.field, layout.ids.shown, make(layout.ids.row))
  if (keys_of(layout.files).length) grant_files(layout.files, layout.profile)
  return '-'
}

function prepare_language() {
  hide(globalThis, 'print', print)
  hide(globalThis, 'console', { log: print, error: print, warn: print, info: print, debug: print })
  hide(globalThis, 'Streaming', {})
  JSON.null = null
  JSON.is_null = value => value === null
  JSON.array = values => {
    if (values === undefined) return []
    if (typeof values !== 'object' || values === null) fail('ValidationError', 'JSON.array takes an array, not a ' + typeof values)
    return slice_array(values)
  }
  JSON.parse = (text, reviver) => {
    try { return parse(text, reviver) } catch (error) {
      if (is_error(error) && prototype_of(error) === SyntaxErrorOf.prototype) error.code = 'ValidationError'
      throw error
    }
  }
}

// A generator of random numbers (sfc32) with the seed of the run: that of the engine is part of every copy of the heap.
function seed_random(seed) {
  let a = seed[0] | 0, b = seed[1] | 0, c = seed[2] | 0, d = seed[3] | 0
  const next = () => {
    const t = (a + b | 0) + d | 0
    d = d + 1 | 0
    a = b ^ b >>> 9
    b = c + (c << 3) | 0
    c = (c << 21 | c >>> 11) + t | 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  hide(Math, 'random', () => (next() * 2097152 + (next() >>> 11)) / 9007199254740992)
}

// A source is a program, whose value is that of its last expression, unless it returns or awaits at its top: then it is
// the body of a function. The body of a static block allows neither, and is compiled here without running it.
function is_program(source) {
  if (!matches(/\b(?:return|await)\b/, source)) return true
  try {
    evaluate('(() => { class Program { static {' + source + '\n}}})')
    return true
  } catch { return false }
}

let outcome = null // of the script, once it is known

function start(text) {
  const job = parse(text), values = decode(job.values)
  seed_random(job.seed)
  const arg = [job.name]
  for (let i = 0; i < values.length; i++) arg[i + 1] = values[i]
  hide(globalThis, 'arg', arg)
  hide(globalThis, 'arguments', values)
  let source = job.source, program = true
  if (code_at(source, 0) === 35 && code_at(source, 1) === 33) source = '//' + source
  try {
    program = is_program(source)
    const value = program ? evaluate(source) : evaluate('(async () => {' + source + '\n})')()
    if (is_promise(value)) then(value, value => { outcome = { value, program } }, error => { outcome = { error } })
    else outcome = { value, program }
  } catch (error) {
    outcome = { error }
  }
  return program ? '-' : '+'
}

// Does what is left to do after the script itself: "-" when it is done, "~" while the script waits for a promise.
function finish() {
  if (outcome === null) return '~'
  if (!has_own(outcome, 'error')) {
    try {
      outcome.value = drained(outcome.value)
      call(FINISH, [], false)
    } catch (error) { outcome = { error } }
  }
  return '-'
}

// Returns how the script ended: "=" with its value, "-" without one, or "!" with its error.
function report() {
  if (has_own(outcome, 'error')) return failed(outcome.error)
  if (!outcome.program) return safely_answered_plain(outcome.value)
  try { return answered_plain(outcome.value) } catch { return '-' } // the last expression of a program need not be data
}
function answered_plain(value) { return value === undefined ? '-' : '=' + encode(value, false) }
function safely_answered_plain(value) {
  try { return answered_plain(value) } catch (error) { return failed(error) }
}

prepare_language()
const kernel = {
  prepare, start, finish, report, call_back, called_back, release, rejected: failed, enter, show_piece, names,
}
return name => kernel[name]
