// The page: what the runtime tells is drawn, what people press is asked of it. No logic of its own.

import { start } from "./agents.mjs";
import { forget, keep } from "./offline.mjs";
import { boot } from "./views/boot.mjs";
import { connection } from "./views/connection.mjs";
import { h } from "./views/dom.mjs";
import { log } from "./views/log.mjs";
import { messageDialog } from "./views/message.mjs";
import { nodes } from "./views/nodes.mjs";
import { notice } from "./views/notice.mjs";

const find = (id) => document.getElementById(id);

const startView = boot(find("boot"), { onRetry: retry });
main().catch((error) => fail({ phase: "loading", message: error.message, detail: error.stack }));

async function main() {
  const fetching = fetchConfig();
  const nats = new URLSearchParams(location.search).get("nats");
  const runtime = start({ config: fetching, nats });

  const say = notice(find("notice"));
  const dialog = messageDialog(runtime);
  const connectionView = connection(find("connection"));
  const logView = log(find("log"));
  const nodesView = nodes(find("nodes"), {
    own: () => runtime.node,
    control: (agent, action) => control(runtime, say, agent, action),
    message: dialog.open,
  });

  const on = (type, listener) => runtime.addEventListener(type, ({ detail }) => listener(detail));
  on("progress", startView.progress);
  on("status", connectionView.update);
  on("nodes", nodesView.update);
  on("event", logView.add);
  on("failed", fail);
  on("phase", ({ phase, from }) => enter(phase, from));

  const config = await fetching;
  startView.expect(config.bytes);
  await runtime.running;
  if (config.example?.panel) await showExample(config.example, runtime);
  document.documentElement.dataset.kept = String(await keep().catch(() => false));
}

// What is kept in the browser may be what is wrong.
async function retry() {
  await forget().catch(() => {});
  location.reload();
}

async function fetchConfig() {
  const response = await fetch("/config.json").catch(() => null);
  if (!response?.ok) throw new Error("the server does not answer: is `agents up` running?");
  return response.json();
}

function enter(phase, from) {
  document.documentElement.dataset.phase = phase;
  if (from) document.documentElement.dataset.from = from;
  startView.enter(phase);
  if (phase === "running") {
    for (const id of ["nodes", "log"]) find(id).hidden = false;
  }
}

function fail(failure) {
  enter("failed");
  startView.fail(failure);
}

async function control(runtime, say, agent, action) {
  try {
    await runtime.control(agent, action);
    say(action === "kill" ? `${agent} was crashed` : `${agent} was stopped`);
  } catch (error) {
    say(`${error.name}: ${error.message}`, { bad: true });
  }
}

async function showExample(example, runtime) {
  const section = find("example");
  if (example.styles) document.head.append(h("link", { rel: "stylesheet", href: example.styles }));
  const { mount } = await import(example.panel);
  mount(section, runtime);
  section.hidden = false;
}
