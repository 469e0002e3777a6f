// What functions of globals return, dressed by the shapes of the layout: rows that answer methods, pages that know their
// total, builders. Everything here is told by data; no global is named. See definition/shapes.py.
const dressed_prototypes = new WeakMap()
const symbol_of_iterator = Symbol.iterator

function field(row, name) {
  const kept = weak_get(hidden, row)
  if (kept !== undefined && has_own(kept, name)) return kept[name]
  return has_own(row, name) ? row[name] : undefined
}

// A name in the other of the two spellings: get_tags for getTags, and the other way round.
function respelt(name) {
  let text = ''
  const snake = index_of(name, '_') >= 0
  for (let i = 0; i < name.length; i++) {
    const code = code_at(name, i)
    if (snake && code === 95 && i + 1 < name.length) {
      const next = code_at(name, ++i)
      text += next >= 97 && next <= 122 ? from_codes(next - 32) : '_' + name[i]
    } else text += !snake && code >= 65 && code <= 90 ? '_' + from_codes(code + 32) : name[i]
  }
  return text
}

// Adds a property that is computed. It can be assigned like any other.
function compute(object, name, get) {
  define(object, name, {
    get, configurable: true,
    set(value) { define(this, name, { value, writable: true, enumerable: true, configurable: true }) },
  })
}

const makers = {
  object(shape, dresser, functions) {
    const prototype = {}
    const text = shape.text, keep = shape.hidden
    for (let names = keys_of(shape.methods), i = 0; i < names.length; i++) {
      const number = shape.methods[names[i]], key = shape.key
      const own = key === undefined
        ? function (...values) { return reflect_apply(functions[number], undefined, values) }
        : function (...values) {
          if (typeof this !== 'object' || this === null) fail('ValidationError', 'call methods on their object: object.' + names[i] + '()')
          const all = [field(this, key)]
          for (let i = 0; i < values.length; i++) all[i + 1] = values[i]
          return reflect_apply(functions[number], undefined, all)
        }
      const twin = respelt(names[i])
      if (!has_own(shape.methods, twin)) hide(prototype, twin, own)
      hide(prototype, names[i], own)
    }
    for (let getters = shape.getters || {}, names = keys_of(getters), i = 0; i < names.length; i++) {
      const name = getters[names[i]]
      hide(prototype, names[i], function () { return field(this, name) })
    }
    for (let aliases = shape.aliases || {}, names = keys_of(aliases), i = 0; i < names.length; i++) {
      const name = aliases[names[i]]
      compute(prototype, names[i], function () { return has_own(this, name) ? this[name] : undefined })
    }
    if (shape.itself !== undefined) compute(prototype, shape.itself, function () { return this })
    if (text) {
      hide(prototype, 'toString', function () {
        const pieces = []
        for (let i = 0; i < text.length; i++) pieces[i] = text_of(field(this, text[i]))
        return join(pieces, ':')
      })
    }
    weak_set(dressed_prototypes, prototype, text ? 'text' : 'row')
    const parts = {}
    for (let names = keys_of(shape.parts), i = 0; i < names.length; i++) parts[names[i]] = dresser(shape.parts[names[i]])
    return row => {
      if (typeof row !== 'object' || row === null) return row
      for (let names = keys_of(parts), i = 0; i < names.length; i++) {
        if (has_own(row, names[i])) row[names[i]] = parts[names[i]](row[names[i]])
      }
      for (let shows = shape.shows || {}, names = keys_of(shows), i = 0; i < names.length; i++) {
        const part = row[names[i]], shown = {}
        if (typeof part !== 'object' || part === null || is_array(part)) continue
        for (let fields = shows[names[i]], k = 0; k < fields.length; k++) hide(shown, fields[k], row[fields[k]])
        weak_set(dressed_prototypes, shown, 'row')
        set_prototype(part, shown)
      }
      if (shape.within !== undefined && typeof row[shape.within] === 'object' && row[shape.within] !== null) {
        const inner = row[shape.within], answering = create_object(prototype)
        for (let names = keys_of(inner), i = 0; i < names.length; i++) {
          if (!(names[i] in prototype)) hide(answering, names[i], inner[names[i]])
        }
        weak_set(dressed_prototypes, answering, text ? 'text' : 'row')
        return set_prototype(row, answering)
      }
      if (keep) {
        const kept = {}
        for (let i = 0; i < keep.length; i++) {
          if (has_own(row, keep[i])) kept[keep[i]] = row[keep[i]]
          delete row[keep[i]]
        }
        weak_set(hidden, row, kept)
      }
      return set_prototype(row, prototype)
    }
  },

  rows(shape, dresser) {
    const dress = shape.of ? dresser(shape.of) : null
    return rows => {
      if (dress && is_array(rows)) for (let i = 0; i < rows.length; i++) rows[i] = dress(rows[i])
      return rows
    }
  },

  // A total that is not counted yet is counted when it is read, by the arguments that the page was asked with.
  page(shape, dresser, functions) {
    const dress = shape.of ? dresser(shape.of) : null
    return (page, values) => {
      if (typeof page !== 'object' || page === null) return page
      const rows = is_array(page) ? page : page.rows
      if (dress) for (let i = 0; i < rows.length; i++) rows[i] = dress(rows[i])
      if (is_array(page)) {
        hide(rows, 'total', rows.length)
        hide(rows, 'has_more', false)
        return rows
      }
      hide(rows, 'has_more', page.has_more)
      if (page.next_cursor !== undefined) hide(rows, 'next_cursor', page.next_cursor)
      if (page.total !== undefined || shape.total === undefined) hide(rows, 'total', page.total)
      else {
        const asked = encode_list(values, false)
        define(rows, 'total', {
          configurable: true,
          get() {
            const total = reflect_apply(functions[shape.total], undefined, decode(asked))
            hide(rows, 'total', total)
            return total
          },
        })
      }
      return rows
    }
  },

  // builder().name('x').model('m').build(): any method sets the option of its name.
  fluent(shape, dresser, functions) {
    const ends = {}
    for (let i = 0; i < shape.ends.length; i++) ends[shape.ends[i]] = true
    return () => {
      const options = {}
      const builder = new ProxyOf({}, {
        get(target, name) {
          if (typeof name !== 'string' || name === 'then' || name === 'toJSON') return undefined
          if (has_own(ends, name)) return () => functions[shape['function']](options)
          return value => {
            const list = has_own(shape.lists, name) ? shape.lists[name] : undefined
            if (list === undefined) options[name] = value
            else if (has_own(options, list)) options[list][options[list].length] = value
            else options[list] = [value]
            return builder
          }
        },
      })
      return builder
    }
  },

  // for (const value of object.values()) …: each value is asked for when the loop comes to it.
  iterator(shape, dresser, functions) {
    return key => {
      let done = false
      const iterator = {
        next() {
          const value = done ? undefined : functions[shape['function']](key)
          done = value === undefined
          return { value, done }
        },
        return(value) {
          done = true
          return { value, done }
        },
      }
      hide(iterator, symbol_of_iterator, () => iterator)
      return iterator
    }
  },
}

// Returns the function that dresses by a shape's number, counted from 1. `functions` are those of the globals, by number,
// which may still be missing when this is called.
function make_dresser(shapes, functions) {
  const made = {}
  return function dresser(number) {
    if (made[number] === undefined) {
      let own
      made[number] = (value, values) => own(value, values) // for shapes within themselves
      const shape = shapes[number - 1]
      own = made[number] = makers[shape.kind](shape, dresser, functions)
    }
    return made[number]
  }
}
