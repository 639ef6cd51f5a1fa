// A nats.js client in Node, driven by a test: one JSON object a line in, one a line out.
import { createInterface } from "node:readline";
import { connect } from "@nats-io/transport-node";
import { runner } from "./nats_js.mjs";

const nc = await connect({ servers: process.argv[2] });
const run = runner(nc);
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, code, values } = JSON.parse(line);
  run(code, values).then(
    (result) => say({ id, result: result ?? null }),
    (error) => say({ id, error: String(error?.stack ?? error) }),
  );
}
await nc.close();
