// A nats.js client in a browser, for the Python in the same worker: text in, text out.
import { nats, runner } from "./nats_js.mjs";

export async function open(url) {
  const nc = await nats.wsconnect({ servers: url });
  const run = runner(nc);
  return {
    run: async (code, values) => JSON.stringify((await run(code, JSON.parse(values))) ?? null),
    close: () => nc.close(),
  };
}
