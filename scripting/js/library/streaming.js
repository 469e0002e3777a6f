// Streaming: values that come piece by piece. A generator function gives them one at a time; another function gives all
// of its values to Streaming.yield before the first is read, because JavaScript cannot pause it.
let collecting = null

function make_stream(f) {
  let iterator = null, values = null, at = 0, done = false
  function begin() {
    const outer = collecting
    collecting = values = []
    try {
      const made = f()
      if (typeof made === 'object' && made !== null && typeof made.next === 'function') iterator = made
    } finally {
      collecting = outer
    }
  }
  const stream = {
    next() {
      if (done) return { value: undefined, done }
      if (values === null) begin()
      if (at < values.length) return { value: values[at++], done }
      if (iterator !== null) {
        const step = iterator.next()
        if (!step.done) return { value: step.value, done }
      }
      done = true
      return { value: undefined, done }
    },
    collect() {
      const all = []
      for (let step = stream.next(); !step.done; step = stream.next()) all[all.length] = step.value
      return all
    },
    isDone() { return done },
    return(value) {
      done = true
      return { value, done }
    },
  }
  stream[Symbol.iterator] = () => stream
  return stream
}

const streaming = {
  create(f) {
    if (typeof f !== 'function') fail('ValidationError', 'Streaming.create takes a function')
    return make_stream(f)
  },
  yield(value) {
    if (collecting === null) {
      fail('InvalidOperation', 'Streaming.yield is for functions given to Streaming.create; a generator function uses yield')
    }
    collecting[collecting.length] = value
  },
}
