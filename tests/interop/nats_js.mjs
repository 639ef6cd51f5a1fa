// nats.js for the tests: all of its packages, and pieces of JavaScript that are run with them.
// In Node as it is; for a browser esbuild makes one file of it.
import * as core from "@nats-io/nats-core";
import * as jetstream from "@nats-io/jetstream";
import * as kv from "@nats-io/kv";
import * as obj from "@nats-io/obj";
import * as services from "@nats-io/services";

export const nats = { ...core, ...jetstream, ...kv, ...obj, ...services };

// Bytes as JSON can carry them: one character each.
const latin1 = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const bytes = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));

const plain = (msg) => ({
  subject: msg.subject,
  data: latin1(msg.data),
  reply: msg.reply ?? "",
  headers: Object.fromEntries((msg.headers?.keys() ?? []).map((k) => [k, msg.headers.values(k)])),
});

// The next messages of a subscription, as many as asked for.
async function take(subscription, count) {
  const found = [];
  if (count === 0) return found;
  for await (const msg of subscription) {
    found.push(plain(msg));
    if (found.length === count) break;
  }
  return found;
}

// What an iterator gives until it ends.
async function collect(iterator) {
  const found = [];
  for await (const item of await iterator) found.push(item);
  return found;
}

const AsyncFunction = (async () => {}).constructor;

// Runs pieces of code on one connection; `kept` is for what one leaves to the next.
export function runner(nc) {
  const tools = { nc, nats, latin1, bytes, plain, take, collect, kept: {} };
  return (code, values) => {
    const scope = { ...tools, ...values };
    return new AsyncFunction(...Object.keys(scope), code)(...Object.values(scope));
  };
}
