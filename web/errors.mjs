/** An error that Python named: `name` is its class, `data` its fields. See agents.d.mts for more. */
export class AgentError extends Error {
  constructor({ name, message, data = {} }) {
    super(message);
    this.name = name;
    this.data = data;
  }
}

/** What a page gave can't be meant; nothing was sent. */
export function invalid(argument, wanted, found) {
  const message = `${argument} is ${wanted}, not ${shown(found)}`;
  return new AgentError({ name: "InvalidArgument", message, data: { argument } });
}

function shown(value) {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (typeof value === "object" && value !== null) {
    const kind = value.constructor?.name ?? "object";
    return `${/^[AEIO]/i.test(kind) ? "an" : "a"} ${kind}`;
  }
  return typeof value === "function" ? "a function" : String(value);
}
