// The functions of the language that the library uses, taken before any script runs: a script that changes
// Array.prototype or Promise changes only itself. Nothing below may use methods of values, spread, destructuring of
// arrays or for-of: they all ask objects that a script can change.
const integer_of = BigInt, ErrorOf = Error, SyntaxErrorOf = SyntaxError, PromiseOf = Promise, ProxyOf = Proxy, BytesOf = Uint8Array
const reflect_apply = Reflect.apply
const bare = f => (self, ...given) => reflect_apply(f, self, given)
const stringify = JSON.stringify, parse = JSON.parse
const is_array = Array.isArray, is_finite = Number.isFinite, is_integer = Number.isSafeInteger
const keys_of = Object.keys, prototype_of = Object.getPrototypeOf, set_prototype = Object.setPrototypeOf
const define = Object.defineProperty, create_object = Object.create, own_property = Object.getOwnPropertyDescriptor
const names_of = Object.getOwnPropertyNames
const has_own = bare(Object.prototype.hasOwnProperty)
const object_prototype = Object.prototype, string_prototype = String.prototype
const join = bare(Array.prototype.join), slice_array = bare(Array.prototype.slice)
const code_at = bare(String.prototype.charCodeAt), slice = bare(String.prototype.slice)
const index_of = bare(String.prototype.indexOf), split = bare(String.prototype.split)
const text_of = String, number_of = Number, from_codes = String.fromCharCode
const to_iso = bare(Date.prototype.toISOString), time_of = bare(Date.prototype.getTime)
const map_get = bare(Map.prototype.get), map_set = bare(Map.prototype.set), map_delete = bare(Map.prototype.delete)
const map_each = bare(Map.prototype.forEach), set_each = bare(Set.prototype.forEach)
const weak_get = bare(WeakMap.prototype.get), weak_set = bare(WeakMap.prototype.set), weak_has = bare(WeakMap.prototype.has)
const then = bare(Promise.prototype.then)
const error_text = bare(Error.prototype.toString)
const evaluate = eval
const view_buffer = bare(own_property(prototype_of(BytesOf.prototype), 'buffer').get)
const view_offset = bare(own_property(prototype_of(BytesOf.prototype), 'byteOffset').get)
const view_length = bare(own_property(prototype_of(BytesOf.prototype), 'byteLength').get)
const subarray = bare(prototype_of(BytesOf.prototype).subarray)
const kind_of_view = bare(own_property(prototype_of(BytesOf.prototype), Symbol.toStringTag).get)
const buffer_length = bare(own_property(ArrayBuffer.prototype, 'byteLength').get)
const map_size = bare(own_property(Map.prototype, 'size').get), set_size = bare(own_property(Set.prototype, 'size').get)

// Returns whether a check that throws for other values accepts this one.
function passes(check, value) {
  try { check(value); return true } catch { return false }
}
const is_map = value => passes(map_size, value), is_set = value => passes(set_size, value)
const is_buffer = value => passes(buffer_length, value), is_date = value => passes(time_of, value)
function is_promise(value) {
  // `then` of a promise that is no promise throws before anything happens
  if (typeof value !== 'object' || value === null) return false
  for (let each = prototype_of(value), depth = 0; each !== null && depth < 100; each = prototype_of(each), depth++) {
    if (each === PromiseOf.prototype) return true
  }
  return false
}
function is_error(value) {
  if (typeof value !== 'object' || value === null) return false
  for (let each = prototype_of(value), depth = 0; each !== null && depth < 100; each = prototype_of(each), depth++) {
    if (each === ErrorOf.prototype) return true
  }
  return false
}
// Adds a property that no listing of properties shows.
function hide(object, name, value) {
  define(object, name, { value, writable: true, enumerable: false, configurable: true })
}
