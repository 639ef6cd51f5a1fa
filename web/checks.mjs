// What a page gives, looked at before it is sent: JavaScript would take anything. Each gives the value
// back, or throws an `InvalidArgument`.

import { invalid } from "./errors.mjs";

const ACTIONS = ["stop", "kill", "info"];
const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const RESTARTS = ["permanent", "transient", "temporary"];

/** A string that is not empty. */
export function text(name, value) {
  if (typeof value !== "string" || value === "") throw invalid(name, "a text", value);
  return value;
}

/** A string. */
export function string(name, value) {
  if (typeof value !== "string") throw invalid(name, "a text", value);
  return value;
}

/** A number of seconds above 0. */
export function seconds(name, value) {
  const fits = Number.isFinite(value) && value > 0;
  if (!fits) throw invalid(name, "a number of seconds above 0", value);
  return value;
}

export const action = (value) => oneOf("action", ACTIONS, value);

/** "module:Class". */
export function path(value) {
  if (!/^[^:]+:[^:]+$/.test(text("path", value))) throw invalid("path", '"module:Class"', value);
  return value;
}

/** A wheel: its URL, made absolute, or a requirement. */
export function wheel(value) {
  const isUrl = /^[a-z]+:|\.whl($|[?#])/i.test(text("what", value));
  if (!isUrl) return value;
  if (!URL.canParse(value, document.baseURI)) throw invalid("what", "a URL or a requirement", value);
  return new URL(value, document.baseURI).href;
}

/** What `ask` was given. */
export function askOptions(options) {
  known("options", options, ["timeout"]);
  if (options.timeout !== undefined) seconds("timeout", options.timeout);
  return options;
}

/** What `start` was given. */
export function startOptions(options) {
  known("options", options, ["config", "nats", "pingInterval", "log", "name", "awake", "patience"]);
  const { config, nats, pingInterval, log, name, awake, patience } = options;
  if (config !== undefined) object("config", config);
  if (nats !== undefined && nats !== null) text("nats", nats);
  if (pingInterval !== undefined) seconds("pingInterval", pingInterval);
  if (log !== undefined) level("log", log);
  if (name !== undefined) text("name", name);
  if (awake !== undefined && typeof awake !== "boolean") throw invalid("awake", "true or false", awake);
  if (patience !== undefined) seconds("patience", patience);
  return options;
}

const level = (name, value) => oneOf(name, LEVELS, value);
const orNothing = (check) => (name, value) => value === undefined || value === null || check(name, value);

const CONFIG = {
  pyodide: text,
  wheel: text,
  nats: text,
  space: text,
  files: object,
  snapshot: orNothing(text),
  index: orNothing(text),
  log: orNothing(level),
};

/** A configuration, with what it may leave out. */
export function config(found) {
  object("config", found);
  const { nats = "local://", space = "default", files = {} } = found;
  const filled = { ...found, nats, space, files };
  for (const [name, check] of Object.entries(CONFIG)) check(`config.${name}`, filled[name]);
  return filled;
}

const atLeast = (least) => (name, value) => {
  const fits = Number.isFinite(value) && value >= least;
  if (!fits) throw invalid(name, `a number, at least ${least}`, value);
  return value;
};

const array = (name, value) => {
  if (!Array.isArray(value)) throw invalid(name, "an array", value);
  return value;
};

// What each option of `spawn` is, where Python takes it, and by which name.
const SPAWN = {
  args: ["args", null, array],
  kwargs: ["kwargs", null, object],
  restart: ["child", "restart", (name, value) => oneOf(name, RESTARTS, value)],
  state: ["child", "state", text],
  mailbox: ["child", "mailbox", atLeast(1)],
  shutdown: ["child", "shutdown", atLeast(0)],
  host: ["child", "host", text],
  deadline: ["child", "deadline", seconds],
  maxRestarts: ["supervisor", "max_restarts", atLeast(0)],
  maxSeconds: ["supervisor", "max_seconds", seconds],
};

/** What `spawn` was given, sorted by where it goes. */
export function spawnOptions(options) {
  known("options", options, Object.keys(SPAWN));
  const sorted = { args: [], kwargs: {}, child: {}, supervisor: {} };
  for (const [name, [place, key, check]] of Object.entries(SPAWN)) {
    const value = options[name];
    if (value === undefined) continue;
    check(`options.${name}`, value);
    if (key === null) sorted[place] = value;
    else sorted[place][key] = value;
  }
  return sorted;
}

function object(name, value) {
  const fits = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!fits) throw invalid(name, "an object", value);
  return value;
}

function known(name, value, names) {
  object(name, value);
  const other = Object.keys(value).find((key) => !names.includes(key));
  if (other !== undefined) throw invalid(`a member of ${name}`, `one of ${names.join(", ")}`, other);
}

function oneOf(name, values, value) {
  if (!values.includes(value)) throw invalid(name, `one of ${values.join(", ")}`, value);
  return value;
}
