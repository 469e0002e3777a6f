// A console: pieces of a script are run one after another in the same heap, and their values are shown as text.
const MOST_SHOWN = 16384, MOST_NAMES = 2000
const exec = bare(RegExp.prototype.exec)
const NAME = /^[A-Za-z_$][\w$]*$/

// Returns the value of a piece, or a promise of it. What a piece begins with declares for those that follow.
function piece_value(text) {
  const found = exec(/^\s*(?:let|const|var)\s+([A-Za-z_$][\w$]*)\s*=\s*(await\b[^]*)$/, text)
  if (found) {
    const value = evaluate('(async () => (' + without_end(found[2]) + '\n))()')
    return then(value, value => { hide(globalThis, found[1], value) })
  }
  if (exec(/^\s*\{/, text) || exec(/\bawait\b/, text)) {
    const expression = '(async () => (' + without_end(text) + '\n))'
    if (passes(evaluate, expression)) return evaluate(expression)()
  }
  if (!is_program(text)) return evaluate('(async () => {' + text + '\n})')()
  const declared = exec(/^\s*(?:let|const)\s+([^]*)$/, text)
  if (declared) return evaluate('var ' + declared[1])
  const named = exec(/^\s*class\s+([A-Za-z_$][\w$]*)[^]*$/, text)
  return evaluate(named ? 'var ' + named[1] + ' = ' + text + '; undefined' : text)
}

function without_end(text) { return exec(/^([^]*?);?\s*$/, text)[1] }

function enter(text) {
  outcome = null
  try {
    const value = piece_value(text)
    if (is_promise(value)) then(value, value => { outcome = { value } }, error => { outcome = { error } })
    else outcome = { value }
  } catch (error) {
    outcome = { error }
  }
  return '-'
}

// Returns the text of the value of a piece, or its error.
function show_piece() {
  if (has_own(outcome, 'error')) return failed(outcome.error)
  const value = outcome.value
  if (value === undefined) return '-'
  try {
    hide(globalThis, '_', value)
    return '=' + stringify(clipped(show(value, 0, { left: MOST_SHOWN }), MOST_SHOWN))
  } catch (error) { return failed(error) }
}

// Returns the names in the value at a path, or the globals, one in a line. Asks no getter.
function names(path) {
  let value = globalThis
  const parts = path === '.' ? [] : split(path, '.')
  for (let i = 0; i < parts.length; i++) {
    const found = own_property(value, parts[i])
    if (found === undefined || !has_own(found, 'value')) return '-'
    value = found.value
    if (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'string' || value === null) return '-'
  }
  const all = [], known = new Map()
  const add = name => {
    if (all.length < MOST_NAMES && typeof name === 'string' && exec(NAME, name) && !map_get(known, name)) {
      map_set(known, name, true)
      all[all.length] = name
    }
  }
  if (typeof value === 'string') {
    for (let own = names_of(string_prototype), i = 0; i < own.length; i++) {
      const found = own_property(string_prototype, own[i])
      if (has_own(found, 'value') || is_id(value)) add(own[i])
    }
  } else {
    for (let each = value, depth = 0; each !== null && each !== object_prototype && depth < 20; depth++) {
      for (let own = names_of(each), i = 0; i < own.length; i++) add(own[i])
      each = prototype_of(each)
    }
  }
  return '=' + stringify(join(all, '\n'))
}
