// A page of somebody who writes TypeScript: every export, every method and event, and what the types
// have to refuse.

import { AgentError, start } from "../../../web/agents.mjs";
import type {
  Agent,
  AgentEvent,
  AgentInfo,
  Config,
  ErrorName,
  FailedDetail,
  Json,
  LogLevel,
  NodeInfo,
  Phase,
  PhaseDetail,
  ProgressDetail,
  Runtime,
  RuntimeEvents,
  Sendable,
  SlowDetail,
  SpawnOptions,
  StartOptions,
  StatusDetail,
} from "../../../web/agents.mjs";

const config: Config = {
  pyodide: "pyodide/",
  wheel: "agents_core.whl",
  snapshot: null,
  files: {},
  index: "simple/",
  space: "shop",
};
const level: LogLevel = "DEBUG";
const options: StartOptions = { config: Promise.resolve(config), nats: "local://", log: level };
const runtime: Runtime = start({ ...options, pingInterval: 5, patience: 60, name: "kiosk", awake: false });
start();

// @ts-expect-error a level has capital letters
start({ log: "debug" });
// @ts-expect-error there is no such option
start({ url: "ws://localhost" });
// @ts-expect-error a configuration names the wheel
start({ config: { pyodide: "pyodide/" } });
// @ts-expect-error a name is a text
start({ name: 1 });
// @ts-expect-error it is yes or no
start({ awake: "no" });
// @ts-expect-error seconds are a number
start({ patience: "60" });

const details: Partial<Record<keyof RuntimeEvents, unknown>> = {};
runtime.addEventListener("phase", ({ detail }) => {
  const { phase, from, node }: PhaseDetail = detail;
  const all: Phase = phase;
  details.phase = [all, from === "snapshot", node];
});
runtime.addEventListener("progress", ({ detail }) => {
  const { file, loaded, total }: ProgressDetail = detail;
  details.progress = `${file} ${loaded / total}`;
});
runtime.addEventListener("status", ({ detail }) => {
  const { status, url, rtt, reconnects }: StatusDetail = detail;
  // @ts-expect-error it may be null
  rtt.toFixed(1);
  details.status = [status === "connected", url, rtt?.toFixed(1), reconnects + 1];
});
runtime.addEventListener("nodes", ({ detail }) => {
  const nodes: NodeInfo[] = detail;
  details.nodes = nodes.map(({ node, host, version, bus, agents }) => {
    const busy = agents.filter(({ mailbox, handled, restarts }: AgentInfo) => mailbox + handled + restarts);
    return [node, host === "browser", version, bus.url, busy.map(({ id, type, state, supervisor }) => [id, type, state, supervisor])];
  });
});
runtime.addEventListener("event", ({ detail }) => {
  const { kind, reason, traceback, timestamp }: AgentEvent = detail;
  details.event = [kind === "crashed", reason?.message, traceback, new Date(timestamp * 1000)];
});
runtime.addEventListener("slow", ({ detail }) => {
  const { agent, message, seconds, messages, awaited }: SlowDetail = detail;
  details.slow = [agent, message, seconds * 1000, messages, awaited];
});
const failed = ({ detail }: CustomEvent<FailedDetail>) => {
  details.failed = `${detail.phase}: ${detail.message}\n${detail.detail}`;
};
runtime.addEventListener("failed", failed, { once: true });
runtime.removeEventListener("failed", failed);
// @ts-expect-error no event of that name has this detail
runtime.addEventListener("crash", ({ detail }) => detail.agent);

await runtime.running;
await runtime.define("shop", "VALUE = 1");
await runtime.install("shop>=2");
const spawnOptions: SpawnOptions = { args: [1, "two"], kwargs: { name: null }, restart: "transient" };
const counter: Agent = await runtime.spawn("shop:Counter", "counter", {
  ...spawnOptions,
  state: "memory",
  mailbox: 10,
  shutdown: 1,
  maxRestarts: 1,
  maxSeconds: 10,
  host: "worker",
  deadline: 30,
});
// @ts-expect-error a class is named with its module
await runtime.spawn("Counter", "counter");
// @ts-expect-error there is no such restart
await runtime.spawn("shop:Counter", "counter", { restart: "never" });
// @ts-expect-error names of options are JavaScript's
await runtime.spawn("shop:Counter", "counter", { max_restarts: 1 });

const reply: Json = await counter.ask({ type: "add", n: 1, note: undefined, when: new Date() });
const sum = await runtime.ask<number>("counter", "sum", { timeout: 1 });
await counter.tell(["a", 1, true, null]);
await runtime.tell(runtime.agent("counter").id, sum + 1);
// @ts-expect-error a message has to be there
await counter.ask();
// @ts-expect-error a function has no JSON form
await counter.tell({ call: () => 1 });
// @ts-expect-error nor has a BigInt
await counter.tell(10n);
// @ts-expect-error nor has a Map
await counter.tell(new Map());
// @ts-expect-error a promise is to be awaited
await counter.tell(Promise.resolve(1));

const info: AgentInfo = await runtime.control("counter", "info");
const nothing: null = await runtime.control("counter", "kill");
await counter.kill();
// @ts-expect-error there is no such action
await runtime.control("counter", "restart");

const value: Sendable = { total: sum };
const end: () => void = await runtime.subscribe("shop.*", (heard: Json) => console.log(heard));
await runtime.publish("shop.total", value);
end();
// @ts-expect-error it gives a promise
runtime.subscribe("shop.*", () => {})();

try {
  await counter.stop();
} catch (error) {
  if (error instanceof AgentError) {
    const name: ErrorName | string = error.name;
    console.log(name === "RemoteError", error.message, error.data.traceback);
  }
}
throw new AgentError({ name: "Stopped", message: "…", data: { reply, info, nothing } });

// @ts-expect-error it says itself where the start is
runtime.phase = "running";
await runtime.stop();
console.log(runtime.node?.length, (await counter.info()).restarts);
