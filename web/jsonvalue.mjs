// JSON as it crosses to Python, as strict and bounded as on the other side: what `JSON.stringify`
// would leave out, change or choke on is refused, with its place.

import { AgentError } from "./errors.mjs";

const DEPTH_MAX = 64; // as in agents_core.jsonvalue
const CHARS_MAX = 16 * 1024 * 1024; // of one call; Python holds several copies of it for a moment

/**
 * The JSON text of a call.
 *
 * A member that is `undefined` is left out; dates and what else has `toJSON` are what that gives.
 *
 * @param {object} call
 * @param {Record<string, unknown>} values what the page gave, by what it calls it
 * @throws {AgentError} an `EncodeError`: a value has no JSON form, contains itself, is nested too deep
 *   or too large
 */
export function encode(call, values) {
  const plain = {};
  for (const [name, value] of Object.entries(values)) plain[name] = plainOf(value, name, []);
  const text = JSON.stringify({ ...call, ...plain });
  if (text.length > CHARS_MAX) {
    throw refuse("a value", "", `${text.length} characters of JSON are more than ${CHARS_MAX}`);
  }
  return text;
}

function plainOf(value, where, inside) {
  switch (typeof value) {
    case "boolean":
      return value;
    case "string":
      return wellFormed(value, where);
    case "number":
      if (!Number.isFinite(value)) throw refuse(String(value), where, "JSON has no such number");
      return value;
    case "object":
      return value === null ? null : containerOf(value, where, inside);
    case "undefined":
      throw refuse("undefined", where, "give null for nothing");
    case "bigint":
      throw refuse("a BigInt", where, "make it a number or a text");
    default:
      throw refuse(`a ${typeof value}`, where, "it has no JSON form");
  }
}

function containerOf(value, where, inside) {
  if (inside.includes(value)) throw refuse("an object", where, "it contains itself");
  if (inside.length >= DEPTH_MAX) {
    throw refuse("an object", "", `nested deeper than ${DEPTH_MAX}, near ${where.slice(0, 60)}…`);
  }
  const within = [...inside, value];
  if (typeof value.toJSON === "function") return plainOf(value.toJSON(), where, within);
  if (Array.isArray(value)) {
    return Array.from(value, (item, index) => plainOf(item, `${where}[${index}]`, within));
  }
  if (!isPlain(value)) {
    const kind = value.constructor?.name ?? "object";
    const hint = kind === "Promise" ? "await it" : "make a plain object or an array of it";
    throw refuse(`a ${kind}`, where, hint);
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const plain = members.map(([name, member]) => [
    wellFormed(name, where),
    plainOf(member, `${where}.${name}`, within),
  ]);
  return Object.fromEntries(plain);
}

/** Whether it is an object literal, of any frame, or one without a prototype. */
function isPlain(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function wellFormed(text, where) {
  if (!text.isWellFormed()) throw refuse("a text", where, "it has half a surrogate pair");
  return text;
}

function refuse(type, where, reason) {
  const message = `can't encode ${type}${where && ` at ${where}`}: ${reason}`;
  return new AgentError({ name: "EncodeError", message, data: { type, reason, where } });
}
