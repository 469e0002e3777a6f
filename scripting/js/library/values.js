// Values on their way to the host and back, as JSON text: see js/values.py, which has the same rules.
// What JSON has no word for is an object with one key: {"$b": bytes}, {"$f": number of a function}, {"$u": 0} for
// undefined, {"$n": "NaN"}, {"$i": "digits"}. Keys of scripts that begin with "$" get another one.
const MAX_DEPTH = 200
const MAX_INTEGER = 2n ** 64n, MIN_INTEGER = -(2n ** 63n)
const hidden = new WeakMap() // the fields that rows keep for the host and do not show

function fail(code, message) { throw new_error(code, message) }

// Returns the error of a failed function: an Error with a code.
function new_error(code, message) {
  const error = new ErrorOf(message)
  hide(error, 'name', code)
  error.code = code
  return error
}

function encode_bytes(view) {
  const length = view_length(view)
  const bytes = new BytesOf(view_buffer(view), view_offset(view), length)
  let text = ''
  for (let at = 0; at < length; at += 8192) text += reflect_apply(from_codes, null, subarray(bytes, at, at + 8192))
  return '{"$b":' + stringify(text) + '}'
}

// Returns the JSON text of a value. `functions` says whether functions are welcome.
function encode(value, functions, depth) {
  switch (typeof value) {
    case 'string': return stringify(value)
    case 'boolean': return value ? 'true' : 'false'
    case 'number': {
      if (is_integer(value)) return value === 0 && 1 / value < 0 ? '-0.0' : text_of(value)
      const text = text_of(value) // NaN and Infinity are words that the host knows
      return value % 1 === 0 && index_of(text, 'e') < 0 ? text + '.0' : text
    }
    case 'undefined': return '{"$u":0}'
    case 'bigint':
      if (value >= MAX_INTEGER || value < MIN_INTEGER) {
        fail('ValidationError', 'an integer beyond 64 bits: scripts cannot hold it; give it as a text')
      }
      return text_of(value)
    case 'function':
      if (!functions) fail('ValidationError', 'a function cannot be given to this function of the host')
      return '{"$f":' + keep_function(value) + '}'
    case 'symbol': fail('ValidationError', 'a symbol cannot be given to the host')
  }
  if (value === null) return 'null'
  return encode_object(value, functions, depth === undefined ? 0 : depth)
}

function encode_object(value, functions, depth) {
  if (depth >= MAX_DEPTH) fail('ValidationError', 'a value nested deeper than ' + MAX_DEPTH + ', or one that contains itself')
  if (is_array(value)) {
    let text = '['
    for (let i = 0, n = value.length; i < n; i++) {
      const each = value[i]
      text += (i ? ',' : '') + (each === undefined ? 'null' : encode(each, functions, depth + 1))
    }
    return text + ']'
  }
  if (kind_of_view(value) !== undefined) return encode_bytes(value)
  if (typeof value.toJSON === 'function') {
    if (is_date(value)) {
      if (!is_finite(time_of(value))) fail('ValidationError', 'a Date that is no date')
      return stringify(to_iso(value))
    }
    return encode(value.toJSON(), functions, depth + 1)
  }
  const prototype = prototype_of(value)
  if (prototype !== object_prototype && prototype !== null && !weak_has(dressed_prototypes, prototype)) {
    if (is_error(value)) return encode_error(value)
    if (is_promise(value)) fail('ValidationError', 'a promise cannot be given to the host: await it first')
    if (is_map(value) || is_set(value)) fail('ValidationError', 'a Map or Set cannot be given to the host: use an object or an array')
    if (is_buffer(value)) return encode_bytes(new BytesOf(value))
  }
  let text = '{'
  const names = keys_of(value)
  for (let i = 0; i < names.length; i++) {
    const each = value[names[i]]
    if (each !== undefined) text += (text === '{' ? '' : ',') + encode_key(names[i]) + ':' + encode(each, functions, depth + 1)
  }
  const kept = weak_get(hidden, value)
  if (kept !== undefined) {
    for (let names = keys_of(kept), i = 0; i < names.length; i++) {
      text += (text === '{' ? '' : ',') + encode_key(names[i]) + ':' + encode(kept[names[i]], functions, depth + 1)
    }
  }
  return text + '}'
}

function encode_key(name) { return stringify(code_at(name, 0) === 36 ? '$' + name : name) }

function encode_error(error) {
  const code = typeof error.code === 'string' ? error.code : error.name
  return '{"code":' + stringify(text_of(code)) + ',"message":' + stringify(text_of(error.message)) + '}'
}

function encode_list(values, functions) {
  let text = '['
  for (let i = 0; i < values.length; i++) text += (i ? ',' : '') + encode(values[i], functions, 1)
  return text + ']'
}

// Returns the value of a JSON text of the host.
function decode(text) {
  const value = parse(text)
  return index_of(text, '"$') < 0 ? value : restored(value)
}

function restored(value) {
  if (typeof value !== 'object' || value === null) return value
  if (is_array(value)) {
    for (let i = 0; i < value.length; i++) value[i] = restored(value[i])
    return value
  }
  const names = keys_of(value)
  if (names.length === 1 && code_at(names[0], 0) === 36 && code_at(names[0], 1) !== 36) {
    const held = value[names[0]]
    switch (names[0]) {
      case '$b': return held < 0 ? new BytesOf(0) : host('=' + held) // the bytes themselves, without a text
      case '$u': return undefined
      case '$n': return number_of(held)
      case '$i': return integer_of(held)
    }
  }
  const made = {}
  for (let i = 0; i < names.length; i++) {
    const name = code_at(names[i], 0) === 36 ? slice(names[i], 1) : names[i]
    define(made, name, { value: restored(value[names[i]]), writable: true, enumerable: true, configurable: true })
  }
  return made
}
