// Calls into the host, and the functions of the script that the host may call meanwhile.
const WRITE = 1, FINISH = 2
const MAX_FUNCTIONS = 1000, MAX_ARGUMENTS = 16
const functions = new Map()
let kept_functions = 0, last_function = 0

function keep_function(f) {
  if (kept_functions >= MAX_FUNCTIONS) {
    fail('ResourceLimitExceeded', 'a script may give at most ' + MAX_FUNCTIONS + ' functions')
  }
  kept_functions++
  map_set(functions, ++last_function, f)
  return last_function
}

function release(number) {
  if (map_delete(functions, number_of(number))) kept_functions--
  return '-'
}

// Calls function `number` of the host. What it answers begins with "=" for a value, "-" for none, "!" for an error; any
// other answer ends the script, at the place that the host gets told first.
function call(number, values, with_functions) {
  if (values.length > MAX_ARGUMENTS) fail('ValidationError', 'too many arguments')
  let text
  try {
    text = encode_list(values, with_functions)
  } catch (error) { // thrown anew, because a stack has no place for both a deep value and the script
    throw prototype_of(error) === ErrorOf.prototype && has_own(error, 'code') ? new_error(error.code, error.message) : error
  }
  const reply = host(number + text)
  switch (code_at(reply, 0)) {
    case 61: return decode(slice(reply, 1))
    case 45: return undefined
    case 33: {
      const facts = parse(slice(reply, 1))
      throw new_error(facts[0], facts[1])
    }
  }
  host('.' + place())
}

function place() {
  try { return text_of(new ErrorOf().stack) } catch { return '' }
}

function bind(number, with_functions) {
  return (...values) => call(number, values, with_functions)
}

// Called by the host while the script waits for it: "number[arguments]". Answers like the host, or with "~" when the
// function is asynchronous and has not come to its end.
let waiting = []
function call_back(text) {
  const at = index_of(text, '[')
  const f = map_get(functions, number_of(slice(text, 0, at)))
  try {
    if (f === undefined) fail('InvalidOperation', 'the function was given up')
    const value = reflect_apply(f, undefined, decode(slice(text, at)))
    if (!is_promise(value)) return answered(value)
    const slot = { reply: '~' }
    then(value, value => { slot.reply = safely_answered(value) }, error => { slot.reply = failed(error) })
    waiting[waiting.length] = slot
    return '~'
  } catch (error) {
    return failed(error)
  }
}

// Returns the answer of the last asynchronous function, or "~" while there is none. "?" gives it up.
function called_back(what) {
  const slot = waiting[waiting.length - 1]
  if (slot.reply === '~' && what !== '?') return '~'
  waiting.length--
  return slot.reply
}

function answered(value) { return value === undefined ? '-' : '=' + encode(value, true) }

function safely_answered(value) {
  try { return answered(value) } catch (error) { return failed(error) }
}

function failed(error) {
  const facts = describe(error)
  const text = each => each === null ? 'null' : stringify(each)
  return '![' + text(facts.code) + ',' + text(facts.message) + ',' + text(facts.stack) + ']'
}

const MAX_MESSAGE = 4096
function clipped(text, size) { return text.length <= size ? text : slice(text, 0, size) + '…' }

// An error on its way out: its class, message and stack. Runs code of the script, under the same limits.
function describe(error) {
  let code = null, message, stack = null
  try {
    if (is_error(error)) {
      message = text_of(error.message)
      if (typeof error.code === 'string') code = error.code
      else if (typeof error.name === 'string' && error.name !== 'Error') code = error.name
      if (typeof error.stack === 'string') stack = error.stack
    } else if (typeof error === 'object' && error !== null && typeof error.message === 'string') {
      message = error.message
      if (typeof error.code === 'string') code = error.code
    } else if (typeof error === 'object' && error !== null || typeof error === 'function') {
      message = shown(error)
    } else message = text_of(error)
  } catch {
    message = 'an error object without a text'
  }
  return {
    code: code === null ? null : clipped(code, 100),
    message: clipped(message, MAX_MESSAGE),
    stack: stack === null ? null : clipped(stack, 16384),
  }
}
