// Returns what is wrong with a value that should have a shape.
const problems = [];
const wrong = (where, what) => { problems.push(`${where}: ${what}`); };
const named = (v) => v === null ? "null" : Array.isArray(v) ? "list" : typeof v;

const is = {
  "text": (v) => typeof v === "string",
  "content": (v) => typeof v === "string" || v instanceof Uint8Array,
  "session id": (v) => typeof v === "string" && v.id === v && typeof v.status === "string",
  "whole number": (v) => Number.isInteger(v) || typeof v === "bigint",
  "number": (v) => typeof v === "number",
  "boolean": (v) => typeof v === "boolean",
  "true": (v) => v === true,
  "table": (v) => typeof v === "object" && v !== null,
  "list": (v) => Array.isArray(v),
  "nothing": (v) => v === undefined,
  "any value": (v) => v !== undefined,
};

function check(value, shape, where, depth) {
  if (depth === 0 || (value === undefined && shape.optional)) return;
  if (shape.kind === "value") {
    if (!is[shape.is](value)) wrong(where, `is a ${named(value)}, not ${shape.is}`);
    return;
  }
  if (shape.kind === "iterator") {
    if (typeof value[Symbol.iterator] !== "function") wrong(where, "is no iterator");
    return;
  }
  if (typeof value !== "object" || value === null) return wrong(where, `is a ${named(value)}, not ${shape.kind}`);
  if (shape.kind === "rows" || shape.kind === "page") {
    if (!Array.isArray(value)) return wrong(where, "is no array");
    if (shape.kind === "page") {
      if (typeof value.total !== "number") wrong(where, "has no total");
      if (typeof value.has_more !== "boolean") wrong(where, "has no has_more");
    }
    value.forEach((each, i) => check(each, shape.of, `${where}[${i}]`, depth - 1));
    return;
  }
  for (const name of shape.methods) {
    if (value[name] === undefined) wrong(where, `has no method ${name}`);
  }
  for (const [name, field] of Object.entries(shape.aliases)) {
    if (value[name] !== value[field]) wrong(where, `${name} is not ${field}`);
  }
  if (shape.itself && value[shape.itself] === undefined) wrong(where, `does not show itself as ${shape.itself}`);
  for (const [name, fields] of Object.entries(shape.shows)) {
    for (const field of fields) {
      if (value[name] !== undefined && value[field] !== undefined && value[name][field] === undefined) {
        wrong(where, `${name} does not show ${field}`);
      }
    }
  }
  if (shape.text && String(value) === "[object Object]") wrong(where, "has no text");
  for (const [name, part] of Object.entries(shape.parts)) {
    if (Object.hasOwn(value, name)) check(value[name], part, `${where}.${name}`, depth - 1);
  }
}

function shape_problems(value, shape) {
  check(value, shape, "the answer", 4);
  return problems;
}
