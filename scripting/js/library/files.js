// io.open and os.remove for scripts with files: the host opens, reads and writes them, and keeps them by number.
// A trusted script has os.exit too.
function grant_files(numbers, profile) {
  const operation = {}
  for (let names = keys_of(numbers), i = 0; i < names.length; i++) operation[names[i]] = bind(numbers[names[i]], false)
  const number_in = new WeakMap()
  const number = file => {
    const found = weak_get(number_in, file)
    if (found === undefined) fail('ValidationError', 'attempt to use what is no file')
    return found
  }
  class File {
    // "a" for all, "l" for a line, "L" for a line with its end, or a number of bytes. Returns null at the end.
    read(what) {
      const data = operation.read(number(this), what === undefined ? 'l' : what)
      return data === undefined ? null : data
    }
    *lines() {
      for (let line = this.read('l'); line !== null; line = this.read('l')) yield line
    }
    write(...values) {
      for (let i = 0; i < values.length; i++) {
        const value = values[i]
        operation.write(number(this), typeof value === 'number' || typeof value === 'bigint' ? text_of(value) : value)
      }
      return this
    }
    seek(whence, offset) {
      return operation.seek(number(this), whence === undefined ? 'cur' : whence, offset === undefined ? 0 : offset)
    }
    flush() { operation.flush(number(this)); return this }
    close() { operation.close(number(this)); return true }
  }
  globalThis.io = {
    open(path, mode) {
      const opened = operation.open(path, mode === undefined ? 'r' : mode)
      const file = new File()
      weak_set(number_in, file, opened)
      return file
    },
    lines(path) { return globalThis.io.open(path).lines() },
  }
  globalThis.os = { remove: path => operation.remove(path) }
  if (profile === 'trusted') {
    globalThis.os.exit = (code = 0) => {
      if (code === true || code === false) code = code ? 0 : 1
      if (!is_integer(code)) fail('ValidationError', 'os.exit: a whole number is needed')
      host(`.exit:${code}`)
    }
  }
}
