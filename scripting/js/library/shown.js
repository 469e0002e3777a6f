// print and console: values as text, on one line.
const MAX_LINE = (1 << 20) + 16, MAX_SHOWN_DEPTH = 8
let muted = false

// Returns what print shows of a value.
function shown(value) {
  if (typeof value === 'string') return value
  const budget = { left: MAX_LINE }
  return show(value, 0, budget)
}

function show(value, depth, budget) {
  if (budget.left <= 0) return '…'
  const text = show_one(value, depth, budget)
  budget.left -= text.length
  return text
}

function show_one(value, depth, budget) {
  switch (typeof value) {
    case 'string': return stringify(value)
    case 'bigint': return text_of(value) + 'n'
    case 'function': return '[function ' + (typeof value.name === 'string' && value.name || '(anonymous)') + ']'
    case 'number': return value === 0 && 1 / value < 0 ? '-0' : text_of(value)
    case 'object': break
    default: return text_of(value)
  }
  if (value === null) return 'null'
  if (is_error(value)) return show_error(value)
  if (is_date(value)) return is_finite(time_of(value)) ? to_iso(value) : 'Invalid Date'
  const kind = kind_of_view(value)
  if (kind !== undefined) return kind + '(' + view_length(value) + ')'
  if (is_promise(value)) return '[promise]'
  if (weak_get(dressed_prototypes, prototype_of(value) || object_prototype) === 'text') return text_of(value.toString())
  if (depth >= MAX_SHOWN_DEPTH) return is_array(value) ? '[…]' : '{…}'
  const pieces = []
  if (is_array(value)) {
    for (let i = 0; i < value.length && budget.left > 0; i++) pieces[i] = show(value[i], depth + 1, budget)
    return '[' + join(pieces, ', ') + ']'
  }
  if (is_map(value)) {
    map_each(value, (each, key) => {
      pieces[pieces.length] = show(key, depth + 1, budget) + ' => ' + show(each, depth + 1, budget)
    })
    return 'Map {' + join(pieces, ', ') + '}'
  }
  if (is_set(value)) {
    set_each(value, each => { pieces[pieces.length] = show(each, depth + 1, budget) })
    return 'Set {' + join(pieces, ', ') + '}'
  }
  for (let names = keys_of(value), i = 0; i < names.length && budget.left > 0; i++) {
    pieces[i] = stringify(names[i]) + ': ' + show(value[names[i]], depth + 1, budget)
  }
  return '{' + join(pieces, ', ') + '}'
}

function show_error(error) {
  try { return text_of(error_text(error)) } catch { return 'an error without a text' }
}

function print(...values) {
  if (muted) return
  const pieces = []
  let size = 0
  for (let i = 0; i < values.length && size <= MAX_LINE; i++) {
    pieces[i] = clipped(shown(values[i]), MAX_LINE)
    size += pieces[i].length
  }
  muted = !call(WRITE, [join(pieces, ' ') + '\n'], false)
}
