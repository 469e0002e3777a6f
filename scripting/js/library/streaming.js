// Streaming: values that come piece by piece, to the script or to its host. A generator function gives them one at a
// time. Another function gives all of its values to Streaming.yield before the first is read: JavaScript cannot pause it.
let collecting = null // the values of the function that gives them now
let hand_over = null, is_consumed = null // functions of the host, where it has them
const streams = new WeakSet()
const is_stream = bare(WeakSet.prototype.has), note_stream = bare(WeakSet.prototype.add)

// Returns an iterator over what a function gives.
function begun(f) {
  const outer = collecting, values = collecting = []
  let made
  try { made = f() } finally { collecting = outer }
  if (is_promise(made)) fail('ValidationError', 'Streaming.create: a function that is asynchronous gives no stream')
  if (typeof made === 'object' && made !== null && typeof made.next === 'function') return made
  return listed(values)
}

function listed(values) {
  let at = 0
  return { next: () => at < values.length ? { value: values[at++], done: false } : { value: undefined, done: true } }
}

function make_stream(begin) {
  let iterator = null, done = false, busy = false
  function take() {
    if (done) return { value: undefined, done }
    if (busy) fail('InvalidOperation', 'the stream is at work: its own function cannot read it')
    busy = true
    try {
      if (iterator === null) iterator = begin()
      const step = iterator.next()
      if (is_promise(step)) fail('ValidationError', 'Streaming.create: an asynchronous generator gives no stream')
      if (!step.done) return { value: step.value, done }
      done = true
    } catch (error) {
      done = true
      throw error
    } finally {
      busy = false
    }
    return { value: undefined, done }
  }
  function close() {
    if (done) return false
    if (busy) fail('InvalidOperation', 'the stream is at work: its own function cannot close it')
    done = true
    if (iterator !== null && typeof iterator.return === 'function') iterator.return()
    return true
  }
  const stream = {}
  const add = (names, f) => { for (let i = 0; i < names.length; i++) hide(stream, names[i], f) }
  add(['next'], take)
  add(['close'], close)
  add(['return'], value => { close(); return { value, done: true } })
  add(['isDone', 'is_done'], () => done)
  add(['collect'], most => {
    const all = []
    while (most === undefined || all.length < most) {
      const step = take()
      if (step.done) break
      all[all.length] = step.value
    }
    return all
  })
  add(['forEach', 'for_each', 'each'], call => {
    for (let count = 0; ; count++) {
      const step = take()
      if (step.done) return count
      if (call(step.value) === false) {
        close()
        return count + 1
      }
    }
  })
  hide(stream, 'toString', () => '<Stream>')
  weak_set(dressed_prototypes, stream, 'text')
  hide(stream, Symbol.iterator, () => stream)
  note_stream(streams, stream)
  return stream
}

const streaming = {
  create(given) {
    if (typeof given === 'object' && given !== null && is_stream(streams, given)) return given
    if (typeof given === 'function') return make_stream(() => begun(given))
    if (is_array(given)) return make_stream(() => listed(given))
    fail('ValidationError', 'Streaming.create takes a function or an array')
  },
  yield(...values) {
    if (collecting !== null) {
      collecting[collecting.length] = values[0]
      return true
    }
    if (hand_over !== null) return reflect_apply(hand_over, undefined, values)
    fail('InvalidOperation', 'Streaming.yield is for functions given to Streaming.create; a generator function uses yield')
  },
}

// The functions of the host become those of the language: `yield` within a stream concerns the script alone.
function install_streaming(global) {
  if (global.yield) hand_over = global.yield
  if (global.consumed) is_consumed = global.consumed
  global.create = streaming.create
  global.yield = streaming.yield
}

// What a script returns: a stream goes to the host piece by piece, or as an array where nobody takes pieces.
function drained(value) {
  if (typeof value !== 'object' || value === null || !is_stream(streams, value)) return value
  if (hand_over === null || !is_consumed()) return value.collect()
  value.forEach(piece => hand_over(piece))
}
